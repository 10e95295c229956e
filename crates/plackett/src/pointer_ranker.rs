//! RichRAG's list ranker over the vectors of a model: questions with their sides and candidates as vectors, silver lists to learn from, and
//! a trained ranker that writes the list of a question (Wang et al., RichRAG, 2024).

use crate::facets::side_text;
use crate::pipeline::{ModelError, Models};
use plackett_core::diversity::DiversityError;
use plackett_core::{Document, Trace, Truncation};
use plackett_lm::LmError;
use plackett_lm::store::{BUNDLED, fingerprint};
use plackett_rank::ask::{AskError, Aspect, PointedList, Vectors, coverage_of, unit_vectors};
use plackett_rank::model::{Role, TextEmbedder};
use plackett_train::list_ranker::{ListQuestion, ListRanker, SilverExample};
use plackett_train::{Compute, Parameters};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Numbers that are known of a candidate beside its vector: the logarithm of its length.
const EXTRA: usize = 1;
/// The logarithm of the usual number of words, which becomes 0.
const USUAL: f32 = 4.7;

/// What is known of a candidate beside its vector, [`EXTRA`] number.
fn extra_of(document: &Document) -> f32 {
    (document.text.split_whitespace().count() as f32 + 1.0).ln() - USUAL
}

/// A question as a list ranker reads it, with its vector, those of its sides and those of its candidates, each of length 1 and one after
/// another.
pub fn list_question(
    name: &str,
    (question, sides, candidates): (Vec<f32>, Vec<f32>, Vec<f32>),
    documents: &[&Document],
) -> ListQuestion {
    let extra = documents.iter().map(|document| extra_of(document)).collect();
    ListQuestion { name: name.to_string(), question, sides, candidates, extra }
}

/// What a list ranker learns from: how far each candidate covers each side, and the greedy list of `k` that knows the answers.
///
/// # Errors
/// As [`coverage_of`].
pub fn silver_example(
    question: ListQuestion,
    aspects: &[Aspect],
    documents: &[&Document],
    k: usize,
) -> Result<SilverExample, DiversityError> {
    let coverage = coverage_of(aspects, documents)?;
    let silver = coverage.silver(k).items;
    Ok(SilverExample { question, coverage, silver })
}

