//! Sentences of paragraphs in their order: what comes next is told by what stands before, more than by any place of its own.

use super::{OrderedGroups, TestedGroup, mixed};
use crate::recipe::error::StageError;
use crate::recipe::worlds::choosing::{TextVectors, read_questions};
use plackett_core::summary::sentences as split;
use plackett_train::random::Stream;
use plackett_train::trainer::ItemGroup;
use std::path::Path;

/// Sentences of a paragraph that takes part.
const LENGTHS: std::ops::RangeInclusive<usize> = 5..=8;
/// One article in so many is there to test with.
const TESTED: usize = 3;

/// Paragraphs as sentences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paragraphs {
    /// Of articles to learn from.
    pub learned: Vec<Vec<String>>,
    /// Of other articles.
    pub tested: Vec<Vec<String>>,
    /// Paragraphs with fewer or more sentences than take part.
    pub left_out: usize,
}

impl Paragraphs {
    /// The paragraphs of squad-pairs; every third article is there to test with.
    ///
    /// # Errors
    /// A file that cannot be read, or is of another form.
    pub fn read(path: &Path) -> Result<Paragraphs, StageError> {
        let (mut all, mut article) = (Paragraphs::default(), 0);
        for set in ["squad2-a", "squad2-b"] {
            let set = read_questions(path, set)?;
            for (_, places) in set.articles() {
                let texts: Vec<&str> = places.iter().map(|place| set.passages[*place].as_str()).collect();
                all.add(&texts, article % TESTED == TESTED - 1);
                article += 1;
            }
        }
        Ok(all)
    }

    fn add(&mut self, texts: &[&str], is_tested: bool) {
        for text in texts {
            let sentences: Vec<String> = split(text).into_iter().map(str::to_string).collect();
            match LENGTHS.contains(&sentences.len()) {
                false => self.left_out += 1,
                true if is_tested => self.tested.push(sentences),
                true => self.learned.push(sentences),
            }
        }
    }
}

/// All sentences that take part, for their vectors.
///
/// # Errors
/// As [`Paragraphs::read`].
pub fn sentence_texts(path: &Path) -> Result<Vec<String>, StageError> {
    let all = Paragraphs::read(path)?;
    Ok(all.learned.into_iter().chain(all.tested).flatten().collect())
}

/// Groups of the sentences of a paragraph.
///
/// # Errors
/// As [`Paragraphs::read`]; a sentence without a vector.
pub fn sentences(path: &Path, vectors: &TextVectors, seed: u64) -> Result<OrderedGroups, StageError> {
    let all = Paragraphs::read(path)?;
    // The numbers of a vector of length 1 are brought near to 1, as those of other items are.
    let scale = (vectors.dimension() as f32).sqrt();
    let groups = |paragraphs: &[Vec<String>], part: u64| -> Result<Vec<ItemGroup>, StageError> {
        let group = |(nth, paragraph): (usize, &Vec<String>)| {
            let vector = |text: &String| -> Result<Vec<f32>, StageError> {
                Ok(vectors.get(text)?.iter().map(|x| x * scale).collect())
            };
            let items: Vec<Vec<f32>> = paragraph.iter().map(vector).collect::<Result<_, _>>()?;
            let items: Vec<&[f32]> = items.iter().map(Vec::as_slice).collect();
            Ok(mixed((nth + 1).to_string(), &items, Stream::new(seed, part << 32 | nth as u64)))
        };
        paragraphs.iter().enumerate().map(group).collect()
    };
    Ok(OrderedGroups {
        inputs: vectors.dimension(),
        learned: groups(&all.learned, 3)?,
        tested: groups(&all.tested, 4)?.into_iter().map(TestedGroup::of_ranks).collect(),
        remarks: vec![format!(
            "{} paragraphs have fewer than {} or more than {} sentences and are left out",
            all.left_out,
            LENGTHS.start(),
            LENGTHS.end()
        )],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_of_some_lengths_take_part() {
        let mut all = Paragraphs::default();
        all.add(&["A b c. D e f. G h i. J k l. M n o.", "One is too few."], false);
        all.add(&["P q r. S t u. V w x. Y z a. B c d. E f g."], true);
        assert_eq!((all.learned.len(), all.tested.len(), all.left_out), (1, 1, 1));
        assert_eq!(all.learned[0][1], "D e f.");
        let group = mixed("1".into(), &[&[0.0], &[1.0], &[2.0]], Stream::new(1, 1));
        assert!(group.ranks.iter().zip(&group.items).all(|(rank, item)| *rank as f32 == item + 1.0));
    }
}
