//! The vectors of texts in a `.npy` file or a Parquet table: a row for each text, in their order.

use anyhow::bail;
use plackett_core::formats::{FormatError, NpyWriter, VectorTableWriter};
use std::path::{Path, PathBuf};

/// What is written.
enum Rows {
    Npy(Box<NpyWriter>),
    /// Where each row has an id.
    Table(Box<VectorTableWriter>),
}

impl Rows {
    fn push(&mut self, id: &str, vector: Option<&[f32]>) -> Result<(), FormatError> {
        match (self, vector) {
            (Rows::Npy(writer), Some(vector)) => writer.push(vector),
            (Rows::Npy(writer), None) => writer.push_zeros(),
            (Rows::Table(writer), vector) => writer.push(id, vector),
        }
    }
}

/// A file on its way. A text without a vector has a row of zeros in an array, and none in its row of a table.
pub struct VectorFile {
    path: PathBuf,
    rows: usize,
    is_table: bool,
    /// Ids of the rows without a vector before the first one, which says how long they are.
    blank: Vec<String>,
    writer: Option<Rows>,
}

impl VectorFile {
    /// A file for so many texts.
    pub fn new(path: &Path, rows: usize) -> anyhow::Result<VectorFile> {
        let name = path.to_string_lossy().to_ascii_lowercase();
        let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        // Readers of tables need the file as it is, unpacked.
        let is_table = name.ends_with(".parquet");
        if !is_table && !bare.ends_with(".npy") {
            bail!(
                "--output {}: vectors are written as NumPy arrays or Parquet tables; give a name that ends in .npy or .parquet",
                path.display()
            );
        }
        Ok(VectorFile { path: path.into(), rows, is_table, blank: Vec::new(), writer: None })
    }

    /// The vector of the next text, and the id that a table names it by.
    pub fn push(&mut self, id: &str, vector: Option<&[f32]>) -> anyhow::Result<()> {
        if self.writer.is_none() {
            let Some(vector) = vector else {
                self.blank.push(id.to_string());
                return Ok(());
            };
            let mut begun = match self.is_table {
                true => Rows::Table(Box::new(VectorTableWriter::create(&self.path)?)),
                false => Rows::Npy(Box::new(NpyWriter::create(&self.path, self.rows, vector.len())?)),
            };
            self.blank.drain(..).try_for_each(|id| begun.push(&id, None))?;
            self.writer = Some(begun);
        }
        self.writer.iter_mut().try_for_each(|writer| writer.push(id, vector))?;
        Ok(())
    }

    /// Gives the file its name.
    pub fn commit(self) -> anyhow::Result<()> {
        match self.writer {
            Some(Rows::Npy(writer)) => Ok(writer.commit()?),
            Some(Rows::Table(writer)) => Ok(writer.commit()?),
            None => {
                bail!("--output {}: no text has a vector, so there is nothing to write", self.path.display())
            }
        }
    }
}
