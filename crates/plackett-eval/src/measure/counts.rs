//! Numbers of queries and documents.

use super::Arguments;
use crate::judged::{JudgedRanking, is_relevant};

/// 1 for every query.
pub fn queries(_: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    1.0
}

/// Judged relevant documents.
pub fn relevant(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    query.relevant(arguments.rel()) as f64
}

/// Returned documents; with `rel`, those of at least that grade.
pub fn returned(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    match arguments.integer("rel") {
        Some(rel) => query.grades.iter().filter(|&&grade| is_relevant(grade, rel as i32)).count() as f64,
        None => query.grades.len() as f64,
    }
}

/// Returned relevant documents.
pub fn relevant_returned(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    query.grades.iter().filter(|&&grade| is_relevant(grade, level)).count() as f64
}

/// Returned documents that were judged and are not relevant.
pub fn not_relevant_returned(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    query.grades.iter().flatten().filter(|&&grade| (0..level).contains(&grade)).count() as f64
}

/// What a measure with a text in place of a value counts: nothing.
pub fn nothing(_: &JudgedRanking, _: &Arguments<'_>) -> f64 {
    0.0
}
