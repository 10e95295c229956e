//! Interactions from a Parquet table, whose columns have the names that a header would have.

use super::reader::{Collected, NAMES, Place, rating_of, time_of};
use crate::RecError;
use plackett_core::Metadata;
use plackett_core::formats::{FormatError, parquet_rows};
use serde_json::Value;
use std::path::Path;

/// Whether a file is a Parquet table by its name, packed or not.
pub(super) fn is_table(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    plain.ends_with(".parquet")
}

/// The columns of user, item, rating and time.
type Columns = [Option<String>; 4];

/// Reads all rows. A missing rating is 1, and a missing column of times the place in the user's sequence.
///
/// # Errors
/// The file is no table, has no columns of users and items, one of those has dates or times, or a value of a row is none.
pub(super) fn read_table(path: &Path, collected: &mut Collected) -> Result<(), RecError> {
    let file = path.display().to_string();
    let mut columns: Option<Columns> = None;
    let (rows, of_time) = parquet_rows(path)?;
    for (row, at) in rows.zip(1..) {
        let row = row?;
        let columns = match &columns {
            Some(columns) => columns,
            None => {
                let (found, unused) = columns_of(&row, &file)?;
                refuse_times(&found, &of_time, &file)?;
                collected.note_unused(unused);
                collected.check_rated(found[2].is_some(), &file)?;
                columns.insert(found)
            }
        };
        let place = Place { file: file.clone(), line: at };
        take(&row, columns, &place, collected).map_err(of_row)?;
    }
    Ok(())
}

/// The columns of a table, and those that are not used.
fn columns_of(row: &Metadata, file: &str) -> Result<(Columns, Vec<String>), RecError> {
    let bare = |name: &str| name.split(':').next().unwrap_or_default().trim().to_lowercase();
    let column = |names: &[&str]| row.keys().find(|name| names.contains(&bare(name).as_str())).cloned();
    let columns = NAMES.map(column);
    let given: Vec<&str> = row.keys().map(String::as_str).collect();
    if columns[0].is_none() || columns[1].is_none() {
        let problem = format!(
            "has no column of users or none of items (it has {}); call them user and item, and rating and timestamp where there are some",
            given.join(", ")
        );
        return Err(FormatError::File { file: file.into(), problem }.into());
    }
    let unused = row.keys().filter(|name| !columns.iter().flatten().any(|used| used == *name));
    let unused = unused.cloned().collect();
    Ok((columns, unused))
}

/// Refuses users or items that are dates or moments: read as numbers they would have names that nobody gave them.
fn refuse_times(columns: &Columns, of_time: &[String], file: &str) -> Result<(), RecError> {
    match columns.iter().take(2).flatten().find(|name| of_time.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let problem = format!(
                "the column `{name}` has dates or times, which are no names of users or items; write it as strings, or give it another name and call \
                 the right one so"
            );
            Err(FormatError::File { file: file.into(), problem }.into())
        }
    }
}

fn take(row: &Metadata, columns: &Columns, place: &Place, to: &mut Collected) -> Result<(), RecError> {
    let value = |at: usize| {
        let column = columns[at].as_deref();
        let value = column.and_then(|name| row.get(name));
        match value {
            Some(Value::Array(_) | Value::Object(_)) => Err(nested(column, is_name(at), place)),
            value => Ok(value),
        }
    };
    let name = |at: usize| -> Result<String, RecError> {
        match value(at)? {
            Some(Value::Number(number)) if number.is_f64() => Err(RecError::File(FormatError::Value {
                file: place.file.clone(),
                line: place.line,
                what: ["the user", "the item"][at],
                found: number.to_string(),
                remedy: "a number with a fraction is no name; write the column as strings or whole numbers",
            })),
            value => Ok(text(value)),
        }
    };
    let (user, item) = (name(0)?, name(1)?);
    let rating = value(2)?.map(|value| rating_of(&text(Some(value)), place)).transpose()?.unwrap_or(1.0);
    let time = value(3)?.map(|value| time_of(&text(Some(value)), place)).transpose()?;
    let time = time.unwrap_or_else(|| to.length(&user) as i64);
    to.add(&user, &item, (rating, time), place)
}

/// Whether a column has the names of users or items; the others have numbers.
fn is_name(at: usize) -> bool {
    at < 2
}

/// Refuses a list, a map or a structure of fields, which is no name and no number.
fn nested(column: Option<&str>, is_name: bool, place: &Place) -> RecError {
    let (what, wanted) = if is_name { ("name", "strings or whole numbers") } else { ("number", "numbers") };
    let problem = format!(
        "row {}: the column `{}` has a list, a map or a structure, which is no {what}; write the column as {wanted}, one a row",
        place.line,
        column.unwrap_or_default()
    );
    RecError::File(FormatError::File { file: place.file.clone(), problem })
}

/// A value as it would stand in a file of text; nothing for null.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.trim().to_string(),
        Some(other) => other.to_string(),
    }
}

