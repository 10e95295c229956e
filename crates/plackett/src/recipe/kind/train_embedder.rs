//! `train-embedder`: an encoder learns to tell documents apart, and as in E2Rank to order a list by a prompt that holds it.

use super::train_views::{TOKENS_A_SECOND, lost, numbers_of, template};
use super::{CANDIDATES, ENCODER, SEED, WORDS, dataset_of, rank, train};
use crate::recipe::dataset::Dataset;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives, Values};
use crate::recipe::registry::{Estimate, Made, StageKind};
use crate::recipe::task::Task;
use plackett_core::{Document, RankRequest};
use plackett_rank::prompt::{Passage, Template};
use plackett_train::objective::{Term, parse_sum};
use plackett_train::trainer::{
    FeedbackExample, FeedbackLengths, FeedbackTask, Settings, StepRecord, TextEncoder, train as learn,
};
use plackett_train::{Compute, Parameters};
use std::collections::HashMap;

/// The declaration.
pub static TRAIN_EMBEDDER: StageKind = StageKind {
    name: "train-embedder",
    help: "E2Rank: an encoder learns from lists of judged documents, of which the first `depth` are read. Each query, as it is searched with and \
           behind an instruction, is told from the documents of its batch (its best one by the judgments, of equal ones the first, is the \
           positive, and other relevant ones are no negatives); with `weight` the list is put in the order of the judgments besides, by the \
           prompt over all of its documents (`feedback`) or by the query alone. Queries whose list has nothing relevant, or nothing else, \
           are left out. Gives first_loss (of the first step), loss (the mean of the last tenth of the steps) and step_seconds (the median). \
           The model is one for `e2rank`, `bi-encoder` and indexes",
    version: 1,
    gives: Gives::Model,
    fields: &[
        CANDIDATES,
        FieldSpec::new(
            "depth",
            FieldKind::Whole(2, 1000),
            Default::Whole(8),
            "documents of a list, from the best of the candidates",
        ),
        WORDS,
        ENCODER,
        FieldSpec::new(
            "trained",
            FieldKind::Stage(&[Gives::Model]),
            Default::Absent,
            "a stage whose model takes the place of `model`",
        ),
        FieldSpec::new(
            "feedback",
            FieldKind::Switch,
            Default::Switch(true),
            "whether lists are ordered by a prompt with their documents in the place of the query",
        ),
        FieldSpec::new(
            "weight",
            FieldKind::Number(0.0, 1000.0),
            Default::Number(2.0),
            "of the order; 0 for the contrast alone",
        ),
        FieldSpec::new(
            "contrast",
            FieldKind::Text,
            Default::Text("info-nce(temperature=0.03)"),
            "what is minimised of the similarities of a batch, as in docs/objectives.md",
        ),
        FieldSpec::new(
            "order",
            FieldKind::Text,
            Default::Text("ranknet(temperature=0.1)"),
            "what is minimised of the scores of a list",
        ),
        FieldSpec::new("rate", FieldKind::Number(0.0, 1.0), Default::Number(2e-5), "the learning rate"),
        FieldSpec::new("batch", FieldKind::Whole(1, 4096), Default::Whole(8), "queries in a step"),
        FieldSpec::new("steps", FieldKind::Whole(1, i64::MAX), Default::Whole(300), "steps"),
        FieldSpec::new("warmup", FieldKind::Whole(0, i64::MAX), Default::Whole(0), "steps of warm-up"),
        FieldSpec::new(
            "tokens",
            FieldKind::Whole(8, 512),
            Default::Whole(64),
            "most tokens of a document, and of a query alone",
        ),
        FieldSpec::new(
            "prompt_tokens",
            FieldKind::Whole(64, 8192),
            Default::Whole(512),
            "most tokens of a prompt, and of what the model reads later",
        ),
        SEED,
    ],
    chooses: None,
    check: |values, _| {
        for name in ["contrast", "order"] {
            parse_sum(values.word(name))
                .map_err(|error| values.wrong(name, 0, Problem::Said(error.to_string())))?;
        }
        Ok(())
    },
    numbers: |_, _| ["first_loss", "loss", "step_seconds"].map(str::to_string).to_vec(),
    outside: |values, surroundings| match values.has("trained") {
        // What a stage has made is known by that stage.
        true => Ok(Vec::new()),
        false => super::encoder_fingerprint(values, surroundings),
    },
    estimate: |task| {
        let values = task.values;
        let (steps, queries) = (values.count("steps"), values.count("batch"));
        let list = values.count("depth") * values.count("tokens") * 6 / 10;
        let prompted = values.on("feedback") && values.number("weight") > Some(0.0);
        let tokens = steps * queries * if prompted { 2 * list } else { list };
        let work = format!("a training of {steps} steps of {queries} queries");
        Ok(Estimate { work, seconds: Some(tokens as f64 / TOKENS_A_SECOND), ..Estimate::default() })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<Made, StageError> {
    let values = task.values;
    let base = match values.text("trained") {
        Some(stage) => train::model_of(task, stage)?,
        None => task.surroundings.directory(values.word("model"))?,
    };
    let (mut parameters, seed) = (Parameters::default(), values.count("seed"));
    let lengths = FeedbackLengths { text: values.count("tokens"), prompt: values.count("prompt_tokens") };
    let encoder = TextEncoder::open(&base, &mut parameters, lengths.prompt.max(lengths.text))?;
    let (requests, cut) = rank::requests(task, values)?;
    let lists = lists(task, &requests, &encoder, lengths.prompt)?;
    let weight = values.number("weight").unwrap_or_default() as f32;
    let terms = |name: &'static str| -> Result<Vec<Term>, StageError> {
        parse_sum(values.word(name))
            .map_err(|error| StageError::Field { field: name, problem: error.to_string() })
    };
    let learned = (&lists.documents[..], &lists.examples[..]);
    let lesson =
        FeedbackTask::new(&encoder, learned, lengths, terms("contrast")?, (terms("order")?, weight))?;
    let mut progress = |record: &StepRecord, total: usize| {
        (task.progress)(task.name, record.step as u64, total as u64);
    };
    let identity = format!("{:?}", values.written());
    let place = (Some(task.folder), identity.as_str());
    let compute = Compute::new(rayon::current_num_threads());
    let report = learn(&lesson, &compute, &mut parameters, &settings(values), place, None, &mut progress)?;
    encoder.save(&task.folder.join(train::FOLDER), &parameters, encoder.most_tokens())?;
    train::remove_checkpoint(task.folder)?;
    let mut made = Made { numbers: numbers_of(&report, seed), ..Made::default() };
    made.facts.push(("queries".into(), lists.examples.len().to_string()));
    made.facts.push(("documents".into(), lists.documents.len().to_string()));
    made.facts.extend(cut);
    made.warnings = lists.remarks;
    made.warnings.extend(lost(lesson.cut(), lengths.text));
    let skipped: usize = report.steps.iter().map(|step| step.skipped).sum();
    if skipped > 0 {
        made.warnings.push(format!("{skipped} queries or lists of batches could not teach"));
    }
    Ok(made)
}

fn settings(values: &Values) -> Settings {
    Settings {
        batch: values.count("batch"),
        steps: values.count("steps"),
        rate: values.number("rate").unwrap_or_default() as f32,
        warmup: values.count("warmup"),
        seed: values.count("seed") as u64,
        ..Settings::default()
    }
}

/// Queries to learn from, with the texts of all their documents, and what was left out, in sentences.
struct FeedbackLists {
    documents: Vec<String>,
    examples: Vec<FeedbackExample>,
    remarks: Vec<String>,
}

/// Lists of those queries that have both relevant and other candidates.
fn lists(
    task: &Task<'_>,
    requests: &[RankRequest],
    encoder: &TextEncoder,
    prompt_tokens: usize,
) -> Result<FeedbackLists, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, values.word("candidates"))?;
    let prompts = Prompts { template: template("e2rank", "feedback")?, encoder, most: prompt_tokens };
    let mut documents = Documents::default();
    let graded: Vec<Graded<'_>> =
        requests.iter().filter_map(|request| documents.graded(request, &dataset)).collect();
    let (mut examples, mut shortened) = (Vec::with_capacity(graded.len()), 0);
    let prompted = values.on("feedback") && values.number("weight") > Some(0.0);
    let count = graded.len();
    for (at, Graded { request, places, labels }) in graded.into_iter().enumerate() {
        if at % 100 == 0 {
            (task.progress)("prompts", at as u64, count as u64);
        }
        let prompt = if prompted { Some(prompts.over(request)?) } else { None };
        shortened += prompt.as_ref().map_or(0, |(_, shortened)| *shortened);
        let judged = dataset.qrels.query(&request.query.id);
        let relevant = judged.iter().flat_map(|judged| judged.iter()).filter(|j| j.grade > 0);
        examples.push(FeedbackExample {
            name: request.query.id.clone(),
            queries: prompts.of_query(&request.query.text)?,
            prompt: prompt.map(|(text, _)| text),
            relevant: relevant.filter_map(|j| documents.places.get(j.document).copied()).collect(),
            documents: places,
            labels,
        });
    }
    if examples.is_empty() {
        let problem = "no list has both relevant and other documents; nothing can be learned".into();
        return Err(StageError::Field { field: "candidates", problem });
    }
    let without = requests.len() - count;
    let left_out = format!(
        "{without} of {} queries have nothing relevant in their lists, or nothing else, and are left out",
        requests.len()
    );
    let shorter = format!(
        "{shortened} documents are shorter in their prompt, which has room for {prompt_tokens} tokens"
    );
    let remarks = [(without, left_out), (shortened, shorter)];
    let remarks = remarks.into_iter().filter(|(count, _)| *count > 0).map(|(_, said)| said).collect();
    Ok(FeedbackLists { documents: documents.texts, examples, remarks })
}

