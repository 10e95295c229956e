//! `modular-rank`: candidates ranked by an encoder that is put together of modules.

use super::language_module::{LANGUAGE_MODULE, file_of};
use super::{CANDIDATES, DEPTH, ENCODER, WORDS, encoder_fingerprint, rank};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, no_numbers};
use crate::recipe::running::rankings::RankingLog;
use crate::recipe::task::Task;
use plackett_core::{RankRequest, Ranked, Ranking, Trace};
use plackett_train::Compute;
use plackett_train::modular::{LanguageSetting, ModularRanker};
use std::path::PathBuf;
use std::sync::Arc;

/// The declaration.
pub static MODULAR_RANK: StageKind = StageKind {
    name: "modular-rank",
    help: "ranks candidates by an encoder with a module of ranking on top of modules of languages, as a pair of a query's and a document's language \
           asks for it",
    version: 1,
    gives: OutputKind::Rankings,
    fields: &[
        CANDIDATES,
        FieldSpec::required("ranker", FieldKind::Stage(&[OutputKind::Model]), "a stage `ranking-module`"),
        FieldSpec::new(
            "modules",
            FieldKind::Stages(&[OutputKind::Model]),
            Default::Absent,
            "stages `language-module`",
        ),
        FieldSpec::new(
            "setting",
            FieldKind::Choice(&LanguageSetting::NAMES),
            Default::Text("none"),
            "which languages' modules are put below: that of the query or document, for adapters each for its tokens (`split`), for sparse differences their sum (`both`)",
        ),
        FieldSpec::new(
            "query_language",
            FieldKind::Text,
            Default::Text("en"),
            "a language among those of `modules`",
        ),
        FieldSpec::new(
            "document_language",
            FieldKind::Text,
            Default::Text("en"),
            "a language among those of `modules`",
        ),
        FieldSpec::new(
            "invertible",
            FieldKind::Choice(&["with", "without"]),
            Default::Text("with"),
            "the blocks behind the embeddings of languages' adapters",
        ),
        ENCODER,
        DEPTH,
        WORDS,
        FieldSpec::new("tokens", FieldKind::Whole(8, 512), Default::Whole(96), "most tokens of a pair"),
    ],
    chooses: None,
    check: |values, _| {
        let has = values.has("modules");
        match values.word("setting") {
            "none" if has => Err(values.wrong(
                "modules",
                0,
                Problem::Said("they have no effect with setting = \"none\"; leave them out".into()),
            )),
            setting if setting != "none" && !has => {
                let problem = format!(
                    "it needs `modules`, stages of the kind language-module (setting = \"{setting}\")"
                );
                Err(values.wrong("setting", 0, Problem::Said(problem)))
            }
            _ => Ok(()),
        }
    },
    numbers: no_numbers,
    outside: encoder_fingerprint,
    estimate: |task| {
        let (depth, queries) = rank::size_of(task)?;
        let seconds = Some((depth * queries) as f64 / 100.0);
        Ok(Estimate {
            work: format!("{depth} candidates of {queries} queries"),
            seconds,
            ..Estimate::default()
        })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (requests, cut) = rank::requests(task, values)?;
    let mut modules: Vec<(String, PathBuf)> = Vec::new();
    for stage in values.texts("modules") {
        let input = task.input(stage)?;
        input.check_kind("modules", &[LANGUAGE_MODULE.name])?;
        modules.push((input.values.word("language").to_string(), file_of(task, stage)?));
    }
    let files: Vec<(String, &std::path::Path)> =
        modules.iter().map(|(language, path)| (language.clone(), path.as_path())).collect();
    let base = task.environment.directory(values.word("model"))?;
    let ranker = file_of(task, values.word("ranker"))?;
    let mut ranker = ModularRanker::open(&base, &ranker, &files, values.count("tokens"))?;
    let setting = LanguageSetting::named(values.word("setting")).unwrap_or(LanguageSetting::None);
    let languages = (values.word("query_language"), values.word("document_language"));
    ranker.assemble(setting, languages, values.word("invertible") == "with")?;
    let compute = Compute::new(rayon::current_num_threads());
    let mut log = RankingLog::open(task.folder)?;
    let known = log.found.len().min(requests.len());
    for (nth, request) in requests.iter().enumerate().skip(known) {
        (task.progress)(task.name, nth as u64, requests.len() as u64);
        let ranking = rank_one(&ranker, &compute, request)?;
        log.add([&ranking])?;
    }
    let mut made =
        StageOutput { facts: vec![("queries".into(), requests.len().to_string())], ..StageOutput::default() };
    made.facts.extend(cut);
    Ok(made)
}

fn rank_one(
    ranker: &ModularRanker,
    compute: &Arc<Compute>,
    request: &RankRequest,
) -> Result<Ranking, StageError> {
    let texts: Vec<_> = request.candidates.iter().map(|candidate| candidate.document.model_text()).collect();
    let pairs: Vec<(&str, &str)> = texts.iter().map(|text| (request.query.text.as_str(), &**text)).collect();
    let scores = if pairs.is_empty() { Vec::new() } else { ranker.scores(compute, &pairs)? };
    Ok(by_scores(request, &scores))
}

/// The candidates of a request by their scores, in the order of the candidates; equal scores keep that order.
pub(super) fn by_scores(request: &RankRequest, scores: &[f32]) -> Ranking {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let entry = |(place, at): (usize, &usize)| Ranked {
        id: request.candidates[*at].document.id.clone(),
        score: f64::from(scores[*at]),
        rank: place + 1,
    };
    let entries = order.iter().enumerate().map(entry).collect();
    Ranking { query_id: request.query.id.clone(), entries, trace: Trace::default() }
}
