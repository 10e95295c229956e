//! Documents that come later, for docids of one token over a frozen query encoder: a row for each document, whose product with a query's vector
//! is the logit of its docid (with rows that are the documents' vectors it is dense search). New rows are found by optimisation beside
//! frozen old ones (IncDSI; Kishore et al., ICML 2023), or all rows are trained on, with or without old queries (DSI++'s replay). A
//! [`RetrieverUpdate`] does the former to the output matrix of a retriever.

mod lbfgs;
mod update;

pub use lbfgs::{Minimum, minimize};
pub use update::{RetrieverUpdate, UpdateTexts, UpdatedRetriever};

use crate::GenirError;
use plackett_train::engine::Engine;
use plackett_train::optimizer::AdamW;
use plackett_train::tape::Gradients;
use plackett_train::{Compute, Parameters, Tape};
use std::sync::Arc;

/// A query's vector and the place of its document.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledQuery {
    /// Of the frozen encoder, of length 1.
    pub vector: Vec<f32>,
    /// The row that it is to find.
    pub document: usize,
}

/// The rows of the documents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AtomicRows {
    rows: Vec<Vec<f32>>,
}

/// How rows are trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowTraining {
    /// Steps over all queries at once.
    pub steps: usize,
    /// Learning rate.
    pub rate: f32,
    /// What products are multiplied with before the softmax.
    pub scale: f32,
}

impl Default for RowTraining {
    fn default() -> RowTraining {
        RowTraining { steps: 40, rate: 0.01, scale: 20.0 }
    }
}

/// Weights of the update of IncDSI.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewRow {
    /// Of the new document's queries against the old ones'.
    pub lambda: f64,
    /// By how much a new query's product with the new row is to be above its greatest one with an old row.
    pub margin_new: f64,
    /// By how much an old query's product with its own row is to be above that with the new one.
    pub margin_old: f64,
    /// Of the square of the row's length.
    pub length: f64,
    /// Steps at most.
    pub steps: usize,
}

impl Default for NewRow {
    fn default() -> NewRow {
        NewRow { lambda: 0.5, margin_new: 0.05, margin_old: 0.05, length: 1e-3, steps: 30 }
    }
}

/// Which query stands for an old document while the row of a new one is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Representative {
    /// The mean of its queries.
    #[default]
    Mean,
    /// That one with the smallest product with the document's row, which would be lost first.
    Lowest,
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The mean of vectors.
fn mean<'v>(vectors: impl Iterator<Item = &'v [f32]>, dimension: usize) -> Vec<f32> {
    let (mut sum, mut count) = (vec![0.0f64; dimension], 0usize);
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += f64::from(*x));
        count += 1;
    }
    sum.into_iter().map(|sum| (sum / count.max(1) as f64) as f32).collect()
}

