//! Joining several rankings of one query into one.
//!
//! A document that an input lacks gets 0 from it, but the z-score of that input's last document where scores are z-scores:
//! 0 would be its *mean*, and a document that was not found would stand before half of those that were. So after min-max
//! and z-scores alike it counts as the input's worst document. NaN has no place in a sum and is refused, infinite scores likewise where
//! scores are added. An input with one document, or with equal scores only, has nothing to scale: min-max gives each of its
//! documents 1; the z-score gives them 0, and −1 to those that it lacks. An empty input gives nothing to any.
//! Places are those of [`crate::order_by_score`].

use crate::{Ranking, Trace, order_by_score};
use indexmap::{IndexMap, IndexSet};

/// How scores of different systems are made comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalisation {
    /// (score − least) / (greatest − least).
    #[default]
    MinMax,
    /// (score − mean) / standard deviation (over n).
    ZScore,
    /// As they are.
    None,
}

/// How rankings are joined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Sum of weight / (k + rank), ranks from 1 (Cormack, Clarke and Büttcher, SIGIR 2009, with k = 60).
    ReciprocalRank {
        /// The constant; greater than −1.
        k: f64,
    },
    /// Weighted sum of scores: CombSUM (Fox and Shaw, TREC-2), with weights the weighted sum.
    Sum(Normalisation),
    /// That sum times the number of inputs with the document (CombMNZ, same source).
    Mnz(Normalisation),
    /// Weighted points: n − rank + 1, where n is the number of documents of all inputs together.
    Borda,
}

impl Method {
    /// Reciprocal rank fusion with k = 60.
    pub const RRF: Method = Method::ReciprocalRank { k: 60.0 };
    /// CombSUM after min-max.
    pub const COMB_SUM: Method = Method::Sum(Normalisation::MinMax);
    /// CombMNZ after min-max.
    pub const COMB_MNZ: Method = Method::Mnz(Normalisation::MinMax);
}

/// Inputs that cannot be joined.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FusionError {
    /// Weights and inputs do not pair.
    #[error("{weights} weights for {inputs} inputs; give one weight per input, or none")]
    Weights {
        /// How many weights.
        weights: usize,
        /// How many inputs.
        inputs: usize,
    },
    /// A weight or constant out of its range.
    #[error("{what} is {value}; it must be a finite number{more}")]
    Parameter {
        /// Which.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The rest of the range.
        more: &'static str,
    },
    /// A score that cannot be added.
    #[error(
        "input {input}, query `{query}`, document `{document}`: the score is {score}; remove the document, or fuse by rank"
    )]
    Score {
        /// The input, from 1.
        input: usize,
        /// The query.
        query: String,
        /// The document.
        document: String,
        /// The score.
        score: f64,
    },
    /// The same document twice in one input.
    #[error("input {input}, query `{query}`: document `{document}` stands twice; remove one")]
    Duplicate {
        /// The input, from 1.
        input: usize,
        /// The query.
        query: String,
        /// The document.
        document: String,
    },
}

/// Joins rankings of one query. Traces are added up. Without weights every input counts 1.
pub fn fuse(
    query: &str,
    rankings: &[Ranking],
    method: Method,
    weights: &[f64],
) -> Result<Ranking, FusionError> {
    let weights = checked(rankings.len(), method, weights)?;
    let inputs =
        rankings.iter().map(|r| r.entries.iter().map(|e| (e.id.clone(), e.score)).collect()).collect();
    let scored = join(query, inputs, method, &weights)?;
    let trace = rankings.iter().fold(Trace::default(), |sum, ranking| sum.then(ranking.trace.clone()));
    Ok(Ranking::from_scores(query, scored, Trace { activated: Vec::new(), ..trace }))
}

fn checked(inputs: usize, method: Method, weights: &[f64]) -> Result<Vec<f64>, FusionError> {
    if let Method::ReciprocalRank { k } = method
        && !(k.is_finite() && k > -1.0)
    {
        return Err(FusionError::Parameter { what: "k", value: k, more: " greater than -1" });
    }
    if weights.is_empty() {
        return Ok(vec![1.0; inputs]);
    }
    if weights.len() != inputs {
        return Err(FusionError::Weights { weights: weights.len(), inputs });
    }
    match weights.iter().find(|weight| !weight.is_finite()) {
        Some(&value) => Err(FusionError::Parameter { what: "a weight", value, more: "" }),
        None => Ok(weights.to_vec()),
    }
}

