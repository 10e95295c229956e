//! Vectors that come with the documents: the flags that say where they are, and their reading.

use crate::command::Output;
use anyhow::bail;
use clap::Args;
use plackett_core::Document;
use plackett_core::formats::{NpyRows, VectorRow, VectorTable};
use plackett_search::{IndexSettings, ModelIdentity};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where vectors are that were made already.
#[derive(Args)]
pub struct VectorArguments {
    /// Take the vectors of the documents from this .npy file or .parquet table (a column `vector`, and if there is one of
    /// ids those of the documents), a row for each in their order; --model names the model that made them, which embeds
    /// the queries
    #[arg(long, value_name = "FILE", requires = "collection", conflicts_with_all = ["no_vectors", "sync", "vector_field"])]
    pub vectors_from: Option<PathBuf>,
    /// Take the vectors from this field of the documents, a list of numbers; --model names the model that made them
    #[arg(long, value_name = "NAME", requires = "collection", conflicts_with_all = ["no_vectors", "sync"])]
    vector_field: Option<String>,
}

/// Vectors one after another.
pub enum VectorSource {
    Rows { rows: NpyRows, file: String },
    Table { rows: VectorTable, file: String, model: ModelIdentity },
    Field { name: String, dim: usize },
}

impl VectorArguments {
    /// Whether vectors come with the documents.
    pub fn is_given(&self) -> bool {
        self.vectors_from.is_some() || self.vector_field.is_some()
    }

    /// Refuses documents without vectors for an index whose vectors were given: those of its model would stand among them, or
    /// in their place, and nobody would know; likewise given ones for an index whose model made its vectors, which would not
    /// remember them. Who names the model says that they are of one kind.
    pub fn check_given(
        &self,
        settings: &IndexSettings,
        index: &Path,
        sync: bool,
        model: Option<&str>,
    ) -> anyhow::Result<()> {
        let Some(own) = settings.model.as_ref().filter(|_| model.is_none()) else { return Ok(()) };
        match settings.given_vectors {
            Some(given) if given == self.is_given() => return Ok(()),
            None if self.is_given() => bail!(
                "{}: the index {} is of an older version, which did not note whether its vectors were made by {} or came with the \
                 documents; write --model {} if that model made both, leave the flag out so that it makes the new ones, or make a new \
                 index",
                self.flag(),
                index.display(),
                own.name,
                own.name
            ),
            None => return Ok(()),
            Some(_) => {}
        }
        if self.is_given() {
            bail!(
                "{}: the vectors of the index {} were made by {}, and those that come with the documents may be of another model; \
                 write --model {} if it made them, leave the flag out so that it does, or make a new index",
                self.flag(),
                index.display(),
                own.name,
                own.name
            );
        }
        let (flag, without_sync) = if sync {
            ("--sync", "leave --sync out and add documents with --append and ")
        } else {
            ("--append", "")
        };
        bail!(
            "{flag}: the vectors of the index {} were given (--vectors-from, --vector-field), and those of the new documents would \
             be made by {}; {without_sync}give theirs with --vectors-from FILE or --vector-field NAME, or write --model {} if it \
             made the others too",
            index.display(),
            own.name,
            own.name
        )
    }

    /// Tells of an index that does not say whether its vectors came with the documents, to which a model's own are added.
    pub fn remark_on_unknown(&self, settings: &IndexSettings, index: &Path, output: &Output) {
        if let (Some(own), None, false) = (&settings.model, settings.given_vectors, self.is_given()) {
            output.warn(&format!(
                "{}: is of an older version, which did not note whether its vectors came with the documents; those of the new documents \
                 are made by {}, and if the others were made by another model the two do not compare: index the collection again",
                index.display(),
                own.name
            ));
        }
    }

    /// The flag that says where they are, as it was written.
    fn flag(&self) -> String {
        match (&self.vectors_from, &self.vector_field) {
            (Some(file), _) => format!("--vectors-from {}", file.display()),
            (None, name) => format!("--vector-field {}", name.as_deref().unwrap_or_default()),
        }
    }

