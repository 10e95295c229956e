//! At which depth of a decoder tokens are chosen: a fixed one, one for each token, or the last with drafts of another.

use super::{Arguments, Search};
use crate::command::number::{by, whole};
use anyhow::bail;
use clap::{Args, ValueEnum};
use plackett_lm::decoder::{DraftCounts, ExitCounts, ExitThreshold, MissingKeys};
use serde::Serialize;
use std::sync::Mutex;

/// Depths of a model whose intermediate layers were trained to be read (sorted fine-tuning).
#[derive(Args)]
pub(super) struct Depths {
    /// Run only the first N layers, then the last norm and the output matrix
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..))]
    depth: Option<usize>,
    /// Leave the model at the first of these depths whose most probable token has this probability at least
    #[arg(long, value_name = "N:P,…", value_parser = by(exits), conflicts_with = "draft_depth")]
    exit: Option<Exits>,
    /// What --exit does about layers that earlier tokens have left out [default: computed, which is exact]
    #[arg(long, value_enum, requires = "exit")]
    exit_keys: Option<ExitKeys>,
    /// Draft tokens with the first N layers and check them with the whole model: the same text, in other time
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..), conflicts_with_all = ["sample", "beams", "choose"])]
    draft_depth: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExitKeys {
    /// Earlier tokens pass these layers now
    Computed,
    /// Keys and values are made from the states with which they left: an approximation
    Copied,
}

/// Depths with thresholds, as they were written.
#[derive(Clone)]
pub(super) struct Exits(Vec<ExitThreshold>);

fn exits(text: &str) -> Result<Exits, String> {
    let one = |part: &str| {
        let (depth, threshold) = part.split_once(':')?;
        let (depth, threshold) = (depth.trim().parse().ok()?, threshold.trim().parse::<f64>().ok()?);
        (threshold >= 0.0 && threshold.is_finite()).then_some(ExitThreshold { depth, threshold })
    };
    let all: Option<Vec<ExitThreshold>> = text.split(',').map(one).collect();
    all.map(Exits).ok_or_else(|| "depths with probabilities are expected, as 4:0.9,8:0.8".into())
}

