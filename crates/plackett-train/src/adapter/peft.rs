//! LoRA in the directories of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use super::Adaptable;
use super::attached::Shared;
use super::lora::LowRank;
use super::peft_files::{CONFIG, PREFIX, PeftFiles, WEIGHTS, form};
use super::site::{Targets, choose};
use crate::TrainError;
use crate::nn::SafetensorsSource;
use crate::tape::Parameters;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How layers of different ranks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeftRanks {
    /// Each with its own, in PEFT's `rank_pattern` and `alpha_pattern`. Where all ranks are equal, no pattern is needed.
    Own,
    /// All with the greatest, filled up with zeros: for readers that know one rank.
    Padded,
}

/// The two matrices of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraLayer {
    /// The layer's name.
    pub name: String,
    /// Numbers out.
    pub outputs: usize,
    /// Numbers in.
    pub inputs: usize,
    /// Rows of A.
    pub rank: usize,
    /// rank × inputs.
    pub a: Vec<f32>,
    /// outputs × rank.
    pub b: Vec<f32>,
}

/// LoRA for some layers of a model: each weight gets scale · B A added.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraWeights {
    /// The layers, in the order of the model.
    pub layers: Vec<LoraLayer>,
    /// What the products are multiplied with.
    pub scale: f32,
}

impl LoraLayer {
    /// The layer with more rows in A and columns in B, all zero.
    fn padded(&self, rank: usize) -> LoraLayer {
        let mut a = self.a.clone();
        a.resize(rank * self.inputs, 0.0);
        let mut b = vec![0.0; self.outputs * rank];
        for (row, values) in b.chunks_mut(rank).enumerate() {
            values[..self.rank].copy_from_slice(&self.b[row * self.rank..][..self.rank]);
        }
        LoraLayer { rank, a, b, ..self.clone() }
    }

    /// The components for which `kept` holds.
    pub(super) fn only(&self, kept: &[bool]) -> LoraLayer {
        let places: Vec<usize> = (0..self.rank).filter(|place| kept[*place]).collect();
        let a = places.iter().flat_map(|place| &self.a[place * self.inputs..][..self.inputs]).copied();
        let b = (0..self.outputs).flat_map(|row| places.iter().map(move |place| (row, *place)));
        LoraLayer {
            rank: places.len(),
            a: a.collect(),
            b: b.map(|(row, place)| self.b[row * self.rank + place]).collect(),
            ..self.clone()
        }
    }
}

impl LoraWeights {
    /// As PEFT saves it. With ranks of their own, layers without a component are left out; where no layer has any, each gets
    /// one of zeros, since PEFT knows no rank of 0.
    pub fn files(&self, ranks: PeftRanks) -> PeftFiles {
        let most = self.layers.iter().map(|layer| layer.rank).max().unwrap_or(0);
        let layers: Vec<LoraLayer> = match ranks {
            PeftRanks::Own if most > 0 => {
                self.layers.iter().filter(|layer| layer.rank > 0).cloned().collect()
            }
            _ => self.layers.iter().map(|layer| layer.padded(most.max(1))).collect(),
        };
        let names = layers.iter().map(|layer| layer.name.clone()).collect();
        let mut files = PeftFiles::new("LORA", names, self.config(&layers, most.max(1)));
        for LoraLayer { name, outputs, inputs, rank, a, b } in layers {
            files.push(&format!("{name}.lora_A.weight"), vec![rank, inputs], a);
            files.push(&format!("{name}.lora_B.weight"), vec![outputs, rank], b);
        }
        files
    }

    /// Writes a directory.
    ///
    /// # Errors
    /// A file cannot be written, there is no layer, or a number is none.
    pub fn save(&self, directory: &Path, base: &str, ranks: PeftRanks) -> Result<(), TrainError> {
        self.files(ranks).save(directory, base)
    }

    /// The settings that LoRA alone has.
    fn config(&self, layers: &[LoraLayer], most: usize) -> Value {
        let alpha = |rank: usize| f64::from(self.scale) * rank as f64;
        let others = || layers.iter().filter(|layer| layer.rank != most);
        let ranks: Map<String, Value> =
            others().map(|layer| (layer.name.clone(), json!(layer.rank))).collect();
        let alphas: Map<String, Value> =
            others().map(|layer| (layer.name.clone(), json!(alpha(layer.rank)))).collect();
        json!({
            "r": most, "lora_alpha": alpha(most), "lora_dropout": 0.0, "use_rslora": false, "use_dora": false,
            "init_lora_weights": true, "rank_pattern": ranks, "alpha_pattern": alphas,
        })
    }

