//! SoRA: LoRA with a gate on each component, which a proximal step drives to exactly zero.

use super::attached::Method;
use super::lora::{self, DROPOUT, LowRank, free, matrices};
use super::peft::LoraWeights;
use super::{AdapterSpec, OptionKind, OptionSpec, OptionValues, Parts, Request};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::LinearAdapter;
use crate::random::Stream;
use crate::tape::{Gradients, ParameterId, Parameters, Tape, Var};
use std::sync::Arc;

/// y = W x + s · B (g ⊙ A x); after each step g ← T_ξ(g) (Section 3.2, Equations 5 to 8).
pub(super) static SPEC: AdapterSpec = AdapterSpec {
    name: "sora",
    aliases: &[],
    summary: "LoRA that finds the rank of each layer: a gate on each component, driven to zero by a threshold in each step.",
    paper: "Ding et al., Sparse low-rank adaptation of pre-trained language models, EMNLP 2023",
    options: &[
        OptionSpec { help: "the greatest rank, with which each layer begins", ..lora::RANK },
        lora::ALPHA,
        OptionSpec {
            name: "xi",
            kind: OptionKind::Rising,
            default: Some("0.0003"),
            help: "the threshold; several that rise, one for each phase, give models from dense to sparse",
        },
        OptionSpec {
            name: "threshold",
            kind: OptionKind::Choice(&["constant", "rate"]),
            default: Some("constant"),
            help: "xi itself, or xi times the learning rate of the step, which keeps gates alive while the rate falls",
        },
        OptionSpec {
            name: "proximal",
            kind: OptionKind::Choice(&["soft", "sequential"]),
            default: Some("soft"),
            help: "the paper's soft threshold, or that of the authors' code, which zeroes all gates below twice xi",
        },
        OptionSpec {
            name: "l1",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("0"),
            help: "what the mean of the gates' absolute values is multiplied with in the loss",
        },
        DROPOUT,
    ],
    formula: "rank · (i + o + 1)",
    count: |options, layers| lora::count(options, layers) + layers.len() * options.count("rank"),
    needs_importance: false,
    attach,
};

/// T_ξ: towards zero by xi, and zero where that would change the sign.
pub fn soft_threshold(gate: f32, xi: f32) -> f32 {
    if gate > xi {
        gate - xi
    } else if gate < -xi {
        gate + xi
    } else {
        0.0
    }
}

/// The threshold of the authors' code: first towards zero by xi, then everything below xi to zero.
pub fn sequential_threshold(gate: f32, xi: f32) -> f32 {
    let nearer = if gate > xi {
        gate - xi
    } else if gate < -xi {
        gate + xi
    } else {
        gate
    };
    if nearer.abs() < xi { 0.0 } else { nearer }
}

/// One layer's matrices and gates.
#[derive(Clone, Debug)]
struct Gated {
    low_rank: LowRank,
    /// 1 × rank.
    gate: ParameterId,
}

impl LinearAdapter for Gated {
    fn forward(&self, tape: &Tape, x: &Var, y: &Var) -> Var {
        let inner = tape.scale_columns(&self.low_rank.inner(tape, x), &tape.parameter(self.gate));
        tape.linear(&inner, &tape.parameter(self.low_rank.b), None, Some(y))
    }

    fn weight_change(&self, parameters: &Parameters) -> Vec<f32> {
        self.low_rank.product(parameters, Some(&parameters[self.gate].value))
    }
}

#[derive(Debug)]
struct Sora {
    layers: Vec<Gated>,
    scale: f32,
    thresholds: Vec<f32>,
    phase: usize,
    options: OptionValues,
}

impl Sora {
    fn gates<'p>(&self, parameters: &'p Parameters) -> impl Iterator<Item = &'p [f32]> {
        self.layers.iter().map(|layer| &parameters[layer.gate].value[..])
    }
}

