//! Tensors by name from one or more memory-mapped safetensors files.

use crate::error::{Described, LmError};
use crate::files::safetensors::{Header, TABLE_START, read_header};
use half::{bf16, f16};
use plackett_kernel::{Isa, Linear, Precision, unrotate};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, TensorInfo, TensorView};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The suffix under which a quantised matrix keeps the scale of each row.
pub(crate) const SCALE_SUFFIX: &str = "_scale";

/// A tensor that is in memory: its name, its shape and its numbers, row-major.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

struct File {
    path: PathBuf,
    bytes: Arc<memmap2::Mmap>,
    header: Header,
}

/// All tensors of a model directory.
pub(crate) struct WeightSet {
    /// The file that lists the tensors, and where in it the list begins.
    list: (PathBuf, u64),
    /// What says which tensors there should be.
    described: Described,
    files: Vec<File>,
    /// Names of the biases of numbered layers, without the numbers.
    biases: BTreeSet<String>,
}

/// The bytes of one tensor.
pub(crate) struct Tensor<'a> {
    file: &'a File,
    name: String,
    info: &'a TensorInfo,
    described: Described,
}

impl WeightSet {
    /// Maps `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
    pub(crate) fn open(directory: &Path) -> Result<WeightSet, LmError> {
        let mut names = vec!["model.safetensors".to_string()];
        let mut list = (directory.join(&names[0]), TABLE_START);
        let index = directory.join("model.safetensors.index.json");
        if !list.0.exists() && index.exists() {
            let start;
            (names, start) = shards(&index)?;
            list = (index, start);
        }
        let mut files: Vec<File> = Vec::new();
        for name in names {
            let path = directory.join(&name);
            if !path.exists() {
                return Err(LmError::MissingFile { directory: directory.to_path_buf(), file: name });
            }
            let file = map(path)?;
            for other in &files {
                other.share_nothing(&file)?;
            }
            files.push(file);
        }
        Ok(WeightSet::new(list, Described::Config, files))
    }

    /// Maps the one file of an adapter.
    pub(crate) fn single(path: &Path) -> Result<WeightSet, LmError> {
        let files = vec![map(path.to_path_buf())?];
        Ok(WeightSet::new((path.to_path_buf(), TABLE_START), Described::AdapterConfig, files))
    }

