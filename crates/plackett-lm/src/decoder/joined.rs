//! Several segments become one.

use super::kept::{Kept, Sizes, Store, key_start, rounded, width};
use super::mapped::View;

impl Kept {
    /// The tokens of some segments in one, with no more room than they need.
    pub(super) fn joined(segments: &[&Kept]) -> Option<Kept> {
        let first = segments.first()?;
        let tokens = segments.iter().map(|kept| kept.tokens).sum();
        let mut joined = Kept::new(first.sizes, tokens, first.format());
        let mut at = 0;
        for segment in segments {
            if segment.sizes != first.sizes || segment.format() != first.format() {
                return None;
            }
            joined.copy(segment, at);
            at += segment.tokens;
        }
        joined.tokens = tokens;
        Some(joined)
    }

    /// Moves the tokens of a segment of the same model behind these; in amortised constant time for each.
    pub(crate) fn append(&mut self, other: &Kept) {
        let tokens = self.tokens + other.tokens;
        if tokens > self.capacity || matches!(self.store, Store::Mapped(_)) {
            let capacity = rounded(tokens.next_power_of_two());
            let mut grown = Kept::new(self.sizes, capacity, self.format());
            grown.copy(self, 0);
            *self = Kept { tokens: self.tokens, ..grown };
        }
        self.copy(other, self.tokens);
        self.tokens = tokens;
    }

    /// Copies all tokens of a segment to places from `at`.
    fn copy(&mut self, other: &Kept, at: usize) {
        let rooms = self.sizes.layers * self.sizes.heads;
        let (to, from) = ((self.capacity, at), (other.capacity, other.tokens));
        let sizes = self.sizes;
        match (&mut self.store, other.view()) {
            (Store::F32(a), View::F32(b)) => copy_rooms(sizes, a, to, b, from),
            (Store::F16(a), View::F16(b)) => copy_rooms(sizes, a, to, b, from),
            (Store::I8(a, own), View::I8(b, theirs)) => {
                copy_rooms(sizes, a, to, b, from);
                for half in 0..2 * rooms {
                    let scales = &theirs[half * from.0..][..from.1];
                    own[half * to.0 + at..][..from.1].copy_from_slice(scales);
                }
            }
            _ => unreachable!("segments of one session have one format"),
        }
    }
}

/// Copies tokens from rooms of one capacity to rooms of another.
fn copy_rooms<T: Copy>(
    sizes: Sizes,
    to: &mut [T],
    (to_capacity, at): (usize, usize),
    from: &[T],
    (from_capacity, tokens): (usize, usize),
) {
    let (size, padded) = (sizes.size, sizes.padded());
    let (to_width, from_width) = (width(to_capacity), width(from_capacity));
    let rooms =
        to.chunks_exact_mut(sizes.room(to_capacity)).zip(from.chunks_exact(sizes.room(from_capacity)));
    for (to, from) in rooms {
        for token in 0..tokens {
            let target = key_start(to_capacity, size, at + token);
            let source = key_start(from_capacity, size, token);
            for i in 0..size {
                to[target + i * to_width] = from[source + i * from_width];
            }
            let value = &from[from_capacity * size + token * padded..][..padded];
            to[to_capacity * size + (at + token) * padded..][..padded].copy_from_slice(value);
        }
    }
}