impl Depths {
    /// Flags that are given, with their names.
    pub(super) fn given(&self) -> [(&'static str, bool); 4] {
        [
            ("--depth", self.depth.is_some()),
            ("--exit", self.exit.is_some()),
            ("--exit-keys", self.exit_keys.is_some()),
            ("--draft-depth", self.draft_depth.is_some()),
        ]
    }

    /// Layers of the model that are opened.
    pub(super) fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// How tokens go through a model of so many layers; what it does not have is refused.
    pub(super) fn way(&self, layers: usize) -> anyhow::Result<Way> {
        let last = layers.saturating_sub(1);
        let check = |flag: &str, depth: usize| {
            if (1..layers).contains(&depth) {
                return Ok(());
            }
            let run = match self.depth {
                Some(_) => format!("--depth runs {layers} layers"),
                None => format!("the model has {layers} layers"),
            };
            match last {
                0 => bail!("{flag}: {run}, and there is none before the last; leave it out"),
                _ => bail!(
                    "{flag}: {depth} is no layer before the last; {run}, so give a number from 1 to {last}"
                ),
            }
        };
        if let Some(Exits(exits)) = &self.exit {
            exits.iter().try_for_each(|exit| check("--exit", exit.depth))?;
            if let Some(pair) = exits.windows(2).find(|pair| pair[0].depth >= pair[1].depth) {
                let (first, second) = (pair[0].depth, pair[1].depth);
                bail!(
                    "--exit: {first} stands before {second}; write depths from the least to the greatest, each once"
                );
            }
            let missing = match self.exit_keys {
                Some(ExitKeys::Copied) => MissingKeys::Copied,
                _ => MissingKeys::Computed,
            };
            return Ok(Way::Exits(exits.clone(), missing));
        }
        if let Some(depth) = self.draft_depth {
            check("--draft-depth", depth)?;
            return Ok(Way::Drafts(depth));
        }
        Ok(Way::Whole)
    }
}

/// Refuses drafts where tokens are not the most probable ones each time.
pub(super) fn check_drafts(arguments: &Arguments) -> anyhow::Result<()> {
    let Search { beams, sample, temperature, .. } = &arguments.search;
    let drawn = *sample && *temperature != Some(0.0);
    if arguments.depths.draft_depth.is_some() && (drawn || beams.is_some()) {
        bail!(
            "--draft-depth: the first layers draft the most probable token each time; leave --beams and --sample out"
        );
    }
    Ok(())
}

/// How tokens go through the layers.
pub(super) enum Way {
    /// All of them.
    Whole,
    /// To the first depth that is sure enough.
    Exits(Vec<ExitThreshold>, MissingKeys),
    /// So many layers draft.
    Drafts(usize),
}

/// What came of the depths, over all prompts.
#[derive(Default)]
pub(super) struct Account {
    exits: Mutex<Option<ExitCounts>>,
    drafts: Mutex<Option<DraftCounts>>,
}

/// The same in a report.
#[derive(Clone, Default, Serialize)]
pub(super) struct DepthReport {
    /// Layers that were run, where `--depth` said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exits: Option<ExitReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drafts: Option<DraftReport>,
}

#[derive(Clone, Serialize)]
pub(super) struct ExitReport {
    tokens: u64,
    mean_depth: f64,
    answered: Vec<Answered>,
}

#[derive(Clone, Copy, Serialize)]
struct Answered {
    depth: usize,
    tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct DraftReport {
    depth: usize,
    rounds: u64,
    drafted: u64,
    accepted: u64,
    rejected: u64,
}

impl Account {
    pub(super) fn add_exits(&self, more: ExitCounts) {
        let Ok(mut exits) = self.exits.lock() else { return };
        match exits.as_mut() {
            Some(all) => {
                let pairs = all.answered.iter_mut().zip(&more.answered);
                pairs.for_each(|((_, all), (_, more))| *all += more);
            }
            None => *exits = Some(more),
        }
    }

    pub(super) fn add_drafts(&self, more: DraftCounts) {
        let Ok(mut drafts) = self.drafts.lock() else { return };
        let all = drafts.get_or_insert(DraftCounts { depth: more.depth, ..DraftCounts::default() });
        all.rounds += more.rounds;
        all.drafted += more.drafted;
        all.accepted += more.accepted;
        all.rejected += more.rejected;
    }

    pub(super) fn report(&self, depth: Option<usize>) -> DepthReport {
        let exits = self.exits.lock().ok().and_then(|exits| exits.clone());
        let drafts = self.drafts.lock().ok().and_then(|drafts| *drafts);
        let answered = |counts: &ExitCounts| {
            counts
                .answered
                .iter()
                .map(|(depth, tokens)| Answered { depth: *depth, tokens: *tokens })
                .collect()
        };
        DepthReport {
            depth,
            exits: exits.map(|counts| ExitReport {
                tokens: counts.tokens(),
                mean_depth: counts.mean_depth(),
                answered: answered(&counts),
            }),
            drafts: drafts.map(|DraftCounts { depth, rounds, drafted, accepted, rejected }| DraftReport {
                depth,
                rounds,
                drafted,
                accepted,
                rejected,
            }),
        }
    }
}

impl DepthReport {
    /// What a person is told beside the texts.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(exits) = &self.exits {
            let each: Vec<String> =
                exits.answered.iter().map(|own| format!("{} after {}", own.tokens, own.depth)).collect();
            let mean = exits.mean_depth;
            all.push(format!("a token took {mean:.1} layers on average: {}", each.join(", ")));
        }
        if let Some(DraftReport { depth, rounds, drafted, accepted, .. }) = self.drafts {
            all.push(format!(
                "the first {depth} layers drafted {drafted} tokens, of which {accepted} were chosen, in {rounds} rounds"
            ));
        }
        all
    }
}
