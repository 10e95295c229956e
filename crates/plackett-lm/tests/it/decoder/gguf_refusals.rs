//! GGUF files that are damaged or foreign are refused with the tensor or key and the offset.

use crate::support::gguf_file::*;
use plackett_lm::decoder::*;
use plackett_lm::gguf::{GgufHeader, parse_header};
use std::path::Path;

fn message(path: &Path) -> String {
    match DecoderModel::open(path, &DecoderOptions::default()) {
        Ok(_) => "opened".into(),
        Err(error) => error.to_string(),
    }
}

/// What opening bytes says, without the folder.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, bytes).expect("written");
    message(&path).replace(&format!("{}/", folder.path().display()), "")
}

fn header(gguf: &Gguf) -> GgufHeader {
    parse_header(&gguf.bytes()).expect("a whole file")
}

/// The place of a tensor's entry in the table.
fn entry(gguf: &Gguf, tensor: &str) -> u64 {
    header(gguf).tensor(tensor).expect(tensor).entry
}

#[test]
fn the_whole_file_opens() {
    assert_eq!(refusal(&converted("llama").bytes()), "opened");
}

#[test]
fn missing_tensors_are_named_as_the_file_names_them() {
    let families = [
        ("llama", "blk.1.ffn_gate.weight"),
        ("llama", "blk.2.attn_norm.weight"),
        ("llama", "output_norm.weight"),
        ("llama", "token_embd.weight"),
        ("llama", "blk.2.attn_k.bias"),
        ("qwen2", "blk.0.attn_v.bias"),
        ("qwen3", "blk.0.attn_q_norm.weight"),
        ("gemma3", "blk.1.post_ffw_norm.weight"),
    ];
    for (family, tensor) in families {
        let mut gguf = converted(family);
        gguf.tensors.retain(|own| own.name != tensor);
        let expected = format!(
            "tiny.gguf, byte {}: tensor `{tensor}` is missing from the list of tensors there; the weights are not \
             those of the architecture that the file's metadata describes",
            header(&gguf).table_start
        );
        assert_eq!(refusal(&gguf.bytes()), expected, "{family}");
    }
}

#[test]
fn a_wrong_shape_names_the_tensor_and_its_data() {
    for (tensor, shape, expected) in [
        ("blk.1.ffn_up.weight", vec![32, 48], "[48, 32]"),
        ("blk.2.attn_q.weight", vec![16, 64], "[32, 32]"),
        ("blk.0.ffn_norm.weight", vec![1, 32], "[32]"),
        ("blk.0.attn_k.bias", vec![4, 4], "[16]"),
        ("rope_freqs.weight", vec![2, 2], "[4]"),
        ("output.weight", vec![32, 275], "[275, 32]"),
    ] {
        let mut gguf = converted("llama");
        gguf.tensor(tensor).shape = shape.clone();
        let start = header(&gguf).tensor(tensor).expect(tensor).start;
        assert_eq!(
            refusal(&gguf.bytes()),
            format!(
                "tiny.gguf, byte {start}: tensor `{tensor}` has shape {shape:?}, expected {expected} from the file's \
                 metadata"
            )
        );
    }
}

#[test]
fn a_file_cut_off_names_the_first_thing_that_is_not_whole() {
    let gguf = converted("llama");
    let (bytes, header) = (gguf.bytes(), header(&gguf));
    for cut in [1, 1000, 20_000, 100_000] {
        let file = bytes.len() - cut;
        let lost = header.tensors().filter(|(_, info)| info.start + info.length > file);
        let (name, info) = lost.min_by_key(|(_, info)| info.start).expect("a tensor that is cut");
        let (entry, start, length) = (info.entry, info.start, info.length);
        assert_eq!(
            refusal(&bytes[..file]),
            format!(
                "tiny.gguf, byte {entry}: tensor `{name}`: its {length} bytes from byte {start} on are not inside the \
                 file of {file} bytes: fetch it again"
            )
        );
    }
    let inside_table = entry(&gguf, "blk.1.attn_q.weight") as usize + 30;
    let said = refusal(&bytes[..inside_table]);
    assert!(said.contains("tensor `blk.1.attn_q.weight`: ") && said.contains("cut off"), "{said}");
    let said = refusal(&bytes[..200]);
    assert!(
        said.starts_with("tiny.gguf, byte 16") && said.contains(": count of metadata entries: "),
        "{said}"
    );
    assert!(refusal(b"").starts_with("tiny.gguf"), "an empty file");
}

/// Writes into the table: the offset is the last number of an entry, the type the one before.
fn changed(gguf: &Gguf, tensor: &str, back: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = gguf.bytes();
    let dimensions = gguf.tensors.iter().find(|own| own.name == tensor).expect(tensor).shape.len();
    let end = entry(gguf, tensor) as usize + 8 + tensor.len() + 4 + 8 * dimensions + 4 + 8;
    bytes[end - back..][..value.len()].copy_from_slice(value);
    bytes
}

