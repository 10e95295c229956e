//! `generate`: a first stage that writes docids.

use super::collection::wordless;
use super::run::BoxError;
use plackett_core::{Query, Ranking, Trace, Truncation};
use plackett_genir::reverse_annealing::ReverseAnnealing;
use plackett_genir::{
    Decoding, Explained, GenerativeRetriever, GenirError, PathDecoding, PathRetriever, RETRIEVER_FILE,
    RetrieverFiles, writes_paths,
};
use plackett_lm::sha256::Sha256;
use plackett_search::Index;
use plackett_train::trainer::words_of;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Queries whose beams go through the model together.
const TOGETHER: usize = 8;

/// What writes docids.
enum Writer {
    Docids(Box<GenerativeRetriever>),
    /// Category paths first, so many of a query.
    WithPaths(Box<PathRetriever>, usize),
}

/// What was written for a query.
struct Written {
    /// Documents, the best first, as places in the catalogue, with their scores and, where paths were written, the reason.
    documents: Vec<(usize, f64, Option<String>)>,
    /// Sequences that went through the model.
    sequences: usize,
}

/// A retriever that writes docids, opened, and checked against the index whose documents it names.
pub struct Generator {
    folder: PathBuf,
    writer: Writer,
    /// Beams or draws of a query; `None` for as many as documents are wanted.
    beams: Option<usize>,
    /// From which draws follow, where docids are drawn and not searched.
    draws: Option<u64>,
    /// Documents of the index that have no docid.
    lacking: usize,
}

impl Generator {
    /// Opens the folder of a retriever for an index. Docids are drawn from a seed at a rising temperature (ZeroGR) where `draws` has one, else
    /// searched with beams; a retriever that has learned to write category paths before docids (HyPE) is asked for so many `paths` of a query.
    ///
    /// # Errors
    /// The folder holds no retriever, the retriever knows a document that the index does not have, or it writes paths and no number of them is
    /// given, or the other way round.
    pub fn open(
        folder: &Path,
        index: &Index,
        (beams, draws, paths): (Option<usize>, Option<u64>, Option<usize>),
    ) -> Result<Generator, BoxError> {
        let writer = Writer::open(folder, paths)?;
        let own: std::collections::HashSet<&str> = index.ids().collect();
        let items = writer.files().catalogue.items();
        let missing: Vec<&str> =
            items.iter().map(|item| item.id.as_str()).filter(|id| !own.contains(id)).collect();
        if let Some(first) = missing.first() {
            return Err(format!(
                "{} of {} documents that {} writes are not in the index, such as `{first}`; learn the docids of this index anew \
                 (`plackett ids learn`), or take them out of docids of one token (`plackett ids update`)",
                missing.len(),
                items.len(),
                folder.display()
            )
            .into());
        }
        let lacking = own.len() - items.len();
        Ok(Generator { folder: folder.into(), writer, beams, draws, lacking })
    }

    /// A ranking for each query, of `depth` documents at most.
    pub fn rank(&self, queries: &[Query], depth: usize) -> Vec<Result<Ranking, BoxError>> {
        let mut answers = Vec::with_capacity(queries.len());
        // Draws follow from the words of a query, not from its place, so each is asked alone.
        let together = if self.draws.is_some() { 1 } else { TOGETHER };
        let one = |query: &Query| {
            let answer = self.ask(std::slice::from_ref(query), depth, draws_of(&query.text))?.pop();
            answer.ok_or_else(|| "no answer came back".into())
        };
        for queries in queries.chunks(together) {
            match queries {
                [query] => answers.push(one(query)),
                _ => match self.ask(queries, depth, 0) {
                    Ok(rankings) => answers.extend(rankings.into_iter().map(Ok)),
                    // One of them may have failed alone.
                    Err(_) => answers.extend(queries.iter().map(one)),
                },
            }
        }
        answers
    }

    fn ask(&self, queries: &[Query], depth: usize, first: u64) -> Result<Vec<Ranking>, BoxError> {
        let start = Instant::now();
        let width = self.beams.unwrap_or(depth).max(1);
        let texts: Vec<&str> = queries.iter().map(|query| query.text.as_str()).collect();
        let found = self.writer.write(&texts, (width, self.draws), first)?;
        let each = start.elapsed().as_secs_f64() / queries.len().max(1) as f64;
        Ok(queries.iter().zip(found).map(|(query, found)| self.ranking(query, found, depth, each)).collect())
    }

