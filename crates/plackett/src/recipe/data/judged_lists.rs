//! Lists of candidates with the grades that their collection gives them: what learns from judgments, or looks at them, begins here.

use super::dataset::Dataset;
use plackett_core::{Query, RankRequest, Ranking};

/// The candidates of a query and their grades.
pub struct JudgedList<'d> {
    /// The query.
    pub query: &'d Query,
    /// Its candidates.
    pub ranking: &'d Ranking,
    /// The grade of each; 0 for those that were not judged.
    pub grades: Vec<i32>,
}

/// The rankings of a collection's queries, in the order of those, with their grades.
pub fn judged_lists<'d>(
    dataset: &'d Dataset,
    rankings: &'d [Ranking],
) -> impl Iterator<Item = JudgedList<'d>> {
    dataset.queries.iter().zip(rankings).map(move |(query, ranking)| {
        let ids = ranking.entries.iter().map(|entry| entry.id.as_str());
        JudgedList { query, ranking, grades: dataset.qrels.grades_of(&query.id, ids) }
    })
}

/// The grade of each candidate of a request; 0 for those that were not judged.
pub fn grades_of(dataset: &Dataset, request: &RankRequest) -> Vec<i32> {
    let ids = request.candidates.iter().map(|candidate| candidate.document.id.as_str());
    dataset.qrels.grades_of(&request.query.id, ids)
}
