//! Content plans: sets of units of a source that a summary is about (EDU-Sum, 2023). The same routine makes labels for a planner, tells
//! which plan a summary follows, and how many different ones there are among candidates.

use plackett_core::losses::log_softmax;
use std::collections::{BTreeMap, BTreeSet};

/// Units that a greedy plan has at most (as in the authors' code).
const MOST: usize = 21;

/// Overlap of two texts by sets of n-grams: F1 of unigrams and bigrams, without regard to capitals and anything but letters, digits and blanks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// F1 of unigrams.
    pub one: f64,
    /// F1 of bigrams.
    pub two: f64,
}

impl Overlap {
    /// The mean of both.
    pub fn mean(self) -> f64 {
        (self.one + self.two) / 2.0
    }
}

type Grams = BTreeSet<Vec<u32>>;

/// Words of texts as numbers, so that they are compared once.
#[derive(Clone, Debug, Default)]
struct Words(BTreeMap<String, u32>);

impl Words {
    fn of(&mut self, text: &str) -> Vec<u32> {
        let cleaned: String = text
            .to_lowercase()
            .chars()
            .filter(|character| character.is_ascii_alphanumeric() || character.is_whitespace())
            .collect();
        let numbered = |word: &str| {
            let next = self.0.len() as u32;
            *self.0.entry(word.to_string()).or_insert(next)
        };
        cleaned.split_whitespace().map(numbered).collect()
    }
}

fn grams(words: &[u32], n: usize) -> Grams {
    words.windows(n).map(<[u32]>::to_vec).collect()
}

fn f1(a: &Grams, b: &Grams) -> f64 {
    let common = a.intersection(b).count() as f64;
    let (precision, recall) = (common / (a.len() as f64 + 1e-8), common / (b.len() as f64 + 1e-8));
    2.0 * precision * recall / (precision + recall + 1e-8)
}

fn overlap_of(words: &[u32], target: &[Grams; 2]) -> Overlap {
    Overlap { one: f1(&grams(words, 1), &target[0]), two: f1(&grams(words, 2), &target[1]) }
}

/// The overlap of two texts.
pub fn overlap(a: &str, b: &str) -> Overlap {
    let mut words = Words::default();
    let (a, b) = (words.of(a), words.of(b));
    overlap_of(&a, &[grams(&b, 1), grams(&b, 2)])
}

/// The units of a source that a text is about, ascending: those that a greedy search picks, each with the greatest gain of the overlap, or
/// those most like the units of the text, whichever overlap more with it (greedy ones only if they do). Empty where nothing overlaps.
pub fn content_plan(units: &[&str], text: &str, text_units: &[&str]) -> Vec<usize> {
    let mut words = Words::default();
    let numbered: Vec<Vec<u32>> = units.iter().map(|unit| words.of(unit)).collect();
    let own = words.of(text);
    let target = [grams(&own, 1), grams(&own, 2)];
    let of_plan = |plan: &[usize]| {
        let joined: Vec<u32> = plan.iter().flat_map(|at| numbered[*at].iter().copied()).collect();
        overlap_of(&joined, &target)
    };
    let greedy = greedy_plan(units.len(), |plan| of_plan(plan).mean());
    let of_unit = |unit: &str, words: &mut Words| {
        let own = words.of(unit);
        let target = [grams(&own, 1), grams(&own, 2)];
        let score = |at: usize| overlap_of(&numbered[at], &target).mean();
        let best = (0..units.len()).fold(None, |best: Option<(usize, f64)>, at| match best {
            Some((_, most)) if score(at) <= most => best,
            _ => Some((at, score(at))),
        });
        best.filter(|(_, score)| *score > 0.0).map(|(at, _)| at)
    };
    let aligned: BTreeSet<usize> = text_units.iter().filter_map(|unit| of_unit(unit, &mut words)).collect();
    let aligned: Vec<usize> = aligned.into_iter().collect();
    if of_plan(&greedy).mean() > of_plan(&aligned).mean() { greedy } else { aligned }
}

fn greedy_plan(count: usize, score: impl Fn(&[usize]) -> f64) -> Vec<usize> {
    let mut plan: Vec<usize> = Vec::new();
    let mut reached = 0.0;
    while plan.len() < MOST {
        let with = |at: usize| {
            let mut longer = plan.clone();
            let place = longer.partition_point(|other| *other < at);
            longer.insert(place, at);
            longer
        };
        let open = (0..count).filter(|at| plan.binary_search(at).is_err());
        let best =
            open.map(|at| (score(&with(at)), at)).fold(None, |best: Option<(f64, usize)>, next| match best {
                Some((most, _)) if next.0 <= most => best,
                _ => Some(next),
            });
        match best {
            Some((score, at)) if score > reached => {
                plan = with(at);
                reached = score;
            }
            _ => break,
        }
    }
    plan
}

/// How far a plan is followed: precision, recall and F1 of its units; 1 of two empty plans.
pub fn adherence(plan: &[usize], followed: &[usize]) -> [f64; 3] {
    if plan.is_empty() && followed.is_empty() {
        return [1.0; 3];
    }
    let common = followed.iter().filter(|at| plan.contains(at)).count() as f64;
    let (precision, recall) = (common / followed.len().max(1) as f64, common / plan.len().max(1) as f64);
    let sum = precision + recall;
    [precision, recall, if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 }]
}