    fn ranking(&self, query: &Query, found: Written, depth: usize, seconds: f64) -> Ranking {
        let catalogue = &self.writer.files().catalogue;
        let mut facts = vec![("generate:model".to_string(), self.folder.display().to_string())];
        if let Some(why) = wordless(&query.text) {
            let remark = format!("generate finds nothing: the query {why}");
            facts.push((format!("{}generate", super::REMARK), remark));
            return Ranking::from_scores(query.id.clone(), [], Trace { facts, ..Trace::default() });
        }
        if self.lacking > 0 {
            let has =
                if self.lacking == 1 { "document of the index has" } else { "documents of the index have" };
            let remark = format!(
                "{} {has} no docid and cannot be found by generate; `plackett ids update` adds them to docids of one token, and `plackett ids \
                 learn` learns all anew",
                self.lacking
            );
            facts.push((format!("{}generate", super::REMARK), remark));
        }
        facts.push(("generate:sequences".into(), found.sequences.to_string()));
        let (read, words) = (self.writer.files().language.most_words(), words_of(&query.text).count());
        let cut = (words > read).then(|| Truncation {
            id: query.id.clone(),
            tokens: words,
            kept: read,
            estimated: false,
            of_query: true,
        });
        let mut documents = Vec::new();
        for (at, score, reason) in found.documents.into_iter().take(depth) {
            let Some(item) = catalogue.items().get(at) else { continue };
            let codes: Vec<&str> = item
                .codes
                .iter()
                .filter_map(|code| catalogue.tokens().get(*code as usize))
                .map(String::as_str)
                .collect();
            facts.push((format!("generate:docid:{}", item.id), format!("{} ({score:.4})", codes.join(" "))));
            facts.extend(reason.map(|reason| (format!("generate:path:{}", item.id), reason)));
            documents.push((item.id.clone(), score));
        }
        Ranking::from_scores(
            query.id.clone(),
            documents,
            Trace {
                passes: found.sequences as u64,
                seconds,
                facts,
                truncated: cut.into_iter().collect(),
                ..Trace::default()
            },
        )
    }
}

impl Writer {
    fn open(folder: &Path, paths: Option<usize>) -> Result<Writer, BoxError> {
        match (writes_paths(folder), paths) {
            (true, None) => Err(format!(
                "{} writes category paths before docids; say how many of a query, as in generate(model=DIR, paths=3)",
                folder.display()
            )
            .into()),
            (false, Some(_)) if folder.join(RETRIEVER_FILE).is_file() => {
                Err(format!("{} writes no category paths; leave `paths` out", folder.display()).into())
            }
            (_, Some(paths)) => Ok(Writer::WithPaths(Box::new(PathRetriever::open(folder, true)?), paths)),
            (false, None) => Ok(Writer::Docids(Box::new(GenerativeRetriever::open(folder, true)?))),
        }
    }

    fn files(&self) -> &RetrieverFiles {
        match self {
            Writer::Docids(retriever) => retriever.files(),
            Writer::WithPaths(retriever, _) => retriever.retriever().files(),
        }
    }

    fn paths(&self) -> Option<usize> {
        match self {
            Writer::Docids(_) => None,
            Writer::WithPaths(_, paths) => Some(*paths),
        }
    }

    /// Documents for each text by beams of a width, or so many draws from a seed; `first` is what else draws follow from.
    fn write(
        &self,
        texts: &[&str],
        (width, draws): (usize, Option<u64>),
        first: u64,
    ) -> Result<Vec<Written>, GenirError> {
        match self {
            Writer::Docids(retriever) => {
                let annealing = ReverseAnnealing { draws: width, ..ReverseAnnealing::default() };
                let decoding = match draws {
                    None => Decoding::Beams { width },
                    Some(seed) => Decoding::ReverseAnnealing { annealing, seed },
                };
                let found = retriever.search(texts, &decoding, first)?.into_iter();
                let written = found.map(|found| Written {
                    documents: found.documents.into_iter().map(|(at, score)| (at, score, None)).collect(),
                    sequences: found.branches,
                });
                Ok(written.collect())
            }
            Writer::WithPaths(retriever, paths) => {
                let decoding = PathDecoding { paths: *paths, width, ..PathDecoding::default() };
                let written = |found: Explained| {
                    let reason = |path: usize| found.paths.get(path).map(|path| path.explanation());
                    let documents = found.hits.iter().map(|hit| (hit.document, hit.score, reason(hit.path)));
                    Written {
                        documents: documents.collect(),
                        sequences: found.cost.path_branches + found.cost.docid_branches,
                    }
                };
                Ok(retriever.search(texts, &decoding)?.into_iter().map(written).collect())
            }
        }
    }
}

/// What draws for a query follow from besides the seed.
fn draws_of(text: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(text);
    hash.seed()
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (folder, paths) = (self.folder.display(), self.writer.paths());
        write!(f, "Generator({folder}, beams {:?}, draws {:?}, paths {paths:?})", self.beams, self.draws)
    }
}

/// The same folder asked in the same way.
impl PartialEq for Generator {
    fn eq(&self, other: &Generator) -> bool {
        let asked = |one: &Generator| (one.beams, one.draws, one.writer.paths());
        self.folder == other.folder && asked(self) == asked(other)
    }
}
