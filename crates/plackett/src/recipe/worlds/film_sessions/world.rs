//! Sessions to learn from and to be asked for.

use crate::recipe::error::StageError;
use crate::recipe::field::Values;
use crate::recipe::worlds::choosing::TextVectors;
use crate::recipe::worlds::film::FilmSearches;
use plackett_ids::scheme::{Source, parse};
use plackett_ids::{Catalogue, Item, VectorTable};
use plackett_rec::onerec::{ItemTokens, Session, SessionRule, sessions};
use plackett_rec::{Event, Interactions, read_interactions};
use std::path::Path;

/// The file of what people rated.
pub const FILE: &str = "interactions.tsv.gz";
/// Codebooks, one after the other.
pub(super) const LEVELS: usize = 3;
/// From which rating on a film was liked.
const LIKED: f32 = 4.0;
/// Films that somebody has to have liked before a session.
const HISTORY: usize = 5;
const DAY: i64 = 86_400;

/// What sessions are learned from, and which are asked for.
pub struct SessionWorld {
    /// Films as tokens.
    pub tokens: ItemTokens,
    /// The identifiers, and those of residual k-means without balance.
    pub catalogues: [Catalogue; 2],
    /// Codes of a codebook.
    pub codes: usize,
    /// What happened before the session of each person that is asked for.
    before: Interactions,
    /// The last good session of each person who is asked for, with the name.
    pub asked: Vec<(String, Session)>,
    /// Films of a session.
    pub length: usize,
    /// The vectors of all films' texts, one after another.
    pub texts: Vec<f32>,
    /// What has to be known of it.
    pub remarks: Vec<String>,
}

/// Sessions of films that were liked, or of all that were rated.
fn rule(length: usize, watched: f32) -> SessionRule {
    SessionRule {
        length,
        within: DAY,
        watched,
        least_total: 0.0,
        liked: LIKED,
        least_liked: 0,
        least_history: HISTORY,
    }
}

impl SessionWorld {
    /// From a folder with the ratings, a file of films, and vectors of their texts; `values` have `length`, `codes` and `tested`.
    ///
    /// # Errors
    /// A file cannot be read, a film has no vector, or identifiers cannot be made.
    pub fn load(
        folder: &Path,
        (vectors, films): (&TextVectors, &Path),
        values: &Values,
    ) -> Result<SessionWorld, StageError> {
        let all = read_interactions(&folder.join(FILE), None)?;
        let (length, codes) = (values.count("length"), values.count("codes"));
        let films = FilmSearches::load(films, &all.items)?;
        let mut texts = Vec::new();
        let mut rows = Vec::new();
        for text in &films.texts {
            let vector = vectors.get(text)?;
            texts.extend_from_slice(vector);
            rows.push(vector.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>());
        }
        let items: Vec<Item> = all.items.iter().map(Item::new).collect();
        let rows = VectorTable::of_rows(&items, &rows)?;
        let source = Source { vectors: Some(&rows), ..Source::of_items(&items, 1) };
        let of = |scheme: &str, more: &str| -> Result<Catalogue, StageError> {
            let text = format!("{scheme}(levels={LEVELS}, codes={codes}, duplicates=keep{more})");
            Ok(parse(&text)?.catalogue(&source)?)
        };
        let catalogues = [of("balanced-rq", ", fill=turn")?, of("rq", "")?];
        let made = sessions(&all, &rule(length, LIKED));
        let mut asked: Vec<(String, Session)> = Vec::new();
        for session in &made.all {
            let name = &all.users[session.user];
            match asked.last_mut() {
                Some((last, held)) if last == name => *held = session.clone(),
                _ => asked.push((name.clone(), session.clone())),
            }
        }
        let before = cut(&all, &asked);
        asked.truncate(values.count("tested"));
        let mut liked = vec![0; all.items.len()];
        let events = before.sequences.iter().flatten().filter(|event| event.rating >= LIKED);
        events.for_each(|event| liked[event.item as usize] += 1);
        let places: Vec<Vec<u32>> = catalogues[0]
            .items()
            .iter()
            .map(|item| {
                item.codes.iter().enumerate().map(|(level, code)| code - (level * codes) as u32).collect()
            })
            .collect();
        let remarks = vec![format!(
            "{} sessions have fewer than {HISTORY} liked films before them and are left out, and {} liked films are in no session",
            made.early, made.outside
        )];
        let tokens = ItemTokens::new(&places, codes, &liked)?;
        Ok(SessionWorld { tokens, catalogues, codes, before, asked, length, texts, remarks })
    }

    /// How many films there are.
    pub fn films(&self) -> usize {
        self.before.items.len()
    }

    /// The liked films of everybody, before what is asked for, the oldest first.
    pub fn liked(&self) -> Vec<Vec<u32>> {
        let liked = |events: &Vec<Event>| {
            let liked = events.iter().filter(|event| event.rating >= LIKED);
            liked.map(|event| event.item).collect()
        };
        self.before.sequences.iter().map(liked).collect()
    }

    /// Sessions of `length` liked films that models learn to write; before what is asked for.
    pub fn learned(&self, length: usize) -> Vec<Session> {
        sessions(&self.before, &rule(length, LIKED)).all
    }

    /// Sessions of all rated films, good and bad, which reward models learn from.
    pub fn logged(&self) -> Vec<Session> {
        sessions(&self.before, &rule(self.length, f32::MIN)).all
    }
}

/// What happened before the session of each person who has one that is asked for.
fn cut(all: &Interactions, asked: &[(String, Session)]) -> Interactions {
    let mut before = all.clone();
    for (_, session) in asked {
        let events = &mut before.sequences[session.user];
        let first = events.iter().position(|event| event.item == session.items[0]);
        events.truncate(first.unwrap_or(events.len()));
    }
    before
}
