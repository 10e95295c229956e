//! The best documents of a query without scoring all of them.
//!
//! Documents are taken in windows. In a window the terms are added up one after the other into an array that stays in the
//! cache. Once `depth` documents are known, terms that together cannot lift a document over the worst of them are left out
//! (MaxScore: Turtle and Flood 1995; in windows as in Lucene's bulk scorer) and looked up only for documents that the
//! others bring close enough. Every score that is compared or returned is the sum over all terms in the order of the
//! query, so that it is the same to the last bit whether or not something was left out.

use super::Asked;
use super::prepared::SegmentPostings;
use super::top::Top;
use crate::filter::{Allowed, Bits};
use crate::snapshot::Segment;
use std::cell::RefCell;

/// Documents of a window: its sums (8 bytes each) fit the cache of a core.
const WINDOW: u32 = 1 << 13;
/// Spared postings per needed one from which looking documents up costs less than adding up the spared ones.
const WORTH_IT: usize = 8;
/// Postings per document that a filter lets through from which on looking such documents up costs less than adding up all.
const WORTH_LOOKING_UP: usize = 8;
/// How far rounding can make a bound too small, with room to spare: bounds are sums in another order.
const SLACK: f64 = 1.0 + 1e-9;

thread_local! {
    /// Sums of a window, all zero between searches.
    static SUMS: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

/// A term in one segment.
struct List<'a> {
    postings: &'a SegmentPostings,
    weight: f64,
    /// The most that it can add.
    bound: f64,
    /// First posting that belongs to this window or a later one, and first of a later one.
    at: usize,
    end: usize,
}

impl List<'_> {
    fn window(&self) -> impl Iterator<Item = (u32, f64)> {
        let docs = &self.postings.docs[self.at..self.end];
        let saturations = &self.postings.saturations[self.at..self.end];
        docs.iter().zip(saturations).map(|(doc, s)| (*doc, self.weight * s))
    }

    /// What it adds to a document of the window.
    fn part(&self, doc: u32) -> f64 {
        let docs = &self.postings.docs[self.at..self.end];
        docs.binary_search(&doc).map_or(0.0, |at| self.weight * self.postings.saturations[self.at + at])
    }
}

/// The `depth` best documents of all segments, or of those that are allowed, best first.
pub(super) fn best(
    segments: &[Segment],
    asked: &[Asked],
    depth: usize,
    allowed: Option<&Allowed>,
) -> Vec<(String, f64)> {
    let mut top = Top::new(segments, depth, allowed);
    if depth == 0 {
        return Vec::new();
    }
    // Taken out and put back clean: a panic in between leaves no half-filled sums for the next search.
    let mut sums = SUMS.with(|sums| std::mem::take(&mut *sums.borrow_mut()));
    sums.resize(WINDOW as usize, 0.0);
    for number in 0..segments.len() {
        let mut lists: Vec<List> = Vec::with_capacity(asked.len());
        for term in asked {
            let postings = &term.postings.segments[number];
            if !postings.docs.is_empty() {
                let bound = term.weight * postings.largest;
                lists.push(List { postings, weight: term.weight, bound, at: 0, end: 0 });
            }
        }
        top.begin(number);
        match top.within() {
            Some(within) if is_worth_looking_up(within, &lists) => look_up(within, &mut lists, &mut top),
            _ => search_segment(&mut lists, &mut sums, &mut top),
        }
    }
    SUMS.with(|kept| *kept.borrow_mut() = sums);
    top.into_sorted()
}

/// Whether a filter leaves so few documents that they are better looked up in the postings one by one.
fn is_worth_looking_up(within: &Bits, lists: &[List]) -> bool {
    let postings: usize = lists.iter().map(|list| list.postings.docs.len()).sum();
    within.count() * lists.len() < postings / WORTH_LOOKING_UP
}

/// Scores the documents of a set, and no others.
fn look_up(within: &Bits, lists: &mut [List], top: &mut Top) {
    lists.iter_mut().for_each(|list| list.end = list.postings.docs.len());
    for doc in within.iter() {
        let mut score = 0.0;
        for list in lists.iter_mut() {
            list.at += below(&list.postings.docs[list.at..], doc);
            if list.postings.docs.get(list.at) == Some(&doc) {
                score += list.weight * list.postings.saturations[list.at];
            }
        }
        if score >= top.limit() {
            top.offer(doc, score);
        }
    }
}

