//! Adapters that are kept beside the models that they are merged into.

use super::*;
use crate::TrainError;
use crate::adapter::LoraWeights;
use crate::nn::{LlamaConfig, SafetensorsSource};
use crate::tape::{Compute, Parameters};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert")
}

fn settings() -> Settings {
    Settings { batch: 1, steps: 4, rate: 3e-2, checkpoint: 0, ..Settings::default() }
}

/// Names, shapes and numbers of a file.
fn tensors(path: PathBuf) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let all = SafetensorsSource::open(&path).unwrap().into_tensors();
    all.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect()
}

/// Trains a tiny cross-encoder into `output`.
fn rank(output: &Path, adapter: &str, targets: &str) -> Result<Outcome, TrainError> {
    let candidate = |text: &str, label: f32| Candidate { text: text.into(), label, teacher: None };
    let list = |query: &str, best: &str, other: &str| RankingExample {
        query: query.into(),
        candidates: vec![candidate(best, 1.0), candidate(other, 0.0)],
    };
    let (cats, dogs) = ("cats purr at night", "dogs bark");
    let lists = [list("what purrs", cats, dogs), list("what barks", dogs, cats)];
    let trained = Trained { adapter: adapter.into(), targets: targets.into(), save_adapter: true };
    let objective = "softmax-cross-entropy".into();
    let job = RankingJob { objective, tokens: 32, trained, settings: settings(), ..RankingJob::default() };
    let work = output.join("training");
    let places = (work.as_path(), output);
    job.run(&bert(), (&lists, &[]), places, "", &Compute::new(1), &mut |_, _| {})
}

/// Row after row, `left` (rows × middle) times `right` (middle × columns).
fn product(left: &[f32], right: &[f32], middle: usize) -> Vec<f32> {
    let columns = right.len() / middle;
    let row = |row: &[f32]| -> Vec<f32> {
        (0..columns)
            .map(|at| row.iter().enumerate().map(|(k, x)| x * right[k * columns + at]).sum())
            .collect()
    };
    left.chunks(middle).flat_map(row).collect()
}

