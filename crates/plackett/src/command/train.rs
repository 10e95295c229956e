//! `plackett train`: a model that learns from labelled examples.

use super::means::Change;
use super::open::model_folder;
use super::paths::Paths;
use super::train_first_tokens::FirstTokenData;
use super::train_groups::{self, GroupData};
use super::train_lists::ListData;
use super::training_file::{Base, Job, Kind, TrainingFile, beside};
use super::training_folder::{self, TrainingLock};
use super::{Global, Outcome, Output, depths, train_rewarded, training_page};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use plackett::content_hash;
use plackett_core::formats::atomic;
use plackett_train::Compute;
use plackett_train::trainer::{
    ADAPTER, CHECKPOINT, DepthMeasure, EncoderDecoderModel, Evaluated, LanguageModel, Outcome as Learned,
    PHASE_ADAPTER, PhaseRecord, RankingExample, Settings, StepRecord, TextExample, keep_negatives,
    phase_folder, read_ranking_examples, read_text_examples,
};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the log and checkpoints lie in the folder of the model.
pub(super) const WORK: &str = "training";

/// The file there that says what is trained.
const IDENTITY: &str = "training.json";

/// Why a memory budget is refused where no model but the one that is trained is opened.
pub(super) const UNBOUNDED: &str =
    "a training does not keep to one; a smaller `batch` and `recompute = true` take less memory";

/// The weights of a model.
const WEIGHTS: &str = "model.safetensors";

