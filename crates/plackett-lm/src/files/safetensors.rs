//! The header of a safetensors file, checked tensor by tensor against the length of the file.
//!
//! The format is that of the `safetensors` library: eight bytes with the length of the header, the header as a JSON
//! object, then the data without gaps. It is read here because that library does not say which tensor is wrong.

use crate::error::LmError;
use crate::files::json_offsets;
use safetensors::tensor::{Dtype, TensorInfo};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Where the table of tensors begins: after the header's length.
pub(crate) const TABLE_START: u64 = 8;
/// The longest header in bytes, as in the `safetensors` library.
const LONGEST: u64 = 100_000_000;

/// What the header of a safetensors file says, checked against the length of the file.
#[derive(Debug)]
pub struct Header {
    /// Bytes before the data.
    pub data_start: usize,
    /// Tensor name, description.
    pub tensors: HashMap<String, TensorInfo>,
    /// Free text fields.
    pub metadata: HashMap<String, String>,
}

/// Reads and checks the header of safetensors bytes. `path` is for messages only.
///
/// # Errors
/// [`LmError::Weights`] with the first tensor that does not fit and the offset of its entry in the header.
pub fn read_header(bytes: &[u8], path: &Path) -> Result<Header, LmError> {
    parse(bytes).map_err(|Fault { offset, tensor, problem }| LmError::Weights {
        path: path.to_path_buf(),
        offset,
        tensor,
        problem,
    })
}

struct Fault {
    offset: u64,
    tensor: Option<String>,
    problem: String,
}

/// A tensor and where its entry begins in the file.
struct TensorEntry {
    offset: u64,
    name: String,
    info: TensorInfo,
}

impl TensorEntry {
    fn fault(&self, problem: String) -> Fault {
        Fault { offset: self.offset, tensor: Some(self.name.clone()), problem }
    }
}

fn parse(bytes: &[u8]) -> Result<Header, Fault> {
    let text = table(bytes)?;
    let (mut entries, metadata) = entries(text)?;
    let mut names = HashSet::new();
    if let Some(twice) = entries.iter().find(|entry| !names.insert(entry.name.as_str())) {
        return Err(twice.fault("it is in the header twice".into()));
    }
    entries.sort_by_key(|entry| entry.info.data_offsets);
    let data_start = TABLE_START as usize + text.len();
    check(&entries, data_start, bytes.len())?;
    let tensors = entries.into_iter().map(|entry| (entry.name, entry.info)).collect();
    Ok(Header { data_start, tensors, metadata })
}

/// The text between the length and the data.
fn table(bytes: &[u8]) -> Result<&str, Fault> {
    let fault = |offset: u64, problem: String| Fault { offset, tensor: None, problem };
    let Some((length, rest)) = bytes.split_first_chunk() else {
        let problem = format!("the file has {} bytes, a header length alone takes 8", bytes.len());
        return Err(fault(0, problem));
    };
    let length = u64::from_le_bytes(*length);
    let table = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let table = table.ok_or_else(|| {
        fault(0, format!("the header claims {length} bytes, the file has {} more", rest.len()))
    })?;
    if length > LONGEST {
        return Err(fault(0, format!("the header claims {length} bytes, {LONGEST} are the most")));
    }
    std::str::from_utf8(table).map_err(|error| {
        let at = TABLE_START + error.valid_up_to() as u64;
        fault(at, "the header is not UTF-8".into())
    })
}

