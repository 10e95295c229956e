//! What `train` tells of a decoder's depths before and after a training.

use super::means::Change;
use plackett_train::trainer::{DepthMeasure, TextMeasure};
use serde_json::{Value, json};
use std::fmt::Write;

/// What is measured, and what a text weighs in its mean.
type Number = (fn(&DepthMeasure) -> f64, fn(&TextMeasure) -> f64, fn(&TextMeasure) -> f64);

const NLL: Number = (DepthMeasure::nll, |text| text.nll, |text| text.tokens as f64);
const ACCURACY: Number = (DepthMeasure::accuracy, |text| text.accuracy, |text| text.tokens as f64);
const EXACT: Number = (DepthMeasure::exact_match, |text| f64::from(u8::from(text.exact)), |_| 1.0);

/// Depths with validation examples, before and after.
fn measured(depths: &[Vec<DepthMeasure>; 2]) -> impl Iterator<Item = (&DepthMeasure, &DepthMeasure)> {
    depths[0].iter().zip(&depths[1]).filter(|(before, _)| !before.texts.is_empty())
}

/// The change of a number with its interval over texts, which may be of different lengths: the first-order expansion of a
/// quotient of sums, whose values have the change as their mean.
fn change((before, after): (&DepthMeasure, &DepthMeasure), (mean, of, weight): Number) -> Change {
    let means = (mean(before), mean(after));
    let whole: f64 = before.texts.iter().map(weight).sum();
    let share = before.texts.len() as f64 / whole.max(f64::MIN_POSITIVE);
    let difference = means.1 - means.0;
    let expanded = before.texts.iter().zip(&after.texts).map(|(was, is)| {
        let apart = of(is) - of(was) - difference;
        difference + share * weight(was) * apart
    });
    Change::new(means, &expanded.collect::<Vec<_>>())
}

/// What each depth makes of the validation examples before and after, as a table; nothing without such examples.
pub fn table(depths: &[Vec<DepthMeasure>; 2]) -> String {
    let mut table = String::new();
    for both in measured(depths) {
        if table.is_empty() {
            table.push_str(
                "\n\n| layers | −ln p of a token | accuracy | exact texts |\n| --- | --- | --- | --- |\n",
            );
        }
        let cell = |number: Number| {
            let change = change(both, number);
            let interval =
                change.ci95.map_or_else(String::new, |[low, high]| format!(" ({low:+.4} to {high:+.4})"));
            format!("{:.4} → {:.4}{interval}", change.before, change.after)
        };
        let _ =
            writeln!(table, "| {} | {} | {} | {} |", both.0.depth, cell(NLL), cell(ACCURACY), cell(EXACT));
    }
    if !table.is_empty() {
        table.push_str("\nIn brackets the 95 % interval of the change, over texts.\n");
    }
    table
}

/// The same for scripts.
pub fn told(depths: &[Vec<DepthMeasure>; 2]) -> Value {
    let depth = |both: (&DepthMeasure, &DepthMeasure)| {
        let [nll, accuracy, exact] = [NLL, ACCURACY, EXACT].map(|number| change(both, number));
        let pair = |change: &Change| [change.before, change.after];
        json!({
            "depth": both.0.depth,
            "nll": pair(&nll),
            "nll_change": nll,
            "accuracy": pair(&accuracy),
            "accuracy_change": accuracy,
            "exact_match": pair(&exact),
            "exact_match_change": exact,
        })
    };
    measured(depths).map(depth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(texts: &[(usize, f64)]) -> DepthMeasure {
        let text = |(tokens, nll): &(usize, f64)| TextMeasure {
            tokens: *tokens,
            nll: *nll,
            accuracy: 0.0,
            exact: false,
        };
        DepthMeasure { depth: 2, texts: texts.iter().map(text).collect() }
    }

    #[test]
    fn a_change_is_that_of_the_means_over_tokens() {
        let (before, after) = (depth(&[(1, 3.0), (3, 2.0)]), depth(&[(1, 2.0), (3, 1.0)]));
        // (3 + 6) / 4 and (2 + 3) / 4; both texts lose 1, so that nothing is unsure.
        let change = change((&before, &after), NLL);
        assert_eq!((change.before, change.after, change.ci95), (2.25, 1.25, Some([-1.0, -1.0])));
        let text = table(&[vec![before.clone()], vec![after.clone()]]);
        assert!(text.contains("| 2 | 2.2500 → 1.2500 (-1.0000 to -1.0000) |"), "{text}");
        let document = told(&[vec![before], vec![after]]);
        assert_eq!((&document[0]["nll"], &document[0]["nll_change"]["n"]), (&json!([2.25, 1.25]), &json!(2)));
        assert_eq!(table(&[vec![depth(&[])], vec![depth(&[])]]), "");
    }
}
