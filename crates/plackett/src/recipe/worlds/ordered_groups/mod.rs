//! Groups of items that have an order, as vectors: handwritten digits, documents with graded features, sentences of paragraphs
//! (TSPRank, "how to check at small scale").

mod digits;
mod features;
mod measure;
mod sentences;

pub use digits::digits;
pub use features::features;
pub use measure::{MEASURES, decoded};
pub use sentences::{sentence_texts, sentences};

use plackett_train::random::Stream;
use plackett_train::trainer::ItemGroup;

/// A group whose order is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestedGroup {
    /// Its items; their ranks are in the order of `gains`, equal ones as they were given.
    pub group: ItemGroup,
    /// What each item is worth: the greater, the earlier it should come. Pairs of equal ones have no order.
    pub grades: Vec<f64>,
    /// Gains for nDCG: 2^grade − 1 of graded documents, n − rank + 1 of items with an order.
    pub gains: Vec<f64>,
}

/// Groups to learn from and groups to test with.
#[derive(Clone, Debug, Default)]
pub struct OrderedGroups {
    /// Numbers of an item.
    pub inputs: usize,
    /// To learn from.
    pub learned: Vec<ItemGroup>,
    /// To test with.
    pub tested: Vec<TestedGroup>,
    /// What was left out, in sentences.
    pub remarks: Vec<String>,
}

impl TestedGroup {
    /// A group whose items all have a rank of their own.
    fn of_ranks(group: ItemGroup) -> TestedGroup {
        let count = group.ranks.len();
        let grades: Vec<f64> = group.ranks.iter().map(|rank| (count + 1 - rank) as f64).collect();
        TestedGroup { group, gains: grades.clone(), grades }
    }
}

/// A group of items that are given in their order, put in an order that says nothing of it.
fn mixed(name: String, items: &[&[f32]], stream: Stream) -> ItemGroup {
    let order = stream.permutation(items.len());
    ItemGroup {
        name,
        items: order.iter().flat_map(|at| items[*at].iter().copied()).collect(),
        ranks: order.iter().map(|at| at + 1).collect(),
    }
}
