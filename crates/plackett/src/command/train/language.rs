//! `plackett train` of a decoder without a `method`: it learns texts after prompts, at one depth or several.

use super::base::Base;
use super::file::TrainingFile;
use super::keys::{
    DEPTHS, EXIT_HEADS, LAYERS, NEGATIVES, NO_DEPTHS, NO_ORDERS_WITHOUT_LISTS, NO_WINDOW_WITHOUT_LISTS,
    TOKENS, TRAINED,
};
use super::kind::{Form, Kind, Measured, Prepared, Run, Shared, Source, Training};
use crate::command::depths;
use anyhow::anyhow;
use plackett_train::TrainError;
use plackett_train::trainer::{
    LanguageJob, Outcome as Learned, TextExample, read_ranking_examples, read_text_examples,
};
use serde_json::Value;
use std::path::Path;

/// The kind.
pub const KIND: Kind = Kind {
    help: "With a Llama as base, examples are texts: {\"prompt\": …, \"target\": …}. `depths = [8, 16, 24]` trains\n\
           these layers and the last norm and output matrix to be models of their own (generate --depth,\n\
           --exit, --draft-depth).",
    form: Form::Shared(Shared {
        takes: &[TOKENS, DEPTHS, LAYERS, TRAINED],
        refuses: &[
            NO_WINDOW_WITHOUT_LISTS,
            NO_ORDERS_WITHOUT_LISTS,
            (
                NEGATIVES,
                "{base} is a decoder, whose examples are texts without candidates; leave it out, or name a `method` with which it \
                 learns to order lists, or \"cross-encoder\"",
            ),
            NO_DEPTHS,
        ],
        own: &[],
        keeps_memory_budget: false,
        training: &LanguageTraining,
    }),
};

struct LanguageTraining;

impl Training for LanguageTraining {
    fn is_asked(&self, file: &TrainingFile, base: Option<Base>) -> bool {
        let has_its_keys = || [DEPTHS, LAYERS, EXIT_HEADS].iter().any(|key| (key.is_given)(file));
        file.method.is_none() && base.map_or_else(has_its_keys, |base| base == Base::Decoder)
    }

    fn fill(&self, file: &mut TrainingFile) {
        let usual = LanguageJob::default();
        file.objective.get_or_insert(usual.objective);
        file.tokens.get_or_insert(usual.tokens);
    }

    fn check(&self, file: &TrainingFile) -> Result<(), TrainError> {
        job(file).check()
    }

    fn read(&self, source: &Source<'_>) -> anyhow::Result<Box<dyn Prepared>> {
        let held = source.validation.map(read_texts).transpose()?.unwrap_or_default();
        let texts = read_texts(source.examples)?;
        Ok(Box::new(TextTraining { job: job(source.file), texts, held }))
    }
}

/// Texts, and what to do where there are lists in their place.
///
/// # Errors
/// The file cannot be read, or has something else.
pub fn read_texts(path: &Path) -> anyhow::Result<Vec<TextExample>> {
    read_text_examples(path).map_err(|error| match read_ranking_examples(path) {
        Ok(_) => anyhow!(
            "{}: these are queries with candidates, and without a `method` a decoder learns texts, {{\"prompt\": …, \"target\": …}}; \
             name a `method`, as \"first\" or \"cross-encoder\", or give texts",
            path.display()
        ),
        Err(_) => error.into(),
    })
}

/// The training of a file.
fn job(file: &TrainingFile) -> LanguageJob {
    let usual = LanguageJob::default();
    LanguageJob {
        objective: file.objective.clone().unwrap_or(usual.objective),
        tokens: file.tokens.unwrap_or(usual.tokens),
        depths: file.depths.clone().unwrap_or_default(),
        layers: file.layers.unwrap_or(0),
        trained: file.trained.clone(),
        settings: file.settings.clone(),
    }
}

/// A training on texts.
struct TextTraining {
    job: LanguageJob,
    texts: Vec<TextExample>,
    held: Vec<TextExample>,
}

impl Prepared for TextTraining {
    fn model(&self) -> &'static str {
        "decoder"
    }

    fn does(&self) -> String {
        "It writes texts after prompts.".into()
    }

    fn next(&self, model: &str) -> String {
        format!("generate --model {model} \"a prompt\"")
    }

    fn count(&self) -> ([&'static str; 2], usize) {
        (["text", "texts"], self.texts.len())
    }

    fn learns(&self) -> (&'static str, &str) {
        ("texts", self.job.objective.as_str())
    }

    fn tokens(&self) -> Option<usize> {
        Some(self.job.tokens)
    }

    fn learn(&self, run: Run<'_>) -> anyhow::Result<(Learned, Measured)> {
        let examples = (self.texts.as_slice(), self.held.as_slice());
        let (learned, depths) =
            self.job.run(run.base, examples, run.places, run.identity, run.compute, run.progress)?;
        Ok((learned, Measured { depths, ..Measured::default() }))
    }

    fn tell(&self, measured: &Measured, document: &mut Value) {
        if !measured.depths[0].is_empty() {
            document["depths"] = depths::told(&measured.depths);
        }
    }
}
