//! FILA: LoRA that begins with those weights that matter for what is to be forgotten and not for what is to be kept.

use super::attached::Method;
use super::lora::{self, DROPOUT, LowRank, free, matrices};
use super::peft::{LoraLayer, LoraWeights};
use super::site::check_whole;
use super::{
    AdapterSpec, OptionKind, OptionSpec, OptionValues, Parts, Request, Site, SvdSolver, truncated_svd,
};
use crate::TrainError;
use crate::nn::LinearAdapter;
use crate::tape::{Buffer, Gradients, ParameterId, Parameters};
use std::collections::HashMap;
use std::sync::Arc;

/// min ‖diag(w) (W − s B A)‖ over rank r, with row weights w from the relative importance; W − s B A stays frozen (Section 3.3).
pub(super) static SPEC: AdapterSpec = AdapterSpec {
    name: "fila",
    aliases: &["loku"],
    summary: "LoRA for unlearning: begins from the weights that matter most for the texts to be forgotten, taken out of the frozen ones.",
    paper: "Cha et al., Towards robust and parameter-efficient knowledge unlearning for LLMs, ICLR 2025",
    options: &[
        lora::RANK,
        OptionSpec {
            name: "alpha",
            kind: OptionKind::Number(1e-6, f64::MAX),
            default: None,
            help: "what the product is multiplied with, over the rank; twice the rank by itself",
        },
        OptionSpec {
            name: "epsilon",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("0.00001"),
            help: "added to the importance for the texts to be kept, and to the weights of rows, before something is divided by them",
        },
        OptionSpec {
            name: "relative",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "whether epsilon is a share of the layer's mean instead of a number",
        },
        DROPOUT,
    ],
    formula: "rank · (i + o)",
    count: lora::count,
    needs_importance: true,
    attach,
};

/// For which texts something is important.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// Those to be forgotten.
    Forget,
    /// Those to be kept.
    Retain,
}

/// How important each number of some weights is for the texts to be forgotten and for those to be kept: means over tokens of
/// squared gradients of the negative log-likelihood (Section 3.3, Equation 5).
#[derive(Clone, Debug, Default)]
pub struct Importance {
    sums: HashMap<ParameterId, [Vec<f64>; 2]>,
    tokens: [f64; 2],
}

impl Importance {
    /// Adds the squares of a batch's mean gradients, times its number of tokens. No step is taken meanwhile.
    pub fn add(&mut self, texts: Texts, gradients: &Gradients, weights: &[ParameterId], tokens: usize) {
        self.tokens[texts as usize] += tokens as f64;
        for id in weights {
            let Some(gradient) = gradients.get(*id) else { continue };
            let length = gradient.len();
            let sums = self.sums.entry(*id).or_insert_with(|| [vec![0.0; length], vec![0.0; length]]);
            for (sum, gradient) in sums[texts as usize].iter_mut().zip(gradient) {
                *sum += f64::from(*gradient).powi(2) * tokens as f64;
            }
        }
    }

    /// The importance for forgetting over epsilon and that for keeping, number by number; `None` for a weight without
    /// gradients. With `relative`, epsilon is a share of the weight's mean importance for keeping.
    pub fn ratio(&self, weight: ParameterId, epsilon: f64, relative: bool) -> Option<Vec<f64>> {
        let [forget, retain] = self.sums.get(&weight)?;
        let [of_forget, of_retain] = self.tokens.map(|tokens| tokens.max(1.0));
        let mean = retain.iter().sum::<f64>() / of_retain / retain.len().max(1) as f64;
        let added = if relative { epsilon * mean } else { epsilon };
        let one = |(forget, retain): (&f64, &f64)| (forget / of_forget) / (added + retain / of_retain);
        Some(forget.iter().zip(retain).map(one).collect())
    }