/// Train a cross-encoder, a T5 reranker, a listwise reranker or a scorer of vectors on queries with labelled candidates, or a decoder on texts, whole or with an adapter
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett train ranker.toml -o ranker\n  plackett rerank --method cross-encoder --model ./ranker requests.jsonl\n\n\
                  The file says what is trained and how:\n\n  base = \"all-MiniLM-L6-v2\"     # a model's name or folder\n  examples = \"train.jsonl\"      # {\"query\": …, \"candidates\": [{\"text\": …, \"label\": 1}, …]}\n  \
                  validation = \"dev.jsonl\"      # may be left out\n  negatives = 4                 # candidates of label 0 for each other one, at most\n  \
                  objective = \"bce\"             # docs/objectives.md has all\n  tokens = 128                  # most tokens of a query with a candidate\n\n  \
                  [trained]\n  adapter = \"lora(rank=8)\"      # or full, or head; docs/adapters.md has all\n  targets = \"query,value\"       # or all\n  \
                  save_adapter = true           # the adapter alone too, as PEFT saves it, in DIR/adapter\n\n  \
                  [settings]\n  epochs = 1\n  batch = 8                     # queries\n  rate = 1e-3\n\n\
                  With a Llama as base, examples are texts: {\"prompt\": …, \"target\": …}. `depths = [8, 16, 24]` trains these layers \
                  and the\nlast norm and output matrix to be models of their own (generate --depth, --exit, --draft-depth).\n\n\
                  With a Llama as base and method = \"cross-encoder\" it gets a score head (RankLLaMA) and learns to score queries with \
                  candidates;\nnegatives, objectives and tokens are those of a cross-encoder.\n\n\
                  With a Llama as base and a `method`, as \"first\" or \"full-rank(words=32)\", it learns to order the candidates of queries with \
                  the\nprompts of that method. `window = 20` keeps the 20 best of each list, `orders = 2` shows it in two orders. With `dear` and\n\
                  `reason-rank` each list has a \"reasoning\" too (plackett synth reasoning).\n\n\
                  With a T5 as base and the `method` \"mono-t5\" or \"rank-t5\", it learns to score each candidate by the first token of its answer.\n\n\
                  With an embedding model as base and `method = \"tsprank\"`, a scorer of its vectors learns which candidate comes right \
                  after which\n(TSPRank); the table [scorer] has its shape: width, hidden, layers, heads, inner.\n\n\
                  With a Llama as base and a table [rewarded], it is rewarded for the titles of a catalogue that it writes after prompts (docs/recommendation.md).\n\n\
                  A run that was killed goes on where its last checkpoint is when the same command is given again, to the same numbers."
)]
pub struct Arguments {
    /// The training file
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// The folder of the model that is made
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    if train_rewarded::is_rewarded(&arguments.file) {
        return train_rewarded::run((&arguments.file, &arguments.output), global, output);
    }
    let mut file = TrainingFile::read(&arguments.file)?;
    let place = || arguments.file.display().to_string();
    file.job(file.kind(file.named_base())).check().with_context(place)?;
    let examples = beside(&arguments.file, &file.examples);
    let validation = file.validation.as_ref().map(|path| beside(&arguments.file, path));
    let files = Paths::default().reads("FILE.toml", [&arguments.file]).reads("examples", [&examples]);
    files.reads("validation", &validation).opens("base", [&file.base]).check(output)?;
    let of_groups = file.is_of_groups();
    // Any embedding model is a base there, the bundled one too, and only its vectors are read.
    let base = if of_groups { PathBuf::from(&file.base) } else { model_folder(&file.base, global)? };
    let found = if of_groups { Base::Encoder } else { Base::of(&base) };
    if found == Base::EncoderDecoder {
        EncoderDecoderModel::check_base(&base).with_context(|| format!("base {}", file.base))?;
    }
    file.settle(found).with_context(place)?;
    let kind = file.kind(found);
    if matches!(kind, Kind::Ranking | Kind::Language | Kind::FirstToken) {
        global.no_memory_budget(UNBOUNDED)?;
    }
    let job = file.job(kind);
    job.check().with_context(place)?;
    let weights = match (kind, found) {
        (Kind::Groups, _) => train_groups::fingerprint(&file.base, global)?,
        (_, Base::Decoder) => {
            LanguageModel::check_base(&base).with_context(|| format!("base {}", file.base))?;
            fingerprint(&file.base, &base)?
        }
        (_, Base::Encoder | Base::EncoderDecoder) => {
            check_base(&file, &base, if found == Base::Encoder { "BERT" } else { "T5" })?;
            fingerprint(&file.base, &base)?
        }
    };
    let files = (examples.as_path(), validation.as_deref());
    let data = match kind {
        Kind::Language => {
            let held_out = validation.as_deref().map(read_texts).transpose()?.unwrap_or_default();
            Data::Texts(read_texts(&examples)?, held_out)
        }
        Kind::Ranking => {
            let (lists, held_out) = read_lists(&file, files, output)?;
            Data::Lists(lists, held_out)
        }
        Kind::FirstToken => {
            let (lists, held_out) = read_lists(&file, files, output)?;
            let prompted = FirstTokenData::make(&file, (&lists, &held_out), &base, global, output)?;
            Data::FirstTokens(Box::new(prompted))
        }
        Kind::Lists => Data::Orders(Box::new(ListData::read(&file, files, &base, global, output)?)),
        Kind::Groups => Data::Groups(Box::new(GroupData::read(&file, files, &weights, global, output)?)),
    };
    let hashes = hashes(&examples, validation.as_deref())?;
    let mut identity = json!({"file": file, "data": hashes, "base": weights});
    leave_out_recompute(&mut identity);
    match &data {
        Data::Orders(lists) => identity["lists"] = json!(lists.fingerprint()),
        Data::FirstTokens(lists) => identity["lists"] = json!(lists.fingerprint()),
        Data::Lists(..) | Data::Texts(..) | Data::Groups(_) => {}
    }
    let identity = identity.to_string();
    let _alone = claim(&arguments.output, &identity)?;
    let (learned, measured) = learn((&job, &data), &base, arguments, &identity, global, output)?;
    unreached_rate(&file.settings, &learned).iter().for_each(|sentence| output.warn(sentence));
    write_card(arguments, (&file, &data), (&learned, &measured), &hashes)?;
    let made = training_page::Made {
        model: data.model(),
        base: &file.base,
        settings: toml::to_string(&file)?,
        measured: "lists",
    };
    training_page::write(&arguments.output, made, (&learned, measured.ndcg.as_ref()), &hashes)?;
    say(arguments, (&learned, &measured), &data, output)
}

/// What a model learns from, and what is held out.
enum Data {
    Lists(Vec<RankingExample>, Vec<RankingExample>),
    Texts(Vec<TextExample>, Vec<TextExample>),
    Orders(Box<ListData>),
    FirstTokens(Box<FirstTokenData>),
    Groups(Box<GroupData>),
}

