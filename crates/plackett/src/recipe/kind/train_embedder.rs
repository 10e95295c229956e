//! `train-embedder`: an encoder learns to tell documents apart, and as in E2Rank to order a list by a prompt that holds it.

use super::train_views::{TOKENS_A_SECOND, lost, numbers_of};
use super::{CANDIDATES, ENCODER, SEED, WORDS, dataset_of, rank, train};
use crate::recipe::data::judged_lists::grades_of;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::embedding_examples::{reader, teacher};
use crate::recipe::models::training_fields::{batch, rate, settings_of, steps, warmup};
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use plackett_core::RankRequest;
use plackett_rank::model::LanguageModel;
use plackett_rank::training_example::{EmbeddingExampleBuilder, readable};
use plackett_train::objective::{Term, parse_sum};
use plackett_train::trainer::{
    FeedbackExample, FeedbackLengths, FeedbackTask, StepRecord, TextEncoder, train as learn,
};
use plackett_train::{Compute, Parameters};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The declaration.
pub static TRAIN_EMBEDDER: StageKind = StageKind {
    name: "train-embedder",
    help: "E2Rank: an encoder learns from lists of judged documents, of which the first `depth` are read. Each query, as it is searched with and \
           behind an instruction, is told from the documents of its batch (its best one by the judgments, of equal ones the first, is the \
           positive, and other relevant ones are no negatives); with `weight` the list is put in the order of the judgments besides, by the \
           prompt over all of its documents (`feedback`) or by the query alone. Queries whose list has nothing relevant, or nothing else, \
           are left out. Gives first_loss (of the first step), loss (the mean of the last tenth of the steps) and step_seconds (the median). \
           The model is one for `e2rank`, `bi-encoder` and indexes",
    version: 2,
    gives: OutputKind::Model,
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
            FieldKind::Stage(&[OutputKind::Model]),
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
        rate(2e-5),
        batch(8, "queries in a step"),
        steps((1, i64::MAX), 300, "steps"),
        warmup(0),
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
    outside: |values, environment| match values.has("trained") {
        // What a stage has made is known by that stage.
        true => Ok(Vec::new()),
        false => super::encoder_fingerprint(values, environment),
    },
    estimate: |task| {
        let values = task.values;
        let (steps, queries) = (values.count("steps"), values.count("batch"));
        let list = values.count("depth") * values.count("tokens") * 6 / 10;
        let prompted = values.on("feedback") && values.real("weight") > 0.0;
        let tokens = steps * queries * if prompted { 2 * list } else { list };
        let work = format!("a training of {steps} steps of {queries} queries");
        Ok(Estimate { work, seconds: Some(tokens as f64 / TOKENS_A_SECOND), ..Estimate::default() })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let base = match values.text("trained") {
        Some(stage) => train::model_of(task, stage, &train::ENCODERS)?,
        None => task.environment.directory(values.word("model"))?,
    };
    let (mut parameters, seed) = (Parameters::default(), values.count("seed"));
    let lengths = FeedbackLengths { text: values.count("tokens"), prompt: values.count("prompt_tokens") };
    let encoder = TextEncoder::open(&base, &mut parameters, lengths.prompt.max(lengths.text))?;
    let (requests, cut) = rank::requests(task, values)?;
    let prompted = values.on("feedback") && values.real("weight") > 0.0;
    let over = prompted.then(|| (values.count("depth"), lengths.prompt.min(encoder.most_tokens())));
    let prompts = Prompts::new(&reader(task, &base)?, encoder.most_tokens(), over)?;
    let lists = lists(task, &requests, &prompts)?;
    let weight = values.real("weight") as f32;
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
    let report = learn(&lesson, &compute, &mut parameters, &settings_of(values), place, None, &mut progress)?;
    encoder.save(&task.folder.join(train::FOLDER), &parameters, encoder.most_tokens())?;
    train::remove_checkpoint(task.folder)?;
    let mut made = StageOutput { numbers: numbers_of(&report, seed), ..StageOutput::default() };
    made.facts.push(("queries".into(), lists.examples.len().to_string()));
    made.facts.push(("documents".into(), lists.documents.len().to_string()));
    made.facts.extend(cut);
    made.warnings = lists.remarks;
    made.warnings.extend(lost(lesson.cut(), lengths.text));
    let skipped = report.skipped();
    if skipped > 0 {
        made.warnings.push(format!("{skipped} queries or lists of batches could not teach"));
    }
    Ok(made)
}

/// Queries to learn from, with the texts of all their documents, and what was left out, in sentences.
struct FeedbackLists {
    documents: Vec<String>,
    examples: Vec<FeedbackExample>,
    remarks: Vec<String>,
}

/// Lists of those queries that have both relevant and other candidates.
fn lists(task: &Task<'_>, requests: &[RankRequest], prompts: &Prompts) -> Result<FeedbackLists, StageError> {
    let dataset = dataset_of(task, task.values.word("candidates"))?;
    let readable = requests.iter().map(readable);
    let graded: Vec<(Vec<f32>, RankRequest)> =
        readable.filter_map(|request| Some((labels(&grades_of(&dataset, &request))?, request))).collect();
    if graded.is_empty() {
        let problem = "no list has both relevant and other documents; nothing can be learned".into();
        return Err(StageError::Field { field: "candidates", problem });
    }
    let (count, mut documents) = (graded.len(), Documents::default());
    let (mut examples, mut shortened) = (Vec::with_capacity(count), 0);
    for (at, (labels, request)) in graded.into_iter().enumerate() {
        if at % 100 == 0 {
            (task.progress)("prompts", at as u64, count as u64);
        }
        let asked = prompts.of(&request)?;
        shortened += asked.shortened;
        let documents = documents.places(&request, asked.documents);
        let (name, relevant) = (request.query.id, Vec::new());
        let (queries, prompt) = (asked.queries, asked.prompt);
        examples.push(FeedbackExample { name, queries, prompt, documents, labels, relevant });
    }
    // Documents of any list, also of a later one.
    for example in &mut examples {
        let relevant = dataset.qrels.relevant(&example.name);
        let places = relevant.filter_map(|judgment| documents.places.get(judgment.document).copied());
        example.relevant = places.collect();
    }
    let (queries, cut) = (requests.len(), documents.cut.len());
    let remarks = [
        (
            queries - count,
            format!(
                "of {queries} queries have nothing relevant in their lists, or nothing else, and are left out"
            ),
        ),
        (shortened, format!("documents are shorter in their prompt, {}", prompts.room())),
        (cut, "documents are cut also where they stand alone, as `e2rank` cuts them".into()),
    ];
    let remarks = remarks.into_iter().filter(|(count, _)| *count > 0);
    let remarks = remarks.map(|(count, said)| format!("{count} {said}")).collect();
    Ok(FeedbackLists { documents: documents.texts, examples, remarks })
}

/// A teacher's label of each candidate, of their grades; `None` where nothing, or everything, is relevant.
fn labels(grades: &[i32]) -> Option<Vec<f32>> {
    let labels: Vec<f32> = grades.iter().map(|grade| (*grade).max(0) as f32).collect();
    (labels.iter().any(|label| *label > 0.0) && labels.contains(&0.0)).then_some(labels)
}

/// Texts of documents, each once.
#[derive(Default)]
struct Documents {
    texts: Vec<String>,
    places: HashMap<String, usize>,
    /// Those whose text is not the whole document.
    cut: HashSet<String>,
}

impl Documents {
    /// The places of a list, whose texts these are.
    fn places(&mut self, request: &RankRequest, (texts, cut): (Vec<String>, Vec<String>)) -> Vec<usize> {
        self.cut.extend(cut);
        let ids = request.candidates.iter().map(|candidate| &candidate.document.id);
        ids.zip(texts).map(|(id, text)| self.place(id, text)).collect()
    }

    fn place(&mut self, id: &str, text: String) -> usize {
        let next = self.texts.len();
        let place = *self.places.entry(id.to_string()).or_insert(next);
        if place == next {
            self.texts.push(text);
        }
        place
    }
}

/// What the method `e2rank` lets an encoder read.
struct Prompts {
    /// Of the query alone, and of each document.
    alone: EmbeddingExampleBuilder,
    /// Of a list in one prompt, and the most tokens of it, where lists are ordered by such.
    over: Option<(EmbeddingExampleBuilder, usize)>,
}

/// What is read of a query and its list.
struct Asked {
    /// The query as an index is searched with it, and behind the instruction of the method.
    queries: Vec<String>,
    /// The prompt over all candidates.
    prompt: Option<String>,
    /// How many candidates have less text in it than they have.
    shortened: usize,
    /// The text of each candidate alone, and the identifiers of those that were cut.
    documents: (Vec<String>, Vec<String>),
}

impl Prompts {
    /// For a model that will read so many tokens; `over` are the most documents and tokens of a prompt over a list.
    fn new(
        model: &Arc<dyn LanguageModel>,
        most_tokens: usize,
        over: Option<(usize, usize)>,
    ) -> Result<Prompts, StageError> {
        let of = |documents: usize, most: usize| {
            let documents = documents.to_string();
            teacher("e2rank", &[("documents", documents.as_str())], model.clone(), most)
        };
        let over = over.map(|(documents, most)| Ok::<_, StageError>((of(documents, most)?, most)));
        Ok(Prompts { alone: of(0, most_tokens)?, over: over.transpose()? })
    }

    /// The texts of a request.
    fn of(&self, request: &RankRequest) -> Result<Asked, StageError> {
        let lesson = |teacher: &EmbeddingExampleBuilder| {
            teacher
                .example(request)
                .map_err(|error| StageError::Field { field: "prompt_tokens", problem: error.to_string() })
        };
        let alone = lesson(&self.alone)?;
        let over = self.over.as_ref().map(|(over, _)| lesson(over)).transpose()?;
        let mut queries = vec![request.query.text.clone()];
        queries.extend(alone.query);
        let cut = alone.truncated.into_iter().filter(|cut| !cut.of_query).map(|cut| cut.id).collect();
        let shortened = over.as_ref().map_or(0, |over| over.truncated.len());
        let prompt = over.and_then(|over| over.query);
        Ok(Asked { queries, prompt, shortened, documents: (alone.documents, cut) })
    }

    /// What a prompt over a list has room for, in words.
    fn room(&self) -> String {
        self.over.as_ref().map_or_else(String::new, |(_, most)| format!("which has room for {most} tokens"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::{Document, Query};
    use plackett_lm::{EncoderModel, EncoderOptions};
    use plackett_rank::Abilities;
    use plackett_rank::model::Prompt;
    use std::path::Path;

    fn model() -> Arc<dyn LanguageModel> {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert");
        let encoder = EncoderModel::open(base, &EncoderOptions::default()).unwrap();
        Arc::new(encoder).language_model().unwrap()
    }

    #[test]
    fn prompts_are_those_of_the_method_and_passages_give_tokens_where_they_do_not_fit() {
        let model = model();
        let texts = ["one two three four five six", "seven"];
        let documents = texts.iter().enumerate().map(|(at, text)| Document::new(format!("d{at}"), *text));
        let request = RankRequest::new(Query::new("q", "why"), documents);
        let asked = |most| Prompts::new(&model, 500, Some((8, most))).unwrap().of(&request);
        let whole = asked(500).unwrap();
        assert_eq!((whole.queries.len(), whole.queries[0].as_str(), whole.shortened), (2, "why", 0));
        assert!(whole.queries[1].ends_with("\nQuery:why"), "{:?}", whole.queries);
        assert_eq!(whole.documents, (texts.map(str::to_string).to_vec(), Vec::new()));
        let prompt = whole.prompt.unwrap();
        let end = "Documents:\n[1] one two three four five six\n[2] seven\nSearch Query: why";
        assert!(prompt.ends_with(end), "{prompt}");
        // Beside 16 tokens that the method leaves to chat templates there is room for one token less: of the longer passage.
        let tokens = model.count_tokens(&[&Prompt::text(prompt.as_str())]).unwrap()[0];
        assert_eq!(asked(tokens + 16).unwrap().prompt, Some(prompt));
        let part = asked(tokens + 15).unwrap();
        let (text, shortened) = (part.prompt.unwrap(), part.shortened);
        assert!(text.contains("[1] one") && !text.contains(" six\n") && shortened == 1, "{text}");
        let message = asked(20).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("`prompt_tokens`") && message.contains("query `q`"), "{message}");
        // Where the order is learned by the query alone there is no prompt.
        let alone = Prompts::new(&model, 500, None).unwrap().of(&request).unwrap();
        assert_eq!((alone.prompt, alone.queries), (None, whole.queries));
    }

    #[test]
    fn labels_are_grades_of_lists_with_both_sorts() {
        assert_eq!(labels(&[2, 0, -2, 1]), Some(vec![2.0, 0.0, 0.0, 1.0]));
        assert_eq!((labels(&[1, 2]), labels(&[0, -1]), labels(&[])), (None, None, None));
    }

    #[test]
    fn documents_are_kept_once() {
        let mut documents = Documents::default();
        let place = |id: &str| documents.place(id, format!("text of {id}"));
        assert_eq!(["a", "b", "a"].map(place), [0, 1, 0]);
        assert_eq!(documents.texts, ["text of a", "text of b"]);
    }
}
