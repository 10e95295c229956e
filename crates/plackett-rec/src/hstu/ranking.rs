//! The ranking form: items and what was done with them in turn, Φ₀ a₀ Φ₁ a₁ …; behind Φᵢ the model foretells aᵢ, so that attention knows the
//! item it is asked about.

use super::{CandidateScorer, Hstu, HstuConfig, HstuHistory, HstuInference};
use crate::sequential::{LearningSettings, SequenceBatch, SequenceModel};
use crate::{Event, FitData, Fitting, RecError};
use plackett_train::nn::Mode;
use plackett_train::trainer::{StepLoss, Task};
use plackett_train::{Engine, ParameterId, Parameters, Tape, TrainError, Var};

/// What an event was: 1 from this rating on, 0 below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Liked {
    /// The lowest rating that counts as liking.
    pub from: f32,
}

impl Liked {
    fn of(self, event: &Event) -> bool {
        event.rating >= self.from
    }

    /// A history as tokens: each item and then what was done with it, tokens behind the `items` of the catalogue.
    pub fn interleaved(self, events: &[Event], items: usize) -> Vec<Event> {
        let pair = |event: &Event| {
            let action = items as u32 + u32::from(self.of(event));
            [*event, Event { item: action, ..*event }]
        };
        events.iter().flat_map(pair).collect()
    }
}

/// A trained ranking model.
pub struct ActionRanker {
    inference: HstuInference,
    items: usize,
    liked: Liked,
    head: Vec<f32>,
    bias: f32,
}

/// The head: a weight for each number of state ⊙ item vector, and a constant.
struct Head {
    weight: ParameterId,
    bias: ParameterId,
}

impl Head {
    fn logits(&self, tape: &Tape, states: &Var, vectors: &Var) -> Var {
        let products = tape.gated(states, vectors, plackett_kernel::Activation::None);
        tape.linear(&products, &tape.parameter(self.weight), Some(&tape.parameter(self.bias)), None)
    }
}

/// Sequences and the model that learns at every item what is done with it.
struct RankingTask<'t> {
    model: &'t Hstu,
    head: Head,
    sequences: Vec<Vec<Event>>,
}

impl Task for RankingTask<'_> {
    fn count(&self) -> usize {
        self.sequences.len()
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let parts: Vec<&[Event]> = examples.iter().map(|at| &self.sequences[*at][..]).collect();
        let now = |part: &[Event]| part.last().map_or(0, |event| event.time);
        let batch = SequenceBatch::new(parts.iter().map(|part| (*part, now(part))));
        let states = self.model.forward(tape, &batch, mode);
        // Sequences have an item and an action in turn, so that even rows of the batch are items.
        let rows: Vec<usize> = (0..batch.items.len()).step_by(2).collect();
        let items: Vec<usize> = rows.iter().map(|row| batch.items[*row] as usize).collect();
        let first_action = self.model.config.catalogue as u32 - 2;
        let labels: Vec<f32> = rows.iter().map(|row| (batch.items[row + 1] - first_action) as f32).collect();
        let states = Engine::select_rows(tape, &states, &rows);
        let vectors = Engine::select_rows(tape, &tape.parameter(self.model.items), &items);
        let logits = self.head.logits(tape, &states, &vectors);
        // ln(1 + eˣ) − y·x
        let labels = tape.constant((rows.len(), 1), &labels);
        let losses = tape.minus(&tape.softplus(&logits), &tape.times(&labels, &logits));
        Ok(StepLoss { value: tape.mean(&losses), tokens: batch.items.len(), used: rows.len(), skipped: 0 })
    }
}

impl ActionRanker {
    /// Trains a model of the research form on what users did. `config` has the catalogue without the actions, and a length in events.
    ///
    /// # Errors
    /// Sizes that cannot be, no events, or a training that fails.
    pub fn fit(
        config: HstuConfig,
        liked: Liked,
        learning: &LearningSettings,
        data: &FitData<'_>,
        fitting: &mut Fitting<'_>,
    ) -> Result<ActionRanker, RecError> {
        data.check()?;
        let items = config.catalogue;
        let events = config.max_length;
        // A candidate needs a place behind the longest history.
        let config = HstuConfig { catalogue: items + 2, max_length: 2 * events + 1, ..config };
        let mut parameters = Parameters::default();
        let model = Hstu::new(config, &mut parameters, fitting.seed)?;
        let head = Head {
            weight: parameters.add("ranking.weight", (1, config.width), vec![1.0; config.width]),
            bias: parameters.add("ranking.bias", (1, 1), vec![0.0]),
        };
        let newest = |sequence: &&[Event]| {
            liked.interleaved(&sequence[sequence.len().saturating_sub(events)..], items)
        };
        let sequences = data.sequences.iter().filter(|sequence| !sequence.is_empty()).map(newest).collect();
        let task = RankingTask { model: &model, head, sequences };
        fitting.train(&task, &mut parameters, learning.settings.clone())?;
        let (weight, bias) = (task.head.weight, task.head.bias);
        Ok(ActionRanker {
            inference: HstuInference::new(&model, &parameters),
            items,
            liked,
            head: parameters[weight].value.to_vec(),
            bias: parameters[bias].value[0],
        })
    }

