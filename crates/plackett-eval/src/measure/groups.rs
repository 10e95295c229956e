//! Measures of each judgment group (the second column of the judgments: who judged), averaged over the groups.

use super::{Arguments, binary};
use crate::judged::{JudgedRanking, is_judged};

/// Average precision under the judgments of each group.
pub fn average_precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    averaged(query, arguments, binary::average_precision)
}

/// Precision at k under the judgments of each group.
pub fn precision(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    averaged(query, arguments, binary::precision)
}

/// Precision at a multiple of R under the judgments of each group.
pub fn precision_at_multiple(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    averaged(query, arguments, binary::precision_at_multiple)
}

fn averaged(
    query: &JudgedRanking,
    arguments: &Arguments<'_>,
    measure: fn(&JudgedRanking, &Arguments<'_>) -> f64,
) -> f64 {
    let groups = query.judged_subtopics.iter().flatten().map(|(group, _)| group + 1).max().unwrap_or(0);
    if groups == 0 {
        return 0.0;
    }
    let sum: f64 = (0..groups).map(|group| measure(&of_group(query, group), arguments)).sum();
    sum / f64::from(groups)
}

/// The ranking as a group sees it: a document that only others judged is unjudged.
fn of_group(query: &JudgedRanking, group: u32) -> JudgedRanking {
    let grade = |of: &Vec<(u32, i32)>| of.iter().find(|(g, _)| *g == group).map(|(_, grade)| *grade);
    let mut grades: Vec<Option<i32>> = query.subtopics.iter().map(grade).collect();
    if query.unjudged_removed {
        grades.retain(|&grade| is_judged(grade));
    }
    let mut judged: Vec<i32> = query.judged_subtopics.iter().filter_map(grade).collect();
    judged.sort_unstable_by(|a, b| b.cmp(a));
    JudgedRanking {
        grades,
        judged,
        highest_grade: query.highest_grade,
        level: query.level,
        recall_cut: query.recall_cut,
        ..JudgedRanking::default()
    }
}
