//! The engine itself as the model: a tiny decoder with random weights over the vocabulary made by hand.

use crate::decode::vocabulary::{Words, byte_level};
use crate::support::gguf_file::{converted, in_blocks};
use plackett_lm::Precision;
use plackett_lm::decoder::{CacheFormat, DecoderModel, DecoderOptions};
use plackett_lm::gguf::{GgufFile, GgufTokenizer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::path::Path;
use std::sync::OnceLock;

const HIDDEN: usize = 32;
const INNER: usize = 48;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const LAYERS: usize = 2;
const SIZE: usize = HIDDEN / HEADS;

/// One model for all tests of a process.
pub fn random_decoder() -> &'static DecoderModel {
    static MODEL: OnceLock<DecoderModel> = OnceLock::new();
    MODEL.get_or_init(|| open(Precision::F32, CacheFormat::F32, 1))
}

pub fn open(precision: Precision, cache: CacheFormat, threads: usize) -> DecoderModel {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let options =
        DecoderOptions { precision, cache: Some(cache), threads: Some(threads), ..DecoderOptions::default() };
    DecoderModel::open(folder.path(), &options).expect("a decoder")
}

/// A tiny Llama as a GGUF file whose matrices are packed blocks of 8 bits, and its tokenizer.
pub fn open_packed(cache: CacheFormat, threads: usize) -> (DecoderModel, Words) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, in_blocks(converted("llama")).bytes()).expect("a file");
    let options = DecoderOptions { cache: Some(cache), threads: Some(threads), ..DecoderOptions::default() };
    let read = GgufTokenizer::read(&GgufFile::open(&path).expect("GGUF")).expect("a tokenizer");
    let words = Words::new(read.tokenizer, &read.control, read.eos.expect("an end"));
    (DecoderModel::open(&path, &options).expect("a decoder"), words)
}

/// A Llama directory whose weights are so large that its distributions are far from even.
fn write(folder: &Path) {
    let tokenizer = byte_level();
    let vocabulary = tokenizer.get_vocab_size(true);
    tokenizer.save(folder.join("tokenizer.json"), false).expect("a tokenizer");
    let config = serde_json::json!({
        "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER, "vocab_size": vocabulary,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "num_hidden_layers": LAYERS,
        "max_position_embeddings": 4096, "tie_word_embeddings": false, "rms_norm_eps": 1e-5,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).expect("a configuration");
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_string(), vec![vocabulary, HIDDEN]),
        ("lm_head.weight".to_string(), vec![vocabulary, HIDDEN]),
        ("model.norm.weight".to_string(), vec![HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[usize]| {
            shapes.push((format!("model.layers.{layer}.{name}.weight"), shape.to_vec()));
        };
        add("input_layernorm", &[HIDDEN]);
        add("self_attn.q_proj", &[HIDDEN, HIDDEN]);
        add("self_attn.k_proj", &[KV_HEADS * SIZE, HIDDEN]);
        add("self_attn.v_proj", &[KV_HEADS * SIZE, HIDDEN]);
        add("self_attn.o_proj", &[HIDDEN, HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
        add("mlp.gate_proj", &[INNER, HIDDEN]);
        add("mlp.up_proj", &[INNER, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, INNER]);
    }
    let mut random = ChaCha8Rng::seed_from_u64(20);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            // The sum of four even numbers is close enough to a normal one.
            let mut number = || (0..4).map(|_| random.next_u32() as f32 / u32::MAX as f32 - 0.5).sum::<f32>();
            let count = shape.iter().product::<usize>();
            let bytes = (0..count).flat_map(|_| (0.6 * number()).to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).expect("weights");
}
