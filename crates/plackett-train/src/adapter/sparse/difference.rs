//! A sparse vector over the weights of a model: saved, applied, reverted, added up.

use crate::TrainError;
use crate::adapter::site::{fingerprint, weights_hash};
use crate::files::write_whole;
use crate::tape::{Parameter, Parameters};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const FORMAT: &str = "plackett-sparse/1";

/// The only entry of the file's metadata, so that its bytes are the same each time.
const HEADER: &str = "plackett_sparse";

/// What stands in the head of a file.
#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    fingerprint: String,
    /// The weights that it was made from, those that it changes, as SHA-256; `None` in files of before there was such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    /// Rows and columns of the weights, by name.
    shapes: BTreeMap<String, (usize, usize)>,
}

/// Differences that are not greater are dropped, as the authors' code drops them.
const LEAST: f32 = 1e-7;

/// What was changed in one matrix.
#[derive(Clone, Debug, Default, PartialEq)]
struct Changes {
    /// Rows and columns of the matrix.
    shape: (usize, usize),
    /// Row-major places, rising, with the differences.
    at: Vec<(usize, f32)>,
}

impl Changes {
    /// Bytes of the first place and the distances after it, counted down the columns, and of the values in this order; `None`
    /// where a distance needs more than 32 bits.
    fn encode(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (rows, columns) = self.shape;
        let mut places: Vec<(usize, f32)> =
            self.at.iter().map(|(at, x)| (at % columns * rows + at / columns, *x)).collect();
        places.sort_by_key(|(place, _)| *place);
        let mut before = 0;
        let mut distances = Vec::new();
        for (place, _) in &places {
            distances.extend(u32::try_from(place - before).ok()?.to_le_bytes());
            before = *place;
        }
        Some((distances, places.iter().flat_map(|(_, x)| x.to_le_bytes()).collect()))
    }
}

/// What a fine-tuning has changed in a model, and its heads whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseDifference {
    changes: BTreeMap<String, Changes>,
    heads: BTreeMap<String, ((usize, usize), Vec<f32>)>,
    /// The weights that it was made from, as SHA-256; `None` where they are not known.
    base: Option<String>,
}

impl SparseDifference {
    /// The same, made from these weights: those of the model, whatever else was added to them while it was learned.
    pub(crate) fn with_base(self, parameters: &Parameters) -> SparseDifference {
        let base = self.hash_of(|name| Some(&parameters[parameters.find(name)?].value[..]));
        SparseDifference { base: Some(base), ..self }
    }

    /// Remembers the weights that it was made from.
    pub(super) fn set_base(&mut self, start: &BTreeMap<&str, &[f32]>) {
        self.base = Some(self.hash_of(|name| start.get(name).copied()));
    }

