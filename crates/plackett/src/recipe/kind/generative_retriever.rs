//! `generative-retriever`: a small decoder that learns a corpus by heart and writes docids.

use super::{dataset_of, index};
use crate::recipe::categories::{AssignedPaths, Targets};
use crate::recipe::docids::{Corpus, SCHEME_HELP, catalogue, levels_in_order};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Made, Registry, StageKind, nothing_outside};
use crate::recipe::small_decoder::{LAYERS, RATE, STEPS, check_width, new_decoder};
use crate::recipe::task::Task;
use crate::recipe::training::train_within;
use plackett_genir::category_paths::PathLanguage;
use plackett_genir::representation::{PairSource, PseudoQueries, TextPair, chunks, first_words, mixed};
use plackett_genir::{
    Decoding, DocidLanguage, DocidTrie, GenerativeRetriever, GenirError, PathDecoding, PathRetriever,
    Reranking, RerankingGroup, RetrieverFiles, RetrieverTask, save_hierarchy,
};
use plackett_search::{Bm25, Index};
use plackett_train::Parameters;
use plackett_train::optimizer::Schedule;
use plackett_train::random::Stream;
use plackett_train::trainer::{LanguageModel, Settings};
use std::path::Path;

/// The folder of the retriever in that of the stage.
pub(super) const FOLDER: &str = "retriever";
/// Pairs of each kind of text on which it is measured how much is known by heart.
const RECALLED: usize = 300;
/// Documents of a group of a ranking step, as in the authors' code of ZeroGR.
const GROUP: usize = 8;
/// Words of a document in a ranking step.
const RANKED_WORDS: usize = 40;
/// Groups that are made for ranking steps.
const GROUPS: usize = 400;

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
           of their own) and `levels_in_order` (share of the docids whose tokens name their level, if any, in order)",
    version: 1,
    gives: Gives::Model,
    fields: &[
        FieldSpec::required("index", FieldKind::Stage(&[Gives::Index]), "an index of the corpus"),
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
            FieldKind::Stage(&[Gives::Numbers]),
            Default::Absent,
            "a stage `category-paths`, whose paths are written before docids",
        ),
        LAYERS,
        FieldSpec::new(
            "width",
            FieldKind::Whole(8, 4096),
            Default::Whole(64),
            "numbers of a token; a multiple of 8",
        ),
        FieldSpec::new(
            "words",
            FieldKind::Whole(1, 1000),
            Default::Whole(24),
            "words of a query that are read",
        ),
        FieldSpec::new("batch", FieldKind::Whole(1, 4096), Default::Whole(64), "texts in a step"),
        STEPS,
        RATE,
        FieldSpec::new("seed", FieldKind::Whole(0, i64::MAX), Default::Whole(1), "of all that is drawn"),
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
    Ok(())
}

