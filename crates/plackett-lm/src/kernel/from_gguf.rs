//! Dense layers from the tensors of a GGUF file.
#![allow(dead_code)] // Decoders are to use all of it.

use super::linear::Linear;
use crate::LmError;
use crate::gguf::GgufTensor;
use crate::weights::Precision;

/// A tensor as rows of a layer: row r of the layer is row `order[r]` of the tensor, or row r without an order.
#[derive(Clone, Copy)]
pub(crate) struct GgufRows<'a> {
    /// The tensor.
    pub tensor: GgufTensor<'a>,
    /// Another order of its rows.
    pub order: Option<&'a [usize]>,
}

impl Linear {
    /// From one matrix; an empty bias is none.
    ///
    /// `bias` is in the layer's order. Rows, not numbers of a row, may have another order.
    ///
    /// # Errors
    /// [`LmError::Argument`] when the order, or the bias, does not fit the tensor.
    pub(crate) fn from_gguf(
        tensor: &GgufTensor,
        bias: &[f32],
        order: Option<&[usize]>,
        precision: Precision,
    ) -> Result<Linear, LmError> {
        Linear::stacked(&[GgufRows { tensor: *tensor, order }], bias, precision)
    }

    /// Several matrices of the same width as one layer, their outputs side by side: one product instead of several.
    ///
    /// # Errors
    /// [`LmError::Argument`] when widths differ, or an order or the bias does not fit.
    pub(crate) fn stacked(parts: &[GgufRows], bias: &[f32], precision: Precision) -> Result<Linear, LmError> {
        let inputs = parts.first().map_or(0, |part| part.tensor.width());
        let mut outputs = 0;
        for part in parts {
            part.check(inputs)?;
            outputs += part.tensor.rows();
        }
        if inputs == 0 || !(bias.is_empty() || bias.len() == outputs) {
            return Err(LmError::Argument(format!(
                "a layer of {outputs} × {inputs} weights cannot have a bias of {} numbers",
                bias.len()
            )));
        }
        let mut weight = Vec::with_capacity(outputs * inputs);
        for part in parts {
            for row in 0..part.tensor.rows() {
                weight.extend(part.tensor.row(part.source(row))?);
            }
        }
        Ok(match precision {
            Precision::Int8 => Linear::quantized(&weight, bias, outputs, inputs),
            _ => Linear::from_f32(&weight, bias, outputs, inputs),
        })
    }
}

impl GgufRows<'_> {
    /// The tensor's row that is row `row` here.
    fn source(&self, row: usize) -> usize {
        self.order.map_or(row, |order| order[row])
    }

    fn check(&self, inputs: usize) -> Result<(), LmError> {
        let (name, rows) = (self.tensor.name(), self.tensor.rows());
        let problem = match self.order {
            _ if self.tensor.width() != inputs => {
                format!("rows of {}, the layer has rows of {inputs}", self.tensor.width())
            }
            Some(order) if order.len() != rows => format!("{rows} rows, their order names {}", order.len()),
            Some(order) if order.iter().any(|row| *row >= rows) => {
                format!("{rows} rows, their order names rows beyond them")
            }
            _ => return Ok(()),
        };
        Err(LmError::Argument(format!("tensor `{name}` has {problem}")))
    }
}
