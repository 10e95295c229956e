//! `heads`: which heads of a decoder tell relevant documents from others.

use super::attention::{EVERYTHING, MODEL, estimate, fingerprint, icr_parts, mass, model, template};
use super::{CANDIDATES, DEPTH, WORDS, dataset_of, rank};
use crate::recipe::data::judged_lists::grades_of;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::Task;
use plackett_rank::model::AttentionOptions;

const NUMBERS: [&str; 2] = ["all", "best"];

/// The declaration.
pub static HEADS: StageKind = StageKind {
    name: "heads",
    help: "how well calibrated attention in context (ICR's, without its filter) tells relevant documents from others, as the area under \
           the ROC curve, query by query: `all`, summed over all heads, and `best`, over the best heads, chosen for each query on the \
           other half of the queries. Queries without both sorts of documents are left out",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        CANDIDATES,
        MODEL,
        DEPTH,
        WORDS,
        FieldSpec::new(
            "count",
            FieldKind::Whole(1, 100_000),
            Default::Whole(8),
            "how many heads are the best",
        ),
        FieldSpec::new(
            "level",
            FieldKind::Whole(1, 100),
            Default::Whole(1),
            "the least grade that is relevant",
        ),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: fingerprint,
    estimate: |task| estimate(task, 1),
    run,
};

/// What was read of one query.
struct Looked {
    id: String,
    relevant: Vec<bool>,
    /// For each document the scores of all heads.
    scores: Vec<Vec<f64>>,
}

impl Looked {
    /// The area of the documents' scores, summed over some heads.
    fn area(&self, heads: impl Iterator<Item = usize> + Clone) -> f64 {
        let scores: Vec<f64> =
            self.scores.iter().map(|of| heads.clone().map(|head| of[head]).sum()).collect();
        area(&scores, &self.relevant)
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (requests, cut) = rank::requests(task, task.values)?;
    let dataset = dataset_of(task, task.values.word("candidates"))?;
    let (model, template) = (model(task)?, template("icr")?);
    let level = i32::try_from(task.values.count("level")).unwrap_or(i32::MAX);
    let options = AttentionOptions { per_head: true, ..EVERYTHING };
    let (mut looked, mut layers, mut heads) = (Vec::new(), Vec::new(), 0);
    for (nth, request) in requests.iter().enumerate() {
        (task.progress)(task.name, nth as u64, requests.len() as u64);
        let relevant: Vec<bool> =
            grades_of(&dataset, request).into_iter().map(|grade| grade >= level).collect();
        if relevant.iter().all(|&r| r) || !relevant.contains(&true) {
            continue;
        }
        let found = mass(&*model, &icr_parts(&template, request), &options)?;
        let [own, free] = &found.endings[..] else {
            return Err(StageError::Answer("the model gave too few answers".into()));
        };
        let difference =
            |(own, free): (&Vec<f64>, &Vec<f64>)| own.iter().zip(free).map(|(a, b)| a - b).collect();
        let scores = own.iter().zip(free).map(difference).collect();
        (layers, heads) = (found.layers, found.heads);
        looked.push(Looked { id: request.query.id.clone(), relevant, scores });
    }
    if looked.len() < 2 {
        let problem =
            "fewer than two queries have relevant and other documents among their candidates; take more"
                .to_string();
        return Err(StageError::Field { field: "candidates", problem });
    }
    let mut made = StageOutput { facts: cut.into_iter().collect(), ..StageOutput::default() };
    if looked.len() < requests.len() {
        let left_out = requests.len() - looked.len();
        made.warnings
            .push(format!("{left_out} queries without both relevant and other documents are left out"));
    }
    // Even queries choose for odd ones, and the other way round.
    let chosen = [0, 1].map(|half| best(&looked, half, heads, task.values.count("count")));
    let all = looked.iter().map(|query| query.area(0..heads)).collect();
    let best = looked.iter().enumerate();
    let best = best.map(|(nth, query)| query.area(chosen[(nth + 1) % 2].iter().copied())).collect();
    let keys: Vec<String> = looked.iter().map(|query| query.id.clone()).collect();
    let columns: [Vec<f64>; NUMBERS.len()] = [all, best];
    let numbers = NUMBERS.iter().zip(columns);
    made.numbers = numbers.map(|(name, values)| Quantity::by_query(*name, keys.clone(), values)).collect();
    let width = heads / layers.len().max(1);
    let name =
        |head: &usize| format!("{}.{}", layers.get(head / width.max(1)).unwrap_or(&0), head % width.max(1));
    for (half, heads) in ["even", "odd"].iter().zip(&chosen) {
        let names: Vec<String> = heads.iter().map(name).collect();
        made.facts.push((format!("best heads of {half} queries"), names.join("+")));
    }
    Ok(made)
}

/// The heads with the greatest mean area over every second query, from the query `half`.
fn best(looked: &[Looked], half: usize, heads: usize, count: usize) -> Vec<usize> {
    let of = |head: usize| {
        let areas: Vec<f64> =
            looked.iter().skip(half).step_by(2).map(|query| query.area(std::iter::once(head))).collect();
        mean(&areas)
    };
    let areas: Vec<f64> = (0..heads).map(of).collect();
    let mut order: Vec<usize> = (0..heads).collect();
    order.sort_by(|a, b| areas[*b].total_cmp(&areas[*a]));
    order.truncate(count);
    order
}

/// The share of pairs of a relevant and another document in which the relevant one has the greater score; equal ones count half.
fn area(scores: &[f64], relevant: &[bool]) -> f64 {
    let (mut won, mut pairs) = (0.0, 0.0_f64);
    for (good, _) in scores.iter().zip(relevant).filter(|(_, relevant)| **relevant) {
        for (other, _) in scores.iter().zip(relevant).filter(|(_, relevant)| !**relevant) {
            pairs += 1.0;
            won += if good > other { 1.0 } else { 0.5 * f64::from(u8::from(good == other)) };
        }
    }
    won / pairs.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_by_hand() {
        assert_eq!(area(&[3.0, 1.0, 2.0], &[true, false, false]), 1.0);
        assert_eq!(area(&[1.0, 1.0, 2.0], &[true, false, false]), 0.25);
        assert_eq!(area(&[0.0, 1.0], &[true, false]), 0.0);
    }

    #[test]
    fn heads_are_chosen_on_the_other_queries() {
        // Head 0 is right in even queries, head 1 in odd ones.
        let query = |nth: usize| {
            let right = if nth.is_multiple_of(2) { vec![1.0, 0.0] } else { vec![0.0, 1.0] };
            Looked { id: nth.to_string(), relevant: vec![true, false], scores: vec![right, vec![0.5, 0.5]] }
        };
        let looked: Vec<Looked> = (0..4).map(query).collect();
        assert_eq!((best(&looked, 0, 2, 1), best(&looked, 1, 2, 1)), (vec![0], vec![1]));
        assert_eq!(looked[0].area(0..2), 0.5);
    }
}
