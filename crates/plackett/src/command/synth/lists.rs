//! `plackett synth lists`: lists to imitate, made of those of a teacher that does not know the catalogue.

use super::kept::take_up;
use super::{model_hash, open_language_model, stream_remark};
use crate::command::item_catalogue::{open_embedder, read_catalogue};
use crate::command::number::{real, whole};
use crate::command::open::many;
use crate::command::paths::{Paths, check_made};
use crate::command::{Global, Outcome, Output};
use anyhow::bail;
use clap::Args;
use plackett::list_synthesis::{
    GRADES, Grades, ListAccount, ListCatalogue, ListSettings, ListSynthesis, SynthesizedLists, TaughtContext,
};
use plackett::manifest::{InputHash, RunSettings};
use plackett::unfinished::Unfinished;
use plackett_core::formats::{atomic, read_json_lines};
use plackett_rank::model::LanguageModel;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The greatest weight: sums with a greater one keep few digits of what it is added to, and at last none.
const MOST_WEIGHT: f64 = 1e6;

/// Lists of a catalogue's items to imitate, from a teacher that does not know it: remap, reflect (with --judge) and adjust
#[derive(Args)]
#[command(
    after_help = "Each line is {\"conversation\": …, \"teacher\": …, \"mentioned\": […], \"wanted\": […]}: what was said, the\n\
                  teacher's titles (a list, or its reply with a title a line), titles that are not to be recommended,\n\
                  and titles that are known to be right. The last two may be left out.\n\
                  Remap scores every item by its similarity to the teacher's titles, the first ones weighing most, and\n\
                  to the conversation.\n\
                  Reflect lets a model grade the --judged best ones from -2 to 2; each point counts --gamma. It asks\n\
                  as many prompts for each line.\n\
                  Adjust scales and shifts scores by item until wanted titles are likely, so that popular items are no\n\
                  better than they are.\n\n\
                  Examples:\n  \
                  plackett synth lists talks.jsonl --items films.jsonl -o lists.jsonl\n  \
                  plackett synth lists talks.jsonl --items films.jsonl --judge SmolLM2-135M-Instruct --judged 20 \\\n    \
                  -o lists.jsonl\n\n\
                  What is written are examples for `plackett train` of a decoder:\n\
                  {\"prompt\": …, \"target\": \"Heat (1995)\\n…\"}."
)]
pub struct Arguments {
    /// Conversations with the lists of a teacher, one JSON object a line
    #[arg(value_name = "CONTEXTS")]
    contexts: PathBuf,
    /// The catalogue: lines of JSON with `item` and `title`, and perhaps `year`, `genres` and `keywords`, which are embedded too
    #[arg(long, value_name = "FILE")]
    items: PathBuf,
    /// The file that is made
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Model that embeds items, titles and conversations [default: the one that comes with the program]
    #[arg(long, value_name = "MODEL")]
    embedder: Option<String>,
    /// Model that grades items; without it nothing is graded
    #[arg(long, value_name = "MODEL")]
    judge: Option<String>,
    /// Items of a list
    #[arg(long, value_name = "N", default_value = "20", value_parser = whole::<usize>(1..))]
    count: usize,
    /// What the similarity to the conversation counts
    #[arg(long, value_name = "X", default_value = "1", value_parser = real(" from 0 to 1000000", |x| (0.0..=MOST_WEIGHT).contains(&x)))]
    lambda: f64,
    /// Items of each conversation that are graded, the best ones [default: 100]
    #[arg(long, value_name = "N", requires = "judge", value_parser = whole::<usize>(1..))]
    judged: Option<usize>,
    /// What a point of a grade counts [default: 0.5]
    #[arg(long, value_name = "X", requires = "judge", value_parser = real(" above 0, up to 1000000", |x| x > 0.0 && x <= MOST_WEIGHT))]
    gamma: Option<f64>,
    /// Steps of the adjustment; 0 leaves it out
    #[arg(long, value_name = "N", default_value = "25", value_parser = whole::<usize>(0..=1_000_000))]
    steps: usize,
    /// Conversations that the adjustment is fitted to, at most [default: 1000]
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..))]
    fitted: Option<usize>,
    /// Seed by which they, and one wanted title of each, are drawn [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..))]
    seed: Option<u64>,
}

impl Arguments {
    /// How lists are made.
    fn settings(&self) -> anyhow::Result<ListSettings> {
        let drawn = [("--fitted", self.fitted.is_some()), ("--seed", self.seed.is_some())];
        if let (0, Some((flag, _))) = (self.steps, drawn.iter().find(|(_, given)| *given)) {
            bail!("{flag} is for the adjustment, which --steps 0 leaves out; leave one of them out");
        }
        let usual = ListSettings::default();
        Ok(ListSettings {
            count: self.count,
            lambda: self.lambda,
            gamma: self.gamma.unwrap_or(usual.gamma),
            judged: self.judged.unwrap_or(usual.judged),
            steps: self.steps,
            fitted: self.fitted.unwrap_or(usual.fitted),
            seed: self.seed.unwrap_or(usual.seed),
        })
    }

