//! `rank`: rerankers over candidates.

use super::{CANDIDATES, DEPTH, USUAL_WORDS, WORDS, dataset_of, index, rankings_of, train};
use crate::pipeline::{Answers, Pipeline};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::reading::expression::{self, Begins};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, no_numbers};
use crate::recipe::running::rankings::RankingLog;
use crate::recipe::task::{Environment, Task};
use plackett_core::{Candidate, Document, RankRequest, Ranking, Status};
use plackett_lm::store::BUNDLED;
use plackett_rank::Settings;
use std::collections::HashSet;

/// The declaration.
pub static RANK: StageKind = StageKind {
    name: "rank",
    help: "rerankers over the candidates of a collection or of another stage",
    version: 1,
    gives: OutputKind::Rankings,
    fields: &[
        CANDIDATES,
        FieldSpec::required("pipeline", FieldKind::Text, "rerankers, as in `plackett rerank --pipeline`"),
        FieldSpec::new(
            "model",
            FieldKind::Text,
            Default::Absent,
            "for rerankers that name no model of their own",
        ),
        FieldSpec::new(
            "trained",
            FieldKind::Stage(&[OutputKind::Model]),
            Default::Absent,
            "a stage whose model takes the place of `model`",
        ),
        DEPTH,
        WORDS,
    ],
    chooses: None,
    check: |values, _| expression::check(values, Begins::WithCandidates),
    numbers: no_numbers,
    outside: fingerprints,
    estimate,
    run,
};

/// The weights of all models that a stage's pipeline needs.
pub fn fingerprints(values: &Values, environment: &Environment) -> Result<Vec<(String, String)>, StageError> {
    let named = expression::models(values.word("pipeline"), values.text("model"));
    // What a stage has trained is known by that stage.
    let outside = named.iter().filter(|name| name.is_some() || !values.has("trained"));
    let names = outside.map(|name| name.as_deref().unwrap_or(BUNDLED));
    names.map(|name| Ok((format!("model {name}"), environment.fingerprint(name)?))).collect()
}

/// What the models of a pipeline add to an estimate, each reading all texts once.
pub fn add_models(estimate: &mut Estimate, task: &Task<'_>, texts: usize) -> Result<(), StageError> {
    let words = Some(task.values.count("words")).filter(|&words| words > 0).unwrap_or(USUAL_WORDS);
    for name in expression::models(task.values.word("pipeline"), task.values.text("model")) {
        if name.is_none() && task.values.has("trained") {
            continue;
        }
        index::add_model(estimate, task.environment, name.as_deref().unwrap_or(BUNDLED), texts, words)?;
    }
    Ok(())
}

/// What one reranking of all candidates costs.
pub fn estimate(task: &Task<'_>) -> Result<Estimate, StageError> {
    let (depth, queries) = size_of(task)?;
    let work = format!("{} on {depth} candidates of {queries} queries", task.values.word("pipeline"));
    let mut estimate = Estimate { work, seconds: Some(1.0), ..Estimate::default() };
    add_models(&mut estimate, task, queries * depth)?;
    Ok(estimate)
}

/// How many candidates a query has at most, as the fields `candidates` and `depth` say, and how many queries there are.
///
/// # Errors
/// The collection cannot be read.
pub fn size_of(task: &Task<'_>) -> Result<(usize, usize), StageError> {
    let from = task.input(task.values.word("candidates"))?;
    let dataset = dataset_of(task, task.values.word("candidates"))?;
    let listed = dataset
        .candidates
        .as_ref()
        .map(|lists| lists.iter().map(|list| list.entries.len()).max().unwrap_or(0));
    let there = match from.kind.gives {
        OutputKind::Data => listed.unwrap_or(0),
        _ => Some(from.values.count("depth")).filter(|&depth| depth > 0).or(listed).unwrap_or(0),
    };
    let depth =
        Some(task.values.count("depth")).filter(|&depth| depth > 0).map_or(there, |depth| depth.min(there));
    Ok((depth, dataset.queries.len()))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (requests, cut) = requests(task, task.values)?;
    let pipeline = pipeline(task, task.values)?;
    let mut made =
        in_groups(task, TOGETHER, &requests, |request| &request.query.id, |group| pipeline.rerank(group))?;
    made.facts.extend(cut);
    Ok(made)
}

/// The reranking that the fields of a stage of this kind name, with its models opened.
///
/// # Errors
/// A stage of the pipeline that cannot be built, or a model that is not here.
pub fn pipeline(task: &Task<'_>, values: &Values) -> Result<Pipeline, StageError> {
    let trained =
        values.text("trained").map(|stage| train::model_of(task, stage, &train::MODELS)).transpose()?;
    let trained = trained.as_deref().map(|folder| folder.to_string_lossy());
    let models = task.environment.models(trained.as_deref().or(values.text("model")));
    Ok(Pipeline::resolve(values.word("pipeline"), None, &models, &Settings::default())?)
}

