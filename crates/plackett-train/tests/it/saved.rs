//! Directories that are written here, against those that transformers writes.
//!
//! They stay in the folder that cargo gives tests (`CARGO_TARGET_TMPDIR`), under `saved`, so that `tools/train/golden.py --check
//! FOLDER` can load them with transformers.
//! Seen with transformers 5.24: no weight is missing or too many, and logits are those of the golden directories themselves to
//! every printed digit (bert −0.10551; llama … 0.55557, 0.62070; llama-tied … 2.71823, 4.86118; t5 … −1.69386, 1.14115; t5-gated
//! … −2.08352, 0.88167).

use crate::golden::Golden;
use plackett_train::Parameters;
use plackett_train::nn::{SafetensorsSource, T5, save};
use plackett_train::trainer::{CrossEncoder, LanguageModel};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("saved").join(name)
}

/// Names, shapes and numbers of a model's weights.
fn weights(folder: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.iter().map(|(name, view)| (name.into(), (view.shape().to_vec(), view.data().to_vec()))).collect()
}

fn assert_same(saved: &Path, golden: &Golden) {
    let (saved, expected) = (weights(saved), weights(&golden.folder));
    let names = |of: &BTreeMap<String, _>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&saved), names(&expected));
    for (name, (shape, bytes)) in &expected {
        assert_eq!(&saved[name].0, shape, "`{name}`");
        assert!(&saved[name].1 == bytes, "`{name}` has other numbers");
    }
}

#[test]
fn a_cross_encoder_is_saved_as_transformers_saves_it() {
    let golden = Golden::read("bert");
    let mut parameters = Parameters::default();
    let folder = golden.with_tokenizer("parity/bert-cross");
    let mut model = CrossEncoder::open(folder.path(), &mut parameters, 32, 0).unwrap();
    model.save(&target("bert"), &parameters).unwrap();
    assert_same(&target("bert"), &golden);
}

#[test]
fn language_models_are_saved_as_transformers_saves_them() {
    for name in ["llama", "llama-tied"] {
        let golden = Golden::read(name);
        let mut parameters = Parameters::default();
        let folder = golden.with_tokenizer("golden/decoder/llama");
        let mut model = LanguageModel::open(folder.path(), &mut parameters).unwrap();
        model.save(&target(name), &parameters).unwrap();
        assert_same(&target(name), &golden);
    }
}

#[test]
fn an_encoder_decoder_has_the_names_of_transformers() {
    for name in ["t5", "t5-gated"] {
        let golden = Golden::read(name);
        let mut parameters = Parameters::default();
        let config = std::fs::read_to_string(golden.folder.join("config.json")).unwrap();
        let mut source = SafetensorsSource::open(&golden.folder.join("model.safetensors")).unwrap();
        T5::load(&mut parameters, &mut source, &serde_json::from_str(&config).unwrap()).unwrap();
        let folder = target(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), config).unwrap();
        save(&folder.join("model.safetensors"), &parameters, |name| Some(name.into())).unwrap();
        assert_same(&folder, &golden);
    }
}
