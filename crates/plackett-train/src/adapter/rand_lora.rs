//! RandLoRA: a full-rank update as a sum of fixed random products of low rank, whose diagonal scalings are trained.

mod bases;
mod scaled;

use super::attached::{Method, Shared};
use super::lora::{DROPOUT, dropped, free};
use super::site::{Site, choose};
use super::{AdapterSpec, Generator, OptionKind, OptionSpec, OptionValues, Parts, Request, generated_linear};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::LinearAdapter;
use crate::tape::{Compute, ParameterId, Parameters, Tape, Var};
use bases::{Bases, Kind};
use scaled::{Change, ScaledA};
use std::sync::Arc;

/// M = Σⱼ Bⱼ diag(λ·ⱼ) A diag(γⱼ·), added to a weight or, where there are fewer outputs than inputs, its transpose.
pub(super) static SPEC: AdapterSpec = AdapterSpec {
    name: "rand-lora",
    aliases: &["randlora"],
    summary: "Adds a full-rank sum of fixed random products of low rank; only diagonal scalings between them are trained.",
    paper: "Albert et al., RandLoRA: Full-rank parameter-efficient fine-tuning of large models, ICLR 2025",
    options: &[
        OptionSpec {
            name: "rank",
            kind: OptionKind::Integer(1, 1 << 16),
            default: Some("32"),
            help: "rank of each product; the greater it is, the fewer numbers are trained",
        },
        OptionSpec {
            name: "alpha",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: None,
            help: "numerator of the scale; by itself 20 ranks with scale=peft and 2 ranks with scale=paper",
        },
        OptionSpec {
            name: "scale",
            kind: OptionKind::Choice(&["peft", "paper"]),
            default: Some("peft"),
            help: "alpha over the rank as in PEFT, or as in the authors' code that over the root of the number of products",
        },
        OptionSpec {
            name: "bases",
            kind: OptionKind::Choice(&["dense", "sparse", "very-sparse"]),
            default: Some("dense"),
            help: "random numbers evenly from ±√3, or −1, 0 and 1 with 1/6, 2/3 and 1/6, or with 1/(2√d) for each sign",
        },
        OptionSpec {
            name: "form",
            kind: OptionKind::Choice(&["auto", "factored", "materialized"]),
            default: Some("auto"),
            help: "whether the products are applied to the tokens, or to each other first, once in a pass; auto does what is less work",
        },
        DROPOUT,
    ],
    formula: "n · (rank + d), where d = min(o, i) and n = ⌈d / rank⌉",
    count,
    needs_importance: false,
    attach,
};

/// The number of products for a layer.
fn products(rank: usize, (outputs, inputs): (usize, usize)) -> usize {
    outputs.min(inputs).div_ceil(rank)
}

fn count(options: &OptionValues, layers: &[(usize, usize)]) -> usize {
    let rank = options.count("rank");
    layers.iter().map(|shape| products(rank, *shape) * (rank + shape.0.min(shape.1))).sum()
}

/// The rank at which LoRA trains as many numbers as RandLoRA of `rank` for a layer of outputs × inputs.
pub fn equal_lora_rank(rank: usize, shape: (usize, usize)) -> f64 {
    let numbers = products(rank, shape) * (rank + shape.0.min(shape.1));
    numbers as f64 / (shape.0 + shape.1) as f64
}

/// One layer's adapter.
#[derive(Clone, Debug)]
struct Layer {
    /// rank × products, in one row.
    lambda: ParameterId,
    /// products × the short side, in one row.
    gamma: ParameterId,
    scaled: Arc<ScaledA>,
    form: &'static str,
    dropout: f32,
    place: usize,
    shared: Arc<Shared>,
}

impl Layer {
    /// Whether making the change of the weight once is less work than applying its factors to all tokens: with D and d the
    /// long and the short side, tokens · (D + d) · d multiplications against tokens · D · d + D · d².
    fn is_materialized(&self, tokens: usize) -> bool {
        match self.form {
            "factored" => false,
            "materialized" => true,
            _ => tokens > self.scaled.long,
        }
    }
}

