//! Rewards of a model among its own beams for the next item (ReRe, arXiv 2510.12211, 2025; MiniOneRec, arXiv 2510.24431, 2025): what the
//! policies of `plackett_train::rl` are, for a model that writes in this crate. Rewards, advantages and the loss of GRPO are those of that room.

use super::decode::{Generated, SessionSearch};
use super::inference::OneRecInference;
use super::item_tokens::ItemTokens;
use super::model::{OneRec, SessionBatch};
use super::session_task::as_training;
use super::sessions::Session;
use crate::{Event, FitData, Fitting, RecError, Recommender, Request, parse};
use plackett_lm::decode::TokenTrie;
use plackett_train::nn::Mode;
use plackett_train::rl::{
    DivergenceMean, ItemReward, ItemRewarder, ItemWorth, PolicyLoss, Rewarder, Sampled, SequenceVectors,
    Term, TokenLogProbabilities, check_worth, sequence_scores,
};
use plackett_train::trainer::{Settings, StepLoss, Task};
use plackett_train::{Parameters, Tape, TrainError};

/// The recommender whose scores are rewards, as in both papers.
const SCORER: &str = "sasrec(width=32, max-length=10)";
/// Where its checkpoints lie, in the folder of those of the whole.
const SCORER_PART: &str = "scorer";
/// Where those of the steps with rewards lie.
const REWARDED_PART: &str = "rewarded";

/// How a model that has learned to write next items is rewarded.
pub(crate) struct RewardPlan {
    /// The name of the recommender, for messages.
    pub owner: &'static str,
    /// What beams are worth.
    pub reward: ItemReward,
    /// G, the beams of a history.
    pub group: usize,
    /// β, the weight of the divergence from the model as it was before.
    pub kl: f32,
    /// How it is trained; the seed is that of the fit.
    pub settings: Settings,
}

impl RewardPlan {
    /// Rewards a model behind the histories that it has learned from. Beams follow from the weights of the moment, so that a fit which was killed goes on to
    /// the same bits.
    ///
    /// # Errors
    /// There is nothing to compute rewards from, a reward is no number, or the training fails.
    pub(super) fn learn(
        &self,
        (model, tokens): (&OneRec, &ItemTokens),
        sessions: &[Session],
        parameters: &mut Parameters,
        data: &FitData<'_>,
        fitting: &mut Fitting<'_>,
    ) -> Result<(), RecError> {
        let (trie, ranks) = self.written_items(tokens)?;
        let worth = self.worth((trie.len(), &ranks), sessions, data, fitting)?;
        let targets = sessions.iter().map(|session| ranks[session.items[0] as usize]).collect();
        let rewarder = ItemRewarder::new(&trie, targets, worth);
        let reference = (self.kl > 0.0).then(|| parameters.clone());
        let task = RewardedTask {
            model,
            tokens,
            sessions,
            rewarder: &rewarder,
            loss: policy_loss(self.kl),
            group: self.group,
            reference: reference.as_ref(),
        };
        let batch = self.settings.batch.min(sessions.len());
        let settings = Settings { batch, seed: fitting.seed, ..self.settings.clone() };
        let trained = fitting.part(REWARDED_PART, |own| own.train_by_rewards(&task, parameters, settings));
        match rewarder.failure() {
            Some(failure) => Err(failure.into()),
            None => trained,
        }
    }

    /// The codes of all items as a trie, and the rank of each item's.
    fn written_items(&self, tokens: &ItemTokens) -> Result<(TokenTrie, Vec<usize>), RecError> {
        let ids = (0..tokens.item_count() as u32)
            .map(|item| tokens.tokens(item))
            .collect::<Result<Vec<&[u32]>, RecError>>()?;
        let failed = |problem: String| RecError::Setting(format!("{}: semantic ids: {problem}", self.owner));
        let trie = TokenTrie::build(&ids).map_err(|error| failed(error.to_string()))?.trie;
        let rank = |id: &&[u32]| trie.find(id).ok_or_else(|| failed("one was lost; fit again".into()));
        let ranks = ids.iter().map(rank).collect::<Result<Vec<usize>, RecError>>()?;
        Ok((trie, ranks))
    }

    /// What rewards are computed from, for `count` identifiers, of which items have these ranks.
    fn worth<'s>(
        &self,
        (count, ranks): (usize, &[usize]),
        sessions: &'s [Session],
        data: &FitData<'_>,
        fitting: &mut Fitting<'_>,
    ) -> Result<ItemWorth<'s>, RecError> {
        Ok(match self.reward {
            ItemReward::Places(reward) => ItemWorth::Places(reward),
            ItemReward::Semantic => {
                let texts = data.texts_for(self.owner)?;
                let rows = texts.chunks(texts.len() / data.catalogue);
                ItemWorth::Semantic(SequenceVectors::of_items(count, ranks.iter().copied().zip(rows))?)
            }
            ItemReward::Collaborative => {
                let scorer = fitting.part(SCORER_PART, |own| parse(SCORER)?.fit(data, own))?;
                let ranks = ranks.to_vec();
                let of_session = move |session: usize| -> Result<Vec<f64>, TrainError> {
                    let scores = scores_behind(&*scorer, &sessions[session].history).map_err(as_training)?;
                    Ok(sequence_scores(count, &ranks, &scores))
                };
                ItemWorth::Collaborative(Box::new(of_session))
            }
        })
    }
}