impl AtomicRows {
    /// With rows that are there, such as the documents' own vectors.
    pub fn new(rows: Vec<Vec<f32>>) -> AtomicRows {
        AtomicRows { rows }
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row of a document.
    pub fn row(&self, document: usize) -> Option<&[f32]> {
        self.rows.get(document).map(Vec::as_slice)
    }

    /// Puts a row for each document up to `documents` at the mean of its queries, where it has none yet.
    ///
    /// # Errors
    /// A document has no query.
    pub fn append_means(&mut self, queries: &[LabelledQuery], documents: usize) -> Result<(), GenirError> {
        let dimension = queries.first().map_or(0, |query| query.vector.len());
        for document in self.rows.len()..documents {
            let own =
                || queries.iter().filter(|query| query.document == document).map(|query| &query.vector[..]);
            if own().next().is_none() {
                return Err(GenirError::Setting(format!(
                    "document {document} has no query to learn its row from"
                )));
            }
            self.rows.push(mean(own(), dimension));
        }
        Ok(())
    }

    /// Trains all rows by the softmax over the documents, on all queries at once.
    ///
    /// # Errors
    /// A query of a document without a row.
    pub fn train(
        &mut self,
        queries: &[LabelledQuery],
        training: &RowTraining,
        compute: &Arc<Compute>,
    ) -> Result<(), GenirError> {
        let (count, dimension) = (self.rows.len(), self.rows.first().map_or(0, Vec::len));
        if let Some(query) =
            queries.iter().find(|query| query.document >= count || query.vector.len() != dimension)
        {
            let problem =
                format!("a query of document {} among {count} of {dimension} numbers", query.document);
            return Err(GenirError::Setting(problem));
        }
        let mut parameters = Parameters::default();
        let weight = parameters.add("rows", (count, dimension), self.rows.concat());
        let scaled: Vec<f32> =
            queries.iter().flat_map(|query| &query.vector).map(|x| training.scale * x).collect();
        let targets: Vec<(usize, u32)> =
            queries.iter().enumerate().map(|(at, query)| (at, query.document as u32)).collect();
        let mut optimizer = AdamW::default();
        for _ in 0..training.steps {
            let mut gradients = Gradients::default();
            let tape = Tape::new(&parameters, compute);
            let x = tape.constant((queries.len(), dimension), &scaled);
            let logs = tape.token_log_probabilities(&x, &tape.parameter(weight), &targets);
            let loss = tape.scale(&tape.mean(&logs), -1.0);
            tape.backward(&loss, &mut gradients);
            optimizer.step(compute, &mut parameters, &gradients, |_| training.rate);
        }
        self.rows = parameters[weight].value.chunks(dimension.max(1)).map(<[f32]>::to_vec).collect();
        Ok(())
    }

    /// What stands for a document of these queries; of equal products the first.
    ///
    /// # Errors
    /// The document has no row, or there is no query.
    pub fn representative(
        &self,
        document: usize,
        queries: &[Vec<f32>],
        which: Representative,
    ) -> Result<Vec<f32>, GenirError> {
        let lacks = |what: &str| GenirError::Setting(format!("document {document} has no {what}"));
        let row = self.rows.get(document).ok_or_else(|| lacks("row"))?;
        let lowest = queries.iter().min_by(|a, b| dot(row, a).total_cmp(&dot(row, b)));
        let lowest = lowest.ok_or_else(|| lacks("query that could stand for it"))?;
        Ok(match which {
            Representative::Mean => mean(queries.iter().map(Vec::as_slice), row.len()),
            Representative::Lowest => lowest.clone(),
        })
    }

    /// Adds a document by optimising its row alone (IncDSI, equations 3 to 5): its queries are to find it above the old documents, and each old
    /// document's representative query is to find that one above it.
    ///
    /// λ Σ_j [max_i w_i·q_j + m₁ − x·q_j]₊² + (1 − λ) Σ_i [x·h_i − w_i·h_i + m₂]₊² + c |x|², from the mean of its queries, by L-BFGS.
    ///
    /// # Errors
    /// There is no query, or vectors of other lengths.
    pub fn add(
        &mut self,
        queries: &[Vec<f32>],
        representatives: &[Vec<f32>],
        options: &NewRow,
    ) -> Result<Minimum, GenirError> {
        let dimension = self.rows.first().map_or_else(|| queries.first().map_or(0, Vec::len), Vec::len);
        let is_other = |vector: &&Vec<f32>| vector.len() != dimension;
        if queries.is_empty() || queries.iter().chain(representatives).any(|vector| is_other(&vector)) {
            let problem = format!("a new document needs queries of {dimension} numbers");
            return Err(GenirError::Setting(problem));
        }
        if representatives.len() != self.rows.len() {
            let problem = format!(
                "{} documents have {} representative queries",
                self.rows.len(),
                representatives.len()
            );
            return Err(GenirError::Setting(problem));
        }
        let best = |query: &Vec<f32>| {
            self.rows.iter().map(|row| dot(row, query)).max_by(f64::total_cmp).unwrap_or(0.0)
                + options.margin_new
        };
        let wanted: Vec<f64> = queries.iter().map(best).collect();
        let kept: Vec<f64> = self
            .rows
            .iter()
            .zip(representatives)
            .map(|(row, query)| dot(row, query) - options.margin_old)
            .collect();
        let mut start: Vec<f64> = vec![0.0; dimension];
        for query in queries {
            start.iter_mut().zip(query).for_each(|(x, q)| *x += f64::from(*q) / queries.len() as f64);
        }
        let value = |x: &[f64], gradient: &mut [f64]| {
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g = 2.0 * options.length * x);
            let mut sum = options.length * x.iter().map(|x| x * x).sum::<f64>();
            let product = |q: &[f32]| q.iter().zip(x).map(|(q, x)| f64::from(*q) * x).sum::<f64>();
            let sides = [
                (queries, &wanted, options.lambda, -1.0),
                (representatives, &kept, 1.0 - options.lambda, 1.0),
            ];
            for (vectors, limits, weight, sign) in sides {
                for (vector, limit) in vectors.iter().zip(limits) {
                    let over = sign * (product(vector) - limit);
                    if over > 0.0 {
                        sum += weight * over * over;
                        let slope = 2.0 * weight * over * sign;
                        gradient.iter_mut().zip(vector).for_each(|(g, q)| *g += slope * f64::from(*q));
                    }
                }
            }
            sum
        };
        let found = minimize(start, value, options.steps);
        self.rows.push(found.at.iter().map(|x| *x as f32).collect());
        Ok(found)
    }

