//! Dense layers from matrices in the blocks of a GGUF file.

use crate::blocks::codes::Codes;
use crate::blocks::formats::{BlockFormat, dequantize};
use crate::dense::layout::{CacheLine, LAYOUTS, layout_of};
use crate::dense::linear::{Linear, Weights, padded};
use crate::dense::packed::PackedMatrix;
use crate::precision::Precision;
use crate::sizes::TILE_COLUMNS;
use rayon::prelude::*;

/// Why matrices do not make a layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// One of them does not fit the others, its order, or its bytes.
    #[error("tensor `{name}` has {problem}")]
    Matrix {
        /// Its name.
        name: String,
        /// What it has, and what is expected.
        problem: String,
    },
    /// The bias has another length, or there are no weights.
    #[error("a layer of {outputs} × {inputs} weights cannot have a bias of {bias} numbers")]
    Bias {
        /// Rows of all matrices.
        outputs: usize,
        /// Numbers of a row.
        inputs: usize,
        /// Numbers of the bias.
        bias: usize,
    },
}

/// A matrix in blocks, `rows × width`, as it is stored.
#[derive(Clone, Copy)]
pub struct BlockMatrix<'a> {
    name: &'a str,
    format: BlockFormat,
    rows: usize,
    width: usize,
    bytes: &'a [u8],
    order: Option<&'a [usize]>,
}

impl<'a> BlockMatrix<'a> {
    /// A matrix whose rows lie end to end in `bytes`; the name is for messages.
    ///
    /// # Errors
    /// [`MatrixError::Matrix`] when the bytes are not those of so many rows in whole blocks.
    pub fn new(
        name: &'a str,
        format: BlockFormat,
        (rows, width): (usize, usize),
        bytes: &'a [u8],
    ) -> Result<BlockMatrix<'a>, MatrixError> {
        let expected = format.bytes_of(width).and_then(|row| row.checked_mul(rows));
        if expected != Some(bytes.len()) {
            let problem = format!("{} bytes, not those of {rows} rows of {width} as {format:?}", bytes.len());
            return Err(MatrixError::Matrix { name: name.to_string(), problem });
        }
        Ok(BlockMatrix { name, format, rows, width, bytes, order: None })
    }

    /// The same with its rows in another order: row r is row `order[r]` of what is stored.
    pub fn with_order(self, order: Option<&'a [usize]>) -> BlockMatrix<'a> {
        BlockMatrix { order, ..self }
    }
}

impl Linear {
    /// From matrices of the same width as one layer, their outputs side by side: one product instead of several. An empty
    /// bias is none; else it is in the layer's order.
    ///
    /// With [`Precision::Auto`] blocks stay as they are in the file. Matrices without blocks, and formats that change
    /// elsewhere than after a multiple of 32 outputs, become f32.
    ///
    /// # Errors
    /// [`MatrixError`] when widths differ, or an order or the bias does not fit.
    pub fn from_blocks(
        parts: &[BlockMatrix],
        bias: &[f32],
        precision: Precision,
    ) -> Result<Linear, MatrixError> {
        let inputs = parts.first().map_or(0, |part| part.width);
        let mut outputs = 0;
        for part in parts {
            part.check(inputs)?;
            outputs += part.rows;
        }
        if inputs == 0 || !(bias.is_empty() || bias.len() == outputs) {
            return Err(MatrixError::Bias { outputs, inputs, bias: bias.len() });
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
        let mut weight = vec![0.0; outputs * inputs];
        let rows = parts.iter().flat_map(|part| part.stored_rows().map(|row| (part.format, row)));
        for ((format, row), out) in rows.zip(weight.chunks_exact_mut(inputs)) {
            // The length of a row was checked when the matrix was made.
            let whole = dequantize(format, row, out);
            debug_assert!(whole);
        }
        Ok(match precision {
            Precision::Int8 => Linear::quantized(&weight, bias, outputs, inputs),
            _ => Linear::from_f32(&weight, bias, outputs, inputs),
        })
    }
}

/// The blocks of all parts in panels; `None` when a part has no blocks, or when its format changes within a panel.
fn packed(parts: &[BlockMatrix]) -> Option<Vec<PackedMatrix>> {
    // Rows of one format, whether of one tensor or of several, share panels.
    let mut runs: Vec<(usize, Vec<&[u8]>)> = Vec::new();
    for part in parts {
        let layout = layout_of(part.format)?;
        let rows = part.stored_rows();
        match runs.last_mut() {
            Some((own, all)) if *own == layout => all.extend(rows),
            Some((_, all)) if !all.len().is_multiple_of(TILE_COLUMNS) => return None,
            _ => runs.push((layout, rows.collect())),
        }
    }
    let format = |layout: usize| parts.iter().map(|p| p.format).find(|f| layout_of(*f) == Some(layout));
    runs.iter().map(|(layout, rows)| pack(*layout, format(*layout)?, rows, parts.first()?.width)).collect()
}

fn pack(layout: usize, format: BlockFormat, rows: &[&[u8]], inputs: usize) -> Option<PackedMatrix> {
    let own = &LAYOUTS[layout];
    let length = inputs / own.block_len() * own.block_lines();
    let mut lines = vec![CacheLine([0; 64]); rows.len().div_ceil(TILE_COLUMNS) * length];
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
    whole.reduce(|| true, |a, b| a && b).then_some(PackedMatrix { layout, length, lines })
}

impl<'a> BlockMatrix<'a> {
    /// The stored bytes of each row, in the layer's order.
    fn stored_rows(&self) -> impl Iterator<Item = &'a [u8]> {
        let (bytes, order, length) = (self.bytes, self.order, self.bytes.len() / self.rows.max(1));
        let row = move |row: usize| &bytes[order.map_or(row, |order| order[row]) * length..][..length];
        (0..self.rows).map(row)
    }

    fn check(&self, inputs: usize) -> Result<(), MatrixError> {
        let rows = self.rows;
        let problem = match self.order {
            _ if self.width != inputs => {
                format!("rows of {}, the layer has rows of {inputs}", self.width)
            }
            Some(order) if order.len() != rows => format!("{rows} rows, their order names {}", order.len()),
            Some(order) if order.iter().any(|row| *row >= rows) => {
                format!("{rows} rows, their order names rows beyond them")
            }
            _ => return Ok(()),
        };
        Err(MatrixError::Matrix { name: self.name.to_string(), problem })
    }
}