/// GRPO with a divergence that is a mean within each item first, as both papers have it. Items have equally many tokens and each rollout one step, in
/// which DAPO and GSPO would be the same.
fn policy_loss(kl: f32) -> PolicyLoss {
    PolicyLoss { kl, divergence: DivergenceMean::Answers, ..PolicyLoss::default() }
}

/// The scores of all items after a history without times.
fn scores_behind(scorer: &dyn Recommender, history: &[u32]) -> Result<Vec<f32>, RecError> {
    let event = |(at, item): (usize, &u32)| Event { item: *item, rating: 1.0, time: at as i64 };
    let history: Vec<Event> = history.iter().enumerate().map(event).collect();
    scorer.finite_scores(&[Request { history: &history, now: history.len() as i64 }])
}

/// Histories behind which a model is rewarded for what it writes.
struct RewardedTask<'t> {
    model: &'t OneRec,
    tokens: &'t ItemTokens,
    /// Of one item each, the right one.
    sessions: &'t [Session],
    rewarder: &'t dyn Rewarder,
    loss: PolicyLoss,
    /// Beams of a history; there are fewer where the catalogue has fewer items.
    group: usize,
    /// What the policy is kept near to, where the divergence has a weight.
    reference: Option<&'t Parameters>,
}

impl RewardedTask<'_> {
    /// The items that a model with the weights of the tape writes behind each history, the likeliest first: all different, all of the catalogue.
    fn written(&self, tape: &Tape, examples: &[usize]) -> Result<Vec<Vec<Generated>>, RecError> {
        let engine = OneRecInference::new(self.model, tape.parameters(), tape.compute().workers)?;
        let histories: Vec<&[u32]> = examples.iter().map(|at| &self.sessions[*at].history[..]).collect();
        engine.generate(self.tokens, &histories, 1, SessionSearch::Beam(self.group))
    }

    /// The advantage of each item over the others behind the same history, and behind how many histories no item has one.
    fn advantages(
        &self,
        examples: &[usize],
        written: &[Vec<Generated>],
    ) -> Result<(Vec<f32>, usize), TrainError> {
        let (mut advantages, mut flat) = (Vec::new(), 0);
        for (at, group) in examples.iter().zip(written) {
            let answers: Result<Vec<Sampled>, RecError> = group.iter().map(|own| self.answer(own)).collect();
            let worth = self.rewarder.judge(*at, &answers.map_err(as_training)?);
            check_worth(*at, &worth)?;
            flat += usize::from(!worth.iter().any(|worth| worth.differs));
            let credits = worth.iter().flat_map(|worth| &worth.credits);
            advantages.extend(credits.map(|credit| credit.advantage as f32));
        }
        Ok((advantages, flat))
    }

    /// What was written, as rewards read it.
    fn answer(&self, own: &Generated) -> Result<Sampled, RecError> {
        let tokens = self.tokens.written(&own.written, false)?;
        Ok(Sampled { tokens, is_ended: true, log_probability: own.log_probability })
    }

    /// Histories with all that was written behind each.
    fn batch(&self, examples: &[usize], written: &[Vec<Generated>]) -> Result<SessionBatch, RecError> {
        let mut of: Vec<(&[u32], Vec<&[u32]>)> = Vec::with_capacity(examples.len());
        for (at, group) in examples.iter().zip(written) {
            let items = group.iter().map(|own| &own.written[..]).collect();
            of.push((&self.sessions[*at].history[..], items));
        }
        SessionBatch::new(self.tokens, self.model.config.max_history, &of)
    }

    /// The tokens of each item with its advantage; all items weigh the same.
    fn terms(&self, advantages: &[f32]) -> Vec<Term> {
        let (levels, weight) = (self.tokens.levels(), 1.0 / advantages.len().max(1) as f32);
        let term = |(at, advantage): (usize, &f32)| Term {
            tokens: at * levels..(at + 1) * levels,
            advantage: *advantage,
            weight,
        };
        advantages.iter().enumerate().map(term).collect()
    }
}

