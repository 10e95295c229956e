//! The scores of a stage as those of a teacher.

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::running::inputs::rankings_of;
use crate::recipe::task::Task;
use crate::teacher_labels::TaughtScores;
use plackett_core::Ranking;
use std::collections::HashMap;

/// The teacher.
pub const TEACHER: FieldSpec = FieldSpec::new(
    "teacher",
    FieldKind::Stage(&[OutputKind::Rankings]),
    Default::Absent,
    "a stage whose scores of the same candidates are the teacher's, for objectives of distillation",
);

/// What its scores are multiplied with.
pub const TEACHER_SCALE: FieldSpec = FieldSpec::new(
    "teacher_scale",
    FieldKind::Number(1e-6, 1e6),
    Default::Absent,
    "what the teacher's scores are multiplied with, as 10 for cosines; 1, where it is not said",
);

/// Scores by query and document.
pub struct TeacherScores {
    stage: String,
    scores: HashMap<String, TaughtScores>,
}

impl TeacherScores {
    /// As the fields [`TEACHER`] and [`TEACHER_SCALE`] say; `None` without a teacher.
    ///
    /// # Errors
    /// Its rankings cannot be read, or a scale stands without a teacher.
    pub fn of(task: &Task<'_>) -> Result<Option<TeacherScores>, StageError> {
        let scale = task.values.number("teacher_scale");
        let Some(stage) = task.values.text("teacher") else {
            return match scale {
                None => Ok(None),
                Some(_) => Err(StageError::Field {
                    field: "teacher_scale",
                    problem: "there is no `teacher` whose scores it would change; leave it out".into(),
                }),
            };
        };
        Ok(Some(TeacherScores::new(stage, &rankings_of(task, stage)?, scale.unwrap_or(1.0))))
    }

    fn new(stage: &str, rankings: &[Ranking], scale: f64) -> TeacherScores {
        let of = |ranking: &Ranking| (ranking.query_id.clone(), TaughtScores::of(ranking, scale));
        TeacherScores { stage: stage.into(), scores: rankings.iter().map(of).collect() }
    }

    /// The score of a document.
    ///
    /// # Errors
    /// The teacher has not scored it, or its score is no number.
    pub fn score(&self, query: &str, document: &str) -> Result<f32, StageError> {
        let found = self.scores.get(query).and_then(|scores| scores.get(document));
        found.ok_or_else(|| StageError::Field {
            field: "teacher",
            problem: format!(
                "`{}` has no score of the document `{document}` for the query `{query}`; it has to rank all candidates of `data`",
                self.stage
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::Trace;

    #[test]
    fn scores_are_scaled_and_a_missing_one_is_named() {
        let scored = [("a".to_string(), 0.25), ("b".to_string(), f64::NAN)];
        let ranking = Ranking::from_scores("q", scored, Trace::default());
        let teacher = TeacherScores::new("cosines", &[ranking], 10.0);
        assert_eq!(teacher.score("q", "a").unwrap(), 2.5);
        for (query, document) in [("q", "b"), ("q", "c"), ("r", "a")] {
            let error = teacher.score(query, document).unwrap_err().to_string();
            assert!(error.contains("`cosines` has no score") && error.contains(document), "{error}");
        }
    }
}
