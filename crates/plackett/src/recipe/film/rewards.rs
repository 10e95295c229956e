//! What lists are rewarded with: as wholes, or rank by rank.

use super::language::{Answer, FilmLanguage, ndcg};
use super::world::{FilmWorld, Talk};
use plackett_core::title_list::line_relevance;
use plackett_train::rl::{
    Answered, Credit, RankCredit, Rewarder, Sampled, group_advantages, rank_advantages, rank_rewards,
};

/// What a reward is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// The nDCG of the list, for all of its tokens (GRPO, GSPO).
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
            relevance.iter().map(|relevance| ndcg(relevance, talk.wanted.len(), self.count)).collect();
        let mut credits = match self.policy {
            Policy::List => {
                let advantages = group_advantages(&rewards);
                let whole = |(answer, advantage): (&Sampled, f64)| {
                    vec![Credit { tokens: 0..answer.tokens.len(), advantage }]
                };
                answers.iter().zip(advantages).map(whole).collect()
            }
            Policy::Rank(credit) => by_rank(&read, &relevance, credit),
        };
        if self.shaping {
            for ((answer, read), credits) in answers.iter().zip(&read).zip(&mut credits) {
                self.shape(answer, read, credits);
            }
        }
        credits.into_iter().zip(rewards).map(|(credits, reward)| Answered { reward, credits }).collect()
    }
}

impl FilmRewarder<'_> {
    fn relevance(&self, talk: &Talk, answer: &Answer) -> Vec<f64> {
        let lines = &answer.titles[..answer.titles.len().min(self.count)];
        line_relevance(lines, &self.world.titles, &talk.wanted, &talk.mentioned)
    }

    /// The end is right after the last item, early before it; what comes after is too much.
    fn shape(&self, answer: &Sampled, read: &Answer, credits: &mut Vec<Credit>) {
        let lines = read.spans.len();
        if lines > self.count {
            let too_much = read.spans[self.count].start..answer.tokens.len();
            credits.push(Credit { tokens: too_much, advantage: -SHAPING });
        } else if let Some(end) = read.end {
            let advantage = if lines == self.count { SHAPING } else { -SHAPING };
            credits.push(Credit { tokens: end..end + 1, advantage });
        }
    }
}

/// Each item answers for its rank, compared with the same rank of the other lists.
fn by_rank(read: &[Answer], relevance: &[Vec<f64>], credit: RankCredit) -> Vec<Vec<Credit>> {
    let rewards: Vec<Vec<f64>> = relevance.iter().map(|relevance| rank_rewards(relevance, credit)).collect();
    let items = |(answer, advantages): (&Answer, Vec<f64>)| {
        let spans = answer.spans.iter().cloned().zip(advantages);
        spans.map(|(tokens, advantage)| Credit { tokens, advantage }).collect()
    };
    read.iter().zip(rank_advantages(&rewards)).map(items).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: usize) -> Answer {
        let spans = (0..lines).map(|line| 3 * line..3 * line + 3).collect();
        Answer { spans, titles: vec![None; lines], end: None }
    }

    /// The causal test of Rank-GRPO: a hit at rank 1 is no credit to the ranks after it, and is one with the reward of the whole list.
    #[test]
    fn a_hit_at_the_first_rank_is_no_credit_to_later_ones() {
        let relevance = [vec![1.0, 0.0, 0.0], vec![0.0; 3], vec![0.0; 3]];
        for credit in [RankCredit::Following, RankCredit::Own] {
            let found = by_rank(&[answer(3), answer(3), answer(3)], &relevance, credit);
            assert!(found[0][0].advantage > 0.0 && found[1][0].advantage < 0.0);
            assert!(found[0][1..].iter().all(|credit| credit.advantage == 0.0));
        }
        let whole: Vec<f64> = relevance.iter().map(|list| ndcg(list, 2, 3)).collect();
        assert!(group_advantages(&whole)[0] > 0.0, "which GRPO gives all tokens of the list");
        // What ranks before it answer for, an item deeper down is worth to them as well.
        let relevance = [vec![0.0, 0.0, 1.0], vec![0.0; 3], vec![0.0; 3]];
        let found = by_rank(&[answer(3), answer(3), answer(3)], &relevance, RankCredit::Following);
        assert!(found[0].iter().all(|credit| credit.advantage > 0.0));
        let found = by_rank(&[answer(3), answer(3), answer(3)], &relevance, RankCredit::Own);
        assert!(found[0][0].advantage == 0.0 && found[0][2].advantage > 0.0);
    }
}
