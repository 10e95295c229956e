//! Citations in an answer, and whether what they point at is there.

use std::ops::Range;

/// An answer whose citations all point at sources that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedCitations {
    /// The answer without citations of sources that are not there.
    pub text: String,
    /// The sources that it cites, from 1, each once, in the order in which they come.
    pub cited: Vec<usize>,
    /// Citations that were taken out, as they were written.
    pub dropped: Vec<String>,
}

/// A citation as it stands in a text.
struct Found {
    /// Where, brackets and the word `Source` included.
    place: Range<usize>,
    numbers: Numbers,
    /// Without brackets.
    bare: bool,
}

/// Beyond it no reader's list of sources goes: `source 2024` without brackets is no citation.
const FAR: usize = 999;

/// The numbers of a citation.
#[derive(Default)]
struct Numbers {
    /// All of them, those of ranges too.
    all: Vec<usize>,
    /// Whether some are too great for any list of sources.
    beyond: bool,
}

/// Finds the citations of an answer: `[2]`, `[1, 3]`, `[1-3]`, `[Source 2]`, `(Source 2)` and `Source 2`. Of those that
/// name no source from 1 to `sources` the wrong numbers are taken out, and the whole citation where none is left.
pub fn check_citations(answer: &str, sources: usize) -> CheckedCitations {
    let mut checked = CheckedCitations { text: String::new(), cited: Vec::new(), dropped: Vec::new() };
    let mut done = 0;
    while let Some(found) = next(answer, done) {
        let exists = |number: &usize| (1..=sources).contains(number);
        let written = &answer[found.place.clone()];
        let there: Vec<usize> = found.numbers.all.iter().copied().filter(exists).collect();
        if found.bare
            && there.is_empty()
            && !found.numbers.beyond
            && found.numbers.all.iter().all(|n| *n > FAR)
        {
            // "open source 2024" is no citation.
            checked.text.push_str(&answer[done..found.place.end]);
            done = found.place.end;
            continue;
        }
        for number in &there {
            if !checked.cited.contains(number) {
                checked.cited.push(*number);
            }
        }
        let before = &answer[done..found.place.start];
        if !found.numbers.beyond && there.len() == found.numbers.all.len() {
            checked.text.push_str(before);
            checked.text.push_str(written);
        } else {
            checked.dropped.push(written.to_string());
            if there.is_empty() {
                // The blank before it goes with it.
                checked.text.push_str(before.strip_suffix(' ').unwrap_or(before));
            } else {
                let left: Vec<String> = there.iter().map(usize::to_string).collect();
                checked.text.push_str(before);
                checked.text.push_str(&format!("[{}]", left.join(", ")));
            }
        }
        done = found.place.end;
    }
    checked.text.push_str(&answer[done..]);
    checked
}

