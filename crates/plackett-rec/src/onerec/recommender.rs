//! OneRec as a recommender: fitted to interactions alone. Rewards, and the alignment with what they prefer, are left to recipes and to Rust.

use super::balanced_ids::balanced_ids;
use super::model::OneRecConfig;
use super::session_recommender::{ItemIds, SessionPlan, session_spec};
use crate::sequential::{check_heads, settings_option as option};
use crate::{RecError, RecommenderSpec};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;

const OPTIONS: [OptionSpec; 17] = [
    option(
        "levels",
        OptionKind::Integer(1, 8),
        "3",
        "codes of an item, before the one that tells items of equal codes apart where there are some",
    ),
    option("codes", OptionKind::Integer(1, 4096), "64", "different codes of a level, used equally often"),
    option(
        "session",
        OptionKind::Integer(1, 100),
        "5",
        "items of a session, which are written in one go; 1 for next items",
    ),
    option(
        "within",
        OptionKind::Integer(0, i64::MAX),
        "86400",
        "time from the first item of a session to its last at most, in the unit of the interactions",
    ),
    option("width", OptionKind::Integer(1, 4096), "64", "numbers of a token's vector"),
    option("blocks", OptionKind::Integer(1, 100), "2", "layers of the encoder, and of the decoder"),
    option("heads", OptionKind::Integer(1, 1024), "4", "heads of attention; a divisor of the width"),
    option("inner", OptionKind::Integer(1, 65_536), "64", "numbers between the matrices of an expert"),
    option(
        "experts",
        OptionKind::Integer(0, 1024),
        "8",
        "experts of a layer of the decoder; 0 for one dense network, as wide as the active experts together",
    ),
    option("active", OptionKind::Integer(1, 1024), "2", "experts that a token goes through"),
    option(
        "balance",
        OptionKind::Number(0.0, 1e6),
        "0",
        "weight of a loss by which experts are used equally often",
    ),
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
        "width of the searches for the session and for next items; what neither writes shares the last place",
    ),
    option("steps", OptionKind::Integer(1, 10_000_000), "1000", "steps of the training"),
    option("batch", OptionKind::Integer(1, 65_536), "64", "sessions of a step"),
    option("rate", OptionKind::Number(1e-9, 1e9), "0.005", "the learning rate"),
    option("dropout", OptionKind::Number(0.0, 0.99), "0.1", "share of numbers set to zero in training"),
];

/// The declaration.
pub static SPEC: RecommenderSpec = session_spec! {
    plan,
    name: "onerec",
    aliases: &["session-generation"],
    summary: "An encoder–decoder with a mixture of experts writes the next items as one session; ids are balanced residual codes of iALS's vectors.",
    paper: "Deng et al., OneRec, arXiv 2502.18965, 2025 (there ids are of what is in videos, and the model is aligned with rewards)",
    options: &OPTIONS,
    draws: true,
    reads_time: |_| false,
};

