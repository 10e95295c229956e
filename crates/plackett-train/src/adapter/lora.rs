//! LoRA: an update of low rank, as a product of two thin matrices.

use super::attached::{Method, Shared};
use super::peft::{LoraLayer, LoraWeights};
use super::site::{Site, choose};
use super::{AdapterSpec, OptionKind, OptionSpec, OptionValues, Parts, Request};
use crate::TrainError;
use crate::engine::{Engine, product};
use crate::nn::{LinearAdapter, init};
use crate::random::Stream;
use crate::tape::{Compute, ParameterId, Parameters, Tape, Var};
use plackett_kernel::Start;
use std::sync::Arc;

/// The rank of LoRA's matrices.
pub(super) const RANK: OptionSpec = OptionSpec {
    name: "rank",
    kind: OptionKind::Integer(1, 1 << 16),
    default: Some("8"),
    help: "rows of A and columns of B",
};

/// The scale's numerator.
pub(super) const ALPHA: OptionSpec = OptionSpec {
    name: "alpha",
    kind: OptionKind::Number(0.0, f64::MAX),
    default: Some("16"),
    help: "what the product is multiplied with, over the rank",
};

/// Dropout before A.
pub(super) const DROPOUT: OptionSpec = OptionSpec {
    name: "dropout",
    kind: OptionKind::Number(0.0, 0.99),
    default: Some("0"),
    help: "share of the layer's inputs that the adapter does not see in a training step",
};

/// y = W x + s · B A x; A from the uniform distribution, B zero.
pub(super) static SPEC: AdapterSpec = AdapterSpec {
    name: "lora",
    aliases: &[],
    summary: "Adds to a weight the product of two thin trained matrices.",
    paper: "Hu et al., LoRA: Low-rank adaptation of large language models, 2021; scaling=rslora: Kalajdzievski, A rank \
            stabilization scaling factor for fine-tuning with LoRA, 2023",
    options: &[
        RANK,
        ALPHA,
        OptionSpec {
            name: "scaling",
            kind: OptionKind::Choice(&["lora", "rslora"]),
            default: Some("lora"),
            help: "alpha over the rank, or over its square root",
        },
        DROPOUT,
    ],
    formula: "rank · (i + o)",
    count,
    needs_importance: false,
    attach,
};

/// The trainable numbers of two thin matrices a layer.
pub(super) fn count(options: &OptionValues, layers: &[(usize, usize)]) -> usize {
    layers.iter().map(|(outputs, inputs)| options.count("rank") * (outputs + inputs)).sum()
}

/// The two matrices of a layer.
#[derive(Clone, Debug)]
pub(super) struct LowRank {
    /// rank × inputs.
    pub(super) a: ParameterId,
    /// outputs × rank.
    pub(super) b: ParameterId,
    pub(super) scale: f32,
    pub(super) dropout: f32,
    /// Which layer it is, for the keys of dropout.
    pub(super) place: usize,
    pub(super) shared: Arc<Shared>,
}

impl LowRank {
    /// s · A x, with dropout while a gradient is wanted.
    pub(super) fn inner(&self, tape: &Tape, x: &Var) -> Var {
        let a = tape.parameter(self.a);
        let x = dropped(tape, x, self.dropout, (&self.shared, self.place), &a);
        tape.scale(&tape.linear(&x, &a, None, None), self.scale)
    }

    /// s · B diag(gate) A.
    pub(super) fn product(&self, parameters: &Parameters, gate: Option<&[f32]>) -> Vec<f32> {
        let (a, b) = (&parameters[self.a], &parameters[self.b]);
        let mut factor = a.value.to_vec();
        for (row, values) in factor.chunks_mut(a.columns).enumerate() {
            let by = self.scale * gate.map_or(1.0, |gate| gate[row]);
            values.iter_mut().for_each(|value| *value *= by);
        }
        let mut change = vec![0.0; b.rows * a.columns];
        let right = (&factor[..], a.rows, a.columns, false);
        product(&Compute::new(1), (&b.value, b.rows), right, &mut change, Start::Zero);
        change
    }

    /// Both matrices as they are, with B's columns times a gate.
    pub(super) fn layer(&self, parameters: &Parameters) -> LoraLayer {
        let (a, b) = (&parameters[self.a], &parameters[self.b]);
        LoraLayer {
            name: String::new(),
            outputs: b.rows,
            inputs: a.columns,
            rank: a.rows,
            a: a.value.to_vec(),
            b: b.value.to_vec(),
        }
    }
}

