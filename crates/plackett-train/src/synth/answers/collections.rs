//! Two collections over the same questions, and how questions are split.

use plackett_core::formats::{BeirWriter, FormatError};
use plackett_core::{Document, IdListFull, Qrels, Query};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// A question with answers of people and of a model, as HC3 has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct AnswerRecord {
    /// The question.
    pub question: String,
    /// What people answered.
    pub human_answers: Vec<String>,
    /// What a model answered.
    pub model_answers: Vec<String>,
    /// What it is about; each domain is split by itself.
    #[serde(default)]
    pub domain: String,
}

/// Who wrote a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Author {
    /// People.
    Human,
    /// A model.
    Model,
}

impl Author {
    /// The letter in the ids of answers: `{question}_H_{number}` and `{question}_C_{number}`.
    pub fn letter(self) -> char {
        match self {
            Author::Human => 'H',
            Author::Model => 'C',
        }
    }
}

/// A part of the questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Split {
    /// To learn from.
    #[default]
    Train,
    /// To choose by.
    Validation,
    /// To test on.
    Test,
}

impl Split {
    /// All of them, in the order in which they stand in a file.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// The name of its judgments, as BEIR has it.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "dev",
            Split::Test => "test",
        }
    }
}

/// How many of `questions` are for training, validation and test: test ⌊0.285 n⌋, validation ⌊0.025 n⌋, training the rest.
pub fn split_counts(questions: usize) -> [usize; 3] {
    let (test, validation) = (questions * 285 / 1000, questions * 25 / 1000);
    [questions - test - validation, validation, test]
}

/// Answers of one author, in the order of the questions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerCollection {
    /// Id and text of each answer.
    pub answers: Vec<(String, String)>,
    /// Of each answer, the question that it was written for.
    pub question: Vec<usize>,
}

/// What was repaired or left out; to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Answers of people without a word, left out. Answers after them keep their numbers.
    pub blank_human: usize,
    /// The same of a model's.
    pub blank_model: usize,
    /// Questions that a model did not answer.
    pub without_model: usize,
    /// Questions that people did not answer.
    pub without_human: usize,
    /// Texts in which line ends or tabs became blanks.
    pub respaced: usize,
}

/// Both collections and their questions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerCollections {
    /// The questions; their ids are running numbers from 0.
    pub questions: Vec<String>,
    /// The domain of each.
    pub domains: Vec<String>,
    /// The part of each question.
    pub splits: Vec<Split>,
    /// What people wrote.
    pub human: AnswerCollection,
    /// What a model wrote.
    pub model: AnswerCollection,
    /// What was done to the answers.
    pub repairs: Repairs,
}

impl AnswerCollections {
    /// Makes the collections. Each domain is split in the order of the records. Line ends and tabs become blanks (the published files delete
    /// line ends, which glues words together).
    pub fn build(records: &[AnswerRecord]) -> AnswerCollections {
        let mut made = AnswerCollections::default();
        let mut sizes: HashMap<&str, usize> = HashMap::new();
        records.iter().for_each(|record| *sizes.entry(&record.domain).or_default() += 1);
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (at, record) in records.iter().enumerate() {
            let place = seen.entry(&record.domain).or_default();
            let [train, validation, _] = split_counts(sizes[record.domain.as_str()]);
            made.splits.push(match *place {
                place if place < train => Split::Train,
                place if place < train + validation => Split::Validation,
                _ => Split::Test,
            });
            *place += 1;
            let question = made.one_line(&record.question);
            made.questions.push(question);
            made.domains.push(record.domain.clone());
            made.add(at, &record.human_answers, Author::Human);
            made.add(at, &record.model_answers, Author::Model);
        }
        made
    }

