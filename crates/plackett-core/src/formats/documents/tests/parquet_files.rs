//! Tables of Parquet as documents.

use super::*;

pub(super) fn write_parquet(path: &Path) {
    use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use ::parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;
    let schema = "message d { required int64 id; required binary contents (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let out = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[7, 8], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let texts = [ByteArray::from("one"), ByteArray::from("two")];
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn moments_of_tables_are_dates_and_numbers_that_are_none_are_said() {
    use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use ::parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    use ::parquet::schema::parser::parse_message_type;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let schema = "message d { required binary id (UTF8); required binary text (UTF8);
        required int64 on (TIMESTAMP(NANOS,false)); required int64 at (TIMESTAMP(MICROS,true)); required double price; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let out = std::fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for texts in [["a", "b"], ["one", "two"]] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts.map(ByteArray::from), None, None).unwrap();
        column.close().unwrap();
    }
    let seconds = 1_714_559_400;
    for moments in [[seconds * 1_000_000_000, 1], [seconds * 1_000_000, 0]] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&moments, None, None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&[1.5, f64::NAN], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let options = DocumentOptions::default();
    let found: Vec<_> = open_documents(&path, &options).unwrap().map(Result::unwrap).collect();
    assert_eq!(
        serde_json::Value::Object(found[0].metadata.clone()),
        serde_json::json!({"on": "2024-05-01 10:30:00 +00:00", "at": "2024-05-01 10:30:00.000000 +00:00", "price": 1.5})
    );
    assert_eq!(found[1].metadata["on"], "1970-01-01 00:00:00.000000001 +00:00");
    assert!(found[1].metadata["price"].is_null());
    let remarks = options.remarks.take().join("\n");
    assert!(remarks.contains("NaN") && remarks.contains("`price` (1 document)"), "{remarks}");
}

#[test]
fn parquet_rows_become_documents_and_garbage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.parquet");
    write_parquet(&path);
    let read = || open_documents(&path, &DocumentOptions::default());
    let found: Vec<_> = read().unwrap().map(Result::unwrap).collect();
    assert_eq!(found, [Document::new("7", "one"), Document::new("8", "two")]);
    let whole = std::fs::read(&path).unwrap();
    for (at, change) in (0..whole.len()).flat_map(|at| [(at, 0x01), (at, 0x80), (at, 0xff)]) {
        let mut bytes = whole.clone();
        bytes[at] ^= change;
        std::fs::write(&path, &bytes).unwrap();
        // Whatever a flipped bit makes of the table: it ends, and nothing panics.
        if let Ok(documents) = read() {
            assert!(documents.take(100).count() < 100);
        }
    }
    // In the place of the first page's header, a field that nobody knows: a list of 2^31 − 1 doubles. Skipping them
    // is refused at the end of the file, not gone through.
    let mut endless = whole.clone();
    endless[4..11].copy_from_slice(&[0xf9, 0xf7, 0xff, 0xff, 0xff, 0xff, 0x07]);
    std::fs::write(&path, &endless).unwrap();
    let started = std::time::Instant::now();
    assert!(read().unwrap().next().unwrap().is_err());
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    std::fs::write(&path, b"PAR1 nothing").unwrap();
    assert!(matches!(read().err(), Some(FormatError::File { .. })));
}

#[test]
fn rows_that_are_no_documents_have_their_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.parquet");
    write_parquet(&path);
    let (rows, of_time) = parquet_rows(&path).unwrap();
    assert_eq!(of_time, Vec::<String>::new());
    let rows: Vec<_> = rows.map(Result::unwrap).collect();
    let expected = [(7, "one"), (8, "two")].map(|(id, text)| serde_json::json!({"id": id, "contents": text}));
    assert_eq!(rows.into_iter().map(serde_json::Value::Object).collect::<Vec<_>>(), expected);
    std::fs::write(&path, b"PAR1 nothing").unwrap();
    let problem = parquet_rows(&path).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(problem.contains("not a readable Parquet table"), "{problem}");
}

#[test]
fn moments_in_96_bits_keep_their_digits() {
    use ::parquet::data_type::{ByteArray, ByteArrayType, Int96, Int96Type};
    use ::parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.parquet");
    let schema = "message d { required binary id (UTF8); required binary text (UTF8); optional int96 at; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let out = std::fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(WriterProperties::default())).unwrap();
    // Half past ten on the first of May 2024: the day's number and nanoseconds.
    let moment = |parts: u64| {
        let nanos = 37_800_000_000_000 + parts;
        Int96::from(vec![nanos as u32, (nanos >> 32) as u32, 2_460_432])
    };
    for [ids, parts] in [["a", "b"], ["c", "d"]].map(|ids| [ids, ["one", "two"]]) {
        let mut group = writer.next_row_group().unwrap();
        for texts in [ids, parts] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&texts.map(ByteArray::from), None, None).unwrap();
            column.close().unwrap();
        }
        let mut column = group.next_column().unwrap().unwrap();
        let (moments, there): (Vec<Int96>, [i16; 2]) = match ids[0] {
            "a" => (vec![moment(123_456_000), moment(250_000_000)], [1, 1]),
            _ => (vec![moment(5)], [0, 1]),
        };
        column.typed::<Int96Type>().write_batch(&moments, Some(&there), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    let found: Vec<_> =
        open_documents(&path, &DocumentOptions::default()).unwrap().map(Result::unwrap).collect();
    let at = |row: usize| found[row].metadata.get("at").and_then(serde_json::Value::as_str);
    assert_eq!(at(0), Some("2024-05-01 10:30:00.123456 +00:00"));
    assert_eq!(at(1), Some("2024-05-01 10:30:00.250 +00:00"));
    assert_eq!((at(2), at(3)), (None, Some("2024-05-01 10:30:00.000000005 +00:00")));
}

#[test]
fn a_path_with_dots_names_a_column_of_a_group() {
    use ::parquet::data_type::{ByteArray, ByteArrayType};
    use ::parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.parquet");
    let schema = "message d { required binary id (UTF8); required group body { required binary text (UTF8); required \
                  binary by (UTF8); } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let out = std::fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for cell in ["a", "words", "Ada"] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[ByteArray::from(cell)], None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let options = DocumentOptions { text_field: Some("body.text".into()), ..DocumentOptions::default() };
    let found: Vec<_> = open_documents(&path, &options).unwrap().map(Result::unwrap).collect();
    assert_eq!((found[0].id.as_str(), found[0].text.as_str()), ("a", "words"));
    assert_eq!(found[0].metadata["body"]["by"], "Ada");
}
