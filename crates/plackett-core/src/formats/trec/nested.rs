//! Runs and judgments as nested JSON objects, `{"query": {"document": number}}` (ranx's form).

use super::qrels::{Collected, whole};
use super::run::settle;
use super::{Duplicates, Nan, ReadOptions};
use crate::formats::FormatError;
use crate::formats::object::{words, wrong};
use crate::{Qrels, Run, RunQuery};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// The entries of an object in their order; a key that stands twice is there twice.
pub(super) struct Pairs<V>(pub(super) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Reader<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Reader<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of the form {\"query\": {\"document\": number}}")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        input.deserialize_map(Reader(PhantomData))
    }
}

pub(super) fn parse<V: for<'de> Deserialize<'de>>(
    bytes: &[u8],
    file: &str,
) -> Result<Vec<(String, Pairs<V>)>, FormatError> {
    let pairs: Pairs<Pairs<V>> = serde_json::from_slice(bytes).map_err(|error| FormatError::Json {
        file: file.into(),
        line: (error.line() as u64).max(1),
        expected: "one object `{\"query\": {\"document\": number}}`",
        problem: wrong(&words(&error)) + "; mend it",
    })?;
    Ok(pairs.0)
}

fn twice(file: &str, query: &str, document: &str) -> FormatError {
    let problem = format!("document `{document}` stands twice under query `{query}`; remove one");
    FormatError::File { file: file.into(), problem }
}

/// A run; `null` stands for NaN, which JSON cannot write.
pub(super) fn run(bytes: &[u8], file: &str, options: &ReadOptions) -> Result<Run, FormatError> {
    let full = |source| FormatError::Full { file: file.into(), source };
    let mut run = Run::new("");
    for (id, documents) in parse::<Option<f64>>(bytes, file)? {
        let query = run.query_mut(&id);
        for (document, score) in documents.0 {
            if score.is_none() && options.nan == Nan::Error {
                let problem = format!(
                    "query `{id}`, document `{document}`: the score is null; mend it, or let it in with --keep-nan of eval and compare (it then ranks last)"
                );
                return Err(FormatError::File { file: file.into(), problem });
            }
            query.push(&document, score.unwrap_or(f64::NAN)).map_err(full)?;
        }
        if options.duplicates != Duplicates::KeepAll
            && let Some(document) = settle(query, options.duplicates).map_err(full)?
        {
            return Err(twice(file, &id, &document));
        }
    }
    // Queries without documents are kept beside others, but a file of nothing else is hardly ever what was meant.
    if run.queries().iter().all(RunQuery::is_empty) {
        let expected = "a run `{\"query\": {\"document\": score}}`";
        return Err(FormatError::Empty { file: file.into(), expected });
    }
    Ok(run)
}

/// Judgments. A query may stand twice, a document under it only as `options.duplicates` allows.
pub(super) fn qrels(bytes: &[u8], file: &str, options: &ReadOptions) -> Result<Qrels, FormatError> {
    let mut qrels = Qrels::new();
    let mut collected = Collected::default();
    for (id, documents) in parse::<f64>(bytes, file)? {
        qrels.query_mut(&id);
        for (document, value) in documents.0 {
            let grade = whole(value, options.truncate_grades).map_err(|remedy| {
                let problem =
                    format!("query `{id}`, document `{document}`: the grade is `{value}`; {remedy}");
                FormatError::File { file: file.into(), problem }
            })?;
            let key = (id.clone(), "0".to_string(), document);
            let added = collected.add(key, grade, 0, options.duplicates);
            added.map_err(|((query, _, document), _)| twice(file, &query, &document))?;
        }
    }
    if collected.is_empty() {
        let expected = "judgments `{\"query\": {\"document\": grade}}`";
        return Err(FormatError::Empty { file: file.into(), expected });
    }
    collected.append_to(qrels, file)
}
