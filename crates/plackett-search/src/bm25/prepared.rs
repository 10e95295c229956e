//! What BM25 needs for any query with the same constants: a norm per document, and the postings of the terms that were
//! asked for lately with their saturated frequencies. Both are computed when first needed and kept with the snapshot.

use super::Bm25;
use crate::schema::Fields;
use crate::snapshot::Snapshot;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tantivy::schema::IndexRecordOption;

/// Constants whose norms and postings are kept at the same time.
const CONSTANTS_KEPT: usize = 4;
/// Postings kept per constants, in bytes, before the ones not used since half of that was read are dropped.
const POSTINGS_KEPT: usize = 128 << 20;

/// How often each matching document of one segment has a term, weighted by field; sorted by document.
pub(super) type Hits = Vec<(u32, f64)>;

/// The documents of one segment that have a term.
pub(super) struct SegmentPostings {
    /// Ascending, deleted ones left out.
    pub docs: Box<[u32]>,
    /// tf / (tf + norm) of each.
    pub saturations: Box<[f64]>,
    /// The largest of them.
    pub largest: f64,
}

impl SegmentPostings {
    /// The saturated frequency in a document, 0 where the term is not.
    pub(super) fn saturation(&self, doc: u32) -> f64 {
        self.docs.binary_search(&doc).map_or(0.0, |at| self.saturations[at])
    }
}

/// The documents that have a term.
pub(super) struct Postings {
    pub df: usize,
    pub segments: Vec<SegmentPostings>,
}

impl Postings {
    fn bytes(&self) -> usize {
        12 * self.df + 64 * self.segments.len()
    }
}

/// Norms and postings of a snapshot, by constants.
#[derive(Default)]
pub(crate) struct PreparedCache(Mutex<Vec<Arc<Prepared>>>);

impl PreparedCache {
    /// Those of some constants, made when they are not there.
    pub(super) fn of(&self, snapshot: &Snapshot, bm25: &Bm25) -> Arc<Prepared> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = match kept.iter().position(|p| p.bm25 == *bm25) {
            // The one used last stands last.
            Some(at) if at + 1 == kept.len() => return kept[at].clone(),
            Some(at) => kept.remove(at),
            None => Arc::new(Prepared::new(snapshot, bm25)),
        };
        if kept.len() >= CONSTANTS_KEPT {
            kept.remove(0);
        }
        kept.push(prepared.clone());
        prepared
    }
}

/// What does not depend on the query.
pub(super) struct Prepared {
    bm25: Bm25,
    /// `k1 · (1 − b + b · |d| / mean |d|)` of each document, per segment.
    norms: Vec<Box<[f64]>>,
    terms: Mutex<Terms>,
}

/// Postings by term, in two generations: when the new one is full the old one goes.
#[derive(Default)]
struct Terms {
    new: HashMap<Box<str>, Arc<Postings>>,
    old: HashMap<Box<str>, Arc<Postings>>,
    /// Of the new generation.
    bytes: usize,
}

impl Terms {
    fn get(&mut self, term: &str) -> Option<Arc<Postings>> {
        if let Some(found) = self.new.get(term) {
            return Some(found.clone());
        }
        let (name, found) = self.old.remove_entry(term)?;
        self.insert(name, found.clone());
        Some(found)
    }

    fn insert(&mut self, term: Box<str>, postings: Arc<Postings>) {
        self.bytes += postings.bytes() + term.len();
        self.new.insert(term, postings);
        if self.bytes > POSTINGS_KEPT / 2 {
            self.old = std::mem::take(&mut self.new);
            self.bytes = 0;
        }
    }
}

impl Prepared {
    fn new(snapshot: &Snapshot, bm25: &Bm25) -> Prepared {
        let means = snapshot.mean_lengths.iter().enumerate();
        let mean: f64 = means.map(|(field, mean)| bm25.weight(field) * mean).sum();
        let norm = |lengths: &[Vec<u32>], doc: usize| {
            let weighted = lengths.iter().enumerate().map(|(f, l)| bm25.weight(f) * f64::from(l[doc]));
            let length = bm25.lengths.of(weighted.sum());
            let ratio = if mean > 0.0 { length / mean } else { 0.0 };
            bm25.k1 * (1.0 - bm25.b + bm25.b * ratio)
        };
        let segments = snapshot.segments.iter();
        let norms = segments.map(|s| (0..s.ids.len()).map(|doc| norm(&s.lengths, doc)).collect());
        Prepared { bm25: bm25.clone(), norms: norms.collect(), terms: Mutex::default() }
    }

