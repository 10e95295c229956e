//! A collection as a recipe wants it: some of its queries, their judgments, and candidates in the order that is studied.

use crate::recipe::error::StageError;
use crate::recipe::field::Values;
use crate::recipe::task::{Environment, Task};
use plackett_core::formats::{BeirFolder, trec};
use plackett_core::{Document, Qrels, Query, Ranked, Ranking, Run, Trace};
use plackett_lm::sha256::Sha256;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Ends the id of a document that stands in a list a second time, for studies of robustness; once for each time more.
pub const COPY: &str = "~copy";

/// The list of candidates that is made of the judgments themselves.
pub const JUDGED: &str = "judged";

/// Orders of candidates.
pub const ORDERS: &[&str] = &["given", "shuffled", "inverted", "ideal"];

/// What a `data` stage stands for.
pub struct Dataset {
    /// The queries that take part, in the order of their file.
    pub queries: Vec<Query>,
    /// Their judgments.
    pub qrels: Qrels,
    /// Their candidates, in the order of `queries`; `None` when no list was named.
    pub candidates: Option<Vec<Ranking>>,
    /// What was left out, in sentences.
    pub remarks: Vec<String>,
    folder: BeirFolder,
}

/// The files of a collection that a `data` stage reads.
pub fn files(values: &Values, environment: &Environment) -> Result<Vec<PathBuf>, StageError> {
    let path = environment.collection(values.word("collection"))?;
    let folder = BeirFolder::open(&path)?;
    let mut files =
        vec![folder.corpus_file()?, folder.queries_file()?, folder.qrels_file(values.word("split"))?];
    if let Some(list) = values.text("list").filter(|&list| list != JUDGED) {
        files.push(list_file(&path, list)?);
    }
    Ok(files)
}

fn list_file(folder: &std::path::Path, list: &str) -> Result<PathBuf, StageError> {
    let runs = folder.join("runs");
    let forms = ["", ".gz", ".zst"].map(|end| runs.join(format!("{list}.trec{end}")));
    forms.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let entries = std::fs::read_dir(&runs).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                entry.file_name().to_str()?.split_once(".trec").map(|(name, _)| name.to_string())
            })
            .collect();
        names.sort();
        names.push(JUDGED.into());
        StageError::Field {
            field: "list",
            problem: format!("there is no list `{list}`; there are: {}", names.join(", ")),
        }
    })
}

/// A collection that a stage has made.
fn made_collection(task: &Task<'_>, stage: &str, name: &str) -> Result<PathBuf, StageError> {
    let input = task.input(stage)?;
    if input.made.is_none() {
        return Err(StageError::NotMade { collection: name.into(), stage: stage.into() });
    }
    let path = input.folder.join(name);
    // A name is a folder of that stage, and no way out of it.
    if name.contains(['/', '\\', '.']) || !path.is_dir() {
        let problem =
            format!("the stage `{stage}` makes no collection `{name}`; see `plackett recipe kinds`");
        return Err(StageError::Field { field: "collection", problem });
    }
    Ok(path)
}

impl Dataset {
    /// Reads what the fields of a `data` stage ask for.
    ///
    /// # Errors
    /// The collection is not here, a file of it is wrong, or no query is left.
    pub fn load(task: &Task<'_>, values: &Values) -> Result<Dataset, StageError> {
        let path = match values.text("made") {
            Some(stage) => made_collection(task, stage, values.word("collection"))?,
            None => task.environment.collection(values.word("collection"))?,
        };
        Dataset::open(&path, values, values.word("split"))
    }

