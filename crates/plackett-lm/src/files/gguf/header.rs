//! Metadata and tensor table of a GGUF file, versions 2 and 3, checked against the length of the file.

use crate::error::gguf::{GgufError, GgufFault};
use crate::files::gguf::value::{GgufArray, GgufValue};
use plackett_kernel::{BlockFormat, type_name};
use std::collections::BTreeMap;

/// How deep arrays may be nested.
const NESTING: usize = 4;
/// Where metadata begin: after magic, version and two counts.
const METADATA_START: u64 = 24;
/// Bytes that a metadata entry has at least: length of the key, value type, one byte of value.
const SMALLEST_ENTRY: u64 = 8 + 4 + 1;
/// Bytes that a tensor's entry has at least: length of the name, dimensions, type, offset.
const SMALLEST_TENSOR: u64 = 8 + 4 + 8 + 4 + 8;

/// Everything that precedes the data of a GGUF file.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufHeader {
    /// 2 or 3.
    pub version: u32,
    /// Data begin at multiples of this.
    pub alignment: u64,
    /// Where the table of tensors begins.
    pub table_start: u64,
    /// Where the data section begins.
    pub data_start: u64,
    metadata: BTreeMap<String, (u64, GgufValue)>,
    tensors: BTreeMap<String, TensorInfo>,
}

/// One tensor of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Dimensions, rows before columns: the file's order reversed.
    pub shape: Vec<usize>,
    /// How the numbers are stored.
    pub format: BlockFormat,
    /// Where the data begin in the file.
    pub start: usize,
    /// Length of the data in bytes.
    pub length: usize,
    /// Where the entry of the table begins in the file.
    pub entry: u64,
}

impl GgufHeader {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&GgufValue> {
        self.metadata.get(key).map(|(_, value)| value)
    }

    /// All keys with their values, sorted.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &GgufValue)> {
        self.metadata.iter().map(|(key, (_, value))| (key.as_str(), value))
    }

    /// Where the value of a key begins in the file; where metadata begin for a key that is not there.
    pub fn offset(&self, key: &str) -> u64 {
        self.metadata.get(key).map_or(METADATA_START, |(offset, _)| *offset)
    }

    /// A tensor of the table.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    pub(super) fn named_tensor(&self, name: &str) -> Option<(&str, &TensorInfo)> {
        self.tensors.get_key_value(name).map(|(name, info)| (name.as_str(), info))
    }

    /// All tensors, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, info)| (name.as_str(), info))
    }

    /// A value that must exist and be of one kind.
    ///
    /// # Errors
    /// [`GgufFault::MissingKey`] with the offset of the metadata, or [`GgufFault::Value`] with the offset of the value.
    pub fn need<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a GgufValue) -> Option<T>,
    ) -> Result<T, GgufError> {
        self.want(key, expected, read)?.ok_or_else(|| GgufError {
            item: format!("key `{key}`"),
            offset: self.offset(key),
            fault: GgufFault::MissingKey,
        })
    }

    /// A value that may be absent, but is of one kind where it exists.
    ///
    /// # Errors
    /// [`GgufFault::Value`] with the offset of the value.
    pub fn want<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a GgufValue) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        let Some((_, value)) = self.metadata.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(key, expected, value.describe()))
    }

    /// The error of a key whose value cannot be used.
    pub(crate) fn wrong(&self, key: &str, expected: &'static str, found: String) -> GgufError {
        GgufError {
            item: format!("key `{key}`"),
            offset: self.offset(key),
            fault: GgufFault::Value { expected, found },
        }
    }
}

