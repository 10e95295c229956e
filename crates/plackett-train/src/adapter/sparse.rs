//! LT-SFT: fine-tuning of the numbers that a first, dense training changes most; what was learned is a sparse vector.

mod difference;

pub use difference::SparseDifference;

use super::attached::Method;
use super::{AdapterSpec, OptionKind, OptionSpec, OptionValues, Parts, Request};
use crate::TrainError;
use crate::random::Stream;
use crate::tape::{Buffer, Gradients, ParameterId, Parameters};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Dense training, the K numbers that moved most, back to the start, and the same training of those alone.
pub(super) static SPEC: AdapterSpec = AdapterSpec {
    name: "lt-sft",
    aliases: &["sft", "sparse"],
    summary: "Trains, in a second phase, only those of the model's own weights that a first phase has changed most.",
    paper: "Ansell et al., Composable sparse fine-tuning for cross-lingual transfer, ACL 2022; for rerankers: Litschko et al., \
            Parameter-efficient neural reranking for cross-lingual and multilingual retrieval, COLING 2022",
    options: &[
        OptionSpec {
            name: "k",
            kind: OptionKind::Integer(1, i64::MAX),
            default: None,
            help: "numbers that are trained in the end; by itself `share` decides",
        },
        OptionSpec {
            name: "share",
            kind: OptionKind::Number(0.0, 1.0),
            default: Some("0.0441"),
            help: "share of the weights that is trained in the end, where k is not given",
        },
        OptionSpec {
            name: "l1",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("0"),
            help: "what the mean distance of the weights to their start is multiplied with in the loss",
        },
        OptionSpec {
            name: "norms",
            kind: OptionKind::Switch,
            default: Some("true"),
            help: "whether the weights of layer norms may be chosen too",
        },
        OptionSpec {
            name: "mask",
            kind: OptionKind::Choice(&["moved", "random"]),
            default: Some("moved"),
            help: "the weights that are trained in the end: those that moved most, or for comparison random ones of those that moved",
        },
        OptionSpec {
            name: "iterations",
            kind: OptionKind::Integer(1, 100),
            default: Some("1"),
            help: "how often both phases are gone through; each time an equal part of k is chosen anew",
        },
    ],
    formula: "k in all, of all weights that may be chosen",
    count: |options, layers| budget(options, layers.iter().map(|(outputs, inputs)| outputs * inputs).sum()),
    needs_importance: false,
    attach,
};

fn budget(options: &OptionValues, weights: usize) -> usize {
    match options.has("k") {
        true => options.count("k").min(weights),
        false => (f64::from(options.number("share") as f32) * weights as f64) as usize,
    }
}

/// A parameter of the model that is trained: some of its numbers, or as a head all of them.
#[derive(Debug)]
struct Trained {
    id: ParameterId,
    /// Its numbers before the training.
    origin: Arc<Buffer>,
    /// Its numbers when the iteration began.
    start: Arc<Buffer>,
    /// Which numbers have been chosen; nothing for heads.
    chosen: Option<Vec<bool>>,
}

#[derive(Debug)]
struct SparseFineTuning {
    options: OptionValues,
    trained: Vec<Trained>,
    weights: usize,
    seed: u64,
    /// Phases that are over: even in a dense phase, odd in a sparse one.
    phase: usize,
}

impl SparseFineTuning {
    fn is_sparse(&self) -> bool {
        self.phase % 2 == 1
    }

    /// Numbers of the sparse phases: those that are chosen, and before there are any those that are to be.
    fn count(&self) -> usize {
        match self.phase {
            0 => budget(&self.options, self.weights),
            _ => {
                let marks = self.trained.iter().flat_map(|trained| trained.chosen.iter().flatten());
                marks.filter(|chosen| **chosen).count()
            }
        }
    }

