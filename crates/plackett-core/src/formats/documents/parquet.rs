//! Parquet tables, row by row.

use super::Documents;
use super::making::{Making, Place};
use super::moment::{day, moment, nanoseconds};
use crate::Metadata;
use crate::formats::fields::ID;
use crate::formats::input::{BytesRead, Counted, name_of};
use crate::formats::{FormatError, seekable};
use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as PhysicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{Int96, Int96Type};
use parquet::errors::{ParquetError, Result as Parquet};
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;
use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Values with the names of their columns.
type Named = Vec<(String, String)>;

/// The rows of a table as they stand.
pub(in crate::formats) type PlainRows = Box<dyn Iterator<Item = Result<Row, FormatError>> + Send>;

/// How many rows a table has, its columns, and each of its rows, until one cannot be read.
pub(in crate::formats) fn plain_rows(path: &Path) -> Result<(usize, TypePtr, PlainRows), FormatError> {
    let file = name_of(path);
    let (opened, _) = seekable::open(path, None)?;
    let start = || -> Parquet<(i64, TypePtr, RowIter<'static>)> {
        let reader = SerializedFileReader::new(Bounded { file: opened, count: None })?;
        let count = reader.metadata().file_metadata().num_rows();
        let schema = reader.metadata().file_metadata().schema_descr().root_schema_ptr();
        Ok((count, schema, RowIter::from_file_into(Box::new(reader))))
    };
    let (count, schema, mut rows) = guarded(start).map_err(|problem| broken(&file, &problem))?;
    let (mut number, mut done) = (0u64, false);
    let rows = std::iter::from_fn(move || {
        if done {
            return None;
        }
        number += 1;
        match guarded(|| rows.next().transpose()) {
            Ok(row) => row.map(Ok),
            Err(problem) => {
                done = true;
                let problem = format!("row {number}: {problem}; write the table again");
                Some(Err(FormatError::File { file: file.clone(), problem }))
            }
        }
    });
    Ok((usize::try_from(count).unwrap_or(0), schema, Box::new(rows)))
}

fn broken(file: &str, problem: &str) -> FormatError {
    FormatError::File {
        file: file.into(),
        problem: format!(
            "not a readable Parquet table: {problem}; write it again (Snappy, gzip, zstd and LZ4 are known)"
        ),
    }
}

pub(super) fn open(path: &Path, making: Making) -> Result<Documents, FormatError> {
    let file = name_of(path);
    let (opened, whole) = seekable::open(path, making.options.bytes_read.as_ref())?;
    let count = making.options.bytes_read.clone().filter(|_| !whole);
    let start = || -> Parquet<(RowIter<'static>, TypePtr, Option<FineMoments>)> {
        let again = opened.try_clone()?;
        let reader = SerializedFileReader::new(Bounded { file: opened, count })?;
        let schema = reader.metadata().file_metadata().schema_descr().root_schema_ptr();
        let fine = FineMoments::of(again, &schema)?;
        Ok((RowIter::from_file_into(Box::new(reader)), schema, fine))
    };
    let (mut rows, schema, mut fine) = guarded(start).map_err(|problem| broken(&file, &problem))?;
    let (mut number, mut done) = (0u64, false);
    Ok(Box::new(std::iter::from_fn(move || {
        if done {
            return None;
        }
        number += 1;
        let next = || -> Parquet<Option<(Row, Named)>> {
            let Some(row) = rows.next().transpose()? else { return Ok(None) };
            Ok(Some((row, fine.as_mut().map(FineMoments::next).transpose()?.unwrap_or_default())))
        };
        let (row, moments) = match guarded(next) {
            Ok(row) => row?,
            Err(problem) => {
                // A broken page would be reported for ever.
                done = true;
                let problem = format!("row {number}: {problem}; write the table again");
                return Some(Err(FormatError::File { file: file.clone(), problem }));
            }
        };
        Some(row_fields(row, &schema, &file, number, &making).and_then(|mut fields| {
            for (name, moment) in moments {
                fields.insert(name, moment.into());
            }
            making.document(fields, Place { file: &file, line: number, number })
        }))
    })))
}

