//! A retriever that writes a category path before each docid and gives it as the reason for the hit (HyPE, 2024, path-aware inference).

mod free_path;
mod merge;
#[cfg(test)]
mod tests;

pub use merge::{PathHit, best_of_paths};

use crate::beam_options::{by_sum, by_token};
use crate::category_paths::{CategoryHierarchy, CategoryPath, PathLanguage, WrittenPath};
use crate::{GenerativeRetriever, GenirError, RetrieverFiles};
use free_path::FreePath;
use plackett_lm::LmError;
use plackett_lm::decode::{
    Branch, Constraint, DecodeModel, DecodeOptions, DecodeRequest, Decoded, LogitIds, Normalize, PrefixId,
    TokenTrie, TrieConstraint, decode,
};
use plackett_train::files::write_whole;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;

/// The hierarchy, in the folder of the retriever.
pub(crate) const HIERARCHY_FILE: &str = "category-paths.json";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct HierarchyFile {
    /// SHA-256 of the catalogue whose retriever writes these paths.
    catalogue_sha256: String,
    paths: Vec<Vec<String>>,
}

/// Writes the hierarchy of a retriever that has learned to write its paths.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn save_hierarchy(
    folder: &Path,
    files: &RetrieverFiles,
    hierarchy: &CategoryHierarchy,
) -> Result<(), GenirError> {
    let paths = hierarchy.paths().iter().map(|path| path.categories().to_vec()).collect();
    let file = HierarchyFile { catalogue_sha256: files.catalogue.sha256().to_string(), paths };
    let text = serde_json::to_string(&file).unwrap_or_default();
    Ok(write_whole(&folder.join(HIERARCHY_FILE), text.as_bytes())?)
}

/// Whether the retriever of a folder has learned to write paths before docids.
pub fn writes_paths(folder: &Path) -> bool {
    folder.join(HIERARCHY_FILE).is_file()
}

/// What a hit is scored by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathScore {
    /// log p(docid | query, path): a path that is unlikely costs nothing.
    #[default]
    Docid,
    /// The mean of the docid's tokens over the whole vocabulary, those without an alternative included: the length penalty of 1 with which
    /// the authors search.
    Mean,
    /// log p(path | query) + log p(docid | query, path), the probability of both.
    Joint,
}

/// How paths and docids are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathDecoding {
    /// Paths of a query, K_p; the paper has 3.
    pub paths: usize,
    /// Beams below each path, and most documents of a query; the paper has 100.
    pub width: usize,
    /// Whether only paths of the hierarchy can be written. The paper writes freely.
    pub constrained: bool,
    /// What hits are scored by.
    pub score: PathScore,
}

impl Default for PathDecoding {
    fn default() -> PathDecoding {
        PathDecoding { paths: 3, width: 100, constrained: false, score: PathScore::Docid }
    }
}

/// What a search took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PathCost {
    /// Sequences that went through the model for paths.
    pub path_branches: usize,
    /// Those for docids.
    pub docid_branches: usize,
    /// Wall time of the paths, shared equally by queries that were asked together.
    pub path_seconds: f64,
    /// The same of the docids.
    pub docid_seconds: f64,
}

/// What was found for a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explained {
    /// The paths, the likeliest first.
    pub paths: Vec<WrittenPath>,
    /// Documents, the best first, each once with the path that gives it its greatest score.
    pub hits: Vec<PathHit>,
    /// Documents that were reached by more than one path.
    pub reached_again: usize,
    /// What it took.
    pub cost: PathCost,
}

/// A retriever that answers with reasons.
pub struct PathRetriever {
    retriever: GenerativeRetriever,
    language: PathLanguage,
    paths: TokenTrie,
}

/// A path of a query as tokens, without those that begin and end it.
type PathTokens = (Vec<u32>, f64);

