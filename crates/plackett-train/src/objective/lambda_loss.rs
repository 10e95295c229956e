//! The LambdaLoss framework: pairwise logistic losses whose weights bound a measure.

use super::gains::{CUTOFF, GAIN, Gains, discount};
use super::lists::all_pairs;
use super::{Group, Input, List, ObjectiveSpec, Problem, on_lists};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// LambdaRank and its relatives.
pub const LAMBDA_LOSS: ObjectiveSpec = ObjectiveSpec {
    name: "lambda-loss",
    aliases: &["lambdaloss", "lambdarank"],
    group: Group::Listwise,
    summary: "A logistic loss of pairs, each with the weight of what its exchange is worth at the places that the scores give now; weights have no gradient.",
    formula: "Σ w_ij log2(1 + e^−σ(s_i − s_j)) over pairs with y_i > y_j (over all pairs for ndcg-loss1 and arp-loss1)",
    source: "Burges, From RankNet to LambdaRank to LambdaMART, 2010; Wang and others, The LambdaLoss Framework, 2018",
    takes: &[Input::Scores, Input::Labels],
    options: &[
        OptionSpec {
            name: "weights",
            kind: OptionKind::Choice(&[
                "lambdarank",
                "ndcg-loss1",
                "ndcg-loss2",
                "ndcg-loss2++",
                "arp-loss1",
                "arp-loss2",
            ]),
            default: Some("lambdarank"),
            help: "|ΔG| |ΔD|; G_i D_i; |ΔG| δ_ij; |ΔG| (|ΔD| + μ δ_ij); y_i; |Δy| — with δ_ij = |D_d − D_d+1| for places that are d apart",
        },
        GAIN,
        CUTOFF,
        OptionSpec {
            name: "sigma",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "slope of the logistic loss",
        },
        OptionSpec {
            name: "mu",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("10"),
            help: "μ of ndcg-loss2++",
        },
    ],
    build: |options| {
        let scheme = Scheme {
            weights: options.choice("weights"),
            gain: options.choice("gain"),
            k: options.count("k"),
            mu: f64::from(options.number("mu") as f32),
        };
        let sigma = options.number("sigma") as f32;
        if scheme.weights.starts_with("arp") && scheme.k > 0 {
            return Err(options.problem("the average relevance position has no cut-off; leave k out"));
        }
        Ok(on_lists(move |tape, list| {
            let Some((pairs, weights)) = scheme.pairs(list)? else { return Ok(None) };
            let losses = tape.softplus(&tape.scale(&list.differences(tape, &pairs), -sigma));
            let weighted = tape.times(&losses, &tape.constant((pairs.len(), 1), &weights));
            Ok(Some(tape.scale(&tape.sum(&weighted), std::f32::consts::LOG2_E)))
        }))
    },
};

/// How pairs are weighted.
struct Scheme {
    weights: &'static str,
    gain: &'static str,
    k: usize,
    mu: f64,
}

/// Pairs and their weights.
type WeightedPairs = (Vec<(usize, usize)>, Vec<f32>);

impl Scheme {
    /// The pairs that weigh anything; `None` where none does.
    fn pairs(&self, list: &List) -> Result<Option<WeightedPairs>, Problem> {
        let arp = self.weights.starts_with("arp");
        let gains = if arp { None } else { Gains::new(list, self.gain, self.k)? };
        if arp {
            list.check_labels(|y| y >= 0.0, "labels from 0 are needed: weights cannot be negative")?;
        }
        if gains.is_none() && (!arp || list.ordered_pairs().is_empty()) {
            return Ok(None);
        }
        let places = list.places_by_score();
        let pairs = match self.weights {
            "ndcg-loss1" | "arp-loss1" => all_pairs(list.count()).collect(),
            _ => list.ordered_pairs(),
        };
        let weighted =
            pairs.into_iter().map(|(i, j)| ((i, j), self.weight(list, gains.as_ref(), &places, (i, j))));
        let weighted: WeightedPairs = weighted.filter(|(_, weight)| *weight > 0.0).unzip();
        Ok(if weighted.0.is_empty() { None } else { Some(weighted) })
    }