    /// Opens what is asked for, for an index of a model.
    pub fn open(
        &self,
        model: Option<&ModelIdentity>,
        has_passages: bool,
    ) -> anyhow::Result<Option<VectorSource>> {
        if !self.is_given() {
            return Ok(None);
        }
        let given = self.flag();
        if has_passages {
            bail!(
                "{given}: a vector belongs to a whole document, and the documents of this index are cut into passages; leave the \
                 flag or --chunk out"
            );
        }
        let Some(model) = model else {
            bail!("{given}: the index has no vectors; leave the flag out, or make a new index with it");
        };
        let Some(path) = &self.vectors_from else {
            let name = self.vector_field.clone().unwrap_or_default();
            return Ok(Some(VectorSource::Field { name, dim: model.dim }));
        };
        let file = path.display().to_string();
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet")) {
            let rows = VectorTable::open(path)?;
            return Ok(Some(VectorSource::Table { rows, file, model: model.clone() }));
        }
        let rows = NpyRows::open(path)?;
        if rows.dim() != model.dim {
            bail!(
                "{given}: its rows have {} numbers, and the vectors of the model {} have {}; name the model that made them with \
                 --model",
                rows.dim(),
                model.name,
                model.dim
            );
        }
        Ok(Some(VectorSource::Rows { rows, file }))
    }
}

impl VectorSource {
    /// The vector of the document that comes next; a field is taken out of its document.
    pub fn vector_of(&mut self, document: &mut Document) -> anyhow::Result<Vec<f32>> {
        let vector = self.next(document)?;
        // Two such vectors have no score.
        match vector.iter().map(|x| x * x).sum::<f32>().is_finite() {
            true => Ok(vector),
            false => {
                bail!("the vector of the document `{}` is too long: its square is no number", document.id)
            }
        }
    }

    fn next(&mut self, document: &mut Document) -> anyhow::Result<Vec<f32>> {
        match self {
            VectorSource::Rows { rows, file } => match rows.next() {
                Some(row) => Ok(row?),
                None => Err(too_few(file, rows.rows(), document)),
            },
            VectorSource::Table { rows, file, model } => match rows.next() {
                Some(row) => of_row(row?, file, document, model),
                None => Err(too_few(file, rows.rows(), document)),
            },
            VectorSource::Field { name, dim } => {
                let path = match document.metadata.contains_key(name.as_str()) {
                    true => name.as_str(),
                    false => name.strip_prefix("metadata.").unwrap_or(name.as_str()),
                };
                let Some(value) = document.metadata.shift_remove(path) else {
                    bail!(
                        "--vector-field {name}: the document `{}` has no such field; every document needs its vector",
                        document.id
                    );
                };
                numbers(&value).filter(|vector| vector.len() == *dim).ok_or_else(|| {
                    anyhow::anyhow!(
                        "--vector-field {name}: in the document `{}` it is no list of {dim} numbers, as the model has",
                        document.id
                    )
                })
            }
        }
    }

    /// Refuses rows that belong to no document.
    pub fn end(&mut self, documents: usize) -> anyhow::Result<()> {
        let (rows, file) = match self {
            VectorSource::Rows { rows, file } => (rows.rows(), file),
            VectorSource::Table { rows, file, .. } => (rows.rows(), file),
            VectorSource::Field { .. } => return Ok(()),
        };
        if rows != documents {
            bail!("{file}: has {rows} rows, and the collection {documents} documents; a row belongs to each");
        }
        Ok(())
    }
}

fn too_few(file: &str, rows: usize, document: &Document) -> anyhow::Error {
    anyhow::anyhow!(
        "{file}: has {rows} rows, and the collection more documents (`{}` has none); a row belongs to each",
        document.id
    )
}

