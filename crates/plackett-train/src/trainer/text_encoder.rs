//! Encoders of texts: one vector for each text, of the vectors of its tokens (Reimers and Gurevych, Sentence-BERT: Sentence embeddings
//! using siamese BERT-networks, 2019).

use super::bert_files::{self, OTHER_FILES, copy_files, open_tokenizer, read_config, read_json, write_json};
use crate::TrainError;
use crate::engine::{Engine, Pooling};
use crate::nn::{self, Bert, Mode, SafetensorsSource, TokenBatch};
use crate::tape::{Compute, Parameters, Tape, Var};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokenizers::Tokenizer;

/// What names of its parameters begin with; in files they have no beginning.
const PREFIX: &str = "bert.";
/// The list of what follows the transformer.
const MODULES: &str = "modules.json";
/// How many tokens are read.
const LIMIT: &str = "sentence_bert_config.json";
/// Texts that are embedded together.
const TOGETHER: usize = 32;

/// A BERT whose pooled token vectors stand for texts.
pub struct TextEncoder {
    /// The encoder.
    pub bert: Bert,
    pooling: Pooling,
    /// The folder of the pooling's configuration, where the model has one.
    pooling_folder: Option<String>,
    tokenizer: Tokenizer,
    directory: PathBuf,
    config: Value,
    /// Most tokens of a text.
    most: usize,
}

impl TextEncoder {
    /// Opens an encoder of sentence-transformers' layout. Texts are cut to `most` tokens, or to as many as it has positions for.
    ///
    /// # Errors
    /// A file is missing or damaged, or the model is of another family or has layers behind its pooling.
    pub fn open(
        directory: &Path,
        parameters: &mut Parameters,
        most: usize,
    ) -> Result<TextEncoder, TrainError> {
        let (config, shape) = read_config(directory)?;
        let (pooling, pooling_folder) = pooling(directory)?;
        let mut source =
            SafetensorsSource::open(&directory.join("model.safetensors"))?.without_prefix(PREFIX);
        let has_pooler = source.has("bert.pooler.dense.weight") || source.has("pooler.dense.weight");
        let bert = Bert::load(parameters, &mut source, &shape, PREFIX, has_pooler)?;
        let most = most.min(shape.max_position_embeddings);
        let tokenizer = open_tokenizer(directory, most)?;
        Ok(TextEncoder {
            bert,
            pooling,
            pooling_folder,
            tokenizer,
            directory: directory.into(),
            config,
            most,
        })
    }

    /// Numbers of a vector.
    pub fn width(&self) -> usize {
        self.bert.config.hidden_size
    }

    /// Most tokens of a text; what is more is cut.
    pub fn most_tokens(&self) -> usize {
        self.most
    }

    /// The id of a token; `None` where the tokenizer has none of that name.
    pub fn token(&self, name: &str) -> Option<u32> {
        self.tokenizer.token_to_id(name)
    }

    /// A text as tokens, with those that mark its beginning and end, cut to `most` and to what the encoder reads; whether it had more.
    ///
    /// # Errors
    /// It cannot be split into tokens, or fewer than three are allowed.
    pub fn tokens(&self, text: &str, most: usize) -> Result<(Vec<u32>, bool), TrainError> {
        let own = (&*self.directory, self.bert.config.vocab_size);
        let encoded = bert_files::encode(&self.tokenizer, text, own)?;
        let mut ids = encoded.get_ids().to_vec();
        let is_cut = !encoded.get_overflowing().is_empty() || ids.len() > most;
        if ids.len() > most {
            // The mark of the end stays at the end.
            let Some((last, kept)) = ids.pop().zip(most.checked_sub(1).filter(|kept| *kept > 1)) else {
                let problem = format!("{most} tokens of a text have no room for a word beside the marks");
                return Err(TrainError::Setting(problem));
            };
            ids.truncate(kept);
            ids.push(last);
        }
        Ok((ids, is_cut))
    }

    /// Vectors of length 1 of some texts: texts × width.
    pub fn embed(&self, tape: &Tape, texts: &[&[u32]], mode: Mode) -> Var {
        let batch = TokenBatch::new(texts.iter().copied());
        let hidden = self.bert.forward(tape, &batch, mode);
        let pooled = tape.pool(&hidden, &batch.sequences, self.pooling);
        // Added under the root so that a vector of zeros has a gradient.
        let squares = tape.shift(&tape.sum_rows(&tape.square(&pooled)), 1e-12);
        tape.over(&pooled, &tape.sqrt(&squares))
    }

