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
    assert!(message.contains("gpt5") && message.contains("modernbert"), "{message}");
}

#[test]
fn another_hidden_size_than_the_weights_names_tensor_and_shapes() {
    let folder = copy_of("bert");
    edit(folder.path().join("config.json"), "\"hidden_size\": 32", "\"hidden_size\": 64");
    assert!(matches!(refusal(folder.path()), LmError::Shape { .. }));
}

#[test]
fn one_layer_more_than_the_weights_names_the_missing_tensor() {
    let folder = copy_of("bert");
    edit(folder.path().join("config.json"), "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    let error = refusal(folder.path());
    assert!(matches!(&error, LmError::MissingTensor { tensor, .. } if tensor.contains("layer.2")), "{error}");
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let folder = copy_of("bert");
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/roberta/tokenizer.json");
    std::fs::copy(other, folder.path().join("tokenizer.json")).expect("copied");
    assert!(matches!(refusal(folder.path()), LmError::Vocabulary { largest: 274, .. }));
}

#[test]
fn truncated_weights_are_refused_at_every_length() {
    let path = Path::new("model.safetensors");
    let whole =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/bert/model.safetensors"));
    let whole = whole.expect("weights");
    for length in (0..4000).chain((4000..whole.len()).step_by(997)) {
        let error = read_header(&whole[..length], path).err().expect("a part is not the whole");
        assert!(matches!(error, LmError::Weights { .. }), "{error}");
    }
    assert!(read_header(&whole, path).is_ok());
}

#[test]
fn a_lying_header_is_refused() {
    let path = Path::new("model.safetensors");
    let file = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    };
    for header in [
        r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
        r#"{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}"#,
        r#"{"a":"#,
        "[]",
    ] {
        assert!(read_header(&file(header, 8), path).is_err(), "{header}");
    }
    let mut endless = file("{}", 0);
    endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(read_header(&endless, path).is_err());
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