    /// Tensors that were never on disk; `path` is for messages. Each has a file of its own, so that the numbers of a matrix do not stay beside
    /// those that are packed.
    pub(crate) fn of_tensors(path: PathBuf, tensors: &[NamedTensor]) -> Result<WeightSet, LmError> {
        let mut files: Vec<File> = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let bytes = one_tensor(tensor)?;
            let mut copy = memmap2::MmapMut::map_anon(bytes.len()).map_err(LmError::io(&path))?;
            copy.copy_from_slice(&bytes);
            let bytes = Arc::new(copy.make_read_only().map_err(LmError::io(&path))?);
            let header = read_header(&bytes, &path)?;
            let file = File { path: path.clone(), bytes, header };
            for other in &files {
                other.share_nothing(&file)?;
            }
            files.push(file);
        }
        Ok(WeightSet::new((path, TABLE_START), Described::Config, files))
    }

    fn new(list: (PathBuf, u64), described: Described, files: Vec<File>) -> WeightSet {
        let names = files.iter().flat_map(|file| file.header.tensors.keys());
        let biases = names.filter_map(|name| bias_of_any_layer(name)).collect();
        WeightSet { list, described, files, biases }
    }

    /// Whether a tensor exists.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.header.tensors.contains_key(name))
    }

    /// Names of all tensors, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.files.iter().flat_map(|file| file.header.tensors.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names
    }

    /// Text fields of the headers.
    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        self.files.iter().find_map(|file| file.header.metadata.get(key)).map(String::as_str)
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> usize {
        self.files.iter().map(|file| file.bytes.len()).sum()
    }

    /// The first of some prefixes under which a tensor exists.
    pub(crate) fn prefix<'p>(&self, prefixes: &[&'p str], tensor: &str) -> Result<&'p str, LmError> {
        prefixes
            .iter()
            .find(|prefix| self.has(&format!("{prefix}{tensor}")))
            .copied()
            .ok_or_else(|| self.missing(&format!("{}{tensor}", prefixes.first().unwrap_or(&""))))
    }

    fn missing(&self, tensor: &str) -> LmError {
        let (path, offset) = self.list.clone();
        LmError::MissingTensor { path, offset, tensor: tensor.to_string(), described: self.described }
    }

    /// A tensor whatever its shape.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor<'_>, LmError> {
        self.files
            .iter()
            .find_map(|file| {
                let info = file.header.tensors.get(name)?;
                Some(Tensor { file, name: name.to_string(), info, described: self.described })
            })
            .ok_or_else(|| self.missing(name))
    }

    /// A tensor of one shape as f32.
    pub(crate) fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmError> {
        let tensor = self.tensor(name)?;
        tensor.expect(shape)?;
        if tensor.info.dtype != Dtype::I8 {
            return tensor.to_f32();
        }
        let rows = shape.first().copied().unwrap_or(1);
        let scales = self.f32(&format!("{name}{SCALE_SUFFIX}"), &[rows])?;
        let width = shape[1..].iter().product::<usize>().max(1);
        let values = tensor.bytes().iter().enumerate().map(|(i, b)| *b as i8 as f32 * scales[i / width]);
        let mut values: Vec<f32> = values.collect();
        values.chunks_exact_mut(width).for_each(|row| unrotate(Isa::detect(), row));
        Ok(values)
    }

    /// Whether there is such a bias, or another layer has its like, so that this one lacks it.
    pub(crate) fn wants_bias(&self, name: &str) -> bool {
        self.has(name) || bias_of_any_layer(name).is_some_and(|any| self.biases.contains(&any))
    }

    /// A vector, or an empty one when the model has none of this name and no other layer has its like.
    pub(crate) fn optional(&self, name: &str, length: usize) -> Result<Vec<f32>, LmError> {
        if self.wants_bias(name) { self.f32(name, &[length]) } else { Ok(Vec::new()) }
    }

    /// One dense layer from `{name}.weight` and `{name}.bias` of each name, outputs side by side.
    pub(crate) fn linear(
        &self,
        names: &[String],
        outputs: usize,
        inputs: usize,
        precision: Precision,
    ) -> Result<Linear, LmError> {
        let mut bias = Vec::new();
        for name in names {
            self.tensor(&format!("{name}.weight"))?.expect(&[outputs, inputs])?;
            let own = self.optional(&format!("{name}.bias"), outputs)?;
            bias.extend(if own.is_empty() { vec![0.0; outputs] } else { own });
        }
        self.matrix(names, (outputs, inputs), &bias, precision)
    }

    /// The same with a bias that is given: as many numbers as there are outputs in all, or none.
    pub(crate) fn matrix(
        &self,
        names: &[String],
        (outputs, inputs): (usize, usize),
        bias: &[f32],
        precision: Precision,
    ) -> Result<Linear, LmError> {
        let mut stored_int8 = true;
        for name in names {
            let tensor = self.tensor(&format!("{name}.weight"))?;
            tensor.expect(&[outputs, inputs])?;
            stored_int8 &= tensor.info.dtype == Dtype::I8;
        }
        let total = outputs * names.len();
        if stored_int8 && precision != Precision::F32 {
            let (mut rows, mut scales) = (Vec::with_capacity(total * inputs), Vec::with_capacity(total));
            for name in names {
                rows.extend(self.tensor(&format!("{name}.weight"))?.bytes().iter().map(|b| *b as i8));
                scales.extend(self.f32(&format!("{name}.weight{SCALE_SUFFIX}"), &[outputs])?);
            }
            return Ok(Linear::from_i8(&rows, &scales, bias, total, inputs));
        }
        let mut weight = Vec::with_capacity(total * inputs);
        for name in names {
            weight.extend(self.f32(&format!("{name}.weight"), &[outputs, inputs])?);
        }
        Ok(match precision {
            Precision::Int8 => Linear::quantized(&weight, bias, total, inputs),
            _ => Linear::from_f32(&weight, bias, total, inputs),
        })
    }

    /// A table of vectors, left in the file.
    pub(crate) fn table(&self, name: &str, width: usize) -> Result<Table, LmError> {
        let tensor = self.tensor(name)?;
        let rows = tensor.info.shape.first().copied().unwrap_or(0);
        // A table without rows is as wrong as one of another width.
        tensor.expect(&[rows.max(1), width])?;
        let scales = match tensor.info.dtype {
            Dtype::I8 => self.f32(&format!("{name}{SCALE_SUFFIX}"), &[rows])?,
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => Vec::new(),
            _ => return Err(tensor.bad_type()),
        };
        let start = tensor.start();
        Ok(Table { file: tensor.file.bytes.clone(), start, dtype: tensor.info.dtype, rows, width, scales })
    }
}

/// The safetensors file of a tensor.
fn one_tensor((name, shape, values): &NamedTensor) -> Result<Vec<u8>, LmError> {
    let wrong = |error: SafeTensorError| LmError::Argument(format!("the tensor `{name}`: {error}"));
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, shape.clone(), &bytes).map_err(wrong)?;
    safetensors::serialize([(name.as_str(), view)], None).map_err(wrong)
}

/// The name of a bias without the numbers of layers: `layer.*.output.dense.bias`. `None` for any other tensor.
pub(crate) fn bias_of_any_layer(name: &str) -> Option<String> {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let name = name.strip_suffix(".bias")?;
    let parts: Vec<&str> = name.split('.').map(|part| if number(part) { "*" } else { part }).collect();
    parts.contains(&"*").then(|| parts.join("."))
}

