//! Negatives to learn from, of certain ranks of a search: for `plackett synth negatives` and the stage kind `mined-negatives`.

use plackett_core::hard_negatives::Mining;
use plackett_core::{Qrels, Ranking};
use plackett_train::random::Stream;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// Ranks of a search, from 1, both ends among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankBand {
    from: usize,
    to: usize,
}

impl RankBand {
    /// 93 to 100, of which few are right (Chandradevan and others, DUQGen, 2024).
    pub const DUQGEN: RankBand = RankBand { from: 93, to: 100 };

    /// From a rank to one that is not before it; `None` of others, and of the rank 0.
    pub fn new(from: usize, to: usize) -> Option<RankBand> {
        (1..=to).contains(&from).then_some(RankBand { from, to })
    }

    /// The first rank.
    pub fn first(self) -> usize {
        self.from
    }

    /// The last one.
    pub fn last(self) -> usize {
        self.to
    }
}

impl FromStr for RankBand {
    type Err = String;

    /// Two ranks as in `10-100`.
    fn from_str(text: &str) -> Result<RankBand, String> {
        let ends = text.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        ends.and_then(|(from, to)| RankBand::new(from, to)).ok_or_else(|| {
            "two ranks from 1 are expected, the first not behind the second, such as 10-100".into()
        })
    }
}

impl fmt::Display for RankBand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

/// How negatives are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NegativeMining {
    /// The ranks that are looked at.
    pub ranks: RankBand,
    /// Negatives of a query, at most.
    pub count: usize,
    /// Relevant documents of a query, at most, those with the best grades first; 0 for all.
    pub positives: usize,
    /// A document whose score is greater than the best one of a relevant document minus this is taken for relevant, unless
    /// somebody has judged that it is not; `None` keeps all.
    pub margin: Option<f64>,
    /// Seed by which negatives are drawn among the ranks; without one the first are taken.
    pub seed: Option<u64>,
}

/// What is learned from a query.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct MinedQuery {
    /// Relevant documents with their grades, the best grades first.
    pub positives: Vec<(String, i32)>,
    /// Negatives, in the order of their ranks.
    pub negatives: Vec<String>,
    /// Relevant documents that are not there.
    pub absent: usize,
    /// Documents on the ranks that the margin takes for relevant.
    pub suspected: usize,
}

/// Why a query teaches nothing.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnminableQuery {
    /// Nothing is judged to be relevant.
    Unjudged,
    /// What is relevant is not there.
    Absent,
    /// No relevant document was found, so that a margin has no score to go by.
    Unfound,
    /// There is no negative on the ranks.
    WithoutNegative,
}

impl UnminableQuery {
    /// All of them.
    pub const ALL: [UnminableQuery; 4] = [
        UnminableQuery::Unjudged,
        UnminableQuery::Absent,
        UnminableQuery::Unfound,
        UnminableQuery::WithoutNegative,
    ];

    /// In words behind a number of queries.
    pub fn words(self) -> &'static str {
        match self {
            UnminableQuery::Unjudged => "without a relevant document in the judgments",
            UnminableQuery::Absent => "whose relevant documents are not in the index",
            UnminableQuery::Unfound => {
                "whose relevant documents the search does not find, so that the margin has no score to go by"
            }
            UnminableQuery::WithoutNegative => "without a negative on the ranks",
        }
    }
}

/// What a query teaches, or why it teaches nothing.
pub type Mined = Result<MinedQuery, UnminableQuery>;

