//! `plackett model factorize`: a copy of an encoder or a decoder with thin layers, which is used like any other.

use crate::common::plackett;
use serde_json::{Value, json};
use std::path::Path;

/// A tiny model of the engine's own tests: two layers of 32, with 48 between the feed-forward matrices.
fn tiny(name: &str) -> String {
    format!("{}/../plackett-lm/tests/parity/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A tiny decoder of the engine's own tests: three layers of 32 with 4 heads and 2 of keys, and 48 between the feed-forward matrices.
const DECODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/llama");

fn factorize(folder: &Path, source: &str, target: &str, flags: &[&str]) -> Value {
    let command = ["model", "factorize", source, target, "--json"];
    plackett(folder, &[&command, flags].concat()).expect(0).json()
}

fn vector(folder: &Path, model: &str) -> Vec<f64> {
    let done = plackett(folder, &["embed", "--json", "--model", model, "words and words"]).expect(0).json();
    done["embeddings"][0]["vector"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn a_factorised_encoder_is_smaller_and_is_used_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let done = factorize(folder, &tiny("bert"), "thin", &["--ratio", "0.9"]);
    // Limits 16 and 19 give ranks 14 and 17, for four square matrices and two others in each of two layers.
    let saved = 2 * (4 * (32 * 32 - 14 * 64) + 2 * (32 * 48 - 17 * 80));
    let number = |key: &str| done[key].as_u64().unwrap();
    assert_eq!(number("parameters_before") - number("parameters_after"), saved);
    assert!(number("bytes_after") < number("bytes_before"), "{done}");
    assert_eq!(done["layers"].as_array().unwrap().len(), 12);
    assert_eq!((&done["whole"], &done["not_chosen"]), (&json!([]), &json!(0)));
    let share = 1.0 - saved as f64 / (2.0 * (4.0 * 1024.0 + 2.0 * 1536.0));
    assert!((done["share"].as_f64().unwrap() - share).abs() < 1e-9, "{done}");
    let card = std::fs::read_to_string(folder.join("thin/README.md")).unwrap();
    assert!(card.contains("| `encoder.layer.1.output.dense` | 32 × 48 | 17 |"), "{card}");

    let shown = plackett(folder, &["model", "show", "./thin", "--json"]).expect(0).json();
    let name = "encoder.layer.0.attention.self.key";
    let layer = json!({"name": name, "outputs": 32, "inputs": 32, "rank": 14});
    assert!(shown["factorized"].as_array().unwrap().contains(&layer), "{shown}");
    let text = plackett(folder, &["model", "show", "./thin"]).expect(0).stdout;
    assert!(text.contains("12 linear layers, ranks 14 to 17"), "{text}");
    let whole = plackett(folder, &["model", "show", &tiny("bert"), "--json"]).expect(0).json();
    assert_eq!(whole["factorized"], Value::Null);

    let (thin, base) = (vector(folder, "./thin"), vector(folder, &tiny("bert")));
    let alike = product(&thin, &base);
    assert!(alike > 0.5 && alike < 1.0 - 1e-4, "{alike}");
    plackett(folder, &["model", "quantize", "./thin", "thin-int8"]).expect(0);
    let rounded = vector(folder, "./thin-int8");
    assert!(product(&rounded, &thin) > 0.95, "{}", product(&rounded, &thin));
}

#[test]
fn a_factorised_decoder_says_its_ranks_and_writes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let done = factorize(folder, DECODER, "thin", &["--ratio", "0.9", "--last", "2"]);
    // Limits 16, 10 and 19 give ranks 14, 9 and 17: for queries and outputs, keys and values, and the three others of a layer.
    let saved = 2 * (2 * (32 * 32 - 14 * 64) + 2 * (16 * 32 - 9 * 48) + 3 * (32 * 48 - 17 * 80));
    let number = |key: &str| done[key].as_u64().unwrap();
    assert_eq!(number("parameters_before") - number("parameters_after"), saved);
    assert_eq!((done["layers"].as_array().unwrap().len(), number("not_chosen")), (14, 7));

    let shown = plackett(folder, &["model", "show", "./thin", "--json"]).expect(0).json();
    let layer = json!({"name": "model.layers.1.self_attn.k_proj", "outputs": 16, "inputs": 32, "rank": 9});
    assert!(shown["factorized"].as_array().unwrap().contains(&layer), "{shown}");
    let text = plackett(folder, &["model", "show", "./thin"]).expect(0).stdout;
    assert!(text.contains("14 linear layers, ranks 9 to 17"), "{text}");

    let choose = ["generate", "the cat", "--model", "./thin", "--choose", "yes,no,maybe", "--json"];
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/adapter/llama-all");
    let ways: [&[&str]; 3] = [&[], &["--precision", "int8"], &["--adapter", adapter]];
    for more in ways {
        let found = plackett(folder, &[&choose[..], more].concat()).expect(0).json();
        let found = found["results"][0]["hypotheses"].as_array().unwrap();
        let sum: f64 = found.iter().filter_map(|own| own["log_prob"].as_f64()).map(f64::exp).sum();
        assert!(found.len() == 3 && (sum - 1.0).abs() < 1e-4, "{more:?}: {found:?}");
    }

    let refused = plackett(folder, &["model", "quantize", "./thin", "rounded"]).expect(2).stderr;
    assert!(refused.contains("llama"), "{refused}");
    let again = ["model", "factorize", "./thin", "again", "--rank", "4"];
    assert!(plackett(folder, &again).expect(2).stderr.contains("is factorised already"));
    let merge = ["model", "merge", "./thin", adapter, "merged"];
    assert!(plackett(folder, &merge).expect(2).stderr.contains("is factorised"));
}

#[test]
fn layers_can_be_chosen_and_what_stays_whole_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let flags = ["--rank", "17", "--solver", "snmf", "--last", "1", "--layers", "query,intermediate.dense"];
    let done = factorize(folder, &tiny("bert-cross"), "cross", &flags);
    let layers = done["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0]["name"], "bert.encoder.layer.1.intermediate.dense");
    assert_eq!((&layers[0]["rank"], &done["not_chosen"]), (&json!(17), &json!(10)));
    let whole = &done["whole"][0];
    assert_eq!(whole["name"], "bert.encoder.layer.1.attention.self.query");
    assert!(whole["reason"].as_str().unwrap().contains("from rank 16"), "{whole}");
    assert!(done["warnings"][0].as_str().unwrap().contains("that stay whole: 1"), "{done}");
    let drawn = factorize(folder, &tiny("bert"), "drawn", &["--rank", "4", "--solver", "random"]);
    assert!(drawn["warnings"][0].as_str().unwrap().contains("train the model"), "{drawn}");
}

#[test]
fn what_cannot_be_factorised_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refused = |source: &str, target: &str, flags: &[&str]| {
        let command = ["model", "factorize", source, target];
        plackett(folder, &[&command, flags].concat()).expect(2).stderr
    };
    let bert = tiny("bert");
    assert!(refused(&bert, "target", &["--rank", "0"]).contains("a whole number from 1 is expected"));
    assert!(refused(&bert, "target", &["--ratio", "1"]).contains("a number above 0 and below 1 is expected"));
    assert!(refused(&bert, "target", &["--rank", "19"]).contains("no layer would become smaller"));
    assert!(refused(&bert, "target", &["--rank", "4", "--last", "3"]).contains("a model with 2"));
    assert!(refused(&bert, "target", &["--rank", "4", "--layers", "qury"]).contains("`query`"));
    refused(&bert, "target", &[]);
    refused(&bert, "target", &["--rank", "4", "--ratio", "0.5"]);
    assert!(refused(&tiny("modernbert"), "target", &["--rank", "4"]).contains("modernbert"));
    plackett(folder, &["model", "quantize", &bert, "rounded"]).expect(0);
    assert!(refused("./rounded", "target", &["--rank", "4"]).contains("is quantised"));
    assert!(refused(&bert, "rounded", &["--rank", "4"]).contains("exists"));
    factorize(folder, &bert, "thin", &["--rank", "4"]);
    assert!(refused("./thin", "target", &["--rank", "4"]).contains("is factorised already"));
    assert!(!folder.join("target").exists());
}
