//! The loss of docids that a prefix-aware decoder writes.

use crate::PrefixAware;
use plackett_train::engine::Engine;
use plackett_train::nn::{Mode, PrefixHead, TokenBatch};
use plackett_train::trainer::{LanguageModel, StepLoss};
use plackett_train::{Tape, TrainError, Var};

/// Pairs of a prompt, with at least one token, and the docid to be written after it, with its end.
pub(crate) struct PrefixAwareTask<'m> {
    pub model: &'m LanguageModel,
    pub head: &'m PrefixHead,
    pub options: PrefixAware,
    pub pairs: Vec<(Vec<u32>, Vec<u32>)>,
}

/// What one pass says of the docids of a batch.
struct Pass {
    /// Log-probabilities of all tokens that may stand at a place, for each place: rows × tokens.
    places: Vec<Var>,
    /// The sum of those of the tokens of docids.
    own: Var,
}

impl PrefixAwareTask<'_> {
    /// The mean negative log-likelihood of the tokens of docids among those that may stand at their places. With consistency it is the mean of
    /// two passes, and to it comes their divergence (the regularisation of the Neural Corpus Indexer). There the sum over a docid is divided
    /// by its length; here it is a mean over the tokens of the batch like the likelihood, so that its weight does not follow from the batch.
    ///
    /// # Errors
    /// A docid that is not one of those of the head.
    pub fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let pairs: Vec<&(Vec<u32>, Vec<u32>)> = examples.iter().map(|at| &self.pairs[*at]).collect();
        let sequences: Vec<Vec<u32>> =
            pairs.iter().map(|(prompt, docid)| [&prompt[..], &docid[..]].concat()).collect();
        let docids: Vec<&[u32]> = pairs.iter().map(|(_, docid)| &docid[..]).collect();
        let batch = TokenBatch::new(sequences.iter().map(Vec::as_slice));
        // A token is predicted by the one before it.
        let own = batch.sequences.iter().zip(&docids);
        let rows: Vec<usize> =
            own.flat_map(|(sequence, docid)| sequence.end - docid.len() - 1..sequence.end - 1).collect();
        let llama = &self.model.llama;
        let hidden = llama.normalized(tape, &tape.select_rows(&llama.hidden(tape, &batch), &rows));
        let mode = Mode { dropout: if mode.is_training { self.options.dropout } else { 0.0 }, ..mode };
        let share = 1.0 / rows.len().max(1) as f32;
        let first = self.pass(tape, &hidden, &docids, mode)?;
        let value = match mode.is_training && self.options.consistency > 0.0 {
            false => tape.scale(&first.own, -share),
            true => {
                let second = self.pass(tape, &hidden, &docids, Mode { key: !mode.key, ..mode })?;
                let likelihood = tape.scale(&tape.plus(&first.own, &second.own), -0.5 * share);
                let divergence = divergence(tape, &first.places, &second.places);
                tape.plus(&likelihood, &tape.scale(&divergence, self.options.consistency * share))
            }
        };
        Ok(StepLoss { value, tokens: batch.tokens.len(), used: rows.len(), skipped: 0 })
    }

    /// One pass of the head over the model's vectors, a row for each token of each docid.
    fn pass(&self, tape: &Tape, hidden: &Var, docids: &[&[u32]], mode: Mode) -> Result<Pass, TrainError> {
        // A row for the beginning of each docid, and one for each of its tokens but the last.
        let written: Vec<&[u32]> =
            docids.iter().map(|docid| &docid[..docid.len().saturating_sub(1)]).collect();
        let (adapted, _) = self.head.adapted(tape, &written, mode)?;
        let places: Vec<usize> = docids.iter().flat_map(|docid| 0..docid.len()).collect();
        let tokens: Vec<u32> = docids.iter().flat_map(|docid| docid.iter().copied()).collect();
        let table = tape.parameter(self.model.llama.head);
        let mut pass = Pass { places: Vec::new(), own: tape.constant((1, 1), &[0.0]) };
        for found in self.head.logits(tape, &table, (hidden, &adapted), &places, mode) {
            let columns = found.logits.columns;
            let own = |(at, row): (usize, &usize)| {
                let token = tokens[*row];
                let unknown =
                    || TrainError::Model(format!("the token {token} is none of docids at its place"));
                let column = self.head.column(found.place, token).ok_or_else(unknown)?;
                Ok(at * columns + column)
            };
            let own = found.rows.iter().enumerate().map(own).collect::<Result<Vec<usize>, TrainError>>()?;
            let logs = tape.log_softmax(&found.logits);
            let sum = tape.sum(&tape.gather(&logs, &own, (own.len(), 1)));
            pass.own = tape.plus(&pass.own, &sum);
            pass.places.push(logs);
        }
        Ok(pass)
    }
}

/// ½ \[KL(P₁ ‖ P₂) + KL(P₂ ‖ P₁)\], summed over all rows: ½ Σ (p₁ − p₂) (ln p₁ − ln p₂). Each matrix has the log-probabilities of a place.
pub(super) fn divergence(tape: &Tape, first: &[Var], second: &[Var]) -> Var {
    let mut sum = tape.constant((1, 1), &[0.0]);
    for (a, b) in first.iter().zip(second) {
        let shares = tape.minus(&tape.exp(a), &tape.exp(b));
        sum = tape.plus(&sum, &tape.sum(&tape.times(&shares, &tape.minus(a, b))));
    }
    tape.scale(&sum, 0.5)
}
