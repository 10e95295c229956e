//! `text-vectors`: texts of a collection, embedded once for the stages that train on their vectors.

use crate::recipe::error::StageError;
use crate::recipe::field::{FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Task, hash_file};
use crate::recipe::worlds::choosing::{SOURCES, TextVectors, source};
use plackett_lm::store::BUNDLED;

/// The declaration.
pub static TEXT_VECTORS: StageKind = StageKind {
    name: "text-vectors",
    help: "texts of a collection, embedded once with the bundled encoder for stages that work on their vectors; gives `texts`, how many there \
           are",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::required(
            "texts",
            FieldKind::Choice(SOURCES),
            "which of them; questions: questions of squad-pairs with their paragraphs; continuations: its articles, cut into prefixes and what follows; clauses: of abstracts that have a title; fixes: methods before and after a fix; films: films and searches for them by genre and decade; \
             sentences: of paragraphs of squad-pairs that have five to eight; facets: twenty passages of each article of squad-pairs, its title, and two questions \
             about each passage after the title",
        ),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| vec!["texts".into()],
    outside: |values, environment| {
        let source = source(values.word("texts"));
        let file = environment.collection(values.word("collection"))?.join(source.file);
        Ok(vec![("texts".into(), hash_file(&file)?), ("model".into(), environment.fingerprint(BUNDLED)?)])
    },
    estimate: |_| Ok(Estimate { work: "embeds texts".into(), seconds: Some(60.0), ..Estimate::default() }),
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let source = source(task.values.word("texts"));
    let file = task.environment.collection(task.values.word("collection"))?.join(source.file);
    let vectors = TextVectors::embed(task, (source.read)(&file)?)?;
    vectors.write(task.folder)?;
    Ok(StageOutput {
        numbers: vec![Quantity::of_seed("texts", 1, vectors.count() as f64)],
        facts: vec![("numbers of a vector".into(), vectors.dimension().to_string())],
        ..StageOutput::default()
    })
}

/// The vectors of the stage that the field `vectors` names, and the file that its texts are of.
pub(super) fn vectors_of(task: &Task<'_>) -> Result<(TextVectors, std::path::PathBuf), StageError> {
    vectors_of_input(task, task.values)
}

/// The same for the field of a stage before the task's.
pub(super) fn vectors_of_input(
    task: &Task<'_>,
    values: &Values,
) -> Result<(TextVectors, std::path::PathBuf), StageError> {
    let input = task.input(values.word("vectors"))?;
    input.check_kind("vectors", &[TEXT_VECTORS.name])?;
    let source = source(input.values.word("texts"));
    let file = task.environment.collection(input.values.word("collection"))?.join(source.file);
    Ok((TextVectors::read(&input.folder)?, file))
}

/// The field.
pub(super) const VECTORS: FieldSpec =
    FieldSpec::required("vectors", FieldKind::Stage(&[OutputKind::Numbers]), "a stage `text-vectors`");
