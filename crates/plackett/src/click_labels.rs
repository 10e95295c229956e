//! Grades from a click log, by a tree that learns them of documents that people have graded: for `plackett synth clicks`.

use plackett_core::Qrels;
use plackett_eval::correlation::spearman;
use plackett_train::synth::{ClickFeatures, ClickLog, GradeTree, LoggedQuery, TreeOptions};
use serde::Serialize;

/// The highest grade that a tree learns.
const HIGHEST: usize = 99;
/// Every so many graded queries one is left out of what a tree learns from, to measure it.
const MEASURED: usize = 5;

/// Why there is no tree.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ClickLabelError {
    /// The log and the judgments are of different documents.
    #[error(
        "no document with a grade from 0 is in the click log; it has {queries} queries (the first is `{first}`): do log and judgments name queries \
         and documents alike?"
    )]
    NothingGraded {
        /// Queries of the log.
        queries: usize,
        /// The first of them.
        first: String,
    },
    /// A grade that is none of a scale.
    #[error(
        "document `{document}` of query `{query}` has the grade {grade}; grades from 0 to 99 are expected"
    )]
    Grade {
        /// The query.
        query: String,
        /// Its document.
        document: String,
        /// Its grade.
        grade: i32,
    },
    /// There is nothing to tell apart.
    #[error("all {0} graded documents of the click log have one grade; a tree needs two grades at least")]
    OneGrade(usize),
    /// Sums of seconds without an end.
    #[error("the seconds of dwell add up to more than a number holds; are they in another unit?")]
    NotFinite,
}

/// What a tree says of queries whose grades it has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeldOut {
    /// Queries.
    pub queries: usize,
    /// Their graded documents.
    pub documents: usize,
    /// Spearman's correlation of the expected grade with the true one.
    pub expected: f64,
    /// The same of the click rate.
    pub rate: f64,
}

/// A tree from what users did with a document to its grade.
#[derive(Clone, Debug)]
pub struct ClickLabels {
    tree: GradeTree,
    dwell: bool,
    /// Graded queries that it learned from.
    pub queries: usize,
    /// Graded documents that it learned from.
    pub documents: usize,
    /// The highest grade.
    pub highest: usize,
    /// How such a tree does on every fifth query, which it has not learned from; `None` with fewer than five graded queries, or where
    /// their grades or labels are all the same.
    pub held_out: Option<HeldOut>,
}

/// The graded documents of a query: what users did, and the grade.
type Graded = Vec<(ClickFeatures, usize)>;

impl ClickLabels {
    /// Learns from the documents of a log that have a grade (Baidu's calibration of clicks; Zou and others, 2021). Seconds count where
    /// the log has any.
    ///
    /// # Errors
    /// Nothing of the log is graded, all grades are the same, or one is above 99. Grades below 0 are no judgments.
    pub fn learn(
        log: &ClickLog,
        qrels: &Qrels,
        options: TreeOptions,
    ) -> Result<ClickLabels, ClickLabelError> {
        let mut graded: Vec<Graded> = Vec::new();
        for query in &log.queries {
            let of_query = graded_documents(query, qrels)?;
            if !of_query.is_empty() {
                graded.push(of_query);
            }
        }
        let documents = graded.iter().map(Vec::len).sum();
        let grades = || graded.iter().flatten().map(|(_, grade)| *grade);
        let Some((lowest, highest)) = grades().min().zip(grades().max()) else {
            let first = log.queries.first().map(|query| query.id.clone()).unwrap_or_default();
            return Err(ClickLabelError::NothingGraded { queries: log.queries.len(), first });
        };
        if lowest == highest {
            return Err(ClickLabelError::OneGrade(documents));
        }
        let dwell = log.timed > 0;
        let fit = |queries: &[&Graded]| tree_of(queries, highest + 1, dwell, options);
        let all: Vec<&Graded> = graded.iter().collect();
        let tree = fit(&all).ok_or(ClickLabelError::NotFinite)?;
        let (measured, taught): (Vec<_>, Vec<_>) =
            all.iter().enumerate().partition(|(nth, _)| nth % MEASURED == MEASURED - 1);
        let [measured, taught]: [Vec<&Graded>; 2] =
            [measured, taught].map(|part| part.into_iter().map(|(_, query)| *query).collect());
        let held_out = fit(&taught).and_then(|tree| held_out(&tree, &measured, dwell));
        Ok(ClickLabels { tree, dwell, queries: graded.len(), documents, highest, held_out })
    }

    /// The commonest grade of documents with which users did the same, and the expected one.
    pub fn label(&self, features: &ClickFeatures) -> (usize, f64) {
        let row = features.row(self.dwell);
        (self.tree.grade(&row), self.tree.expected(&row))
    }

    /// The rules of the tree for people.
    pub fn rules(&self) -> String {
        self.tree.rules(&ClickFeatures::NAMES)
    }

    /// The same for programs.
    pub fn rules_json(&self) -> serde_json::Value {
        self.tree.rules_json(&ClickFeatures::NAMES)
    }
}