/// The settings of a training of so many steps.
pub(super) fn settings(values: &Values, steps: usize) -> Settings {
    Settings {
        batch: values.count("batch"),
        steps,
        rate: values.number("rate").unwrap_or_default() as f32,
        warmup: steps / 20,
        schedule: Schedule::Cosine,
        seed: values.count("seed") as u64,
        checkpoint: 0,
        ..Settings::default()
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

/// What is learned from, in the order of a curriculum.
fn sources(values: &Values, corpus: &Corpus, queries: &PairSource) -> Vec<PairSource> {
    let seed = values.count("seed") as u64;
    let mut of_texts = PairSource::default();
    if values.count("first") > 0 {
        of_texts.pairs.extend(first_words(&corpus.documents, values.count("first")).pairs);
    }
    if values.count("chunks") > 0 {
        let cut = chunks(&corpus.documents, values.count("chunks"), values.count("chunk_words"), seed);
        of_texts.pairs.extend(cut.pairs);
    }
    let pseudo = PseudoQueries { count: values.count("queries"), seed, ..PseudoQueries::default() };
    let labelled = if values.on("labelled") { queries.clone() } else { PairSource::default() };
    let all = [of_texts, pseudo.of(&corpus.documents), labelled];
    all.into_iter().filter(|source| !source.pairs.is_empty()).collect()
}

fn run(task: &Task<'_>) -> Result<Made, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, values.word("index"))?;
    let opened = Index::open(task.input(values.word("index"))?.folder.join(index::FOLDER))?;
    let corpus = Corpus::read(&dataset)?;
    let given = catalogue(values.word("docids"), &corpus, &opened, values.count("seed") as u64)?;
    let training = match values.on("labelled") || dataset.has_split("train")? {
        true => dataset.answered_in("train")?,
        false => Vec::new(),
    };
    let queries = labelled(&corpus, &training);
    let coverage = queries.coverage(corpus.documents.len());
    let sources = sources(values, &corpus, &queries);
    let assigned = values
        .text("paths")
        .map(|stage| AssignedPaths::of_stage(task, stage, corpus.documents.len()))
        .transpose()?;
    let language = language(values, &corpus, (&sources, given.tokens()), assigned.as_ref());
    let files = RetrieverFiles { language, catalogue: given };
    let docids = files.docids()?;
    let targets = match &assigned {
        None => Targets::docids(&docids),
        Some(assigned) => {
            let paths = PathLanguage::new(&files.language, files.catalogue.tokens(), &assigned.hierarchy)?;
            Targets::with_paths(task, &docids, (assigned, paths), &sources)?
        }
    };
    let (model, parameters, loss) =
        learn(task, (&corpus, &opened), (&files.language, &targets), &sources, &queries)?;
    let folder = task.folder.join(FOLDER);
    files.save(&folder, &model, &parameters)?;
    if let Some(assigned) = &assigned {
        save_hierarchy(&folder, &files, &assigned.hierarchy)?;
    }
    let tree = DocidTrie::new(&docids)?;
    let (report, short) = (tree.report(), tree.shortened().report());
    let own = [
        train_hit(&folder, &docids, &sources, assigned.is_some())?,
        parameters.count() as f64,
        coverage,
        loss,
        report.mean_length,
        short.mean_length,
        report.longest as f64,
        report.docids as f64,
        report.colliding as f64,
        levels_in_order(&files.catalogue),
    ];
    let seed = values.count("seed");
    let pairs: Vec<String> = sources.iter().map(|source| source.pairs.len().to_string()).collect();
    let diversity = targets.diversity(assigned.as_ref()).map(|share| {
        let documents = "documents whose texts have different paths, of those with several".into();
        (documents, format!("{share:.3}"))
    });
    Ok(Made {
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

/// What is read and written: words of documents and of what is learned from, tokens of docids and of paths.
fn language(
    values: &Values,
    corpus: &Corpus,
    (sources, docid_tokens): (&[PairSource], &[String]),
    assigned: Option<&AssignedPaths>,
) -> DocidLanguage {
    let texts = corpus.documents.iter().flat_map(|document| [&document.title[..], &document.text]);
    let texts = texts.chain(sources.iter().flat_map(|source| source.pairs.iter().map(|pair| &pair.text[..])));
    let of_paths = assigned.map_or_else(Vec::new, |assigned| PathLanguage::vocabulary(&assigned.hierarchy));
    let written: Vec<String> = docid_tokens.iter().cloned().chain(of_paths).collect();
    DocidLanguage::new(texts, &written, (2, values.count("words")))
}

/// The model, its parameters, and the mean loss at the end.
fn learn(
    task: &Task<'_>,
    (corpus, index): (&Corpus, &Index),
    (language, targets): (&DocidLanguage, &Targets<'_>),
    sources: &[PairSource],
    queries: &PairSource,
) -> Result<(LanguageModel, Parameters, f64), StageError> {
    let values = task.values;
    let seed = values.count("seed") as u64;
    let context =
        (language.most_words() + 1 + targets.longest()).max(language.most_words() + 1 + RANKED_WORDS);
    let mut parameters = Parameters::default();
    let model = new_decoder(values, language.vocabulary(), context, values.count("seed"), &mut parameters)?;
    let groups = match values.count("rank_every") {
        0 => Vec::new(),
        // Labelled queries alone, where they are learned from.
        _ if values.on("labelled") => {
            ranking_groups((corpus, index), language, std::slice::from_ref(queries), seed)?
        }
        _ => ranking_groups((corpus, index), language, sources, seed)?,
    };
    let stages: Vec<&[PairSource]> = match values.on("curriculum") {
        true => sources.chunks(1).collect(),
        false => vec![sources],
    };
    let mut loss = 0.0;
    for (at, stage) in stages.iter().enumerate() {
        let steps = values.count("steps") / stages.len();
        let settings = settings(values, steps.max(1));
        let pair = |pair: TextPair| (language.prompt(&pair.text), targets.of(&pair));
        let pairs = mixed(stage, seed).into_iter().map(pair).collect();
        let reranking = (!groups.is_empty()).then(|| Reranking {
            groups: &groups,
            every: values.count("rank_every"),
            weight: 1.0,
            score_token: language.score_token(),
        });
        let learning = RetrieverTask::new(&model, pairs, &settings, reranking)?;
        let name = format!("{}, part {} of {}", task.name, at + 1, stages.len());
        let report = train_within(task, &name, &learning, &mut parameters, &settings)?;
        loss = f64::from(report.final_loss());
    }
    Ok((model, parameters, loss))
}

/// Groups of one right document and such that BM25 finds for the same text.
fn ranking_groups(
    (corpus, index): (&Corpus, &Index),
    language: &DocidLanguage,
    sources: &[PairSource],
    seed: u64,
) -> Result<Vec<RerankingGroup>, StageError> {
    let all = mixed(sources, seed);
    let order = Stream::new(seed, 9 << 40).permutation(all.len());
    let mut groups = Vec::new();
    for pair in order.into_iter().take(GROUPS).map(|at| &all[at]) {
        let found = index.search_bm25(&pair.text, &Bm25::default(), 2 * GROUP)?;
        let others = found.iter().filter_map(|(id, _)| corpus.place(id)).filter(|at| *at != pair.document);
        let documents: Vec<usize> = [pair.document].into_iter().chain(others.take(GROUP - 1)).collect();
        let sequence = |at: &usize| {
            let mut tokens = language.prompt(&pair.text);
            tokens.extend(language.words(&corpus.documents[*at].model_text(), RANKED_WORDS));
            tokens
        };
        let labels = documents.iter().map(|at| f32::from(u8::from(*at == pair.document))).collect();
        groups.push(RerankingGroup { sequences: documents.iter().map(sequence).collect(), labels });
    }
    Ok(groups)
}

/// The share of texts that were learned from whose docid is the first one written.
fn train_hit(
    folder: &Path,
    docids: &[Vec<u32>],
    sources: &[PairSource],
    with_paths: bool,
) -> Result<f64, StageError> {
    let first = first_documents(folder, with_paths)?;
    let (mut right, mut count) = (0, 0);
    for source in sources {
        let order = Stream::new(1, 8 << 40).permutation(source.pairs.len());
        let pairs: Vec<&TextPair> = order.into_iter().take(RECALLED).map(|at| &source.pairs[at]).collect();
        for pairs in pairs.chunks(64) {
            let texts: Vec<&str> = pairs.iter().map(|pair| &pair.text[..]).collect();
            for (pair, found) in pairs.iter().zip(first(&texts)?) {
                let found = found.map(|document| &docids[document]);
                right += usize::from(found == Some(&docids[pair.document]));
                count += 1;
            }
        }
    }
    Ok(right as f64 / f64::from(count.max(1)))
}

/// The first document for each of some texts, as a retriever writes it.
type FirstDocuments = Box<dyn Fn(&[&str]) -> Result<Vec<Option<usize>>, GenirError>>;

fn first_documents(folder: &Path, with_paths: bool) -> Result<FirstDocuments, GenirError> {
    if with_paths {
        let retriever = PathRetriever::open(folder, true)?;
        let decoding = PathDecoding { paths: 1, width: 1, constrained: true, ..PathDecoding::default() };
        return Ok(Box::new(move |texts| {
            let found = retriever.search(texts, &decoding)?;
            Ok(found.iter().map(|found| found.hits.first().map(|hit| hit.document)).collect())
        }));
    }
    let retriever = GenerativeRetriever::open(folder, true)?;
    Ok(Box::new(move |texts| {
        let found = retriever.search(texts, &Decoding::Beams { width: 1 }, 0)?;
        Ok(found.iter().map(|found| found.documents.first().map(|(document, _)| *document)).collect())
    }))
}
