//! The tiny models and what transformers computes with them (`tools/golden/make_decoder_golden.py`).

use plackett_lm::Precision;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::*;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

pub const FAMILIES: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "gemma3"];

pub fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decoder").join(name)
}

pub fn open(name: &str) -> DecoderModel {
    open_with(name, &DecoderOptions { threads: Some(2), ..DecoderOptions::default() })
}

pub fn open_with(name: &str, options: &DecoderOptions) -> DecoderModel {
    DecoderModel::open(directory(name), options).expect(name)
}

pub fn with(precision: Precision, cache: CacheFormat, threads: usize) -> DecoderOptions {
    DecoderOptions { precision, cache: Some(cache), threads: Some(threads), ..DecoderOptions::default() }
}

pub struct Expected(Vec<u8>);

impl Expected {
    pub fn read(name: &str) -> Expected {
        Expected::at(&directory(name).join("expected.safetensors"))
    }

    pub fn at(path: &Path) -> Expected {
        Expected(std::fs::read(path).expect("numbers"))
    }

    fn words(&self, tensor: &str) -> Vec<[u8; 4]> {
        let file = SafeTensors::deserialize(&self.0).expect("golden file");
        let tensor = file.tensor(tensor).expect(tensor);
        tensor.data().chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect()
    }

    pub fn floats(&self, tensor: &str) -> Vec<f32> {
        self.words(tensor).into_iter().map(f32::from_le_bytes).collect()
    }

    pub fn ids(&self, tensor: &str) -> Vec<u32> {
        self.words(tensor).into_iter().map(u32::from_le_bytes).collect()
    }

    pub fn places(&self, tensor: &str) -> Vec<usize> {
        self.ids(tensor).into_iter().map(|place| place as usize).collect()
    }
}

/// The largest difference; different lengths are infinitely far apart.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() || a.iter().chain(b).any(|x| x.is_nan()) {
        return f32::INFINITY;
    }
    a.iter().zip(b).fold(0.0, |m, (x, y)| m.max((x - y).abs()))
}

/// All logits and hidden states of new tokens.
pub fn everything<'a>() -> OutputRequest<'a> {
    OutputRequest {
        logits_at: Positions::All,
        logit_ids: LogitIds::All,
        hidden: Positions::All,
        ..OutputRequest::default()
    }
}

pub fn request<'a>(tokens: &'a [u32], cache: Option<&'a KvCache>, outputs: OutputRequest<'a>) -> Request<'a> {
    Request { tokens, cache, pattern: AttentionPattern::Causal, adapter: None, outputs }
}

pub fn tokens(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|i| 3 + (i * 7919 + seed * 104_729 + i * i * seed) % 272).collect()
}