    /// Chooses the numbers that moved most and are not chosen yet; of those that moved equally far the first. What did not
    /// move is not chosen, so that there may be fewer.
    fn choose(&mut self, parameters: &Parameters, count: usize) {
        let mut moved: Vec<(f32, usize, usize)> = Vec::new();
        for (which, trained) in self.trained.iter().enumerate() {
            let Some(chosen) = &trained.chosen else { continue };
            let now = parameters[trained.id].value.iter();
            let draws =
                (self.options.choice("mask") == "random").then(|| Stream::new(self.seed, which as u64));
            for (at, (now, start)) in now.zip(trained.start.iter()).enumerate() {
                let distance = (now - start).abs();
                if distance > 0.0 && !chosen[at] {
                    let order = draws.as_ref().map_or(distance, |draws| draws.uniform(at as u64));
                    moved.push((order, which, at));
                }
            }
        }
        if count < moved.len() && count > 0 {
            let order = |a: &(f32, usize, usize), b: &(f32, usize, usize)| {
                b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2)))
            };
            moved.select_nth_unstable_by(count - 1, order);
        }
        for (_, which, at) in moved.into_iter().take(count) {
            if let Some(chosen) = &mut self.trained[which].chosen {
                chosen[at] = true;
            }
        }
    }
}

impl Method for SparseFineTuning {
    fn trains_base(&self) -> bool {
        true
    }

    fn before_step(&self, parameters: &Parameters, gradients: &mut Gradients) {
        let pull = self.options.number("l1") as f32 / self.weights.max(1) as f32;
        for trained in &self.trained {
            let (Some(chosen), Some(gradient)) = (&trained.chosen, gradients.get_mut(trained.id)) else {
                continue;
            };
            if pull > 0.0 {
                let distances = parameters[trained.id].value.iter().zip(trained.origin.iter());
                for (gradient, (now, origin)) in gradient.iter_mut().zip(distances) {
                    let distance = now - origin;
                    *gradient += if distance == 0.0 { 0.0 } else { pull * distance.signum() };
                }
            }
            if self.is_sparse() {
                let masked = gradient.iter_mut().zip(chosen).filter(|(_, chosen)| !**chosen);
                masked.for_each(|(gradient, _)| *gradient = 0.0);
            }
        }
    }

    /// Puts back what weight decay or an old mean of gradients has moved beside the mask.
    fn after_step(&mut self, parameters: &mut Parameters, _rate: f32) {
        if !self.is_sparse() {
            return;
        }
        for trained in &self.trained {
            let Some(chosen) = &trained.chosen else { continue };
            let values = parameters[trained.id].values_mut().iter_mut();
            for ((value, start), chosen) in values.zip(trained.start.iter()).zip(chosen) {
                if !chosen {
                    *value = *start;
                }
            }
        }
    }

    fn next_phase(&mut self, parameters: &mut Parameters) -> bool {
        let iterations = self.options.count("iterations");
        if self.is_sparse() {
            if self.phase + 1 >= 2 * iterations {
                return false;
            }
            for trained in &mut self.trained {
                trained.start = parameters[trained.id].value.clone();
            }
        } else {
            // Equal parts, and what is left over in the last iteration.
            let (all, iteration) = (budget(&self.options, self.weights), self.phase / 2);
            let part = all * (iteration + 1) / iterations - all * iteration / iterations;
            self.choose(parameters, part);
            for trained in &self.trained {
                parameters[trained.id].value = trained.start.clone();
            }
        }
        self.phase += 1;
        true
    }

    fn trained(&self) -> Option<usize> {
        Some(self.count())
    }

    fn left_out(&self) -> usize {
        self.weights - self.count()
    }

    /// The phase, for each number whether it is chosen, eight a byte, and the start of the iteration where it is not that of the
    /// training.
    fn state(&self) -> Vec<u8> {
        let mut state = (self.phase as u64).to_le_bytes().to_vec();
        for trained in &self.trained {
            let chosen = trained.chosen.iter().flat_map(|chosen| chosen.chunks(8));
            state.extend(
                chosen.map(|eight| eight.iter().rev().fold(0u8, |byte, bit| byte << 1 | u8::from(*bit))),
            );
            if self.phase >= 2 {
                state.extend(trained.start.iter().flat_map(|x| x.to_le_bytes()));
            }
        }
        state
    }

