//! Measures that know relevant from not relevant.

use super::Arguments;
use crate::judged::{JudgedRanking, is_relevant};
use crate::policy::RecallCut;

fn over(part: f64, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part / whole as f64 }
}

fn hits(list: &[Option<i32>], level: i32) -> usize {
    list.iter().filter(|&&grade| is_relevant(grade, level)).count()
}

fn head<'q>(query: &'q JudgedRanking, arguments: &Arguments<'_>) -> &'q [Option<i32>] {
    arguments.head(query.list(arguments.switch("judged_only")))
}

/// Mean over all relevant documents of the precision at their rank; 0 for those that were not returned.
pub fn average_precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let mut found = 0.0;
    let mut sum = 0.0;
    for (place, &grade) in head(query, arguments).iter().enumerate() {
        if is_relevant(grade, level) {
            found += 1.0;
            sum += found / (place as f64 + 1.0);
        }
    }
    over(sum, query.relevant(level))
}

/// One over the rank of the first relevant document.
pub fn reciprocal_rank(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let first = head(query, arguments).iter().position(|&grade| is_relevant(grade, level));
    first.map_or(0.0, |place| 1.0 / (place as f64 + 1.0))
}

/// Relevant documents in the first k, over k even when fewer came back.
pub fn precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let list = head(query, arguments);
    over(hits(list, arguments.rel()) as f64, arguments.cutoff().unwrap_or(list.len()))
}

/// Relevant documents in the first k, over all relevant ones.
pub fn recall(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    over(hits(head(query, arguments), level) as f64, query.relevant(level))
}

/// Relevant documents in the first k, over as many as k places could hold.
pub fn capped_recall(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let possible = query.relevant(level).min(arguments.cutoff().unwrap_or(usize::MAX));
    over(hits(head(query, arguments), level) as f64, possible)
}

/// Harmonic mean of precision and recall at k.
pub fn f1(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    harmonic(precision(query, arguments), recall(query, arguments), 1.0)
}

/// 1 when a relevant document is among the first k.
pub fn success(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    f64::from(u8::from(hits(head(query, arguments), arguments.rel()) > 0))
}

/// Precision after as many documents as are relevant.
pub fn r_precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let list = query.list(arguments.switch("judged_only"));
    let relevant = query.relevant(level);
    over(hits(&list[..relevant.min(list.len())], level) as f64, relevant)
}

/// The best precision at any rank at which the recall after `@` is reached.
pub fn interpolated_precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let list = query.list(arguments.switch("judged_only"));
    let needed = query.recall_cut.needed(arguments.recall(), query.relevant(level));
    interpolated(list, level, needed)
}

/// The best precision at any rank where so many relevant documents were found.
fn interpolated(list: &[Option<i32>], level: i32, needed: usize) -> f64 {
    let mut found = 0;
    let mut best = 0.0_f64;
    for (place, &grade) in list.iter().enumerate() {
        found += usize::from(is_relevant(grade, level));
        if found >= needed {
            best = best.max(found as f64 / (place as f64 + 1.0));
        }
    }
    best
}

/// Precision at the rank that is a multiple of R, rounded up as trec_eval does.
pub fn precision_at_multiple(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let list = query.list(arguments.switch("judged_only"));
    let rank = RecallCut::Up.needed(arguments.multiple(), query.relevant(level));
    over(hits(&list[..rank.min(list.len())], level) as f64, rank)
}

/// Interpolated precision averaged over recall levels, eleven of them unless told.
pub fn eleven_point(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let list = query.list(arguments.switch("judged_only"));
    let relevant = query.relevant(level);
    let eleven: Vec<f64> = (0..=10).map(|tenth| f64::from(tenth) / 10.0).collect();
    let levels = arguments.numbers("levels").unwrap_or(&eleven);
    let at = |&recall: &f64| interpolated(list, level, query.recall_cut.needed(recall, relevant));
    over(levels.iter().rev().map(at).sum(), levels.len())
}

/// Precision of the whole returned set.
pub fn set_precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let list = query.list(arguments.switch("judged_only"));
    over(hits(list, arguments.rel()) as f64, list.len())
}

/// Recall of the whole returned set.
pub fn set_recall(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    over(hits(query.list(arguments.switch("judged_only")), level) as f64, query.relevant(level))
}

/// Weighted harmonic mean of the set's precision and recall.
pub fn set_f(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    harmonic(set_precision(query, arguments), set_recall(query, arguments), arguments.number("beta"))
}

/// Precision times recall of the set.
pub fn set_average_precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    set_precision(query, arguments) * set_recall(query, arguments)
}

/// Relevant documents of the set over as many as the set could have held.
pub fn set_relative_precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let list = query.list(arguments.switch("judged_only"));
    over(hits(list, level) as f64, query.relevant(level).min(list.len()))
}

/// (1 + β²) P R / (β² P + R). trec_eval's `set_F_x` takes x = β².
fn harmonic(precision: f64, recall: f64, beta: f64) -> f64 {
    let square = beta * beta;
    let below = square * precision + recall;
    if below > 0.0 { (1.0 + square) * precision * recall / below } else { 0.0 }
}

/// The share of pairs (relevant above, not relevant below) among all such pairs of the list; 0 without a relevant one,
/// 1 when nothing else was returned.
pub fn accuracy(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let list = arguments.head(&query.grades);
    let found = hits(list, level);
    let others = list.len() - found;
    if found == 0 {
        return 0.0;
    }
    if others == 0 {
        return 1.0;
    }
    let mut others_above = 0;
    let mut wrong_pairs = 0;
    for &grade in list {
        if is_relevant(grade, level) {
            wrong_pairs += others_above;
        } else {
            others_above += 1;
        }
    }
    1.0 - wrong_pairs as f64 / (others as f64 * found as f64)
}

/// Σ over relevant documents of 1 / log2(2 + other documents above), over all relevant ones.
pub fn binary_gain(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let mut others = 0.0;
    let mut sum = 0.0;
    for &grade in query.list(arguments.switch("judged_only")) {
        if is_relevant(grade, level) {
            sum += 1.0 / f64::log2(2.0 + others);
        } else {
            others += 1.0;
        }
    }
    over(sum, query.relevant(level))
}

/// ln((1 + s) / (1 + R − s)), with s the sum of the precisions at relevant documents.
pub fn smoothed_average_precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let relevant = query.relevant(arguments.rel()) as f64;
    let sum = average_precision(query, arguments) * relevant;
    ((1.0 + sum) / (1.0 + relevant - sum)).ln()
}

/// A weighted sum of the four cells: returned or not, relevant or not.
pub fn utility(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let list = query.list(arguments.switch("judged_only"));
    let (found, returned) = (hits(list, level) as f64, list.len() as f64);
    let relevant = query.relevant(level) as f64;
    arguments.number("found") * found
        + arguments.number("noise") * (returned - found)
        + arguments.number("missed") * (relevant - found)
        + arguments.number("rest") * (arguments.number("collection") + found - returned - relevant)
}