impl PathRetriever {
    /// Opens the folder of a retriever with its hierarchy; with `shortened` docids end where they are unique.
    ///
    /// # Errors
    /// As [`GenerativeRetriever::open`]; the hierarchy cannot be read, is damaged, or belongs to another retriever.
    pub fn open(folder: &Path, shortened: bool) -> Result<PathRetriever, GenirError> {
        let retriever = GenerativeRetriever::open(folder, shortened)?;
        retriever.files().check_plain("category paths before docids")?;
        let path = folder.join(HIERARCHY_FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| GenirError::file(&path, source))?;
        let wrong = |line, problem: String| GenirError::Form { path: path.clone(), line, problem };
        let read: HierarchyFile = serde_json::from_str(&text)
            .map_err(|error| wrong(Some(error.line()), format!("{error}; make the retriever anew")))?;
        let catalogue = &retriever.files().catalogue;
        if read.catalogue_sha256 != catalogue.sha256() {
            let problem =
                "its paths are those of a retriever of other docids; take the one that was saved with it";
            return Err(wrong(None, problem.into()));
        }
        let paths = read.paths.into_iter().map(CategoryPath::new).collect::<Result<Vec<_>, _>>()?;
        let hierarchy = CategoryHierarchy::of_paths(paths, usize::MAX)?;
        let language = PathLanguage::new(&retriever.files().language, catalogue.tokens(), &hierarchy)?;
        let paths = language.trie()?;
        Ok(PathRetriever { retriever, language, paths })
    }

    /// The retriever of docids below.
    pub fn retriever(&self) -> &GenerativeRetriever {
        &self.retriever
    }

    /// The paths.
    pub fn language(&self) -> &PathLanguage {
        &self.language
    }

    /// Documents with their paths for each query: paths by beams, docids by beams below each path, and of each document its best path.
    /// The keys and values of a query are computed once for all of its paths, and those of a path once for all of its docids.
    ///
    /// # Errors
    /// A search that cannot be, or what the engine says.
    pub fn search(&self, queries: &[&str], decoding: &PathDecoding) -> Result<Vec<Explained>, GenirError> {
        let language = &self.retriever.files().language;
        let prompts: Vec<Vec<u32>> = queries.iter().map(|query| language.prompt(query)).collect();
        let mut session = self.retriever.engine().session();
        let root = session.root();
        let branch = |tokens| Branch { parent: root, tokens, logit_ids: LogitIds::None, normalizer: false };
        let branches: Vec<Branch<'_>> = prompts.iter().map(|prompt| branch(&prompt[..])).collect();
        let read = session.extend(&branches, &[])?;
        let prefixes: Vec<PrefixId> = read.iter().map(|one| one.prefix).collect();
        let found = self.search_after(&mut session, &prefixes, decoding);
        session.release(&prefixes);
        found
    }

    /// The same after queries that the model has read.
    fn search_after<M: DecodeModel>(
        &self,
        model: &mut M,
        queries: &[PrefixId],
        decoding: &PathDecoding,
    ) -> Result<Vec<Explained>, GenirError> {
        let begun = Instant::now();
        let written = self.write_paths(model, queries, decoding)?;
        let share = |begun: Instant| begun.elapsed().as_secs_f64() / queries.len().max(1) as f64;
        let path_seconds = share(begun);
        let begun = Instant::now();
        let paths: Vec<&[PathTokens]> = written.iter().map(|(paths, _)| &paths[..]).collect();
        let docids = self.write_docids(model, queries, &paths, decoding)?;
        let docid_seconds = share(begun);
        let mut docids = docids.into_iter();
        let explained = written.iter().map(|(paths, path_branches)| {
            let below: Vec<Decoded<usize>> = docids.by_ref().take(paths.len()).collect();
            let docid_branches = below.iter().map(|found| found.branches).sum();
            let cost =
                PathCost { path_branches: *path_branches, docid_branches, path_seconds, docid_seconds };
            self.explained(paths, &below, decoding, cost)
        });
        Ok(explained.collect())
    }

