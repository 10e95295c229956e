//! An encoder that embeds queries, documents, and prompts with the first documents of a list in the place of the query (E2Rank: Your Text
//! Embedding can Also be an Effective and Efficient Listwise Reranker, 2025): each query is told from all documents of its batch, and the
//! prompt puts the documents of its list in a teacher's order.

use super::{StepLoss, Task, TextEncoder, weighted_sum};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::Mode;
use crate::objective::{Batch, Lists, Similarities, Term};
use crate::tape::{Tape, Var};
use std::collections::HashMap;
use std::ops::Range;

/// A query to learn from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedbackExample {
    /// What it is called.
    pub name: String,
    /// The forms in which the query alone is asked: each of them is told from the documents of others.
    pub queries: Vec<String>,
    /// The prompt with documents and query, which orders the list; without it the last form of the query does.
    pub prompt: Option<String>,
    /// The documents of its list, as places among all.
    pub documents: Vec<usize>,
    /// A teacher's label of each of them; a greater one is better, and above 0 it is relevant. The first of the best is the positive.
    pub labels: Vec<f32>,
    /// Places of other documents that are known to be relevant: no negatives, should they be in a batch.
    pub relevant: Vec<usize>,
}

/// How long texts may be, in tokens with the marks of their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedbackLengths {
    /// Of a document, and of a query alone.
    pub text: usize,
    /// Of a prompt.
    pub prompt: usize,
}

/// An example as tokens.
struct EncodedFeedback {
    name: String,
    queries: Vec<Vec<u32>>,
    prompt: Option<Vec<u32>>,
    documents: Vec<usize>,
    labels: Vec<f32>,
    relevant: Vec<usize>,
}

/// Queries by which an encoder learns.
pub struct FeedbackTask<'m> {
    model: &'m TextEncoder,
    documents: Vec<Vec<u32>>,
    examples: Vec<EncodedFeedback>,
    /// What is minimised of the similarities of queries and documents.
    contrast: Vec<Term>,
    /// What is minimised of the scores of a list, and its weight.
    order: (Vec<Term>, f32),
    cut: usize,
}