/// A beam search for plans: units in ascending order, then a stop.
#[derive(Clone, Copy, Debug)]
pub struct PlanSearch {
    /// Plans that live on, and that are found.
    pub width: usize,
    /// Units of a plan.
    pub shortest: usize,
    /// Units of a plan at most.
    pub longest: usize,
    /// Sums of log-probabilities are divided by the number of choices to this power.
    pub length_penalty: f64,
}

impl PlanSearch {
    /// The best plans of `count` units with their scores, the best first; of equal ones the one found first. `scores` gives, after a plan so
    /// far, a number for each unit and, last, one for the stop; a softmax over those that may come next makes log-probabilities. Units
    /// only ascend, so that different sequences are different sets.
    pub fn run(&self, count: usize, scores: impl Fn(&[usize]) -> Vec<f64>) -> Vec<(Vec<usize>, f64)> {
        let mut live: Vec<(Vec<usize>, f64)> = vec![(Vec::new(), 0.0)];
        let mut found: Vec<(Vec<usize>, f64)> = Vec::new();
        while !live.is_empty() {
            let mut next: Vec<(Vec<usize>, f64)> = Vec::new();
            for (plan, sum) in &live {
                let first = plan.last().map_or(0, |last| last + 1);
                // A short source cannot give a plan of the least length: then it may end where nothing is left.
                let may_stop = plan.len() >= self.shortest || first >= count;
                let units = if plan.len() < self.longest { first..count } else { 0..0 };
                let places: Vec<usize> = units.chain(may_stop.then_some(count)).collect();
                let given = scores(plan);
                let logs = log_softmax(places.iter().map(|place| given[*place]));
                for (place, log) in places.into_iter().zip(logs) {
                    if place == count {
                        let choices = (plan.len() + 1) as f64;
                        found.push((plan.clone(), (sum + log) / choices.powf(self.length_penalty)));
                    } else {
                        let mut longer = plan.clone();
                        longer.push(place);
                        next.push((longer, sum + log));
                    }
                }
            }
            next.sort_by(|a, b| b.1.total_cmp(&a.1));
            next.truncate(self.width);
            live = next;
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(self.width);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_of_sets() {
        // {a, b, c} and {a, b}: 2·(2/3)(1)/(5/3) = 0.8; {ab, bc} and {ab}: 2/3. Capitals, marks and counts do not matter.
        let found = overlap("A b, c", "a B a b!");
        assert!((found.one - 0.8).abs() < 1e-6, "{found:?}");
        // The bigrams of the second are {ab, ba}: one in common of two and two.
        assert!((found.two - 0.5).abs() < 1e-6, "{found:?}");
        assert_eq!(overlap("", "a").mean(), 0.0);
    }

    #[test]
    fn plans_follow_what_a_text_is_about() {
        let units =
            ["the river rose in may", "people left their homes", "a fair was held", "the town was rebuilt"];
        let text = "people left their homes . the town was rebuilt";
        assert_eq!(
            content_plan(&units, text, &["people left their homes .", "the town was rebuilt"]),
            [1, 3]
        );
        assert_eq!(content_plan(&units, text, &[]), [1, 3], "the greedy search finds it alone");
        assert!(content_plan(&units, "zebra", &["zebra"]).is_empty());
        assert!(content_plan(&[], text, &[text]).is_empty());
        assert_eq!(adherence(&[1, 3], &[1, 2]), [0.5, 0.5, 0.5]);
        assert_eq!(adherence(&[], &[]), [1.0; 3]);
        assert_eq!(adherence(&[1], &[]), [0.0; 3]);
    }

    #[test]
    fn searches_find_the_most_probable_plans() {
        // Probabilities that do not depend on the plan: all plans of four units are enumerated beside the search.
        let numbers = [0.3, -0.2, 1.1, 0.4, 0.0];
        let score = |plan: &[usize]| {
            let mut sum = 0.0;
            let mut first = 0;
            for choice in plan.iter().copied().chain([4]) {
                let total: f64 = numbers[first..].iter().map(|x| f64::exp(*x)).sum();
                sum += numbers[choice] - total.ln();
                first = choice + 1;
            }
            sum
        };
        let mut all: Vec<(Vec<usize>, f64)> = (0..16u32)
            .map(|bits| (0..4).filter(|at| bits >> at & 1 == 1).collect::<Vec<usize>>())
            .map(|plan| (plan.clone(), score(&plan)))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        let search = PlanSearch { width: 16, shortest: 0, longest: 4, length_penalty: 0.0 };
        let found = search.run(4, |_| numbers.to_vec());
        assert_eq!(found.len(), 16);
        for ((plan, score), (other, expected)) in found.iter().zip(&all) {
            assert_eq!(plan, other);
            assert!((score - expected).abs() < 1e-12);
        }
        let bounded = PlanSearch { width: 3, shortest: 2, longest: 3, ..search }.run(4, |_| numbers.to_vec());
        assert_eq!(bounded.len(), 3);
        assert!(bounded.iter().all(|(plan, _)| (2..=3).contains(&plan.len()) || plan.last() == Some(&3)));
        assert!(bounded.iter().all(|(plan, _)| plan.windows(2).all(|pair| pair[0] < pair[1])));
        let short = PlanSearch { shortest: 3, ..search }.run(1, |_| vec![0.0, 0.0]);
        assert_eq!(short, [(vec![0], 0.0)]);
    }
}
