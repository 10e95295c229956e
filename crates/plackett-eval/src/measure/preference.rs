//! Measures over preferences between documents, made from the counts of [`PreferenceCounts`].

use super::Arguments;
use crate::judged::JudgedRanking;
use crate::preferred::{GroupCounts, PairSum, PreferenceCounts, Tally};

fn counted(query: &JudgedRanking, count: impl Fn(&PreferenceCounts) -> f64) -> f64 {
    query.preferences.as_ref().map_or(0.0, count)
}

fn total(counts: &PreferenceCounts, tally: impl Fn(&GroupCounts) -> Tally) -> Tally {
    counts.groups.iter().map(tally).fold(Tally::default(), Tally::and)
}

/// The share of all preferences that is kept.
fn simple(query: &JudgedRanking, tally: fn(&GroupCounts) -> Tally) -> f64 {
    counted(query, |counts| total(counts, tally).share().unwrap_or(0.0))
}

/// The share within each group, averaged over groups. A group without a preference of the kind counts 0.
fn by_group(query: &JudgedRanking, tally: fn(&GroupCounts) -> Tally) -> f64 {
    counted(query, |counts| {
        let sum: f64 = counts.groups.iter().map(|group| tally(group).share().unwrap_or(0.0)).sum();
        if counts.groups.is_empty() { 0.0 } else { sum / counts.groups.len() as f64 }
    })
}

/// The same, but 0 for the query when a group has no preference: so trec_eval has it for balanced groups.
fn by_every_group(query: &JudgedRanking, tally: fn(&GroupCounts) -> Tally) -> f64 {
    counted(query, |counts| {
        let shares: Option<Vec<f64>> = counts.groups.iter().map(|group| tally(group).share()).collect();
        let shares = shares.unwrap_or_default();
        if shares.is_empty() { 0.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 }
    })
}

fn pairs(query: &JudgedRanking, implied: bool, neither: bool) -> f64 {
    counted(query, |counts| {
        let mut all = counts.pairs_both;
        if implied {
            let more = counts.pairs_one;
            all = PairSum { sum: all.sum + more.sum, pairs: all.pairs + more.pairs };
        }
        if neither {
            all.pairs += counts.pairs_neither;
        }
        all.mean()
    })
}

/// Number of preferences.
pub fn possible(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    counted(query, |counts| total(counts, GroupCounts::all).possible as f64)
}

/// Number of preferences that are kept.
pub fn kept(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    counted(query, |counts| total(counts, GroupCounts::all).kept as f64)
}

/// Number of preferences between returned documents that are kept.
pub fn kept_returned(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    counted(query, |counts| total(counts, |group| group.both).kept as f64)
}

/// Share of all preferences.
pub fn simple_all(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    simple(query, GroupCounts::all)
}

/// Share of the preferences between returned documents.
pub fn simple_returned(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    simple(query, |group| group.both)
}

/// Share of the preferences with a returned document.
pub fn simple_implied(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    simple(query, GroupCounts::implied)
}

/// Mean over all pairs.
pub fn pairs_all(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    pairs(query, true, true)
}

/// Mean over pairs of returned documents.
pub fn pairs_returned(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    pairs(query, false, false)
}

/// Mean over pairs with a returned document.
pub fn pairs_implied(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    pairs(query, true, false)
}

/// Share of all preferences, averaged over groups.
pub fn groups_all(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    by_group(query, GroupCounts::all)
}

/// Share of the preferences between returned documents, averaged over groups.
pub fn groups_returned(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    by_group(query, |group| group.both)
}

/// Share of the preferences with a returned document, averaged over groups.
pub fn groups_implied(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    by_group(query, GroupCounts::implied)
}

/// Share of all preferences with as many non-relevant documents as relevant ones, averaged over groups.
pub fn balanced_all(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    by_every_group(query, |group| group.balanced)
}

/// The same among returned documents.
pub fn balanced_returned(query: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    by_every_group(query, |group| group.balanced_returned)
}
