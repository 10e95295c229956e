//! Masked language modelling: an encoder learns a language from raw text by predicting tokens that were hidden (Devlin et al., BERT, 2019).

use super::{CrossEncoder, StepLoss, Task};
use crate::TrainError;
use crate::adapter::Nice;
use crate::engine::Engine;
use crate::files::write_whole;
use crate::nn::{Mode, TokenBatch};
use crate::random::Stream;
use crate::tape::{ParameterId, Parameters, Tape, Var};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;
use std::sync::Arc;

/// Share of the tokens that are predicted.
const MASKED: f32 = 0.15;
/// Of those, the share that becomes the mask token, and the share that becomes it or any other token; the rest stays.
const HIDDEN: [f32; 2] = [0.8, 0.9];

/// From hidden states to the vocabulary: a square layer, and the token embeddings as they were before the training, frozen (the
/// output is not tied to the input, so that the input embeddings may be changed).
#[derive(Clone, Copy, Debug)]
pub struct MaskedHead {
    weight: ParameterId,
    bias: ParameterId,
    output: ParameterId,
}

impl MaskedHead {
    /// The name that its parameters begin with.
    pub const PREFIX: &'static str = "mlm.";

    /// A head for an encoder: the square layer is the identity.
    pub fn new(parameters: &mut Parameters, encoder: &CrossEncoder) -> MaskedHead {
        let width = encoder.bert.config.hidden_size;
        let mut identity = vec![0.0; width * width];
        identity.iter_mut().step_by(width + 1).for_each(|on| *on = 1.0);
        let weight = parameters.add(format!("{}transform.weight", Self::PREFIX), (width, width), identity);
        let bias = parameters.add(format!("{}transform.bias", Self::PREFIX), (1, width), vec![0.0; width]);
        let embeddings = &parameters[encoder.bert.word_embeddings()];
        let (shape, values) = ((embeddings.rows, embeddings.columns), embeddings.value.to_vec());
        let output = parameters.add(format!("{}output.weight", Self::PREFIX), shape, values);
        parameters[output].trainable = false;
        MaskedHead { weight, bias, output }
    }

    /// Writes the square layer.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path, parameters: &Parameters) -> Result<(), TrainError> {
        let form = |problem: String| TrainError::Form { path: path.into(), problem };
        let own = [self.weight, self.bias].map(|id| &parameters[id]);
        let bytes =
            own.map(|parameter| parameter.value.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        let views = own.iter().zip(&bytes).map(|(parameter, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![parameter.rows, parameter.columns], bytes);
            view.map(|view| (parameter.name.clone(), view)).map_err(|error| form(error.to_string()))
        });
        let bytes = safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None);
        write_whole(path, &bytes.map_err(|error| form(error.to_string()))?)
    }

    /// Takes over what [`MaskedHead::save`] wrote.
    ///
    /// # Errors
    /// The file cannot be read, or is of an encoder of another width.
    pub fn load(&self, path: &Path, parameters: &mut Parameters) -> Result<(), TrainError> {
        let bytes = std::fs::read(path).map_err(|source| TrainError::file(path, source))?;
        let form = |problem: String| TrainError::Form { path: path.into(), problem };
        let file = SafeTensors::deserialize(&bytes).map_err(|error| form(error.to_string()))?;
        for id in [self.weight, self.bias] {
            let name = parameters[id].name.clone();
            let view = file.tensor(&name).map_err(|error| form(error.to_string()))?;
            let values: Vec<f32> = view.data().as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
            if view.dtype() != Dtype::F32 || values.len() != parameters[id].value.len() {
                return Err(form(format!("`{name}` is of an encoder of another width")));
            }
            parameters[id].values_mut().copy_from_slice(&values);
        }
        Ok(())
    }

    fn log_probabilities(&self, tape: &Tape, rows: &Var, tokens: &[u32]) -> Var {
        let [weight, bias, output] = [self.weight, self.bias, self.output].map(|id| tape.parameter(id));
        let states = tape.linear(rows, &weight, Some(&bias), None);
        let targets: Vec<(usize, u32)> = tokens.iter().copied().enumerate().collect();
        tape.token_log_probabilities(&states, &output, &targets)
    }
}

