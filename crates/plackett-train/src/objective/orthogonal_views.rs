//! Keeping views of a query apart.

use super::error::{DIVERGED, check_finite};
use super::{Batch, Group, Input, Loss, ObjectiveSpec, Problem, Views};
use crate::tape::Tape;

/// MVP's orthogonality of anchors.
pub const ORTHOGONAL_VIEWS: ObjectiveSpec = ObjectiveSpec {
    name: "orthogonal-views",
    aliases: &["mvp-orthogonal"],
    group: Group::Auxiliary,
    summary: "Makes the anchor vectors of the views of a query orthogonal, whatever their lengths.",
    formula: "Σ_{k,l} (cos(a_k, a_l) − [k = l])², mean over queries",
    source: "Multi-View-guided Passage Reranking (MVP), 2025 (with a weight of 1 beside listnet)",
    takes: &[Input::Anchors],
    options: &[],
    build: |_| {
        Ok(Box::new(|tape: &Tape, batch: &Batch| {
            let Batch::Views(batch) = batch else {
                return Err(Problem::Batch { expected: "anchors of views", given: batch.name() });
            };
            check(batch)?;
            let (anchors, views) = (batch.anchors, batch.views);
            let queries = anchors.rows / views;
            if views < 2 {
                // One view is orthogonal to no other.
                return Ok(Loss { value: tape.constant((1, 1), &[0.0]), used: 0, skipped: queries });
            }
            let units = tape.over(anchors, &tape.sqrt(&tape.sum_rows(&tape.square(anchors))));
            let pairs = (0..queries).flat_map(|query| {
                let row = move |view: usize| query * views + view;
                (0..views).flat_map(move |k| (k + 1..views).map(move |l| (row(k), row(l))))
            });
            let (first, second): (Vec<usize>, Vec<usize>) = pairs.unzip();
            let width = anchors.columns;
            let side = |rows: &[usize]| {
                let places: Vec<usize> = rows.iter().flat_map(|row| row * width..(row + 1) * width).collect();
                tape.gather(&units, &places, (rows.len(), width))
            };
            let cosines = tape.sum_rows(&tape.times(&side(&first), &side(&second)));
            // Each pair stands twice in the matrix; its diagonal is 1.
            let value = tape.scale(&tape.sum(&tape.square(&cosines)), 2.0 / queries.max(1) as f32);
            Ok(Loss { value, used: queries, skipped: 0 })
        }))
    },
};

fn check(batch: &Views) -> Result<(), Problem> {
    let (rows, columns) = (batch.anchors.rows, batch.anchors.columns);
    if batch.views == 0 || !rows.is_multiple_of(batch.views) {
        let expected = format!("{} rows for each query are needed", batch.views.max(1));
        return Err(Problem::Shape { what: "anchors", rows, columns, expected });
    }
    for (row, anchor) in batch.anchors.value.chunks(columns.max(1)).enumerate() {
        let (within, at) = (row / batch.views, row % batch.views);
        check_finite("number", anchor, ("anchor", row), DIVERGED)?;
        if anchor.iter().all(|x| *x == 0.0) {
            let expected = "a direction is needed: look for units that have died".to_string();
            return Err(Problem::Value { what: "anchor", at, of: "query", within, value: 0.0, expected });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, on_tape};
    use super::super::{ObjectiveError, parse};
    use super::*;
    use crate::tape::assert_gradients;

    fn loss_of(
        shape: (usize, usize),
        views: usize,
        anchors: &[f32],
    ) -> Result<(f32, usize, usize), ObjectiveError> {
        on_tape(|tape| {
            let anchors = tape.constant(shape, anchors);
            let batch = Batch::Views(Views { anchors: &anchors, views });
            let loss = parse("orthogonal-views").unwrap().loss(tape, &batch)?;
            Ok((loss.value.item(), loss.used, loss.skipped))
        })
    }

    #[test]
    fn cosines_by_hand() {
        // (1, 0) and (3, 4): cosine 0.6, twice 0.36.
        assert_close("two", loss_of((2, 2), 2, &[1.0, 0.0, 3.0, 4.0]).unwrap().0, 0.72);
        // Orthonormal ones have 0, m equal ones m (m − 1); the mean of both queries is 3.
        let anchors =
            [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 0.5, 0.5, 0.5];
        assert_close("ends", loss_of((6, 3), 3, &anchors).unwrap().0, 3.0);
        assert_eq!(loss_of((2, 2), 1, &[1.0, 0.0, 3.0, 4.0]).unwrap(), (0.0, 0, 2));
    }

    #[test]
    fn gradients_are_differences() {
        let anchors = (0..24).map(|at| ((at * 7 + 3) % 11) as f32 / 5.0 - 1.0).collect();
        assert_gradients(&[((6, 4), anchors)], |tape, inputs| {
            let batch = Batch::Views(Views { anchors: &inputs[0], views: 3 });
            parse("orthogonal-views").unwrap().loss(tape, &batch).unwrap().value
        });
    }

    #[test]
    fn bad_input_is_refused() {
        let message = |views, anchors: &[f32]| loss_of((3, 1), views, anchors).unwrap_err().to_string();
        assert!(message(2, &[1.0, 1.0, 1.0]).contains("anchors are 3 × 1; 2 rows for each query"));
        assert!(message(0, &[1.0, 1.0, 1.0]).contains("1 rows for each query"));
        assert!(message(3, &[1.0, 0.0, 1.0]).contains("anchor 1 of query 0 is 0"));
        assert!(message(3, &[1.0, f32::NAN, 1.0]).contains("number 0 of anchor 1 is NaN"));
    }
}
