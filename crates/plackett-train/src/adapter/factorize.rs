//! Greenformers' low-rank factorisation: a linear layer becomes two thin ones without anything between them (LED unit,
//! Cahyawijaya, Greenformers: Improving computation and memory efficiency in transformer models via low-rank approximation,
//! 2021). On a trained model it compresses; on a new one, with [`Solver::Random`], it makes a low-rank transformer to train.

mod cost;
mod directory;
mod rank;
mod solver;

pub use cost::{Advice, Costs, advise};
pub use directory::{FactorizedDirectory, Layers, factorize_directory};
pub use rank::{LayerShape, Rank, Skipped, bert_layers, parameters_saved};
pub use solver::Solver;

use super::{Adaptable, Targets};
use crate::TrainError;
use crate::nn::Linear;
use crate::tape::Parameters;

/// How layers are factorised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factorization {
    /// The rank of each layer.
    pub rank: Rank,
    /// What the thin layers begin with.
    pub solver: Solver,
    /// Whether the singular values are shared between both thin layers, which is better scaled for training, instead of lying
    /// in the first one.
    pub balanced: bool,
    /// Whether layers that would not become smaller are factorised too.
    pub beyond_limit: bool,
    /// What is drawn follows from it.
    pub seed: u64,
}

/// What became of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// The layer.
    pub layer: LayerShape,
    /// Its rank and its relative error ‖W − UV‖ / ‖W‖ (Frobenius), or why it is as before.
    pub outcome: Result<(usize, f64), Skipped>,
}

/// What became of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorizationReport {
    /// The layers, in order.
    pub layers: Vec<LayerReport>,
    /// Parameters before, embeddings and heads among them.
    pub before: usize,
    /// Parameters after.
    pub after: usize,
}

/// Factorises those linear layers of a model that `targets` names.
///
/// # Errors
/// A weight is no number, a layer has an adapter, or a target is no layer; the model is then as before.
pub fn factorize(
    parameters: &mut Parameters,
    model: &mut dyn Adaptable,
    targets: &Targets,
    how: &Factorization,
) -> Result<FactorizationReport, TrainError> {
    factorize_with(parameters, model, targets, how, &|_, _| {})
}

/// The same; `progress` is told how many of how many layers are done.
fn factorize_with(
    parameters: &mut Parameters,
    model: &mut dyn Adaptable,
    targets: &Targets,
    how: &Factorization,
    progress: &dyn Fn(usize, usize),
) -> Result<FactorizationReport, TrainError> {
    let mut linears = model.factorizable();
    targets.check(&linears.iter().map(|linear| linear.name.as_str()).collect::<Vec<_>>())?;
    linears.retain(|linear| targets.include(&linear.name));
    linears.iter().try_for_each(|linear| check(parameters, linear))?;
    let before = parameters.count();
    let count = linears.len();
    let mut layers = Vec::with_capacity(count);
    for (done, linear) in linears.into_iter().enumerate() {
        progress(done, count);
        layers.push(factorize_layer(parameters, linear, how));
    }
    progress(count, count);
    Ok(FactorizationReport { layers, before, after: parameters.count() })
}

fn check(parameters: &Parameters, linear: &Linear) -> Result<(), TrainError> {
    if linear.adapter.is_some() {
        let problem =
            format!("`{}` has an adapter; merge or detach it before the layer is factorised", linear.name);
        return Err(TrainError::Setting(problem));
    }
    let weight = &parameters[linear.weight].value;
    match weight.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(TrainError::Model(format!(
            "number {at} of the weight of `{}` is {}",
            linear.name, weight[at]
        ))),
        None => Ok(()),
    }
}

