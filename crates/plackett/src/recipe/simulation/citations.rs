//! `citations`: measures of cited answers and of facts, on answers that are made by hand.

use super::Simulation;
use plackett_eval::citation::{CitationQuality, CitedSentence, fact_score};

const NUMBERS: [&str; 7] = [
    "gold_recall",
    "gold_precision",
    "swapped_recall",
    "swapped_precision",
    "padded_recall",
    "padded_precision",
    "five_facts",
];

/// The declaration.
pub static CITATIONS: Simulation = Simulation {
    name: "citations",
    help: "recall and precision of citations (a sentence follows from passages that have all its words) of an answer with the right citations (`gold`), with \
           exchanged ones (`swapped`) and with one more that says nothing of it (`padded`); `five_facts` is the FActScore of five facts that are all \
           supported",
    version: 1,
    fields: &[],
    check: |_| Ok(()),
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run: |_| {
        let passages =
            [("Cats", "cats purr at night"), ("Dogs", "dogs bark at strangers"), ("Fish", "fish swim")];
        let entails = |premise: &str, claim: &str| {
            let words = |text: &str| -> Vec<String> {
                let words = text.split(|letter: char| !letter.is_alphanumeric());
                words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
            };
            let premise = words(premise);
            words(claim).iter().all(|word| premise.contains(word))
        };
        let of = |sentences: [&str; 2]| {
            let read = sentences.map(CitedSentence::read);
            let quality = CitationQuality::of(&read, &passages, &entails);
            [quality.recall, quality.precision]
        };
        let gold = of(["Cats purr [1].", "Dogs bark [2]."]);
        let swapped = of(["Cats purr [2].", "Dogs bark [1]."]);
        let padded = of(["Cats purr [1][3].", "Dogs bark [2][3]."]);
        let facts = fact_score(&[true; 5]).unwrap_or_default();
        Ok(gold.into_iter().chain(swapped).chain(padded).chain([facts]).collect())
    },
};