/// Rows of a table, one at a time: their fields by the names of columns.
pub type TableRows = Box<dyn Iterator<Item = Result<Metadata, FormatError>> + Send>;

/// Opens a Parquet table whose rows are no documents. Moments are whole numbers in the unit of their column, dates those of days, both from
/// the beginning of 1970 on; a map is an object; bytes that are no text are null. Beside the rows are the names of the columns of dates,
/// moments and times of the day, which the rows do not tell from numbers.
///
/// # Errors
/// The file cannot be read, or is no table; a damaged row is an error in its place and the last one.
pub fn parquet_rows(path: &Path) -> Result<(TableRows, Vec<String>), FormatError> {
    let (_, schema, rows) = plain_rows(path)?;
    let of_time = schema.get_fields().iter().filter(|kind| is_of_time(kind));
    let of_time = of_time.map(|kind| kind.name().to_string()).collect();
    Ok((Box::new(rows.map(|row| row.map(plain_fields))), of_time))
}

/// Whether a column has dates, moments or times of the day, by its newer or its older name, or by its width.
fn is_of_time(kind: &Type) -> bool {
    let info = kind.get_basic_info();
    let is_named = matches!(info.logical_type_ref(), Some(LogicalType::Timestamp(_) | LogicalType::Time(_)));
    let older = [
        ConvertedType::DATE,
        ConvertedType::TIME_MILLIS,
        ConvertedType::TIME_MICROS,
        ConvertedType::TIMESTAMP_MILLIS,
        ConvertedType::TIMESTAMP_MICROS,
    ];
    let is_wide = kind.is_primitive() && kind.get_physical_type() == PhysicalType::INT96;
    is_named || older.contains(&info.converted_type()) || is_wide
}

fn plain_fields(row: Row) -> Metadata {
    let plain = |(name, field): (String, Field)| {
        let value = match field {
            Field::TimestampMillis(moment) | Field::TimestampMicros(moment) => moment.into(),
            Field::Date(days) => days.into(),
            Field::MapInternal(map) => {
                let entry = |(key, field): &(Field, Field)| (key_text(key), value(field.clone(), None));
                Value::Object(map.entries().iter().map(entry).collect())
            }
            other => value(other, None),
        };
        (name, value)
    };
    row.into_columns().into_iter().map(plain).collect()
}

/// The key of a map as the name of a field.
fn key_text(key: &Field) -> String {
    match value(key.clone(), None) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The fields of a row. Numbers with fractions are no identifiers, since they have no digits of their own; bytes that are no
/// text are left out where they are no part of the document, with a remark.
fn row_fields(
    row: Row,
    schema: &Type,
    file: &str,
    number: u64,
    making: &Making,
) -> Result<Metadata, FormatError> {
    let exact = making.exact();
    let mut fields = Metadata::new();
    for (name, field) in row.into_columns() {
        let wrong = |problem: &str| {
            let problem = format!("row {number}: the column `{name}` {problem}");
            Err(FormatError::File { file: file.into(), problem })
        };
        let is_id = match &making.options.id_field {
            Some(asked) => *asked == name,
            None => ID.contains(&name.as_str()),
        };
        match &field {
            Field::Float(_) | Field::Double(_) | Field::Float16(_) if is_id => {
                return wrong(
                    "has numbers with fractions, which are no identifiers; write it as strings or whole numbers",
                );
            }
            Field::Bytes(bytes) if std::str::from_utf8(bytes.data()).is_err() => {
                if exact.contains(&name.as_str()) {
                    return wrong("has bytes that are no UTF-8 text; write it as strings");
                }
                let text =
                    format!("{file}: the column `{name}` has bytes that are no text; they are left out");
                making.options.remarks.add(text);
            }
            _ => {
                if has_no_number(&field) {
                    making.seen().no_number(&name);
                }
                let value = value(field, child(schema, &name));
                fields.insert(name, value);
            }
        }
    }
    Ok(fields)
}

/// Whether there is a number in it that JSON does not have.
fn has_no_number(field: &Field) -> bool {
    match field {
        Field::Float(number) => !number.is_finite(),
        Field::Double(number) => !number.is_finite(),
        Field::ListInternal(list) => list.elements().iter().any(has_no_number),
        Field::Group(row) => row.get_column_iter().any(|(_, field)| has_no_number(field)),
        _ => false,
    }
}

/// The type of a field of a group.
fn child<'a>(group: &'a Type, name: &str) -> Option<&'a Type> {
    let fields = if group.is_group() { group.get_fields() } else { &[] };
    fields.iter().find(|field| field.name() == name).map(|field| &**field)
}

