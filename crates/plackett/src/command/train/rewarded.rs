//! `plackett train` with a table `[rewarded]`: a decoder that is rewarded for the titles of a catalogue that it writes after prompts.

use super::base::fingerprint;
use super::file::{beside, check_trained, parsed};
use super::identity::{WORK, claim, hashes, leave_out_recompute};
use super::kind::{Form, Kind};
use super::report::{add_what_is_left, beside_the_weights, in_card, in_words};
use super::{UNBOUNDED, page, show_step, tell_learned, unreached_rate};
use crate::command::item_catalogue::{CatalogueLine, open_embedder, read_catalogue};
use crate::command::means::Change;
use crate::command::open::{many, model_folder};
use crate::command::paths::Paths;
use crate::command::{Global, Outcome, Output};
use anyhow::{Context, anyhow, bail};
use plackett::pipeline::{Models, is_decoder};
use plackett::text_vectors::{count_cut, embed};
use plackett_core::formats::{atomic, read_json_lines};
use plackett_core::title_list::title_key;
use plackett_rank::model::Role;
use plackett_rec::{Event, ModelFolder, Request};
use plackett_train::rl::{
    DivergenceMean, ITEM_REWARDS, ItemData, ItemExample, ItemOutcome, ItemPolicyJob, ItemReward,
    ItemRewardSpec, ItemScores, ItemSource, RolloutRecord, constant_steps,
};
use plackett_train::trainer::{LanguageModel, Settings, StepRecord, Trained};
use plackett_train::{Compute, TrainError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The kind.
pub const KIND: Kind = Kind {
    help: "With a Llama as base and a table [rewarded], it is rewarded for the titles of a catalogue that it\n\
           writes after prompts (docs/recommendation.md).",
    form: Form::Own { table: "rewarded", run },
};

/// What the rollouts of the steps were like, a line each, in the folder of the training.
const ROLLOUTS: &str = "rollouts.jsonl";
/// The file of a recommender's folder that has the hashes of all others.
const RECOMMENDER: &str = "recommender.json";
/// Steps that are named when something has to be said of them.
const NAMED: usize = 10;

/// A training file with the table `[rewarded]`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RewardedFile {
    /// A model's name or folder.
    base: String,
    /// Prompts with the title that is right after each.
    examples: PathBuf,
    /// The same, on which the model is measured.
    validation: Option<PathBuf>,
    /// Most tokens of a prompt with a title.
    #[serde(alias = "max_length")]
    tokens: Option<usize>,
    rewarded: Rewarded,
    #[serde(default)]
    trained: Trained,
    #[serde(default)]
    settings: Settings,
}

/// What is rewarded, and how.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Rewarded {
    /// The catalogue.
    items: PathBuf,
    /// A name of `ITEM_REWARDS`.
    #[serde(default = "usual_reward")]
    reward: String,
    /// Titles that are searched for each prompt.
    beams: Option<usize>,
    /// The loss of the log-probabilities.
    loss: Option<String>,
    /// The weight of the divergence from the base.
    kl: Option<f32>,
    /// Over what the divergence is a mean.
    divergence: Option<DivergenceMean>,
    /// The embedding model of the reward `semantic`.
    embedder: Option<String>,
    /// The folder of the recommender of the reward `collaborative`.
    scorer: Option<PathBuf>,
}

fn usual_reward() -> String {
    ItemReward::NAMES[0].into()
}

impl RewardedFile {
    fn read(path: &Path, text: &str) -> anyhow::Result<RewardedFile> {
        let file: RewardedFile = parsed(path, text)?;
        let place = || path.display().to_string();
        file.check().with_context(place)?;
        file.job().check().with_context(place)?;
        Ok(file)
    }

