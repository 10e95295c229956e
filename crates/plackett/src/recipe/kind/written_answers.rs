//! `written-answers`: a model answers questions that people have answered, and both become collections to search and to learn from.

use super::SEED;
use crate::data_card::DataCard;
use crate::recipe::data::dataset::seed_of;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::kind::attention;
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Hashes, StageKind, StageOutput, nothing_to_check};
use crate::recipe::running::kept_replies;
use crate::recipe::task::{Environment, Task, hash_file};
use plackett_core::formats::{BeirFolder, BeirWriter, FormatError};
use plackett_core::{Document, Qrels, Query};
use plackett_rank::model::{ChatMessage, ChatRole, GenerationOptions, Prompt};
use plackett_train::random::Stream;
use plackett_train::synth::answers::{
    AnswerCollections, AnswerRecord, Author, Split, overlap, refused, word_list,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// Numbers by question.
const NUMBERS: [&str; 4] = ["overlap_human", "overlap_model", "words_human", "words_model"];
/// Questions of one call of the model.
const TOGETHER: usize = 32;
/// Judgments of all answers, without regard to parts.
const EVERY: &str = "all";
/// What a model is asked to be; the published prompts are not known.
const ASKED: &str = "Answer the question in a few sentences, as an encyclopaedia would.";

/// The declaration.
pub static WRITTEN_ANSWERS: StageKind = StageKind {
    name: "written-answers",
    help: "a decoder writes an answer to each of some questions that have judged answers; what is blank, refuses or only repeats the question is \
           left out with its question. Makes the collections `human` and `model` (judgments `all`; `train` and `test` with answers of other \
           questions, drawn at random, as wrong ones), and to learn from the same with `human-cut` and `model-cut` (the first words \
           alone), `mixed` (every second question of each) and `shuffled` (the answers of people to other questions), each with a data card \
           `README.md` that has how many answers are of no use, by kind, and how many stand twice. A killed stage goes on with what is written. Gives, by question, \
           `overlap_human` and `overlap_model` (share of the question's words in the answer; a mean where there are several) and `words_human` \
           and `words_model` (lengths)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::new(
            "split",
            FieldKind::Text,
            Default::Text("train"),
            "which judgments, as in qrels/SPLIT.tsv",
        ),
        FieldSpec::new(
            "questions",
            FieldKind::Whole(10, 1_000_000),
            Default::Whole(300),
            "how many, from the first",
        ),
        attention::MODEL,
        FieldSpec::new(
            "tokens",
            FieldKind::Whole(1, 4096),
            Default::Whole(64),
            "most tokens of a written answer",
        ),
        FieldSpec::new(
            "negatives",
            FieldKind::Whole(1, 1000),
            Default::Whole(4),
            "wrong answers for each right one to learn from",
        ),
        FieldSpec::new(
            "candidates",
            FieldKind::Whole(1, 1000),
            Default::Whole(20),
            "wrong answers for each right one to test on",
        ),
        FieldSpec::new(
            "cut",
            FieldKind::Whole(1, 10_000),
            Default::Whole(20),
            "words of the answers that are cut",
        ),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside,
    estimate,
    run,
};

fn outside(values: &Values, environment: &Environment) -> Result<Hashes, StageError> {
    let folder = BeirFolder::open(&environment.collection(values.word("collection"))?)?;
    let files = [folder.corpus_file()?, folder.queries_file()?, folder.qrels_file(values.word("split"))?];
    let mut hashes = attention::fingerprint(values, environment)?;
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        hashes.push((name, hash_file(&file)?));
    }
    Ok(hashes)
}

