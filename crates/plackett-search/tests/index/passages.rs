//! An index whose documents are cut into passages.

use plackett_core::Document;
use plackett_search::chunk::document_of;
use plackett_search::{
    Bm25, Committed, Embedded, Embedder, EmbedderFailure, Index, IndexSettings, ModelIdentity, Passage, Put,
    SearchError,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A model whose tokens are words, of which it reads so many; it fails after so many texts.
struct Words {
    most: usize,
    texts: AtomicUsize,
}

impl Words {
    fn reading(most: usize) -> Words {
        Words { most, texts: AtomicUsize::new(usize::MAX) }
    }
}

impl Embedder for Words {
    fn dim(&self) -> usize {
        2
    }

    fn most_tokens(&self) -> Result<Option<usize>, EmbedderFailure> {
        Ok(Some(self.most))
    }

    fn token_spans(&self, text: &str) -> Result<Option<Vec<Range<usize>>>, EmbedderFailure> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        Ok(Some(text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect()))
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, EmbedderFailure> {
        let left = self.texts.load(Ordering::Relaxed);
        if texts.len() > left {
            return Err("the model is out of order".into());
        }
        self.texts.store(left - texts.len(), Ordering::Relaxed);
        let vector = |text: &&str| [text.matches("needle").count() as f32, 1.0];
        Ok(Embedded { vectors: texts.iter().flat_map(vector).collect(), ..Embedded::default() })
    }
}

fn settings(chunk: &str, vectors: bool) -> IndexSettings {
    let model = vectors.then(|| ModelIdentity { name: "words".into(), dim: 2, fingerprint: None });
    IndexSettings { model, chunking: Some(chunk.parse().unwrap()), ..IndexSettings::default() }
}

fn put(index: &mut Index, documents: &[(&str, &str)]) -> Committed {
    let mut writer = index.writer(None).unwrap();
    for (id, text) in documents {
        writer.put(Document::new(*id, *text)).unwrap();
    }
    writer.finish().unwrap()
}

fn sorted<'i>(ids: impl Iterator<Item = &'i str>) -> Vec<&'i str> {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    ids
}

fn found(index: &Index, query: &str) -> Vec<String> {
    let found = index.search_bm25(query, &Bm25::default(), 100).unwrap();
    found.into_iter().map(|(id, _)| id).collect()
}

fn created(path: &Path, chunk: &str) -> Index {
    Index::create(path.join("i"), &settings(chunk, false)).unwrap()
}

#[test]
fn documents_are_found_by_passages_and_given_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = created(folder.path(), "3/1");
    let text = "one two three four five  six seven\n";
    let mut document = Document { title: "numbers".into(), ..Document::new("a", text) };
    document.metadata.insert("year".into(), 1999.into());
    let mut writer = index.writer(None).unwrap();
    assert_eq!(writer.put(document.clone()).unwrap(), Put::Added);
    writer.put(Document::new("b", "")).unwrap();
    let committed = writer.finish().unwrap();
    assert_eq!((committed.documents, committed.passages, committed.added), (2, 4, 2));
    let index = Index::open(folder.path().join("i")).unwrap();
    assert_eq!((index.len(), index.passages(), index.stats().passages), (2, 4, 4));
    assert_eq!(sorted(index.ids()), ["a", "b"]);
    assert_eq!(sorted(index.passage_ids()), ["a#1", "a#2", "a#3", "b#1"]);
    assert_eq!(index.document("a").unwrap().as_ref(), Some(&document));
    assert_eq!(index.document("b").unwrap(), Some(Document::new("b", "")));
    let passage = index.document("a#2").unwrap().unwrap();
    assert_eq!((passage.title.as_str(), passage.text.as_str()), ("numbers", "three four five"));
    assert_eq!(passage.metadata, document.metadata);
    let source = index.passage("a#2").unwrap().unwrap();
    assert_eq!(source, Passage { document: "a".into(), range: 8..23 });
    assert_eq!(text[source.range], passage.text);
    for id in ["a#4", "c", "c#1", "#1"] {
        assert_eq!((index.document(id).unwrap(), index.passage(id).unwrap()), (None, None), "{id}");
    }
    assert_eq!(found(&index, "five"), ["a#3", "a#2"]);
    assert_eq!(found(&index, "numbers").len(), 3, "the title is in every passage");
    let read = std::fs::read_to_string(folder.path().join("i/plackett-index.json")).unwrap();
    assert!(read.contains("tokens(size=3, overlap=1)") && read.contains("\"format_version\": 3"), "{read}");
}

#[test]
fn whole_documents_are_kept_under_their_own_ids() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(folder.path().join("i"), &IndexSettings::default()).unwrap();
    put(&mut index, &[("a#1", "one two"), ("a", "three")]);
    let read = std::fs::read_to_string(folder.path().join("i/plackett-index.json")).unwrap();
    assert!(!read.contains("chunking"), "{read}");
    assert_eq!((index.len(), index.passages()), (2, 2));
    assert_eq!(sorted(index.ids()), ["a", "a#1"], "these ids mean nothing here");
    assert_eq!((index.passage("a#1").unwrap(), index.has_passages()), (None, false));
    assert_eq!(index.document("a#1").unwrap().unwrap().text, "one two");
}

