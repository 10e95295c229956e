//! From scores to probabilities of relevance, learned from judgments.
//!
//! A reranker's scores order documents and mean nothing else: a threshold for one does not hold for another. A calibration is
//! a rising function from scores to probabilities, fitted on judged documents of a run. It never changes an order.

mod isotonic;
mod logistic;
mod reliability;

pub use reliability::{Bin, Reliability};

use plackett_core::{Qrels, Run};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Grows when a field of the file goes away or changes its meaning.
pub const CALIBRATION_VERSION: u32 = 1;

/// The form of the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalibrationKind {
    /// Any rising function, by pooling adjacent violators (Ayer et al. 1955; Zadrozny and Elkan 2002), with straight lines
    /// between the scores that were seen.
    #[default]
    Isotonic,
    /// A logistic curve with slope and place (Platt 1999, with his targets).
    Platt,
    /// A logistic curve with slope alone (Guo et al. 2017): for scores that are logits already.
    Temperature,
}

impl CalibrationKind {
    /// All of them with their names.
    pub const ALL: [(&'static str, CalibrationKind); 3] = [
        ("isotonic", CalibrationKind::Isotonic),
        ("platt", CalibrationKind::Platt),
        ("temperature", CalibrationKind::Temperature),
    ];
}

impl fmt::Display for CalibrationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = CalibrationKind::ALL.iter().find(|(_, kind)| kind == self);
        f.write_str(found.map_or("isotonic", |(name, _)| name))
    }
}

impl FromStr for CalibrationKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = CalibrationKind::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind).ok_or_else(|| "isotonic, platt or temperature is expected".into())
    }
}

/// Why nothing can be fitted, or a file is no calibration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// There is nothing to learn from.
    #[error(
        "of {judged} judged documents in the run {relevant} are relevant; relevant and non-relevant ones are needed: judge more \
         of what the run returns"
    )]
    OneSided {
        /// Judged documents.
        judged: usize,
        /// Relevant ones.
        relevant: usize,
    },
    /// A score from which no function can be learned.
    #[error("query `{query}`, document `{document}`: its score is {score}; finite scores are needed")]
    NotFinite {
        /// The query.
        query: String,
        /// The document.
        document: String,
        /// Its score.
        score: f64,
    },
    /// Higher scores go with less relevance.
    #[error(
        "documents with higher scores are relevant less often (slope {slope:.3}): the run's scores may be distances, or of \
         another collection than the judgments"
    )]
    Falling {
        /// The fitted slope.
        slope: f64,
    },
    /// A file that does not hold what it should.
    #[error("{0}; a file that `plackett calibrate` wrote is expected")]
    File(String),
}

/// A judged document of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Its score.
    pub score: f64,
    /// Whether it is relevant.
    pub relevant: bool,
    /// The number of its query: documents of one query are not independent.
    pub query: usize,
}

/// What a calibration is learned from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Judged documents.
    pub judged: Vec<Sample>,
    /// Documents of the run without a judgment: nothing is learned from them.
    pub unjudged: usize,
    /// Queries with judged documents.
    pub queries: usize,
}

impl Samples {
    /// The judged documents of a run. A grade of `level` and more is relevant.
    ///
    /// # Errors
    /// [`CalibrationError::NotFinite`].
    pub fn of(run: &Run, qrels: &Qrels, level: i32) -> Result<Samples, CalibrationError> {
        let mut samples = Samples::default();
        for returned in run.queries() {
            let judged: std::collections::HashMap<&str, i32> = match qrels.query(returned.id()) {
                Some(query) => query.iter().map(|judgment| (judgment.document, judgment.grade)).collect(),
                None => Default::default(),
            };
            let before = samples.judged.len();
            for (document, score) in returned.iter() {
                let Some(grade) = judged.get(document) else {
                    samples.unjudged += 1;
                    continue;
                };
                if !score.is_finite() {
                    let (query, document) = (returned.id().to_string(), document.to_string());
                    return Err(CalibrationError::NotFinite { query, document, score });
                }
                let (relevant, query) = (*grade >= level, samples.queries);
                samples.judged.push(Sample { score, relevant, query });
            }
            samples.queries += usize::from(samples.judged.len() > before);
        }
        Ok(samples)
    }
}

