//! The expected utility of orders that are drawn by the scores, raised by policy gradients.

use super::gains::{CUTOFF, GAIN};
use super::lists::split;
use super::{Group, Input, List, Lists, ObjectiveSpec, OptionError, OptionValues, Problem, Term, on_lists};
use crate::random::Stream;
use crate::tape::Tape;
use plackett_core::declaration::{OptionKind, OptionSpec};
use plackett_core::plackett_luce::policy::{
    Baseline, Credit, Estimate, Measure, MeasureKind, PolicyGradient, first_choice_entropy,
};
use plackett_core::plackett_luce::{PlackettLuce, PlackettLuceError};

/// The name under which the entropy of each list is told, where there is a bonus for it.
pub const ENTROPY: &str = "entropy";

/// Neural PG-RANK.
pub const PG_RANK: ObjectiveSpec = ObjectiveSpec {
    name: "pg-rank",
    aliases: &["policy-gradient"],
    group: Group::Listwise,
    summary: "Raises the expected utility of an order that is drawn from a Plackett–Luce distribution over the scores; the loss that is shown is minus the mean utility of the drawn orders, and minus the bonus for entropy.",
    formula: "∇ = −1/N Σ_i Σ_k A_ik ∇ ln π(r_i(k) | r_i(1..k−1)), A the utility of order i (credit=to-go: from rank k on) less the baseline; entropy=c adds −c ∇H, H = −Σ p ln p, p = softmax(s/τ)",
    source: "Gao and others, Policy-Gradient Training of Language Models for Ranking, 2023",
    takes: &[Input::Scores, Input::Labels],
    options: &[
        OptionSpec {
            name: "samples",
            kind: OptionKind::Integer(1, 100_000),
            default: Some("32"),
            help: "orders that are drawn for each list",
        },
        OptionSpec {
            name: "utility",
            kind: OptionKind::Choice(&["ndcg", "mrr", "precision"]),
            default: Some("ndcg"),
            help: "what an order is worth; for mrr and precision whatever has a gain is relevant",
        },
        CUTOFF,
        GAIN,
        OptionSpec {
            name: "credit",
            kind: OptionKind::Choice(&["to-go", "whole"]),
            default: Some("to-go"),
            help: "whether a choice answers for what stands from its rank on, or for the whole order",
        },
        OptionSpec {
            name: "baseline",
            kind: OptionKind::Choice(&["leave-one-out", "mean", "none"]),
            default: Some("leave-one-out"),
            help: "what utilities are compared with: the mean of the other orders, of all, or nothing",
        },
        OptionSpec {
            name: "temperature",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "scores are divided by it before orders are drawn",
        },
        OptionSpec {
            name: "entropy",
            kind: OptionKind::Number(0.0, 1000.0),
            default: Some("0"),
            help: "weight of the entropy of the first choice, which keeps the drawn orders from becoming one early on",
        },
        OptionSpec {
            name: "seed",
            kind: OptionKind::Integer(0, i64::MAX),
            default: Some("0"),
            help: "from which, with the scores, the orders follow",
        },
    ],
    build: |options| {
        let policy = Policy::of(options)?;
        Ok(on_lists(move |tape: &Tape, list: &List| {
            let Some((drawn, estimate)) = policy.estimate(list)? else { return Ok(None) };
            let (entropy, of_entropy) = first_choice_entropy(&drawn);
            if policy.entropy > 0.0 {
                tape.tell(ENTROPY, entropy);
            }
            let worth = estimate.utility() + policy.entropy * entropy;
            // A linear function of the scores whose gradient is the estimate, moved to minus what it raises.
            let raised = estimate.gradient.iter().zip(&of_entropy);
            let raised = raised.map(|(slope, of_entropy)| slope + policy.entropy * of_entropy);
            let slopes: Vec<f32> = raised.map(|slope| (-slope / policy.temperature) as f32).collect();
            let linear = tape.sum(&tape.times(&list.scores, &tape.constant((list.count(), 1), &slopes)));
            let value = linear.value.first().copied().unwrap_or_default();
            Ok(Some(tape.plus(&linear, &tape.constant((1, 1), &[-worth as f32 - value]))))
        }))
    },
};

/// How a list becomes an estimate.
struct Policy {
    estimator: PolicyGradient,
    utility: MeasureKind,
    cutoff: usize,
    is_linear: bool,
    temperature: f64,
    /// Weight of the entropy of the first choice.
    entropy: f64,
    seed: u64,
}