impl Method for Sora {
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        self.layers.iter().map(|layer| Arc::new(layer.clone()) as Arc<dyn LinearAdapter>).collect()
    }

    /// Adds the slope of l1 · Σ|g| / gates.
    fn before_step(&self, parameters: &Parameters, gradients: &mut Gradients) {
        let l1 = self.options.number("l1") as f32;
        if l1 == 0.0 {
            return;
        }
        let count: usize = self.gates(parameters).map(<[f32]>::len).sum();
        for layer in &self.layers {
            let gate = &parameters[layer.gate].value;
            if let Some(gradient) = gradients.get_mut(layer.gate) {
                for (gradient, gate) in gradient.iter_mut().zip(gate.iter()) {
                    let sign = if *gate == 0.0 { 0.0 } else { gate.signum() };
                    *gradient += l1 * sign / count as f32;
                }
            }
        }
    }

    fn after_step(&mut self, parameters: &mut Parameters, rate: f32) {
        let xi = self.thresholds[self.phase];
        let xi = if self.options.choice("threshold") == "rate" { xi * rate } else { xi };
        let proximal = match self.options.choice("proximal") {
            "sequential" => sequential_threshold,
            _ => soft_threshold,
        };
        // Without a threshold nothing becomes zero.
        if xi > 0.0 {
            for layer in &self.layers {
                let gates = parameters[layer.gate].values_mut();
                gates.iter_mut().for_each(|gate| *gate = proximal(*gate, xi));
            }
        }
    }

    /// Weights and gates go on from where they are.
    fn next_phase(&mut self, _parameters: &mut Parameters) -> bool {
        let more = self.phase + 1 < self.thresholds.len();
        self.phase += usize::from(more);
        more
    }

    /// Numbers of the matrices that are left: of each component with a gate a row of A and a column of B.
    fn member(&self, parameters: &Parameters) -> Option<(String, usize)> {
        if self.thresholds.len() < 2 {
            return None;
        }
        let left = self.lora(parameters)?.layers.iter().map(|layer| layer.a.len() + layer.b.len()).sum();
        Some((format!("xi = {}", self.thresholds[self.phase]), left))
    }

    fn state(&self) -> Vec<u8> {
        (self.phase as u64).to_le_bytes().to_vec()
    }

    fn set_state(&mut self, state: &[u8]) -> bool {
        let phase = state.try_into().map(u64::from_le_bytes).ok();
        let phase = phase.map(|phase| phase as usize).filter(|phase| *phase < self.thresholds.len());
        self.phase = phase.unwrap_or(self.phase);
        phase.is_some()
    }

    /// Components with a gate other than zero, the gates multiplied into B, with the scale of the greatest rank.
    fn lora(&self, parameters: &Parameters) -> Option<LoraWeights> {
        let layers = self.layers.iter().zip(self.gates(parameters)).map(|(layer, gate)| {
            let mut whole = layer.low_rank.layer(parameters);
            for row in whole.b.chunks_mut(gate.len()) {
                row.iter_mut().zip(gate).for_each(|(b, gate)| *b *= gate);
            }
            let kept: Vec<bool> = gate.iter().map(|gate| *gate != 0.0).collect();
            whole.only(&kept)
        });
        Some(LoraWeights { layers: layers.collect(), scale: self.scale })
    }

    fn ranks(&self, parameters: &Parameters) -> Vec<usize> {
        self.gates(parameters).map(|gate| gate.iter().filter(|gate| **gate != 0.0).count()).collect()
    }

    fn prune(&mut self, parameters: &mut Parameters) -> Option<Vec<Arc<dyn LinearAdapter>>> {
        let lora = self.lora(parameters)?;
        let mut adapters: Vec<Arc<dyn LinearAdapter>> = Vec::new();
        for (layer, pruned) in self.layers.iter().zip(lora.layers) {
            let (a, b) = (layer.low_rank.a, layer.low_rank.b);
            let stem = |id: ParameterId| parameters[id].name.clone();
            let names = [stem(a), stem(b)].map(|name| free(parameters, format!("{name}.pruned")));
            let [a_name, b_name] = names;
            let a = parameters.add(a_name, (pruned.rank, pruned.inputs), pruned.a);
            let b = parameters.add(b_name, (pruned.outputs, pruned.rank), pruned.b);
            [a, b].into_iter().for_each(|id| parameters[id].trainable = false);
            adapters.push(Arc::new(LowRank { a, b, ..layer.low_rank.clone() }));
        }
        Some(adapters)
    }
}

