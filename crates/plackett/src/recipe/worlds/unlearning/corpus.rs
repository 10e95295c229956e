//! What is learned by heart, what of it is to be forgotten, and text that has nothing to do with it.

use super::people::{Fact, facts};
use crate::recipe::data::dataset::Dataset;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::running::inputs::dataset_of;
use crate::recipe::task::Task;
use plackett_train::random::Stream;
use plackett_train::trainer::{END_OF_TEXT, encode_bytes};
use plackett_train::unlearning::TokenPair;

/// Bytes of a passage of unrelated text.
const PASSAGE: usize = 64;

/// Passages that are held out, to measure the perplexity of unrelated text.
const HELD_OUT: usize = 200;

/// The fields that say what is learned.
pub const CORPUS_FIELDS: [FieldSpec; 6] = [
    FieldSpec::new(
        "data",
        FieldKind::Stage(&[OutputKind::Data]),
        Default::Absent,
        "questions whose first relevant document is the answer; without it five facts about each of some invented people",
    ),
    FieldSpec::new(
        "subjects",
        FieldKind::Whole(2, 100_000),
        Default::Whole(60),
        "how many people, or questions of `data`, from the first",
    ),
    FieldSpec::new(
        "forgotten",
        FieldKind::Whole(1, 100_000),
        Default::Whole(6),
        "how many of them, the first, are to be forgotten",
    ),
    FieldSpec::new(
        "longest",
        FieldKind::Whole(4, 4096),
        Default::Whole(160),
        "most bytes of a question and of an answer of `data`; what is more is cut",
    ),
    FieldSpec::new(
        "texts",
        FieldKind::Stage(&[OutputKind::Data]),
        Default::Absent,
        "a collection whose documents are the unrelated text: passages of 64 bytes, of which 200 are held out",
    ),
    FieldSpec::new(
        "facts_seed",
        FieldKind::Whole(0, i64::MAX),
        Default::Whole(1),
        "from which people, facts and wrong answers follow",
    ),
];

/// A question with everything that is measured about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name in results.
    pub key: String,
    /// The answer in words.
    pub answer: String,
    /// What is learned.
    pub pair: TokenPair,
    /// The same in other words.
    pub paraphrase: TokenPair,
    /// Wrong answers.
    pub wrong: Vec<TokenPair>,
}

/// What is learned by heart.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// What is to be forgotten.
    pub forget: Vec<Item>,
    /// What is to be kept.
    pub retain: Vec<Item>,
    /// Passages to learn from beside.
    pub passages: Vec<TokenPair>,
    /// Passages that are never learned.
    pub held_out: Vec<TokenPair>,
    /// What was cut or left out, in sentences.
    pub remarks: Vec<String>,
}

impl Corpus {
    /// What the fields of a stage ask for, with at most so many passages to learn from.
    ///
    /// # Errors
    /// A collection is not here or has too little, or nothing would be left to be kept.
    pub fn load(task: &Task<'_>, values: &Values, passages: usize) -> Result<Corpus, StageError> {
        let mut remarks = Vec::new();
        let facts: Vec<Vec<Fact>> = match values.text("data") {
            None => {
                let seed = values.count("facts_seed") as u64;
                facts(values.count("subjects"), seed).into_iter().map(Vec::from).collect()
            }
            Some(stage) => of_collection(&dataset_of(task, stage)?, values, &mut remarks)?,
        };
        let forgotten = values.count("forgotten");
        if forgotten >= facts.len() {
            let problem = format!(
                "{forgotten} of {} subjects are to be forgotten, and some have to be kept",
                facts.len()
            );
            return Err(StageError::Field { field: "forgotten", problem });
        }
        let items: Vec<Vec<Item>> = facts.iter().enumerate().map(|(nth, facts)| items(nth, facts)).collect();
        let (passages, held_out) = match values.text("texts") {
            None => (Vec::new(), Vec::new()),
            Some(stage) => unrelated(&dataset_of(task, stage)?, passages, &mut remarks)?,
        };
        let (forget, retain) = (items[..forgotten].concat(), items[forgotten..].concat());
        Ok(Corpus { forget, retain, passages, held_out, remarks })
    }
}

/// The pair of a question and an answer.
fn pair(question: &str, answer: &str) -> TokenPair {
    let mut tokens = encode_bytes(answer);
    tokens.push(END_OF_TEXT);
    TokenPair { prompt: encode_bytes(&format!("{question}\n")), answer: tokens }
}

