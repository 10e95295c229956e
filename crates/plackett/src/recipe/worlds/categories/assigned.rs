//! What a stage `category-paths` has made: a hierarchy and the paths of each document.

use crate::recipe::error::StageError;
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{TextVectors, cosine};
use plackett_genir::category_paths::{CategoryHierarchy, CategoryPath, nearest_path};
use plackett_genir::representation::TextPair;
use serde::{Deserialize, Serialize};
use std::path::Path;

const FILE: &str = "paths.json";

/// A hierarchy, and which of its paths documents have.
#[derive(Debug)]
pub struct AssignedPaths {
    /// The hierarchy.
    pub hierarchy: CategoryHierarchy,
    /// For each document, in the order of the corpus, its paths, the most fitting first.
    pub documents: Vec<Vec<usize>>,
    /// The vectors of the paths, as texts.
    pub vectors: TextVectors,
}

#[derive(Deserialize, Serialize)]
struct File {
    paths: Vec<Vec<String>>,
    documents: Vec<Vec<usize>>,
}

impl AssignedPaths {
    /// Keeps them in a folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), StageError> {
        let paths = self.hierarchy.paths().iter().map(|path| path.categories().to_vec()).collect();
        let file = File { paths, documents: self.documents.clone() };
        let path = folder.join(FILE);
        let text = serde_json::to_vec(&file)
            .map_err(|error| StageError::Damaged { path: path.clone(), problem: error.to_string() })?;
        std::fs::write(&path, text).map_err(StageError::cache(&path))?;
        self.vectors.write(folder)
    }

    /// Those of a stage, for a corpus of so many documents.
    ///
    /// # Errors
    /// The stage is of another kind or of another corpus, or its files are damaged.
    pub fn of_stage(task: &Task<'_>, stage: &str, documents: usize) -> Result<AssignedPaths, StageError> {
        let input = task.input(stage)?;
        let wrong = |problem: String| StageError::Field { field: "paths", problem };
        input.check_kind("paths", &["category-paths"])?;
        let path = input.folder.join(FILE);
        let damaged = |problem: String| StageError::Damaged { path: path.clone(), problem };
        let text = std::fs::read(&path).map_err(StageError::cache(&path))?;
        let file: File = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if file.documents.iter().flatten().any(|place| *place >= file.paths.len()) {
            return Err(damaged("a document has a path that is not there".into()));
        }
        if file.documents.len() != documents {
            let others = file.documents.len();
            return Err(wrong(format!(
                "`{stage}` has the paths of {others} documents, the corpus has {documents}"
            )));
        }
        let paths = file.paths.into_iter().map(CategoryPath::new).collect::<Result<Vec<_>, _>>()?;
        Ok(AssignedPaths {
            hierarchy: CategoryHierarchy::of_paths(paths, usize::MAX)?,
            documents: file.documents,
            vectors: TextVectors::read(&input.folder)?,
        })
    }

    /// For each of some texts that path of its document which is most like it, by the bundled encoder.
    ///
    /// # Errors
    /// The encoder fails.
    pub fn nearest(&self, task: &Task<'_>, pairs: &[&TextPair]) -> Result<Vec<usize>, StageError> {
        let vectors = TextVectors::embed(task, pairs.iter().map(|pair| pair.text.clone()).collect())?;
        let paths: Vec<&[f32]> = self
            .hierarchy
            .paths()
            .iter()
            .map(|path| self.vectors.get(&path.to_string()))
            .collect::<Result<_, _>>()?;
        let nearest = |pair: &&TextPair| {
            let (vector, own) = (vectors.get(&pair.text)?, &self.documents[pair.document]);
            Ok(nearest_path(own, |path| cosine(vector, paths[path])).unwrap_or(own[0]))
        };
        pairs.iter().map(nearest).collect()
    }
}