    /// The documents with the greatest products, best first; of equal ones the first.
    pub fn rank(&self, query: &[f32], count: usize) -> Vec<usize> {
        let scores: Vec<f64> = self.rows.iter().map(|row| dot(row, query)).collect();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        order.truncate(count);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::random::Stream;

    /// Vectors of length 1 about a middle of each document.
    fn queries(documents: usize, each: usize, seed: u64) -> Vec<LabelledQuery> {
        let unit = |vector: Vec<f32>| {
            let length = dot(&vector, &vector).sqrt() as f32;
            vector.into_iter().map(|x| x / length).collect::<Vec<f32>>()
        };
        let draw = |stream: u64| {
            let stream = Stream::new(seed, stream);
            (0..16).map(|at| stream.normal(at)).collect::<Vec<f32>>()
        };
        let query = |at: usize| {
            let noise = draw(1000 + at as u64);
            let middle = unit(draw((at / each) as u64));
            let vector = middle.iter().zip(noise).map(|(m, n)| m + 0.1 * n).collect();
            LabelledQuery { vector: unit(vector), document: at / each }
        };
        (0..documents * each).map(query).collect()
    }

    fn hits(rows: &AtomicRows, queries: &[LabelledQuery]) -> f64 {
        let found = queries.iter().filter(|query| rows.rank(&query.vector, 1) == [query.document]).count();
        found as f64 / queries.len() as f64
    }

    #[test]
    fn rows_that_are_document_vectors_are_dense_search() {
        let all = queries(20, 1, 1);
        let vectors: Vec<Vec<f32>> = all.iter().map(|query| query.vector.clone()).collect();
        let rows = AtomicRows::new(vectors.clone());
        for query in queries(20, 3, 2) {
            let mut dense: Vec<usize> = (0..20).collect();
            dense.sort_by(|a, b| {
                dot(&vectors[*b], &query.vector).total_cmp(&dot(&vectors[*a], &query.vector))
            });
            assert_eq!(rows.rank(&query.vector, 20), dense);
        }
    }

    #[test]
    fn a_document_is_represented_by_the_mean_or_the_lowest_of_its_queries() {
        let rows = AtomicRows::new(vec![vec![1.0, 0.0], vec![0.0, 1.0]]);
        let queries = [vec![0.75, 0.5], vec![0.25, 1.0], vec![0.5, 0.0]];
        let of = |document, which| rows.representative(document, &queries, which).unwrap();
        assert_eq!(of(0, Representative::Mean), [0.5, 0.5]);
        assert_eq!(of(0, Representative::Lowest), [0.25, 1.0]);
        assert_eq!(of(1, Representative::Lowest), [0.5, 0.0]);
        let error = rows.representative(2, &queries, Representative::Mean).unwrap_err().to_string();
        assert!(error.contains("document 2 has no row"), "{error}");
        let error = rows.representative(1, &[], Representative::Lowest).unwrap_err().to_string();
        assert!(error.contains("document 1 has no query"), "{error}");
    }

    #[test]
    fn a_new_row_finds_its_queries_and_leaves_the_old_ones_to_theirs() {
        let all = queries(30, 4, 3);
        let (old, new): (Vec<_>, Vec<_>) = all.into_iter().partition(|query| query.document < 29);
        let mut rows = AtomicRows::default();
        rows.append_means(&old, 29).unwrap();
        rows.train(&old, &RowTraining::default(), &Compute::new(1)).unwrap();
        let before = hits(&rows, &old);
        assert!(before > 0.95, "{before}");
        let representatives: Vec<Vec<f32>> = (0..29)
            .map(|document| mean(old.iter().filter(|q| q.document == document).map(|q| &q.vector[..]), 16))
            .collect();
        let vectors: Vec<Vec<f32>> = new.iter().map(|query| query.vector.clone()).collect();
        let found = rows.add(&vectors, &representatives, &NewRow::default()).unwrap();
        assert!(found.value < found.start, "{found:?}");
        assert_eq!((rows.len(), hits(&rows, &new)), (30, 1.0));
        assert!(hits(&rows, &old) >= before - 0.02);
        assert!(rows.add(&[], &representatives, &NewRow::default()).is_err());
        assert!(
            rows.add(&vectors, &representatives, &NewRow::default()).is_err(),
            "one representative short"
        );
    }
}
