//! One list of what several paths lead to.

use std::collections::{HashMap, HashSet};

/// A document that a path leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathHit {
    /// Place of the document in the corpus.
    pub document: usize,
    /// Place of the path among those of the query, the likeliest first.
    pub path: usize,
    /// The score of this document below this path.
    pub score: f64,
}

/// At most `most` documents by their greatest score over paths, each once with the path that gives it; of equal scores the one of the
/// likelier path comes first. And how many documents several paths lead to.
pub fn best_of_paths(hits: impl IntoIterator<Item = PathHit>, most: usize) -> (Vec<PathHit>, usize) {
    let mut hits: Vec<PathHit> = hits.into_iter().collect();
    let mut ways: HashMap<usize, HashSet<usize>> = HashMap::new();
    for hit in &hits {
        ways.entry(hit.document).or_default().insert(hit.path);
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.path.cmp(&b.path)));
    let mut seen = HashSet::new();
    hits.retain(|hit| seen.insert(hit.document));
    hits.truncate(most);
    (hits, ways.values().filter(|paths| paths.len() > 1).count())
}
