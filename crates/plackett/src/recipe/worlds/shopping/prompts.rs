//! What somebody bought as a prompt in words, by the templates of a file.

use super::language::IdLanguage;
use super::world::Shopper;
use crate::history_prompts::{AskedPosition, asked_positions, newest};
use crate::recipe::worlds::recommending::next_item::Pairs;
use plackett_rank::prompt::{HistoryPart, HistoryTemplate, HistoryTemplates};
use plackett_train::trainer::{START_TOKEN, UNKNOWN_TOKEN, words_of};
use std::collections::HashSet;

/// Numbers of people are written in words of two digits.
const BASE: usize = 100;

/// Prompts over the identifiers of a catalogue.
pub struct PromptLanguage<'p> {
    language: &'p IdLanguage<'p>,
    /// The templates.
    pub templates: &'p HistoryTemplates,
    /// Items of a history at most, the newest.
    told: usize,
    /// Words of a person's number; all numbers have as many.
    digits: usize,
}

/// The texts whose words a model of these templates reads: those of the seen ones, and the pairs of digits of which the numbers of people are
/// made. What only unseen templates say is unknown to it, as it is to whoever has not read it.
pub fn texts_of(templates: &HistoryTemplates) -> Vec<String> {
    let parts = templates.seen().iter().flat_map(HistoryTemplate::parts);
    let texts = parts.filter_map(|part| match part {
        HistoryPart::Text(text) => Some(text.to_string()),
        HistoryPart::User | HistoryPart::History => None,
    });
    let shows_user = templates.seen().iter().any(HistoryTemplate::shows_user);
    let digits = if shows_user { 0..BASE } else { 0..0 };
    let separator = std::iter::once(templates.separator().to_string());
    texts.chain(separator).chain(digits.map(two_digits)).collect()
}

fn two_digits(number: usize) -> String {
    format!("{number:02}")
}

