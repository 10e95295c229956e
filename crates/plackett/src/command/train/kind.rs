//! The kinds of training, as declarations: which keys ask for one, which it takes and why it refuses the others, and how it goes from
//! files to a model. A kind is a file beside this one and a line in [`KINDS`].

use super::base::{Base, FoundBase};
use super::file::TrainingFile;
use super::keys::{KEYS, Key, Refusal, refuse};
use super::{
    cross_encoder, first_tokens, groups, language, listwise, pointer, rewarded, score_head, unlearn,
};
use crate::command::means::Change;
use crate::command::{Global, Outcome, Output};
use anyhow::{anyhow, bail};
use plackett_train::trainer::{DepthMeasure, Outcome as Learned, StepRecord};
use plackett_train::unlearning::KnownTexts;
use plackett_train::{Compute, TrainError};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// All kinds, in the order in which the help tells of them. Where a file asks for several, the last one is meant.
pub const KINDS: [&Kind; 9] = [
    &cross_encoder::KIND,
    &language::KIND,
    &score_head::KIND,
    &listwise::KIND,
    &first_tokens::KIND,
    &groups::KIND,
    &unlearn::KIND,
    &pointer::KIND,
    &rewarded::KIND,
];

/// A kind of training.
pub struct Kind {
    /// Its paragraph in the help of the command.
    pub help: &'static str,
    /// What its files are like.
    pub form: Form,
}

/// What the files of a kind are like.
pub enum Form {
    /// They have the keys of [`TrainingFile`].
    Shared(Shared),
    /// They have a table of this name, and are read and run by the kind alone: from the text of a training file to the folder of a model.
    Own {
        /// The table.
        table: &'static str,
        /// Runs the command.
        run: RunOfOwn,
    },
}

/// Runs a training with a file of its own form: the file with its text, and the folder of the model.
pub type RunOfOwn = fn((&Path, &str), &Path, &Global, &Output) -> Outcome;

/// A kind whose files have the keys of [`TrainingFile`].
pub struct Shared {
    /// Keys that it takes beside those that all take (`base`, `examples`, `validation`, `method`, `objective`, `[settings]`).
    pub takes: &'static [Key],
    /// The other keys, and values of these, with the reason.
    pub refuses: &'static [Refusal],
    /// Keys of this kind alone, with what is said to whoever gives one to another kind.
    pub own: &'static [Refusal],
    /// Whether a model is opened, beside the one that is trained, that a memory budget bounds.
    pub keeps_memory_budget: bool,
    /// How it goes on.
    pub training: &'static dyn Training,
}

/// How a kind goes from a file to a model.
pub trait Training {
    /// Whether a file asks for it: with a base of this kind, or by its keys alone where the base is not known yet.
    fn is_asked(&self, file: &TrainingFile, base: Option<Base>) -> bool;

    /// Refuses a method and options that do not go with the base.
    ///
    /// # Errors
    /// What is wrong with them, and what to give instead.
    fn check_method(&self, _file: &TrainingFile, _base: Base) -> anyhow::Result<()> {
        Ok(())
    }

    /// Fills in what is not said.
    fn fill(&self, file: &mut TrainingFile);

    /// Checks everything that can be wrong before a model is opened.
    ///
    /// # Errors
    /// The setting, and what is expected.
    fn check(&self, file: &TrainingFile) -> Result<(), TrainError>;

    /// The base that a file names.
    ///
    /// # Errors
    /// It is not here, or cannot be trained.
    fn find_base(&self, file: &TrainingFile, global: &Global) -> anyhow::Result<FoundBase> {
        FoundBase::named(&file.base, global)
    }

    /// What tells the base from others of its name.
    ///
    /// # Errors
    /// It has none that can be trained.
    fn fingerprint(&self, file: &TrainingFile, base: &FoundBase, _global: &Global) -> anyhow::Result<String> {
        base.fingerprint(&file.base)
    }