    /// Refuses keys that have no effect, and what is missing.
    fn check(&self) -> anyhow::Result<()> {
        let Rewarded { embedder, scorer, .. } = &self.rewarded;
        let reward = self.reward()?;
        check_trained(&self.trained, &self.settings, self.validation.as_deref())?;
        self.check_divergence()?;
        match (reward, embedder, scorer) {
            (ItemReward::Collaborative, _, None) => {
                bail!("scorer: the reward `collaborative` needs the folder of a `plackett recommend fit`")
            }
            (ItemReward::Places(_) | ItemReward::Collaborative, Some(_), _) => {
                bail!("embedder: is for the reward `semantic`; leave it out")
            }
            (ItemReward::Places(_) | ItemReward::Semantic, _, Some(_)) => {
                bail!("scorer: is for the reward `collaborative`; leave it out")
            }
            _ => Ok(()),
        }
    }

    /// Refuses a mean of the divergence where there is none, or where both means are the same.
    fn check_divergence(&self) -> anyhow::Result<()> {
        let ItemPolicyJob { kl, loss, .. } = self.job();
        match self.rewarded.divergence {
            Some(_) if kl == 0.0 => bail!("divergence: kl = 0 weighs none; leave it out"),
            Some(_) if loss == "dapo" => {
                bail!("divergence: with the loss `dapo` each token counts alike; leave it out")
            }
            _ => Ok(()),
        }
    }

    fn reward(&self) -> anyhow::Result<ItemReward> {
        let name = &self.rewarded.reward;
        let of = |spec: &ItemRewardSpec| format!("{} ({})", spec.name, spec.summary);
        ItemReward::named(name).ok_or_else(|| {
            let known: Vec<String> = ITEM_REWARDS.iter().map(of).collect();
            anyhow!("reward: `{name}` is none; there are {}", known.join("; "))
        })
    }

    fn job(&self) -> ItemPolicyJob {
        let usual = ItemPolicyJob::default();
        let Rewarded { beams, loss, kl, divergence, .. } = &self.rewarded;
        ItemPolicyJob {
            beams: beams.unwrap_or(usual.beams),
            loss: loss.clone().unwrap_or(usual.loss),
            kl: kl.unwrap_or(usual.kl),
            divergence: divergence.unwrap_or(usual.divergence),
            tokens: self.tokens.unwrap_or(usual.tokens),
            trained: self.trained.clone(),
            settings: self.settings.clone(),
        }
    }
}

/// The places of the files that a training file names.
struct Files {
    examples: PathBuf,
    validation: Option<PathBuf>,
    items: PathBuf,
    scorer: Option<PathBuf>,
}

impl Files {
    fn of(own: &Path, file: &RewardedFile) -> Files {
        let place = |path: &PathBuf| beside(own, path);
        Files {
            examples: place(&file.examples),
            validation: file.validation.as_ref().map(place),
            items: place(&file.rewarded.items),
            scorer: file.rewarded.scorer.as_ref().map(place),
        }
    }

    /// Names and hashes of all that the result depends on beside base and settings.
    fn hashes(&self) -> anyhow::Result<Vec<(String, String)>> {
        let about = self.scorer.as_ref().map(|folder| folder.join(RECOMMENDER));
        let files = [Some(&self.examples), self.validation.as_ref(), Some(&self.items), about.as_ref()];
        hashes(files.into_iter().flatten().map(PathBuf::as_path))
    }
}

/// A line of the examples.
#[derive(Deserialize)]
struct Line {
    prompt: String,
    target: String,
    #[serde(default)]
    history: Vec<String>,
}

/// Examples with what came before each, as names of items.
#[derive(Default)]
struct Examples {
    examples: Vec<ItemExample>,
    histories: Vec<Vec<String>>,
}

impl Examples {
    /// Reads them; the target of each has to be a title of the catalogue.
    fn read(path: &Path, items: &[CatalogueLine], global: &Global) -> anyhow::Result<Examples> {
        let expected = "{\"prompt\": …, \"target\": a title of the items, \"history\": […]}";
        let places: HashMap<String, usize> =
            items.iter().enumerate().map(|(at, line)| (title_key(&line.title), at)).collect();
        let mut read = Examples::default();
        let lines = read_json_lines::<Line>(path, global.max_line_bytes, expected)?;
        for (line, Line { prompt, target, history }) in lines {
            let Some(item) = places.get(&title_key(&target)).copied() else {
                bail!(
                    "{}, line {line}: `target`: {:?} is the title of no item; write it as the items have it, with the year",
                    path.display(),
                    target.trim()
                );
            };
            read.examples.push(ItemExample { prompt, item });
            read.histories.push(history);
        }
        if read.examples.is_empty() {
            bail!("{}: there is no example in it", path.display());
        }
        Ok(read)
    }
}

