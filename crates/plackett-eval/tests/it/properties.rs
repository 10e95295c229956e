//! What holds for every measure on every input.

use plackett_core::{Qrels, Run};
use plackett_eval::measure::{CutoffKind, MEASURES, Needs, Range, parse_list};
use plackett_eval::{Evaluator, IntervalOptions, Measure, Policy, TieRule};
use proptest::prelude::*;

/// Every measure of the registry, at a cut-off where it takes one and without where it may.
fn every_measure() -> Vec<Measure> {
    let mut spellings: Vec<String> =
        vec!["nDCG(gains='exp')@4".into(), "RBP(rel=2)".into(), "AP(rel=2)".into()];
    for measure in MEASURES.iter().filter(|measure| measure.needs != Needs::Preferences) {
        match measure.cutoff {
            CutoffKind::None => spellings.push(measure.name.into()),
            CutoffKind::Rank => spellings.push(format!("{}@3", measure.name)),
            CutoffKind::OptionalRank => {
                spellings.extend([measure.name.into(), format!("{}@3", measure.name)])
            }
            CutoffKind::Recall | CutoffKind::Multiple => spellings.push(format!("{}@0.4", measure.name)),
        }
    }
    spellings.iter().map(|spelling| spelling.parse().unwrap()).collect()
}

type Lines = Vec<(u8, u8, f64)>;

/// Judgments of up to 4 queries over 12 documents with subtopics, grades −2…4.
fn judgments() -> impl Strategy<Value = Vec<(u8, u8, u8, i32)>> {
    prop::collection::btree_map((0_u8..4, 0_u8..12, 0_u8..3), -2_i32..5, 1..40)
        .prop_map(|map| map.into_iter().map(|((q, d, s), grade)| (q, d, s, grade)).collect())
}

/// A run over the same, with coarse scores so that many tie.
fn lines() -> impl Strategy<Value = Lines> {
    prop::collection::btree_map(
        (0_u8..4, 0_u8..14),
        prop_oneof![(0_i32..5).prop_map(f64::from), Just(f64::NAN)],
        1..50,
    )
    .prop_map(|map| map.into_iter().map(|((q, d), score)| (q, d, score)).collect())
}

fn qrels(judgments: &[(u8, u8, u8, i32)]) -> Qrels {
    let mut qrels = Qrels::new();
    for (query, document, subtopic, grade) in judgments {
        let document = format!("d{document}");
        qrels.query_mut(&format!("q{query}")).push(&subtopic.to_string(), &document, *grade).unwrap();
    }
    qrels
}

fn run(lines: &Lines) -> Run {
    let mut run = Run::new("r");
    for (query, document, score) in lines {
        run.query_mut(&format!("q{query}")).push(&format!("d{document}"), *score).unwrap();
    }
    run
}

fn evaluator(policy: Policy) -> Evaluator {
    let intervals = IntervalOptions { resamples: 200, ..IntervalOptions::default() };
    Evaluator { measures: every_measure(), policy, intervals }
}

