//! Two linear maps over vectors that are there already, one for queries and one for documents, or one for both: the cheap form of
//! a dual encoder's training, with negatives of its own, of the batch, or both.

use super::{StepLoss, Task, weighted_sum};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::{Mode, SafetensorsSource, WeightSource, save};
use crate::objective::{Batch, Lists, Similarities, Term};
use crate::tape::{Compute, ParameterId, Parameters, Tape, Var};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Which vectors are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Queries: questions, prefixes.
    Query,
    /// Documents: passages, continuations.
    Document,
}

/// x + W x for both sides, with one W or two.
#[derive(Clone, Debug)]
pub struct DualProjection {
    query: ParameterId,
    document: ParameterId,
    is_unit: bool,
}

impl DualProjection {
    /// Begins as vectors are. `is_shared` has one W for both sides; `is_unit` scales what comes out to the length 1, so that dot products
    /// are cosines.
    pub fn new(
        parameters: &mut Parameters,
        dimension: usize,
        (is_shared, is_unit): (bool, bool),
    ) -> DualProjection {
        let mut add =
            |name: &str| parameters.add(name, (dimension, dimension), vec![0.0; dimension * dimension]);
        let query = add("projection.query.weight");
        let document = if is_shared { query } else { add("projection.document.weight") };
        DualProjection { query, document, is_unit }
    }

    /// Writes the maps.
    ///
    /// # Errors
    /// The file cannot be written, or a number is not finite.
    pub fn save(&self, parameters: &Parameters, path: &Path) -> Result<(), TrainError> {
        save(path, parameters, |name| name.starts_with("projection.").then(|| name.to_string()))
    }

    /// Reads maps that [`DualProjection::save`] has written.
    ///
    /// # Errors
    /// The file cannot be read, or has no maps of this dimension.
    pub fn open(
        parameters: &mut Parameters,
        dimension: usize,
        kind: (bool, bool),
        path: &Path,
    ) -> Result<DualProjection, TrainError> {
        let projection = DualProjection::new(parameters, dimension, kind);
        let mut source = SafetensorsSource::open(path)?;
        for (_, parameter) in parameters.iter_mut().filter(|(_, own)| own.name.starts_with("projection.")) {
            let value = source.take(&parameter.name.clone(), (dimension, dimension))?;
            parameter.values_mut().copy_from_slice(&value);
        }
        Ok(projection)
    }

    /// Rows × dimension after the map of a side.
    fn forward(&self, tape: &Tape, x: &Var, side: Side) -> Var {
        let weight = match side {
            Side::Query => self.query,
            Side::Document => self.document,
        };
        let y = tape.linear(x, &tape.parameter(weight), None, Some(x));
        match self.is_unit {
            true => tape.over(&y, &tape.sqrt(&tape.shift(&tape.sum_rows(&tape.square(&y)), 1e-12))),
            false => y,
        }
    }

    /// Vectors after the map of a side, without gradients.
    pub fn project(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
        vectors: &[&[f32]],
        side: Side,
    ) -> Vec<Vec<f32>> {
        let Some(dimension) = vectors.first().map(|vector| vector.len()) else { return Vec::new() };
        let tape = Tape::inference(parameters, compute);
        let x = tape.constant((vectors.len(), dimension), &vectors.concat());
        self.forward(&tape, &x, side).value.chunks(dimension.max(1)).map(<[f32]>::to_vec).collect()
    }
}

/// A query with documents of its own, the first of which is its positive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairing {
    /// Its place among the queries.
    pub query: usize,
    /// Places among the documents.
    pub documents: Vec<usize>,
    /// A teacher's score of each of them; empty without one.
    pub teacher: Vec<f32>,
}

/// Which documents a query is told from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Its own, as a list with a teacher.
    Own,
    /// All of the batch.
    Batch,
    /// All of the batch that are nobody's positive.
    Negatives,
}