    /// Reads what is learned from.
    ///
    /// # Errors
    /// A file or record that nothing can be learned from.
    fn read(&self, source: &Source<'_>) -> anyhow::Result<Box<dyn Prepared>>;
}

/// What is read, and by which settings.
pub struct Source<'a> {
    /// The training file, checked and filled in.
    pub file: &'a TrainingFile,
    /// The examples.
    pub examples: &'a Path,
    /// Those that are held out.
    pub validation: Option<&'a Path>,
    /// Those that are to be forgotten.
    pub forget: Option<&'a Path>,
    /// The base.
    pub base: &'a Path,
    /// What tells it from others of its name.
    pub fingerprint: &'a str,
    /// Flags of all commands.
    pub global: &'a Global,
    /// Where is told what is left out.
    pub output: &'a Output,
}

/// A training that has read everything it learns from.
pub trait Prepared {
    /// What comes out.
    fn model(&self) -> &'static str;

    /// What that does, in a sentence.
    fn does(&self) -> String;

    /// A command that uses the model of a folder.
    fn next(&self, model: &str) -> String;

    /// What is read, as one and as several are called, and how much of it there is.
    fn count(&self) -> ([&'static str; 2], usize);

    /// What a batch is made of, in the plural, and the objective.
    fn learns(&self) -> (&'static str, &str);

    /// What tells the examples, as they are shown, from those of other methods and prompts; `None` where files and settings do.
    fn fingerprint(&self) -> Option<[String; 2]> {
        None
    }

    /// The tokens of a text that are asked for; `None` where a method or another model cuts texts.
    fn tokens(&self) -> Option<usize> {
        None
    }

    /// Trains.
    ///
    /// # Errors
    /// As the job of the kind.
    fn learn(&self, run: Run<'_>) -> anyhow::Result<(Learned, Measured)>;

    /// Tells scripts what this kind alone has to tell.
    fn tell(&self, _measured: &Measured, _document: &mut Value) {}
}

/// Where and with what a training runs.
pub struct Run<'a> {
    /// The base.
    pub base: &'a Path,
    /// The folder of the log and the checkpoints, and that of the model.
    pub places: (&'a Path, &'a Path),
    /// What tells this training from all others.
    pub identity: &'a str,
    /// The threads.
    pub compute: &'a Arc<Compute>,
    /// Is told each step, and how many there are.
    pub progress: &'a mut dyn FnMut(&StepRecord, usize),
    /// Flags of all commands.
    pub global: &'a Global,
}

/// What is made of the validation examples beside their loss, before and after.
#[derive(Default)]
pub struct Measured {
    /// By each depth of a decoder of texts.
    pub depths: [Vec<DepthMeasure>; 2],
    /// nDCG@10 of lists, as they are ordered; `None` without lists that have one.
    pub ndcg: Option<Change>,
    /// How well texts are known, where some are forgotten; those of the examples that are learned from are among them.
    pub known: Vec<KnownTexts>,
    /// RichRAG's `div` of lists that are to cover the sides of a question.
    pub div: Option<Change>,
}

impl Measured {
    /// The change of the nDCG@10 that a training has measured by itself.
    pub fn of_lists(learned: &Learned) -> Measured {
        let ndcg = learned.ndcg.as_ref().map(|[before, after]| Change::of_pairs(before, after));
        Measured { ndcg, ..Measured::default() }
    }

    /// Tells scripts of texts that were cut, and of the orders of lists.
    pub fn tell_lists(&self, cut: usize, document: &mut Value) {
        document["cut"] = cut.into();
        self.tell_ndcg(document);
    }

    /// Tells scripts of the orders of lists.
    pub fn tell_ndcg(&self, document: &mut Value) {
        document["ndcg"] = json!(self.ndcg.as_ref().map(|ndcg| [ndcg.before, ndcg.after]));
        document["ndcg_change"] = json!(self.ndcg);
    }
}

/// A command that ranks with a method and a model.
pub fn rerank_with(method: &str, model: &str) -> String {
    let quote = if method.contains(['(', ' ']) { "'" } else { "" };
    format!("rerank --method {quote}{method}{quote} --model {model} requests.jsonl")
}

/// The kinds with the keys of [`TrainingFile`].
fn shared() -> impl DoubleEndedIterator<Item = &'static Shared> {
    KINDS.into_iter().filter_map(|kind| match &kind.form {
        Form::Shared(shared) => Some(shared),
        Form::Own { .. } => None,
    })
}

/// What runs a training whose file, of this text, has a table that makes it one of its own form. A text that is no TOML is left to whoever
/// reads the others.
pub fn run_of_own(text: &str) -> Option<RunOfOwn> {
    let file = toml::from_str::<toml::Table>(text).ok()?;
    KINDS.into_iter().find_map(|kind| match &kind.form {
        Form::Own { table, run } if file.contains_key(*table) => Some(*run),
        _ => None,
    })
}

impl Shared {
    /// The kind that a file asks for, of a base of this kind, or by its keys alone.
    ///
    /// # Errors
    /// There is none.
    pub fn asked(file: &TrainingFile, base: Option<Base>) -> anyhow::Result<&'static Shared> {
        let asked = shared().rev().find(|kind| kind.training.is_asked(file, base));
        asked.ok_or_else(|| anyhow!("base {}: nothing can be trained of it with these keys", file.base))
    }

    fn takes(&self, key: &Key) -> bool {
        self.takes.iter().any(|taken| taken.name == key.name)
    }

    /// Refuses what this kind does not take, and fills in what is not said.
    ///
    /// # Errors
    /// The first key that is refused, and why.
    pub fn settle(&self, file: &mut TrainingFile, base: Base) -> anyhow::Result<()> {
        refuse(file, shared().flat_map(|kind| kind.own).filter(|(key, _)| !self.takes(key)))?;
        self.training.check_method(file, base)?;
        refuse(file, self.refuses)?;
        if let Some(key) = KEYS.iter().find(|key| (key.is_given)(file) && !self.takes(key)) {
            bail!("{}: changes nothing in this training; leave it out", key.name);
        }
        self.training.fill(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_takes_a_key_or_says_why_not() {
        for (at, kind) in shared().enumerate() {
            for key in KEYS {
                let is_refused = kind.refuses.iter().any(|(refused, _)| refused.name == key.name);
                assert!(kind.takes(&key) || is_refused, "kind {at}: {}", key.name);
            }
            assert!(kind.own.iter().all(|(key, _)| kind.takes(key)), "kind {at}: a key of its own");
        }
    }

    #[test]
    fn a_window_of_pairs_is_refused_whatever_method_is_named() {
        for method in ["", "method = \"cross-encoder\""] {
            let text = format!("base = \"b\"\nexamples = \"e\"\nwindow = 4\n{method}");
            let mut file: TrainingFile = toml::from_str(&text).unwrap();
            let kind = Shared::asked(&file, Some(Base::Decoder)).unwrap();
            let refused = kind.settle(&mut file, Base::Decoder).unwrap_err().to_string();
            assert!(refused.contains("window: ") && refused.contains("a listwise `method`"), "{refused}");
        }
    }

    #[test]
    fn files_ask_for_one_kind() {
        let asked = |rest: &str, base: Option<Base>| {
            let file = format!("base = \"b\"\nexamples = \"e\"\n{rest}");
            let file: TrainingFile = toml::from_str(&file).unwrap();
            let asked: Vec<usize> = shared()
                .enumerate()
                .filter(|(_, kind)| kind.training.is_asked(&file, base))
                .map(|(at, _)| at)
                .collect();
            asked.last().copied()
        };
        let (encoder, decoder, both) = (Some(Base::Encoder), Some(Base::Decoder), Some(Base::EncoderDecoder));
        for (rest, base, at) in [
            ("", None, 0),
            ("", encoder, 0),
            ("depths = [2]", None, 1),
            ("", decoder, 1),
            ("method = \"cross-encoder\"", None, 2),
            ("method = \"cross-encoder\"", encoder, 2),
            ("method = \"first\"", None, 3),
            ("method = \"mono-t5\"", decoder, 3),
            ("method = \"mono-t5\"", None, 4),
            ("", both, 4),
            ("method = \"cross-encoder\"", both, 4),
            ("method = \"tsprank\"", both, 5),
            ("method = \"tsprank\"", None, 5),
            ("forget = \"f\"", None, 6),
            ("forget = \"f\"", decoder, 6),
            ("[pointer]", None, 7),
            ("[pointer]\nk = 5", decoder, 7),
        ] {
            assert_eq!(asked(rest, base), Some(at), "{rest} {base:?}");
        }
    }
}