/// The vector of a row of a table, which must be that of the document; zeros where the row has none.
fn of_row(
    row: VectorRow,
    file: &str,
    document: &Document,
    model: &ModelIdentity,
) -> anyhow::Result<Vec<f32>> {
    if let Some(id) = row.id.filter(|id| *id != document.id) {
        bail!(
            "{file}: the row of `{id}` stands where that of the document `{}` should; put the rows into the order of the documents, \
             or, if they are in it and the ids are others, as those of texts that `plackett embed` numbered, leave the column of \
             ids out or give the vectors as an .npy file",
            document.id
        );
    }
    let vector = row.vector.unwrap_or_else(|| vec![0.0; model.dim]);
    if vector.len() != model.dim {
        bail!(
            "{file}: the vector of the document `{}` has {} numbers, and those of the model {} have {}; name the model that made \
             them with --model",
            document.id,
            vector.len(),
            model.name,
            model.dim
        );
    }
    Ok(vector)
}

fn numbers(value: &Value) -> Option<Vec<f32>> {
    let number =
        |value: &Value| value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
    value.as_array()?.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_vectors_may_be_named_as_one_of_the_metadata() {
        let metadata = serde_json::json!({"v": [1, 0.5], "year": 1});
        let document =
            Document { metadata: metadata.as_object().unwrap().clone(), ..Document::new("d", "x") };
        for name in ["v", "metadata.v"] {
            let mut source = VectorSource::Field { name: name.into(), dim: 2 };
            let mut taken = document.clone();
            assert_eq!(source.vector_of(&mut taken).unwrap(), [1.0, 0.5], "{name}");
            assert!(!taken.metadata.contains_key("v") && taken.metadata.contains_key("year"));
        }
        let mut source = VectorSource::Field { name: "metadata.w".into(), dim: 2 };
        let refused = source.vector_of(&mut document.clone()).unwrap_err().to_string();
        assert!(
            refused.contains("--vector-field metadata.w") && refused.contains("no such field"),
            "{refused}"
        );
    }

    #[test]
    fn documents_without_vectors_do_not_join_given_ones_unasked() {
        let model = ModelIdentity { name: "m".into(), dim: 2, fingerprint: None };
        let made = IndexSettings { model: Some(model), ..IndexSettings::default() };
        let given = IndexSettings { given_vectors: Some(true), ..made.clone() };
        let older = IndexSettings { given_vectors: None, ..made.clone() };
        let none = VectorArguments { vectors_from: None, vector_field: None };
        let field = VectorArguments { vectors_from: None, vector_field: Some("v".into()) };
        let check = |arguments: &VectorArguments, settings, sync, model| {
            arguments
                .check_given(settings, Path::new("my.index"), sync, model)
                .map_err(|error| error.to_string())
        };
        for (sync, flag) in [(false, "--append: "), (true, "--sync: ")] {
            let said = check(&none, &given, sync, None).unwrap_err();
            let pieces = [flag, "my.index", "--vectors-from FILE", "--model m"];
            assert!(pieces.iter().all(|piece| said.contains(piece)), "{said}");
        }
        assert!(check(&none, &given, false, Some("m")).is_ok(), "asked for by name");
        assert!(check(&field, &given, false, None).is_ok());
        assert!(check(&none, &made, false, None).is_ok());
        let said = check(&field, &made, false, None).unwrap_err();
        assert!(said.starts_with("--vector-field v: ") && said.contains("--model m"), "{said}");
        assert!(check(&field, &made, false, Some("m")).is_ok(), "asked for by name");
        // An index of a version that did not note it.
        assert!(check(&none, &older, false, None).is_ok() && check(&field, &older, false, Some("m")).is_ok());
        let said = check(&field, &older, false, None).unwrap_err();
        assert!(said.contains("older version") && said.contains("--model m"), "{said}");
        let output = Output::kept();
        for (arguments, settings, told) in
            [(&none, &older, true), (&field, &older, false), (&none, &made, false), (&none, &given, false)]
        {
            arguments.remark_on_unknown(settings, Path::new("my.index"), &output);
            let said = output.take();
            assert_eq!(said.contains("my.index: is of an older version"), told, "{said}");
        }
    }
}
