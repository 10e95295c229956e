//! EASE^R: a linear model of items by items with a closed form.

use super::spd_inverse::invert;
use crate::evaluation::check_items;
use crate::recommender::{item_set, matrix};
use crate::{FitData, RecError, Recommender, RecommenderSpec, Request};
use plackett_core::declaration::{OptionKind, OptionSpec};
use plackett_train::Parameters;
use rayon::prelude::*;

/// The largest catalogue: the inverse takes catalogue² · 16 bytes and a time that grows with its third power.
const MOST_ITEMS: usize = 20_000;

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "ease",
    aliases: &["ease-r"],
    summary: "A linear model from the items of a history to all items that may not use an item for itself, in closed form.",
    paper: "Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019",
    options: &[OptionSpec {
        name: "l2",
        kind: OptionKind::Positive,
        default: Some("250"),
        help: "how much large weights cost",
    }],
    draws: false,
    reads_time: |_| false,
    check: |_, catalogue| match catalogue > MOST_ITEMS {
        true => Err(RecError::Setting(format!(
            "ease inverts a matrix of items by items, and {catalogue} items are more than the {MOST_ITEMS} that are sensible; \
             filter with a k-core, or take item-knn"
        ))),
        false => Ok(()),
    },
    fit: |options, data, _| Ok(Box::new(Ease::fit(options.number("l2"), data)?)),
    restore: |_, catalogue, parameters| {
        Ok(Box::new(Ease { catalogue, weights: matrix(parameters, "weights", (catalogue, catalogue))? }))
    },
};

/// Weights from items of the history to items.
pub struct Ease {
    catalogue: usize,
    /// catalogue × catalogue, from × to.
    weights: Vec<f32>,
}

impl Ease {
    /// B = I − P · diag(1 / diag P) with P = (XᵀX + λI)⁻¹ (equation 8).
    fn fit(l2: f64, data: &FitData<'_>) -> Result<Ease, RecError> {
        let catalogue = data.catalogue;
        let mut inverse = vec![0.0f64; catalogue * catalogue];
        for items in data.sets() {
            for a in &items {
                items.iter().for_each(|b| inverse[*a as usize * catalogue + *b as usize] += 1.0);
            }
        }
        (0..catalogue).for_each(|at| inverse[at * catalogue + at] += l2);
        if !invert(&mut inverse, catalogue) {
            return Err(RecError::Setting("ease: the matrix cannot be inverted; give a greater l2".into()));
        }
        let mut weights = vec![0.0f32; catalogue * catalogue];
        for from in 0..catalogue {
            for to in (0..catalogue).filter(|to| *to != from) {
                let diagonal = inverse[to * catalogue + to];
                weights[from * catalogue + to] = (-inverse[from * catalogue + to] / diagonal) as f32;
            }
        }
        Ok(Ease { catalogue, weights })
    }
}

impl Recommender for Ease {
    fn catalogue(&self) -> usize {
        self.catalogue
    }

    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        for request in requests {
            check_items(request.history.iter(), self.catalogue)?;
        }
        let mut all = vec![0.0f32; requests.len() * self.catalogue];
        requests.par_iter().zip(all.par_chunks_mut(self.catalogue)).for_each(|(request, scores)| {
            for item in item_set(request.history) {
                let row = &self.weights[item as usize * self.catalogue..][..self.catalogue];
                scores.iter_mut().zip(row).for_each(|(score, weight)| *score += weight);
            }
        });
        Ok(all)
    }

    fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.add("weights", (self.catalogue, self.catalogue), self.weights.clone());
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[test]
    fn weights_solve_the_constrained_least_squares() {
        let event = |item: u32| Event { item, rating: 1.0, time: 0 };
        let sequences: Vec<Vec<Event>> = [&[0, 1][..], &[0, 1, 2], &[2, 3], &[0, 3], &[1, 2, 3]]
            .map(|items| items.iter().map(|item| event(*item)).collect())
            .to_vec();
        let l2 = 0.7;
        let data = FitData { catalogue: 4, sequences: &crate::borrowed(&sequences), texts: &[] };
        let model = Ease::fit(l2, &data).unwrap();
        let weight = |from: usize, to: usize| f64::from(model.weights[from * 4 + to]);
        let has = |user: usize, item: usize| {
            f64::from(u8::from(sequences[user].iter().any(|event| event.item as usize == item)))
        };
        // Off the diagonal the gradient of |X − XB|² + λ|B|² is zero; on it the weight is.
        for to in 0..4 {
            assert_eq!(weight(to, to), 0.0);
            for from in (0..4).filter(|from| *from != to) {
                let residual = |user: usize| {
                    has(user, to) - (0..4).map(|at| has(user, at) * weight(at, to)).sum::<f64>()
                };
                let slope =
                    (0..5).map(|user| has(user, from) * residual(user)).sum::<f64>() - l2 * weight(from, to);
                assert!(slope.abs() < 1e-6, "{from} {to}: {slope}");
            }
        }
    }
}
