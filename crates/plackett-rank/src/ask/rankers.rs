//! Orders that cover all sides of a question: the registry of rankers.

use super::coverage::coverage_of;
use super::{AskError, Aspect, Pool};
use crate::model::{Role, TextEmbedder, TextVector};
use plackett_core::diversity::{mmr, round_robin};
use plackett_core::{Candidate, Document, Query, RankRequest, Ranking, TieReport, Trace, Truncation};
use plackett_lm::LmError;
use std::collections::HashMap;
use std::time::Instant;

/// What asks a model for a list: any reranker, given the candidates in the order of the pool.
pub type ListRanker<'a> = &'a dyn Fn(&RankRequest) -> Result<Ranking, AskError>;

/// What a ranker orders.
pub struct Given<'a> {
    /// The question.
    pub question: &'a str,
    /// Its sides; without any, the question is its own and only one.
    pub aspects: &'a [Aspect],
    /// The candidates.
    pub pool: &'a Pool,
    /// Their texts, in the order of the pool.
    pub documents: &'a [&'a Document],
    /// How many are wanted.
    pub k: usize,
    /// How much relevance counts against novelty in [MMR](plackett_core::diversity::mmr), from 0 to 1.
    pub lambda: f64,
    /// Vectors, for rankers that compare texts.
    pub vectors: Option<&'a Vectors>,
    /// The model's list ranker.
    pub list: Option<ListRanker<'a>>,
    /// What a trained ranker has pointed at.
    pub pointed: Option<&'a PointedList>,
}

/// The list of a ranker that was trained to point at passages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointedList {
    /// Positions among the candidates, best first, each once.
    pub positions: Vec<usize>,
    /// What it cost.
    pub trace: Trace,
}

/// An order of the best candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// Positions in the pool, best first; as many as are wanted, or all there are.
    pub positions: Vec<usize>,
    /// A score for each, falling with the rank where the ranker has none of its own (the trace says so).
    pub scores: Vec<f64>,
    /// What it cost, and what has to be known.
    pub trace: Trace,
}

/// A ranker: everything that is said of it, and how it orders.
pub struct CoverageRanker {
    /// The name on the command line and in recipes.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
    /// Whether it compares vectors of texts.
    pub compares_texts: bool,
    /// Whether it asks a model that reads prompts.
    pub asks_model: bool,
    /// Whether it is a model that was trained for this.
    pub is_trained: bool,
    order: fn(&Given<'_>) -> Result<Ordered, AskError>,
}

impl std::fmt::Debug for CoverageRanker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All rankers. The first stands for the published one with a prompt, the second is the published one; the others are its baselines.
pub static RANKERS: &[CoverageRanker] = &[
    CoverageRanker {
        name: "list",
        help: "the model writes the numbers of the passages that cover all aspects together",
        compares_texts: false,
        asks_model: true,
        is_trained: false,
        order: list,
    },
    CoverageRanker {
        name: "pointer",
        help: "a trained pointer network points at one passage after another, so that they cover all aspects together",
        compares_texts: false,
        asks_model: false,
        is_trained: true,
        order: pointed,
    },
    CoverageRanker {
        name: "retriever",
        help: "what the question alone finds, then what only its aspects find",
        compares_texts: false,
        asks_model: false,
        is_trained: false,
        order: |given| Ok(places(given, (0..given.pool.len()).collect())),
    },
    CoverageRanker {
        name: "round-robin",
        help: "the best of each aspect in turn",
        compares_texts: false,
        asks_model: false,
        is_trained: false,
        order: |given| {
            let taken = round_robin(given.pool.aspect_lists(), usize::MAX);
            Ok(places(given, taken.into_iter().map(|(position, _)| position).collect()))
        },
    },
    CoverageRanker {
        name: "mmr",
        help: "near to the question and far from what was chosen before, by vectors (maximal marginal relevance)",
        compares_texts: true,
        asks_model: false,
        is_trained: false,
        order: marginal,
    },
    CoverageRanker {
        name: "silver",
        help: "greedily what the known answers of the aspects still lack, by words: an upper bound where answers are given",
        compares_texts: false,
        asks_model: false,
        is_trained: false,
        order: silver,
    },
];

impl CoverageRanker {
    /// The ranker of a name.
    pub fn find(name: &str) -> Option<&'static CoverageRanker> {
        RANKERS.iter().find(|ranker| ranker.name == name)
    }

    /// The best candidates in their order. No candidate stands twice, and the list is full where there are enough.
    ///
    /// # Errors
    /// [`AskError::Lacking`] where [`Given`] has not what it needs; what its model says.
    pub fn order(&self, given: &Given<'_>) -> Result<Ordered, AskError> {
        let mut ordered = (self.order)(given)?;
        ordered.positions.truncate(given.k);
        ordered.scores.truncate(given.k);
        ordered.trace.facts.insert(0, ("ranker".into(), self.name.into()));
        Ok(ordered)
    }
}

/// An order without scores. What it does not name follows in the order of the pool.
fn places(given: &Given<'_>, positions: Vec<usize>) -> Ordered {
    let positions = filled(positions, given.pool.len());
    let scores: Vec<f64> = (1..=positions.len()).rev().map(|score| score as f64).collect();
    let facts = vec![("scores".to_string(), "places; the ranker has none".to_string())];
    Ordered { positions, scores, trace: Trace { facts, ..Trace::default() } }
}

fn filled(mut positions: Vec<usize>, all: usize) -> Vec<usize> {
    let mut free = vec![true; all];
    positions.iter().for_each(|position| free[*position] = false);
    positions.extend((0..all).filter(|position| free[*position]));
    positions
}

