//! Rewards of the beams for the next items of a catalogue, by where the right one stands, by their texts or by a recommender.

use super::advantage::group_advantages;
use super::reward::{BeamReward, Shares, beam_rewards};
use super::rollout::Sampled;
use super::task::{Answered, Credit, Rewarder};
use crate::TrainError;
use plackett_core::cosine;
use plackett_lm::decode::TokenTrie;
use std::sync::{Mutex, PoisonError};

/// Vectors of the sequences of a trie, from those of their items' texts. A sequence that several items share has the sum of their directions.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceVectors {
    /// Sequences × dimension.
    data: Vec<f32>,
    dimension: usize,
}

impl SequenceVectors {
    /// `items` are, for each item of the catalogue, the rank of its sequence, below `count`, and the vector of its text.
    ///
    /// # Errors
    /// A vector has no direction, an entry that is no number, or another dimension than the first one; a sequence has no item, or items whose
    /// directions sum to nothing.
    pub fn of_items<'v>(
        count: usize,
        items: impl IntoIterator<Item = (usize, &'v [f32])>,
    ) -> Result<SequenceVectors, TrainError> {
        let (mut data, mut dimension) = (Vec::new(), 0);
        for (at, (rank, vector)) in items.into_iter().enumerate() {
            if at == 0 {
                dimension = vector.len();
                data = vec![0f32; count * dimension];
            }
            let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let has_direction = length.is_finite() && length > 0.0;
            if vector.len() != dimension || !has_direction || rank >= count {
                return Err(without_direction(at + 1, vector.len(), dimension));
            }
            let row = &mut data[rank * dimension..][..dimension];
            row.iter_mut().zip(vector).for_each(|(sum, x)| *sum += (f64::from(*x) / length) as f32);
        }
        let is_empty = |row: &[f32]| row.iter().all(|x| *x == 0.0);
        let empty = data.chunks_exact(dimension.max(1)).position(is_empty);
        if dimension == 0 || empty.is_some() {
            let which = empty.map_or(1, |rank| rank + 1);
            return Err(TrainError::Setting(format!(
                "the semantic reward: identifier {which} of the catalogue has no item with a vector; every item needs a text"
            )));
        }
        Ok(SequenceVectors { data, dimension })
    }

    /// The cosine of the vectors of two sequences, by their ranks.
    pub fn similarity(&self, a: usize, b: usize) -> f64 {
        let row = |rank: usize| &self.data[rank * self.dimension..][..self.dimension];
        cosine(row(a), row(b))
    }
}

/// The refusal of an item's vector.
fn without_direction(item: usize, numbers: usize, dimension: usize) -> TrainError {
    TrainError::Setting(format!(
        "the semantic reward: the vector of item {item} has {numbers} numbers where {dimension} are expected, or none that gives it a direction; \
         every item needs a text that the embedding model reads"
    ))
}

/// The score of each sequence of a catalogue, by its rank, after the history of a prompt.
pub type SequenceScores<'i> = Box<dyn Fn(usize) -> Result<Vec<f64>, TrainError> + Sync + 'i>;

/// What a reward of beams is computed from.
pub enum ItemWorth<'i> {
    /// Where the right one stands among them, with shares over all beams as the authors' code has them.
    Places(BeamReward),
    /// The texts of items.
    Semantic(SequenceVectors),
    /// A recommender.
    Collaborative(SequenceScores<'i>),
}

/// The scores of `count` sequences from those of their items: a sequence that several items share has the greatest of theirs.
///
/// `ranks` are those of the items' sequences.
pub fn sequence_scores(count: usize, ranks: &[usize], scores: &[f32]) -> Vec<f64> {
    let mut best = vec![f64::NEG_INFINITY; count];
    for (rank, score) in ranks.iter().zip(scores) {
        if let Some(best) = best.get_mut(*rank) {
            *best = best.max(f64::from(*score));
        }
    }
    best
}

/// Rewards the beams of prompts of which each has one right sequence in a trie (ReRe, 2025; MiniOneRec, 2025).
pub struct ItemRewarder<'i> {
    trie: &'i TokenTrie,
    targets: Vec<usize>,
    worth: ItemWorth<'i>,
    failed: Mutex<Option<TrainError>>,
}

