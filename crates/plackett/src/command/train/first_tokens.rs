//! `plackett train` of an encoder–decoder with a `method`: the prompts that the method shows of each candidate, and what it reads of the
//! first token of an answer.

use super::base::Base;
use super::file::TrainingFile;
use super::keys::{DEPTHS, EXIT_HEADS, LAYERS, NEGATIVES, ORDERS, TOKENS, TRAINED, WINDOW};
use super::kind::{Form, Kind, Measured, Prepared, Run, Shared, Source, Training, rerank_with};
use super::labelled_lists::read_lists;
use crate::command::{Global, Output};
use anyhow::{Context, anyhow, bail};
use plackett::listwise_examples::method_of;
use plackett::pipeline::Models;
use plackett_core::{Document, Query, RankRequest};
use plackett_lm::sha256::Sha256;
use plackett_rank::training_example::{
    FirstTokenExampleBuilder, TAUGHT_FIRST_TOKENS, TrainingExampleError, teaches_first_token,
};
use plackett_train::TrainError;
use plackett_train::trainer::{FirstToken, FirstTokenJob, Outcome as Learned, PromptedList, RankingExample};
use serde_json::Value;
use std::path::Path;

/// The kind.
pub const KIND: Kind = Kind {
    help: "With a T5 as base and the `method` \"mono-t5\" or \"rank-t5\", it learns to score each candidate by the\n\
           first token of its answer.",
    form: Form::Shared(Shared {
        takes: &[NEGATIVES, TRAINED],
        refuses: &[
            (
                WINDOW,
                "is not for the training of an encoder–decoder: candidates are read alone; `negatives` says how many there are; \
                 leave it out",
            ),
            (
                ORDERS,
                "is not for the training of an encoder–decoder: candidates are read alone, so that they have no order; leave it out",
            ),
            (
                TOKENS,
                "is not for the training of an encoder–decoder: the method says how texts are cut, as `mono-t5(tokens=300)`; leave \
                 it out",
            ),
            (
                DEPTHS,
                "is not for the training of an encoder–decoder: the first token is read after the last layer; leave it out",
            ),
            (
                LAYERS,
                "is not for the training of an encoder–decoder: a whole encoder–decoder learns; leave it out",
            ),
            (EXIT_HEADS, "is not for the training of an encoder–decoder: it is for decoders; leave it out"),
        ],
        own: &[],
        keeps_memory_budget: false,
        training: &FirstTokenTraining,
    }),
};

/// Whether a file has a method that an encoder–decoder learns.
pub fn is_method_of(file: &TrainingFile) -> bool {
    file.method_spec().is_some_and(teaches_first_token)
}

struct FirstTokenTraining;

impl Training for FirstTokenTraining {
    fn is_asked(&self, file: &TrainingFile, base: Option<Base>) -> bool {
        base.map_or_else(|| is_method_of(file), |base| base == Base::EncoderDecoder)
    }

    fn check_method(&self, file: &TrainingFile, _base: Base) -> anyhow::Result<()> {
        let (base, methods) = (&file.base, TAUGHT_FIRST_TOKENS.join(" or "));
        let Some(method) = &file.method else {
            bail!(
                "method: {base} is an encoder–decoder, which learns to answer a method of reranking; name {methods}, or give a BERT as \
                 `base` for a cross-encoder, or a Llama for texts"
            );
        };
        if !is_method_of(file) {
            bail!(
                "method: {base} is an encoder–decoder, which learns {methods}, and `{method}` is neither; name one of these, or give a \
                 Llama as `base`"
            );
        }
        Ok(())
    }

    fn fill(&self, file: &mut TrainingFile) {
        file.objective = Some(file.objective_of_method());
    }

    fn check(&self, file: &TrainingFile) -> Result<(), TrainError> {
        job(file).check()
    }

    fn read(&self, source: &Source<'_>) -> anyhow::Result<Box<dyn Prepared>> {
        Ok(Box::new(FirstTokenData::read(source)?))
    }
}

/// The training of a file.
fn job(file: &TrainingFile) -> FirstTokenJob {
    FirstTokenJob {
        objective: file.objective_of_method(),
        trained: file.trained.clone(),
        settings: file.settings.clone(),
    }
}

/// What an encoder–decoder learns from, in tokens.
struct FirstTokenData {
    job: FirstTokenJob,
    method: String,
    /// Lists to learn from.
    taught: Vec<PromptedList>,
    /// Lists whose loss is told.
    held: Vec<PromptedList>,
    /// What of the first token is the score.
    read: FirstToken,
    /// Texts that were cut to fit their prompts.
    cut: usize,
}

