//! `trained-rank`: candidates ranked by a trained cross-encoder in the training engine.

use super::modular_rank::by_scores;
use super::{CANDIDATES, DEPTH, dataset_of, rank, train};
use crate::recipe::data::document_part::PartReader;
use crate::recipe::error::StageError;
use crate::recipe::field::{FieldKind, FieldSpec, OutputKind};
use crate::recipe::registry::{
    Estimate, StageKind, StageOutput, no_numbers, nothing_outside, nothing_to_check,
};
use crate::recipe::running::rankings::RankingLog;
use crate::recipe::task::Task;
use plackett_train::trainer::CrossEncoder;
use plackett_train::{Compute, Parameters};

/// The declaration.
pub static TRAINED_RANK: StageKind = StageKind {
    name: "trained-rank",
    help: "ranks candidates by the cross-encoder of a stage `train` in the training engine, which also runs models whose first layers keep \
           query and document apart; what is read of a document, and how many tokens of a pair, is as that stage says",
    version: 1,
    gives: OutputKind::Rankings,
    fields: &[
        CANDIDATES,
        FieldSpec::required("trained", FieldKind::Stage(&[OutputKind::Model]), "a stage `train`"),
        DEPTH,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: no_numbers,
    outside: nothing_outside,
    estimate: |task| {
        let (depth, queries) = rank::size_of(task)?;
        Ok(Estimate {
            work: format!("{depth} candidates of {queries} queries"),
            seconds: Some((depth * queries) as f64 / 80.0),
            ..Estimate::default()
        })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let stage = task.values.word("trained");
    let lesson = task.input(stage)?;
    if lesson.kind.name != train::TRAIN.name {
        let problem = format!(
            "`{stage}` is a stage `{}`, which does not say how pairs are read; name a stage `train`",
            lesson.kind.name
        );
        return Err(StageError::Field { field: "trained", problem });
    }
    let (requests, _) = rank::requests(task, task.values)?;
    let reader = PartReader::new(lesson.values, &dataset_of(task, task.values.word("candidates"))?)?;
    let mut parameters = Parameters::default();
    let folder = train::model_of(task, stage, &[train::TRAIN.name])?;
    let encoder = CrossEncoder::open(&folder, &mut parameters, lesson.values.count("tokens"), 0)?;
    let compute = Compute::new(rayon::current_num_threads());
    let mut log = RankingLog::open(task.folder)?;
    let known = log.found.len().min(requests.len());
    let (mut cut, mut of) = (0, 0);
    for (nth, request) in requests.iter().enumerate().skip(known) {
        (task.progress)(task.name, nth as u64, requests.len() as u64);
        let question = request.query.text.as_str();
        let texts: Vec<String> =
            request.candidates.iter().map(|candidate| reader.text(question, &candidate.document)).collect();
        let pairs: Vec<(&str, &str)> = texts.iter().map(|text| (question, text.as_str())).collect();
        let (scores, more) = encoder.scores_and_cut(&compute, &parameters, &pairs)?;
        cut += more;
        of += pairs.len();
        log.add([&by_scores(request, &scores)])?;
    }
    let mut made =
        StageOutput { facts: vec![("queries".into(), requests.len().to_string())], ..StageOutput::default() };
    if known > 0 {
        made.facts.push(("queries of an earlier run".into(), known.to_string()));
    }
    if cut > 0 {
        let most = encoder.most_tokens();
        made.warnings
            .push(format!("{cut} of {of} pairs have more than {most} tokens, and what is more is not read"));
    }
    Ok(made)
}
