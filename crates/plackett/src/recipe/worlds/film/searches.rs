//! Films as texts, and searches for them by genre and decade. Words of a search come from templates, of which some are held out: a search that
//! is tested is in words that none was learned in.

use super::items::{FilmItem, read_films};
use crate::recipe::error::StageError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// The words of searches; the last ones, as many as [`HELD_OUT`], are held out.
const TEMPLATES: [&str; 4] = [
    "{genre} films of the {decade}s",
    "{decade}s {genre} movies",
    "a {genre} from the {decade}s",
    "looking for {genre} made in the {decade}s",
];
const HELD_OUT: usize = 1;

impl FilmItem {
    /// Title, year and genres, as far as they are there.
    fn text(&self) -> String {
        let parts = [self.title.clone(), self.year.clone(), self.genres.join(", ")];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(". ")
    }

    /// The genres, each with the first year of the decade; none without a year.
    fn kinds(&self) -> Vec<(String, u16)> {
        let decade = self.year.parse::<u16>().ok().map(|year| year / 10 * 10);
        decade
            .map_or_else(Vec::new, |decade| self.genres.iter().map(|genre| (genre.clone(), decade)).collect())
    }
}

/// The films of a catalogue with the searches that lead to them.
#[derive(Debug, Default)]
pub struct FilmSearches {
    /// The text of each film.
    pub texts: Vec<String>,
    /// The words of all searches.
    pub queries: Vec<String>,
    /// For each film the searches that are learned from, as places in [`FilmSearches::queries`].
    pub learned: Vec<Vec<u32>>,
    /// For each film those that are held out.
    pub held_out: Vec<Vec<u32>>,
}

impl FilmSearches {
    /// Of the films of a file, for a catalogue of their names.
    ///
    /// # Errors
    /// The file cannot be read, or lacks a film of the catalogue.
    pub fn load(path: &Path, catalogue: &[String]) -> Result<FilmSearches, StageError> {
        let items: HashMap<String, FilmItem> =
            read_films(path)?.into_iter().map(|item| (item.item.clone(), item)).collect();
        let known = catalogue.iter().map(|name| {
            items.get(name).ok_or_else(|| StageError::Field {
                field: "collection",
                problem: format!("{} has no film `{name}`, which somebody rated", path.display()),
            })
        });
        let known = known.collect::<Result<Vec<&FilmItem>, _>>()?;
        let pairs: BTreeSet<(String, u16)> = known.iter().flat_map(|item| item.kinds()).collect();
        let places: BTreeMap<(String, u16), usize> =
            pairs.iter().cloned().enumerate().map(|(at, pair)| (pair, at)).collect();
        let learned = TEMPLATES.len() - HELD_OUT;
        let of_item = |item: &&FilmItem, templates: std::ops::Range<usize>| -> Vec<u32> {
            let kinds = item.kinds();
            let first = |pair: &(String, u16)| places[pair] * TEMPLATES.len();
            kinds.iter().flat_map(|pair| templates.clone().map(move |at| (first(pair) + at) as u32)).collect()
        };
        Ok(FilmSearches {
            texts: known.iter().map(|item| item.text()).collect(),
            queries: pairs.iter().flat_map(written).collect(),
            learned: known.iter().map(|item| of_item(item, 0..learned)).collect(),
            held_out: known.iter().map(|item| of_item(item, learned..TEMPLATES.len())).collect(),
        })
    }
}

/// A search for a genre of a decade in the words of each template.
fn written((genre, decade): &(String, u16)) -> Vec<String> {
    let fill = |template: &&str| {
        template.replace("{genre}", &genre.to_lowercase()).replace("{decade}", &decade.to_string())
    };
    TEMPLATES.iter().map(fill).collect()
}

/// The texts of all films of a file, and all searches that may lead to them.
///
/// # Errors
/// The file cannot be read, or a line is damaged.
pub fn film_texts(path: &Path) -> Result<Vec<String>, StageError> {
    let items = read_films(path)?;
    let pairs: BTreeSet<(String, u16)> = items.iter().flat_map(FilmItem::kinds).collect();
    Ok(items.iter().map(FilmItem::text).chain(pairs.iter().flat_map(written)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tested_words_are_not_learned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let lines = "{\"item\":\"1\",\"title\":\"Alien\",\"year\":\"1979\",\"genres\":[\"Horror\",\"Sci-Fi\"]}\n\
                     {\"item\":\"2\",\"title\":\"Up\",\"genres\":[\"Comedy\"]}\n";
        std::fs::write(&path, lines).unwrap();
        let catalogue = ["2", "1"].map(str::to_string);
        let films = FilmSearches::load(&path, &catalogue).unwrap();
        assert_eq!(films.texts, ["Up. Comedy", "Alien. 1979. Horror, Sci-Fi"]);
        assert_eq!((films.learned[0].len(), films.learned[1].len(), films.held_out[1].len()), (0, 6, 2));
        assert!(films.learned.iter().flatten().all(|query| !films.held_out[1].contains(query)));
        assert_eq!(films.queries[films.held_out[1][0] as usize], "looking for horror made in the 1970s");
        let texts = film_texts(&path).unwrap();
        assert!(films.texts.iter().chain(&films.queries).all(|text| texts.contains(text)));
        assert!(
            FilmSearches::load(&path, &["3".to_string()]).unwrap_err().to_string().contains("no film `3`")
        );
    }
}
