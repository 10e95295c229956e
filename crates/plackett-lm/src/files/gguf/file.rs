//! A memory-mapped GGUF file and its tensors.

use crate::error::{Described, LmError};
use crate::files::gguf::header::{GgufHeader, TensorInfo, parse_header};
use crate::files::weights::map_file;
use plackett_kernel::{BlockFormat, BlockMatrix, MatrixError, dequantize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A GGUF file whose header is read and checked; the data stay in the file until they are asked for.
#[derive(Clone, Debug)]
pub struct GgufFile {
    path: PathBuf,
    bytes: Arc<memmap2::Mmap>,
    header: Arc<GgufHeader>,
}

/// One tensor of a file.
#[derive(Clone, Copy, Debug)]
pub struct GgufTensor<'a> {
    file: &'a GgufFile,
    name: &'a str,
    info: &'a TensorInfo,
}

impl GgufFile {
    /// Maps a file and checks its header.
    ///
    /// # Errors
    /// [`LmError::Io`] when it cannot be mapped, [`LmError::Gguf`] with key or tensor and offset when it is damaged.
    pub fn open(path: &Path) -> Result<GgufFile, LmError> {
        let bytes = map_file(path)?;
        let header =
            parse_header(&bytes).map_err(|source| LmError::Gguf { path: path.to_path_buf(), source })?;
        Ok(GgufFile { path: path.to_path_buf(), bytes, header: Arc::new(header) })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Metadata and tensor table.
    pub fn header(&self) -> &GgufHeader {
        &self.header
    }

    /// A tensor whatever its shape.
    ///
    /// # Errors
    /// [`LmError::MissingTensor`] with the offset of the table of tensors.
    pub fn tensor(&self, name: &str) -> Result<GgufTensor<'_>, LmError> {
        let found = self.header.named_tensor(name);
        found
            .map(|(name, info)| GgufTensor { file: self, name, info })
            .ok_or_else(|| missing(&self.header, &self.path, name))
    }

    /// A tensor of one shape (rows first) as f32.
    ///
    /// # Errors
    /// [`LmError::MissingTensor`], or [`LmError::Shape`] with the offset of the data.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmError> {
        let tensor = self.tensor(name)?;
        tensor.expect(shape)?;
        tensor.to_f32()
    }
}

/// The error of a tensor that a table lacks.
pub(super) fn missing(header: &GgufHeader, path: &Path, tensor: &str) -> LmError {
    LmError::MissingTensor {
        path: path.to_path_buf(),
        offset: header.table_start,
        tensor: tensor.to_string(),
        described: Described::Metadata,
    }
}

impl<'a> GgufTensor<'a> {
    /// Its name in the file.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Dimensions, rows before columns.
    pub fn shape(&self) -> &'a [usize] {
        &self.info.shape
    }

    /// How the numbers are stored.
    pub fn format(&self) -> BlockFormat {
        self.info.format
    }

    /// The stored bytes: whole blocks, row after row.
    pub fn bytes(&self) -> &'a [u8] {
        // The header was checked against the length of the file.
        &self.file.bytes[self.info.start..self.info.start + self.info.length]
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.info.shape.last().copied().unwrap_or(0)
    }

    /// Number of rows; all dimensions but the last are rows.
    pub fn rows(&self) -> usize {
        self.info.shape.iter().rev().skip(1).product()
    }

    /// The stored bytes of one row; `None` beyond the last.
    pub fn row_bytes(&self, row: usize) -> Option<&'a [u8]> {
        let size = self.info.length / self.rows();
        self.bytes().chunks_exact(size).nth(row)
    }

    /// As a matrix for the kernels.
    pub(crate) fn matrix(&self) -> Result<BlockMatrix<'a>, MatrixError> {
        BlockMatrix::new(self.name, self.info.format, (self.rows(), self.width()), self.bytes())
    }

    /// Refuses another shape.
    ///
    /// # Errors
    /// [`LmError::Shape`] with the offset of the data.
    pub fn expect(&self, shape: &[usize]) -> Result<(), LmError> {
        if self.info.shape == shape {
            return Ok(());
        }
        Err(LmError::Shape {
            path: self.file.path.clone(),
            offset: self.info.start as u64,
            tensor: self.name.to_string(),
            expected: shape.to_vec(),
            found: self.info.shape.clone(),
            described: Described::Metadata,
        })
    }

    /// All numbers, row-major.
    ///
    /// # Errors
    /// [`LmError::DataType`] never occurs for a file that was opened; it stands for an impossible mismatch.
    pub fn to_f32(&self) -> Result<Vec<f32>, LmError> {
        self.read(self.bytes(), self.info.shape.iter().product())
    }

    /// The numbers of one row.
    ///
    /// # Errors
    /// [`LmError::Argument`] for a row that the tensor does not have.
    pub fn row(&self, row: usize) -> Result<Vec<f32>, LmError> {
        let bytes = self.row_bytes(row).ok_or_else(|| {
            LmError::Argument(format!(
                "tensor `{}` has {} rows, row {row} was asked for",
                self.name,
                self.rows()
            ))
        })?;
        self.read(bytes, self.width())
    }

    fn read(&self, bytes: &[u8], numbers: usize) -> Result<Vec<f32>, LmError> {
        let mut values = vec![0.0; numbers];
        if dequantize(self.info.format, bytes, &mut values) {
            return Ok(values);
        }
        Err(LmError::DataType {
            path: self.file.path.clone(),
            offset: self.info.start as u64,
            tensor: self.name.to_string(),
            found: format!("{:?}", self.info.format),
        })
    }
}