#[test]
fn lies_of_the_table_name_the_tensor_and_its_entry() {
    let gguf = converted("qwen3");
    let tensor = "blk.1.attn_q.weight";
    let begin = format!("tiny.gguf, byte {}: tensor `{tensor}`: ", entry(&gguf, tensor));
    let lie = |back, value: &[u8]| refusal(&changed(&gguf, tensor, back, value));
    let said = lie(8, &(1u64 << 40).to_le_bytes());
    assert!(said.starts_with(&begin) && said.contains("are not inside the file"), "{said}");
    let said = lie(8, &33u64.to_le_bytes());
    assert!(said.starts_with(&begin) && said.contains("no multiple of 32"), "{said}");
    let said = lie(8, &0u64.to_le_bytes());
    assert!(said.contains("overlap those of tensor `") && said.contains(tensor), "{said}");
    let said = lie(12, &16u32.to_le_bytes());
    let named = said.contains(&format!("tensor `{tensor}`: ")) && said.contains("IQ2_XXS");
    assert!(named && said.contains(", byte "), "{said}");
    let said = lie(28, &0u64.to_le_bytes());
    assert!(said.contains(&format!("tensor `{tensor}`: the dimensions")), "{said}");
}

#[test]
fn a_foreign_architecture_is_named_at_its_key() {
    for (name, key) in [("poem", "general.architecture"), ("qwen2vl", "general.architecture")] {
        let mut gguf = converted("qwen2");
        gguf.set(key, Value::Text(name.into()));
        let offset = header(&gguf).offset(key);
        let text = gguf.bytes()[offset as usize + 8..][..name.len()].to_vec();
        assert_eq!(text, name.as_bytes(), "the offset is that of the value");
        assert_eq!(
            refusal(&gguf.bytes()),
            format!(
                "tiny.gguf, byte {offset}: the architecture `{name}` is not supported; supported: llama, qwen2, qwen3, \
                 gemma3"
            )
        );
    }
    let mut gguf = converted("qwen2");
    gguf.entries.retain(|(key, _)| key != "general.architecture");
    assert!(
        refusal(&gguf.bytes())
            .starts_with("tiny.gguf, byte 24: key `general.architecture`: the key is missing")
    );
}

#[test]
fn what_is_not_computed_is_refused_at_its_key() {
    for (family, key, value, piece) in [
        ("gemma3", "gemma3.final_logit_softcapping", Value::F32(30.0), "not capped"),
        ("gemma3", "gemma3.attention.sliding_window_pattern", Value::Bools(vec![true; 2]), "for each layer"),
        ("llama", "llama.rope.dimension_count", Value::U32(4), "4 of 8 dimensions"),
        ("qwen3", "qwen3.rope.scaling.type", Value::Text("longrope".into()), "longrope"),
    ] {
        let mut gguf = converted(family);
        gguf.set(key, value);
        let said = refusal(&gguf.bytes());
        let begin = format!("tiny.gguf, byte {}: ", header(&gguf).offset(key));
        assert!(said.starts_with(&begin) && said.contains(piece), "{said}");
    }
}

#[test]
fn a_tokenizer_of_more_tokens_than_rows_is_refused() {
    let mut gguf = converted("qwen2");
    let table = gguf.tensor("token_embd.weight");
    table.shape[0] = 270;
    table.bytes.truncate(270 * 32 * 4);
    let said = refusal(&gguf.bytes());
    assert!(said.contains("ids up to 274") && said.contains("270 rows"), "{said}");
}

#[test]
fn parts_of_a_split_model_are_called_that() {
    let folder = tempfile::tempdir().expect("folder");
    let mut gguf = converted("qwen2");
    let part = |n: usize| folder.path().join(format!("tiny-{n:05}-of-00003.gguf"));
    for n in 1..4 {
        std::fs::write(part(n), gguf.bytes()).expect("written");
    }
    let said = message(folder.path());
    assert!(said.contains("tiny-00001-of-00003.gguf cannot be opened: it is one of 3 parts"), "{said}");
    assert!(said.contains("llama-gguf-split --merge"), "{said}");
    // A part alone says so in its metadata, whatever its name.
    gguf.set("split.count", Value::U32(3));
    assert!(refusal(&gguf.bytes()).starts_with("tiny.gguf cannot be opened: it is one of 3 parts"));
    let other = tempfile::tempdir().expect("folder");
    for name in ["a.gguf", "b.gguf"] {
        std::fs::write(other.path().join(name), converted("qwen2").bytes()).expect("written");
    }
    assert!(message(other.path()).contains("2 GGUF files and no config.json"));
}