impl<'m> FeedbackTask<'m> {
    /// Splits all texts into tokens.
    ///
    /// # Errors
    /// A text cannot be split into tokens, or a query has no form, no document, a document that is not there, or another number of labels.
    pub fn new(
        model: &'m TextEncoder,
        (documents, examples): (&[String], &[FeedbackExample]),
        lengths: FeedbackLengths,
        contrast: Vec<Term>,
        order: (Vec<Term>, f32),
    ) -> Result<FeedbackTask<'m>, TrainError> {
        let mut cut = 0;
        let mut tokens = |text: &str, most: usize| -> Result<Vec<u32>, TrainError> {
            let (tokens, is_cut) = model.tokens(text, most)?;
            cut += usize::from(is_cut);
            Ok(tokens)
        };
        let encoded: Vec<Vec<u32>> =
            documents.iter().map(|text| tokens(text, lengths.text)).collect::<Result<_, _>>()?;
        let mut all = Vec::with_capacity(examples.len());
        for example in examples {
            check(example, documents.len())?;
            let queries = example.queries.iter().map(|text| tokens(text, lengths.text));
            let queries = queries.collect::<Result<_, _>>()?;
            let prompt = example.prompt.as_deref().map(|text| tokens(text, lengths.prompt)).transpose()?;
            all.push(EncodedFeedback {
                name: example.name.clone(),
                queries,
                prompt,
                documents: example.documents.clone(),
                labels: example.labels.clone(),
                relevant: example.relevant.clone(),
            });
        }
        Ok(FeedbackTask { model, documents: encoded, examples: all, contrast, order, cut })
    }

    /// How many texts have lost their ends, and how many there are.
    pub fn cut(&self) -> (usize, usize) {
        let of_queries: usize = self
            .examples
            .iter()
            .map(|example| example.queries.len() + usize::from(example.prompt.is_some()))
            .sum();
        (self.cut, self.documents.len() + of_queries)
    }

    /// The loss of queries against all documents of the batch.
    fn contrast_loss(
        &self,
        tape: &Tape,
        batch: &FeedbackBatch<'_>,
        (queries, documents): (&Var, &Var),
    ) -> Result<StepLoss, TrainError> {
        let scores = tape.linear(queries, documents, None, None);
        let (mut positives, mut excluded) = (Vec::new(), Vec::new());
        for example in &batch.examples {
            let best = best(&example.labels).map(|at| batch.columns[&example.documents[at]]);
            let listed = example.documents.iter().zip(&example.labels);
            let relevant = listed.filter(|(_, label)| **label > 0.0).map(|(document, _)| document);
            let others: Vec<usize> = relevant
                .chain(&example.relevant)
                .filter_map(|document| batch.columns.get(document).copied())
                .filter(|column| Some(*column) != best)
                .collect();
            for _ in &example.queries {
                positives.push(best.into_iter().collect::<Vec<usize>>());
                excluded.push(others.clone());
            }
        }
        let similarities =
            Similarities { scores: &scores, positives: &positives, own: None, excluded: Some(&excluded) };
        weighted_sum(tape, &self.contrast, &Batch::Similarities(similarities), batch.tokens)
    }

    /// The loss of the order of each list.
    fn order_loss(
        &self,
        tape: &Tape,
        batch: &FeedbackBatch<'_>,
        (asked, documents): (&Var, &Var),
    ) -> Result<StepLoss, TrainError> {
        let scores = tape.linear(asked, documents, None, None);
        let (mut places, mut lists, mut labels) = (Vec::new(), Vec::<Range<usize>>::new(), Vec::new());
        for (row, example) in batch.examples.iter().enumerate() {
            let start = places.len();
            let columns = example.documents.iter().map(|document| batch.columns[document]);
            places.extend(columns.map(|column| row * scores.columns + column));
            labels.extend_from_slice(&example.labels);
            lists.push(start..places.len());
        }
        let scores = tape.gather(&scores, &places, (places.len(), 1));
        let lists = Batch::Lists(Lists::new(&scores, &lists, &labels));
        weighted_sum(tape, &self.order.0, &lists, batch.tokens)
    }
}

fn check(example: &FeedbackExample, documents: usize) -> Result<(), TrainError> {
    let wrong = |problem: String| Err(TrainError::Setting(format!("the query {}: {problem}", example.name)));
    let mut places = example.documents.iter().chain(&example.relevant);
    if let Some(place) = places.find(|place| **place >= documents) {
        return wrong(format!("document {place} does not exist: there are {documents}"));
    }
    match (example.documents.len(), example.labels.len()) {
        _ if example.queries.is_empty() => wrong("it has no words; give one form of it at least".into()),
        (0, _) => wrong("its list is empty; leave it out".into()),
        (there, labels) if there != labels => wrong(format!("{labels} labels for {there} documents")),
        _ => Ok(()),
    }
}

/// The first of the greatest labels above 0.
fn best(labels: &[f32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (at, label) in labels.iter().enumerate().filter(|(_, label)| **label > 0.0) {
        if best.is_none_or(|best| *label > labels[best]) {
            best = Some(at);
        }
    }
    best
}

/// The examples of a batch and the columns of its documents, each of which is read once.
struct FeedbackBatch<'t> {
    examples: Vec<&'t EncodedFeedback>,
    columns: HashMap<usize, usize>,
    /// Tokens that are read.
    tokens: usize,
}