    /// The same of a folder in BEIR form and a split of its judgments.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn open(path: &Path, values: &Values, split: &str) -> Result<Dataset, StageError> {
        let folder = BeirFolder::open(path)?;
        let (all, judgments) = (folder.queries()?, folder.qrels(split)?);
        let run = match values.text("list") {
            None => None,
            Some(JUDGED) => Some(judged(&judgments)?),
            Some(list) => Some(trec::read_run(&list_file(path, list)?, &trec::ReadOptions::default())?),
        };
        let mut remarks = Vec::new();
        let judged = |query: &Query| judgments.query(&query.id).is_some();
        let listed = |query: &Query| run.as_ref().is_none_or(|run| run.query(&query.id).is_some());
        let count = all.len();
        let mut queries: Vec<Query> =
            all.into_iter().filter(|query| judged(query) && listed(query)).collect();
        if queries.len() < count {
            remarks.push(format!(
                "{} of {count} queries have no judgments or no list and are left out",
                count - queries.len()
            ));
        }
        if values.on("answered") {
            let count = queries.len();
            queries.retain(|query| judgments.relevant(&query.id).next().is_some());
            if queries.len() < count {
                remarks.push(format!(
                    "{} of {count} queries have no relevant document and are left out",
                    count - queries.len()
                ));
            }
        }
        let most = values.count("queries");
        if most > 0 && most < queries.len() {
            remarks.push(format!("the first {most} of {} queries", queries.len()));
            queries.truncate(most);
        }
        if queries.is_empty() {
            return Err(StageError::Field {
                field: "collection",
                problem: "no query has judgments (and a list)".into(),
            });
        }
        if let Some(text) = values.text("query") {
            remarks.push(format!("every query is `{text}`"));
            queries.iter_mut().for_each(|query| query.text = text.to_string());
        }
        let mut qrels = Qrels::new();
        for query in &queries {
            for judgment in judgments.query(&query.id).into_iter().flat_map(|judged| judged.iter()) {
                qrels
                    .query_mut(&query.id)
                    .push(judgment.iteration, judgment.document, judgment.grade)
                    .map_err(full)?;
            }
        }
        let mut dataset = Dataset { queries, qrels, candidates: None, remarks, folder };
        if let Some(run) = run {
            let lists = dataset.queries.iter().filter_map(|query| run.query(&query.id));
            let lists: Vec<Vec<(String, f64)>> = lists
                .map(|list| list.ranked().into_iter().map(|(id, score)| (id.to_string(), score)).collect())
                .collect();
            dataset.candidates = Some(dataset.studied(lists, values)?);
        }
        Ok(dataset)
    }

    /// Lists cut, with copies, and in the order that is studied.
    fn studied(
        &mut self,
        lists: Vec<Vec<(String, f64)>>,
        values: &Values,
    ) -> Result<Vec<Ranking>, StageError> {
        let (depth, copies, seed) =
            (values.count("depth"), values.count("duplicates"), values.count("seed") as u64);
        if copies > 0 && values.has("copies") {
            let problem = "it goes without `duplicates`; leave one of them out".into();
            return Err(StageError::Field { field: "copies", problem });
        }
        let mut studied = Vec::with_capacity(lists.len());
        for (query, mut list) in self.queries.clone().into_iter().zip(lists) {
            if depth > 0 {
                list.truncate(depth);
            }
            let doubled: Vec<(String, f64)> = list.iter().take(copies).cloned().collect();
            for (id, score) in doubled {
                list.push((self.copy(&query.id, &id, 1)?, score));
            }
            let each = list.clone();
            for round in 1..=values.count("copies") {
                for (id, score) in &each {
                    list.push((self.copy(&query.id, id, round)?, *score));
                }
            }
            match values.word("order") {
                "inverted" => list.reverse(),
                "ideal" => {
                    let grades = self.qrels.grades_of(&query.id, list.iter().map(|(id, _)| id.as_str()));
                    let mut graded: Vec<_> = grades.into_iter().zip(list).collect();
                    graded.sort_by_key(|(grade, _)| std::cmp::Reverse(*grade));
                    list = graded.into_iter().map(|(_, listed)| listed).collect();
                }
                "shuffled" => list.shuffle(&mut ChaCha8Rng::seed_from_u64(seed_of(seed, &query.id))),
                _ => {}
            }
            // The order stands whatever the scores of the first stage were: they say nothing about it any more.
            let keeps = values.word("order") == "given" && copies == 0 && !values.has("copies");
            let count = list.len();
            let entries = list.into_iter().enumerate().map(|(place, (id, score))| {
                let score = if keeps { score } else { (count - place) as f64 };
                Ranked { id, score, rank: place + 1 }
            });
            studied.push(Ranking {
                query_id: query.id.clone(),
                entries: entries.collect(),
                trace: Trace::default(),
            });
        }
        Ok(studied)
    }

    /// The id of a copy of a document, judged as its original.
    fn copy(&mut self, query: &str, id: &str, round: usize) -> Result<String, StageError> {
        let copy = format!("{id}{}", COPY.repeat(round));
        if let Some(grade) = self.qrels.grade(query, id) {
            self.qrels.query_mut(query).push("0", &copy, grade).map_err(full)?;
        }
        Ok(copy)
    }

    /// The documents of some ids. A copy has the text of its original.
    ///
    /// # Errors
    /// The corpus cannot be read, or lacks one of them.
    pub fn documents<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<String, Document>, StageError> {
        let wanted: HashSet<&str> = ids.collect();
        let originals: HashSet<&str> = wanted.iter().map(|id| original(id)).collect();
        let mut found: HashMap<String, Document> = HashMap::new();
        for document in self.folder.corpus()? {
            let document = document?;
            if originals.contains(document.id.as_str()) {
                found.insert(document.id.clone(), document);
            }
        }
        let mut documents = HashMap::with_capacity(wanted.len());
        for id in wanted {
            let Some(document) = found.get(original(id)) else {
                let problem = format!("document `{id}` is in a list, and the corpus has no such document");
                return Err(StageError::Field { field: "collection", problem });
            };
            documents.insert(id.to_string(), Document { id: id.to_string(), ..document.clone() });
        }
        Ok(documents)
    }

    /// Whether there are judgments of a split.
    ///
    /// # Errors
    /// The folder of judgments cannot be read.
    pub fn has_split(&self, split: &str) -> Result<bool, StageError> {
        Ok(self.folder.splits()?.iter().any(|there| there == split))
    }

    /// Queries of a split, such as those to learn from, each with its relevant documents.
    ///
    /// # Errors
    /// There is no such split, or a file of it is wrong.
    pub fn answered_in(&self, split: &str) -> Result<Vec<(Query, Vec<String>)>, StageError> {
        let judgments = self.folder.qrels(split)?;
        let relevant = |query: &Query| -> Vec<String> {
            judgments.relevant(&query.id).map(|judgment| judgment.document.to_string()).collect()
        };
        let all = self.folder.queries()?.into_iter().map(|query| (relevant(&query), query));
        Ok(all
            .filter(|(relevant, _)| !relevant.is_empty())
            .map(|(relevant, query)| (query, relevant))
            .collect())
    }

    /// All documents, one at a time.
    ///
    /// # Errors
    /// The corpus cannot be opened.
    pub fn corpus(&self) -> Result<plackett_core::formats::Documents, StageError> {
        Ok(self.folder.corpus()?)
    }
}

fn original(id: &str) -> &str {
    id.trim_end_matches(COPY)
}

fn full(source: plackett_core::IdListFull) -> StageError {
    plackett_core::formats::FormatError::Full { file: "judgments".into(), source }.into()
}

/// A seed for one query: the same whatever other queries there are.
pub fn seed_of(seed: u64, query: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(query);
    hash.seed()
}

/// Judged documents as candidates, in the order of the judgments.
fn judged(qrels: &Qrels) -> Result<Run, StageError> {
    let mut run = Run::new(JUDGED);
    for query in qrels.queries() {
        let count = query.len();
        for (place, judgment) in query.iter().enumerate() {
            run.query_mut(query.id()).push(judgment.document, (count - place) as f64).map_err(full)?;
        }
    }
    Ok(run)
}
