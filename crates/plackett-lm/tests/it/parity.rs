//! The engine against transformers, sentence-transformers and the PyLate layout: golden files of tiny random models of
//! each family (`tools/golden/` makes them).

use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions, Precision, Side};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// The parity that the project promises.
const TOLERANCE: f32 = 1e-4;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

fn open(name: &str, precision: Precision, threads: usize) -> EncoderModel {
    let options = EncoderOptions { precision, threads: Some(threads), ..EncoderOptions::default() };
    EncoderModel::open(golden(name), &options).expect(name)
}

struct Expected {
    bytes: Vec<u8>,
    texts: serde_json::Value,
}

impl Expected {
    fn read(name: &str) -> Expected {
        let bytes = std::fs::read(golden(name).join("expected.safetensors")).expect("numbers");
        let texts = std::fs::read(golden(name).join("expected.json")).expect("texts");
        Expected { bytes, texts: serde_json::from_slice(&texts).expect("JSON") }
    }

    fn has(&self, tensor: &str) -> bool {
        SafeTensors::deserialize(&self.bytes).expect("golden file").tensor(tensor).is_ok()
    }

    fn words(&self, tensor: &str) -> Vec<[u8; 4]> {
        let file = SafeTensors::deserialize(&self.bytes).expect("golden file");
        let tensor = file.tensor(tensor).expect(tensor);
        tensor.data().chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect()
    }

    fn floats(&self, tensor: &str) -> Vec<f32> {
        self.words(tensor).into_iter().map(f32::from_le_bytes).collect()
    }

    fn ids(&self, tensor: &str) -> Vec<u32> {
        self.words(tensor).into_iter().map(u32::from_le_bytes).collect()
    }

    fn texts(&self) -> Vec<&str> {
        let texts = self.texts["texts"].as_array().expect("texts");
        texts.iter().map(|t| t.as_str().expect("text")).collect()
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        let pairs = self.texts["pairs"].as_array().expect("pairs");
        pairs.iter().map(|p| (p[0].as_str().expect("query"), p[1].as_str().expect("document"))).collect()
    }
}

fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= TOLERANCE && found.iter().all(|x| x.is_finite()), "{what}: differs by {worst}");
}

fn check_encoder(name: &str) {
    let expected = Expected::read(name);
    let texts = expected.texts();
    let model = open(name, Precision::F32, 2);
    let sequences = model.sequences(&texts, &EmbedOptions::default()).expect("tokens");
    let states = model.hidden_states(&sequences, usize::MAX).expect("states");
    for (n, sequence) in sequences.iter().enumerate() {
        assert_eq!(sequence.ids, expected.ids(&format!("ids.{n}")), "{name}: tokens of text {n}");
        let hidden = format!("hidden.{n}");
        if expected.has(&hidden) {
            assert_close(&format!("{name} {hidden}"), &states[n], &expected.floats(&hidden));
        }
    }
    let embeddings = model.embed(&texts, &EmbedOptions::default()).expect("embeddings");
    assert_close(name, &embeddings.data, &expected.floats("embeddings"));
    let longest = texts.len() - 1;
    if embeddings.tokens[longest] == model.info().max_tokens {
        assert!(
            embeddings.truncated.iter().any(|t| t.index == longest && t.tokens > t.kept),
            "{name}: not reported"
        );
    }
}

#[test]
fn bert() {
    check_encoder("bert");
}

#[test]
fn bert_with_dense_layer_and_tanh_gelu() {
    check_encoder("bert-dense");
}

#[test]
fn a_prompt_can_be_kept_out_of_the_mean() {
    let expected = Expected::read("bert-dense");
    let model = open("bert-dense", Precision::F32, 1);
    for name in ["query", "passage"] {
        let options = EmbedOptions { prompt: model.prompt(name).to_string(), ..EmbedOptions::default() };
        let embeddings = model.embed(&expected.texts(), &options).expect("embeddings");
        let expected = expected.floats(&format!("embeddings.{name}"));
        assert_close(&format!("prompt {name}"), &embeddings.data, &expected);
    }
}

#[test]
fn roberta() {
    check_encoder("roberta");
}

#[test]
fn xlm_roberta() {
    check_encoder("xlm-roberta");
}

#[test]
fn modernbert() {
    check_encoder("modernbert");
}

#[test]
fn t5() {
    check_encoder("t5");
    check_encoder("t5-gated");
}

#[test]
fn cross_encoders() {
    for name in
        ["bert-cross", "roberta-cross", "xlm-roberta-cross", "modernbert-cross-mean", "modernbert-cross-cls"]
    {
        let expected = Expected::read(name);
        let model = open(name, Precision::F32, 2);
        let pairs = expected.pairs();
        let found = model.score_pairs(&pairs, None).expect("scores");
        for n in 0..pairs.len() {
            assert_eq!(
                found.tokens[n],
                expected.ids(&format!("ids.{n}")).len(),
                "{name}: tokens of pair {n}"
            );
        }
        assert_close(&format!("{name} logits"), &found.logits, &expected.floats("logits"));
        let scores: Vec<f32> = found.scores.iter().map(|s| *s as f32).collect();
        assert_close(&format!("{name} scores"), &scores, &expected.floats("scores"));
    }
}

#[test]
fn late_interaction() {
    let expected = Expected::read("bert-late");
    let model = open("bert-late", Precision::F32, 2);
    for (side, kind) in [(Side::Query, "query"), (Side::Document, "document")] {
        let found = model.token_embeddings(&expected.texts(), side, None).expect("vectors");
        assert_eq!(found.dim, 24);
        for (n, data) in found.data.iter().enumerate() {
            assert_close(&format!("{kind} {n}"), data, &expected.floats(&format!("{kind}.{n}")));
        }
    }
}

/// Every text alone on one thread, all together on one, two and five: the same bits.
#[test]
fn company_and_threads_change_no_bit() {
    for name in ["bert", "roberta", "modernbert", "t5-gated"] {
        let expected = Expected::read(name);
        let texts: Vec<&str> = expected.texts().into_iter().cycle().take(40).collect();
        for precision in [Precision::F32, Precision::Int8] {
            let options = EmbedOptions::default();
            let single = open(name, precision, 1);
            let alone: Vec<f32> =
                texts.iter().flat_map(|t| single.embed(&[t], &options).expect("one").data).collect();
            for threads in [1, 2, 5] {
                let model = open(name, precision, threads);
                assert!(
                    model.embed(&texts, &options).expect("all").data == alone,
                    "{name} {precision:?} {threads}"
                );
                let one = model.embed(&texts[6..7], &options).expect("one").data;
                assert!(
                    one == alone[6 * single.info().dim..7 * single.info().dim],
                    "{name} {precision:?} {threads}"
                );
            }
        }
    }
}
