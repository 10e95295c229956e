//! What adapters learn on small problems whose answer is known: the orders that their papers rest on.

use super::testing::assert_close;
use super::{Attached, SvdSolver, Targets, parse, truncated_svd};
use crate::nn::{Initializer, Linear};
use crate::optimizer::AdamW;
use crate::tape::{Compute, Gradients, Parameters, Tape, Var};

/// One linear layer of zeros, for which an adapter learns the change of the weight.
struct Layer {
    parameters: Parameters,
    model: Vec<Linear>,
    attached: Attached,
    optimizer: AdamW,
    size: usize,
}

impl Layer {
    fn new(text: &str, size: usize) -> Layer {
        let mut parameters = Parameters::default();
        let weight = parameters.add("layer.weight", (size, size), vec![0.0; size * size]);
        let name = "layer".to_string();
        let linear =
            Linear { name, weight, down: None, bias: None, outputs: size, inputs: size, adapter: None };
        let mut model = vec![linear];
        let adapter = parse(text).unwrap();
        let attached = adapter.attach(&mut parameters, &mut model, &Targets::All, 3, |_| false).unwrap();
        Layer { parameters, model, attached, optimizer: AdamW::default(), size }
    }

    /// Half the mean square of what is wrong with the outputs.
    fn loss(&self, tape: &Tape, x: &[f32], target: &[f32]) -> Var {
        let rows = x.len() / self.size;
        let x = tape.constant((rows, self.size), x);
        let y = self.model[0].forward(tape, &x, None);
        let wrong = tape.minus(&y, &tape.constant((rows, self.size), target));
        tape.scale(&tape.sum(&tape.square(&wrong)), 0.5 / rows as f32)
    }

    fn step(&mut self, x: &[f32], target: &[f32], rate: f32) -> f32 {
        let compute = Compute::new(1);
        let mut gradients = Gradients::default();
        let tape = Tape::new(&self.parameters, &compute);
        let loss = self.loss(&tape, x, target);
        let value = loss.item();
        tape.backward(&loss, &mut gradients);
        self.attached.before_step(&self.parameters, &mut gradients);
        self.optimizer.step(&compute, &mut self.parameters, &gradients, |_| rate);
        self.attached.after_step(&mut self.parameters, rate);
        value
    }
}

/// weight (outputs × inputs, square) for each row of x.
fn apply(weight: &[f32], x: &[f32], size: usize) -> Vec<f32> {
    let dot = |row: &[f32], x: &[f32]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f32>();
    x.chunks(size).flat_map(|x| weight.chunks(size).map(move |row| dot(row, x))).collect()
}

/// U Vᵀ of a rank, with numbers of variance 1/size.
fn planted(size: usize, rank: usize) -> Vec<f32> {
    let mut source = Initializer::new(17);
    let deviation = 1.0 / (size as f32 * rank as f32).powf(0.25);
    let (u, v) = (source.normal(size * rank, deviation), source.normal(size * rank, deviation));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    u.chunks(rank).flat_map(|u| v.chunks(rank).map(move |v| dot(u, v))).collect()
}

const STEPS: usize = 500;

/// The mean loss of the last steps, and the components that are left.
fn learn(text: &str, target: &[f32], size: usize) -> (f32, usize) {
    let mut layer = Layer::new(text, size);
    let mut source = Initializer::new(5);
    let mut last = 0.0;
    for step in 0..STEPS {
        let x = source.normal(32 * size, 1.0);
        let rate = 0.03 * (1.0 - step as f32 / STEPS as f32);
        let loss = layer.step(&x, &apply(target, &x, size), rate);
        if step >= STEPS - 20 {
            last += loss / 20.0;
        }
    }
    (last, layer.attached.ranks(&layer.parameters).iter().map(|(_, rank)| rank).sum())
}