/// Runs the command.
fn run((path, text): (&Path, &str), folder: &Path, global: &Global, output: &Output) -> Outcome {
    let file = RewardedFile::read(path, text)?;
    if file.reward()? != ItemReward::Semantic {
        global.no_memory_budget(UNBOUNDED)?;
    }
    let files = Files::of(path, &file);
    let checked = Paths::default().reads("FILE.toml", [path]).reads("examples", [&files.examples]);
    let checked = checked.reads("validation", &files.validation).reads("items", [&files.items]);
    checked.opens("base", [&file.base]).opens("scorer", &files.scorer).check(output)?;
    let base = model_folder(&file.base, global)?;
    if !is_decoder(&base) {
        let problem = "is no decoder that could write titles; give a Llama or Qwen2";
        return Err(anyhow!("base {}: {problem}", file.base).into());
    }
    LanguageModel::check_base(&base).with_context(|| format!("base {}", file.base))?;
    let items = read_catalogue("items", &files.items, global)?;
    let examples = Examples::read(&files.examples, &items, global)?;
    let held = match &files.validation {
        Some(path) => Examples::read(path, &items, global)?,
        None => Examples::default(),
    };
    let hashes = files.hashes()?;
    let weights = fingerprint(&file.base, &base)?;
    let embedder = embedder_fingerprint(&file, global)?;
    let mut identity = json!({"file": file, "data": hashes, "base": weights, "embedder": embedder});
    leave_out_recompute(&mut identity);
    let identity = identity.to_string();
    let source = source(&file, (&files, &items, &examples), global, output)?;
    let claimed = claim(folder, &identity)?;
    let titles: Vec<String> = items.into_iter().map(|line| line.title).collect();
    let data = ItemData { titles: &titles, examples: &examples.examples, held: &held.examples, source };
    let made = learn(&file.job(), (&base, folder), data, &identity, output);
    let made = made.inspect_err(|_| claimed.withdraw())?;
    let rate = unreached_rate(&file.settings, &made.learned);
    rate.iter().chain(&idle_steps(&made)).for_each(|remark| output.warn(remark));
    write_rollouts(folder, &made.records)?;
    write_card(folder, (&file, &hashes), &made)?;
    let (model, settings) = ("decoder that writes titles", toml::to_string(&file)?);
    let described = page::Made { model, base: &file.base, settings, measured: "prompts" };
    page::write(folder, described, (&made.learned, change(&made).as_ref()), &hashes)?;
    say(folder, (&examples.examples, &titles), &made, output)
}

/// What tells the embedding model of the semantic reward from others of its name.
fn embedder_fingerprint(file: &RewardedFile, global: &Global) -> anyhow::Result<Option<String>> {
    if file.reward()? != ItemReward::Semantic {
        return Ok(None);
    }
    let models = Models::new(file.rewarded.embedder.clone(), global.models());
    Ok(models.fingerprint(models.name(None))?)
}

/// What rewards are computed from.
fn source(
    file: &RewardedFile,
    (files, items, examples): (&Files, &[CatalogueLine], &Examples),
    global: &Global,
    output: &Output,
) -> anyhow::Result<ItemSource<'static>> {
    match (file.reward()?, &files.scorer) {
        (ItemReward::Places(reward), _) => Ok(ItemSource::Places(reward)),
        (ItemReward::Semantic, _) => {
            Ok(ItemSource::Vectors(vectors(file.rewarded.embedder.as_deref(), items, global, output)?))
        }
        (ItemReward::Collaborative, Some(folder)) => {
            Ok(ItemSource::Scores(scores(folder, (items, &files.examples), examples)?))
        }
        (ItemReward::Collaborative, None) => bail!("scorer: the reward `collaborative` needs one"),
    }
}

