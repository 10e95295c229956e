//! Positives against the other documents of a batch.

use super::error::{DIVERGED, check_finite, check_length};
use super::{Batch, Group, Input, Loss, ObjectiveSpec, Problem, Similarities};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};
use std::ops::Range;

/// InfoNCE.
pub const INFO_NCE: ObjectiveSpec = ObjectiveSpec {
    name: "info-nce",
    aliases: &["infonce", "multiple-negatives-ranking"],
    group: Group::Contrastive,
    summary: "Picks each positive document out among the negatives of its query: those mined for it, those of the other queries of the batch, or both.",
    formula: "mean over queries of the mean over positives p of −ln( e^(s_p/τ) / (e^(s_p/τ) + Σ_{negatives} e^(s_n/τ)) )",
    source: "van den Oord, Li and Vinyals, Representation Learning with Contrastive Predictive Coding, 2018, equation 4; E2Rank, 2025 (temperature 0.03)",
    takes: &[Input::Similarities, Input::Positives],
    options: &[
        OptionSpec {
            name: "temperature",
            kind: OptionKind::Positive,
            default: Some("0.05"),
            help: "number that similarities are divided by",
        },
        OptionSpec {
            name: "negatives",
            kind: OptionKind::Choice(&["all", "in-batch", "mined"]),
            default: Some("all"),
            help: "documents of other queries, those mined for the query itself, or both",
        },
        OptionSpec {
            name: "symmetric",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "also picks out the query of each positive document among the queries, and takes the mean of both",
        },
    ],
    build: |options| {
        let (temperature, negatives) = (options.number("temperature") as f32, options.choice("negatives"));
        let symmetric = options.switch("symmetric");
        Ok(Box::new(move |tape: &Tape, batch: &Batch| {
            let Batch::Similarities(batch) = batch else {
                return Err(Problem::Batch {
                    expected: "similarities of queries and documents",
                    given: batch.name(),
                });
            };
            check(batch)?;
            let scores = tape.scale(batch.scores, 1.0 / temperature);
            let queries = of_queries(tape, batch, &scores, negatives)?;
            if !symmetric {
                return Ok(queries);
            }
            let documents = of_documents(tape, batch, &scores);
            let value = match documents.used {
                0 => queries.value,
                _ => tape.scale(&tape.plus(&queries.value, &documents.value), 0.5),
            };
            Ok(Loss {
                value,
                used: queries.used + documents.used,
                skipped: queries.skipped + documents.skipped,
            })
        }))
    },
};

fn check(batch: &Similarities) -> Result<(), Problem> {
    let (rows, columns) = (batch.scores.rows, batch.scores.columns);
    check_length("lists of positives", batch.positives.len(), "queries", rows)?;
    check_length("lists of excluded documents", batch.excluded.map_or(rows, <[_]>::len), "queries", rows)?;
    check_length("ranges of own documents", batch.own.map_or(rows, <[_]>::len), "queries", rows)?;
    let named = [("positive", Some(batch.positives)), ("excluded document", batch.excluded)];
    for (what, rows) in named.into_iter().filter_map(|(what, rows)| Some((what, rows?))) {
        let mut places =
            rows.iter().enumerate().flat_map(|(row, of)| of.iter().map(move |place| (row, *place)));
        if let Some((row, place)) = places.find(|(_, place)| *place >= columns) {
            return Err(Problem::Place { what, place, row, count: columns, of: "documents" });
        }
    }
    let wrong = |own: &Range<usize>| own.start > own.end || own.end > columns;
    if let Some((at, own)) = batch.own.unwrap_or_default().iter().enumerate().find(|(_, own)| wrong(own)) {
        let (start, end) = (own.start, own.end);
        return Err(Problem::Range {
            what: "the documents of query",
            at,
            start,
            end,
            count: columns,
            of: "documents",
        });
    }
    for (row, scores) in batch.scores.value.chunks(columns.max(1)).enumerate() {
        check_finite("similarity", scores, ("query", row), DIVERGED)?;
    }
    Ok(())
}

/// Whether a document is neither a positive of a query nor excluded from its negatives.
fn is_negative(batch: &Similarities, row: usize, column: usize) -> bool {
    !batch.positives[row].contains(&column) && !batch.excluded.is_some_and(|all| all[row].contains(&column))
}

fn of_queries(tape: &Tape, batch: &Similarities, scores: &Var, negatives: &str) -> Result<Loss, Problem> {
    let remedy = "say which documents each query brought along, or write negatives=all";
    let missing = Problem::Missing { input: "the documents of each query", remedy };
    let own = if negatives == "all" { None } else { Some(batch.own.ok_or(missing)?) };
    let columns = scores.columns;
    let units = batch.positives.iter().enumerate().map(|(row, positives)| {
        let wanted = |column: &usize| {
            let mined = own.is_none_or(|own| own[row].contains(column) == (negatives == "mined"));
            mined && is_negative(batch, row, *column)
        };
        let others: Vec<usize> = (0..columns).filter(wanted).map(|column| row * columns + column).collect();
        let losses: Vec<Var> = positives
            .iter()
            .filter_map(|positive| one_of(tape, scores, row * columns + positive, &others))
            .collect();
        (1.0, mean(tape, &losses))
    });
    Ok(Loss::mean(tape, &units.collect::<Vec<_>>()))
}

fn of_documents(tape: &Tape, batch: &Similarities, scores: &Var) -> Loss {
    let columns = scores.columns;
    let pairs =
        batch.positives.iter().enumerate().flat_map(|(row, of)| of.iter().map(move |column| (row, *column)));
    let units = pairs.map(|(row, column)| {
        let others = (0..scores.rows).filter(|other| *other != row && is_negative(batch, *other, column));
        let others: Vec<usize> = others.map(|other| other * columns + column).collect();
        (1.0, one_of(tape, scores, row * columns + column, &others))
    });
    Loss::mean(tape, &units.collect::<Vec<_>>())
}

