//! The articles of a collection as pages: documents of one title are the paragraphs of a page.

use super::{PageTask, Wiki};
use crate::recipe::dataset::Dataset;
use crate::recipe::error::StageError;
use plackett_core::Query;
use plackett_genir::corpus_pretraining::{Page, link_mentions};
use std::collections::HashMap;

/// Pages of the titles of a collection with links where titles are mentioned, and its queries of the splits `train` and `test`. Gives how many
/// links were made, too.
///
/// # Errors
/// The collection cannot be read, or no document has a title.
pub fn of_articles(dataset: &Dataset) -> Result<(Wiki, usize), StageError> {
    let (mut pages, mut places, mut titles): (Vec<Page>, HashMap<String, usize>, HashMap<String, String>) =
        Default::default();
    for document in dataset.corpus()? {
        let document = document?;
        let title = document.title.trim().to_string();
        if title.is_empty() {
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
    let links = link_mentions(&mut pages);
    let mut tasks = Vec::new();
    for (split, is_test) in [("test", true), ("train", false)] {
        tasks.extend(dataset.answered_in(split)?.iter().filter_map(|asked| task(asked, &titles, is_test)));
    }
    Ok((Wiki { pages, tasks }, links))
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