impl Data {
    /// What is learned from, in the plural, and how much of it there is.
    fn count(&self) -> (&'static str, usize) {
        match self {
            Data::Lists(lists, _) => ("queries", lists.len()),
            Data::Texts(texts, _) => ("texts", texts.len()),
            Data::Orders(lists) => ("queries", lists.count()),
            Data::FirstTokens(lists) => ("queries", lists.taught.len()),
            Data::Groups(lists) => ("queries", lists.count()),
        }
    }

    /// What comes out.
    fn model(&self) -> &'static str {
        match self {
            Data::Lists(..) => "cross-encoder",
            Data::Texts(..) => "decoder",
            Data::Orders(_) => "listwise reranker",
            Data::FirstTokens(_) => "pointwise reranker",
            Data::Groups(_) => "scorer of successions",
        }
    }

    /// What it does.
    fn does(&self) -> String {
        match self {
            Data::Lists(..) => "It scores a query with a document; a greater score is better.".into(),
            Data::Texts(..) => "It writes texts after prompts.".into(),
            Data::Orders(lists) => {
                format!("It orders passages for a query, asked by the method `{}`.", lists.method())
            }
            Data::FirstTokens(lists) => {
                format!("It scores a passage for a query, asked by the method `{}`.", lists.method())
            }
            Data::Groups(_) => {
                "It says which passage should come right after which, and the method `tsprank` takes the best path.".into()
            }
        }
    }

    /// A command that uses it.
    fn next(&self, model: &str) -> String {
        match self {
            Data::Lists(..) => format!("rerank --method cross-encoder --model {model} requests.jsonl"),
            Data::Texts(..) => format!("generate --model {model} \"a prompt\""),
            Data::Orders(lists) => rerank_with(lists.method(), model),
            Data::FirstTokens(lists) => rerank_with(lists.method(), model),
            Data::Groups(_) => format!("rerank --method tsprank --model {model} requests.jsonl"),
        }
    }
}

/// A command that ranks with a method and a model.
fn rerank_with(method: &str, model: &str) -> String {
    let quote = if method.contains(['(', ' ']) { "'" } else { "" };
    format!("rerank --method {quote}{method}{quote} --model {model} requests.jsonl")
}

/// What is made of the validation examples beside their loss, before and after.
#[derive(Default)]
struct Measured {
    /// By each depth of a decoder of texts.
    depths: [Vec<DepthMeasure>; 2],
    /// nDCG@10 of lists, as the method orders them.
    ndcg: Option<Change>,
}

/// What tells a base from others of its name: weights and shape, and how it splits texts.
pub(super) fn fingerprint(name: &str, base: &Path) -> anyhow::Result<String> {
    let weights = plackett_lm::store::fingerprint(base).with_context(|| name.to_string())?;
    let tokenizer = base.join("tokenizer.json");
    if !tokenizer.is_file() {
        return Ok(weights);
    }
    let tokens = content_hash::content(&tokenizer).with_context(|| tokenizer.display().to_string())?;
    Ok(format!("{weights} {}", tokens.sha256))
}

/// Checks that a base has weights of its own; `family` is what can be trained so.
fn check_base(file: &TrainingFile, base: &Path, family: &str) -> anyhow::Result<()> {
    for name in ["config.json", WEIGHTS, "tokenizer.json"] {
        if !base.join(name).is_file() {
            bail!(
                "base {}: there is no {name} in its folder; a {family} of Hugging Face's layout can be trained",
                file.base
            );
        }
    }
    Ok(())
}

/// Texts, and what to do where there are lists in their place.
fn read_texts(path: &Path) -> anyhow::Result<Vec<TextExample>> {
    read_text_examples(path).map_err(|error| match read_ranking_examples(path) {
        Ok(_) => anyhow!(
            "{}: these are queries with candidates, and without a `method` a decoder learns texts, {{\"prompt\": …, \"target\": …}}; \
             name a `method`, as \"first\" or \"cross-encoder\", or give texts",
            path.display()
        ),
        Err(_) => error.into(),
    })
}

/// The lists to learn from, with as many negatives as are wanted, and those that are held out.
fn read_lists(
    file: &TrainingFile,
    (examples, validation): (&Path, Option<&Path>),
    output: &Output,
) -> anyhow::Result<(Vec<RankingExample>, Vec<RankingExample>)> {
    let lists = read_examples(examples, file, output)?;
    Ok((lists, validation.map(read_ranking_examples).transpose()?.unwrap_or_default()))
}