/// Minus the log-probability of one place against others; `None` without others.
fn one_of(tape: &Tape, scores: &Var, place: usize, others: &[usize]) -> Option<Var> {
    if others.is_empty() {
        return None;
    }
    let places: Vec<usize> = std::iter::once(place).chain(others.iter().copied()).collect();
    let logs = tape.log_softmax(&tape.gather(scores, &places, (1, places.len())));
    Some(tape.scale(&tape.gather(&logs, &[0], (1, 1)), -1.0))
}

fn mean(tape: &Tape, losses: &[Var]) -> Option<Var> {
    if losses.is_empty() {
        return None;
    }
    Some(tape.mean(&tape.stack(&losses.iter().collect::<Vec<_>>())))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, on_tape};
    use super::super::{ObjectiveError, parse};
    use super::*;
    use crate::tape::assert_gradients;

    // Two queries; query 0 brought documents 0 (positive) and 1 (mined), query 1 documents 2 (positive) and 3.
    const SCORES: [f32; 8] = [1.0, 0.0, 0.5, -1.0, 0.0, 0.5, 2.0, 1.0];

    fn batch<'a>(scores: &'a Var, positives: &'a [Vec<usize>], own: &'a [Range<usize>]) -> Similarities<'a> {
        Similarities { scores, positives, own: Some(own), excluded: None }
    }

    fn loss(
        text: &str,
        positives: &[Vec<usize>],
        excluded: Option<&[Vec<usize>]>,
    ) -> Result<(f32, usize, usize), ObjectiveError> {
        on_tape(|tape| {
            let scores = tape.constant((2, 4), &SCORES);
            let batch = Similarities { excluded, ..batch(&scores, positives, &[0..2, 2..4]) };
            let loss = parse(text).unwrap().loss(tape, &Batch::Similarities(batch))?;
            Ok((loss.value.item(), loss.used, loss.skipped))
        })
    }

    #[test]
    fn negatives_by_hand() {
        let value = |text: &str| loss(text, &[vec![0], vec![2]], None).unwrap().0;
        // Row 0, differences to the positive −1, −0.5, −2: ln(1 + 0.367879 + 0.606531 + 0.135335) = ln 2.109745 =
        // 0.746567. Row 1: −2, −1.5, −1: ln(1 + 0.135335 + 0.223130 + 0.367879) = ln 1.726344 = 0.546006.
        assert_close("all", value("info-nce(temperature=1)"), (0.746567 + 0.546006) / 2.0);
        // Of the other query: ln(1 + 0.606531 + 0.135335) = 0.554957, ln(1 + 0.135335 + 0.223130) = 0.306356.
        assert_close(
            "in-batch",
            value("info-nce(temperature=1, negatives=in-batch)"),
            (0.554957 + 0.306356) / 2.0,
        );
        // Mined: twice ln(1 + e⁻¹).
        assert_close("mined", value("info-nce(temperature=1, negatives=mined)"), 0.313262);
        // Columns: document 0 by 1 against 0: ln(1 + e⁻¹) = 0.313262; document 2 by 2 against 0.5: ln(1 + e⁻¹·⁵) =
        // 0.201413; their mean 0.257337 with that of the rows, 0.646287.
        assert_close(
            "symmetric",
            value("info-nce(temperature=1, symmetric=true)"),
            (0.646287 + 0.257337) / 2.0,
        );
    }

    #[test]
    fn positives_and_excluded_documents_are_no_negatives() {
        // Query 0 with positives 0 and 1, document 3 excluded: ln(1 + e⁻⁰·⁵) = 0.474077 and ln(1 + e⁰·⁵) = 0.974077.
        let positives = [vec![0, 1], vec![]];
        let (value, used, skipped) =
            loss("info-nce(temperature=1)", &positives, Some(&[vec![3], vec![]])).unwrap();
        assert_close("two positives", value, 0.724077);
        assert_eq!((used, skipped), (1, 1));
    }

    #[test]
    fn gradients_are_differences() {
        for text in ["info-nce(temperature=1)", "info-nce(temperature=0.5, symmetric=true)"] {
            assert_gradients(&[((2, 4), SCORES.to_vec())], |tape, inputs| {
                let positives = [vec![0, 1], vec![2]];
                let batch = batch(&inputs[0], &positives, &[0..2, 2..4]);
                parse(text).unwrap().loss(tape, &Batch::Similarities(batch)).unwrap().value
            });
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let message = loss("info-nce", &[vec![0], vec![4]], None).unwrap_err().to_string();
        assert!(message.contains("positive 4 of row 1 does not exist: there are 4 documents"), "{message}");
        let message = loss("info-nce", &[vec![0]], None).unwrap_err().to_string();
        assert!(message.contains("1 lists of positives for 2 queries"), "{message}");
        on_tape(|tape| {
            let scores = tape.constant((1, 2), &[0.0, f32::NAN]);
            let similarities =
                Similarities { scores: &scores, positives: &[vec![0]], own: None, excluded: None };
            let loss = |text| {
                parse(text).unwrap().loss(tape, &Batch::Similarities(similarities)).unwrap_err().to_string()
            };
            assert!(loss("info-nce").contains("similarity 1 of query 0 is NaN"));
            let scores = tape.constant((1, 2), &[0.0, 1.0]);
            let similarities = Similarities { scores: &scores, ..similarities };
            let mined =
                parse("info-nce(negatives=mined)").unwrap().loss(tape, &Batch::Similarities(similarities));
            assert!(mined.unwrap_err().to_string().contains("needs the documents of each query"));
        });
    }
}