    /// Where grades are kept until the lists are written; `None` where nothing is graded, or what is read can be read once only.
    fn grades_file(&self) -> Option<PathBuf> {
        let is_kept = self.judge.is_some() && self.stream_remark().is_none();
        is_kept.then(|| Unfinished::path_for(&self.output))
    }

    /// What is to be said where grades are not kept.
    fn stream_remark(&self) -> Option<String> {
        self.judge.as_ref()?;
        stream_remark(&[("CONTEXTS", self.contexts.as_path()), ("--items", self.items.as_path())])
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let files = Paths::default().reads("CONTEXTS", [&arguments.contexts]);
    let files = files.reads("--items", [&arguments.items]).writes("--output", [&arguments.output]);
    let files = files.writes("the grades of --output", arguments.grades_file());
    files.opens("--embedder", &arguments.embedder).opens("--judge", &arguments.judge).check(output)?;
    check_made("--output", &arguments.output)?;
    let settings = arguments.settings()?;
    arguments.stream_remark().iter().for_each(|remark| output.warn(remark));
    let contexts = read_contexts(&arguments.contexts, global)?;
    let items = read_catalogue("--items", &arguments.items, global)?;
    let items: Vec<(String, String)> = items.into_iter().map(|line| (line.title, line.text)).collect();
    check_count(settings.count, items.len(), &arguments.items)?;
    let embedder = open_embedder("--embedder", arguments.embedder.as_deref(), global)?;
    let judge = open_judge(arguments, global)?;
    let mut kept = kept_grades(arguments, settings, global, output)?;
    let bar = output.progress("embedding items", items.len() as u64);
    let catalogue = ListCatalogue::embed(&items, embedder.as_ref(), &|done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    // Items of the same title were one.
    check_count(settings.count, catalogue.len(), &arguments.items)?;
    let bar = output.progress("lists", contexts.len() as u64);
    let synthesis = ListSynthesis {
        catalogue: &catalogue,
        embedder: embedder.as_ref(),
        judge: judge.as_deref(),
        settings,
    };
    let made = synthesis.make(&contexts, kept.as_mut(), &|done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    remarks(&catalogue, &made, settings).iter().for_each(|remark| output.warn(remark));
    write(&arguments.output, &contexts, (&catalogue, &made.lists))?;
    kept.map(Unfinished::remove).transpose()?;
    say(arguments, (&catalogue, &made.account), contexts.len(), output)
}

/// Refuses lists that are longer than the catalogue.
fn check_count(count: usize, items: usize, file: &Path) -> anyhow::Result<()> {
    if items < count {
        bail!("--count {count}: {} has {}; give a smaller number", file.display(), many(items, "item"));
    }
    Ok(())
}

fn read_contexts(path: &Path, global: &Global) -> anyhow::Result<Vec<TaughtContext>> {
    let expected = "{\"conversation\": …, \"teacher\": […], \"mentioned\": […], \"wanted\": […]}";
    let lines = read_json_lines::<TaughtContext>(path, global.max_line_bytes, expected)?;
    if lines.is_empty() {
        bail!("{}: there is no conversation; give at least one line", path.display());
    }
    if let Some((line, _)) = lines.iter().find(|(_, context)| context.conversation.trim().is_empty()) {
        bail!("{}, line {line}: `conversation` is empty; leave the line out", path.display());
    }
    Ok(lines.into_iter().map(|(_, context)| context).collect())
}

fn open_judge(arguments: &Arguments, global: &Global) -> anyhow::Result<Option<Arc<dyn LanguageModel>>> {
    arguments.judge.as_ref().map(|name| open_language_model("--judge", name, global)).transpose()
}

/// The grades that an interrupted run of the same files, models and settings has left, and those of this one; `None` where nothing is graded, or
/// what is read can be read once only.
fn kept_grades(
    arguments: &Arguments,
    settings: ListSettings,
    global: &Global,
    output: &Output,
) -> anyhow::Result<Option<Unfinished<Grades>>> {
    let judge = arguments.judge.as_deref();
    let Some((judge, path)) = judge.zip(arguments.grades_file()) else { return Ok(None) };
    let recorded = [
        ("embedder", json!(arguments.embedder)),
        ("judge", json!(judge)),
        ("judged", json!(settings.judged)),
        ("lambda", json!(settings.lambda)),
    ];
    let recorded: Map<String, Value> =
        recorded.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    let models = vec![model_hash(arguments.embedder.as_deref(), global)?, model_hash(Some(judge), global)?];
    let inputs =
        vec![InputHash::of("CONTEXTS", &arguments.contexts)?, InputHash::of("--items", &arguments.items)?];
    let settings = RunSettings::without_stages("synth lists", recorded, models, inputs)?;
    Ok(Some(take_up(&path, &settings, output)?))
}

/// What was left out, or had no effect.
fn remarks(catalogue: &ListCatalogue, made: &SynthesizedLists, settings: ListSettings) -> Vec<String> {
    let account = &made.account;
    let short = made.lists.iter().filter(|list| list.len() < settings.count).count();
    let counted = [
        (catalogue.repeated, "items have the title and year of another one and are left out"),
        (catalogue.cut + account.cut, "texts are longer than the embedding model reads, and are cut"),
        (account.unwanted, "wanted titles are not in the catalogue, or were mentioned: they teach nothing"),
        (account.unmentioned, "mentioned titles are not in the catalogue, and keep nothing out"),
        (account.untaught, "conversations have no title of the teacher: their lists follow the conversation"),
        (account.unread, "replies of the judge are no grade from -2 to 2, and their items keep their scores"),
        (short, "lists are shorter than --count, since the rest of the catalogue was mentioned"),
    ];
    let counted = counted.into_iter().filter(|(count, _)| *count > 0);
    let mut remarks: Vec<String> = counted.map(|(count, what)| format!("{count} {what}")).collect();
    if let Some(grade) = account.constant_grade() {
        remarks.push(format!("the judge gave every item the grade {grade}: it tells none from another one"));
    }
    if settings.steps > 0 && account.fitted == 0 {
        remarks.push("no wanted title is in the catalogue, so that nothing is adjusted".into());
    }
    remarks
}

/// One example for a decoder a line: the conversation, and the titles of its list, each on a line of its own.
fn write(
    path: &Path,
    contexts: &[TaughtContext],
    (catalogue, lists): (&ListCatalogue, &[Vec<usize>]),
) -> anyhow::Result<()> {
    let example = |(context, list): (&TaughtContext, &Vec<usize>)| {
        let target: String = list.iter().map(|place| format!("{}\n", catalogue.name(*place))).collect();
        let conversation = &context.conversation;
        let end = if conversation.ends_with(char::is_whitespace) { "" } else { "\n" };
        json!({"prompt": format!("{conversation}{end}"), "target": target})
    };
    let examples: Vec<Value> = contexts.iter().zip(lists).map(example).collect();
    Ok(atomic::write(path, |out| examples.iter().try_for_each(|example| writeln!(out, "{example}")))?)
}

/// Says what came out.
fn say(
    arguments: &Arguments,
    (catalogue, account): (&ListCatalogue, &ListAccount),
    lists: usize,
    output: &Output,
) -> Outcome {
    if output.json {
        let grade = |(grade, count): (i64, usize)| (grade.to_string(), json!(count));
        let grades: Map<String, Value> = GRADES.into_iter().zip(account.grades).map(grade).collect();
        return Ok(output.print_json(&json!({
            "lists": lists,
            "items": catalogue.len(),
            "titles": account.titles,
            "exact": account.exact,
            "listed": account.listed,
            "kept": account.kept,
            "graded": account.graded(),
            "grades": grades,
            "unread": account.unread,
            "fitted": account.fitted,
            "output": arguments.output,
        }))?);
    }
    let path = arguments.output.display();
    let (lists, items) = (many(lists, "list"), many(catalogue.len(), "item"));
    output.print(&format!("{path}: {lists} among {items}\n"))?;
    output.print(&format!(
        "{} of {} titles of the teacher are in the catalogue, and {} of {} in the lists are such\n",
        account.exact, account.titles, account.kept, account.listed
    ))?;
    if arguments.judge.is_some() {
        let grade = |(grade, count): (i64, usize)| format!("{count} of {grade}");
        let grades: Vec<String> = GRADES.into_iter().zip(account.grades).map(grade).collect();
        output.print(&format!("grades: {}\n", grades.join(", ")))?;
    }
    if account.fitted > 0 {
        output.print(&format!("adjusted to {}\n", many(account.fitted, "conversation")))?;
    }
    Ok(output.print(&format!("\nTry next: plackett train FILE.toml -o DIR, with examples = \"{path}\"\n"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// The arguments alone.
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn grades_are_kept_of_files_and_a_stream_is_said() {
        let of = |line: &str| Line::parse_from(format!("lists {line} -o o.jsonl").split(' ')).arguments;
        let judged = of("c.jsonl --items i.jsonl --judge m");
        assert_eq!(judged.grades_file(), Some(PathBuf::from("o.jsonl.unfinished")));
        assert_eq!(judged.stream_remark(), None);
        let piped = of("c.jsonl --items - --judge m");
        assert_eq!(piped.grades_file(), None);
        let said = piped.stream_remark().unwrap();
        assert!(said.starts_with("--items is standard input") && said.ends_with("be resumed"), "{said}");
        let plain = of("- --items i.jsonl");
        assert_eq!((plain.grades_file(), plain.stream_remark()), (None, None));
    }

    #[test]
    fn what_had_no_effect_is_said() {
        let account = ListAccount { grades: [0, 0, 7, 0, 0], unread: 2, ..ListAccount::default() };
        let made = SynthesizedLists { lists: vec![vec![]], account };
        let catalogue = ListCatalogue::default();
        let said = remarks(&catalogue, &made, ListSettings::default()).join("\n");
        for piece in ["2 replies of the judge", "1 lists are shorter", "the grade 0", "nothing is adjusted"] {
            assert!(said.contains(piece), "{piece}: {said}");
        }
        assert!(!said.contains("wanted titles are not"), "{said}");
    }
}