impl Policy {
    fn of(options: &OptionValues) -> Result<Policy, OptionError> {
        let baseline = match options.choice("baseline") {
            "none" => Baseline::None,
            "mean" => Baseline::Mean,
            _ => Baseline::LeaveOneOut,
        };
        let samples = options.count("samples");
        if baseline == Baseline::LeaveOneOut && samples < 2 {
            return Err(options.problem(
                "one order has no others to be compared with; draw two or more, or write baseline=none",
            ));
        }
        let credit = if options.choice("credit") == "whole" { Credit::Whole } else { Credit::ToGo };
        Ok(Policy {
            estimator: PolicyGradient { samples, baseline, credit },
            utility: match options.choice("utility") {
                "mrr" => MeasureKind::ReciprocalRank,
                "precision" => MeasureKind::Precision,
                _ => MeasureKind::Ndcg,
            },
            cutoff: options.count("k"),
            is_linear: options.choice("gain") == "linear",
            temperature: options.number("temperature"),
            entropy: options.number("entropy"),
            seed: options.count("seed") as u64,
        })
    }

    /// The distribution of orders, and what is estimated from drawn ones; `None` of a list in which no order is better than another.
    fn estimate(&self, list: &List) -> Result<Option<(PlackettLuce, Estimate)>, Problem> {
        let expected =
            "grades from 0 to 64 are needed: shift the grades, or choose an objective that takes any labels";
        list.check_labels(|grade| (0.0..=64.0).contains(&grade), expected)?;
        let gain =
            |grade: &f32| if self.is_linear { f64::from(*grade) } else { f64::from(*grade).exp2() - 1.0 };
        let gains: Vec<f64> = list.labels.iter().map(gain).collect();
        if gains.iter().all(|gain| *gain == gains[0]) {
            return Ok(None);
        }
        let Some(measure) = Measure::new(self.utility, gains, self.cutoff) else { return Ok(None) };
        let scores: Vec<f64> = list.scores.value.iter().map(|s| f64::from(*s) / self.temperature).collect();
        let policy = PlackettLuce::new(scores).map_err(|error| {
            let PlackettLuceError::Score { item: at, .. } = error else { return too_cold(list, 0) };
            too_cold(list, at)
        })?;
        let estimate = self.estimator.estimate(&policy, &measure, self.seed_of(list));
        Ok(Some((policy, estimate)))
    }

    /// A function of seed, scores and the list's place, so that orders are fresh in each step and the same in each run.
    fn seed_of(&self, list: &List) -> u64 {
        list.scores
            .value
            .iter()
            .fold(draw(self.seed, list.index as u64), |state, score| draw(state, u64::from(score.to_bits())))
    }
}

/// How many lists there are of which all drawn orders are worth the same, so that a policy gradient has nothing to learn from them, and how many for
/// which orders are drawn at all. Of several policies in a sum the first one counts; without any, and for lists in which no order is better than
/// another, nothing is drawn. With a bonus for the entropy there is always something to learn, and no list is counted at all.
///
/// # Errors
/// As the objective's loss.
pub fn flat_lists(tape: &Tape, objective: &[Term], lists: &Lists) -> Result<(usize, usize), Problem> {
    let term = objective.iter().find(|term| term.objective.spec().name == PG_RANK.name);
    // The objective was made of the same options, so that they can be read.
    let Some(Ok(policy)) = term.map(|term| Policy::of(term.objective.options())) else { return Ok((0, 0)) };
    if policy.entropy > 0.0 {
        return Ok((0, 0));
    }
    let (mut flat, mut drawn) = (0, 0);
    for (_, list) in split(tape, lists)? {
        if let Some((_, estimate)) = policy.estimate(&list)? {
            drawn += 1;
            flat += usize::from(estimate.is_flat());
        }
    }
    Ok((flat, drawn))
}

fn draw(seed: u64, stream: u64) -> u64 {
    let stream = Stream::new(seed, stream);
    u64::from(stream.word(0)) << 32 | u64::from(stream.word(1))
}

