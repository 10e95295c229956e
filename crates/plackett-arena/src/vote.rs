//! Votes: which of two answers somebody liked better.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The left answer is better.
    Left,
    /// The right answer is better.
    Right,
    /// Both are equally good.
    Tie,
    /// Both are bad. Ratings count it as [`Verdict::Tie`]; accounts keep it apart.
    BothBad,
}

impl Verdict {
    /// The verdict of a word, in any of the spellings that arenas' files use.
    pub fn parse(word: &str) -> Option<Verdict> {
        let word = word.trim().to_lowercase();
        Some(match word.as_str() {
            "a" | "left" | "model_a" | "leftvote" => Verdict::Left,
            "b" | "right" | "model_b" | "rightvote" => Verdict::Right,
            "tie" | "tievote" | "draw" | "both" => Verdict::Tie,
            "tie (bothbad)" | "bothbad" | "both_bad" | "bothbad_vote" | "neither" => Verdict::BothBad,
            _ => return None,
        })
    }

    /// The same seen from the other side.
    pub fn reversed(self) -> Verdict {
        match self {
            Verdict::Left => Verdict::Right,
            Verdict::Right => Verdict::Left,
            other => other,
        }
    }

    /// Points of the left model: 1, ½ or 0.
    pub fn points(self) -> f64 {
        match self {
            Verdict::Left => 1.0,
            Verdict::Right => 0.0,
            Verdict::Tie | Verdict::BothBad => 0.5,
        }
    }
}

/// One vote. Models, voters and categories are places in the lists of [`Votes`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vote {
    /// The model on the left.
    pub left: usize,
    /// The model on the right; another one.
    pub right: usize,
    /// What the vote says.
    pub verdict: Verdict,
    /// Who voted.
    pub voter: Option<usize>,
    /// What it was about: a prompt, a task, a category.
    pub category: Option<usize>,
    /// Whether the voter knew the models' names.
    pub named: bool,
    /// When, in any unit.
    pub time: Option<f64>,
}

/// What was read and what was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VoteAccount {
    /// Votes that were read.
    pub read: usize,
    /// Of them, how many voters saw names.
    pub named: usize,
    /// How many say that both answers are bad.
    pub both_bad: usize,
    /// Lines of a platform's log that are no votes (chats, reloads).
    pub not_votes: usize,
    /// Votes whose shown names contradict the hidden ones, or that lack a name.
    pub invalid: usize,
    /// Votes from voters that were to be left out.
    pub banned: usize,
    /// Votes with models that were to be left out.
    pub excluded: usize,
    /// Votes of a model against itself, which say nothing.
    pub with_itself: usize,
    /// Votes that a filter has taken out: of other categories, with names shown, beyond the most a voter may have.
    pub filtered: usize,
}

impl VoteAccount {
    fn add(&mut self, other: &VoteAccount) {
        self.read += other.read;
        self.named += other.named;
        self.both_bad += other.both_bad;
        self.not_votes += other.not_votes;
        self.invalid += other.invalid;
        self.banned += other.banned;
        self.excluded += other.excluded;
        self.with_itself += other.with_itself;
        self.filtered += other.filtered;
    }
}

/// Votes with the names behind their numbers.
#[derive(Clone, Debug, Default)]
pub struct Votes {
    /// Names of models, in the order in which they first come.
    pub models: Vec<String>,
    /// Names of voters.
    pub voters: Vec<String>,
    /// Names of categories.
    pub categories: Vec<String>,
    /// The votes, in the order of time.
    pub all: Vec<Vote>,
    /// What was left out.
    pub account: VoteAccount,
    /// Names of models and voters that were to be left out and have votes.
    pub left_out: BTreeSet<String>,
}

/// Which votes are to count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VoteFilter {
    /// Only votes whose voters did not see names.
    pub anonymous: bool,
    /// Only votes of this category.
    pub category: Option<String>,
    /// The first so many votes of each voter on the same pair of models; 0 for all. Repeated votes on one pair are the cheapest
    /// way to push a model.
    pub repeats: usize,
}

