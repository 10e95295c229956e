//! A trained HSTU as a recommender, through the inference path.

use super::{Hstu, HstuInference};
use crate::evaluation::check_items;
use crate::{RecError, Recommender, Request};
use plackett_train::Parameters;
use rayon::prelude::*;

/// An HSTU that ranks a catalogue. Scores are cosines between what is known after the last event and the items.
pub struct HstuRecommender {
    inference: HstuInference,
    parameters: Parameters,
}

impl HstuRecommender {
    /// Of a model that is trained.
    pub fn new(model: &Hstu, parameters: Parameters) -> HstuRecommender {
        HstuRecommender { inference: HstuInference::new(model, &parameters), parameters }
    }

    /// The inference path, for caches and candidates.
    pub fn inference(&self) -> &HstuInference {
        &self.inference
    }
}

impl Recommender for HstuRecommender {
    fn catalogue(&self) -> usize {
        self.inference.config().catalogue
    }

    /// Of the newest events of each history, as many as the model reads. Without any event all items have the score 0.
    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        let most = self.inference.config().max_length;
        let scores = |request: &Request<'_>| {
            check_items(request.history.iter(), self.catalogue())?;
            let newest = &request.history[request.history.len().saturating_sub(most)..];
            match newest.is_empty() {
                true => Ok(vec![0.0; self.catalogue()]),
                false => Ok(self.inference.scores(&self.inference.read(newest, request.now)?)),
            }
        };
        let all: Result<Vec<Vec<f32>>, RecError> = requests.par_iter().map(scores).collect();
        Ok(all?.concat())
    }

    fn parameters(&self) -> Parameters {
        self.parameters.clone()
    }
}
