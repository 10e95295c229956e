//! Questions with several sides, made of pairs of questions and passages: an article's title is the broad question,
//! questions about some of its passages are the sides, and the sentences that answer them are what is known of each
//! (RichRAG, "how to check at small scale").

use crate::facets::side_text;
use crate::recipe::error::StageError;
use plackett_core::Document;
use plackett_core::formats::read_json_lines;
use plackett_rank::ask::Aspect;
use plackett_train::random::Stream;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Names of the file of pairs in its folder.
const FILES: [&str; 3] = ["pairs.jsonl.gz", "pairs.jsonl", "pairs.jsonl.zst"];

/// Passages of an article of which vectors are kept.
const PASSAGES: usize = 20;
/// Sides of a passage of which vectors are kept.
const SIDES: usize = 2;

/// A line of the file.
#[derive(Deserialize)]
struct Pair {
    query: String,
    passage: String,
    #[serde(default)]
    title: String,
    /// 0 where the passage does not answer the question.
    label: Option<i64>,
}

/// How questions are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Making {
    /// Passages of an article that a question is about.
    pub passages: usize,
    /// Sides of a question that one passage answers, at most.
    pub sides: usize,
    /// Questions of an article, at most.
    pub questions: usize,
}

/// A question with several sides.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetedQuestion {
    /// Title of the article and number of the question.
    pub id: String,
    /// The title.
    pub text: String,
    /// Its sides, with their answers.
    pub aspects: Vec<Aspect>,
    /// The passage that answers each side, as a position in [`Faceted::documents`].
    pub answered_by: Vec<usize>,
    /// All passages of the article.
    pub article: Vec<usize>,
}

/// Questions over one collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faceted {
    /// All passages of articles.
    pub documents: Vec<Document>,
    /// The questions.
    pub questions: Vec<FacetedQuestion>,
}

/// The file of pairs in a folder.
pub fn file(folder: &Path) -> Result<PathBuf, StageError> {
    let mut places = FILES.iter().map(|name| folder.join(name));
    places.find(|path| path.is_file()).ok_or_else(|| StageError::Field {
        field: "collection",
        problem: format!("{} has no file of pairs ({})", folder.display(), FILES.join(", ")),
    })
}

/// Letters and digits alone, in lower case: what is left equal when a text was cut into words and joined again.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn pairs(path: &Path) -> Result<Vec<Pair>, StageError> {
    let pairs = read_json_lines(path, 1 << 23, "query, passage and title")?;
    Ok(pairs.into_iter().map(|(_, pair)| pair).collect())
}

impl Faceted {
    /// Reads pairs. One with a title says which passage of which article answers a question; one without says which
    /// sentence does. Sides are questions of which both are known, with the sentence in the passage.
    ///
    /// # Errors
    /// A file that cannot be read, and one of which no question can be made.
    pub fn read(path: &Path, making: &Making) -> Result<Faceted, StageError> {
        let found = Faceted::made(&pairs(path)?, making);
        if found.questions.is_empty() {
            let problem = format!(
                "no article has {} passages with questions whose answers are known; give less with `passages`",
                making.passages
            );
            return Err(StageError::Field { field: "collection", problem });
        }
        Ok(found)
    }

    fn made(pairs: &[Pair], making: &Making) -> Faceted {
        let Articles { documents, articles, sides } = Articles::of(pairs);
        let mut questions = Vec::new();
        for (title, article) in &articles {
            let answering: Vec<usize> = article.iter().copied().filter(|at| !sides[*at].is_empty()).collect();
            for (n, group) in answering.chunks_exact(making.passages).take(making.questions).enumerate() {
                let chosen = group
                    .iter()
                    .flat_map(|at| sides[*at].iter().take(making.sides).map(move |side| (*at, side)));
                let (answered_by, aspects) = chosen.map(|(at, side)| (at, side.clone())).unzip();
                questions.push(FacetedQuestion {
                    id: format!("{title}/{}", n + 1),
                    text: shown_title(title),
                    aspects,
                    answered_by,
                    article: article.clone(),
                });
            }
        }
        Faceted { documents, questions }
    }
}

/// A title as it is asked with.
fn shown_title(title: &str) -> String {
    title.replace('_', " ")
}

/// Articles with their passages, and the sides that passages answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Articles {
    /// All passages.
    pub documents: Vec<Document>,
    /// The title of each article and its passages.
    pub articles: Vec<(String, Vec<usize>)>,
    /// The sides that each passage answers.
    pub sides: Vec<Vec<Aspect>>,
}

impl Articles {
    /// Reads pairs, as [`Faceted::read`] does, and keeps of each article and passage no more than there is room for:
    /// [`PASSAGES`] and [`SIDES`].
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read_cut(path: &Path) -> Result<Articles, StageError> {
        let mut found = Articles::of(&pairs(path)?);
        found.articles.iter_mut().for_each(|(_, own)| own.truncate(PASSAGES));
        found.sides.iter_mut().for_each(|sides| sides.truncate(SIDES));
        Ok(found)
    }

