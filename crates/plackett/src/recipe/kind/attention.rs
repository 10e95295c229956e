//! `attention`: properties of attention that in-context rerankers stand on, measured on a real model.

use super::{CANDIDATES, DEPTH, USUAL_WORDS, WORDS, index, rank};
use crate::pipeline::{ModelOptions, Models};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Hashes, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Environment, Task};
use plackett_core::RankRequest;
use plackett_lm::Precision;
use plackett_rank::MethodSpec;
use plackett_rank::model::{
    AttentionLayers, AttentionMass, AttentionOptions, AttentionOver, AttentionRequest, BlockLayout,
    CallError, LanguageModel, PromptPart, PromptParts,
};
use plackett_rank::prompt::{Passage, Template};
use std::sync::Arc;

const NUMBERS: [&str; 4] = ["shared", "single_block", "blocks_moved", "plain_moved"];

/// The declaration.
pub static ATTENTION: StageKind = StageKind {
    name: "attention",
    help: "differences between two ways to the same attention, query by query, as parts of the greatest value: `shared` (documents read \
           once for two endings, against once for each), `single_block` (one document as a block with the query right behind it, \
           against the plain text), `blocks_moved` (documents as blocks in the opposite order, each with its label, against the given \
           order) and `plain_moved` (the same with running positions, where each document sees those before it)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        CANDIDATES,
        MODEL,
        DEPTH,
        WORDS,
        // Absent and not a word, which would stand in the keys of all stages.
        FieldSpec::new(
            "precision",
            FieldKind::Choice(&["f32", "int8"]),
            Default::Absent,
            "in which numbers matrices are multiplied; left out as the model's file has them, which with int8 rounds activations, so that \
             differences are those of roundings too",
        ),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: fingerprint,
    // Three passes over the candidates for `shared`, and four over three fifths of the layers.
    estimate: |task| estimate(task, 5),
    run,
};

/// With which model.
pub const MODEL: FieldSpec = FieldSpec::required("model", FieldKind::Text, "a decoder on this machine");

/// The weights of the model.
pub fn fingerprint(values: &Values, environment: &Environment) -> Result<Hashes, StageError> {
    let name = values.word("model");
    Ok(vec![(format!("model {name}"), environment.fingerprint(name)?)])
}

/// What so many passes over all candidates cost.
pub fn estimate(task: &Task<'_>, passes: usize) -> Result<Estimate, StageError> {
    let (depth, queries) = rank::size_of(task)?;
    let words = Some(task.values.count("words")).filter(|&words| words > 0).unwrap_or(USUAL_WORDS);
    let work = format!("reads attention to {depth} candidates of {queries} queries");
    let mut estimate = Estimate { work, seconds: Some(1.0), ..Estimate::default() };
    index::add_model(
        &mut estimate,
        task.environment,
        task.values.word("model"),
        passes * queries * depth,
        words,
    )?;
    Ok(estimate)
}

/// The model of a stage, as one that reads prompts.
pub fn model(task: &Task<'_>) -> Result<Arc<dyn LanguageModel>, StageError> {
    let found = task.environment.models(task.values.text("model")).reranker(None)?;
    found.language_model().map_err(|problem| StageError::Field { field: "model", problem })
}

/// The same with the precision that the stage asks for.
fn model_as_asked(task: &Task<'_>) -> Result<Arc<dyn LanguageModel>, StageError> {
    let decoder_precision = match task.values.text("precision") {
        Some("f32") => Precision::F32,
        Some(_) => Precision::Int8,
        None => return model(task),
    };
    let options = ModelOptions { decoder_precision, ..task.environment.models.clone() };
    let name = task.values.text("model").map(str::to_string);
    let found = Models::new(name, options).reranker(None)?;
    found.language_model().map_err(|problem| StageError::Field { field: "model", problem })
}

/// A method's own prompt.
pub fn template(method: &str) -> Result<Template, StageError> {
    let said = |error: String| StageError::Work(error);
    let spec = MethodSpec::find(method).map_err(|error| said(error.to_string()))?;
    Template::choose(None, spec.prompts).map_err(|error| said(error.to_string()))
}

