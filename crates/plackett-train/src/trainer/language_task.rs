//! Decoders learn from texts: the loss of what follows a prompt, read out at one depth or at several.

use super::examples::TextExample;
use super::read_outs::ReadOuts;
use super::{LanguageModel, StepLoss, Task, weighted_sum};
use crate::TrainError;
use crate::nn::{Mode, TokenBatch};
use crate::objective::{Batch, Term, Tokens};
use crate::tape::Tape;
use std::ops::Range;

/// Texts to be written after prompts by a [`LanguageModel`].
pub struct LanguageTask<'m> {
    pub(super) model: &'m LanguageModel,
    pub(super) texts: Vec<EncodedText>,
    objective: Vec<Term>,
    pub(super) read_outs: ReadOuts,
    /// The share of each target that goes to the whole vocabulary.
    smoothing: f32,
}

/// A text as tokens.
pub(super) struct EncodedText {
    pub tokens: Vec<u32>,
    /// How many of them are given.
    given: usize,
    /// Whether prompt or target had more.
    is_cut: bool,
}

impl EncodedText {
    /// The places of the tokens that are to be predicted. A token is predicted by the one before it: the first has none.
    pub fn target_places(&self) -> Range<usize> {
        self.given.max(1).min(self.tokens.len())..self.tokens.len()
    }
}

