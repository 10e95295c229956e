//! ROUGE (Lin 2004): how much of a reference's words a text has. RichRAG measures with its recall how far a document
//! covers a sub-aspect, and with Com-ROUGE how far an answer covers all of them.

use std::collections::HashMap;

/// A text as ROUGE reads it: its words in lower case, where a word is a run of letters and digits. Scripts that write no
/// blanks make one word of a clause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RougeText {
    words: Vec<String>,
}

impl RougeText {
    /// Cuts a text into words.
    pub fn new(text: &str) -> RougeText {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        RougeText { words: words.map(str::to_lowercase).collect() }
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is no word in it.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Words that are no articles: the length by which Com-ROUGE weighs a sub-answer (SQuAD's normalisation drops case,
    /// punctuation and articles).
    fn weight(&self) -> usize {
        self.words.iter().filter(|word| !matches!(word.as_str(), "a" | "an" | "the")).count()
    }
}

/// One of the three overlaps, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overlap {
    /// Share of the text's units that the reference has.
    pub precision: f64,
    /// Share of the reference's units that the text has.
    pub recall: f64,
}

impl Overlap {
    fn of(common: usize, reference: usize, text: usize) -> Overlap {
        let share = |of: usize| if of == 0 { 0.0 } else { common as f64 / of as f64 };
        Overlap { precision: share(text), recall: share(reference) }
    }

    /// The harmonic mean of both; 0 where both are 0.
    pub fn f1(&self) -> f64 {
        let sum = self.precision + self.recall;
        if sum > 0.0 { 2.0 * self.precision * self.recall / sum } else { 0.0 }
    }
}

/// ROUGE-1, ROUGE-2 and ROUGE-L of a text against a reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rouge {
    /// Words, each as often as both have it.
    pub one: Overlap,
    /// Pairs of neighbouring words.
    pub two: Overlap,
    /// The longest common subsequence of words.
    pub longest: Overlap,
}

impl Rouge {
    /// The greatest of the three recalls: RichRAG's coverage of a sub-answer by a document.
    pub fn most_recall(&self) -> f64 {
        self.one.recall.max(self.two.recall).max(self.longest.recall)
    }
}

/// ROUGE of a text against a reference. Nothing in common, or no words at all, is 0.
pub fn rouge(reference: &RougeText, text: &RougeText) -> Rouge {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let numbered: Vec<usize> = reference
        .words
        .iter()
        .map(|word| {
            let next = numbers.len();
            *numbers.entry(word.as_str()).or_insert(next)
        })
        .collect();
    // Words that the reference has not can match nothing, but they part neighbours.
    let found: Vec<Option<usize>> =
        text.words.iter().map(|word| numbers.get(word.as_str()).copied()).collect();
    let known: Vec<usize> = found.iter().flatten().copied().collect();
    let pairs = |words: &[Option<usize>]| -> Vec<(usize, usize)> {
        words.windows(2).filter_map(|pair| Some((pair[0]?, pair[1]?))).collect()
    };
    let of_reference: Vec<Option<usize>> = numbered.iter().copied().map(Some).collect();
    let (n, m) = (reference.len(), text.len());
    Rouge {
        one: Overlap::of(common(&numbered, &known), n, m),
        two: Overlap::of(
            common(&pairs(&of_reference), &pairs(&found)),
            n.saturating_sub(1),
            m.saturating_sub(1),
        ),
        longest: Overlap::of(longest_common(&numbered, &known), n, m),
    }
}

/// How many units two lists share, each as often as both have it.
fn common<T: Copy + Eq + std::hash::Hash>(first: &[T], second: &[T]) -> usize {
    let mut left: HashMap<T, usize> = HashMap::new();
    for unit in first {
        *left.entry(*unit).or_default() += 1;
    }
    let mut count = 0;
    for unit in second {
        if let Some(free) = left.get_mut(unit).filter(|free| **free > 0) {
            *free -= 1;
            count += 1;
        }
    }
    count
}

/// The length of the longest common subsequence.
fn longest_common(first: &[usize], second: &[usize]) -> usize {
    let mut row = vec![0; second.len() + 1];
    for a in first {
        let mut diagonal = 0;
        for (at, b) in second.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if a == b { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[second.len()]
}

/// Com-ROUGE (RichRAG): the recalls of ROUGE-1, ROUGE-2 and ROUGE-L of each sub-answer by one answer, weighted by the
/// sub-answers' lengths without articles. Longer answers win: compare answers of the same length. `None` where no
/// sub-answer has a word.
pub fn com_rouge(sub_answers: &[RougeText], answer: &RougeText) -> Option<[f64; 3]> {
    let total: usize = sub_answers.iter().map(RougeText::weight).sum();
    if total == 0 {
        return None;
    }
    let mut sums = [0.0; 3];
    for sub_answer in sub_answers {
        let found = rouge(sub_answer, answer);
        let weight = sub_answer.weight() as f64 / total as f64;
        for (sum, overlap) in sums.iter_mut().zip([found.one, found.two, found.longest]) {
            *sum += weight * overlap.recall;
        }
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reference: &str, text: &str) -> Rouge {
        rouge(&RougeText::new(reference), &RougeText::new(text))
    }

    #[test]
    fn overlaps_worked_out_by_hand() {
        // Common words: police, the, gunman (3 of 4 and 3 of 5); pairs: "the gunman" (1 of 3 and 1 of 4); in order:
        // police … the gunman is 3 long only if `police` comes first, which it does not here.
        let found = of("Police killed the gunman.", "the gunman shot at police");
        assert_eq!((found.one.recall, found.one.precision), (0.75, 0.6));
        assert_eq!((found.two.recall, found.two.precision), (1.0 / 3.0, 0.25));
        assert_eq!((found.longest.recall, found.longest.precision), (0.5, 0.4));
        assert!((found.one.f1() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.most_recall(), 0.75);
    }

    #[test]
    fn words_count_as_often_as_both_have_them() {
        let found = of("rap rap music", "rap and more rap, rap");
        assert_eq!(found.one.recall, 2.0 / 3.0);
        // `rap rap` stands in both once; `and more` parts the first from the second.
        assert_eq!(found.two.recall, 0.5);
        assert_eq!(of("a b c", "A, B – c!").longest.recall, 1.0);
    }

    #[test]
    fn nothing_is_nothing() {
        for (reference, text) in [("", "word"), ("word", ""), ("", ""), ("…", "–")] {
            assert_eq!(of(reference, text), Rouge::default());
        }
        // One word has no pairs.
        assert_eq!(of("word", "word").two.recall, 0.0);
        assert_eq!(of("word", "word").most_recall(), 1.0);
        assert_eq!(com_rouge(&[], &RougeText::new("x")), None);
        assert_eq!(com_rouge(&[RougeText::new("the")], &RougeText::new("the")), None);
    }

    #[test]
    fn sub_answers_weigh_as_much_as_they_are_long() {
        // Weights 3/4 and 1/4 (the article does not count); recalls 2/3 and 1 of words, 1/2 and 1/1 of pairs.
        let parts = [RougeText::new("born in Bronx"), RougeText::new("the drums")];
        let found = com_rouge(&parts, &RougeText::new("born in Harlem, with the drums")).unwrap();
        for (found, wanted) in found.iter().zip([0.75, 0.625, 0.75]) {
            assert!((found - wanted).abs() < 1e-12, "{found} instead of {wanted}");
        }
    }
}
