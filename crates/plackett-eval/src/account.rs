//! Everything that happened to a run on its way to a number.

use crate::evaluate::Evaluation;
use crate::measure::Measure;
use crate::policy::Missing;
use serde::Serialize;

/// How many documents the run returned per judged query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Fewest, over the judged queries that the run has.
    pub min: usize,
    /// The middle one.
    pub median: usize,
    /// Most.
    pub max: usize,
}

/// The account of one evaluation. Nothing is dropped, tied or replaced without a number here.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Account {
    /// Queries with judgments.
    pub judged_queries: usize,
    /// Queries that count in the means.
    pub counted_queries: usize,
    /// Judged queries for which the run has at least one document.
    pub answered_queries: usize,
    /// Judged queries that the run lacks, in the order of the judgments.
    pub missing_queries: Vec<String>,
    /// Queries of the run without judgments; they are ignored.
    pub unjudged_queries: usize,
    /// Counted queries without a document of at least the policy's level; they count 0 in most measures.
    pub queries_without_relevant: usize,
    /// Documents that are measured, over all queries.
    pub measured_documents: usize,
    /// Those of them that have no judgment (or a negative grade).
    pub documents_without_judgment: usize,
    /// Documents among the first ten of their list.
    pub first_documents: usize,
    /// Those of them that have no judgment.
    pub first_documents_without_judgment: usize,
    /// Documents measured for each query that the run has, ascending.
    #[serde(skip)]
    pub lengths: Vec<usize>,
    /// Documents per query before any were taken out.
    pub depth: Depth,
    /// Returned documents that stand in a group of equal scores.
    pub tied_documents: usize,
    /// Groups of equal scores.
    pub tie_groups: usize,
    /// Scores that are not a number; such documents stand last.
    pub nan_scores: usize,
    /// Scores of plus or minus infinity; they are ordered as numbers.
    pub infinite_scores: usize,
    /// Lines left out because the document had another line for the same query.
    pub duplicates_dropped: usize,
    /// Documents left out because their id is the query's.
    pub self_matches_dropped: usize,
    /// Documents left out because they have no judgment.
    pub unjudged_dropped: usize,
    /// Documents left out because they stand below the policy's depth.
    pub below_depth: usize,
    /// The second column of the judgments where it is the same in all of them, so that it names no sets of evidence; `None` too where no
    /// measure reads sets of evidence.
    #[serde(skip)]
    pub only_set: Option<String>,
}

impl Account {
    /// Whether the run answers every judged query.
    pub fn is_complete(&self) -> bool {
        self.answered_queries == self.judged_queries
    }

    /// `10 of 44 judged queries answered`.
    pub fn answered(&self) -> String {
        format!("{} of {} judged queries answered", self.answered_queries, self.judged_queries)
    }

    /// What a reader of the means should know beside the queries that were not answered, one sentence each.
    fn others(&self, level: Option<i32>) -> Vec<String> {
        let mut remarks = Vec::new();
        let none = match level {
            Some(level) if level > 1 => {
                let what = format!("no document of grade {level} or more");
                [
                    format!("query has {what}; measures by that level are 0 for it"),
                    format!("queries have {what}; measures by that level are 0 for them"),
                ]
            }
            _ => [
                "query has no relevant document and counts 0".to_string(),
                "queries have no relevant document and count 0".to_string(),
            ],
        };
        let mut say = |count: usize, one: &str, many: &str| match count {
            0 => {}
            1 => remarks.push(format!("1 {one}")),
            _ => remarks.push(format!("{count} {many}")),
        };
        say(
            self.unjudged_queries,
            "query of the run has no judgments and is ignored",
            "queries of the run have no judgments and are ignored",
        );
        say(self.queries_without_relevant, &none[0], &none[1]);
        say(
            self.nan_scores,
            "score is not a number; its document stands last",
            "scores are not numbers; their documents stand last",
        );
        say(self.infinite_scores, "score is infinite", "scores are infinite");
        say(self.tied_documents, "document is tied", "documents have the same score as another one");
        say(self.duplicates_dropped, "double line was left out", "double lines were left out");
        say(
            self.self_matches_dropped,
            "document with the query's own id was left out",
            "documents with the query's own id were left out",
        );
        say(
            self.unjudged_dropped,
            "document without a judgment was left out",
            "documents without a judgment were left out",
        );
        say(
            self.below_depth,
            "document below the policy's depth was left out",
            "documents below the policy's depth were left out",
        );
        if self.documents_without_judgment > 0 {
            remarks.push(format!(
                "{} of {} documents have no judgment ({} of {} among the first ten)",
                self.documents_without_judgment,
                self.measured_documents,
                self.first_documents_without_judgment,
                self.first_documents
            ));
        }
        remarks
    }

    /// What is measured over sets of evidence where there are none.
    fn unnamed_sets(&self) -> Option<String> {
        let only = self.only_set.as_ref()?;
        Some(format!(
            "the judgments name no sets of evidence (no second column, or `{only}` throughout): all relevant documents of a query count as \
             one set"
        ))
    }

    /// Cut-offs that lists do not reach: a measure there looks at less than it says.
    fn short_lists<'m>(&self, measures: impl Iterator<Item = &'m Measure>) -> Option<String> {
        let lengths = self.lengths.get(self.lengths.partition_point(|&length| length == 0)..)?;
        let (shortest, longest) = (lengths.first()?, lengths.last()?);
        let mut cutoffs: Vec<usize> = measures.filter_map(Measure::rank_cutoff).collect();
        cutoffs.sort_unstable();
        cutoffs.dedup();
        let short = |&cutoff: &usize| {
            let count = lengths.partition_point(|&length| length < cutoff);
            (count > 0).then(|| format!("{count} of {} at {cutoff}", lengths.len()))
        };
        let short: Vec<String> = cutoffs.iter().filter_map(short).collect();
        (!short.is_empty()).then(|| {
            format!(
                "lists end before a cut-off: {} (the shortest has {shortest}, the longest {longest})",
                short.join(", ")
            )
        })
    }
}

impl Evaluation {
    /// The sentence about judged queries that the run does not answer; `None` when it answers all.
    pub fn unanswered(&self) -> Option<String> {
        let account = &self.account;
        let missing = account.judged_queries - account.answered_queries;
        let consequence = match (self.policy.missing, missing) {
            (_, 0) => return None,
            (Missing::Skip, 1) => "the other is left out of the means".to_string(),
            (Missing::Skip, _) => format!("the other {missing} are left out of the means"),
            (_, 1) => "the other counts 0".to_string(),
            (_, _) => format!("the other {missing} count 0"),
        };
        Some(format!("{}, {consequence}", account.answered()))
    }

    /// What a reader of the means should know, one sentence each; what weighs most comes first.
    pub fn remarks(&self) -> Vec<String> {
        let measures = self.measures.iter().map(|m| &m.measure).chain(self.texts.iter().map(|t| &t.measure));
        let short = self.account.short_lists(measures);
        let sets = self.account.unnamed_sets();
        self.unanswered()
            .into_iter()
            .chain(sets)
            .chain(self.account.others(self.policy.level))
            .chain(short)
            .collect()
    }
}
