//! Hyperparameters and tokenizers of small files made by hand.

use super::*;
use crate::files::gguf::names::RowOrder;
use crate::text::gguf_tokenizer::GgufTokenizer;

/// A metadata entry: a key, its type and the bytes of its value.
type Field<'a> = (&'a str, u32, Vec<u8>);

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn number<'a>(key: &'a str, value: u32) -> Field<'a> {
    (key, 4, value.to_le_bytes().to_vec())
}

fn array<'a>(key: &'a str, kind: u32, items: Vec<Vec<u8>>) -> Field<'a> {
    let count = items.len() as u64;
    (key, 9, [kind.to_le_bytes().to_vec(), count.to_le_bytes().to_vec(), items.concat()].concat())
}

/// Writes and opens a file; every tensor is 4 × 32 numbers of zero in f32.
fn open(entries: &[Field], tensors: &[&str]) -> GgufFile {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    for (key, kind, value) in entries {
        bytes.extend([string(key), kind.to_le_bytes().to_vec(), value.clone()].concat());
    }
    for (index, name) in tensors.iter().enumerate() {
        bytes.extend(string(name));
        bytes.extend(2u32.to_le_bytes());
        bytes.extend([32u64, 4].iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend(0u32.to_le_bytes());
        bytes.extend((512 * index as u64).to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(32) + 512 * tensors.len(), 0);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("written");
    GgufFile::open(file.path()).expect("a good file")
}

fn entries(architecture: &str) -> Vec<(String, u32, Vec<u8>)> {
    let sizes = [
        ("block_count", 1u32),
        ("embedding_length", 32),
        ("feed_forward_length", 48),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("context_length", 128),
        ("attention.sliding_window", 16),
    ];
    let mut all: Vec<_> =
        sizes.iter().map(|(k, v)| (format!("{architecture}.{k}"), 4, v.to_le_bytes().to_vec())).collect();
    let epsilon = format!("{architecture}.attention.layer_norm_rms_epsilon");
    all.push((epsilon, 6, 1e-5f32.to_le_bytes().to_vec()));
    all.push(("general.architecture".into(), 8, string(architecture)));
    all
}

fn read(
    architecture: &str,
    tensors: &[&str],
    change: impl Fn(&mut Vec<(String, u32, Vec<u8>)>),
) -> Result<GgufArchitecture, LmError> {
    let mut all = entries(architecture);
    change(&mut all);
    let all: Vec<Field> = all.iter().map(|(key, kind, value)| (key.as_str(), *kind, value.clone())).collect();
    GgufArchitecture::read(&open(&all, tensors))
}

#[test]
fn architectures_differ_where_they_should() {
    let llama = read("llama", &["token_embd.weight", "output.weight"], |_| {}).expect("llama");
    assert_eq!((llama.head_dim, llama.rope_dimensions, llama.vocabulary), (8, 8, 4));
    assert_eq!(
        (llama.window(5), llama.row_order, llama.tied_embeddings),
        (Some(16), RowOrder::Interleaved, false)
    );
    assert_eq!(llama.rope(5), (10_000.0, RopeScaling::None));
    let names = ["token_embd.weight", "blk.0.attn_q_norm.weight", "blk.0.attn_q.bias"];
    let qwen = read("qwen3", &names, |_| {}).expect("qwen3");
    assert!(qwen.qk_norm && qwen.qkv_bias && qwen.tied_embeddings);
    assert_eq!((qwen.window(0), qwen.row_order, qwen.embedding_scale), (None, RowOrder::Half, 1.0));
    let scaled = |all: &mut Vec<(String, u32, Vec<u8>)>| {
        all.retain(|(key, _, _)| key != "gemma3.block_count");
        all.push(("gemma3.block_count".to_string(), 4, 12u32.to_le_bytes().to_vec()));
        all.push(("gemma3.rope.freq_base".to_string(), 6, 1e6f32.to_le_bytes().to_vec()));
        all.push(("gemma3.rope.scaling.type".to_string(), 8, string("linear")));
        all.push(("gemma3.rope.scaling.factor".to_string(), 6, 8f32.to_le_bytes().to_vec()));
        all.push(("gemma3.attention.key_length".to_string(), 4, 16u32.to_le_bytes().to_vec()));
    };
    // As many tensors as layers, whatever they are.
    let others: Vec<String> = (0..11).map(|n| format!("other.{n}")).collect();
    let names: Vec<&str> = others.iter().map(String::as_str).chain(["token_embd.weight"]).collect();
    let gemma = read("gemma3", &names, scaled).expect("gemma3");
    assert_eq!(
        (gemma.head_dim, gemma.window(4), gemma.window(5), gemma.window(11)),
        (16, Some(16), None, None)
    );
    assert_eq!(gemma.rope(4), (10_000.0, RopeScaling::None));
    assert_eq!(gemma.rope(5), (1e6, RopeScaling::Linear { factor: 8.0 }));
    assert!((gemma.embedding_scale - 32f32.sqrt()).abs() < 1e-6);
}

#[test]
fn impossible_values_are_refused_by_key() {
    let set = |key: &'static str, value: u32| {
        let key = format!("llama.{key}");
        read("llama", &["token_embd.weight"], move |all| {
            all.retain(|(k, _, _)| *k != key);
            all.push((key.clone(), 4, value.to_le_bytes().to_vec()));
        })
    };
    let wrong = [
        ("attention.head_count_kv", 3),
        ("attention.head_count", 5),
        ("attention.head_count", 0),
        ("embedding_length", u32::MAX),
        ("block_count", 2),
        ("rope.dimension_count", 7),
        ("rope.dimension_count", 10),
    ];
    for (key, value) in wrong {
        let error = set(key, value).expect_err(key).to_string();
        assert!(error.contains("key `llama.attention.head_count") || error.contains(key), "{error}");
    }
    let missing =
        read("llama", &["token_embd.weight"], |all| all.retain(|(k, _, _)| k != "llama.block_count"));
    assert!(
        missing.expect_err("missing").to_string().contains("key `llama.block_count`: the key is missing")
    );
    assert!(matches!(read("mamba", &["token_embd.weight"], |_| {}), Err(LmError::Architecture { .. })));
    assert!(matches!(read("llama", &[], |_| {}), Err(LmError::MissingTensor { .. })));
}

/// Pieces by score with byte fallback, on a vocabulary small enough to merge by hand.
#[test]
fn tokenizer_by_scores() {
    let mut tokens: Vec<(String, f32, u32)> =
        vec![("<unk>".into(), 0.0, 2), ("<s>".into(), 0.0, 3), ("</s>".into(), 0.0, 3)];
    tokens.extend((0..=255).map(|b| (format!("<0x{b:02X}>"), 0.0, 6)));
    // ids 259 …: ab before bc, ▁ab last.
    for (token, score) in
        [("▁", -9.0), ("a", -9.0), ("b", -9.0), ("c", -9.0), ("ab", -1.0), ("bc", -2.0), ("▁ab", -3.0)]
    {
        tokens.push((token.into(), score, 1));
    }
    let all = |types: usize| {
        vec![
            ("tokenizer.ggml.model", 8, string("llama")),
            array("tokenizer.ggml.tokens", 8, tokens.iter().map(|t| string(&t.0)).collect()),
            array("tokenizer.ggml.scores", 6, tokens.iter().map(|t| t.1.to_le_bytes().to_vec()).collect()),
            array(
                "tokenizer.ggml.token_type",
                5,
                tokens.iter().take(types).map(|t| t.2.to_le_bytes().to_vec()).collect(),
            ),
            number("tokenizer.ggml.bos_token_id", 1),
            number("tokenizer.ggml.eos_token_id", 2),
            number("tokenizer.ggml.unknown_token_id", 0),
        ]
    };
    let tokenizer = GgufTokenizer::read(&open(&all(usize::MAX), &[])).expect("tokenizer");
    let ids = |text, special| tokenizer.encode(text, true, special).expect("ids");
    // ▁abc: ab first, then ▁ab, then c; é is two bytes.
    assert_eq!(ids("abc", true), [1, 265, 262]);
    assert_eq!(ids("bc é", true), [1, 259, 264, 259, 3 + 0xC3, 3 + 0xA9]);
    assert_eq!(ids("a</s>", true), [1, 259, 260, 2]);
    assert!(!ids("a</s>", false).contains(&2));
    assert_eq!(tokenizer.decode(&ids("abc é", true), true).expect("text"), "abc é");
    assert_eq!(
        (tokenizer.bos, tokenizer.add_bos, tokenizer.control.as_slice()),
        (Some(1), true, &[1, 2][..])
    );
    let error = GgufTokenizer::read(&open(&all(7), &[])).err().expect("too few types").to_string();
    assert!(error.contains("7 for 266 tokens"), "{error}");
    let mut bad = all(usize::MAX);
    bad.push(number("tokenizer.ggml.eot_token_id", 266));
    let error = GgufTokenizer::read(&open(&bad, &[])).err().expect("no such id").to_string();
    assert!(error.contains("key `tokenizer.ggml.eot_token_id`"), "{error}");
}
