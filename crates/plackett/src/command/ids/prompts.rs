//! `plackett ids prompts`: histories as prompts in words, for a decoder that learns to write the identifier of the next item.

use crate::command::number::whole;
use crate::command::paths::{Paths, check_made};
use crate::command::{Global, Outcome, Output};
use anyhow::bail;
use clap::Args;
use plackett::history_prompts::{asked_positions, newest};
use plackett_core::formats::{FormatError, atomic};
use plackett_ids::{Catalogue, Histories, Item, read_histories};
use plackett_rank::prompt::{HistoryTemplate, HistoryTemplates};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write histories as prompts with the identifiers of a catalogue: examples to learn from, and some of other templates to be tested with
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett ids prompts catalogue.jsonl --histories interactions.tsv -o learn.jsonl --test test.jsonl\n  \
                        plackett ids prompts catalogue.jsonl --histories interactions.tsv --templates mine.toml \\\n    \
                        --passes 3 -o learn.jsonl\n\n\
                        Each position of a history but the first is an example, {\"prompt\": …, \"target\": …}, for\n\
                        `plackett train`. The prompt is one of the seen templates, drawn for each position. With --test the\n\
                        last item of each history is asked for twice, with a seen template and with one of those that are\n\
                        kept for it: {\"user\": …, \"item\": …, \"template\": …, \"seen\": …, \"prompt\": …, \"target\": …}. How a file\n\
                        of templates is written is said in docs/prompts.md.")]
pub struct Arguments {
    /// The catalogue
    catalogue: PathBuf,
    /// Who had which items: lines of user, item, rating and time with tabs, or of a user and items with blanks between them
    #[arg(long, value_name = "FILE")]
    histories: PathBuf,
    /// The templates: a TOML file, or the name of one that is there (next-item)
    #[arg(long, value_name = "FILE", default_value = "next-item")]
    templates: String,
    /// Positions at the end of each history that are not learned from
    #[arg(long, value_name = "N", default_value = "2", value_parser = whole::<usize>(0..))]
    held_out: usize,
    /// Items of a history at most, the newest
    #[arg(long, value_name = "N", default_value = "20", value_parser = whole::<usize>(1..))]
    told: usize,
    /// Examples of each position, each with another one of the seen templates
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<usize>(1..))]
    passes: usize,
    /// From which what is drawn follows
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..))]
    seed: u64,
    /// The examples to learn from
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Write the last item of each history too, as something to be asked for
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default()
        .reads("CATALOGUE", [&arguments.catalogue])
        .reads("--histories", [&arguments.histories])
        .reads("--templates", [&arguments.templates])
        .writes("--output", [&arguments.output])
        .writes("--test", &arguments.test)
        .check(output)?;
    check_made("--output", &arguments.output)?;
    arguments.test.iter().try_for_each(|path| check_made("--test", path))?;
    let templates = templates_of(arguments)?;
    let catalogue = Catalogue::open_within(&arguments.catalogue, global.max_line_bytes)?;
    let items: Vec<Item> = catalogue.items().iter().map(|item| Item::new(item.id.as_str())).collect();
    let histories = read_histories(&arguments.histories, &items, global.max_line_bytes)?;
    if let Some(known) = catalogue.origin().held_out.filter(|known| *known < arguments.held_out) {
        output.warn(&format!(
            "the identifiers know positions that are held out here: their catalogue was built with --held-out {known}"
        ));
    }
    let told = arguments.told;
    let prompts = Prompts { catalogue: &catalogue, histories: &histories, templates: &templates, told };
    let learned = prompts.write_learned(arguments)?;
    let tested = match &arguments.test {
        Some(path) => prompts.write_tested(path)?,
        None => 0,
    };
    let (seen, unseen) = (templates.seen().len(), templates.unseen().len());
    if output.json {
        return Ok(output.print_json(&json!({
            "examples": arguments.output, "prompts": learned,
            "templates": {"seen": seen, "unseen": unseen, "sha256": templates.hash()},
            "test": arguments.test, "tested": tested,
        }))?);
    }
    let mut text = format!("{learned} prompts of {seen} templates in {}\n", arguments.output.display());
    if let Some(path) = &arguments.test {
        text.push_str(&format!("{tested} people, each asked about twice, in {}\n", path.display()));
    }
    Ok(output.print(&text)?)
}