#[test]
fn a_cross_encoders_adapter_lies_beside_it_with_its_heads() {
    let folder = tempfile::tempdir().unwrap();
    rank(folder.path(), "lora(rank=2, alpha=3)", "query,output.dense,!attention.output.dense").unwrap();
    let merged = tensors(folder.path().join("model.safetensors"));
    assert!(merged.keys().all(|name| !name.contains("lora")), "{:?}", merged.keys());
    let (adapter, base) = (folder.path().join(ADAPTER), tensors(bert().join("model.safetensors")));
    let config: Value =
        serde_json::from_slice(&std::fs::read(adapter.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!(config["modules_to_save"], json!(["bert.pooler.dense", "classifier"]));
    assert_eq!((&config["task_type"], &config["r"]), (&json!("SEQ_CLS"), &json!(2)));
    // `output.dense` alone would be the layer behind the attention too.
    assert!(
        config["target_modules"].as_array().unwrap().contains(&json!("bert.encoder.layer.1.output.dense"))
    );
    let adapter = tensors(adapter.join("adapter_model.safetensors"));
    for head in ["classifier.weight", "classifier.bias", "bert.pooler.dense.weight"] {
        assert_eq!(adapter[&format!("base_model.model.{head}")], merged[head]);
    }
    for layer in ["0.attention.self.query", "1.output.dense"] {
        let own = format!("encoder.layer.{layer}.weight");
        let part =
            |part: &str| &adapter[&format!("base_model.model.bert.encoder.layer.{layer}.{part}.weight")].1;
        let change = product(part("lora_B"), part("lora_A"), 2);
        assert!(change.iter().any(|x| x.abs() > 1e-4), "{layer} has not learned");
        let both = base[&own].1.iter().zip(change).zip(&merged[&format!("bert.{own}")].1);
        for ((base, change), merged) in both {
            assert!((base + 1.5 * change - merged).abs() < 1e-5, "{layer}");
        }
    }
}

#[test]
fn what_is_no_adapter_is_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let error = rank(folder.path(), "full", "all").unwrap_err().to_string();
    assert!(error.starts_with("save_adapter: adapter = \"full\" is none"), "{error}");
    assert!(!folder.path().join("model.safetensors").exists());
}

#[test]
fn an_adapter_that_peft_has_not_makes_its_base_the_trained_model_too() {
    for adapter in ["nola(k=4)", "rand-lora(rank=4)"] {
        let folder = tempfile::tempdir().unwrap();
        let (output, again) = (folder.path().join("out"), folder.path().join("again"));
        rank(&output, adapter, "query,value").unwrap();
        let saved = output.join(ADAPTER);
        // Query and value of two layers.
        let merged = merge_saved_adapters(&bert(), &[&saved], &again).unwrap();
        assert_eq!(merged, MergedAdapters { matrices: 4, differences: Vec::new() });
        let [one, other] = [&output, &again].map(|model| tensors(model.join("model.safetensors")));
        assert!(one == other, "{adapter}");
        assert_ne!(one["bert.encoder.layer.1.attention.self.query.weight"].1, {
            let base = tensors(bert().join("model.safetensors"));
            base["encoder.layer.1.attention.self.query.weight"].1.clone()
        });
        let error = merge_saved_adapters(&bert(), &[&saved], &again).unwrap_err().to_string();
        assert!(error.contains("exists"), "{error}");
        let other = merge_saved_adapters(&output, &[&saved], &folder.path().join("x"));
        let error = other.unwrap_err().to_string();
        assert!(error.contains("learned on another base"), "{error}");
        // What was written beside its place has its name now, or is gone.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}

/// The numbers of the encoder that two models have otherwise, each with its weight and place, and how far they are from each other.
fn differing(model: &Path, base: &Path) -> BTreeMap<(String, usize), f32> {
    let (own, base) = (tensors(model.join("model.safetensors")), tensors(base.join("model.safetensors")));
    let mut differing = BTreeMap::new();
    for (name, (_, values)) in own.iter().filter(|(name, _)| name.starts_with("bert.encoder.")) {
        let start = base.get(name).or_else(|| base.get(name.trim_start_matches("bert."))).unwrap();
        let differences = values.iter().zip(&start.1).map(|(now, start)| now - start).enumerate();
        let changed = differences.filter(|(_, difference)| difference.abs() > 1e-7);
        differing.extend(changed.map(|(at, difference)| ((name.clone(), at), difference)));
    }
    differing
}

#[test]
fn sparse_differences_are_saved_and_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other, merged] = ["one", "other", "merged"].map(|name| folder.path().join(name));
    rank(&one, "lt-sft(k=300)", "query,value").unwrap();
    rank(&other, "lt-sft(k=300)", "value").unwrap();
    let (of_one, of_other) = (differing(&one, &bert()), differing(&other, &bert()));
    assert!(!of_one.is_empty() && of_one.len() <= 300 && of_other.len() <= 300);
    let adapters = [one.join(ADAPTER), other.join(ADAPTER).join(PHASE_ADAPTER)];
    let shared = of_other.keys().filter(|place| of_one.contains_key(*place)).count();
    assert!(shared > 0);
    let done = merge_saved_adapters(&bert(), &[&adapters[0], &adapters[1]], &merged).unwrap();
    let [first, second] = &done.differences[..] else { panic!("{done:?}") };
    assert_eq!((first.numbers, first.shared, first.left_out.len()), (of_one.len(), 0, 0));
    assert_eq!((second.numbers, second.shared), (of_other.len(), shared));
    assert_eq!(
        second.left_out,
        ["bert.pooler.dense.bias", "bert.pooler.dense.weight", "classifier.bias", "classifier.weight"]
    );
    let names: BTreeSet<&String> = of_one.keys().chain(of_other.keys()).map(|(name, _)| name).collect();
    assert_eq!(done.matrices, names.len());
    // θ = θ₀ + φ₁ + φ₂, and where both change a number both are in it.
    let sum = differing(&merged, &bert());
    for (place, difference) in &sum {
        let of = |module: &BTreeMap<(String, usize), f32>| module.get(place).copied().unwrap_or(0.0);
        let expected = of(&of_one) + of(&of_other);
        assert!((difference - expected).abs() < 1e-6, "{place:?}: {difference} and not {expected}");
    }
    let alone = of_one.iter().filter(|(place, x)| x.abs() > 1e-5 && !of_other.contains_key(*place));
    assert!(alone.map(|(place, _)| place).all(|place| sum.contains_key(place)));
    let [own, both] = [&one, &merged].map(|model| tensors(model.join("model.safetensors")));
    for head in ["classifier.weight", "bert.pooler.dense.weight"] {
        assert_eq!(own[head], both[head]);
    }
}

#[test]
fn what_does_not_add_up_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [one, drawn, target] = ["one", "drawn", "target"].map(|name| folder.path().join(name));
    rank(&one, "lt-sft(k=20)", "query").unwrap();
    rank(&drawn, "nola(k=4)", "query").unwrap();
    let (sparse, other) = (one.join(ADAPTER), drawn.join(ADAPTER));
    let refused = |base: &Path, adapters: &[&Path]| {
        let error = merge_saved_adapters(base, adapters, &target).unwrap_err().to_string();
        assert!(!target.exists(), "{error}");
        error
    };
    let error = refused(&bert(), &[&sparse, &other]);
    assert!(error.contains("holds `nola(k=4)`, and only differences of `lt-sft` add up"), "{error}");
    let error = refused(&one, &[&sparse]);
    assert!(error.contains("another base") && error.contains(PHASE_ADAPTER), "{error}");
    assert!(refused(&bert(), &[]).contains("no adapter is named"));
    let error = refused(&bert(), &[&sparse, &sparse.join(PHASE_ADAPTER)]);
    assert!(error.contains("is named twice"), "{error}");
}

