//! Correlations, tests, power and intervals against scipy (file made by `tools/golden_eval.py`).

use plackett_eval::IntervalOptions;
use plackett_eval::compare::{
    Correction, RandomisationOptions, paired_t_power, paired_t_test, randomisation_test,
    wilcoxon_signed_rank, wilcoxon_signed_rank_normal,
};
use plackett_eval::correlation::{kendall_tau_b, spearman};
use serde_json::Value;

fn golden() -> Value {
    let path = format!("{}/tests/golden/statistics.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn near(found: f64, expected: &Value, tolerance: f64, what: &str) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: no reference"));
    assert!((found - expected).abs() <= tolerance, "{what}: found {found}, scipy {expected}");
}

#[test]
fn correlations() {
    for case in golden()["correlations"].as_array().unwrap() {
        let (x, y) = (numbers(&case["x"]), numbers(&case["y"]));
        near(kendall_tau_b(&x, &y).unwrap(), &case["tau_b"], 1e-12, "tau-b");
        near(spearman(&x, &y).unwrap(), &case["spearman"], 1e-12, "spearman");
    }
}

#[test]
fn paired_tests() {
    let mut kinds = [0; 3];
    for case in golden()["paired"].as_array().unwrap() {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| ((b - a) * 1e9).round() / 1e9).collect();
        let n = differences.len();
        let t = paired_t_test(&differences).unwrap();
        near(t.statistic, &case["t"], 1e-6, "t");
        near(t.p, &case["t_p"], 1e-9, &format!("t-test of {n}"));
        if !case["wilcoxon_exact_p"].is_null() {
            let test = wilcoxon_signed_rank(&differences);
            assert!(test.exact);
            near(test.p, &case["wilcoxon_exact_p"], 1e-10, &format!("exact Wilcoxon of {n}"));
            kinds[0] += 1;
        }
        if !case["wilcoxon_normal_p"].is_null() {
            let test = wilcoxon_signed_rank_normal(&differences);
            near(test.p, &case["wilcoxon_normal_p"], 1e-9, &format!("normal Wilcoxon of {n}"));
            near(test.statistic, &case["wilcoxon_w"], 1e-9, "W");
            kinds[1] += 1;
        }
        if !case["randomisation_p"].is_null() {
            let test = randomisation_test(&differences, &RandomisationOptions::default());
            assert!(test.exact);
            near(test.p, &case["randomisation_p"], 1e-9, &format!("randomisation of {n}"));
            kinds[2] += 1;
        }
    }
    assert!(kinds.iter().all(|&count| count >= 3), "{kinds:?}");
}

#[test]
fn power_of_the_t_test() {
    for case in golden()["power"].as_array().unwrap() {
        let found =
            paired_t_power(case["n"].as_u64().unwrap() as usize, case["effect"].as_f64().unwrap(), 0.05);
        near(found, &case["power"], 1e-8, &format!("power {case}"));
    }
}

#[test]
fn benjamini_hochberg() {
    let case = &golden()["corrections"];
    let found = Correction::BenjaminiHochberg.apply(&numbers(&case["p"]));
    for (found, expected) in found.iter().zip(case["bh"].as_array().unwrap()) {
        near(*found, expected, 1e-12, "bh");
    }
}

#[test]
fn student_quantiles_through_intervals() {
    for case in golden()["student"].as_array().unwrap() {
        let (freedom, p) = (case["df"].as_u64().unwrap() as usize, case["p"].as_f64().unwrap());
        // Values ±1 around 0 (and one 0 for odd counts): the half width is t · s / √n.
        let n = freedom + 1;
        let values: Vec<f64> = (0..n)
            .map(|i| {
                if i == n / 2 && n % 2 == 1 {
                    0.0
                } else if i < n / 2 {
                    -1.0
                } else {
                    1.0
                }
            })
            .collect();
        let ones = values.iter().filter(|v| **v != 0.0).count() as f64;
        let error = (ones / (n as f64 - 1.0) / n as f64).sqrt();
        let options =
            IntervalOptions { level: 2.0 * p - 1.0, bootstrap: false, ..IntervalOptions::default() };
        let [low, high] = options.of_columns(&[values])[0].analytic.unwrap();
        let t = (high - low) / 2.0 / error;
        let expected = case["t"].as_f64().unwrap();
        assert!((t / expected - 1.0).abs() < 1e-8, "t({p}; {freedom}) = {t}, scipy {expected}");
    }
}

#[test]
fn bootstrap_intervals() {
    let case = &golden()["bootstrap"];
    let values = numbers(&case["values"]);
    for (name, bca) in [("percentile", false), ("BCa", true)] {
        let options = IntervalOptions { bca, resamples: 100_000, ..IntervalOptions::default() };
        let [low, high] = options.of_columns(std::slice::from_ref(&values))[0].bootstrap.unwrap();
        // Two samples of 100,000 and 200,000 draws agree to a few parts of ten thousand.
        near(low, &case[name][0], 1e-3, name);
        near(high, &case[name][1], 1e-3, name);
    }
}