    fn of(pairs: &[Pair]) -> Articles {
        let sentences: HashMap<String, &str> = pairs
            .iter()
            .filter(|pair| pair.title.is_empty())
            .map(|pair| (bare(&pair.query), pair.passage.as_str()))
            .collect();
        let mut documents: Vec<Document> = Vec::new();
        let mut place: HashMap<&str, usize> = HashMap::new();
        let mut articles: Vec<(String, Vec<usize>)> = Vec::new();
        let mut sides: Vec<Vec<Aspect>> = Vec::new();
        let mut asked: HashSet<String> = HashSet::new();
        for pair in pairs.iter().filter(|pair| !pair.title.is_empty()) {
            let at = *place.entry(&pair.passage).or_insert_with(|| {
                let (id, title) = (format!("p{}", documents.len()), pair.title.clone());
                documents.push(Document { id, title, ..Document::new("", &pair.passage) });
                sides.push(Vec::new());
                match articles.iter_mut().find(|(title, _)| *title == pair.title) {
                    Some((_, own)) => own.push(documents.len() - 1),
                    None => articles.push((pair.title.clone(), vec![documents.len() - 1])),
                }
                documents.len() - 1
            });
            let key = bare(&pair.query);
            let Some(sentence) = sentences.get(&key).filter(|_| pair.label != Some(0)) else { continue };
            if bare(&pair.passage).contains(&bare(sentence)) && asked.insert(key) {
                let answer = Some(sentence.to_string());
                sides[at].push(Aspect { answer, ..Aspect::new(&pair.query) });
            }
        }
        Articles { documents, articles, sides }
    }

    /// A question about an article: some of its passages that have sides, and one or two sides of each, all in an order that is drawn.
    /// `None` where there are too few.
    pub fn drawn(
        &self,
        article: usize,
        passages: usize,
        nth: usize,
        stream: Stream,
    ) -> Option<FacetedQuestion> {
        let (title, own) = &self.articles[article];
        let answering: Vec<usize> = own.iter().copied().filter(|at| !self.sides[*at].is_empty()).collect();
        if answering.len() < passages {
            return None;
        }
        let chosen = stream.permutation(answering.len());
        let mut all: Vec<(usize, &Aspect)> = Vec::new();
        for place in chosen.iter().take(passages).map(|at| answering[*at]) {
            let sides = &self.sides[place];
            // Places that the permutation has not taken.
            let count = 1 + stream.below((answering.len() + all.len()) as u64, sides.len());
            all.extend(sides.iter().take(count).map(|side| (place, side)));
        }
        let order = Stream::new(stream.word(1 << 20).into(), nth as u64).permutation(all.len());
        let (answered_by, aspects) =
            order.into_iter().map(|at| all[at]).map(|(place, side)| (place, side.clone())).unzip();
        Some(FacetedQuestion {
            id: format!("{title}/{}", nth + 1),
            text: shown_title(title),
            aspects,
            answered_by,
            article: own.clone(),
        })
    }
}

/// All texts of [`Articles::read_cut`], for their vectors: passages, titles, and sides after their title.
///
/// # Errors
/// A file that cannot be read.
pub fn facet_texts(path: &Path) -> Result<Vec<String>, StageError> {
    let all = Articles::read_cut(path)?;
    let mut texts = Vec::new();
    for (title, own) in &all.articles {
        let title = shown_title(title);
        for at in own {
            texts.push(all.documents[*at].model_text().into_owned());
            texts.extend(all.sides[*at].iter().map(|side| side_text(&title, side)));
        }
        texts.push(title);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(query: &str, passage: &str, title: &str, label: Option<i64>) -> Pair {
        Pair { query: query.into(), passage: passage.into(), title: title.into(), label }
    }

    #[test]
    fn sides_are_questions_whose_passage_and_sentence_are_known() {
        let pairs = [
            pair("where did rap begin?", "it began in the bronx.", "", Some(1)),
            pair("which styles are there?", "trap and drill.", "", Some(1)),
            pair("who?", "nobody knows.", "", Some(1)),
            pair("Where did rap begin?", "Rap is old. It began in the Bronx.", "Rap", Some(1)),
            // The sentence is not in the passage, the passage is no answer, nothing is known.
            pair("Who?", "Rap is old. It began in the Bronx.", "Rap", None),
            pair("Which styles are there?", "A passage about drums.", "Rap", Some(0)),
            pair("Why?", "A passage about drums.", "Rap", Some(1)),
            pair("Which styles are there?", "Trap and drill. More.", "Rap", None),
            pair("Which styles are there?", "Trap and drill again.", "Rap", None),
        ];
        let making = Making { passages: 2, sides: 2, questions: 3 };
        let found = Faceted::made(&pairs, &making);
        assert_eq!(found.documents.len(), 4);
        assert_eq!((found.documents[2].id.as_str(), found.documents[2].title.as_str()), ("p2", "Rap"));
        let [question] = &found.questions[..] else { panic!("{:?}", found.questions) };
        assert_eq!((question.id.as_str(), question.text.as_str()), ("Rap/1", "Rap"));
        assert_eq!(question.answered_by, [0, 2]);
        assert_eq!(question.article, [0, 1, 2, 3]);
        assert_eq!(question.aspects[1].answer.as_deref(), Some("trap and drill."));
        assert!(Faceted::made(&pairs, &Making { passages: 3, ..making }).questions.is_empty());
    }

    #[test]
    fn drawn_questions_have_distinct_passages_with_their_sides() {
        let passage = |at: usize| format!("passage number {at} says word{at}.");
        let pairs: Vec<Pair> = (0..6)
            .flat_map(|at| {
                let question = format!("what is {at}?");
                let sentence = pair(&question, &format!("says word{at}."), "", None);
                [sentence, pair(&question, &passage(at), "T_t", Some(1))]
            })
            .collect();
        let articles = Articles::of(&pairs);
        for nth in 0..10 {
            let question = articles.drawn(0, 4, nth, Stream::new(1, nth as u64)).unwrap();
            let mut places = question.answered_by.clone();
            places.sort_unstable();
            places.dedup();
            assert_eq!((places.len(), question.aspects.len(), question.text.as_str()), (4, 4, "T t"));
            for (side, place) in question.aspects.iter().zip(&question.answered_by) {
                assert_eq!(side.answer.as_deref(), Some(&format!("says word{place}.")[..]));
            }
        }
        assert!(articles.drawn(0, 7, 0, Stream::new(1, 0)).is_none());
    }
}