    /// The weight of each row, the root of the sum of its relative importance over `columns` numbers: what the rows of a
    /// weight count in FILA's low-rank problem.
    pub fn row_weights(
        &self,
        weight: ParameterId,
        columns: usize,
        epsilon: f64,
        relative: bool,
    ) -> Option<Vec<f64>> {
        let ratio = self.ratio(weight, epsilon, relative)?;
        Some(ratio.chunks(columns.max(1)).map(|row| row.iter().sum::<f64>().sqrt()).collect())
    }

    /// The share of a weight's numbers whose importance for keeping is below epsilon: where it is, an absolute epsilon
    /// decides and what is to be kept does not.
    pub fn share_below(&self, weight: ParameterId, epsilon: f64) -> Option<f64> {
        let [_, retain] = self.sums.get(&weight)?;
        let tokens = self.tokens[Texts::Retain as usize].max(1.0);
        let below = retain.iter().filter(|sum| **sum / tokens < epsilon).count();
        Some(below as f64 / retain.len().max(1) as f64)
    }

    /// The same with the texts to be forgotten and those to be kept in each other's place.
    pub fn swapped(&self) -> Importance {
        let sums = self.sums.iter().map(|(id, [forget, retain])| (*id, [retain.clone(), forget.clone()]));
        Importance { sums: sums.collect(), tokens: [self.tokens[1], self.tokens[0]] }
    }
}

/// A, rank × inputs, and B, outputs × rank, with s · B A the best of that rank for a weight whose rows count by `rows`; the
/// exact solution is row-weighted truncated SVD.
pub fn weighted_low_rank(
    weight: &[f32],
    shape: (usize, usize),
    rows: &[f64],
    (rank, scale, epsilon): (usize, f64, f64),
    solver: SvdSolver,
) -> (Vec<f32>, Vec<f32>) {
    let (outputs, inputs) = shape;
    let mut weighted = weight.to_vec();
    for (row, by) in weighted.chunks_mut(inputs.max(1)).zip(rows) {
        row.iter_mut().for_each(|x| *x = (f64::from(*x) * by) as f32);
    }
    let svd = truncated_svd(&weighted, shape, rank, solver);
    let roots: Vec<f64> = svd.singular.iter().map(|value| (value / scale).sqrt()).collect();
    let (mut a, mut b) = (vec![0.0; rank * inputs], vec![0.0; outputs * rank]);
    for k in 0..svd.rank {
        for column in 0..inputs {
            a[k * inputs + column] = (roots[k] * svd.v[k * inputs + column]) as f32;
        }
        for row in 0..outputs {
            b[row * rank + k] = (svd.u[row * svd.rank + k] * roots[k] / (rows[row] + epsilon)) as f32;
        }
    }
    (a, b)
}

/// One layer: what is trained, and what was taken out of its weight.
#[derive(Clone, Debug)]
struct Layer {
    now: LowRank,
    start: LowRank,
    weight: ParameterId,
    shape: (usize, usize),
    name: String,
}

#[derive(Debug)]
struct Fila {
    layers: Vec<Layer>,
    scale: f32,
    seed: u64,
    options: OptionValues,
    /// The weights before anything was taken out of them.
    originals: HashMap<ParameterId, Arc<Buffer>>,
}

impl Fila {
    /// Takes s · B₀ A₀ out of the weights as they were.
    fn take_out(&mut self, parameters: &mut Parameters) {
        for layer in &self.layers {
            let change = layer.start.product(parameters, None);
            let weight = &mut parameters[layer.weight];
            let original = self.originals.entry(layer.weight).or_insert_with(|| weight.value.clone());
            weight.value = original.clone();
            weight.values_mut().iter_mut().zip(change).for_each(|(weight, change)| *weight -= change);
        }
    }

