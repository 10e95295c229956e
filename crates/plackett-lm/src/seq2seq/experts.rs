//! Mixtures of experts: feed-forward networks of which each row goes through a few (Shazeer et al., Outrageously large neural networks, 2017).

use crate::error::LmError;
use crate::family::t5::Sizes;
use crate::files::config::JsonFile;
use crate::files::weights::WeightSet;
use crate::seq2seq::dense::dense;
use plackett_kernel::{Isa, Linear, Precision, axpy, softmax_row};
use rayon::prelude::*;

/// The experts of a layer. A row becomes Σ gᵢ · FFNᵢ(x) over the experts with the greatest shares gᵢ of a softmax over all of them, of equal shares
/// the first; shares are not made to sum to one (OneRec, arXiv 2502.18965, equation 4).
pub(crate) struct Experts {
    /// From a row to the logits of all experts; f32, since a rounded one would lead rows elsewhere.
    gate: Linear,
    /// What goes into the activation of each expert, and what comes out of it.
    networks: Vec<(Linear, Linear)>,
    /// Experts that a row goes through.
    active: usize,
    /// Of each expert's network.
    sizes: Sizes,
}

impl Experts {
    /// The `num_experts` of a T5's layer at a place, of `moe_intermediate_size` numbers each, of which `num_experts_per_tok` are active, under the
    /// names that Switch Transformers have; `None` where the configuration has none.
    pub(crate) fn open(
        config: &JsonFile,
        weights: &WeightSet,
        at: &str,
        precision: Precision,
    ) -> Result<Option<Experts>, LmError> {
        if config.value().get("num_experts").is_none() {
            return Ok(None);
        }
        let (count, active) = (config.size("num_experts")?, config.size("num_experts_per_tok")?);
        if active > count {
            return Err(config.problem(format!(
                "`num_experts_per_tok` is {active}, and `num_experts` {count}; a row goes through each expert once at most"
            )));
        }
        let sizes = Sizes { inner: config.size("moe_intermediate_size")?, ..Sizes::read(config)? };
        let gate = [format!("{at}.router.classifier")];
        let gate = weights.linear(&gate, count, sizes.hidden, Precision::F32)?;
        let networks = (0..count)
            .map(|expert| sizes.feed_forward(weights, &format!("{at}.experts.expert_{expert}"), precision))
            .collect::<Result<Vec<_>, LmError>>()?;
        Ok(Some(Experts { gate, networks, active, sizes }))
    }

    /// All matrices.
    pub(crate) fn matrices(&self) -> Vec<&Linear> {
        let networks = self.networks.iter().flat_map(|(inner, outer)| [inner, outer]);
        [&self.gate].into_iter().chain(networks).collect()
    }

    /// Numbers of the buffers of a row: its shares, and for each expert that it goes through a copy of it, what goes into the activation, the
    /// same rounded, and what comes out.
    pub(crate) fn row_numbers(&self) -> usize {
        self.networks.len() + self.active * 2 * (self.sizes.hidden + self.sizes.both())
    }

    /// What becomes of rows of `hidden` numbers. The rows of an expert go through it together, and those of no other do; what a row becomes does
    /// not depend on the others, since its sum is in the order of the experts.
    pub(crate) fn run(&self, isa: Isa, x: &[f32]) -> Vec<f32> {
        let (hidden, count) = (self.sizes.hidden, self.networks.len());
        let mut shares = dense(isa, &self.gate, x, hidden, x.len() / hidden);
        shares.chunks_exact_mut(count).for_each(|shares| softmax_row(isa, shares));
        let groups = self.groups(&shares);
        let outputs: Vec<Vec<f32>> = groups
            .par_iter()
            .zip(&self.networks)
            .map(|(rows, network)| self.network(isa, network, rows, x))
            .collect();
        let mut y = vec![0.0; x.len()];
        for (expert, (rows, outputs)) in groups.iter().zip(&outputs).enumerate() {
            for (row, output) in rows.iter().zip(outputs.chunks_exact(hidden)) {
                axpy(isa, shares[row * count + expert], output, &mut y[row * hidden..][..hidden]);
            }
        }
        y
    }