/// Groups of queries by which a projection learns. A group is one example of the trainer: what must share a batch (pairs of one
/// document, say) is one group, and what may be drawn freely are groups of one.
pub struct DualTask<'t> {
    /// What is trained.
    pub projection: DualProjection,
    /// Vectors of queries.
    pub queries: &'t [&'t [f32]],
    /// Vectors of documents.
    pub documents: &'t [&'t [f32]],
    /// None is empty, and no pairing is without documents.
    pub groups: &'t [Vec<Pairing>],
    /// What a query is told from.
    pub against: Against,
    /// What is minimised: an objective on lists with [`Against::Own`], on similarities else.
    pub objective: Vec<Term>,
}

impl Task for DualTask<'_> {
    fn count(&self) -> usize {
        self.groups.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("group {example}")
    }

    fn loss(&self, tape: &Tape, examples: &[usize], _mode: Mode) -> Result<StepLoss, TrainError> {
        let rows: Vec<&Pairing> = examples.iter().flat_map(|at| &self.groups[*at]).collect();
        let queries: Vec<&[f32]> = rows.iter().map(|row| self.queries[row.query]).collect();
        let documents: Vec<&[f32]> =
            rows.iter().flat_map(|row| row.documents.iter().map(|at| self.documents[*at])).collect();
        let mut own: Vec<Range<usize>> = Vec::new();
        for row in &rows {
            let start = own.last().map_or(0, |range| range.end);
            own.push(start..start + row.documents.len());
        }
        let side = |vectors: &[&[f32]], side| {
            let columns = vectors.first().map_or(0, |vector| vector.len());
            let x = tape.constant((vectors.len(), columns), &vectors.concat());
            self.projection.forward(tape, &x, side)
        };
        let (q, d) = (side(&queries, Side::Query), side(&documents, Side::Document));
        let scores = tape.linear(&q, &d, None, None);
        match self.against {
            Against::Own => self.of_lists(tape, &rows, &own, &scores),
            _ => self.of_similarities(tape, &own, &scores),
        }
    }
}

