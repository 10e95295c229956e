//! Questions with several sides as a list ranker learns from them and is tested with them: vectors, silver lists, coverage, and what
//! a reader of a list could say.

use super::asked_question::Asked;
use super::faceted::{Articles, Faceted, FacetedQuestion};
use crate::facets::side_text;
use crate::pointer_ranker::{list_question, silver_example};
use crate::recipe::error::StageError;
use crate::recipe::field::Values;
use crate::recipe::worlds::choosing::TextVectors;
use plackett_core::Document;
use plackett_core::diversity::{Coverage, RougeText, com_rouge};
use plackett_rank::ask::AskError;
use plackett_train::list_ranker::SilverExample;
use plackett_train::random::Stream;
use rayon::prelude::*;
use std::path::Path;

/// One article in so many is there to test with.
const TESTED: usize = 3;
/// Questions to learn from are about so many passages more than those to test with, at most.
const MORE: usize = 2;

/// A question with its candidates.
#[derive(Clone, Debug)]
pub struct QuestionExample {
    /// What is asked.
    pub question: FacetedQuestion,
    /// The candidates, as places among all documents, in the order of the title's search.
    pub places: Vec<usize>,
    /// Vectors, and the silver list.
    pub example: SilverExample,
}

/// All questions of a collection.
pub struct QuestionExamples {
    /// To learn from.
    pub learned: Vec<QuestionExample>,
    /// To test with, of other articles.
    pub tested: Vec<QuestionExample>,
    /// All documents, and the questions to test with.
    pub faceted: Faceted,
    /// Articles to learn from and to test with.
    pub articles: [usize; 2],
    /// Questions that an article was too short for.
    pub missing: usize,
}

impl QuestionExamples {
    /// Draws questions as the fields `learned`, `tested` (of each article), `passages`, `k`, `others`, `depth` and `seed` say. Articles are
    /// either to learn from or to test with, and candidates of the former are of the former alone.
    ///
    /// # Errors
    /// A file that cannot be read, a text without a vector, or no question.
    pub fn draw(path: &Path, values: &Values, vectors: &TextVectors) -> Result<QuestionExamples, StageError> {
        let articles = Articles::read_cut(path)?;
        let (tested, learned): (Vec<usize>, Vec<usize>) =
            (0..articles.articles.len()).partition(|at| at % TESTED == TESTED - 1);
        let (passages, seed) = (values.count("passages"), values.count("seed") as u64);
        let draw = |article: usize, passages: usize, nth: usize, part: u64| {
            articles.drawn(
                article,
                passages,
                nth,
                Stream::new(seed, part << 40 | (article as u64) << 20 | nth as u64),
            )
        };
        let to_learn: Vec<Option<FacetedQuestion>> = (0..values.count("learned"))
            .map(|nth| {
                let (at, round) = (nth % learned.len().max(1), nth / learned.len().max(1));
                draw(*learned.get(at)?, passages + round % (MORE + 1), round, 1)
            })
            .collect();
        let of_article = |article: &usize| {
            (0..values.count("tested")).map(|nth| draw(*article, passages, nth, 2)).collect::<Vec<_>>()
        };
        let to_test: Vec<Option<FacetedQuestion>> = tested.iter().flat_map(of_article).collect();
        let missing = to_learn.iter().chain(&to_test).filter(|question| question.is_none()).count();
        let of = |articles_of: &[usize]| -> Vec<usize> {
            articles_of.iter().flat_map(|at| articles.articles[*at].1.iter().copied()).collect()
        };
        // Passages that no list can have need no vector.
        let mut known: Vec<&[f32]> = vec![&[]; articles.documents.len()];
        for at in articles.articles.iter().flat_map(|(_, own)| own) {
            known[*at] = vectors.get(&articles.documents[*at].model_text())?;
        }
        let (near, all) = (of(&learned), of(&(0..articles.articles.len()).collect::<Vec<_>>()));
        let prepared = |questions: Vec<Option<FacetedQuestion>>, among: &[usize]| {
            let questions: Vec<FacetedQuestion> = questions.into_iter().flatten().collect();
            let one = |question: FacetedQuestion| {
                let found = searched(vectors, &question)?;
                QuestionExample::new((&articles.documents, &known), values, &found, question, among)
            };
            questions.into_par_iter().map(one).collect::<Result<Vec<QuestionExample>, StageError>>()
        };
        let counts = [learned.len(), tested.len()];
        let (learned, tested) = (prepared(to_learn, &near)?, prepared(to_test, &all)?);
        if learned.is_empty() || tested.is_empty() {
            let problem = format!("no article has {passages} passages with sides; ask for less");
            return Err(StageError::Field { field: "passages", problem });
        }
        let questions = tested.iter().map(|example| example.question.clone()).collect();
        let faceted = Faceted { documents: articles.documents, questions };
        Ok(QuestionExamples { learned, tested, faceted, articles: counts, missing })
    }

    /// The documents of a list of a question's candidates.
    pub fn documents<'l>(
        &'l self,
        example: &'l QuestionExample,
        list: &'l [usize],
    ) -> impl Iterator<Item = &'l Document> {
        list.iter().map(move |at| &self.faceted.documents[example.places[*at]])
    }

    /// What a reader could say of the sides who copies the first `words` words of a list: see [`copied`].
    pub fn reward(&self, example: &QuestionExample, list: &[usize], words: usize) -> f64 {
        copied(&example.question, self.documents(example, list), words)
    }
}