    fn begin(
        &self,
        layer: &Layer,
        parameters: &Parameters,
        importance: &Importance,
    ) -> Result<(Vec<f32>, Vec<f32>), TrainError> {
        let (epsilon, relative) =
            (f64::from(self.options.number("epsilon") as f32), self.options.switch("relative"));
        let rows =
            importance.row_weights(layer.weight, layer.shape.1, epsilon, relative).ok_or_else(|| {
                TrainError::Setting(format!(
                    "the importance of `{}` is not known: its gradients have to be added to it",
                    layer.name
                ))
            })?;
        if let Some(at) = rows.iter().position(|row| !row.is_finite()) {
            let problem = format!(
                "the importance of row {at} of `{}` is {}; give a greater epsilon",
                layer.name, rows[at]
            );
            return Err(TrainError::Setting(problem));
        }
        let mean = rows.iter().sum::<f64>() / rows.len().max(1) as f64;
        let epsilon = if relative { epsilon * mean } else { epsilon };
        // A layer that no text needs: plain SVD instead of a division by nothing.
        let rows = if mean > 0.0 { rows } else { vec![1.0; rows.len()] };
        let value = &self.originals.get(&layer.weight).unwrap_or(&parameters[layer.weight].value)[..];
        let sizes = (self.options.count("rank"), f64::from(self.scale), epsilon);
        Ok(weighted_low_rank(value, layer.shape, &rows, sizes, SvdSolver::suited(layer.shape, self.seed)))
    }
}

impl Method for Fila {
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        self.layers.iter().map(|layer| Arc::new(layer.now.clone()) as Arc<dyn LinearAdapter>).collect()
    }

    fn ranks(&self, _parameters: &Parameters) -> Vec<usize> {
        vec![self.options.count("rank"); self.layers.len()]
    }

    /// For the weights as they were: A over A₀, and B beside −B₀, of twice the rank.
    fn lora(&self, parameters: &Parameters) -> Option<LoraWeights> {
        let layers = self.layers.iter().map(|layer| {
            let (now, start) = (layer.now.layer(parameters), layer.start.layer(parameters));
            let rows = now.b.chunks(now.rank).zip(start.b.chunks(start.rank));
            let b =
                rows.flat_map(|(now, start)| now.iter().copied().chain(start.iter().map(|x| -x))).collect();
            let (rank, a) = (now.rank + start.rank, [now.a, start.a].concat());
            LoraLayer { name: now.name, outputs: now.outputs, inputs: now.inputs, rank, a, b }
        });
        Some(LoraWeights { layers: layers.collect(), scale: self.scale })
    }

    fn loaded(&mut self, parameters: &mut Parameters) {
        self.take_out(parameters);
    }

    fn rebase(
        &mut self,
        parameters: &mut Parameters,
        importance: &Importance,
    ) -> Option<Result<(), TrainError>> {
        let mut begun = Vec::new();
        for layer in &self.layers {
            match self.begin(layer, parameters, importance) {
                Ok(matrices) => begun.push(matrices),
                Err(error) => return Some(Err(error)),
            }
        }
        for (layer, (a, b)) in self.layers.iter().zip(begun) {
            for low_rank in [&layer.now, &layer.start] {
                parameters[low_rank.a].values_mut().copy_from_slice(&a);
                parameters[low_rank.b].values_mut().copy_from_slice(&b);
            }
        }
        self.take_out(parameters);
        Some(Ok(()))
    }
}

fn attach(mut request: Request) -> Result<Parts, TrainError> {
    let rank = request.options.count("rank");
    let alpha =
        if request.options.has("alpha") { request.options.number("alpha") as f32 } else { 2.0 * rank as f32 };
    let scale = alpha / rank as f32;
    let dropout = request.options.number("dropout") as f32;
    let (sites, matrices) = matrices(&mut request, rank, (scale, dropout))?;
    let Request { parameters, seed, options, .. } = request;
    check_whole(&sites, parameters, &options)?;
    let layers =
        matrices.into_iter().zip(&sites).map(|(now, site)| start(parameters, now, site, rank)).collect();
    Ok(Parts { method: Box::new(Fila { layers, scale, seed, options, originals: HashMap::new() }), sites })
}