/// A score that is infinite once it is divided by the temperature.
fn too_cold(list: &List, at: usize) -> Problem {
    let expected = "a greater temperature is needed".to_string();
    Problem::Value {
        what: "score",
        at,
        of: "list",
        within: list.index,
        value: list.scores.value[at],
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, on_tape};
    use super::super::{Batch, parse, parse_sum};
    use super::*;
    use crate::tape::{Compute, Parameters};

    const SCORES: &[f32] = &[0.5, -0.2, 0.1, 0.0];
    const GRADES: &[f32] = &[0.0, 1.0, 0.0, 2.0];

    #[test]
    fn the_mean_of_many_orders_is_the_exact_gradient() {
        // The specification's vectors, by enumeration: J = 0.676731 and 0.391658.
        for (text, value, slopes) in [
            ("pg-rank(samples=50000)", 0.676731, [-0.048968, 0.002022, -0.042335, 0.089282]),
            ("pg-rank(samples=50000, k=2)", 0.391658, [-0.096322, 0.004390, -0.089352, 0.181284]),
        ] {
            let case = Case::new(text, &[SCORES], &[GRADES]);
            assert!((case.value() + value).abs() < 3e-3, "{}", case.value());
            let gradient = case.gradient();
            assert!(gradient.iter().zip(slopes).all(|(a, b)| (a + b).abs() < 3e-3), "{gradient:?}");
        }
    }

    #[test]
    fn a_temperature_divides_scores_and_gradients() {
        let doubled: Vec<f32> = SCORES.iter().map(|s| 2.0 * s).collect();
        let hot = Case::new("pg-rank(samples=50000, temperature=2)", &[&doubled], &[GRADES]).gradient();
        let plain = Case::new("pg-rank(samples=50000)", &[SCORES], &[GRADES]).gradient();
        assert!(hot.iter().zip(&plain).all(|(h, p)| (h - p / 2.0).abs() < 3e-3), "{hot:?} {plain:?}");
    }

    #[test]
    fn entropy_is_a_bonus_over_the_same_orders() {
        let scores: &[f32] = &[2.0_f32.ln(), 0.0];
        let of = |text| Case::new(text, &[scores], &[&[0.0, 1.0]]);
        let (plain, raised) = (of("pg-rank(samples=4)"), of("pg-rank(samples=4, entropy=0.5)"));
        // H = ln 3 − 2/3 ln 2 = 0.636514, with the slopes ∓0.154033.
        let change = raised.value() - plain.value();
        assert!((change + 0.318257).abs() < 1e-5, "{change}");
        let (plain, raised) = (plain.gradient(), raised.gradient());
        let changes: Vec<f32> = raised.iter().zip(&plain).map(|(raised, plain)| raised - plain).collect();
        assert!((changes[0] - 0.077016).abs() < 1e-5 && (changes[1] + 0.077016).abs() < 1e-5, "{changes:?}");
    }

    #[test]
    fn the_entropy_of_each_list_is_told_where_it_is_a_bonus() {
        let told = |text: &str| {
            on_tape(|tape| {
                let scores = tape.constant((4, 1), &[2.0_f32.ln(), 0.0, 0.0, 0.0]);
                let batch = Batch::Lists(Lists::new(&scores, &[0..2, 2..4], &[0.0, 1.0, 1.0, 0.0]));
                parse(text).unwrap().loss(tape, &batch).unwrap();
                tape.told(ENTROPY)
            })
        };
        // ln 3 − 2/3 ln 2 and ln 2.
        let found = told("pg-rank(samples=4, entropy=0.5)");
        let near = found.iter().zip([0.636514, std::f64::consts::LN_2]).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(found.len() == 2 && near, "{found:?}");
        assert!(told("pg-rank(samples=4)").is_empty());
    }

    #[test]
    fn the_same_seed_gives_the_same_orders_and_flat_lists_teach_nothing() {
        let of = |text| Case::new(text, &[SCORES], &[GRADES]).gradient();
        assert_eq!(of("pg-rank(samples=4)"), of("pg-rank(samples=4)"));
        assert_ne!(of("pg-rank(samples=4)"), of("pg-rank(samples=4, seed=1)"));
        let flat = Case::new("pg-rank", &[SCORES], &[&[1.0, 1.0, 1.0, 1.0]]);
        assert_eq!(flat.loss().unwrap().2, 1);
    }

    #[test]
    fn lists_whose_orders_are_all_worth_the_same_are_counted() {
        let parameters = Parameters::default();
        let tape = Tape::inference(&parameters, &Compute::new(1));
        // The relevant one is always first, never, or anywhere; and a list in which all are alike.
        let scores = tape.constant((8, 1), &[90.0, 0.0, 0.0, 90.0, 0.0, 0.0, 0.0, 0.0]);
        let labels = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0];
        let lists = [0..2, 2..4, 4..6, 6..8];
        let flat = |objective: &str| {
            flat_lists(&tape, &parse_sum(objective).unwrap(), &Lists::new(&scores, &lists, &labels)).unwrap()
        };
        assert_eq!(flat("pg-rank(samples=64, k=1)"), (2, 3));
        assert_eq!(flat("0.5*ranknet + pg-rank(samples=64, k=1)"), (2, 3));
        assert_eq!(flat("pg-rank(samples=64, k=1, entropy=0.1)"), (0, 0));
        assert_eq!(flat("ranknet"), (0, 0));
    }
}