/// The prompt over all candidates of a query, with labels that count from `first`.
pub fn parts(
    template: &Template,
    request: &RankRequest,
    first: usize,
    values: &[(&str, &str)],
) -> PromptParts {
    let texts: Vec<(String, String)> = request
        .candidates
        .iter()
        .enumerate()
        .map(|(nth, candidate)| ((first + nth).to_string(), template.passage(&candidate.document).0))
        .collect();
    let passages: Vec<Passage<'_>> = texts.iter().map(|(label, text)| Passage { label, text }).collect();
    template.parts(&request.query.text, &passages, values)
}

/// Attention in one prompt.
pub fn mass(
    model: &dyn LanguageModel,
    parts: &PromptParts,
    options: &AttentionOptions,
) -> Result<AttentionMass, StageError> {
    let said = |error: CallError| StageError::Answer(error.to_string());
    match model.attention(&[AttentionRequest { parts, options }]).into_iter().next() {
        Some(found) => found.map_err(said),
        None => Err(StageError::Answer("the model gave no answer".into())),
    }
}

/// All heads of all layers, as ICR reads them.
pub const EVERYTHING: AttentionOptions = AttentionOptions {
    layout: BlockLayout::Causal,
    layers: AttentionLayers::All,
    heads: Vec::new(),
    last: None,
    over: AttentionOver::All,
    per_token: false,
    per_head: false,
    answers: Vec::new(),
};

/// As BlockRank reads it: at 60 % of the depth, from the last two tokens, among documents alone.
fn block_options(layout: BlockLayout) -> AttentionOptions {
    let (layers, last, over) = (AttentionLayers::Depth(0.6), Some(2), AttentionOver::Documents);
    AttentionOptions { layout, layers, last, over, ..EVERYTHING }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (requests, cut) = rank::requests(task, task.values)?;
    let model = model_as_asked(task)?;
    let (icr, blocks) = (template("icr")?, template("block-rank")?);
    let mut columns = [const { Vec::new() }; NUMBERS.len()];
    let mut keys = Vec::new();
    for (nth, request) in requests.iter().enumerate() {
        (task.progress)(task.name, nth as u64, requests.len() as u64);
        if request.candidates.len() < 2 {
            let problem =
                format!("query `{}` has fewer than two candidates, which cannot be moved", request.query.id);
            return Err(StageError::Field { field: "candidates", problem });
        }
        let found = [
            shared(&*model, &icr, request)?,
            single_block(&*model, &blocks, request)?,
            moved(&*model, &blocks, request, BlockLayout::Blocks { query_position: 8192 })?,
            moved(&*model, &blocks, request, BlockLayout::Causal)?,
        ];
        columns.iter_mut().zip(found).for_each(|(column, value)| column.push(value));
        keys.push(request.query.id.clone());
    }
    let numbers = NUMBERS.iter().zip(columns);
    let numbers = numbers.map(|(name, values)| Quantity::by_query(*name, keys.clone(), values)).collect();
    Ok(StageOutput { numbers, facts: cut.into_iter().collect(), ..StageOutput::default() })
}

/// Two endings behind documents that are read once, against each ending by itself.
fn shared(model: &dyn LanguageModel, template: &Template, request: &RankRequest) -> Result<f64, StageError> {
    let both = icr_parts(template, request);
    let together = mass(model, &both, &EVERYTHING)?;
    let mut most = 0.0_f64;
    for (ending, found) in both.endings.iter().zip(&together.endings) {
        let alone = PromptParts { endings: vec![ending.clone()], ..both.clone() };
        let alone = mass(model, &alone, &EVERYTHING)?;
        most = most.max(difference(&found.concat(), &alone.endings.concat().concat())?);
    }
    Ok(most)
}

/// ICR's prompt with two endings: the query, and the query without content.
pub fn icr_parts(template: &Template, request: &RankRequest) -> PromptParts {
    let wording = template.part("ie", &[]).unwrap_or_default();
    let values = [("wording", wording.as_str())];
    let mut both = parts(template, request, 1, &values);
    both.endings.extend(template.parts("N/A", &[], &values).endings);
    both
}

