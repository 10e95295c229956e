//! Measures over subtopics (the second column of diversity judgments).

use super::Arguments;
use crate::judged::JudgedRanking;

/// Novelty-biased gain of a document: Σ over its subtopics of (1 − α)^(documents of that subtopic above).
struct Novelty {
    alpha: f64,
    seen: Vec<i32>,
}

impl Novelty {
    fn new(alpha: f64, subtopics: usize) -> Self {
        Novelty { alpha, seen: vec![0; subtopics] }
    }

    fn gain(&self, document: &[u32]) -> f64 {
        document.iter().map(|&s| (1.0 - self.alpha).powi(self.seen[s as usize])).sum()
    }

    fn take(&mut self, document: &[u32]) -> f64 {
        let gain = self.gain(document);
        for &subtopic in document {
            self.seen[subtopic as usize] += 1;
        }
        gain
    }
}

/// The subtopics that each document is relevant to.
pub(super) fn relevant_subtopics(documents: &[Vec<(u32, i32)>], level: i32) -> Vec<Vec<u32>> {
    documents
        .iter()
        .map(|document| document.iter().filter(|(_, grade)| *grade >= level).map(|(s, _)| *s).collect())
        .collect()
}

/// Number of slots that subtopic numbers need, and how many of the subtopics have a relevant document.
fn extent(judged: &[Vec<u32>]) -> (usize, usize) {
    let slots = judged.iter().flatten().max().map_or(0, |&last| last as usize + 1);
    let mut present = vec![false; slots];
    for &subtopic in judged.iter().flatten() {
        present[subtopic as usize] = true;
    }
    (slots, present.iter().filter(|&&p| p).count())
}

struct Lists {
    returned: Vec<Vec<u32>>,
    judged: Vec<Vec<u32>>,
    slots: usize,
    present: usize,
    keep: usize,
}

fn lists(query: &JudgedRanking, arguments: &Arguments<'_>) -> Lists {
    let level = arguments.rel();
    let judged = relevant_subtopics(&query.judged_subtopics, level);
    let (slots, present) = extent(&judged);
    let keep = arguments.cutoff().unwrap_or(usize::MAX);
    let mut returned = relevant_subtopics(&query.subtopics, level);
    if arguments.switch("judged_only") {
        let mut is_judged = query.grades.iter().map(|&grade| crate::judged::is_judged(grade));
        returned.retain(|_| is_judged.next().unwrap_or(false));
    }
    returned.truncate(keep);
    Lists { returned, judged, slots, present, keep }
}

/// Σ novelty gain / log2(k + 1), over that of the list built greedily from the judgments.
pub fn alpha_ndcg(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    over_greedy(query, arguments, |place| (place as f64 + 2.0).log2())
}

/// Σ novelty gain / log2(k + 1) over subtopics, over what k documents relevant to all of them would gain.
pub fn alpha_dcg(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    over_most(query, arguments, |place| (place as f64 + 2.0).log2())
}

/// Σ novelty gain / k, over that of the list built greedily from the judgments.
pub fn normalised_err_ia(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    over_greedy(query, arguments, |place| place as f64 + 1.0)
}

/// Σ novelty gain / k over subtopics that have a relevant document, over what a list would gain in which every document
/// is relevant to all of them (ndeval's scale, so that 1 can be reached).
pub fn err_ia(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    over_most(query, arguments, |place| place as f64 + 1.0)
}

/// (1 − (1 − α) β) / S · Σ novelty gain · β^(k−1) over S subtopics with a relevant document.
pub fn nrbp(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let lists = lists(query, arguments);
    let (alpha, beta) = (arguments.number("alpha"), arguments.number("beta"));
    if lists.present == 0 {
        return 0.0;
    }
    let sum = discounted(&lists, alpha, |place| beta.powi(-(place as i32)));
    (1.0 - (1.0 - alpha) * beta) * sum / lists.present as f64
}

/// NRBP over that of the list built greedily from the judgments.
pub fn normalised_nrbp(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let beta = arguments.number("beta");
    over_greedy(query, arguments, |place| beta.powi(-(place as i32)))
}

