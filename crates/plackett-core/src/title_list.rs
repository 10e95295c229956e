//! Lists of titles that a model writes line by line, `Title (Year)`: reading them, and what their items are worth to
//! somebody who named what they liked (Rank-GRPO, 2025, section on rewards).

use std::collections::HashMap;
use std::ops::Range;

/// Quotes and markup around a title.
const MARKS: [char; 8] = ['*', '_', '"', '\'', '“', '”', '`', '’'];

/// A title with its year.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DatedTitle {
    /// Its words, in lower case, with one blank between.
    pub title: String,
    /// When it came out.
    pub year: u16,
}

impl DatedTitle {
    /// Case and blanks do not count.
    pub fn new(title: &str, year: u16) -> DatedTitle {
        DatedTitle { title: compared(title), year }
    }
}

/// A title as it is compared: in lower case, with one blank between words. Quotes at either side are left out of what is read, and so of what it is
/// compared with.
fn compared(title: &str) -> String {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    title.trim_matches(MARKS).trim().to_string()
}

/// A line without the number, bullet, markup and quotes around what it says.
pub fn bare_line(line: &str) -> &str {
    let line = line.trim().trim_start_matches(['-', '*', '•', '#', ' ', '\t']);
    without_number(line).trim_matches(MARKS).trim()
}

/// What two lines that name the same title have in common, with a year or without one; empty for a line that names none.
pub fn title_key(line: &str) -> String {
    match read_title_line(line) {
        Some(DatedTitle { title, year }) => format!("{title} ({year})"),
        None => compared(bare_line(line)),
    }
}

/// Reads a line `Title (Year)`; numbers, bullets, markup and quotes around it do not count. `None` for a line that is none.
pub fn read_title_line(line: &str) -> Option<DatedTitle> {
    let (title, year) = bare_line(line).strip_suffix(')')?.rsplit_once('(')?;
    let is_year = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    let title = title.trim().trim_matches(MARKS).trim();
    let year = year.parse().ok().filter(|_| is_year && !title.is_empty())?;
    Some(DatedTitle::new(title, year))
}

/// The line without `12.`, `12)` or `[12]` before it.
fn without_number(line: &str) -> &str {
    let inside = line.strip_prefix('[').unwrap_or(line);
    let after = inside.trim_start_matches(|c: char| c.is_ascii_digit());
    if after.len() == inside.len() {
        return line;
    }
    // A colon is part of titles: 2001: A Space Odyssey.
    match after.strip_prefix(['.', ')', ']']) {
        Some(rest) if rest.starts_with([' ', '\t']) || line.starts_with('[') => rest.trim_start(),
        _ => line,
    }
}

/// The tokens of each line of a text, from the text of each token: what ends a line belongs to it, also where its token has
/// more than the end. The last line may lack its end.
pub fn line_spans<S: AsRef<str>>(pieces: impl IntoIterator<Item = S>) -> Vec<Range<usize>> {
    let (mut spans, mut start, mut count) = (Vec::new(), 0, 0);
    for piece in pieces {
        count += 1;
        if piece.as_ref().contains('\n') {
            spans.push(start..count);
            start = count;
        }
    }
    if start < count {
        spans.push(start..count);
    }
    spans
}

/// A catalogue of titles, for matching what was written.
#[derive(Clone, Debug, Default)]
pub struct TitleCatalogue {
    places: HashMap<String, Vec<(u16, usize)>>,
}

impl TitleCatalogue {
    /// From its titles, in order.
    pub fn new<'t>(titles: impl IntoIterator<Item = &'t DatedTitle>) -> TitleCatalogue {
        let mut places: HashMap<String, Vec<(u16, usize)>> = HashMap::new();
        for (place, title) in titles.into_iter().enumerate() {
            places.entry(title.title.clone()).or_default().push((title.year, place));
        }
        TitleCatalogue { places }
    }

    /// Whether this title and year are in it.
    pub fn has(&self, title: &DatedTitle) -> bool {
        self.find(title, 0).is_some()
    }

    /// All places of a title, with their years.
    fn dated(&self, title: &DatedTitle) -> &[(u16, usize)] {
        self.places.get(&title.title).map_or(&[], Vec::as_slice)
    }

    /// The place of a title whose year is at most `tolerance` away; of several the nearest, then the first.
    pub fn find(&self, title: &DatedTitle, tolerance: u16) -> Option<usize> {
        let same = self.places.get(&title.title)?;
        let near = same.iter().filter(|(year, _)| year.abs_diff(title.year) <= tolerance);
        near.min_by_key(|(year, place)| (year.abs_diff(title.year), *place)).map(|(_, place)| *place)
    }
}

