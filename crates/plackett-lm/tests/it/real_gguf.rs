//! The real SmolLM2-135M-Instruct GGUF: header, hyperparameters, token ids against llama.cpp, chat template.
//!
//! The file is pulled once into the model cache; without it the tests say that they were skipped.

use plackett_lm::gguf::{GgufArchitecture, GgufFile, GgufTokenizer, RowOrder, hugging_face_name};
use std::path::Path;

use crate::support::smollm2;

fn file() -> Option<GgufFile> {
    Some(GgufFile::open(&smollm2::gguf_file()?).expect("SmolLM2"))
}

#[test]
fn the_architecture_is_that_of_smollm2() {
    let Some(file) = file() else { return };
    let shape = GgufArchitecture::read(&file).expect("hyperparameters");
    assert_eq!((shape.layers, shape.embedding, shape.feed_forward), (30, 576, 1536));
    assert_eq!((shape.heads, shape.kv_heads, shape.head_dim), (9, 3, 64));
    assert_eq!((shape.vocabulary, shape.context, shape.rope_base), (49152, 8192, 100_000.0));
    assert!(shape.tied_embeddings && !shape.qk_norm && !shape.qkv_bias);
    assert_eq!(shape.row_order, RowOrder::Interleaved);
    assert_eq!((shape.window(0), shape.sliding_window), (None, None));
    for (name, _) in file.header().tensors() {
        assert!(hugging_face_name("llama", name).is_some(), "{name}");
    }
    // One row read alone is the row of the whole; values are those of a trained model, not noise.
    let tensor = file.tensor("blk.3.attn_q.weight").expect("tensor");
    let (whole, row) = (tensor.to_f32().expect("numbers"), tensor.row(17).expect("row"));
    assert_eq!((tensor.shape(), row.as_slice()), (&[576, 576][..], &whole[17 * 576..18 * 576]));
    let mean_square = whole.iter().map(|x| x * x).sum::<f32>() / whole.len() as f32;
    assert!((1e-4..1.0).contains(&mean_square), "{mean_square}");
    assert!(tensor.row(576).is_err() && file.tensor("blk.30.attn_q.weight").is_err());
}

#[test]
fn token_ids_are_those_of_llama_cpp() {
    let Some(file) = file() else { return };
    let tokenizer = GgufTokenizer::read(&file).expect("tokenizer");
    tokenizer.check_vocabulary(49152).expect("as many tokens as rows");
    assert_eq!((tokenizer.bos, tokenizer.eos, tokenizer.add_bos), (Some(1), Some(2), false));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf/smollm2_tokens.json");
    let cases: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden).expect("golden ids")).expect("JSON");
    let cases = cases.as_array().expect("cases");
    assert!(cases.len() >= 200);
    let mut wrong = Vec::new();
    for case in cases {
        let text = case["text"].as_str().expect("text");
        let special = case["special"].as_bool().expect("special");
        let expected: Vec<u32> =
            case["ids"].as_array().expect("ids").iter().map(|i| i.as_u64().expect("id") as u32).collect();
        let found = tokenizer.encode(text, true, special).expect("ids");
        if found != expected {
            wrong.push(format!("{text:?} (special {special}): {found:?} instead of {expected:?}"));
        }
        assert_eq!(tokenizer.decode(&found, false).expect("text"), text);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
