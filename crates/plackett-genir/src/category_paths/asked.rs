//! A language model that chooses the paths of a document from its shortlist (HyPE, 2024, candidate paths): it is shown the document and the
//! numbered paths, and answers with one to three numbers. The paper's wording is not published; this one is ours.

use super::CategoryPath;

/// A document whose paths are to be chosen.
#[derive(Clone, Debug)]
pub struct ShownDocument<'s> {
    /// Its text.
    pub text: &'s str,
    /// Paths with their similarity, the most alike first.
    pub shortlist: Vec<(&'s CategoryPath, f64)>,
}

/// What begins and ends a model's thinking, where it thinks aloud before it answers.
const THOUGHT: [&str; 2] = ["<think>", "</think>"];

/// What is asked about a document, of which the first `words` words are shown, for one to `most` paths; paths count from 1.
pub(super) fn selection_prompt(document: &ShownDocument<'_>, most: usize, words: usize) -> String {
    let text = document.text.split_whitespace().take(words).collect::<Vec<_>>().join(" ");
    let numbered = document.shortlist.iter().enumerate();
    let paths: Vec<String> = numbered.map(|(at, (path, _))| format!("{}. {path}", at + 1)).collect();
    let wanted = match most.min(paths.len()) {
        0 | 1 => "one number".to_string(),
        most => format!("one to {most} numbers"),
    };
    format!(
        "Document: {text}\n\nCategories, each from broad to narrow:\n{}\n\nWhich categories fit the document? \
         Answer with {wanted}, the most fitting first, and nothing else.",
        paths.join("\n")
    )
}

/// The places of the paths that a reply names by their numbers, in its order, each once and `most` at most; numbers of none of the `shown`
/// paths are passed over. Nothing where it names none, or is cut while the model still thinks.
pub(super) fn chosen_paths(reply: &str, shown: usize, most: usize) -> Vec<usize> {
    let [begin, end] = THOUGHT;
    let answer = reply.rsplit_once(end).map_or(reply, |(_, answer)| answer);
    let answer = answer.split_once(begin).map_or(answer, |(before, _)| before);
    let mut chosen: Vec<usize> = Vec::new();
    for place in answer.lines().flat_map(numbers_of_line).filter_map(|number| number.checked_sub(1)) {
        if place < shown && chosen.len() < most && !chosen.contains(&place) {
            chosen.push(place);
        }
    }
    chosen
}

/// The numbers with which a line begins, behind a heading with a colon where it has one. Those after the first word belong to the name
/// of a path that is written out: `2. Windows 8`.
fn numbers_of_line(line: &str) -> impl Iterator<Item = usize> {
    let heading = line.split_once(':').filter(|(heading, _)| !heading.contains(|c: char| c.is_ascii_digit()));
    let list = heading.map_or(line, |(_, list)| list);
    let words = list.split([' ', '\t', ',', ';']).filter(|word| !["", "-", "*", "and", "&"].contains(word));
    words.map_while(|word| {
        let digits = word.trim_matches(['.', ')', '(', '[', ']', '#', '*']);
        // One that is too long for a number is a number all the same, of no path.
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().unwrap_or(usize::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_the_document_and_numbered_paths() {
        let paths = ["Music >> Jazz", "Cities"].map(|path| CategoryPath::parse(path).unwrap());
        let shortlist = paths.iter().map(|path| (path, 0.5)).collect();
        let document = ShownDocument { text: "a  horn\nin the night", shortlist };
        let prompt = selection_prompt(&document, 3, 4);
        assert_eq!(
            prompt,
            "Document: a horn in the\n\nCategories, each from broad to narrow:\n1. Music >> Jazz\n2. Cities\n\n\
             Which categories fit the document? Answer with one to 2 numbers, the most fitting first, and nothing else."
        );
        assert!(selection_prompt(&document, 1, 4).contains("Answer with one number,"));
    }

    #[test]
    fn numbers_of_shown_paths_are_read_in_their_order() {
        for (reply, expected) in [
            ("2, 1", &[1, 0][..]),
            ("3. Music >> Jazz (since 1917)\n3\n1", &[2, 0][..]),
            ("1. Windows 3 >> Drivers 2", &[0][..]),
            ("Categories: [4], 2 and 1.", &[3, 1, 0][..]),
            ("- 2\n* (1)\n4. Art: 3 views", &[1, 0, 3][..]),
            ("<think>1 or 2 of 4, I", &[][..]),
            ("<think>1 or 2 of 4?</think>\n4", &[3][..]),
            ("4 3 2 1", &[3, 2, 1][..]),
            ("0, 5 and 99999999999999999999999", &[][..]),
            ("none of them", &[][..]),
        ] {
            assert_eq!(chosen_paths(reply, 4, 3), expected, "{reply}");
        }
    }
}
