//! Writing down what a model gives.

use super::{Case, Given, Golden, GoldenError, Kind, Subject};

/// Next tokens that are written down for each text.
const NEXT: usize = 20;

/// What a model gives for some texts; where it scores pairs, of each text with the one after it. `done` is called after
/// each.
///
/// # Errors
/// The model gives nothing that can be compared, refuses a text, or gives what is no number.
pub fn record(subject: &Subject, texts: &[String], done: &dyn Fn()) -> Result<Golden, GoldenError> {
    let kind = subject.kind()?;
    let after = texts.iter().cycle().skip(1);
    let cases = texts.iter().zip(after).enumerate().map(|(index, (text, after))| {
        let document = (kind == Kind::PairScores).then(|| after.clone());
        let case = Case { text: text.clone(), document, ..Case::default() };
        let given = subject
            .give(&case)
            .map_err(|source| GoldenError::Case { case: index + 1, source: source.into() })?;
        done();
        let case = match given {
            Given::Vector(vector) => Case { vector: Some(vector), ..case },
            Given::Score(score) => Case { score: Some(score), ..case },
            Given::Next(ids, logits) => {
                let next = largest(&logits, NEXT);
                let logits = next.iter().map(|id| logits[*id as usize]).collect();
                Case { ids, next: Some(next), logits: Some(logits), ..case }
            }
        };
        if case.is_finite() { Ok(case) } else { Err(GoldenError::NotANumber { case: index + 1 }) }
    });
    let cases = cases.collect::<Result<Vec<Case>, GoldenError>>()?;
    let made_by = format!("plackett {}, {} weights", env!("CARGO_PKG_VERSION"), subject.precision());
    let golden = Golden::new(made_by, kind, cases);
    golden.enough_for(subject)?;
    Ok(golden)
}

/// Ids of the largest logits, largest first, the smaller id first among equals.
pub(super) fn largest(logits: &[f32], count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
    order.truncate(count);
    order
}
