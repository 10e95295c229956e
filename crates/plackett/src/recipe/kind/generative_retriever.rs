//! `generative-retriever`: a small decoder that learns a corpus by heart and writes docids.

use super::imitate_reasoning::remove;
use super::{dataset_of, index};
use crate::recipe::data::docids::{Corpus, SCHEME_HELP, catalogue, levels_in_order};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::small_decoder::{LAYERS, NARROW_WIDTH, RATE, SEED, STEPS, check_width};
use crate::recipe::models::training_fields::batch;
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use crate::recipe::worlds::categories::AssignedPaths;
use plackett_genir::category_paths::PathExamples;
use plackett_genir::learning::{LearnedRetriever, LearningData, RetrieverTraining};
use plackett_genir::representation::{PairSource, SourceWeights, TextPair};
use plackett_genir::{DocidDecoder, DocidTrie, GenirError};
use plackett_search::{Bm25, Index};
use plackett_train::Compute;
use plackett_train::trainer::{Checkpointing, StepRecord};
use std::path::Path;

/// The folder of the retriever in that of the stage.
pub(super) const FOLDER: &str = "retriever";
/// The folder of log and checkpoints while it is trained.
const TRAINING: &str = "training";
/// Steps between two checkpoints.
const KEPT_EVERY: usize = 100;
/// Pairs of each kind of text on which it is measured how much is known by heart.
const RECALLED: usize = 300;
const NUMBERS: [&str; 10] = [
    "train_hit",
    "parameters",
    "coverage",
    "final_loss",
    "docid_length",
    "shortened_length",
    "longest_docid",
    "docids",
    "colliding",
    "levels_in_order",
];

