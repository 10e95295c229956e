//! Vectors as tables keep them: Parquet, with a column of lists of numbers and one of ids.

use super::documents::{PlainRows, plain_rows};
use super::fields::ID;
use super::input::name_of;
use super::{AtomicFile, FormatError};
use parquet::basic::{ConvertedType, Repetition};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::record::{Field, Row};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The column of the vectors.
const VECTOR: &str = "vector";
const SCHEMA: &str = "message vectors {
    required binary _id (UTF8);
    optional group vector (LIST) { repeated group list { required float element; } }
}";
/// Rows that are written together.
const TOGETHER: usize = 8192;

/// A row of a table of vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorRow {
    /// What the vector is of; `None` in a table without a column of ids.
    pub id: Option<String>,
    /// `None` where the table has none.
    pub vector: Option<Vec<f32>>,
}

/// The rows of a table of vectors, one after another: those of the column `vector`, or of the only column of lists.
pub struct VectorTable {
    rows: PlainRows,
    /// The column of the vectors, where the table has one.
    column: Option<String>,
    file: String,
    count: usize,
    read: usize,
    done: bool,
}

impl VectorTable {
    /// Opens a table.
    ///
    /// # Errors
    /// It is no Parquet table.
    pub fn open(path: &Path) -> Result<VectorTable, FormatError> {
        let (count, schema, rows) = plain_rows(path)?;
        Ok(VectorTable {
            rows,
            column: column_of_lists(&schema),
            file: name_of(path),
            count,
            read: 0,
            done: false,
        })
    }

    /// Rows of the table.
    pub fn rows(&self) -> usize {
        self.count
    }

    fn row(&self, row: Row) -> Result<VectorRow, FormatError> {
        let wrong = |problem: &str| FormatError::File {
            file: self.file.clone(),
            problem: format!("row {}: {problem}", self.read),
        };
        let Some(column) = &self.column else {
            return Err(wrong("has no column `vector` of lists of numbers, nor a single other one"));
        };
        // A list that is null is not found, and stands for no vector.
        let (mut id, mut list) = (None, None);
        for (name, field) in row.into_columns() {
            match field {
                _ if ID.contains(&name.as_str()) => {
                    id = Some(id_of(&field).ok_or_else(|| wrong("its id is no text and no whole number"))?);
                }
                Field::ListInternal(found) if name == *column => list = Some(found),
                _ => {}
            }
        }
        let number = |field: &Field| match field {
            Field::Float(number) => Some(*number),
            Field::Double(number) => Some(*number as f32),
            _ => None,
        };
        let numbers = |fields: &[Field]| fields.iter().map(number).collect::<Option<Vec<f32>>>();
        let vector = match list {
            None => None,
            Some(list) => {
                let all = numbers(list.elements());
                let all = all.filter(|all| all.iter().all(|number| number.is_finite()));
                Some(all.ok_or_else(|| wrong("its vector is no list of floating-point numbers"))?)
            }
        };
        Ok(VectorRow { id, vector })
    }
}

impl Iterator for VectorTable {
    type Item = Result<VectorRow, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let row = self.rows.next()?;
        self.read += 1;
        let row = row.and_then(|row| self.row(row));
        self.done = row.is_err();
        Some(row)
    }
}

/// The name of the column of vectors: `vector`, or the only column of lists. It is looked for in the schema, as a row does not say
/// of a null what it is the lack of.
fn column_of_lists(schema: &Type) -> Option<String> {
    let is_list = |kind: &Type| {
        let info = kind.get_basic_info();
        let repeated = info.has_repetition() && info.repetition() == Repetition::REPEATED;
        repeated || (kind.is_group() && matches!(info.converted_type(), ConvertedType::LIST))
    };
    let fields = schema.get_fields().iter().filter(|field| is_list(field) && !ID.contains(&field.name()));
    let names: Vec<&str> = fields.map(|field| field.name()).collect();
    let only = if let [only] = names[..] { Some(only) } else { None };
    names.iter().copied().find(|name| *name == VECTOR).or(only).map(str::to_string)
}

