//! Documents of queries by their features and grades (LETOR's files), cut to groups of a size.

use super::{OrderedGroups, TestedGroup};
use crate::recipe::data::feature_lists::{dense, file, widest};
use crate::recipe::error::StageError;
use plackett_core::formats::read_features;
use plackett_train::random::Stream;
use plackett_train::trainer::{ItemGroup, VectorList};
use std::path::Path;

/// Ways in which ties of a group to learn from are broken, each a group of its own: no order among equal grades is taught.
const WAYS: usize = 4;

/// Reads the first `size` documents of each query, in the order of the file and not by their grades (the published groups are the best
/// documents by label). Features are brought to mean 0 and variance 1 by those to learn from.
///
/// # Errors
/// A file that is not there or is wrong.
pub fn features(folder: &Path, size: usize, seed: u64) -> Result<OrderedGroups, StageError> {
    let read = |part| Ok::<_, StageError>(read_features(&file(folder, part)?)?);
    let (learned, tested) = (read("train")?, read("test")?);
    let inputs = widest(&learned).max(widest(&tested)).unwrap_or(1);
    let cut = |mut list: VectorList| {
        list.labels.truncate(size);
        list.candidates.truncate(size * inputs);
        list
    };
    let lists =
        |all: Vec<_>| -> Vec<VectorList> { all.into_iter().map(|list| cut(dense(list, inputs))).collect() };
    let (mut learned, mut tested) = (lists(learned), lists(tested));
    let scale = Scale::of(&learned, inputs);
    learned.iter_mut().chain(&mut tested).for_each(|list| scale.apply(&mut list.candidates));
    let counts = [learned.len(), tested.len()];
    let has_order =
        |list: &VectorList| list.labels.first().is_some_and(|first| list.labels.iter().any(|x| x != first));
    learned.retain(has_order);
    tested.retain(has_order);
    let left_out = [counts[0] - learned.len(), counts[1] - tested.len()];
    let mut remarks = Vec::new();
    if left_out != [0, 0] {
        remarks.push(format!(
            "{} groups to learn from and {} to test with have equal grades alone and are left out",
            left_out[0], left_out[1]
        ));
    }
    let broken = |(at, list): (usize, &VectorList)| {
        (0..WAYS).map(|way| group(list, Stream::new(seed, (at * WAYS + way) as u64))).collect::<Vec<_>>()
    };
    Ok(OrderedGroups {
        inputs,
        learned: learned.iter().enumerate().flat_map(broken).collect(),
        tested: tested.iter().map(|list| graded(list, seed)).collect(),
        remarks,
    })
}

/// Ranks by grade; of equal ones those come first that the stream says.
fn group(list: &VectorList, stream: Stream) -> ItemGroup {
    let tie = stream.permutation(list.labels.len());
    let mut order: Vec<usize> = (0..list.labels.len()).collect();
    order.sort_by(|a, b| list.labels[*b].total_cmp(&list.labels[*a]).then(tie[*a].cmp(&tie[*b])));
    let mut ranks = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, item)| ranks[*item] = place + 1);
    ItemGroup { name: list.name.clone(), items: list.candidates.clone(), ranks }
}

fn graded(list: &VectorList, seed: u64) -> TestedGroup {
    let grades: Vec<f64> = list.labels.iter().map(|grade| f64::from(*grade)).collect();
    let gains = grades.iter().map(|grade| grade.exp2() - 1.0).collect();
    TestedGroup { group: group(list, Stream::new(seed, u64::MAX)), grades, gains }
}

/// Mean and standard deviation of each feature.
struct Scale {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Scale {
    fn of(lists: &[VectorList], inputs: usize) -> Scale {
        let rows = || lists.iter().flat_map(|list| list.candidates.chunks(inputs));
        let count = rows().count().max(1) as f64;
        let mut mean = vec![0.0; inputs];
        rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x) / count));
        let mut squares = vec![0.0; inputs];
        for row in rows() {
            for ((sum, mean), x) in squares.iter_mut().zip(&mean).zip(row) {
                *sum += (f64::from(*x) - mean).powi(2) / count;
            }
        }
        Scale { mean, deviation: squares.into_iter().map(f64::sqrt).collect() }
    }

    /// A feature that never changes becomes 0.
    fn apply(&self, candidates: &mut [f32]) {
        for row in candidates.chunks_mut(self.mean.len().max(1)) {
            for ((x, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *x = if *deviation > 1e-9 { ((f64::from(*x) - mean) / deviation) as f32 } else { 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_brought_to_one_scale_and_ties_are_broken_anew() {
        let list = VectorList {
            name: "q".into(),
            candidates: vec![1.0, 5.0, 3.0, 5.0, 5.0, 5.0],
            labels: vec![0.0, 2.0, 0.0],
            ..VectorList::default()
        };
        let scale = Scale::of(std::slice::from_ref(&list), 2);
        let mut candidates = list.candidates.clone();
        scale.apply(&mut candidates);
        // Mean 3, deviation √(8/3); the second feature is always 5.
        let far = 2.0 / (8.0f32 / 3.0).sqrt();
        for (found, wanted) in candidates.iter().zip([-far, 0.0, 0.0, 0.0, far, 0.0]) {
            assert!((found - wanted).abs() < 1e-6);
        }
        let ranks: Vec<Vec<usize>> = (0..20).map(|n| group(&list, Stream::new(1, n)).ranks).collect();
        assert!(ranks.iter().all(|ranks| ranks[1] == 1));
        assert!(ranks.contains(&vec![2, 1, 3]) && ranks.contains(&vec![3, 1, 2]));
        assert_eq!(graded(&list, 1).gains, [0.0, 3.0, 0.0]);
    }
}