    /// The rows that go through each expert.
    fn groups(&self, shares: &[f32]) -> Vec<Vec<usize>> {
        let count = self.networks.len();
        let mut groups = vec![Vec::new(); count];
        let mut order: Vec<usize> = Vec::with_capacity(count);
        for (row, shares) in shares.chunks_exact(count).enumerate() {
            order.clear();
            order.extend(0..count);
            // Stable, so that equal shares stay in the order of the experts.
            order.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]));
            order.iter().take(self.active).for_each(|expert| groups[*expert].push(row));
        }
        groups
    }

    /// What comes of some rows out of one expert.
    fn network(&self, isa: Isa, (inner, outer): &(Linear, Linear), rows: &[usize], x: &[f32]) -> Vec<f32> {
        if rows.is_empty() {
            return Vec::new();
        }
        let (hidden, width) = (self.sizes.hidden, self.sizes.both());
        let own: Vec<f32> = rows.iter().flat_map(|row| &x[row * hidden..][..hidden]).copied().collect();
        let mut between = dense(isa, inner, &own, hidden, rows.len());
        self.sizes.activate(isa, &mut between);
        dense(isa, outer, &between, width, rows.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_kernel::Activation;
    use serde_json::{Value, json};
    use std::path::PathBuf;

    /// Three experts of one number each over rows of two, of which two are active. The logits of a row (x, y) are x·ln 5, x·ln 3 and x·ln 2.
    fn experts() -> Experts {
        let sizes = Sizes {
            hidden: 2,
            heads: 1,
            head_size: 2,
            inner: 1,
            gated: false,
            activation: Activation::Relu,
            buckets: 32,
            reach: 128,
            epsilon: 1e-6,
        };
        let gate = [5f32.ln(), 0.0, 3f32.ln(), 0.0, 2f32.ln(), 0.0];
        let network = |inner: [f32; 2], outer: [f32; 2]| {
            (Linear::from_f32(&inner, &[], 1, 2), Linear::from_f32(&outer, &[], 2, 1))
        };
        let networks = vec![
            network([2.0, 0.0], [1.0, 0.0]),
            network([-3.0, 0.0], [0.0, 1.0]),
            network([-1.0, 0.0], [1.0, 1.0]),
        ];
        Experts { gate: Linear::from_f32(&gate, &[], 3, 2), networks, active: 2, sizes }
    }

    #[test]
    fn rows_are_the_weighted_sum_of_their_two_experts() {
        let experts = experts();
        for isa in [Isa::detect(), Isa::Portable] {
            // (1, 0) has the shares 0.5, 0.3 and 0.2: expert 0 gives ½ · (2, 0), and what goes into expert 1 is below 0. (−1, 0) has 6/31, 10/31 and
            // 15/31: expert 2 gives 15/31 · (1, 1), expert 1 10/31 · (0, 3).
            let y = experts.run(isa, &[1.0, 0.0, -1.0, 0.0, 1.0, 0.0]);
            let expected = [1.0, 0.0, 15.0 / 31.0, 45.0 / 31.0, 1.0, 0.0];
            for (found, expected) in y.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{isa:?}: {y:?}");
            }
            // Alone as in company.
            assert_eq!(experts.run(isa, &[-1.0, 0.0]), y[2..4]);
        }
    }

    #[test]
    fn rows_are_grouped_by_expert_and_equal_shares_go_to_the_first() {
        let third = 1.0 / 3.0;
        let shares = [0.5, 0.3, 0.2, 0.2, 0.3, 0.5, third, third, third];
        assert_eq!(experts().groups(&shares), [vec![0, 2], vec![0, 1, 2], vec![1]]);
        assert_eq!(experts().matrices().len(), 7);
        assert_eq!(experts().row_numbers(), 3 + 2 * 2 * (2 + 1));
    }

    #[test]
    fn more_active_experts_than_there_are_are_refused() {
        let open = |config: Value| -> Result<Option<Experts>, LmError> {
            let path = PathBuf::from("config.json");
            let config = JsonFile::parse(config.to_string().as_bytes(), path.clone())?;
            Experts::open(&config, &WeightSet::of_tensors(path, &[])?, "mlp", Precision::F32)
        };
        assert!(open(json!({})).unwrap().is_none());
        let error = open(json!({"num_experts": 2, "num_experts_per_tok": 3})).err().unwrap().to_string();
        assert!(error.contains("`num_experts_per_tok` is 3"), "{error}");
    }
}
