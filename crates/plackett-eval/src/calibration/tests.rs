use super::*;
use proptest::prelude::*;

fn samples(pairs: &[(f64, u8)]) -> Vec<Sample> {
    let one = |(query, (score, relevant)): (usize, &(f64, u8))| Sample {
        score: *score,
        relevant: *relevant == 1,
        query,
    };
    pairs.iter().enumerate().map(one).collect()
}

#[test]
fn violators_are_pooled_as_by_hand() {
    // 1 is not relevant, 2 is, 3 is not: 2 and 3 share one half; 4, twice, has one half, which joins them; 5 is relevant.
    let all = samples(&[(1.0, 0), (2.0, 1), (3.0, 0), (4.0, 1), (4.0, 0), (5.0, 1)]);
    let fitted = Calibration::fit(CalibrationKind::Isotonic, &all).unwrap();
    for (score, probability) in
        [(-9.0, 0.0), (1.0, 0.0), (1.5, 0.25), (2.0, 0.5), (3.3, 0.5), (4.0, 0.5), (4.5, 0.75), (9.0, 1.0)]
    {
        assert_eq!(fitted.probability(score), probability, "{score}");
    }
    assert_eq!((fitted.documents, fitted.relevant, fitted.queries), (6, 3, 6));
}

#[test]
fn a_falling_run_is_flat_or_refused() {
    let all = samples(&[(1.0, 1), (2.0, 1), (3.0, 0), (4.0, 0)]);
    let flat = Calibration::fit(CalibrationKind::Isotonic, &all).unwrap();
    assert!([0.0, 2.5, 9.0].iter().all(|score| flat.probability(*score) == 0.5));
    let falling = Calibration::fit(CalibrationKind::Platt, &all);
    assert!(matches!(falling, Err(CalibrationError::Falling { .. })));
}

#[test]
fn logistic_curves_are_at_their_best() {
    let all = samples(&[(-2.0, 0), (-1.0, 0), (-0.5, 1), (0.0, 0), (0.5, 1), (1.0, 0), (2.0, 1), (3.0, 1)]);
    // Platt's targets with 4 relevant of 8.
    let target = |sample: &Sample| if sample.relevant { 5.0 / 6.0 } else { 1.0 / 6.0 };
    let loss = |slope: f64, intercept: f64| {
        let one = |sample: &Sample| {
            let p = logistic::sigmoid(slope * sample.score + intercept);
            -(target(sample) * p.ln() + (1.0 - target(sample)) * (1.0 - p).ln())
        };
        all.iter().map(one).sum::<f64>()
    };
    for placed in [true, false] {
        let (slope, intercept) = logistic::fit(&all, placed);
        let best = loss(slope, intercept);
        for (da, db) in [(1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3)] {
            if placed || db == 0.0 {
                assert!(loss(slope + da, intercept + db) > best, "{placed} {da} {db}");
            }
        }
        assert!(slope > 0.0 && (placed || intercept == 0.0));
    }
    // Any unit of scores gives the same probabilities.
    let scaled: Vec<Sample> = all.iter().map(|s| Sample { score: s.score * 1e4 + 7e4, ..*s }).collect();
    let (fitted, other) = (
        Calibration::fit(CalibrationKind::Platt, &all).unwrap(),
        Calibration::fit(CalibrationKind::Platt, &scaled).unwrap(),
    );
    assert!((fitted.probability(0.7) - other.probability(0.7 * 1e4 + 7e4)).abs() < 1e-6);
}

#[test]
fn judgments_that_a_threshold_parts_have_a_curve() {
    let all = samples(&[(1.0, 0), (2.0, 0), (3.0, 1), (4.0, 1)]);
    for (_, kind) in CalibrationKind::ALL {
        let fitted = Calibration::fit(kind, &all).unwrap();
        let (low, high) = (fitted.probability(1.0), fitted.probability(4.0));
        assert!(low < high && low.is_finite() && high.is_finite(), "{kind}: {low} {high}");
    }
}

