//! What holds of every adapter.

use super::testing::Toy;
use super::{ADAPTERS, open};
use crate::tape::{Compute, Gradients, Tape};

/// Every adapter with options for a model of a few hundred numbers.
fn all() -> Vec<String> {
    let small = |name: &str| match name {
        "nola" => "(k=4, l=3, rank=2)",
        "bottleneck" => "(reduction=2, invertible=true)",
        "lt-sft" => "(k=20)",
        _ => "(rank=3)",
    };
    ADAPTERS.iter().map(|spec| format!("{}{}", spec.name, small(spec.name))).collect()
}

#[test]
fn gradients_are_bit_equal_for_any_number_of_threads() {
    for text in all() {
        let mut toy = Toy::bert();
        let attached = toy.attach(&text, "all");
        toy.shake(&attached, 0.2);
        let gradients = [1, 3].map(|workers| {
            let mut gradients = Gradients::default();
            toy.loss_gradients_on(Tape::new(&toy.parameters, &Compute::new(workers)), &mut gradients);
            gradients
        });
        for (id, parameter) in toy.parameters.iter().filter(|(_, parameter)| parameter.trainable) {
            let [one, three] = gradients.each_ref().map(|gradients| gradients.get(id));
            assert_eq!(one, three, "{text}: {}", parameter.name);
        }
    }
}

#[test]
fn gradients_are_bit_equal_where_layers_are_run_again() {
    let dropping =
        ["lora", "dora", "sora", "vera", "rand-lora"].map(|name| format!("{name}(rank=3, dropout=0.4)"));
    let texts = all().into_iter().chain(dropping).chain(["nola(k=4, l=3, rank=2, dropout=0.4)".to_string()]);
    for (text, mut toy) in texts.flat_map(|text| [(text.clone(), Toy::bert()), (text, Toy::llama())]) {
        let Ok(attached) = toy.attach_seeded(&text, "all", 7) else {
            assert!(text.starts_with("bottleneck"), "{text}: a decoder has no place for modules alone");
            continue;
        };
        toy.shake(&attached, 0.2);
        attached.begin_pass(3);
        let [kept, again] = [false, true].map(|is_on| {
            let tape = Tape::new(&toy.parameters, &Compute::new(1)).recomputing(is_on);
            let mut gradients = Gradients::default();
            toy.loss_gradients_on(tape, &mut gradients);
            gradients
        });
        for (id, parameter) in toy.parameters.iter() {
            assert_eq!(kept.get(id), again.get(id), "{text}: {}", parameter.name);
        }
    }
}

#[test]
fn files_come_back_bit_for_bit_and_the_formulas_count() {
    let folder = tempfile::tempdir().unwrap();
    for text in all() {
        let path = folder.path().join("adapter.safetensors");
        let mut toy = Toy::bert();
        let attached = toy.attach(&text, "all");
        assert!(attached.parameters().iter().all(|id| !toy.parameters[*id].name.starts_with("classifier")));
        if attached.sites().is_empty() {
            continue;
        }
        let shapes: Vec<_> = attached.sites().iter().map(|site| (site.outputs, site.inputs)).collect();
        let expected = attached.configured.trainable_count(&shapes);
        assert_eq!(attached.trainable_count(&toy.parameters), expected, "{text}");
        assert_eq!(toy.parameters.trainable_count(), expected + toy.head_numbers(), "{text}");
        toy.shake(&attached, 0.2);
        let head = toy.parameters.find("classifier.weight").unwrap();
        attached.save(&toy.parameters, &path, &[head]).unwrap();
        let mut other = Toy::bert();
        let opened = open(&path, &mut other.parameters, &mut other.bert).unwrap();
        assert_eq!(other.outputs(), toy.outputs(), "{text}");
        assert_eq!(opened.fingerprint(), attached.fingerprint());
        let second = folder.path().join("second.safetensors");
        let head = other.parameters.find("classifier.weight").unwrap();
        opened.save(&other.parameters, &second, &[head]).unwrap();
        assert_eq!(std::fs::read(&second).unwrap(), std::fs::read(&path).unwrap(), "{text}");
    }
}

#[test]
fn a_file_for_a_base_with_one_other_number_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.safetensors");
    for text in all() {
        let mut toy = Toy::bert();
        let attached = toy.attach(&text, "all");
        let Some(site) = attached.sites().last() else { continue };
        attached.save(&toy.parameters, &path, &[]).unwrap();
        let mut other = Toy::bert();
        other.parameters[site.weight].values_mut()[5] += 1e-3;
        let outputs = other.outputs();
        let error = open(&path, &mut other.parameters, &mut other.bert).unwrap_err().to_string();
        assert!(error.contains("another base"), "{text}: {error}");
        assert_eq!(other.outputs(), outputs, "{text}: it is taken off again");
        // Files of before there was such a hash are read as they were.
        let mut bytes = std::fs::read(&path).unwrap();
        let key = br#"\"base\":"#;
        let at = bytes.windows(key.len()).position(|part| part == key).unwrap();
        bytes[at + 2] = b'B';
        std::fs::write(&path, bytes).unwrap();
        let mut other = Toy::bert();
        other.parameters[site.weight].values_mut()[5] += 1e-3;
        open(&path, &mut other.parameters, &mut other.bert).unwrap();
    }
}

#[test]
fn taken_off_it_leaves_the_base_model() {
    for text in all() {
        let mut toy = Toy::bert();
        let attached = toy.attach(&text, "all");
        toy.shake(&attached, 0.2);
        attached.detach(&mut toy.bert);
        assert_eq!(toy.outputs(), Toy::bert().outputs(), "{text}");
    }
}

#[test]
fn damaged_files_are_refused_and_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.safetensors");
    let mut toy = Toy::bert();
    let attached = toy.attach("nola(k=4)", "query");
    attached.save(&toy.parameters, &path, &[]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 7, 40, whole.len() - 3] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let mut other = Toy::bert();
        let error = open(&path, &mut other.parameters, &mut other.bert).unwrap_err().to_string();
        assert!(error.contains("adapter.safetensors"), "{error}");
    }
    let mut bytes = whole.clone();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let mut other = Toy::bert();
    let error = open(&path, &mut other.parameters, &mut other.bert).unwrap_err().to_string();
    assert!(error.contains("number 15 of `coefficients` is NaN"), "{error}");
}