/// The type of the items of a list: a group of one repeated group of one field, or less of that as older writers have it.
fn item(list: &Type) -> &Type {
    let only = |group: &'_ Type| group.is_group() && group.get_fields().len() == 1;
    let repeated = if only(list) { list.get_fields().first().map_or(list, |field| &**field) } else { list };
    if only(repeated) { repeated.get_fields().first().map_or(repeated, |field| &**field) } else { repeated }
}

/// The unit of a column of moments, which the library gives as whole numbers where it has no older name for them.
fn unit(kind: Option<&Type>) -> Option<&TimeUnit> {
    match kind?.get_basic_info().logical_type_ref() {
        Some(LogicalType::Timestamp(timestamp)) => Some(&timestamp.unit),
        _ => None,
    }
}

/// Columns of moments in 96 bits, read beside the rows, which keep whole milliseconds of them only.
struct FineMoments {
    reader: SerializedFileReader<Bounded>,
    /// Their places among all columns, and their names.
    columns: Vec<(usize, String)>,
    /// The group of rows that comes next, and how many rows of the one before are left.
    group: usize,
    left: i64,
    readers: Vec<ColumnReaderImpl<Int96Type>>,
}

impl FineMoments {
    /// Those of a table; `None` where it has none outside of groups and lists.
    fn of(file: File, schema: &Type) -> Parquet<Option<FineMoments>> {
        let is_one = |kind: &TypePtr| kind.is_primitive() && kind.get_physical_type() == PhysicalType::INT96;
        if !schema.get_fields().iter().any(is_one) {
            return Ok(None);
        }
        let reader = SerializedFileReader::new(Bounded { file, count: None })?;
        let mut columns = Vec::new();
        for (at, column) in reader.metadata().file_metadata().schema_descr().columns().iter().enumerate() {
            let is_plain = column.path().parts().len() == 1 && column.max_rep_level() == 0;
            if is_plain && column.physical_type() == PhysicalType::INT96 {
                columns.push((at, column.name().to_string()));
            }
        }
        Ok(Some(FineMoments { reader, columns, group: 0, left: 0, readers: Vec::new() }))
    }

    /// The moments of the row that comes next which have digits behind the milliseconds.
    fn next(&mut self) -> Parquet<Vec<(String, String)>> {
        while self.left == 0 {
            let group = self.reader.get_row_group(self.group)?;
            self.left = group.metadata().num_rows();
            self.readers.clear();
            for (at, _) in &self.columns {
                if let ColumnReader::Int96ColumnReader(reader) = group.get_column_reader(*at)? {
                    self.readers.push(reader);
                }
            }
            self.group += 1;
        }
        self.left -= 1;
        let mut moments = Vec::new();
        for ((_, name), reader) in self.columns.iter().zip(&mut self.readers) {
            let (mut levels, mut values): (Vec<i16>, Vec<Int96>) = (Vec::new(), Vec::new());
            reader.read_records(1, Some(&mut levels), None, &mut values)?;
            let moment = values.first().and_then(fine_moment);
            moments.extend(moment.map(|moment| (name.clone(), moment)));
        }
        Ok(moments)
    }
}