/// A single block whose query follows it directly is the plain text.
fn single_block(
    model: &dyn LanguageModel,
    template: &Template,
    request: &RankRequest,
) -> Result<f64, StageError> {
    let first = RankRequest { candidates: request.candidates[..1].to_vec(), ..request.clone() };
    let parts = parts(template, &first, 0, &[]);
    let read = |layout| {
        let options = AttentionOptions { over: AttentionOver::All, per_token: true, ..block_options(layout) };
        mass(model, &parts, &options).map(|mass| mass.endings.concat().concat())
    };
    difference(&read(BlockLayout::Causal)?, &read(BlockLayout::Blocks { query_position: 1 })?)
}

/// Documents in the opposite order, each with the label that it had.
fn moved(
    model: &dyn LanguageModel,
    template: &Template,
    request: &RankRequest,
    layout: BlockLayout,
) -> Result<f64, StageError> {
    let given = parts(template, request, 0, &[]);
    let mut turned = given.clone();
    let is_document = |part: &PromptPart| matches!(part, PromptPart::Document(_));
    let mut documents: Vec<PromptPart> =
        given.parts.iter().filter(|part| is_document(part)).cloned().collect();
    // From the last to the first.
    for part in turned.parts.iter_mut().filter(|part| is_document(part)) {
        *part = documents.pop().unwrap_or_else(|| part.clone());
    }
    let options = block_options(layout);
    let scores = |parts| mass(model, parts, &options).map(|mass| mass.endings.concat().concat());
    let (given, mut turned) = (scores(&given)?, scores(&turned)?);
    turned.reverse();
    difference(&given, &turned)
}

/// The greatest difference of two lists, in units of the greatest value of the first.
fn difference(first: &[f64], second: &[f64]) -> Result<f64, StageError> {
    if first.len() != second.len() {
        let problem = format!("{} numbers of one way against {} of the other", first.len(), second.len());
        return Err(StageError::Answer(problem));
    }
    let most = first.iter().map(|value| value.abs()).fold(f64::MIN_POSITIVE, f64::max);
    Ok(first.iter().zip(second).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::{Candidate, Document, Query};
    use plackett_rank::testing::ScriptedModel;

    fn request(texts: &[&str]) -> RankRequest {
        let candidates = texts.iter().enumerate().map(|(nth, text)| {
            let document = Document { id: format!("d{nth}"), text: (*text).into(), ..Document::default() };
            Candidate { document, score: None }
        });
        RankRequest { query: Query::new("q", "tart"), candidates: candidates.collect() }
    }

    #[test]
    fn documents_keep_their_labels_when_they_are_moved() {
        let template = template("block-rank").unwrap();
        let request = request(&["apple", "pear", "fig"]);
        // Attention by word alone does not hang on places, attention by place does.
        let by_word = ScriptedModel::new().attention(|asked| {
            Ok(match asked.word {
                "apple" => 5.0,
                "2" => 3.0,
                _ => 1.0,
            })
        });
        let by_place = ScriptedModel::new().attention(|asked| Ok(1.0 + asked.place as f64));
        let layout = BlockLayout::Causal;
        assert_eq!(moved(&by_word, &template, &request, layout).unwrap(), 0.0);
        // Places 1, 2, 3 become 3, 2, 1; all documents have as many words.
        let found = moved(&by_place, &template, &request, layout).unwrap();
        assert!((found - 2.0 / 3.0).abs() < 1e-12, "{found}");
    }

    #[test]
    fn the_two_endings_are_those_of_the_query_and_of_nothing() {
        let parts = icr_parts(&template("icr").unwrap(), &request(&["apple", "pear"]));
        assert_eq!(parts.documents().count(), 2);
        assert!(parts.endings[0].ends_with("Query: tart") && parts.endings[1].ends_with("Query: N/A"));
        assert_eq!(parts.endings.len(), 2);
        let model =
            ScriptedModel::new().attention(|asked| Ok(f64::from(u8::from(asked.ending.ends_with("tart")))));
        assert_eq!(shared(&model, &template("icr").unwrap(), &request(&["apple", "pear"])).unwrap(), 0.0);
    }
}