/// The query of the list ranker: the question with its aspects, one a line (RichRAG, "prompt format").
pub fn list_request(question: &str, aspects: &[Aspect], documents: &[&Document]) -> RankRequest {
    let mut text = format!("Question: {question}");
    if !aspects.is_empty() {
        text.push_str("\nSub-aspects:");
        aspects.iter().for_each(|aspect| text.push_str(&format!("\n- {}", aspect.text)));
    }
    let candidates = documents.iter().map(|document| Candidate::from((*document).clone())).collect();
    RankRequest { query: Query::new("question", text), candidates }
}

fn list(given: &Given<'_>) -> Result<Ordered, AskError> {
    let Some(ranker) = given.list else {
        return Err(AskError::Lacking { ranker: "list", needs: "a model that reads prompts" });
    };
    let ranking = ranker(&list_request(given.question, given.aspects, given.documents))?;
    let position: HashMap<&str, usize> =
        given.documents.iter().enumerate().map(|(at, document)| (document.id.as_str(), at)).collect();
    let placed =
        ranking.entries.iter().filter_map(|entry| Some((*position.get(entry.id.as_str())?, entry.score)));
    let (positions, scores) = placed.unzip();
    Ok(Ordered { positions, scores, trace: ranking.trace })
}

fn pointed(given: &Given<'_>) -> Result<Ordered, AskError> {
    let Some(PointedList { positions, trace }) = given.pointed else {
        return Err(AskError::Lacking { ranker: "pointer", needs: "a trained list ranker" });
    };
    let there = positions.iter().copied().filter(|position| *position < given.pool.len());
    let mut ordered = places(given, there.collect());
    let facts = std::mem::replace(&mut ordered.trace, trace.clone()).facts;
    ordered.trace.facts.extend(facts);
    Ok(ordered)
}

fn silver(given: &Given<'_>) -> Result<Ordered, AskError> {
    let own = [Aspect::new(given.question)];
    let aspects = if given.aspects.is_empty() { &own[..] } else { given.aspects };
    let chosen = coverage_of(aspects, given.documents)?.silver(given.k);
    let ties = TieReport { broken_by: TieReport::INPUT.into(), ..TieReport::default() };
    let mut trace = Trace { ties, ..Trace::default() };
    let known = aspects.iter().filter(|aspect| aspect.answer.is_some()).count();
    trace.facts.push(("aspects with a known answer".into(), format!("{known} of {}", aspects.len())));
    Ok(Ordered { positions: chosen.items, scores: chosen.utilities, trace })
}

/// Vectors of a question and of documents, each of length 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// The question's.
    pub question: Vec<f32>,
    /// The documents', in their order.
    pub documents: Vec<Vec<f32>>,
    /// What it cost to have them, and which texts were not read whole.
    pub trace: Trace,
}

impl Vectors {
    /// Reads a question and documents with an embedding model.
    ///
    /// # Errors
    /// What the model says.
    pub fn read(
        model: &dyn TextEmbedder,
        question: &str,
        documents: &[&Document],
    ) -> Result<Vectors, AskError> {
        let start = Instant::now();
        let texts: Vec<_> = documents.iter().map(|document| document.model_text()).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let query = unit_vectors(model, Role::Query, &[question])?;
        let found = unit_vectors(model, Role::Document, &texts)?;
        let mut trace = Trace { passes: found.len() as u64 + 1, ..Trace::default() };
        trace.facts.push(("vectors".into(), model.name().to_string()));
        let ids = std::iter::once("question").chain(documents.iter().map(|document| document.id.as_str()));
        for (place, (id, length)) in
            ids.zip(query.iter().chain(&found).map(|vector| vector.length)).enumerate()
        {
            trace.prompt_tokens += length.kept as u64;
            if length.kept < length.tokens {
                let (tokens, kept, estimated) = (length.tokens, length.kept, length.estimated);
                let (id, of_query) = (id.to_string(), place == 0);
                trace.truncated.push(Truncation { id, tokens, kept, estimated, of_query });
            }
        }
        let question = query.into_iter().next().map(|vector| vector.values).unwrap_or_default();
        let documents = found.into_iter().map(|vector| vector.values).collect();
        trace.seconds = start.elapsed().as_secs_f64();
        Ok(Vectors { question, documents, trace })
    }
}

/// Vectors of texts, each of length 1, so that their dot product is the cosine.
///
/// # Errors
/// What the model says.
pub fn unit_vectors(
    model: &dyn TextEmbedder,
    role: Role,
    texts: &[&str],
) -> Result<Vec<TextVector>, LmError> {
    let mut found = model.embed_texts(role, texts)?;
    for vector in &mut found {
        let length = dot(&vector.values, &vector.values).sqrt() as f32;
        if length > 0.0 {
            vector.values.iter_mut().for_each(|value| *value /= length);
        }
    }
    Ok(found)
}

/// The dot product; that of vectors of length 1 is their cosine.
fn dot(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn marginal(given: &Given<'_>) -> Result<Ordered, AskError> {
    let Some(vectors) = given.vectors.filter(|vectors| vectors.documents.len() == given.documents.len())
    else {
        return Err(AskError::Lacking { ranker: "mmr", needs: "vectors of the question and the candidates" });
    };
    let of = &vectors.documents;
    let relevance: Vec<f64> = of.iter().map(|vector| dot(&vectors.question, vector)).collect();
    let chosen = mmr(&relevance, |one, other| dot(&of[one], &of[other]), given.lambda, given.k)?;
    let mut trace = vectors.trace.clone();
    trace.facts.push(("lambda".into(), given.lambda.to_string()));
    trace.ties.broken_by = TieReport::INPUT.into();
    Ok(Ordered { positions: chosen.items, scores: chosen.scores, trace })
}