/// A query with its list.
struct Graded<'r> {
    request: &'r RankRequest,
    /// Places of its documents.
    places: Vec<usize>,
    labels: Vec<f32>,
}

/// Texts of documents, each once.
#[derive(Default)]
struct Documents {
    texts: Vec<String>,
    places: HashMap<String, usize>,
}

impl Documents {
    /// The list of a query; `None` where nothing, or everything, is relevant.
    fn graded<'r>(&mut self, request: &'r RankRequest, dataset: &Dataset) -> Option<Graded<'r>> {
        let judged = dataset.qrels.query(&request.query.id);
        let label = |id: &str| {
            let mut judged = judged.iter().flat_map(|judged| judged.iter());
            judged.find(|j| j.document == id).map_or(0, |j| j.grade).max(0) as f32
        };
        let of = || request.candidates.iter().map(|candidate| &candidate.document);
        let labels: Vec<f32> = of().map(|document| label(&document.id)).collect();
        let teaches = labels.iter().any(|label| *label > 0.0) && labels.contains(&0.0);
        teaches.then(|| Graded {
            request,
            places: of().map(|document| self.place(document)).collect(),
            labels,
        })
    }

    fn place(&mut self, document: &Document) -> usize {
        *self.places.entry(document.id.clone()).or_insert_with(|| {
            self.texts.push(document.model_text().into_owned());
            self.texts.len() - 1
        })
    }
}