impl<'m> LanguageTask<'m> {
    /// Splits all texts into tokens; prompts lose their beginnings where a text has more than `most`, and targets their
    /// ends.
    ///
    /// # Errors
    /// A text cannot be split.
    pub fn new(
        model: &'m LanguageModel,
        examples: &[TextExample],
        objective: Vec<Term>,
        most: usize,
    ) -> Result<LanguageTask<'m>, TrainError> {
        let text = |example: &TextExample| {
            let (prompt, mut target) = (model.encode(&example.prompt)?, model.encode(&example.target)?);
            let all = prompt.len() + target.len();
            target.truncate(most.saturating_sub(1).max(1));
            let room = most.saturating_sub(target.len());
            let given = prompt.len().min(room);
            let mut tokens = prompt[prompt.len() - given..].to_vec();
            tokens.extend(target);
            Ok(EncodedText { is_cut: tokens.len() < all, tokens, given })
        };
        let texts = examples.iter().map(text).collect::<Result<_, TrainError>>()?;
        Ok(LanguageTask { model, texts, objective, read_outs: ReadOuts::last(model), smoothing: 0.0 })
    }

    /// Sequences of tokens, of which all but the first are predicted.
    ///
    /// # Errors
    /// A sequence with fewer than two tokens, more than the model has positions, or a token beyond the vocabulary.
    pub fn of_tokens(
        model: &'m LanguageModel,
        sequences: Vec<Vec<u32>>,
        objective: Vec<Term>,
    ) -> Result<LanguageTask<'m>, TrainError> {
        LanguageTask::of_pairs(
            model,
            sequences.into_iter().map(|tokens| (Vec::new(), tokens)).collect(),
            objective,
        )
    }

    /// Prompts as tokens, and those that are to be written after each.
    ///
    /// # Errors
    /// A pair with fewer than two tokens together, more than the model has positions, nothing to write, or a token beyond the
    /// vocabulary.
    pub fn of_pairs(
        model: &'m LanguageModel,
        pairs: Vec<(Vec<u32>, Vec<u32>)>,
        objective: Vec<Term>,
    ) -> Result<LanguageTask<'m>, TrainError> {
        LanguageTask::check_pairs(model, &pairs)?;
        let text = |(prompt, target): (Vec<u32>, Vec<u32>)| {
            let given = prompt.len();
            let mut tokens = prompt;
            tokens.extend(target);
            EncodedText { tokens, given, is_cut: false }
        };
        let texts = pairs.into_iter().map(text).collect();
        Ok(LanguageTask { model, texts, objective, read_outs: ReadOuts::last(model), smoothing: 0.0 })
    }

    /// Refuses pairs that cannot teach a model.
    ///
    /// # Errors
    /// As [`LanguageTask::of_pairs`].
    pub fn check_pairs(model: &LanguageModel, pairs: &[(Vec<u32>, Vec<u32>)]) -> Result<(), TrainError> {
        let (vocabulary, most) = (model.llama.config.vocab_size, model.context());
        for (at, (prompt, target)) in pairs.iter().enumerate() {
            let failed =
                |problem: String| Err(TrainError::Setting(format!("sequence {}: {problem}", at + 1)));
            let count = prompt.len() + target.len();
            if !(2..=most).contains(&count) {
                return failed(format!("it has {count} tokens, and 2 to {most} are expected"));
            }
            if target.is_empty() {
                return failed("there is nothing to write".into());
            }
            if let Some(token) = prompt.iter().chain(target).find(|token| **token as usize >= vocabulary) {
                return failed(format!("token {token} is beyond the vocabulary of {vocabulary}"));
            }
        }
        Ok(())
    }

    /// The same, read out at other depths: the loss is the mean of theirs.
    pub fn with_read_outs(self, read_outs: ReadOuts) -> LanguageTask<'m> {
        LanguageTask { read_outs, ..self }
    }

    /// The same with label smoothing (Szegedy and others, Rethinking the Inception Architecture, 2016): the target of each token is the token with
    /// 1 − `epsilon`, and each token of the vocabulary with `epsilon` over their number. To the loss comes the mean over tokens of
    /// `epsilon` · (logit of the token − mean logit), which is what the smoothed cross-entropy has beyond the plain one: that of an objective
    /// `language` with the weight 1, whatever others stand beside it.
    ///
    /// # Errors
    /// A share that is not from 0 and below 1.
    pub fn with_label_smoothing(self, epsilon: f32) -> Result<LanguageTask<'m>, TrainError> {
        match (0.0..1.0).contains(&epsilon) {
            true => Ok(LanguageTask { smoothing: epsilon, ..self }),
            false => Err(TrainError::Setting(format!(
                "label smoothing {epsilon}: a number from 0 and below 1 is expected"
            ))),
        }
    }

    /// How many texts have lost a part, of the prompt or of the target, and how many there are.
    pub fn cut(&self) -> (usize, usize) {
        (self.texts.iter().filter(|text| text.is_cut).count(), self.texts.len())
    }

    /// Its texts as tokens, prompts included.
    pub fn sequences(&self) -> Vec<Vec<u32>> {
        self.texts.iter().map(|text| text.tokens.clone()).collect()
    }

    /// Its texts as tokens that are given and tokens that are to be written after them.
    pub fn pairs(&self) -> Vec<(Vec<u32>, Vec<u32>)> {
        let split = |text: &EncodedText| {
            let (given, written) = text.tokens.split_at(text.given);
            (given.to_vec(), written.to_vec())
        };
        self.texts.iter().map(split).collect()
    }

    /// Texts in a batch, the rows and tokens that are predicted, and which of those are whose.
    pub(super) fn batch(&self, examples: &[usize]) -> (TokenBatch, Vec<(usize, u32)>, Vec<Range<usize>>) {
        let texts: Vec<&EncodedText> = examples.iter().map(|at| &self.texts[*at]).collect();
        let batch = TokenBatch::new(texts.iter().map(|text| &text.tokens[..]));
        let mut targets: Vec<(usize, u32)> = Vec::new();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (text, sequence) in texts.iter().zip(batch.sequences.iter()) {
            let start = targets.len();
            targets
                .extend(text.target_places().map(|place| (sequence.start + place - 1, text.tokens[place])));
            ranges.push(start..targets.len());
        }
        (batch, targets, ranges)
    }
}

