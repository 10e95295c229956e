//! `mental-retrieval`: GenIR's loop on pictures of digits, with a generator and a user that need no model.

use crate::recipe::data::digits::{self, PIXELS, Picture};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{StageKind, StageOutput, a_moment, nothing_to_check};
use crate::recipe::simulation::standard_normal;
use crate::recipe::task::{Task, hash_file};
use nalgebra::{Cholesky, DMatrix, DVector};
use plackett_arena::choosing::{Collection, Feedback, FeedbackLoop, Generator, QueryBy, Shown, hits};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Pictures from which the generator learns; of the others the last ones are targets.
const LEARNED_FROM: usize = 1347;
const TARGETS: usize = 450;
/// Squares of 2 × 2 pixels that words describe, and how dark they may be.
const REGIONS: usize = 16;
const LEVELS: f64 = 4.0;
/// Added to variances, and the variance of what words say.
const RIDGE: f64 = 0.01;
const SAID: f64 = 0.005;

/// The declaration.
pub static MENTAL_RETRIEVAL: StageKind = StageKind {
    name: "mental-retrieval",
    help: "a search for a picture that somebody has in mind, over rounds of correction: the query is a digit and words for squares of 2 × 2 pixels, \
           the generator a normal distribution of each digit's pictures given what was said, the user adds a word for the square where target and \
           picture differ most, and what is searched with is the generated picture. For each of the last 450 pictures among all of them; gives \
           N/hits and N/cumulative (the first ten, after N corrections, in this round or in one so far), and first_hit (rounds until the first one; \
           one more than there are without any)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "the pictures: a folder's name in PLACKETT_DATA, or a path",
        ),
        FieldSpec::new(
            "shown",
            FieldKind::Choice(&["generated", "top-retrieved", "nothing"]),
            Default::Text("generated"),
            "what the user sees",
        ),
        FieldSpec::new(
            "noise",
            FieldKind::Number(0.0, 10.0),
            Default::Number(0.5),
            "how far a picture is drawn from its expectation",
        ),
        FieldSpec::new(
            "repeat",
            FieldKind::Switch,
            Default::Switch(false),
            "the first query in every round: what noise alone finds",
        ),
        FieldSpec::new(
            "corrections",
            FieldKind::Whole(0, 16),
            Default::Whole(10),
            "rounds after the first one",
        ),
        super::SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |values, _| {
        let rounds = 0..=values.count("corrections");
        let mut names: Vec<String> =
            rounds.flat_map(|round| [format!("{round}/hits"), format!("{round}/cumulative")]).collect();
        names.push("first_hit".into());
        names
    },
    outside: |values, environment| {
        Ok(vec![("pictures".into(), hash_file(&digits::file(environment, values.word("collection"))?)?)])
    },
    estimate: a_moment,
    run,
};

/// A digit, and levels of some squares.
#[derive(Clone, Debug)]
struct Words {
    digit: usize,
    said: Vec<(usize, u8)>,
}

/// The pixels of a square.
fn pixels(region: usize) -> [usize; 4] {
    let (row, column) = (region / 4 * 2, region % 4 * 2);
    [row * 8 + column, row * 8 + column + 1, (row + 1) * 8 + column, (row + 1) * 8 + column + 1]
}

fn ink(picture: &[f64], region: usize) -> f64 {
    pixels(region).iter().map(|at| picture[*at]).sum::<f64>() / 4.0
}

fn level(ink: f64) -> u8 {
    ((LEVELS - 1.0) * ink).round().clamp(0.0, LEVELS - 1.0) as u8
}

/// For each digit the normal distribution of its pictures.
struct Normal {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
}

struct Drawer {
    digits: Vec<Normal>,
    noise: f64,
}

impl Drawer {
    fn new(pictures: &[Picture], noise: f64) -> Drawer {
        let normal = |digit: usize| {
            let own: Vec<&Picture> = pictures.iter().filter(|picture| picture.digit == digit).collect();
            let count = own.len().max(1) as f64;
            let mut mean = DVector::zeros(PIXELS);
            own.iter().for_each(|picture| mean += scaled(picture));
            mean /= count;
            let mut covariance = DMatrix::identity(PIXELS, PIXELS) * RIDGE;
            for picture in own {
                let off = scaled(picture) - &mean;
                covariance += &off * off.transpose() / count;
            }
            Normal { mean, covariance }
        };
        Drawer { digits: (0..10).map(normal).collect(), noise }
    }
}

/// Grey values from 0 to 1.
fn scaled(picture: &Picture) -> DVector<f64> {
    DVector::from_iterator(PIXELS, picture.grey.iter().map(|x| x / 16.0))
}

