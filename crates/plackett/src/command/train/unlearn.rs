//! `plackett train` with texts to `forget`: a decoder unlearns them and keeps others.

use super::base::Base;
use super::file::TrainingFile;
use super::keys::{
    DEPTHS, LAYERS, NEGATIVES, NO_ORDERS_WITHOUT_LISTS, NO_WINDOW_WITHOUT_LISTS, TOKENS, TRAINED,
};
use super::kind::{Form, Kind, Measured, Prepared, Run, Shared, Source, Training};
use super::language::read_texts;
use crate::command::open::many;
use anyhow::{Context, bail};
use plackett_train::TrainError;
use plackett_train::trainer::{LanguageJob, Outcome as Learned, TextExample};
use plackett_train::unlearning::{KnownTexts, TextUnlearningJob, UnlearningJob, UnlearningTexts};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Why a decoder that forgets has no depths.
const WHOLE: &str = "is not for a decoder that forgets, which is read out at its last layer; leave it out";

/// The kind.
pub const KIND: Kind = Kind {
    help: "With a Llama as base and `forget = \"forget.jsonl\"`, texts as `examples` has, it forgets those\n\
           and keeps `examples` (unlearning). `adapter = \"fila(rank=16)\"` begins from the weights that\n\
           matter for what is forgotten (LoKU); the perplexity of both is told before and after.",
    form: Form::Shared(Shared {
        takes: &[TOKENS, TRAINED],
        refuses: &[
            NO_WINDOW_WITHOUT_LISTS,
            NO_ORDERS_WITHOUT_LISTS,
            (NEGATIVES, "is for lists, and what is forgotten and kept are texts; leave it out"),
            (DEPTHS, WHOLE),
            (LAYERS, WHOLE),
        ],
        own: &[],
        keeps_memory_budget: false,
        training: &Unlearning,
    }),
};

struct Unlearning;

impl Training for Unlearning {
    fn is_asked(&self, file: &TrainingFile, _base: Option<Base>) -> bool {
        file.forget.is_some()
    }

    fn check_method(&self, file: &TrainingFile, base: Base) -> anyhow::Result<()> {
        if base != Base::Decoder {
            bail!(
                "forget: {} is no decoder, and nothing else forgets texts; give a Llama or Qwen2",
                file.base
            );
        }
        if let Some(method) = &file.method {
            bail!("method = \"{method}\": what forgets texts orders nothing; leave method out, or forget");
        }
        Ok(())
    }

    fn fill(&self, file: &mut TrainingFile) {
        file.objective.get_or_insert(UnlearningJob::default().objective);
        file.tokens.get_or_insert(LanguageJob::default().tokens);
    }

    fn check(&self, file: &TrainingFile) -> Result<(), TrainError> {
        job(file).check()
    }

    fn read(&self, source: &Source<'_>) -> anyhow::Result<Box<dyn Prepared>> {
        let forget = source.forget.context("forget: a file is needed")?;
        Ok(Box::new(TextUnlearning {
            job: job(source.file),
            forget: read_texts(forget)?,
            retain: read_texts(source.examples)?,
            held: source.validation.map(read_texts).transpose()?.unwrap_or_default(),
        }))
    }
}

/// The training of a file.
fn job(file: &TrainingFile) -> TextUnlearningJob {
    let usual = UnlearningJob::default();
    TextUnlearningJob {
        job: UnlearningJob {
            objective: file.objective.clone().unwrap_or(usual.objective),
            trained: file.trained.clone(),
            settings: file.settings.clone(),
            importance_batch: usual.importance_batch,
        },
        tokens: file.tokens.unwrap_or(LanguageJob::default().tokens),
    }
}

/// A training that unlearns texts.
struct TextUnlearning {
    job: TextUnlearningJob,
    forget: Vec<TextExample>,
    retain: Vec<TextExample>,
    held: Vec<TextExample>,
}

impl Prepared for TextUnlearning {
    fn model(&self) -> &'static str {
        "decoder"
    }

    fn does(&self) -> String {
        format!(
            "It writes texts after prompts, and was trained to forget {} and to keep {}.",
            many(self.forget.len(), "text"),
            many(self.retain.len(), "text")
        )
    }

    fn next(&self, model: &str) -> String {
        format!("generate --model {model} \"a prompt\"")
    }

    fn count(&self) -> ([&'static str; 2], usize) {
        (["text", "texts"], self.forget.len())
    }

    fn learns(&self) -> (&'static str, &str) {
        ("texts", self.job.job.objective.as_str())
    }

    fn tokens(&self) -> Option<usize> {
        Some(self.job.tokens)
    }

    fn learn(&self, run: Run<'_>) -> anyhow::Result<(Learned, Measured)> {
        let texts = UnlearningTexts { forget: &self.forget, retain: &self.retain, validation: &self.held };
        let (learned, known) =
            self.job.run(run.base, texts, run.places, run.identity, run.compute, run.progress)?;
        Ok((learned, Measured { known, ..Measured::default() }))
    }

    fn tell(&self, measured: &Measured, document: &mut Value) {
        let known = |known: &KnownTexts| {
            let KnownTexts { texts, count, perplexity, accuracy } = known;
            json!({"texts": texts, "count": count, "perplexity": perplexity, "accuracy": accuracy})
        };
        document["known"] = measured.known.iter().map(known).collect();
    }
}

/// How well texts are known before and after, as a table; nothing without such.
pub fn table(known: &[KnownTexts]) -> String {
    let mut table = String::new();
    for KnownTexts { texts, count, perplexity: [before, after], accuracy: [had, has] } in known {
        if table.is_empty() {
            table.push_str(
                "\n\n| texts | how many | perplexity | likeliest tokens |\n| --- | --- | --- | --- |\n",
            );
        }
        let _ = writeln!(table, "| {texts} | {count} | {before:.4} → {after:.4} | {had:.4} → {has:.4} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_a_table() {
        let known = KnownTexts { texts: "forget", count: 2, perplexity: [1.5, 260.0], accuracy: [1.0, 0.25] };
        let shown = table(&[known]);
        assert!(shown.ends_with("| forget | 2 | 1.5000 → 260.0000 | 1.0000 → 0.2500 |\n"), "{shown}");
        assert_eq!(table(&[]), "");
    }
}