impl Task for LanguageTask<'_> {
    fn count(&self) -> usize {
        self.texts.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn is_head(&self, parameter: &str) -> bool {
        ReadOuts::is_own_head(parameter)
    }

    /// One pass to the deepest read-out; the loss is the mean of the losses at all of them (Sorted LLaMA, 2023, equation 1).
    fn loss(&self, tape: &Tape, examples: &[usize], _mode: Mode) -> Result<StepLoss, TrainError> {
        let (batch, targets, ranges) = self.batch(examples);
        let llama = &self.model.llama;
        let mut losses: Vec<Result<StepLoss, TrainError>> = Vec::new();
        llama.each_layer_until(tape, &batch, self.read_outs.deepest(), |depth, hidden| {
            let Some(head) = self.read_outs.head(depth) else { return };
            let log_probabilities = llama.log_probabilities_of(tape, hidden, &targets, head);
            let tokens = Batch::Tokens(Tokens::new(&log_probabilities, &ranges));
            let mut loss = weighted_sum(tape, &self.objective, &tokens, batch.tokens.len());
            if let Ok(loss) = &mut loss
                && self.smoothing > 0.0
            {
                let above = tape.mean(&llama.logits_above_mean_of(tape, hidden, &targets, head));
                loss.value = tape.plus(&loss.value, &tape.scale(&above, self.smoothing));
            }
            losses.push(loss);
        });
        mean(tape, losses)
    }
}

/// The mean of losses, in their order; one loss is itself.
fn mean(tape: &Tape, losses: Vec<Result<StepLoss, TrainError>>) -> Result<StepLoss, TrainError> {
    let share = 1.0 / losses.len().max(1) as f32;
    let mut losses = losses.into_iter();
    let Some(first) = losses.next() else {
        return Err(TrainError::Setting("depths: at least one is expected".into()));
    };
    let mut sum = first?;
    if share == 1.0 {
        return Ok(sum);
    }
    sum.value = tape.scale(&sum.value, share);
    for loss in losses {
        sum.value = tape.plus(&sum.value, &tape.scale(&loss?.value, share));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::LlamaConfig;
    use crate::objective::parse_sum;
    use crate::tape::{Compute, Parameters};

    #[test]
    fn label_smoothing_is_a_cross_entropy_with_a_share_for_every_token() {
        let mut parameters = Parameters::default();
        let config = LlamaConfig::small(0, 1, (16, 32), 2);
        let model = LanguageModel::of_bytes(&config, 8, 3, &mut parameters).unwrap();
        let pairs = vec![(vec![5, 9], vec![7, 8]), (vec![6], vec![4, 11, 7])];
        let task = || LanguageTask::of_pairs(&model, pairs.clone(), parse_sum("language").unwrap()).unwrap();
        let compute = Compute::new(1);
        let tape = Tape::inference(&parameters, &compute);
        let smoothed = task().with_label_smoothing(0.1).unwrap();
        let found = smoothed.loss(&tape, &[0, 1], Mode::default()).unwrap().value.item();
        let (batch, targets, _) = smoothed.batch(&[0, 1]);
        assert_eq!(targets.len(), 5);
        let rows: Vec<usize> = targets.iter().map(|(row, _)| *row).collect();
        let hidden = model.llama.hidden(&tape, &batch);
        let logs = tape.log_softmax(&model.llama.logits(&tape, &hidden, &rows));
        // −Σ_k q_k ln p_k with q = 0.9 for the token and 0.1 over the vocabulary, written out.
        let cross_entropy = |(at, (_, token)): (usize, &(usize, u32))| {
            let own = &logs.value[at * logs.columns..][..logs.columns];
            let mean = own.iter().sum::<f32>() / logs.columns as f32;
            -0.9 * own[*token as usize] - 0.1 * mean
        };
        let expected = targets.iter().enumerate().map(cross_entropy).sum::<f32>() / 5.0;
        assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        let without = task().with_label_smoothing(0.0).unwrap();
        let plain = task().loss(&tape, &[0, 1], Mode::default()).unwrap().value.item();
        assert_eq!(without.loss(&tape, &[0, 1], Mode::default()).unwrap().value.item(), plain);
        for wrong in [-0.1, 1.0, f32::NAN] {
            let error = task().with_label_smoothing(wrong).err().unwrap().to_string();
            assert!(error.contains("from 0 and below 1"), "{error}");
        }
    }
}