    /// The norm of a document.
    pub(super) fn norm(&self, segment: usize, doc: u32) -> f64 {
        self.norms[segment][doc as usize]
    }

    /// The postings of some terms, in their order.
    pub(super) fn postings(
        &self,
        snapshot: &Snapshot,
        fields: &Fields,
        terms: &[&str],
    ) -> tantivy::Result<Vec<Arc<Postings>>> {
        // One lock for all: it is not held while postings are read.
        let mut found: Vec<Option<Arc<Postings>>> = {
            let mut kept = self.terms.lock().unwrap_or_else(PoisonError::into_inner);
            terms.iter().map(|term| kept.get(term)).collect()
        };
        let mut read = Vec::new();
        for (term, place) in terms.iter().zip(&mut found) {
            if place.is_none() {
                let postings = Arc::new(self.read(snapshot, fields, term)?);
                // Terms that nowhere occur are not worth keeping: anyone can ask for any number of them.
                if postings.df > 0 {
                    read.push((Box::from(*term), postings.clone()));
                }
                *place = Some(postings);
            }
        }
        if !read.is_empty() {
            let mut kept = self.terms.lock().unwrap_or_else(PoisonError::into_inner);
            read.into_iter().for_each(|(term, postings)| kept.insert(term, postings));
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn read(&self, snapshot: &Snapshot, fields: &Fields, term: &str) -> tantivy::Result<Postings> {
        let mut segments = Vec::with_capacity(snapshot.segments.len());
        for (number, norms) in self.norms.iter().enumerate() {
            let hits = hits(snapshot, fields, &self.bm25, number, term)?;
            let docs: Box<[u32]> = hits.iter().map(|(doc, _)| *doc).collect();
            let saturations: Box<[f64]> =
                hits.iter().map(|(doc, tf)| tf / (tf + norms[*doc as usize])).collect();
            let largest = saturations.iter().copied().fold(0.0, f64::max);
            segments.push(SegmentPostings { docs, saturations, largest });
        }
        Ok(Postings { df: segments.iter().map(|s| s.docs.len()).sum(), segments })
    }
}

/// Where a term occurs in a segment, deleted documents left out.
pub(super) fn hits(
    snapshot: &Snapshot,
    fields: &Fields,
    bm25: &Bm25,
    segment: usize,
    term: &str,
) -> tantivy::Result<Hits> {
    let alive = snapshot.searcher.segment_reader(segment as u32).alive_bitset();
    let mut all = Hits::new();
    for number in 0..fields.searched.len() {
        let weight = bm25.weight(number);
        let inverted = &snapshot.segments[segment].inverted[number];
        let (Some(info), true) = (inverted.terms().get(term)?, weight > 0.0) else { continue };
        let mut blocks = inverted.read_block_postings_from_terminfo(&info, IndexRecordOption::WithFreqs)?;
        let mut own = Hits::with_capacity(info.doc_freq as usize);
        while blocks.block_len() > 0 {
            let pairs = blocks.docs().iter().zip(blocks.freqs());
            own.extend(pairs.map(|(doc, tf)| (*doc, weight * f64::from(*tf))));
            blocks.advance();
        }
        if let Some(alive) = alive {
            own.retain(|(doc, _)| alive.is_alive(*doc));
        }
        all = merge(all, own);
    }
    Ok(all)
}

/// Joins two lists that are sorted by document.
fn merge(a: Hits, b: Hits) -> Hits {
    if a.is_empty() {
        return b;
    }
    let mut joined = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let smaller = x.0.min(y.0);
        let (from_a, from_b) = (x.0 == smaller, y.0 == smaller);
        joined.push((smaller, if from_a { x.1 } else { 0.0 } + if from_b { y.1 } else { 0.0 }));
        i += usize::from(from_a);
        j += usize::from(from_b);
    }
    joined.extend_from_slice(&a[i..]);
    joined.extend_from_slice(&b[j..]);
    joined
}