fn estimate(task: &Task<'_>) -> Result<Estimate, StageError> {
    outside(task.values, task.environment)?;
    let (questions, tokens) = (task.values.count("questions"), task.values.count("tokens"));
    Ok(Estimate {
        work: format!("writes {questions} answers of up to {tokens} tokens"),
        // About a hundred tokens a second, of a small decoder on two cores.
        seconds: Some((questions * tokens) as f64 / 100.0),
        ..Estimate::default()
    })
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let asked = questions(task)?;
    let mut made = StageOutput::default();
    let (records, counts) = written(task, asked, &mut made)?;
    if records.len() < 10 {
        let problem = format!("{} of its answers can be used; a stronger model is needed", records.len());
        return Err(StageError::Field { field: "model", problem });
    }
    let collections = AnswerCollections::build(&records);
    let repairs = &collections.repairs;
    if repairs.blank_human + repairs.without_human > 0 {
        made.warnings.push(format!("{} blank answers of people are left out", repairs.blank_human));
    }
    let arms = Arms { collections: &collections, task };
    arms.write(&card(task, counts)?)?;
    made.numbers = numbers(&collections);
    made.facts.push(("questions".into(), records.len().to_string()));
    Ok(made)
}

/// The first questions that have a right answer, with their answers.
fn questions(task: &Task<'_>) -> Result<Vec<AnswerRecord>, StageError> {
    let folder = BeirFolder::open(&task.environment.collection(task.values.word("collection"))?)?;
    let qrels = folder.qrels(task.values.word("split"))?;
    let right = |query: &Query| -> Vec<String> {
        qrels.relevant(&query.id).map(|judgment| judgment.document.to_string()).collect()
    };
    let mut asked: Vec<(Query, Vec<String>)> =
        folder.queries()?.into_iter().map(|query| (query.clone(), right(&query))).collect();
    asked.retain(|(_, right)| !right.is_empty());
    asked.truncate(task.values.count("questions"));
    let mut texts: HashMap<String, String> =
        asked.iter().flat_map(|(_, right)| right.iter().cloned()).map(|id| (id, String::new())).collect();
    for document in folder.corpus()? {
        let document = document?;
        if let Some(text) = texts.get_mut(&document.id) {
            *text = document.text;
        }
    }
    let record = |(query, right): (Query, Vec<String>)| AnswerRecord {
        question: query.text,
        human_answers: right.iter().map(|id| texts[id].clone()).collect(),
        ..AnswerRecord::default()
    };
    Ok(asked.into_iter().map(record).collect())
}

/// How many of what there are.
type Counts = Vec<(String, usize)>;

/// Lets the model answer, and leaves out what is of no use.
fn written(
    task: &Task<'_>,
    asked: Vec<AnswerRecord>,
    made: &mut StageOutput,
) -> Result<(Vec<AnswerRecord>, Counts), StageError> {
    let model = attention::model(task)?;
    let has_template = model.has_chat_template();
    let prompts: Vec<Prompt> = asked.iter().map(|record| prompt(&record.question, has_template)).collect();
    let options =
        GenerationOptions { max_tokens: task.values.count("tokens"), ..GenerationOptions::default() };
    let count = asked.len();
    let replies = kept_replies::replies(task, &*model, &options, TOGETHER, &prompts)?;
    let unfinished = replies.iter().filter(|reply| reply.is_cut()).count();
    let (kept, left_out) = useful(asked, replies.iter().map(|reply| reply.text().trim()));
    if unfinished > 0 {
        made.warnings
            .push(format!("{unfinished} of {count} answers end with their {} tokens", options.max_tokens));
    }
    let mut counts = vec![
        ("questions asked".to_string(), count),
        ("answers that are kept".to_string(), kept.len()),
        ("kept twice, for different questions".to_string(), twice(&kept)),
        ("cut at the most tokens that they may have".to_string(), unfinished),
    ];
    for (reason, number) in left_out {
        made.warnings
            .push(format!("{number} of {count} questions are left out: the answer is no use ({reason})"));
        counts.push((format!("left out: {reason}"), number));
    }
    Ok((kept, counts))
}

