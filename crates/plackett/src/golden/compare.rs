//! How far a model is from its golden outputs.

use super::record::largest;
use super::{Case, Given, Golden, GoldenError, Kind, Subject};
use serde::Serialize;

/// Largest difference of a number of a vector, without rounding.
const VECTOR: f64 = 1e-4;
/// Smallest cosine of a vector with rounded weights.
const COSINE: f64 = 0.995;
/// Largest difference of a logit or a score, without rounding.
const LOGIT: f64 = 1e-3;
/// Smallest correlation of scores with rounded weights.
const CORRELATION: f64 = 0.99;
/// Share of the most probable tokens in common: 19 of 20 of every text without rounding, when no logits are there to
/// compare; on average 18, and 16 of every text, with it.
const COMMON: f64 = 0.95;
const COMMON_ROUNDED: (f64, f64) = (0.8, 0.9);
/// Distance of the two largest logits from which rounding must not swap them.
const SURE_ROUNDED: f64 = 0.25;

/// How a model compares with golden outputs.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Who computed the golden outputs.
    pub made_by: String,
    /// What was compared.
    pub kind: Kind,
    /// Texts or pairs.
    pub cases: usize,
    /// The numbers of the model's weights: except with `f32`, both weights and activations are rounded, and less is
    /// promised.
    pub precision: &'static str,
    /// What was measured.
    pub measures: Vec<Measure>,
}

/// One measured distance.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// What it is.
    pub name: &'static str,
    /// Over all cases. JSON has no number for what is none, and shows null.
    pub value: f64,
    /// What it has to be; nothing where it is only shown.
    #[serde(flatten)]
    pub promise: Promise,
    /// Whether it is.
    pub held: bool,
}

/// A limit of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// Smallest value that is good.
    AtLeast(f64),
    /// Largest value that is good.
    AtMost(f64),
    /// Any value is.
    #[serde(untagged)]
    Nothing {},
}

impl Promise {
    /// A value that is no number breaks every promise.
    fn holds(self, value: f64) -> bool {
        match self {
            Promise::AtLeast(limit) => value >= limit,
            Promise::AtMost(limit) => value <= limit,
            Promise::Nothing {} => true,
        }
    }
}

impl Comparison {
    /// Whether every promise held.
    pub fn held(&self) -> bool {
        self.measures.iter().all(|measure| measure.held)
    }

    /// A measured value by its name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.measures.iter().find(|measure| measure.name == name).map(|measure| measure.value)
    }
}

/// Runs a model on the texts of golden outputs. `done` is called after each.
///
/// # Errors
/// The outputs are of another kind or size than the model's; it refuses a text.
pub fn compare(subject: &Subject, golden: &Golden, done: &dyn Fn()) -> Result<Comparison, GoldenError> {
    let given = subject.kind()?;
    if given != golden.kind {
        return Err(GoldenError::Kind { model: subject.name().into(), golden: golden.kind, given });
    }
    golden.enough_for(subject)?;
    let mut tally = Tally::default();
    for (case, number) in golden.cases.iter().zip(1..) {
        let given =
            subject.give(case).map_err(|source| GoldenError::Case { case: number, source: source.into() })?;
        tally.add(case, given).map_err(|problem| GoldenError::Size { case: number, problem })?;
        done();
    }
    let precision = subject.precision();
    let measures = tally.measures(golden.kind, precision != "f32");
    let measures = measures.into_iter().map(|(name, value, promise)| Measure {
        name,
        value,
        promise,
        held: promise.holds(value),
    });
    Ok(Comparison {
        made_by: golden.made_by.clone(),
        kind: golden.kind,
        cases: golden.cases.len(),
        precision,
        measures: measures.collect(),
    })
}

/// Values of all cases.
#[derive(Default)]
struct Tally {
    cosines: Vec<f64>,
    differences: Vec<f64>,
    scores: Vec<(f64, f64)>,
    /// Of each text, whether its tokens are the golden ones.
    tokens: Vec<bool>,
    /// Share of the most probable tokens in common.
    common: Vec<f64>,
    /// Distance of the two largest golden logits, and whether the largest is the same.
    firsts: Vec<(f64, bool)>,
}

impl Tally {
    fn add(&mut self, case: &Case, given: Given) -> Result<(), String> {
        match given {
            Given::Vector(found) => self.vector(case.vector.as_deref().unwrap_or_default(), &found),
            Given::Score(found) => {
                let golden = case.score.unwrap_or(f32::NAN);
                self.differences.push(f64::from((golden - found).abs()));
                self.scores.push((f64::from(golden), f64::from(found)));
                Ok(())
            }
            Given::Next(ids, logits) => self.next(case, ids, &logits),
        }
    }

