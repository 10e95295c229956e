//! `pointer-rank`: a list ranker writes the lists of any collection's candidates.

use super::align_pointer_ranker::ALIGN_POINTER_RANKER;
use super::pointer_ranker::POINTER_RANKER;
use super::rank::requests;
use super::{CANDIDATES, DEPTH, USUAL_WORDS, WORDS, index};
use crate::pipeline::ModelError;
use crate::pointer_ranker::list_question;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, no_numbers, nothing_to_check};
use crate::recipe::running::rankings::RankingLog;
use crate::recipe::task::Task;
use plackett_core::{Document, RankRequest, Ranking, Trace};
use plackett_lm::EmbedOptions;
use plackett_lm::store::BUNDLED;
use plackett_train::list_ranker::{ListQuestion, ListRanker};
use plackett_train::{Compute, Parameters};
use std::path::PathBuf;

/// The declaration.
pub static POINTER_RANK: StageKind = StageKind {
    name: "pointer-rank",
    help: "the list ranker of a stage `pointer-ranker` or `align-pointer-ranker` writes a list of the candidates of each query of a collection; \
           a query without sides is its own and only one. What does not stand in the first `most` follows as it came",
    version: 1,
    gives: OutputKind::Rankings,
    fields: &[
        CANDIDATES,
        FieldSpec::required("ranker", FieldKind::Stage(&[OutputKind::Model]), "whose model ranks"),
        FieldSpec::new("most", FieldKind::Whole(1, 1000), Default::Whole(10), "candidates of a list"),
        DEPTH,
        WORDS,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: no_numbers,
    outside: |_, environment| Ok(vec![("model".into(), environment.fingerprint(BUNDLED)?)]),
    estimate: |task| {
        let (requests, _) = requests(task, task.values)?;
        let texts = requests.iter().map(|request| request.candidates.len() + 1).sum();
        let work = format!("vectors of {texts} texts, lists for {} queries", requests.len());
        let mut estimate =
            Estimate { work, seconds: Some(requests.len() as f64 * 0.05), ..Estimate::default() };
        index::add_model(&mut estimate, task.environment, BUNDLED, texts, USUAL_WORDS)?;
        Ok(estimate)
    },
    run,
};

fn folder_of(task: &Task<'_>) -> Result<PathBuf, StageError> {
    let input = task.input_of("ranker", &[POINTER_RANKER.name, ALIGN_POINTER_RANKER.name])?;
    Ok(input.folder.clone())
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (requests, cut) = requests(task, task.values)?;
    let mut parameters = Parameters::default();
    let ranker = ListRanker::open(&folder_of(task)?, &mut parameters)?;
    let compute = Compute::new(rayon::current_num_threads());
    let model = task.environment.models(Some(BUNDLED)).open(None)?;
    let mut log = RankingLog::open(task.folder)?;
    let (known, mut empty) = (log.found.len(), 0);
    for (nth, request) in requests.iter().enumerate().skip(known) {
        (task.progress)(task.name, nth as u64, requests.len() as u64);
        let mut order = Vec::new();
        if request.candidates.is_empty() {
            empty += 1;
        } else {
            let question = question(request, &|texts: &[&str]| {
                Ok(model.embed(texts, &EmbedOptions::default()).map_err(ModelError::from)?.data)
            })?;
            order = ranker.best(&parameters, &compute, &question, task.values.count("most"))?;
        }
        log.add([&ranking(request, order)])?;
    }
    let mut made = StageOutput::default();
    made.facts.push(("queries".into(), requests.len().to_string()));
    made.facts.extend(cut);
    if known > 0 {
        made.facts.push(("queries of an earlier run".into(), known.to_string()));
    }
    if empty > 0 {
        made.warnings.push(format!("{empty} queries have no candidates"));
    }
    Ok(made)
}

/// What makes vectors of texts.
type Embed<'a> = dyn Fn(&[&str]) -> Result<Vec<f32>, StageError> + 'a;

/// A query with its candidates as vectors.
fn question(request: &RankRequest, embed: &Embed<'_>) -> Result<ListQuestion, StageError> {
    let documents: Vec<&Document> = request.candidates.iter().map(|candidate| &candidate.document).collect();
    let texts: Vec<_> = documents.iter().map(|document| document.model_text()).collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let vectors = (embed(&[&request.query.text])?, Vec::new(), embed(&texts)?);
    Ok(list_question(&request.query.id, vectors, &documents))
}

/// The list, and what it leaves out after it; scores fall with the rank, since a list has none of its own.
fn ranking(request: &RankRequest, mut order: Vec<usize>) -> Ranking {
    let mut is_free = vec![true; request.candidates.len()];
    order.iter().for_each(|at| is_free[*at] = false);
    order.extend((0..request.candidates.len()).filter(|at| is_free[*at]));
    let count = order.len();
    let scored = order
        .into_iter()
        .enumerate()
        .map(|(place, at)| (request.candidates[at].document.id.clone(), (count - place) as f64));
    Ranking::from_scores(request.query.id.clone(), scored, Trace::default())
}
