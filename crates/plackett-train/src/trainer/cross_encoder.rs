//! Cross-encoders: a score for a query and a document that are read together (Nogueira and Cho, Passage re-ranking with
//! BERT, 2019).

use super::bert_files::{self, OTHER_FILES, copy_files, open_tokenizer, read_config, write_json};
use super::examples::RankingExample;
use super::labelled_lists::{LabelledList, check_lists, lists_loss};
use super::list_ndcg::ScoredLists;
use super::{EncodedPair, PairModel, StepLoss, Task};
use crate::TrainError;
use crate::adapter::Adaptable;
use crate::nn::{self, Bert, Initializer, Linear, Mode, SafetensorsSource, TokenBatch, WeightSource};
use crate::objective::Term;
use crate::tape::{Compute, Parameters, Tape, Var};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokenizers::Tokenizer;

/// The key of `config.json` for [`Bert::separate_layers`]: such a model is read by this engine alone.
const SEPARATE_LAYERS: &str = "separate_layers";

/// A BERT with one score.
pub struct CrossEncoder {
    /// The encoder.
    pub bert: Bert,
    /// From the pooled vector to the score.
    pub classifier: Linear,
    tokenizer: Tokenizer,
    directory: PathBuf,
    config: Value,
    /// What names of parameters begin with that the base model did not have.
    new: Vec<&'static str>,
    /// Most tokens of a pair.
    most: usize,
}

impl CrossEncoder {
    /// Opens a BERT of Hugging Face's layout, an encoder or a cross-encoder. What it lacks (pooler, classifier) is drawn by the
    /// seed. Pairs are cut to `most` tokens, the longer text first.
    ///
    /// # Errors
    /// A file is missing or damaged, or the model is of another family.
    pub fn open(
        directory: &Path,
        parameters: &mut Parameters,
        most: usize,
        seed: u64,
    ) -> Result<CrossEncoder, TrainError> {
        let (config, shape) = read_config(directory)?;
        if shape.type_vocab_size < 2 {
            let problem = "type_vocab_size is below 2, and a pair of texts needs two segments".into();
            return Err(TrainError::Form { path: directory.join("config.json"), problem });
        }
        let mut source =
            SafetensorsSource::open(&directory.join("model.safetensors"))?.without_prefix("bert.");
        let has_head = source.has("classifier.weight");
        let has_pooler = source.has("bert.pooler.dense.weight") || source.has("pooler.dense.weight");
        let mut bert = Bert::load(parameters, &mut source, &shape, "bert.", has_pooler)?;
        let mut new = Initializer::new(seed);
        let width = shape.hidden_size;
        if !has_pooler {
            let name = "bert.pooler.dense";
            bert.pooler = Some(Linear::load(parameters, &mut new, name, (width, width), true)?);
        }
        let separate = config[SEPARATE_LAYERS].as_u64().unwrap_or(0) as usize;
        keep_apart(&mut bert, separate).map_err(|error| TrainError::Form {
            path: directory.join("config.json"),
            problem: error.to_string(),
        })?;
        let head: &mut dyn WeightSource = if has_head { &mut source } else { &mut new };
        let classifier = Linear::load(parameters, head, "classifier", (1, width), true)?;
        let most = most.min(shape.max_position_embeddings);
        let tokenizer = open_tokenizer(directory, most)?;
        let fresh = [(has_head, "classifier."), (has_pooler, "bert.pooler.")];
        let new = fresh.into_iter().filter(|(had, _)| !had).map(|(_, name)| name).collect();
        Ok(CrossEncoder { bert, classifier, tokenizer, directory: directory.into(), config, new, most })
    }

    /// Keeps the two texts of a pair apart in the first `layers` layers, as [`Bert::separate_layers`] says.
    ///
    /// # Errors
    /// The model has fewer layers.
    pub fn keep_apart(&mut self, layers: usize) -> Result<(), TrainError> {
        keep_apart(&mut self.bert, layers)
    }

    /// Whether a parameter is part of the head: the classifier, and the pooler where the base model had none.
    pub fn is_head(&self, name: &str) -> bool {
        name.starts_with("classifier.") || self.new.iter().any(|new| name.starts_with(new))
    }

