//! Two candidates of a list, of which one is better.

use super::lists::all_pairs;
use super::{Group, Input, ObjectiveSpec, on_lists, on_pairs};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// The number that scores are divided by, of several objectives.
pub(super) const TEMPERATURE: OptionSpec = OptionSpec {
    name: "temperature",
    kind: OptionKind::Positive,
    default: Some("1"),
    help: "number that scores are divided by",
};

/// RankNet.
pub const RANKNET: ObjectiveSpec = ObjectiveSpec {
    name: "ranknet",
    aliases: &["logistic"],
    group: Group::Pairwise,
    summary: "Makes the sigmoid of the difference of two scores the probability that the first candidate is better.",
    formula: "mean over pairs with y_i > y_j of ln(1 + e^−(s_i − s_j)/τ); with a soft target p over all pairs of softplus(d) − p d, d = (s_i − s_j)/τ",
    source: "Burges and others, Learning to Rank using Gradient Descent, 2005; E2Rank, 2025 (temperature 0.1); DeAR, 2025 (targets of labels and teachers)",
    takes: &[Input::Scores, Input::Labels],
    options: &[
        TEMPERATURE,
        OptionSpec {
            name: "target",
            kind: OptionKind::Choice(&["order", "labels", "teacher"]),
            default: Some("order"),
            help: "the better one wins for certain, or with the sigmoid of the difference of labels or of teacher scores",
        },
    ],
    build: |options| {
        let (temperature, target) = (options.number("temperature") as f32, options.choice("target"));
        Ok(on_lists(move |tape, list| {
            let target = match target {
                "order" => None,
                "labels" => Some(list.labels),
                _ => Some(list.teacher()?),
            };
            let pairs = match target {
                None => list.ordered_pairs(),
                Some(_) => all_pairs(list.count()).filter(|(i, j)| i < j).collect(),
            };
            if pairs.is_empty() {
                return Ok(None);
            }
            let d = tape.scale(&list.differences(tape, &pairs), 1.0 / temperature);
            let wins = |(i, j): &(usize, usize)| target.map_or(1.0, |t| 1.0 / (1.0 + (t[*j] - t[*i]).exp()));
            let wins: Vec<f32> = pairs.iter().map(wins).collect();
            let wins = tape.constant((pairs.len(), 1), &wins);
            Ok(Some(tape.mean(&tape.minus(&tape.softplus(&d), &tape.times(&wins, &d)))))
        }))
    },
};

/// The weighted RankNet of FIRST.
pub const WEIGHTED_RANKNET: ObjectiveSpec = ObjectiveSpec {
    name: "weighted-ranknet",
    aliases: &["first"],
    group: Group::Pairwise,
    summary: "RankNet whose pairs weigh more the nearer they stand to the top of the wanted order; equal labels share a rank.",
    formula: "mean over pairs with r_i < r_j of ln(1 + e^−(s_i − s_j)/τ) / (r_i + r_j), r the rank by label from 1",
    source: "Gangi Reddy and others, FIRST, 2024 (with a weight of 10 beside the language loss)",
    takes: &[Input::Scores, Input::Labels],
    options: &[TEMPERATURE],
    build: |options| {
        let temperature = options.number("temperature") as f32;
        Ok(on_lists(move |tape, list| {
            let (pairs, ranks) = (list.ordered_pairs(), list.ranks());
            if pairs.is_empty() {
                return Ok(None);
            }
            let losses = logistic(tape, &list.differences(tape, &pairs), temperature);
            let weights: Vec<f32> = pairs.iter().map(|(i, j)| 1.0 / (ranks[*i] + ranks[*j]) as f32).collect();
            Ok(Some(tape.mean(&tape.times(&losses, &tape.constant((pairs.len(), 1), &weights)))))
        }))
    },
};

/// ln(1 + e^(−d/τ)) of differences.
fn logistic(tape: &Tape, differences: &Var, temperature: f32) -> Var {
    tape.softplus(&tape.scale(differences, -1.0 / temperature))
}

/// Pairwise hinge.
pub const HINGE: ObjectiveSpec = ObjectiveSpec {
    name: "hinge",
    aliases: &["margin-ranking", "pairwise-hinge"],
    group: Group::Pairwise,
    summary: "Asks that the score of the better candidate is greater by a margin, and for no more.",
    formula: "mean over pairs with y_i > y_j of max(0, margin − (s_i − s_j))",
    source: "Herbrich, Graepel and Obermayer, Large Margin Rank Boundaries for Ordinal Regression, 2000",
    takes: &[Input::Scores, Input::Labels],
    options: &[OptionSpec {
        name: "margin",
        kind: OptionKind::Positive,
        default: Some("1"),
        help: "difference of scores from which a pair asks for nothing",
    }],
    build: |options| {
        let margin = options.number("margin") as f32;
        Ok(on_pairs(move |tape, differences| tape.relu(&tape.shift(&tape.scale(differences, -1.0), margin))))
    },
};

