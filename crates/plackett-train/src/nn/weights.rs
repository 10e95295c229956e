//! Weights from files and to files.

use crate::TrainError;
use crate::tape::Parameters;
use plackett_lm::gguf::{GgufArchitecture, GgufFile, RowOrder, gguf_name, unrope_rows};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where the weights of a model come from.
pub trait WeightSource {
    /// The weight of a name, rows × columns; a vector is one row.
    ///
    /// # Errors
    /// There is none, or it has another shape.
    fn take(&mut self, name: &str, shape: (usize, usize)) -> Result<Vec<f32>, TrainError>;

    /// The rank of a linear layer that is factorised here; `None` for one with a whole weight.
    fn rank(&self, _layer: &str) -> Option<usize> {
        None
    }
}

/// The parameters of one model as the weights of another one: of its first layers, say.
#[derive(Debug)]
pub struct ParameterSource<'p>(pub &'p Parameters);

impl WeightSource for ParameterSource<'_> {
    fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
        let id = self.0.find(name);
        let id =
            id.ok_or_else(|| TrainError::Model(format!("the model has no `{name}` to be taken over")))?;
        let own = &self.0[id];
        match (own.rows, own.columns) == (rows, columns) {
            true => Ok(own.value.to_vec()),
            false => Err(TrainError::Model(format!(
                "`{name}` is {} × {}, and {rows} × {columns} are to be taken over",
                own.rows, own.columns
            ))),
        }
    }
}

/// The weights of a safetensors file.
#[derive(Debug)]
pub struct SafetensorsSource {
    path: PathBuf,
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
    /// Names of tensors of other kinds than f32, f16 and bf16.
    others: Vec<String>,
    /// What names of the model begin with that those of the file may lack.
    prefix: String,
}

impl SafetensorsSource {
    /// Reads a file of f32, f16 or bf16.
    ///
    /// # Errors
    /// It cannot be read, or is no safetensors file.
    pub fn open(path: &Path) -> Result<SafetensorsSource, TrainError> {
        SafetensorsSource::open_some(path, |_| true)
    }

    /// The same of some weights alone, by their names in the file; the others are as if they were not there.
    ///
    /// # Errors
    /// As [`SafetensorsSource::open`].
    pub fn open_some(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<SafetensorsSource, TrainError> {
        let bytes = std::fs::read(path).map_err(|source| TrainError::file(path, source))?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|error| TrainError::Form { path: path.into(), problem: error.to_string() })?;
        let (mut tensors, mut others) = (HashMap::new(), Vec::new());
        for (name, view) in file.iter().filter(|(name, _)| wanted(name)) {
            if let Some(values) = floats(&view) {
                tensors.insert(name.to_string(), (view.shape().to_vec(), values));
            } else {
                others.push(name.to_string());
            }
        }
        Ok(SafetensorsSource { path: path.into(), tensors, others, prefix: String::new() })
    }

