//! The vectors of texts in a `.npy` file: a row for each text, in their order.

use anyhow::bail;
use plackett_core::formats::NpyWriter;
use std::path::{Path, PathBuf};

/// A file on its way. A text without a vector has a row of zeros.
pub struct VectorFile {
    path: PathBuf,
    rows: usize,
    /// Rows of zeros before the first vector, which says how long they are.
    blank: usize,
    writer: Option<NpyWriter>,
}

impl VectorFile {
    /// A file for so many texts.
    pub fn new(path: &Path, rows: usize) -> anyhow::Result<VectorFile> {
        let name = path.to_string_lossy().to_ascii_lowercase();
        let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        if !bare.ends_with(".npy") {
            bail!(
                "--output {}: vectors are written as NumPy arrays; give a name that ends in .npy",
                path.display()
            );
        }
        Ok(VectorFile { path: path.into(), rows, blank: 0, writer: None })
    }

    /// The vector of the next text.
    pub fn push(&mut self, vector: Option<&[f32]>) -> anyhow::Result<()> {
        if self.writer.is_none() {
            let Some(vector) = vector else {
                self.blank += 1;
                return Ok(());
            };
            let mut begun = NpyWriter::create(&self.path, self.rows, vector.len())?;
            (0..self.blank).try_for_each(|_| begun.push_zeros())?;
            self.writer = Some(begun);
        }
        match (&mut self.writer, vector) {
            (Some(writer), Some(vector)) => writer.push(vector)?,
            (Some(writer), None) => writer.push_zeros()?,
            (None, _) => {}
        }
        Ok(())
    }

    /// Gives the file its name.
    pub fn commit(self) -> anyhow::Result<()> {
        match self.writer {
            Some(writer) => Ok(writer.commit()?),
            None => {
                bail!("--output {}: no text has a vector, so there is nothing to write", self.path.display())
            }
        }
    }
}