    /// Most tokens of a pair; what is more is cut.
    pub fn most_tokens(&self) -> usize {
        self.most
    }

    /// The linear layers of its encoder, which adapters are added to.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.bert.linears_mut()
    }

    /// The id of a token; `None` where the tokeniser has none of that name.
    pub fn token(&self, name: &str) -> Option<u32> {
        self.tokenizer.token_to_id(name)
    }

    /// One text as tokens, with those that mark its beginning and end; whether it had more.
    ///
    /// # Errors
    /// It cannot be split into tokens.
    pub fn tokens(&self, text: &str) -> Result<(Vec<u32>, bool), TrainError> {
        let own = (&*self.directory, self.bert.config.vocab_size);
        let encoded = bert_files::encode(&self.tokenizer, text, own)?;
        Ok((encoded.get_ids().to_vec(), !encoded.get_overflowing().is_empty()))
    }

    /// Scores of pairs of a query and a text, without training.
    ///
    /// # Errors
    /// A text cannot be split into tokens.
    pub fn scores(
        &self,
        compute: &Arc<Compute>,
        parameters: &Parameters,
        pairs: &[(&str, &str)],
    ) -> Result<Vec<f32>, TrainError> {
        Ok(self.scores_and_cut(compute, parameters, pairs)?.0)
    }

    /// The same, and how many of the pairs had more tokens than are read.
    ///
    /// # Errors
    /// A text cannot be split into tokens.
    pub fn scores_and_cut(
        &self,
        compute: &Arc<Compute>,
        parameters: &Parameters,
        pairs: &[(&str, &str)],
    ) -> Result<(Vec<f32>, usize), TrainError> {
        let encoded =
            pairs.iter().map(|(query, text)| self.encode(query, text)).collect::<Result<Vec<_>, _>>()?;
        if encoded.is_empty() {
            return Ok((Vec::new(), 0));
        }
        let tape = Tape::inference(parameters, compute);
        let pairs: Vec<&EncodedPair> = encoded.iter().collect();
        let scores = self.scores_of(&tape, &pairs, Mode::default()).0.value.to_vec();
        Ok((scores, encoded.iter().filter(|pair| pair.is_cut).count()))
    }

    /// Writes a directory that the inference engine and Hugging Face's libraries read, with adapters merged.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&mut self, folder: &Path, parameters: &Parameters) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
        let merged = nn::merged(parameters, self.bert.linears_mut());
        let layers: Vec<String> = self.bert.linears_mut().map(|linear| linear.name.clone()).collect();
        let is_own = |name: &str| {
            let is_models = name.starts_with("bert.") || name.starts_with("classifier.");
            is_models && !name.contains("adapter") && !nn::is_added(name, &layers)
        };
        nn::save(&folder.join("model.safetensors"), &merged, |name| is_own(name).then(|| name.to_string()))?;
        let mut config = self.config.clone();
        config["architectures"] = json!(["BertForSequenceClassification"]);
        config["id2label"] = json!({"0": "LABEL_0"});
        config["label2id"] = json!({"LABEL_0": 0});
        match self.bert.separate_layers {
            // A base that has none keeps the configuration that it had.
            0 => drop(config.as_object_mut().and_then(|config| config.remove(SEPARATE_LAYERS))),
            layers => config[SEPARATE_LAYERS] = json!(layers),
        }
        write_json(&folder.join("config.json"), &config)?;
        copy_files(&self.directory, folder, &OTHER_FILES)
    }
}

impl PairModel for CrossEncoder {
    fn encode(&self, query: &str, text: &str) -> Result<EncodedPair, TrainError> {
        let own = (&*self.directory, self.bert.config.vocab_size);
        let encoded = bert_files::encode(&self.tokenizer, (query, text), own)?;
        let first = encoded.get_type_ids().iter().filter(|kind| **kind == 0).count();
        let is_cut = !encoded.get_overflowing().is_empty();
        Ok(EncodedPair { tokens: encoded.get_ids().to_vec(), first, is_cut })
    }

