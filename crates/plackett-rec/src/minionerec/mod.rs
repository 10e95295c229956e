//! MiniOneRec (arXiv 2510.24431, 2025), and with it the rewards of ReRe (arXiv 2510.12211, 2025): a model learns to write the semantic id of the next item,
//! then searches some ids behind each history, is rewarded for the right one or by another reward, and takes a step up. The model is that of
//! [`crate::tiger`], with weights that are drawn, where the papers have a language model that reads instructions; rewards, advantages and loss are those of
//! `plackett_train::rl`.

use crate::onerec::{ItemIds, RewardPlan, SessionPlan, balanced_ids, session_spec};
use crate::sequential::{joined, settings_option as option};
use crate::tiger::{self, semantic_ids};
use crate::{RecError, RecommenderSpec};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_train::optimizer::Schedule;
use plackett_train::rl::ItemReward;
use plackett_train::trainer::Settings;

const NAME: &str = "minionerec";

/// Options of the rewards, which are of no use without steps.
const OF_REWARDS: [&str; 6] = ["reward", "encoder", "group", "rewarded-batch", "rewarded-rate", "kl"];

const OWN: [OptionSpec; 8] = [
    option(
        "ids",
        OptionKind::Choice(&["residual", "balanced"]),
        "residual",
        "residual k-means over vectors of iALS, as it is or with clusters of one size",
    ),
    option(
        "rewarded-steps",
        OptionKind::Integer(0, 10_000_000),
        "200",
        "steps with rewards after those without; 0 for none",
    ),
    option(
        "reward",
        OptionKind::Choice(ItemReward::NAMES),
        "rule-and-rank",
        "what a beam is worth: 1 for the right item, besides less for likely wrong ones, the cosine of its text with the right one's, or the score of a SASRec",
    ),
    OptionSpec {
        name: "encoder",
        kind: OptionKind::Text("MODEL"),
        default: None,
        help: "the encoder that reads the items' texts, a name or a folder; with reward=semantic alone, which needs it",
    },
    option(
        "group",
        OptionKind::Integer(2, 1024),
        "16",
        "beams that are rewarded behind a history; all items where there are fewer",
    ),
    option("rewarded-batch", OptionKind::Integer(1, 65_536), "8", "histories of a step with rewards"),
    option("rewarded-rate", OptionKind::Number(1e-9, 1e9), "0.0001", "the learning rate of these steps"),
    option(
        "kl",
        OptionKind::Number(0.0, 100.0),
        "0.001",
        "weight of the divergence from the model without rewards",
    ),
];

const OPTIONS: [OptionSpec; tiger::OPTIONS.len() + OWN.len()] = joined(tiger::OPTIONS, OWN);

/// The declaration.
pub static SPEC: RecommenderSpec = session_spec! {
    plan,
    name: NAME,
    aliases: &["rere"],
    summary: "A small encoder–decoder learns to write the semantic id of the next item, and is then rewarded among its own beams (GRPO).",
    paper: "MiniOneRec, arXiv 2510.24431, 2025, with the rewards of ReRe, arXiv 2510.12211, 2025 (there a language model reads instructions)",
    options: &OPTIONS,
    draws: true,
    reads_time: |_| false,
};

/// What the options say.
///
/// # Errors
/// Heads that do not divide the width, or an option that would change nothing.
fn plan(options: &OptionValues) -> Result<SessionPlan, RecError> {
    let ids = ItemIds::Vectors {
        make: if options.choice("ids") == "balanced" { balanced_ids } else { semantic_ids },
        levels: options.count("levels"),
        codes: options.count("codes"),
    };
    Ok(SessionPlan { ids, rewarded: rewards(options)?, ..tiger::plan_of(NAME, options)? })
}

/// How it is rewarded; `None` where it is not.
///
/// # Errors
/// An option that would change nothing, or the encoder of the texts is missing.
fn rewards(options: &OptionValues) -> Result<Option<RewardPlan>, RecError> {
    let steps = options.count("rewarded-steps");
    if steps == 0 {
        return match OF_REWARDS.iter().find(|name| options.is_given(name)) {
            Some(unread) => {
                let problem = format!("rewarded-steps=0 makes no use of `{unread}`; leave it out");
                Err(options.problem(problem).into())
            }
            None => Ok(None),
        };
    }
    let name = options.choice("reward");
    let reward =
        ItemReward::named(name).ok_or_else(|| options.problem(format!("there is no reward `{name}`")))?;
    match (reward == ItemReward::Semantic, options.get_text("encoder").is_some()) {
        (true, false) => {
            let problem =
                "reward=semantic reads the texts of the items; name the model that reads them as `encoder`";
            return Err(options.problem(problem).into());
        }
        (false, true) => {
            let problem = format!("reward={name} makes no use of `encoder`; leave it out");
            return Err(options.problem(problem).into());
        }
        _ => {}
    }
    Ok(Some(RewardPlan {
        owner: NAME,
        reward,
        group: options.count("group"),
        kl: options.number("kl") as f32,
        settings: Settings {
            batch: options.count("rewarded-batch"),
            steps,
            rate: options.number("rewarded-rate") as f32,
            schedule: Schedule::Constant,
            checkpoint: 0,
            ..Settings::default()
        },
    }))
}

#[cfg(test)]
mod tests {
    use crate::{Event, FitData, Fitting, RecError, Recommender, Request, best, borrowed, parse};
    use plackett_train::trainer::Checkpointing;
    use plackett_train::{Compute, Parameters};