    fn weight(&self, list: &List, gains: Option<&Gains>, places: &[usize], (i, j): (usize, usize)) -> f32 {
        let Some(gains) = gains else {
            return if self.weights == "arp-loss1" {
                list.labels[i]
            } else {
                list.labels[i] - list.labels[j]
            };
        };
        let gap = f64::from(gains.of[i] - gains.of[j]).abs();
        let (at_i, at_j) = (places[i], places[j]);
        let discounts = (discount(at_i, gains.cutoff) - discount(at_j, gains.cutoff)).abs();
        let apart = || {
            // Places that are d apart: |1/log2(1 + d) − 1/log2(2 + d)|; of a pair behind the cut-off nothing counts.
            let d = at_i.abs_diff(at_j);
            let counts = at_i.min(at_j) < gains.cutoff;
            if counts { discount(d - 1, usize::MAX) - discount(d, usize::MAX) } else { 0.0 }
        };
        let weight = match self.weights {
            "ndcg-loss1" => f64::from(gains.of[i]) * discount(at_i, gains.cutoff),
            "ndcg-loss2" => gap * apart(),
            "ndcg-loss2++" => gap * (discounts + self.mu * apart()),
            _ => gap * discounts,
        };
        weight as f32
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;

    // Labels (1, 0, 2) in the order of the scores: gains 1, 0, 3, places 0, 1, 2; ideal DCG 3 + 1/log2(3) = 3.630930.
    // Discounts 1, 0.630930, 0.5. Losses in bits, log2(1 + e^−d):
    // (0,1): d = 1: 0.313262 / ln 2 = 0.451941; (2,0): d = −1.5: 1.701413 / ln 2 = 2.454621;
    // (2,1): d = −0.5: 0.974077 / ln 2 = 1.405296.
    const SCORES: &[f32] = &[1.0, 0.0, -0.5];
    const LABELS: &[f32] = &[1.0, 0.0, 2.0];
    const IDEAL: f64 = 3.630930;

    fn case(options: &str) -> Case {
        Case::new(&format!("lambda-loss({options})"), &[SCORES], &[LABELS])
    }

    #[test]
    fn lambdarank_by_hand() {
        // |ΔG| |ΔD|: (0,1): 1 · 0.369070; (2,0): 2 · 0.5; (2,1): 3 · 0.130930 = 0.392789.
        let sum = 0.369070 * 0.451941 + 1.0 * 2.454621 + 0.392789 * 1.405296;
        case("").assert_value(sum / IDEAL);
        case("").assert_gradients();
        // With k = 1 places behind the first have no discount: ideal 3; ΔD = 1, 1, 0.
        let sum = 1.0 * 0.451941 + 2.0 * 2.454621;
        case("k=1").assert_value(sum / 3.0);
        // Linear gains 1, 0, 2; ideal 2 + 0.630930; (0,1): 0.369070; (2,0): 0.5; (2,1): 2 · 0.130930.
        let sum = 0.369070 * 0.451941 + 0.5 * 2.454621 + 0.261859 * 1.405296;
        case("gain=linear").assert_value(sum / 2.630930);
    }

    #[test]
    fn ndcg_losses_by_hand() {
        // δ for one place apart: 1 − 0.630930 = 0.369070, for two: 0.630930 − 0.5 = 0.130930.
        let loss2 = 0.369070 * 0.451941 + 2.0 * 0.130930 * 2.454621 + 3.0 * 0.369070 * 1.405296;
        case("weights=ndcg-loss2").assert_value(loss2 / IDEAL);
        case("weights=ndcg-loss2").assert_gradients();
        let lambdarank = 0.369070 * 0.451941 + 1.0 * 2.454621 + 0.392789 * 1.405296;
        case("weights=ndcg-loss2++").assert_value((lambdarank + 10.0 * loss2) / IDEAL);
        case("weights=ndcg-loss2++, mu=0").assert_value(lambdarank / IDEAL);
        // G_i D_i is 1, 0, 1.5. Pairs (0,1), (0,2) with d = 1, 1.5 (0.201413 / ln 2 = 0.290578), (2,0), (2,1).
        let loss1 = 0.451941 + 0.290578 + 1.5 * (2.454621 + 1.405296);
        case("weights=ndcg-loss1").assert_value(loss1 / IDEAL);
        case("weights=ndcg-loss1").assert_gradients();
    }

    #[test]
    fn average_relevance_position_by_hand() {
        // |Δy|: 1, 1, 2.
        case("weights=arp-loss2").assert_value(0.451941 + 2.454621 + 2.0 * 1.405296);
        // y_i over all pairs: 1 · (0.451941 + 0.290578) + 2 · (2.454621 + 1.405296).
        case("weights=arp-loss1").assert_value(0.742519 + 2.0 * 3.859917);
        case("weights=arp-loss2").assert_gradients();
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let negative =
            Case::new("lambda-loss", &[&[1.0, 0.0]], &[&[-1.0, 2.0]]).loss().unwrap_err().to_string();
        assert!(negative.contains("label 0 of list 0 is -1; grades from 0 to 64"), "{negative}");
        let cutoff = super::super::parse("lambda-loss(weights=arp-loss1, k=3)").unwrap_err().to_string();
        assert!(cutoff.contains("leave k out"), "{cutoff}");
        assert_eq!(Case::new("lambda-loss", &[&[1.0, 0.0]], &[&[0.0, 0.0]]).loss().unwrap().2, 1);
    }
}