#[test]
fn sora_finds_a_planted_rank_and_a_threshold_too_high_loses_it() {
    let size = 32;
    let mut found = Vec::new();
    for rank in [3, 6] {
        let target = planted(size, rank);
        let (few, _) = learn("lora(rank=2, alpha=2)", &target, size);
        let (loss, kept) = learn("sora(rank=16, alpha=16, xi=0.9, threshold=rate)", &target, size);
        println!("rank {rank}: SoRA {loss} with {kept}, LoRA of 2 {few}");
        assert!((rank..=rank + 2).contains(&kept), "{kept} of {rank}");
        assert!(loss < 0.1 * few, "{loss} {few}");
        found.push(kept);
        let (high, left) = learn("sora(rank=16, alpha=16, xi=2, threshold=rate)", &target, size);
        println!("rank {rank}: threshold too high {high} with {left}");
        assert!(left < rank && high > 10.0 * loss, "{left} {high} {loss}");
    }
    assert!(found[0] < found[1]);
}

/// Share of ‖W‖² that RandLoRA explains after learning W itself.
fn explained(text: &str, target: &[f32], size: usize) -> f64 {
    let mut layer = Layer::new(text, size);
    let mut unit = vec![0.0; size * size];
    (0..size).for_each(|at| unit[at * size + at] = 1.0);
    let columns: Vec<f32> = (0..size * size).map(|at| target[at % size * size + at / size]).collect();
    for step in 0..400 {
        layer.step(&unit, &columns, 0.05 * (1.0 - step as f32 / 400.0));
    }
    let tape = Tape::inference(&layer.parameters, &Compute::new(1));
    let left = 2.0 * f64::from(layer.loss(&tape, &unit, &columns).item()) * size as f64;
    1.0 - left / target.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()
}

/// The same for the best matrix of a rank, which is LoRA's bound.
fn best(target: &[f32], size: usize, rank: usize) -> f64 {
    let all = truncated_svd(target, (size, size), size, SvdSolver::Exact).singular;
    all[..rank].iter().map(|x| x * x).sum::<f64>() / all.iter().map(|x| x * x).sum::<f64>()
}

#[test]
fn rand_lora_wins_on_flat_spectra_and_lora_on_low_ranks() {
    let size = 48;
    let gaussian = Initializer::new(2).normal(size * size, 1.0);
    let svd = truncated_svd(&gaussian, (size, size), size, SvdSolver::Exact);
    let entry = |row: usize, column: usize| -> f64 {
        (0..size).map(|k| svd.u[row * size + k] * svd.v[k * size + column]).sum()
    };
    let orthogonal: Vec<f32> = (0..size * size).map(|at| 6.9 * entry(at / size, at % size) as f32).collect();
    let low = planted(size, 2).iter().map(|x| 6.9 * x).collect::<Vec<f32>>();
    // 240 numbers: as LoRA of rank 2.5.
    let text = "rand-lora(rank=12, alpha=12)";
    let [flat, middle, narrow] = [&orthogonal, &gaussian, &low].map(|target| explained(text, target, size));
    println!("explained: orthogonal {flat}, Gaussian {middle}, rank 2 {narrow}");
    assert!(flat > 2.0 * best(&orthogonal, size, 3), "{flat}");
    assert!(middle > 0.8 * best(&gaussian, size, 2), "{middle}");
    assert!(narrow < 0.5 && best(&low, size, 2) > 0.999, "{narrow}");
}

#[test]
fn nola_needs_a_greater_learning_rate_than_lora() {
    let size = 24;
    let target = planted(size, 2);
    let loss = |text: &str, rate: f32| {
        let mut layer = Layer::new(text, size);
        let mut source = Initializer::new(5);
        let mut last = 0.0;
        for _ in 0..150 {
            let x = source.normal(16 * size, 1.0);
            last = layer.step(&x, &apply(&target, &x, size), rate);
        }
        last
    };
    let text = "nola(k=64, rank=4, alpha=8, cache=true)";
    let [low, high] = [1e-4, 5e-2].map(|rate| loss(text, rate));
    println!("NOLA: {low} at 1e-4, {high} at 5e-2");
    assert!(high < 0.7 * low, "{high} {low}");
    assert_close(&[loss(text, 5e-2)], &[high], 0.0);
}
