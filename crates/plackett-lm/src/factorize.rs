//! Writes a copy of an encoder or a decoder whose linear layers are two factors; what the factors are, is found elsewhere.

use crate::decoder::{DecoderModel, DecoderOptions};
use crate::encoder::model::{EncoderModel, EncoderOptions};
use crate::error::LmError;
use crate::family::decoder_families::{PREFIXES, SUPPORTED_DECODERS};
use crate::family::encoder_families::FACTORIZABLE;
use crate::files::config::JsonFile;
use crate::files::factors::LED_UNIT;
use crate::files::int8_format::FORMAT_KEY;
use crate::files::model_copy::{check_target, copy_model};
use crate::files::stored_tensors::{StoredTensor, write_tensors};
use crate::files::weights::WeightSet;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// A linear layer with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearWeight {
    /// Its name, without that of a tensor.
    pub name: String,
    /// The layer of the model that it belongs to, from 0.
    pub layer: usize,
    /// Numbers out.
    pub outputs: usize,
    /// Numbers in.
    pub inputs: usize,
    /// outputs × inputs, row-major.
    pub weight: Vec<f32>,
    /// One number an output, where it has a bias.
    pub bias: Option<Vec<f32>>,
}

/// The linear layers of attention and feed-forward networks of an encoder or a decoder, and what it has besides.
#[derive(Clone, Debug)]
pub struct ModelLinears {
    /// The linear layers, in the order of the model's layers.
    pub linears: Vec<LinearWeight>,
    /// Layers of the model.
    pub depth: usize,
    /// Numbers of a token between layers.
    pub hidden: usize,
    /// Numbers of all tensors, embeddings and heads among them.
    pub numbers: usize,
    /// Bytes of the weights' files.
    pub bytes: usize,
}

impl ModelLinears {
    /// Reads those of a directory.
    ///
    /// # Errors
    /// It is no directory, of a family that is not read with factors, quantised, factorised already, or does not open.
    pub fn open(source: &Path) -> Result<ModelLinears, LmError> {
        let refused = |problem: &str| LmError::Argument(format!("{}: {problem}", source.display()));
        if !source.is_dir() {
            return Err(refused(
                "is no directory of safetensors weights, which alone can be factorised; give the model that it was made of",
            ));
        }
        let config = JsonFile::open(source, "config.json")?;
        let kind = config.text("model_type").unwrap_or_default();
        let is_decoder = SUPPORTED_DECODERS.contains(&kind);
        if !is_decoder && !FACTORIZABLE.contains(&kind) {
            return Err(config.unknown_architecture(&[FACTORIZABLE, SUPPORTED_DECODERS].concat()));
        }
        let weights = WeightSet::open(source)?;
        if weights.metadata(FORMAT_KEY).is_some() {
            return Err(refused(
                "is quantised, and factors of rounded numbers would keep their errors; factorise the model that it was made of, and \
                 quantise the result",
            ));
        }
        if !weights.factorized().is_empty() {
            return Err(refused("is factorised already; give the model that it was made of"));
        }
        let (depth, hidden) = sizes(source, is_decoder)?;
        let stem = match is_decoder {
            true => format!("{}layers.", weights.prefix(PREFIXES, "embed_tokens.weight")?),
            false => "encoder.layer.".to_string(),
        };
        Ok(ModelLinears {
            linears: linears(&weights, &stem)?,
            depth,
            hidden,
            numbers: count(&weights)?,
            bytes: weights.bytes(),
        })
    }
}

/// Layers of a model that opens, and numbers of a token between them.
fn sizes(source: &Path, is_decoder: bool) -> Result<(usize, usize), LmError> {
    if is_decoder {
        let options = DecoderOptions { threads: Some(1), ..DecoderOptions::default() };
        let model = DecoderModel::open(source, &options)?;
        return Ok((model.info().layers, model.info().hidden));
    }
    let options = EncoderOptions { threads: Some(1), ..EncoderOptions::default() };
    let model = EncoderModel::open(source, &options)?;
    Ok((model.info().layers, model.info().hidden))
}

fn count(weights: &WeightSet) -> Result<usize, LmError> {
    let mut numbers = 0;
    for name in weights.names() {
        let tensor = weights.tensor(name)?;
        if tensor.is_float() {
            numbers += tensor.shape().iter().product::<usize>();
        }
    }
    Ok(numbers)
}

