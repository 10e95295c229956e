//! In which order examples are seen.

use crate::random::Stream;

/// The example at a place of the endless row of epochs, each in an order of its own.
pub struct Order {
    seed: u64,
    count: usize,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    /// The order of so many examples that follows from a seed.
    pub fn new(seed: u64, count: usize) -> Order {
        Order { seed, count, epoch: None }
    }

    /// The example at a place.
    pub fn at(&mut self, place: usize) -> usize {
        let epoch = (place / self.count) as u64;
        if self.epoch.as_ref().is_none_or(|(known, _)| *known != epoch) {
            self.epoch = Some((epoch, Stream::new(self.seed, 1 << 32 | epoch).permutation(self.count)));
        }
        self.epoch.as_ref().map_or(0, |(_, order)| order[place % self.count])
    }
}