/// The templates, of which there are as many as are asked for.
fn templates_of(arguments: &Arguments) -> anyhow::Result<HistoryTemplates> {
    let templates = HistoryTemplates::choose(&arguments.templates, Path::new(""))?;
    let (asked, seen) = (arguments.passes, templates.seen().len());
    if asked > seen {
        let named = &arguments.templates;
        bail!("--passes {asked}: there are not so many seen templates in {named}, but {seen}; ask for fewer");
    }
    if arguments.test.is_some() && arguments.held_out == 0 {
        bail!("--test: with --held-out 0 the last items are learned from; hold out 1 at least");
    }
    Ok(templates)
}

/// Histories with all that makes prompts of them.
struct Prompts<'p> {
    catalogue: &'p Catalogue,
    histories: &'p Histories,
    templates: &'p HistoryTemplates,
    told: usize,
}

impl Prompts<'_> {
    /// The prompt about a person who had these items before, and the identifier of an item as it follows.
    fn example(
        &self,
        template: &HistoryTemplate,
        person: usize,
        (before, item): (&[usize], usize),
    ) -> (String, String) {
        let told = newest(before, self.told).iter().map(|item| self.catalogue.text(*item));
        let told = told.collect::<Vec<_>>().join(self.templates.separator());
        let prompt = template.write(&self.histories.users[person], &told);
        // As `plackett generate --trie` begins a choice.
        let blank = if prompt.ends_with(char::is_whitespace) { "" } else { " " };
        (prompt, format!("{blank}{}", self.catalogue.text(item)))
    }

    /// Writes what is learned from; gives how many prompts there are.
    fn write_learned(&self, arguments: &Arguments) -> anyhow::Result<usize> {
        let histories = self.histories.training(arguments.held_out);
        if histories.iter().all(|history| history.len() < 2) {
            bail!(
                "{}: no history has two items before the {} that are held out; give longer ones, or a smaller --held-out",
                arguments.histories.display(),
                arguments.held_out
            );
        }
        let mut count = 0;
        atomic::write(&arguments.output, |out| {
            for asked in asked_positions(&histories, self.templates, arguments.passes, arguments.seed) {
                let (before, rest) = histories[asked.person].split_at(asked.place);
                let (prompt, target) = self.example(asked.template, asked.person, (before, rest[0]));
                writeln!(out, "{}", json!({"prompt": prompt, "target": target}))?;
                count += 1;
            }
            Ok(())
        })?;
        Ok(count)
    }

    /// Writes the last items of all who have others before, each asked for with a seen template and with an unseen one; gives how many people
    /// there are.
    fn write_tested(&self, path: &Path) -> Result<usize, FormatError> {
        let mut count = 0;
        atomic::write(path, |out| {
            for (person, history) in self.histories.items.iter().enumerate().filter(|(_, all)| all.len() > 1)
            {
                let (before, last) = history.split_at(history.len() - 1);
                for (seen, templates) in [(true, self.templates.seen()), (false, self.templates.unseen())] {
                    let template = &templates[person % templates.len()];
                    let (prompt, target) = self.example(template, person, (before, last[0]));
                    let line = json!({
                        "user": self.histories.users[person], "item": self.catalogue.items()[last[0]].id,
                        "template": template.name(), "seen": seen, "prompt": prompt, "target": target,
                    });
                    writeln!(out, "{line}")?;
                }
                count += 1;
            }
            Ok(())
        })?;
        Ok(count)
    }
}