/// The vectors of the items' texts.
fn vectors(
    model: Option<&str>,
    items: &[CatalogueLine],
    global: &Global,
    output: &Output,
) -> anyhow::Result<Vec<Vec<f32>>> {
    let embedder = open_embedder("embedder", model, global)?;
    let texts: Vec<&str> = items.iter().map(|line| line.text.as_str()).collect();
    let bar = output.progress("embedding items", items.len() as u64);
    let mut moved = |done: usize| bar.set_position(done as u64);
    let vectors = embed(embedder.as_ref(), Role::Document, &texts, &mut moved)?;
    bar.finish_and_clear();
    let cut = count_cut(&vectors);
    if cut > 0 {
        output.warn(&format!("{cut} items have more text than the embedding model reads, and are cut"));
    }
    Ok(vectors.into_iter().map(|text| text.values).collect())
}

/// The scores of a recommender after the history of each example, for the items that titles are of.
fn scores(
    folder: &Path,
    (items, path): (&[CatalogueLine], &Path),
    examples: &Examples,
) -> anyhow::Result<ItemScores<'static>> {
    let ModelFolder { catalogue, recommender, configured, .. } = ModelFolder::open(folder)?;
    configured.check_without_times().with_context(|| format!("scorer {}", folder.display()))?;
    let known: HashMap<&str, u32> =
        catalogue.iter().enumerate().map(|(at, item)| (item.item.as_str(), at as u32)).collect();
    let lacking = |item: &str| anyhow!("scorer {}: its catalogue lacks the item `{item}`", folder.display());
    let mut places = Vec::with_capacity(items.len());
    for CatalogueLine { item, .. } in items {
        let place = known.get(item.as_str()).ok_or_else(|| lacking(item))?;
        places.push(*place as usize);
    }
    let mut histories = Vec::with_capacity(examples.histories.len());
    for history in &examples.histories {
        let mut events = Vec::with_capacity(history.len());
        for (time, item) in history.iter().enumerate() {
            let item = known.get(item.as_str()).ok_or_else(|| lacking(item))?;
            events.push(Event { item: *item, rating: 1.0, time: time as i64 });
        }
        histories.push(events);
    }
    if histories.iter().all(Vec::is_empty) {
        bail!(
            "{}: no example has a `history`, after which the scorer could tell one item from another",
            path.display()
        );
    }
    Ok(Box::new(move |example: usize| -> Result<Vec<f32>, TrainError> {
        let history = &histories[example];
        let request = Request { history, now: history.len() as i64 };
        let scores = recommender.finite_scores(&[request]);
        let scores = scores.map_err(|error| TrainError::Model(format!("scorer: {error}")))?;
        Ok(places.iter().map(|place| scores[*place]).collect())
    }))
}

/// Trains, with a bar.
fn learn(
    job: &ItemPolicyJob,
    (base, folder): (&Path, &Path),
    data: ItemData<'_>,
    identity: &str,
    output: &Output,
) -> anyhow::Result<ItemOutcome> {
    let bar = output.progress("training", 0);
    let mut progress = |record: &StepRecord, total: usize| show_step(&bar, record, total);
    let compute = Compute::new(rayon::current_num_threads());
    let work = folder.join(WORK);
    let made = job.run(base, data, (&work, folder), identity, &compute, &mut progress);
    bar.finish_and_clear();
    let made = made?;
    tell_learned(&made.learned, Some(job.tokens), ("prompts", job.loss.as_str()), output);
    Ok(made)
}

/// What is to be said of steps in which nothing was learned.
fn idle_steps(made: &ItemOutcome) -> Option<String> {
    let steps = constant_steps(&made.records);
    let named: Vec<String> = steps.iter().take(NAMED).map(ToString::to_string).collect();
    let rest = if steps.len() > NAMED { " and others" } else { "" };
    (!steps.is_empty()).then(|| {
        format!(
            "in {} of {} steps the titles for each prompt were all worth the same, and nothing was learned: step {}{rest}",
            steps.len(),
            made.records.len(),
            named.join(", ")
        )
    })
}

