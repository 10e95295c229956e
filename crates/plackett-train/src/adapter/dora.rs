//! DoRA: LoRA for the direction of each row of a weight, beside which the row's length is trained.

use super::attached::Method;
use super::lora::{self, DROPOUT, LowRank, dropped, free, matrices};
use super::site::{Site, check_whole};
use super::{AdapterSpec, LoraLayer, LoraWeights, OptionSpec, Parts, PeftFiles, PeftRanks, Request};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::LinearAdapter;
use crate::tape::{ParameterId, Parameters, Tape, Var};
use std::sync::Arc;

/// W' = m (W + s B A) / ‖W + s B A‖, row by row; the length in the denominator has no gradient (Sections 4.1 and 4.3).
pub(super) static SPEC: AdapterSpec = AdapterSpec {
    name: "dora",
    aliases: &[],
    summary: "LoRA for the direction of each row of a weight, with the row's length trained beside it.",
    paper: "Liu et al., DoRA: Weight-decomposed low-rank adaptation, ICML 2024",
    options: &[
        lora::RANK,
        lora::ALPHA,
        OptionSpec {
            help: "share of the layer's inputs that the adapter does not see in a training step; not with lengths alone",
            ..DROPOUT
        },
    ],
    formula: "rank · (i + o) + o",
    count: |options, layers| {
        lora::count(options, layers) + layers.iter().map(|(outputs, _)| outputs).sum::<usize>()
    },
    needs_importance: false,
    attach,
};

/// One layer's matrices and lengths.
#[derive(Clone, Debug)]
struct Decomposed {
    low_rank: LowRank,
    /// outputs × inputs, of the model.
    weight: ParameterId,
    /// 1 × outputs.
    lengths: ParameterId,
}

/// The Euclidean norm of each row.
fn norms(weight: &[f32], columns: usize) -> Vec<f32> {
    let square = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    weight.chunks(columns).map(|row| square(row).sqrt() as f32).collect()
}

impl Decomposed {
    /// W + s B A.
    fn direction(&self, parameters: &Parameters) -> Vec<f32> {
        let mut direction = self.low_rank.product(parameters, None);
        direction.iter_mut().zip(parameters[self.weight].value.iter()).for_each(|(sum, x)| *sum += x);
        direction
    }

    /// Lengths of the rows of W + s B A; 1 for rows of zeros.
    fn current(&self, parameters: &Parameters) -> Vec<f32> {
        let all = norms(&self.direction(parameters), parameters[self.weight].columns);
        all.into_iter().map(|length| if length > 0.0 { length } else { 1.0 }).collect()
    }
}

impl LinearAdapter for Decomposed {
    /// y + (m/‖·‖ − 1) W x + m/‖·‖ · s B A x, which leaves a bias and a residual in y alone.
    fn forward(&self, tape: &Tape, x: &Var, y: &Var) -> Var {
        let current = self.current(tape.parameters());
        let lengths = tape.parameter(self.lengths);
        let share = tape.over(&lengths, &tape.constant((1, current.len()), &current));
        let low = &self.low_rank;
        let x = dropped(tape, x, low.dropout, (&low.shared, low.place), &lengths);
        let still = LowRank { dropout: 0.0, ..low.clone() };
        let base = tape.linear(&x, &tape.parameter(self.weight), None, None);
        let change = tape.linear(&still.inner(tape, &x), &tape.parameter(low.b), None, None);
        let base = tape.scale_columns(&base, &tape.shift(&share, -1.0));
        tape.add(&tape.add(y, &base), &tape.scale_columns(&change, &share))
    }

    fn weight_change(&self, parameters: &Parameters) -> Vec<f32> {
        let (mut change, weight) = (self.direction(parameters), &parameters[self.weight]);
        let shares = parameters[self.lengths].value.iter().zip(self.current(parameters));
        let rows = change.chunks_mut(weight.columns).zip(weight.value.chunks(weight.columns));
        for ((change, weight), (length, current)) in rows.zip(shares) {
            change.iter_mut().zip(weight).for_each(|(sum, x)| *sum = length / current * *sum - x);
        }
        change
    }
}

#[derive(Debug)]
struct Dora(Vec<Decomposed>);

