//! The file of an adapter: what was learned, and what everything else follows from. Matrices that follow from the seed are
//! not in it, so that a variant of NOLA has a few kilobytes.

use super::basis::GENERATOR;
use super::{Adaptable, Attached, SparseDifference, Targets, parse};
use crate::TrainError;
use crate::files::write_whole;
use crate::tape::{ParameterId, Parameters};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

const FORMAT: &str = "plackett-adapter/1";

/// The only entry of the file's metadata: of several the order, and so the file's bytes, would not be the same each time.
const HEADER: &str = "plackett_adapter";
const COEFFICIENTS: &str = "coefficients";
const HEAD: &str = "head.";

/// Options that change how fast an adapter is or how it is trained, and nothing of what was learned.
const FREE: &[&str] = &["cache", "chunk", "form", "dropout"];

/// What stands in the head of an adapter's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterHeader {
    /// The form of the file.
    format: String,
    /// The adapter as a training file writes it.
    pub adapter: String,
    /// Which layers it is for.
    pub targets: String,
    /// What its draws follow from.
    pub seed: u64,
    /// Names and shapes of the layers: `NAME OUTPUTS INPUTS`.
    pub layers: Vec<String>,
    /// The generator of the draws, and the first of them as a checksum; nothing where nothing is drawn again.
    pub basis: Option<(String, String)>,
    /// SHA-256 of the weights of the layers that it was learned on; `None` in files of before there was such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Heads that come with the adapter.
    #[serde(skip)]
    pub heads: Vec<String>,
}

/// An adapter's file.
struct File {
    header: AdapterHeader,
    coefficients: Vec<f32>,
    heads: Vec<(String, Vec<f32>)>,
}

impl AdapterHeader {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// It cannot be read, or is no adapter's file.
    pub fn read(path: &Path) -> Result<AdapterHeader, TrainError> {
        Ok(File::read(path)?.header)
    }
}

impl File {
    fn read(path: &Path) -> Result<File, TrainError> {
        let bytes = std::fs::read(path).map_err(|source| TrainError::file(path, source))?;
        let form = |problem: String| TrainError::Form { path: path.into(), problem };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| form(error.to_string()))?;
        let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(HEADER));
        let header = header.ok_or_else(|| form(format!("is no adapter's file: it has no `{HEADER}`")))?;
        let header: AdapterHeader = serde_json::from_str(header).map_err(|error| form(error.to_string()))?;
        if header.format != FORMAT {
            return Err(form(format!("is of the form `{}`, and `{FORMAT}` is read", header.format)));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| form(error.to_string()))?;
        let mut file = File { header, coefficients: Vec::new(), heads: Vec::new() };
        for (name, view) in tensors.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(form(format!("`{name}` is {:?}, and f32 is expected", view.dtype())));
            }
            let chunks = view.data().as_chunks().0.iter();
            let values: Vec<f32> = chunks.map(|bytes| f32::from_le_bytes(*bytes)).collect();
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return Err(form(format!("number {at} of `{name}` is {}", values[at])));
            }
            match name.strip_prefix(HEAD) {
                Some(head) => file.heads.push((head.to_string(), values)),
                None => file.coefficients = values,
            }
        }
        file.heads.sort_by(|a, b| a.0.cmp(&b.0));
        file.header.heads = file.heads.iter().map(|(name, _)| name.clone()).collect();
        Ok(file)
    }
}

/// Puts the adapter of a file on a model, with the heads that come with it.
///
/// # Errors
/// The file cannot be read or was made for a model of other shapes or weights, or another generator draws here than there.
pub fn open(
    path: &Path,
    parameters: &mut Parameters,
    model: &mut dyn Adaptable,
) -> Result<Attached, TrainError> {
    let header = AdapterHeader::read(path)?;
    let form = |error: TrainError| TrainError::Form { path: path.into(), problem: error.to_string() };
    let configured = parse(&header.adapter).map_err(form)?;
    let targets = Targets::parse(&header.targets);
    let is_head = |name: &str| header.heads.iter().any(|head| head == name);
    let mut attached = configured.attach(parameters, model, &targets, header.seed, is_head).map_err(form)?;
    match attached.load(parameters, path) {
        Ok(()) => Ok(attached),
        Err(error) => {
            attached.detach(model);
            Err(error)
        }
    }
}

impl Attached {
    /// What stands in the head of its file.
    fn header(&self) -> AdapterHeader {
        let layers =
            self.sites().iter().map(|site| format!("{} {} {}", site.name, site.outputs, site.inputs));
        AdapterHeader {
            format: FORMAT.into(),
            adapter: self.configured.to_string(),
            targets: self.targets.to_string(),
            seed: self.seed,
            layers: layers.collect(),
            basis: self.method.basis_check().map(|check| (GENERATOR.to_string(), check)),
            base: Some(self.base_hash().to_string()),
            heads: Vec::new(),
        }
    }

