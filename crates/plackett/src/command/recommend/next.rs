//! `plackett recommend MODEL`: what a user may want next.

use super::{exists, items};
use crate::command::number::whole;
use crate::command::open::many;
use crate::command::table::{Align, Table};
use crate::command::{Global, Outcome, Output};
use anyhow::anyhow;
use clap::Args;
use plackett_core::declaration::{nearest, suggestion};
use plackett_rec::{Event, ModelFolder, Reason, Request, best, reasons, split_names};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Events of a history that are looked at for a reason, the newest ones.
const MOST_REASONS: usize = 100;

/// What is asked.
// A flattened struct of the same name would give its group the name of the command's own.
#[derive(Args)]
#[group(id = "next")]
pub struct Arguments {
    /// The folder of a fitted recommender
    #[arg(required = true)]
    model: Option<PathBuf>,
    /// A user of the interactions that it was fitted to
    #[arg(long, value_name = "USER", conflicts_with = "history")]
    user: Option<String>,
    /// Items with commas between them, the oldest first, instead of a user; one with a comma stands in double quotes
    #[arg(long, value_name = "ITEMS")]
    history: Option<String>,
    /// Items that are recommended
    #[arg(short, long = "count", value_name = "K", default_value = "10", value_parser = whole::<usize>(1..))]
    k: usize,
    /// Rank these items alone, with commas between them: those that another system has found
    #[arg(long, value_name = "ITEMS", conflicts_with = "why")]
    candidates: Option<String>,
    /// Say for each item without which item of the history it would have the lowest score
    #[arg(long)]
    why: bool,
    /// Recommend items of the history too
    #[arg(long)]
    include_seen: bool,
    /// Items that may be recommended, by what --items says of them: 'year >= 2000 and genres = "Drama"' (docs/filters.md)
    #[arg(long, value_name = "FILTER", requires = "items")]
    filter: Option<String>,
    /// Lines of JSON with `item` and what --filter asks about
    #[arg(long, value_name = "FILE", requires = "filter")]
    items: Option<PathBuf>,
    /// When it is asked, in the unit of the interactions [default: the time of the newest event]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "history", value_parser = whole::<i64>(..))]
    now: Option<i64>,
}

impl Arguments {
    /// Whether a file of items is read.
    pub fn reads_items(&self) -> bool {
        self.items.is_some()
    }

