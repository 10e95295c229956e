//! Measures for judgments that do not cover the list: bpref, inferred AP, and how much is judged at all.

use super::Arguments;
use crate::judged::JudgedRanking;

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

/// Average precision expected when only a sample of the pool (grades ≥ 0) was judged and −2 marks the rest of it.
pub fn inferred_ap(query: &JudgedRanking, arguments: &Arguments<'_>) -> f64 {
    let level = arguments.rel();
    let relevant = query.relevant(level);
    let (mut relevant_above, mut other_above, mut unjudged_above) = (0.0, 0.0, 0.0);
    let mut sum = 0.0;
    for (place, grade) in query.grades.iter().enumerate() {
        match *grade {
            Some(-2) => unjudged_above += 1.0,
            Some(grade) if grade >= level => {
                let above = place as f64;
                let pooled = relevant_above + other_above + unjudged_above;
                let share = (relevant_above + EPSILON) / (relevant_above + other_above + 2.0 * EPSILON);
                sum += (1.0 + pooled * share) / (above + 1.0);
                relevant_above += 1.0;
            }
            Some(grade) if grade >= 0 => other_above += 1.0,
            _ => {}
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