/// An id as documents have it.
fn id_of(field: &Field) -> Option<String> {
    match field {
        Field::Str(text) => Some(text.clone()),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).ok().map(str::to_string),
        Field::Byte(number) => Some(number.to_string()),
        Field::Short(number) => Some(number.to_string()),
        Field::Int(number) => Some(number.to_string()),
        Field::Long(number) => Some(number.to_string()),
        Field::UByte(number) => Some(number.to_string()),
        Field::UShort(number) => Some(number.to_string()),
        Field::UInt(number) => Some(number.to_string()),
        Field::ULong(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A table of ids and vectors that is written row by row, and takes its name when it is whole.
pub struct VectorTableWriter {
    writer: SerializedFileWriter<AtomicFile>,
    name: String,
    ids: Vec<ByteArray>,
    /// The numbers of the rows that wait, and for each what it is of its row.
    numbers: Vec<f32>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl VectorTableWriter {
    /// Begins a table.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path) -> Result<VectorTableWriter, FormatError> {
        let (file, name) = (AtomicFile::create(path)?, name_of(path));
        // Numbers of vectors hardly come twice.
        let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
        let writer = parse_message_type(SCHEMA)
            .and_then(|schema| SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)))
            .map_err(|error| unwritten(&name, error))?;
        let (ids, numbers) = (Vec::new(), Vec::new());
        Ok(VectorTableWriter { writer, name, ids, numbers, definitions: Vec::new(), repetitions: Vec::new() })
    }

    /// The next row; `None` for a vector that is not there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn push(&mut self, id: &str, vector: Option<&[f32]>) -> Result<(), FormatError> {
        self.ids.push(ByteArray::from(id));
        // Levels as the format has them: 0 for no list, 1 for one without numbers, 2 for a number, of which the first begins a row.
        match vector {
            Some(vector) if !vector.is_empty() => {
                self.numbers.extend_from_slice(vector);
                self.definitions.extend(std::iter::repeat_n(2, vector.len()));
                self.repetitions.push(0);
                self.repetitions.extend(std::iter::repeat_n(1, vector.len() - 1));
            }
            other => {
                self.definitions.push(i16::from(other.is_some()));
                self.repetitions.push(0);
            }
        }
        if self.ids.len() == TOGETHER { self.write() } else { Ok(()) }
    }

    /// Writes the rows that wait, as a group.
    fn write(&mut self) -> Result<(), FormatError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let lacks = || ParquetError::General("a column is missing".into());
        let mut written = || -> Result<(), ParquetError> {
            let mut group = self.writer.next_row_group()?;
            let mut column = group.next_column()?.ok_or_else(lacks)?;
            column.typed::<ByteArrayType>().write_batch(&self.ids, None, None)?;
            column.close()?;
            let mut column = group.next_column()?.ok_or_else(lacks)?;
            let levels = (Some(&self.definitions[..]), Some(&self.repetitions[..]));
            column.typed::<FloatType>().write_batch(&self.numbers, levels.0, levels.1)?;
            column.close()?;
            group.close()?;
            Ok(())
        };
        written().map_err(|error| unwritten(&self.name, error))?;
        self.ids.clear();
        self.numbers.clear();
        self.definitions.clear();
        self.repetitions.clear();
        Ok(())
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn commit(mut self) -> Result<(), FormatError> {
        self.write()?;
        let file = self.writer.into_inner().map_err(|error| unwritten(&self.name, error))?;
        file.commit()
    }
}

/// Why a table was not written: what the system said, where that is known.
fn unwritten(file: &str, error: ParquetError) -> FormatError {
    let source = match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(source) => *source,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other.to_string()),
    };
    FormatError::Write { file: file.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.parquet");
        let mut writer = VectorTableWriter::create(&path).unwrap();
        assert!(!path.exists());
        let vectors = [Some(vec![1.0, -0.5, 0.1]), None, Some(vec![]), Some(vec![f32::MIN_POSITIVE; 3])];
        // More than are written together.
        let many = TOGETHER + 5;
        let row = |nth: usize| VectorRow {
            id: Some(format!("d{nth}")),
            vector: vectors[nth % vectors.len()].clone(),
        };
        for row in (0..many).map(row) {
            writer.push(row.id.as_deref().unwrap(), row.vector.as_deref()).unwrap();
        }
        writer.commit().unwrap();
        let table = VectorTable::open(&path).unwrap();
        assert_eq!(table.rows(), many);
        let read: Vec<VectorRow> = table.map(Result::unwrap).collect();
        assert!(read == (0..many).map(row).collect::<Vec<_>>());
    }

    #[test]
    fn a_null_in_the_only_column_of_lists_is_no_vector() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.parquet");
        let schema = "message v {
            optional group embedding (LIST) { repeated group list { required float element; } }
        }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let out = std::fs::File::create(&path).unwrap();
        let mut writer =
            SerializedFileWriter::new(out, schema, Arc::new(WriterProperties::default())).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        // No list, a list of two numbers, and no list.
        let levels: (&[i16], &[i16]) = (&[0, 2, 2, 0], &[0, 0, 1, 0]);
        column.typed::<FloatType>().write_batch(&[1.0, -0.5], Some(levels.0), Some(levels.1)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let read: Vec<VectorRow> = VectorTable::open(&path).unwrap().map(Result::unwrap).collect();
        let row = |vector| VectorRow { id: None, vector };
        assert_eq!(read, [row(None), row(Some(vec![1.0, -0.5])), row(None)]);
    }

    #[test]
    fn a_file_that_is_no_table_of_vectors_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.parquet");
        std::fs::write(&path, "words").unwrap();
        let error = VectorTable::open(&path).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("text.parquet") && error.contains("not a readable Parquet table"), "{error}");
        let schema = Arc::new(parse_message_type("message d { required binary id (UTF8); }").unwrap());
        let out = std::fs::File::create(&path).unwrap();
        let mut writer =
            SerializedFileWriter::new(out, schema, Arc::new(WriterProperties::default())).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("a")], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let error = VectorTable::open(&path).unwrap().next().unwrap().unwrap_err().to_string();
        assert!(error.contains("row 1") && error.contains("no column `vector`"), "{error}");
    }
}
