//! GGUF files made here: a writer, and the tiny models as llama.cpp's converter would write them.

#![allow(dead_code)] // No test uses all of it.

use plackett_lm::gguf::{gguf_name, rope_rows};
use safetensors::SafeTensors;
use serde_json::Value as Json;
use std::path::Path;

/// A value of a metadata key.
#[derive(Clone)]
pub enum Value {
    U32(u32),
    F32(f32),
    Text(String),
    Bools(Vec<bool>),
    I32s(Vec<i32>),
    Texts(Vec<String>),
}

/// A tensor: rows first, type number of the format, stored bytes.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: u32,
    pub bytes: Vec<u8>,
}

/// A file before it is written.
#[derive(Clone, Default)]
pub struct Gguf {
    pub entries: Vec<(String, Value)>,
    pub tensors: Vec<Tensor>,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Value {
    /// Type number and bytes.
    fn written(&self) -> (u32, Vec<u8>) {
        let array = |kind: u32, items: Vec<Vec<u8>>| {
            let count = (items.len() as u64).to_le_bytes();
            (9, [&kind.to_le_bytes()[..], &count, &items.concat()].concat())
        };
        match self {
            Value::U32(x) => (4, x.to_le_bytes().to_vec()),
            Value::F32(x) => (6, x.to_le_bytes().to_vec()),
            Value::Text(x) => (8, string(x)),
            Value::Bools(all) => array(7, all.iter().map(|x| vec![u8::from(*x)]).collect()),
            Value::I32s(all) => array(5, all.iter().map(|x| x.to_le_bytes().to_vec()).collect()),
            Value::Texts(all) => array(8, all.iter().map(|x| string(x)).collect()),
        }
    }
}

impl Gguf {
    /// Replaces or adds an entry.
    pub fn set(&mut self, key: &str, value: Value) {
        self.entries.retain(|(own, _)| own != key);
        self.entries.push((key.to_string(), value));
    }

    /// The tensor of that name.
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).expect(name)
    }

    /// The whole file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.entries.len() as u64).to_le_bytes());
        for (key, value) in &self.entries {
            let (kind, value) = value.written();
            bytes.extend([string(key), kind.to_le_bytes().to_vec(), value].concat());
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            bytes.extend(string(&tensor.name));
            bytes.extend((tensor.shape.len() as u32).to_le_bytes());
            bytes.extend(tensor.shape.iter().rev().flat_map(|n| (*n as u64).to_le_bytes()));
            bytes.extend(tensor.kind.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
            offset += (tensor.bytes.len() as u64).next_multiple_of(32);
        }
        for tensor in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.extend(&tensor.bytes);
        }
        bytes
    }
}

fn json(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).expect("file")).expect("JSON")
}

/// The hyperparameters of a tiny model under the keys of its architecture.
fn hyperparameters(gguf: &mut Gguf, architecture: &str, config: &Json) {
    let number = |key: &str| config[key].as_u64().expect(key) as u32;
    let mut set = |key: &str, value| gguf.set(&format!("{architecture}.{key}"), value);
    let head = config["head_dim"].as_u64().map_or(8, |n| n as u32);
    for (key, value) in [
        ("block_count", number("num_hidden_layers")),
        ("context_length", number("max_position_embeddings")),
        ("embedding_length", number("hidden_size")),
        ("feed_forward_length", number("intermediate_size")),
        ("attention.head_count", number("num_attention_heads")),
        ("attention.head_count_kv", number("num_key_value_heads")),
        ("attention.key_length", head),
        ("attention.value_length", head),
    ] {
        set(key, Value::U32(value));
    }
    if architecture == "llama" {
        set("rope.dimension_count", Value::U32(head));
        set("vocab_size", Value::U32(number("vocab_size")));
    }
    set(
        "attention.layer_norm_rms_epsilon",
        Value::F32(config["rms_norm_eps"].as_f64().expect("epsilon") as f32),
    );
    let ropes = &config["rope_parameters"];
    let rope = ropes.get("full_attention").unwrap_or(ropes);
    let theta = |rope: &Json| Value::F32(rope["rope_theta"].as_f64().expect("theta") as f32);
    set("rope.freq_base", theta(rope));
    if let Some(sliding) = ropes.get("sliding_attention") {
        set("rope.freq_base_swa", theta(sliding));
    }
    if rope["rope_type"] == "yarn" {
        set("rope.scaling.type", Value::Text("yarn".into()));
        set("rope.scaling.factor", Value::F32(rope["factor"].as_f64().expect("factor") as f32));
        let context = rope["original_max_position_embeddings"].as_u64().expect("context");
        set("rope.scaling.original_context_length", Value::U32(context as u32));
    }
    if let Some(window) = config["sliding_window"].as_u64() {
        set("attention.sliding_window", Value::U32(window as u32));
    }
    if let Some(types) = config["layer_types"].as_array()
        && types.iter().any(|kind| kind == "sliding_attention")
    {
        let windowed = types.iter().map(|kind| kind == "sliding_attention").collect();
        set("attention.sliding_window_pattern", Value::Bools(windowed));
    }
}

