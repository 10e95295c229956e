//! `category-paths`: a hierarchy of categories for a collection, and the paths of each of its documents.

use super::{SEED, attention, dataset_of, index};
use crate::recipe::data::docids::Corpus;
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput};
use crate::recipe::running::kept_replies;
use crate::recipe::task::Task;
use crate::recipe::worlds::categories::{AssignedPaths, own_paths};
use crate::recipe::worlds::choosing::{TextVectors, cosine};
use plackett_core::Document;
use plackett_genir::GenirError;
use plackett_genir::category_paths::{
    CategoryHierarchy, CategoryPath, PathSelector, SelectedPaths, ShownDocument, parse_selector, shortlist,
};
use plackett_lm::store::BUNDLED;
use plackett_rank::model::{ChatMessage, ChatRole, GenerationOptions, LanguageModel, Prompt};
use plackett_search::Index;

const NUMBERS: [&str; 5] = ["paths", "each", "several", "own_title", "unnamed"];
/// Documents that a language model is asked about together.
const TOGETHER: usize = 8;
/// Words that it reads of one of them, as a rule: some of the document, and the shortlist.
const PROMPT_WORDS: usize = 250;
/// Tokens of its answer: three numbers, and a few words where it does not leave them out.
const ANSWER_TOKENS: usize = 24;

/// The declaration.
pub static CATEGORY_PATHS: StageKind = StageKind {
    name: "category-paths",
    help: "a hierarchy of categories for a collection whose titles are those of articles, say: the title, and below it topics (clusters of the \
           documents of one title by the vectors of the index, named by the two words that tell them from the others). Each document gets \
           a shortlist of the paths whose vectors (bundled encoder) are most like its own, wherever they are in the hierarchy, and a \
           selector chooses from it: by likeness, or a language model that is shown the document and the numbered shortlist and names one to three paths. \
           Gives `paths` (how many), `each` (mean paths of a document), `several` (share of the documents with more than one), `own_title` (share of the \
           documents whose first path begins with their title) and `unnamed` (share of the documents for which a language model named no path of the \
           shortlist; they get the most alike one)",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "index",
            FieldKind::Stage(&[OutputKind::Index]),
            "an index of the corpus, with vectors",
        ),
        FieldSpec::new("topics", FieldKind::Whole(1, 1000), Default::Whole(4), "topics of a title at most"),
        FieldSpec::new("depth", FieldKind::Whole(1, 100), Default::Whole(4), "categories of a path at most"),
        FieldSpec::new("shortlist", FieldKind::Whole(1, 10_000), Default::Whole(10), "paths of a shortlist"),
        FieldSpec::new(
            "selector",
            FieldKind::Text,
            Default::Text("nearest(paths=3)"),
            "who chooses from the shortlist: `nearest(paths=N)`; `branches(paths=N)`, which takes one path of each title; or \
             `language-model(paths=N, words=N)`, which asks the model of `model`",
        ),
        FieldSpec::new(
            "model",
            FieldKind::Text,
            Default::Absent,
            "the language model that is asked, on this machine or a server's, where the selector is `language-model`",
        ),
        SEED,
    ],
    chooses: None,
    check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |values, environment| {
        let mut hashes = vec![("model".into(), environment.fingerprint(BUNDLED)?)];
        if values.has("model") {
            hashes.extend(attention::fingerprint(values, environment)?);
        }
        Ok(hashes)
    },
    estimate: |task| {
        let mut estimate =
            Estimate { work: "makes category paths".into(), seconds: Some(5.0), ..Estimate::default() };
        if let Some(model) = task.values.text("model") {
            let documents = dataset_of(task, task.values.word("index"))?.corpus()?.count();
            estimate.work = format!("makes category paths and asks a model about {documents} documents");
            index::add_model(&mut estimate, task.environment, model, documents, PROMPT_WORDS)?;
        }
        Ok(estimate)
    },
    run,
};

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    let said = |field, problem: String| Err(values.wrong(field, 0, Problem::Said(problem)));
    match parse_selector(values.word("selector")) {
        Err(error) => said("selector", error.to_string()),
        Ok(selector) if selector.asks() && !values.has("model") => {
            said("selector", "it asks a language model; name one in `model`".into())
        }
        Ok(selector) if !selector.asks() && values.has("model") => said(
            "model",
            "the selector asks no model; leave it out, or write `selector = \"language-model\"`".into(),
        ),
        Ok(_) => Ok(()),
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, values.word("index"))?;
    let opened = Index::open(task.input(values.word("index"))?.folder.join(index::FOLDER))?;
    let corpus = Corpus::read(&dataset)?;
    let vectors = corpus.vectors(&opened)?;
    let seed = values.count("seed") as u64;
    let own = own_paths(&corpus.documents, &vectors, values.count("topics"), seed)?;
    let hierarchy = CategoryHierarchy::of_paths(own.iter().cloned(), values.count("depth"))?;
    let of_paths = TextVectors::embed(task, hierarchy.paths().iter().map(ToString::to_string).collect())?;
    let selector = parse_selector(values.word("selector"))?;
    let mut listed: Vec<Vec<(usize, f64)>> = Vec::with_capacity(vectors.len());
    for vector in &vectors {
        let vector: Vec<f32> = vector.iter().map(|number| *number as f32).collect();
        let similarity = |path: &CategoryPath| Ok(cosine(&vector, of_paths.get(&path.to_string())?));
        let similarities =
            hierarchy.paths().iter().map(similarity).collect::<Result<Vec<f64>, StageError>>()?;
        listed.push(shortlist(&similarities, values.count("shortlist")));
    }
    let selected = selected(task, &selector, &hierarchy, &corpus.documents, &listed)?;
    let chosen = |(places, listed): (&Vec<usize>, &Vec<(usize, f64)>)| -> Vec<usize> {
        places.iter().map(|at| listed[*at].0).collect()
    };
    let documents: Vec<Vec<usize>> = selected.places.iter().zip(&listed).map(chosen).collect();
    let count = documents.len() as f64;
    let begins_with_title = |(paths, own): &(&Vec<usize>, &CategoryPath)| {
        let first = paths.first().and_then(|path| hierarchy.paths()[*path].categories().first());
        first == own.categories().first()
    };
    let numbers = [
        hierarchy.paths().len() as f64,
        documents.iter().map(Vec::len).sum::<usize>() as f64 / count,
        documents.iter().filter(|paths| paths.len() > 1).count() as f64 / count,
        documents.iter().zip(&own).filter(begins_with_title).count() as f64 / count,
        selected.unnamed as f64 / count,
    ];
    let cut = hierarchy.cut();
    let made = AssignedPaths { hierarchy, documents, vectors: of_paths };
    made.write(task.folder)?;
    let number = |(name, number): (&&str, f64)| Quantity::of_seed(*name, values.count("seed"), number);
    Ok(StageOutput {
        numbers: NUMBERS.iter().zip(numbers).map(number).collect(),
        warnings: (cut > 0)
            .then(|| format!("{cut} paths are cut to {} categories", values.count("depth")))
            .into_iter()
            .collect(),
        facts: vec![("an example".into(), made.hierarchy.paths()[0].to_string())],
    })
}

