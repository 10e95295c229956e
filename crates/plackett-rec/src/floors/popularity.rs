//! The items that most events are of, for everybody.

use crate::recommender::matrix;
use crate::{FitData, RecError, Recommender, RecommenderSpec, Request};
use plackett_train::Parameters;

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "popularity",
    aliases: &["pop", "most-popular"],
    summary: "The items with the most events, the same for everybody.",
    paper: "–",
    options: &[],
    draws: false,
    reads_time: |_| false,
    check: |_, _| Ok(()),
    fit: |_, data, _| Ok(Box::new(Popularity::of(data))),
    restore: |_, catalogue, parameters| {
        Ok(Box::new(Popularity { counts: matrix(parameters, "counts", (1, catalogue))? }))
    },
};

/// Events of each item.
pub struct Popularity {
    counts: Vec<f32>,
}

impl Popularity {
    fn of(data: &FitData<'_>) -> Popularity {
        let mut counts = vec![0.0; data.catalogue];
        data.sequences.iter().copied().flatten().for_each(|event| counts[event.item as usize] += 1.0);
        Popularity { counts }
    }
}

impl Recommender for Popularity {
    fn catalogue(&self) -> usize {
        self.counts.len()
    }

    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        Ok(requests.iter().flat_map(|_| self.counts.iter().copied()).collect())
    }

    fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.add("counts", (1, self.counts.len()), self.counts.clone());
        parameters
    }
}