    /// Little training, so that there is something left to be rewarded for.
    const SMALL: &str =
        "epochs=2, batch=8, width=16, blocks=1, heads=2, levels=2, codes=3, dropout=0, beams=20";

    /// Users go around in one of two circles of four items, from another item each.
    fn circles() -> Vec<Vec<Event>> {
        let event = |user: u32, at: u32| Event {
            item: user % 2 * 4 + (user / 2 + at) % 4,
            rating: 1.0,
            time: i64::from(at),
        };
        (0..16).map(|user| (0..3).map(|at| event(user, at)).collect()).collect()
    }

    fn fit_kept(text: &str, kept: Option<Checkpointing<'_>>) -> Result<Box<dyn Recommender>, RecError> {
        let sequences = circles();
        let mut fitting = Fitting { compute: Compute::new(1), seed: 3, kept, progress: &mut |_| {} };
        let texts: Vec<f32> = (0..8).flat_map(|item| [1.0, item as f32, (item % 3) as f32]).collect();
        let data = FitData { catalogue: 8, sequences: &borrowed(&sequences), texts: &texts };
        parse(text)?.fit(&data, &mut fitting)
    }

    fn fit(options: &str) -> Result<Box<dyn Recommender>, RecError> {
        fit_kept(&format!("minionerec({SMALL}, {options})"), None)
    }

    /// The names and bits of all weights.
    fn bits(parameters: &Parameters) -> Vec<(String, Vec<u32>)> {
        let of = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        parameters.iter().map(|(_, own)| (own.name.clone(), of(&own.value))).collect()
    }

    /// The mean of ln p of what comes next behind each item alone.
    fn mean_log(fitted: &dyn Recommender) -> f32 {
        let log = |item: u32| {
            let history = [Event { item, rating: 1.0, time: 0 }];
            let next = (item / 4 * 4 + (item + 1) % 4) as usize;
            fitted.scores(&[Request { history: &history, now: 0 }]).unwrap()[next]
        };
        (0..8).map(log).sum::<f32>() / 8.0
    }

    #[test]
    fn without_rewards_it_is_the_supervised_model_and_with_them_what_is_right_gains() {
        let supervised = fit("rewarded-steps=0").unwrap();
        let tiger = fit_kept(&format!("tiger({SMALL})"), None).unwrap();
        assert_eq!(bits(&supervised.parameters()), bits(&tiger.parameters()));
        let rewarded = fit("rewarded-steps=30, reward=rule, group=8, rewarded-rate=0.002, kl=0").unwrap();
        let [before, after] = [&supervised, &rewarded].map(|fitted| mean_log(&**fitted));
        assert!(after > before, "{before} {after}");
    }

    #[test]
    fn with_every_reward_all_answers_are_items_and_come_back_from_the_matrices() {
        let history = circles().swap_remove(0);
        let requests = [Request { history: &history, now: 0 }, Request { history: &[], now: 0 }];
        let supervised = fit("rewarded-steps=0").unwrap();
        for options in [
            "reward=rule",
            "reward=rule-and-rank, ids=balanced",
            "reward=collaborative",
            "reward=semantic, encoder=mine",
        ] {
            let options = format!("rewarded-steps=3, group=4, {options}");
            let fitted = fit(&options).unwrap();
            assert_ne!(bits(&fitted.parameters()), bits(&supervised.parameters()), "{options}");
            // A search this wide writes all items, each once, with the logarithm of its probability.
            let all = fitted.scores(&requests).unwrap();
            for scores in all.chunks(8) {
                let mut items = best(scores, 8);
                items.sort_unstable();
                assert_eq!(items, (0..8).collect::<Vec<u32>>(), "{options}");
                let sum: f64 = scores.iter().map(|score| f64::from(*score).exp()).sum();
                assert!(sum > 0.0 && sum < 1.0 + 1e-4, "{options}: {sum}");
            }
            let configured = parse(&format!("minionerec({SMALL}, {options})")).unwrap();
            let restored = configured.restore(8, &fitted.parameters()).unwrap();
            assert_eq!(restored.scores(&requests).unwrap(), all, "{options}");
        }
    }

    #[test]
    fn a_fit_that_was_killed_goes_on_to_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Checkpointing { folder: folder.path(), identity: "test", every: 2 };
        let text = format!("minionerec({SMALL}, rewarded-steps=5, group=4, rewarded-rate=0.01)");
        let whole = bits(&fit_kept(&text, None).unwrap().parameters());
        let again = || bits(&fit_kept(&text, Some(kept)).unwrap().parameters());
        assert_eq!(again(), whole);
        // From the last step of both parts, and without the checkpoints of the rewards from the supervised weights.
        assert_eq!(again(), whole);
        std::fs::remove_dir_all(folder.path().join("rewarded")).unwrap();
        assert_eq!(again(), whole);
    }

    #[test]
    fn options_that_would_change_nothing_are_refused() {
        for (options, said) in [
            ("rewarded-steps=0, reward=rule", "rewarded-steps=0 makes no use of `reward`; leave it out"),
            ("rewarded-steps=0, kl=0.1", "makes no use of `kl`"),
            ("encoder=mine", "reward=rule-and-rank makes no use of `encoder`"),
            ("reward=semantic", "name the model that reads them as `encoder`"),
            ("reward=sematic, encoder=mine", "did you mean `semantic`"),
            ("group=1", "a whole number from 2 to 1024"),
        ] {
            let error = fit(options).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(said), "{options}: {error}");
        }
    }
}
