//! A hierarchy for a collection that has none but titles: the title (of an article, say, of which documents are parts), and below it
//! topics, clusters of the documents of a title that are named by the words that tell them from the rest.

use plackett_core::Document;
use plackett_core::clustering::k_means;
use plackett_genir::GenirError;
use plackett_genir::category_paths::CategoryPath;
use plackett_train::trainer::words_of;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The category of documents without a title.
const UNTITLED: &str = "Untitled";
/// Documents of a topic at least, on average.
const TOPIC_SIZE: usize = 4;
/// Words that name a topic.
const NAME_WORDS: usize = 2;
/// Letters that a word of a name has at least.
const LETTERS: usize = 4;
/// A word that more than this share of all documents have names nothing.
const FREQUENT: f64 = 0.1;
/// Rounds of k-means.
const ROUNDS: usize = 25;

/// The path of each document: its title, and its topic among the documents of that title, of which there are `topics` at most.
///
/// # Errors
/// A title that can be no category.
pub fn own_paths(
    documents: &[Document],
    vectors: &[Vec<f64>],
    topics: usize,
    seed: u64,
) -> Result<Vec<CategoryPath>, GenirError> {
    let words: Vec<HashSet<String>> =
        documents.iter().map(|document| words_of(&document.text).collect()).collect();
    let frequent = frequent_words(&words);
    let mut by_title: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, document) in documents.iter().enumerate() {
        let title = document.title.trim();
        by_title.entry(if title.is_empty() { UNTITLED } else { title }).or_default().push(place);
    }
    let mut paths: Vec<Option<CategoryPath>> = vec![None; documents.len()];
    for (title, places) in by_title {
        let of_title: Vec<Vec<f64>> = places.iter().map(|place| vectors[*place].clone()).collect();
        let count = topics.min(places.len() / TOPIC_SIZE).max(1);
        let clusters = k_means(&of_title, count, ROUNDS, seed);
        let not_names: HashSet<String> = words_of(title).collect();
        let members: Vec<&HashSet<String>> = places.iter().map(|place| &words[*place]).collect();
        let is_name = |word: &str| {
            word.chars().count() >= LETTERS
                && word.chars().any(char::is_alphabetic)
                && !frequent.contains(word)
                && !not_names.contains(word)
        };
        let names = names(&members, &clusters.assignments, clusters.centroids.len(), is_name);
        for (place, topic) in places.iter().zip(&clusters.assignments) {
            let name = (count > 1).then(|| names[*topic].as_str());
            paths[*place] = Some(CategoryPath::new([title].into_iter().chain(name))?);
        }
    }
    Ok(paths.into_iter().flatten().collect())
}

fn frequent_words(words: &[HashSet<String>]) -> HashSet<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    words.iter().flatten().for_each(|word| *counts.entry(word).or_default() += 1);
    let most = FREQUENT * words.len() as f64;
    counts.into_iter().filter(|(_, count)| *count as f64 > most).map(|(word, _)| word.to_string()).collect()
}

/// A name for each topic: the words whose share of its members is most above that of the other topics, of equal ones by the alphabet;
/// no two topics have one name.
fn names(
    members: &[&HashSet<String>],
    topic_of: &[usize],
    topics: usize,
    is_name: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for topic in 0..topics {
        let size = topic_of.iter().filter(|other| **other == topic).count();
        let (inside, outside) = (size.max(1) as f64, (members.len() - size).max(1) as f64);
        let mut scores: BTreeMap<&str, f64> = BTreeMap::new();
        for (words, other) in members.iter().zip(topic_of) {
            let share = if *other == topic { 1.0 / inside } else { -1.0 / outside };
            for word in words.iter().filter(|word| is_name(word)) {
                *scores.entry(word).or_default() += share;
            }
        }
        let mut best: Vec<(&str, f64)> = scores.into_iter().collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        let name = |first: usize| {
            let words: Vec<&str> = best.iter().skip(first).take(NAME_WORDS).map(|(word, _)| *word).collect();
            words.join(" ")
        };
        let free = (0..best.len()).map(name).find(|name| !names.contains(name));
        names.push(free.unwrap_or_else(|| format!("part {}", topic + 1)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_by_the_words_that_tell_them_apart() {
        let document = |at: usize| {
            let text = if at.is_multiple_of(2) { "castles dukes conquest" } else { "steam engine boiler" };
            Document {
                title: if at < 16 { "History".into() } else { "  ".into() },
                ..Document::new(at.to_string(), format!("{text} thing{at}"))
            }
        };
        let documents: Vec<Document> = (0..20).map(document).collect();
        let vectors: Vec<Vec<f64>> =
            (0..20).map(|at| vec![f64::from(u8::from(at % 2 == 0)), 0.001 * f64::from(at)]).collect();
        let paths = own_paths(&documents, &vectors, 2, 1).unwrap();
        assert_eq!(paths.len(), 20);
        assert_eq!(paths[19].to_string(), "Untitled", "four documents are one topic");
        for at in 0..16 {
            assert_eq!(paths[at], paths[at % 2], "the topic of document {at}");
        }
        assert_ne!(paths[0], paths[1]);
        assert!(paths[0].to_string().starts_with("History >> "), "{}", paths[0]);
    }
}