/// Average precision for each subtopic with a relevant document, averaged.
pub fn average_precision_ia(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let lists = lists(query, arguments);
    let mut relevant = vec![0_u32; lists.slots];
    for &subtopic in lists.judged.iter().flatten() {
        relevant[subtopic as usize] += 1;
    }
    let mut found = vec![0_u32; lists.slots];
    let mut sums = vec![0.0; lists.slots];
    for (place, document) in lists.returned.iter().enumerate() {
        for &subtopic in document {
            let subtopic = subtopic as usize;
            found[subtopic] += 1;
            sums[subtopic] += f64::from(found[subtopic]) / (place as f64 + 1.0);
        }
    }
    let present = relevant.iter().zip(sums).filter(|(relevant, _)| **relevant > 0);
    let total: f64 = present.map(|(&relevant, sum)| sum / f64::from(relevant)).sum();
    if lists.present == 0 { 0.0 } else { total / lists.present as f64 }
}

fn over_greedy(
    query: &JudgedRanking,
    arguments: &Arguments<'_>,
    discount: impl Fn(usize) -> f64 + Copy,
) -> f64 {
    let lists = lists(query, arguments);
    let alpha = arguments.number("alpha");
    let depth = arguments.cutoff().unwrap_or(lists.returned.len().max(lists.judged.len()));
    let ideal = ideal_sum(&lists, alpha, depth, discount);
    // A list may beat the greedy one; then it is the best that is known.
    if ideal > 0.0 { (discounted(&lists, alpha, discount) / ideal).min(1.0) } else { 0.0 }
}

fn over_most(
    query: &JudgedRanking,
    arguments: &Arguments<'_>,
    discount: impl Fn(usize) -> f64 + Copy,
) -> f64 {
    let lists = lists(query, arguments);
    let alpha = arguments.number("alpha");
    let depth = arguments.cutoff().unwrap_or(lists.returned.len());
    let each = (0..depth).map(|place| (1.0 - alpha).powi(place.min(100_000) as i32) / discount(place));
    let most = each.sum::<f64>() * lists.present as f64;
    if most > 0.0 { discounted(&lists, alpha, discount) / most } else { 0.0 }
}

fn discounted(lists: &Lists, alpha: f64, discount: impl Fn(usize) -> f64) -> f64 {
    let mut novelty = Novelty::new(alpha, lists.slots);
    lists.returned.iter().enumerate().map(|(place, document)| novelty.take(document) / discount(place)).sum()
}

/// The greedy list (the exact one is NP-hard, and ndeval is greedy too): at each place the document with the largest
/// gain, of equal ones the first.
fn ideal_sum(lists: &Lists, alpha: f64, depth: usize, discount: impl Fn(usize) -> f64) -> f64 {
    let mut left: Vec<&Vec<u32>> = lists.judged.iter().filter(|document| !document.is_empty()).collect();
    let mut novelty = Novelty::new(alpha, lists.slots);
    let mut sum = 0.0;
    for place in 0..depth.min(left.len()) {
        let best = (0..left.len())
            .max_by(|&a, &b| novelty.gain(left[a]).total_cmp(&novelty.gain(left[b])).then(b.cmp(&a)));
        let Some(best) = best else { break };
        sum += novelty.take(left.remove(best)) / discount(place);
    }
    sum
}

/// Share of the subtopics with a relevant document that the first k documents cover.
pub fn subtopic_recall(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let lists = lists(query, arguments);
    let mut covered = vec![false; lists.slots];
    for &subtopic in lists.returned.iter().take(lists.keep).flatten() {
        if let Some(slot) = covered.get_mut(subtopic as usize) {
            *slot = true;
        }
    }
    let covered = covered.iter().filter(|&&c| c).count();
    if lists.present == 0 { 0.0 } else { covered as f64 / lists.present as f64 }
}

/// Precision for each subtopic with a relevant document, averaged.
pub fn precision_ia(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let lists = lists(query, arguments);
    let places = arguments.cutoff().unwrap_or(lists.returned.len());
    if lists.present == 0 || places == 0 {
        return 0.0;
    }
    let hits: usize = lists.returned.iter().map(Vec::len).sum();
    hits as f64 / (places as f64 * lists.present as f64)
}
