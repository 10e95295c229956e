//! iALS: vectors of users and items by alternating least squares over all pairs, seen and unseen.

use crate::evaluation::check_items;
use crate::recommender::{item_set, matrix, width_of};
use crate::{FitStep, RecError, Recommender, RecommenderSpec, Request};
use nalgebra::{DMatrix, DVector};
use plackett_core::declaration::{OptionKind, OptionSpec};
use plackett_train::Parameters;
use plackett_train::nn::Initializer;
use rayon::prelude::*;

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "ials",
    aliases: &["als", "wmf"],
    summary: "Vectors of items whose products with a user's vector are 1 for what was seen and, with less weight, 0 for all else.",
    paper: "Hu, Koren and Volinsky 2008; Rendle et al., Revisiting the performance of iALS, RecSys 2022",
    options: &[
        OptionSpec {
            name: "width",
            kind: OptionKind::Integer(1, 4096),
            default: Some("64"),
            help: "numbers of a vector",
        },
        OptionSpec {
            name: "epochs",
            kind: OptionKind::Integer(1, 1000),
            default: Some("10"),
            help: "rounds of both sides",
        },
        OptionSpec {
            name: "unseen",
            kind: OptionKind::Positive,
            default: Some("0.1"),
            help: "weight of the pairs that are not there",
        },
        OptionSpec {
            name: "l2",
            kind: OptionKind::Positive,
            default: Some("0.01"),
            help: "how much long vectors cost, times the weight of the pairs that a vector is in",
        },
    ],
    draws: true,
    reads_time: |_| false,
    check: |_, _| Ok(()),
    fit: |options, data, fitting| {
        let (unseen, l2) = (options.number("unseen"), options.number("l2"));
        let mut model = Ials::new((data.catalogue, options.count("width")), (unseen, l2), fitting.seed);
        let users = data.sets();
        let mut items: Vec<Vec<u32>> = vec![Vec::new(); data.catalogue];
        for (user, seen) in users.iter().enumerate() {
            seen.iter().for_each(|item| items[*item as usize].push(user as u32));
        }
        let epochs = options.count("epochs");
        for epoch in 0..epochs {
            let of_users = model.solve(&model.items, &users)?;
            model.items = model.solve(&of_users, &items)?;
            (fitting.progress)(FitStep { done: epoch + 1, total: epochs, loss: None, flat: 0 });
        }
        // As a file holds them, so that a model that was saved gives the same scores.
        model.items.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        Ok(Box::new(model))
    },
    restore: |options, catalogue, parameters| {
        let width = width_of(parameters, "items")?;
        let items = matrix(parameters, "items", (catalogue, width))?;
        let items = DMatrix::from_row_iterator(catalogue, width, items.into_iter().map(f64::from));
        Ok(Box::new(Ials { items, unseen: options.number("unseen"), l2: options.number("l2") }))
    },
};

/// Vectors of items; a user's vector follows from the history.
pub struct Ials {
    /// items × width.
    items: DMatrix<f64>,
    unseen: f64,
    l2: f64,
}

impl Ials {
    fn new((catalogue, width): (usize, usize), (unseen, l2): (f64, f64), seed: u64) -> Ials {
        let drawn = Initializer::new(seed).normal(catalogue * width, 0.1 / (width as f32).sqrt());
        let items = DMatrix::from_row_iterator(catalogue, width, drawn.into_iter().map(f64::from));
        Ials { items, unseen, l2 }
    }

    /// The vector of each row, whose pairs with some of `others` (places, rising) are seen: rows × width.
    ///
    /// # Errors
    /// A system has no solution: its matrix is positive definite as long as rounding does not eat the weight of `l2`.
    fn solve(&self, others: &DMatrix<f64>, seen: &[Vec<u32>]) -> Result<DMatrix<f64>, RecError> {
        let width = others.ncols();
        let gram = others.transpose() * others * self.unseen;
        let row = |seen: &Vec<u32>| {
            let mut left = gram.clone();
            let mut right = DVector::<f64>::zeros(width);
            for other in seen {
                let vector = others.row(*other as usize).transpose();
                left.ger(1.0, &vector, &vector, 1.0);
                right += vector;
            }
            let weight = self.l2 * (seen.len() as f64 + self.unseen * others.nrows() as f64);
            (0..width).for_each(|at| left[(at, at)] += weight);
            left.cholesky().map(|factor| factor.solve(&right)).ok_or_else(|| {
                RecError::Diverged("ials: a system of equations has no solution (a greater l2 helps)".into())
            })
        };
        let rows: Vec<DVector<f64>> = seen.par_iter().map(row).collect::<Result<_, RecError>>()?;
        Ok(DMatrix::from_fn(seen.len(), width, |row, column| rows[row][column]))
    }
}

impl Recommender for Ials {
    fn catalogue(&self) -> usize {
        self.items.nrows()
    }

    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        for request in requests {
            check_items(request.history.iter(), self.catalogue())?;
        }
        let seen: Vec<Vec<u32>> = requests.iter().map(|request| item_set(request.history)).collect();
        let users = self.solve(&self.items, &seen)?;
        let scores = |user: usize| {
            let scores = &self.items * users.row(user).transpose();
            scores.iter().map(|score| *score as f32).collect::<Vec<f32>>()
        };
        Ok((0..requests.len()).flat_map(scores).collect())
    }

    fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::default();
        let rows = self.items.row_iter().flat_map(|row| row.iter().map(|x| *x as f32).collect::<Vec<_>>());
        parameters.add("items", (self.items.nrows(), self.items.ncols()), rows.collect());
        parameters
    }
}
