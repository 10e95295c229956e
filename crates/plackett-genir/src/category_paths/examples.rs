//! What a retriever learns to write after a text: the docid, or the path of the text and the docid (HyPE, 2024, training set).

use super::{CategoryHierarchy, PathLanguage};
use crate::representation::{PairSource, TextPair};
use crate::{GenirError, RetrieverFiles};
use std::collections::{HashMap, HashSet};

/// Chooses for each of some texts one of its document's paths, by its place in the hierarchy.
pub type PathChooser<'p> = dyn Fn(&[&TextPair]) -> Result<Vec<usize>, GenirError> + 'p;

/// The paths of documents in a training.
#[derive(Clone, Copy)]
pub struct PathExamples<'p> {
    /// The hierarchy.
    pub hierarchy: &'p CategoryHierarchy,
    /// For each document its paths, one at least.
    pub documents: &'p [Vec<usize>],
    /// Asked about texts whose document has several paths.
    pub choose: &'p PathChooser<'p>,
}

impl PathExamples<'_> {
    /// The path of each text.
    fn of_texts(&self, sources: &[PairSource]) -> Result<HashMap<TextPair, usize>, GenirError> {
        let pairs = || sources.iter().flat_map(|source| &source.pairs);
        for pair in pairs() {
            if self.documents.get(pair.document).is_none_or(Vec::is_empty) {
                let problem = "it has no category path; ask for a longer shortlist".into();
                return Err(GenirError::Docid { document: pair.document, problem });
            }
        }
        let several: Vec<&TextPair> =
            pairs().filter(|pair| self.documents[pair.document].len() > 1).collect();
        let chosen = (self.choose)(&several)?;
        let only = pairs().map(|pair| (pair.clone(), self.documents[pair.document][0]));
        Ok(only.chain(several.into_iter().cloned().zip(chosen)).collect())
    }
}

/// The targets of texts.
pub struct ExampleTargets<'d> {
    docids: &'d [Vec<u32>],
    paths: Option<(PathLanguage, HashMap<TextPair, usize>)>,
}

impl<'d> ExampleTargets<'d> {
    /// Docids, after paths where there are such.
    ///
    /// # Errors
    /// A document has no path, or the language was made for other paths.
    pub fn new(
        files: &RetrieverFiles,
        docids: &'d [Vec<u32>],
        examples: Option<&PathExamples<'_>>,
        sources: &[PairSource],
    ) -> Result<ExampleTargets<'d>, GenirError> {
        let paths = |examples: &PathExamples<'_>| {
            let language = PathLanguage::new(&files.language, files.catalogue.tokens(), examples.hierarchy)?;
            Ok::<_, GenirError>((language, examples.of_texts(sources)?))
        };
        Ok(ExampleTargets { docids, paths: examples.map(paths).transpose()? })
    }

    /// What is to be written after a text of the sources.
    pub fn of(&self, pair: &TextPair) -> Vec<u32> {
        let docid = &self.docids[pair.document];
        let path = self.paths.as_ref().and_then(|(language, of_text)| Some((language, *of_text.get(pair)?)));
        path.map_or_else(|| docid.clone(), |(language, path)| language.target(path, docid))
    }

    /// The longest target that there could be.
    pub fn longest(&self) -> usize {
        let docid = self.docids.iter().map(Vec::len).max().unwrap_or(0);
        docid + self.paths.as_ref().map_or(0, |(language, _)| language.longest() + 2)
    }

    /// Of the documents with several paths, the share whose texts have different ones; nothing without paths.
    pub fn diversity(&self, examples: Option<&PathExamples<'_>>) -> Option<f64> {
        let ((_, of_text), examples) = (self.paths.as_ref()?, examples?);
        let mut of_document: HashMap<usize, HashSet<usize>> = HashMap::new();
        for (pair, path) in of_text {
            of_document.entry(pair.document).or_default().insert(*path);
        }
        let several = examples.documents.iter().filter(|paths| paths.len() > 1).count();
        let different = of_document.values().filter(|paths| paths.len() > 1).count();
        Some(different as f64 / several.max(1) as f64)
    }
}