/// What the options say.
///
/// # Errors
/// Options that do not go together, or one that would change nothing.
fn plan(options: &OptionValues) -> Result<SessionPlan, RecError> {
    check_heads(options)?;
    let (length, experts, steps) =
        (options.count("session"), options.count("experts"), options.count("steps"));
    let balance = options.number("balance") as f32;
    if length == 1 && options.is_given("within") {
        return Err(options.problem("a session of one item takes no time; leave `within` out").into());
    }
    if experts == 0 && balance > 0.0 {
        return Err(options.problem("there are no experts to balance; leave `balance` out").into());
    }
    Ok(SessionPlan {
        owner: "onerec",
        config: OneRecConfig {
            width: options.count("width"),
            blocks: options.count("blocks"),
            heads: options.count("heads"),
            inner: options.count("inner"),
            experts,
            active: options.count("active"),
            max_history: options.count("max-history"),
        },
        ids: ItemIds::Vectors {
            make: balanced_ids,
            levels: options.count("levels"),
            codes: options.count("codes"),
        },
        length,
        rewarded: None,
        within: options.get_integer("within").unwrap_or_default(),
        beams: options.count("beams"),
        balance,
        settings: Settings {
            batch: options.count("batch"),
            steps,
            rate: options.number("rate") as f32,
            warmup: steps / 50,
            schedule: Schedule::Cosine,
            dropout: options.number("dropout") as f32,
            checkpoint: 0,
            ..Settings::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, FitData, Fitting, Recommender, Request, best, borrowed, parse};
    use plackett_train::Compute;

    const SMALL: &str =
        "width=16, blocks=1, heads=2, inner=8, experts=3, levels=2, codes=3, batch=8, rate=0.01";

    /// Users go around in one of two circles of five items, from another item each.
    fn circles() -> Vec<Vec<Event>> {
        let event = |user: u32, at: u32| Event {
            item: user % 2 * 5 + (user / 2 + at) % 5,
            rating: 1.0,
            time: i64::from(at) * 60,
        };
        (0..20).map(|user| (0..4).map(|at| event(user, at)).collect()).collect()
    }

    fn fit(options: &str, threads: usize) -> Result<Box<dyn Recommender>, RecError> {
        let sequences = circles();
        let mut fitting =
            Fitting { compute: Compute::new(threads), seed: 3, kept: None, progress: &mut |_| {} };
        let data = FitData { catalogue: 10, sequences: &borrowed(&sequences), texts: &[] };
        parse(&format!("onerec({options})"))?.fit(&data, &mut fitting)
    }

    #[test]
    fn two_fits_have_the_same_bits_also_with_other_threads() {
        let options = format!("{SMALL}, steps=12, balance=0.01");
        let [one, other, threads] = [1, 1, 3].map(|threads| fit(&options, threads).unwrap());
        for again in [&other, &threads] {
            let (first, second) = (one.parameters(), again.parameters());
            assert_eq!(first.iter().count(), second.iter().count());
            for ((_, first), (_, second)) in first.iter().zip(second.iter()) {
                assert_eq!(first.name, second.name);
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
                assert_eq!(bits(&first.value), bits(&second.value), "{}", first.name);
            }
        }
    }

    #[test]
    fn lists_begin_with_the_session_and_have_every_item_once() {
        let history = circles()[0][..3].to_vec();
        let requests = [
            Request { history: &history, now: 0 },
            Request { history: &history[..1], now: 0 },
            Request { history: &[], now: 0 },
        ];
        // A search this wide finds all ten items.
        let fitted = fit(&format!("{SMALL}, steps=12, session=3, beams=30"), 1).unwrap();
        let all = fitted.scores(&requests).unwrap();
        for scores in all.chunks(10) {
            let list = best(scores, 20);
            let mut items = list.clone();
            items.sort_unstable();
            assert_eq!(items, (0..10).collect::<Vec<u32>>());
            // Items of the session have the scores 3, 2 and 1, as far as they are different; then come ln p.
            let session = scores.iter().filter(|score| **score > 0.0).count();
            assert!((1..=3).contains(&session), "{scores:?}");
            for (place, item) in list.iter().enumerate() {
                let score = scores[*item as usize];
                let is_right = if place < session { score == (3 - place) as f32 } else { score < 0.0 };
                assert!(is_right, "{scores:?}");
            }
        }
        // Next items alone are ranked by ln p.
        let next = fit(&format!("{SMALL}, steps=12, session=1, beams=30"), 1).unwrap();
        let scores = next.scores(&requests[..1]).unwrap();
        assert!(scores.iter().all(|score| *score < 0.0), "{scores:?}");
        // Where a search finds few items, the others are behind them, and none of them before another.
        let narrow = fit(&format!("{SMALL}, steps=12, session=1, beams=2"), 1).unwrap();
        let scores = narrow.scores(&requests[..1]).unwrap();
        let last = scores.iter().copied().fold(f32::INFINITY, f32::min);
        assert_eq!(scores.iter().filter(|score| **score == last).count(), 8, "{scores:?}");
        // Candidates have their own probabilities however narrow the search is.
        let candidates = [3, 9, 0, 6];
        let wide = next.scores(&requests[..1]).unwrap();
        let found = narrow.candidate_scores(&requests[0], &candidates).unwrap();
        for (item, score) in candidates.iter().zip(&found) {
            assert!((score - wide[*item as usize]).abs() < 1e-4, "{item}: {found:?} of {wide:?}");
        }
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        for (options, said) in [
            ("heads=3", "heads = 3 do not divide width = 64; give a divisor"),
            ("experts=4, active=5", "5 active experts of 4"),
            ("experts=0, balance=0.1", "no experts to balance"),
            ("session=1, within=5", "leave `within` out"),
            ("within=59", "give a greater `within`, or session=1"),
            ("experts=1025", "a whole number from 0 to 1024"),
        ] {
            let error = fit(options, 1).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(said), "{options}: {error}");
        }
    }
}
