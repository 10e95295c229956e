//! `corpus-pretraining`: a small decoder that learns pages from pairs that they give by themselves, and from labelled queries.

use super::generative_retriever::FOLDER;
use super::linked_pages::wiki_of;
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::small_decoder::{LAYERS, NARROW_WIDTH, RATE, SEED, check_width, new_decoder};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{batch, steps};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use crate::recipe::worlds::wiki::{PageTask, Wiki, first_session, tags};
use plackett_genir::corpus_pretraining::{
    CorpusPretraining, LABEL_SMOOTHING, PretrainingPairs, TitlePair, title_settings,
};
use plackett_genir::title_lists::{TITLE_SEPARATOR, TitleTargets};
use plackett_genir::{DocidDecoder, DocidLanguage, GenirError, RetrieverFiles, RetrieverTask};
use plackett_ids::Item;
use plackett_ids::scheme::{Source, parse};
use plackett_train::Parameters;
use plackett_train::random::Stream;
use plackett_train::trainer::LanguageModel;
use std::collections::HashMap;

const NUMBERS: [&str; 5] = ["pairs", "anchored", "labels", "parameters", "final_loss"];

/// The declaration.
pub static CORPUS_PRETRAINING: StageKind = StageKind {
    name: "corpus-pretraining",
    help: "a small decoder over words that learns to write titles of pages. Before any label it learns from what pages give by themselves: a paragraph \
           to the title (`iss`) and leading paragraphs to the title (`lps`), both with titles that the page links to behind it in three cases of ten, \
           and paragraphs around a link to the title that it leads to (`hip`). Then from a share of the labelled queries, several titles with \
           a separator between them, and, if asked, a tag of the kind of query before it. Labels are smoothed, weights decay, and the rate rises over a \
           tenth of the steps and falls in a straight line, as the authors have it. With `start` it goes on from another stage of this kind. Gives `pairs`, `anchored` (share of the targets of `iss` and \
           `lps` with a linked title), `labels` (queries learned from), `parameters` and `final_loss`",
    version: 3,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("pages", FieldKind::Stage(&[OutputKind::Numbers]), "a stage `linked-pages`"),
        FieldSpec::new(
            "objectives",
            FieldKind::Texts,
            Default::Absent,
            "what pages are learned by, of `iss`, `lps` and `hip`; all, where it is not said",
        ),
        steps((0, i64::MAX), 0, "steps on these pairs; 0 for none"),
        FieldSpec::new(
            "start",
            FieldKind::Stage(&[OutputKind::Model]),
            Default::Absent,
            "a stage `corpus-pretraining` of the same pages to go on from",
        ),
        FieldSpec::new(
            "first",
            FieldKind::Number(0.0, 1.0),
            Default::Absent,
            "share of the pages, drawn, that are there in a first session; no pair is of others. All, where it is not said",
        ),
        FieldSpec::new(
            "labels",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.0),
            "share of the labelled queries that are learned from; one at least, where it is not 0",
        ),
        FieldSpec::new(
            "label_steps",
            FieldKind::Whole(1, i64::MAX),
            Default::Whole(200),
            "steps on labelled queries",
        ),
        FieldSpec::new(
            "label_rate",
            FieldKind::Number(0.0, 1.0),
            Default::Number(3e-3),
            "the learning rate of these steps",
        ),
        FieldSpec::new(
            "smoothing",
            FieldKind::Number(0.0, 0.99),
            Default::Number(LABEL_SMOOTHING),
            "label smoothing: the share of a token's target that goes evenly to all tokens",
        ),
        FieldSpec::new(
            "tags",
            FieldKind::Switch,
            Default::Switch(false),
            "whether a tag says before each labelled query, and before those that are asked, of which kind it is",
        ),
        LAYERS,
        NARROW_WIDTH,
        FieldSpec::new(
            "words",
            FieldKind::Whole(1, 1000),
            Default::Whole(64),
            "words of a text that are read",
        ),
        batch(64, "texts in a step"),
        RATE,
        SEED,
    ],
    chooses: None,
    check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let steps = task.values.count("steps") + task.values.count("label_steps");
        let seconds = Some(steps as f64 * task.values.count("batch") as f64 * 1e-3);
        Ok(Estimate { work: format!("a training of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

fn check(values: &Values, registry: &Registry) -> Result<(), RecipeError> {
    let said = |field, nth, problem: String| Err(values.wrong(field, nth, Problem::Said(problem)));
    check_width(values, registry)?;
    let known = ["iss", "lps", "hip"];
    let unknown = |(_, name): &(usize, &&str)| !known.contains(name);
    if let Some((nth, name)) = values.texts("objectives").iter().enumerate().find(unknown) {
        return said("objectives", nth, format!("there is no `{name}`; there are: {}", known.join(", ")));
    }
    let has_labels = values.real("labels") > 0.0;
    if values.on("tags") && !has_labels {
        return said(
            "tags",
            0,
            "queries with their kind are learned from `labels` alone; ask for some".into(),
        );
    }
    match values.count("steps") == 0 && !has_labels {
        true => said("pages", 0, "there is nothing to learn: ask for `steps` or `labels`".into()),
        false => Ok(()),
    }
}

/// For each page whether it is there from the beginning.
pub(super) fn sessions(wiki: &Wiki, values: &Values) -> Vec<bool> {
    let share = values.number("first").unwrap_or(1.0);
    first_session(wiki.pages.len(), share, values.count("seed") as u64)
}

/// The share of targets that goes to all tokens.
pub(super) fn smoothing(values: &Values) -> f32 {
    values.number("smoothing").unwrap_or_default() as f32
}

/// How pairs are drawn.
pub(super) fn pretraining(values: &Values) -> CorpusPretraining {
    let objectives = values.texts("objectives");
    let has = |name: &str| objectives.is_empty() || objectives.contains(&name);
    CorpusPretraining {
        inner: has("iss"),
        lead: has("lps"),
        hyperlinks: has("hip"),
        read_words: values.count("words"),
        seed: values.count("seed") as u64,
        ..CorpusPretraining::default()
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let wiki = wiki_of(task, "pages", values.word("pages"))?;
    let mut pairs = pretraining(values).pairs(&wiki.pages);
    let is_first = sessions(&wiki, values);
    pairs.pairs.retain(|pair| is_first[pair.source] && pair.pages.iter().all(|page| is_first[*page]));
    let (files, model, mut parameters) = begin(task, &wiki)?;
    let targets = TitleTargets::new(&files)?;
    let mut loss = 0.0;
    let (own, labels) = (own_pairs(&pairs), labelled(&wiki, values));
    let rates = [values.real("rate"), values.real("label_rate")];
    let lessons: [(&[TextAndPages], usize, f64); 2] = [
        (&own, values.count("steps"), rates[0]),
        (&labels, if labels.is_empty() { 0 } else { values.count("label_steps") }, rates[1]),
    ];
    for (lesson, steps, rate) in lessons.into_iter().filter(|(_, steps, _)| *steps > 0) {
        if lesson.is_empty() {
            let problem =
                "the pages give no pairs; see the warnings of shorter pages, or ask for more".into();
            return Err(GenirError::Setting(problem).into());
        }
        let pair = |(text, pages): &TextAndPages| (files.language.prompt(text), targets.of(pages));
        let batch = values.count("batch").min(lesson.len());
        let settings = title_settings((batch, steps), rate as f32, values.count("seed") as u64);
        let learning = RetrieverTask::new(&model, lesson.iter().map(pair).collect(), &settings, None)?
            .with_label_smoothing(smoothing(values))?;
        let report = train_within(task, task.name, &learning, &mut parameters, &settings)?;
        loss = f64::from(report.final_loss());
    }
    files.save(&task.folder.join(FOLDER), &model, &parameters)?;
    let measured =
        [pairs.pairs.len() as f64, pairs.anchored(), labels.len() as f64, parameters.count() as f64, loss];
    let seed = values.count("seed");
    let pretrained = values.count("steps") > 0;
    Ok(StageOutput {
        numbers: NUMBERS
            .iter()
            .zip(measured)
            .map(|(name, own)| Quantity::of_seed(*name, seed, own))
            .collect(),
        warnings: if pretrained { pairs.remarks() } else { Vec::new() },
        facts: vec![("tokens".into(), files.language.vocabulary().len().to_string())],
    })
}

/// A text, and the places of the pages whose titles are to be written after it.
type TextAndPages = (String, Vec<usize>);

fn own_pairs(pairs: &PretrainingPairs) -> Vec<TextAndPages> {
    let own = |pair: &TitlePair| (pair.text.clone(), pair.pages.clone());
    pairs.pairs.iter().map(own).collect()
}

/// The drawn share of the labelled queries with the pages of their first set of evidence.
fn labelled(wiki: &Wiki, values: &Values) -> Vec<TextAndPages> {
    let places: HashMap<&str, usize> =
        wiki.pages.iter().enumerate().map(|(place, page)| (&page.title[..], place)).collect();
    let all: Vec<&PageTask> = wiki.tasks.iter().filter(|query| !query.is_test).collect();
    let share = values.real("labels");
    let wanted = if share > 0.0 { ((share * all.len() as f64).round() as usize).max(1) } else { 0 };
    let order = Stream::new(values.count("seed") as u64, 3 << 40).permutation(all.len());
    let text = |query: &PageTask| {
        let first = query.evidence.first()?;
        let pages: Option<Vec<usize>> = first.iter().map(|title| places.get(&title[..]).copied()).collect();
        Some((query.read_as(values.on("tags")), pages?))
    };
    order.into_iter().take(wanted).filter_map(|at| text(all[at])).collect()
}

/// What is trained: the model of another stage, or a new one.
fn begin(task: &Task<'_>, wiki: &Wiki) -> Result<(RetrieverFiles, LanguageModel, Parameters), StageError> {
    let values = task.values;
    let mut parameters = Parameters::default();
    if let Some(start) = values.text("start") {
        let input = task.input(start)?;
        let is_same =
            input.kind.name == CORPUS_PRETRAINING.name && input.values.text("pages") == values.text("pages");
        if !is_same {
            let problem = format!("`{start}` is no stage `corpus-pretraining` of the same pages");
            return Err(StageError::Field { field: "start", problem });
        }
        let folder = input.folder.join(FOLDER);
        let files = RetrieverFiles::open(&folder)?;
        let model = LanguageModel::open(&folder, &mut parameters)?;
        return Ok((files, model, parameters));
    }
    let item = |page: &plackett_genir::corpus_pretraining::Page| Item {
        title: page.title.clone(),
        ..Item::new(&page.title)
    };
    let items: Vec<Item> = wiki.pages.iter().map(item).collect();
    let seed = values.count("seed");
    let scheme = parse("title").map_err(GenirError::from)?;
    let catalogue = scheme.catalogue(&Source::of_items(&items, seed as u64)).map_err(GenirError::from)?;
    let written: Vec<String> =
        catalogue.tokens().iter().cloned().chain([TITLE_SEPARATOR.to_string()]).collect();
    let of_pages = wiki.pages.iter().flat_map(|page| page.paragraphs.iter().map(String::as_str));
    let asked = wiki.tasks.iter().filter(|query| !query.is_test).map(|query| &query.text[..]);
    // Tags are words of the vocabulary whether or not they are used, so that a model can begin without them and go on with them; each twice,
    // since rarer words are unknown ones.
    let tags = tags();
    let tagged = tags.iter().flat_map(|tag| [tag.as_str(); 2]);
    let read = of_pages.chain(asked).chain(tagged);
    let language = DocidLanguage::new(read, &written, (2, values.count("words")));
    let files = RetrieverFiles { language, catalogue, decoder: DocidDecoder::Plain };
    let targets = TitleTargets::new(&files)?;
    let context = values.count("words") + 1 + targets.longest(MOST_TITLES);
    let model = new_decoder(values, files.language.vocabulary(), context, seed, &mut parameters)?;
    Ok((files, model, parameters))
}

/// Titles of one answer: that of the page and four that it links to.
pub(super) const MOST_TITLES: usize = 5;
