//! Automatic judges against people, as GenAI-Bench does it: a label out of four, exact agreement, and the floors beside it.

use crate::Verdict;
use serde::Serialize;

/// A label of a judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// What it says.
    pub verdict: Verdict,
    /// Whether it is a plain tie, `[[A=B]]`, which stands for both kinds.
    pub either_tie: bool,
}

/// The label of a judge's answer: its first `[[…]]` on a line; `None` where there is none that is a label.
pub fn label(answer: &str) -> Option<Label> {
    let inside = answer.lines().find_map(|line| {
        let (_, rest) = line.split_once("[[")?;
        Some(rest.split_once("]]")?.0)
    })?;
    let compact: String = inside.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    let (verdict, either_tie) = match compact.as_str() {
        "a>b" | "a>>b" | "a" => (Verdict::Left, false),
        "b>a" | "b>>a" | "b" => (Verdict::Right, false),
        "a=b=good" => (Verdict::Tie, false),
        "a=b" | "c" | "tie" => (Verdict::Tie, true),
        "a=b=bad" => (Verdict::BothBad, false),
        _ => return None,
    };
    Some(Label { verdict, either_tie })
}

/// How far a judge agrees with people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Comparisons.
    pub count: usize,
    /// Share with the same label; an answer without a label is wrong.
    pub accuracy: f64,
    /// Answers without a label.
    pub unparsed: usize,
    /// What always giving the commonest label would reach: the floor that counts.
    pub majority: f64,
    /// What drawing among the four labels would reach on average.
    pub random: f64,
    /// Labels of people: left, right, tie, both bad.
    pub human: [usize; 4],
    /// Labels of the judge.
    pub judge: [usize; 4],
}

impl Agreement {
    /// Compares answers with the verdicts of people.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, Verdict)>) -> Agreement {
        let mut agreement = Agreement { random: 0.25, ..Agreement::default() };
        let mut right = 0;
        for (answer, human) in pairs {
            agreement.count += 1;
            agreement.human[human as usize] += 1;
            match label(answer) {
                None => agreement.unparsed += 1,
                Some(Label { verdict, either_tie }) => {
                    agreement.judge[verdict as usize] += 1;
                    let either = either_tie && [Verdict::Tie, Verdict::BothBad].contains(&human);
                    right += usize::from(verdict == human || either);
                }
            }
        }
        let count = agreement.count.max(1) as f64;
        agreement.accuracy = right as f64 / count;
        agreement.majority = agreement.human.iter().copied().max().unwrap_or(0) as f64 / count;
        agreement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_they_are_written() {
        for (answer, expected) in [
            ("Because it is sharper.\n[[A>B]]", Some(Verdict::Left)),
            ("[[B>>A]] and [[A>B]]", Some(Verdict::Right)),
            ("so [[A=B=Bad]].", Some(Verdict::BothBad)),
            ("so [[ A=B=Good ]].", Some(Verdict::Tie)),
            ("[[A=B]]", Some(Verdict::Tie)),
            ("I like both", None),
            ("[[maybe]]", None),
        ] {
            assert_eq!(label(answer).map(|label| label.verdict), expected, "{answer}");
        }
    }

    #[test]
    fn accuracy_stands_beside_its_floors() {
        let all = [
            ("[[A>B]]", Verdict::Left),
            ("[[A=B]]", Verdict::BothBad),
            ("none", Verdict::Left),
            ("[[B>A]]", Verdict::Tie),
        ];
        // The first label counts, whatever else the answer says.
        let other = Agreement::new([("[[A=B=Good]], not [[A=B]]", Verdict::BothBad)]);
        assert_eq!(other.accuracy, 0.0);
        let agreement = Agreement::new(all);
        assert_eq!((agreement.count, agreement.unparsed), (4, 1));
        assert_eq!((agreement.accuracy, agreement.majority), (0.5, 0.5));
        assert_eq!(agreement.human, [2, 0, 1, 1]);
    }
}
