//! Layers that are thin products from the start (LRT; Winata and others, 2020).

use super::{Initializer, WeightSource};
use crate::TrainError;

/// Draws weights as [`Initializer`] does, but the linear layers of an encoder as products of two matrices of a rank, whose numbers have the
/// variance that those of a whole matrix would have.
#[derive(Clone, Debug)]
pub struct LowRankInitializer {
    inner: Initializer,
    rank: usize,
}

impl LowRankInitializer {
    /// From a seed, for products of this rank.
    pub fn new(seed: u64, rank: usize) -> LowRankInitializer {
        LowRankInitializer { inner: Initializer::new(seed), rank }
    }
}

impl WeightSource for LowRankInitializer {
    fn take(&mut self, name: &str, shape: (usize, usize)) -> Result<Vec<f32>, TrainError> {
        let mut numbers = self.inner.take(name, shape)?;
        if name.contains(".led_unit.") {
            // rank · s⁴ = 0.02², from numbers with the deviation 0.02.
            let by = (1.0 / (0.02 * (self.rank as f32).sqrt())).sqrt();
            numbers.iter_mut().for_each(|x| *x *= by);
        }
        Ok(numbers)
    }

    fn rank(&self, layer: &str) -> Option<usize> {
        layer.contains("encoder.layer.").then_some(self.rank)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bert, BertConfig};
    use super::*;
    use crate::tape::Parameters;

    #[test]
    fn layers_are_products_with_the_variance_of_whole_ones() {
        let config: BertConfig = serde_json::from_str(
            r#"{"vocab_size": 9, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 256,
                "max_position_embeddings": 8}"#,
        )
        .unwrap();
        let mut parameters = Parameters::default();
        let mut source = LowRankInitializer::new(1, 16);
        let mut bert = Bert::load(&mut parameters, &mut source, &config, "", false).unwrap();
        let mut count = 0;
        for linear in bert.linears_mut() {
            let whole = linear.product(&parameters).unwrap();
            let variance = whole.iter().map(|x| x * x).sum::<f32>() / whole.len() as f32;
            assert!((variance.sqrt() / 0.02 - 1.0).abs() < 0.15, "{} {}", linear.name, variance.sqrt());
            count += 1;
        }
        assert_eq!(count, 6);
    }
}