    /// The hash of those weights that it changes.
    fn hash_of<'w>(&'w self, weights: impl Fn(&str) -> Option<&'w [f32]>) -> String {
        let changed = self.changes.iter().filter(|(_, changes)| !changes.at.is_empty());
        weights_hash(changed.filter_map(|(name, _)| Some((name.as_str(), weights(name)?))))
    }

    /// Checks that a model, to which nothing was added yet, has the weights that it was made from; of files that do not say so nothing
    /// is known.
    ///
    /// # Errors
    /// A weight that it changes is another one here.
    pub fn check_base(&self, parameters: &Parameters) -> Result<(), TrainError> {
        let Some(base) = &self.base else { return Ok(()) };
        let own = self.hash_of(|name| Some(&parameters[parameters.find(name)?].value[..]));
        match own == *base {
            true => Ok(()),
            false => Err(TrainError::Model(
                "the sparse difference was learned on another base: names and shapes are the same, and the weights are others; use \
                 the base that it was learned with"
                    .into(),
            )),
        }
    }

    pub(super) fn add_tensor(&mut self, parameter: &Parameter, start: &[f32]) {
        let differences = parameter.value.iter().zip(start).map(|(now, start)| now - start);
        let at = differences.enumerate().filter(|(_, difference)| difference.abs() > LEAST).collect();
        let shape = (parameter.rows, parameter.columns);
        self.changes.insert(parameter.name.clone(), Changes { shape, at });
    }

    pub(super) fn add_head(&mut self, parameter: &Parameter) {
        let whole = ((parameter.rows, parameter.columns), parameter.value.to_vec());
        self.heads.insert(parameter.name.clone(), whole);
    }

    /// How many numbers differ.
    pub fn count(&self) -> usize {
        self.changes.values().map(|changes| changes.at.len()).sum()
    }

    /// How many weights have a number that differs.
    pub fn weights(&self) -> usize {
        self.changes.values().filter(|changes| !changes.at.is_empty()).count()
    }

    /// How many numbers differ in both.
    pub fn shared_with(&self, other: &SparseDifference) -> usize {
        let shared = |(name, changes): (&String, &Changes)| {
            let Some(own) = self.changes.get(name) else { return 0 };
            let is_own = |at: &usize| own.at.binary_search_by_key(at, |(own, _)| *own).is_ok();
            changes.at.iter().filter(|(at, _)| is_own(at)).count()
        };
        other.changes.iter().map(shared).sum()
    }

    /// Names of the heads that come with it.
    pub fn heads(&self) -> impl Iterator<Item = &str> {
        self.heads.keys().map(String::as_str)
    }

    /// Names and shapes of the weights it was made for, as SHA-256 in hexadecimal.
    pub fn fingerprint(&self) -> String {
        fingerprint(
            self.changes.iter().map(|(name, changes)| (name.as_str(), changes.shape.0, changes.shape.1)),
        )
    }

    /// Adds the differences to a model; with `heads` its heads are put in place of the model's.
    ///
    /// # Errors
    /// The model lacks a weight or head, or has it in another shape; it is then as before.
    pub fn apply(&self, parameters: &mut Parameters, heads: bool) -> Result<(), TrainError> {
        self.check(parameters, heads)?;
        self.shift(parameters, 1.0);
        for (name, (_, values)) in self.heads.iter().filter(|_| heads) {
            if let Some(id) = parameters.find(name) {
                parameters[id].values_mut().copy_from_slice(values);
            }
        }
        Ok(())
    }

    /// Subtracts the differences; heads stay as they are.
    ///
    /// # Errors
    /// As [`SparseDifference::apply`].
    pub fn revert(&self, parameters: &mut Parameters) -> Result<(), TrainError> {
        self.check(parameters, false)?;
        self.shift(parameters, -1.0);
        Ok(())
    }

    /// The sum of two, where numbers differ in either; heads are those of `self`, then those of the other one.
    pub fn plus(&self, other: &SparseDifference) -> SparseDifference {
        let mut sum = self.clone();
        // Which weights are changed may be more than either knows.
        sum.base = None;
        for (name, changes) in &other.changes {
            let own = sum
                .changes
                .entry(name.clone())
                .or_insert_with(|| Changes { shape: changes.shape, ..Changes::default() });
            own.at.extend(&changes.at);
            own.at.sort_by_key(|(at, _)| *at);
            own.at.dedup_by(|later, first| {
                let same = later.0 == first.0;
                first.1 += if same { later.1 } else { 0.0 };
                same
            });
        }
        for (name, head) in &other.heads {
            sum.heads.entry(name.clone()).or_insert_with(|| head.clone());
        }
        sum
    }

    /// Whether it was made for this model.
    ///
    /// # Errors
    /// The model lacks a weight or head, or has it in another shape.
    pub(crate) fn check(&self, parameters: &Parameters, heads: bool) -> Result<(), TrainError> {
        let changes = self.changes.iter().map(|(name, changes)| (name, changes.shape));
        let heads = self.heads.iter().filter(|_| heads).map(|(name, (shape, _))| (name, *shape));
        for (name, (rows, columns)) in changes.chain(heads) {
            let Some(id) = parameters.find(name) else {
                let problem =
                    format!("the sparse difference was made for another model: this one has no `{name}`");
                return Err(TrainError::Model(problem));
            };
            let own = &parameters[id];
            if (own.rows, own.columns) != (rows, columns) {
                return Err(TrainError::Model(format!(
                    "the sparse difference was made for another model: `{name}` is {} × {} here, {rows} × {columns} there",
                    own.rows, own.columns
                )));
            }
        }
        Ok(())
    }

    fn shift(&self, parameters: &mut Parameters, sign: f32) {
        for (name, changes) in self.changes.iter().filter(|(_, changes)| !changes.at.is_empty()) {
            if let Some(id) = parameters.find(name) {
                let values = parameters[id].values_mut();
                changes.at.iter().for_each(|(at, difference)| values[*at] += sign * difference);
            }
        }
    }

    /// Writes a file. Places are counted down the columns, as the authors' files do; the first one and then distances stand
    /// there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let form = |problem: String| TrainError::Form { path: path.into(), problem };
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        let header = Header {
            format: FORMAT.into(),
            fingerprint: self.fingerprint(),
            base: self.base.clone(),
            shapes: self.changes.iter().map(|(name, changes)| (name.clone(), changes.shape)).collect(),
        };
        let header = serde_json::to_string(&header).map_err(|error| form(error.to_string()))?;
        for (name, changes) in &self.changes {
            if changes.at.is_empty() {
                continue;
            }
            let encoded = changes.encode();
            let (distances, values) =
                encoded.ok_or_else(|| form(format!("`{name}` is too large for a sparse file")))?;
            tensors.push((format!("{name}.places"), Dtype::U32, vec![changes.at.len()], distances));
            tensors.push((format!("{name}.values"), Dtype::F32, vec![changes.at.len()], values));
        }
        for (name, ((rows, columns), values)) in &self.heads {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.push((format!("head.{name}"), Dtype::F32, vec![*rows, *columns], bytes));
        }
        let views = tensors.iter().map(|(name, kind, shape, bytes)| {
            let view = TensorView::new(*kind, shape.clone(), bytes);
            view.map(|view| (name.clone(), view)).map_err(|error| form(error.to_string()))
        });
        let bytes = safetensors::serialize(
            views.collect::<Result<Vec<_>, _>>()?,
            Some(HashMap::from([(HEADER.to_string(), header)])),
        );
        write_whole(path, &bytes.map_err(|error| form(error.to_string()))?)
    }

    /// Whether a file says of itself that it is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn is_one(path: &Path) -> Result<bool, TrainError> {
        let bytes = std::fs::read(path).map_err(|source| TrainError::file(path, source))?;
        let read = SafeTensors::read_metadata(&bytes);
        Ok(read.is_ok_and(|(_, metadata)| {
            metadata.metadata().as_ref().is_some_and(|metadata| metadata.contains_key(HEADER))
        }))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is no such file, or is damaged: a head that is not f32 or not finite, places without values, places outside a weight.
    pub fn open(path: &Path) -> Result<SparseDifference, TrainError> {
        let bytes = std::fs::read(path).map_err(|source| TrainError::file(path, source))?;
        let form = |problem: String| TrainError::Form { path: path.into(), problem };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| form(error.to_string()))?;
        let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(HEADER));
        let header = header.ok_or_else(|| form(format!("is no sparse difference: it has no `{HEADER}`")))?;
        let header: Header = serde_json::from_str(header).map_err(|error| form(error.to_string()))?;
        if header.format != FORMAT {
            return Err(form(format!("is of the form `{}`, and `{FORMAT}` is read", header.format)));
        }
        let file = SafeTensors::deserialize(&bytes).map_err(|error| form(error.to_string()))?;
        let mut all = SparseDifference { base: header.base, ..SparseDifference::default() };
        for (name, shape) in header.shapes {
            let at = read_changes(&file, &name, shape).map_err(form)?;
            all.changes.insert(name, Changes { shape, at });
        }
        for (name, view) in file.iter() {
            if let (Some(head), &[rows, columns]) = (name.strip_prefix("head."), view.shape()) {
                let values = read_head(head, &view).map_err(form)?;
                all.heads.insert(head.to_string(), ((rows, columns), values));
            }
        }
        match header.fingerprint == all.fingerprint() {
            true => Ok(all),
            false => Err(form("its fingerprint is not that of its shapes; it is damaged".into())),
        }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The numbers of a head, as many as its shape says.
