//! The keys that a training file may have and not every kind of training takes, and how one is refused.

use super::file::TrainingFile;
use anyhow::bail;
use plackett_train::trainer::{OWN_HEADS, Trained};

/// A key of a training file, or a value of one that nothing can be made of.
#[derive(Clone, Copy)]
pub struct Key {
    /// As messages name it.
    pub name: &'static str,
    /// Whether a file has it.
    pub is_given: fn(&TrainingFile) -> bool,
}

/// What is refused, and why; `{base}` in the reason is the name of the base.
pub type Refusal = (Key, &'static str);

/// Most candidates of a list.
pub const WINDOW: Key = Key { name: "window", is_given: |file| file.window.is_some() };
/// In how many orders a list is shown.
pub const ORDERS: Key = Key { name: "orders", is_given: |file| file.orders.is_some() };
/// Candidates of label 0.
pub const NEGATIVES: Key = Key { name: "negatives", is_given: |file| file.negatives.is_some() };
/// Most tokens of a text.
pub const TOKENS: Key = Key { name: "tokens", is_given: |file| file.tokens.is_some() };
/// Layers after which the loss is taken.
pub const DEPTHS: Key = Key { name: "depths", is_given: |file| file.depths.is_some() };
/// How many layers there are.
pub const LAYERS: Key = Key { name: "layers", is_given: |file| file.layers.is_some() };
/// What of the base is trained.
pub const TRAINED: Key = Key { name: "[trained]", is_given: |file| file.trained != Trained::default() };

/// All keys of which each kind says whether it takes them. What belongs to one kind alone is declared with it.
pub const KEYS: [Key; 7] = [WINDOW, ORDERS, NEGATIVES, TOKENS, DEPTHS, LAYERS, TRAINED];

/// The adapter that is none: output matrices at depths of a decoder.
pub const EXIT_HEADS: Key =
    Key { name: "adapter = \"exit-heads\"", is_given: |file| file.trained.adapter == OWN_HEADS };

/// A window in which nothing can be ordered.
pub const NARROW_WINDOW: Refusal = (
    Key { name: "window", is_given: |file| file.window.is_some_and(|window| window < 2) },
    "a whole number from 2 is expected, or leave it out for all candidates",
);
/// The most drawn orders of a list: each is an example of its own in memory.
const MOST_ORDERS: usize = 1000;
/// A list that is never shown, or in more orders than memory holds.
pub const UNUSABLE_ORDERS: Refusal = (
    Key {
        name: "orders",
        is_given: |file| file.orders.is_some_and(|orders| !(1..=MOST_ORDERS).contains(&orders)),
    },
    "a whole number from 1 to 1000 is expected",
);
/// A loss that is taken nowhere.
pub const NO_DEPTHS: Refusal = (
    Key { name: "depths", is_given: |file| file.depths.as_ref().is_some_and(Vec::is_empty) },
    "none is given; name layers, as [8, 16], or leave it out for the last alone",
);

/// Why a training without lists to order has no `window` and no `orders`.
const OF_LISTS: &str =
    "is for decoders that learn to order lists; name a listwise `method`, as \"first\", or leave it out";
/// `window`, where nothing learns to order lists.
pub const NO_WINDOW_WITHOUT_LISTS: Refusal = (WINDOW, OF_LISTS);
/// `orders`, where nothing learns to order lists.
pub const NO_ORDERS_WITHOUT_LISTS: Refusal = (ORDERS, OF_LISTS);

/// Refuses the first of these that a file has.
pub fn refuse<'r>(
    file: &TrainingFile,
    refusals: impl IntoIterator<Item = &'r Refusal>,
) -> anyhow::Result<()> {
    match refusals.into_iter().find(|(key, _)| (key.is_given)(file)) {
        Some((key, reason)) => bail!("{}: {}", key.name, reason.replace("{base}", &file.base)),
        None => Ok(()),
    }
}
