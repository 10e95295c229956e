//! Tensors by their Hugging Face names, from safetensors files or from a GGUF file.

use crate::error::LmError;
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
        let prefix =
            weights.prefix(&["model.", "", "language_model.model."], "embed_tokens.weight")?.to_string();
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
        match self {
            TensorSource::Directory { weights, .. } => {
                let total: usize = parts.iter().map(|(_, rows)| rows).sum();
                // Not allocated ahead: what the configuration says is only checked with each tensor.
                let mut weight = Vec::new();
                for (name, rows) in parts {
                    weight.extend(weights.f32(&self.local(&format!("{name}.weight")), &[*rows, inputs])?);
                }
                Ok(match precision {
                    Precision::Int8 => Linear::quantized(&weight, &bias, total, inputs),
                    _ => Linear::from_f32(&weight, &bias, total, inputs),
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
                Linear::from_blocks(&matrices, &bias, precision).map_err(refused)
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