proptest! {
    #[test]
    fn values_lie_in_their_range(judgments in judgments(), lines in lines()) {
        let Ok(found) = evaluator(Policy::default()).evaluate(&qrels(&judgments), &run(&lines)) else {
            return Ok(());
        };
        for measured in &found.measures {
            for value in &measured.values {
                prop_assert!(value.is_finite(), "{}: {value}", measured.measure);
                match measured.measure.declaration().range {
                    Range::Unit => prop_assert!(
                        (0.0..=1.0 + 1e-12).contains(value), "{}: {value}", measured.measure
                    ),
                    Range::Count => prop_assert!(
                        *value >= 0.0 && value.fract() == 0.0, "{}: {value}", measured.measure
                    ),
                    Range::Any => {}
                }
            }
            let is_unit = measured.measure.declaration().range == Range::Unit;
            if let (Some([low, high]), true) = (measured.intervals.bootstrap, is_unit) {
                prop_assert!(low <= high && low >= -1e-12 && high <= 1.0 + 1e-12, "{}", measured.measure);
            }
        }
    }

    #[test]
    fn the_order_of_lines_does_not_matter(
        judgments in judgments(),
        (lines, shuffled) in lines().prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle())),
    ) {
        for ties in [TieRule::DocnoDesc, TieRule::DocnoAsc] {
            let evaluator = evaluator(Policy { ties, ..Policy::default() });
            let qrels = qrels(&judgments);
            match (evaluator.evaluate(&qrels, &run(&lines)), evaluator.evaluate(&qrels, &run(&shuffled))) {
                (Ok(a), Ok(b)) => for (a, b) in a.measures.iter().zip(&b.measures) {
                    prop_assert_eq!(&a.values, &b.values, "{}", a.measure);
                    prop_assert_eq!(a.intervals, b.intervals);
                },
                (a, b) => prop_assert!(a.is_err() && b.is_err()),
            }
        }
    }

    #[test]
    fn threads_do_not_matter(judgments in judgments(), lines in lines()) {
        let found = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluator(Policy::default()).evaluate(&qrels(&judgments), &run(&lines)))
        };
        if let (Ok(a), Ok(b)) = (found(1), found(4)) {
            for (a, b) in a.measures.iter().zip(&b.measures) {
                prop_assert_eq!((&a.values, a.mean, a.intervals), (&b.values, b.mean, b.intervals));
            }
        }
    }

    #[test]
    fn the_ideal_order_is_perfect(judgments in judgments()) {
        // Scores that are the grades themselves; one subtopic, so that grades are unambiguous.
        let plain: Vec<_> = judgments.iter().filter(|j| j.2 == 0).copied().collect();
        let lines: Lines = plain.iter().map(|&(q, d, _, grade)| (q, d, f64::from(grade))).collect();
        let found = evaluator(Policy::default()).evaluate(&qrels(&plain), &run(&lines));
        let Ok(found) = found else { return Ok(()) };
        for name in ["nDCG", "nDCG@3", "AP", "RR", "Rprec", "Bpref", "Compat", "nDCG(gains='exp')@4"] {
            let measured = found.measured(&name.parse().unwrap()).unwrap();
            let relevant = found.measured(&"NumRel".parse().unwrap()).unwrap();
            for (value, relevant) in measured.values.iter().zip(&relevant.values) {
                let expected = if *relevant > 0.0 { 1.0 } else { 0.0 };
                prop_assert!((value - expected).abs() < 1e-12, "{name}: {value}");
            }
        }
    }

    #[test]
    fn no_spelling_panics(text in "[A-Za-z_@.,(){}=:'0-9α -]{0,40}") {
        if let Ok(measures) = parse_list(&text) {
            for measure in measures {
                prop_assert_eq!(measure.to_string().parse::<Measure>(), Ok(measure));
            }
        }
    }

    #[test]
    fn a_relevant_document_that_rises_never_hurts(
        grades in prop::collection::vec(0_i32..3, 3..10),
        place in 0_usize..8,
    ) {
        let place = place % (grades.len() - 1);
        prop_assume!(grades[place] < grades[place + 1]);
        let judgments: Vec<_> = grades.iter().enumerate().map(|(d, &grade)| (0, d as u8, 0, grade)).collect();
        let mut lines: Lines = (0..grades.len()).map(|d| (0, d as u8, -(d as f64))).collect();
        let qrels = qrels(&judgments);
        let before = evaluator(Policy::default()).evaluate(&qrels, &run(&lines)).unwrap();
        (lines[place].2, lines[place + 1].2) = (lines[place + 1].2, lines[place].2);
        let after = evaluator(Policy::default()).evaluate(&qrels, &run(&lines)).unwrap();
        for (before, after) in before.measures.iter().zip(&after.measures) {
            // Compat looks for the ideal order that is nearest, which may be another one afterwards; Accuracy@k compares
            // only pairs within the first k, and a relevant document that enters them brings pairs of its own; nDCGRel
            // looks at the ranks of relevant documents, and nDCG at a higher rank may be lower.
            if !matches!(before.measure.declaration().name, "Compat" | "Accuracy" | "nDCGRel") {
                prop_assert!(after.mean >= before.mean - 1e-12, "{}", before.measure);
            }
        }
    }
}
