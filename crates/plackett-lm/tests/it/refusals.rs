//! Broken model directories: each is refused with an error that says what is wrong; none panics.

use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions, LmError, Sequence, read_header};
use std::path::{Path, PathBuf};

fn copy_of(name: &str) -> tempfile::TempDir {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name);
    let target = tempfile::tempdir().expect("temporary folder");
    copy(&source, target.path());
    target
}

fn copy(source: &Path, target: &Path) {
    for entry in std::fs::read_dir(source).expect("folder") {
        let entry = entry.expect("entry");
        let to = target.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&to).expect("folder");
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).expect("file");
        }
    }
}

fn refusal(directory: &Path) -> LmError {
    match EncoderModel::open(directory, &EncoderOptions::default()) {
        Ok(_) => panic!("{}: was opened", directory.display()),
        Err(error) => error,
    }
}

fn edit(path: PathBuf, from: &str, to: &str) {
    let text = std::fs::read_to_string(&path).expect("text");
    assert!(text.contains(from), "{}: no {from}", path.display());
    std::fs::write(&path, text.replace(from, to)).expect("written");
}

#[test]
fn missing_files_are_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = copy_of("bert");
        std::fs::remove_file(folder.path().join(file)).expect("removed");
        let message = refusal(folder.path()).to_string();
        assert!(message.contains(file), "{message}");
    }
}

#[test]
fn an_unknown_architecture_lists_the_known_ones() {
    let folder = copy_of("bert");
    edit(folder.path().join("config.json"), "\"model_type\": \"bert\"", "\"model_type\": \"gpt5\"");
    let message = refusal(folder.path()).to_string();
    assert!(message.contains("`gpt5`") && message.contains("modernbert"), "{message}");
    let text = std::fs::read_to_string(folder.path().join("config.json")).expect("text");
    let offset = text.find("\"model_type\"").expect("the key");
    assert!(message.contains(&format!("config.json, byte {offset}: ")), "{message}");
    edit(folder.path().join("config.json"), "model_type", "kind");
    let message = refusal(folder.path()).to_string();
    assert!(message.contains("no `model_type`") && message.contains("modernbert"), "{message}");
}

/// Name and first byte of a tensor's data in the tiny BERT.
fn start_of(folder: &Path, tensor: &str) -> u64 {
    let path = folder.join("model.safetensors");
    let header = read_header(&std::fs::read(&path).expect("weights"), &path).expect("header");
    (header.data_start + header.tensors[tensor].data_offsets.0) as u64
}

#[test]
fn another_hidden_size_than_the_weights_names_tensor_and_shapes() {
    let folder = copy_of("bert");
    edit(folder.path().join("config.json"), "\"hidden_size\": 32", "\"hidden_size\": 64");
    let error = refusal(folder.path());
    let LmError::Shape { offset, tensor, expected, found, .. } = &error else { panic!("{error}") };
    assert_eq!((expected[1], found[1]), (64, 32), "{error}");
    assert_eq!(*offset, start_of(folder.path(), tensor));
    assert!(error.to_string().contains(&format!("byte {offset}: tensor `{tensor}` has shape")), "{error}");
    assert!(error.to_string().contains("from config.json"), "{error}");
}

/// The eight bytes of a name that are changed leave the header as long as it was.
fn rename(folder: &Path, from: &str, to: &str) {
    let path = folder.join("model.safetensors");
    let mut bytes = std::fs::read(&path).expect("weights");
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect("the name");
    assert_eq!(from.len(), to.len());
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    std::fs::write(&path, bytes).expect("written");
}

/// A bias may be absent from a whole model, not from one of its layers.
#[test]
fn a_missing_bias_of_one_layer_is_named() {
    let folder = copy_of("bert");
    rename(folder.path(), "layer.1.output.dense.bias", "layer.1.output.dense.bins");
    let message = refusal(folder.path()).to_string();
    assert!(message.contains("byte 8: tensor `encoder.layer.1.output.dense.bias` is missing"), "{message}");
}

#[test]
fn weights_in_a_format_that_is_not_read_are_named() {
    let folder = copy_of("bert");
    let tensor = "encoder.layer.0.attention.output.dense.bias";
    rename(
        folder.path(),
        &format!("\"{tensor}\":{{\"dtype\":\"F32\""),
        &format!("\"{tensor}\":{{\"dtype\":\"I32\""),
    );
    let message = refusal(folder.path()).to_string();
    let offset = start_of(folder.path(), tensor);
    assert!(message.contains(&format!("byte {offset}: tensor `{tensor}` is stored as I32")), "{message}");
}