/// Names of the files that an index lists, and where in it the list begins.
pub(crate) fn shards(index: &Path) -> Result<(Vec<String>, u64), LmError> {
    let text = std::fs::read_to_string(index).map_err(LmError::io(index))?;
    let bad = |problem: String| LmError::Config { path: index.to_path_buf(), problem };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| bad(format!("not JSON: {e}")))?;
    let map = value.get("weight_map").and_then(|m| m.as_object());
    let map = map.ok_or_else(|| bad("no object `weight_map`; fetch the index again".into()))?;
    let mut names = Vec::new();
    for name in map.values() {
        let name =
            name.as_str().ok_or_else(|| bad("`weight_map` holds something other than file names".into()))?;
        if Path::new(name).components().count() != 1 || name.starts_with('.') {
            return Err(bad(format!("`weight_map` names `{name}`, which is not a file of this directory")));
        }
        if !names.iter().any(|n| n == name) {
            names.push(name.to_string());
        }
    }
    names.sort();
    let start = crate::files::json_offsets::of_key(text.as_bytes(), "weight_map").unwrap_or(0);
    Ok((names, start as u64))
}

/// Maps a file of weights.
pub(crate) fn map_file(path: &Path) -> Result<Arc<memmap2::Mmap>, LmError> {
    let file = std::fs::File::open(path).map_err(LmError::io(path))?;
    // SAFETY: weights are only read, as bytes. Whoever truncates a model file under a running process ends it, as with
    // every memory-mapped model.
    #[allow(unsafe_code)]
    let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(LmError::io(path))?;
    Ok(Arc::new(bytes))
}

fn map(path: PathBuf) -> Result<File, LmError> {
    let bytes = map_file(&path)?;
    let header = read_header(&bytes, &path)?;
    Ok(File { path, bytes, header })
}

impl File {
    /// Refuses another file with a tensor that this one has.
    fn share_nothing(&self, other: &File) -> Result<(), LmError> {
        let mut twice = other.header.tensors.keys().filter(|name| self.header.tensors.contains_key(*name));
        let Some(name) = twice.next() else { return Ok(()) };
        Err(LmError::Weights {
            path: other.path.clone(),
            offset: TABLE_START,
            tensor: Some(name.clone()),
            problem: format!("{} has it too", self.path.display()),
        })
    }
}

impl<'a> Tensor<'a> {
    /// Type and bytes as they are stored.
    pub(crate) fn stored(&self) -> (Dtype, &'a [u8]) {
        (self.info.dtype, self.bytes())
    }

    /// Where the data begin in the file.
    fn start(&self) -> usize {
        self.file.header.data_start + self.info.data_offsets.0
    }

    fn bytes(&self) -> &'a [u8] {
        let (start, end) = self.info.data_offsets;
        &self.file.bytes[self.start()..][..end - start]
    }

    /// Dimensions.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.info.shape
    }

    /// Refuses another shape.
    pub(crate) fn expect(&self, shape: &[usize]) -> Result<(), LmError> {
        if self.info.shape == shape {
            return Ok(());
        }
        Err(LmError::Shape {
            path: self.file.path.clone(),
            offset: self.start() as u64,
            tensor: self.name.clone(),
            expected: shape.to_vec(),
            found: self.info.shape.clone(),
            described: self.described,
        })
    }

    fn bad_type(&self) -> LmError {
        LmError::DataType {
            path: self.file.path.clone(),
            offset: self.start() as u64,
            tensor: self.name.clone(),
            found: format!("{:?}", self.info.dtype),
        }
    }

    /// Whether it holds floating point numbers.
    pub(crate) fn is_float(&self) -> bool {
        matches!(self.info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }

    /// All numbers, row-major.
    pub(crate) fn to_f32(&self) -> Result<Vec<f32>, LmError> {
        if !self.is_float() {
            return Err(self.bad_type());
        }
        let mut values = vec![0.0; self.info.shape.iter().product()];
        read_floats(self.info.dtype, self.bytes(), &mut values);
        Ok(values)
    }
}

fn read_floats(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F32 => {
            for (x, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
        }
        Dtype::F16 => {
            for (x, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *x = f16::from_le_bytes([b[0], b[1]]).to_f32();
            }
        }
        _ => {
            for (x, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *x = bf16::from_le_bytes([b[0], b[1]]).to_f32();
            }
        }
    }
}

/// A matrix of which single rows are read: word, position and type embeddings.
pub(crate) struct Table {
    file: Arc<memmap2::Mmap>,
    start: usize,
    dtype: Dtype,
    rows: usize,
    width: usize,
    scales: Vec<f32>,
}

impl Table {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Copies row `index`, which is below [`Table::rows`].
    pub(crate) fn read(&self, isa: Isa, index: usize, out: &mut [f32]) {
        let size = self.width * self.dtype.bitsize() / 8;
        let bytes = &self.file[self.start + index * size..][..size];
        if self.dtype == Dtype::I8 {
            let scale = self.scales[index];
            out.iter_mut().zip(bytes).for_each(|(x, b)| *x = *b as i8 as f32 * scale);
            unrotate(isa, out);
        } else {
            read_floats(self.dtype, bytes, out);
        }
    }
}
