//! Everything that happened to a run on its way to a number.

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
    /// Judged queries that the run lacks, in the order of the judgments.
    pub missing_queries: Vec<String>,
    /// Queries of the run without judgments; they are ignored.
    pub unjudged_queries: usize,
    /// Counted queries without a positive judgment; they count 0 in most measures.
    pub queries_without_relevant: usize,
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
}

impl Account {
    /// What a reader of the means should know, one sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut say = |count: usize, one: &str, many: &str| match count {
            0 => {}
            1 => remarks.push(format!("1 {one}")),
            _ => remarks.push(format!("{count} {many}")),
        };
        say(
            self.missing_queries.len(),
            "judged query is not in the run",
            "judged queries are not in the run",
        );
        say(
            self.unjudged_queries,
            "query of the run has no judgments and is ignored",
            "queries of the run have no judgments and are ignored",
        );
        say(
            self.queries_without_relevant,
            "query has no relevant document and counts 0",
            "queries have no relevant document and count 0",
        );
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
        remarks
    }
}
