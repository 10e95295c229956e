//! KILT's measures over sets of evidence: the second column of the judgments names the set that a page belongs to.

use super::Arguments;
use super::diversity::relevant_subtopics;
use crate::evidence::RankedEvidence;
use crate::judged::JudgedRanking;

fn ranked(query: &JudgedRanking, arguments: &Arguments<'_>) -> RankedEvidence {
    let of = |documents: &[Vec<(u32, i32)>]| relevant_subtopics(documents, arguments.rel());
    RankedEvidence::of_members(&of(&query.subtopics), &of(&query.judged_subtopics))
}

/// The rank after which nothing counts.
fn depth(arguments: &Arguments<'_>) -> usize {
    arguments.cutoff().unwrap_or(usize::MAX)
}

/// Of the best set of R pages the share that is among the first R.
pub fn r_precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    ranked(query, arguments).r_precision()
}

/// Whole sets among the first k slots, over k.
pub fn precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    ranked(query, arguments).precision(depth(arguments))
}

/// Whole sets among the first k slots, over all sets.
pub fn recall(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    ranked(query, arguments).recall(depth(arguments))
}

/// 1 when a whole set is among the first k slots.
pub fn success(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    ranked(query, arguments).success(depth(arguments))
}