fn entries(text: &str) -> Result<(Vec<TensorEntry>, HashMap<String, String>), Fault> {
    let mut found = Vec::new();
    if let Err(fault) = json_offsets::read(text, &mut found) {
        let tensor = found.last().map(|entry| entry.name.to_string()).filter(|name| name != "__metadata__");
        let problem = format!("the header is not a JSON object ({})", fault.problem);
        return Err(Fault { offset: TABLE_START + fault.at as u64, tensor, problem });
    }
    let (mut entries, mut metadata) = (Vec::with_capacity(found.len()), HashMap::new());
    for json_offsets::JsonEntry { name, at, value } in found {
        let offset = TABLE_START + at.unwrap_or(0) as u64;
        if name == "__metadata__" {
            let fields: Option<HashMap<String, String>> = serde_json::from_value(value).map_err(|error| {
                let problem = format!("`__metadata__` is not an object of texts ({error})");
                Fault { offset, tensor: None, problem }
            })?;
            metadata = fields.unwrap_or_default();
            continue;
        }
        let info =
            describe(&value).map_err(|problem| Fault { offset, tensor: Some(name.to_string()), problem })?;
        entries.push(TensorEntry { offset, name: name.into_owned(), info });
    }
    Ok((entries, metadata))
}

/// What an entry says.
fn describe(value: &Value) -> Result<TensorInfo, String> {
    let field = |key: &str| value.get(key).ok_or_else(|| format!("its entry has no `{key}`"));
    let numbers = |key: &str| -> Result<Vec<usize>, String> {
        let found = field(key)?;
        let number = |n: &Value| n.as_u64().and_then(|n| usize::try_from(n).ok());
        let all: Option<Vec<usize>> = found.as_array().and_then(|all| all.iter().map(number).collect());
        all.ok_or_else(|| format!("its `{key}` is {}, expected a list of whole numbers", short(found)))
    };
    let found = field("dtype")?;
    let dtype: Dtype = serde_json::from_value(found.clone())
        .map_err(|_| format!("its `dtype` is {}, which is no number format", short(found)))?;
    let shape = numbers("shape")?;
    match numbers("data_offsets")?[..] {
        [start, end] => Ok(TensorInfo { dtype, shape, data_offsets: (start, end) }),
        _ => Err("its `data_offsets` are not two numbers".into()),
    }
}

/// A value for a message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { text.chars().take(60).chain("…".chars()).collect() } else { text }
}

/// Checks entries in the order of their data: each as long as its shape says, one behind the other, up to the end.
fn check(entries: &[TensorEntry], data_start: usize, file: usize) -> Result<(), Fault> {
    let body = file - data_start;
    // Where the data before end, and whose they are.
    let (mut reached, mut before): (usize, Option<&TensorEntry>) = (0, None);
    for entry in entries {
        let TensorInfo { dtype, shape, data_offsets: (start, end) } = &entry.info;
        let (start, end) = (*start, *end);
        let place = |offset: usize| data_start as u128 + offset as u128;
        let Some(held) = end.checked_sub(start) else {
            return Err(entry.fault(format!("its `data_offsets` [{start}, {end}] go backwards")));
        };
        let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let bits = count.and_then(|n| n.checked_mul(dtype.bitsize()));
        let whole = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
        let size = whole.ok_or_else(|| {
            entry.fault(format!("shape {shape:?} of {dtype:?} is no whole number of bytes in memory"))
        })?;
        if size != held {
            return Err(entry.fault(format!(
                "shape {shape:?} of {dtype:?} takes {size} bytes, its `data_offsets` [{start}, {end}] hold {held}"
            )));
        }
        if end > body {
            return Err(entry.fault(format!(
                "its data are bytes {} to {}, the file ends at {file}",
                place(start),
                place(end)
            )));
        }
        match before {
            Some(other) if start < reached => {
                return Err(entry.fault(format!(
                    "its data begin at byte {}, inside those of tensor `{}`, which end at {}",
                    place(start),
                    other.name,
                    place(reached)
                )));
            }
            _ if start > reached => {
                return Err(entry.fault(format!(
                    "bytes {} to {} before its data belong to no tensor",
                    place(reached),
                    place(start)
                )));
            }
            _ => (reached, before) = (end, Some(entry)),
        }
    }
    if reached < body {
        let problem = format!("{} bytes from here to the end belong to no tensor", body - reached);
        let tensor = before.map(|entry| entry.name.clone());
        return Err(Fault { offset: (data_start + reached) as u64, tensor, problem });
    }
    Ok(())
}
