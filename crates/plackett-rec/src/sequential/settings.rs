//! How models of sequences are trained: options that all of them have.

use crate::RecError;
use plackett_core::declaration::{OptionError, OptionKind, OptionSpec, OptionValues};
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;

/// Options of every model of sequences, in this order: the settings of the authors of HSTU.
pub const LEARNING_OPTIONS: [OptionSpec; 12] = [
    option("blocks", OptionKind::Integer(1, 1000), "2", "layers"),
    option("width", OptionKind::Integer(1, 65_536), "50", "numbers of an item's vector"),
    option(
        "max-length",
        OptionKind::Integer(2, 16_384),
        "200",
        "events of a history that are read, the newest ones",
    ),
    option("dropout", OptionKind::Number(0.0, 0.99), "0.2", "share of numbers set to zero in training"),
    option(
        "negatives",
        OptionKind::Integer(1, 1 << 20),
        "128",
        "items that the next one is compared with at each place",
    ),
    option("temperature", OptionKind::Positive, "0.05", "what cosines are divided by in the loss"),
    option("epochs", OptionKind::Integer(1, 100_000), "100", "how often all users are seen"),
    option("batch", OptionKind::Integer(1, 65_536), "128", "users of a step"),
    option("rate", OptionKind::Number(1e-9, 1e9), "0.001", "the learning rate"),
    option("warmup", OptionKind::Integer(0, 1 << 30), "0", "steps over which the learning rate rises"),
    option("decay", OptionKind::Number(0.0, 1000.0), "0", "weight decay"),
    option(
        "alpha",
        OptionKind::Number(1.0, 2.0),
        "2",
        "stochastic length: exponent by which long histories are learned from in parts; 2 for whole ones",
    ),
];

/// Heads of attention, of the models that have some.
pub(crate) const HEADS: [OptionSpec; 1] =
    [option("heads", OptionKind::Integer(1, 1024), "1", "heads of attention; a divisor of the width")];

/// Options, and then more of them.
pub(crate) const fn joined<const A: usize, const B: usize, const ALL: usize>(
    first: [OptionSpec; A],
    more: [OptionSpec; B],
) -> [OptionSpec; ALL] {
    assert!(A + B == ALL);
    let mut all = [first[0]; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < A { first[at] } else { more[at - A] };
        at += 1;
    }
    all
}

/// An option with a default.
pub(crate) const fn option(
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    help: &'static str,
) -> OptionSpec {
    OptionSpec { name, kind, default: Some(default), help }
}

/// The most numbers a model of sequences may have: with their gradients and two moments they take 32 GB.
const MOST_PARAMETERS: u128 = 2_000_000_000;

/// Refuses heads that do not divide the width.
///
/// # Errors
/// They do not.
pub(crate) fn check_heads(options: &OptionValues) -> Result<(), RecError> {
    let (width, heads) = (options.count("width"), options.count("heads"));
    match width.is_multiple_of(heads) {
        true => Ok(()),
        false => {
            let problem = format!("heads = {heads} do not divide width = {width}; give a divisor");
            Err(RecError::Option(OptionError::Together { owner: "a model of sequences", problem }))
        }
    }
}

/// Refuses data without any item behind another one: nothing can be learned from it. `owner` is what would learn.
///
/// # Errors
/// `count`, that of what can be learned from, is 0.
pub(crate) fn check_next_items(owner: &str, count: usize) -> Result<(), RecError> {
    match count {
        0 => Err(RecError::Setting(format!(
            "{owner}: nobody has two events, and an item is learned behind another one; take popularity, or more events"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a model before its memory is asked for. `rows` are those of tables of the model's width, `per_block` the numbers of a block.
///
/// # Errors
/// It has more than [`MOST_PARAMETERS`].
pub(crate) fn check_size(width: usize, rows: usize, blocks: usize, per_block: u128) -> Result<(), RecError> {
    let numbers = (width as u128) * (rows as u128) + (blocks as u128) * per_block;
    match numbers > MOST_PARAMETERS {
        true => Err(RecError::Setting(format!(
            "such a model has {numbers} numbers, and {MOST_PARAMETERS} are the most; give a smaller width, fewer blocks or fewer items"
        ))),
        false => Ok(()),
    }
}

/// What a training of sequences needs beside the model.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningSettings {
    /// Items that the next one is compared with at each place.
    pub negatives: usize,
    /// What cosines are divided by in the loss.
    pub temperature: f32,
    /// Exponent of stochastic length; 2 for whole histories.
    pub alpha: f64,
    /// Steps, rates, seeds.
    pub settings: Settings,
}

impl LearningSettings {
    /// From [`LEARNING_OPTIONS`].
    pub fn of(options: &OptionValues, seed: u64) -> LearningSettings {
        let settings = Settings {
            batch: options.count("batch"),
            epochs: options.count("epochs") as f64,
            rate: options.number("rate") as f32,
            warmup: options.count("warmup"),
            schedule: Schedule::Constant,
            clip: 0.0,
            decay: options.number("decay") as f32,
            beta2: 0.98,
            dropout: options.number("dropout") as f32,
            seed,
            checkpoint: 0,
            ..Settings::default()
        };
        LearningSettings {
            negatives: options.count("negatives"),
            temperature: options.number("temperature") as f32,
            alpha: options.number("alpha"),
            settings,
        }
    }
}