    /// Reads a directory.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else than LoRA of linear layers.
    pub fn open(directory: &Path) -> Result<LoraWeights, TrainError> {
        let path = directory.join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(|source| TrainError::file(&path, source))?;
        let config: Value = serde_json::from_str(&text).map_err(|error| form(&path, error.to_string()))?;
        if config["peft_type"] != "LORA" || config["use_dora"] == true {
            return Err(form(&path, "only LoRA without DoRA is read".into()));
        }
        let rank = config["r"].as_u64().filter(|rank| *rank > 0);
        let (Some(rank), Some(alpha)) = (rank, config["lora_alpha"].as_f64()) else {
            return Err(form(&path, "`r` or `lora_alpha` is not a number".into()));
        };
        let over = if config["use_rslora"] == true { (rank as f64).sqrt() } else { rank as f64 };
        let scale = (alpha / over) as f32;
        let layers = read_layers(&directory.join(WEIGHTS))?;
        for layer in &layers {
            let own = config["alpha_pattern"][&layer.name].as_f64().unwrap_or(alpha) as f32;
            let listed = config["rank_pattern"][&layer.name].as_u64().unwrap_or(rank) as usize;
            let scaled = (own - scale * layer.rank as f32).abs() <= 1e-5 * own.abs().max(1.0);
            if listed != layer.rank || !scaled && config["use_rslora"] != true {
                let problem =
                    format!("`{}` has rank {} in {WEIGHTS}, or a scale of its own", layer.name, layer.rank);
                return Err(form(&path, problem));
            }
        }
        Ok(LoraWeights { layers, scale })
    }

    /// Puts the adapter on a model, frozen as it is.
    ///
    /// # Errors
    /// The model has no such layers, or of other shapes.
    pub fn put_into(&self, parameters: &mut Parameters, model: &mut dyn Adaptable) -> Result<(), TrainError> {
        let names = Targets::Names(self.layers.iter().map(|layer| layer.name.clone()).collect());
        let shared = Arc::new(Shared::default());
        for linear in choose(model, &names)? {
            let Some(layer) = self.layers.iter().find(|layer| layer.name == linear.name) else { continue };
            if (layer.outputs, layer.inputs) != (linear.outputs, linear.inputs) {
                return Err(TrainError::Model(format!(
                    "the adapter has `{}` of {} × {}, the model of {} × {}",
                    layer.name, layer.outputs, layer.inputs, linear.outputs, linear.inputs
                )));
            }
            if layer.rank == 0 {
                continue;
            }
            let mut add = |part: &str, shape, values: &Vec<f32>| {
                let name = super::lora::free(parameters, format!("{}.{part}.weight", layer.name));
                let id = parameters.add(name, shape, values.clone());
                parameters[id].trainable = false;
                id
            };
            linear.adapter = Some(Arc::new(LowRank {
                a: add("lora_A", (layer.rank, layer.inputs), &layer.a),
                b: add("lora_B", (layer.outputs, layer.rank), &layer.b),
                scale: self.scale,
                dropout: 0.0,
                place: 0,
                shared: shared.clone(),
            }));
        }
        Ok(())
    }
}

/// A shape and its numbers.
type Matrix = (Vec<usize>, Vec<f32>);

fn read_layers(path: &Path) -> Result<Vec<LoraLayer>, TrainError> {
    let mut halves: BTreeMap<String, [Option<Matrix>; 2]> = BTreeMap::new();
    for (name, shape, values) in SafetensorsSource::open(path)?.into_tensors() {
        let stem = name.strip_prefix(PREFIX).unwrap_or(&name);
        let half = [".lora_A.weight", ".lora_B.weight"]
            .iter()
            .enumerate()
            .find_map(|(half, end)| stem.strip_suffix(end).map(|layer| (half, layer)));
        let Some((half, layer)) = half else {
            return Err(form(path, format!("`{name}` is no matrix of LoRA of a linear layer")));
        };
        halves.entry(layer.into()).or_default()[half] = Some((shape, values));
    }
    let mut layers = Vec::new();
    for (name, halves) in halves {
        match halves {
            [Some((a_shape, a)), Some((b_shape, b))]
                if a_shape.len() == 2 && b_shape.len() == 2 && a_shape[0] == b_shape[1] =>
            {
                let (outputs, inputs, rank) = (b_shape[0], a_shape[1], a_shape[0]);
                layers.push(LoraLayer { name, outputs, inputs, rank, a, b });
            }
            _ => return Err(form(path, format!("`{name}` lacks A or B, or their ranks differ"))),
        }
    }
    Ok(layers)
}
