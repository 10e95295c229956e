//! An index over the vectors of a catalogue, so that whoever is asked need not be compared with all of it: a graph (HNSW) where the program is
//! built with usearch, and every vector otherwise.

use crate::recipe::error::StageError;
use plackett_core::Document;
use plackett_search::{
    DenseMethod, DenseSearch, DenseUsed, Embedded, Embedder, EmbedderFailure, HAS_HNSW, Index, IndexSettings,
    ModelIdentity,
};
use std::path::Path;

/// Vectors that are there, of documents that are known by their places.
struct Rows<'v> {
    vectors: &'v [f32],
    width: usize,
}

impl Embedder for Rows<'_> {
    fn dim(&self) -> usize {
        self.width
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, EmbedderFailure> {
        let mut vectors = Vec::with_capacity(texts.len() * self.width);
        for text in texts {
            let place: usize = text.parse()?;
            let row = self.vectors.chunks(self.width.max(1)).nth(place);
            vectors.extend_from_slice(row.ok_or_else(|| format!("there is no vector of item {place}"))?);
        }
        Ok(Embedded { vectors, ..Embedded::default() })
    }
}

/// The vectors of items in an index of their own.
pub struct CatalogueIndex {
    index: Index,
    search: DenseSearch,
}

impl CatalogueIndex {
    /// Of items × `width` numbers, row-major, in a folder, whose former content is removed.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn make(folder: &Path, vectors: &[f32], width: usize) -> Result<CatalogueIndex, StageError> {
        if folder.exists() {
            std::fs::remove_dir_all(folder).map_err(StageError::cache(folder))?;
        }
        let rows = Rows { vectors, width };
        let model = Some(ModelIdentity { name: "items".into(), dim: width, fingerprint: None });
        let mut index = Index::create(folder, &IndexSettings { model, ..IndexSettings::default() })?;
        let mut writer = index.writer(Some(&rows))?;
        writer.graph_from(1);
        for item in 0..vectors.len() / width.max(1) {
            writer.put(Document::new(item.to_string(), item.to_string()))?;
        }
        writer.finish()?;
        let method = if HAS_HNSW { DenseMethod::Hnsw } else { DenseMethod::Exact };
        Ok(CatalogueIndex { index, search: DenseSearch { method, ..DenseSearch::default() } })
    }

    /// The `depth` items whose vectors have the greatest products with a vector, or nearly those, the best first, and how they were found.
    ///
    /// # Errors
    /// The vector is of another width.
    pub fn nearest(&self, vector: &[f32], depth: usize) -> Result<(Vec<u32>, DenseUsed), StageError> {
        let found = self.index.search_dense(vector, depth, &self.search)?;
        let items = found.documents.iter().filter_map(|(id, _)| id.parse().ok());
        Ok((items.collect(), found.used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_a_few_items_are_found_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue");
        // Products with (0.6, 0.8): 0.6, 0.8, 0.96, −0.6.
        let vectors = [1.0, 0.0, 0.0, 1.0, 0.8, 0.6, -1.0, 0.0];
        let index = CatalogueIndex::make(&path, &vectors, 2).unwrap();
        let (items, used) = index.nearest(&[0.6, 0.8], 3).unwrap();
        assert_eq!(items, [2, 1, 0]);
        assert_eq!(matches!(used, DenseUsed::Hnsw { .. }), HAS_HNSW);
        assert!(index.nearest(&[0.6], 3).is_err());
        drop(index);
        let index = CatalogueIndex::make(&path, &vectors[..4], 2).unwrap();
        assert_eq!(index.nearest(&[0.6, 0.8], 3).unwrap().0, [1, 0], "what was there is gone");
    }
}