impl<'i> ItemRewarder<'i> {
    /// `targets` are the ranks of the right sequences, prompt by prompt.
    pub fn new(trie: &'i TokenTrie, targets: Vec<usize>, worth: ItemWorth<'i>) -> ItemRewarder<'i> {
        ItemRewarder { trie, targets, worth, failed: Mutex::default() }
    }

    /// The ranks of beams, and the place of the right one among them.
    fn ranks(&self, prompt: usize, answers: &[Sampled]) -> (Vec<Option<usize>>, Option<usize>) {
        let ranks: Vec<Option<usize>> = answers.iter().map(|answer| self.trie.find(&answer.tokens)).collect();
        let place = ranks.iter().position(|rank| *rank == Some(self.targets[prompt]));
        (ranks, place)
    }

    /// Why a recommender gave no scores, where it gave none: a training that ends with a reward that is no number ends because of that.
    pub fn failure(&self) -> Option<TrainError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The rewards of beams with these ranks, of which the one at `place` is right.
    fn rewards(&self, prompt: usize, ranks: &[Option<usize>], place: Option<usize>) -> Vec<f64> {
        let of_ranks = |worth: &dyn Fn(usize) -> f64| -> Vec<f64> {
            ranks.iter().map(|rank| rank.map_or(f64::NAN, worth)).collect()
        };
        match &self.worth {
            ItemWorth::Places(reward) => beam_rewards(ranks.len(), place, *reward, Shares::All),
            ItemWorth::Semantic(vectors) => {
                let target = self.targets[prompt];
                of_ranks(&|rank: usize| vectors.similarity(rank, target))
            }
            ItemWorth::Collaborative(scores) => match scores(prompt) {
                Ok(scores) => of_ranks(&|rank: usize| scores.get(rank).copied().unwrap_or(f64::NAN)),
                Err(error) => {
                    *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    vec![f64::NAN; ranks.len()]
                }
            },
        }
    }
}

