//! `staged-search`: test-time search over generators in stages, on toys whose best way is known.

use super::{Simulated, Simulation, standard_normal};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_arena::choosing::{Potential, Schedule, StagedSampler, StagedSearch, Thinning};
use plackett_eval::correlation::spearman;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const NUMBERS: [&str; 4] = ["reward", "cost", "early_correlation", "late_correlation"];

const STAGES: usize = 13;
/// Numbers of a walk's place.
const DIMENSION: usize = 8;
/// Structures that the first stage chooses among, and how much rarer each is than the one before, which is worth less.
const STRUCTURES: usize = 12;
const RARER: f64 = 0.65;
/// From which stage on a structure's value can be seen.
const SEEN_FROM: usize = 6;

const SEARCHES: &[&str] = &[
    "plain",
    "best-of-8",
    "late",
    "early",
    "late-diverse",
    "tts-var",
    "random-first",
    "diverse-only",
    "reward-first",
];

/// The declaration.
pub static STAGED_SEARCH: Simulation = Simulation {
    name: "staged-search",
    help: "searches over a generator of 13 stages, `runs` for each seed. `walk` adds a normal step in 8 dimensions in each stage; its reward is minus the \
           distance to the nearer of two points, one unit of the end's deviation from the middle. `structures` draws one of 12 separated structures in the \
           first stage, the better the rarer; before stage 6 the reward is nearly blind. `reward` is the mean reward of what is found, `cost` the \
           candidates of all stages, `early_correlation` and `late_correlation` how the rewards behind stages 3 and 7 correlate with those at the end (of \
           candidates that nobody thins)",
    version: 1,
    fields: &[
        FieldSpec::new(
            "world",
            FieldKind::Choice(&["walk", "structures"]),
            Default::Text("walk"),
            "which generator",
        ),
        FieldSpec::new(
            "steps",
            FieldKind::Choice(&["equal", "halved"]),
            Default::Text("equal"),
            "of the walk: equally wide, or each half as wide (in variance) as the one before",
        ),
        FieldSpec::new(
            "search",
            FieldKind::Choice(SEARCHES),
            Default::Text("tts-var"),
            "plain: one candidate; best-of-8; late: 8 drawn by reward to 4 behind stage 7 and to 2 behind 10; early: to 6, 5 and 4 behind 1, 2 and 3; \
             late-diverse: clusters to 6 and 4 behind 2 and 5 alone; tts-var: the paper's schedule; random-first: the same with chance for clusters; \
             diverse-only: with chance for rewards; reward-first: with rewards for clusters",
        ),
        FieldSpec::new(
            "samples",
            FieldKind::Whole(1, 64),
            Default::Whole(2),
            "candidates at the end of the paper's schedule",
        ),
        FieldSpec::new(
            "lambda",
            FieldKind::Number(0.0, 1e9),
            Default::Number(10.0),
            "how much rewards count in a draw",
        ),
        FieldSpec::new("runs", FieldKind::Whole(3, 100_000), Default::Whole(75), "of each seed"),
    ],
    check: |_| Ok(()),
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run,
};

fn schedule(given: &Simulated<'_>) -> Schedule {
    let values = given.values;
    let lambda = values.real("lambda");
    let by_value = Thinning::Potential(Potential::Value, lambda);
    let stepwise = |drops: &[(usize, usize)], thinning: Thinning| {
        let mut schedule = Schedule::best_of(8, STAGES);
        for &(stage, left) in drops {
            schedule.survivors[stage..].fill(left);
            schedule.thinnings.push((stage, thinning));
        }
        schedule
    };
    let full = Schedule::tts_var(values.count("samples"), lambda);
    match values.word("search") {
        "plain" => Schedule::best_of(1, STAGES),
        "best-of-8" => Schedule::best_of(8, STAGES),
        "late" => stepwise(&[(7, 4), (10, 2)], by_value),
        "early" => stepwise(&[(1, 6), (2, 5), (3, 4)], by_value),
        "late-diverse" => stepwise(&[(2, 6), (5, 4)], Thinning::Diversity),
        "random-first" => full.with(&[2, 5], Thinning::Random),
        "diverse-only" => full.with(&[6, 9], Thinning::Random),
        "reward-first" => full.with(&[2, 5], by_value),
        _ => full,
    }
}

/// A normal walk towards two points.
struct Walk {
    deviations: Vec<f64>,
}

