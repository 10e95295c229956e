//! Mental retrieval (GenIR): the system shows what it understood, the user corrects the words, and what was generated, not the words, is
//! the query.

use plackett_core::clustering::squared_distance;

/// Makes an item from a query: a picture, a passage, a vector.
pub trait Generator<Q> {
    /// The item of a query; the seed is another one in every round.
    fn generate(&self, query: &Q, seed: u64) -> Vec<f64>;
}

/// A user with a target in mind.
pub trait Feedback<Q> {
    /// The first query.
    fn start(&self, target: &[f64]) -> Q;

    /// A better one, after an item was shown (or none).
    fn refine(&self, target: &[f64], query: &Q, shown: Option<&[f64]>, seed: u64) -> Q;
}

/// The items that are searched, as vectors; near ones are alike.
#[derive(Clone, Debug)]
pub struct Collection {
    /// The items.
    pub items: Vec<Vec<f64>>,
}

impl Collection {
    /// Distances of all items from a vector, squared.
    fn distances(&self, vector: &[f64]) -> Vec<f64> {
        self.items.iter().map(|item| squared_distance(item, vector)).collect()
    }

    /// How many items stand before one in the ranking of a vector; equal distances are in the order of the items.
    fn rank(&self, distances: &[f64], target: usize) -> usize {
        let own = distances[target];
        let before = |(at, distance): (usize, &f64)| *distance < own || *distance == own && at < target;
        distances.iter().enumerate().filter(|&other| before(other)).count()
    }

    fn nearest(distances: &[f64]) -> usize {
        (0..distances.len()).fold(0, |best, at| if distances[at] < distances[best] { at } else { best })
    }
}

/// What the user is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// What was generated: GenIR.
    Generated,
    /// The first item of the ranking: prediction feedback.
    TopRetrieved,
    /// Nothing: verbal feedback.
    Nothing,
}

/// What is searched with.
#[derive(Clone, Debug)]
pub enum QueryBy<'q, Q> {
    /// The vector of what was generated.
    Item,
    /// A vector of the words.
    Words(&'q (dyn WordVector<Q> + Sync)),
}

/// Makes a vector of a query's words.
pub trait WordVector<Q>: std::fmt::Debug {
    /// The vector.
    fn vector(&self, query: &Q) -> Vec<f64>;
}

/// A round of a loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Round<Q> {
    /// The query.
    pub query: Q,
    /// How many items stood before the target, from 0.
    pub rank: usize,
}

/// The loop over rounds.
#[derive(Clone, Debug)]
pub struct FeedbackLoop<'l, Q> {
    /// What the user is shown.
    pub shown: Shown,
    /// What is searched with.
    pub query_by: QueryBy<'l, Q>,
    /// Corrections after the first round.
    pub refinements: usize,
    /// Whether the same query is used in every round, with another seed: what noise alone is worth.
    pub repeat: bool,
    /// From which everything that is drawn follows.
    pub seed: u64,
}

impl<Q: Clone> FeedbackLoop<'_, Q> {
    /// The rounds for one item of a collection.
    pub fn run(
        &self,
        collection: &Collection,
        target: usize,
        generator: &dyn Generator<Q>,
        feedback: &dyn Feedback<Q>,
    ) -> Vec<Round<Q>> {
        let wanted = &collection.items[target];
        let mut query = feedback.start(wanted);
        let mut rounds = Vec::with_capacity(self.refinements + 1);
        for round in 0..=self.refinements as u64 {
            let seed =
                (self.seed ^ (target as u64) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(round);
            let generated = generator.generate(&query, seed);
            let distances = match &self.query_by {
                QueryBy::Item => collection.distances(&generated),
                QueryBy::Words(words) => collection.distances(&words.vector(&query)),
            };
            rounds.push(Round { query: query.clone(), rank: collection.rank(&distances, target) });
            if self.repeat {
                continue;
            }
            let top = &collection.items[Collection::nearest(&distances)];
            let shown = match self.shown {
                Shown::Generated => Some(generated.as_slice()),
                Shown::TopRetrieved => Some(top.as_slice()),
                Shown::Nothing => None,
            };
            query = feedback.refine(wanted, &query, shown, seed);
        }
        rounds
    }
}

/// Whether a target was among the first `depth` in each round, and whether it was in this one or an earlier one: hits by round, and the
/// cumulative hits of the paper, which rise with chance alone.
pub fn hits<Q>(rounds: &[Round<Q>], depth: usize) -> Vec<(bool, bool)> {
    let mut ever = false;
    let of = |round: &Round<Q>| {
        let now = round.rank < depth;
        ever |= now;
        (now, ever)
    };
    rounds.iter().map(of).collect()
}