/// The declaration.
pub static GENERATIVE_RETRIEVER: StageKind = StageKind {
    name: "generative-retriever",
    help: "a small decoder over words, from drawn weights, that learns to write the docid of a document after texts that stand for it: \
           its first words, chunks of it, pseudo queries (words drawn from a sentence, in the place of a trained generator), and labelled \
           queries of the split `train`. Docids come from a scheme; vectors for those that need some are the index's. Gives `train_hit` \
           (share of what it was trained on whose docid it writes first), `parameters`, `coverage` (share of the documents with a \
           labelled query, whether or not those are used), `final_loss`, `docid_length` and `shortened_length` (mean tokens with the end, \
           and where docids end as soon as they are unique), `longest_docid`, `docids` (different ones), `colliding` (documents without one \
           of their own) and `levels_in_order` (share of the docids whose tokens name their level, if any, in order). With `paths` a category path is \
           written before each docid: that one of its document's which is most like the text",
    version: 2,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("index", FieldKind::Stage(&[OutputKind::Index]), "an index of the corpus"),
        FieldSpec::required("docids", FieldKind::Text, SCHEME_HELP),
        FieldSpec::new(
            "first",
            FieldKind::Whole(0, 10_000),
            Default::Whole(0),
            "first words of each document as a text to learn from (FirstP); 0 for none",
        ),
        FieldSpec::new(
            "chunks",
            FieldKind::Whole(0, 10_000),
            Default::Whole(0),
            "chunks of each document as texts to learn from (DaQ)",
        ),
        FieldSpec::new("chunk_words", FieldKind::Whole(1, 10_000), Default::Whole(24), "words of a chunk"),
        FieldSpec::new(
            "queries",
            FieldKind::Whole(0, 10_000),
            Default::Whole(0),
            "pseudo queries of each document (D2Q)",
        ),
        FieldSpec::new(
            "labelled",
            FieldKind::Switch,
            Default::Switch(false),
            "whether queries of the split `train` are learned from",
        ),
        FieldSpec::new(
            "weights",
            FieldKind::Text,
            Default::Absent,
            "shares of first words and chunks, pseudo queries and labelled queries in what is trained on, such as `1:2:1`, with 0 for what is \
             not learned from; without it as many of each as there are",
        ),
        FieldSpec::new(
            "curriculum",
            FieldKind::Switch,
            Default::Switch(false),
            "whether kinds of texts come one after the other in equal parts of the steps (first words and chunks, pseudo queries, \
             labelled queries), and not mixed",
        ),
        FieldSpec::new(
            "rank_every",
            FieldKind::Whole(0, 1_000_000),
            Default::Whole(0),
            "steps from one RankNet step to the next; 0 for none",
        ),
        FieldSpec::new(
            "paths",
            FieldKind::Stage(&[OutputKind::Numbers]),
            Default::Absent,
            "a stage `category-paths`, whose paths are written before docids",
        ),
        FieldSpec::new(
            "decoder",
            FieldKind::Text,
            Default::Absent,
            "how docids are written: `plain`, by the output matrix of the model, which is so without it, or `prefix-aware(layers=2, dropout=0.1, \
             consistency=0)`, by weights that follow from the place of a token and the tokens of the docid before it (PAWA)",
        ),
        LAYERS,
        NARROW_WIDTH,
        FieldSpec::new(
            "words",
            FieldKind::Whole(1, 1000),
            Default::Whole(24),
            "words of a query that are read",
        ),
        batch(64, "texts in a step"),
        STEPS,
        RATE,
        SEED,
    ],
    chooses: None,
    check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let steps = task.values.count("steps");
        let seconds = Some(steps as f64 * task.values.count("batch") as f64 * 5e-4);
        Ok(Estimate { work: format!("a training of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

fn check(values: &Values, registry: &Registry) -> Result<(), RecipeError> {
    let said = |field, problem: String| Err(values.wrong(field, 0, Problem::Said(problem)));
    check_width(values, registry)?;
    if let Err(problem) = plackett_ids::scheme::parse(values.word("docids")) {
        return said("docids", problem.to_string());
    }
    let is_none = |name: &str| values.count(name) == 0;
    if ["first", "chunks", "queries"].into_iter().all(is_none) && !values.on("labelled") {
        return said(
            "docids",
            "there is nothing to learn from: ask for `first`, `chunks`, `queries` or `labelled`".into(),
        );
    }
    if let Some(Err(problem)) = values.text("weights").map(str::parse::<SourceWeights>) {
        return said("weights", problem);
    }
    match values.text("decoder").map(str::parse::<DocidDecoder>) {
        Some(Err(problem)) => return said("decoder", problem),
        Some(Ok(decoder)) if values.has("paths") && !decoder.is_plain() => {
            let problem =
                "a prefix-aware one writes no category paths before docids; leave it or `paths` out";
            return said("decoder", problem.into());
        }
        _ => {}
    }
    training(values).check_weights().or_else(|error| said("weights", error.to_string()))
}

/// What the fields say of the training.
fn training(values: &Values) -> RetrieverTraining {
    RetrieverTraining {
        first: values.count("first"),
        chunks: values.count("chunks"),
        chunk_words: values.count("chunk_words"),
        queries: values.count("queries"),
        labelled: values.on("labelled"),
        weights: values.text("weights").and_then(|weights| weights.parse().ok()),
        curriculum: values.on("curriculum"),
        rank_every: values.count("rank_every"),
        layers: values.count("layers"),
        width: values.count("width"),
        words: values.count("words"),
        batch: values.count("batch"),
        steps: values.count("steps"),
        rate: values.real("rate") as f32,
        seed: values.count("seed") as u64,
        decoder: values.text("decoder").and_then(|decoder| decoder.parse().ok()).unwrap_or_default(),
        titles: None,
    }
}

/// Labelled queries as texts of their documents; a document that is not in the corpus has none.
pub(super) fn labelled(corpus: &Corpus, queries: &[(plackett_core::Query, Vec<String>)]) -> PairSource {
    let pairs = queries.iter().flat_map(|(query, documents)| {
        let places = documents.iter().filter_map(|id| corpus.place(id));
        places.map(|document| TextPair { text: query.text.clone(), document })
    });
    PairSource::new(pairs.collect())
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, values.word("index"))?;
    let opened = Index::open(task.input(values.word("index"))?.folder.join(index::FOLDER))?;
    let corpus = Corpus::read(&dataset)?;
    let seeded = (values.count("seed") as u64, task.progress);
    let given = catalogue(values.word("docids"), &corpus, &opened, seeded)?;
    let answered = match values.on("labelled") || dataset.has_split("train")? {
        true => dataset.answered_in("train")?,
        false => Vec::new(),
    };
    let queries = labelled(&corpus, &answered);
    let coverage = queries.coverage(corpus.documents.len());
    let similar = |text: &str, count: usize| {
        let found = opened.search_bm25(text, &Bm25::default(), count);
        let found = found.map_err(|error| GenirError::Setting(error.to_string()))?;
        Ok(found.iter().filter_map(|(id, _)| corpus.place(id)).collect())
    };
    let assigned = values.text("paths");
    let assigned =
        assigned.map(|stage| AssignedPaths::of_stage(task, stage, corpus.documents.len())).transpose()?;
    let choose = |pairs: &[&TextPair]| {
        let chosen = assigned.as_ref().map_or(Ok(Vec::new()), |assigned| assigned.nearest(task, pairs));
        chosen.map_err(|error| GenirError::Setting(error.to_string()))
    };
    let paths = assigned.as_ref().map(|assigned| PathExamples {
        hierarchy: &assigned.hierarchy,
        documents: &assigned.documents,
        choose: &choose,
    });
    let data = LearningData { documents: &corpus.documents, labelled: &queries, similar: &similar, paths };
    let mut progress = |(part, parts): (usize, usize), record: &StepRecord, total: usize| {
        let label = format!("{}, part {part} of {parts}", task.name);
        (task.progress)(&label, record.step as u64, total as u64);
    };
    let compute = Compute::new(rayon::current_num_threads());
    // The stage's folder is named after all that the result depends on: what lies in it is of the same training.
    let kept = task.folder.join(TRAINING);
    let checkpointing = Checkpointing { folder: &kept, identity: TRAINING, every: KEPT_EVERY };
    let learned = training(values).learn(&data, given, &compute, Some(&checkpointing), &mut progress)?;
    let folder = task.folder.join(FOLDER);
    learned.save(&folder)?;
    remove(task, TRAINING)?;
    made(values, &folder, &learned, coverage)
}

/// The numbers of what was trained.
fn made(
    values: &Values,
    folder: &Path,
    learned: &LearnedRetriever,
    coverage: f64,
) -> Result<StageOutput, StageError> {
    let LearnedRetriever { files, parameters, loss, sources, paths, .. } = learned;
    let docids = files.docids()?;
    let tree = DocidTrie::new(&docids)?;
    let (report, short) = (tree.report(), tree.shortened().report());
    let own = [
        learned.known_by_heart(folder, RECALLED)?,
        parameters.count() as f64,
        coverage,
        *loss,
        report.mean_length,
        short.mean_length,
        report.longest as f64,
        report.docids as f64,
        report.colliding as f64,
        levels_in_order(&files.catalogue),
    ];
    let seed = values.count("seed");
    let pairs: Vec<String> = sources.iter().map(|source| source.pairs.len().to_string()).collect();
    let diversity = paths.as_ref().map(|(_, share)| {
        let documents = "documents whose texts have different paths, of those with several".into();
        (documents, format!("{share:.3}"))
    });
    Ok(StageOutput {
        numbers: NUMBERS.iter().zip(own).map(|(name, own)| Quantity::of_seed(*name, seed, own)).collect(),
        warnings: files.catalogue.remarks().to_vec(),
        facts: [
            ("documents".into(), report.documents.to_string()),
            ("texts to learn from".into(), pairs.join(" + ")),
            ("tokens".into(), files.language.vocabulary().len().to_string()),
        ]
        .into_iter()
        .chain(diversity)
        .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ModelOptions;
    use crate::recipe::{Environment, Outcome, Recipe, Runner, Scale, Source};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    const TEXTS: [&str; 4] = ["red foxes run", "old ships sail", "a full moon", "green tea leaves"];

    fn collection(folder: &Path) {
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        std::fs::create_dir_all(folder.join("qrels")).unwrap();
        let document = |(n, text): (usize, &&str)| format!("{{\"_id\": \"d{n}\", \"text\": \"{text}\"}}\n");
        write("corpus.jsonl", &TEXTS.iter().enumerate().map(document).collect::<String>());
        write("queries.jsonl", "{\"_id\": \"a\", \"text\": \"foxes\"}\n");
        write("qrels/test.tsv", "query-id\tcorpus-id\tscore\na\td0\t1\n");
    }

    /// Runs a training of 260 steps; each is told to `told`.
    fn run(collection: &Path, cache: &Path, told: &(dyn Fn(u64) + Sync)) -> Outcome {
        let text = format!(
            "title = \"t\"\n[stage.given]\nkind = \"data\"\ncollection = \"{}\"\n[stage.index]\nkind = \"index\"\ndata = \"given\"\n\
             vectors = false\n[stage.model]\nkind = \"generative-retriever\"\nindex = \"index\"\ndocids = \"atomic\"\nfirst = 4\n\
             layers = 1\nwidth = 16\nbatch = 4\nsteps = 260\n",
            collection.display()
        );
        let registry = Registry::default();
        let recipe = Recipe::read("test", Source::of_text("test.toml", &text), &registry).unwrap();
        let environment = Environment::new(registry, cache.to_path_buf(), ModelOptions::default());
        let progress = |label: &str, step: u64, _: u64| {
            if label.starts_with("model, part") {
                told(step);
            }
        };
        let runner =
            Runner { recipe: &recipe, scale: Scale::Quick, environment: &environment, progress: &progress };
        runner.run().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_training_that_was_stopped_goes_on_from_its_last_checkpoint_to_the_same_weights() {
        let folder = tempfile::tempdir().unwrap();
        collection(folder.path());
        let weights = |outcome: &Outcome| {
            let stage = outcome.stages.iter().find(|stage| stage.name == "model").unwrap();
            assert!(!stage.folder.join(TRAINING).exists(), "checkpoints go when the stage is done");
            std::fs::read(stage.folder.join(FOLDER).join("model.safetensors")).unwrap()
        };
        let whole = weights(&run(folder.path(), &folder.path().join("whole"), &|_| {}));
        let cut = folder.path().join("cut");
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            run(folder.path(), &cut, &|step| assert!(step < 230, "stop"));
        }));
        assert!(stopped.is_err());
        let steps = Mutex::new(Vec::new());
        let rest = weights(&run(folder.path(), &cut, &|step| steps.lock().unwrap().push(step)));
        let steps = steps.into_inner().unwrap();
        assert!(steps.iter().all(|step| *step >= 200) && steps.len() <= 61, "{steps:?}");
        assert!(rest == whole);
    }
}
