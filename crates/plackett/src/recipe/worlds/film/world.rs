//! Films, and talks made of what people liked.

use super::items::{FilmItem, read_films};
use crate::recipe::error::StageError;
use plackett_core::title_list::{DatedTitle, TitleCatalogue};
use plackett_rec::{Event, read_interactions};
use plackett_train::random::Stream;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// The files that are read.
pub const FILES: [&str; 2] = ["items.jsonl", "interactions.tsv.gz"];
/// From which rating on a film was liked.
const LIKED: f32 = 4.0;
/// Films that somebody names.
const MENTIONED: usize = 2;
/// Talks of one person.
const TALKS: usize = 4;

/// A film.
#[derive(Clone, Debug)]
pub struct Film {
    /// Its title.
    pub title: DatedTitle,
    /// What it is, in the words of the collection.
    pub genres: Vec<String>,
    /// People who liked it.
    pub likes: usize,
}

impl Film {
    /// The first year of its decade.
    pub fn decade(&self) -> u16 {
        self.title.year / 10 * 10
    }
}

/// Somebody who liked some films asks for others of a genre and a decade.
#[derive(Clone, Debug, PartialEq)]
pub struct Talk {
    /// Who asks.
    pub user: String,
    /// What is asked for.
    pub genre: String,
    /// From when.
    pub decade: u16,
    /// Films that were named, as places in the catalogue.
    pub mentioned: Vec<usize>,
    /// Films of this kind that the person liked and did not name.
    pub wanted: Vec<usize>,
}

/// Films, those liked by most people first, of which the first ones are the catalogue.
pub struct FilmWorld {
    /// All of them.
    pub films: Vec<Film>,
    /// How many may be recommended.
    pub catalogue: usize,
    /// The catalogue by title.
    pub titles: TitleCatalogue,
    /// Talks of the people of three parts: to learn from, to choose by, to test.
    pub talks: [Vec<Talk>; 3],
    /// The films of the catalogue that each person liked, the first ones first.
    pub histories: Vec<(String, Vec<usize>)>,
}

impl FilmWorld {
    /// From a folder with [`FILES`], as MovieLens's.
    ///
    /// # Errors
    /// A file cannot be read, a line is damaged, or there are fewer films than the catalogue is to have.
    pub fn load(folder: &Path, catalogue: usize, seed: u64) -> Result<FilmWorld, StageError> {
        let items = read_films(&folder.join(FILES[0]))?;
        let liked = read_likes(&folder.join(FILES[1]))?;
        let mut likes: HashMap<&str, usize> = HashMap::new();
        liked.values().flatten().for_each(|item| *likes.entry(item).or_default() += 1);
        let mut order: Vec<(usize, &FilmItem)> =
            items.iter().map(|item| (likes.get(item.item.as_str()).copied().unwrap_or(0), item)).collect();
        order.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.item.cmp(&b.1.item)));
        let (mut films, mut places, mut seen) = (Vec::new(), HashMap::new(), HashSet::new());
        for (likes, item) in order {
            // A film without a year cannot be named so, and one whose title and year another one has cannot be told from it.
            let Some(year) = item.year.parse().ok().filter(|year| (1000..=9999).contains(year)) else {
                continue;
            };
            let title = DatedTitle::new(&spoken(&item.title), year);
            if title.title.is_empty() || !seen.insert(title.clone()) {
                continue;
            }
            places.insert(item.item.as_str(), films.len());
            films.push(Film { title, genres: item.genres.clone(), likes });
        }
        if films.len() < catalogue {
            let problem = format!("the collection has {} films with a year", films.len());
            return Err(StageError::Field { field: "catalogue", problem });
        }
        let titles = TitleCatalogue::new(films.iter().take(catalogue).map(|film| &film.title));
        let mut world =
            FilmWorld { films, catalogue, titles, talks: Default::default(), histories: Vec::new() };
        for (user, items) in &liked {
            let liked = items.iter().filter_map(|item| places.get(item.as_str()).copied());
            let liked: Vec<usize> = liked.filter(|place| *place < catalogue).collect();
            let part = match hash(user, seed) % 10 {
                0 => 1,
                1 | 2 => 2,
                _ => 0,
            };
            let talks = world.talks_of(user, &liked, seed);
            world.talks[part].extend(talks);
            world.histories.push((user.clone(), liked));
        }
        Ok(world)
    }

    /// What somebody may ask for: genres and decades of which two or more films were liked.
    fn talks_of(&self, user: &str, liked: &[usize], seed: u64) -> Vec<Talk> {
        let mut kinds: BTreeMap<(&str, u16), Vec<usize>> = BTreeMap::new();
        for place in liked {
            let film = &self.films[*place];
            for genre in &film.genres {
                kinds.entry((genre, film.decade())).or_default().push(*place);
            }
        }
        let kinds: Vec<_> = kinds.into_iter().filter(|(_, places)| places.len() >= 2).collect();
        let stream = Stream::new(hash(user, seed), 0);
        let talk = |at: usize| {
            let ((genre, decade), places) = &kinds[at];
            let others = Stream::new(hash(user, seed), 1 + at as u64).permutation(liked.len());
            let others = others.into_iter().map(|other| liked[other]);
            let mentioned: Vec<usize> =
                others.filter(|place| !places.contains(place)).take(MENTIONED).collect();
            let (genre, decade, wanted) = (genre.to_string(), *decade, places.clone());
            (mentioned.len() == MENTIONED).then(|| Talk {
                user: user.into(),
                genre,
                decade,
                mentioned,
                wanted,
            })
        };
        stream.permutation(kinds.len()).into_iter().filter_map(talk).take(TALKS).collect()
    }

    /// The films that may be recommended.
    pub fn catalogue(&self) -> &[Film] {
        &self.films[..self.catalogue]
    }
}

/// A title as it is spoken: "Usual Suspects, The" is "The Usual Suspects".
fn spoken(title: &str) -> String {
    let words = |text: &str| {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    };
    let article = ["The", "A", "An"]
        .into_iter()
        .find_map(|article| Some((article, title.strip_suffix(article)?.strip_suffix(", ")?)));
    match article {
        Some((article, rest)) => format!("{article} {}", words(rest)),
        None => words(title),
    }
}

/// A number that follows from a name and the seed.
fn hash(name: &str, seed: u64) -> u64 {
    name.bytes().fold(seed ^ 0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    }) >> 7
}

/// The films that each person liked, the first ones first.
fn read_likes(path: &Path) -> Result<BTreeMap<String, Vec<String>>, StageError> {
    let all = read_interactions(path, Some(LIKED))?;
    let items =
        |events: &Vec<Event>| events.iter().map(|event| all.items[event.item as usize].clone()).collect();
    Ok(all.users.iter().cloned().zip(all.sequences.iter().map(items)).collect())
}