impl DualTask<'_> {
    fn of_lists(
        &self,
        tape: &Tape,
        rows: &[&Pairing],
        own: &[Range<usize>],
        scores: &Var,
    ) -> Result<StepLoss, TrainError> {
        let columns = scores.columns;
        let places: Vec<usize> = own
            .iter()
            .enumerate()
            .flat_map(|(row, range)| range.clone().map(move |column| row * columns + column))
            .collect();
        let scores = tape.gather(scores, &places, (places.len(), 1));
        let labels: Vec<f32> = own
            .iter()
            .flat_map(|range| range.clone().map(|column| if column == range.start { 1.0 } else { 0.0 }))
            .collect();
        let teacher: Vec<f32> = rows.iter().flat_map(|row| row.teacher.iter().copied()).collect();
        let lists = Lists {
            teacher: (teacher.len() == labels.len()).then_some(&teacher[..]),
            ..Lists::new(&scores, own, &labels)
        };
        weighted_sum(tape, &self.objective, &Batch::Lists(lists), labels.len())
    }

    fn of_similarities(
        &self,
        tape: &Tape,
        own: &[Range<usize>],
        scores: &Var,
    ) -> Result<StepLoss, TrainError> {
        let positives: Vec<Vec<usize>> = own.iter().map(|range| vec![range.start]).collect();
        let others = |row: usize| own.iter().enumerate().filter(move |(at, _)| *at != row);
        let excluded: Vec<Vec<usize>> = match self.against {
            Against::Negatives => {
                (0..own.len()).map(|row| others(row).map(|(_, range)| range.start).collect()).collect()
            }
            _ => vec![Vec::new(); own.len()],
        };
        let batch = Similarities { scores, positives: &positives, own: Some(own), excluded: Some(&excluded) };
        weighted_sum(tape, &self.objective, &Batch::Similarities(batch), scores.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::parse_sum;
    use crate::tape::Gradients;
    use crate::trainer::{Settings, train};

    const QUERIES: [&[f32]; 4] = [&[1.0, 0.2], &[0.1, 1.0], &[-0.7, 0.3], &[0.4, -0.9]];
    const DOCUMENTS: [&[f32]; 4] = [&[0.3, 1.0], &[-0.8, 0.4], &[0.2, -1.0], &[1.0, 0.1]];

    /// The positive of a query is the document of its place; its own negative is the one before that.
    fn rows() -> Vec<Pairing> {
        let row =
            |at: usize| Pairing { query: at, documents: vec![at, (at + 3) % 4], teacher: vec![0.7, 0.3] };
        (0..4).map(row).collect()
    }

    fn gradients(groups: &[Vec<Pairing>], examples: &[usize], against: Against, objective: &str) -> Vec<f32> {
        let mut parameters = Parameters::default();
        let projection = DualProjection::new(&mut parameters, 2, (true, true));
        let id = projection.query;
        let task = DualTask {
            projection,
            queries: &QUERIES,
            documents: &DOCUMENTS,
            groups,
            against,
            objective: parse_sum(objective).unwrap(),
        };
        let tape = Tape::new(&parameters, &Compute::new(1));
        let loss = task.loss(&tape, examples, Mode::default()).unwrap();
        let mut gradients = Gradients::default();
        tape.backward(&loss.value, &mut gradients);
        gradients.get(id).unwrap().to_vec()
    }

    #[test]
    fn lists_of_ones_own_can_be_cut_into_chunks() {
        // No negative is of another query, so that the gradient of a batch is the mean of those of its parts.
        let groups: Vec<Vec<Pairing>> = rows().into_iter().map(|row| vec![row]).collect();
        let of =
            |examples: &[usize]| gradients(&groups, examples, Against::Own, "symmetric-kl(temperature=0.5)");
        let (whole, parts) = (of(&[0, 1, 2, 3]), [of(&[0, 1]), of(&[2, 3])]);
        for (at, whole) in whole.iter().enumerate() {
            assert!((whole - (parts[0][at] + parts[1][at]) / 2.0).abs() < 1e-5);
        }
        assert!(whole.iter().any(|x| x.abs() > 1e-3));
    }

    #[test]
    fn documents_of_the_batch_are_negatives_or_not() {
        let group = [rows()];
        let all = gradients(&group, &[0], Against::Batch, "info-nce(temperature=0.5)");
        let negatives = gradients(&group, &[0], Against::Negatives, "info-nce(temperature=0.5)");
        let mined = gradients(&group, &[0], Against::Batch, "info-nce(temperature=0.5, negatives=mined)");
        assert!(all != negatives && negatives != mined && all != mined);
    }

    #[test]
    fn a_projection_learns_and_begins_as_nothing() {
        for (is_shared, is_unit) in [(true, true), (false, false)] {
            let mut parameters = Parameters::default();
            let projection = DualProjection::new(&mut parameters, 2, (is_shared, is_unit));
            let compute = Compute::new(1);
            let before = projection.project(&parameters, &compute, &[&[0.6, -0.8]], Side::Query);
            assert!((before[0][0] - 0.6).abs() < 1e-6 && (before[0][1] + 0.8).abs() < 1e-6);
            // Each document stands in the batch once: one that were there again would be told from itself.
            let alone = |row: Pairing| Pairing { documents: row.documents[..1].to_vec(), ..row };
            let task = DualTask {
                projection: projection.clone(),
                queries: &QUERIES,
                documents: &DOCUMENTS,
                groups: &[rows().into_iter().map(alone).collect::<Vec<_>>()],
                against: Against::Batch,
                objective: parse_sum("info-nce(temperature=0.2)").unwrap(),
            };
            let settings =
                Settings { batch: 1, steps: 200, rate: 0.05, checkpoint: 0, ..Settings::default() };
            let report =
                train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
            let first = report.steps[0].loss;
            assert!(report.final_loss() < 0.8 * first, "{} after {first}", report.final_loss());
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("maps.safetensors");
            projection.save(&parameters, &path).unwrap();
            let mut read = Parameters::default();
            let opened = DualProjection::open(&mut read, 2, (is_shared, is_unit), &path).unwrap();
            let of = |projection: &DualProjection, parameters: &Parameters| {
                projection.project(parameters, &compute, &[&[0.6, -0.8]], Side::Document)
            };
            assert_eq!(of(&opened, &read), of(&projection, &parameters));
        }
    }
}