/// The function itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Curve {
    /// Scores and probabilities, both rising.
    Points(Vec<[f64; 2]>),
    /// 1 / (1 + exp(−(slope · score + intercept))).
    Logistic { slope: f64, intercept: f64 },
}

/// A rising function from scores to probabilities of relevance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    calibration_version: u32,
    /// Its form.
    pub kind: CalibrationKind,
    curve: Curve,
    /// Judged documents from which it was learned.
    pub documents: usize,
    /// Relevant ones among them.
    pub relevant: usize,
    /// Queries.
    pub queries: usize,
}

impl Calibration {
    /// Learns a function.
    ///
    /// # Errors
    /// [`CalibrationError::OneSided`] and, for logistic curves, [`CalibrationError::Falling`].
    pub fn fit(kind: CalibrationKind, samples: &[Sample]) -> Result<Calibration, CalibrationError> {
        let relevant = samples.iter().filter(|sample| sample.relevant).count();
        if relevant == 0 || relevant == samples.len() {
            return Err(CalibrationError::OneSided { judged: samples.len(), relevant });
        }
        let curve = match kind {
            CalibrationKind::Isotonic => Curve::Points(isotonic::fit(samples)),
            CalibrationKind::Platt | CalibrationKind::Temperature => {
                let (slope, intercept) = logistic::fit(samples, kind == CalibrationKind::Platt);
                if slope <= 0.0 {
                    return Err(CalibrationError::Falling { slope });
                }
                Curve::Logistic { slope, intercept }
            }
        };
        let mut queries: Vec<usize> = samples.iter().map(|sample| sample.query).collect();
        queries.sort_unstable();
        queries.dedup();
        let (documents, queries) = (samples.len(), queries.len());
        Ok(Calibration {
            calibration_version: CALIBRATION_VERSION,
            kind,
            curve,
            documents,
            relevant,
            queries,
        })
    }

    /// The probability that a document with a score is relevant, as far as the judgments tell.
    pub fn probability(&self, score: f64) -> f64 {
        match &self.curve {
            Curve::Points(points) => isotonic::at(points, score),
            Curve::Logistic { slope, intercept } => logistic::sigmoid(slope * score + intercept),
        }
    }

    /// How well probabilities agree with judgments on queries from which they were not learned: the queries are parted in
    /// `folds`, and each part is measured with what the others teach. `None` when they are too few for that.
    pub fn cross_checked(kind: CalibrationKind, samples: &Samples, folds: usize) -> Option<Reliability> {
        if samples.queries < folds || folds < 2 {
            return None;
        }
        let mut predicted = Vec::with_capacity(samples.judged.len());
        for fold in 0..folds {
            let (test, train): (Vec<Sample>, Vec<Sample>) =
                samples.judged.iter().partition(|sample| sample.query % folds == fold);
            let fitted = Calibration::fit(kind, &train).ok()?;
            predicted.extend(test.iter().map(|sample| (fitted.probability(sample.score), sample.relevant)));
        }
        Some(Reliability::of(&predicted))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CalibrationError::File`].
    pub fn read(json: &str) -> Result<Calibration, CalibrationError> {
        let wrong = |problem: String| CalibrationError::File(problem);
        let found: Calibration = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
        if found.calibration_version != CALIBRATION_VERSION {
            return Err(wrong(format!("version {} is not known here", found.calibration_version)));
        }
        let rising = |points: &[[f64; 2]]| {
            let probable = points.iter().all(|[_, p]| (0.0..=1.0).contains(p));
            let rises = points.windows(2).all(|pair| pair[0][0] < pair[1][0] && pair[0][1] <= pair[1][1]);
            !points.is_empty() && probable && rises
        };
        match &found.curve {
            Curve::Points(points) if !rising(points) => {
                Err(wrong("its points do not rise from 0 to 1".into()))
            }
            Curve::Logistic { slope, intercept } if *slope <= 0.0 || !(slope + intercept).is_finite() => {
                Err(wrong(format!("its slope is {slope} and its intercept {intercept}")))
            }
            _ => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests;