    fn set_state(&mut self, state: &[u8]) -> bool {
        let Some((phase, mut rest)) = state.split_first_chunk() else { return false };
        let phase = u64::from_le_bytes(*phase) as usize;
        let mut read = Vec::new();
        for trained in &self.trained {
            let bytes = trained.chosen.as_ref().map_or(0, |chosen| chosen.len().div_ceil(8));
            let numbers = if phase >= 2 { 4 * trained.start.len() } else { 0 };
            let (Some(bits), Some(start)) = (rest.get(..bytes), rest.get(bytes..bytes + numbers)) else {
                return false;
            };
            read.push((bits, start));
            rest = &rest[bytes + numbers..];
        }
        if !rest.is_empty() || phase >= 2 * self.options.count("iterations") {
            return false;
        }
        for (trained, (bits, start)) in self.trained.iter_mut().zip(read) {
            for (at, chosen) in trained.chosen.iter_mut().flatten().enumerate() {
                *chosen = bits[at / 8] >> (at % 8) & 1 == 1;
            }
            if !start.is_empty() {
                let numbers = start.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                trained.start = Arc::new(Buffer::from(numbers.collect::<Vec<f32>>()));
            }
        }
        self.phase = phase;
        true
    }

    fn difference(&self, parameters: &Parameters) -> Option<SparseDifference> {
        let mut difference = SparseDifference::default();
        let mut start: BTreeMap<&str, &[f32]> = BTreeMap::new();
        for trained in &self.trained {
            let parameter = &parameters[trained.id];
            match trained.chosen {
                Some(_) => {
                    difference.add_tensor(parameter, &trained.origin);
                    start.insert(&parameter.name, &trained.origin);
                }
                None => difference.add_head(parameter),
            }
        }
        difference.set_base(&start);
        Some(difference)
    }
}

/// The name of the layer that a parameter belongs to.
fn layer_of(parameter: &str) -> &str {
    parameter.trim_end_matches(".weight").trim_end_matches(".bias")
}

