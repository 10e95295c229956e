//! Queries with labelled candidates, from which candidates are scored one by one: how many without a label above 0 are kept.

use super::file::TrainingFile;
use super::kind::Source;
use crate::command::Output;
use crate::command::open::{many, many_queries};
use anyhow::bail;
use plackett_train::trainer::{RankingExample, keep_negatives, read_ranking_examples};
use std::path::Path;

/// The lists to learn from, with as many negatives as are wanted, and those that are held out.
///
/// # Errors
/// A record without candidates, or no query to learn from.
pub fn read_lists(source: &Source<'_>) -> anyhow::Result<(Vec<RankingExample>, Vec<RankingExample>)> {
    let lists = read_examples(source.examples, source.file, source.output)?;
    let held = source.validation.map(read_ranking_examples).transpose()?.unwrap_or_default();
    let without = held.iter().filter(|list| list.candidates.iter().all(|own| own.label <= 0.0)).count();
    if without > 0 {
        source.output.warn(&format!(
            "{} without a label above 0, and so without an nDCG: the loss alone is told",
            many(without, "validation list")
        ));
    }
    Ok((lists, held))
}

/// The examples, with as many negatives as are wanted.
fn read_examples(path: &Path, file: &TrainingFile, output: &Output) -> anyhow::Result<Vec<RankingExample>> {
    let mut lists = read_ranking_examples(path)?;
    let Some(negatives) = file.negatives else {
        let without = without_positive(&lists);
        if without > 0 {
            output.warn(&format!(
                "no candidate with a label above 0 in {without} of {}; label what is relevant, or leave them out",
                many_queries(lists.len())
            ));
        }
        return Ok(lists);
    };
    let without = keep_negatives(&mut lists, negatives, file.settings.seed);
    if lists.is_empty() {
        bail!(
            "{}: none of its {without} queries has a candidate with a label above 0, so that there is nothing to learn from; label \
             what is relevant, or leave `negatives` out",
            path.display()
        );
    }
    if without > 0 {
        output.warn(&format!(
            "left out, for want of a candidate with a label above 0 to learn from: {}",
            many_queries(without)
        ));
    }
    Ok(lists)
}

/// Queries of which no candidate has a label above 0 and not all have the score of a teacher in its place.
fn without_positive(lists: &[RankingExample]) -> usize {
    let is_one = |list: &&RankingExample| {
        list.candidates.iter().all(|candidate| candidate.label <= 0.0)
            && list.candidates.iter().any(|candidate| candidate.teacher.is_none())
    };
    lists.iter().filter(is_one).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::trainer::Candidate;

    #[test]
    fn queries_without_a_relevant_candidate_are_counted() {
        let one = |label: f32, teacher: Option<f32>| RankingExample {
            query: "q".into(),
            candidates: vec![Candidate { text: "a".into(), label, teacher }],
        };
        let lists = [one(1.0, None), one(0.0, None), one(0.0, Some(0.5))];
        assert_eq!(without_positive(&lists), 1);
    }
}