impl Votes {
    /// The votes that a filter lets through; models without a vote keep their number.
    pub fn filtered(&self, filter: &VoteFilter) -> Votes {
        let category = filter.category.as_ref().map(|name| self.categories.iter().position(|c| c == name));
        let mut seen = std::collections::HashMap::new();
        let mut repeats = |vote: &Vote| {
            let (Some(voter), true) = (vote.voter, filter.repeats > 0) else { return false };
            let pair = (vote.left.min(vote.right), vote.left.max(vote.right));
            let count = seen.entry((voter, pair)).or_insert(0usize);
            *count += 1;
            *count > filter.repeats
        };
        let keep = |vote: &&Vote| {
            let other = category.is_some_and(|category| category.is_none() || vote.category != category);
            !(other || filter.anonymous && vote.named || repeats(vote))
        };
        let all: Vec<Vote> = self.all.iter().filter(keep).copied().collect();
        let mut account = self.account.clone();
        account.filtered += self.all.len() - all.len();
        Votes { all, account, ..self.clone() }
    }

    /// Adds the votes of another file behind these; names stand for the same things in both.
    pub fn append(&mut self, other: Votes) {
        let places = |own: &mut Vec<String>, names: Vec<String>| -> Vec<usize> {
            let mut known: std::collections::HashMap<String, usize> =
                own.iter().cloned().enumerate().map(|(at, name)| (name, at)).collect();
            let mut place = |name: String| {
                *known.entry(name.clone()).or_insert_with(|| {
                    own.push(name);
                    own.len() - 1
                })
            };
            names.into_iter().map(&mut place).collect()
        };
        let models = places(&mut self.models, other.models);
        let voters = places(&mut self.voters, other.voters);
        let categories = places(&mut self.categories, other.categories);
        self.all.extend(other.all.iter().map(|vote| Vote {
            left: models[vote.left],
            right: models[vote.right],
            voter: vote.voter.map(|voter| voters[voter]),
            category: vote.category.map(|category| categories[category]),
            ..*vote
        }));
        self.account.add(&other.account);
        self.left_out.extend(other.left_out);
    }

    /// Puts votes in the order of time, where all of them have one; those of one moment stay as they are.
    pub fn sort_by_time(&mut self) {
        let time = |vote: &Vote| vote.time.filter(|time| time.is_finite());
        if self.all.iter().all(|vote| time(vote).is_some()) {
            self.all.sort_by(|a, b| time(a).unwrap_or_default().total_cmp(&time(b).unwrap_or_default()));
        }
    }

    /// The place of a model.
    pub fn model(&self, name: &str) -> Option<usize> {
        self.models.iter().position(|model| model == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes() -> Votes {
        let vote = |left, right, voter, named| Vote {
            left,
            right,
            verdict: Verdict::Left,
            voter: Some(voter),
            category: Some(voter % 2),
            named,
            time: None,
        };
        Votes {
            models: ["x", "y", "z"].map(String::from).to_vec(),
            voters: ["v0", "v1"].map(String::from).to_vec(),
            categories: ["even", "odd"].map(String::from).to_vec(),
            all: vec![
                vote(0, 1, 0, false),
                vote(1, 0, 0, false),
                vote(0, 2, 0, true),
                vote(0, 1, 1, false),
                vote(0, 1, 1, false),
            ],
            ..Votes::default()
        }
    }

    #[test]
    fn filters_count_what_they_take_out() {
        let count = |filter: VoteFilter| {
            let left = votes().filtered(&filter);
            assert_eq!(left.all.len() + left.account.filtered, 5);
            left.all.len()
        };
        assert_eq!(count(VoteFilter::default()), 5);
        assert_eq!(count(VoteFilter { anonymous: true, ..VoteFilter::default() }), 4);
        assert_eq!(count(VoteFilter { category: Some("odd".into()), ..VoteFilter::default() }), 2);
        assert_eq!(count(VoteFilter { category: Some("none".into()), ..VoteFilter::default() }), 0);
        // A voter's second vote on the same two models does not count, whichever of them is on the left.
        assert_eq!(count(VoteFilter { repeats: 1, ..VoteFilter::default() }), 3);
    }

    #[test]
    fn words_of_arenas_are_understood() {
        for (word, verdict) in [
            ("model_a", Some(Verdict::Left)),
            (" B ", Some(Verdict::Right)),
            ("tie (bothbad)", Some(Verdict::BothBad)),
            ("tievote", Some(Verdict::Tie)),
            ("chat", None),
        ] {
            assert_eq!(Verdict::parse(word), verdict);
        }
    }
}
