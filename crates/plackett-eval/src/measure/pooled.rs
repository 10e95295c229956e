//! Measures for judgments that do not cover the list: bpref, inferred AP, and how much is judged at all.

use super::Arguments;
use crate::judged::{JudgedRanking, is_judged};

/// 1/R Σ over returned relevant of 1 − min(judged non-relevant above, R) / min(N, R).
pub fn bpref(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let relevant = query.relevant(level);
    let judged_other = query.judged.iter().filter(|&&grade| (0..level).contains(&grade)).count();
    let mut above = 0_usize;
    let mut sum = 0.0;
    for grade in query.grades.iter().flatten() {
        if *grade >= level {
            sum += 1.0;
            if above > 0 {
                sum -= above.min(relevant) as f64 / judged_other.min(relevant) as f64;
            }
        } else if *grade >= 0 {
            above += 1;
        }
    }
    if relevant == 0 { 0.0 } else { sum / relevant as f64 }
}

/// trec_eval's smoothing of the share of relevant documents among the judged ones above.
const EPSILON: f64 = 0.00001;

/// Average precision expected when only a sample of the pool (grades ≥ 0) was judged and negative grades mark the rest of it.
pub fn inferred_ap(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let relevant = query.relevant(level);
    let (mut relevant_above, mut other_above, mut unjudged_above) = (0.0, 0.0, 0.0);
    let mut sum = 0.0;
    for (place, grade) in query.grades.iter().enumerate() {
        match *grade {
            Some(grade) if grade >= 0 && grade >= level => {
                let above = place as f64;
                let pooled = relevant_above + other_above + unjudged_above;
                let share = (relevant_above + EPSILON) / (relevant_above + other_above + 2.0 * EPSILON);
                sum += (1.0 + pooled * share) / (above + 1.0);
                relevant_above += 1.0;
            }
            Some(grade) if grade >= 0 => other_above += 1.0,
            Some(_) => unjudged_above += 1.0,
            None => {}
        }
    }
    if relevant == 0 { 0.0 } else { sum / relevant as f64 }
}

/// Documents with a judgment among the first k, over those that were returned there.
pub fn judged(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let list = arguments.head(&query.grades);
    let known = list.iter().filter(|grade| grade.is_some()).count();
    if list.is_empty() { 0.0 } else { known as f64 / list.len() as f64 }
}

/// Documents without a judgment among the first k, over k also when fewer came back. A negative grade is no judgment.
pub fn unjudged(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let list = arguments.head(&query.grades);
    let unknown = list.iter().filter(|&&grade| !is_judged(grade)).count();
    match arguments.cutoff().unwrap_or(list.len()) {
        0 => 0.0,
        k => unknown as f64 / k as f64,
    }
}

/// The grades of the first k documents, one character each: the digit of grades from 0 to 9, `>` above, `-` for a document
/// that is not among the judgments and `.` for one with a negative grade.
pub fn relevance_string(query: &JudgedRanking, arguments: &Arguments<'_>) -> String {
    let character = |grade: &Option<i32>| match grade {
        None => '-',
        Some(grade) if *grade < 0 => '.',
        Some(grade) => u32::try_from(*grade).ok().and_then(|g| char::from_digit(g, 10)).unwrap_or('>'),
    };
    arguments.head(&query.grades).iter().map(character).collect()
}
