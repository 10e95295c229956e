//! The real all-MiniLM-L6-v2 against sentence-transformers, and its bundled int8 copy against f32.
//!
//! The f32 weights are pulled once into the model cache, and the Cranfield texts looked for in `PLACKETT_DATA` or
//! `../shared/data`; what cannot be had is reported as skipped.

use plackett_lm::store::Store;
use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions, Precision};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn bundled() -> Option<EncoderModel> {
    let directory = root().join("models/all-MiniLM-L6-v2-int8");
    if !directory.exists() {
        println!("skipped: no models/all-MiniLM-L6-v2-int8 in this checkout");
        return None;
    }
    Some(EncoderModel::open(directory, &EncoderOptions::default()).expect("the bundled model"))
}

fn full_precision() -> Option<EncoderModel> {
    let pulled =
        Store::from_environment(false).and_then(|store| store.pull("all-MiniLM-L6-v2", &|_, _, _| {}));
    let options = EncoderOptions { precision: Precision::F32, ..EncoderOptions::default() };
    match pulled {
        Ok(model) => Some(EncoderModel::open(model.directory, &options).expect("all-MiniLM-L6-v2")),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn expected() -> (Vec<String>, Vec<f32>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/all-minilm-l6-v2");
    let texts: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).expect("texts")).expect("JSON");
    let texts = texts["texts"].as_array().expect("texts");
    let bytes = std::fs::read(folder.join("expected.safetensors")).expect("numbers");
    let file = SafeTensors::deserialize(&bytes).expect("numbers");
    let data = file.tensor("embeddings").expect("embeddings").data().to_vec();
    let numbers = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    (texts.iter().map(|t| t.as_str().expect("text").to_string()).collect(), numbers)
}

fn embed(model: &EncoderModel, texts: &[String]) -> Vec<f32> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    model.embed(&texts, &EmbedOptions::default()).expect("embeddings").data
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

#[test]
fn full_precision_equals_sentence_transformers() {
    let Some(model) = full_precision() else { return };
    let (texts, expected) = expected();
    let found = embed(&model, &texts);
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("largest difference to sentence-transformers over {} texts: {worst:e}", texts.len());
    assert!(found.len() == expected.len() && worst <= 1e-4, "differs by {worst}");
}

#[test]
fn the_bundled_model_points_the_same_way_as_full_precision() {
    let (texts, expected) = expected();
    let Some(model) = bundled() else { return };
    let found = embed(&model, &texts);
    assert_eq!(found.len(), expected.len());
    let cosines: Vec<f64> =
        found.chunks_exact(384).zip(expected.chunks_exact(384)).map(|(a, b)| dot(a, b)).collect();
    let worst = cosines.iter().copied().fold(1.0, f64::min);
    println!("smallest cosine of int8 and f32 over {} texts: {worst:.5}", texts.len());
    assert!(worst >= 0.998, "cosine {worst}");
}

#[test]
fn the_bundled_model_is_small() {
    let bytes = |folder: &Path| -> u64 {
        let files =
            std::fs::read_dir(folder).expect("folder").map(|e| e.expect("entry").metadata().expect("size"));
        files.filter(|m| m.is_file()).map(|m| m.len()).sum()
    };
    let Some(model) = bundled() else { return };
    let folder = model.directory();
    assert!(bytes(folder) > 0 && bytes(folder) <= 25_000_000);
    assert!(folder.join("LICENSE").exists() && folder.join("NOTICE").exists());
}

/// Kendall's τ between two lists of scores of the same documents, by counting pairs.
fn kendall(a: &[f64], b: &[f64]) -> f64 {
    let mut sum = 0.0;
    for i in 0..a.len() {
        for j in 0..i {
            sum += ((a[i] - a[j]).signum() * (b[i] - b[j]).signum()).clamp(-1.0, 1.0);
        }
    }
    sum / (a.len() * (a.len() - 1) / 2) as f64
}

#[test]
fn int8_keeps_the_order_of_the_top_100_on_cranfield() {
    let data = std::env::var_os("PLACKETT_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let read = |name: &str| -> Option<Vec<String>> {
        let text = std::fs::read_to_string(data.join("cranfield").join(name)).ok()?;
        let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        let join = |v: serde_json::Value| {
            format!("{} {}", v["title"].as_str().unwrap_or(""), v["text"].as_str().unwrap_or(""))
                .trim()
                .to_string()
        };
        Some(text.lines().map(|line| join(value(line))).collect())
    };
    let (Some(documents), Some(queries)) = (read("corpus.jsonl"), read("queries.jsonl")) else {
        println!("skipped: no cranfield in PLACKETT_DATA");
        return;
    };
    let (Some(full), Some(int8)) = (full_precision(), bundled()) else { return };
    let (d32, q32) = (embed(&full, &documents), embed(&full, &queries));
    let (d8, q8) = (embed(&int8, &documents), embed(&int8, &queries));
    let mut total = 0.0;
    for query in 0..queries.len() {
        let row = |m: &[f32], i: usize| m[i * 384..(i + 1) * 384].to_vec();
        let scores: Vec<f64> = d32.chunks_exact(384).map(|d| dot(d, &row(&q32, query))).collect();
        let mut order: Vec<usize> = (0..documents.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let top = &order[..100];
        let by_full: Vec<f64> = top.iter().map(|d| scores[*d]).collect();
        let by_int8: Vec<f64> = top.iter().map(|d| dot(&row(&d8, *d), &row(&q8, query))).collect();
        total += kendall(&by_full, &by_int8);
    }
    let mean = total / queries.len() as f64;
    println!("mean Kendall τ of the top 100 over {} queries: {mean:.4}", queries.len());
    assert!(mean >= 0.95, "τ {mean}");
}