fn join(
    query: &str,
    inputs: Vec<Vec<(String, f64)>>,
    method: Method,
    weights: &[f64],
) -> Result<IndexMap<String, f64>, FusionError> {
    let by_score = matches!(method, Method::Sum(_) | Method::Mnz(_));
    for (input, entries) in inputs.iter().enumerate() {
        let mut seen = IndexSet::new();
        for (document, score) in entries {
            let (input, query, document, score) = (input + 1, query.to_string(), document.clone(), *score);
            if score.is_nan() || (by_score && score.is_infinite()) {
                return Err(FusionError::Score { input, query, document, score });
            }
            if !seen.insert(document.clone()) {
                return Err(FusionError::Duplicate { input, query, document });
            }
        }
    }
    let all =
        inputs.iter().flatten().map(|(document, _)| document.as_str()).collect::<IndexSet<_>>().len() as f64;
    // What each input gives to a document that it lacks, until the input turns out to have it.
    let lacking: Vec<f64> =
        inputs.iter().zip(weights).map(|(entries, weight)| weight * lacking(entries, method)).collect();
    let mut parts: IndexMap<String, (Vec<f64>, f64)> = IndexMap::new();
    for (input, (mut entries, weight)) in inputs.into_iter().zip(weights).enumerate() {
        entries.sort_by(|a, b| order_by_score((&a.0, a.1), (&b.0, b.1)));
        let scale = scale(&entries, method);
        for (place, (document, score)) in entries.into_iter().enumerate() {
            let rank = place as f64 + 1.0;
            let part = match method {
                Method::ReciprocalRank { k } => 1.0 / (k + rank),
                Method::Borda => all - rank + 1.0,
                Method::Sum(_) | Method::Mnz(_) => scale(score),
            };
            let (of_inputs, count) = parts.entry(document).or_insert_with(|| (lacking.clone(), 0.0));
            of_inputs[input] = weight * part;
            *count += 1.0;
        }
    }
    let times = |count: f64| if matches!(method, Method::Mnz(_)) { count } else { 1.0 };
    let sum = |(of_inputs, count): (Vec<f64>, f64)| of_inputs.iter().sum::<f64>() * times(count);
    Ok(parts.into_iter().map(|(document, parts)| (document, sum(parts))).collect())
}

/// What an input gives to a document that it lacks.
fn lacking(entries: &[(String, f64)], method: Method) -> f64 {
    if !matches!(method, Method::Sum(Normalisation::ZScore) | Method::Mnz(Normalisation::ZScore)) {
        return 0.0;
    }
    let scores = || entries.iter().map(|(_, score)| *score);
    match (scores().reduce(f64::min), scores().reduce(f64::max)) {
        (Some(least), Some(most)) if least < most => scale(entries, method)(least),
        (Some(_), _) => -1.0,
        _ => 0.0,
    }
}