fn linears(weights: &WeightSet, stem: &str) -> Result<Vec<LinearWeight>, LmError> {
    let mut linears = Vec::new();
    for tensor_name in weights.names() {
        let Some((name, layer)) = linear_of(tensor_name, stem) else { continue };
        let tensor = weights.tensor(tensor_name)?;
        // Norms have one dimension.
        let &[outputs, inputs] = tensor.shape() else { continue };
        let bias = format!("{name}.bias");
        let bias = weights.has(&bias).then(|| weights.f32(&bias, &[outputs])).transpose()?;
        let name = name.to_string();
        linears.push(LinearWeight { name, layer, outputs, inputs, weight: tensor.to_f32()?, bias });
    }
    linears.sort_by(|a, b| (a.layer, &a.name).cmp(&(b.layer, &b.name)));
    Ok(linears)
}

/// The layer that a weight may be of, and its place in the model, behind `stem`: of `bert.encoder.layer.3.output.dense.weight` the name
/// before the last dot, and 3.
fn linear_of<'t>(tensor: &'t str, stem: &str) -> Option<(&'t str, usize)> {
    let name = tensor.strip_suffix(".weight")?;
    let (_, rest) = name.split_once(stem)?;
    let layer = rest.split('.').next()?.parse().ok()?;
    Some((name, layer))
}

/// What takes the place of a linear layer's weight and bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// Numbers between the factors, at least 1.
    pub rank: usize,
    /// rank × inputs.
    pub down: Vec<f32>,
    /// outputs × rank.
    pub up: Vec<f32>,
    /// One number an output, where the layer has a bias.
    pub bias: Option<Vec<f32>>,
}

impl Factors {
    /// Refuses factors that do not make up the weight and bias of a layer.
    fn check(&self, layer: &str, weights: &WeightSet) -> Result<(), LmError> {
        let tensor = weights.tensor(&format!("{layer}.weight"))?;
        let has_bias = weights.has(&format!("{layer}.bias"));
        if let &[outputs, inputs] = tensor.shape() {
            let whole = self.rank > 0
                && self.down.len() == self.rank * inputs
                && self.up.len() == outputs * self.rank;
            if whole && self.bias.as_ref().map(Vec::len) == has_bias.then_some(outputs) {
                return Ok(());
            }
        }
        let shape = tensor.shape();
        let problem = format!("factors of `{layer}` do not make up its weight of {shape:?} and its bias");
        Err(LmError::Argument(problem))
    }

    fn tensors(&self, layer: &str) -> Vec<StoredTensor<'static>> {
        let stored = |part: &str, shape: Vec<usize>, values: &[f32]| {
            StoredTensor::of_f32(format!("{layer}.{LED_UNIT}.{part}"), shape, values)
        };
        let (inputs, outputs) = (self.down.len() / self.rank, self.up.len() / self.rank);
        let mut tensors = vec![
            stored("0.weight", vec![self.rank, inputs], &self.down),
            stored("1.weight", vec![outputs, self.rank], &self.up),
        ];
        tensors.extend(self.bias.iter().map(|bias| stored("1.bias", vec![outputs], bias)));
        tensors
    }
}

/// Writes a copy of a model in which layers, by their names, are stored as factors (f32); all other tensors stay as they are. `card` is
/// what its README.md says. Gives the bytes of the weights' file.
///
/// The target is made beside its place and renamed, so that a directory of this name is always whole.
///
/// # Errors
/// A name is no layer of the source, or factors are not of its shape; the target exists; the disk.
pub fn write_factors(
    source: &Path,
    target: &Path,
    factors: &BTreeMap<String, Factors>,
    card: &str,
) -> Result<usize, LmError> {
    check_target(target)?;
    let weights = WeightSet::open(source)?;
    for (layer, own) in factors {
        own.check(layer, &weights)?;
    }
    copy_model(source, target, |file| {
        write(&weights, factors, file)?;
        let readme = file.with_file_name("README.md");
        std::fs::write(&readme, card).map_err(LmError::io(&readme))?;
        Ok(std::fs::metadata(file).map_err(LmError::io(file))?.len() as usize)
    })
}

fn write(weights: &WeightSet, factors: &BTreeMap<String, Factors>, path: &Path) -> Result<(), LmError> {
    let mut stored: Vec<StoredTensor<'_>> = Vec::new();
    for name in weights.names() {
        let (layer, part) = name.rsplit_once('.').unwrap_or((name, ""));
        match (factors.get(layer), part) {
            (Some(own), "weight") => stored.extend(own.tensors(layer)),
            (Some(_), "bias") => {}
            _ => {
                let tensor = weights.tensor(name)?;
                let (dtype, bytes) = tensor.stored();
                let (name, shape, bytes) = (name.to_string(), tensor.shape().to_vec(), Cow::Borrowed(bytes));
                stored.push(StoredTensor { name, dtype, shape, bytes });
            }
        }
    }
    write_tensors(&stored, &[], path)
}