fn read_head(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, String> {
    if view.dtype() != Dtype::F32 {
        return Err(format!("the head `{name}` is expected in f32; the file is damaged"));
    }
    let values = floats(view.data());
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(format!("the head `{name}` has a value that is no finite number; the file is damaged")),
    }
}

fn read_changes(
    file: &SafeTensors,
    name: &str,
    (rows, columns): (usize, usize),
) -> Result<Vec<(usize, f32)>, String> {
    let part = |part: &str| file.tensor(&format!("{name}.{part}")).ok();
    let (places, values) = match (part("places"), part("values")) {
        (None, None) => return Ok(Vec::new()),
        (Some(places), Some(values)) if values.dtype() == Dtype::F32 => (places, values),
        _ => {
            return Err(format!(
                "`{name}` needs both places and values, the latter in f32; the file is damaged"
            ));
        }
    };
    let values = floats(values.data());
    let distances = places.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize);
    if places.dtype() != Dtype::U32 || distances.len() != values.len() {
        return Err(format!("`{name}` has {} values for {} places", values.len(), distances.len()));
    }
    let mut place = 0usize;
    let mut all = Vec::new();
    for (distance, value) in distances.zip(values) {
        place = place.saturating_add(distance);
        if place >= rows.saturating_mul(columns) || !value.is_finite() {
            return Err(format!("`{name}` of {rows} × {columns} has {value} at place {place}"));
        }
        all.push((place % rows * columns + place / rows, value));
    }
    all.sort_by_key(|(at, _)| *at);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What opening a file says that holds these tensors beside a header with one weight `w` of 2 × 2.
    fn refusal(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("difference.safetensors");
        let header = Header {
            format: FORMAT.into(),
            fingerprint: fingerprint([("w", 2, 2)]),
            base: None,
            shapes: BTreeMap::from([("w".to_string(), (2, 2))]),
        };
        let header = serde_json::to_string(&header).unwrap();
        let views: Vec<(String, TensorView<'_>)> = tensors
            .iter()
            .map(|(name, kind, shape, bytes)| {
                (String::from(*name), TensorView::new(*kind, shape.to_vec(), bytes).unwrap())
            })
            .collect();
        let metadata = HashMap::from([(HEADER.to_string(), header)]);
        std::fs::write(&path, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
        SparseDifference::open(&path).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn heads_and_values_are_finite_numbers_of_f32() {
        let (one, infinite, zero) = (1.0_f32.to_le_bytes(), f32::INFINITY.to_le_bytes(), [0_u8; 4]);
        let (single, double, matrix, wide) = ([1_usize], [2_usize], [1_usize, 1], [1_usize, 2]);
        assert_eq!(refusal(&[("head.h", Dtype::F32, &matrix[..], &one[..])]), "");
        let said = refusal(&[("head.h", Dtype::BF16, &wide[..], &one[..])]);
        assert!(said.contains("the head `h` is expected in f32"), "{said}");
        let said = refusal(&[("head.h", Dtype::F32, &matrix[..], &infinite[..])]);
        assert!(said.contains("the head `h` has a value that is no finite number"), "{said}");
        let places = ("w.places", Dtype::U32, &single[..], &zero[..]);
        let values = ("w.values", Dtype::F32, &single[..], &one[..]);
        assert_eq!(refusal(&[places, values]), "");
        let half = ("w.values", Dtype::BF16, &double[..], &one[..]);
        for damaged in [&[places][..], &[values][..], &[places, half][..]] {
            let said = refusal(damaged);
            assert!(said.contains("`w` needs both places and values"), "{said}");
        }
    }
}
