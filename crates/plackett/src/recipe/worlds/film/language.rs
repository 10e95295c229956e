//! Talks and lists as tokens, and what written lists are worth.

use super::world::{FilmWorld, Talk};
use crate::recipe::error::StageError;
use plackett_core::title_list::{DatedTitle, line_relevance, line_spans, read_title_line};
use plackett_eval::list_ndcg;
use plackett_train::rl::Rollouts;
use plackett_train::trainer::{END_TOKEN, WordVocabulary};
use std::ops::Range;

/// Talks of one call of the engine.
const TOGETHER: usize = 64;

/// Words of films as tokens.
pub struct FilmLanguage {
    /// The words; the only code ends a line.
    pub vocabulary: WordVocabulary,
    newline: u32,
}

/// What is written, as lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The tokens of each line, with what ends it.
    pub spans: Vec<Range<usize>>,
    /// The title of each line, where it is one.
    pub titles: Vec<Option<DatedTitle>>,
    /// Where the token is that ends the answer.
    pub end: Option<usize>,
}

impl FilmLanguage {
    /// The words of all films and of what is asked.
    pub fn new(world: &FilmWorld) -> FilmLanguage {
        let titles = world.films.iter().map(|film| format!("{} {}", film.title.title, film.title.year));
        let genres = world.films.iter().flat_map(|film| film.genres.iter().cloned());
        let decades = world.films.iter().map(|film| format!("{}s", film.decade()));
        let texts: Vec<String> =
            titles.chain(genres).chain(decades).chain(["liked wants".to_string()]).collect();
        let vocabulary = WordVocabulary::of_texts(texts.iter().map(String::as_str), 1, usize::MAX, 1);
        FilmLanguage::of(vocabulary)
    }

    /// With words that are there.
    pub fn of(vocabulary: WordVocabulary) -> FilmLanguage {
        let newline = vocabulary.token_of_code(0).unwrap_or_default();
        FilmLanguage { vocabulary, newline }
    }

    /// The tokens of some words.
    pub fn words(&self, text: &str) -> Vec<u32> {
        self.vocabulary.encode(text, usize::MAX).ids
    }

    /// The words of a film, and what ends the line.
    pub fn line(&self, world: &FilmWorld, place: usize) -> Vec<u32> {
        let title = &world.films[place].title;
        let mut tokens = self.words(&format!("{} {}", title.title, title.year));
        tokens.push(self.newline);
        tokens
    }

    /// What a talk is asked with.
    pub fn prompt(&self, world: &FilmWorld, talk: &Talk) -> Vec<u32> {
        let mut tokens = self.words("liked");
        for place in &talk.mentioned {
            tokens.extend(self.line(world, *place));
        }
        tokens.extend(self.words(&format!("wants {} {}s", talk.genre, talk.decade)));
        tokens.push(self.newline);
        tokens
    }

    /// A list of films, line by line, and its end.
    pub fn list(&self, world: &FilmWorld, places: &[usize]) -> Vec<u32> {
        let lines = places.iter().flat_map(|place| self.line(world, *place));
        lines.chain([END_TOKEN]).collect()
    }

    /// Reads what was written.
    pub fn read(&self, tokens: &[u32]) -> Answer {
        let end = tokens.iter().position(|token| *token == END_TOKEN);
        let written = &tokens[..end.unwrap_or(tokens.len())];
        let piece = |token: &u32| if *token == self.newline { "\n" } else { "" };
        let spans = line_spans(written.iter().map(piece));
        let title = |span: &Range<usize>| {
            let words: Vec<u32> =
                written[span.clone()].iter().copied().filter(|token| *token != self.newline).collect();
            let (year, title) = words.split_last()?;
            let [title, year] = [title, &[*year][..]].map(|tokens| self.vocabulary.decode(tokens));
            read_title_line(&format!("{title} ({year})"))
        };
        let titles = spans.iter().map(title).collect();
        Answer { spans, titles, end }
    }
}

/// What greedy answers to talks are worth, by talk.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// nDCG of the list without what was mentioned or is not in the catalogue.
    pub ndcg: Vec<f64>,
    /// Share of the wanted films that are in it.
    pub recall: Vec<f64>,
    /// Share of the lines that name a film of the catalogue.
    pub in_catalogue: Vec<f64>,
    /// 1 for lists with exactly as many lines as are asked for.
    pub exact: Vec<f64>,
}

/// Asks for a list for each talk, the most probable token each time.
///
/// # Errors
/// The engine refuses a prompt.
pub fn measure(
    engine: &Rollouts,
    (world, language): (&FilmWorld, &FilmLanguage),
    talks: &[Talk],
    (count, most): (usize, usize),
) -> Result<Measured, StageError> {
    let mut measured = Measured::default();
    for talks in talks.chunks(TOGETHER) {
        let prompts: Vec<Vec<u32>> = talks.iter().map(|talk| language.prompt(world, talk)).collect();
        let prompts: Vec<&[u32]> = prompts.iter().map(|prompt| &prompt[..]).collect();
        for (talk, answer) in talks.iter().zip(engine.greedy(&prompts, (END_TOKEN, most))?) {
            measured.add(world, talk, &language.read(&answer.tokens), count);
        }
    }
    Ok(measured)
}

impl Measured {
    fn add(&mut self, world: &FilmWorld, talk: &Talk, answer: &Answer, count: usize) {
        let place = |title: &Option<DatedTitle>| world.titles.find(title.as_ref()?, 0);
        let known = answer.titles.iter().filter(|title| place(title).is_some()).count();
        self.in_catalogue.push(known as f64 / answer.titles.len().max(1) as f64);
        self.exact.push(f64::from(u8::from(answer.end.is_some() && answer.titles.len() == count)));
        let may_be =
            |title: &&Option<DatedTitle>| place(title).is_some_and(|place| !talk.mentioned.contains(&place));
        let left: Vec<Option<DatedTitle>> =
            answer.titles.iter().filter(may_be).take(count).cloned().collect();
        let relevance = line_relevance(&left, &world.titles, &talk.wanted, &talk.mentioned);
        self.ndcg.push(list_ndcg(&relevance, talk.wanted.len(), count));
        self.recall.push(relevance.iter().sum::<f64>() / talk.wanted.len().max(1) as f64);
    }
}
