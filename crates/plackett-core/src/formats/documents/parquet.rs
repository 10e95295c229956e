//! Parquet tables, row by row.

use super::{DocumentOptions, Documents, document};
use crate::Metadata;
use crate::formats::FormatError;
use parquet::file::reader::SerializedFileReader;
use parquet::record::Field;
use parquet::record::reader::RowIter;
use serde_json::Value;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

pub(super) fn open(path: &Path, options: DocumentOptions) -> Result<Documents, FormatError> {
    let file = path.display().to_string();
    let opened = File::open(path).map_err(|source| FormatError::Open { file: file.clone(), source })?;
    let broken = |problem: String| FormatError::File {
        file: file.clone(),
        problem: format!(
            "not a readable Parquet table: {problem}; write it again (Snappy, gzip, zstd and LZ4 are known)"
        ),
    };
    let start = || -> parquet::errors::Result<RowIter<'static>> {
        Ok(RowIter::from_file_into(Box::new(SerializedFileReader::new(opened)?)))
    };
    let mut rows = guarded(start).map_err(broken)?;
    let (mut number, mut done) = (0u64, false);
    Ok(Box::new(std::iter::from_fn(move || {
        if done {
            return None;
        }
        number += 1;
        let row = match guarded(|| rows.next().transpose()) {
            Ok(row) => row?,
            Err(problem) => {
                // A broken page would be reported for ever.
                done = true;
                let problem = format!("row {number}: {problem}; write the table again");
                return Some(Err(FormatError::File { file: file.clone(), problem }));
            }
        };
        let fields: Metadata = row.into_columns().into_iter().map(|(name, f)| (name, value(f))).collect();
        Some(document(fields, &file, number, &options))
    })))
}

/// The Parquet library ends some damaged files by a panic; it becomes an error here, as input must not stop a program.
fn guarded<T>(read: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("its data contradict themselves".into()),
    }
}

fn value(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(v) => v.into(),
        Field::Byte(v) => v.into(),
        Field::Short(v) => v.into(),
        Field::Int(v) => v.into(),
        Field::Long(v) => v.into(),
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
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::Group(row) => {
            Value::Object(row.into_columns().into_iter().map(|(n, f)| (n, value(f))).collect())
        }
        other => other.to_string().into(),
    }
}
