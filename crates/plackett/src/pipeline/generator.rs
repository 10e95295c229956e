//! `generate`: a first stage that writes docids.

use super::collection::wordless;
use super::run::BoxError;
use plackett_core::{Query, Ranking, Trace, Truncation};
use plackett_genir::reverse_annealing::ReverseAnnealing;
use plackett_genir::title_lists::{PageList, PageOrigin, TITLE_SEPARATOR, TitleSearch};
use plackett_genir::{
    Decoding, Explained, GenerativeRetriever, GenirError, PathDecoding, PathRetriever, RETRIEVER_FILE,
    RetrieverFiles, writes_paths,
};
use plackett_ids::Catalogue;
use plackett_lm::sha256::Sha256;
use plackett_search::Index;
use plackett_train::trainer::words_of;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Queries whose beams go through the model together.
const TOGETHER: usize = 8;

/// In what form docids are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocidForm {
    /// Each alone.
    Single,
    /// Below so many category paths of a query (HyPE).
    BelowPaths(usize),
    /// In lists of so many at most, none twice (CorpusBrain).
    Lists(usize),
}

/// What writes docids.
enum Writer {
    Docids(Box<GenerativeRetriever>),
    /// Lists of so many docids at most.
    Lists(Box<GenerativeRetriever>, usize),
    /// Category paths first, so many of a query.
    WithPaths(Box<PathRetriever>, usize),
}

/// Something to be told of a document beside its docid: the name of the fact, and what it says.
type DocumentFact = (&'static str, String);

/// What was written for a query.
struct Written {
    /// Documents, the best first, as places in the catalogue, with their scores and the path or the list that they come from, where there is
    /// one.
    documents: Vec<(usize, f64, Option<DocumentFact>)>,
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
    /// searched with beams, in a form that the retriever has learned.
    ///
    /// # Errors
    /// The folder holds no retriever, the retriever knows a document that the index does not have, or it has not learned that form.
    pub fn open(
        folder: &Path,
        index: &Index,
        (beams, draws, form): (Option<usize>, Option<u64>, DocidForm),
    ) -> Result<Generator, BoxError> {
        let writer = Writer::open(folder, form)?;
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
        let (written, wanted) = (found.documents.len(), depth.min(catalogue.len()));
        if matches!(self.writer, Writer::Lists(..)) && written < wanted {
            let remark = format!(
                "the lists that generate wrote have {written} of {wanted} documents; more `beams` write more"
            );
            facts.push((format!("{}generate:lists", super::REMARK), remark));
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
        for (at, score, origin) in found.documents.into_iter().take(depth) {
            let Some(item) = catalogue.items().get(at) else { continue };
            let docid = docid_text(catalogue, at);
            facts.push((format!("generate:docid:{}", item.id), format!("{docid} ({score:.4})")));
            facts.extend(origin.map(|(name, text)| (format!("generate:{name}:{}", item.id), text)));
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
    fn open(folder: &Path, form: DocidForm) -> Result<Writer, BoxError> {
        match (writes_paths(folder), form) {
            (true, DocidForm::Lists(_)) => Err(format!(
                "{} writes category paths before docids; say `paths` in place of `titles`",
                folder.display()
            )
            .into()),
            (true, DocidForm::Single) => Err(format!(
                "{} writes category paths before docids; say how many of a query, as in generate(model=DIR, paths=3)",
                folder.display()
            )
            .into()),
            (false, DocidForm::BelowPaths(_)) if folder.join(RETRIEVER_FILE).is_file() => {
                Err(format!("{} writes no category paths; leave `paths` out", folder.display()).into())
            }
            (_, DocidForm::BelowPaths(paths)) => {
                Ok(Writer::WithPaths(Box::new(PathRetriever::open(folder, true)?), paths))
            }
            (false, DocidForm::Lists(most)) => {
                let retriever = GenerativeRetriever::open(folder, false)?;
                retriever.check_titles(most).map_err(|error| format!("{}: {error}", folder.display()))?;
                Ok(Writer::Lists(Box::new(retriever), most))
            }
            (false, DocidForm::Single) => {
                Ok(Writer::Docids(Box::new(GenerativeRetriever::open(folder, true)?)))
            }
        }
    }

    fn files(&self) -> &RetrieverFiles {
        match self {
            Writer::Docids(retriever) | Writer::Lists(retriever, _) => retriever.files(),
            Writer::WithPaths(retriever, _) => retriever.retriever().files(),
        }
    }

    fn form(&self) -> DocidForm {
        match self {
            Writer::Docids(_) => DocidForm::Single,
            Writer::Lists(_, most) => DocidForm::Lists(*most),
            Writer::WithPaths(_, paths) => DocidForm::BelowPaths(*paths),
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
            Writer::Lists(retriever, most) => {
                let search = TitleSearch { width, most: *most, distinct: true };
                let catalogue = &retriever.files().catalogue;
                let docid = |rank: &usize| {
                    let page = retriever.docids().documents(*rank).first();
                    page.map_or_else(String::new, |page| docid_text(catalogue, *page))
                };
                let found = retriever.search_titles(texts, &search)?;
                Ok(found.iter().map(|found| listed(found, &docid)).collect())
            }
            Writer::WithPaths(retriever, paths) => {
                let decoding = PathDecoding { paths: *paths, width, ..PathDecoding::default() };
                let written = |found: Explained| {
                    let reason = |path: usize| found.paths.get(path).map(|path| ("path", path.explanation()));
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

/// The codes of an item, with spaces between them.
fn docid_text(catalogue: &Catalogue, at: usize) -> String {
    let codes = catalogue.items().get(at).map_or(&[] as &[u32], |item| &item.codes);
    let codes: Vec<&str> =
        codes.iter().filter_map(|code| catalogue.tokens().get(*code as usize)).map(String::as_str).collect();
    codes.join(" ")
}

/// Documents of lists in their order: pages of one list have its score in common, so a page is scored by the rank of its docid, as draws are.
fn listed(found: &PageList, docid: &dyn Fn(&usize) -> String) -> Written {
    let between = format!(" {TITLE_SEPARATOR} ");
    let list_of = |at: usize| {
        let (docids, score) = found.lists.get(at)?;
        let docids: Vec<String> = docids.iter().map(docid).collect();
        Some(("list", format!("{} ({score:.4})", docids.join(&between))))
    };
    let document = |((page, _), origin): (&(usize, f64), &PageOrigin)| {
        (*page, 1.0 / (origin.before + 1) as f64, list_of(origin.list))
    };
    Written {
        documents: found.pages.iter().zip(&found.origins).map(document).collect(),
        sequences: found.branches,
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
        let (folder, form) = (self.folder.display(), self.writer.form());
        write!(f, "Generator({folder}, beams {:?}, draws {:?}, {form:?})", self.beams, self.draws)
    }
}

/// The same folder asked in the same way.
impl PartialEq for Generator {
    fn eq(&self, other: &Generator) -> bool {
        let asked = |one: &Generator| (one.beams, one.draws, one.writer.form());
        self.folder == other.folder && asked(self) == asked(other)
    }
}