#[test]
fn one_layer_more_than_the_weights_names_the_missing_tensor() {
    let folder = copy_of("bert");
    edit(folder.path().join("config.json"), "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    let error = refusal(folder.path());
    let LmError::MissingTensor { tensor, offset: 8, .. } = &error else { panic!("{error}") };
    assert!(tensor.starts_with("encoder.layer.2."), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("model.safetensors, byte 8: tensor `") && message.contains("config.json"),
        "{message}"
    );
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let folder = copy_of("bert");
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/roberta/tokenizer.json");
    std::fs::copy(other, folder.path().join("tokenizer.json")).expect("copied");
    assert!(matches!(refusal(folder.path()), LmError::Vocabulary { largest: 274, .. }));
}

/// The offset and the tensor that an error of a weights file names.
fn place(error: &LmError) -> (u64, Option<&str>) {
    match error {
        LmError::Weights { offset, tensor, .. } => (*offset, tensor.as_deref()),
        other => panic!("another error: {other}"),
    }
}

#[test]
fn truncated_weights_are_refused_at_every_length() {
    let path = Path::new("model.safetensors");
    let whole =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/bert/model.safetensors"));
    let whole = whole.expect("weights");
    let header = read_header(&whole, path).expect("whole");
    for length in (0..4000).chain((4000..whole.len()).step_by(997)) {
        let error = read_header(&whole[..length], path).expect_err("a part is not the whole");
        let (offset, tensor) = place(&error);
        if length < header.data_start {
            assert_eq!((offset, tensor), (0, None), "{error}");
            continue;
        }
        // The first tensor that is not there in full, and its name in the header.
        let cut = header.tensors.iter().filter(|(_, info)| header.data_start + info.data_offsets.1 > length);
        let (name, info) = cut.min_by_key(|(_, info)| info.data_offsets).expect("a tensor that is cut");
        assert_eq!(tensor, Some(name.as_str()), "{error}");
        let key = format!("\"{name}\":");
        assert!(whole[offset as usize..].starts_with(key.as_bytes()), "{error}");
        let (start, end) = info.data_offsets;
        let bytes = format!("bytes {} to {}", header.data_start + start, header.data_start + end);
        assert!(error.to_string().contains(&format!("{bytes}, the file ends at {length};")), "{error}");
    }
}

/// A file with that header and eight bytes of data.
fn file(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat()
}

#[test]
fn a_lying_header_is_refused() {
    const A: &str = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let b = |offsets: &str| format!(r#"{{{A},"b":{{"dtype":"F32","shape":[1],"data_offsets":{offsets}}}}}"#);
    let one = |rest: &str| format!(r#"{{"a":{{{rest}}}}}"#);
    // Header; the tensor that is named; the offset; a piece of the message.
    let rows: [(String, Option<&str>, u64, &str); 22] = [
        (one(r#""dtype":"F32","shape":[4],"data_offsets":[0,8]"#), Some("a"), 9, "takes 16 bytes"),
        (one(r#""dtype":"F32","shape":[2],"data_offsets":[8,0]"#), Some("a"), 9, "[8, 0] go backwards"),
        (
            one(r#""dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]"#),
            Some("a"),
            9,
            "shape [18446744073709551615, 2] of F32",
        ),
        (one(r#""dtype":"F4","shape":[3],"data_offsets":[0,8]"#), Some("a"), 9, "no whole number of bytes"),
        (b("[4,8]").replace("[1]", "[2]"), Some("a"), 9, "takes 8 bytes, its `data_offsets` [0, 4] hold 4"),
        (b("[2,6]"), Some("b"), 62, "inside those of tensor `a`, which end at 119"),
        (b("[8,12]"), Some("b"), 62, "its data are bytes 124 to 128, the file ends at 124"),
        (b("[6,10]"), Some("b"), 62, "its data are bytes 122 to 126, the file ends at 124"),
        (
            format!(r#"{{{A},"b":{{"dtype":"U8","shape":[2],"data_offsets":[6,8]}}}}"#),
            Some("b"),
            62,
            "before its data belong to no tensor",
        ),
        (format!("{{{A}}}"), Some("a"), 66, "4 bytes from here to the end belong to no tensor"),
        (format!("{{{A},{A}}}"), Some("a"), 62, "twice"),
        (one(r#""dtype":"F99","shape":[2],"data_offsets":[0,8]"#), Some("a"), 9, r#""F99""#),
        (one(r#""shape":[2],"data_offsets":[0,8]"#), Some("a"), 9, "no `dtype`"),
        (one(r#""dtype":"F32","shape":2,"data_offsets":[0,8]"#), Some("a"), 9, "its `shape` is 2"),
        (one(r#""dtype":"F32","shape":[-2],"data_offsets":[0,8]"#), Some("a"), 9, "its `shape` is [-2]"),
        (one(r#""dtype":"F32","shape":[2],"data_offsets":[0]"#), Some("a"), 9, "not two numbers"),
        (r#"{"a":5}"#.into(), Some("a"), 9, "no `dtype`"),
        (r#"{"a":"#.into(), Some("a"), 12, "not a JSON object"),
        (format!(r#"{{{A},"b":{{"dtype":x}}}}"#), Some("b"), 75, "not a JSON object"),
        (r#"{"__metadata__":{"a":1}}"#.into(), None, 9, "`__metadata__`"),
        ("[]".into(), None, 8, "not a JSON object"),
        ("{}".into(), None, 10, "8 bytes from here to the end belong to no tensor"),
    ];
    for (header, tensor, offset, piece) in rows {
        let error = read_header(&file(&header), Path::new("model.safetensors")).expect_err(&header);
        assert_eq!(place(&error), (offset, tensor), "{header}\n{error}");
        let message = error.to_string();
        assert!(message.contains(piece), "{header}\n{message}");
        assert!(message.starts_with(&format!("model.safetensors, byte {offset}: ")), "{message}");
        let named = tensor.is_none_or(|name| message.contains(&format!(": tensor `{name}`: ")));
        assert!(named, "{message}");
    }
}

#[test]
fn a_lying_length_of_the_header_is_refused() {
    for (length, piece) in [(u64::MAX, "the file has 10 more"), (11, "claims 11 bytes")] {
        let mut bytes = file("{}");
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        let error = read_header(&bytes, Path::new("model.safetensors")).expect_err("a lie");
        assert_eq!(place(&error), (0, None), "{error}");
        assert!(error.to_string().contains(piece), "{error}");
    }
    let mut bytes = file(r#"{"a"}"#);
    bytes[10] = 255;
    let error = read_header(&bytes, Path::new("model.safetensors")).expect_err("no text");
    assert_eq!(place(&error), (10, None), "{error}");
}

/// Shards that an index joins: a tensor of none of them, of two of them, and a shard that is not there.
#[test]
fn shards_that_do_not_fit_are_refused() {
    let folder = copy_of("bert");
    let path = |name: &str| folder.path().join(name);
    std::fs::rename(path("model.safetensors"), path("first.safetensors")).expect("renamed");
    let index = |files: &[&str]| {
        let map: serde_json::Map<_, _> =
            files.iter().map(|name| (name.to_string(), (*name).into())).collect();
        let index = serde_json::json!({"metadata": {}, "weight_map": map});
        std::fs::write(path("model.safetensors.index.json"), index.to_string()).expect("written");
    };
    index(&["first.safetensors"]);
    EncoderModel::open(folder.path(), &EncoderOptions::default()).expect("one shard is the whole");
    edit(path("config.json"), "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    let message = refusal(folder.path()).to_string();
    assert!(message.contains("model.safetensors.index.json, byte 15: tensor `encoder.layer.2."), "{message}");
    index(&["first.safetensors", "second.safetensors"]);
    assert!(refusal(folder.path()).to_string().contains("no second.safetensors"));
    let second = r#"{"embeddings.LayerNorm.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    std::fs::write(path("second.safetensors"), file(second)).expect("written");
    let message = refusal(folder.path()).to_string();
    assert!(
        message.contains("second.safetensors, byte 8: tensor `embeddings.LayerNorm.bias`: "),
        "{message}"
    );
    assert!(message.contains("first.safetensors has it too"), "{message}");
    index(&["../elsewhere.safetensors"]);
    assert!(refusal(folder.path()).to_string().contains("not a file of this directory"));
}

#[test]
fn a_bi_encoder_refuses_to_score_pairs_and_says_why() {
    let folder = copy_of("bert");
    let model = EncoderModel::open(folder.path(), &EncoderOptions::default()).expect("a model");
    let error = model.score_pairs(&[("a", "b")], None).expect_err("refused");
    assert!(matches!(error, LmError::Unsupported { .. }));
    assert!(error.to_string().contains("classification head"), "{error}");
}

#[test]
fn a_budget_below_one_sequence_is_refused_with_numbers() {
    let folder = copy_of("bert");
    let options = EncoderOptions { memory_budget: Some(10_000), ..EncoderOptions::default() };
    let model = EncoderModel::open(folder.path(), &options).expect("a model");
    let error = model.embed(&["a text"], &Default::default()).expect_err("refused");
    assert!(matches!(error, LmError::MemoryBudget { budget: 10_000, .. }), "{error}");
}

#[test]
fn int8_of_a_later_layout_is_refused() {
    let folder = copy_of("bert");
    let target = folder.path().join("int8");
    plackett_lm::quantize(folder.path(), &target).expect("quantised");
    assert!(EncoderModel::open(&target, &EncoderOptions::default()).is_ok());
    let path = target.join("model.safetensors");
    let mut bytes = std::fs::read(&path).expect("weights");
    let field = br#""plackett_int8":"2""#;
    let at = bytes.windows(field.len()).position(|w| w == field).expect("the field");
    bytes[at + field.len() - 2] = b'9';
    std::fs::write(&path, bytes).expect("written");
    let message = refusal(&target).to_string();
    assert!(message.contains("layout 9"), "{message}");
}

#[test]
fn a_projection_of_vectors_of_another_width_is_refused() {
    let folder = copy_of("bert-dense");
    edit(folder.path().join("2_Dense/config.json"), "\"in_features\": 32", "\"in_features\": 16");
    let message = refusal(folder.path()).to_string();
    assert!(message.contains("`in_features` is 16") && message.contains("32"), "{message}");
}

#[test]
fn modules_in_an_order_that_is_not_run_are_refused() {
    let module = |kind: &str, path: &str| serde_json::json!({"type": format!("s.{kind}"), "path": path});
    let (transformer, pooling) = (module("Transformer", ""), module("Pooling", "1_Pooling"));
    let (dense, normalize) = (module("Dense", "2_Dense"), module("Normalize", "3_Normalize"));
    for (modules, problem) in [
        (vec![&transformer, &pooling, &normalize, &dense], "`Dense` stands after `Normalize`"),
        (vec![&transformer, &dense, &pooling], "`Pooling` stands after `Dense`"),
        (vec![&transformer, &pooling, &pooling], "`Pooling` stands after `Pooling`"),
    ] {
        let folder = copy_of("bert-dense");
        std::fs::write(folder.path().join("modules.json"), serde_json::json!(modules).to_string())
            .expect("written");
        let message = refusal(folder.path()).to_string();
        assert!(message.contains(problem) && message.contains("modules.json"), "{message}");
    }
    let folder = copy_of("bert-dense");
    let modules = serde_json::json!([transformer, pooling, dense, dense, normalize]);
    std::fs::write(folder.path().join("modules.json"), modules.to_string()).expect("written");
    // In order; that the second layer does not take the first one's width is another matter.
    assert!(!refusal(folder.path()).to_string().contains("stands after"));
}

#[test]
fn a_text_without_tokens_is_refused_by_its_number() {
    for (name, text) in [("bert", "some words"), ("bert-cross", "")] {
        let folder = copy_of(name);
        let path = folder.path().join("tokenizer.json");
        let mut tokenizer: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
        tokenizer["post_processor"] = serde_json::Value::Null;
        std::fs::write(&path, tokenizer.to_string()).expect("written");
        let model = EncoderModel::open(folder.path(), &EncoderOptions::default()).expect("opens");
        let error = match model.info().cross_encoder {
            true => model.score_pairs(&[("some", "words"), ("", text)], None).expect_err("no tokens"),
            false => model.embed(&[text, ""], &EmbedOptions::default()).expect_err("no tokens"),
        };
        assert!(matches!(error, LmError::Tokenization { index: 1, .. }), "{error}");
        assert!(error.to_string().contains("leave it out"), "{error}");
    }
}

#[test]
fn a_special_token_beyond_the_vocabulary_is_an_error_of_the_text() {
    let folder = copy_of("bert");
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
    tokenizer["post_processor"]["special_tokens"]["[SEP]"]["ids"] = serde_json::json!([99_999]);
    std::fs::write(&path, tokenizer.to_string()).expect("written");
    let model = EncoderModel::open(folder.path(), &EncoderOptions::default()).expect("opens");
    let error = model.embed(&["a text"], &EmbedOptions::default()).expect_err("such an id");
    assert!(matches!(error, LmError::Tokenization { index: 0, .. }), "{error}");
    // Sequences of callers are checked in the same way.
    let sequence = Sequence::single(vec![99_999]);
    assert!(model.hidden_states(&[sequence], 1).is_err());
}
