//! Direct document relevance optimisation: docids of relevant documents become likelier than those of others, compared with a frozen
//! copy of the model (DDRO, SIGIR 2025, section 3.3: DPO with docids in the place of answers).

mod reference;
mod triples;

pub use reference::ReferenceLogs;
pub use triples::{AnsweredQuery, DrawnTriples, NegativeSource, TripleDrawing};

use crate::GenirError;
use plackett_train::nn::{Mode, TokenBatch};
use plackett_train::objective::{Batch, Configured, Preferences, parse};
use plackett_train::trainer::{LanguageModel, StepLoss, Task};
use plackett_train::{Compute, Parameters, Tape, TrainError, Var};
use std::sync::{Arc, Mutex, PoisonError};

/// Triples of a pass that only measures.
const TOGETHER: usize = 64;

/// A query, the docid of a relevant document and that of another one; as tokens, docids with their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocidTriple {
    /// The prompt, with at least one token.
    pub prompt: Vec<u32>,
    /// The docid of a relevant document.
    pub chosen: Vec<u32>,
    /// The docid of one that is not.
    pub rejected: Vec<u32>,
}

/// What the triples of a step were like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PreferenceRecord {
    /// The loss.
    pub loss: f64,
    /// Mean of ln(π/π_ref)(d⁺) − ln(π/π_ref)(d⁻).
    pub margin: f64,
    /// Share of the triples whose margin is above 0.
    pub accuracy: f64,
    /// Mean of ln π(d⁺ | q).
    pub chosen: f64,
    /// Mean of ln π(d⁻ | q).
    pub rejected: f64,
}

/// Triples as a task of the trainer.
pub struct RelevanceOptimization<'t> {
    model: &'t LanguageModel,
    triples: &'t [DocidTriple],
    reference: &'t ReferenceLogs,
    objective: Configured,
    /// What the triples of each step were like.
    pub records: Mutex<Vec<PreferenceRecord>>,
}

impl<'t> RelevanceOptimization<'t> {
    /// The loss −ln σ(β · margin), as a mean over triples. Log-probabilities are those over the whole vocabulary, summed over the
    /// tokens of a docid.
    ///
    /// # Errors
    /// A triple that the model cannot read, a reference of another number of triples, or a β that is not above 0.
    pub fn new(
        model: &'t LanguageModel,
        triples: &'t [DocidTriple],
        reference: &'t ReferenceLogs,
        beta: f64,
    ) -> Result<RelevanceOptimization<'t>, GenirError> {
        check(model, triples)?;
        let count = reference.chosen.len();
        if count != triples.len() || reference.rejected.len() != count {
            return Err(GenirError::Setting(format!(
                "the reference has {count} log-probabilities and there are {} triples; compute it for these",
                triples.len()
            )));
        }
        let objective =
            parse(&format!("dpo(beta={beta})")).map_err(|error| GenirError::Setting(error.to_string()))?;
        Ok(RelevanceOptimization { model, triples, reference, objective, records: Mutex::default() })
    }

    /// What the triples are like under some parameters, all of them, without training.
    ///
    /// # Errors
    /// A log-probability is no number.
    pub fn measure(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
    ) -> Result<PreferenceRecord, TrainError> {
        let all: Vec<usize> = (0..self.triples.len()).collect();
        let mut sum = PreferenceRecord::default();
        for examples in all.chunks(TOGETHER) {
            let tape = Tape::inference(parameters, compute);
            let (_, record) = self.preferences(&tape, examples)?;
            let share = examples.len() as f64 / all.len() as f64;
            sum.loss += share * record.loss;
            sum.margin += share * record.margin;
            sum.accuracy += share * record.accuracy;
            sum.chosen += share * record.chosen;
            sum.rejected += share * record.rejected;
        }
        Ok(sum)
    }

    fn preferences(
        &self,
        tape: &Tape,
        examples: &[usize],
    ) -> Result<(StepLoss, PreferenceRecord), TrainError> {
        let triples: Vec<&DocidTriple> = examples.iter().map(|at| &self.triples[*at]).collect();
        let (logs, tokens) = sequence_log_probabilities(self.model, tape, &triples);
        let count = triples.len();
        let side = |from: usize| tape.gather(&logs, &(from..from + count).collect::<Vec<_>>(), (count, 1));
        let (chosen, rejected) = (side(0), side(count));
        let of = |reference: &[f32]| examples.iter().map(|at| reference[*at]).collect::<Vec<f32>>();
        let (reference_chosen, reference_rejected) =
            (of(&self.reference.chosen), of(&self.reference.rejected));
        let preferences = Preferences {
            chosen: &chosen,
            rejected: &rejected,
            reference_chosen: Some(&reference_chosen),
            reference_rejected: Some(&reference_rejected),
            lengths: None,
        };
        let loss = self
            .objective
            .loss(tape, &Batch::Preferences(preferences))
            .map_err(|error| TrainError::Model(error.to_string()))?;
        let margins: Vec<f64> = (0..count)
            .map(|at| {
                let [chosen, rejected] = [
                    f64::from(chosen.value[at]) - f64::from(reference_chosen[at]),
                    f64::from(rejected.value[at]) - f64::from(reference_rejected[at]),
                ];
                chosen - rejected
            })
            .collect();
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count.max(1) as f64;
        let record = PreferenceRecord {
            loss: f64::from(loss.value.item()),
            margin: mean(&mut margins.iter().copied()),
            accuracy: mean(&mut margins.iter().map(|margin| f64::from(u8::from(*margin > 0.0)))),
            chosen: mean(&mut chosen.value.iter().map(|log| f64::from(*log))),
            rejected: mean(&mut rejected.value.iter().map(|log| f64::from(*log))),
        };
        Ok((StepLoss { value: loss.value, tokens, used: loss.used, skipped: loss.skipped }, record))
    }
}