impl Walk {
    fn new(steps: &str) -> Walk {
        let variances: Vec<f64> = (0..STAGES)
            .map(|stage| if steps == "halved" { 0.5f64.powi(stage as i32) } else { 1.0 })
            .collect();
        let total: f64 = variances.iter().sum();
        Walk { deviations: variances.iter().map(|variance| (variance / total).sqrt()).collect() }
    }
}

impl StagedSampler for Walk {
    type State = Vec<f64>;

    fn stages(&self) -> usize {
        STAGES
    }

    fn fresh(&self) -> Vec<f64> {
        vec![0.0; DIMENSION]
    }

    fn step(&self, state: &mut Vec<f64>, stage: usize, random: &mut ChaCha8Rng) {
        state.iter_mut().for_each(|x| *x += self.deviations[stage] * standard_normal(random));
    }

    fn features(&self, state: &Vec<f64>, _stage: usize) -> Vec<f64> {
        state.clone()
    }

    fn reward(&self, state: &Vec<f64>, _stage: usize, _random: &mut ChaCha8Rng) -> f64 {
        let rest: f64 = state[1..].iter().map(|x| x * x).sum();
        -((state[0].abs() - 1.0).powi(2) + rest).sqrt()
    }
}

/// Structures of which the first stage draws one.
struct Structures;

impl StagedSampler for Structures {
    /// The structure, and details that the other stages add.
    type State = (usize, f64);

    fn stages(&self) -> usize {
        STAGES
    }

    fn fresh(&self) -> (usize, f64) {
        (0, 0.0)
    }

    fn step(&self, (structure, detail): &mut (usize, f64), stage: usize, random: &mut ChaCha8Rng) {
        if stage > 0 {
            *detail += 0.1 * standard_normal(random);
            return;
        }
        let total: f64 = (0..STRUCTURES).map(|at| RARER.powi(at as i32)).sum();
        let mut left = random.random::<f64>() * total;
        let place = (0..STRUCTURES).position(|at| {
            left -= RARER.powi(at as i32);
            left < 0.0
        });
        *structure = place.unwrap_or(STRUCTURES - 1);
    }

    fn features(&self, (structure, detail): &(usize, f64), _stage: usize) -> Vec<f64> {
        let mut features = vec![0.0; STRUCTURES + 1];
        features[*structure] = 10.0;
        features[STRUCTURES] = *detail;
        features
    }

    fn reward(&self, (structure, _): &(usize, f64), stage: usize, random: &mut ChaCha8Rng) -> f64 {
        let value = *structure as f64 / (STRUCTURES - 1) as f64;
        match stage {
            stage if stage + 1 == STAGES => value,
            stage if stage < SEEN_FROM => 0.15 * value + 0.3 * standard_normal(random),
            _ => value + 0.1 * standard_normal(random),
        }
    }
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    match given.values.word("world") {
        "structures" => measured(given, &Structures),
        _ => measured(given, &Walk::new(given.values.word("steps"))),
    }
}

fn measured<G: StagedSampler>(given: &Simulated<'_>, generator: &G) -> Result<Vec<f64>, String> {
    let schedule = schedule(given);
    let runs = given.values.count("runs") as u64;
    let mut reward = 0.0;
    let mut cost = 0;
    for run in 0..runs {
        let search =
            StagedSearch { schedule: &schedule, seed: given.seed.wrapping_mul(1 << 20).wrapping_add(run) };
        let found = search.run(generator).map_err(|error| error.to_string())?;
        reward += found.reward / runs as f64;
        cost = found.candidate_stages;
    }
    let [early, late] = correlations(given, generator, runs)?;
    Ok(vec![reward, cost as f64, early, late])
}

/// How rewards on the way correlate with those at the end.
fn correlations<G: StagedSampler>(
    given: &Simulated<'_>,
    generator: &G,
    runs: u64,
) -> Result<[f64; 2], String> {
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let mut seen: [Vec<f64>; 3] = std::array::from_fn(|_| Vec::new());
    for _ in 0..runs {
        let mut state = generator.fresh();
        for stage in 0..STAGES {
            generator.step(&mut state, stage, &mut random);
            if let Some(place) = [3, 7, STAGES - 1].iter().position(|at| *at == stage) {
                seen[place].push(generator.reward(&state, stage, &mut random));
            }
        }
    }
    let [early, late, end] = seen;
    let with_end = |rewards: &[f64]| spearman(rewards, &end).map_err(|error| error.to_string());
    Ok([with_end(&early)?, with_end(&late)?])
}