/// The examples, with as many negatives as are wanted.
fn read_examples(path: &Path, file: &TrainingFile, output: &Output) -> anyhow::Result<Vec<RankingExample>> {
    let mut lists = read_ranking_examples(path)?;
    let Some(negatives) = file.negatives else {
        let without = without_positive(&lists);
        if without > 0 {
            output.warn(&format!(
                "no candidate with a label above 0 in {without} of {}; label what is relevant, or leave them out",
                queries(lists.len())
            ));
        }
        return Ok(lists);
    };
    let without = keep_negatives(&mut lists, negatives, file.settings.seed);
    if lists.is_empty() {
        bail!(
            "{}: none of its {without} queries has a candidate with a label above 0, so that there is nothing to learn from; label \
             what is relevant, or leave `negatives` out",
            path.display()
        );
    }
    if without > 0 {
        output.warn(&format!(
            "left out, for want of a candidate with a label above 0 to learn from: {}",
            queries(without)
        ));
    }
    Ok(lists)
}

fn queries(count: usize) -> String {
    if count == 1 { "1 query".into() } else { format!("{count} queries") }
}

/// Queries of which no candidate has a label above 0 and not all have the score of a teacher in its place.
fn without_positive(lists: &[RankingExample]) -> usize {
    let is_one = |list: &&RankingExample| {
        list.candidates.iter().all(|candidate| candidate.label <= 0.0)
            && list.candidates.iter().any(|candidate| candidate.teacher.is_none())
    };
    lists.iter().filter(is_one).count()
}

/// What is to be said where more tokens are asked for than the model reads.
pub(super) fn fewer_tokens(asked: usize, read: usize) -> Option<String> {
    (0 < read && read < asked)
        .then(|| format!("tokens = {asked}: the model reads {read} at most, and so many are read"))
}

/// What is to be said where the learning rate was still rising at the last step.
pub(super) fn unreached_rate(settings: &Settings, learned: &Learned) -> Option<String> {
    let rates = learned.report.steps.iter().map(|step| step.rate);
    let greatest = rates.reduce(f32::max)?;
    (greatest < settings.rate).then(|| {
        format!(
            "warmup = {}: the training has fewer steps, so that its learning rate has come to {greatest:e} and not to rate = {:e}; \
             give a shorter warmup, or more steps",
            settings.warmup, settings.rate
        )
    })
}

/// The bits are the same with `recompute` and without: a training that had too little memory may go on with it.
pub(super) fn leave_out_recompute(identity: &mut Value) {
    if let Some(settings) = identity["file"]["settings"].as_object_mut() {
        settings.shift_remove("recompute");
    }
}

/// Takes the folder of the model for this training: one that is new or empty, or that this training has begun. One that ended
/// before its first checkpoint is nobody's. No other command trains there until what is given back is dropped.
pub(super) fn claim(folder: &Path, identity: &str) -> anyhow::Result<TrainingLock> {
    let (shown, work) = (format!("-o {}", folder.display()), folder.join(WORK));
    let path = work.join(IDENTITY);
    match std::fs::read_to_string(&path) {
        Ok(text) if text == identity => return training_folder::lock(&work),
        Ok(_) if folder.join(WEIGHTS).exists() || work.join(CHECKPOINT).exists() => {
            bail!(
                "{shown}: there is a training with other settings, data or model; give another folder, or delete this one"
            )
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context(shown),
        Err(_) if !is_unused(folder).with_context(|| shown.clone())? => {
            bail!(
                "{shown}: there is something in this folder that would be mixed with the model; give another one"
            )
        }
        _ => {}
    }
    let alone = training_folder::lock(&work)?;
    atomic::write(&path, |out| write!(out, "{identity}"))?;
    Ok(alone)
}

/// Whether a folder has nothing in it, or is not there, or has what a training leaves that was killed before it wrote down what it is.
fn is_unused(folder: &Path) -> std::io::Result<bool> {
    let is_begun = |name: &str| name == training_folder::LOCK || name.starts_with('.');
    Ok(all_are(folder, |name| name == WORK)? && all_are(&folder.join(WORK), is_begun)?)
}

/// Whether what is said holds of the names of everything in a folder; of a folder that is not there it does.
fn all_are(folder: &Path, of: impl Fn(&str) -> bool) -> std::io::Result<bool> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    for entry in entries {
        if !of(&entry?.file_name().to_string_lossy()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names and contents of the files of examples.
fn hashes(examples: &Path, validation: Option<&Path>) -> anyhow::Result<Vec<(String, String)>> {
    let hash = |path: &Path| {
        let content = content_hash::content(path).with_context(|| path.display().to_string())?;
        Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), content.sha256))
    };
    std::iter::once(examples).chain(validation).map(hash).collect()
}

