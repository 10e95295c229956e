//! `policy-gradient`: how far estimates of a ranking policy's gradient spread.

use super::{Simulated, Simulation, standard_normal};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::plackett_luce::PlackettLuce;
use plackett_core::plackett_luce::policy::{Baseline, Credit, Measure, MeasureKind, PolicyGradient, exact};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const NUMBERS: [&str; 4] = ["variance", "bias", "utility", "flat"];

/// The declaration.
pub static POLICY_GRADIENT: Simulation = Simulation {
    name: "policy-gradient",
    help: "policy gradients of nDCG under a Plackett–Luce distribution over standard normal scores, of which the first items are relevant. \
           `variance` is the sum over scores of the variance of an estimate, `bias` the greatest distance of the mean of all estimates from \
           the exact gradient in standard errors (0 where there are more than 8 items), `utility` the mean utility of drawn orders, and `flat` \
           the share of estimates whose orders were all worth the same",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(2, 1000), Default::Whole(20), "candidates of the query"),
        FieldSpec::new(
            "relevant",
            FieldKind::Whole(1, 1000),
            Default::Whole(2),
            "how many of them are relevant",
        ),
        FieldSpec::new("cutoff", FieldKind::Whole(0, 1000), Default::Whole(10), "of nDCG; 0 for all"),
        FieldSpec::new("samples", FieldKind::Whole(1, 10_000), Default::Whole(8), "orders of an estimate"),
        FieldSpec::new(
            "baseline",
            FieldKind::Choice(&["leave-one-out", "none"]),
            Default::Text("leave-one-out"),
            "what utilities are compared with",
        ),
        FieldSpec::new(
            "credit",
            FieldKind::Choice(&["to-go", "whole"]),
            Default::Text("to-go"),
            "what a choice answers for: what stands from its rank on, or the whole order",
        ),
        FieldSpec::new("repeats", FieldKind::Whole(2, 1_000_000), Default::Whole(2000), "estimates"),
    ],
    check: |values| {
        use crate::recipe::error::Problem;
        let wrong = |field, problem: &str| Err(values.wrong(field, 0, Problem::Said(problem.into())));
        if values.count("relevant") >= values.count("items") {
            return wrong("relevant", "all items would be relevant; write a number below `items`");
        }
        if values.word("baseline") == "leave-one-out" && values.count("samples") < 2 {
            return wrong(
                "samples",
                "one order has no others to be compared with; write 2 or more, or baseline = \"none\"",
            );
        }
        Ok(())
    },
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run,
};

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let values = given.values;
    let (items, repeats) = (values.count("items"), values.count("repeats"));
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let scores = (0..items).map(|_| standard_normal(&mut random)).collect();
    let policy = PlackettLuce::new(scores).map_err(|error| error.to_string())?;
    let gains = (0..items).map(|item| f64::from(u8::from(item < values.count("relevant")))).collect();
    let measure =
        Measure::new(MeasureKind::Ndcg, gains, values.count("cutoff")).ok_or("nothing is relevant")?;
    let estimator = PolicyGradient {
        samples: values.count("samples"),
        baseline: if values.word("baseline") == "none" { Baseline::None } else { Baseline::LeaveOneOut },
        credit: if values.word("credit") == "whole" { Credit::Whole } else { Credit::ToGo },
    };
    let (mut sums, mut squares) = (vec![0.0; items], vec![0.0; items]);
    let (mut utility, mut flat) = (0.0, 0);
    for repeat in 0..repeats as u64 {
        let estimate = estimator.estimate(
            &policy,
            &measure,
            given.seed ^ (repeat + 1).wrapping_mul(0x2545_F491_4F6C_DD1D),
        );
        for (item, part) in estimate.gradient.iter().enumerate() {
            sums[item] += part;
            squares[item] += part * part;
        }
        utility += estimate.utility();
        flat += usize::from(estimate.is_flat());
    }
    let count = repeats as f64;
    let variance = |item: usize| squares[item] / count - (sums[item] / count).powi(2);
    let bias = match exact(&policy, &measure) {
        None => 0.0,
        Some((_, gradient)) => {
            let off =
                |item: usize| (sums[item] / count - gradient[item]).abs() / (variance(item) / count).sqrt();
            (0..items).map(off).filter(|off| off.is_finite()).fold(0.0, f64::max)
        }
    };
    let spread: f64 = (0..items).map(variance).sum();
    Ok(vec![spread, bias, utility / count, flat as f64 / count])
}