impl Method for Dora {
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        self.0.iter().map(|layer| Arc::new(layer.clone()) as Arc<dyn LinearAdapter>).collect()
    }

    /// LoRA with `use_dora`, and the lengths beside its matrices.
    fn peft(&self, parameters: &Parameters, sites: &[Site]) -> Option<PeftFiles> {
        let scale = self.0.first()?.low_rank.scale;
        let layers = self
            .0
            .iter()
            .zip(sites)
            .map(|(layer, site)| LoraLayer { name: site.name.clone(), ..layer.low_rank.layer(parameters) });
        let mut files = LoraWeights { layers: layers.collect(), scale }.files(PeftRanks::Own);
        files.set("use_dora", true.into());
        for (layer, site) in self.0.iter().zip(sites) {
            let lengths = parameters[layer.lengths].value.to_vec();
            files.push(&format!("{}.lora_magnitude_vector", site.name), vec![site.outputs], lengths);
        }
        Some(files)
    }

    fn ranks(&self, parameters: &Parameters) -> Vec<usize> {
        self.0.iter().map(|layer| parameters[layer.low_rank.a].rows).collect()
    }
}

fn attach(mut request: Request) -> Result<Parts, TrainError> {
    let rank = request.options.count("rank");
    let scale = request.options.number("alpha") as f32 / rank as f32;
    let dropout = request.options.number("dropout") as f32;
    let (sites, matrices) = matrices(&mut request, rank, (scale, dropout))?;
    let parameters = request.parameters;
    check_whole(&sites, parameters, &request.options)?;
    let mut layers = Vec::new();
    for (low_rank, site) in matrices.into_iter().zip(&sites) {
        let own = norms(&parameters[site.weight].value, site.inputs);
        let name = free(parameters, format!("{}.lora_magnitude_vector", site.name));
        let lengths = parameters.add(name, (1, site.outputs), own);
        layers.push(Decomposed { low_rank, weight: site.weight, lengths });
    }
    Ok(Parts { method: Box::new(Dora(layers)), sites })
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::super::testing::{Toy, assert_begins_as_the_base_model, assert_close, read_peft};
    use super::*;
    use crate::tape::Gradients;
    use serde_json::json;

    #[test]
    fn it_begins_as_the_base_model_and_trains_the_formulas_numbers() {
        assert_begins_as_the_base_model("dora(rank=3)");
    }

    #[test]
    fn rows_of_the_merged_weight_have_the_trained_lengths() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adapter.safetensors");
        let mut toy = Toy::llama();
        let mut attached = toy.attach("dora(rank=2, alpha=2)", "q_proj,down_proj");
        toy.shake(&attached, 0.2);
        let unmerged = toy.outputs();
        attached.save(&toy.parameters, &path, &[]).unwrap();
        attached.merge(&mut toy.parameters).unwrap();
        assert_close(&toy.outputs(), &unmerged, 1e-4);
        for site in attached.sites() {
            let lengths = toy.parameters.find(&format!("{}.lora_magnitude_vector", site.name)).unwrap();
            let merged = norms(&toy.parameters[site.weight].value, site.inputs);
            let expected: Vec<f32> =
                toy.parameters[lengths].value.iter().map(|length| length.abs()).collect();
            assert_close(&merged, &expected, 1e-5);
        }
        let mut other = Toy::llama();
        open(&path, &mut other.parameters, &mut other.llama).unwrap();
        assert_eq!(other.outputs(), unmerged);
        assert!(attached.lora(&toy.parameters).unwrap_err().to_string().contains("`dora`"));
    }

    #[test]
    fn pefts_directory_has_loras_matrices_and_the_lengths() {
        let folder = tempfile::tempdir().unwrap();
        let mut toy = Toy::llama();
        let mut attached = toy.attach("dora(rank=2, alpha=3)", "q_proj,down_proj");
        toy.shake(&attached, 0.2);
        attached.save_peft(&toy.parameters, folder.path(), "toy", PeftRanks::Own).unwrap();
        let (config, tensors) = read_peft(folder.path());
        assert_eq!((&config["peft_type"], &config["use_dora"]), (&json!("LORA"), &json!(true)));
        assert_eq!((&config["r"], &config["lora_alpha"]), (&json!(2), &json!(3.0)));
        assert_eq!(tensors.len(), 3 * attached.sites().len());
        // The weight of a row is m (W + 1.5 B A) / ‖W + 1.5 B A‖.
        let site = attached.sites()[1].clone();
        let part = |part: &str| &tensors[&format!("base_model.model.{}.{part}", site.name)];
        let (a, b) = (part("lora_A.weight"), part("lora_B.weight"));
        let (shape, lengths) = part("lora_magnitude_vector");
        assert_eq!((&a.0[..], &b.0[..]), (&[2, site.inputs][..], &[site.outputs, 2][..]));
        assert_eq!(shape[..], [site.outputs]);
        let mut expected = toy.parameters[site.weight].value.to_vec();
        for (at, row) in expected.chunks_mut(site.inputs).enumerate() {
            let (first, second) = (b.1[2 * at], b.1[2 * at + 1]);
            for (column, x) in row.iter_mut().enumerate() {
                *x += 1.5 * (first * a.1[column] + second * a.1[site.inputs + column]);
            }
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x *= lengths[at] / length);
        }
        attached.merge(&mut toy.parameters).unwrap();
        assert_close(&toy.parameters[site.weight].value, &expected, 1e-5);
    }

    /// Copies A and B of one model's adapter to another's.
    fn copy(from: &Toy, to: &mut Toy, name: &str) -> [ParameterId; 2] {
        ["lora_A", "lora_B"].map(|part| {
            let name = format!("{name}.{part}.weight");
            let (own, other) = (from.parameters.find(&name).unwrap(), to.parameters.find(&name).unwrap());
            let values = from.parameters[own].value.to_vec();
            to.parameters[other].values_mut().copy_from_slice(&values);
            other
        })
    }

    #[test]
    fn lengths_have_the_gradients_of_differences_and_directions_those_of_a_still_denominator() {
        let mut toy = Toy::bert();
        let attached = toy.attach("dora(rank=2, alpha=2)", "output.dense");
        toy.shake(&attached, 0.2);
        let named = attached.parameters().iter().copied();
        let lengths: Vec<ParameterId> =
            named.filter(|id| toy.parameters[*id].name.contains("magnitude")).collect();
        toy.assert_gradients(&lengths);
        // LoRA on rows that were stretched beforehand is the same function with the denominators held still.
        let mut still = Toy::bert();
        let lora = still.attach("lora(rank=2, alpha=2)", "output.dense");
        let mut copies = Vec::new();
        for (site, adapter) in lora.sites().iter().zip(lora.method.linear_adapters()) {
            let [a, b] = copy(&toy, &mut still, &site.name);
            let mut direction = adapter.weight_change(&still.parameters);
            let weight = still.parameters[site.weight].value.clone();
            direction.iter_mut().zip(weight.iter()).for_each(|(sum, x)| *sum += x);
            let own = toy.parameters.find(&format!("{}.lora_magnitude_vector", site.name)).unwrap();
            let current = norms(&direction, site.inputs);
            let shares: Vec<f32> =
                toy.parameters[own].value.iter().zip(current).map(|(length, now)| length / now).collect();
            for (id, columns) in [(site.weight, site.inputs), (b, 2)] {
                let rows = still.parameters[id].values_mut().chunks_mut(columns);
                rows.zip(&shares).for_each(|(row, share)| row.iter_mut().for_each(|x| *x *= share));
            }
            copies.push((a, b, shares));
        }
        assert_close(&still.outputs(), &toy.outputs(), 1e-4);
        let (mut ours, mut theirs) = (Gradients::default(), Gradients::default());
        toy.loss_gradients(&mut ours);
        still.loss_gradients(&mut theirs);
        for (a, b, shares) in copies {
            let own = |id: ParameterId| toy.parameters.find(&still.parameters[id].name).unwrap();
            assert_close(ours.get(own(a)).unwrap(), theirs.get(a).unwrap(), 1e-3);
            let expected = theirs.get(b).unwrap().iter().enumerate().map(|(at, g)| g * shares[at / 2]);
            assert_close(ours.get(own(b)).unwrap(), &expected.collect::<Vec<f32>>(), 1e-3);
        }
    }
}