fn attach(mut request: Request) -> Result<Parts, TrainError> {
    let rank = request.options.count("rank");
    let (alpha, dropout) = (request.options.number("alpha") as f32, request.options.number("dropout") as f32);
    let scale = alpha / rank as f32;
    let (sites, matrices) = matrices(&mut request, rank, (scale, dropout))?;
    let mut layers = Vec::new();
    for (low_rank, site) in matrices.into_iter().zip(&sites) {
        let stream = Stream::new(request.seed, 1 << 32 | low_rank.place as u64);
        let drawn = (0..rank as u64).map(|at| stream.normal(at)).collect();
        let name = free(request.parameters, format!("{}.sora_gate", site.name));
        let gate = request.parameters.add(name, (1, rank), drawn);
        layers.push(Gated { low_rank, gate });
    }
    let options = request.options;
    let thresholds = options.rising("xi").to_vec();
    Ok(Parts { method: Box::new(Sora { layers, scale, thresholds, phase: 0, options }), sites })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_close};
    use super::super::{Attached, LoraWeights, PeftRanks, parse};
    use super::*;
    use crate::optimizer::AdamW;
    use crate::tape::Compute;

    #[test]
    fn thresholds_are_those_of_the_paper_and_of_the_code() {
        let xi = 0.5f32;
        let gates = [-3.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0].map(|by| by * xi);
        assert_eq!(
            gates.map(|gate| soft_threshold(gate, xi)),
            [-2.0, -0.5, 0.0, 0.0, 0.0, 0.5, 2.0].map(|by| by * xi)
        );
        let sequential = [-2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0].map(|by| by * xi);
        assert_eq!(gates.map(|gate| sequential_threshold(gate, xi)), sequential);
    }

    fn gate_of(attached: &Attached, toy: &Toy, at: usize) -> ParameterId {
        toy.parameters.find(&format!("{}.sora_gate", attached.sites()[at].name)).unwrap()
    }

    #[test]
    fn with_gates_of_one_it_is_lora_bit_for_bit() {
        let train = |text: &str| {
            let mut toy = Toy::bert();
            let mut attached = toy.attach(text, "all");
            for at in 0..attached.sites().len() {
                let name = format!("{}.sora_gate", attached.sites()[at].name);
                if let Some(gate) = toy.parameters.find(&name) {
                    toy.parameters[gate].values_mut().fill(1.0);
                    toy.parameters[gate].trainable = false;
                }
            }
            let mut optimizer = AdamW::default();
            for _ in 0..3 {
                let mut gradients = Gradients::default();
                toy.loss_gradients(&mut gradients);
                attached.before_step(&toy.parameters, &mut gradients);
                optimizer.step(&Compute::new(1), &mut toy.parameters, &gradients, |_| 0.01);
                attached.after_step(&mut toy.parameters, 0.01);
            }
            toy.outputs()
        };
        assert_eq!(train("sora(rank=3, xi=0)"), train("lora(rank=3)"));
    }

    #[test]
    fn numbers_begin_as_the_base_model_and_match_the_formula() {
        let mut toy = Toy::bert();
        let before = toy.outputs();
        let attached = toy.attach("sora(rank=3)", "all");
        assert_eq!(toy.outputs(), before);
        let shapes: Vec<_> = attached.sites().iter().map(|site| (site.outputs, site.inputs)).collect();
        let expected = parse("sora(rank=3)").unwrap().trainable_count(&shapes);
        assert_eq!(attached.trainable_count(&toy.parameters), expected);
    }

    #[test]
    fn pruned_and_merged_outputs_are_those_with_dead_gates() {
        let mut toy = Toy::llama();
        let mut attached = toy.attach("sora(rank=3, alpha=3)", "q_proj,down_proj");
        toy.shake(&attached, 0.1);
        for at in 0..attached.sites().len() {
            let gate = gate_of(&attached, &toy, at);
            // Layers keep two components, or one.
            toy.parameters[gate].values_mut()[..1 + at % 2].fill(0.0);
        }
        let whole = toy.outputs();
        let ranks: Vec<usize> = attached.ranks(&toy.parameters).into_iter().map(|(_, rank)| rank).collect();
        assert_eq!(ranks, [2, 1, 2, 1]);
        let folder = tempfile::tempdir().unwrap();
        for ranks in [PeftRanks::Own, PeftRanks::Padded] {
            attached.save_peft(&toy.parameters, folder.path(), "toy", ranks).unwrap();
            let mut other = Toy::llama();
            let lora = LoraWeights::open(folder.path()).unwrap();
            lora.put_into(&mut other.parameters, &mut other.llama).unwrap();
            assert_close(&other.outputs(), &whole, 1e-5);
        }
        let opened = plackett_lm::Adapter::open(folder.path()).unwrap();
        assert_eq!(opened.modules().count(), 4);
        attached.merge(&mut toy.parameters).unwrap();
        assert_close(&toy.outputs(), &whole, 1e-4);
        attached.unmerge(&mut toy.parameters);
        assert!(attached.prune(&mut toy.parameters, &mut toy.llama));
        assert_close(&toy.outputs(), &whole, 1e-6);
    }

    #[test]
    fn a_dead_component_has_a_gradient_at_its_gate_alone() {
        let mut toy = Toy::bert();
        let attached = toy.attach("sora(rank=3)", "query");
        toy.shake(&attached, 0.3);
        let gate = gate_of(&attached, &toy, 0);
        toy.parameters[gate].values_mut()[1] = 0.0;
        let mut gradients = Gradients::default();
        toy.loss_gradients(&mut gradients);
        let name = &attached.sites()[0].name;
        let of = |part: &str| toy.parameters.find(&format!("{name}.{part}.weight")).unwrap();
        let (a, b) = (gradients.get(of("lora_A")).unwrap(), gradients.get(of("lora_B")).unwrap());
        assert!(a[8..16].iter().all(|g| *g == 0.0) && a[..8].iter().any(|g| *g != 0.0));
        assert!(b.chunks(3).all(|row| row[1] == 0.0) && b.chunks(3).any(|row| row[0] != 0.0));
        assert_ne!(gradients.get(gate).unwrap()[1], 0.0);
        toy.assert_gradients(attached.parameters());
    }

    #[test]
    fn thresholds_rise_by_phases_and_the_penalty_is_its_slope() {
        let mut toy = Toy::bert();
        let mut attached = toy.attach("sora(rank=4, xi=0/0.1/0.4, l1=8)", "all");
        let kept = |attached: &Attached, toy: &Toy| -> usize {
            attached.ranks(&toy.parameters).iter().map(|(_, rank)| rank).sum()
        };
        let mut sizes = Vec::new();
        loop {
            attached.after_step(&mut toy.parameters, 0.1);
            sizes.push(kept(&attached, &toy));
            if !attached.next_phase(&mut toy.parameters) {
                break;
            }
            // A checkpoint between phases changes nothing.
            let state = attached.state();
            attached.set_state(&state).unwrap();
        }
        assert_eq!(sizes.len(), 3);
        assert_eq!(sizes[0], 48, "without a threshold no gate is zero");
        assert!(sizes[1] < 48 && sizes[2] < sizes[1], "{sizes:?}");
        let gate = gate_of(&attached, &toy, 0);
        toy.parameters[gate].values_mut().copy_from_slice(&[1.0, -2.0, 0.0, 3.0]);
        let mut gradients = Gradients::default();
        gradients.insert(gate, vec![0.0; 4]);
        attached.before_step(&toy.parameters, &mut gradients);
        let slope = 8.0 / 48.0;
        assert_eq!(gradients.get(gate).unwrap(), [slope, -slope, 0.0, slope]);
        // Times the rate of the step.
        let mut toy = Toy::bert();
        let mut attached = toy.attach("sora(rank=4, xi=0.4, threshold=rate)", "query");
        let gate = gate_of(&attached, &toy, 0);
        toy.parameters[gate].values_mut().copy_from_slice(&[1.0, 0.03, -0.05, -1.0]);
        attached.after_step(&mut toy.parameters, 0.1);
        assert_close(&toy.parameters[gate].value, &[0.96, 0.0, -0.01, -0.96], 1e-6);
    }
}