#[test]
fn all_passages_of_a_document_go_when_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = created(folder.path(), "2/0");
    put(&mut index, &[("a", "one two three four five"), ("ab", "one two six")]);
    assert_eq!((index.len(), index.passages()), (2, 5));
    let committed = put(&mut index, &[("a", "seven")]);
    assert_eq!((committed.replaced, committed.added, committed.passages), (1, 0, 3));
    assert_eq!(found(&index, "one three seven"), ["a#1", "ab#1"]);
    let mut writer = index.writer(None).unwrap();
    assert!(!writer.delete("ab#1").unwrap(), "a passage is no document");
    assert!(writer.delete("ab").unwrap() && !writer.delete("ab").unwrap());
    // Twice in one commit: the second takes the place of the first, with fewer passages.
    assert_eq!(writer.put(Document::new("c", "eight nine ten eleven")).unwrap(), Put::Added);
    assert_eq!(writer.put(Document::new("c", "twelve")).unwrap(), Put::Again);
    let committed = writer.finish().unwrap();
    assert_eq!((committed.documents, committed.passages, committed.deleted), (2, 2, 1));
    assert_eq!(sorted(index.passage_ids()), ["a#1", "c#1"]);
    assert!(found(&index, "six eight eleven").is_empty());
}

#[test]
fn ids_that_look_like_passages_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = created(folder.path(), "2/0");
    let mut writer = index.writer(None).unwrap();
    let error = writer.put(Document::new("page#12", "x")).unwrap_err().to_string();
    assert!(error.contains("`page#12`") && error.contains("ends with `#`"), "{error}");
    writer.put(Document::new("page#top", "one two three")).unwrap();
    writer.put(Document::new("é".repeat(32_761), "long id")).unwrap();
    assert!(writer.put(Document::new("é".repeat(32_763), "longer id")).is_err());
    writer.finish().unwrap();
    assert_eq!(index.document("page#top").unwrap().unwrap().text, "one two three");
    assert_eq!(found(&index, "long").len(), 1);
}

#[test]
fn every_part_of_a_long_text_has_a_vector() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(folder.path().join("i"), &settings("8/2", true)).unwrap();
    let model = Words::reading(10);
    let mut writer = index.writer(Some(&model)).unwrap();
    // More passages than go through the model together.
    let filler = "hay ".repeat(4000);
    for (number, words) in ["", filler.as_str()].into_iter().enumerate() {
        let text = format!("{words}the needle {filler}");
        let document = Document { title: "two words".into(), ..Document::new(format!("d{number}"), text) };
        writer.put(document).unwrap();
    }
    writer.put(Document::new("none", filler.as_str())).unwrap();
    writer.finish().unwrap();
    assert!(index.passages() > 2000 && index.vectors() == index.passages());
    let found = index.search_vector(&[1.0, 0.0], 4).unwrap();
    let with = found.iter().filter(|(_, score)| *score > 0.0);
    let documents: BTreeSet<&str> = with.filter_map(|(id, _)| document_of(id)).collect();
    assert_eq!(documents, ["d0", "d1"].into());
    let best = index.passage(&found[0].0).unwrap().unwrap();
    assert!(index.document(&best.document).unwrap().unwrap().text[best.range].contains("needle"));
}

#[test]
fn passages_longer_than_the_model_reads_are_refused_by_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(folder.path().join("i"), &settings("11/2", true)).unwrap();
    let model = Words::reading(10);
    let error = index.writer(Some(&model)).map(|_| ()).unwrap_err();
    assert!(matches!(&error, SearchError::Argument(why) if why.contains("at most 10")), "{error}");
}

/// A model that fails in the middle of a document leaves no part of it: what waits is written before a commit, or none follows.
#[test]
fn no_commit_has_a_part_of_a_document() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(folder.path().join("i"), &settings("1/0", true)).unwrap();
    let model = Words { most: 10, texts: AtomicUsize::new(300) };
    let mut writer = index.writer(Some(&model)).unwrap();
    let text = "hay ".repeat(700);
    assert!(matches!(writer.put(Document::new("a", text.as_str())), Err(SearchError::Embedder(_))));
    assert!(writer.commit().is_err(), "the model fails still");
    model.texts.store(usize::MAX, Ordering::Relaxed);
    assert_eq!(writer.commit().unwrap().passages, 700);
    drop(writer);
    assert_eq!(index.document("a").unwrap().unwrap().text, text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any sequence of changes leaves the documents of a map, and their passages alone.
    #[test]
    fn an_index_of_passages_is_a_map_of_documents(
        steps in proptest::collection::vec((0usize..6, "([a-c]{1,4}[ .\n]{1,2}){0,12}", any::<bool>(), any::<bool>()), 1..24),
        chunk in prop_oneof![Just("2/1"), Just("sentences:2"), Just("headings:3/0"), Just("1/0")],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut index = created(folder.path(), chunk);
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut writer = index.writer(None).unwrap();
        for (number, text, removes, commits) in &steps {
            let id = format!("d{number}");
            match removes {
                true => prop_assert_eq!(writer.delete(&id).unwrap(), known.remove(&id).is_some()),
                false => {
                    writer.put(Document::new(id.as_str(), text.as_str())).unwrap();
                    known.insert(id, text.clone());
                }
            }
            if *commits {
                writer.commit().unwrap();
            }
        }
        writer.finish().unwrap();
        prop_assert_eq!(sorted(index.ids()), known.keys().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(index.len(), known.len());
        let of: BTreeSet<&str> = index.passage_ids().filter_map(document_of).collect();
        prop_assert_eq!(of.len(), known.len());
        for (id, text) in &known {
            let document = index.document(id).unwrap();
            prop_assert_eq!(document.as_ref().map(|d| d.text.as_str()), Some(text.as_str()));
        }
    }
}