#[test]
fn a_decoders_adapter_on_its_base_is_the_merged_model() {
    let config = LlamaConfig::small(BYTE_VOCABULARY, 2, (32, 48), 4);
    let mut parameters = Parameters::default();
    let folder = tempfile::tempdir().unwrap();
    let (base, output) = (folder.path().join("base"), folder.path().join("out"));
    LanguageModel::of_bytes(&config, 64, 3, &mut parameters).unwrap().save(&base, &parameters).unwrap();
    let trained = Trained { adapter: "sora(rank=3)".into(), save_adapter: true, ..Trained::default() };
    let job = LanguageJob { trained, settings: settings(), ..LanguageJob::default() };
    let texts = [TextExample { prompt: "the cat".into(), target: " purrs".into() }];
    let work = output.join("training");
    let places = (work.as_path(), output.as_path());
    job.run(&base, (&texts, &[]), places, "", &Compute::new(1), &mut |_, _| {}).unwrap();
    // The inference engine knows one rank for all layers.
    let opened = plackett_lm::Adapter::open(&output.join(ADAPTER)).unwrap();
    assert_eq!(opened.modules().count(), 14);
    let mut parameters = Parameters::default();
    let mut model = LanguageModel::open(&base, &mut parameters).unwrap();
    let adapter = LoraWeights::open(&output.join(ADAPTER)).unwrap();
    adapter.put_into(&mut parameters, &mut model.llama).unwrap();
    model.save(&folder.path().join("again"), &parameters).unwrap();
    let [one, other] =
        ["out", "again"].map(|name| tensors(folder.path().join(name).join("model.safetensors")));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, (_, values)) in &one {
        let off = values.iter().zip(&other[name].1).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-6, "`{name}` is off by {off}");
    }
}