/// The margin by ranks of BRIO.
pub const RANK_MARGIN: ObjectiveSpec = ObjectiveSpec {
    name: "rank-margin",
    aliases: &["brio"],
    group: Group::Pairwise,
    summary: "A hinge whose margin grows with how many ranks are between two candidates; equal labels share a rank.",
    formula: "mean over pairs with r_i < r_j of max(0, margin · (r_j − r_i) − (s_i − s_j)), r the rank by label from 1",
    source: "Liu and others, BRIO: Bringing Order to Abstractive Summarization, 2022, equation 5 (margin 0.001 with log-likelihoods by length)",
    takes: &[Input::Scores, Input::Labels],
    options: &[OptionSpec {
        name: "margin",
        kind: OptionKind::Positive,
        default: Some("0.01"),
        help: "difference of scores that is asked for between neighbouring ranks",
    }],
    build: |options| {
        let margin = options.number("margin") as f32;
        Ok(on_lists(move |tape, list| {
            let (pairs, ranks) = (list.ordered_pairs(), list.ranks());
            if pairs.is_empty() {
                return Ok(None);
            }
            let margins: Vec<f32> =
                pairs.iter().map(|(i, j)| margin * (ranks[*j] - ranks[*i]) as f32).collect();
            let margins = tape.constant((pairs.len(), 1), &margins);
            let short = tape.minus(&margins, &list.differences(tape, &pairs));
            Ok(Some(tape.mean(&tape.relu(&short))))
        }))
    },
};

