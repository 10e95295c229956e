//! What lists are rewarded with: as wholes, or rank by rank.

use super::language::{Answer, FilmLanguage};
use super::world::{FilmWorld, Talk};
use plackett_core::title_list::line_relevance;
use plackett_eval::list_ndcg;
use plackett_train::rl::{
    Answered, Credit, RankCredit, Rewarder, Sampled, group_advantages, rank_advantages, rank_rewards,
};
use std::ops::Range;

/// What a reward is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// The nDCG of the list, for all of its tokens (GRPO; with one step for each rollout GSPO is the same).
    List,
    /// Each rank, for the tokens of its item (Rank-GRPO).
    Rank(RankCredit),
}

/// What the token that ends a list, and those after its last item, are told (Rank-GRPO, 2025, length shaping).
const SHAPING: f64 = 0.1;

/// Rewards of lists for talks.
pub struct FilmRewarder<'w> {
    /// The films.
    pub world: &'w FilmWorld,
    /// Their words.
    pub language: &'w FilmLanguage,
    /// The talks that prompts are made of, in their order.
    pub talks: &'w [Talk],
    /// Items that a list should have.
    pub count: usize,
    /// What a reward is for.
    pub policy: Policy,
    /// Whether lists are told to have as many items as they should.
    pub shaping: bool,
}

impl Rewarder for FilmRewarder<'_> {
    fn judge(&self, prompt: usize, answers: &[Sampled]) -> Vec<Answered> {
        let talk = &self.talks[prompt];
        let read: Vec<Answer> = answers.iter().map(|answer| self.language.read(&answer.tokens)).collect();
        let relevance: Vec<Vec<f64>> = read.iter().map(|answer| self.relevance(talk, answer)).collect();
        let rewards: Vec<f64> =
            relevance.iter().map(|relevance| list_ndcg(relevance, talk.wanted.len(), self.count)).collect();
        let rolled = answers.iter().zip(&read).zip(rewards.iter().copied());
        match self.policy {
            Policy::List => {
                let mut judged = Vec::with_capacity(answers.len());
                for (((answer, read), reward), advantage) in rolled.zip(group_advantages(&rewards)) {
                    let credits = self.of_list(answer, read, advantage);
                    judged.push(Answered { reward, credits, differs: advantage != 0.0 });
                }
                judged
            }
            Policy::Rank(credit) => {
                let mut judged = Vec::with_capacity(answers.len());
                for (((answer, read), reward), advantages) in rolled.zip(by_rank(&relevance, credit)) {
                    let differs = advantages.iter().any(|advantage| *advantage != 0.0);
                    let credits = self.of_ranks(answer, read, &advantages);
                    judged.push(Answered { reward, credits, differs });
                }
                judged
            }
        }
    }
}

/// What is added to the advantages of the token that ends a list, and of those after its last item.
struct Shaping {
    /// The tokens of all items beyond those that are asked for.
    beyond: Option<Range<usize>>,
    /// Where the end is, and what it is told; nothing is added to it where there are too many items.
    end: Option<(usize, f64)>,
}

impl FilmRewarder<'_> {
    fn relevance(&self, talk: &Talk, answer: &Answer) -> Vec<f64> {
        let lines = &answer.titles[..answer.titles.len().min(self.count)];
        line_relevance(lines, &self.world.titles, &talk.wanted, &talk.mentioned)
    }

    /// The end is right after the last item, early before it; what comes after is too much (Rank-GRPO, 2025, length shaping).
    fn shaping(&self, answer: &Sampled, read: &Answer) -> Shaping {
        let lines = read.spans.len();
        let beyond = (self.shaping && lines > self.count)
            .then(|| read.spans[self.count].start..read.end.unwrap_or(answer.tokens.len()));
        let told = |end: usize| (end, if lines == self.count { SHAPING } else { -SHAPING });
        let end = read.end.filter(|_| self.shaping && lines <= self.count).map(told);
        Shaping { beyond, end }
    }

    /// One advantage for all tokens, each of which weighs alike; shaping is added to it.
    fn of_list(&self, answer: &Sampled, read: &Answer, advantage: f64) -> Vec<Credit> {
        let Shaping { beyond, end } = self.shaping(answer, read);
        let count = answer.tokens.len();
        let beyond = beyond.unwrap_or(count..count);
        let end = end.map_or((count, 0.0), |(end, told)| (end, told));
        let parts = [
            (0..beyond.start.min(end.0), 0.0),
            (beyond.clone(), -SHAPING),
            (beyond.end.min(end.0)..end.0, 0.0),
            (end.0..count, end.1),
        ];
        let credit = |(tokens, told): (Range<usize>, f64)| Credit {
            share: tokens.len() as f64 / count.max(1) as f64,
            advantage: advantage + told,
            tokens,
        };
        parts.into_iter().filter(|(tokens, _)| !tokens.is_empty()).map(credit).collect()
    }

    /// An advantage for each rank, and one for all items beyond the last rank; each weighs alike, and the end as one token of the answer does.
    fn of_ranks(&self, answer: &Sampled, read: &Answer, advantages: &[f64]) -> Vec<Credit> {
        let Shaping { beyond, end } = self.shaping(answer, read);
        let of_end = if end.is_some() { 1.0 / answer.tokens.len().max(1) as f64 } else { 0.0 };
        let items = read.spans.iter().cloned().zip(advantages.iter().copied());
        let parts: Vec<(Range<usize>, f64)> = items.chain(beyond.map(|tokens| (tokens, -SHAPING))).collect();
        let share = (1.0 - of_end) / parts.len().max(1) as f64;
        let credit = |(tokens, advantage)| Credit { tokens, advantage, share };
        let end = end.map(|(end, advantage)| Credit { tokens: end..end + 1, advantage, share: of_end });
        parts.into_iter().map(credit).chain(end).collect()
    }
}

