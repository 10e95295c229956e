//! `plackett train` of an encoder without a `method`: a cross-encoder on queries with labelled candidates.

use super::base::Base;
use super::file::TrainingFile;
use super::keys::{
    DEPTHS, EXIT_HEADS, LAYERS, NEGATIVES, NO_DEPTHS, NO_ORDERS_WITHOUT_LISTS, NO_WINDOW_WITHOUT_LISTS,
    TOKENS, TRAINED,
};
use super::kind::{Form, Kind, Measured, Prepared, Run, Shared, Source, Training};
use super::labelled_lists::read_lists;
use plackett_train::TrainError;
use plackett_train::trainer::{Outcome as Learned, RankingExample, RankingJob};
use serde_json::Value;

/// Why keys of decoders are refused.
const OF_DECODERS: &str = "is for decoders, and {base} is none; leave it out, or give a Llama";

/// The kind.
pub const KIND: Kind = Kind {
    help: "The file says what is trained and how:\n\n  base = \"all-MiniLM-L6-v2\"     # a model's name or folder\n  examples = \"train.jsonl\"      # {\"query\": …, \"candidates\": [{\"text\": …, \"label\": 1}, …]}\n  \
           validation = \"dev.jsonl\"      # may be left out\n  negatives = 4                 # candidates of label 0 for each other one, at most\n  \
           objective = \"bce\"             # docs/objectives.md has all\n  tokens = 128                  # most tokens of a query with a candidate\n\n  \
           [trained]\n  adapter = \"lora(rank=8)\"      # or full, or head; docs/adapters.md has all\n  targets = \"query,value\"       # or all\n  \
           save_adapter = true           # the adapter alone too, as PEFT saves it, in DIR/adapter\n\n  \
           [settings]\n  epochs = 1\n  batch = 8                     # queries\n  rate = 1e-3",
    form: Form::Shared(Shared {
        takes: &[NEGATIVES, TOKENS, TRAINED],
        refuses: &[
            NO_WINDOW_WITHOUT_LISTS,
            NO_ORDERS_WITHOUT_LISTS,
            NO_DEPTHS,
            (DEPTHS, OF_DECODERS),
            (LAYERS, OF_DECODERS),
            (EXIT_HEADS, OF_DECODERS),
        ],
        own: &[],
        keeps_memory_budget: false,
        training: &CrossEncoderTraining,
    }),
};

struct CrossEncoderTraining;

impl Training for CrossEncoderTraining {
    fn is_asked(&self, file: &TrainingFile, _base: Option<Base>) -> bool {
        file.method.is_none()
    }

    fn fill(&self, file: &mut TrainingFile) {
        fill(file);
    }

    fn check(&self, file: &TrainingFile) -> Result<(), TrainError> {
        job(file, None).check()
    }

    fn read(&self, source: &Source<'_>) -> anyhow::Result<Box<dyn Prepared>> {
        Ok(Box::new(PairTraining::read(job(source.file, None), source)?))
    }
}

/// Fills in what is not said of a training on pairs.
pub fn fill(file: &mut TrainingFile) {
    let usual = RankingJob::default();
    file.objective.get_or_insert(usual.objective);
    file.tokens.get_or_insert(usual.tokens);
}

/// The training of a file; `prompt` is the name of that in which a decoder reads pairs.
pub fn job(file: &TrainingFile, prompt: Option<String>) -> RankingJob {
    let usual = RankingJob::default();
    RankingJob {
        objective: file.objective.clone().unwrap_or(usual.objective),
        tokens: file.tokens.unwrap_or(usual.tokens),
        trained: file.trained.clone(),
        separate_layers: None,
        prompt,
        settings: file.settings.clone(),
    }
}

/// A training on pairs of a query and a candidate.
pub struct PairTraining {
    job: RankingJob,
    lists: Vec<RankingExample>,
    held: Vec<RankingExample>,
}

impl PairTraining {
    /// Reads lists.
    ///
    /// # Errors
    /// A record without candidates, or no query to learn from.
    pub fn read(job: RankingJob, source: &Source<'_>) -> anyhow::Result<PairTraining> {
        let (lists, held) = read_lists(source)?;
        Ok(PairTraining { job, lists, held })
    }
}

impl Prepared for PairTraining {
    fn model(&self) -> &'static str {
        "cross-encoder"
    }

    fn does(&self) -> String {
        "It scores a query with a document; a greater score is better.".into()
    }

    fn next(&self, model: &str) -> String {
        format!("rerank --method cross-encoder --model {model} requests.jsonl")
    }

    fn count(&self) -> ([&'static str; 2], usize) {
        (["query", "queries"], self.lists.len())
    }

    fn learns(&self) -> (&'static str, &str) {
        ("lists", self.job.objective.as_str())
    }

    fn tokens(&self) -> Option<usize> {
        Some(self.job.tokens)
    }

    fn learn(&self, run: Run<'_>) -> anyhow::Result<(Learned, Measured)> {
        let examples = (self.lists.as_slice(), self.held.as_slice());
        let learned =
            self.job.run(run.base, examples, run.places, run.identity, run.compute, run.progress)?;
        let measured = Measured::of_lists(&learned);
        Ok((learned, measured))
    }

    fn tell(&self, measured: &Measured, document: &mut Value) {
        measured.tell_ndcg(document);
    }
}