/// A name, and what there is to say under it.
pub type Fact = (String, String);

/// Queries with their candidates as the fields of a stage ask for them (`candidates`, `depth`, `words`), and what was cut.
///
/// # Errors
/// The collection, or the rankings before it, cannot be read.
pub fn requests(task: &Task<'_>, values: &Values) -> Result<(Vec<RankRequest>, Option<Fact>), StageError> {
    let candidates = rankings_of(task, values.word("candidates"))?;
    let dataset = dataset_of(task, values.word("candidates"))?;
    let (depth, words) = (values.count("depth"), values.count("words"));
    let kept =
        |ranking: &Ranking| if depth == 0 { ranking.entries.len() } else { depth.min(ranking.entries.len()) };
    let ids = candidates
        .iter()
        .flat_map(|ranking| ranking.entries.iter().take(kept(ranking)).map(|e| e.id.as_str()));
    let mut documents = dataset.documents(ids)?;
    let cut = documents.values_mut().map(|document| cut(document, words)).filter(|&cut| cut).count();
    let mut requests = Vec::with_capacity(candidates.len());
    for (query, ranking) in dataset.queries.iter().zip(&candidates) {
        let entries = ranking.entries.iter().take(kept(ranking));
        let listed = entries.filter_map(|entry| {
            documents
                .get(&entry.id)
                .map(|document| Candidate { document: document.clone(), score: Some(entry.score) })
        });
        requests.push(RankRequest { query: query.clone(), candidates: listed.collect() });
    }
    let cut = (cut > 0)
        .then(|| (format!("documents cut to {words} words"), format!("{cut} of {}", documents.len())));
    Ok((requests, cut))
}

/// Leaves the first words of a document; 0 leaves all. Says whether there were more.
fn cut(document: &mut Document, words: usize) -> bool {
    let text = document.model_text().into_owned();
    if words == 0 || text.split_whitespace().nth(words).is_none() {
        return false;
    }
    document.text = text.split_whitespace().take(words).collect::<Vec<_>>().join(" ");
    document.title.clear();
    true
}

/// Queries that go through rerankers together: what a kill can cost. It does not depend on the time that they take, since
/// what queries of a group share is paid once.
const TOGETHER: usize = 8;

/// Answers queries in groups of `together` and keeps the answers of each group at once. Goes on where an earlier run was
/// killed.
pub fn in_groups<T>(
    task: &Task<'_>,
    together: usize,
    questions: &[T],
    id: impl Fn(&T) -> &str,
    answer: impl Fn(&[T]) -> Answers,
) -> Result<StageOutput, StageError> {
    let mut log = RankingLog::open(task.folder)?;
    let done: HashSet<String> = log.found.iter().map(|ranking| ranking.query_id.clone()).collect();
    let known = questions.iter().take_while(|question| done.contains(id(question))).count();
    if known < log.found.len() {
        let problem = "it holds other queries than the stage asks".to_string();
        return Err(StageError::Damaged {
            path: task.folder.join(crate::recipe::running::rankings::FILE),
            problem,
        });
    }
    let mut at = known;
    while at < questions.len() {
        (task.progress)(task.name, at as u64, questions.len() as u64);
        let end = (at / together + 1) * together;
        let group = &questions[at..end.min(questions.len())];
        let mut failed = None;
        // Only what stands before the first failure is kept, so that the file has the order of the queries.
        for result in answer(group) {
            match result {
                Ok(ranking) if failed.is_none() => log.found.push(ranking),
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let new = log.found.split_off(at);
        log.add(&new)?;
        log.found.extend(new);
        if let Some(error) = failed {
            return Err(error.into());
        }
        at += group.len();
    }
    Ok(account(&log.found, known))
}

/// What the traces say that a reader of the results has to know.
fn account(rankings: &[Ranking], known: usize) -> StageOutput {
    let mut made = StageOutput::default();
    made.facts.push(("queries".into(), rankings.len().to_string()));
    if known > 0 {
        made.facts.push(("queries of an earlier run".into(), known.to_string()));
    }
    let truncated: usize = rankings.iter().map(|ranking| ranking.trace.truncated.len()).sum();
    if truncated > 0 {
        made.warnings.push(format!("{truncated} texts were longer than the model reads and were cut"));
    }
    let other = rankings.iter().filter(|ranking| ranking.trace.status != Status::Ranked).count();
    if other > 0 {
        made.warnings.push(format!(
            "{other} of {} queries were not ranked as asked (repaired or by a fall-back)",
            rankings.len()
        ));
    }
    made
}