/// Texts in which tokens are hidden and predicted.
pub struct MaskedLanguageTask<'m> {
    encoder: &'m CrossEncoder,
    head: MaskedHead,
    /// The invertible block of a language's adapter, which is undone before the output.
    nice: Option<Arc<Nice>>,
    texts: Vec<Vec<u32>>,
    mask: u32,
    special: Vec<u32>,
    cut: usize,
}

/// A batch of texts with hidden tokens, the rows that are predicted, and what was there.
struct Masked {
    texts: Vec<Vec<u32>>,
    rows: Vec<usize>,
    targets: Vec<u32>,
}

impl<'m> MaskedLanguageTask<'m> {
    /// Splits the texts into tokens; what is longer than the encoder reads is cut.
    ///
    /// # Errors
    /// A text cannot be split, or the tokeniser has no mask token.
    pub fn new(
        encoder: &'m CrossEncoder,
        head: MaskedHead,
        nice: Option<Arc<Nice>>,
        texts: &[String],
    ) -> Result<MaskedLanguageTask<'m>, TrainError> {
        let mask = encoder.token("[MASK]").ok_or_else(|| {
            TrainError::Model("tokenizer.json has no [MASK], and hidden tokens become it".into())
        })?;
        let special =
            ["[CLS]", "[SEP]", "[PAD]"].into_iter().filter_map(|name| encoder.token(name)).collect();
        let (mut encoded, mut cut) = (Vec::new(), 0);
        for text in texts {
            let (tokens, is_cut) = encoder.tokens(text)?;
            cut += usize::from(is_cut);
            encoded.push(tokens);
        }
        Ok(MaskedLanguageTask { encoder, head, nice, texts: encoded, mask, special, cut })
    }

    /// How many texts have lost their ends, and how many there are.
    pub fn cut(&self) -> (usize, usize) {
        (self.cut, self.texts.len())
    }

    /// Hides tokens, the same for the same key; at least one of each text that has one to hide.
    fn hide(&self, examples: &[usize], key: u64) -> Masked {
        let mut masked = Masked { texts: Vec::new(), rows: Vec::new(), targets: Vec::new() };
        let mut start = 0;
        for example in examples {
            let mut tokens = self.texts[*example].clone();
            let stream = Stream::new(key, *example as u64);
            let may_be: Vec<usize> =
                (0..tokens.len()).filter(|at| !self.special.contains(&tokens[*at])).collect();
            let mut hidden: Vec<usize> =
                may_be.iter().copied().filter(|at| stream.uniform(3 * *at as u64) < MASKED).collect();
            if hidden.is_empty() && !may_be.is_empty() {
                hidden.push(may_be[stream.below(u64::from(u32::MAX), may_be.len())]);
            }
            for at in hidden {
                masked.rows.push(start + at);
                masked.targets.push(tokens[at]);
                let way = stream.uniform(3 * at as u64 + 1);
                if way < HIDDEN[0] {
                    tokens[at] = self.mask;
                } else if way < HIDDEN[1] {
                    tokens[at] = stream.below(3 * at as u64 + 2, self.encoder.bert.config.vocab_size) as u32;
                }
            }
            start += tokens.len();
            masked.texts.push(tokens);
        }
        masked
    }
}

impl Task for MaskedLanguageTask<'_> {
    fn count(&self) -> usize {
        self.texts.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn is_head(&self, parameter: &str) -> bool {
        parameter.starts_with(MaskedHead::PREFIX)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let Masked { texts, rows, targets } = self.hide(examples, mode.key);
        let batch = TokenBatch::new(texts.iter().map(|text| &text[..]));
        let hidden = self.encoder.bert.forward(tape, &batch, mode);
        let mut rows = tape.select_rows(&hidden, &rows);
        if let Some(nice) = &self.nice {
            rows = nice.inverse(tape, &rows);
        }
        let logs = self.head.log_probabilities(tape, &rows, &targets);
        let value = tape.scale(&tape.mean(&logs), -1.0);
        Ok(StepLoss { value, tokens: batch.tokens.len(), used: targets.len(), skipped: 0 })
    }
}
