//! Prompts as numbers: by an encoder, or as they are given.

use crate::command::Global;
use anyhow::{Context, anyhow};
use plackett::pipeline::{LocalModel, Models};
use plackett_arena::routing::RouteEncoder;
use plackett_lm::EmbedOptions;

/// An encoder of prompts.
pub struct Encoder {
    model: LocalModel,
    name: String,
    fingerprint: Option<String>,
}

impl Encoder {
    /// Opens one by name; without a name the one that comes with the program.
    pub fn open(name: Option<String>, global: &Global) -> anyhow::Result<Encoder> {
        let models = Models::new(name, global.models());
        let model = models.open(None)?;
        let name = models.name(None).to_string();
        let fingerprint = models.fingerprint(&name)?;
        Ok(Encoder { model, name, fingerprint })
    }

    /// The encoder of a route, if it is still the same.
    pub fn of_route(route: &RouteEncoder, global: &Global) -> anyhow::Result<Encoder> {
        let encoder = Encoder::open(Some(route.name.clone()), global)?;
        match route.fingerprint == encoder.fingerprint {
            true => Ok(encoder),
            false => Err(anyhow!(
                "the route was made with other weights of {}: what it has learned does not hold for these; begin a new route",
                route.name
            )),
        }
    }

    /// Its name and what tells its weights from others; a folder by its whole path, so that the route can be used from anywhere.
    pub fn identity(&self) -> anyhow::Result<RouteEncoder> {
        let path = std::path::Path::new(&self.name);
        let name = match path.exists() {
            true => path.canonicalize()?.to_string_lossy().into_owned(),
            false => self.name.clone(),
        };
        Ok(RouteEncoder { name, fingerprint: self.fingerprint.clone() })
    }

    /// Numbers of a context.
    pub fn dimension(&self) -> usize {
        self.model.info().dim
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