/// Each item answers for its rank, compared with the same rank of the other lists.
fn by_rank(relevance: &[Vec<f64>], credit: RankCredit) -> Vec<Vec<f64>> {
    let rewards: Vec<Vec<f64>> = relevance.iter().map(|relevance| rank_rewards(relevance, credit)).collect();
    rank_advantages(&rewards)
}

#[cfg(test)]
mod tests {
    use super::super::world::Film;
    use super::*;
    use plackett_core::title_list::{DatedTitle, TitleCatalogue};

    /// The causal test of Rank-GRPO: a hit at rank 1 is no credit to the ranks after it, and is one with the reward of the whole list.
    #[test]
    fn a_hit_at_the_first_rank_is_no_credit_to_later_ones() {
        let relevance = [vec![1.0, 0.0, 0.0], vec![0.0; 3], vec![0.0; 3]];
        for credit in [RankCredit::Following, RankCredit::Own] {
            let found = by_rank(&relevance, credit);
            assert!(found[0][0] > 0.0 && found[1][0] < 0.0);
            assert!(found[0][1..].iter().all(|advantage| *advantage == 0.0));
        }
        let whole: Vec<f64> = relevance.iter().map(|list| list_ndcg(list, 2, 3)).collect();
        assert!(group_advantages(&whole)[0] > 0.0, "which GRPO gives all tokens of the list");
        // What ranks before it answer for, an item deeper down is worth to them as well.
        let relevance = [vec![0.0, 0.0, 1.0], vec![0.0; 3], vec![0.0; 3]];
        let found = by_rank(&relevance, RankCredit::Following);
        assert!(found[0].iter().all(|advantage| *advantage > 0.0));
        let found = by_rank(&relevance, RankCredit::Own);
        assert!(found[0][0] == 0.0 && found[0][2] > 0.0);
    }

    fn rewarder<'w>(world: &'w FilmWorld, language: &'w FilmLanguage) -> FilmRewarder<'w> {
        FilmRewarder { world, language, talks: &[], count: 2, policy: Policy::List, shaping: true }
    }

    /// Shaping is added to the advantage of single tokens, and a list weighs as much as another one whatever it is told.
    #[test]
    fn shaping_is_added_to_tokens_and_shares_sum_to_one() {
        let film = Film { title: DatedTitle::new("Heat", 1995), genres: Vec::new(), likes: 1 };
        let world = FilmWorld {
            titles: TitleCatalogue::new([&film.title]),
            films: vec![film],
            catalogue: 1,
            talks: Default::default(),
            histories: Vec::new(),
        };
        let language = FilmLanguage::new(&world);
        let rewarder = rewarder(&world, &language);
        let sampled = |count: usize| Sampled { tokens: vec![7; count], is_ended: true, log_probability: 0.0 };
        let read = |lines: usize, end: Option<usize>| Answer {
            spans: (0..lines).map(|line| 3 * line..3 * line + 3).collect(),
            titles: vec![None; lines],
            end,
        };
        let told = |lines: usize, end: Option<usize>, count: usize| {
            let (answer, read) = (sampled(count), read(lines, end));
            let list = rewarder.of_list(&answer, &read, 1.0);
            let ranks = rewarder.of_ranks(&answer, &read, &[2.0, 3.0][..lines.min(2)]);
            for credits in [&list, &ranks] {
                let sum: f64 = credits.iter().map(|credit| credit.share).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{credits:?}");
            }
            let plain = |credits: Vec<Credit>| -> Vec<(Range<usize>, f64)> {
                credits.into_iter().map(|credit| (credit.tokens, credit.advantage)).collect()
            };
            (plain(list), plain(ranks))
        };
        let (list, ranks) = told(2, Some(6), 7);
        assert_eq!(list, [(0..6, 1.0), (6..7, 1.1)]);
        assert_eq!(ranks, [(0..3, 2.0), (3..6, 3.0), (6..7, 0.1)]);
        let (list, ranks) = told(1, Some(3), 4);
        assert_eq!((list, ranks), (vec![(0..3, 1.0), (3..4, 0.9)], vec![(0..3, 2.0), (3..4, -0.1)]));
        // The end of a list that is too long is told nothing.
        let (list, ranks) = told(3, Some(9), 10);
        assert_eq!(list, [(0..6, 1.0), (6..9, 0.9), (9..10, 1.0)]);
        assert_eq!(ranks, [(0..3, 2.0), (3..6, 3.0), (6..9, -0.1)]);
        // One that was cut off has no end.
        assert_eq!(told(2, None, 6).0, [(0..6, 1.0)]);
    }
}
