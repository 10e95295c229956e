//! Prompts as numbers: by an encoder, or as they are given.

use crate::command::Global;
use anyhow::{Context, anyhow};
use plackett::pipeline::{LocalModel, Models};
use plackett_lm::EmbedOptions;

/// An encoder of prompts.
pub struct Encoder {
    model: LocalModel,
    name: String,
}

impl Encoder {
    /// Opens one by name; without a name the one that comes with the program.
    pub fn open(name: Option<String>, global: &Global) -> anyhow::Result<Encoder> {
        let models = Models::new(name, global.models());
        let model = models.open(None)?;
        Ok(Encoder { model, name: models.name(None).to_string() })
    }

    /// Numbers of a context.
    pub fn dimension(&self) -> usize {
        self.model.info().dim
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A context of length 1 for each prompt.
    pub fn contexts(&self, prompts: &[String]) -> anyhow::Result<Vec<Vec<f64>>> {
        for (at, prompt) in prompts.iter().enumerate() {
            if !self.model.has_words(prompt)? {
                return Err(anyhow!("prompt {}: it has no token, so nothing can be said of it", at + 1));
            }
        }
        let views: Vec<&str> = prompts.iter().map(String::as_str).collect();
        let made = self.model.embed(&views, &EmbedOptions::default())?;
        Ok(made.data.chunks_exact(made.dim.max(1)).map(unit).collect())
    }
}

fn unit(row: &[f32]) -> Vec<f64> {
    let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    row.iter().map(|x| f64::from(*x) / length).collect()
}

/// Numbers with commas between them.
pub fn numbers(text: &str) -> anyhow::Result<Vec<f64>> {
    let number = |word: &str| {
        let value: Option<f64> = word.trim().parse().ok().filter(|x: &f64| x.is_finite());
        value.with_context(|| format!("--context: `{}` is no number", word.trim()))
    };
    text.split(',').map(number).collect()
}
