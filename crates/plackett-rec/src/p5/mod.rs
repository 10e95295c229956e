//! P5's item indexing (Hua et al., How to index item IDs for recommendation foundation models, SIGIR-AP 2023): the same small encoder–decoder writes
//! the next item under different identifiers. Those are schemes of `plackett-ids` over what users did, and one token is the same wherever it stands
//! in an identifier; the model is that of [`crate::onerec`] with dense networks and sessions of one item, and writes in the inference engine.

use crate::onerec::{ItemIds, OneRecConfig, SessionPlan, session_spec};
use crate::sequential::{check_heads, settings_option as option};
use crate::{RecError, RecommenderSpec};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_ids::scheme::{self, Scheme};
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;

/// Options of the identifiers, of which each kind of them reads some.
const OF_IDS: [&str; 4] = ["clusters", "most", "users", "last"];

const OPTIONS: [OptionSpec; 15] = [
    option(
        "ids",
        OptionKind::Choice(&["random", "sequential", "independent", "collaborative"]),
        "collaborative",
        "identifiers: digits of drawn numbers, or of numbers in the order in which items occur; a token for each item; a tree of what occurs together",
    ),
    option("clusters", OptionKind::Integer(2, 1000), "10", "branches of a node of the tree (N)"),
    option("most", OptionKind::Integer(1, 1_000_000), "200", "items of a leaf of the tree at most (M)"),
    option(
        "users",
        OptionKind::Choice(&["original", "random", "short-to-long", "long-to-short"]),
        "original",
        "in which order users are walked over for sequential numbers",
    ),
    option(
        "last",
        OptionKind::Choice(&["index", "item"]),
        "index",
        "the last token: the number inside the leaf, or a token that no other item has (hybrid identifiers)",
    ),
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
    option("batch", OptionKind::Integer(1, 65_536), "64", "next items of a step"),
    option("rate", OptionKind::Number(1e-9, 1e9), "0.001", "the learning rate"),
    option("decay", OptionKind::Number(0.0, 1e6), "0.01", "weight decay"),
    option("dropout", OptionKind::Number(0.0, 0.99), "0.1", "share of numbers set to zero in training"),
];

/// The declaration.
pub static SPEC: RecommenderSpec = session_spec! {
    plan,
    name: "p5",
    aliases: &["item-indexing"],
    summary: "A small encoder–decoder writes the identifier of the next item by a beam search; identifiers are drawn, sequential or independent ones, or \
              a tree of what occurs together.",
    paper: "Hua et al., How to index item IDs for recommendation foundation models, SIGIR-AP 2023 (there T5-small reads prompts in words)",
    options: &OPTIONS,
    draws: true,
    reads_time: |_| false,
};

/// What the options say.
///
/// # Errors
/// Heads that do not divide the width, or an option that the identifiers do not read.
fn plan(options: &OptionValues) -> Result<SessionPlan, RecError> {
    check_heads(options)?;
    let width = options.count("width");
    Ok(SessionPlan {
        owner: "p5",
        config: OneRecConfig {
            width,
            blocks: options.count("blocks"),
            heads: options.count("heads"),
            inner: 4 * width,
            experts: 0,
            active: 1,
            max_history: options.count("max-history"),
        },
        ids: ItemIds::Scheme(scheme_of(options)?),
        length: 1,
        rewarded: None,
        within: 0,
        beams: options.count("beams"),
        balance: 0.0,
        settings: Settings {
            batch: options.count("batch"),
            epochs: options.count("epochs") as f64,
            rate: options.number("rate") as f32,
            decay: options.number("decay") as f32,
            schedule: Schedule::Linear,
            dropout: options.number("dropout") as f32,
            checkpoint: 0,
            ..Settings::default()
        },
    })
}