/// Reads and checks the header of a whole GGUF file in memory.
///
/// # Errors
/// The first fault, with key or tensor and byte offset. No byte sequence makes it panic, and memory is only taken for
/// what the file is long enough to hold.
pub fn parse_header(bytes: &[u8]) -> Result<GgufHeader, GgufError> {
    let mut reader = Reader { bytes, at: 0, item: "header".into() };
    if bytes.get(..4) != Some(b"GGUF") {
        return Err(reader.fault(GgufFault::Magic));
    }
    reader.at = 4;
    let version = reader.u32()?;
    if !matches!(version, 2 | 3) {
        reader.at = 4;
        let swapped = matches!(version.swap_bytes(), 2 | 3);
        return Err(reader.fault(if swapped { GgufFault::BigEndian } else { GgufFault::Version(version) }));
    }
    reader.item = "count of tensors".into();
    let tensor_count = reader.u64()?;
    reader.item = "count of metadata entries".into();
    let entry_count = reader.count(SMALLEST_ENTRY)?;
    reader.item = "count of tensors".into();
    reader.check_count(tensor_count, SMALLEST_TENSOR, 8)?;
    let metadata = read_metadata(&mut reader, entry_count)?;
    let alignment = read_alignment(&metadata)?;
    let table_start = reader.at as u64;
    let entries = read_table(&mut reader, tensor_count)?;
    let data_start = (reader.at as u64).next_multiple_of(alignment);
    let tensors = BTreeMap::new();
    let mut header = GgufHeader { version, alignment, table_start, data_start, metadata, tensors };
    for (name, entry) in entries {
        let info = place(&name, &entry, data_start, alignment, bytes.len() as u64)?;
        header.tensors.insert(name, info);
    }
    check_overlap(&header.tensors)?;
    Ok(header)
}

type Metadata = BTreeMap<String, (u64, GgufValue)>;

fn read_metadata(reader: &mut Reader, count: u64) -> Result<Metadata, GgufError> {
    let mut metadata = BTreeMap::new();
    for index in 0..count {
        reader.item = format!("metadata entry {index}");
        let start = reader.at;
        let key = reader.string()?;
        reader.item = format!("key `{key}`");
        if metadata.contains_key(&key) {
            reader.at = start;
            return Err(reader.fault(GgufFault::Duplicate));
        }
        let kind = reader.kind()?;
        let offset = reader.at as u64;
        let value = reader.value(kind)?;
        metadata.insert(key, (offset, value));
    }
    Ok(metadata)
}

fn read_alignment(metadata: &Metadata) -> Result<u64, GgufError> {
    let Some((offset, value)) = metadata.get("general.alignment") else { return Ok(32) };
    let bad = |fault| GgufError { item: "key `general.alignment`".into(), offset: *offset, fault };
    let found = value
        .as_u64()
        .ok_or_else(|| bad(GgufFault::Value { expected: "a whole number", found: value.describe() }))?;
    if !found.is_power_of_two() || found > 1 << 20 {
        return Err(bad(GgufFault::Alignment(found)));
    }
    Ok(found)
}

/// An entry of the tensor table before its data are placed.
struct TableRow {
    at: u64,
    shape: Vec<usize>,
    format: BlockFormat,
    length: usize,
    offset: u64,
}

fn read_table(reader: &mut Reader, count: u64) -> Result<BTreeMap<String, TableRow>, GgufError> {
    let mut entries = BTreeMap::new();
    for index in 0..count {
        reader.item = format!("tensor {index} of the table");
        let start = reader.at;
        let name = reader.string()?;
        reader.item = format!("tensor `{name}`");
        if entries.contains_key(&name) {
            reader.at = start;
            return Err(reader.fault(GgufFault::Duplicate));
        }
        let at = reader.at;
        let dimensions = reader.u32()?;
        if !(1..=4).contains(&dimensions) {
            reader.at = at;
            return Err(reader.fault(GgufFault::Dimensions(dimensions)));
        }
        let sizes = (0..dimensions).map(|_| reader.u64()).collect::<Result<Vec<u64>, _>>()?;
        let id = reader.u32()?;
        let Some(format) = BlockFormat::from_id(id) else {
            reader.at -= 4;
            return Err(reader.fault(GgufFault::BlockFormat(type_name(id))));
        };
        let offset = reader.u64()?;
        let entry = size_up(&sizes, format).map(|(shape, length)| TableRow {
            at: start as u64,
            shape,
            format,
            length,
            offset,
        });
        let entry = entry.map_err(|fault| {
            reader.at = at;
            reader.fault(fault)
        })?;
        entries.insert(name, entry);
    }
    Ok(entries)
}