/// Reads a question, its sides and its candidates with an embedding model; the trace says what it cost and what was cut.
///
/// # Errors
/// What the model says.
pub fn read_question(
    model: &dyn TextEmbedder,
    (name, question): (&str, &str),
    aspects: &[Aspect],
    documents: &[&Document],
) -> Result<(ListQuestion, Trace), AskError> {
    let start = Instant::now();
    let Vectors { question: asked, documents: candidates, mut trace } =
        Vectors::read(model, question, documents)?;
    let texts: Vec<String> = aspects.iter().map(|aspect| side_text(question, aspect)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut sides = Vec::with_capacity(texts.len() * asked.len());
    // Some models refuse to be called with nothing.
    let read = if texts.is_empty() { Vec::new() } else { unit_vectors(model, Role::Query, &texts)? };
    for (n, side) in read.into_iter().enumerate() {
        let length = side.length;
        trace.passes += 1;
        trace.prompt_tokens += length.kept as u64;
        if length.kept < length.tokens {
            let (tokens, kept, estimated) = (length.tokens, length.kept, length.estimated);
            let id = format!("aspect {}", n + 1);
            trace.truncated.push(Truncation { id, tokens, kept, estimated, of_query: true });
        }
        sides.extend(side.values);
    }
    trace.seconds = start.elapsed().as_secs_f64();
    Ok((list_question(name, (asked, sides, candidates.concat()), documents), trace))
}

/// A trained list ranker with the model of its vectors.
pub struct PointerRanker {
    ranker: ListRanker,
    parameters: Parameters,
    compute: Arc<Compute>,
    embedder: Arc<dyn TextEmbedder>,
    name: String,
    /// SHA-256 of its own files.
    fingerprint: String,
    remark: Option<String>,
}

impl PointerRanker {
    /// Opens the ranker of a folder.
    ///
    /// # Errors
    /// A file that cannot be read; the model of its vectors is not here, or is another one by now.
    pub fn open(folder: &Path, models: &Models) -> Result<PointerRanker, ModelError> {
        let name = folder.display().to_string();
        let mut parameters = Parameters::default();
        let ranker =
            ListRanker::open(folder, &mut parameters).map_err(|error| failed(&name, error.to_string()))?;
        let origin = ListRanker::origin(folder).map_err(|error| failed(&name, error.to_string()))?;
        let mut remark = None;
        if let Some(origin) = &origin {
            if models.fingerprint(&origin.name)?.as_ref() != Some(&origin.fingerprint) {
                let (made, now) = ("it has learned from the vectors of", "whose files are others now");
                return Err(failed(&name, format!("{made} {}, {now}; train it anew", origin.name)).into());
            }
        } else {
            remark = Some(format!(
                "{name} does not say whose vectors it reads, as no folder of a recipe's stage does: those of {BUNDLED} are taken"
            ));
        }
        let model = models.open(Some(origin.as_ref().map_or(BUNDLED, |origin| origin.name.as_str())))?;
        let (found, wanted) = ((model.info().dim, EXTRA), (ranker.config.dimension, ranker.config.extra));
        if found != wanted {
            let reason = format!(
                "it reads vectors of {} numbers with {} beside them, and {} gives {} with {EXTRA}; train one with it",
                wanted.0,
                wanted.1,
                model.info().name,
                found.0
            );
            return Err(failed(&name, reason).into());
        }
        let embedder = model.abilities().text_embedder().map_err(|reason| failed(&name, reason))?;
        let compute = Compute::new(rayon::current_num_threads());
        let fingerprint = fingerprint(folder)?;
        Ok(PointerRanker { ranker, parameters, compute, embedder, name, fingerprint, remark })
    }

    /// What has to be said of the folder.
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// The list of `most` candidates that covers the sides of a question, or of all there are; the question is its own and only side
    /// where it has none.
    ///
    /// # Errors
    /// What the model of the vectors says.
    pub fn list(
        &self,
        question: &str,
        aspects: &[Aspect],
        documents: &[&Document],
        most: usize,
    ) -> Result<PointedList, AskError> {
        let start = Instant::now();
        if documents.is_empty() {
            return Ok(PointedList::default());
        }
        let (read, mut trace) =
            read_question(self.embedder.as_ref(), ("question", question), aspects, documents)?;
        let positions = self
            .ranker
            .best(&self.parameters, &self.compute, &read, most)
            .map_err(|error| failed(&self.name, error.to_string()))?;
        trace.facts.push(("ranker model".into(), self.name.clone()));
        trace.facts.push(("ranker fingerprint".into(), self.fingerprint.clone()));
        trace.seconds = start.elapsed().as_secs_f64();
        Ok(PointedList { positions, trace })
    }
}

fn failed(model: &str, reason: String) -> LmError {
    LmError::Unsupported { model: model.to_string(), wanted: "point at passages".into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silver_lists_cover_side_after_side() {
        let documents = [
            Document::new("a", "red stone"),
            Document::new("b", "red stone"),
            Document::new("c", "blue sea and more"),
        ];
        let documents: Vec<&Document> = documents.iter().collect();
        let aspects = ["red stone", "blue sea"].map(Aspect::new);
        let vectors = (vec![1.0, 0.0], Vec::new(), vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        let question = list_question("q", vectors, &documents);
        // ln 3 and ln 5 less the usual one.
        let lengths = [1.098_612_3 - USUAL, 1.098_612_3 - USUAL, 1.609_438 - USUAL];
        assert!(question.extra.iter().zip(lengths).all(|(found, wanted)| (found - wanted).abs() < 1e-5));
        assert_eq!(question.count(), 3);
        // All cover one side whole: the first of equal ones, then the other side; then a new round begins.
        let example = silver_example(question, &aspects, &documents, 3).unwrap();
        assert_eq!(example.silver, [0, 2, 1]);
    }
}
