//! Adapters written by hand: against merged weights in double precision, and every way to be refused.

use crate::adapter::files::{CONFIG, WEIGHTS};
use crate::adapter::lora::{Adapter, LoraScratch};
use crate::adapter::merge::merge_adapter;
use crate::error::LmError;
use plackett_kernel::Isa;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

const STEM: &str = "base_model.model.model.layers.1.self_attn.q_proj";

/// Rank 3 for 40 × 24 weights of layer 1.
fn good() -> (Value, Tensors) {
    let config = json!({
        "peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["q_proj"], "bias": "none",
        "use_dora": false, "modules_to_save": null, "rank_pattern": {}, "init_lora_weights": true,
    });
    let tensors = vec![
        (format!("{STEM}.lora_A.weight"), vec![3, 24], numbers(72, 1)),
        (format!("{STEM}.lora_B.weight"), vec![40, 3], numbers(120, 2)),
    ];
    (config, tensors)
}

fn saved(config: &Value, tensors: &Tensors) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(CONFIG), config.to_string()).expect("written");
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a view"))
    });
    let file = safetensors::serialize(views, None).expect("a file");
    std::fs::write(folder.path().join(WEIGHTS), file).expect("written");
    folder
}

fn open(config: &Value, tensors: &Tensors) -> Result<Adapter, LmError> {
    Adapter::open(saved(config, tensors).path())
}

#[test]
fn an_adapter_adds_what_merged_weights_would() {
    let (mut config, tensors) = good();
    let (a, b) = (&tensors[0].2, &tensors[1].2);
    for (root, scale) in [(false, 2.0), (true, 6.0 / 3f64.sqrt())] {
        config["use_rslora"] = json!(root);
        let adapter = open(&config, &tensors).expect("an adapter");
        assert!(adapter.layer(0, "self_attn.q_proj").is_none() && adapter.layer(1, "mlp.up_proj").is_none());
        let delta = adapter.layer(1, "self_attn.q_proj").expect("the module");
        assert_eq!((delta.outputs(), delta.rank(), delta.inputs()), (40, 3, 24));
        assert!((f64::from(delta.scale()) - scale).abs() < 1e-6);
        let (rows, x_stride, y_stride) = (13, 26, 45);
        let (x, start) = (numbers(rows * x_stride, 3), numbers(rows * y_stride, 4));
        for isa in [Isa::detect(), Isa::Portable] {
            let mut y = start.clone();
            delta.add((isa, 1), (&x, x_stride), rows, (&mut y, y_stride), &mut LoraScratch::default());
            for (row, (y, before)) in y.chunks(y_stride).zip(start.chunks(y_stride)).enumerate() {
                for (j, (y, before)) in y.iter().zip(before).enumerate() {
                    let merged = |k: usize| -> f64 {
                        (0..3).map(|i| scale * f64::from(b[j * 3 + i]) * f64::from(a[i * 24 + k])).sum()
                    };
                    let own = |k: usize| merged(k) * f64::from(x[row * x_stride + k]);
                    let added = if j < 40 { (0..24).map(own).sum() } else { 0.0 };
                    assert!((f64::from(*y) - f64::from(*before) - added).abs() < 1e-5, "{isa:?} {row} {j}");
                }
            }
            // The same rows one by one, with room that was used before.
            let (mut alone, scratch) = (start.clone(), &mut LoraScratch::default());
            for row in 0..rows {
                let out = (&mut alone[row * y_stride..], y_stride);
                delta.add((isa, 1), (&x[row * x_stride..], x_stride), 1, out, scratch);
            }
            assert_eq!(alone, y, "{isa:?}");
        }
    }
}

/// A directory with one matrix in half precision and one that no adapter knows.
fn model(folder: &std::path::Path, prefix: &str) -> Vec<f32> {
    let own: Vec<half::f16> = numbers(40 * 24, 9).into_iter().map(half::f16::from_f32).collect();
    let bytes: Vec<u8> = own.iter().flat_map(|x| x.to_le_bytes()).collect();
    let other: Vec<u8> = numbers(6, 5).iter().flat_map(|x| x.to_le_bytes()).collect();
    let views = [
        (
            format!("{prefix}layers.1.self_attn.q_proj.weight"),
            TensorView::new(Dtype::F16, vec![40, 24], &bytes).expect("a view"),
        ),
        ("norm.weight".to_string(), TensorView::new(Dtype::F32, vec![6], &other).expect("a view")),
    ];
    std::fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).expect("a file"))
        .expect("written");
    std::fs::write(folder.join("config.json"), "{}").expect("written");
    own.into_iter().map(half::f16::to_f32).collect()
}