/// The relevance of each line: 1 for one that names a wanted title that no line before it has named, is in the catalogue and has not
/// been mentioned by the user. A wanted title may have been made up to two years from the named one (a remake has its own year). `wanted` and `mentioned` are places in the catalogue.
pub fn line_relevance(
    lines: &[Option<DatedTitle>],
    catalogue: &TitleCatalogue,
    wanted: &[usize],
    mentioned: &[usize],
) -> Vec<f64> {
    const YEARS: u16 = 2;
    let mut open: Vec<usize> = wanted.to_vec();
    let mut relevance = |line: &Option<DatedTitle>| {
        let title = line.as_ref().filter(|title| catalogue.has(title))?;
        let near = || {
            let mut near: Vec<&(u16, usize)> = catalogue.dated(title).iter().collect();
            near.retain(|(year, _)| year.abs_diff(title.year) <= YEARS);
            near.sort_by_key(|(year, place)| (year.abs_diff(title.year), *place));
            near.into_iter().map(|(_, place)| *place)
        };
        let is_own = |place: usize| catalogue.find(title, 0) == Some(place);
        if mentioned.iter().any(|place| is_own(*place)) {
            return None;
        }
        let place = near().find(|place| open.contains(place) && !mentioned.contains(place))?;
        open.retain(|wanted| *wanted != place);
        Some(1.0)
    };
    lines.iter().map(|line| relevance(line).unwrap_or(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whatever_stands_around_them() {
        let heat = Some(DatedTitle { title: "heat".into(), year: 1995 });
        for line in [
            "Heat (1995)",
            " 1. Heat (1995) ",
            "12) **Heat** (1995)",
            "- \"Heat\" (1995)",
            "[3] HEAT  (1995)",
        ] {
            assert_eq!(read_title_line(line), heat, "{line}");
        }
        let numbers = Some(DatedTitle { title: "12 angry men".into(), year: 1957 });
        assert_eq!(read_title_line("12 Angry Men (1957)"), numbers);
        assert_eq!(read_title_line("3. 12 Angry Men (1957)"), numbers);
        for (line, title) in [
            ("2001: A Space Odyssey (1968)", "2001: a space odyssey"),
            ("4. 300: Rise of an Empire (2014)", "300: rise of an empire"),
            ("'night, Mother (1986)", "night, mother"),
        ] {
            let read = read_title_line(line).unwrap();
            assert_eq!(read.title, title);
            assert_eq!(
                read,
                DatedTitle::new(line.rsplit_once(" (").unwrap().0.trim_start_matches("4. "), read.year)
            );
        }
        let brackets = Some(DatedTitle { title: "léon (the professional)".into(), year: 1994 });
        assert_eq!(read_title_line("Léon (The Professional) (1994)"), brackets);
        for line in ["", "Heat", "Heat 1995", "Heat (95)", "(1995)", "Heat (1995) is good", "Heat (19955)"] {
            assert_eq!(read_title_line(line), None, "{line}");
        }
    }

    #[test]
    fn lines_of_one_title_have_one_key() {
        for line in ["Heat (1995)", "3. **HEAT  (1995)**", "- \"Heat\" (1995)"] {
            assert_eq!(title_key(line), "heat (1995)", "{line}");
        }
        // Without a year the words are all there is.
        assert_eq!([title_key("2) Blue  Pump"), title_key("* blue pump")], ["blue pump", "blue pump"]);
        assert_eq!([title_key(" - "), title_key("")], ["", ""]);
        assert_eq!(bare_line(" 12. *Heat* "), "Heat");
    }

    #[test]
    fn the_end_of_a_line_belongs_to_it() {
        assert_eq!(line_spans(["Heat", " (1995)", "\n", "Fargo", " (1996)"]), [0..3, 3..5]);
        // An end with more in its token.
        assert_eq!(line_spans(["a", "b)\n\n", "c", "\nd"]), [0..2, 2..4]);
        assert!(line_spans::<&str>([]).is_empty());
    }

    #[test]
    fn a_line_is_relevant_once_and_within_two_years() {
        let titles: Vec<DatedTitle> =
            [("Heat", 1995), ("Fargo", 1996), ("Alien", 1979), ("Heat", 1986), ("Heat", 1997)]
                .map(|(title, year)| DatedTitle::new(title, year))
                .to_vec();
        let catalogue = TitleCatalogue::new(&titles);
        assert_eq!(catalogue.find(&DatedTitle::new("heat", 1987), 2), Some(3));
        assert_eq!(catalogue.find(&DatedTitle::new("heat", 1991), 2), None);
        let lines: Vec<Option<DatedTitle>> =
            ["Fargo (1998)", "Fargo (1996)", "Fargo (1996)", "Alien (1979)", "Heat (1997)", "Heat (1986)"]
                .map(read_title_line)
                .to_vec();
        // Fargo is in the catalogue in its own year alone and counts once, Alien was mentioned, the Heat of 1997 is two years from the
        // wanted one, and that of 1986 too far.
        assert_eq!(line_relevance(&lines, &catalogue, &[0, 1, 2], &[2]), [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
        let both = line_relevance(&lines[4..5], &catalogue, &[0, 4], &[]);
        assert_eq!((both, line_relevance(&lines[4..5], &catalogue, &[0], &[4])), (vec![1.0], vec![0.0]));
    }
}
