//! Collections made of pairs of a question and the passage that answers it.

use super::dataset::Dataset;
use crate::recipe::error::StageError;
use crate::recipe::field::Values;
use crate::recipe::task::{Environment, hash_file};
use plackett_core::formats::{BeirWriter, FormatError, read_json_lines};
use plackett_core::{Document, Qrels, Query};
use plackett_lm::sha256;
use plackett_train::random::Stream;
use plackett_train::trainer::words_of;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

/// The kind of stage that makes them.
pub const QUESTION_PASSAGES: &str = "question-passages";
/// The file of pairs in the folder of a collection.
pub const PAIRS: &str = "pairs.jsonl.gz";
/// Bytes of a line.
const LINE: usize = 1 << 20;

/// The collection of a stage `question-passages` as a data set; its files are written into the cache where they are not there.
///
/// # Errors
/// As [`Collection::load`], or a file that cannot be written.
pub fn dataset(values: &Values, environment: &Environment) -> Result<Dataset, StageError> {
    let pairs = environment.collection(values.word("collection"))?.join(PAIRS);
    let mut hash = sha256::Sha256::new();
    hash.update(format!("{:?} {}", values.written(), hash_file(&pairs)?));
    let name = sha256::hex(&hash.digest()[..12]);
    let folder = environment.cache.join(QUESTION_PASSAGES).join(name);
    if !folder.join("queries.jsonl").is_file() {
        Collection::load(values, environment)?.write(&folder)?;
    }
    Dataset::open(&folder, values, values.text("part").unwrap_or("test"))
}

/// A line of the file.
#[derive(Deserialize)]
struct Pair {
    query: String,
    passage: String,
    #[serde(default)]
    title: String,
    label: Option<i32>,
    set: String,
}

/// Passages and questions.
pub struct Collection {
    /// The passages.
    pub documents: Vec<Document>,
    /// Questions to learn from with the place of their passage.
    pub train: Vec<(String, usize)>,
    /// Questions to test with, likewise.
    pub test: Vec<(String, usize)>,
    /// Places of passages without a question to learn from.
    unseen: Range<usize>,
    /// What was left out, in sentences.
    pub remarks: Vec<String>,
}

/// A passage with its questions, in the order of the file.
pub struct Passage {
    /// The title of its article.
    pub title: String,
    /// Its text.
    pub text: String,
    /// What it answers.
    pub questions: Vec<String>,
}

impl Collection {
    /// As the fields of a stage `question-passages` say.
    ///
    /// # Errors
    /// The collection is not here or has too few passages, or a line of its file is no pair.
    pub fn load(values: &Values, environment: &Environment) -> Result<Collection, StageError> {
        let path = environment.collection(values.word("collection"))?.join(PAIRS);
        let passages = read(&path, &values.texts("sets"))?;
        let wanted = match values.count("passages") {
            0 => passages.len(),
            wanted => wanted,
        };
        let (asked, held_out) = (values.count("asked"), values.count("held_out"));
        let order = Stream::new(values.count("seed") as u64, 0).permutation(passages.len());
        let can_be_asked = |at: &&usize| passages[**at].questions.len() > held_out;
        let first: Vec<usize> = order.iter().filter(can_be_asked).take(asked).copied().collect();
        if wanted > passages.len() || asked > wanted || first.len() < asked {
            let problem = format!(
                "{wanted} passages, {asked} of them asked for, are wanted; there are {}, {} of them with more than {held_out} questions",
                passages.len(),
                passages.iter().filter(|passage| passage.questions.len() > held_out).count()
            );
            return Err(StageError::Field { field: "passages", problem });
        }
        let is_asked: HashSet<usize> = first.iter().copied().collect();
        let others = order.iter().copied().filter(|at| !is_asked.contains(at));
        let chosen: Vec<usize> = first.iter().copied().chain(others).take(wanted).collect();
        let seed = values.count("seed") as u64;
        Ok(Collection::of(&passages, &chosen, (asked, held_out), seed).without(values.count("unseen"), asked))
    }

    fn of(
        passages: &[Passage],
        chosen: &[usize],
        (asked, held_out): (usize, usize),
        seed: u64,
    ) -> Collection {
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (place, at) in chosen.iter().enumerate() {
            let questions = &passages[*at].questions;
            let order = Stream::new(seed, 1 + *at as u64).permutation(questions.len());
            let (out, kept) = order.split_at(if place < asked { held_out } else { 0 });
            test.extend(out.iter().map(|question| (questions[*question].clone(), place)));
            train.extend(kept.iter().map(|question| (questions[*question].clone(), place)));
        }
        let plain = |question: &str| words_of(question).collect::<Vec<_>>().join(" ");
        let of_test: HashSet<String> = test.iter().map(|(question, _)| plain(question)).collect();
        let before = train.len();
        train.retain(|(question, _)| !of_test.contains(&plain(question)));
        let repeated = before - train.len();
        let remarks = (repeated > 0)
            .then(|| format!("{repeated} questions to learn from repeat a held-out one and are left out"));
        let documents = chosen.iter().map(|at| Document {
            id: format!("p{at}"),
            title: passages[*at].title.clone(),
            text: passages[*at].text.clone(),
            ..Document::default()
        });
        let (documents, remarks) = (documents.collect(), remarks.into_iter().collect());
        Collection { documents, train, test, unseen: 0..0, remarks }
    }