/// The texts in which queries are asked, as the method `e2rank` writes them for an encoder.
struct Prompts<'e> {
    template: Template,
    encoder: &'e TextEncoder,
    /// Most tokens of a prompt.
    most: usize,
}

impl Prompts<'_> {
    /// A query as an index is searched with it, and behind the instruction of the method.
    fn of_query(&self, query: &str) -> Result<Vec<String>, StageError> {
        let asked = self.template.part("query", &[("query", query)]).ok_or_else(|| {
            let problem = "the prompt of e2rank has no part for the query alone".to_string();
            StageError::Field { field: "feedback", problem }
        })?;
        Ok(vec![query.to_string(), asked])
    }

    /// The prompt over all candidates, whose passages have equally few words where they do not fit, and how many of them have fewer than
    /// they had.
    fn over(&self, request: &RankRequest) -> Result<(String, usize), StageError> {
        let labels = self
            .template
            .labels(request.candidates.len())
            .map_err(|error| StageError::Field { field: "depth", problem: error.to_string() })?;
        let texts: Vec<String> =
            request.candidates.iter().map(|candidate| self.template.passage(&candidate.document).0).collect();
        let words: Vec<Vec<&str>> = texts.iter().map(|text| text.split_whitespace().collect()).collect();
        // The prompt with as many words of each passage, where it fits.
        let with = |most: usize| -> Result<Option<String>, StageError> {
            let shown: Vec<String> =
                words.iter().map(|words| words[..words.len().min(most)].join(" ")).collect();
            let passages: Vec<Passage<'_>> =
                labels.iter().zip(&shown).map(|(label, text)| Passage { label, text }).collect();
            let text = self.template.render(&request.query.text, &passages, &[]).words();
            let (_, is_cut) = self.encoder.tokens(&text, self.most)?;
            Ok((!is_cut).then_some(text))
        };
        let longest = words.iter().map(Vec::len).max().unwrap_or(0);
        if let Some(text) = with(longest)? {
            return Ok((text, 0));
        }
        // Of the numbers of words with which it fits the greatest.
        let (mut best, mut low, mut high) = (None, 0, longest);
        while low < high {
            let middle = (low + high) / 2;
            match with(middle)? {
                Some(text) => (best, low) = (Some((text, middle)), middle + 1),
                None => high = middle,
            }
        }
        let (text, most) = best.ok_or_else(|| StageError::Field {
            field: "prompt_tokens",
            problem: format!("the query {} alone has more tokens than a prompt may have", request.query.id),
        })?;
        Ok((text, words.iter().filter(|words| words.len() > most).count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::Query;
    use std::path::Path;

    fn encoder(parameters: &mut Parameters) -> TextEncoder {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert");
        TextEncoder::open(&base, parameters, 160).unwrap()
    }

    #[test]
    fn prompts_are_those_of_the_method_and_passages_give_words_where_they_do_not_fit() {
        let mut parameters = Parameters::default();
        let encoder = encoder(&mut parameters);
        let texts = ["one two three four five six", "seven"];
        let documents = texts.iter().enumerate().map(|(at, text)| Document::new(format!("d{at}"), *text));
        let request = RankRequest::new(Query::new("q", "why"), documents);
        let prompts =
            |most| Prompts { template: template("e2rank", "feedback").unwrap(), encoder: &encoder, most };
        let (whole, shortened) = prompts(160).over(&request).unwrap();
        let end = "Documents:\n[1] one two three four five six\n[2] seven\nSearch Query: why";
        assert!(whole.ends_with(end) && shortened == 0, "{whole}");
        // Room for some tokens less: the longer passage gives its last words.
        let tokens = encoder.tokens(&whole, 160).unwrap().0.len();
        let (part, shortened) = prompts(tokens - 1).over(&request).unwrap();
        assert!(part.contains("[1] one two") && !part.contains(" six\n") && shortened == 1, "{part}");
        assert!(encoder.tokens(&part, 160).unwrap().0.len() < tokens);
        assert!(prompts(20).over(&request).unwrap_err().to_string().contains("the query q alone"));
        let forms = prompts(160).of_query("why").unwrap();
        assert_eq!((forms[0].as_str(), forms[1].ends_with("\nQuery:why")), ("why", true));
    }

    #[test]
    fn documents_are_kept_once() {
        let mut documents = Documents::default();
        let [a, b] = ["a", "b"].map(|id| Document::new(id, format!("text of {id}")));
        assert_eq!([&a, &b, &a].map(|document| documents.place(document)), [0, 1, 0]);
        assert_eq!(documents.texts, ["text of a", "text of b"]);
    }
}
