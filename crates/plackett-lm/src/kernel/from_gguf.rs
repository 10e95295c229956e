//! Dense layers from the tensors of a GGUF file.

use super::TILE_COLUMNS;
use super::layout::{LAYOUTS, Line, layout_of};
use super::linear::{Linear, Weights, padded};
use super::packed::Panels;
use crate::LmError;
use crate::gguf::{BlockFormat, Codes, GgufTensor};
use crate::weights::Precision;
use rayon::prelude::*;

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
    /// With [`Precision::Auto`] blocks stay as they are in the file. Tensors without blocks, and formats that change
    /// elsewhere than after a multiple of 32 outputs, become f32.
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
        if precision == Precision::Auto
            && let Some(panels) = packed(parts)
        {
            return Ok(Linear {
                outputs,
                inputs,
                bias: padded(bias, outputs),
                weights: Weights::Packed(panels),
            });
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

/// The blocks of all parts in panels; `None` when a part has no blocks, or when its format changes within a panel.
fn packed(parts: &[GgufRows]) -> Option<Vec<Panels>> {
    // Rows of one format, whether of one tensor or of several, share panels.
    let mut runs: Vec<(usize, Vec<&[u8]>)> = Vec::new();
    for part in parts {
        let layout = layout_of(part.tensor.format())?;
        let rows = part.row_bytes()?;
        match runs.last_mut() {
            Some((own, all)) if *own == layout => all.extend(rows),
            Some((_, all)) if !all.len().is_multiple_of(TILE_COLUMNS) => return None,
            _ => runs.push((layout, rows)),
        }
    }
    let format =
        |layout: usize| parts.iter().map(|p| p.tensor.format()).find(|f| layout_of(*f) == Some(layout));
    runs.iter()
        .map(|(layout, rows)| pack(*layout, format(*layout)?, rows, parts.first()?.tensor.width()))
        .collect()
}

fn pack(layout: usize, format: BlockFormat, rows: &[&[u8]], inputs: usize) -> Option<Panels> {
    let own = &LAYOUTS[layout];
    let length = inputs / own.block_len() * own.block_lines();
    let mut lines = vec![Line([0; 64]); rows.len().div_ceil(TILE_COLUMNS) * length];
    let panels = lines.par_chunks_exact_mut(length).zip(rows.par_chunks(TILE_COLUMNS));
    let whole = panels.map(|(panel, rows)| {
        let mut codes = Codes::ZERO;
        let mut whole = true;
        for (column, row) in rows.iter().enumerate() {
            let blocks =
                row.chunks_exact(format.block_bytes()).zip(panel.chunks_exact_mut(own.block_lines()));
            for (block, place) in blocks {
                whole &= codes.read(format, block);
                own.write(place, column, &codes);
            }
        }
        whole
    });
    whole.reduce(|| true, |a, b| a && b).then_some(Panels { layout, length, lines })
}

impl GgufRows<'_> {
    /// The tensor's row that is row `row` here.
    fn source(&self, row: usize) -> usize {
        self.order.map_or(row, |order| order[row])
    }

    /// The stored bytes of each row, in the layer's order.
    fn row_bytes(&self) -> Option<Vec<&[u8]>> {
        let rows: Vec<&[u8]> =
            self.tensor.bytes().chunks_exact(self.tensor.bytes().len() / self.tensor.rows().max(1)).collect();
        (0..rows.len()).map(|row| rows.get(self.source(row)).copied()).collect()
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
