//! The best documents found so far.

use crate::filter::{Allowed, Bits};
use crate::snapshot::Segment;
use plackett_core::order_by_score;
use std::cmp::Ordering;

/// A scored document: segment, document in it, score.
type Scored = (u32, u32, f64);

/// Collects scored documents and keeps the `depth` best by score and then by descending identifier.
pub(super) struct Top<'a> {
    segments: &'a [Segment],
    depth: usize,
    /// At most twice `depth`; cut to the best when full.
    kept: Vec<Scored>,
    threshold: f64,
    /// The documents that may be found, where not all may.
    allowed: Option<&'a Allowed>,
    /// The segment whose documents come now, and those of it that may be found.
    segment: u32,
    within: Option<&'a Bits>,
}

impl<'a> Top<'a> {
    pub(super) fn new(segments: &'a [Segment], depth: usize, allowed: Option<&'a Allowed>) -> Self {
        let threshold = f64::NEG_INFINITY;
        Top { segments, depth, kept: Vec::new(), threshold, allowed, segment: 0, within: None }
    }

    /// From here on documents of this segment are offered.
    pub(super) fn begin(&mut self, segment: usize) {
        self.segment = segment as u32;
        self.within = self.allowed.and_then(|allowed| allowed.of(segment));
    }

    /// Those of the segment's documents that may be found; `None` where all may.
    pub(super) fn within(&self) -> Option<&'a Bits> {
        self.within
    }

    /// Whether a document of the segment may be found.
    #[inline]
    pub(super) fn allows(&self, doc: u32) -> bool {
        self.within.is_none_or(|within| within.contains(doc))
    }

    /// A score below this one is not among the best; an equal one can be.
    pub(super) fn threshold(&self) -> f64 {
        self.threshold
    }

    /// As the threshold, and above zero: the lowest score of a document that has any of the terms.
    #[inline]
    pub(super) fn limit(&self) -> f64 {
        self.threshold.max(f64::MIN_POSITIVE)
    }

    #[inline]
    pub(super) fn offer(&mut self, doc: u32, score: f64) {
        if score < self.threshold || !self.allows(doc) {
            return;
        }
        self.kept.push((self.segment, doc, score));
        if self.kept.len() >= self.depth.saturating_mul(2).max(32) {
            self.cut();
        }
    }

    /// Drops all but the best, and with that raises the threshold.
    pub(super) fn cut(&mut self) {
        if self.kept.len() < self.depth || self.depth == 0 {
            return;
        }
        let segments = self.segments;
        self.kept.select_nth_unstable_by(self.depth - 1, |a, b| order(segments, a, b));
        self.kept.truncate(self.depth);
        self.threshold = self.kept[self.depth - 1].2;
    }

    /// Identifiers and scores, best first.
    pub(super) fn into_sorted(mut self) -> Vec<(String, f64)> {
        self.cut();
        self.kept.sort_unstable_by(|a, b| order(self.segments, a, b));
        self.kept.iter().map(|scored| (id(self.segments, scored).to_string(), scored.2)).collect()
    }
}

fn id<'a>(segments: &'a [Segment], scored: &Scored) -> &'a str {
    segments[scored.0 as usize].ids.get(scored.1 as usize).unwrap_or_default()
}

fn order(segments: &[Segment], a: &Scored, b: &Scored) -> Ordering {
    // Identifiers are looked up for equal scores only.
    b.2.partial_cmp(&a.2)
        .unwrap_or(Ordering::Equal)
        .then_with(|| id(segments, b).as_bytes().cmp(id(segments, a).as_bytes()))
}

/// Cuts a list to its `depth` best without sorting it.
pub(crate) fn keep_best(scored: &mut Vec<(&str, f64)>, depth: usize) {
    if depth == 0 {
        scored.clear();
    } else if scored.len() > depth {
        scored.select_nth_unstable_by(depth - 1, |a, b| order_by_score(*a, *b));
        scored.truncate(depth);
    }
}
