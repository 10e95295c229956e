//! `generate-with-paths`: a retriever writes category paths and docids below them for all queries of its collection.

use super::generate::{TOGETHER, distinct_and_valid};
use super::{dataset_of, generative_retriever, rank};
use crate::pipeline::QueryError;
use crate::recipe::data::docids::Corpus;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::categories::AssignedPaths;
use plackett_core::{Query, Ranking, Trace};
use plackett_genir::{Explained, GenirError, PathDecoding, PathRetriever, PathScore};
use std::collections::{HashMap, HashSet};

/// Hits whose reasons are looked at.
const SHOWN: usize = 10;

/// Numbers by query beside those of `generate`, each kept as a fact of the query's trace under its name.
const COUNTS: [&str; 6] =
    ["in_tree", "reached_again", "path_passes", "docid_passes", "path_seconds", "docid_seconds"];
const NUMBERS: [&str; 11] = [
    "distinct",
    "valid",
    "in_tree",
    "reached_again",
    "path_passes",
    "docid_passes",
    "path_seconds",
    "docid_seconds",
    "first_fits",
    "fitting",
    "diversity",
];
/// The fact of a trace that has the reason for a document, with the document's id behind it.
const REASON: &str = "path:";

/// The declaration.
pub static GENERATE_WITH_PATHS: StageKind = StageKind {
    name: "generate-with-paths",
    help: "documents that a retriever with category paths finds for each query of its collection: some paths by beams, docids by beams below each \
           path, and of each document the path with the greatest score, which is the reason for the hit and stands in the trace. Gives, by query, \
           `distinct` and `valid` as `generate` does, `in_tree` (share of the written paths that are in the hierarchy), `reached_again` (documents that \
           several paths lead to), `path_passes`, `docid_passes`, `path_seconds` and `docid_seconds` (what both steps took), `first_fits` (1 where \
           the path of the first hit is one of those of its document), `fitting` (their share of the first ten), and `diversity` (mean different paths of its own under which a \
           document is among the first ten of two and more queries)",
    version: 2,
    gives: OutputKind::Rankings,
    fields: &[
        FieldSpec::required(
            "retriever",
            FieldKind::Stage(&[OutputKind::Model]),
            "a stage `generative-retriever` with `paths`",
        ),
        FieldSpec::new("paths", FieldKind::Whole(1, 1000), Default::Whole(3), "paths of a query (K_p)"),
        FieldSpec::new(
            "depth",
            FieldKind::Whole(1, 100_000),
            Default::Whole(100),
            "beams below each path, and most documents of a query",
        ),
        FieldSpec::new(
            "constrained",
            FieldKind::Switch,
            Default::Switch(false),
            "whether only paths of the hierarchy can be written",
        ),
        FieldSpec::new(
            "score",
            FieldKind::Choice(&["docid", "mean", "joint"]),
            Default::Text("docid"),
            "what hits are scored by: the log-probability of the docid after its path, the mean of its tokens over the whole vocabulary, as in the authors' search, or the log-probability of path and docid",
        ),
        FieldSpec::new(
            "shortened",
            FieldKind::Switch,
            Default::Switch(true),
            "whether docids end as soon as they are unique",
        ),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let (retriever, _) = retriever_of(task)?;
        let queries = dataset_of(task, retriever.word("index"))?.queries.len();
        let (paths, depth) = (task.values.count("paths"), task.values.count("depth"));
        let work = format!("{paths} paths and {depth} docids below each for {queries} queries");
        let seconds = Some((queries * paths * depth) as f64 * 3e-4);
        Ok(Estimate { work, seconds, ..Estimate::default() })
    },
    run,
};

/// The fields of the retriever, and the stage of its paths.
fn retriever_of<'t>(task: &'t Task<'_>) -> Result<(&'t Values, &'t str), StageError> {
    let stage = task.values.word("retriever");
    let input = task.input(stage)?;
    let paths = (input.kind.name == "generative-retriever").then(|| input.values.text("paths")).flatten();
    let problem =
        || format!("`{stage}` writes no category paths; a `generative-retriever` with `paths` is expected");
    let paths = paths.ok_or_else(|| StageError::Field { field: "retriever", problem: problem() })?;
    Ok((input.values, paths))
}