impl NegativeMining {
    /// Mines in what a search has found for the `nth` query; `is_there` says whether there is a document of an id.
    ///
    /// # Errors
    /// Those of `is_there`.
    pub fn mine<E>(
        &self,
        nth: u64,
        found: &Ranking,
        qrels: &Qrels,
        is_there: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<Mined, E> {
        let relevant = relevant(qrels, &found.query_id);
        if relevant.is_empty() {
            return Ok(Err(UnminableQuery::Unjudged));
        }
        let right: HashSet<&str> = relevant.iter().map(|(id, _)| id.as_str()).collect();
        let chosen = self.negatives(nth, found, &right, &wrong(qrels, &found.query_id));
        let (positives, absent) = self.best(&relevant, is_there)?;
        if positives.is_empty() {
            return Ok(Err(UnminableQuery::Absent));
        }
        Ok(chosen.map(|(negatives, suspected)| MinedQuery { positives, negatives, absent, suspected }))
    }

    /// The first relevant documents that are there, and how many before the last of them are not.
    fn best<E>(
        &self,
        relevant: &[(String, i32)],
        mut is_there: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<(Vec<(String, i32)>, usize), E> {
        let most = if self.positives == 0 { relevant.len() } else { self.positives };
        let (mut kept, mut absent) = (Vec::new(), 0);
        for one in relevant {
            if kept.len() == most {
                break;
            }
            match is_there(&one.0)? {
                true => kept.push(one.clone()),
                false => absent += 1,
            }
        }
        Ok((kept, absent))
    }

    /// Negatives on the ranks of what was found for the `nth` query, and how many others the margin takes for relevant. `right`
    /// are the ids of what is relevant, `wrong` of what was judged and is not.
    ///
    /// # Errors
    /// There are none, or a margin has no score to go by.
    pub fn negatives(
        &self,
        nth: u64,
        found: &Ranking,
        right: &HashSet<&str>,
        wrong: &HashSet<&str>,
    ) -> Result<(Vec<String>, usize), UnminableQuery> {
        let entries = &found.entries;
        let is_right = |place: usize| right.contains(entries[place].id.as_str());
        let best = (0..entries.len()).filter(|place| is_right(*place)).map(|place| entries[place].score);
        let positive = match (self.margin, best.reduce(f64::max)) {
            (None, _) => f64::INFINITY,
            (Some(_), best) => best.ok_or(UnminableQuery::Unfound)?,
        };
        let band = self.ranks.from - 1..self.ranks.to.min(entries.len());
        let others = band.filter(|place| !is_right(*place));
        let ranked: Vec<(usize, f64)> = others.map(|place| (place, entries[place].score)).collect();
        // What was judged needs no guess.
        let judge = |place: usize| match wrong.contains(entries[place].id.as_str()) {
            true => f64::NEG_INFINITY,
            false => entries[place].score,
        };
        let all = usize::MAX;
        let mining = Mining { depth: all, cap: f64::INFINITY, beta: self.margin, stride: 1, count: all };
        let mined = mining.mine(&ranked, positive, judge);
        let left: Vec<usize> = mined.negatives.into_iter().map(|(place, _)| place).collect();
        let chosen: Vec<usize> = match self.seed {
            None => left.into_iter().take(self.count).collect(),
            Some(seed) => {
                let mut drawn = Stream::new(seed, nth).permutation(left.len());
                drawn.truncate(self.count);
                drawn.sort_unstable();
                drawn.into_iter().map(|at| left[at]).collect()
            }
        };
        if chosen.is_empty() {
            return Err(UnminableQuery::WithoutNegative);
        }
        Ok((chosen.into_iter().map(|place| entries[place].id.clone()).collect(), mined.removed.len()))
    }
}

/// What is relevant to a query, each once, the best grades first.
fn relevant(qrels: &Qrels, query: &str) -> Vec<(String, i32)> {
    let judged = qrels.relevant(query);
    let mut relevant: Vec<(String, i32)> =
        judged.map(|judgment| (judgment.document.to_string(), judgment.grade)).collect();
    relevant.sort_by_key(|(_, grade)| Reverse(*grade));
    let mut seen = HashSet::new();
    relevant.retain(|(id, _)| seen.insert(id.clone()));
    relevant
}

/// What was judged and is not relevant; grades below 0 say that nobody has looked.
fn wrong<'q>(qrels: &'q Qrels, query: &str) -> HashSet<&'q str> {
    let grades = qrels.query(query).map(|judged| judged.grades()).unwrap_or_default();
    grades.into_iter().filter(|(_, grade)| *grade == 0).map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::Trace;
    use std::convert::Infallible;

    fn qrels(judged: &[(&str, i32)]) -> Qrels {
        let mut qrels = Qrels::new();
        for (id, grade) in judged {
            qrels.query_mut("q").push("0", id, *grade).unwrap();
        }
        qrels
    }

