//! Texts that are written behind sources with the marks of a plan (Adams and others, Generating EDU Extracts for Plan-Guided Summary
//! Re-Ranking, ACL 2023): likely behind the right plan, unlikely behind a wrong one.

use super::{LanguageModel, StepLoss, Task};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::{Mode, TokenBatch};
use crate::tape::{Compute, Parameters, Tape, Var};
use std::ops::Range;
use std::sync::Arc;

/// Which plan the marks of a source are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanCondition {
    /// The plan of the target itself.
    Gold,
    /// Another one, behind which the target is to be unlikely.
    Corrupted,
    /// None.
    Absent,
}

impl PlanCondition {
    /// All of them, in the order of [`GuidedText::sources`].
    pub const ALL: [PlanCondition; 3] =
        [PlanCondition::Gold, PlanCondition::Corrupted, PlanCondition::Absent];
}

/// A text with its sources.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidedText {
    /// For messages.
    pub name: String,
    /// The tokens of the source under each of [`PlanCondition::ALL`]; none of them is empty.
    pub sources: [Vec<u32>; 3],
    /// The tokens that are to be written.
    pub target: Vec<u32>,
}

/// By which a decoder learns them: the weighted sum of −ln p of a token behind the right plan, −ln(1 − p) behind a wrong one and −ln p
/// without one, each a mean over the tokens of a batch. Without label smoothing, which the authors have.
pub struct GuidedTask<'m> {
    model: &'m LanguageModel,
    texts: &'m [GuidedText],
    /// One for each of [`PlanCondition::ALL`]; what has 0 is not computed.
    weights: [f32; 3],
}

/// Added to 1 − p, so that a token that is certain has an endless loss no more.
const FLOOR: f32 = 1e-6;

impl<'m> GuidedTask<'m> {
    /// Checks texts and weights.
    ///
    /// # Errors
    /// A source or target without a token, more tokens than the model has positions, weights below 0 or all of them 0.
    pub fn new(
        model: &'m LanguageModel,
        texts: &'m [GuidedText],
        weights: [f32; 3],
    ) -> Result<GuidedTask<'m>, TrainError> {
        let failed = |problem: String| Err(TrainError::Setting(problem));
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) || weights == [0.0; 3] {
            return failed(format!(
                "weights {weights:?} of the losses: numbers from 0, of which one is greater, are expected"
            ));
        }
        for text in texts {
            let longest = text.sources.iter().map(Vec::len).max().unwrap_or(0) + text.target.len();
            if text.target.is_empty() || text.sources.iter().any(Vec::is_empty) {
                return failed(format!("`{}`: its source or its target has no token", text.name));
            }
            if longest > model.context() {
                let most = model.context();
                return failed(format!("`{}`: it has {longest} tokens, and {most} are the most", text.name));
            }
        }
        Ok(GuidedTask { model, texts, weights })
    }

    /// The log-probabilities of the targets of some texts under some conditions, one pass over all, and which rows are which condition's.
    fn log_probabilities(
        &self,
        tape: &Tape,
        conditions: &[usize],
        examples: &[usize],
    ) -> (Var, Vec<Range<usize>>, usize) {
        let (mut sequences, mut targets, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        for condition in conditions {
            let start = targets.len();
            for example in examples {
                let GuidedText { sources, target, .. } = &self.texts[*example];
                let given = sources[*condition].len();
                // A token is predicted by the row before it.
                let rows = target.iter().enumerate().map(|(place, token)| (at + given + place - 1, *token));
                targets.extend(rows);
                sequences.push([&sources[*condition][..], target].concat());
                at += given + target.len();
            }
            ranges.push(start..targets.len());
        }
        let batch = TokenBatch::new(sequences.iter().map(Vec::as_slice));
        let llama = &self.model.llama;
        let hidden = llama.hidden(tape, &batch);
        (llama.log_probabilities(tape, &hidden, &targets), ranges, batch.tokens.len())
    }

    /// The mean −ln p of a token of a text's target under a condition, without training.
    pub fn measure(
        &self,
        compute: &Arc<Compute>,
        parameters: &Parameters,
        example: usize,
        condition: PlanCondition,
    ) -> f64 {
        let tape = Tape::inference(parameters, compute);
        let (found, _, _) = self.log_probabilities(&tape, &[condition as usize], &[example]);
        let sum: f64 = found.value.iter().map(|x| f64::from(*x)).sum();
        -sum / found.rows.max(1) as f64
    }
}

