//! What a retriever learns to write after a text: the docid, or the path of the text and the docid.

use super::AssignedPaths;
use crate::recipe::choosing::{TextVectors, cosine};
use crate::recipe::error::StageError;
use crate::recipe::task::Task;
use plackett_genir::GenirError;
use plackett_genir::category_paths::{PathLanguage, nearest_path};
use plackett_genir::representation::{PairSource, TextPair};
use std::collections::{HashMap, HashSet};

/// The targets of texts.
pub struct Targets<'d> {
    docids: &'d [Vec<u32>],
    paths: Option<PathTargets>,
}

struct PathTargets {
    language: PathLanguage,
    of_text: HashMap<TextPair, usize>,
}

impl<'d> Targets<'d> {
    /// Docids alone.
    pub fn docids(docids: &'d [Vec<u32>]) -> Targets<'d> {
        Targets { docids, paths: None }
    }

    /// Docids after that path of their document which is most like the text.
    ///
    /// # Errors
    /// A document has no path, or the encoder fails.
    pub fn with_paths(
        task: &Task<'_>,
        docids: &'d [Vec<u32>],
        (assigned, language): (&AssignedPaths, PathLanguage),
        sources: &[PairSource],
    ) -> Result<Targets<'d>, StageError> {
        if let Some(document) = assigned.documents.iter().position(Vec::is_empty) {
            let problem = "it has no category path; ask for a longer shortlist".into();
            return Err(GenirError::Docid { document, problem }.into());
        }
        let pairs = || sources.iter().flat_map(|source| &source.pairs);
        let can_choose = |pair: &&TextPair| assigned.documents[pair.document].len() > 1;
        let texts = pairs().filter(can_choose).map(|pair| pair.text.clone()).collect();
        let vectors = TextVectors::embed(task, texts)?;
        let of_paths: Vec<&[f32]> = assigned
            .hierarchy
            .paths()
            .iter()
            .map(|path| assigned.vectors.get(&path.to_string()))
            .collect::<Result<_, _>>()?;
        let mut of_text = HashMap::new();
        for pair in pairs() {
            let paths = &assigned.documents[pair.document];
            let path = match paths.len() {
                1 => paths[0],
                _ => {
                    let vector = vectors.get(&pair.text)?;
                    nearest_path(paths, |path| cosine(vector, of_paths[path])).unwrap_or(paths[0])
                }
            };
            of_text.insert(pair.clone(), path);
        }
        Ok(Targets { docids, paths: Some(PathTargets { language, of_text }) })
    }

    /// What is to be written after a text of the sources.
    pub fn of(&self, pair: &TextPair) -> Vec<u32> {
        let docid = &self.docids[pair.document];
        let path = self.paths.as_ref().and_then(|paths| Some((paths, paths.of_text.get(pair)?)));
        path.map_or_else(|| docid.clone(), |(paths, path)| paths.language.target(*path, docid))
    }

    /// The longest target that there could be.
    pub fn longest(&self) -> usize {
        let docid = self.docids.iter().map(Vec::len).max().unwrap_or(0);
        docid + self.paths.as_ref().map_or(0, |paths| paths.language.longest() + 2)
    }

    /// The documents whose texts have different paths, as a share of those that have several; nothing without paths.
    pub fn diversity(&self, assigned: Option<&AssignedPaths>) -> Option<f64> {
        let (paths, assigned) = (self.paths.as_ref()?, assigned?);
        let mut of_document: HashMap<usize, HashSet<usize>> = HashMap::new();
        for (pair, path) in &paths.of_text {
            of_document.entry(pair.document).or_default().insert(*path);
        }
        let several = assigned.documents.iter().filter(|paths| paths.len() > 1).count();
        let different = of_document.values().filter(|paths| paths.len() > 1).count();
        Some(different as f64 / several.max(1) as f64)
    }
}