/// Questions with answers of use, and how many are of none, by kind.
fn useful<'r>(
    asked: Vec<AnswerRecord>,
    answers: impl Iterator<Item = &'r str>,
) -> (Vec<AnswerRecord>, BTreeMap<String, usize>) {
    let (mut kept, mut left_out) = (Vec::new(), BTreeMap::<String, usize>::new());
    for (record, answer) in asked.into_iter().zip(answers) {
        match refused(&record.question, answer) {
            Some(reason) => *left_out.entry(format!("{reason:?}").to_lowercase()).or_default() += 1,
            None => kept.push(AnswerRecord { model_answers: vec![answer.to_string()], ..record }),
        }
    }
    (kept, left_out)
}

/// Answers that the model has written for an earlier question too. They stay: each is right for its own question.
fn twice(kept: &[AnswerRecord]) -> usize {
    let mut known = HashSet::new();
    kept.iter().flat_map(|record| &record.model_answers).filter(|answer| !known.insert(*answer)).count()
}

/// What the model reads.
fn prompt(question: &str, has_template: bool) -> Prompt {
    match has_template {
        true => Prompt::chat(vec![
            ChatMessage::new(ChatRole::System, ASKED),
            ChatMessage::new(ChatRole::User, question),
        ]),
        false => Prompt::text(format!("{ASKED}\n\nQuestion: {question}\nAnswer:")),
    }
}

/// The data card of all arms.
fn card<'t>(task: &Task<'t>, counts: Counts) -> Result<DataCard<'t>, StageError> {
    Ok(DataCard {
        title: "Answers of people and of a model",
        model: task.values.word("model"),
        prompt: ASKED,
        seed: task.values.count("seed") as u64,
        settings: Vec::new(),
        sources: outside(task.values, task.environment)?,
        counts,
    })
}

/// What is learned from and tested on, as folders.
struct Arms<'c> {
    collections: &'c AnswerCollections,
    task: &'c Task<'c>,
}

/// An answer in a folder to learn from: whose question it is right for, and its text.
struct ArmAnswer {
    question: usize,
    id: String,
    text: String,
}

impl Arms<'_> {
    fn write(&self, card: &DataCard<'_>) -> Result<(), StageError> {
        let cut = self.task.values.count("cut");
        let shortened = |author: Author| {
            self.arm(author, |answer| ArmAnswer { text: first_words(&answer.text, cut), ..answer })
        };
        let (human, model) =
            (self.arm(Author::Human, |answer| answer), self.arm(Author::Model, |answer| answer));
        let even = |of: Author, odd: usize| {
            self.arm(of, |answer| answer).into_iter().filter(move |answer| answer.question % 2 == odd)
        };
        let mixed: Vec<ArmAnswer> = even(Author::Human, 0).chain(even(Author::Model, 1)).collect();
        for (name, answers) in [
            ("human", human),
            ("model", model),
            ("human-cut", shortened(Author::Human)),
            ("model-cut", shortened(Author::Model)),
            ("mixed", mixed),
            ("shuffled", self.shuffled()),
        ] {
            let folder = self.task.folder.join(name);
            self.folder(&folder, &answers)?;
            card.write(&folder)?;
        }
        Ok(())
    }

    fn arm(&self, author: Author, change: impl Fn(ArmAnswer) -> ArmAnswer) -> Vec<ArmAnswer> {
        let collection = self.collections.of(author);
        let answer = |((id, text), question): (&(String, String), &usize)| {
            change(ArmAnswer { question: *question, id: id.clone(), text: text.clone() })
        };
        collection.answers.iter().zip(&collection.question).map(answer).collect()
    }

    /// The answers of people, each to be right for the question of another one.
    fn shuffled(&self) -> Vec<ArmAnswer> {
        let mut answers = self.arm(Author::Human, |answer| answer);
        let order = Stream::new(self.task.values.count("seed") as u64, 1 << 40).permutation(answers.len());
        let questions: Vec<usize> = order.iter().map(|at| answers[*at].question).collect();
        answers.iter_mut().zip(questions).for_each(|(answer, question)| answer.question = question);
        answers
    }

    /// Writes a folder: judgments of all answers, and those with wrong ones of the parts to learn from and to test on.
    fn folder(&self, path: &Path, answers: &[ArmAnswer]) -> Result<(), StageError> {
        let writer = BeirWriter::create(path)?;
        let document = |answer: &ArmAnswer| Ok(Document::new(answer.id.clone(), answer.text.clone()));
        writer.corpus(answers.iter().map(document))?;
        let query = |(at, text): (usize, &String)| Query::new(at.to_string(), text.clone());
        writer.queries(&self.collections.questions.iter().enumerate().map(query).collect::<Vec<_>>())?;
        let values = self.task.values;
        let parts = [
            (EVERY, None, 0),
            ("train", Some(Split::Train), values.count("negatives")),
            ("test", Some(Split::Test), values.count("candidates")),
        ];
        for (name, split, negatives) in parts {
            writer.qrels(name, &self.qrels(path, answers, split, negatives)?)?;
        }
        Ok(())
    }

    fn qrels(
        &self,
        path: &Path,
        answers: &[ArmAnswer],
        split: Option<Split>,
        negatives: usize,
    ) -> Result<Qrels, StageError> {
        let full = |source| FormatError::Full { file: path.display().to_string(), source };
        let seed = seed_of(self.task.values.count("seed") as u64, "wrong answers");
        let mut qrels = Qrels::new();
        for (at, answer) in answers.iter().enumerate() {
            if split.is_some_and(|split| self.collections.splits[answer.question] != split) {
                continue;
            }
            let judged = qrels.query_mut(&answer.question.to_string());
            judged.push("0", &answer.id, 1).map_err(full)?;
            let order = Stream::new(seed, at as u64).permutation(answers.len());
            let wrong = order.into_iter().filter(|other| answers[*other].question != answer.question);
            for other in wrong.take(negatives) {
                // A question with several answers may draw a wrong one twice; it is judged once.
                if !judged.iter().any(|known| known.document == answers[other].id) {
                    judged.push("0", &answers[other].id, 0).map_err(full)?;
                }
            }
        }
        Ok(qrels)
    }
}

