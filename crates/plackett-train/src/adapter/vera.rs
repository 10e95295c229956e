//! VeRA: one pair of random matrices for all layers, between which two vectors a layer are trained.

use super::attached::{Method, Shared};
use super::lora::{DROPOUT, dropped, free};
use super::site::{Site, choose};
use super::{AdapterSpec, OptionKind, OptionSpec, Parts, PeftFiles, Request, basis};
use crate::TrainError;
use crate::engine::{Engine, product};
use crate::nn::{LinearAdapter, init};
use crate::random::Stream;
use crate::tape::{Buffer, Compute, ParameterId, Parameters, Tape, Var};
use plackett_kernel::Start;
use serde_json::json;
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
    /// The numbers of the inner vectors at the start.
    start: f64,
}

impl Method for Vera {
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        self.layers.iter().map(|layer| Arc::new(layer.clone()) as Arc<dyn LinearAdapter>).collect()
    }

    fn basis_check(&self) -> Option<String> {
        Some(basis::check(&[Stream::new(self.seed, 0), Stream::new(self.seed, OF_A)]))
    }

    /// VeRA with its projections, which PEFT would draw otherwise; the widest layers have them whole, as PEFT keeps them.
    fn peft(&self, parameters: &Parameters, sites: &[Site]) -> Option<PeftFiles> {
        let of_a = self.layers.iter().max_by_key(|layer| layer.sizes.2)?;
        let of_b = self.layers.iter().max_by_key(|layer| layer.sizes.0)?;
        let rank = of_a.sizes.1;
        let own = json!({
            "r": rank, "d_initial": self.start, "vera_dropout": 0.0, "init_weights": true, "save_projection": true,
            "projection_prng_key": self.seed,
        });
        let names = sites.iter().map(|site| site.name.clone()).collect();
        let mut files = PeftFiles::new("VERA", names, own);
        files.push_shared("base_model.vera_A".into(), vec![rank, of_a.sizes.2], of_a.a.to_vec());
        files.push_shared("base_model.vera_B".into(), vec![of_b.sizes.0, rank], of_b.b.to_vec());
        for (layer, site) in self.layers.iter().zip(sites) {
            let mut push = |part: &str, id: ParameterId| {
                let values = parameters[id].value.to_vec();
                files.push(&format!("{}.{part}", site.name), vec![values.len()], values);
            };
            push("vera_lambda_b", layer.outer);
            push("vera_lambda_d", layer.inner);
        }
        Some(files)
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
    let start = options.number("start");
    Ok(Parts { method: Box::new(Vera { layers, seed, start }), sites })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_begins_as_the_base_model, assert_close, read_peft};
    use super::super::{PeftRanks, open, parse};
    use serde_json::json;

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

    #[test]
    fn pefts_directory_has_the_projections_of_the_widest_layers() {
        let folder = tempfile::tempdir().unwrap();
        let mut toy = Toy::bert();
        // 8 × 8, 12 × 8 and 8 × 12: the greatest output and the greatest input are those of different layers.
        let mut attached = toy.attach("vera(rank=3)", "query,intermediate.dense,output.dense");
        toy.shake(&attached, 0.2);
        attached.save_peft(&toy.parameters, folder.path(), "toy", PeftRanks::Own).unwrap();
        let (config, tensors) = read_peft(folder.path());
        assert_eq!((&config["peft_type"], &config["save_projection"]), (&json!("VERA"), &json!(true)));
        let (a, b) = (&tensors["base_model.vera_A"], &tensors["base_model.vera_B"]);
        assert_eq!((&a.0[..], &b.0[..]), (&[3, 12][..], &[12, 3][..]));
        let sites = attached.sites().to_vec();
        let before: Vec<Vec<f32>> =
            sites.iter().map(|site| toy.parameters[site.weight].value.to_vec()).collect();
        attached.merge(&mut toy.parameters).unwrap();
        for (site, mut expected) in sites.iter().zip(before) {
            let vector = |part: &str| &tensors[&format!("base_model.model.{}.{part}", site.name)].1;
            let (outer, inner) = (vector("vera_lambda_b"), vector("vera_lambda_d"));
            for (row, values) in expected.chunks_mut(site.inputs).enumerate() {
                for (column, x) in values.iter_mut().enumerate() {
                    let sum: f32 = (0..3).map(|k| b.1[3 * row + k] * inner[k] * a.1[12 * k + column]).sum();
                    *x += outer[row] * sum;
                }
            }
            assert_close(&toy.parameters[site.weight].value, &expected, 1e-5);
        }
    }
}