fn graded_documents(query: &LoggedQuery, qrels: &Qrels) -> Result<Graded, ClickLabelError> {
    let Some(judged) = qrels.query(&query.id) else { return Ok(Vec::new()) };
    let grades = judged.grades();
    let mut graded = Graded::new();
    for (document, features) in query.documents.iter().zip(&query.features) {
        let Some(&grade) = grades.get(document.as_str()).filter(|grade| **grade >= 0) else { continue };
        match usize::try_from(grade).ok().filter(|grade| *grade <= HIGHEST) {
            Some(known) => graded.push((*features, known)),
            None => {
                let (query, document) = (query.id.clone(), document.clone());
                return Err(ClickLabelError::Grade { query, document, grade });
            }
        }
    }
    Ok(graded)
}

fn tree_of(queries: &[&Graded], levels: usize, dwell: bool, options: TreeOptions) -> Option<GradeTree> {
    let documents = || queries.iter().flat_map(|query| query.iter());
    let rows: Vec<Vec<f64>> = documents().map(|(features, _)| features.row(dwell)).collect();
    let grades: Vec<usize> = documents().map(|(_, grade)| *grade).collect();
    GradeTree::fit(&rows, &grades, levels, options)
}

fn held_out(tree: &GradeTree, queries: &[&Graded], dwell: bool) -> Option<HeldOut> {
    let documents = || queries.iter().flat_map(|query| query.iter());
    let grades: Vec<f64> = documents().map(|(_, grade)| *grade as f64).collect();
    let expected: Vec<f64> = documents().map(|(features, _)| tree.expected(&features.row(dwell))).collect();
    let rates: Vec<f64> = documents().map(|(features, _)| features.rate()).collect();
    Some(HeldOut {
        queries: queries.len(),
        documents: grades.len(),
        expected: spearman(&expected, &grades).ok()?,
        rate: spearman(&rates, &grades).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten queries with a good document that is read, one whose title promises too much, and a bad one.
    fn log() -> ClickLog {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.tsv");
        let mut text = String::from("session\tquery\tdocid\trank\tclicked\tdwell\n");
        for (query, session) in (0..10).flat_map(|query| (0..10).map(move |session| (query, session))) {
            let clicked = u8::from(session < 8);
            for (document, rank, clicked, dwell) in
                [("bait", 1, clicked, 3), ("good", 2, clicked, 60), ("bad", 3, 0, 0)]
            {
                text += &format!("{session}\tq{query}\t{document}\t{rank}\t{clicked}\t{dwell}\n");
            }
        }
        std::fs::write(&path, text).unwrap();
        ClickLog::read(&path, 1000, &|_| {}).unwrap()
    }

    fn judged(grades: [(&str, i32); 3]) -> Qrels {
        let mut qrels = Qrels::new();
        for query in 0..10 {
            for (document, grade) in grades {
                qrels.query_mut(&format!("q{query}")).push("0", document, grade).unwrap();
            }
        }
        qrels
    }

    #[test]
    fn a_tree_tells_bait_from_what_is_read() {
        let (log, qrels) = (log(), judged([("bait", 0), ("good", 2), ("bad", 0)]));
        let labels = ClickLabels::learn(&log, &qrels, TreeOptions::default()).unwrap();
        assert_eq!((labels.queries, labels.documents, labels.highest), (10, 30, 2));
        let made: Vec<(usize, f64)> =
            log.queries[0].features.iter().map(|features| labels.label(features)).collect();
        assert_eq!(log.queries[0].documents, ["bait", "good", "bad"]);
        assert_eq!(made, [(0, 0.0), (2, 2.0), (0, 0.0)]);
        assert_eq!(
            labels.rules(),
            "long clicks ≤ 4.0000:\n  grades 1.00 0.00 0.00\nelse:\n  grades 0.00 0.00 1.00\n"
        );
        assert_eq!(labels.rules_json()["feature"], "long clicks");
        // The fifth and the tenth query; bait has the click rate of what is good.
        let held_out = labels.held_out.unwrap();
        assert_eq!((held_out.queries, held_out.documents), (2, 6));
        assert!((held_out.expected - 1.0).abs() < 1e-12 && held_out.rate < 0.6, "{held_out:?}");
    }

    #[test]
    fn what_teaches_nothing_is_said() {
        let learn = |qrels: &Qrels| ClickLabels::learn(&log(), qrels, TreeOptions::default()).unwrap_err();
        let same = judged([("bait", 1), ("good", 1), ("bad", -1)]);
        assert_eq!(learn(&same), ClickLabelError::OneGrade(20));
        let far = learn(&judged([("bait", 1), ("good", 100), ("bad", 0)])).to_string();
        assert!(far.contains("`good` of query `q0` has the grade 100"), "{far}");
        let none = learn(&judged([("x", 1), ("y", 0), ("z", 0)]));
        assert!(matches!(none, ClickLabelError::NothingGraded { queries: 10, .. }), "{none}");
    }
}
