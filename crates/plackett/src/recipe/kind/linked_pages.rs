//! `linked-pages`: pages with titles, paragraphs and links, and what is asked about them.

use super::{SEED, dataset_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::wiki::{TASK_NAMES, Wiki, encyclopaedia, of_articles};

const NUMBERS: [&str; 3] = ["pages", "links", "asked"];

/// The declaration.
pub static LINKED_PAGES: StageKind = StageKind {
    name: "linked-pages",
    help: "pages with titles, paragraphs and links, and queries with the titles that answer them. With `data` the documents of one title of a collection \
           are a page, links stand where titles are mentioned, and its labelled questions are the queries. Without it, a made encyclopaedia \
           of people, towns and books, with five kinds of queries, of which three in ten are held out: questions in other words than the pages', slots \
           (`title [SEP] relation`), claims, entities (a nickname in a sentence; nicknames stand on pages of others alone, as the text of links) and \
           `several`, which need two pages. Gives `pages`, `links` and `asked` (held-out queries)",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::new(
            "data",
            FieldKind::Stage(&[OutputKind::Data]),
            Default::Absent,
            "a collection of titled documents with the splits `train` and `test`",
        ),
        FieldSpec::new(
            "people",
            FieldKind::Whole(8, 140),
            Default::Whole(120),
            "people of the encyclopaedia, which has three quarters as many other pages",
        ),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |_| Ok(Estimate { work: "makes pages".into(), seconds: Some(1.0), ..Estimate::default() }),
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let seed = task.values.count("seed");
    let (wiki, warnings) = match task.values.text("data") {
        Some(data) => of_articles(&dataset_of(task, data)?)?,
        None => (encyclopaedia(task.values.count("people"), seed as u64), Vec::new()),
    };
    wiki.write(task.folder)?;
    let links: usize = wiki.pages.iter().map(|page| page.links.len()).sum();
    let held_out = wiki.tasks.iter().filter(|query| query.is_test).count();
    let own = [wiki.pages.len(), links, held_out];
    let of_task = |name: &&str| {
        let count = |is_test: bool| {
            wiki.tasks.iter().filter(|query| query.task == *name && query.is_test == is_test).count()
        };
        (format!("queries: {name}"), format!("{} to learn from, {} to test", count(false), count(true)))
    };
    Ok(StageOutput {
        numbers: (NUMBERS.iter().zip(own))
            .map(|(name, own)| Quantity::of_seed(*name, seed, own as f64))
            .collect(),
        facts: TASK_NAMES.iter().map(of_task).collect(),
        warnings,
    })
}

/// The pages of the stage that a field names.
pub(super) fn wiki_of(task: &Task<'_>, field: &'static str, stage: &str) -> Result<Wiki, StageError> {
    let input = task.input(stage)?;
    input.check_kind(field, &[LINKED_PAGES.name])?;
    Wiki::read(&input.folder)
}