impl<'p> PromptLanguage<'p> {
    /// Of a language that was made with [`texts_of`] the templates, for so many people, of whose histories the newest `told` items are told.
    pub fn new(
        language: &'p IdLanguage<'p>,
        templates: &'p HistoryTemplates,
        told: usize,
        people: usize,
    ) -> PromptLanguage<'p> {
        let last = people.saturating_sub(1);
        let digits = last.checked_ilog(BASE).unwrap_or(0) as usize + 1;
        PromptLanguage { language, templates, told, digits }
    }

    /// The prompt of a template: for a person, by the place among all, who had these items before.
    pub fn prompt(&self, template: &HistoryTemplate, person: usize, before: &[usize]) -> Vec<u32> {
        let mut tokens = vec![START_TOKEN];
        for part in template.parts() {
            match part {
                HistoryPart::Text(text) => tokens.extend(self.words(text)),
                HistoryPart::User => tokens.extend(self.number(person)),
                HistoryPart::History => self.tell(newest(before, self.told), &mut tokens),
            }
        }
        tokens
    }

    fn words(&self, text: &str) -> Vec<u32> {
        words_of(text).map(|word| self.word(&word)).collect()
    }

    fn word(&self, word: &str) -> u32 {
        self.language.vocabulary.token_of_word(word).unwrap_or(UNKNOWN_TOKEN)
    }

    /// The number of a person, the highest digits first.
    fn number(&self, person: usize) -> Vec<u32> {
        let digit = |at: usize| self.word(&two_digits(person / BASE.pow(at as u32) % BASE));
        (0..self.digits).rev().map(digit).collect()
    }

    fn tell(&self, items: &[usize], tokens: &mut Vec<u32>) {
        let separator = self.words(self.templates.separator());
        for (nth, item) in items.iter().enumerate() {
            if nth > 0 {
                tokens.extend(&separator);
            }
            tokens.extend(self.language.item(*item));
        }
    }

    /// The [`asked_positions`] of histories as prompts and the items that stand there, in as many passes as `examples` examples take.
    pub fn pairs(&self, histories: &[Vec<usize>], examples: usize, seed: u64) -> Pairs {
        let positions: usize = histories.iter().map(|history| history.len().saturating_sub(1)).sum();
        let passes = examples.div_ceil(positions.max(1));
        let pair = |asked: AskedPosition<'_>| {
            let (before, rest) = histories[asked.person].split_at(asked.place);
            (self.prompt(asked.template, asked.person, before), self.language.item(rest[0]))
        };
        asked_positions(histories, self.templates, passes, seed).map(pair).collect()
    }

    /// A prompt for each of some people, with one of these templates after the other.
    pub fn asked(&self, templates: &[HistoryTemplate], shoppers: &[Shopper]) -> Vec<Vec<u32>> {
        let prompt = |(shopper, template): (&Shopper, &HistoryTemplate)| {
            self.prompt(template, shopper.place, &shopper.before)
        };
        shoppers.iter().zip(templates.iter().cycle()).map(prompt).collect()
    }

    /// The most tokens of a prompt with the identifier that is written after it.
    pub fn context(&self) -> usize {
        let longest = self.language.longest();
        let history = self.told * (longest + self.words(self.templates.separator()).len());
        let length = |part: HistoryPart<'_>| match part {
            HistoryPart::Text(text) => self.words(text).len(),
            HistoryPart::User => self.digits,
            HistoryPart::History => history,
        };
        let all = self.templates.seen().iter().chain(self.templates.unseen());
        let prompt = all.map(|template| template.parts().map(length).sum::<usize>()).max().unwrap_or(0);
        1 + prompt + longest
    }

    /// How many words of unseen templates stand in no seen one.
    pub fn unknown_words(&self) -> usize {
        let parts = self.templates.unseen().iter().flat_map(HistoryTemplate::parts);
        let words: HashSet<String> = parts
            .flat_map(|part| match part {
                HistoryPart::Text(text) => words_of(text).collect::<Vec<String>>(),
                HistoryPart::User | HistoryPart::History => Vec::new(),
            })
            .collect();
        words.iter().filter(|word| self.word(word) == UNKNOWN_TOKEN).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_ids::scheme::{Source, parse};
    use plackett_ids::{Catalogue, Item};

    const FILE: &str = "separator = \" then \"\n[seen]\na = \"{user} had {history}, wants\"\nb = \"After {history}:\"\n[unseen]\nc = \"{user} after {history} gets\"\n";

    fn catalogue() -> Catalogue {
        let items: Vec<Item> = (0..4).map(|at| Item::new(at.to_string())).collect();
        parse("atomic").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap()
    }

    /// What `check` says of prompts for so many people, with two items told.
    fn with<T>(people: usize, check: impl Fn(&PromptLanguage<'_>) -> T) -> T {
        let (catalogue, templates) = (catalogue(), HistoryTemplates::parse("mine.toml", FILE).unwrap());
        let language = IdLanguage::new(&catalogue, &texts_of(&templates)).unwrap();
        check(&PromptLanguage::new(&language, &templates, 2, people))
    }

    fn read(prompts: &PromptLanguage<'_>, tokens: &[u32]) -> String {
        prompts.language.vocabulary.decode(tokens)
    }

    fn read_pair(prompts: &PromptLanguage<'_>, (prompt, target): &(Vec<u32>, Vec<u32>)) -> String {
        format!("{} | {}", read(prompts, prompt), read(prompts, target))
    }

    #[test]
    fn prompts_are_words_with_the_person_and_the_newest_items_in_their_places() {
        with(12, |prompts| {
            let (seen, unseen) = (prompts.templates.seen(), prompts.templates.unseen());
            let prompt = |template, before: &[usize]| read(prompts, &prompts.prompt(template, 7, before));
            assert_eq!(prompt(&seen[0], &[3, 0, 2]), "<start> 07 had <0> then <2> wants");
            assert_eq!(prompt(&seen[1], &[1]), "<start> after <1>");
            assert_eq!(prompt(&unseen[0], &[1]), "<start> 07 after <1> <unknown>");
            assert_eq!(prompts.unknown_words(), 1);
            // <start>, the number, two items with a separator for each, two words, and the identifier.
            assert_eq!(prompts.context(), 1 + 1 + 2 * 2 + 2 + 1);
        });
        let number = |people: usize, person: usize| {
            with(people, |prompts| read(prompts, &prompts.prompt(&prompts.templates.seen()[0], person, &[1])))
        };
        assert_eq!(number(101, 7), "<start> 00 07 had <1> wants");
        assert_eq!(number(20_000, 12_345), "<start> 01 23 45 had <1> wants");
        assert!(number(100, 99).starts_with("<start> 99 had"));
    }

    #[test]
    fn each_position_has_another_template_in_each_pass() {
        let histories = [vec![0, 1, 2], vec![3], vec![2, 0]];
        with(3, |prompts| {
            let all = prompts.pairs(&histories, 1000, 1);
            // Three positions with an item before them, and two templates.
            assert_eq!(all.len(), 6);
            let told: Vec<String> = all.iter().map(|pair| read_pair(prompts, pair)).collect();
            for expected in [
                "<start> 00 had <0> wants | <1>",
                "<start> after <0> | <1>",
                "<start> 00 had <0> then <1> wants | <2>",
                "<start> after <0> then <1> | <2>",
                "<start> 02 had <2> wants | <0>",
                "<start> after <2> | <0>",
            ] {
                assert_eq!(told.iter().filter(|pair| *pair == expected).count(), 1, "{expected}: {told:?}");
            }
            assert_eq!(prompts.pairs(&histories, 1000, 1), all);
            // Three examples are one pass.
            assert_eq!(prompts.pairs(&histories, 3, 1).len(), 3);
            assert!(prompts.pairs(&[vec![1]], 3, 1).is_empty());
        });
    }

    #[test]
    fn people_are_asked_with_one_template_after_the_other() {
        let shopper = |place: usize| Shopper {
            user: place.to_string(),
            place,
            before: vec![place],
            next: 0,
            is_new: false,
        };
        let shoppers: Vec<Shopper> = (0..3).map(shopper).collect();
        with(3, |prompts| {
            let asked = prompts.asked(prompts.templates.seen(), &shoppers);
            let told: Vec<String> = asked.iter().map(|prompt| read(prompts, prompt)).collect();
            assert_eq!(told, ["<start> 00 had <0> wants", "<start> after <1>", "<start> 02 had <2> wants"]);
        });
    }
}
