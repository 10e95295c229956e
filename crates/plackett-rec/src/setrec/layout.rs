//! Rows of a batch: the tokens of the items of a history, and the slots that ask for the next item.

use plackett_train::random::Stream;
use std::ops::Range;
use std::sync::Arc;

/// The rows of some histories. Of each there are the tokens of its items, item after item, and then, for each prefix that is asked about,
/// one row a slot.
#[derive(Clone, Debug, Default)]
pub struct SetBatch {
    /// Where each history lies.
    pub sequences: Arc<[Range<usize>]>,
    /// The item of each token row (in the order of the rows), and which of its tokens; rows of slots have `None`.
    pub tokens: Vec<Option<(u32, usize)>>,
    /// The slot of each slot row; 0 for token rows.
    pub slots: Vec<usize>,
    /// The place of each row: all tokens of an item share one, and slots have that of the item they ask for.
    pub places: Vec<u32>,
    /// How many rows from the start each row sees, beside itself.
    pub visible: Vec<usize>,
    /// For each prefix that is asked about the rows of its slots.
    pub asked: Vec<Vec<usize>>,
}

/// How tokens are laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Tokens of an item.
    pub tokens: usize,
    /// Whether tokens of an item do not see each other.
    pub sparse: bool,
    /// Draws an order of the tokens of each item; `None` leaves them in their order.
    pub shuffle: Option<u64>,
}

impl SetBatch {
    /// Of histories, each with the lengths of the prefixes that are asked about.
    pub fn new(histories: &[(&[u32], Range<usize>)], layout: Layout) -> SetBatch {
        let mut batch = SetBatch::default();
        let mut sequences = Vec::new();
        for (items, prefixes) in histories {
            let start = batch.tokens.len();
            for (place, item) in items.iter().enumerate() {
                let order: Vec<usize> = match layout.shuffle {
                    Some(seed) => Stream::new(seed, (start + place) as u64).permutation(layout.tokens),
                    None => (0..layout.tokens).collect(),
                };
                for (before, token) in order.into_iter().enumerate() {
                    let own = if layout.sparse { 0 } else { before };
                    batch.push(Some((*item, token)), 0, place, place * layout.tokens + own);
                }
            }
            for prefix in prefixes.clone() {
                let first = batch.tokens.len();
                (0..layout.tokens).for_each(|slot| batch.push(None, slot, prefix, prefix * layout.tokens));
                batch.asked.push((first..first + layout.tokens).collect());
            }
            sequences.push(start..batch.tokens.len());
        }
        batch.sequences = sequences.into();
        batch
    }

    fn push(&mut self, token: Option<(u32, usize)>, slot: usize, place: usize, visible: usize) {
        self.tokens.push(token);
        self.slots.push(slot);
        self.places.push(place as u32);
        self.visible.push(visible);
    }
}