fn decoding(values: &Values) -> PathDecoding {
    PathDecoding {
        paths: values.count("paths"),
        width: values.count("depth"),
        constrained: values.on("constrained"),
        score: match values.word("score") {
            "joint" => PathScore::Joint,
            "mean" => PathScore::Mean,
            _ => PathScore::Docid,
        },
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (of_retriever, paths) = retriever_of(task)?;
    let dataset = dataset_of(task, of_retriever.word("index"))?;
    let folder = task.input(task.values.word("retriever"))?.folder.join(generative_retriever::FOLDER);
    let retriever = PathRetriever::open(&folder, task.values.on("shortened"))?;
    let decoding = decoding(task.values);
    let mut made = rank::in_groups(
        task,
        TOGETHER,
        &dataset.queries,
        |query| &query.id,
        |group: &[Query]| match answers(&retriever, group, &decoding) {
            Ok(rankings) => rankings.into_iter().map(Ok).collect(),
            Err(error) => {
                let source = Box::new(error);
                vec![Err(QueryError::Search { query: group[0].id.clone(), source })]
            }
        },
    )?;
    let corpus = Corpus::read(&dataset)?;
    let rankings = crate::recipe::running::rankings::read(task.folder)?;
    let assigned = AssignedPaths::of_stage(task, paths, corpus.documents.len())?;
    made.numbers.extend(distinct_and_valid(&rankings, &corpus, decoding.width));
    made.numbers.extend(COUNTS.map(|name| counted(&rankings, name)));
    made.numbers.extend(reasons(&rankings, &corpus, &assigned));
    Ok(made)
}

fn answers(
    retriever: &PathRetriever,
    queries: &[Query],
    decoding: &PathDecoding,
) -> Result<Vec<Ranking>, GenirError> {
    let texts: Vec<&str> = queries.iter().map(|query| &query.text[..]).collect();
    let found = retriever.search(&texts, decoding)?;
    let documents = retriever.retriever().files().catalogue.items();
    let ranking = |(query, found): (&Query, Explained)| {
        let members = found.paths.iter().filter(|path| path.member.is_some()).count();
        let cost = found.cost;
        let counts = [
            members as f64 / found.paths.len().max(1) as f64,
            found.reached_again as f64,
            cost.path_branches as f64,
            cost.docid_branches as f64,
            cost.path_seconds,
            cost.docid_seconds,
        ];
        let counts = COUNTS.iter().zip(counts).map(|(name, count)| (name.to_string(), count.to_string()));
        let reasons = found.hits.iter().map(|hit| {
            let name = format!("{REASON}{}", documents[hit.document].id);
            (name, found.paths[hit.path].explanation())
        });
        let trace = Trace {
            passes: (cost.path_branches + cost.docid_branches) as u64,
            seconds: cost.path_seconds + cost.docid_seconds,
            facts: counts.chain(reasons).collect(),
            ..Trace::default()
        };
        let scored = found.hits.iter().map(|hit| (documents[hit.document].id.clone(), hit.score));
        Ranking::from_scores(query.id.clone(), scored, trace)
    };
    Ok(queries.iter().zip(found).map(ranking).collect())
}

/// A number that each trace has as a fact.
fn counted(rankings: &[Ranking], name: &str) -> Quantity {
    let keys = rankings.iter().map(|ranking| ranking.query_id.clone()).collect();
    let fact = |ranking: &Ranking| {
        let found = ranking.trace.facts.iter().find(|(fact, _)| fact == name);
        found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0.0)
    };
    Quantity::by_query(name, keys, rankings.iter().map(fact).collect())
}

/// Whether reasons fit, by query, and by how many paths a document is reached.
fn reasons(rankings: &[Ranking], corpus: &Corpus, assigned: &AssignedPaths) -> [Quantity; 3] {
    let texts: Vec<String> = assigned.hierarchy.paths().iter().map(ToString::to_string).collect();
    let mut reached: HashMap<usize, (usize, HashSet<&str>)> = HashMap::new();
    let (mut first_fits, mut fitting) = (Vec::new(), Vec::new());
    for ranking in rankings {
        let reasons: HashMap<&str, &str> = (ranking.trace.facts.iter())
            .filter_map(|(name, reason)| Some((name.strip_prefix(REASON)?, &reason[..])))
            .collect();
        let shown = ranking.entries.iter().take(SHOWN);
        let hits: Vec<(usize, &str)> = shown
            .filter_map(|entry| Some((corpus.place(&entry.id)?, *reasons.get(&entry.id[..])?)))
            .collect();
        let fits = |(document, reason): &&(usize, &str)| {
            assigned.documents[*document].iter().any(|path| texts[*path] == *reason)
        };
        first_fits.push(f64::from(u8::from(hits.first().is_some_and(|hit| fits(&hit)))));
        let fit: Vec<&(usize, &str)> = hits.iter().filter(fits).collect();
        fitting.push(fit.len() as f64 / hits.len().max(1) as f64);
        for (document, reason) in fit {
            let (queries, paths) = reached.entry(*document).or_default();
            *queries += 1;
            paths.insert(reason);
        }
    }
    let keys: Vec<String> = rankings.iter().map(|ranking| ranking.query_id.clone()).collect();
    let several: Vec<f64> =
        (reached.values()).filter(|(queries, _)| *queries > 1).map(|(_, paths)| paths.len() as f64).collect();
    let mean = several.iter().sum::<f64>() / several.len().max(1) as f64;
    [
        Quantity::by_query("first_fits", keys.clone(), first_fits),
        Quantity::by_query("fitting", keys, fitting),
        Quantity::of_seed("diversity", 1, mean),
    ]
}
