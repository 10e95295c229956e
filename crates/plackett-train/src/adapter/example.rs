//! The adapter that docs/adapters.md shows: what a file of a new one looks like.

use super::attached::Method;
use super::site::{Site, choose};
use super::{AdapterSpec, Parts, Request};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::LinearAdapter;
use crate::tape::{ParameterId, Parameters, Tape, Var};
use std::sync::Arc;

// The page shows what follows: rows of weights that are stretched.
pub(super) static STRETCH: AdapterSpec = AdapterSpec {
    name: "stretch",
    aliases: &[],
    summary: "Multiplies each output of a layer, without its bias, with a trained number.",
    paper: "after Liu et al., Few-shot parameter-efficient fine-tuning is better and cheaper than in-context learning, 2022",
    options: &[],
    formula: "o",
    count: |_, layers| layers.iter().map(|(outputs, _)| outputs).sum(),
    needs_importance: false,
    attach,
};

/// One layer: its weight (outputs × inputs), and what its outputs are multiplied with, less 1 (1 × outputs).
#[derive(Clone, Debug)]
struct Layer {
    weight: ParameterId,
    stretch: ParameterId,
}

impl LinearAdapter for Layer {
    fn forward(&self, tape: &Tape, x: &Var, y: &Var) -> Var {
        let outputs = tape.linear(x, &tape.parameter(self.weight), None, None);
        tape.add(y, &tape.scale_columns(&outputs, &tape.parameter(self.stretch)))
    }

    fn weight_change(&self, parameters: &Parameters) -> Vec<f32> {
        let weight = &parameters[self.weight];
        let rows = weight.value.chunks(weight.columns).zip(parameters[self.stretch].value.iter());
        rows.flat_map(|(row, stretch)| row.iter().map(move |x| x * stretch)).collect()
    }
}

#[derive(Debug)]
struct Stretch(Vec<Layer>);

impl Method for Stretch {
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        self.0.iter().map(|layer| Arc::new(layer.clone()) as Arc<dyn LinearAdapter>).collect()
    }
}

fn attach(request: Request) -> Result<Parts, TrainError> {
    let sites: Vec<Site> =
        choose(request.model, request.targets)?.iter().map(|linear| Site::of(linear)).collect();
    let layers = sites.iter().map(|site| {
        let name = format!("{}.stretch", site.name);
        let zeros = vec![0.0; site.outputs];
        Layer { weight: site.weight, stretch: request.parameters.add(name, (1, site.outputs), zeros) }
    });
    let layers = layers.collect();
    Ok(Parts { method: Box::new(Stretch(layers)), sites })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_close};
    use super::STRETCH;

    #[test]
    fn it_begins_as_the_base_model_and_merges_to_the_same_outputs() {
        let mut toy = Toy::bert();
        let mut attached = toy.attach_configured(&STRETCH.configure([]).unwrap(), "all", 7).unwrap();
        assert_eq!(toy.outputs(), Toy::bert().outputs());
        toy.shake(&attached, 0.2);
        toy.assert_gradients(attached.parameters());
        let unmerged = toy.outputs();
        attached.merge(&mut toy.parameters).unwrap();
        assert_close(&toy.outputs(), &unmerged, 1e-4);
    }
}