impl LinearAdapter for Layer {
    fn forward(&self, tape: &Tape, x: &Var, y: &Var) -> Var {
        let (lambda, gamma) = (tape.parameter(self.lambda), tape.parameter(self.gamma));
        let x = dropped(tape, x, self.dropout, (&self.shared, self.place), &lambda);
        let trained = [&lambda, &gamma];
        if self.is_materialized(x.rows) {
            let change: Arc<dyn Generator> = Arc::new(Change(self.scaled.clone()));
            return generated_linear(tape, &x, &change, &trained, Some(y));
        }
        let scaled: Arc<dyn Generator> = self.scaled.clone();
        let (shape, basis) = self.scaled.basis();
        let basis = tape.shared(shape, basis);
        match self.scaled.is_tall {
            true => {
                let inner = generated_linear(tape, &x, &scaled, &trained, None);
                tape.linear(&inner, &basis, None, Some(y))
            }
            false => {
                let inner = tape.linear(&x, &basis, None, None);
                generated_linear(tape, &inner, &scaled, &trained, Some(y))
            }
        }
    }

    fn weight_change(&self, parameters: &Parameters) -> Vec<f32> {
        let change = Change(self.scaled.clone());
        let (outputs, inputs) = change.shape();
        let mut weight = vec![0.0; outputs * inputs];
        let values = [&parameters[self.lambda].value[..], &parameters[self.gamma].value[..]];
        change.generate(&Compute::new(1), &values, &mut weight);
        weight
    }
}

#[derive(Debug)]
struct RandLora {
    layers: Vec<Layer>,
    check: String,
}

impl Method for RandLora {
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        self.layers.iter().map(|layer| Arc::new(layer.clone()) as Arc<dyn LinearAdapter>).collect()
    }

    fn basis_check(&self) -> Option<String> {
        Some(self.check.clone())
    }
}

fn attach(request: Request) -> Result<Parts, TrainError> {
    let Request { options, parameters, model, targets, seed, shared, .. } = request;
    let rank = options.count("rank");
    let sites: Vec<Site> = choose(model, targets)?.iter().map(|linear| Site::of(linear)).collect();
    let kind = match options.choice("bases") {
        "sparse" => Kind::Sparse,
        "very-sparse" => Kind::VerySparse,
        _ => Kind::Dense,
    };
    let shapes: Vec<(usize, usize)> = sites.iter().map(|site| (site.outputs, site.inputs)).collect();
    let mut bases = Bases::new(seed, kind, rank, &shapes);
    let mut layers = Vec::new();
    for (place, site) in sites.iter().enumerate() {
        let shape = (site.outputs, site.inputs);
        let (count, short) = (products(rank, shape), shape.0.min(shape.1));
        let scaled = Arc::new(ScaledA::new(&mut bases, shape, count, scale(&options, rank, count)));
        // One row each, as vectors have: weight decay, which vectors are free of, would shrink γ's tiny numbers.
        let mut add = |part: &str, count: usize, value: f32| {
            let name = free(parameters, format!("{}.{part}", site.name));
            parameters.add(name, (1, count), vec![value; count])
        };
        let lambda = add("randlora_lambda", rank * count, 0.0);
        let gamma = add("randlora_gamma", count * short, 1.0 / count.max(short) as f32);
        let (form, dropout) = (options.choice("form"), options.number("dropout") as f32);
        layers.push(Layer { lambda, gamma, scaled, form, dropout, place, shared: shared.clone() });
    }
    Ok(Parts { method: Box::new(RandLora { layers, check: bases.check() }), sites })
}

