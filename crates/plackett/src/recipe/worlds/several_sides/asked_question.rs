//! A question with several sides as rankers are asked it: its candidates, their vectors, and who found them.

use super::faceted::{Faceted, FacetedQuestion};
use crate::facets::side_text;
use crate::pipeline::ModelError;
use crate::recipe::data::dataset::seed_of;
use crate::recipe::error::StageError;
use crate::recipe::field::Values;
use plackett_core::{Document, Trace};
use plackett_rank::ask::{CoverageRanker, Given, Pool, Vectors, unit_vectors};
use plackett_rank::model::{Role, TextEmbedder};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A question with its candidates.
pub struct Asked<'a> {
    /// What is asked.
    pub question: &'a FacetedQuestion,
    /// Who found which candidate.
    pub pool: Pool,
    /// The candidates, in the order of the pool.
    pub documents: Vec<&'a Document>,
    /// Vectors of the question and the candidates.
    pub vectors: Vectors,
}

impl<'a> Asked<'a> {
    /// With the vectors of all documents; a model makes those of the question and its sides.
    ///
    /// # Errors
    /// What the model says.
    pub fn new(
        values: &Values,
        faceted: &'a Faceted,
        question: &'a FacetedQuestion,
        documents: &[Vec<f32>],
        model: &dyn TextEmbedder,
    ) -> Result<Asked<'a>, StageError> {
        let mut texts = vec![question.text.clone()];
        texts.extend(question.aspects.iter().map(|aspect| side_text(&question.text, aspect)));
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let found = unit_vectors(model, Role::Query, &texts).map_err(ModelError::from)?;
        let found: Vec<&[f32]> = found.iter().map(|vector| &vector.values[..]).collect();
        let elsewhere = (0..documents.len()).filter(|at| !question.article.contains(at)).collect();
        let vector = |at: usize| &documents[at][..];
        Ok(Asked::of(values, &faceted.documents, question, (&found, &vector), elsewhere))
    }

    /// With the vectors of the question and of each side after it, and of every document. Candidates are the passages of the article and
    /// those of `elsewhere` that are nearest to the question; the fields `others` and `depth` say how many.
    pub fn of<'v>(
        values: &Values,
        documents: &'a [Document],
        question: &'a FacetedQuestion,
        (found, vector): (&[&[f32]], &dyn Fn(usize) -> &'v [f32]),
        elsewhere: Vec<usize>,
    ) -> Asked<'a> {
        // Equally near ones keep the order of the file.
        let near = |query: &[f32], among: Vec<usize>| {
            let mut scored: Vec<(f64, usize)> =
                among.into_iter().map(|at| (nearness(query, vector(at)), at)).collect();
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            scored.into_iter().map(|(_, at)| at).collect::<Vec<usize>>()
        };
        let title = found.first().copied().unwrap_or_default();
        let others = near(title, elsewhere).into_iter().take(values.count("others"));
        let among: Vec<usize> = question.article.iter().copied().chain(others).collect();
        let id = |at: usize| documents[at].id.clone();
        let mut lists = vec![near(title, among.clone()).into_iter().map(id).collect::<Vec<String>>()];
        for side in found.iter().copied().skip(1) {
            let own = near(side, among.clone()).into_iter().take(values.count("depth"));
            lists.push(own.map(id).collect());
        }
        let pool = Pool::join(&lists, usize::MAX);
        let place = |id: &str| among.iter().copied().find(|at| documents[*at].id == id);
        let places: Vec<usize> = pool.entries.iter().filter_map(|entry| place(&entry.id)).collect();
        let vectors = Vectors {
            question: title.to_vec(),
            documents: places.iter().map(|at| vector(*at).to_vec()).collect(),
            trace: Trace::default(),
        };
        let documents = places.iter().map(|at| &documents[*at]).collect();
        Asked { question, pool, documents, vectors }
    }

    /// The list of a ranker of a name, as positions among the candidates; the fields `k`, `lambda` and `seed` are the ranker's.
    ///
    /// # Errors
    /// What the ranker says.
    pub fn positions(&self, values: &Values, name: &str) -> Result<Vec<usize>, StageError> {
        let k = values.count("k");
        let Some(ranker) = CoverageRanker::find(name) else {
            let seed = seed_of(values.count("seed") as u64, &self.question.id);
            let mut drawn: Vec<usize> = (0..self.documents.len()).collect();
            drawn.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            drawn.truncate(k);
            return Ok(drawn);
        };
        let given = Given {
            question: &self.question.text,
            aspects: &self.question.aspects,
            pool: &self.pool,
            documents: &self.documents,
            k,
            lambda: values.number("lambda").unwrap_or(0.5),
            vectors: Some(&self.vectors),
            list: None,
            pointed: None,
        };
        Ok(ranker.order(&given)?.positions)
    }
}

fn nearness(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
