//! Random Fourier features (Rahimi and Recht, 2007): vectors whose products are close to the Gaussian kernel.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Which of the two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureForm {
    /// D features √(2/D) cos(w·x + b).
    D,
    /// 2D features cos(w·x)/√D and sin(w·x)/√D, of length 1 exactly: the paper's.
    TwoD,
}

/// A drawn map of features.
#[derive(Clone, Debug)]
pub struct RandomFeatures {
    form: FeatureForm,
    frequencies: Vec<Vec<f64>>,
    phases: Vec<f64>,
}

impl RandomFeatures {
    /// Draws `draws` frequencies for contexts of so many numbers and a Gaussian kernel of width `sigma`.
    pub fn new(
        form: FeatureForm,
        (dimension, draws): (usize, usize),
        sigma: f64,
        seed: u64,
    ) -> RandomFeatures {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut frequency = |_| {
            let normal = (0..dimension).map(|_| {
                let x: f64 = StandardNormal.sample(&mut random);
                x / sigma
            });
            normal.collect()
        };
        let frequencies = (0..draws).map(&mut frequency).collect();
        let phases = (0..draws).map(|_| random.random::<f64>() * std::f64::consts::TAU).collect();
        RandomFeatures { form, frequencies, phases }
    }

    /// How many features there are.
    pub fn count(&self) -> usize {
        match self.form {
            FeatureForm::D => self.frequencies.len(),
            FeatureForm::TwoD => 2 * self.frequencies.len(),
        }
    }

    /// The features of a context.
    pub fn of(&self, context: &[f64]) -> Vec<f64> {
        let draws = self.frequencies.len() as f64;
        let products = self.frequencies.iter().map(|w| super::kernel::dot(w, context));
        match self.form {
            FeatureForm::D => {
                let scale = (2.0 / draws).sqrt();
                products.zip(&self.phases).map(|(product, phase)| scale * (product + phase).cos()).collect()
            }
            FeatureForm::TwoD => {
                let scale = 1.0 / draws.sqrt();
                let (cosines, sines): (Vec<f64>, Vec<f64>) =
                    products.map(|product| (scale * product.cos(), scale * product.sin())).unzip();
                [cosines, sines].concat()
            }
        }
    }
}