/// The mean reward in the first and in the last tenth of the steps.
fn rewards(records: &[RolloutRecord]) -> [f64; 2] {
    let tenth = records.len().div_ceil(10);
    let mean = |records: &[RolloutRecord]| {
        records.iter().map(|record| record.reward).sum::<f64>() / records.len().max(1) as f64
    };
    [mean(&records[..tenth]), mean(&records[records.len() - tenth..])]
}

/// The nDCG@10 of the validation examples before and after.
fn change(made: &ItemOutcome) -> Option<Change> {
    made.ndcg.as_ref().map(|[before, after]| Change::of_pairs(before, after))
}

/// The share of the prompts whose titles were all worth the same.
fn without_advantage(records: &[RolloutRecord]) -> f64 {
    let sum: f64 = records.iter().map(|record| record.without_advantage).sum();
    sum / records.len().max(1) as f64
}

/// One line for each step.
fn write_rollouts(folder: &Path, records: &[RolloutRecord]) -> anyhow::Result<()> {
    let lines = records.iter().map(serde_json::to_string).collect::<Result<Vec<String>, _>>()?;
    let path = folder.join(WORK).join(ROLLOUTS);
    Ok(atomic::write(&path, |out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))?)
}

/// The model card: what it was made from and how.
fn write_card(
    folder: &Path,
    (file, hashes): (&RewardedFile, &[(String, String)]),
    made: &ItemOutcome,
) -> anyhow::Result<()> {
    let hashes: String = hashes.iter().map(|(name, hash)| format!("| {name} | {hash} |\n")).collect();
    let [begin, end] = rewards(&made.records);
    let measured = change(made).map_or_else(String::new, |ndcg| {
        let sure = ndcg.words("prompts");
        format!(
            " The nDCG@10 of the validation prompts went from {:.4} to {:.4} ({sure}).",
            ndcg.before, ndcg.after
        )
    });
    let card = format!(
        "# A decoder that writes titles\n\nMade from {} by `plackett train` {}. It writes the title of an item after a prompt.\n\n\
         | file | SHA-256 |\n| --- | --- |\n{hashes}\n{} of {} numbers were trained in {}. The mean reward went from {begin:.4} in the first \
         tenth of the steps to {end:.4} in the last.{measured}{}\n\n```toml\n{}```\n",
        file.base,
        env!("CARGO_PKG_VERSION"),
        made.learned.trainable,
        made.learned.parameters,
        many(made.learned.report.total, "step"),
        in_card(&made.learned),
        toml::to_string(file)?
    );
    Ok(atomic::write(&folder.join("README.md"), |out| write!(out, "{card}"))?)
}

/// Says what came out.
fn say(
    folder: &Path,
    (examples, titles): (&[ItemExample], &[String]),
    made: &ItemOutcome,
    output: &Output,
) -> Outcome {
    let (learned, ndcg, [begin, end]) = (&made.learned, change(made), rewards(&made.records));
    let flat = without_advantage(&made.records);
    if output.json {
        let mut document = json!({
            "output": folder,
            "prompts": examples.len(),
            "items": titles.len(),
            "steps": learned.report.total,
            "trainable": learned.trainable,
            "parameters": learned.parameters,
            "reward": [begin, end],
            "without_advantage": flat,
            "misses": made.misses,
            "resumed": learned.report.resumed,
            "cut": learned.cut.pairs,
            "ndcg": ndcg.as_ref().map(|ndcg| [ndcg.before, ndcg.after]),
            "ndcg_change": ndcg,
        });
        add_what_is_left(&mut document, folder, learned);
        return Ok(output.print_json(&document)?);
    }
    let shown = folder.display();
    let (prompts, items) = (many(examples.len(), "prompt"), many(titles.len(), "item"));
    let steps = many(learned.report.total, "step");
    output.print(&format!(
        "{shown}: {steps} over {prompts} and {items}, {} of {} numbers trained\n",
        learned.trainable, learned.parameters
    ))?;
    output
        .print(&format!("mean reward {begin:.4} in the first tenth of the steps, {end:.4} in the last\n"))?;
    output.print(&format!("{:.0} % of the prompts: all titles were worth the same\n", 100.0 * flat))?;
    if let Some(ndcg) = ndcg {
        let (before, after, sure) = (ndcg.before, ndcg.after, ndcg.words("prompts"));
        output.print(&format!("validation nDCG@10 {before:.4} before, {after:.4} after ({sure})\n"))?;
    }
    output.print(&in_words(learned))?;
    output.print(&beside_the_weights(folder))?;
    let prefix = if folder.is_absolute() { "" } else { "./" };
    Ok(output.print(&format!("\nTry next: plackett generate --model {prefix}{shown} \"a prompt\"\n"))?)
}