    fn scores_of(&self, tape: &Tape, pairs: &[&EncodedPair], mode: Mode) -> (Var, usize) {
        let batch = TokenBatch::pairs(pairs.iter().map(|pair| pair.tokens.split_at(pair.first)));
        let hidden = self.bert.forward(tape, &batch, mode);
        let pooled = self.bert.pooled(tape, &hidden, &batch);
        (self.classifier.forward(tape, &pooled, None), batch.tokens.len())
    }

    fn is_head(&self, name: &str) -> bool {
        CrossEncoder::is_head(self, name)
    }

    fn most_tokens(&self) -> usize {
        CrossEncoder::most_tokens(self)
    }

    fn adaptable(&mut self) -> &mut dyn Adaptable {
        &mut self.bert
    }

    fn save(&mut self, folder: &Path, parameters: &Parameters) -> Result<(), TrainError> {
        CrossEncoder::save(self, folder, parameters)
    }
}

/// Sets how many of the first layers keep texts apart.
fn keep_apart(bert: &mut Bert, layers: usize) -> Result<(), TrainError> {
    let there = bert.layers.len();
    if layers > there {
        let problem = format!("{layers} layers are to keep texts apart, and the model has {there}");
        return Err(TrainError::Setting(format!(
            "{SEPARATE_LAYERS}: {problem}; give a number from 0 to {there}"
        )));
    }
    bert.separate_layers = layers;
    Ok(())
}

/// Lists of candidates to be ranked by a [`PairModel`], as a [`CrossEncoder`] is one.
pub struct RankingTask<'m> {
    model: &'m dyn PairModel,
    lists: Vec<EncodedList>,
    objective: Vec<Term>,
}

struct EncodedList {
    labelled: LabelledList,
    pairs: Vec<EncodedPair>,
}

impl<'m> RankingTask<'m> {
    /// Splits all texts into tokens, and tries the objective on every list.
    ///
    /// # Errors
    /// A text cannot be split, a list lacks what the objective needs, or none of them can teach it.
    pub fn new(
        model: &'m dyn PairModel,
        examples: &[RankingExample],
        objective: Vec<Term>,
    ) -> Result<RankingTask<'m>, TrainError> {
        let list = |example: &RankingExample| {
            let pairs =
                example.candidates.iter().map(|candidate| model.encode(&example.query, &candidate.text));
            Ok(EncodedList {
                labelled: LabelledList::new(example),
                pairs: pairs.collect::<Result<_, TrainError>>()?,
            })
        };
        let lists = examples.iter().map(list).collect::<Result<Vec<EncodedList>, TrainError>>()?;
        let labelled: Vec<&LabelledList> = lists.iter().map(|list| &list.labelled).collect();
        check_lists(&objective, &labelled)?;
        Ok(RankingTask { model, lists, objective })
    }

    /// How many pairs have lost the ends of their texts, and how many there are.
    pub fn cut(&self) -> (usize, usize) {
        let pairs = || self.lists.iter().flat_map(|list| &list.pairs);
        (pairs().filter(|pair| pair.is_cut).count(), pairs().count())
    }
}

impl Task for RankingTask<'_> {
    fn count(&self) -> usize {
        self.lists.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn describe(&self, example: usize) -> String {
        self.lists[example].labelled.describe()
    }

    fn is_head(&self, parameter: &str) -> bool {
        self.model.is_head(parameter)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let lists: Vec<&EncodedList> = examples.iter().map(|at| &self.lists[*at]).collect();
        let pairs: Vec<&EncodedPair> = lists.iter().flat_map(|list| &list.pairs).collect();
        let (scores, tokens) = self.model.scores_of(tape, &pairs, mode);
        let labelled: Vec<&LabelledList> = lists.iter().map(|list| &list.labelled).collect();
        lists_loss(tape, &self.objective, &scores, (&labelled, tokens))
    }
}

impl ScoredLists for RankingTask<'_> {
    fn labelled(&self, example: usize) -> &LabelledList {
        &self.lists[example].labelled
    }

    fn scores(&self, tape: &Tape, examples: &[usize]) -> Vec<f32> {
        let pairs: Vec<&EncodedPair> = examples.iter().flat_map(|at| &self.lists[*at].pairs).collect();
        self.model.scores_of(tape, &pairs, Mode::default()).0.value.to_vec()
    }
}