    /// Writes what was learned, and these heads whole; of a sparse fine-tuning the difference, with all heads. The file takes its name when it is whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(
        &self,
        parameters: &Parameters,
        path: &Path,
        heads: &[ParameterId],
    ) -> Result<(), TrainError> {
        if let Some(difference) = self.method.difference(parameters) {
            return difference.save(path);
        }
        let form = |problem: String| TrainError::Form { path: path.into(), problem };
        let bytes = |id: &ParameterId| parameters[*id].value.iter().flat_map(|x| x.to_le_bytes());
        let own: Vec<u8> = self.parameters().iter().flat_map(bytes).collect();
        let mut tensors = vec![(COEFFICIENTS.to_string(), vec![own.len() / 4], own)];
        for id in heads {
            let head = &parameters[*id];
            let bytes = bytes(id).collect();
            tensors.push((format!("{HEAD}{}", head.name), vec![head.rows, head.columns], bytes));
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            view.map(|view| (name.clone(), view)).map_err(|error| form(error.to_string()))
        });
        let views = views.collect::<Result<Vec<_>, _>>()?;
        let header = serde_json::to_string(&self.header()).map_err(|error| form(error.to_string()))?;
        let bytes = safetensors::serialize(views, Some(HashMap::from([(HEADER.to_string(), header)])));
        write_whole(path, &bytes.map_err(|error| form(error.to_string()))?)
    }

    /// Takes over what was learned in a file that was made for layers of the same names, shapes and weights, with the same options and,
    /// where matrices follow from it, the same seed; and heads, where the model has them. The difference of a sparse fine-tuning is added to the
    /// weights that it was made from, so that to load it a second time is refused.
    ///
    /// # Errors
    /// The file cannot be read, or was made for something else; the message says for what.
    pub fn load(&mut self, parameters: &mut Parameters, path: &Path) -> Result<(), TrainError> {
        if self.method.trains_base() {
            let difference = SparseDifference::open(path)?;
            // Of another architecture it is the names that are wrong, and not the weights.
            difference.check(parameters, true)?;
            difference.check_base(parameters)?;
            return difference.apply(parameters, true);
        }
        if self.is_merged() {
            return Err(self.unable("is merged into the weights; unmerge it before another one is loaded"));
        }
        let file = File::read(path)?;
        let form = |problem: String| TrainError::Form { path: path.into(), problem };
        self.check(&file.header).map_err(form)?;
        let own: usize = self.parameters().iter().map(|id| parameters[*id].value.len()).sum();
        if file.coefficients.len() != own {
            let problem = format!("has {} numbers, and the adapter {own}", file.coefficients.len());
            return Err(form(problem));
        }
        let mut heads = Vec::new();
        for (name, values) in &file.heads {
            let id = parameters.find(name).filter(|id| parameters[*id].value.len() == values.len());
            heads.push((
                id.ok_or_else(|| {
                    form(format!("has the head `{name}` of {} numbers, and the model has not", values.len()))
                })?,
                values,
            ));
        }
        for (id, values) in heads {
            parameters[id].values_mut().copy_from_slice(values);
        }
        let mut rest = &file.coefficients[..];
        for id in self.parameters().to_vec() {
            let values = parameters[id].values_mut();
            let (first, others) = rest.split_at(values.len());
            values.copy_from_slice(first);
            rest = others;
        }
        self.method.loaded(parameters);
        Ok(())
    }

    /// Whether a file's adapter is this one.
    fn check(&self, header: &AdapterHeader) -> Result<(), String> {
        let own = self.header();
        let unlike = own.layers.iter().zip(&header.layers).find(|(own, file)| own != file);
        if let Some((own, file)) = unlike {
            return Err(format!("was made for the layer `{file}`, and the model has `{own}` in its place"));
        }
        if own.layers.len() != header.layers.len() {
            let (file, own) = (header.layers.len(), own.layers.len());
            return Err(format!("was made for {file} layers, and the model has {own}"));
        }
        let options = parse(&header.adapter).map_err(|error| error.to_string())?;
        let fixed = |configured: &super::Configured| -> Vec<(&'static str, String)> {
            configured.options.all().filter(|(name, _)| !FREE.contains(name)).collect()
        };
        if options.spec.name != self.configured.spec.name || fixed(&options) != fixed(&self.configured) {
            return Err(format!("holds `{}`, and the model has `{}`", header.adapter, own.adapter));
        }
        if header.base.is_some() && header.base != own.base {
            return Err("was learned on another base: the layers have the same names and shapes and other weights; use the base that \
                        it was learned with"
                .into());
        }
        let (Some((generator, check)), Some((own_generator, own_check))) = (&header.basis, &own.basis) else {
            return Ok(());
        };
        if header.seed != self.seed {
            return Err(format!(
                "draws from the seed {}, and the adapter here from {}; open the file as an adapter of its own",
                header.seed, self.seed
            ));
        }
        match generator == own_generator && check == own_check {
            true => Ok(()),
            false => Err(format!(
                "was made with the generator {generator}, whose first numbers have the checksum {check}; those of \
                 {own_generator} here have {own_check}, and so mean other weights"
            )),
        }
    }
}
