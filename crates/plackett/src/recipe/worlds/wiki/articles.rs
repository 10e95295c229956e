//! The articles of a collection as pages: documents of one title are the paragraphs of a page.

use super::{PageTask, Wiki};
use crate::recipe::data::dataset::Dataset;
use crate::recipe::error::StageError;
use plackett_core::{Document, Query};
use plackett_genir::corpus_pretraining::{Page, link_mentions};
use std::collections::HashMap;

/// Pages of the titles of a collection with links where titles are mentioned, and its queries of the splits `train` and `test`. Paragraphs of a
/// page stand in the order of the numbers that their ids end with (then of the ids): that of the text, whatever the order of the collection. Also says what was left out.
///
/// # Errors
/// The collection cannot be read, or no document has a title.
pub fn of_articles(dataset: &Dataset) -> Result<(Wiki, Vec<String>), StageError> {
    let (mut pages, mut places, mut titles): (Vec<Page>, HashMap<String, usize>, HashMap<String, String>) =
        Default::default();
    let mut documents = dataset.corpus()?.collect::<Result<Vec<Document>, _>>()?;
    documents.sort_by_cached_key(|document| place_of(&document.id));
    let mut untitled = 0;
    for document in documents {
        let title = document.title.trim().to_string();
        if title.is_empty() {
            untitled += 1;
            continue;
        }
        let place = *places.entry(title.clone()).or_insert_with(|| {
            pages.push(Page { title: title.clone(), ..Page::default() });
            pages.len() - 1
        });
        pages[place].paragraphs.push(document.text);
        titles.insert(document.id, title);
    }
    if pages.is_empty() {
        let problem = "no document has a title; pages are known by their titles".to_string();
        return Err(StageError::Field { field: "data", problem });
    }
    link_mentions(&mut pages);
    let (mut tasks, mut pageless) = (Vec::new(), 0);
    for (split, is_test) in [("test", true), ("train", false)] {
        let asked = dataset.answered_in(split)?;
        let before = tasks.len();
        tasks.extend(asked.iter().filter_map(|asked| task(asked, &titles, is_test)));
        pageless += asked.len() - (tasks.len() - before);
    }
    let remarks = [
        (untitled, "documents have no title and are on no page"),
        (pageless, "questions are answered by no page and are left out"),
    ];
    let remarks = remarks.into_iter().filter(|(count, _)| *count > 0);
    Ok((Wiki { pages, tasks }, remarks.map(|(count, what)| format!("{count} {what}")).collect()))
}

/// The number that an id ends with, and the id.
fn place_of(id: &str) -> (u64, String) {
    let digits = id.len() - id.bytes().rev().take_while(u8::is_ascii_digit).count();
    (id[digits..].parse().unwrap_or(u64::MAX), id.to_string())
}

/// A question whose relevant documents are parts of pages; each page is enough.
fn task(
    (query, relevant): &(Query, Vec<String>),
    titles: &HashMap<String, String>,
    is_test: bool,
) -> Option<PageTask> {
    let mut of_query: Vec<String> = relevant.iter().filter_map(|id| titles.get(id).cloned()).collect();
    of_query.sort();
    of_query.dedup();
    let evidence: Vec<Vec<String>> = of_query.into_iter().map(|title| vec![title]).collect();
    (!evidence.is_empty()).then(|| PageTask {
        task: "question".into(),
        is_test,
        text: query.text.clone(),
        evidence,
    })
}
