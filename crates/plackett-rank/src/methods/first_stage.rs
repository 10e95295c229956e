//! Scores of the stage before, for methods that mix theirs with them.

use crate::model::CallError;
use crate::prompting::RankContext;
use plackett_core::fusion::{Method, Normalisation, fuse};
use plackett_core::{Ranking, Trace};

/// The scores that candidates came with.
///
/// # Errors
/// [`CallError::Argument`] for a candidate without one.
pub(super) fn scores(context: &RankContext<'_>) -> Result<Vec<f64>, CallError> {
    let score = |candidate: &plackett_core::Candidate| {
        candidate.score.ok_or_else(|| {
            let id = &candidate.document.id;
            CallError::Argument(format!(
                "fuse mixes in the scores of the first stage, and document `{id}` has none; give candidates with scores, or \
                 leave fuse out"
            ))
        })
    };
    context.request().candidates.iter().map(score).collect()
}

/// One score per candidate, normalised over the request. Equal scores become all 0 as z-scores and all 1 by min-max.
///
/// # Errors
/// [`CallError::Argument`] for a score that is no finite number.
pub(super) fn normalised(
    context: &RankContext<'_>,
    scores: &[f64],
    how: Normalisation,
) -> Result<Vec<f64>, CallError> {
    let request = context.request();
    let ids = || request.candidates.iter().map(|candidate| candidate.document.id.clone());
    let scored = Ranking::from_scores(
        request.query.id.clone(),
        ids().zip(scores.iter().copied()).collect::<Vec<_>>(),
        Trace::default(),
    );
    let scaled = fuse(&request.query.id, &[scored], Method::Sum(how), &[])
        .map_err(|error| CallError::Argument(format!("fuse: {error}")))?;
    let found: std::collections::HashMap<&str, f64> =
        scaled.entries.iter().map(|entry| (entry.id.as_str(), entry.score)).collect();
    Ok(request
        .candidates
        .iter()
        .map(|candidate| found.get(candidate.document.id.as_str()).copied().unwrap_or(0.0))
        .collect())
}

/// `(1 − weight) · n(scores) + weight · n(first stage)`, where n is `how` scores are normalised (ERank: z-scores, weight 0.2; Rank-R1:
/// min-max, weight 0.1).
///
/// # Errors
/// Those of [`scores`] and [`normalised`].
pub(super) fn fused(
    context: &RankContext<'_>,
    own: &[f64],
    weight: f64,
    how: Normalisation,
) -> Result<Vec<f64>, CallError> {
    let first = normalised(context, &scores(context)?, how)?;
    let own = normalised(context, own, how)?;
    Ok(own.iter().zip(first).map(|(own, first)| (1.0 - weight) * own + weight * first).collect())
}
