//! `plackett recommend`: from interactions to what a user may want next.

mod evaluate;
mod fit;
mod items;
mod list;
mod next;
mod page;
mod slices;
mod texts;

use super::{Global, Outcome, Output};
use clap::{Args, Subcommand};
use plackett::content_hash::is_stream;
use plackett_core::counted;
use plackett_rec::{Configured, Interactions, ReadLimits, k_core, read_interactions_within};
use std::path::{Path, PathBuf};

/// Recommend items to users: fit a recommender to interactions, measure it, ask it what comes next
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  \
                  plackett recommend fit interactions.tsv -o model --recommender 'ease(l2=250)' --titles items.jsonl\n  \
                  plackett recommend eval interactions.tsv --recommender popularity --recommender hstu\n  \
                  plackett recommend model --user 42 -k 5\n  \
                  plackett recommend model --history 50,181,174 --why\n  \
                  plackett recommend model --user 42 --filter 'year >= 1990' --items items.jsonl\n\n\
                  A file of interactions has user, item, rating and timestamp between tabs or commas, with or without\n\
                  a header (RecBole's atomic files too), or a line with a user and all items in their order; a Parquet\n\
                  table has columns of these names. `plackett recommend list` shows the recommenders.\n\n\
                  With --memory-budget, `fit` and `eval` refuse interactions that would take more memory, and say how\n\
                  much they need; a recommender's own weights are not counted."
)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    next: next::Arguments,
}

#[derive(Subcommand)]
enum Action {
    Fit(fit::Arguments),
    Eval(evaluate::Arguments),
    /// The recommenders there are
    List,
    /// What a recommender does, and its options
    Show {
        /// Name or alias
        recommender: String,
    },
}

/// Where interactions come from, and which of them count.
#[derive(Args)]
struct Data {
    /// Interactions of users and items
    interactions: PathBuf,
    /// Leave out users and items with fewer events, again and again until all have so many
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = super::number::whole::<usize>(0..))]
    core: usize,
    /// Leave out events with a lower rating
    #[arg(long, value_name = "RATING", value_parser = super::number::real("", |_| true))]
    least_rating: Option<f64>,
}

impl Data {
    /// Reads and filters the interactions, and says what was left out.
    fn read(&self, global: &Global, output: &Output) -> anyhow::Result<Interactions> {
        let least_rating = self.least_rating.map(|rating| rating as f32);
        let memory = global.memory_budget.map(|bytes| bytes as u64);
        let limits = ReadLimits { line_bytes: global.max_line_bytes, memory };
        let mut all = read_interactions_within(&self.interactions, least_rating, limits)?;
        if self.core > 0 {
            all = k_core(all, self.core);
        }
        all.account.remarks().iter().for_each(|remark| output.warn(remark));
        match all.events() {
            0 => Err(anyhow::anyhow!(
                "--core {}: no user and item have so many events; give a smaller number",
                self.core
            )),
            _ => Ok(all),
        }
    }
}

/// Says how often a training by rewards had nothing to learn from.
fn remark_on_flat(flat: usize, recommender: &str, output: &Output) {
    if flat > 0 {
        let histories = counted(flat, "history had", "histories had");
        output.warn(&format!(
            "{recommender}: {histories} items written that were all worth the same, which teaches nothing; a wider `group` or another \
             `reward` has fewer"
        ));
    }
}

/// Refuses a seed of which no recommender makes use.
fn check_seed(seed: Option<u64>, recommenders: &[Configured]) -> anyhow::Result<()> {
    match seed.is_some() && recommenders.iter().all(|one| !one.spec.draws) {
        true => Err(anyhow::anyhow!("--seed: nothing is drawn by these recommenders; leave it out")),
        false => Ok(()),
    }
}

/// Refuses to read what is not there, before any work.
fn exists(flag: &str, path: Option<&Path>) -> anyhow::Result<()> {
    match path {
        Some(path) if !is_stream(path) && !path.exists() => {
            Err(anyhow::anyhow!("{flag}: there is no {}; check the name", path.display()))
        }
        _ => Ok(()),
    }
}

impl Arguments {
    /// Whether a file of interactions or items is read.
    pub fn reads_lines(&self) -> bool {
        self.holds_interactions() || self.action.is_none() && self.next.reads_items()
    }

    /// Whether interactions are held in memory.
    pub fn holds_interactions(&self) -> bool {
        matches!(self.action, Some(Action::Fit(_) | Action::Eval(_)))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    match &arguments.action {
        None => next::run(&arguments.next, global, output),
        Some(Action::Fit(arguments)) => fit::run(arguments, global, output),
        Some(Action::Eval(arguments)) => evaluate::run(arguments, global, output),
        Some(Action::List) => list::list(output),
        Some(Action::Show { recommender }) => list::show(recommender, output),
    }
}