/// Shape, rows first, and bytes of a tensor.
fn size_up(sizes: &[u64], format: BlockFormat) -> Result<(Vec<usize>, usize), GgufFault> {
    let bad = || GgufFault::Shape(sizes.to_vec());
    let mut shape =
        sizes.iter().map(|n| usize::try_from(*n)).collect::<Result<Vec<_>, _>>().map_err(|_| bad())?;
    let row = shape.first().copied().unwrap_or(0);
    if shape.contains(&0) {
        return Err(bad());
    }
    shape.reverse();
    let numbers = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).ok_or_else(bad)?;
    // Callers make f32 of it: that size must exist too.
    numbers.checked_mul(4).ok_or_else(bad)?;
    let block = format.block_len();
    if !row.is_multiple_of(block) {
        return Err(GgufFault::PartialBlock { row: row as u64, block: block as u64 });
    }
    let length = format.bytes_of(numbers).ok_or_else(bad)?;
    Ok((shape, length))
}

fn place(
    name: &str,
    entry: &TableRow,
    data: u64,
    alignment: u64,
    file: u64,
) -> Result<TensorInfo, GgufError> {
    let bad = |fault| GgufError { item: format!("tensor `{name}`"), offset: entry.at, fault };
    if !entry.offset.is_multiple_of(alignment) {
        return Err(bad(GgufFault::Misaligned { offset: entry.offset, alignment }));
    }
    let start = u128::from(data) + u128::from(entry.offset);
    let length = entry.length as u64;
    let fitting = usize::try_from(start).ok().filter(|_| start + u128::from(length) <= u128::from(file));
    let start = fitting.ok_or_else(|| bad(GgufFault::OutsideFile { start, length, file }))?;
    let (shape, format) = (entry.shape.clone(), entry.format);
    Ok(TensorInfo { shape, format, start, length: entry.length, entry: entry.at })
}

fn check_overlap(tensors: &BTreeMap<String, TensorInfo>) -> Result<(), GgufError> {
    let mut order: Vec<(&String, &TensorInfo)> = tensors.iter().collect();
    order.sort_by_key(|(_, info)| info.start);
    for pair in order.windows(2) {
        let ((first, a), (second, b)) = (pair[0], pair[1]);
        if a.start + a.length > b.start {
            let fault = GgufFault::Overlap(first.clone());
            return Err(GgufError { item: format!("tensor `{second}`"), offset: b.entry, fault });
        }
    }
    Ok(())
}

/// Reads little-endian values and knows what it is reading.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    item: String,
}

