//! TIGER (Rajput et al., Recommender systems with generative retrieval, NeurIPS 2023) as a floor of generative recommenders: a small
//! encoder–decoder writes the semantic id of the next item. Ids are made of what users did (vectors of iALS), since there are no texts here; the
//! model is that of [`crate::onerec`] with dense networks and sessions of one item, and writes in the inference engine.

mod codes;

pub(crate) use codes::semantic_ids;

use crate::onerec::{ItemIds, OneRecConfig, SessionPlan, session_spec};
use crate::sequential::{check_heads, settings_option as option};
use crate::{RecError, RecommenderSpec};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;

const NAME: &str = "tiger";

/// Options of models that write the semantic id of the next item.
pub(crate) const OPTIONS: [OptionSpec; 11] = [
    option(
        "levels",
        OptionKind::Integer(1, 8),
        "3",
        "codes of an item, before the one that tells items of equal codes apart",
    ),
    option("codes", OptionKind::Integer(1, 4096), "64", "different codes of a level"),
    option("width", OptionKind::Integer(1, 4096), "64", "numbers of a token's vector"),
    option("blocks", OptionKind::Integer(1, 100), "2", "layers of the encoder, and of the decoder"),
    option("heads", OptionKind::Integer(1, 1024), "4", "heads of attention; a divisor of the width"),
    option(
        "max-history",
        OptionKind::Integer(1, 1000),
        "20",
        "items of a history that are read, the newest ones",
    ),
    option(
        "beams",
        OptionKind::Integer(1, 10_000),
        "50",
        "items that are written; all others share the last place",
    ),
    option("epochs", OptionKind::Integer(1, 100_000), "10", "how often all next items are seen"),
    option("batch", OptionKind::Integer(1, 65_536), "128", "next items of a step"),
    option("rate", OptionKind::Number(1e-9, 1e9), "0.002", "the learning rate"),
    option("dropout", OptionKind::Number(0.0, 0.99), "0.1", "share of numbers set to zero in training"),
];

/// The declaration.
pub static SPEC: RecommenderSpec = session_spec! {
    plan,
    name: NAME,
    aliases: &["generative-retrieval"],
    summary: "A small encoder–decoder writes the semantic id of the next item by a beam search; ids are residual codes of iALS's vectors.",
    paper: "Rajput et al., Recommender systems with generative retrieval, NeurIPS 2023 (there ids are of texts)",
    options: &OPTIONS,
    draws: true,
    reads_time: |_| false,
};

fn plan(options: &OptionValues) -> Result<SessionPlan, RecError> {
    plan_of(NAME, options)
}

/// What [`OPTIONS`] say, for a recommender of this name.
///
/// # Errors
/// Heads that do not divide the width.
pub(crate) fn plan_of(owner: &'static str, options: &OptionValues) -> Result<SessionPlan, RecError> {
    check_heads(options)?;
    let width = options.count("width");
    Ok(SessionPlan {
        owner,
        config: OneRecConfig {
            width,
            blocks: options.count("blocks"),
            heads: options.count("heads"),
            inner: 2 * width,
            experts: 0,
            active: 1,
            max_history: options.count("max-history"),
        },
        ids: ItemIds::Vectors {
            make: semantic_ids,
            levels: options.count("levels"),
            codes: options.count("codes"),
        },
        length: 1,
        rewarded: None,
        within: 0,
        beams: options.count("beams"),
        balance: 0.0,
        settings: Settings {
            batch: options.count("batch"),
            epochs: options.count("epochs") as f64,
            rate: options.number("rate") as f32,
            schedule: Schedule::Cosine,
            dropout: options.number("dropout") as f32,
            checkpoint: 0,
            ..Settings::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use crate::{FitData, Fitting, parse};
    use plackett_train::Compute;

    #[test]
    fn heads_that_do_not_divide_the_width_are_refused_by_its_own_options() {
        let mut fitting = Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
        let events = [crate::Event { item: 0, rating: 1.0, time: 0 }];
        let data = FitData { catalogue: 3, sequences: &[&events[..]], texts: &[] };
        let error = parse("tiger(heads=3)").unwrap().fit(&data, &mut fitting).err().unwrap().to_string();
        assert!(error.contains("heads = 3 do not divide width = 64; give a divisor"), "{error}");
    }
}