impl Task for GuidedTask<'_> {
    fn count(&self) -> usize {
        self.texts.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn describe(&self, example: usize) -> String {
        format!("`{}`", self.texts[example].name)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], _mode: Mode) -> Result<StepLoss, TrainError> {
        let conditions: Vec<usize> = (0..self.weights.len()).filter(|at| self.weights[*at] > 0.0).collect();
        let (all, ranges, tokens) = self.log_probabilities(tape, &conditions, examples);
        let mut value = tape.constant((1, 1), &[0.0]);
        for (condition, range) in conditions.iter().zip(&ranges) {
            let rows: Vec<usize> = range.clone().collect();
            let own = tape.select_rows(&all, &rows);
            let likely = match *condition == PlanCondition::Corrupted as usize {
                true => tape.ln(&tape.shift(&tape.scale(&tape.exp(&own), -1.0), 1.0 + FLOOR)),
                false => own,
            };
            value = tape.plus(&value, &tape.scale(&tape.mean(&likely), -self.weights[*condition]));
        }
        // The mean of each condition is over the tokens of the same targets.
        let used = ranges.first().map_or(0, |range| range.len());
        Ok(StepLoss { value, tokens, used, skipped: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::LanguageTask;
    use super::*;
    use crate::nn::LlamaConfig;
    use crate::objective::parse_sum;

    fn decoder() -> (LanguageModel, Parameters) {
        let mut parameters = Parameters::default();
        let config = LlamaConfig::small(0, 2, (16, 24), 2);
        (LanguageModel::of_bytes(&config, 32, 3, &mut parameters).unwrap(), parameters)
    }

    fn text(target: &[u32]) -> GuidedText {
        let sources = [vec![1, 2, 3, 4], vec![5, 2, 6], vec![2, 7, 8, 9, 10]];
        GuidedText { name: "t".into(), sources, target: target.to_vec() }
    }

    fn loss(task: &dyn Task, parameters: &Parameters, examples: &[usize]) -> f64 {
        let tape = Tape::new(parameters, &Compute::new(1));
        f64::from(task.loss(&tape, examples, Mode::default()).unwrap().value.item())
    }

    #[test]
    fn the_right_plan_alone_is_plain_training_on_its_source() {
        let (model, parameters) = decoder();
        let texts = [text(&[11, 12]), text(&[13])];
        let guided = GuidedTask::new(&model, &texts, [1.0, 0.0, 0.0]).unwrap();
        let pairs = texts.iter().map(|text| (text.sources[0].clone(), text.target.clone())).collect();
        let plain = LanguageTask::of_pairs(&model, pairs, parse_sum("language").unwrap()).unwrap();
        // One text at a time, so that it does not matter whether means are of tokens or of texts.
        for at in 0..2 {
            let (a, b) = (loss(&guided, &parameters, &[at]), loss(&plain, &parameters, &[at]));
            assert!((a - b).abs() < 1e-5, "{a} {b}");
            let measured = guided.measure(&Compute::new(1), &parameters, at, PlanCondition::Gold);
            assert!((a - measured).abs() < 1e-5, "{a} {measured}");
        }
    }

    #[test]
    fn the_loss_is_the_mean_of_so_many_tokens_as_it_says() {
        let (model, parameters) = decoder();
        let texts = [text(&[11, 12, 14]), text(&[13])];
        let task = GuidedTask::new(&model, &texts, [1.0, 0.5, 2.0]).unwrap();
        let step = |examples: &[usize]| {
            let tape = Tape::new(&parameters, &Compute::new(1));
            let StepLoss { value, used, .. } = task.loss(&tape, examples, Mode::default()).unwrap();
            (f64::from(value.item()), used)
        };
        let (a, b, both) = (step(&[0]), step(&[1]), step(&[0, 1]));
        assert_eq!((a.1, b.1, both.1), (3, 1, 4));
        assert!((both.0 - (3.0 * a.0 + b.0) / 4.0).abs() < 1e-4, "{a:?} {b:?} {both:?}");
    }

    #[test]
    fn losses_by_hand() {
        let (model, parameters) = decoder();
        let texts = [text(&[11])];
        let of = |weights| loss(&GuidedTask::new(&model, &texts, weights).unwrap(), &parameters, &[0]);
        let task = GuidedTask::new(&model, &texts, [1.0; 3]).unwrap();
        let measured =
            PlanCondition::ALL.map(|condition| task.measure(&Compute::new(1), &parameters, 0, condition));
        // p = e^−nll of the one token.
        let unlikely = -(1.0 - (-measured[1]).exp()).ln();
        assert!((of([0.0, 1.0, 0.0]) - unlikely).abs() < 1e-4);
        let sum = 2.0 * measured[0] + 0.5 * unlikely + 3.0 * measured[2];
        assert!((of([2.0, 0.5, 3.0]) - sum).abs() < 1e-4);
    }

    #[test]
    fn what_cannot_be_learned_is_refused() {
        let (model, _) = decoder();
        let refused = |texts: &[GuidedText], weights: [f32; 3]| {
            GuidedTask::new(&model, texts, weights).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(refused(&[text(&[1])], [0.0; 3]).contains("weights"));
        assert!(refused(&[text(&[])], [1.0; 3]).contains("no token"));
        assert!(refused(&[text(&[1; 40])], [1.0; 3]).contains("32 are the most"));
    }
}