/// A moment with all its digits, where there are some behind the milliseconds and its nanoseconds fit in 64 bits.
fn fine_moment(moment: &Int96) -> Option<String> {
    let nanos = moment.to_nanos();
    let fits = nanos.div_euclid(1_000_000) == moment.to_millis();
    (fits && nanos.rem_euclid(1_000_000) != 0).then(|| nanoseconds(nanos))
}

/// The Parquet library ends some damaged files by a panic; it becomes an error here, as input must not stop a program.
fn guarded<T>(read: impl FnOnce() -> Parquet<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("its data contradict themselves".into()),
    }
}

/// A file whose end cannot be overlooked. The Parquet library skips fields it does not know without asking whether
/// anything was left to skip, so that a list said to have a thousand million entries kept it busy for minutes; and it
/// asks for memory before it compares lengths with the file's.
struct Bounded {
    file: File,
    count: Option<BytesRead>,
}

impl Length for Bounded {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Bounded {
    type T = Ending<Counted<BufReader<File>>>;

    fn get_read(&self, start: u64) -> Parquet<Self::T> {
        let inner = Counted { inner: self.file.get_read(start)?, count: self.count.clone() };
        Ok(Ending { inner, ends: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Parquet<Bytes> {
        let size = self.len();
        if start.checked_add(length as u64).is_none_or(|end| end > size) {
            let problem = format!("{length} bytes at byte {start} of a file of {size} bytes");
            return Err(ParquetError::EOF(problem));
        }
        if let Some(count) = &self.count {
            count.fetch_add(length as u64, Ordering::Relaxed);
        }
        self.file.get_bytes(start, length)
    }
}

/// A reader that says "end" a few times, as every reader may ask for, and then that it is an error.
struct Ending<R> {
    inner: R,
    ends: u8,
}

/// A header has fewer fields than this whose reader looks beyond the end without noticing.
const MOST_ENDS: u8 = 32;

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.ends += 1;
            if self.ends >= MOST_ENDS {
                return Err(Error::new(ErrorKind::UnexpectedEof, "it goes on behind the end of the file"));
            }
        }
        Ok(read)
    }
}

fn value(field: Field, kind: Option<&Type>) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(v) => v.into(),
        Field::Byte(v) => v.into(),
        Field::Short(v) => v.into(),
        Field::Int(v) => v.into(),
        Field::Long(v) => match unit(kind) {
            Some(TimeUnit::MILLIS) => moment(v, 1_000, 3).into(),
            Some(TimeUnit::MICROS) => moment(v, 1_000_000, 6).into(),
            Some(TimeUnit::NANOS) => nanoseconds(v).into(),
            None => v.into(),
        },
        // The library's own words for moments end in a panic where a damaged one has no place in its calendar.
        Field::Date(v) => day(v.into()).into(),
        Field::TimestampMillis(v) => moment(v, 1_000, 3).into(),
        Field::TimestampMicros(v) => moment(v, 1_000_000, 6).into(),
        Field::UByte(v) => v.into(),
        Field::UShort(v) => v.into(),
        Field::UInt(v) => v.into(),
        Field::ULong(v) => v.into(),
        Field::Float(v) => v.into(),
        Field::Double(v) => v.into(),
        Field::Str(v) => v.into(),
        // Writers without a text annotation keep strings as bytes.
        Field::Bytes(v) => match std::str::from_utf8(v.data()) {
            Ok(text) => text.into(),
            Err(_) => Value::Null,
        },
        Field::ListInternal(list) => {
            list.elements().iter().map(|field| value(field.clone(), kind.map(item))).collect()
        }
        Field::Group(row) => {
            let inner = |(name, field): (String, Field)| {
                let value = value(field, kind.and_then(|group| child(group, &name)));
                (name, value)
            };
            Value::Object(row.into_columns().into_iter().map(inner).collect())
        }
        other => other.to_string().into(),
    }
}