    fn vector(&mut self, golden: &[f32], found: &[f32]) -> Result<(), String> {
        if golden.len() != found.len() {
            return Err(format!("its vector has {} numbers, the model's {}", golden.len(), found.len()));
        }
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        self.cosines.push(dot(golden, found) / (dot(golden, golden) * dot(found, found)).sqrt());
        self.differences.extend(golden.iter().zip(found).map(|(x, y)| f64::from((x - y).abs())));
        Ok(())
    }

    fn next(&mut self, case: &Case, ids: Option<Vec<u32>>, logits: &[f32]) -> Result<(), String> {
        let next = case.next.as_deref().unwrap_or_default();
        if let Some(id) = next.iter().find(|id| **id as usize >= logits.len()) {
            return Err(format!("the token {id} is not below {}", logits.len()));
        }
        if let (Some(golden), Some(found)) = (&case.ids, &ids) {
            self.tokens.push(golden == found);
        }
        let golden = case.logits.iter().flatten();
        let pairs = next.iter().zip(golden);
        self.differences.extend(pairs.map(|(id, golden)| f64::from((golden - logits[*id as usize]).abs())));
        let found = largest(logits, next.len());
        let common = next.iter().filter(|id| found.contains(id)).count();
        self.common.push(common as f64 / next.len() as f64);
        let lead = case.lead().map_or(f64::INFINITY, f64::from);
        self.firsts.push((lead, next.first() == found.first()));
        Ok(())
    }

    /// Names, values and limits, with or without rounding.
    fn measures(&self, kind: Kind, rounded: bool) -> Vec<(&'static str, f64, Promise)> {
        let only =
            |unrounded: bool, promise| if unrounded == rounded { Promise::Nothing {} } else { promise };
        let cosine = only(false, Promise::AtLeast(COSINE));
        match kind {
            Kind::Embeddings => vec![
                ("smallest cosine", smallest(&self.cosines), cosine),
                ("largest difference", largest_of(&self.differences), only(true, Promise::AtMost(VECTOR))),
            ],
            Kind::PairScores => vec![
                ("largest difference", largest_of(&self.differences), only(true, Promise::AtMost(LOGIT))),
                ("correlation", correlation(&self.scores), only(false, Promise::AtLeast(CORRELATION))),
            ],
            Kind::NextTokens => self.next_measures(rounded),
        }
    }

    fn next_measures(&self, rounded: bool) -> Vec<(&'static str, f64, Promise)> {
        let mut measures = Vec::new();
        if !self.tokens.is_empty() {
            let equal = share(self.tokens.iter().copied());
            measures.push(("texts with equal tokens", equal, Promise::AtLeast(1.0)));
        }
        if !self.differences.is_empty() {
            let promise = if rounded { Promise::Nothing {} } else { Promise::AtMost(LOGIT) };
            measures.push(("largest difference of logits", largest_of(&self.differences), promise));
        }
        // Two logits that may each be off by the limit can change places.
        let sure = if rounded { SURE_ROUNDED } else { 2.0 * LOGIT };
        let firsts = self.firsts.iter().filter(|(lead, _)| *lead >= sure).map(|(_, same)| *same);
        if firsts.clone().next().is_some() {
            measures.push(("same first token where it is clear", share(firsts), Promise::AtLeast(1.0)));
        }
        let (least, mean) = match (rounded, self.differences.is_empty()) {
            (true, _) => (Promise::AtLeast(COMMON_ROUNDED.0), Promise::AtLeast(COMMON_ROUNDED.1)),
            (false, true) => (Promise::AtLeast(COMMON), Promise::Nothing {}),
            (false, false) => (Promise::Nothing {}, Promise::Nothing {}),
        };
        let average = self.common.iter().sum::<f64>() / self.common.len() as f64;
        measures.push(("most probable in common, least", smallest(&self.common), least));
        measures.push(("most probable in common, mean", average, mean));
        measures
    }
}

fn share(flags: impl Iterator<Item = bool> + Clone) -> f64 {
    flags.clone().filter(|flag| *flag).count() as f64 / flags.count() as f64
}

/// The smallest number; what is no number is smaller than all.
fn smallest(values: &[f64]) -> f64 {
    values.iter().copied().reduce(|a, b| if b < a || b.is_nan() { b } else { a }).unwrap_or(f64::NAN)
}

/// The largest number; what is no number is larger than all.
fn largest_of(values: &[f64]) -> f64 {
    -smallest(&values.iter().map(|value| -value).collect::<Vec<f64>>())
}

/// Pearson's, of pairs.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let count = pairs.len() as f64;
    let mean = pairs.iter().fold((0.0, 0.0), |m, p| (m.0 + p.0 / count, m.1 + p.1 / count));
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (x, y) = (x - mean.0, y - mean.1);
        both += x * y;
        first += x * x;
        second += y * y;
    }
    both / (first * second).sqrt()
}