/// What is wrong with a value, told by its row.
fn of_row(error: RecError) -> RecError {
    match error {
        RecError::File(FormatError::Value { file, line, what, found, remedy }) => {
            let problem = format!("row {line}: {what} is `{found}`; {remedy}");
            RecError::File(FormatError::File { file, problem })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Interactions, RecError, read_interactions};
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// A table of items as texts, users as whole numbers, ratings and times, the last in 32 bits where they are dates. Where the first two
    /// are keys and values of a map, each row has one of both.
    fn table(schema: &str, ratings: [f64; 3]) -> Result<Interactions, RecError> {
        let has_dates = schema.contains("(DATE)");
        let levels: [Option<&[i16]>; 2] =
            if schema.contains("(MAP)") { [Some(&[1; 3]), Some(&[0; 3])] } else { [None, None] };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.parquet");
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let out = std::fs::File::create(&path).unwrap();
        let properties = Arc::new(WriterProperties::default());
        let mut writer = SerializedFileWriter::new(out, schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let items = ["a", "b", "a"].map(ByteArray::from);
        column.typed::<ByteArrayType>().write_batch(&items, levels[0], levels[1]).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[7, 7, 9], levels[0], levels[1]).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&ratings, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        match has_dates {
            true => column.typed::<Int32Type>().write_batch(&[20, 10, 5], None, None).unwrap(),
            false => column.typed::<Int64Type>().write_batch(&[20, 10, 5], None, None).unwrap(),
        };
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        read_interactions(&path, None)
    }

    #[test]
    fn columns_are_found_by_their_names() {
        let schema =
            "message e { required binary item_id (UTF8); required int64 user_id; required double rating;
            required int64 timestamp; }";
        let all = table(schema, [5.0, 3.5, 1.0]).unwrap();
        assert_eq!(
            (&all.users[..], &all.items[..]),
            (&["7".to_string(), "9".into()][..], &["a".to_string(), "b".into()][..])
        );
        // In the order of time: b at 10, then a at 20.
        let events: Vec<_> =
            all.sequences[0].iter().map(|event| (event.item, event.rating, event.time)).collect();
        assert_eq!(events, [(1, 3.5, 10), (0, 5.0, 20)]);
        assert_eq!(all.account.remarks(), Vec::<String>::new());
        let moments = schema
            .replace("int64 timestamp", "int64 timestamp (TIMESTAMP_MILLIS)")
            .replace("rating", "price");
        let all = table(&moments, [5.0, 3.5, 1.0]).unwrap();
        assert_eq!((all.sequences[1][0].time, all.sequences[1][0].rating), (5, 1.0));
        assert!(all.account.remarks()[0].contains("not used: price"));
        // Days from the beginning of 1970 on.
        let dates = schema.replace("int64 timestamp", "int32 timestamp (DATE)");
        let all = table(&dates, [5.0, 3.5, 1.0]).unwrap();
        let times: Vec<_> = all.sequences.iter().flatten().map(|event| event.time).collect();
        assert_eq!(times, [10, 20, 5]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let schema = "message e { required binary item (UTF8); required int64 user; required double rating; required int64 time; }";
        let said = |schema: &str, ratings| table(schema, ratings).unwrap_err().to_string();
        let error = said(schema, [5.0, f64::NAN, 1.0]);
        assert!(error.contains("row 2: rating is ``; a number is expected"), "{error}");
        let error = said(&schema.replace("int64 user", "int64 who"), [1.0; 3]);
        assert!(
            error.contains("no column of users")
                && error.contains("who")
                && error.contains("call them user and item"),
            "{error}"
        );
        let swapped = schema.replace("int64 user;", "int64 when;").replace("double rating", "double user");
        let error = said(&swapped, [1.5, 2.0, 3.0]);
        assert!(error.contains("row 1: the user is `1.5`"), "{error}");
        let nested = schema.replace("binary item (UTF8);", "group item { required binary name (UTF8); }");
        let error = said(&nested, [1.0; 3]);
        assert!(error.contains("row 1: the column `item` has a list, a map or a structure"), "{error}");
        let map = "group item (MAP) { repeated group key_value { required binary key (UTF8); required int64 value; } }";
        let map = format!("message e {{ required {map} required double rating; required int64 user; }}");
        let error = said(&map, [1.0; 3]);
        assert!(error.contains("row 1: the column `item` has") && error.contains("no name"), "{error}");
        for kind in ["int64 user (TIMESTAMP_MILLIS)", "int64 user (TIMESTAMP(NANOS,true))"] {
            let error = said(&schema.replace("int64 user", kind), [1.0; 3]);
            assert!(error.contains("the column `user` has dates or times"), "{kind}: {error}");
        }
        let dated = "message e { required binary when (UTF8); required int64 user; required double rating; required int32 item (DATE); }";
        let error = said(dated, [1.0; 3]);
        assert!(error.contains("the column `item` has dates or times"), "{error}");
        let stars = schema.replace("double rating;", "group rating { required double stars; }");
        let error = said(&stars, [1.0; 3]);
        assert!(error.contains("row 1: the column `rating` has") && error.contains("no number"), "{error}");
    }
}
