//! Tensors by their Hugging Face names, from safetensors files or from a GGUF file.

use crate::error::LmError;
use crate::family::decoder_families::PREFIXES;
use crate::family::projection::{Part as LinearPart, Projection};
use crate::files::factors::LED_UNIT;
use crate::files::gguf::file::{GgufFile, GgufTensor};
use crate::files::gguf::names::{RowOrder, gguf_name, unrope_rows};
use crate::files::weights::{Table, WeightSet, bias_of_any_layer};
use plackett_kernel::Precision;
use plackett_kernel::{BlockMatrix, Isa, Linear, MatrixError};
use std::collections::BTreeSet;

/// Where weights come from.
pub(crate) enum TensorSource {
    /// safetensors; the prefix is what stands before `model.` in the names.
    Directory { weights: WeightSet, prefix: String },
    /// A GGUF file of an architecture with heads of that size; `biases` without the numbers of layers.
    Gguf { file: GgufFile, architecture: String, head: usize, biases: BTreeSet<String> },
}

/// Input vectors by token.
pub(crate) enum Embedding {
    /// Rows of the output matrix.
    Tied,
    /// A table that stays in its file.
    Table(Table),
    /// A tensor that stays in its file.
    Gguf(GgufFile, String),
}

/// One matrix of a stack: name without `.weight`, rows.
pub(crate) type Part<'a> = (&'a str, usize);

impl TensorSource {
    /// safetensors files of a directory.
    ///
    /// # Errors
    /// [`LmError::MissingTensor`] without an embedding matrix.
    pub(crate) fn directory(weights: WeightSet) -> Result<TensorSource, LmError> {
        let prefix = weights.prefix(PREFIXES, "embed_tokens.weight")?.to_string();
        Ok(TensorSource::Directory { weights, prefix })
    }

    /// The tensors of a GGUF file of an architecture with heads of that size.
    pub(crate) fn gguf(file: GgufFile, architecture: &str, head: usize) -> TensorSource {
        let biases = file.header().tensors().filter_map(|(name, _)| bias_of_any_layer(name)).collect();
        TensorSource::Gguf { file, architecture: architecture.to_string(), head, biases }
    }

    /// The name in the files of what `model.…` is called in most.
    fn local(&self, name: &str) -> String {
        match self {
            TensorSource::Directory { prefix, .. } => match name.strip_prefix("model.") {
                Some(rest) => format!("{prefix}{rest}"),
                None => name.to_string(),
            },
            TensorSource::Gguf { architecture, .. } => {
                gguf_name(architecture, name).unwrap_or_else(|| name.to_string())
            }
        }
    }

    /// Whether a matrix has a bias: when that of any layer has one, those of all layers must.
    fn has_bias(&self, name: &str) -> bool {
        let local = self.local(&format!("{name}.bias"));
        match self {
            TensorSource::Directory { weights, .. } => weights.wants_bias(&local),
            TensorSource::Gguf { biases, .. } => {
                bias_of_any_layer(&local).is_some_and(|any| biases.contains(&any))
            }
        }
    }

    /// A vector.
    pub(crate) fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, LmError> {
        let local = self.local(name);
        let vector = match self {
            TensorSource::Directory { weights, .. } => weights.f32(&local, &[length])?,
            TensorSource::Gguf { file, .. } => file.f32(&local, &[length])?,
        };
        let order = self.order(name.strip_suffix(".bias").unwrap_or_default(), length);
        Ok(order.map_or(vector.clone(), |order| order.iter().map(|row| vector[*row]).collect()))
    }

    /// In which order rows of a GGUF file make heads whose halves are turned.
    fn order(&self, name: &str, rows: usize) -> Option<Vec<usize>> {
        let TensorSource::Gguf { architecture, head, .. } = self else { return None };
        let turned = name.ends_with("q_proj") || name.ends_with("k_proj");
        let interleaved = RowOrder::of(architecture) == RowOrder::Interleaved;
        (turned && interleaved).then(|| unrope_rows(rows, *head))
    }

    /// The rank of a layer that is stored as two factors, which GGUF files do not do; `None` for a layer with a whole weight.
    fn rank(&self, name: &str) -> Option<usize> {
        match self {
            TensorSource::Directory { weights, .. } => weights.rank(&self.local(name)),
            TensorSource::Gguf { .. } => None,
        }
    }