/// Trains, with a bar.
fn learn(
    (job, data): (&Job, &Data),
    base: &Path,
    arguments: &Arguments,
    identity: &str,
    global: &Global,
    output: &Output,
) -> anyhow::Result<(Learned, Measured)> {
    let bar = output.progress("training", 0);
    let mut progress = |record: &StepRecord, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(record.step as u64);
        bar.set_message(format!("training, loss {:.3}", record.loss));
    };
    let compute = Compute::new(rayon::current_num_threads());
    let places = (arguments.output.join(WORK), arguments.output.clone());
    let places = (places.0.as_path(), places.1.as_path());
    let learned = match (job, data) {
        (Job::Ranking(job), Data::Lists(lists, held_out)) => job
            .run(base, (lists, held_out), places, identity, &compute, &mut progress)
            .map(|learned| (learned, Measured::default()))
            .map_err(anyhow::Error::from),
        (Job::Language(job), Data::Texts(texts, held_out)) => job
            .run(base, (texts, held_out), places, identity, &compute, &mut progress)
            .map(|(learned, depths)| (learned, Measured { depths, ndcg: None }))
            .map_err(anyhow::Error::from),
        (Job::FirstToken(job), Data::FirstTokens(lists)) => job
            .run(base, (&lists.taught, &lists.held, lists.read), places, identity, &compute, &mut progress)
            .map(|learned| (learned, Measured::default()))
            .map_err(anyhow::Error::from),
        (Job::Lists(job), Data::Orders(lists)) => lists
            .learn(job, base, places, identity, &compute, &mut progress, global)
            .map(|(learned, ndcg)| (learned, Measured { ndcg, ..Measured::default() })),
        (Job::Groups(job), Data::Groups(lists)) => lists
            .learn(job, places, identity, &compute, &mut progress)
            .map(|(learned, ndcg)| (learned, Measured { ndcg, ..Measured::default() })),
        _ => bail!("the training and its examples are not of one kind"),
    };
    bar.finish_and_clear();
    let (learned, measured) = learned?;
    let resumed = learned.report.resumed;
    if resumed > 0 {
        output.note(&format!("went on after {resumed} steps of an earlier run"));
    }
    let asked = match job {
        Job::Ranking(job) => job.tokens,
        Job::Language(job) => job.tokens,
        // Their prompts are as long as the method writes them, and the examples say what it cut, as they do of vectors.
        Job::Lists(_) | Job::FirstToken(_) | Job::Groups(_) => 0,
    };
    fewer_tokens(asked, learned.cut.tokens).iter().for_each(|sentence| output.warn(sentence));
    if let Some(sentence) = learned.cut.sentence() {
        output.warn(&sentence);
    }
    let skipped = learned.report.skipped();
    if skipped > 0 {
        let (what, objective) = job.learns();
        output.warn(&format!("{skipped} {what} of batches could not teach `{objective}`"));
    }
    Ok((learned, measured))
}

/// The model card: what it was made from and how.
fn write_card(
    arguments: &Arguments,
    (file, data): (&TrainingFile, &Data),
    (learned, measured): (&Learned, &Measured),
    hashes: &[(String, String)],
) -> anyhow::Result<()> {
    let mut card = format!(
        "# A {}\n\nMade from {} by `plackett train` {}. {}\n\n\
         | file | SHA-256 |\n| --- | --- |\n",
        data.model(),
        file.base,
        env!("CARGO_PKG_VERSION"),
        data.does()
    );
    for (name, hash) in hashes {
        let _ = writeln!(card, "| {name} | {hash} |");
    }
    let _ = write!(
        card,
        "\n{} of {} numbers were trained in {} steps.",
        learned.trainable, learned.parameters, learned.report.total
    );
    if let Some([before, after]) = learned.validation {
        let _ = write!(card, " The loss over the validation examples went from {before:.4} to {after:.4}.");
    }
    if let Some(ndcg) = &measured.ndcg {
        let (before, after, sure) = (ndcg.before, ndcg.after, ndcg.words("lists"));
        let _ = write!(card, " Their nDCG@10 went from {before:.4} to {after:.4} ({sure}).");
    }
    card.push_str(&in_card(learned));
    let _ = write!(card, "{}", depths::table(&measured.depths));
    let _ = write!(card, "\n\n```toml\n{}```\n", toml::to_string(file)?);
    Ok(atomic::write(&arguments.output.join("README.md"), |out| write!(out, "{card}"))?)
}