    /// The same without questions to learn from about the last `unseen` of the passages that are asked for.
    fn without(mut self, unseen: usize, asked: usize) -> Collection {
        self.unseen = asked.saturating_sub(unseen)..asked;
        self.train.retain(|(_, passage)| !self.unseen.contains(passage));
        self
    }

    /// Writes a folder in BEIR form; the file that tells that it is whole comes last.
    fn write(&self, folder: &Path) -> Result<(), StageError> {
        let writer = BeirWriter::create(folder)?;
        writer.corpus(self.documents.iter().cloned().map(Ok))?;
        let mut queries = Vec::new();
        for (split, questions) in [("test", &self.test), ("train", &self.train)] {
            writer.qrels(split, &self.judgments(split, questions, |_| true)?)?;
            let named = questions.iter().enumerate();
            queries.extend(named.map(|(at, (text, _))| Query::new(format!("{split}{at}"), text.clone())));
        }
        if !self.unseen.is_empty() {
            for (part, is_unseen) in [("seen", false), ("unseen", true)] {
                let is_of = |passage: usize| self.unseen.contains(&passage) == is_unseen;
                writer.qrels(part, &self.judgments("test", &self.test, is_of)?)?;
            }
        }
        Ok(writer.queries(&queries)?)
    }

    /// The judgments of a split's questions about some passages; a question has its place as its name.
    fn judgments(
        &self,
        split: &str,
        questions: &[(String, usize)],
        is_of: impl Fn(usize) -> bool,
    ) -> Result<Qrels, StageError> {
        let mut qrels = Qrels::new();
        for (at, (_, passage)) in questions.iter().enumerate().filter(|(_, (_, passage))| is_of(*passage)) {
            let document = &self.documents[*passage].id;
            let full = |source| FormatError::Full { file: split.into(), source };
            qrels.query_mut(&format!("{split}{at}")).push("0", document, 1).map_err(full)?;
        }
        Ok(qrels)
    }
}

/// The passages of some sets, each once, in the order of the file.
///
/// # Errors
/// A line that is no pair, or a set that is not there.
pub fn read(path: &Path, sets: &[&str]) -> Result<Vec<Passage>, StageError> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut seen: HashSet<String> = HashSet::new();
    const EXPECTED: &str = "a pair with query, passage, title, label and set";
    for (_, pair) in read_json_lines::<Pair>(path, LINE, EXPECTED)? {
        seen.insert(pair.set.clone());
        if pair.label == Some(0) || !sets.contains(&pair.set.as_str()) || pair.query.trim().is_empty() {
            continue;
        }
        let place = *places.entry(pair.passage.clone()).or_insert_with(|| {
            passages.push(Passage { title: pair.title, text: pair.passage, questions: Vec::new() });
            passages.len() - 1
        });
        passages[place].questions.push(pair.query);
    }
    if let Some(unknown) = sets.iter().find(|set| !seen.contains(**set)) {
        let mut there: Vec<String> = seen.into_iter().collect();
        there.sort();
        let problem = format!("there is no set `{unknown}`; there are: {}", there.join(", "));
        return Err(StageError::Field { field: "sets", problem });
    }
    Ok(passages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passages() -> Vec<Passage> {
        let passage = |at: usize| Passage {
            title: format!("t{at}"),
            text: format!("text {at}"),
            questions: vec![format!("what is {at}?"), format!("Who made {at}?"), "The same one".into()],
        };
        (0..4).map(passage).collect()
    }

    #[test]
    fn held_out_questions_are_the_same_whatever_the_size_and_are_not_learned() {
        let (small, great) = (
            Collection::of(&passages(), &[2, 0], (1, 1), 1),
            Collection::of(&passages(), &[2, 0, 1, 3], (1, 1), 1),
        );
        assert_eq!(small.test, great.test);
        assert_eq!((small.test.len(), small.documents.len(), great.documents.len()), (1, 2, 4));
        assert_eq!(small.documents[..], great.documents[..2]);
        for collection in [&small, &great] {
            let held: Vec<&String> = collection.test.iter().map(|(question, _)| question).collect();
            assert!(collection.train.iter().all(|(question, _)| !held.contains(&question)));
        }
        assert!(great.train.len() + great.test.len() <= 12);
    }

    #[test]
    fn a_written_collection_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let collection = Collection::of(&passages(), &[2, 0, 1], (2, 1), 1);
        collection.write(folder.path()).unwrap();
        let beir = plackett_core::formats::BeirFolder::open(folder.path()).unwrap();
        assert_eq!(beir.queries().unwrap().len(), collection.test.len() + collection.train.len());
        assert_eq!(beir.qrels("test").unwrap().queries().len(), 2);
        assert_eq!(beir.corpus().unwrap().count(), 3);
    }

    #[test]
    fn unseen_passages_have_test_questions_alone() {
        let folder = tempfile::tempdir().unwrap();
        let collection = Collection::of(&passages(), &[2, 0, 1], (2, 1), 1).without(1, 2);
        assert_eq!(collection.unseen, 1..2);
        assert!(collection.train.iter().all(|(_, passage)| *passage != 1));
        collection.write(folder.path()).unwrap();
        let beir = plackett_core::formats::BeirFolder::open(folder.path()).unwrap();
        let of = |split: &str| beir.qrels(split).unwrap().queries().len();
        assert_eq!((of("test"), of("seen"), of("unseen")), (2, 1, 1));
        assert!(beir.qrels("unseen").unwrap().query("test1").is_some(), "names are those of the whole");
    }
}