    /// `a` to `h` with the scores 0, −1, …, −7, in an index without the document `x`.
    fn mine(mining: NegativeMining, judged: &[(&str, i32)]) -> Mined {
        let scored = "abcdefgh".chars().enumerate().map(|(at, id)| (id.to_string(), -(at as f64)));
        let found = Ranking::from_scores("q", scored, Trace::default());
        mining.mine(0, &found, &qrels(judged), |id| Ok::<bool, Infallible>(id != "x")).unwrap()
    }

    fn of(from: usize, to: usize, count: usize) -> NegativeMining {
        let ranks = RankBand::new(from, to).unwrap();
        NegativeMining { ranks, count, positives: 0, margin: None, seed: None }
    }

    #[test]
    fn bands_are_read_as_they_are_written() {
        let band: RankBand = "10-100".parse().unwrap();
        assert_eq!((band.first(), band.last(), band.to_string().as_str()), (10, 100, "10-100"));
        assert_eq!("7-7".parse::<RankBand>(), Ok(RankBand { from: 7, to: 7 }));
        for text in ["", "5", "0-3", "4-3", "-1-3", "a-b"] {
            assert!(text.parse::<RankBand>().is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_ones_are_the_first_of_their_ranks_that_are_not_relevant() {
        let negatives = |mining| mine(mining, &[("d", 1)]).map(|mined| mined.negatives);
        assert_eq!(negatives(of(3, 6, 2)).unwrap(), ["c", "e"]);
        assert_eq!(negatives(of(3, 6, 9)).unwrap(), ["c", "e", "f"]);
        assert_eq!(negatives(of(8, 20, 4)).unwrap(), ["h"]);
        assert_eq!(negatives(of(9, 20, 4)), Err(UnminableQuery::WithoutNegative));
    }

    #[test]
    fn the_best_grades_come_first() {
        let judged = [("a", 1), ("b", 0), ("x", 3), ("c", 2), ("d", 1), ("c", 1)];
        let mined = mine(of(5, 6, 1), &judged).unwrap();
        let all = [("c".to_string(), 2), ("a".to_string(), 1), ("d".to_string(), 1)];
        assert_eq!((&mined.positives[..], mined.absent), (&all[..], 1));
        let two = NegativeMining { positives: 2, ..of(5, 6, 1) };
        assert_eq!(mine(two, &judged).unwrap().positives, all[..2]);
    }

    #[test]
    fn a_margin_leaves_out_what_scores_nearly_as_the_best_relevant_one() {
        // The best relevant one has the score −1, and `a` and `c` have more than −1 − 1.5.
        let judged = [("b", 1), ("g", 2)];
        let mining = NegativeMining { margin: Some(1.5), ..of(1, 8, 2) };
        let mined = mine(mining, &judged).unwrap();
        assert_eq!((mined.negatives, mined.suspected), (vec!["d".to_string(), "e".to_string()], 2));
        // `c` is judged.
        let mined = mine(mining, &[("b", 1), ("c", 0)]).unwrap();
        assert_eq!((mined.negatives, mined.suspected), (vec!["c".to_string(), "d".to_string()], 1));
        assert_eq!(mine(mining, &[("x", 1)]), Err(UnminableQuery::Absent));
        let elsewhere = NegativeMining { margin: None, ..mining };
        assert_eq!(mine(elsewhere, &[("y", 1)]).unwrap().negatives, ["a", "b"]);
        assert_eq!(mine(mining, &[("y", 1)]), Err(UnminableQuery::Unfound));
        assert_eq!(mine(mining, &[("a", 0)]), Err(UnminableQuery::Unjudged));
    }

    #[test]
    fn a_seed_draws_among_the_ranks_and_keeps_their_order() {
        let drawn = |seed| {
            let mining = NegativeMining { seed: Some(seed), ..of(2, 8, 3) };
            mine(mining, &[("a", 1)]).unwrap().negatives
        };
        let all: HashSet<Vec<String>> = (0..20).map(drawn).collect();
        assert!(all.len() > 5, "{all:?}");
        for negatives in &all {
            assert!(negatives.len() == 3 && negatives.is_sorted() && !negatives.contains(&"a".to_string()));
        }
        assert_eq!(drawn(1), drawn(1));
    }
}