/// What evaluations and phases have left, as the card of a model says it.
pub(super) fn in_card(learned: &Learned) -> String {
    let evaluated = learned.report.evaluated.as_ref();
    let sentence = evaluated.map_or_else(String::new, |own| format!(" {}", evaluated_sentence(own)));
    sentence + &phase_table(&learned.report.members)
}

/// The same for somebody who looks on.
pub(super) fn in_words(learned: &Learned) -> String {
    let evaluated = learned.report.evaluated.as_ref();
    let sentence = evaluated.map_or_else(String::new, |own| format!("{}\n", evaluated_sentence(own)));
    sentence + phase_table(&learned.report.members).trim_start()
}

/// Which step was best and whether the training stopped for want of a better one.
fn evaluated_sentence(evaluated: &Evaluated) -> String {
    let Evaluated { measure, best, value, stopped, .. } = evaluated;
    let stopped = stopped.map_or_else(String::new, |step| {
        format!(
            "; it stopped after step {step}, since none of the evaluations that `patience` allows was better"
        )
    });
    format!("The {measure} was best after step {best}, {value:.4}, and those weights are saved{stopped}.")
}

/// What the phases of an adapter have left, as a table; nothing where there is one adapter at the end of all.
fn phase_table(members: &[PhaseRecord]) -> String {
    let mut table = String::new();
    for PhaseRecord { phase, setting, size, measured, .. } in members {
        if table.is_empty() {
            table
                .push_str("\n\n| adapter after | numbers | measured | folder |\n| --- | --- | --- | --- |\n");
        }
        let measured =
            measured.as_ref().map_or_else(String::new, |(name, value)| format!("{name} {value:.4}"));
        let folder = phase_folder(Path::new(WORK), *phase);
        let _ = writeln!(table, "| {setting} | {size} | {measured} | {} |", folder.display());
    }
    table
}

/// Says what came out.
fn say(
    arguments: &Arguments,
    (learned, measured): (&Learned, &Measured),
    data: &Data,
    output: &Output,
) -> Outcome {
    let (what, count) = data.count();
    let last = learned.report.final_loss();
    if output.json {
        return Ok(output.print_json(&document(arguments, (learned, measured), data))?);
    }
    output.print(&format!(
        "{}: {} steps over {count} {what}, {} of {} numbers trained, loss {last:.4} at the end\n",
        arguments.output.display(),
        learned.report.total,
        learned.trainable,
        learned.parameters
    ))?;
    if let Some([before, after]) = learned.validation {
        output.print(&format!("validation loss {before:.4} before, {after:.4} after\n"))?;
    }
    if let Some(ndcg) = &measured.ndcg {
        let (before, after, sure) = (ndcg.before, ndcg.after, ndcg.words("lists"));
        output.print(&format!("validation nDCG@10 {before:.4} before, {after:.4} after ({sure})\n"))?;
    }
    output.print(&in_words(learned))?;
    output.print(depths::table(&measured.depths).trim_start())?;
    let prefix = if arguments.output.is_absolute() { "" } else { "./" };
    let model = arguments.output.display();
    output.print(&beside_the_weights(&arguments.output))?;
    let next = data.next(&format!("{prefix}{model}"));
    output.print(&format!("\nTry next: plackett {next}\n"))?;
    Ok(())
}

/// Where the adapter and the page lie in the folder of a model.
pub(super) fn beside_the_weights(folder: &Path) -> String {
    let adapter = saved_adapter(folder).map_or_else(String::new, |adapter| {
        format!("the adapter alone, as PEFT saves it: {}\n", adapter.display())
    });
    format!("{adapter}curves of the training: {}/{}\n", folder.display(), training_page::FILE)
}

/// The folder of the adapter, where it was saved.
fn saved_adapter(folder: &Path) -> Option<PathBuf> {
    let folder = folder.join(ADAPTER);
    folder.is_dir().then_some(folder)
}