fn first_words(text: &str, count: usize) -> String {
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}

fn numbers(collections: &AnswerCollections) -> Vec<Quantity> {
    let keys: Vec<String> = (0..collections.questions.len()).map(|at| at.to_string()).collect();
    let of = |author: Author, number: &dyn Fn(&str, &str) -> f64| -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); keys.len()];
        let collection = collections.of(author);
        for ((_, text), question) in collection.answers.iter().zip(&collection.question) {
            sums[*question].0 += number(&collections.questions[*question], text);
            sums[*question].1 += 1.0;
        }
        sums.into_iter().map(|(sum, count): (f64, f64)| sum / count.max(1.0)).collect()
    };
    let words = |_: &str, answer: &str| word_list(answer).len() as f64;
    let columns = [
        of(Author::Human, &overlap),
        of(Author::Model, &overlap),
        of(Author::Human, &words),
        of(Author::Model, &words),
    ];
    let quantity = |(name, values): (&str, Vec<f64>)| Quantity::by_query(name, keys.clone(), values);
    NUMBERS.into_iter().zip(columns).map(quantity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_no_use_are_counted_by_kind_and_equal_ones_counted() {
        let record = |question: &str| AnswerRecord { question: question.into(), ..AnswerRecord::default() };
        let asked = ["how is tea made", "what is tea", "who drinks tea", "why", "when"].map(record).to_vec();
        let answers = ["from leaves", "", "I am sorry, no.", "from leaves", "at noon"];
        let (kept, left_out) = useful(asked, answers.into_iter());
        let questions: Vec<&str> = kept.iter().map(|record| record.question.as_str()).collect();
        assert_eq!(questions, ["how is tea made", "why", "when"]);
        assert_eq!(kept[2].model_answers, ["at noon"]);
        assert_eq!(left_out, BTreeMap::from([("blank".to_string(), 1), ("refusal".to_string(), 1)]));
        assert_eq!(twice(&kept), 1);
    }
}