/// The first citation from a byte on.
fn next(text: &str, from: usize) -> Option<Found> {
    let mut at = from;
    while at < text.len() {
        let rest = &text[at..];
        let sign = rest.chars().next()?;
        let begins_word = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        let found = match sign {
            '[' => bracketed(text, at, ']', false),
            '(' => bracketed(text, at, ')', true),
            's' | 'S' if begins_word => bare(text, at),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        at += sign.len_utf8();
    }
    None
}

/// A citation in brackets; `named` where the word `Source` must stand in them.
fn bracketed(text: &str, start: usize, close: char, named: bool) -> Option<Found> {
    let mut scan = Scan { text, at: start + 1 };
    scan.blanks();
    if !scan.word() && named {
        return None;
    }
    let numbers = scan.numbers()?;
    scan.blanks();
    if !scan.sign(&[close]) {
        return None;
    }
    Some(Found { place: start..scan.at, numbers, bare: false })
}

/// `Source 2` without brackets.
fn bare(text: &str, start: usize) -> Option<Found> {
    let mut scan = Scan { text, at: start };
    if !scan.word() {
        return None;
    }
    let number = scan.number()?;
    if scan.rest().starts_with(char::is_alphanumeric) {
        return None;
    }
    let numbers = Numbers { all: number.into_iter().collect(), beyond: number.is_none() };
    Some(Found { place: start..scan.at, numbers, bare: true })
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl Scan<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\u{a0}']).len();
    }

    fn sign(&mut self, signs: &[char]) -> bool {
        match self.rest().chars().next() {
            Some(sign) if signs.contains(&sign) => {
                self.at += sign.len_utf8();
                true
            }
            _ => false,
        }
    }

    /// `Source` or `Sources` with the blanks behind it, whatever its case; a sign such as `#` or `:` may follow.
    fn word(&mut self) -> bool {
        for word in ["sources", "source"] {
            let given = self.rest().get(..word.len());
            let after = self.rest().get(word.len()..).and_then(|rest| rest.chars().next());
            let ends = after.is_some_and(|sign| matches!(sign, ' ' | '\t' | '\u{a0}' | '#' | ':'));
            if given.is_some_and(|given| given.eq_ignore_ascii_case(word)) && ends {
                self.at += word.len();
                self.blanks();
                self.sign(&['#', ':']);
                self.blanks();
                return true;
            }
        }
        false
    }

    /// A whole number; `Some(None)` where it has more digits than any list of sources needs.
    fn number(&mut self) -> Option<Option<usize>> {
        let start = self.at;
        let digits = self.rest().len() - self.rest().trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return None;
        }
        self.at += digits;
        Some(self.text[start..self.at].parse().ok().filter(|_| digits <= 6))
    }

    /// Numbers with commas, semicolons or `and` between them, and ranges.
    fn numbers(&mut self) -> Option<Numbers> {
        let mut numbers = Numbers::default();
        loop {
            let first = self.number()?;
            let mut last = first;
            let here = self.at;
            self.blanks();
            if self.sign(&['-', '–', '—']) {
                self.blanks();
                last = self.number()?;
            } else {
                self.at = here;
            }
            match (first, last) {
                // A range is as long as an answer can have sources, at most.
                (Some(first), Some(last)) if first <= last && last - first < 1000 => {
                    numbers.all.extend(first..=last);
                }
                (Some(first), Some(last)) if last < first => numbers.all.extend([first, last]),
                _ => numbers.beyond = true,
            }
            let here = self.at;
            self.blanks();
            if !self.between() {
                self.at = here;
                return Some(numbers);
            }
        }
    }

    /// What stands between two numbers.
    fn between(&mut self) -> bool {
        let comma = self.sign(&[',', ';', '&']);
        self.blanks();
        let and = self.rest().starts_with("and ");
        if and {
            self.at += 4;
            self.blanks();
        }
        if comma || and {
            self.word();
        }
        comma || and
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(answer: &str) -> (String, Vec<usize>, Vec<String>) {
        let CheckedCitations { text, cited, dropped } = check_citations(answer, 3);
        (text, cited, dropped)
    }

    #[test]
    fn citations_of_sources_that_are_there_stay_as_they_are() {
        for (answer, wanted) in [
            ("Rap [2] grew [1, 3].", vec![2, 1, 3]),
            ("Rap [Source 2], and (source 1) too.", vec![2, 1]),
            ("[1-3]", vec![1, 2, 3]),
            ("[1 – 2; Source 3]", vec![1, 2, 3]),
            ("As Source 3 says, [Sources 1 and 2].", vec![3, 1, 2]),
            ("See [1][1] [ 2 ].", vec![1, 2]),
        ] {
            assert_eq!(checked(answer), (answer.to_string(), wanted, Vec::new()));
        }
    }

    #[test]
    fn citations_of_nothing_are_taken_out_and_told() {
        for (answer, text, cited, dropped) in [
            ("Rap [4] grew.", "Rap grew.", vec![], vec!["[4]"]),
            ("Rap [0].", "Rap.", vec![], vec!["[0]"]),
            ("Rap [1, 7].", "Rap [1].", vec![1], vec!["[1, 7]"]),
            ("Rap [2-9].", "Rap [2, 3].", vec![2, 3], vec!["[2-9]"]),
            ("Rap [99999999999999999999].", "Rap.", vec![], vec!["[99999999999999999999]"]),
            ("Rap (Source 12).", "Rap.", vec![], vec!["(Source 12)"]),
            ("As Source 5 says [3].", "As says [3].", vec![3], vec!["Source 5"]),
            ("[9]", "", vec![], vec!["[9]"]),
        ] {
            let dropped: Vec<String> = dropped.into_iter().map(String::from).collect();
            assert_eq!(checked(answer), (text.to_string(), cited, dropped), "{answer}");
        }
    }

    #[test]
    fn what_is_no_citation_is_left_alone() {
        for answer in [
            "",
            "[",
            "[]",
            "[1",
            "[sic]",
            "(1)",
            "(9 of them)",
            "[1,]",
            "resource 5",
            "sources",
            "open source 5a",
            "a[b] é [x 1]",
            "Source: 5G",
            "[1 or 9]",
        ] {
            assert_eq!(checked(answer), (answer.to_string(), Vec::new(), Vec::new()), "{answer}");
        }
    }
}