#[test]
fn one_kind_of_judgment_teaches_nothing() {
    for all in [samples(&[(1.0, 1), (2.0, 1)]), samples(&[(1.0, 0)]), Vec::new()] {
        assert!(matches!(
            Calibration::fit(CalibrationKind::Isotonic, &all),
            Err(CalibrationError::OneSided { .. })
        ));
    }
}

#[test]
fn only_judged_documents_count() {
    let mut qrels = Qrels::new();
    qrels.query_mut("a").push("0", "x", 2).unwrap();
    qrels.query_mut("a").push("0", "y", 1).unwrap();
    let mut run = Run::new("r");
    for (query, document, score) in [("a", "x", 3.0), ("a", "y", 2.0), ("a", "z", 1.0), ("b", "x", 1.0)] {
        run.query_mut(query).push(document, score).unwrap();
    }
    let found = Samples::of(&run, &qrels, 2).unwrap();
    assert_eq!((found.unjudged, found.queries), (2, 1));
    let relevant: Vec<bool> = found.judged.iter().map(|sample| sample.relevant).collect();
    assert_eq!(relevant, [true, false]);
    run.query_mut("a").push("y", f64::NAN).unwrap();
    assert!(matches!(Samples::of(&run, &qrels, 2), Err(CalibrationError::NotFinite { .. })));
}

#[test]
fn reliability_is_as_by_hand() {
    let found = Reliability::of(&[(0.05, false), (0.05, false), (0.95, true), (0.95, false)]);
    assert!((found.brier - (3.0 * 0.0025 + 0.9025) / 4.0).abs() < 1e-12, "{found:?}");
    assert_eq!(found.brier_of_share, 0.1875);
    assert!((found.calibration_error - (2.0 * 0.05 + 2.0 * 0.45) / 4.0).abs() < 1e-12);
    assert_eq!((found.bins[0].documents, found.bins[9].observed), (2, 0.5));
}

#[test]
fn files_are_checked() {
    let all = samples(&[(1.0, 0), (2.0, 1), (3.0, 0), (4.0, 1)]);
    for (_, kind) in CalibrationKind::ALL {
        let fitted = Calibration::fit(kind, &all).unwrap();
        let text = serde_json::to_string(&fitted).unwrap();
        assert_eq!(Calibration::read(&text).unwrap(), fitted);
        assert!(
            Calibration::read(&text.replace("\"calibration_version\":1", "\"calibration_version\":7"))
                .is_err()
        );
    }
    let points = |points: &str| {
        let rest =
            "\"calibration_version\":1,\"kind\":\"isotonic\",\"documents\":1,\"relevant\":1,\"queries\":1";
        Calibration::read(&format!("{{{rest},\"curve\":{{\"points\":{points}}}}}"))
    };
    assert!(points("[[0, 0.1], [1, 0.2]]").is_ok());
    for wrong in ["[]", "[[0, 0.3], [1, 0.2]]", "[[1, 0.1], [0, 0.2]]", "[[0, 2]]"] {
        assert!(points(wrong).unwrap_err().to_string().contains("do not rise"), "{wrong}");
    }
    assert!(Calibration::read("nonsense").is_err());
}

proptest! {
    #[test]
    fn probabilities_rise_with_scores(pairs in proptest::collection::vec((-5i32..5, 0u8..2), 2..40), at in -60i32..60) {
        let pairs: Vec<(f64, u8)> = pairs.into_iter().map(|(score, relevant)| (f64::from(score), relevant)).collect();
        let all = samples(&pairs);
        for (_, kind) in CalibrationKind::ALL {
            if let Ok(fitted) = Calibration::fit(kind, &all) {
                let (low, high) = (fitted.probability(f64::from(at) / 10.0), fitted.probability(f64::from(at) / 10.0 + 0.3));
                prop_assert!((0.0..=1.0).contains(&low) && low <= high + 1e-12 && high <= 1.0, "{} {}", low, high);
            }
        }
        if let Ok(fitted) = Calibration::fit(CalibrationKind::Isotonic, &all) {
            // Pooling keeps the sum: probabilities of all documents are as many as are relevant.
            let sum: f64 = all.iter().map(|sample| fitted.probability(sample.score)).sum();
            prop_assert!((sum - fitted.relevant as f64).abs() < 1e-9);
        }
    }
}