fn scale(options: &OptionValues, rank: usize, products: usize) -> f32 {
    let is_paper = options.choice("scale") == "paper";
    let alpha = match options.has("alpha") {
        true => options.number("alpha") as f32,
        false => rank as f32 * if is_paper { 2.0 } else { 20.0 },
    };
    let root = if is_paper { (products as f32).sqrt() } else { 1.0 };
    alpha / (rank as f32 * root)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_close};
    use super::super::{SvdSolver, open, parse, truncated_svd};
    use super::*;
    use crate::tape::Gradients;

    #[test]
    fn counts_are_those_of_the_paper_in_both_orientations() {
        let count = |rank: usize, shape: (usize, usize)| {
            parse(&format!("rand-lora(rank={rank})")).unwrap().trainable_count(&[shape])
        };
        assert_eq!(count(32, (4096, 4096)), 528_384);
        assert_eq!(count(20, (1024, 1024)), 54_288);
        for rank in [96, 16] {
            assert_eq!(count(rank, (384, 1536)), count(rank, (1536, 384)));
        }
        assert_eq!((count(96, (384, 384)), count(16, (384, 1536))), (1920, 9600));
        assert_eq!((count(32, (576, 576)), count(32, (192, 576))), (10_944, 1344));
        assert!((equal_lora_rank(32, (4096, 4096)) - 64.5).abs() < 1e-9);
        assert!((equal_lora_rank(96, (384, 384)) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn it_begins_as_the_base_model_with_a_gradient_for_lambda_alone() {
        let before = Toy::bert().outputs();
        for form in ["factored", "materialized"] {
            let mut toy = Toy::bert();
            let attached = toy.attach(&format!("rand-lora(rank=3, form={form})"), "all");
            assert_eq!(toy.outputs(), before);
            let mut gradients = Gradients::default();
            toy.loss_gradients(&mut gradients);
            for pair in attached.parameters().chunks(2) {
                assert!(gradients.get(pair[0]).unwrap().iter().any(|g| *g != 0.0));
                assert!(gradients.get(pair[1]).unwrap().iter().all(|g| *g == 0.0));
            }
        }
    }

    #[test]
    fn both_forms_and_merged_weights_give_the_same_outputs() {
        for bases in ["dense", "sparse", "very-sparse"] {
            let run = |form: &str| {
                let mut toy = Toy::bert();
                let attached =
                    toy.attach(&format!("rand-lora(rank=3, scale=paper, bases={bases}, form={form})"), "all");
                toy.shake(&attached, 0.2);
                (toy, attached)
            };
            let (mut toy, mut attached) = run("factored");
            let factored = toy.outputs();
            assert_close(&run("materialized").0.outputs(), &factored, 1e-4);
            attached.merge(&mut toy.parameters).unwrap();
            assert_close(&toy.outputs(), &factored, 1e-4);
            attached.unmerge(&mut toy.parameters);
            assert_eq!(toy.outputs(), factored);
        }
    }

    #[test]
    fn gradients_are_differences_in_both_forms_and_orientations() {
        for form in ["factored", "materialized"] {
            let mut toy = Toy::bert();
            let text = format!("rand-lora(rank=3, scale=paper, form={form})");
            let attached = toy.attach(&text, "query,intermediate.dense,output.dense");
            toy.shake(&attached, 0.1);
            toy.assert_gradients(attached.parameters());
        }
    }

    #[test]
    fn the_update_has_full_rank_and_loras_has_not() {
        let rank_of = |text: &str| {
            let mut toy = Toy::bert();
            let attached = toy.attach(text, "intermediate.dense");
            toy.shake(&attached, 0.5);
            let adapter = attached.method.linear_adapters().remove(0);
            let change = adapter.weight_change(&toy.parameters);
            let svd = truncated_svd(&change, (12, 8), 8, SvdSolver::Exact);
            svd.singular.iter().filter(|value| **value > 1e-5 * svd.singular[0]).count()
        };
        assert_eq!((rank_of("rand-lora(rank=3)"), rank_of("lora(rank=3)")), (8, 3));
    }

    #[test]
    fn its_file_is_small_and_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adapter.safetensors");
        let mut toy = Toy::llama();
        let attached = toy.attach("rand-lora(rank=3, bases=sparse)", "all");
        toy.shake(&attached, 0.1);
        attached.save(&toy.parameters, &path, &[]).unwrap();
        let mut other = Toy::llama();
        open(&path, &mut other.parameters, &mut other.llama).unwrap();
        assert_eq!(other.outputs(), toy.outputs());
    }
}
