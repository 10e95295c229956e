//! `plackett train` of an encoder–decoder with a `method`: the prompts that the method shows of each candidate, and what it reads of the
//! first token of an answer.

use super::training_file::TrainingFile;
use super::{Global, Output};
use anyhow::{Context, anyhow, bail};
use plackett::listwise_examples::method_of;
use plackett::pipeline::Models;
use plackett_core::{Document, Query, RankRequest};
use plackett_lm::sha256::Sha256;
use plackett_rank::training_example::{FirstTokenExampleBuilder, TrainingExampleError};
use plackett_train::trainer::{FirstToken, PromptedList, RankingExample};
use std::path::Path;

/// What an encoder–decoder learns from, in tokens.
pub struct FirstTokenData {
    method: String,
    /// Lists to learn from.
    pub taught: Vec<PromptedList>,
    /// Lists whose loss is told.
    pub held: Vec<PromptedList>,
    /// What of the first token is the score.
    pub read: FirstToken,
    /// Texts that were cut to fit their prompts.
    pub cut: usize,
}

impl FirstTokenData {
    /// Makes the prompts of lists; says how many texts were cut.
    ///
    /// # Errors
    /// A model that cannot be opened, a method that it cannot be taught, or a list that the method does not read whole.
    pub fn make(
        file: &TrainingFile,
        (lists, held_lists): (&[RankingExample], &[RankingExample]),
        base: &Path,
        global: &Global,
        output: &Output,
    ) -> anyhow::Result<FirstTokenData> {
        let method = file.method.clone().unwrap_or_default();
        let builder = builder(&method, base, global)?;
        let taught = prompted(&builder, lists, output)?;
        let held = prompted(&builder, held_lists, output).context("validation")?;
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
        Ok(FirstTokenData { method, taught: taught.lists, held: held.lists, read, cut })
    }

    /// The method, with its options.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// SHA-256 of all tokens that are read, of the lists to learn from and of the others: it changes with the prompt of the method, too.
    pub fn fingerprint(&self) -> [String; 2] {
        let read = self.read.tokens();
        [&self.taught, &self.held].map(|lists| {
            let mut hash = Sha256::new();
            for part in lists.iter().flat_map(PromptedList::prompts).chain([&read]) {
                hash.update((part.len() as u64).to_le_bytes());
                part.iter().for_each(|token| hash.update(token.to_le_bytes()));
            }
            hash.hex_digest()
        })
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
