//! How good each depth of a decoder is: likelihood, accuracy of tokens and exact matches from one pass.

use super::LanguageTask;
use crate::tape::{Compute, Parameters, Tape};
use plackett_kernel::log_sum_exp;
use std::ops::Range;
use std::sync::Arc;

/// Most logits that exist at once: 16 MiB.
const MOST_LOGITS: usize = 4 << 20;

/// What one depth makes of one text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextMeasure {
    /// Tokens that were to be predicted.
    pub tokens: usize,
    /// The mean of their −ln p.
    pub nll: f64,
    /// The share of them that was the most probable token (of equal ones, that of the lowest id).
    pub accuracy: f64,
    /// Whether all were, so that greedy decoding of the prompt writes exactly this text.
    pub exact: bool,
}

/// What one depth makes of all texts.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthMeasure {
    /// After how many layers the model is read out.
    pub depth: usize,
    /// Text by text; those without a token to be predicted are left out.
    pub texts: Vec<TextMeasure>,
}

impl DepthMeasure {
    /// −ln p of a token, the mean over all tokens.
    pub fn nll(&self) -> f64 {
        self.over_tokens(|text| text.nll)
    }

    /// The share of all tokens that was the most probable one.
    pub fn accuracy(&self) -> f64 {
        self.over_tokens(|text| text.accuracy)
    }

    /// The share of texts that greedy decoding writes.
    pub fn exact_match(&self) -> f64 {
        let exact = self.texts.iter().filter(|text| text.exact).count();
        exact as f64 / self.texts.len().max(1) as f64
    }

    fn over_tokens(&self, of: impl Fn(&TextMeasure) -> f64) -> f64 {
        let tokens: usize = self.texts.iter().map(|text| text.tokens).sum();
        let sum: f64 = self.texts.iter().map(|text| of(text) * text.tokens as f64).sum();
        sum / tokens.max(1) as f64
    }
}

/// Measures every read-out of a task over all its texts, `batch` of them in a pass.
pub fn measure_depths(
    task: &LanguageTask<'_>,
    compute: &Arc<Compute>,
    parameters: &Parameters,
    batch: usize,
) -> Vec<DepthMeasure> {
    let mut measures: Vec<DepthMeasure> =
        task.read_outs.depths().map(|depth| DepthMeasure { depth, texts: Vec::new() }).collect();
    let all: Vec<usize> = (0..task.texts.len()).collect();
    for examples in all.chunks(batch.max(1)) {
        let tape = Tape::inference(parameters, compute);
        let (tokens, targets, ranges) = task.batch(examples);
        let llama = &task.model.llama;
        llama.each_layer_until(&tape, &tokens, task.read_outs.deepest(), |depth, hidden| {
            let Some(head) = task.read_outs.head(depth) else { return };
            let mut judged: Vec<Judged> = Vec::with_capacity(targets.len());
            for targets in targets.chunks((MOST_LOGITS / llama.config.vocab_size.max(1)).max(1)) {
                let rows: Vec<usize> = targets.iter().map(|(row, _)| *row).collect();
                let logits = llama.logits_of(&tape, hidden, &rows, head);
                let rows = logits.value.chunks(logits.columns.max(1));
                judged.extend(rows.zip(targets).map(|(row, (_, token))| judge(compute, row, *token)));
            }
            if let Some(measure) = measures.iter_mut().find(|measure| measure.depth == depth) {
                measure
                    .texts
                    .extend(ranges.iter().filter(|own| !own.is_empty()).map(|own| text(&judged, own)));
            }
        });
    }
    measures
}

/// −ln p of a token, and whether it is the most probable one.
type Judged = (f64, bool);

fn judge(compute: &Compute, logits: &[f32], token: u32) -> Judged {
    let mut best = 0;
    for (at, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = at;
        }
    }
    let own = f64::from(logits[token as usize]);
    (log_sum_exp(compute.isa, logits) - own, best == token as usize)
}

fn text(judged: &[Judged], own: &Range<usize>) -> TextMeasure {
    let own = &judged[own.clone()];
    let right = own.iter().filter(|(_, right)| *right).count();
    TextMeasure {
        tokens: own.len(),
        nll: own.iter().map(|(nll, _)| nll).sum::<f64>() / own.len() as f64,
        accuracy: right as f64 / own.len() as f64,
        exact: right == own.len(),
    }
}