/// How many of ascending documents come before one, found in steps that double.
fn below(docs: &[u32], doc: u32) -> usize {
    let mut step = 1;
    while step < docs.len() && docs[step] < doc {
        step *= 2;
    }
    let from = step / 2;
    from + docs[from..docs.len().min(step + 1)].partition_point(|other| *other < doc)
}

fn search_segment(lists: &mut [List], sums: &mut [f64], top: &mut Top) {
    // From the term that adds least to the one that adds most.
    let mut by_bound: Vec<usize> = (0..lists.len()).collect();
    by_bound.sort_by(|a, b| lists[*a].bound.total_cmp(&lists[*b].bound));
    loop {
        let first = lists.iter().filter_map(|list| list.postings.docs.get(list.at)).min();
        let Some(start) = first.map(|doc| doc / WINDOW * WINDOW) else { return };
        let mut postings = 0;
        for list in lists.iter_mut() {
            list.end = list.at + reach(&list.postings.docs[list.at..], start, list.postings.docs.last());
            postings += list.end - list.at;
        }
        let needed = first_needed(lists, &by_bound, top.threshold());
        let spared: usize = by_bound[..needed].iter().map(|n| lists[*n].end - lists[*n].at).sum();
        if spared > WORTH_IT * (postings - spared) {
            add_needed(start, lists, by_bound.split_at(needed), sums, top);
        } else {
            add_all(start, lists, sums, top, postings);
        }
        lists.iter_mut().for_each(|list| list.at = list.end);
    }
}

/// How many terms, from the one that adds least, together cannot lift a document to the threshold.
fn first_needed(lists: &[List], by_bound: &[usize], threshold: f64) -> usize {
    let mut bound = 0.0;
    let below = |number: &&usize| {
        bound += lists[**number].bound;
        bound * SLACK < threshold
    };
    by_bound.iter().take_while(below).count()
}

/// How many of the documents stand in the window that begins at `start`.
fn reach(docs: &[u32], start: u32, last: Option<&u32>) -> usize {
    // Compared by distance: the end of the last window need not fit the number type.
    if last.is_some_and(|last| last.saturating_sub(start) < WINDOW) {
        return docs.len();
    }
    let mut step = 1;
    while step < docs.len() && docs[step] - start < WINDOW {
        step *= 2;
    }
    let from = step / 2;
    from + docs[from..docs.len().min(step + 1)].partition_point(|doc| doc - start < WINDOW)
}

/// Scores every document of a window that has any of the terms.
fn add_all(start: u32, lists: &[List], sums: &mut [f64], top: &mut Top, postings: usize) {
    for list in lists {
        for (doc, part) in list.window() {
            sums[(doc - start) as usize] += part;
        }
    }
    if postings < sums.len() / 2 {
        for list in lists {
            for doc in &list.postings.docs[list.at..list.end] {
                // A sum that was taken before is zero and below every limit.
                let score = std::mem::take(&mut sums[(doc - start) as usize]);
                if score >= top.limit() {
                    top.offer(*doc, score);
                }
            }
        }
        return;
    }
    for (group, sums) in sums.chunks_mut(16).enumerate() {
        if sums.iter().fold(0.0, |a: f64, b| if a > *b { a } else { *b }) >= top.limit() {
            for (place, score) in sums.iter().enumerate() {
                if *score >= top.limit() {
                    top.offer(start + (16 * group + place) as u32, *score);
                }
            }
        }
        sums.fill(0.0);
    }
}

/// Adds up the needed terms alone, and looks up the others, which come first in `by_bound`, for documents that can still
/// be among the best.
fn add_needed(
    start: u32,
    lists: &[List],
    (spared, needed): (&[usize], &[usize]),
    sums: &mut [f64],
    top: &mut Top,
) {
    for number in needed {
        for (doc, part) in lists[*number].window() {
            sums[(doc - start) as usize] += part;
        }
    }
    let rest: f64 = spared.iter().map(|number| lists[*number].bound).sum();
    for number in needed {
        let list = &lists[*number];
        for doc in &list.postings.docs[list.at..list.end] {
            let mut sum = std::mem::take(&mut sums[(doc - start) as usize]);
            let mut rest = rest;
            // Spared terms from the one that adds most, until the document cannot reach the threshold any more.
            let mut others = spared.iter().rev();
            while sum > 0.0 && top.allows(*doc) && (sum + rest) * SLACK >= top.threshold() {
                let Some(other) = others.next() else {
                    let score = lists.iter().map(|list| list.part(*doc)).sum();
                    top.offer(*doc, score);
                    break;
                };
                sum += lists[*other].part(*doc);
                rest -= lists[*other].bound;
            }
        }
    }
}