impl QuestionExample {
    fn new(
        (documents, known): (&[Document], &[&[f32]]),
        values: &Values,
        found: &[&[f32]],
        question: FacetedQuestion,
        among: &[usize],
    ) -> Result<QuestionExample, StageError> {
        let elsewhere = among.iter().copied().filter(|at| !question.article.contains(at)).collect();
        let asked = Asked::of(values, documents, &question, (found, &|at: usize| known[at]), elsewhere);
        let places: Vec<usize> = asked
            .documents
            .iter()
            .filter_map(|chosen| documents.iter().position(|document| document.id == chosen.id))
            .collect();
        let vectors = (asked.vectors.question.clone(), found[1..].concat(), asked.vectors.documents.concat());
        let listed = list_question(&question.id, vectors, &asked.documents);
        let example = silver_example(listed, &question.aspects, &asked.documents, values.count("k"))
            .map_err(AskError::from)?;
        Ok(QuestionExample { question, places, example })
    }

    /// The question as the rankers of `facets` are asked it.
    ///
    /// # Errors
    /// A text without a vector.
    pub fn asked<'l>(
        &'l self,
        documents: &'l [Document],
        values: &Values,
        vectors: &TextVectors,
    ) -> Result<Asked<'l>, StageError> {
        let found = searched(vectors, &self.question)?;
        let mut own: Vec<&[f32]> = vec![&[]; documents.len()];
        for place in &self.places {
            own[*place] = vectors.get(&documents[*place].model_text())?;
        }
        // The nearest among these candidates are these candidates.
        let elsewhere =
            self.places.iter().copied().filter(|at| !self.question.article.contains(at)).collect();
        Ok(Asked::of(values, documents, &self.question, (&found, &|at: usize| own[at]), elsewhere))
    }

    /// How well a list goes on after its beginning of `begun` candidates: the sum of the utilities of what comes then, over that of what
    /// a greedy continuation would give.
    ///
    /// # Errors
    /// A list with a candidate that is not there or stands twice.
    pub fn continued(&self, list: &[usize], begun: usize) -> Result<f64, StageError> {
        continued(&self.example.coverage, list, begun)
    }
}

/// The vectors of a question and of its sides after it.
fn searched<'v>(vectors: &'v TextVectors, question: &FacetedQuestion) -> Result<Vec<&'v [f32]>, StageError> {
    let sides = question.aspects.iter().map(|side| side_text(&question.text, side));
    let texts = std::iter::once(question.text.clone()).chain(sides);
    texts.map(|text| vectors.get(&text)).collect()
}

fn continued(coverage: &Coverage, list: &[usize], begun: usize) -> Result<f64, StageError> {
    let utilities =
        |chosen: &[usize]| coverage.utilities(chosen).map_err(|error| StageError::Work(error.to_string()));
    let (mut sum, mut ideal, mut greedy) = (0.0, 0.0, list[..begun].to_vec());
    for step in begun..list.len() {
        sum += utilities(&list[..step])?[list[step]];
        let all = utilities(&greedy)?;
        let free = (0..all.len()).filter(|at| !greedy.contains(at));
        let Some(best) = free.reduce(|best, at| if all[at] > all[best] { at } else { best }) else { break };
        ideal += all[best];
        greedy.push(best);
    }
    Ok(if ideal > 0.0 { sum / ideal } else { 0.0 })
}

/// Com-ROUGE of the first `words` words of some documents, one after another: the mean of its three recalls. It stands for a reader that
/// copies; all lists are read to the same length, since longer answers would win.
pub fn copied<'d>(
    question: &FacetedQuestion,
    documents: impl Iterator<Item = &'d Document>,
    words: usize,
) -> f64 {
    let answers: Vec<RougeText> = question.aspects.iter().map(|side| RougeText::new(side.target())).collect();
    let read: Vec<&str> =
        documents.flat_map(|document| document.text.split_whitespace()).take(words).collect();
    com_rouge(&answers, &RougeText::new(&read.join(" ")))
        .map_or(0.0, |recalls| recalls.iter().sum::<f64>() / 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_rank::ask::Aspect;

    #[test]
    fn what_comes_after_a_beginning_is_measured_by_hand() {
        // Two sides, three candidates: 0 answers the first whole, 1 the second half, 2 nothing.
        let coverage = Coverage::new(2, 3, vec![1.0, 0.0, 0.0, 0.0, 0.5, 0.0]).unwrap();
        // After 2 the sides weigh one half each: 0 is worth 0.5, then only the second side is open and 1 is worth 0.5.
        assert!((continued(&coverage, &[2, 0, 1], 1).unwrap() - 1.0).abs() < 1e-12);
        // 1 is worth 0.25; then the weights are 1 and 0.5 over 1.5, and 0 is worth 2/3.
        let found = continued(&coverage, &[2, 1, 0], 1).unwrap();
        assert!((found - (0.25 + 2.0 / 3.0)).abs() < 1e-12, "{found}");
        assert_eq!(continued(&coverage, &[2, 0, 1], 3).unwrap(), 0.0);
    }

    #[test]
    fn a_reader_copies_so_many_words() {
        let aspect = |answer: &str| Aspect { answer: Some(answer.into()), ..Aspect::new("?") };
        let question = FacetedQuestion {
            id: "q".into(),
            text: "q".into(),
            aspects: vec![aspect("red stone"), aspect("blue sea")],
            answered_by: vec![0, 1],
            article: vec![0, 1],
        };
        let documents = [Document::new("a", "red stone here"), Document::new("b", "blue sea")];
        let of = |words: usize| copied(&question, documents.iter(), words);
        assert!((of(5) - 1.0).abs() < 1e-12 && of(0) == 0.0);
        // The first side whole, of the second one word: recalls 3/4, 1/2 (no pair of the second side) and 3/4.
        assert!((of(4) - (0.75 + 0.5 + 0.75) / 3.0).abs() < 1e-12, "{}", of(4));
    }
}
