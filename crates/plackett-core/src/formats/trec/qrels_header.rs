//! Which columns a file of judgments has, told by its first line.

use crate::formats::FormatError;

/// Names of the column of queries that tell a header line, in lower case.
pub(super) const QUERY: [&str; 3] = ["query-id", "query_id", "qid"];
/// Names of the column of documents.
const DOCUMENT: [&str; 7] = ["corpus-id", "corpus_id", "docid", "doc_id", "doc-id", "docno", "pid"];
/// Names of the column of grades.
const GRADE: [&str; 6] = ["score", "rel", "relevance", "grade", "label", "relevancy"];
/// Names of the second column of TREC's judgments.
const ITERATION: [&str; 6] = ["iter", "iteration", "q0", "0", "subtopic", "group"];

/// The columns of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// `query-id corpus-id score`.
    Beir,
    /// `qid iter docno rel`.
    Trec,
}

/// What a header line of judgments must be, for messages.
const HEADER: &str = "a header `query-id corpus-id score` or `qid iter docno rel`";

/// The columns that the first line tells of, and whether it is a header. Three fields without header are BEIR's only
/// where `tabs` lie between them: with blanks they may be TREC's without the grade, as in `q1 0 12`.
pub(super) fn columns_of(
    fields: &[String],
    tabs: bool,
    file: &str,
    number: u64,
) -> Result<(Columns, bool), FormatError> {
    let names: Vec<String> = fields.iter().map(|field| field.to_ascii_lowercase()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wrong = |found, remedy| FormatError::Fields {
        file: file.into(),
        line: number,
        expected: HEADER,
        found,
        remedy,
    };
    match names.as_slice() {
        [one] if one.contains(',') => {
            let names: Vec<&str> = one.split(',').map(|name| name.trim_matches('"')).collect();
            if names.len() > 2 && names.iter().any(|name| is_name(name)) {
                let problem = format!(
                    "line {number}: is the header of a table with commas; put tabs between the columns, \
                     `query-id⇥corpus-id⇥score`"
                );
                return Err(FormatError::File { file: file.into(), problem });
            }
            Ok((Columns::Trec, false))
        }
        [query, document, grade] if QUERY.contains(query) => {
            if GRADE.contains(document) || DOCUMENT.contains(grade) {
                return Err(order(file, number));
            }
            Ok((Columns::Beir, true))
        }
        [query, iteration, ..] if QUERY.contains(query) => match names.len() {
            4 if ITERATION.contains(iteration) => Ok((Columns::Trec, true)),
            found => Err(wrong(found, "take the other columns out")),
        },
        // Another order, told by two names at least, and no number where the grade would stand: an id may be a name.
        [_, .., last]
            if last.parse::<f64>().is_err() && names.iter().filter(|name| is_name(name)).count() > 1 =>
        {
            Err(order(file, number))
        }
        [_, _, _] if !tabs => Err(FormatError::Fields {
            file: file.into(),
            line: number,
            expected: "the four fields `qid iter docno rel`",
            found: 3,
            remedy: "add what is missing; three fields are read as BEIR's `query-id corpus-id score` below a header of \
                         these names, or with tabs between them",
        }),
        [_, _, _] => Ok((Columns::Beir, false)),
        _ => Ok((Columns::Trec, false)),
    }
}

/// Whether a text is a name of a column.
fn is_name(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [&QUERY[..], &DOCUMENT, &GRADE].iter().any(|names| names.contains(&text.as_str()))
}

fn order(file: &str, line: u64) -> FormatError {
    let problem =
        format!("line {line}: the columns stand in another order; write them as `query-id corpus-id score`");
    FormatError::File { file: file.into(), problem }
}
