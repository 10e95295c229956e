//! `plackett recommend list` and `show`.

use crate::command::declarations::{self, Declared};
use crate::command::{Outcome, Output};
use plackett_rec::{RECOMMENDERS, RecommenderSpec, find};

fn declared(spec: &RecommenderSpec) -> Declared {
    let RecommenderSpec { name, aliases, summary, paper, options, draws, .. } = *spec;
    Declared { name, aliases, summary, paper, options, own: ("draws", draws.into(), None) }
}

/// The recommenders there are.
pub fn list(output: &Output) -> Outcome {
    let all: Vec<Declared> = RECOMMENDERS.iter().map(|spec| declared(spec)).collect();
    declarations::list(&all, ("recommender", "recommenders"), output)
}

/// What one of them does, and its options.
pub fn show(name: &str, output: &Output) -> Outcome {
    declarations::show(&declared(find(name)?), "recommender", output)
}