fn attach(request: Request) -> Result<Parts, TrainError> {
    let Request { options, parameters, targets, is_head, seed, .. } = request;
    let norms = options.switch("norms");
    let layers: Vec<&str> = parameters.iter().map(|(_, parameter)| layer_of(&parameter.name)).collect();
    targets.check(&layers)?;
    let mut trained = Vec::new();
    for (id, parameter) in parameters.iter_mut() {
        let head = is_head(&parameter.name);
        let is_norm = parameter.name.to_lowercase().contains("norm");
        // What was frozen before is no part of what may be chosen: an output layer that stays as it is, say.
        let may_be = parameter.trainable && (norms || !is_norm);
        let included = head || may_be && targets.include(layer_of(&parameter.name));
        parameter.trainable = included;
        if included {
            let value = parameter.value.clone();
            let chosen = (!head).then(|| vec![false; value.len()]);
            trained.push(Trained { id, origin: value.clone(), start: value, chosen });
        }
    }
    let weights = trained.iter().filter_map(|trained| trained.chosen.as_ref()).map(Vec::len).sum();
    if weights == 0 {
        return Err(options.problem(format!("no weight's name ends with `{targets}`")).into());
    }
    if budget(&options, weights) == 0 {
        let problem = format!("the share of {weights} weights is none; give k or a greater share");
        return Err(options.problem(problem).into());
    }
    let method = SparseFineTuning { options, trained, weights, seed, phase: 0 };
    Ok(Parts { method: Box::new(method), sites: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::super::Attached;
    use super::super::testing::Toy;
    use super::*;
    use crate::optimizer::AdamW;
    use crate::tape::Compute;

    fn steps(toy: &mut Toy, attached: &mut Attached, decay: f32) {
        let mut optimizer = AdamW::default();
        optimizer.decay = decay;
        for _ in 0..4 {
            let mut gradients = Gradients::default();
            toy.loss_gradients(&mut gradients);
            attached.before_step(&toy.parameters, &mut gradients);
            optimizer.step(&Compute::new(1), &mut toy.parameters, &gradients, |_| 0.01);
            attached.after_step(&mut toy.parameters, 0.01);
        }
    }

    fn trained(text: &str) -> (Toy, Attached) {
        let mut toy = Toy::bert();
        let mut attached = toy.attach(text, "all");
        loop {
            steps(&mut toy, &mut attached, 0.1);
            if !attached.next_phase(&mut toy.parameters) {
                return (toy, attached);
            }
        }
    }

    #[test]
    fn the_first_phase_chooses_what_moved_most_and_everything_goes_back() {
        let mut toy = Toy::bert();
        let mut attached = toy.attach("lt-sft(k=30)", "all");
        let before = Toy::bert();
        steps(&mut toy, &mut attached, 0.0);
        let mut moved: Vec<f32> = Vec::new();
        for ((_, now), (_, start)) in toy.parameters.iter().zip(before.parameters.iter()) {
            if !now.name.starts_with("classifier") {
                moved
                    .extend(now.value.iter().zip(start.value.iter()).map(|(now, start)| (now - start).abs()));
            }
        }
        moved.sort_by(|a, b| b.total_cmp(a));
        let dense = toy.parameters.clone();
        assert!(attached.next_phase(&mut toy.parameters));
        assert_eq!(toy.outputs(), before.outputs());
        // The chosen ones are those whose gradient stays.
        let mut gradients = Gradients::default();
        for (id, parameter) in toy.parameters.iter() {
            gradients.insert(id, vec![1.0; parameter.value.len()]);
        }
        attached.before_step(&toy.parameters, &mut gradients);
        let mut count = 0;
        for (id, parameter) in dense.iter().filter(|(_, parameter)| !parameter.name.starts_with("classifier"))
        {
            for (at, gradient) in gradients.get(id).unwrap().iter().enumerate() {
                let distance = (parameter.value[at] - before.parameters[id].value[at]).abs();
                count += usize::from(*gradient != 0.0);
                assert!(if *gradient == 0.0 { distance <= moved[29] } else { distance >= moved[29] });
            }
        }
        assert_eq!(count, 30);
        assert_eq!(attached.trainable_count(&toy.parameters), 30);
        assert_eq!(toy.parameters.trainable_count() - attached.left_out(), 30 + toy.head_numbers());
    }

    #[test]
    fn what_was_not_chosen_is_bit_identical_even_with_weight_decay() {
        let before = Toy::bert();
        for (text, most) in [("lt-sft(k=25)", 25), ("lt-sft(k=25, iterations=3, l1=0.5)", 25)] {
            let (toy, attached) = trained(text);
            let changed =
                toy.parameters.iter().zip(before.parameters.iter()).map(|((_, now), (_, start))| {
                    let bits = now.value.iter().zip(start.value.iter());
                    let changed = bits.filter(|(now, start)| now.to_bits() != start.to_bits()).count();
                    if now.name.starts_with("classifier") { 0 } else { changed }
                });
            let changed: usize = changed.sum();
            assert!((15..=most).contains(&changed), "{changed}");
            let difference = attached.difference(&toy.parameters).unwrap();
            assert!(difference.count() <= changed);
            assert_ne!(toy.outputs(), before.outputs());
        }
    }

    #[test]
    fn a_training_goes_on_from_its_checkpoint_with_the_same_mask() {
        let text = "lt-sft(k=25, iterations=2)";
        let (whole, last) = trained(text);
        let mut toy = Toy::bert();
        let mut attached = toy.attach(text, "all");
        loop {
            steps(&mut toy, &mut attached, 0.1);
            let more = attached.next_phase(&mut toy.parameters);
            let (parameters, state) = (toy.parameters.clone(), attached.state());
            // Another process: the base model, the adapter, and then the checkpoint.
            toy = Toy::bert();
            attached = toy.attach(text, "all");
            assert!(attached.set_state(&state[1..]).is_err());
            attached.set_state(&state).unwrap();
            toy.parameters = parameters;
            if !more {
                break;
            }
        }
        assert_eq!(toy.outputs(), whole.outputs());
        let differences = [(&attached, &toy), (&last, &whole)]
            .map(|(attached, toy)| attached.difference(&toy.parameters).unwrap());
        assert_eq!(differences[0], differences[1]);
        assert_eq!(attached.trainable_count(&toy.parameters), 25);
    }

    #[test]
    fn norms_and_other_layers_stay_where_they_are_left_out() {
        let mut toy = Toy::bert();
        toy.attach("lt-sft(norms=false)", "all");
        let trained: Vec<_> = toy.parameters.iter().filter(|(_, parameter)| parameter.trainable).collect();
        assert!(trained.len() > 10);
        assert!(trained.into_iter().all(|(_, parameter)| !parameter.name.contains("Norm")));
        let mut toy = Toy::bert();
        toy.attach("lt-sft(k=3)", "query");
        let mut trained = toy.parameters.iter().filter(|(_, parameter)| parameter.trainable);
        assert!(trained.all(|(_, p)| p.name.contains("query") || p.name.contains("classifier")));
        let error = Toy::bert().attach_seeded("lt-sft(k=3)", "qery", 1).unwrap_err();
        assert!(error.to_string().contains("`qery`"), "{error}");
        let error = Toy::bert().attach_seeded("lt-sft(share=0)", "all", 1).unwrap_err();
        assert!(error.to_string().contains("greater share"), "{error}");
    }

    #[test]
    fn differences_are_saved_applied_composed_and_reverted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("difference.safetensors");
        let (toy, mut attached) = trained("lt-sft(k=40)");
        attached.save(&toy.parameters, &path, &[]).unwrap();
        let first = SparseDifference::open(&path).unwrap();
        assert_eq!(first, attached.difference(&toy.parameters).unwrap());
        assert!(std::fs::metadata(&path).unwrap().len() < 9000);
        let mut other = Toy::bert();
        let before = other.outputs();
        let start = other.parameters.clone();
        first.apply(&mut other.parameters, true).unwrap();
        super::super::testing::assert_close(&other.outputs(), &toy.outputs(), 1e-5);
        first.revert(&mut other.parameters).unwrap();
        let head = other.parameters.find("classifier.weight").unwrap();
        let value = start[head].value.clone();
        other.parameters[head].value = value;
        super::super::testing::assert_close(&other.outputs(), &before, 1e-5);
        let second = trained("lt-sft(k=10, l1=3)");
        let second = second.1.difference(&second.0.parameters).unwrap();
        let both = |order: [&SparseDifference; 2]| {
            let mut toy = Toy::bert();
            order.iter().for_each(|difference| difference.apply(&mut toy.parameters, false).unwrap());
            toy.outputs()
        };
        super::super::testing::assert_close(&both([&first, &second]), &both([&second, &first]), 1e-6);
        let mut toy = Toy::bert();
        first.plus(&second).apply(&mut toy.parameters, false).unwrap();
        super::super::testing::assert_close(&toy.outputs(), &both([&first, &second]), 1e-5);
        // The base that it was learned with, and the same with one other number in a weight that it changes.
        let mut other = Toy::bert();
        first.check_base(&other.parameters).unwrap();
        let mut moved = Toy::bert();
        first.apply(&mut moved.parameters, false).unwrap();
        let mut all = moved.parameters.iter();
        let (id, _) = all.find(|(id, parameter)| parameter.value[..] != start[*id].value[..]).unwrap();
        other.parameters[id].values_mut()[0] += 1e-3;
        let error = first.check_base(&other.parameters).unwrap_err().to_string();
        assert!(error.contains("another base"), "{error}");
        assert!(
            attached.load(&mut other.parameters, &path).unwrap_err().to_string().contains("another base")
        );
        let mut decoder = Toy::llama();
        let error = first.apply(&mut decoder.parameters, false).unwrap_err().to_string();
        assert!(error.contains("has no"), "{error}");
        let error = attached.load(&mut decoder.parameters, &path).unwrap_err().to_string();
        assert!(error.contains("made for another model"), "{error}");
        let mut twice = Toy::bert();
        attached.load(&mut twice.parameters, &path).unwrap();
        let error = attached.load(&mut twice.parameters, &path).unwrap_err().to_string();
        assert!(error.contains("another base"), "{error}");
    }
}