impl Task for FeedbackTask<'_> {
    fn count(&self) -> usize {
        self.examples.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn describe(&self, example: usize) -> String {
        self.examples[example].name.clone()
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let examples: Vec<&EncodedFeedback> = examples.iter().map(|at| &self.examples[*at]).collect();
        let mut texts: Vec<&[u32]> = Vec::new();
        let (mut of_queries, mut asked) = (Vec::new(), Vec::new());
        for example in &examples {
            of_queries.extend(texts.len()..texts.len() + example.queries.len());
            texts.extend(example.queries.iter().map(Vec::as_slice));
            // Without a weight nothing asks for the order, and prompts are not read.
            texts.extend(example.prompt.as_deref().filter(|_| self.order.1 > 0.0));
            asked.push(texts.len() - 1);
        }
        let (first, mut columns) = (texts.len(), HashMap::new());
        for document in examples.iter().flat_map(|example| &example.documents) {
            let next = columns.len();
            if next == *columns.entry(*document).or_insert(next) {
                texts.push(&self.documents[*document]);
            }
        }
        let tokens = texts.iter().map(|text| text.len()).sum();
        let vectors = self.model.embed(tape, &texts, mode);
        let of_documents: Vec<usize> = (first..texts.len()).collect();
        let documents = tape.select_rows(&vectors, &of_documents);
        let batch = FeedbackBatch { examples, columns, tokens };
        let queries = tape.select_rows(&vectors, &of_queries);
        let mut loss = self.contrast_loss(tape, &batch, (&queries, &documents))?;
        if self.order.1 > 0.0 {
            let asked = tape.select_rows(&vectors, &asked);
            let order = self.order_loss(tape, &batch, (&asked, &documents))?;
            loss.value = tape.plus(&loss.value, &tape.scale(&order.value, self.order.1));
            loss.skipped = loss.skipped.max(order.skipped);
            loss.used = loss.used.max(order.used);
        }
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::parse_sum;
    use crate::tape::{Compute, Parameters};
    use crate::trainer::{Settings, mean_loss, train};
    use std::path::Path;

    const DOCUMENTS: [&str; 4] = ["cats purr at night", "dogs bark", "a fish swims in the sea", "birds sing"];
    const LENGTHS: FeedbackLengths = FeedbackLengths { text: 32, prompt: 64 };

    fn model() -> (Parameters, TextEncoder) {
        let mut parameters = Parameters::default();
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert");
        let encoder = TextEncoder::open(&base, &mut parameters, 64).unwrap();
        (parameters, encoder)
    }

    fn documents() -> Vec<String> {
        DOCUMENTS.iter().map(ToString::to_string).collect()
    }

    fn example(query: &str, documents: &[usize], labels: &[f32]) -> FeedbackExample {
        FeedbackExample {
            name: query.into(),
            queries: vec![query.into()],
            documents: documents.to_vec(),
            labels: labels.to_vec(),
            ..FeedbackExample::default()
        }
    }

    fn task<'m>(model: &'m TextEncoder, examples: &[FeedbackExample], weight: f32) -> FeedbackTask<'m> {
        let contrast = parse_sum("info-nce(temperature=1)").unwrap();
        let order = (parse_sum("ranknet(temperature=1)").unwrap(), weight);
        FeedbackTask::new(model, (&documents(), examples), LENGTHS, contrast, order).unwrap()
    }

    fn loss(task: &FeedbackTask<'_>, parameters: &Parameters, examples: &[usize]) -> (f32, usize) {
        let tape = Tape::inference(parameters, &Compute::new(1));
        let loss = task.loss(&tape, examples, Mode::default()).unwrap();
        (loss.value.item(), loss.tokens)
    }

    /// Cosines of a text and all documents.
    fn cosines(model: &TextEncoder, parameters: &Parameters, text: &str) -> Vec<f32> {
        let compute = Compute::new(1);
        let query = &model.vectors(&compute, parameters, &[text]).unwrap()[0];
        let documents = model.vectors(&compute, parameters, &DOCUMENTS).unwrap();
        documents.iter().map(|document| document.iter().zip(query).map(|(a, b)| a * b).sum()).collect()
    }

    #[test]
    fn the_loss_is_that_of_the_cosines() {
        let (parameters, model) = model();
        let mut first = example("what purrs", &[1, 0, 2], &[0.0, 2.0, 1.0]);
        first.prompt = Some("dogs bark cats purr what purrs".into());
        // Document 3 is known to answer the first query too.
        first.relevant = vec![3];
        let second = example("who sings", &[3, 1], &[1.0, 0.0]);
        let examples = [first, second];
        let (plain, prompted) = (
            ["what purrs", "who sings"].map(|query| cosines(&model, &parameters, query)),
            cosines(&model, &parameters, "dogs bark cats purr what purrs"),
        );
        // Against document 1 alone: 2 and 3 are relevant. Against 0, 1 and 2.
        let against = |s: &[f32], positive: usize, others: &[usize]| {
            let sum: f32 = others.iter().map(|other| (s[*other] - s[positive]).exp()).sum();
            (1.0 + sum).ln()
        };
        let contrast = (against(&plain[0], 0, &[1]) + against(&plain[1], 3, &[0, 1, 2])) / 2.0;
        let pair = |s: &[f32], better: usize, worse: usize| (1.0 + (s[worse] - s[better]).exp()).ln();
        let of_first = (pair(&prompted, 0, 1) + pair(&prompted, 0, 2) + pair(&prompted, 2, 1)) / 3.0;
        let order = (of_first + pair(&plain[1], 3, 1)) / 2.0;
        let found = loss(&task(&model, &examples, 0.0), &parameters, &[0, 1]);
        assert!((found.0 - contrast).abs() < 1e-5, "{} {contrast}", found.0);
        let whole = loss(&task(&model, &examples, 2.0), &parameters, &[0, 1]);
        assert!((whole.0 - contrast - 2.0 * order).abs() < 1e-5, "{} {contrast} {order}", whole.0);
        // Each document is read once, and the prompt only where it is asked.
        let lengths: usize = DOCUMENTS
            .iter()
            .chain(&["what purrs", "who sings"])
            .map(|text| model.tokens(text, 32).unwrap().0.len())
            .sum();
        assert_eq!(found.1, lengths);
        assert_eq!(whole.1, lengths + model.tokens("dogs bark cats purr what purrs", 64).unwrap().0.len());
    }

    #[test]
    fn equal_scores_lose_ln_2() {
        let (parameters, model) = model();
        let examples = [example("x", &[0, 0, 0], &[3.0, 2.0, 1.0])];
        let contrast = loss(&task(&model, &examples, 0.0), &parameters, &[0]).0;
        let whole = loss(&task(&model, &examples, 1.0), &parameters, &[0]).0;
        assert!((whole - contrast - 2f32.ln()).abs() < 1e-6, "{whole} {contrast}");
    }

    #[test]
    fn an_order_is_learned_with_prompts() {
        let (mut parameters, model) = model();
        let list = |query: &str, best: usize| {
            let labels: Vec<f32> = (0..4).map(|at| f32::from(u8::from(at == best))).collect();
            let mut list = example(query, &[0, 1, 2, 3], &labels);
            list.prompt = Some(format!("{} {query}", DOCUMENTS.join(" ")));
            list
        };
        let examples = [list("what purrs", 0), list("what barks", 1), list("who swims", 2)];
        let task = task(&model, &examples, 2.0);
        let compute = Compute::new(1);
        let before = mean_loss(&task, &compute, &parameters, 3).unwrap();
        let settings = Settings { batch: 3, steps: 40, rate: 3e-3, ..Settings::default() };
        train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
        let after = mean_loss(&task, &compute, &parameters, 3).unwrap();
        assert!(after < before - 0.2, "{before} {after}");
    }

    #[test]
    fn bad_examples_are_refused_by_name() {
        let (_, model) = model();
        let message = |example: FeedbackExample| {
            let terms = || parse_sum("info-nce").unwrap();
            let made =
                FeedbackTask::new(&model, (&documents(), &[example]), LENGTHS, terms(), (terms(), 1.0));
            made.err().unwrap().to_string()
        };
        assert!(
            message(example("x", &[0, 4], &[1.0, 0.0])).contains("the query x: document 4 does not exist")
        );
        assert!(message(example("x", &[0, 1], &[1.0])).contains("1 labels for 2 documents"));
        assert!(message(example("x", &[], &[])).contains("its list is empty"));
        let wordless = FeedbackExample { queries: Vec::new(), ..example("x", &[0], &[1.0]) };
        assert!(message(wordless).contains("it has no words"));
    }
}