/// A layer before anything is taken out of its weight.
fn start(parameters: &mut Parameters, now: LowRank, site: &Site, rank: usize) -> Layer {
    let mut zeros = |part: &str, shape: (usize, usize)| {
        let name = free(parameters, format!("{}.{part}.weight", site.name));
        let id = parameters.add(name, shape, vec![0.0; shape.0 * shape.1]);
        parameters[id].trainable = false;
        id
    };
    let a = zeros("fila_A", (rank, site.inputs));
    let b = zeros("fila_B", (site.outputs, rank));
    let start = LowRank { a, b, ..now.clone() };
    Layer { now, start, weight: site.weight, shape: (site.outputs, site.inputs), name: site.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_close};
    use super::super::{LoraWeights, PeftRanks, open};
    use super::*;
    use crate::random::Stream;

    /// Squared gradients of either side, the same for every row where `constant`.
    fn importance(toy: &Toy, weights: &[ParameterId], constant: bool) -> Importance {
        let mut importance = Importance::default();
        for (texts, stream) in [(Texts::Forget, 1), (Texts::Retain, 2)] {
            let mut gradients = Gradients::default();
            for id in weights {
                let length = toy.parameters[*id].value.len();
                let stream = Stream::new(4, stream);
                let drawn = |at: usize| if constant { 1.0 } else { stream.normal(at as u64) };
                gradients.insert(*id, (0..length).map(drawn).collect());
            }
            importance.add(texts, &gradients, weights, 10);
        }
        importance
    }

    fn rebased(constant: bool) -> (Toy, super::super::Attached) {
        let mut toy = Toy::llama();
        let mut attached = toy.attach("fila(rank=2)", "q_proj,down_proj");
        let weights: Vec<_> = attached.sites().iter().map(|site| site.weight).collect();
        let importance = importance(&toy, &weights, constant);
        attached.rebase(&mut toy.parameters, &importance).unwrap();
        (toy, attached)
    }

    #[test]
    fn the_model_computes_the_same_after_its_weights_moved() {
        let before = Toy::llama();
        let (toy, attached) = rebased(false);
        assert_close(&toy.outputs(), &before.outputs(), 1e-4);
        let site = &attached.sites()[0];
        assert_ne!(toy.parameters[site.weight].value[..], before.parameters[site.weight].value[..]);
        let shapes: Vec<_> = attached.sites().iter().map(|site| (site.outputs, site.inputs)).collect();
        assert_eq!(attached.trainable_count(&toy.parameters), attached.configured.trainable_count(&shapes));
        let mut other = Toy::llama();
        let mut lora = other.attach("lora", "q_proj");
        assert!(lora.rebase(&mut other.parameters, &Importance::default()).is_err());
        let mut other = Toy::llama();
        let mut fila = other.attach("fila", "q_proj");
        let error = fila.rebase(&mut other.parameters, &Importance::default()).unwrap_err();
        assert!(error.to_string().contains("importance of `model.layers.0.self_attn.q_proj`"), "{error}");
    }

    #[test]
    fn what_is_left_is_the_tail_of_the_weighted_singular_values() {
        let stream = Stream::new(6, 1);
        let weight: Vec<f32> = (0..10 * 7).map(|at| stream.normal(at)).collect();
        let rows: Vec<f64> = (0..10).map(|at| 0.5 + at as f64).collect();
        let residual = |(a, b): &(Vec<f32>, Vec<f32>)| {
            let mut total = 0.0;
            for (at, x) in weight.iter().enumerate() {
                let (row, column) = (at / 7, at % 7);
                let low: f64 = (0..3).map(|k| f64::from(b[row * 3 + k]) * f64::from(a[k * 7 + column])).sum();
                total += (rows[row] * (f64::from(*x) - 2.0 * low)).powi(2);
            }
            total.sqrt()
        };
        let own = weighted_low_rank(&weight, (10, 7), &rows, (3, 2.0, 0.0), SvdSolver::Exact);
        let weighted: Vec<f32> = weight.iter().enumerate().map(|(at, x)| x * rows[at / 7] as f32).collect();
        let all = truncated_svd(&weighted, (10, 7), 7, SvdSolver::Exact);
        let tail = all.singular[3..].iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!((residual(&own) - tail).abs() < 1e-4 * tail, "{} {tail}", residual(&own));
        let plain = weighted_low_rank(&weight, (10, 7), &[1.0; 10], (3, 2.0, 0.0), SvdSolver::Exact);
        assert!(residual(&own) < residual(&plain));
    }

    #[test]
    fn with_equal_importance_it_is_plain_svd() {
        let (toy, attached) = rebased(true);
        let base = Toy::llama();
        let site = &attached.sites()[0];
        let weight = &base.parameters[site.weight].value;
        let svd = truncated_svd(weight, (site.outputs, site.inputs), 2, SvdSolver::Exact);
        for (at, left) in toy.parameters[site.weight].value.iter().enumerate() {
            let (row, column) = (at / site.inputs, at % site.inputs);
            let low: f64 =
                (0..2).map(|k| svd.u[row * 2 + k] * svd.singular[k] * svd.v[k * site.inputs + column]).sum();
            assert!((f64::from(weight[at]) - low - f64::from(*left)).abs() < 1e-4);
        }
    }

    #[test]
    fn importance_is_formed_number_by_number_and_sides_are_not_alike() {
        let toy = Toy::llama();
        let id = toy.parameters.find("model.layers.0.self_attn.q_proj.weight").unwrap();
        let mut importance = Importance::default();
        let mut gradients = Gradients::default();
        let mut of = |first: f32, second: f32| {
            let mut gradient = vec![0.0; 64];
            (gradient[0], gradient[1]) = (first, second);
            gradients.insert(id, gradient);
            gradients.clone()
        };
        let (forget, more, retain) = (of(2.0, 1.0), of(0.0, 1.0), of(1.0, 2.0));
        importance.add(Texts::Forget, &forget, &[id], 1);
        importance.add(Texts::Forget, &more, &[id], 3);
        importance.add(Texts::Retain, &retain, &[id], 5);
        let ratio = importance.ratio(id, 1e-5, false).unwrap();
        // (4·1 + 0·3) / 4 over 1, and (1·1 + 1·3) / 4 over 4.
        assert!(
            (ratio[0] - 1.0).abs() < 1e-4 && (ratio[1] - 0.25).abs() < 1e-4 && ratio[2] == 0.0,
            "{ratio:?}"
        );
    }

    #[test]
    fn twice_the_rank_on_the_untouched_base_is_the_same_model() {
        let (mut toy, attached) = rebased(false);
        toy.shake(&attached, 0.2);
        let folder = tempfile::tempdir().unwrap();
        attached.save_peft(&toy.parameters, folder.path(), "toy", PeftRanks::Own).unwrap();
        let lora = LoraWeights::open(folder.path()).unwrap();
        assert_eq!(lora.layers[0].rank, 4);
        let mut other = Toy::llama();
        lora.put_into(&mut other.parameters, &mut other.llama).unwrap();
        assert_close(&other.outputs(), &toy.outputs(), 1e-4);
        let path = folder.path().join("own.safetensors");
        attached.save(&toy.parameters, &path, &[]).unwrap();
        let mut third = Toy::llama();
        open(&path, &mut third.parameters, &mut third.llama).unwrap();
        assert_eq!(third.outputs(), toy.outputs());
    }

    #[test]
    fn merged_weights_give_the_same_outputs() {
        let (mut toy, mut attached) = rebased(false);
        toy.shake(&attached, 0.2);
        let unmerged = toy.outputs();
        attached.merge(&mut toy.parameters).unwrap();
        assert_close(&toy.outputs(), &unmerged, 1e-4);
    }
}