    /// The same without training, text by text.
    ///
    /// # Errors
    /// A text cannot be split into tokens.
    pub fn vectors(
        &self,
        compute: &Arc<Compute>,
        parameters: &Parameters,
        texts: &[&str],
    ) -> Result<Vec<Vec<f32>>, TrainError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(TOGETHER) {
            let tokens = texts
                .iter()
                .map(|text| Ok(self.tokens(text, self.most)?.0))
                .collect::<Result<Vec<_>, TrainError>>()?;
            let tokens: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
            let found = self.embed(&Tape::inference(parameters, compute), &tokens, Mode::default());
            vectors.extend(found.value.chunks(self.width()).map(<[f32]>::to_vec));
        }
        Ok(vectors)
    }

    /// Writes a directory that the inference engine and sentence-transformers read, whose texts have at most `most` tokens.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path, parameters: &Parameters, most: usize) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
        nn::save(&folder.join("model.safetensors"), parameters, |name| {
            name.strip_prefix(PREFIX).map(str::to_string)
        })?;
        let mut config = self.config.clone();
        config["architectures"] = json!(["BertModel"]);
        write_json(&folder.join("config.json"), &config)?;
        let path = self.directory.join(LIMIT);
        let mut limit = if path.is_file() { read_json(&path)? } else { json!({ "do_lower_case": false }) };
        limit["max_seq_length"] = json!(most.min(self.bert.config.max_position_embeddings));
        write_json(&folder.join(LIMIT), &limit)?;
        copy_files(&self.directory, folder, &OTHER_FILES)?;
        copy_files(&self.directory, folder, &[MODULES, "config_sentence_transformers.json"])?;
        if let Some(name) = &self.pooling_folder {
            let place = folder.join(name);
            std::fs::create_dir_all(&place).map_err(|source| TrainError::file(&place, source))?;
            copy_files(&self.directory.join(name), &place, &["config.json"])?;
        }
        Ok(())
    }
}

/// How the token vectors of a model become one, and the folder that says so; the mean, where nothing does.
fn pooling(directory: &Path) -> Result<(Pooling, Option<String>), TrainError> {
    let path = directory.join(MODULES);
    if !path.is_file() {
        return Ok((Pooling::Mean, None));
    }
    let modules = read_json(&path)?;
    let mut found = (Pooling::Mean, None);
    for module in modules.as_array().into_iter().flatten() {
        let kind = module["type"].as_str().unwrap_or_default();
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" | "Dropout" | "Normalize" => {}
            "Pooling" => {
                let folder = module["path"].as_str().unwrap_or_default().to_string();
                found = (pooling_of(&directory.join(&folder).join("config.json"))?, Some(folder));
            }
            other => {
                let problem = format!(
                    "the module `{other}` cannot be trained; encoders of Transformer, Pooling and Normalize can"
                );
                return Err(TrainError::Form { path, problem });
            }
        }
    }
    Ok(found)
}

fn pooling_of(path: &Path) -> Result<Pooling, TrainError> {
    let config = read_json(path)?;
    let is_on = |mode: &str, flag: &str| match config["pooling_mode"].as_str() {
        Some(named) => named == mode,
        None => config[flag] == true,
    };
    let modes = [
        (is_on("mean", "pooling_mode_mean_tokens"), Pooling::Mean),
        (is_on("cls", "pooling_mode_cls_token"), Pooling::First),
        (is_on("lasttoken", "pooling_mode_lasttoken"), Pooling::Last),
    ];
    let chosen: Vec<Pooling> = modes.into_iter().filter(|(is_on, _)| *is_on).map(|(_, mode)| mode).collect();
    match chosen[..] {
        [one] => Ok(one),
        _ => Err(TrainError::Form {
            path: path.into(),
            problem: "one pooling mode of mean, cls and lasttoken is expected to be on".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions};

    const TEXTS: [&str; 3] = ["what purrs", "cats purr at night : birds sing", "a fish"];

    fn base() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert")
    }

    #[test]
    fn vectors_are_those_of_the_inference_engine_before_and_after_saving() {
        let mut parameters = Parameters::default();
        let encoder = TextEncoder::open(&base(), &mut parameters, 64).unwrap();
        let compute = Compute::new(1);
        let engine = |folder: &Path, parameters: &Parameters| {
            let ours = encoder.vectors(&compute, parameters, &TEXTS).unwrap();
            let model = EncoderModel::open(folder, &EncoderOptions::default()).unwrap();
            let theirs = model.embed(&TEXTS, &EmbedOptions::default()).unwrap();
            for (ours, theirs) in ours.iter().flatten().zip(&theirs.data) {
                assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
            }
            model.info().max_tokens
        };
        assert_eq!(engine(&base(), &parameters), 128);
        // Other weights, so that it is those that are read.
        parameters.iter_mut().for_each(|(_, parameter)| {
            parameter
                .values_mut()
                .iter_mut()
                .enumerate()
                .for_each(|(at, x)| *x *= 1.0 + (at % 7) as f32 / 20.0)
        });
        let saved = tempfile::tempdir().unwrap();
        encoder.save(saved.path(), &parameters, 150).unwrap();
        assert_eq!(engine(saved.path(), &parameters), 150);
    }

    #[test]
    fn texts_are_cut_before_the_mark_of_their_end() {
        let mut parameters = Parameters::default();
        let encoder = TextEncoder::open(&base(), &mut parameters, 64).unwrap();
        let (whole, is_cut) = encoder.tokens(TEXTS[1], 64).unwrap();
        assert!(!is_cut && whole.len() > 6);
        let (part, is_cut) = encoder.tokens(TEXTS[1], 5).unwrap();
        assert!(is_cut);
        assert_eq!((&part[..4], part[4]), (&whole[..4], whole[whole.len() - 1]));
        assert!(encoder.tokens(TEXTS[1], 2).is_err());
    }

    #[test]
    fn layers_behind_the_pooling_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let modules = r#"[{"path": "", "type": "a.Transformer"}, {"path": "2_Dense", "type": "a.Dense"}]"#;
        std::fs::write(folder.path().join(MODULES), modules).unwrap();
        assert!(pooling(folder.path()).unwrap_err().to_string().contains("the module `Dense`"));
        std::fs::write(folder.path().join("c.json"), r#"{"pooling_mode": "max"}"#).unwrap();
        assert!(pooling_of(&folder.path().join("c.json")).is_err());
    }
}
