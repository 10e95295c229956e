//! VeRA: one pair of random matrices for all layers, between which two vectors a layer are trained.

use super::attached::{Method, Shared};
use super::lora::{DROPOUT, dropped, free};
use super::site::{Site, choose};
use super::{AdapterSpec, OptionKind, OptionSpec, Parts, Request, basis};
use crate::TrainError;
use crate::engine::{Engine, product};
use crate::nn::{LinearAdapter, init};
use crate::random::Stream;
use crate::tape::{Buffer, Compute, ParameterId, Parameters, Tape, Var};
use plackett_kernel::Start;
use std::collections::HashMap;
use std::sync::Arc;

/// y = W x + b ⊙ (B (d ⊙ A x)), with b zero and d a small number at the start (Section 3.1).
pub(super) static SPEC: AdapterSpec = AdapterSpec {
    name: "vera",
    aliases: &[],
    summary: "Two trained vectors a layer around a pair of random matrices that all layers share.",
    paper: "Kopiczko et al., VeRA: Vector-based random matrix adaptation, ICLR 2024",
    options: &[
        OptionSpec { default: Some("256"), ..super::lora::RANK },
        OptionSpec {
            name: "start",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("0.1"),
            help: "the numbers of the inner vector at the start",
        },
        DROPOUT,
    ],
    formula: "o + rank",
    count: |options, layers| layers.iter().map(|(outputs, _)| outputs + options.count("rank")).sum(),
    needs_importance: false,
    attach,
};

/// Streams of A's rows begin here, those of B's at 0.
const OF_A: u64 = 1 << 40;

/// One layer's adapter.
#[derive(Clone, Debug)]
struct Layer {
    /// 1 × outputs.
    outer: ParameterId,
    /// 1 × rank.
    inner: ParameterId,
    /// rank × inputs.
    a: Arc<Buffer>,
    /// outputs × rank.
    b: Arc<Buffer>,
    /// Outputs, rank, inputs.
    sizes: (usize, usize, usize),
    dropout: f32,
    place: usize,
    shared: Arc<Shared>,
}

impl LinearAdapter for Layer {
    fn forward(&self, tape: &Tape, x: &Var, y: &Var) -> Var {
        let (outputs, rank, inputs) = self.sizes;
        let (outer, inner) = (tape.parameter(self.outer), tape.parameter(self.inner));
        let x = dropped(tape, x, self.dropout, (&self.shared, self.place), &outer);
        let h = tape.linear(&x, &tape.shared((rank, inputs), &self.a), None, None);
        let h =
            tape.linear(&tape.scale_columns(&h, &inner), &tape.shared((outputs, rank), &self.b), None, None);
        tape.add(y, &tape.scale_columns(&h, &outer))
    }

    fn weight_change(&self, parameters: &Parameters) -> Vec<f32> {
        let (outputs, rank, inputs) = self.sizes;
        let mut a = self.a.to_vec();
        for (row, by) in a.chunks_mut(inputs).zip(parameters[self.inner].value.iter()) {
            row.iter_mut().for_each(|x| *x *= by);
        }
        let mut change = vec![0.0; outputs * inputs];
        product(&Compute::new(1), (&self.b, outputs), (&a, rank, inputs, false), &mut change, Start::Zero);
        for (row, by) in change.chunks_mut(inputs).zip(parameters[self.outer].value.iter()) {
            row.iter_mut().for_each(|x| *x *= by);
        }
        change
    }
}

#[derive(Debug)]
struct Vera {
    layers: Vec<Layer>,
    seed: u64,
}

impl Method for Vera {
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        self.layers.iter().map(|layer| Arc::new(layer.clone()) as Arc<dyn LinearAdapter>).collect()
    }

    fn basis_check(&self) -> Option<String> {
        Some(basis::check(&[Stream::new(self.seed, 0), Stream::new(self.seed, OF_A)]))
    }
}

/// `rows` rows of the first `columns` numbers of the streams from `first` on, evenly from ±bound.
fn leading(seed: u64, first: u64, (rows, columns): (usize, usize), bound: f32) -> Arc<Buffer> {
    let row = |row: usize| init::uniform(Stream::new(seed, first + row as u64), columns, bound);
    Arc::new(Buffer::from((0..rows).flat_map(row).collect::<Vec<f32>>()))
}

fn attach(request: Request) -> Result<Parts, TrainError> {
    let Request { options, parameters, model, targets, seed, shared, .. } = request;
    let rank = options.count("rank");
    let sites: Vec<Site> = choose(model, targets)?.iter().map(|linear| Site::of(linear)).collect();
    // Kaiming's bound for the whole matrices, of which narrower layers have the leading part.
    let widest = sites.iter().map(|site| site.inputs).max().unwrap_or(1);
    let bounds = [widest, rank].map(|width| (6.0 / width as f32).sqrt());
    let mut known: HashMap<(u64, usize), Arc<Buffer>> = HashMap::new();
    let mut layers = Vec::new();
    for (place, site) in sites.iter().enumerate() {
        let mut part = |first: u64, size: usize, shape, bound| {
            known.entry((first, size)).or_insert_with(|| leading(seed, first, shape, bound)).clone()
        };
        let a = part(OF_A, site.inputs, (rank, site.inputs), bounds[0]);
        let b = part(0, site.outputs, (site.outputs, rank), bounds[1]);
        let mut add = |part: &str, count: usize, value: f32| {
            let name = free(parameters, format!("{}.{part}", site.name));
            parameters.add(name, (1, count), vec![value; count])
        };
        layers.push(Layer {
            outer: add("vera_lambda_b", site.outputs, 0.0),
            inner: add("vera_lambda_d", rank, options.number("start") as f32),
            a,
            b,
            sizes: (site.outputs, rank, site.inputs),
            dropout: options.number("dropout") as f32,
            place,
            shared: shared.clone(),
        });
    }
    Ok(Parts { method: Box::new(Vera { layers, seed }), sites })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_begins_as_the_base_model, assert_close};
    use super::super::{open, parse};

    #[test]
    fn it_begins_as_the_base_model_and_trains_the_formulas_numbers() {
        assert_begins_as_the_base_model("vera(rank=5)");
        // RoBERTa-base, queries and values: 12 · 2 · (768 + 1024).
        assert_eq!(parse("vera(rank=1024)").unwrap().trainable_count(&[(768, 768); 24]), 43_008);
    }

    #[test]
    fn gradients_merging_and_the_file_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adapter.safetensors");
        let mut toy = Toy::bert();
        let mut attached = toy.attach("vera(rank=4)", "query,intermediate.dense");
        toy.shake(&attached, 0.2);
        toy.assert_gradients(attached.parameters());
        let unmerged = toy.outputs();
        attached.save(&toy.parameters, &path, &[]).unwrap();
        attached.merge(&mut toy.parameters).unwrap();
        assert_close(&toy.outputs(), &unmerged, 1e-4);
        let mut other = Toy::bert();
        open(&path, &mut other.parameters, &mut other.bert).unwrap();
        assert_eq!(other.outputs(), unmerged);
    }
}
