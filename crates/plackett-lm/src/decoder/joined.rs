//! Several segments become one.

use super::cache::CacheFormat;
use super::kept::{Kept, Sizes, Store, rounded};
use super::mapped::View;
use super::room::Layout;

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
        let (sizes, format) = (self.sizes, self.format());
        let copy_scales = |own: &mut [f32], theirs: &[f32]| {
            for half in 0..2 * rooms {
                let scales = &theirs[half * from.0..][..from.1];
                own[half * to.0 + at..][..from.1].copy_from_slice(scales);
            }
        };
        match (&mut self.store, other.view()) {
            (Store::F32(a), View::F32(b)) => copy_rooms((sizes, format), a, to, b, from),
            (Store::F16(a), View::F16(b)) => copy_rooms((sizes, format), a, to, b, from),
            (Store::I16(a, own), View::I16(b, theirs)) => {
                copy_rooms((sizes, format), a, to, b, from);
                copy_scales(own, theirs);
            }
            (Store::I8(a, own), View::I8(b, theirs)) => {
                copy_rooms((sizes, format), a, to, b, from);
                copy_scales(own, theirs);
            }
            _ => unreachable!("segments of one session have one format"),
        }
    }
}

/// Copies tokens from rooms of one capacity to rooms of another.
fn copy_rooms<T: Copy>(
    (sizes, format): (Sizes, CacheFormat),
    to: &mut [T],
    (to_capacity, at): (usize, usize),
    from: &[T],
    (from_capacity, tokens): (usize, usize),
) {
    let target = Layout::of(sizes, to_capacity, format);
    let source = Layout::of(sizes, from_capacity, format);
    let rooms =
        to.chunks_exact_mut(sizes.room(to_capacity)).zip(from.chunks_exact(sizes.room(from_capacity)));
    for (to, from) in rooms {
        for token in 0..tokens {
            let key = (target.key(at + token), source.key(token));
            let value = (target.value(at + token), source.value(token));
            for (target, source) in [key, value] {
                (0..sizes.size).for_each(|i| to[target.at(i)] = from[source.at(i)]);
            }
        }
    }
}
