//! Parquet tables, row by row.

use super::{DocumentOptions, Documents, document};
use crate::Metadata;
use crate::formats::FormatError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use serde_json::Value;
use std::fs::File;
use std::path::Path;

pub(super) fn open(path: &Path, options: DocumentOptions) -> Result<Documents, FormatError> {
    let file = path.display().to_string();
    let opened = File::open(path).map_err(|source| FormatError::Open { file: file.clone(), source })?;
    let broken = |e: parquet::errors::ParquetError| FormatError::File {
        file: file.clone(),
        problem: format!(
            "not a readable Parquet file: {e}; write it again (Snappy, gzip, zstd and LZ4 are known)"
        ),
    };
    let reader = SerializedFileReader::new(opened).map_err(broken)?;
    let _: usize = reader.num_row_groups();
    let mut done = false;
    let rows = RowIter::from_file_into(Box::new(reader)).zip(1u64..);
    Ok(Box::new(rows.map_while(move |(row, number)| {
        if std::mem::replace(&mut done, row.is_err()) {
            return None; // a broken page would be reported for ever
        }
        Some(match row {
            Ok(row) => {
                let fields: Metadata =
                    row.into_columns().into_iter().map(|(name, f)| (name, value(f))).collect();
                document(fields, &file, number, &options)
            }
            Err(e) => Err(FormatError::File { file: file.clone(), problem: format!("row {number}: {e}") }),
        })
    })))
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
