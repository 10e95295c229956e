//! Several segments become one.

use crate::decoder::kv::format::CacheFormat;
use crate::decoder::kv::format::{KvDims, rounded};
use crate::decoder::kv::layout::HeadLayout;
use crate::decoder::kv::mapped::SegmentView;
use crate::decoder::kv::segment::{KvSegment, SegmentStore};

impl KvSegment {
    /// The tokens of some segments in one, with no more capacity than they need.
    pub(crate) fn joined(segments: &[&KvSegment]) -> Option<KvSegment> {
        let first = segments.first()?;
        let tokens = segments.iter().map(|segment| segment.tokens).sum();
        let mut joined = KvSegment::new(first.dims, tokens, first.format());
        let mut at = 0;
        for segment in segments {
            if segment.dims != first.dims || segment.format() != first.format() {
                return None;
            }
            joined.copy(segment, at);
            at += segment.tokens;
        }
        joined.tokens = tokens;
        Some(joined)
    }

    /// Moves the tokens of a segment of the same model behind these; in amortised constant time for each.
    pub(crate) fn append(&mut self, other: &KvSegment) {
        let tokens = self.tokens + other.tokens;
        if tokens > self.capacity || matches!(self.store, SegmentStore::Mapped(_)) {
            let capacity = rounded(tokens.next_power_of_two());
            let mut grown = KvSegment::new(self.dims, capacity, self.format());
            grown.copy(self, 0);
            *self = KvSegment { tokens: self.tokens, ..grown };
        }
        self.copy(other, self.tokens);
        self.tokens = tokens;
    }

    /// Copies all tokens of a segment to places from `at`.
    fn copy(&mut self, other: &KvSegment, at: usize) {
        let heads = self.dims.layers * self.dims.heads;
        let (to, from) = ((self.capacity, at), (other.capacity, other.tokens));
        let (dims, format) = (self.dims, self.format());
        let copy_scales = |own: &mut [f32], theirs: &[f32]| {
            for half in 0..2 * heads {
                let scales = &theirs[half * from.0..][..from.1];
                own[half * to.0 + at..][..from.1].copy_from_slice(scales);
            }
        };
        match (&mut self.store, other.view()) {
            (SegmentStore::F32(a), SegmentView::F32(b)) => copy_heads((dims, format), a, to, b, from),
            (SegmentStore::F16(a), SegmentView::F16(b)) => copy_heads((dims, format), a, to, b, from),
            (SegmentStore::I16(a, own), SegmentView::I16(b, theirs)) => {
                copy_heads((dims, format), a, to, b, from);
                copy_scales(own, theirs);
            }
            (SegmentStore::I8(a, own), SegmentView::I8(b, theirs)) => {
                copy_heads((dims, format), a, to, b, from);
                copy_scales(own, theirs);
            }
            _ => unreachable!("segments of one session have one format"),
        }
    }
}

/// Copies tokens from a segment of one capacity to one of another.
fn copy_heads<T: Copy>(
    (dims, format): (KvDims, CacheFormat),
    to: &mut [T],
    (to_capacity, at): (usize, usize),
    from: &[T],
    (from_capacity, tokens): (usize, usize),
) {
    let target = HeadLayout::of(dims, to_capacity, format);
    let source = HeadLayout::of(dims, from_capacity, format);
    let heads =
        to.chunks_exact_mut(dims.head_len(to_capacity)).zip(from.chunks_exact(dims.head_len(from_capacity)));
    for (to, from) in heads {
        for token in 0..tokens {
            let key = (target.key(at + token), source.key(token));
            let value = (target.value(at + token), source.value(token));
            for (target, source) in [key, value] {
                (0..dims.size).for_each(|i| to[target.at(i)] = from[source.at(i)]);
            }
        }
    }
}