    /// Reads the newest events of a history, for candidates at `now`.
    ///
    /// # Errors
    /// It is empty, or has an item that the catalogue does not have.
    pub fn read(&self, events: &[Event], now: i64) -> Result<HstuHistory, RecError> {
        crate::evaluation::check_items(events.iter(), self.items)?;
        let most = (self.inference.config().max_length - 1) / 2;
        let newest = self.liked.interleaved(&events[events.len().saturating_sub(most)..], self.items);
        self.inference.read_for_candidates(&newest, now)
    }

    /// The probability that each candidate will be liked, in micro-batches behind a history.
    ///
    /// # Errors
    /// A candidate is not in the catalogue.
    pub fn probabilities(
        &self,
        history: &HstuHistory,
        now: i64,
        (candidates, micro_batch): (&[u32], usize),
    ) -> Result<Vec<f32>, RecError> {
        if let Some(item) = candidates.iter().copied().find(|item| *item as usize >= self.items) {
            return Err(RecError::UnknownItem { item, catalogue: self.items });
        }
        let scorer: CandidateScorer<'_> = self.inference.candidates(history, now)?;
        let scores = scorer.scores(candidates, micro_batch, Some(&self.head))?;
        Ok(scores.into_iter().map(|score| 1.0 / (1.0 + (-score - self.bias).exp())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::Compute;
    use plackett_train::random::Stream;

    /// Half of the users like what they get, the other half do not.
    fn sequences() -> Vec<Vec<Event>> {
        let user = |user: u64| {
            let stream = Stream::new(user, 3);
            let event = |at: u64| {
                let item = stream.below(at, 12) as u32;
                Event { item, rating: if user.is_multiple_of(2) { 5.0 } else { 1.0 }, time: at as i64 * 3600 }
            };
            (0..10).map(event).collect()
        };
        (0..64).map(user).collect()
    }

    #[test]
    fn what_is_liked_is_learned_from_what_was_liked() {
        let sequences = sequences();
        let options =
            crate::parse("hstu(epochs=60, batch=16, width=16, dropout=0, rate=0.01)").unwrap().options;
        let learning = LearningSettings::of(&options, 1);
        let mut fitting = Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
        let config = HstuConfig::research(12, 16, 2, 10);
        let data = FitData { catalogue: 12, sequences: &crate::borrowed(&sequences[..56]), texts: &[] };
        let ranker = ActionRanker::fit(config, Liked { from: 4.0 }, &learning, &data, &mut fitting).unwrap();
        let (mut right, mut all) = (0, 0);
        for sequence in &sequences[56..] {
            let now = 10 * 3600;
            let history = ranker.read(&sequence[..9], now).unwrap();
            let candidates: Vec<u32> = (0..12).collect();
            let probabilities = ranker.probabilities(&history, now, (&candidates, 5)).unwrap();
            assert_eq!(probabilities, ranker.probabilities(&history, now, (&candidates, 12)).unwrap());
            let likes = sequence[0].rating > 3.0;
            right += probabilities.iter().filter(|probability| (**probability > 0.5) == likes).count();
            all += candidates.len();
            assert!(ranker.probabilities(&history, now, (&[12], 1)).is_err());
        }
        assert!(right as f64 > 0.9 * all as f64, "{right} of {all}");
    }

    #[test]
    fn tokens_are_items_and_actions_in_turn() {
        let event = |item: u32, rating: f32| Event { item, rating, time: 7 };
        let tokens = Liked { from: 4.0 }.interleaved(&[event(3, 5.0), event(1, 2.0)], 10);
        assert_eq!(tokens.iter().map(|token| token.item).collect::<Vec<_>>(), [3, 11, 1, 10]);
        assert!(tokens.iter().all(|token| token.time == 7));
    }
}
