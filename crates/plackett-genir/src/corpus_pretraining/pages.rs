//! Pages with titles, paragraphs and links.

use crate::GenirError;
use plackett_core::formats::{FormatError, read_json_lines};
use plackett_train::trainer::words_of;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A title of no more characters than this is no mention: too much text has it by chance.
const SHORT_TITLE: usize = 3;

/// A page.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Its title, which no other page has.
    pub title: String,
    /// Its paragraphs, the leading one first.
    pub paragraphs: Vec<String>,
    /// Its links, in the order of its text.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// A link of a page.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The paragraph, from 0.
    pub paragraph: usize,
    /// The title of the page that it leads to.
    pub title: String,
}

/// Reads pages from lines of JSON with `title`, `paragraphs` and perhaps `links` (`paragraph`, `title`).
///
/// # Errors
/// The file cannot be read, a line is no page, a title stands twice or is blank, a link is of a paragraph that is not there, or there is
/// no page.
pub fn read_pages(path: &Path, limit: usize) -> Result<Vec<Page>, GenirError> {
    const EXPECTED: &str = "a page with title, paragraphs and perhaps links";
    let mut pages: Vec<Page> = Vec::new();
    let mut first: HashMap<String, u64> = HashMap::new();
    for (line, page) in read_json_lines::<Page>(path, limit, EXPECTED)? {
        let wrong =
            |problem: String| GenirError::Form { path: path.into(), line: Some(line as usize), problem };
        if words_of(&page.title).next().is_none() {
            return Err(wrong("the title has no word; a page is known by its title".into()));
        }
        if let Some(link) = page.links.iter().find(|link| link.paragraph >= page.paragraphs.len()) {
            let (paragraph, count) = (link.paragraph, page.paragraphs.len());
            return Err(wrong(format!("a link is in paragraph {paragraph}, and there are {count}, from 0")));
        }
        if let Some(first) = first.insert(page.title.clone(), line) {
            let (file, what) = (path.display().to_string(), format!("the title `{}`", page.title));
            let remedy = "a title has one page; leave one of them out";
            return Err(FormatError::Duplicate { file, line, first, what, remedy }.into());
        }
        pages.push(page);
    }
    match pages.is_empty() {
        true => {
            let file = path.display().to_string();
            Err(FormatError::Empty { file, expected: "pages, one JSON object a line" }.into())
        }
        false => Ok(pages),
    }
}

/// Links for pages that have none: a paragraph links to each page whose title stands in it, word by word; where titles overlap the longer
/// one counts. Gives how many links were added.
pub fn link_mentions(pages: &mut [Page]) -> usize {
    let mut titles: HashMap<String, Vec<(Vec<String>, usize)>> = HashMap::new();
    for (place, page) in pages.iter().enumerate() {
        let words: Vec<String> = words_of(&page.title).collect();
        if page.title.chars().count() > SHORT_TITLE
            && let Some(first) = words.first()
        {
            titles.entry(first.clone()).or_default().push((words, place));
        }
    }
    titles.values_mut().for_each(|of_word| of_word.sort_by_key(|(words, _)| std::cmp::Reverse(words.len())));
    let mut added = 0;
    let names: Vec<String> = pages.iter().map(|page| page.title.clone()).collect();
    for (own, page) in pages.iter_mut().enumerate() {
        for (paragraph, text) in page.paragraphs.iter().enumerate() {
            let mut seen: HashSet<usize> = HashSet::from([own]);
            for place in mentions(&words_of(text).collect::<Vec<_>>(), &titles) {
                if seen.insert(place) {
                    page.links.push(Link { paragraph, title: names[place].clone() });
                    added += 1;
                }
            }
        }
    }
    added
}

/// The pages whose titles stand in a text, in its order.
fn mentions(words: &[String], titles: &HashMap<String, Vec<(Vec<String>, usize)>>) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(word) = words.get(at) {
        let here = titles.get(word).into_iter().flatten();
        match here.into_iter().find(|(title, _)| words[at..].starts_with(title)) {
            Some((title, place)) => {
                found.push(*place);
                at += title.len();
            }
            None => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(title: &str, paragraphs: &[&str]) -> Page {
        Page {
            title: title.into(),
            paragraphs: paragraphs.iter().map(ToString::to_string).collect(),
            links: Vec::new(),
        }
    }

    #[test]
    fn mentions_of_other_titles_become_links_and_the_longer_title_counts() {
        let mut pages = vec![
            page("New York", &["New York is old.", "Not New, York!"]),
            page("York", &["york, New York, york", "An ox is in York"]),
            page("An", &["An old New York"]),
        ];
        assert_eq!(link_mentions(&mut pages), 2);
        let titles = |page: &Page| page.links.iter().map(|link| link.title.clone()).collect::<Vec<_>>();
        assert_eq!(titles(&pages[0]), ["York"; 0], "New, York is New York, the page itself");
        assert_eq!(titles(&pages[1]), ["New York"]);
        assert_eq!(titles(&pages[2]), ["New York"]);
    }

    #[test]
    fn pages_are_read_and_bad_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages.jsonl");
        let good = "{\"title\": \"A\", \"paragraphs\": [\"x\"], \"links\": [{\"paragraph\": 0, \"title\": \"B\"}]}\n";
        std::fs::write(&path, good).unwrap();
        assert_eq!(read_pages(&path, 1000).unwrap()[0].links[0].title, "B");
        for (bad, expected) in [
            (format!("{good}{good}"), "line 2: the title `A` is already on line 1"),
            (good.replace("0,", "1,"), "paragraph 1, and there are 1"),
            (good.replace("\"A\"", "\" \""), "no word"),
            (String::new(), "pages"),
        ] {
            std::fs::write(&path, bad).unwrap();
            let error = read_pages(&path, 1000).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