    /// What is said of the items that are there, for the end of a remark.
    fn kept(&self) -> String {
        let mut kept = Vec::new();
        kept.extend((!self.include_seen).then_some("are not in the history"));
        kept.extend(self.candidates.is_some().then_some("are candidates"));
        kept.extend(self.filter.is_some().then_some("pass --filter"));
        if kept.is_empty() { String::new() } else { format!(" that {}", kept.join(" and ")) }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let path = arguments.model.as_ref().ok_or_else(|| anyhow!("name the folder of a model"))?;
    let folder = ModelFolder::open(path)?;
    if arguments.now.is_some() && !folder.configured.reads_time() {
        let name = folder.configured.spec.name;
        return Err(anyhow!("--now: {name} reads no times, as it was fitted; leave it out").into());
    }
    exists("--items", arguments.items.as_deref())?;
    let history = history_of(arguments, &folder)?;
    let newest = history.last().map(|event| event.time);
    if let (Some(now), Some(newest)) = (arguments.now, newest)
        && now < newest
    {
        output.warn(&format!("--now {now}: is before the newest event of the history, at {newest}"));
    }
    let now = arguments.now.or(newest).unwrap_or_default();
    let candidates = arguments.candidates.as_deref();
    let mut candidates = candidates.map(|items| items_of("--candidates", items, &folder)).transpose()?;
    if let Some(items) = &mut candidates {
        items.sort_unstable();
        items.dedup();
        let is_seen = |item: &&u32| history.iter().any(|event| event.item == **item);
        let seen = items.iter().filter(is_seen).count();
        if seen > 0 && !arguments.include_seen {
            let of = many(items.len(), "candidate");
            output.warn(&format!(
                "--candidates: {seen} of {of} left out, being in the history; --include-seen keeps them"
            ));
        }
    }
    let mut scores = scores_of(&folder, &Request { history: &history, now }, candidates.as_deref())?;
    if !arguments.include_seen {
        history.iter().for_each(|event| scores[event.item as usize] = f32::NEG_INFINITY);
    }
    if let (Some(filter), Some(file)) = (&arguments.filter, &arguments.items) {
        let passing = items::passing(filter, file, &folder.catalogue, global, output)?;
        let left_out = scores.iter_mut().zip(passing).filter(|(_, passes)| !passes);
        left_out.for_each(|(score, _)| *score = f32::NEG_INFINITY);
    }
    let list = best(&scores, arguments.k);
    if list.len() < arguments.k.min(candidates.map_or(usize::MAX, |items| items.len())) {
        output.warn(&format!("the catalogue has only {} items{}", list.len(), arguments.kept()));
    }
    if arguments.why && history.len() > MOST_REASONS {
        output.warn(&format!(
            "--why: reasons are looked for among the newest {MOST_REASONS} of {} events of the history",
            history.len()
        ));
    }
    let reasons = match arguments.why {
        true => reasons(&*folder.recommender, &Request { history: &history, now }, &list, MOST_REASONS)?,
        false => Vec::new(),
    };
    told(&folder, &list, &scores, &reasons, output)
}

/// The scores of all items; of those that are no candidates −∞, where there are some.
fn scores_of(
    folder: &ModelFolder,
    request: &Request<'_>,
    candidates: Option<&[u32]>,
) -> anyhow::Result<Vec<f32>> {
    let Some(candidates) = candidates else {
        return Ok(folder.recommender.finite_scores(&[*request])?);
    };
    let mut scores = vec![f32::NEG_INFINITY; folder.catalogue.len()];
    let found = folder.recommender.candidate_scores(request, candidates)?;
    candidates.iter().zip(found).for_each(|(item, score)| scores[*item as usize] = score);
    Ok(scores)
}

/// The places of items that a flag names, with commas between them.
fn items_of(flag: &str, items: &str, folder: &ModelFolder) -> anyhow::Result<Vec<u32>> {
    let names = split_names(items).ok_or_else(|| {
        anyhow!(
            "{flag}: a double quote is not closed in `{items}`; a name that begins with one ends with one"
        )
    })?;
    let place = |name: &str| {
        folder.place(name).ok_or_else(|| {
            let known = folder.catalogue.iter().map(|item| item.item.as_str());
            anyhow!("{flag}: there is no item `{name}`{}", suggestion(&nearest(name, known)))
        })
    };
    let names = names.iter().map(String::as_str).filter(|name| !name.is_empty());
    let places = names.map(place).collect::<anyhow::Result<Vec<u32>>>()?;
    match places.is_empty() {
        true => Err(anyhow!("{flag}: there is no item in `{items}`; give items with commas between them")),
        false => Ok(places),
    }
}

fn history_of(arguments: &Arguments, folder: &ModelFolder) -> anyhow::Result<Vec<Event>> {
    match (&arguments.user, &arguments.history) {
        (Some(user), _) => folder.history(user)?.ok_or_else(|| {
            anyhow!(
                "--user: `{user}` is not in the interactions that the model was fitted to; give a --history"
            )
        }),
        (None, Some(items)) => {
            let event = |(at, item): (usize, u32)| Event { item, rating: 1.0, time: at as i64 };
            Ok(items_of("--history", items, folder)?.into_iter().enumerate().map(event).collect())
        }
        (None, None) => Err(anyhow!("give a --user, or a --history")),
    }
}

fn told(
    folder: &ModelFolder,
    list: &[u32],
    scores: &[f32],
    reasons: &[Option<Reason>],
    output: &Output,
) -> Outcome {
    let item = |item: u32| &folder.catalogue[item as usize];
    let title = |at: u32| item(at).title.clone().unwrap_or_else(|| item(at).item.clone());
    if output.json {
        let one = |(rank, at): (usize, &u32)| {
            let reason = reasons.get(rank).copied().flatten();
            json!({
                "rank": rank + 1,
                "item": item(*at).item,
                "title": item(*at).title,
                "score": scores[*at as usize],
                "why": reason.map(|because| json!({"item": item(because.item).item, "title": item(because.item).title, "fall": because.fall})),
            })
        };
        let items: Vec<Value> = list.iter().enumerate().map(one).collect();
        return Ok(output.print_json(&json!({"recommender": folder.configured.to_string(), "items": items}))?);
    }
    let mut columns =
        vec![("rank", Align::Right), ("item", Align::Left), ("title", Align::Left), ("score", Align::Right)];
    if !reasons.is_empty() {
        columns.push(("because of", Align::Left));
    }
    let mut table = Table::new(columns.into_iter().map(|(name, align)| (name.to_string(), align)));
    for (rank, at) in list.iter().enumerate() {
        let mut row = vec![
            (rank + 1).to_string(),
            item(*at).item.clone(),
            item(*at).title.clone().unwrap_or_default(),
            format!("{:.4}", scores[*at as usize]),
        ];
        if let Some(reason) = reasons.get(rank) {
            row.push(reason.map_or_else(|| "–".to_string(), |because| title(because.item)));
        }
        table.row(row);
    }
    Ok(output.print(&table.render())?)
}
