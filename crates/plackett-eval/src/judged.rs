//! What a measure sees of one query: the grades of the returned documents in rank order, and the judgments.

use crate::policy::RecallCut;
use crate::preferred::PreferenceCounts;
use std::cell::OnceCell;

/// One judged query under a run. Ranks count from 1 in every formula; slices start at the first rank.
#[derive(Debug, Default)]
pub struct JudgedRanking {
    /// By rank: the grade of the document, `None` when it was never judged.
    pub grades: Vec<Option<i32>>,
    /// Every judged grade of the query, descending.
    pub judged: Vec<i32>,
    /// The highest grade in the whole judgment file (at least 1).
    pub highest_grade: i32,
    /// The smallest grade that counts as relevant where a measure does not say.
    pub level: i32,
    /// How many relevant documents a recall level asks for.
    pub recall_cut: RecallCut,
    /// Whether documents without a judgment were taken out (in a judgment group: are to be taken out).
    pub unjudged_removed: bool,
    /// By rank: the subtopics (or judgment groups) of the document and its grade for each. Empty unless a measure asked for
    /// them.
    pub subtopics: Vec<Vec<(u32, i32)>>,
    /// For each judged document, by id descending: its subtopics with grades. Empty unless a measure asked for subtopics.
    pub judged_subtopics: Vec<Vec<(u32, i32)>>,
    /// By rank: the place of the document in `preferred`, if it is there. Empty unless a measure asked for it.
    pub preferred_at: Vec<Option<u32>>,
    /// Number of judged documents with a positive grade.
    pub preferred: usize,
    /// What the run does with the preferences of the query. `None` unless a measure asked for preferences.
    pub preferences: Option<PreferenceCounts>,
    /// Filled by [`JudgedRanking::list`]; start with the default.
    pub judged_only: OnceCell<Vec<Option<i32>>>,
}

impl JudgedRanking {
    /// The grades by rank; with `judged_only`, of the judged documents alone (negative grades are trec_eval's marks for
    /// "not in the pool" and "not judged", so they go too).
    pub fn list(&self, judged_only: bool) -> &[Option<i32>] {
        if judged_only {
            self.judged_only.get_or_init(|| self.grades.iter().copied().filter(|&g| is_judged(g)).collect())
        } else {
            &self.grades
        }
    }

    /// Number of judged documents with at least this grade.
    pub fn relevant(&self, level: i32) -> usize {
        self.judged.partition_point(|&grade| grade >= level)
    }
}

/// Whether a grade is a judgment rather than a mark for the absence of one.
pub fn is_judged(grade: Option<i32>) -> bool {
    grade.is_some_and(|g| g >= 0)
}

/// Whether a document counts as relevant.
pub fn is_relevant(grade: Option<i32>, level: i32) -> bool {
    grade.is_some_and(|g| g >= level)
}