impl FirstTokenData {
    /// Reads lists and makes their prompts; says how many texts were cut.
    ///
    /// # Errors
    /// A model that cannot be opened, a method that it cannot be taught, or a list that the method does not read whole.
    fn read(source: &Source<'_>) -> anyhow::Result<FirstTokenData> {
        let (file, output) = (source.file, source.output);
        let (lists, held_lists) = read_lists(source)?;
        let method = file.method.clone().unwrap_or_default();
        let builder = builder(&method, source.base, source.global)?;
        let taught = prompted(&builder, &lists, output)?;
        let held = prompted(&builder, &held_lists, output).context("validation")?;
        let read = match taught.labels[..] {
            [token] => FirstToken::Logit(token),
            [good, bad] => FirstToken::Words { good, bad },
            _ => bail!("method: {method} reads {} labels, and one or two are expected", taught.labels.len()),
        };
        let cut = taught.cut + held.cut;
        if cut > 0 {
            let all = taught.lists.iter().chain(&held.lists).map(|list| list.prompts().len()).sum::<usize>();
            output.warn(&format!("{cut} texts of {all} prompts were cut, as the method cuts them"));
        }
        Ok(FirstTokenData { job: job(file), method, taught: taught.lists, held: held.lists, read, cut })
    }
}

impl Prepared for FirstTokenData {
    fn model(&self) -> &'static str {
        "pointwise reranker"
    }

    fn does(&self) -> String {
        format!("It scores a passage for a query, asked by the method `{}`.", self.method)
    }

    fn next(&self, model: &str) -> String {
        rerank_with(&self.method, model)
    }

    fn count(&self) -> ([&'static str; 2], usize) {
        (["query", "queries"], self.taught.len())
    }

    fn learns(&self) -> (&'static str, &str) {
        ("lists", self.job.objective.as_str())
    }

    /// SHA-256 of all tokens that are read, of the lists to learn from and of the others: it changes with the prompt of the method, too.
    fn fingerprint(&self) -> Option<[String; 2]> {
        let read = self.read.tokens();
        let lists = [&self.taught, &self.held].map(|lists| {
            let mut hash = Sha256::new();
            for part in lists.iter().flat_map(PromptedList::prompts).chain([&read]) {
                hash.update((part.len() as u64).to_le_bytes());
                part.iter().for_each(|token| hash.update(token.to_le_bytes()));
            }
            hash.hex_digest()
        });
        Some(lists)
    }

    fn learn(&self, run: Run<'_>) -> anyhow::Result<(Learned, Measured)> {
        let lists = (self.taught.as_slice(), self.held.as_slice(), self.read);
        let learned = self.job.run(run.base, lists, run.places, run.identity, run.compute, run.progress)?;
        let measured = Measured::of_lists(&learned);
        Ok((learned, measured))
    }

    fn tell(&self, measured: &Measured, document: &mut Value) {
        measured.tell_lists(self.cut, document);
    }
}

/// Lists as they are learned.
#[derive(Default)]
struct Prompted {
    lists: Vec<PromptedList>,
    /// The tokens that are read, the same for all lists.
    labels: Vec<u32>,
    cut: usize,
}

impl Prompted {
    /// Adds the prompts of a list.
    fn add(&mut self, builder: &FirstTokenExampleBuilder, list: &RankingExample) -> anyhow::Result<()> {
        let texts = list.candidates.iter().map(|candidate| &candidate.text).enumerate();
        let documents = texts.map(|(at, text)| Document::new(at.to_string(), text));
        // Called by its words, which is how messages name it.
        let request = RankRequest::new(Query::new(&list.query, &list.query), documents);
        let example = builder.example(&request).map_err(|error| match error {
            TrainingExampleError::Rank(error) => anyhow!("{error}"),
            error => anyhow!("query `{}`: {error}", list.query),
        })?;
        self.cut += example.cut;
        self.labels = example.labels;
        self.lists.push(PromptedList::new(list, example.prompts)?);
        Ok(())
    }
}

/// The prompts of lists.
fn prompted(
    builder: &FirstTokenExampleBuilder,
    lists: &[RankingExample],
    output: &Output,
) -> anyhow::Result<Prompted> {
    let bar = output.progress("prompts", lists.len() as u64);
    let mut all = Prompted::default();
    let made = lists.iter().try_for_each(|list| {
        bar.inc(1);
        all.add(builder, list)
    });
    bar.finish_and_clear();
    made?;
    Ok(all)
}

/// What makes prompts for the model of a folder.
fn builder(method: &str, folder: &Path, global: &Global) -> anyhow::Result<FirstTokenExampleBuilder> {
    // From here on a folder, whatever a name like its own may stand for.
    let folder = std::path::absolute(folder).with_context(|| folder.display().to_string())?;
    let models = Models::new(Some(folder.to_string_lossy().into_owned()), global.models());
    let language = models.reranker(None)?.language_model().map_err(anyhow::Error::msg)?;
    let (method, options) = method_of(method).map_err(anyhow::Error::msg)?;
    let options: Vec<(&str, &str)> =
        options.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    FirstTokenExampleBuilder::new(language, method, &options).map_err(|error| anyhow!("method: {error}"))
}
