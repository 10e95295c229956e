//! Answers that name one passage.

use super::answer::answer_text;
use super::labels::{LabelStyle, mentions};
use crate::sorting::Preferred;

/// The one label that a setwise answer names, from 0; `None` when it names no passage, or several (Rank-R1). Labels
/// in brackets count before those without; `[3]`, `[3].`, `3` and `Passage [3]` are the same.
pub fn parse_choice(reply: &str, passages: usize, labels: LabelStyle) -> Option<usize> {
    let answer = answer_text(reply);
    if answer.unfinished_reasoning {
        return None;
    }
    let found = mentions(answer.text, labels);
    let first = found.mentions.first()?.label.filter(|&label| label < passages)?;
    found.mentions.iter().all(|mention| mention.label == Some(first)).then_some(first)
}

/// Which passage a pairwise answer prefers (PRP): the first `Passage A` or `Passage B` in it, in any case, else an
/// answer that is one of the letters alone. Anything else is unusable, never a silent A.
pub fn parse_preferred(reply: &str) -> Preferred {
    let answer = answer_text(reply);
    if answer.unfinished_reasoning {
        return Preferred::Unusable;
    }
    let lower = answer.text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let letter = |word: &str| match word {
        "a" => Some(Preferred::A),
        "b" => Some(Preferred::B),
        _ => None,
    };
    let after_passage = words.windows(2).filter(|pair| pair[0] == "passage").find_map(|pair| letter(pair[1]));
    match (after_passage, words.as_slice()) {
        (Some(preferred), _) => preferred,
        (None, [alone]) => letter(alone).unwrap_or(Preferred::Unusable),
        _ => Preferred::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_is_a_choice() {
        let read = |reply| parse_choice(reply, 4, LabelStyle::Numbers);
        for reply in [
            "[3]",
            "3",
            "[03]",
            "[3].",
            "<think>[1]</think><answer>[3]</answer>",
            "Passage [3], of 4",
            "[3] [3]",
        ] {
            assert_eq!(read(reply), Some(2), "{reply}");
        }
        for reply in ["", "[5]", "[0]", "[1] or [3]", "1 or 3", "<think>[3]", "none", "[3] > [1]"] {
            assert_eq!(read(reply), None, "{reply}");
        }
        assert_eq!(parse_choice("Passage: B", 2, LabelStyle::Letters), Some(1));
    }

    #[test]
    fn passage_a_or_b() {
        for (reply, wanted) in [
            ("Passage A", Preferred::A),
            ("passage b is better than Passage A", Preferred::B),
            (" B.", Preferred::B),
            ("**Passage:** [A]", Preferred::A),
            ("A passage", Preferred::Unusable),
            ("Both", Preferred::Unusable),
            ("", Preferred::Unusable),
            ("<think>Passage A</think>Passage B", Preferred::B),
            ("<think>Passage A", Preferred::Unusable),
        ] {
            assert_eq!(parse_preferred(reply), wanted, "{reply}");
        }
    }
}