impl Task for RewardedTask<'_> {
    fn count(&self) -> usize {
        self.sessions.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("history {}", example + 1)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let written = self.written(tape, examples).map_err(as_training)?;
        let (advantages, flat) = self.advantages(examples, &written)?;
        let batch = self.batch(examples, &written).map_err(as_training)?;
        let (policy, _) = self.model.log_probabilities(tape, &batch, mode);
        let reference = self.reference.map(|parameters| {
            let before = Tape::inference(parameters, tape.compute());
            let (logs, _) = self.model.log_probabilities(&before, &batch, Mode::default());
            logs.value.to_vec()
        });
        // One step for each rollout: the policy that learns is the one that wrote.
        let old = policy.value.to_vec();
        let logs = TokenLogProbabilities { policy: &policy, old: &old, reference: reference.as_deref() };
        let (value, _) = self.loss.loss(tape, &logs, &self.terms(&advantages));
        let tokens = batch.sources.tokens.len() + batch.targets.tokens.len();
        Ok(StepLoss { value, tokens, used: advantages.len(), skipped: flat })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onerec::OneRecConfig;
    use plackett_train::Compute;
    use plackett_train::rl::BeamReward;

    /// Four items of two codes, and two histories behind which item 2 and item 1 are right.
    fn parts() -> (ItemTokens, Vec<Session>, Parameters, OneRec) {
        let codes = [[0, 0], [0, 1], [1, 0], [1, 1]].map(|codes| codes.to_vec());
        let tokens = ItemTokens::new(&codes, 2, &[1; 4]).unwrap();
        let session = |history: &[u32], item: u32| Session {
            user: 0,
            history: history.to_vec(),
            items: vec![item],
            ratings: vec![1.0],
        };
        let config =
            OneRecConfig { width: 8, blocks: 1, heads: 2, inner: 8, experts: 0, active: 1, max_history: 3 };
        let mut parameters = Parameters::default();
        let model = OneRec::new(config, tokens.vocabulary(), &mut parameters, 5).unwrap();
        (tokens, vec![session(&[0], 2), session(&[3, 0], 1)], parameters, model)
    }

    #[test]
    fn beams_are_the_catalogue_and_are_worth_what_their_places_say() {
        let (tokens, sessions, parameters, model) = parts();
        let trie = TokenTrie::build([[0u32, 2], [0, 3], [1, 2], [1, 3]]).unwrap().trie;
        let worth = ItemWorth::Places(BeamReward::Rule);
        let rewarder = ItemRewarder::new(&trie, vec![2, 1], worth);
        let task = RewardedTask {
            model: &model,
            tokens: &tokens,
            sessions: &sessions,
            rewarder: &rewarder,
            loss: policy_loss(0.5),
            group: 9,
            reference: Some(&parameters),
        };
        let tape = Tape::new(&parameters, &Compute::new(1));
        let written = task.written(&tape, &[1, 0]).unwrap();
        let (advantages, flat) = task.advantages(&[1, 0], &written).unwrap();
        assert_eq!((advantages.len(), flat), (8, 0));
        // 1 and three times 0: the mean is 1/4, the sample deviation 1/2, and 1e-4 is added.
        let groups = written.iter().zip(advantages.chunks(4));
        for ((group, advantages), target) in groups.zip([1, 2]) {
            let mut items: Vec<u32> = group.iter().map(|own| own.items[0]).collect();
            for (item, advantage) in items.iter().zip(advantages) {
                let apart = if *item == target { 0.75 } else { -0.25 };
                assert!((advantage - apart / 0.5001).abs() < 1e-5, "{item}: {advantages:?}");
            }
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2, 3]);
        }
        // Rows of the batch are those of the beams: the engine's ln p is the sum over the tokens of an item.
        let batch = task.batch(&[1, 0], &written).unwrap();
        let (logs, _) = model.log_probabilities(&tape, &batch, Mode::default());
        for (own, logs) in written.iter().flatten().zip(logs.value.chunks(2)) {
            assert!((own.log_probability - f64::from(logs[0] + logs[1])).abs() < 1e-4);
        }
        // Advantages of a group sum to 0, ratios are 1, and nothing has left the reference yet.
        let step = task.loss(&tape, &[1, 0], Mode::default()).unwrap();
        assert!(step.value.item().abs() < 1e-5);
        assert_eq!((step.used, step.skipped), (8, 0));
    }

    #[test]
    fn groups_without_the_right_item_have_no_advantage() {
        let (tokens, sessions, parameters, model) = parts();
        let trie = TokenTrie::build([[0u32, 2], [0, 3], [1, 2], [1, 3]]).unwrap().trie;
        let tape = Tape::new(&parameters, &Compute::new(1));
        let task = |rewarder: &dyn Rewarder, group: usize| {
            let (model, tokens, sessions) = (&model, &tokens, &sessions[..]);
            let (loss, reference) = (policy_loss(0.0), None);
            let task = RewardedTask { model, tokens, sessions, rewarder, loss, group, reference };
            let written = task.written(&tape, &[0]).unwrap();
            (written[0][group - 1].items[0], task.advantages(&[0], &written).unwrap())
        };
        let of = |target: usize| {
            ItemRewarder::new(&trie, vec![target; 2], ItemWorth::Places(BeamReward::RuleAndRank))
        };
        let (last, _) = task(&of(0), 4);
        // What comes last of four is not among the first three.
        let (_, (advantages, flat)) = task(&of(last as usize), 3);
        assert_eq!((advantages, flat), (vec![0.0; 3], 1));
    }
}