    fn one_line(&mut self, text: &str) -> String {
        if !text.contains(['\n', '\r', '\t']) {
            return text.trim().to_string();
        }
        self.repairs.respaced += 1;
        text.split(['\n', '\r', '\t'])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn add(&mut self, question: usize, answers: &[String], author: Author) {
        let mut is_answered = false;
        for (number, answer) in answers.iter().enumerate() {
            let text = self.one_line(answer);
            if text.is_empty() {
                match author {
                    Author::Human => self.repairs.blank_human += 1,
                    Author::Model => self.repairs.blank_model += 1,
                }
                continue;
            }
            is_answered = true;
            let collection = match author {
                Author::Human => &mut self.human,
                Author::Model => &mut self.model,
            };
            collection.answers.push((format!("{question}_{}_{number}", author.letter()), text));
            collection.question.push(question);
        }
        if !is_answered {
            match author {
                Author::Human => self.repairs.without_human += 1,
                Author::Model => self.repairs.without_model += 1,
            }
        }
    }

    /// The answers of an author.
    pub fn of(&self, author: Author) -> &AnswerCollection {
        match author {
            Author::Human => &self.human,
            Author::Model => &self.model,
        }
    }

    /// Judgments of a part: each answer is relevant (grade 1) to the question that it was written for, and nothing else is.
    ///
    /// # Errors
    /// More answers of one question than a list of ids can hold.
    pub fn qrels(&self, author: Author, split: Split) -> Result<Qrels, IdListFull> {
        let collection = self.of(author);
        let mut qrels = Qrels::new();
        for ((id, _), question) in collection.answers.iter().zip(&collection.question) {
            if self.splits[*question] == split {
                qrels.query_mut(&question.to_string()).push("0", id, 1)?;
            }
        }
        Ok(qrels)
    }

    /// Writes the collection of an author as a BEIR folder; a part without judgments has no file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, author: Author, folder: &Path) -> Result<(), FormatError> {
        let writer = BeirWriter::create(folder)?;
        let document = |(id, text): &(String, String)| Ok(Document::new(id.clone(), text.clone()));
        writer.corpus(self.of(author).answers.iter().map(document))?;
        let query = |(at, text): (usize, &String)| Query::new(at.to_string(), text.clone());
        writer.queries(&self.questions.iter().enumerate().map(query).collect::<Vec<_>>())?;
        for split in Split::ALL {
            let full = |source| FormatError::Full { file: folder.display().to_string(), source };
            let qrels = self.qrels(author, split).map_err(full)?;
            if !qrels.queries().is_empty() {
                writer.qrels(split.name(), &qrels)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(domain: &str, human: &[&str], model: &[&str]) -> AnswerRecord {
        let all = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        AnswerRecord {
            question: "why?".into(),
            human_answers: all(human),
            model_answers: all(model),
            domain: domain.into(),
        }
    }

    /// Specification: 7 questions in 2 domains (5 + 2).
    #[test]
    fn domains_are_split_by_themselves() {
        assert_eq!(split_counts(5), [4, 0, 1]);
        assert_eq!(split_counts(2), [2, 0, 0]);
        assert_eq!(split_counts(17_112), [11_809, 427, 4_876]);
        assert_eq!(split_counts(3_933), [2_715, 98, 1_120]);
        assert_eq!(split_counts(1_248), [862, 31, 355]);
        let records: Vec<AnswerRecord> = ["a", "a", "b", "a", "a", "b", "a"]
            .iter()
            .map(|domain| record(domain, &["x", "y"], &["z"]))
            .collect();
        let made = AnswerCollections::build(&records);
        let test: Vec<usize> = (0..7).filter(|at| made.splits[*at] == Split::Test).collect();
        assert_eq!(test, [6]);
        let lines: usize = Split::ALL
            .iter()
            .map(|split| made.qrels(Author::Human, *split).unwrap())
            .map(|qrels| qrels.queries().iter().map(|query| query.len()).sum::<usize>())
            .sum();
        assert_eq!(lines, 14, "as many judgments as answers");
    }

    #[test]
    fn blank_answers_keep_the_ids_of_later_ones() {
        let made = AnswerCollections::build(&[
            record("", &["one.\nNext\tline"], &["", "two"]),
            record("", &["x"], &[]),
        ]);
        assert_eq!(made.model.answers, [("0_C_1".to_string(), "two".to_string())]);
        assert_eq!(made.human.answers[0], ("0_H_0".to_string(), "one. Next line".to_string()));
        let repairs = Repairs { blank_model: 1, without_model: 1, respaced: 1, ..Repairs::default() };
        assert_eq!(made.repairs, repairs);
    }
}
