//! Pipeline expressions in recipes: syntax and names are checked when the recipe is read, before any model is opened.

use crate::pipeline::{FEEDBACK, NgramSearch, beginnings, lacks_scores};
use crate::recipe::error::{Problem, RecipeError, nearest};
use crate::recipe::field::Values;
use plackett_core::pipeline::{Pipeline, Stage};
use plackett_rank::MethodSpec;
use plackett_rank::method::METHODS;

/// Where an expression begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// With a first stage or a fusion.
    WithIndex,
    /// With a reranker.
    WithCandidates,
}

/// Names of rerankers.
fn rerankers() -> Vec<&'static str> {
    METHODS.iter().map(|method| method.name).collect()
}

/// Checks the expression in the field `pipeline`.
///
/// # Errors
/// It is not written by the grammar, names a stage that does not exist there, or has feedback from scores that a method does not have; the
/// place is inside the expression.
pub fn check(values: &Values, begins: Begins) -> Result<(), RecipeError> {
    let text = values.word("pipeline");
    let parsed: Pipeline = match text.parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            let error: plackett_core::pipeline::ParseError = error;
            let problem =
                Problem::Said(format!("the pipeline: expected {}, found {}", error.expected, error.found));
            return Err(inside(values, error.column, 1, problem));
        }
    };
    chain(&parsed, begins).map_err(|refused| {
        let (name, problem) = *refused;
        let column = text.find(&name).map_or(1, |at| text[..at].chars().count() + 1);
        inside(values, column, name.chars().count(), problem)
    })
}

/// An error at a column of the expression. The quotation mark before it is one character.
fn inside(values: &Values, column: usize, width: usize, problem: Problem) -> RecipeError {
    let place = values.place("pipeline", 0);
    // An expression over several lines has no columns of its own line: the whole is meant then.
    let fits = column < place.width;
    let mut shifted = if fits { place.shifted(column) } else { place.clone() };
    if fits {
        shifted.width = width;
    }
    RecipeError::At { place: Box::new(shifted), problem }
}

fn chain(pipeline: &Pipeline, begins: Begins) -> Result<(), Box<(String, Problem)>> {
    for (nth, stage) in pipeline.stages.iter().enumerate() {
        let name = stage.name.as_str();
        let first = nth == 0 && begins == Begins::WithIndex;
        if name == FEEDBACK && nth > 0 && begins == Begins::WithIndex {
            match lacks_scores(stage, &pipeline.stages[nth - 1]) {
                Some(problem) => return Err(Box::new((name.to_string(), Problem::Said(problem)))),
                None => continue,
            }
        }
        let known = if first { beginnings() } else { rerankers() };
        // A method has aliases beside the name that is listed.
        if !known.contains(&name) && (first || MethodSpec::find(name).is_err()) {
            return Err(Box::new((name.to_string(), refusal(stage, first, &known))));
        }
        for input in &stage.inputs {
            chain(input, begins)?;
        }
    }
    Ok(())
}

fn refusal(stage: &Stage, first: bool, known: &[&str]) -> Problem {
    let name = stage.name.clone();
    match (first, MethodSpec::find(&name).is_ok()) {
        (true, true) => Problem::Said(format!(
            "`{name}` is a reranker; a first stage or a fusion must stand before it, as in `bm25:100 >> {name}`"
        )),
        (false, _) if beginnings().contains(&name.as_str()) => Problem::Said(format!(
            "`{name}` finds candidates; here a reranker is needed ({})",
            known.join(", ")
        )),
        _ => Problem::UnknownName {
            what: "method",
            nearest: nearest(&name, known.iter().copied()),
            name,
            known: known.join(", "),
        },
    }
}

/// The models that an expression names, and the default one where some stage needs a model and names none.
pub fn models(expression: &str, default: Option<&str>) -> Vec<Option<String>> {
    let Ok(parsed) = expression.parse::<Pipeline>() else { return Vec::new() };
    let mut named = Vec::new();
    collect(&parsed, default, &mut named);
    named.sort();
    named.dedup();
    named
}

fn collect(pipeline: &Pipeline, default: Option<&str>, named: &mut Vec<Option<String>>) {
    for stage in &pipeline.stages {
        let name = stage.name.as_str();
        if name != FEEDBACK && !beginnings().contains(&name) {
            named.push(stage.option("model").or(default).map(str::to_string));
        }
        if name == NgramSearch::NAME {
            named.extend(stage.option("model").map(|model| Some(model.to_string())));
        }
        stage.inputs.iter().for_each(|input| collect(input, default, named));
    }
}