/// Bayesian personalised ranking.
pub const BPR: ObjectiveSpec = ObjectiveSpec {
    name: "bpr",
    aliases: &[],
    group: Group::Pairwise,
    summary: "Puts each candidate that was taken before each that was not, whatever the grades of those taken.",
    formula: "mean over pairs with y_i > 0 ≥ y_j of −ln σ(s_i − s_j)",
    source: "Rendle and others, BPR: Bayesian Personalized Ranking from Implicit Feedback, 2009, section 4.1",
    takes: &[Input::Scores, Input::Labels],
    options: &[],
    build: |_| {
        Ok(on_lists(|tape, list| {
            let taken = |(i, j): &(usize, usize)| list.labels[*i] > 0.0 && list.labels[*j] <= 0.0;
            let pairs: Vec<(usize, usize)> = all_pairs(list.count()).filter(taken).collect();
            if pairs.is_empty() {
                return Ok(None);
            }
            Ok(Some(tape.mean(&logistic(tape, &list.differences(tape, &pairs), 1.0))))
        }))
    },
};

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, assert_close};

    const SCORES: &[f32] = &[1.0, 0.0, -0.5];

    #[test]
    fn margins_grow_with_ranks() {
        // Ranks 1, 2, 3, margin 1: pairs (0,1): 1 − 1 = 0; (0,2): 2 − 1.5 = 0.5; (1,2): 1 − 0.5 = 0.5.
        let case = Case::new("rank-margin(margin=1)", &[SCORES], &[&[2.0, 1.0, 0.0]]);
        case.assert_value(1.0 / 3.0);
        // Beside the bends of the hinge.
        let scores: &[f32] = &[1.2, 0.0, -0.5];
        Case::new("rank-margin(margin=1)", &[scores], &[&[2.0, 1.0, 0.0]]).assert_gradients();
        // Of two that share rank 2 nothing is asked: pairs (0,1) and (0,2) with margin 1 have nothing left.
        Case::new("rank-margin(margin=1)", &[SCORES], &[&[2.0, 1.0, 1.0]]).assert_value(0.0);
    }

    #[test]
    fn ranknet_by_hand() {
        // Labels 2, 1, 0. Differences 1, 1.5, 0.5: ln(1 + e⁻¹) = 0.313262, ln(1 + e⁻¹·⁵) = 0.201413,
        // ln(1 + e⁻⁰·⁵) = 0.474077; mean 0.988752 / 3 = 0.329584.
        let case = |text| Case::new(text, &[SCORES], &[&[2.0, 1.0, 0.0]]);
        case("ranknet").assert_value(0.329584);
        case("ranknet").assert_gradients();
        // Differences twice as great: ln(1 + e⁻²) = 0.126928, ln(1 + e⁻³) = 0.048587, ln(1 + e⁻¹) = 0.313262.
        case("ranknet(temperature=0.5)").assert_value((0.126928 + 0.048587 + 0.313262) / 3.0);
        // Sixteen equal scores: 120 pairs of ln 2 (E2Rank).
        let labels: Vec<f32> = (0..16).map(|at| at as f32).collect();
        Case::new("ranknet(temperature=0.1)", &[&[0.3; 16]], &[&labels]).assert_value(std::f64::consts::LN_2);
    }

    #[test]
    fn soft_targets_are_met_where_differences_are_equal() {
        // DeAR with labels: at s₀ = s₁ + 1 the target is σ(1) = 0.731059; the loss is its entropy, and has no slope:
        // softplus(1) − 0.731059 = 1.313262 − 0.731059 = 0.582203.
        let at = |score: f32| Case::new("ranknet(target=labels)", &[&[score, 0.0]], &[&[1.0, 0.0]]).value();
        assert_close("entropy", at(1.0), 0.582203);
        assert!(at(1.2) > at(1.0) && at(0.8) > at(1.0));
        // The cross-entropy of the softmax has a slope there: it asks for more.
        let hard = |score: f32| Case::new("softmax-cross-entropy", &[&[score, 0.0]], &[&[1.0, 0.0]]).value();
        assert!(hard(1.2) < hard(1.0) && hard(1.0) < hard(0.8));
        let teacher =
            Case::new("ranknet(target=teacher)", &[SCORES], &[&[0.0; 3]]).teacher(&[0.2, 1.1, -0.4]);
        teacher.assert_gradients();
        // By hand, pairs (0,1), (0,2), (1,2): d = 1, 1.5, 0.5; p = σ(−0.9) = 0.289050, σ(0.6) = 0.645656,
        // σ(1.5) = 0.817574; 1.313262 − 0.289050 + 1.701413 − 0.968485 + 0.974077 − 0.408787 = 2.322430; / 3.
        teacher.assert_value(2.322430 / 3.0);
    }

    #[test]
    fn weighted_ranknet_by_hand() {
        // The pairs of above weigh 1/3, 1/4 and 1/5:
        // 0.313262/3 + 0.201413/4 + 0.474077/5 = 0.104421 + 0.050353 + 0.094815 = 0.249589; / 3 = 0.083196.
        let case = Case::new("weighted-ranknet", &[SCORES], &[&[2.0, 1.0, 0.0]]);
        case.assert_value(0.083196);
        case.assert_gradients();
    }

    #[test]
    fn weighted_ranknet_cares_most_for_the_top() {
        // Twenty scores in the right order, then two neighbours exchanged: the loss of the pair (1, 2) weighs 1/3,
        // that of (19, 20) weighs 1/39. RankNet sees no difference.
        let labels: Vec<f32> = (0..20).map(|at| -(at as f32)).collect();
        let exchanged = |text: &str, at: usize| {
            let mut scores: Vec<f32> = (0..20).map(|at| -0.1 * at as f32).collect();
            scores.swap(at, at + 1);
            Case::new(text, &[&scores], &[&labels]).value()
        };
        assert!(exchanged("weighted-ranknet", 0) > exchanged("weighted-ranknet", 18) + 1e-4);
        assert!((exchanged("ranknet", 0) - exchanged("ranknet", 18)).abs() < 1e-6);
    }

    #[test]
    fn hinge_by_hand() {
        // Differences 1, 1.5, 0.5 and margin 1: 0, 0, 0.5; mean 0.166667. With margin 2: 1, 0.5, 1.5; mean 1.
        let case = |text| Case::new(text, &[SCORES], &[&[2.0, 1.0, 0.0]]);
        case("hinge").assert_value(1.0 / 6.0);
        case("hinge(margin=2)").assert_value(1.0);
        case("hinge(margin=2)").assert_gradients();
    }

    #[test]
    fn bpr_by_hand() {
        // Taken are the first two: pairs (0, 2), (1, 2): (0.201413 + 0.474077) / 2 = 0.337745.
        let case = Case::new("bpr", &[SCORES], &[&[2.0, 1.0, 0.0]]);
        case.assert_value(0.337745);
        case.assert_gradients();
        assert_eq!(Case::new("bpr", &[SCORES], &[&[2.0, 1.0, 1.0]]).loss().unwrap().2, 1);
    }
}