fn factorize_layer(parameters: &mut Parameters, linear: &mut Linear, how: &Factorization) -> LayerReport {
    let layer = LayerShape { name: linear.name.clone(), outputs: linear.outputs, inputs: linear.inputs };
    let rank = match linear.down {
        Some(_) => Err(Skipped::Factorized),
        None => how.rank.of((linear.outputs, linear.inputs), how.beyond_limit),
    };
    let rank = match rank {
        Ok(rank) => rank,
        Err(why) => return LayerReport { layer, outcome: Err(why) },
    };
    let shape = (linear.outputs, linear.inputs);
    let seed = how.seed.wrapping_add(parameters.iter().count() as u64);
    let weight = &parameters[linear.weight];
    let trainable = weight.trainable;
    let thin = solver::solve(&weight.value, shape, rank, how.solver, how.balanced, seed);
    let error = solver::relative_error(&weight.value, shape, rank, &thin);
    let down = parameters.add(format!("{}.led_unit.0.weight", linear.name), (rank, linear.inputs), thin.down);
    parameters[down].trainable = trainable;
    let name = format!("{}.led_unit.1", linear.name);
    parameters.replace(linear.weight, format!("{name}.weight"), (linear.outputs, rank), thin.up);
    if let Some(bias) = linear.bias {
        let value = match how.solver {
            Solver::Random => vec![0.0; linear.outputs],
            _ => parameters[bias].value.to_vec(),
        };
        parameters.replace(bias, format!("{name}.bias"), (1, linear.outputs), value);
    }
    linear.down = Some(down);
    LayerReport { layer, outcome: Ok((rank, error)) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_close};
    use super::*;
    use crate::nn::{Bert, SafetensorsSource, save};
    use crate::tape::ParameterId;

    const SVD: Factorization = Factorization {
        rank: Rank::Absolute(3),
        solver: Solver::Svd,
        balanced: false,
        beyond_limit: false,
        seed: 1,
    };

    fn factorized(how: Factorization, targets: &str) -> (Toy, FactorizationReport) {
        let mut toy = Toy::bert();
        let report = factorize(&mut toy.parameters, &mut toy.bert, &Targets::parse(targets), &how).unwrap();
        (toy, report)
    }

    #[test]
    fn the_full_rank_gives_the_same_outputs() {
        let before = Toy::bert().outputs();
        for balanced in [false, true] {
            let how = Factorization { rank: Rank::Absolute(8), beyond_limit: true, balanced, ..SVD };
            let (toy, report) = factorized(how, "all");
            assert_close(&toy.outputs(), &before, 1e-4);
            assert_eq!(report.layers.len(), 13);
            assert!(report.layers.iter().all(|layer| layer.outcome.clone().unwrap().1 < 1e-6));
        }
    }

    #[test]
    fn the_report_counts_parameters_and_says_what_was_skipped() {
        let (toy, report) = factorized(SVD, "all");
        assert_eq!(report.after, toy.parameters.count());
        let shapes: Vec<LayerShape> = report.layers.iter().map(|layer| layer.layer.clone()).collect();
        assert_eq!(report.before - report.after, parameters_saved(&shapes, Rank::Absolute(3)));
        // The limit of 8 × 8 is 4, that of 12 × 8 is 4 too.
        let (_, report) =
            factorized(Factorization { rank: Rank::Absolute(4), ..SVD }, "query,intermediate.dense");
        assert_eq!(report.before, report.after);
        assert!(report.layers.iter().all(|layer| layer.outcome == Err(Skipped::AboveLimit { limit: 4 })));
        let (_, report) = factorized(Factorization { rank: Rank::Ratio(0.1), ..SVD }, "query");
        assert_eq!(report.layers[0].outcome, Err(Skipped::RankZero));
        let (mut toy, _) = factorized(SVD, "query");
        let report = factorize(&mut toy.parameters, &mut toy.bert, &Targets::parse("query"), &SVD).unwrap();
        assert_eq!(report.layers[0].outcome, Err(Skipped::Factorized));
    }

    #[test]
    fn solvers_are_in_the_order_of_their_errors() {
        let errors = [Solver::Svd, Solver::SemiNmf { iterations: 60 }, Solver::Random].map(|solver| {
            let (toy, report) = factorized(Factorization { solver, ..SVD }, "all");
            assert!(toy.outputs().iter().all(|x| x.is_finite()));
            report.layers.iter().map(|layer| layer.outcome.clone().unwrap().1).collect::<Vec<f64>>()
        });
        for ((svd, semi), random) in errors[0].iter().zip(&errors[1]).zip(&errors[2]) {
            assert!(svd <= semi && semi < random, "{svd} {semi} {random}");
            assert!(*semi < 0.95, "{semi}");
        }
    }

    #[test]
    fn a_factorised_model_has_gradients_and_takes_adapters() {
        let (mut toy, _) = factorized(Factorization { balanced: true, ..SVD }, "query,pooler.dense");
        let ids: Vec<ParameterId> = toy
            .parameters
            .iter()
            .filter(|(_, parameter)| parameter.name.contains("led_unit"))
            .map(|(id, _)| id)
            .collect();
        assert_eq!(ids.len(), 9);
        toy.assert_gradients(&ids);
        let before = toy.outputs();
        let mut attached = toy.attach("lora(rank=2)", "query");
        assert_eq!(toy.outputs(), before);
        assert!(attached.merge(&mut toy.parameters).unwrap_err().to_string().contains("factorised"));
        let error = factorize(&mut toy.parameters, &mut toy.bert, &Targets::All, &SVD).unwrap_err();
        assert!(error.to_string().contains("has an adapter"), "{error}");
    }

    #[test]
    fn a_saved_model_is_built_again_with_its_ranks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let (toy, _) = factorized(SVD, "value,output.dense,pooler.dense");
        save(&path, &toy.parameters, |name| Some(name.to_string())).unwrap();
        let mut other = Toy::bert();
        let config = other.bert.config.clone();
        let mut parameters = Parameters::default();
        let mut source = SafetensorsSource::open(&path).unwrap();
        other.bert = Bert::load(&mut parameters, &mut source, &config, "bert.", true).unwrap();
        let head = toy.parameters.find("classifier.weight").unwrap();
        let value = toy.parameters[head].value.to_vec();
        other.set_head(parameters, value);
        assert_eq!(other.outputs(), toy.outputs());
    }

    #[test]
    fn weights_that_are_no_numbers_are_refused_before_anything_changes() {
        let mut toy = Toy::bert();
        let id = toy.parameters.find("bert.encoder.layer.1.output.dense.weight").unwrap();
        toy.parameters[id].values_mut()[3] = f32::NAN;
        let error = factorize(&mut toy.parameters, &mut toy.bert, &Targets::All, &SVD).unwrap_err();
        assert!(
            error.to_string().contains("number 3 of the weight of `bert.encoder.layer.1.output.dense`"),
            "{error}"
        );
        assert!(toy.parameters.iter().all(|(_, parameter)| !parameter.name.contains("led_unit")));
    }
}
