//! `evidence-sets`: a ranking of pages measured against sets of evidence, on an example that is made by hand.

use super::Simulation;
use plackett_eval::evidence::{evidence_precision, evidence_r_precision, evidence_recall};
use std::collections::HashSet;

const NUMBERS: [&str; 4] = ["precision1", "recall2", "recall3", "r_precision"];

/// The declaration.
pub static EVIDENCE_SETS: Simulation = Simulation {
    name: "evidence-sets",
    help: "the pages A, X, B, C ranked for a query that A and B answer together and C alone: `precision1`, `recall2` and `recall3` count a set \
           where its last page stands, and `r_precision` is that of the best set",
    version: 1,
    fields: &[],
    check: |_| Ok(()),
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run: |_| {
        let ranking = ["A", "X", "B", "C"];
        let sets = [HashSet::from(["A", "B"]), HashSet::from(["C"])];
        Ok(vec![
            evidence_precision(&ranking, &sets, 1),
            evidence_recall(&ranking, &sets, 2),
            evidence_recall(&ranking, &sets, 3),
            evidence_r_precision(&ranking, &sets),
        ])
    },
};