impl<'a> Reader<'a> {
    fn fault(&self, fault: GgufFault) -> GgufError {
        GgufError { item: self.item.clone(), offset: self.at as u64, fault }
    }

    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], GgufError> {
        let left = self.left();
        if length > left {
            return Err(self.fault(GgufFault::Truncated { needed: length, left }));
        }
        // `length` is at most the length of a slice.
        let taken = &self.bytes[self.at..self.at + length as usize];
        self.at += taken.len();
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut value = [0; N];
        value.copy_from_slice(self.take(N as u64)?);
        Ok(value)
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        self.fixed().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        self.fixed().map(u64::from_le_bytes)
    }

    /// A count of entries, refused when the rest of the file is too short for so many.
    fn count(&mut self, smallest: u64) -> Result<u64, GgufError> {
        let count = self.u64()?;
        self.check_count(count, smallest, self.at - 8)?;
        Ok(count)
    }

    fn check_count(&mut self, count: u64, smallest: u64, at: usize) -> Result<(), GgufError> {
        let (needed, left) = (u128::from(count) * u128::from(smallest), self.left());
        if needed > u128::from(left) {
            self.at = at;
            return Err(self.fault(GgufFault::Count { count, needed, left }));
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String, GgufError> {
        let length = self.count(1)?;
        let start = self.at;
        let text = std::str::from_utf8(self.take(length)?).map(str::to_string);
        text.map_err(|_| {
            self.at = start;
            self.fault(GgufFault::Utf8)
        })
    }

    fn bool(&mut self) -> Result<bool, GgufError> {
        match self.fixed::<1>()?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => {
                self.at -= 1;
                Err(self.fault(GgufFault::Bool(other)))
            }
        }
    }

    /// A value type, refused when there is no such.
    fn kind(&mut self) -> Result<u32, GgufError> {
        let kind = self.u32()?;
        if kind > 12 {
            self.at -= 4;
            return Err(self.fault(GgufFault::ValueType(kind)));
        }
        Ok(kind)
    }

    fn value(&mut self, kind: u32) -> Result<GgufValue, GgufError> {
        Ok(match kind {
            0 => GgufValue::U8(u8::from_le_bytes(self.fixed()?)),
            1 => GgufValue::I8(i8::from_le_bytes(self.fixed()?)),
            2 => GgufValue::U16(u16::from_le_bytes(self.fixed()?)),
            3 => GgufValue::I16(i16::from_le_bytes(self.fixed()?)),
            4 => GgufValue::U32(self.u32()?),
            5 => GgufValue::I32(i32::from_le_bytes(self.fixed()?)),
            6 => GgufValue::F32(f32::from_le_bytes(self.fixed()?)),
            7 => GgufValue::Bool(self.bool()?),
            8 => GgufValue::String(self.string()?),
            9 => GgufValue::Array(self.array(1)?),
            10 => GgufValue::U64(self.u64()?),
            11 => GgufValue::I64(i64::from_le_bytes(self.fixed()?)),
            _ => GgufValue::F64(f64::from_le_bytes(self.fixed()?)),
        })
    }

    fn array(&mut self, depth: usize) -> Result<GgufArray, GgufError> {
        if depth > NESTING {
            return Err(self.fault(GgufFault::Nesting(NESTING)));
        }
        let kind = self.kind()?;
        Ok(match kind {
            0 => GgufArray::U8(self.numbers(u8::from_le_bytes)?),
            1 => GgufArray::I8(self.numbers(i8::from_le_bytes)?),
            2 => GgufArray::U16(self.numbers(u16::from_le_bytes)?),
            3 => GgufArray::I16(self.numbers(i16::from_le_bytes)?),
            4 => GgufArray::U32(self.numbers(u32::from_le_bytes)?),
            5 => GgufArray::I32(self.numbers(i32::from_le_bytes)?),
            6 => GgufArray::F32(self.numbers(f32::from_le_bytes)?),
            7 => GgufArray::Bool(self.list(1, Reader::bool)?),
            8 => GgufArray::String(self.list(8, Reader::string)?),
            9 => GgufArray::Array(self.list(12, |reader| reader.array(depth + 1))?),
            10 => GgufArray::U64(self.numbers(u64::from_le_bytes)?),
            11 => GgufArray::I64(self.numbers(i64::from_le_bytes)?),
            _ => GgufArray::F64(self.numbers(f64::from_le_bytes)?),
        })
    }

    fn numbers<const N: usize, T>(&mut self, read: fn([u8; N]) -> T) -> Result<Vec<T>, GgufError> {
        self.list(N as u64, |reader| reader.fixed().map(read))
    }

    fn list<T>(
        &mut self,
        smallest: u64,
        mut read: impl FnMut(&mut Self) -> Result<T, GgufError>,
    ) -> Result<Vec<T>, GgufError> {
        let count = self.count(smallest)?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(read(self)?);
        }
        Ok(values)
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