fn scale(entries: &[(String, f64)], method: Method) -> impl Fn(f64) -> f64 + use<> {
    let kind = match method {
        Method::Sum(kind) | Method::Mnz(kind) => kind,
        _ => Normalisation::None,
    };
    let scores = || entries.iter().map(|(_, score)| *score);
    let (least, most) = (scores().fold(f64::INFINITY, f64::min), scores().fold(f64::NEG_INFINITY, f64::max));
    // Halved, so that the span of the largest doubles is still a number.
    let span = most / 2.0 - least / 2.0;
    let n = entries.len().max(1) as f64;
    let mean = scores().map(|score| score / n).sum::<f64>();
    // In units of the span, so that squares neither overflow nor vanish.
    let deviation = (scores().map(|s| ((s / 2.0 - mean / 2.0) / span).powi(2)).sum::<f64>() / n).sqrt();
    move |score| match kind {
        Normalisation::None => score,
        Normalisation::MinMax if least == most => 1.0,
        Normalisation::MinMax => (score / 2.0 - least / 2.0) / span,
        Normalisation::ZScore if least == most => 0.0,
        Normalisation::ZScore => (score / 2.0 - mean / 2.0) / span / deviation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(scored: &[(&str, f64)]) -> Ranking {
        Ranking::from_scores("q", scored.iter().map(|(id, s)| (id.to_string(), *s)), Trace::default())
    }

    fn fused(method: Method, weights: &[f64]) -> Vec<(String, f64)> {
        let inputs = [ranking(&[("a", 4.0), ("b", 2.0), ("c", 0.0)]), ranking(&[("b", -1.0), ("d", -3.0)])];
        let joined = fuse("q", &inputs, method, weights).unwrap();
        joined.entries.into_iter().map(|e| (e.id, e.score)).collect()
    }

    fn same(found: Vec<(String, f64)>, wanted: &[(&str, f64)]) {
        assert_eq!(found.len(), wanted.len());
        for ((id, score), (wanted_id, wanted_score)) in found.iter().zip(wanted) {
            assert_eq!(id, wanted_id);
            assert!((score - wanted_score).abs() < 1e-12, "{id}: {score} instead of {wanted_score}");
        }
    }

    #[test]
    fn methods_agree_with_sums_made_by_hand() {
        let rrf = [("b", 1.0 / 62.0 + 1.0 / 61.0), ("a", 1.0 / 61.0), ("d", 1.0 / 62.0), ("c", 1.0 / 63.0)];
        same(fused(Method::RRF, &[]), &rrf);
        // Min-max: a 1, b .5, c 0 and b 1, d 0.
        same(fused(Method::COMB_SUM, &[]), &[("b", 1.5), ("a", 1.0), ("d", 0.0), ("c", 0.0)]);
        same(fused(Method::COMB_SUM, &[2.0, 0.5]), &[("a", 2.0), ("b", 1.5), ("d", 0.0), ("c", 0.0)]);
        same(fused(Method::COMB_MNZ, &[]), &[("b", 3.0), ("a", 1.0), ("d", 0.0), ("c", 0.0)]);
        // z: mean 2, deviation √(8/3); and mean −2, deviation 1.
        let z = 2.0 / (8.0f64 / 3.0).sqrt();
        // The first lacks d (−z, as its last one), the second a and c (−1, likewise).
        let wanted = [("b", 1.0), ("a", z - 1.0), ("d", -1.0 - z), ("c", -z - 1.0)];
        same(fused(Method::Sum(Normalisation::ZScore), &[]), &wanted);
        // Four documents in all: a 4, b 3, c 2 and b 4, d 3.
        same(fused(Method::Borda, &[]), &[("b", 7.0), ("a", 4.0), ("d", 3.0), ("c", 2.0)]);
    }

    #[test]
    fn degenerate_inputs_do_as_the_module_says() {
        let one = |scored: &[(&str, f64)], method| fuse("q", &[ranking(scored)], method, &[]);
        let flat = [("a", 3.0), ("b", 3.0)];
        assert!(one(&flat, Method::COMB_SUM).unwrap().entries.iter().all(|e| e.score == 1.0));
        assert!(
            one(&flat, Method::Sum(Normalisation::ZScore)).unwrap().entries.iter().all(|e| e.score == 0.0)
        );
        // The only document that an input found stands before those that it did not find.
        let found = [ranking(&[("a", 3.0)]), ranking(&[("b", 2.0), ("a", 0.0)])];
        let joined = fuse("q", &found, Method::Sum(Normalisation::ZScore), &[]).unwrap();
        assert_eq!(joined.entries.iter().map(|e| e.score).collect::<Vec<_>>(), [0.0, -1.0]);
        assert_eq!(one(&[("a", -7.0)], Method::COMB_SUM).unwrap().entries[0].score, 1.0);
        assert!(matches!(one(&[("a", f64::NAN)], Method::RRF), Err(FusionError::Score { input: 1, .. })));
        assert!(one(&[("a", f64::INFINITY)], Method::RRF).is_ok());
        assert!(matches!(one(&[("a", f64::INFINITY)], Method::COMB_SUM), Err(FusionError::Score { .. })));
        let wide = one(&[("a", f64::MAX), ("b", f64::MIN)], Method::COMB_SUM).unwrap();
        assert_eq!((wide.entries[0].score, wide.entries[1].score), (1.0, 0.0));
        assert!(fuse("q", &[], Method::RRF, &[]).unwrap().entries.is_empty());
        assert!(matches!(fuse("q", &[], Method::RRF, &[1.0]), Err(FusionError::Weights { .. })));
        assert!(matches!(
            fuse("q", &[], Method::ReciprocalRank { k: -1.0 }, &[]),
            Err(FusionError::Parameter { .. })
        ));
    }
}