#[test]
fn a_merged_copy_has_the_sum_and_everything_else_as_it_was() {
    let (config, tensors) = good();
    let adapter = saved(&config, &tensors);
    for prefix in ["model.", ""] {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("source");
        std::fs::create_dir(&source).expect("made");
        let own = model(&source, prefix);
        let target = folder.path().join("target");
        let merged = merge_adapter(&source, adapter.path(), &target).expect("merged");
        assert_eq!((merged.matrices, merged.others), (1, 1));
        let weights = crate::files::weights::WeightSet::open(&target).expect("opens");
        let found =
            weights.f32(&format!("{prefix}layers.1.self_attn.q_proj.weight"), &[40, 24]).expect("there");
        for (at, (found, own)) in found.iter().zip(&own).enumerate() {
            let (row, column) = (at / 24, at % 24);
            let sum: f64 = (0..3)
                .map(|i| f64::from(tensors[1].2[row * 3 + i]) * f64::from(tensors[0].2[i * 24 + column]))
                .sum();
            assert!((f64::from(*found) - f64::from(*own) - 2.0 * sum).abs() < 1e-6, "{at}");
        }
        assert_eq!(weights.f32("norm.weight", &[6]).expect("there"), numbers(6, 5));
        assert!(target.join("config.json").exists());
        let again = merge_adapter(&source, adapter.path(), &target).expect_err("exists").to_string();
        assert!(again.contains("exists; choose another name"), "{again}");
        // A model with other matrices.
        let (mut other, mut tensors) = (config.clone(), tensors.clone());
        other["target_modules"] = json!(["k_proj"]);
        tensors.iter_mut().for_each(|tensor| tensor.0 = tensor.0.replace("q_proj", "k_proj"));
        let error = merge_adapter(&source, saved(&other, &tensors).path(), &folder.path().join("x"));
        let error = error.expect_err("another model").to_string();
        assert!(error.contains("layer 1, `self_attn.k_proj`: the model has no such module"), "{error}");
    }
}

#[test]
fn a_base_in_gguf_is_refused_with_the_model_to_take() {
    let (mut config, tensors) = good();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tiny.gguf");
    std::fs::write(&file, "GGUF").expect("written");
    let mut refused = |base: Value, source: &std::path::Path| {
        config["base_model_name_or_path"] = base;
        let adapter = saved(&config, &tensors);
        let target = folder.path().join("target");
        merge_adapter(source, adapter.path(), &target).expect_err("refused").to_string()
    };
    for source in [folder.path(), file.as_path()] {
        let message = refused(json!("owner/name"), source);
        assert!(message.contains("is in GGUF"), "{message}");
        assert!(message.contains("`plackett model pull owner/name`"), "{message}");
    }
    for local in [json!("./base"), json!("/models/base"), json!(null)] {
        let message = refused(local, &file);
        assert!(message.contains("`plackett model pull OWNER/NAME`"), "{message}");
    }
}

#[test]
fn a_model_of_other_shapes_is_refused_by_layer_and_module() {
    let (config, tensors) = good();
    let adapter = open(&config, &tensors).expect("an adapter");
    assert!(
        adapter
            .check(|layer, module| (layer == 1 && module == "self_attn.q_proj").then_some((40, 24)))
            .is_ok()
    );
    let message =
        |sizes: Option<(usize, usize)>| adapter.check(|_, _| sizes).expect_err("refused").to_string();
    let other = message(Some((40, 32)));
    assert!(
        other.contains("layer 1, `self_attn.q_proj`")
            && other.contains("40 × 24")
            && other.contains("40 × 32")
    );
    assert!(message(None).contains("no such module"));
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let set = [
        ("use_dora", json!(true)),
        ("bias", json!("all")),
        ("modules_to_save", json!(["lm_head"])),
        ("rank_pattern", json!({"q_proj": 4})),
        ("alpha_pattern", json!({"q_proj": 4})),
        ("fan_in_fan_out", json!(true)),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("peft_type", json!("IA3")),
        ("r", json!(0)),
        ("lora_alpha", json!("much")),
        ("target_modules", json!([1])),
    ];
    for (key, value) in set {
        let (mut config, tensors) = good();
        config[key] = value;
        let message = open(&config, &tensors).expect_err(key).to_string();
        assert!(message.contains(CONFIG) && message.contains(&format!("`{key}`")), "{key}: {message}");
    }
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_name() {
    let message = |change: &dyn Fn(&mut Value, &mut Tensors)| {
        let (mut config, mut tensors) = good();
        change(&mut config, &mut tensors);
        open(&config, &tensors).expect_err("refused").to_string()
    };
    assert!(message(&|_, t| drop(t.pop())).contains("lora_B.weight` is missing"));
    assert!(message(&|_, t| drop(t.remove(0))).contains("lora_A.weight` is missing"));
    assert!(
        message(&|c, _| c["r"] = json!(4)).contains("lora_A.weight` has shape [3, 24], expected [4, 24]")
    );
    assert!(message(&|_, t| t[1].2[7] = f32::NAN).contains("number 7"));
    assert!(message(&|_, t| t.clear()).contains("no tensors"));
    assert!(message(&|c, _| c["target_modules"] = json!(["q_proj", "v_proj"])).contains("`v_proj`"));
    assert!(message(&|c, _| c["target_modules"] = json!(["roj"])).contains("`roj`"));
    let odd = |name: &str| message(&|_, t| t.push((name.to_string(), vec![3], vec![0.0; 3])));
    for name in ["base_model.model.lm_head.lora_A.weight", &format!("{STEM}.lora_magnitude_vector")] {
        assert!(odd(name).contains(&format!("`{name}`")), "{name}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    assert!(Adapter::open(folder.path()).expect_err("empty").to_string().contains(CONFIG));
}