/// The scheme of the identifiers, with those of the options that it reads.
///
/// # Errors
/// An option was given that it does not read.
fn scheme_of(options: &OptionValues) -> Result<Scheme, RecError> {
    let ids = options.choice("ids");
    let read: &[&str] = match ids {
        "collaborative" => &["clusters", "most", "last"],
        "sequential" => &["users", "last"],
        _ => &[],
    };
    if let Some(unread) = OF_IDS.iter().find(|name| options.is_given(name) && !read.contains(name)) {
        return Err(options.problem(format!("ids={ids} make no use of `{unread}`; leave it out")).into());
    }
    let given = options.all().filter(|(name, _)| read.contains(name));
    let given: Vec<String> = given.map(|(name, value)| format!("{name}={value}")).collect();
    scheme::parse(&format!("{ids}({})", given.join(", ")))
        .map_err(|error| RecError::Setting(format!("p5: {error}")))
}

#[cfg(test)]
mod tests {
    use crate::{Event, FitData, Fitting, RecError, Recommender, Request, best, borrowed, parse};
    use plackett_train::Compute;

    /// Users go around in one of two circles of four items, from another item each.
    fn fit(options: &str) -> Result<Box<dyn Recommender>, RecError> {
        let event = |user: u32, at: u32| Event {
            item: user % 2 * 4 + (user / 2 + at) % 4,
            rating: 1.0,
            time: i64::from(at),
        };
        let sequences: Vec<Vec<Event>> =
            (0..16).map(|user| (0..3).map(|at| event(user, at)).collect()).collect();
        let mut fitting = Fitting { compute: Compute::new(1), seed: 3, kept: None, progress: &mut |_| {} };
        let data = FitData { catalogue: 8, sequences: &borrowed(&sequences), texts: &[] };
        parse(&format!("p5({options})"))?.fit(&data, &mut fitting)
    }

    #[test]
    fn all_kinds_of_identifiers_are_learned_written_and_kept() {
        const SMALL: &str = "epochs=2, batch=8, width=8, blocks=1, heads=2, beams=20";
        let history = [Event { item: 0, rating: 1.0, time: 0 }];
        let requests = [Request { history: &history, now: 0 }];
        for (ids, levels) in [
            ("ids=random", 4),
            ("ids=sequential, users=long-to-short", 4),
            ("ids=sequential, last=item", 5),
            ("ids=independent", 1),
            ("clusters=2, most=4", 2),
            ("clusters=2, most=4, last=item", 2),
        ] {
            let options = format!("{ids}, {SMALL}");
            let fitted = fit(&options).unwrap();
            let codebook = fitted.codebook().unwrap();
            assert_eq!((codebook.levels.len(), codebook.colliding), (levels, 0), "{ids}");
            // A search this wide writes all items, each once, with the logarithm of its probability.
            let scores = fitted.scores(&requests).unwrap();
            let mut items = best(&scores, 8);
            items.sort_unstable();
            assert_eq!(items, (0..8).collect::<Vec<u32>>(), "{ids}");
            let sum: f64 = scores.iter().map(|score| f64::from(*score).exp()).sum();
            assert!(sum > 0.0 && sum < 1.0 + 1e-4, "{ids}: {sum}");
            let configured = parse(&format!("p5({options})")).unwrap();
            let restored = configured.restore(8, &fitted.parameters()).unwrap();
            assert_eq!(restored.scores(&requests).unwrap(), scores, "{ids}");
        }
    }

    #[test]
    fn options_that_the_identifiers_do_not_read_are_refused() {
        for (options, said) in [
            ("ids=independent, clusters=5", "ids=independent make no use of `clusters`; leave it out"),
            ("ids=random, last=item", "ids=random make no use of `last`"),
            ("ids=sequential, most=5", "ids=sequential make no use of `most`"),
            ("users=random", "ids=collaborative make no use of `users`"),
            ("ids=colaborative", "did you mean `collaborative`"),
            ("heads=3", "heads = 3 do not divide width = 64; give a divisor"),
        ] {
            let error = fit(options).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(said), "{options}: {error}");
        }
    }
}