/// What came out, for scripts.
fn document(arguments: &Arguments, (learned, measured): (&Learned, &Measured), data: &Data) -> Value {
    let (what, count) = data.count();
    let mut document = json!({
        "output": arguments.output,
        what: count,
        "steps": learned.report.total,
        "trainable": learned.trainable,
        "parameters": learned.parameters,
        "loss": learned.report.final_loss(),
        "validation": learned.validation,
        "resumed": learned.report.resumed,
        "cut": learned.cut.pairs,
        "ranks": learned.ranks.iter().map(|(name, rank)| json!({"layer": name, "rank": rank})).collect::<Vec<_>>(),
    });
    add_what_is_left(&mut document, &arguments.output, learned);
    let of_lists = match data {
        Data::Orders(lists) => Some(lists.cut()),
        Data::Groups(lists) => Some(lists.cut()),
        _ => None,
    };
    if let Some(cut) = of_lists {
        document["cut"] = cut.into();
        document["ndcg"] = json!(measured.ndcg.as_ref().map(|ndcg| [ndcg.before, ndcg.after]));
        document["ndcg_change"] = json!(measured.ndcg);
    }
    if let Data::FirstTokens(lists) = data {
        document["cut"] = lists.cut.into();
    }
    if !measured.depths[0].is_empty() {
        document["depths"] = depths::told(&measured.depths);
    }
    document
}

/// Adds the page and what evaluations, phases and a saved adapter have left.
pub(super) fn add_what_is_left(document: &mut Value, folder: &Path, learned: &Learned) {
    document["page"] = json!(folder.join(training_page::FILE));
    if let Some(Evaluated { measure, phase, best, value, stopped }) = &learned.report.evaluated {
        document["evaluated"] =
            json!({"measure": measure, "phase": phase, "best": best, "value": value, "stopped": stopped});
    }
    if !learned.report.members.is_empty() {
        document["phases"] = phases(&folder.join(WORK), &learned.report.members);
    }
    if let Some(adapter) = saved_adapter(folder) {
        document["adapter"] = json!(adapter);
    }
}

/// What the phases of an adapter have left, for scripts.
fn phases(work: &Path, members: &[PhaseRecord]) -> Value {
    let member = |member: &PhaseRecord| {
        json!({
            "phase": member.phase,
            "setting": member.setting,
            "numbers": member.size,
            "measure": member.measured.as_ref().map(|(name, _)| name),
            "value": member.measured.as_ref().map(|(_, value)| value),
            "adapter": phase_folder(work, member.phase).join(PHASE_ADAPTER),
        })
    };
    members.iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::trainer::Candidate;

    #[test]
    fn queries_without_a_relevant_candidate_are_counted() {
        let one = |label: f32, teacher: Option<f32>| RankingExample {
            query: "q".into(),
            candidates: vec![Candidate { text: "a".into(), label, teacher }],
        };
        let lists = [one(1.0, None), one(0.0, None), one(0.0, Some(0.5))];
        assert_eq!(without_positive(&lists), 1);
    }

    #[test]
    fn a_rate_that_is_never_reached_is_said() {
        let step = |rate: f32| StepRecord {
            phase: 1,
            step: 1,
            loss: 0.0,
            rate,
            gradient_norm: 0.0,
            tokens: 0,
            skipped: 0,
            seconds: 0.0,
            evaluation: None,
        };
        let settings = Settings { rate: 0.5, warmup: 4, ..Settings::default() };
        let mut learned = Learned::default();
        learned.report.steps = vec![step(0.125), step(0.25)];
        let said = unreached_rate(&settings, &learned).unwrap();
        assert!(said.contains("warmup = 4: ") && said.contains("2.5e-1 and not to rate = 5e-1"), "{said}");
        learned.report.steps.push(step(0.5));
        assert_eq!(unreached_rate(&settings, &learned), None);
    }

    #[test]
    fn more_tokens_than_a_model_reads_are_said() {
        assert_eq!((fewer_tokens(128, 512), fewer_tokens(512, 512), fewer_tokens(9, 0)), (None, None, None));
        assert!(
            fewer_tokens(1024, 512)
                .is_some_and(|said| said.contains("tokens = 1024") && said.contains("512 at most"))
        );
    }
}