impl Rewarder for ItemRewarder<'_> {
    fn judge(&self, prompt: usize, answers: &[Sampled]) -> Vec<Answered> {
        let (ranks, place) = self.ranks(prompt, answers);
        let rewards = self.rewards(prompt, &ranks, place);
        let advantages = group_advantages(&rewards);
        let worth = |((answer, reward), advantage): ((&Sampled, f64), f64)| Answered {
            reward,
            credits: vec![Credit { tokens: 0..answer.tokens.len(), advantage, share: 1.0 }],
            differs: advantage != 0.0,
        };
        answers.iter().zip(rewards).zip(advantages).map(worth).collect()
    }

    fn is_miss(&self, prompt: usize, answers: &[Sampled]) -> bool {
        self.ranks(prompt, answers).1.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three items of one token each, whose ranks are 0, 1 and 2.
    fn trie() -> TokenTrie {
        TokenTrie::build([[5u32], [6], [7]]).unwrap().trie
    }

    /// Answers with these tokens.
    fn beams(tokens: &[u32]) -> Vec<Sampled> {
        let beam = |token: &u32| Sampled { tokens: vec![*token], is_ended: true, log_probability: 0.0 };
        tokens.iter().map(beam).collect()
    }

    fn rewards(judged: &[Answered]) -> Vec<f64> {
        judged.iter().map(|answer| answer.reward).collect()
    }

    fn near(found: &[f64], expected: &[f64]) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    #[test]
    fn texts_that_are_like_the_right_one_are_worth_their_cosine() {
        let trie = trie();
        // Lengths do not count: the second is (.6, .8), the third its opposite.
        let items: [&[f32]; 3] = [&[2.0, 0.0], &[3.0, 4.0], &[-6.0, -8.0]];
        let vectors = SequenceVectors::of_items(3, items.into_iter().enumerate()).unwrap();
        let rewarder = ItemRewarder::new(&trie, vec![0], ItemWorth::Semantic(vectors));
        let judged = rewarder.judge(0, &beams(&[6, 5, 7]));
        assert!(near(&rewards(&judged), &[0.6, 1.0, -0.6]), "{judged:?}");
        // Mean 1/3, squares .0711 + .4444 + .8711 over 2: the deviation is .83267, and 1e-4 is added.
        for (answer, expected) in judged.iter().zip([0.32022, 0.80054, -1.12076]) {
            assert!((answer.credits[0].advantage - expected).abs() < 1e-4, "{answer:?}");
        }
        assert!(!rewarder.is_miss(0, &beams(&[6, 5, 7])));
        // The right one need not be there to be compared with.
        assert!(near(&rewards(&rewarder.judge(0, &beams(&[7, 6]))), &[-0.6, 0.6]));
        assert!(rewarder.is_miss(0, &beams(&[7, 6])));
    }

    #[test]
    fn items_of_one_identifier_have_their_mean_direction() {
        let items: [(usize, &[f32]); 3] = [(0, &[5.0, 0.0]), (0, &[0.0, 0.1]), (1, &[1.0, 1.0])];
        let vectors = SequenceVectors::of_items(2, items).unwrap();
        assert!((vectors.similarity(0, 1) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn vectors_that_cannot_be_compared_are_refused() {
        let of = |items: &[&[f32]]| {
            let made = SequenceVectors::of_items(2, items.iter().copied().enumerate());
            made.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(of(&[&[1.0, 0.0], &[0.0, 0.0]]).contains("item 2"));
        assert!(of(&[&[1.0, 0.0], &[f32::NAN, 0.0]]).contains("item 2"));
        assert!(of(&[&[1.0, 0.0], &[1.0]]).contains("item 2"));
        assert!(of(&[&[1.0, 0.0]]).contains("identifier 2"));
        assert!(of(&[]).contains("identifier 1"));
    }

    #[test]
    fn a_recommender_rewards_by_its_scores_and_constant_ones_teach_nothing() {
        let trie = trie();
        let scores: SequenceScores<'_> = Box::new(|prompt: usize| match prompt {
            0 => Ok(vec![2.0, -1.0, 0.5]),
            1 => Ok(vec![3.0; 3]),
            _ => Err(TrainError::Setting("no history".into())),
        });
        let rewarder = ItemRewarder::new(&trie, vec![1; 3], ItemWorth::Collaborative(scores));
        let judged = rewarder.judge(0, &beams(&[7, 5, 6]));
        // The right item has no reward of its own.
        assert_eq!(rewards(&judged), [0.5, 2.0, -1.0]);
        assert!(judged[1].credits[0].advantage > judged[0].credits[0].advantage);
        let constant = rewarder.judge(1, &beams(&[7, 5]));
        assert!(constant.iter().all(|answer| !answer.differs && answer.credits[0].advantage == 0.0));
        // What failed is told, and the reward is no number, which ends the training.
        assert!(rewarder.failure().is_none());
        assert!(rewarder.judge(2, &beams(&[7, 5])).iter().all(|answer| answer.reward.is_nan()));
        assert!(rewarder.failure().is_some_and(|error| error.to_string().contains("no history")));
    }

    #[test]
    fn the_likeliest_item_of_an_identifier_gives_its_score() {
        assert_eq!(sequence_scores(2, &[1, 0, 1], &[0.5, -2.0, 1.5]), [-2.0, 1.5]);
    }

    /// ReRe: without the right item no beam is better than another, whichever reward; with it the reward by ranks spreads the beams further.
    #[test]
    fn groups_without_the_right_item_teach_nothing_and_ranks_spread_the_others() {
        let trie = TokenTrie::build([[5u32], [6], [7], [8]]).unwrap().trie;
        let judged = |reward: BeamReward, tokens: &[u32]| {
            ItemRewarder::new(&trie, vec![3], ItemWorth::Places(reward)).judge(0, &beams(tokens))
        };
        let is_flat =
            |answer: &Answered| answer.reward == 0.0 && !answer.differs && answer.credits[0].advantage == 0.0;
        for reward in [BeamReward::Rule, BeamReward::RuleAndRank] {
            assert!(judged(reward, &[5, 7, 6]).iter().all(is_flat), "{reward:?}");
            assert!(judged(reward, &[5, 8, 6]).iter().all(|answer| answer.differs), "{reward:?}");
        }
        let spread = |reward: BeamReward| {
            let found = rewards(&judged(reward, &[5, 8, 6]));
            let mean = found.iter().sum::<f64>() / found.len() as f64;
            found.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>()
        };
        // 0, 1, 0 against −0.46929, 1, −0.23465 (shares of 1 + 0.63093 + 0.5).
        assert!((spread(BeamReward::Rule) - 2.0 / 3.0).abs() < 1e-9);
        assert!((spread(BeamReward::RuleAndRank) - 1.24606).abs() < 1e-4);
    }

    /// The golden vector of ReRe through the rewarder.
    #[test]
    fn places_are_rewarded_as_before() {
        let trie = TokenTrie::build([[5u32], [6], [7], [8]]).unwrap().trie;
        let worth = ItemWorth::Places(BeamReward::RuleAndRank);
        let rewarder = ItemRewarder::new(&trie, vec![3], worth);
        let found = rewards(&rewarder.judge(0, &beams(&[5, 6, 8, 7])));
        let expected = [-0.3904, -0.2463, 1.0, -0.1681];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 5e-5), "{found:?}");
    }
}