    /// Whether there is a weight of a name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The names of the weights that were not taken, in their order: of a file that belongs to one model alone there are none.
    pub fn left(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.tensors.keys().chain(&self.others).map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// All weights by name, with their shapes, in the order of the names.
    pub fn into_tensors(self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let tensors = self.tensors.into_iter();
        let mut all: Vec<_> = tensors.map(|(name, (shape, values))| (name, shape, values)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Looks for names that begin with `prefix` without it too.
    pub fn without_prefix(mut self, prefix: &str) -> SafetensorsSource {
        self.prefix = prefix.into();
        self
    }

    /// Why a weight is not there.
    fn missing(&self, name: &str, bare: &str) -> String {
        match self.others.iter().any(|other| other == name || other == bare) {
            true => format!(
                "`{name}` is rounded or no floating-point number, and only f32, f16 and bf16 can be trained; give the model that \
                 this one was made from"
            ),
            false => format!("there is no `{name}`, which config.json asks for"),
        }
    }
}

impl WeightSource for SafetensorsSource {
    fn rank(&self, layer: &str) -> Option<usize> {
        let name = format!("{layer}.led_unit.0.weight");
        let bare = name.strip_prefix(&self.prefix).unwrap_or(&name);
        let (shape, _) = self.tensors.get(&name).or_else(|| self.tensors.get(bare))?;
        shape.first().copied()
    }

    fn take(&mut self, name: &str, shape: (usize, usize)) -> Result<Vec<f32>, TrainError> {
        let bare = name.strip_prefix(&self.prefix).unwrap_or(name);
        let found = self.tensors.remove(name).or_else(|| self.tensors.remove(bare));
        let Some((own, values)) = found else {
            return Err(TrainError::Form { path: self.path.clone(), problem: self.missing(name, bare) });
        };
        let fits = own == [shape.0, shape.1] || shape.0 == 1 && own == [shape.1];
        if !fits {
            return Err(TrainError::Form {
                path: self.path.clone(),
                problem: format!("`{name}` is {own:?}, and config.json asks for {shape:?}"),
            });
        }
        Ok(values)
    }
}

/// The weights of a GGUF file of a decoder, its blocks as f32.
pub struct GgufSource {
    file: GgufFile,
    architecture: GgufArchitecture,
}

impl GgufSource {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read, or is no model that is known.
    pub fn open(path: &Path) -> Result<GgufSource, TrainError> {
        let failed =
            |error: plackett_lm::LmError| TrainError::Form { path: path.into(), problem: error.to_string() };
        let file = GgufFile::open(path).map_err(failed)?;
        let architecture = GgufArchitecture::read(&file).map_err(failed)?;
        Ok(GgufSource { file, architecture })
    }

    /// The file itself, for its tokenizer.
    pub fn file(&self) -> &GgufFile {
        &self.file
    }

    /// Its numbers.
    pub fn architecture(&self) -> &GgufArchitecture {
        &self.architecture
    }
}

impl WeightSource for GgufSource {
    fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
        let failed = |problem: String| TrainError::Form { path: self.file.path().into(), problem };
        let own = gguf_name(&self.architecture.architecture, name)
            .ok_or_else(|| failed(format!("files of this kind have no `{name}`")))?;
        let tensor = self.file.tensor(&own).map_err(|error| failed(error.to_string()))?;
        let values = tensor.to_f32().map_err(|error| failed(error.to_string()))?;
        if values.len() != rows * columns {
            let problem = format!("`{own}` is {:?}, and {rows} × {columns} are expected", tensor.shape());
            return Err(failed(problem));
        }
        let turned = name.contains("q_proj") || name.contains("k_proj");
        if !turned || self.architecture.row_order == RowOrder::Half {
            return Ok(values);
        }
        let order = unrope_rows(rows, self.architecture.head_dim);
        Ok(order.iter().flat_map(|row| values[row * columns..][..columns].iter().copied()).collect())
    }
}

/// The numbers of a tensor as f32; `None` for whole numbers and rounded ones.
fn floats(view: &TensorView) -> Option<Vec<f32>> {
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => {
            bytes.as_chunks().0.iter().map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()).collect()
        }
        Dtype::BF16 => {
            bytes.as_chunks().0.iter().map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()).collect()
        }
        _ => return None,
    })
}

/// Writes parameters as a safetensors file, under the names that `rename` gives; those without one are left out. The file
/// takes its name when it is whole.
///
/// # Errors
/// It cannot be written.
pub fn save(
    path: &Path,
    parameters: &Parameters,
    rename: impl Fn(&str) -> Option<String>,
) -> Result<(), TrainError> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (_, parameter) in parameters.iter() {
        let Some(name) = rename(&parameter.name) else { continue };
        if let Some(value) = parameter.value.iter().find(|value| !value.is_finite()) {
            return Err(TrainError::Form {
                path: path.into(),
                problem: format!(
                    "`{name}` holds {value}, which no model can use; lower the learning rate and train anew"
                ),
            });
        }
        let shape = match parameter.is_vector() {
            true => vec![parameter.columns],
            false => vec![parameter.rows, parameter.columns],
        };
        let bytes = parameter.value.iter().flat_map(|x| x.to_le_bytes()).collect();
        tensors.push((name, shape, bytes));
    }
    let failed = |problem: String| TrainError::Form { path: path.into(), problem };
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes)
                .map(|view| (name.clone(), view))
                .map_err(|error| failed(error.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| failed(error.to_string()))?;
    crate::files::write_whole(path, &bytes)
}