    /// The paths of each query, the likeliest first, and how many sequences went through the model.
    fn write_paths<M: DecodeModel>(
        &self,
        model: &mut M,
        queries: &[PrefixId],
        decoding: &PathDecoding,
    ) -> Result<Vec<(Vec<PathTokens>, usize)>, GenirError> {
        let begin = [self.language.path_token()];
        let starts: Vec<(PrefixId, &[u32])> = queries.iter().map(|query| (*query, &begin[..])).collect();
        let ended = [self.language.docid_token(), plackett_train::trainer::END_TOKEN];
        // Beams that have written the same path, one with its end and one without, are one path.
        let paths = |found: Vec<(Vec<u32>, f64)>| {
            let mut paths: Vec<PathTokens> = Vec::new();
            for (mut tokens, log_prob) in found {
                tokens
                    .truncate(tokens.iter().position(|token| ended.contains(token)).unwrap_or(tokens.len()));
                if !paths.iter().any(|(other, _)| *other == tokens) {
                    paths.push((tokens, log_prob));
                }
            }
            paths
        };
        let written = if decoding.constrained {
            let constraint = TrieConstraint::new(&self.paths, None).map_err(LmError::from)?;
            sequences(beams(model, &starts, &constraint, &by_sum(decoding.paths, Normalize::Allowed))?)
        } else {
            let constraint = FreePath::new(model.vocabulary(), &ended, self.language.longest());
            sequences(beams(model, &starts, &constraint, &by_sum(decoding.paths, Normalize::Vocabulary))?)
        };
        Ok(written.into_iter().map(|(found, branches)| (paths(found), branches)).collect())
    }

    /// Docids below each path of each query, one after the other.
    fn write_docids<M: DecodeModel>(
        &self,
        model: &mut M,
        queries: &[PrefixId],
        paths: &[&[PathTokens]],
        decoding: &PathDecoding,
    ) -> Result<Vec<Decoded<usize>>, GenirError> {
        let prefixes: Vec<(PrefixId, Vec<u32>)> = queries
            .iter()
            .zip(paths)
            .flat_map(|(query, paths)| paths.iter().map(|(tokens, _)| (*query, self.language.prefix(tokens))))
            .collect();
        let starts: Vec<(PrefixId, &[u32])> =
            prefixes.iter().map(|(query, prefix)| (*query, &prefix[..])).collect();
        let constraint = TrieConstraint::new(self.retriever.docids().trie(), None).map_err(LmError::from)?;
        let options = match decoding.score {
            PathScore::Docid | PathScore::Joint => by_sum(decoding.width, Normalize::Allowed),
            PathScore::Mean => by_token(decoding.width),
        };
        beams(model, &starts, &constraint, &options)
    }

    /// What was found for one query, from the docids below each of its paths.
    fn explained(
        &self,
        paths: &[PathTokens],
        below: &[Decoded<usize>],
        decoding: &PathDecoding,
        cost: PathCost,
    ) -> Explained {
        let hits = below.iter().enumerate().flat_map(|(path, found)| {
            let of_path = match decoding.score {
                PathScore::Docid | PathScore::Mean => 0.0,
                PathScore::Joint => paths[path].1,
            };
            found.hypotheses.iter().flat_map(move |one| {
                let documents = self.retriever.docids().documents(one.output).iter();
                documents.map(move |document| PathHit {
                    document: *document,
                    path,
                    score: of_path + one.score,
                })
            })
        });
        let (hits, reached_again) = best_of_paths(hits, decoding.width);
        let paths = paths.iter().map(|(tokens, log_prob)| self.language.read(tokens, *log_prob)).collect();
        Explained { paths, hits, reached_again, cost }
    }
}

/// Beam search after each start, under one constraint.
fn beams<M: DecodeModel, C: Constraint>(
    model: &mut M,
    starts: &[(PrefixId, &[u32])],
    constraint: &C,
    options: &DecodeOptions,
) -> Result<Vec<Decoded<C::Output>>, GenirError> {
    let requests: Vec<DecodeRequest<'_, C>> = starts
        .iter()
        .zip(0..)
        .map(|((prefix, prompt), index)| DecodeRequest { prefix: *prefix, prompt, constraint, index })
        .collect();
    let found = decode(model, &requests, options)?.into_iter();
    found.map(|found| found.map_err(|error| LmError::from(error).into())).collect()
}

/// Sequences of tokens with their log-probabilities.
type Written = Vec<(Vec<u32>, f64)>;

/// The tokens of what was written with their log-probabilities, and the sequences that went through the model.
fn sequences<O>(found: Vec<Decoded<O>>) -> Vec<(Written, usize)> {
    let one = |found: Decoded<O>| {
        let written = found.hypotheses.into_iter().map(|one| (one.tokens, one.log_prob));
        (written.collect(), found.branches)
    };
    found.into_iter().map(one).collect()
}