impl Generator<Words> for Drawer {
    /// Drawn from the digit's distribution given the levels that were said.
    fn generate(&self, words: &Words, seed: u64) -> Vec<f64> {
        let Normal { mean, covariance } = &self.digits[words.digit];
        let (mut mean, mut covariance) = (mean.clone(), covariance.clone());
        if !words.said.is_empty() {
            let rows = words.said.len();
            let mut averages = DMatrix::zeros(rows, PIXELS);
            for (row, (region, _)) in words.said.iter().enumerate() {
                pixels(*region).iter().for_each(|at| averages[(row, *at)] = 0.25);
            }
            let heard = words.said.iter().map(|(_, level)| f64::from(*level) / (LEVELS - 1.0));
            let heard = DVector::from_iterator(rows, heard);
            let cross = &covariance * averages.transpose();
            let own = &averages * &cross + DMatrix::identity(rows, rows) * SAID;
            if let Some(factor) = Cholesky::new(own) {
                let gain = factor.solve(&cross.transpose()).transpose();
                mean += &gain * (heard - &averages * &mean);
                covariance -= &gain * cross.transpose();
            }
        }
        let mut picture = mean;
        if self.noise > 0.0 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let normal = DVector::from_iterator(PIXELS, (0..PIXELS).map(|_| standard_normal(&mut random)));
            covariance =
                (&covariance + covariance.transpose()) * 0.5 + DMatrix::identity(PIXELS, PIXELS) * 1e-9;
            if let Some(factor) = Cholesky::new(covariance) {
                picture += factor.l() * normal * self.noise;
            }
        }
        picture.iter().map(|x| x.clamp(0.0, 1.0)).collect()
    }
}

/// Knows the target's digit, and says of one more square in each round how dark it is.
struct User<'p> {
    pictures: &'p [Picture],
    items: &'p [Vec<f64>],
}

impl Feedback<Words> for User<'_> {
    fn start(&self, target: &[f64]) -> Words {
        let place = self.items.iter().position(|item| item == target).unwrap_or(0);
        Words { digit: self.pictures[place].digit, said: Vec::new() }
    }

    fn refine(&self, target: &[f64], words: &Words, shown: Option<&[f64]>, seed: u64) -> Words {
        let left: Vec<usize> =
            (0..REGIONS).filter(|region| !words.said.iter().any(|(said, _)| said == region)).collect();
        let next = match shown {
            Some(shown) => {
                let off = |region: usize| (ink(target, region) - ink(shown, region)).abs();
                left.iter().copied().max_by(|a, b| off(*a).total_cmp(&off(*b)).then(b.cmp(a)))
            }
            None if left.is_empty() => None,
            None => Some(left[ChaCha8Rng::seed_from_u64(seed).random_range(0..left.len())]),
        };
        let mut better = words.clone();
        better.said.extend(next.map(|region| (region, level(ink(target, region)))));
        better
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let pictures = digits::read(task.environment, values.word("collection"), LEARNED_FROM)?;
    let items: Vec<Vec<f64>> =
        pictures.iter().map(|picture| scaled(picture).iter().copied().collect()).collect();
    let drawer = Drawer::new(&pictures[..LEARNED_FROM], values.real("noise"));
    let user = User { pictures: &pictures, items: &items };
    let collection = Collection { items: items.clone() };
    let shown = match values.word("shown") {
        "generated" => Shown::Generated,
        "top-retrieved" => Shown::TopRetrieved,
        _ => Shown::Nothing,
    };
    let rounds = FeedbackLoop {
        shown,
        query_by: QueryBy::Item,
        refinements: values.count("corrections"),
        repeat: values.on("repeat"),
        seed: values.count("seed") as u64,
    };
    let targets: Vec<usize> = (pictures.len().saturating_sub(TARGETS)..pictures.len()).collect();
    let told: Vec<Vec<(bool, bool)>> = targets
        .par_iter()
        .map(|&target| hits(&rounds.run(&collection, target, &drawer, &user), 10))
        .collect();
    let keys: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let mut made = StageOutput::default();
    let mut enter = |name: String, values: Vec<f64>| {
        made.numbers.push(Quantity::by_query(name, keys.clone(), values));
    };
    for round in 0..=values.count("corrections") {
        let one = |hit: bool| f64::from(u8::from(hit));
        enter(format!("{round}/hits"), told.iter().map(|rounds| one(rounds[round].0)).collect());
        enter(format!("{round}/cumulative"), told.iter().map(|rounds| one(rounds[round].1)).collect());
    }
    let first =
        |rounds: &Vec<(bool, bool)>| rounds.iter().position(|(now, _)| *now).unwrap_or(rounds.len()) as f64;
    enter("first_hit".into(), told.iter().map(first).collect());
    made.facts.push(("targets".into(), targets.len().to_string()));
    Ok(made)
}
