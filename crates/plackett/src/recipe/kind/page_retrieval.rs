//! `page-retrieval`: titles that a model writes for held-out queries, measured against sets of evidence.

use super::continue_pages::first_of;
use super::corpus_pretraining::{MOST_TITLES, sessions};
use super::generative_retriever::FOLDER;
use super::linked_pages::wiki_of;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::wiki::{PageTask, TASK_NAMES, Wiki};
use plackett_eval::evidence::{evidence_r_precision, evidence_recall, evidence_success};
use plackett_genir::GenerativeRetriever;
use plackett_genir::title_lists::{PageList, TitleSearch};
use std::collections::HashSet;

/// Queries of one call of the engine.
const TOGETHER: usize = 25;
/// Depth of recall and success.
const DEPTH: usize = 5;
/// Numbers by query, over all of them.
const NUMBERS: [&str; 6] = ["r_precision", "recall5", "success5", "valid", "distinct", "lists"];

/// The declaration.
pub static PAGE_RETRIEVAL: StageKind = StageKind {
    name: "page-retrieval",
    help: "titles that a model of a stage `corpus-pretraining` writes for the held-out queries of its pages, inside the tree of titles, alone or in lists. \
           Gives, by query, `r_precision`, `recall5` and `success5` against sets of evidence, `valid` (share of the titles that are those of a page), `distinct` \
           (different pages as a share of all that are listed) and `lists` (answers with more than one title), and R-precision over the queries of one kind \
           as `question`, `slot`, `claim`, `entity`, `several` and, all but the last two, `single`, and over those about pages of the first session alone, `old`, \
           and all others, `new`",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "retriever",
            FieldKind::Stage(&[OutputKind::Model]),
            "a stage `corpus-pretraining` or `continue-pages`",
        ),
        FieldSpec::new("beams", FieldKind::Whole(1, 10_000), Default::Whole(10), "beams of a query"),
        FieldSpec::new(
            "titles",
            FieldKind::Whole(1, MOST_TITLES as i64),
            Default::Whole(2),
            "titles of one answer at most",
        ),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.iter().chain(&TASK_NAMES).chain(&GROUPS).map(ToString::to_string).collect(),
    outside: nothing_outside,
    estimate: |_| Ok(Estimate { work: "writes titles".into(), seconds: Some(20.0), ..Estimate::default() }),
    run,
};

/// Queries that one page answers and no link is needed for.
const SINGLE: &str = "single";
/// Queries of which all pages were there from the beginning.
const OLD: &str = "old";
/// The others.
const NEW: &str = "new";
/// Groups of queries beside the kinds.
const GROUPS: [&str; 3] = [SINGLE, OLD, NEW];

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let stage = task.values.word("retriever");
    let (input, first) = (task.input(stage)?, first_of(task, "retriever", stage)?);
    let wiki = wiki_of(task, "retriever", first.word("pages"))?;
    let asked: Vec<&PageTask> = wiki.tasks.iter().filter(|query| query.is_test).collect();
    let retriever = GenerativeRetriever::open(&input.folder.join(FOLDER), false)?;
    let (width, most) = (task.values.count("beams"), task.values.count("titles"));
    // As the authors' constraint has it.
    let search = TitleSearch { width, most, distinct: false };
    let mut found: Vec<PageList> = Vec::new();
    for group in asked.chunks(TOGETHER) {
        (task.progress)(task.name, found.len() as u64, asked.len() as u64);
        let texts: Vec<String> = group.iter().map(|query| query.read_as(first.on("tags"))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        found.extend(retriever.search_titles(&texts, &search)?);
    }
    let rankings: Vec<Vec<&str>> = found.iter().map(|found| titles(found, &retriever)).collect();
    let is_first = sessions(&wiki, first);
    let later: HashSet<&str> = wiki
        .pages
        .iter()
        .zip(&is_first)
        .filter(|(_, first)| !**first)
        .map(|(page, _)| &page.title[..])
        .collect();
    let is_old = |query: &PageTask| !query.evidence.iter().flatten().any(|title| later.contains(&title[..]));
    let is_of = |query: &PageTask, group: &str| match group {
        SINGLE => !["entity", "several"].contains(&&query.task[..]),
        OLD => is_old(query),
        NEW => !is_old(query),
        name => query.task == name,
    };
    Ok(StageOutput { numbers: numbers((&wiki, &asked), &found, &rankings, &is_of), ..StageOutput::default() })
}

/// The titles of pages, as the catalogue has them.
fn titles<'r>(found: &PageList, retriever: &'r GenerativeRetriever) -> Vec<&'r str> {
    let items = retriever.files().catalogue.items();
    found.pages.iter().map(|(page, _)| &items[*page].id[..]).collect()
}

fn numbers(
    (wiki, asked): (&Wiki, &[&PageTask]),
    found: &[PageList],
    rankings: &[Vec<&str>],
    is_of: &dyn Fn(&PageTask, &str) -> bool,
) -> Vec<Quantity> {
    let known: HashSet<&str> = wiki.pages.iter().map(|page| &page.title[..]).collect();
    let mut columns = [const { Vec::<f64>::new() }; NUMBERS.len()];
    for ((query, found), ranking) in asked.iter().zip(found).zip(rankings) {
        let sets: Vec<HashSet<&str>> =
            query.evidence.iter().map(|set| set.iter().map(String::as_str).collect()).collect();
        let listed = ranking.len().max(1) as f64;
        let distinct: HashSet<&&str> = ranking.iter().collect();
        let own = [
            evidence_r_precision(ranking, &sets),
            evidence_recall(ranking, &sets, DEPTH),
            evidence_success(ranking, &sets, DEPTH),
            ranking.iter().filter(|title| known.contains(*title)).count() as f64 / listed,
            distinct.len() as f64 / listed,
            found.several as f64,
        ];
        columns.iter_mut().zip(own).for_each(|(column, own)| column.push(own));
    }
    let key = |at: usize| at.to_string();
    let of_task = |name: &&str| {
        let places: Vec<usize> = (0..asked.len()).filter(|at| is_of(asked[*at], name)).collect();
        let values = places.iter().map(|at| columns[0][*at]).collect();
        Quantity::by_query(*name, places.into_iter().map(key).collect(), values)
    };
    let of_tasks: Vec<Quantity> = TASK_NAMES.iter().chain(&GROUPS).map(of_task).collect();
    let all = NUMBERS
        .iter()
        .zip(columns.clone())
        .map(|(name, values)| Quantity::by_query(*name, (0..asked.len()).map(key).collect(), values));
    all.chain(of_tasks).collect()
}