impl Task for RelevanceOptimization<'_> {
    fn count(&self) -> usize {
        self.triples.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn loss(&self, tape: &Tape, examples: &[usize], _: Mode) -> Result<StepLoss, TrainError> {
        let (loss, record) = self.preferences(tape, examples)?;
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        Ok(loss)
    }
}

/// Refuses triples that the model cannot read, by their number.
fn check(model: &LanguageModel, triples: &[DocidTriple]) -> Result<(), GenirError> {
    let (vocabulary, most) = (model.llama.config.vocab_size, model.context());
    for (at, DocidTriple { prompt, chosen, rejected }) in triples.iter().enumerate() {
        let refused = |problem: String| Err(GenirError::Setting(format!("triple {}: {problem}", at + 1)));
        if prompt.is_empty() || chosen.is_empty() || rejected.is_empty() {
            return refused("a prompt and two docids with tokens are expected".into());
        }
        let longest = prompt.len() + chosen.len().max(rejected.len());
        if longest > most {
            return refused(format!("it has {longest} tokens, and the model has {most} positions"));
        }
        let mut tokens = prompt.iter().chain(chosen).chain(rejected);
        if let Some(token) = tokens.find(|token| **token as usize >= vocabulary) {
            return refused(format!("token {token} is beyond the vocabulary of {vocabulary}"));
        }
    }
    Ok(())
}

/// ln π(d | q) of the chosen docids of triples and, below them, of the rejected ones: 2n × 1; and how many tokens were read.
fn sequence_log_probabilities(model: &LanguageModel, tape: &Tape, triples: &[&DocidTriple]) -> (Var, usize) {
    let chosen = triples.iter().map(|triple| (&triple.prompt, &triple.chosen));
    let rejected = triples.iter().map(|triple| (&triple.prompt, &triple.rejected));
    let sequences: Vec<(&Vec<u32>, &Vec<u32>)> = chosen.chain(rejected).collect();
    let whole: Vec<Vec<u32>> =
        sequences.iter().map(|(prompt, docid)| prompt.iter().chain(*docid).copied().collect()).collect();
    let batch = TokenBatch::new(whole.iter().map(|sequence| &sequence[..]));
    let (mut targets, mut ranges) = (Vec::new(), Vec::new());
    for ((prompt, _), sequence) in sequences.iter().zip(batch.sequences.iter()) {
        let first = targets.len();
        let docid = sequence.start + prompt.len()..sequence.end;
        targets.extend(docid.map(|place| (place - 1, batch.tokens[place])));
        ranges.push(first..targets.len());
    }
    let llama = &model.llama;
    let logs = llama.log_probabilities(tape, &llama.hidden(tape, &batch), &targets);
    // Docids of different lengths become rows of one length with zeros at their ends.
    let (zero, width) = (targets.len(), ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(0));
    let padded = tape.stack(&[&logs, &tape.constant((1, 1), &[0.0])]);
    let place = |range: &std::ops::Range<usize>, at: usize| match at < range.len() {
        true => range.start + at,
        false => zero,
    };
    let places: Vec<usize> =
        ranges.iter().flat_map(|range| (0..width).map(move |at| place(range, at))).collect();
    let rows = tape.gather(&padded, &places, (ranges.len(), width));
    (tape.sum_rows(&rows), batch.tokens.len())
}

#[cfg(test)]
mod tests;
