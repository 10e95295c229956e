//! Nearest neighbours of items: cosines of who had them.

use crate::evaluation::check_items;
use crate::recommender::{item_set, matrix, width_of};
use crate::{FitData, RecError, Recommender, RecommenderSpec, Request};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_train::Parameters;
use rayon::prelude::*;

/// The largest catalogue: places up to 2²⁴ are whole in f32.
const MOST_ITEMS: usize = 1 << 24;

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "item-knn",
    aliases: &["itemknn", "iknn"],
    summary: "The sum of the cosines between an item and those of the history that are among its nearest neighbours.",
    paper: "Deshpande and Karypis, Item-based top-N recommendation algorithms, 2004",
    options: &[
        OptionSpec {
            name: "neighbours",
            kind: OptionKind::Integer(1, 1_000_000),
            default: Some("100"),
            help: "neighbours that an item keeps",
        },
        OptionSpec {
            name: "shrink",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("0"),
            help: "added below the fraction of the cosine, so that few common users count less",
        },
    ],
    draws: false,
    reads_time: |_| false,
    check: |_, catalogue| match catalogue > MOST_ITEMS {
        true => Err(RecError::Setting(format!(
            "item-knn keeps places as numbers up to {MOST_ITEMS}, and there are {catalogue} items; filter with a k-core"
        ))),
        false => Ok(()),
    },
    fit: |options, data, _| Ok(Box::new(ItemKnn::fit(options, data))),
    restore: |_, catalogue, parameters| {
        let width = width_of(parameters, "neighbours")?;
        let neighbours = matrix(parameters, "neighbours", (catalogue, width))?;
        let is_place = |at: &f32| at.fract() == 0.0 && (-1.0..catalogue as f32).contains(at);
        if let Some(wrong) = neighbours.iter().find(|at| !is_place(at)) {
            return Err(RecError::Setting(format!(
                "`neighbours` of the model has {wrong}, which is none of {catalogue} items: it is damaged"
            )));
        }
        let similarities = matrix(parameters, "similarities", (catalogue, width))?;
        Ok(Box::new(ItemKnn::of(catalogue, width, (neighbours, similarities))))
    },
};

/// The neighbours of each item, the nearest first; −1 stands for none.
pub struct ItemKnn {
    catalogue: usize,
    width: usize,
    neighbours: Vec<f32>,
    similarities: Vec<f32>,
    /// For each item those that it is a neighbour of, rising, with the similarity.
    neighbour_of: Vec<Vec<(u32, f32)>>,
}

impl ItemKnn {
    fn of(catalogue: usize, width: usize, (neighbours, similarities): (Vec<f32>, Vec<f32>)) -> ItemKnn {
        let mut neighbour_of = vec![Vec::new(); catalogue];
        for (at, (neighbour, similarity)) in neighbours.iter().zip(&similarities).enumerate() {
            if *neighbour >= 0.0 {
                neighbour_of[*neighbour as usize].push(((at / width) as u32, *similarity));
            }
        }
        ItemKnn { catalogue, width, neighbours, similarities, neighbour_of }
    }

    fn fit(options: &OptionValues, data: &FitData<'_>) -> ItemKnn {
        let (catalogue, shrink) = (data.catalogue, options.number("shrink"));
        let width = options.count("neighbours").min(catalogue.saturating_sub(1)).max(1);
        let users = data.sets();
        let mut users_of: Vec<Vec<u32>> = vec![Vec::new(); catalogue];
        for (user, items) in users.iter().enumerate() {
            items.iter().for_each(|item| users_of[*item as usize].push(user as u32));
        }
        let nearest = |item: usize| {
            let mut common = vec![0u32; catalogue];
            for user in &users_of[item] {
                users[*user as usize].iter().for_each(|other| common[*other as usize] += 1);
            }
            common[item] = 0;
            let cosine = |other: usize| {
                let lengths = (users_of[item].len() as f64 * users_of[other].len() as f64).sqrt();
                (f64::from(common[other]) / (lengths + shrink)) as f32
            };
            let found = (0..catalogue).filter(|other| common[*other] > 0);
            let mut found: Vec<(usize, f32)> = found.map(|other| (other, cosine(other))).collect();
            found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            found.truncate(width);
            found
        };
        let nearest: Vec<Vec<(usize, f32)>> = (0..catalogue).into_par_iter().map(nearest).collect();
        let (mut neighbours, mut similarities) =
            (vec![-1.0; catalogue * width], vec![0.0; catalogue * width]);
        for (item, found) in nearest.into_iter().enumerate() {
            for (at, (other, similarity)) in found.into_iter().enumerate() {
                neighbours[item * width + at] = other as f32;
                similarities[item * width + at] = similarity;
            }
        }
        ItemKnn::of(catalogue, width, (neighbours, similarities))
    }
}

impl Recommender for ItemKnn {
    fn catalogue(&self) -> usize {
        self.catalogue
    }

    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        for request in requests {
            check_items(request.history.iter(), self.catalogue)?;
        }
        let scores = |request: &Request<'_>| {
            let mut scores = vec![0.0; self.catalogue];
            for item in item_set(request.history) {
                for (of, similarity) in &self.neighbour_of[item as usize] {
                    scores[*of as usize] += similarity;
                }
            }
            scores
        };
        Ok(requests.par_iter().map(scores).collect::<Vec<_>>().concat())
    }

    fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::default();
        let shape = (self.catalogue, self.width);
        parameters.add("neighbours", shape, self.neighbours.clone());
        parameters.add("similarities", shape, self.similarities.clone());
        parameters
    }
}

#[cfg(test)]
mod tests {
    use crate::{Event, FitData, Fitting, Request, parse};
    use plackett_train::Compute;

    #[test]
    fn similarities_are_cosines_of_users() {
        let event = |item: u32| Event { item, rating: 1.0, time: 0 };
        let sequences: Vec<Vec<Event>> = [&[0, 1][..], &[0, 1, 2], &[0, 0]]
            .map(|items| items.iter().map(|item| event(*item)).collect())
            .to_vec();
        let mut fitting = Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
        let data = FitData { catalogue: 4, sequences: &crate::borrowed(&sequences), texts: &[] };
        let model = parse("item-knn").unwrap().fit(&data, &mut fitting).unwrap();
        let scores = model.scores(&[Request { history: &[event(0)], now: 0 }]).unwrap();
        let expected = [0.0, 2.0 / 6f32.sqrt(), 1.0 / 3f32.sqrt(), 0.0];
        assert!(scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{scores:?}");
        // With one neighbour item 2 keeps item 1 alone, with which it has more in common.
        let model = parse("item-knn(neighbours=1)").unwrap().fit(&data, &mut fitting).unwrap();
        assert_eq!(model.scores(&[Request { history: &[event(0)], now: 0 }]).unwrap()[2], 0.0);
    }
}