/// x with dropout while `trained`'s gradient is wanted: never in a pass for values alone.
pub(super) fn dropped(
    tape: &Tape,
    x: &Var,
    rate: f32,
    (shared, place): (&Shared, usize),
    trained: &Var,
) -> Var {
    match rate > 0.0 && tape.is_needed(trained) {
        true => tape.dropout(x, rate, shared.key(place)),
        false => x.clone(),
    }
}

impl LinearAdapter for LowRank {
    fn forward(&self, tape: &Tape, x: &Var, y: &Var) -> Var {
        tape.linear(&self.inner(tape, x), &tape.parameter(self.b), None, Some(y))
    }

    fn weight_change(&self, parameters: &Parameters) -> Vec<f32> {
        self.product(parameters, None)
    }
}

/// Makes the matrices of all layers: A evenly from ±1/√inputs, B zero.
pub(super) fn matrices(
    request: &mut Request,
    rank: usize,
    (scale, dropout): (f32, f32),
) -> Result<(Vec<Site>, Vec<LowRank>), TrainError> {
    let linears = choose(request.model, request.targets)?;
    let sites: Vec<Site> = linears.iter().map(|linear| Site::of(linear)).collect();
    let mut all = Vec::new();
    for (place, site) in sites.iter().enumerate() {
        let bound = 1.0 / (site.inputs as f32).sqrt();
        let a = init::uniform(Stream::new(request.seed, place as u64), rank * site.inputs, bound);
        let b = vec![0.0; site.outputs * rank];
        let name = |part: &str| format!("{}.{part}.weight", site.name);
        all.push(LowRank {
            a: request.parameters.add(free(request.parameters, name("lora_A")), (rank, site.inputs), a),
            b: request.parameters.add(free(request.parameters, name("lora_B")), (site.outputs, rank), b),
            scale,
            dropout,
            place,
            shared: request.shared.clone(),
        });
    }
    Ok((sites, all))
}