    /// Linear layers of the same inputs, each with a whole weight or with two factors. Where all have whole weights, they are one matrix.
    ///
    /// # Errors
    /// A tensor is missing, or of another shape or number format.
    pub(crate) fn projection(
        &self,
        parts: &[Part],
        inputs: usize,
        precision: Precision,
    ) -> Result<Projection, LmError> {
        let factors = |(name, rows): &Part, rank: usize| {
            let [down, up] = [0, 1].map(|at| format!("{name}.{LED_UNIT}.{at}"));
            let down = self.matrix(&[(down.as_str(), rank)], inputs, &[], precision)?;
            let up = self.stack(&[(up.as_str(), *rows)], rank, precision)?;
            Ok(LinearPart { down: Some(down), up })
        };
        let whole = |parts: &[Part]| self.stack(parts, inputs, precision);
        Projection::of_layers(parts, |(name, _)| self.rank(name), whole, factors)
    }

    /// Matrices of the same width as one layer, with their biases: all of them when one of any layer has one.
    pub(crate) fn stack(
        &self,
        parts: &[Part],
        inputs: usize,
        precision: Precision,
    ) -> Result<Linear, LmError> {
        let mut bias = Vec::new();
        let with_bias = parts.iter().any(|(name, _)| self.has_bias(name));
        for (name, rows) in parts.iter().filter(|_| with_bias) {
            bias.extend(self.vector(&format!("{name}.bias"), *rows)?);
        }
        self.matrix(parts, inputs, &bias, precision)
    }

    /// The same with a bias that is given: as many numbers as there are outputs in all, or none.
    fn matrix(
        &self,
        parts: &[Part],
        inputs: usize,
        bias: &[f32],
        precision: Precision,
    ) -> Result<Linear, LmError> {
        match self {
            TensorSource::Directory { weights, .. } => {
                let total: usize = parts.iter().map(|(_, rows)| rows).sum();
                // Not allocated ahead: what the configuration says is only checked with each tensor.
                let mut weight = Vec::new();
                for (name, rows) in parts {
                    weight.extend(weights.f32(&self.local(&format!("{name}.weight")), &[*rows, inputs])?);
                }
                Ok(match precision {
                    Precision::Int8 => Linear::quantized(&weight, bias, total, inputs),
                    _ => Linear::from_f32(&weight, bias, total, inputs),
                })
            }
            TensorSource::Gguf { file, .. } => {
                let mut found: Vec<(GgufTensor, Option<Vec<usize>>)> = Vec::new();
                for (name, rows) in parts {
                    let tensor = file.tensor(&self.local(&format!("{name}.weight")))?;
                    tensor.expect(&[*rows, inputs])?;
                    found.push((tensor, self.order(name, *rows)));
                }
                let refused = |error: MatrixError| LmError::Argument(error.to_string());
                let mut matrices: Vec<BlockMatrix> = Vec::with_capacity(found.len());
                for (tensor, order) in &found {
                    matrices.push(tensor.matrix().map_err(refused)?.with_order(order.as_deref()));
                }
                Linear::from_blocks(&matrices, bias, precision).map_err(refused)
            }
        }
    }

    /// The table of input vectors of a model whose output matrix is another one.
    pub(crate) fn embedding(&self, name: &str, rows: usize, width: usize) -> Result<Embedding, LmError> {
        let local = self.local(name);
        match self {
            TensorSource::Directory { weights, .. } => {
                let table = weights.table(&local, width)?;
                if table.rows() < rows {
                    weights.tensor(&local)?.expect(&[rows, width])?;
                }
                Ok(Embedding::Table(table))
            }
            TensorSource::Gguf { file, .. } => {
                file.tensor(&local)?.expect(&[rows, width])?;
                Ok(Embedding::Gguf(file.clone(), local))
            }
        }
    }
}

impl Embedding {
    /// The vector of a token; `output` is the output matrix.
    pub(crate) fn read(&self, isa: Isa, output: &Linear, id: usize, out: &mut [f32]) {
        match self {
            Embedding::Tied => output.row(id, out),
            Embedding::Table(table) => table.read(isa, id, out),
            Embedding::Gguf(file, name) => {
                // The shape was checked when the model was opened.
                if let Ok(row) = file.tensor(name).and_then(|tensor| tensor.row(id)) {
                    out.copy_from_slice(&row);
                }
            }
        }
    }
}
