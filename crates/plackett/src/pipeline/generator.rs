//! `generate`: a first stage that writes docids.

use super::collection::wordless;
use super::run::BoxError;
use plackett_core::{Query, Ranking, Trace, Truncation};
use plackett_genir::reverse_annealing::ReverseAnnealing;
use plackett_genir::{Decoding, GenerativeRetriever, Retrieved};
use plackett_lm::sha256::Sha256;
use plackett_search::Index;
use plackett_train::trainer::words_of;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Queries whose beams go through the model together.
const TOGETHER: usize = 8;

/// A retriever that writes docids, opened, and checked against the index whose documents it names.
pub struct Generator {
    folder: PathBuf,
    retriever: GenerativeRetriever,
    /// Beams or draws of a query; `None` for as many as documents are wanted.
    beams: Option<usize>,
    /// From which draws follow, where docids are drawn and not searched.
    draws: Option<u64>,
    /// Documents of the index that have no docid.
    lacking: usize,
}

impl Generator {
    /// Opens the folder of a retriever for an index. Docids are drawn from a seed at a rising temperature (ZeroGR) where `draws` has one, else
    /// searched with beams.
    ///
    /// # Errors
    /// The folder holds no retriever, or the retriever knows a document that the index does not have.
    pub fn open(
        folder: &Path,
        index: &Index,
        beams: Option<usize>,
        draws: Option<u64>,
    ) -> Result<Generator, BoxError> {
        let retriever = GenerativeRetriever::open(folder, true)?;
        let own: std::collections::HashSet<&str> = index.ids().collect();
        let items = retriever.files().catalogue.items();
        let missing: Vec<&str> =
            items.iter().map(|item| item.id.as_str()).filter(|id| !own.contains(id)).collect();
        if let Some(first) = missing.first() {
            return Err(format!(
                "{} of {} documents that {} writes are not in the index, such as `{first}`; learn the docids of this index anew \
                 (`plackett ids learn`)",
                missing.len(),
                items.len(),
                folder.display()
            )
            .into());
        }
        let lacking = own.len() - items.len();
        Ok(Generator { folder: folder.into(), retriever, beams, draws, lacking })
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
        let decoding = match self.draws {
            None => Decoding::Beams { width },
            Some(seed) => {
                let annealing = ReverseAnnealing { draws: width, ..ReverseAnnealing::default() };
                Decoding::ReverseAnnealing { annealing, seed }
            }
        };
        let texts: Vec<&str> = queries.iter().map(|query| query.text.as_str()).collect();
        let found = self.retriever.search(&texts, &decoding, first)?;
        let each = start.elapsed().as_secs_f64() / queries.len().max(1) as f64;
        Ok(queries.iter().zip(found).map(|(query, found)| self.ranking(query, found, depth, each)).collect())
    }

    fn ranking(&self, query: &Query, found: Retrieved, depth: usize, seconds: f64) -> Ranking {
        let catalogue = &self.retriever.files().catalogue;
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
                "{} {has} no docid and cannot be found by generate; learn them with `plackett ids learn`",
                self.lacking
            );
            facts.push((format!("{}generate", super::REMARK), remark));
        }
        facts.push(("generate:sequences".into(), found.branches.to_string()));
        let (read, words) = (self.retriever.files().language.most_words(), words_of(&query.text).count());
        let cut = (words > read).then(|| Truncation {
            id: query.id.clone(),
            tokens: words,
            kept: read,
            estimated: false,
            of_query: true,
        });
        let mut documents = Vec::new();
        for (at, score) in found.documents.iter().copied().take(depth) {
            let Some(item) = catalogue.items().get(at) else { continue };
            let codes: Vec<&str> = item
                .codes
                .iter()
                .filter_map(|code| catalogue.tokens().get(*code as usize))
                .map(String::as_str)
                .collect();
            facts.push((format!("generate:docid:{}", item.id), format!("{} ({score:.4})", codes.join(" "))));
            documents.push((item.id.clone(), score));
        }
        Ranking::from_scores(
            query.id.clone(),
            documents,
            Trace {
                passes: found.branches as u64,
                seconds,
                facts,
                truncated: cut.into_iter().collect(),
                ..Trace::default()
            },
        )
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
        write!(f, "Generator({}, beams {:?}, draws {:?})", self.folder.display(), self.beams, self.draws)
    }
}

/// The same folder asked in the same way.
impl PartialEq for Generator {
    fn eq(&self, other: &Generator) -> bool {
        (&self.folder, self.beams, self.draws) == (&other.folder, other.beams, other.draws)
    }
}