/// The name, or where it is taken by another adapter of the same model, the name with a number behind it.
pub(super) fn free(parameters: &Parameters, name: String) -> String {
    let numbered = (2..).map(|number| format!("{name}.{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| parameters.find(name).is_none()).unwrap_or(name)
}

/// LoRA on all its layers.
#[derive(Debug)]
struct Lora {
    layers: Vec<LowRank>,
    scale: f32,
}

impl Method for Lora {
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        self.layers.iter().map(|layer| Arc::new(layer.clone()) as Arc<dyn LinearAdapter>).collect()
    }

    fn lora(&self, parameters: &Parameters) -> Option<LoraWeights> {
        let layers = self.layers.iter().map(|layer| layer.layer(parameters)).collect();
        Some(LoraWeights { layers, scale: self.scale })
    }

    fn ranks(&self, parameters: &Parameters) -> Vec<usize> {
        self.layers.iter().map(|layer| parameters[layer.a].rows).collect()
    }
}

fn attach(mut request: Request) -> Result<Parts, TrainError> {
    let rank = request.options.count("rank");
    let over = match request.options.choice("scaling") {
        "rslora" => (rank as f32).sqrt(),
        _ => rank as f32,
    };
    let scale = request.options.number("alpha") as f32 / over;
    let dropout = request.options.number("dropout") as f32;
    let (sites, layers) = matrices(&mut request, rank, (scale, dropout))?;
    Ok(Parts { method: Box::new(Lora { layers, scale }), sites })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_close};
    use super::super::{PeftRanks, parse};
    use super::*;
    use crate::tape::{Gradients, Tape};

    #[test]
    fn a_model_with_fresh_lora_is_the_base_model_and_trains_the_formulas_numbers() {
        let mut toy = Toy::bert();
        let before = toy.outputs();
        for (text, targets) in [("lora(rank=1)", "query,value"), ("lora(rank=3, alpha=5)", "all")] {
            let mut toy = Toy::bert();
            let attached = toy.attach(text, targets);
            assert_eq!(toy.outputs(), before);
            let shapes: Vec<_> = attached.sites().iter().map(|site| (site.outputs, site.inputs)).collect();
            let expected = parse(text).unwrap().trainable_count(&shapes);
            assert_eq!(attached.trainable_count(&toy.parameters), expected);
            assert_eq!(toy.parameters.trainable_count(), expected + toy.head_numbers());
        }
        toy.attach("lora", "query");
        let again = parse("lora").unwrap();
        let all = super::super::Targets::All;
        let error = again.attach(&mut toy.parameters, &mut toy.bert, &all, 1, |_| false).unwrap_err();
        assert!(error.to_string().contains("has an adapter already"), "{error}");
    }

    #[test]
    fn numbers_are_those_of_the_papers_for_whole_models() {
        let lora = parse("lora(rank=1)").unwrap();
        // MiniLM, queries and values of six layers; SmolLM2-135M, queries and values of thirty.
        assert_eq!(lora.trainable_count(&[(384, 384); 12]), 9216);
        let smol: Vec<_> = [(576, 576), (192, 576)].repeat(30);
        assert_eq!(lora.trainable_count(&smol), 57_600);
        // Twelve layers of 768 and 3072, all six layers of each, rank 8.
        let block = [(768, 768), (768, 768), (768, 768), (768, 768), (3072, 768), (768, 3072)];
        assert_eq!(parse("lora(rank=8)").unwrap().trainable_count(&block.repeat(12)), 1_327_104);
    }

    #[test]
    fn merged_weights_give_the_same_outputs_and_come_back_bit_for_bit() {
        let mut toy = Toy::bert();
        let mut attached = toy.attach("lora(rank=3, alpha=5, scaling=rslora)", "all");
        toy.shake(&attached, 0.3);
        let weights: Vec<Vec<f32>> =
            attached.sites().iter().map(|site| toy.parameters[site.weight].value.to_vec()).collect();
        let unmerged = toy.outputs();
        attached.merge(&mut toy.parameters).unwrap();
        assert_close(&toy.outputs(), &unmerged, 1e-4);
        attached.unmerge(&mut toy.parameters);
        assert_eq!(toy.outputs(), unmerged);
        for (site, before) in attached.sites().iter().zip(weights) {
            assert_eq!(toy.parameters[site.weight].value[..], before[..]);
        }
        attached.set_active(false);
        assert_eq!(toy.outputs(), Toy::bert().outputs());
    }

    #[test]
    fn gradients_are_differences() {
        let mut toy = Toy::bert();
        let attached = toy.attach("lora(rank=2, alpha=2)", "query,output.dense");
        toy.shake(&attached, 0.3);
        toy.assert_gradients(attached.parameters());
    }

    #[test]
    fn dropout_follows_the_pass_and_rests_without_gradients() {
        let mut toy = Toy::bert();
        let attached = toy.attach("lora(rank=2, dropout=0.5)", "all");
        toy.shake(&attached, 0.3);
        let still = toy.outputs();
        let training = |pass: u64| {
            attached.begin_pass(pass);
            toy.outputs_on(&Tape::new(&toy.parameters, &Compute::new(1)))
        };
        assert_ne!(training(1), still);
        assert_ne!(training(1), training(2));
        assert_eq!(training(1), training(1));
    }

    #[test]
    fn a_directory_of_pefts_opens_in_the_language_model() {
        let mut toy = Toy::llama();
        let attached = toy.attach("lora(rank=2, alpha=3)", "q_proj,down_proj");
        toy.shake(&attached, 0.3);
        let folder = tempfile::tempdir().unwrap();
        attached.save_peft(&toy.parameters, folder.path(), "toy", PeftRanks::Own).unwrap();
        let adapter = plackett_lm::Adapter::open(folder.path()).unwrap();
        let site = &attached.sites()[0];
        assert_eq!(site.name, "model.layers.0.self_attn.q_proj");
        let delta = adapter.layer(0, "self_attn.q_proj").unwrap();
        assert_eq!((delta.outputs(), delta.inputs(), delta.rank()), (site.outputs, site.inputs, 2));
        assert!((delta.scale() - 1.5).abs() < 1e-6);
        assert_eq!(adapter.modules().count(), attached.sites().len());
        let back = LoraWeights::open(folder.path()).unwrap();
        let mut own = attached.lora(&toy.parameters).unwrap();
        own.layers.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(back, own);
        let mut other = Toy::llama();
        back.put_into(&mut other.parameters, &mut other.llama).unwrap();
        assert_close(&other.outputs(), &toy.outputs(), 1e-6);
    }

    #[test]
    fn learning_moves_the_adapter_alone() {
        let mut toy = Toy::bert();
        let attached = toy.attach("lora(rank=2)", "all");
        let mut gradients = Gradients::default();
        toy.loss_gradients(&mut gradients);
        let moved: Vec<bool> = toy.parameters.iter().map(|(id, _)| gradients.get(id).is_some()).collect();
        let own: Vec<bool> = toy
            .parameters
            .iter()
            .map(|(id, parameter)| attached.parameters().contains(&id) || parameter.trainable)
            .collect();
        assert_eq!(moved, own);
    }
}