/// The paths that a selector takes for each document from its shortlist, of places in the hierarchy with likenesses.
fn selected(
    task: &Task<'_>,
    selector: &PathSelector,
    hierarchy: &CategoryHierarchy,
    documents: &[Document],
    listed: &[Vec<(usize, f64)>],
) -> Result<SelectedPaths, StageError> {
    let texts: Vec<String> = documents.iter().map(|document| document.model_text().into_owned()).collect();
    let model = selector.asks().then(|| attention::model(task)).transpose()?;
    let ask = |prompts: &[String]| match &model {
        Some(model) => {
            replies(task, &**model, prompts).map_err(|error| GenirError::Setting(error.to_string()))
        }
        None => Ok(Vec::new()),
    };
    let shown: Vec<ShownDocument<'_>> = texts
        .iter()
        .zip(listed)
        .map(|(text, listed)| ShownDocument {
            text,
            shortlist: listed.iter().map(|(path, likeness)| (&hierarchy.paths()[*path], *likeness)).collect(),
        })
        .collect();
    Ok(selector.select(&shown, &ask)?)
}

/// What a language model replies to each prompt. Replies are kept, so that a killed stage asks only for those that it does not have.
fn replies(
    task: &Task<'_>,
    model: &dyn LanguageModel,
    prompts: &[String],
) -> Result<Vec<String>, StageError> {
    let options = GenerationOptions { max_tokens: ANSWER_TOKENS, ..GenerationOptions::default() };
    let said = |text: &String| match model.has_chat_template() {
        true => Prompt::chat(vec![ChatMessage::new(ChatRole::User, text.clone())]),
        false => Prompt::text(format!("{text}\nNumbers:")),
    };
    let asked: Vec<Prompt> = prompts.iter().map(said).collect();
    let replies = kept_replies::replies(task, model, &options, TOGETHER, &asked)?;
    Ok(replies.iter().map(|reply| reply.text().to_string()).collect())
}