fn items(nth: usize, facts: &[Fact]) -> Vec<Item> {
    let one = |(at, fact): (usize, &Fact)| Item {
        key: format!("{}.{}", nth + 1, at + 1),
        answer: fact.answer.clone(),
        pair: pair(&fact.question, &fact.answer),
        paraphrase: pair(&fact.question, &fact.paraphrase),
        wrong: fact.wrong.iter().map(|wrong| pair(&fact.question, wrong)).collect(),
    };
    facts.iter().enumerate().map(one).collect()
}

/// Questions with their first relevant documents. There are no paraphrases: the answer itself stands for one, and wrong
/// answers are those of other questions.
fn of_collection(
    dataset: &Dataset,
    values: &Values,
    remarks: &mut Vec<String>,
) -> Result<Vec<Vec<Fact>>, StageError> {
    let longest = values.count("longest");
    let mut found: Vec<(&str, String)> = Vec::new();
    for query in dataset.queries.iter() {
        let judged = dataset.qrels.query(&query.id);
        let relevant = judged.and_then(|judged| judged.iter().find(|judgment| judgment.grade > 0));
        if let Some(judgment) = relevant {
            found.push((&query.text, judgment.document.to_string()));
        }
        if found.len() == values.count("subjects") {
            break;
        }
    }
    let documents = dataset.documents(found.iter().map(|(_, id)| id.as_str()))?;
    let mut cut = 0;
    let mut short = |text: &str| {
        let end = text.floor_char_boundary(longest.min(text.len()));
        cut += usize::from(end < text.len());
        text[..end].to_string()
    };
    let answers: Vec<(String, String)> = found
        .iter()
        .filter_map(|(question, id)| Some((short(question), short(&documents.get(id)?.model_text()))))
        .collect();
    if answers.len() < 5 {
        let problem =
            format!("{} questions have a relevant document, and at least five are needed", answers.len());
        return Err(StageError::Field { field: "data", problem });
    }
    if cut > 0 {
        remarks.push(format!("{cut} questions and answers have more than {longest} bytes and are cut"));
    }
    let stream = Stream::new(values.count("facts_seed") as u64, 0x77726f);
    let fact = |(at, (question, answer)): (usize, &(String, String))| {
        // Steps to three others, of which none is 0 and no two are equal.
        let other = |nth: u64| {
            let third = (answers.len() - 1) / 3;
            let step = 1 + nth as usize * third + stream.below(3 * at as u64 + nth, third);
            answers[(at + step) % answers.len()].1.clone()
        };
        let wrong = (0..3).map(other).collect();
        vec![Fact { question: question.clone(), answer: answer.clone(), paraphrase: answer.clone(), wrong }]
    };
    Ok(answers.iter().enumerate().map(fact).collect())
}

/// Passages to learn from, and such that are held out: those of every document by turns, the first ones held out.
fn unrelated(
    dataset: &Dataset,
    most: usize,
    remarks: &mut Vec<String>,
) -> Result<(Vec<TokenPair>, Vec<TokenPair>), StageError> {
    let mut texts: Vec<Vec<TokenPair>> = Vec::new();
    for document in dataset.corpus()? {
        let document = document?;
        let bytes = encode_bytes(&document.text);
        let whole = bytes.chunks_exact(PASSAGE);
        texts.push(whole.map(|part| TokenPair { prompt: Vec::new(), answer: part.to_vec() }).collect());
    }
    texts.retain(|passages| !passages.is_empty());
    // What is held out is of documents that are not learned.
    let apart = HELD_OUT.min(texts.len() / 2);
    if apart == 0 {
        let problem = "its documents are too short: at least two have to have 64 bytes".into();
        return Err(StageError::Field { field: "texts", problem });
    }
    if apart < HELD_OUT {
        remarks.push(format!("{apart} passages are held out: there are not enough documents for {HELD_OUT}"));
    }
    let learned = texts.split_off(apart);
    let held_out = texts.into_iter().filter_map(|passages| passages.into_iter().next()).collect();
    let longest = learned.iter().map(Vec::len).max().unwrap_or(0);
    let by_turns = (0..longest).flat_map(|at| learned.iter().filter_map(move |passages| passages.get(at)));
    let passages: Vec<TokenPair> = by_turns.take(most).cloned().collect();
    if passages.len() < most {
        remarks
            .push(format!("there are {} passages to learn from, and {most} were asked for", passages.len()));
    }
    Ok((passages, held_out))
}