#[cfg(test)]
mod tests {
    use super::super::kind::run_of_own;
    use super::*;

    fn checked(rewarded: &str, rest: &str) -> Result<(), String> {
        let text = format!(
            "base = \"b\"\nexamples = \"e.jsonl\"\n[rewarded]\nitems = \"i.jsonl\"\n{rewarded}\n{rest}\n"
        );
        assert!(run_of_own(&text).is_some());
        RewardedFile::read(Path::new("t.toml"), &text).map(|_| ()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn keys_without_effect_and_missing_ones_are_refused() {
        for good in [
            "",
            "reward = \"rule\"\nbeams = 4\nkl = 0\nloss = \"dapo\"",
            "divergence = \"answers\"",
            "loss = \"gspo\"\ndivergence = \"tokens\"",
            "reward = \"semantic\"\nembedder = \"all-MiniLM-L6-v2\"",
            "reward = \"collaborative\"\nscorer = \"model\"",
        ] {
            assert_eq!(checked(good, ""), Ok(()), "{good}");
        }
        for (rewarded, rest, piece) in [
            ("reward = \"best\"", "", "`best` is none; there are rule-and-rank (1 for the right item"),
            ("reward = \"collaborative\"", "", "needs the folder of a `plackett recommend fit`"),
            ("embedder = \"x\"", "", "embedder: is for the reward `semantic`"),
            ("reward = \"semantic\"\nscorer = \"x\"", "", "scorer: is for the reward `collaborative`"),
            ("divergence = \"words\"", "", "words"),
            ("kl = 0\ndivergence = \"tokens\"", "", "divergence: kl = 0 weighs none"),
            ("loss = \"dapo\"\ndivergence = \"tokens\"", "", "divergence: with the loss `dapo`"),
            ("loss = \"ppo\"", "", "loss: `ppo` is none of grpo, dapo, gspo"),
            ("beam = 4", "", "line 5: `beam` is no key here; did you mean `beams`?"),
            ("", "[settings]\nevaluate = 2", "evaluate: there are no examples"),
            ("", "[settings]\ndropout = 0.5", "dropout"),
            ("", "[trained]\ntargets = \"query\"", "targets = \"query\" names layers for an adapter"),
        ] {
            let said = checked(rewarded, rest).unwrap_err();
            assert!(said.contains(piece), "{rewarded} {rest}: {said}");
        }
    }

    #[test]
    fn constant_rewards_are_named_and_rewards_are_means_of_tenths() {
        let record = |reward: f64, without_advantage: f64| RolloutRecord {
            reward,
            without_advantage,
            ..RolloutRecord::default()
        };
        let records = vec![record(0.25, 1.0), record(0.5, 0.5), record(1.0, 1.0)];
        assert_eq!(rewards(&records), [0.25, 1.0]);
        assert_eq!((rewards(&[]), without_advantage(&records)), ([0.0, 0.0], 2.5 / 3.0));
        let made = ItemOutcome { records, ..ItemOutcome::default() };
        let said = idle_steps(&made).unwrap();
        assert!(said.starts_with("in 2 of 3 steps") && said.ends_with("step 1, 3"), "{said}");
    }
}