/// The byte-level tokenizer of the tiny models.
fn tokenizer(gguf: &mut Gguf, file: &Json) {
    let vocabulary = file["model"]["vocab"].as_object().expect("vocabulary");
    let mut tokens = vec![String::new(); vocabulary.len()];
    for (token, id) in vocabulary {
        tokens[id.as_u64().expect("id") as usize] = token.clone();
    }
    let mut types = vec![1; tokens.len()];
    for token in file["added_tokens"].as_array().expect("special tokens") {
        types[token["id"].as_u64().expect("id") as usize] = 3;
    }
    let merges = file["model"]["merges"]
        .as_array()
        .expect("merges")
        .iter()
        .map(|pair| format!("{} {}", pair[0].as_str().expect("left"), pair[1].as_str().expect("right")));
    gguf.set("tokenizer.ggml.model", Value::Text("gpt2".into()));
    gguf.set("tokenizer.ggml.pre", Value::Text("gpt-2".into()));
    gguf.set("tokenizer.ggml.tokens", Value::Texts(tokens));
    gguf.set("tokenizer.ggml.token_type", Value::I32s(types));
    gguf.set("tokenizer.ggml.merges", Value::Texts(merges.collect()));
    for (name, id) in [("bos", 0), ("eos", 2), ("unknown", 3), ("padding", 1)] {
        gguf.set(&format!("tokenizer.ggml.{name}_token_id"), Value::U32(id));
    }
}

/// What the rotary frequencies of Llama 3.1 are divided by.
fn divisors(rope: &Json, head: usize) -> Vec<f32> {
    let number = |key: &str| rope[key].as_f64().expect(key);
    let (factor, low, high) = (number("factor"), number("low_freq_factor"), number("high_freq_factor"));
    let context = number("original_max_position_embeddings");
    let divisor = |pair: usize| {
        let wave = std::f64::consts::TAU * number("rope_theta").powf(2.0 * pair as f64 / head as f64);
        if wave < context / high {
            1.0
        } else if wave > context / low {
            factor
        } else {
            let smooth = (context / wave - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    };
    (0..head / 2).map(|pair| divisor(pair) as f32).collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// A tiny model as a GGUF file in f32. Rows of queries and keys of llama and mistral are interleaved, as llama.cpp's
/// converter does, and norms of gemma hold the sums that the model multiplies by.
pub fn converted(family: &str) -> Gguf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decoder").join(family);
    let config = json(&folder.join("config.json"));
    let architecture = if family == "mistral" { "llama" } else { family };
    let mut gguf = Gguf::default();
    gguf.set("general.architecture", Value::Text(architecture.into()));
    gguf.set("general.name", Value::Text(format!("tiny {family}")));
    hyperparameters(&mut gguf, architecture, &config);
    tokenizer(&mut gguf, &json(&folder.join("tokenizer.json")));
    let head = config["head_dim"].as_u64().map_or(8, |n| n as usize);
    let bytes = std::fs::read(folder.join("model.safetensors")).expect("weights");
    for (name, tensor) in SafeTensors::deserialize(&bytes).expect("safetensors").iter() {
        // bfloat16 is the upper half of f32.
        let mut values: Vec<f32> =
            tensor.data().chunks_exact(2).map(|b| f32::from_le_bytes([0, 0, b[0], b[1]])).collect();
        let shape = tensor.shape().to_vec();
        if architecture == "llama" && (name.contains("q_proj") || name.contains("k_proj")) {
            let width = values.len() / shape[0];
            let rows = rope_rows(shape[0], head).into_iter();
            values = rows.flat_map(|row| values[row * width..][..width].to_vec()).collect();
        }
        if family == "gemma3" && name.ends_with("norm.weight") {
            values.iter_mut().for_each(|w| *w += 1.0);
        }
        if let Some(scalar) = config["query_pre_attn_scalar"].as_f64()
            && name.ends_with("q_norm.weight")
        {
            // GGUF keeps no such scalar, scores are divided by the root of the head's size: the norm makes up for it.
            let factor = (head as f64 / scalar).sqrt() as f32;
            values.iter_mut().for_each(|w| *w *= factor);
        }
        let name = gguf_name(architecture, name).expect(name);
        gguf.tensors.push(Tensor { name, shape, kind: 0, bytes: floats(&values) });
    }
    if config["rope_parameters"]["rope_type"] == "llama3" {
        let bytes = floats(&divisors(&config["rope_parameters"], head));
        gguf.tensors.push(Tensor { name: "rope_freqs.weight".into(), shape: vec![head / 2], kind: 0, bytes });
    }
    gguf.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    gguf
}

/// Stores the matrices whose rows are whole blocks of 32 numbers as Q8_0.
pub fn in_blocks(mut gguf: Gguf) -> Gguf {
    for tensor in &mut gguf.tensors {
        if tensor.shape.len() == 2 && tensor.shape[1].is_multiple_of(32) {
            let numbers = tensor.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let numbers: Vec<f32> = numbers.collect();
            let block = |block: &[f32]| {
                let scale = half::f16::from_f32(block.iter().fold(0.0, |m: f32, x| m.max(x.abs())) / 127.0);
                let codes =
                    block.iter().map(|x| (x / scale.to_f32()).round().clamp(-127.0, 127.0) as i8 as u8);
                scale.to_le_bytes().into_iter().chain(codes).collect::<Vec<u8>>()
            };
            (tensor.kind, tensor.bytes) = (8, numbers.chunks_exact(32).flat_map(block).collect());
        }
    }
    gguf
}
