//! The catalogue's file, and what binds it to a model.
//!
//! A line of JSON each: first the header (version of the form, scheme, hash, count, codebooks, remarks, what it was made with, tokens), then
//! every item with its codes. The hash is that of the content, so a line that is lost, added or changed is seen.

use super::{Catalogue, CatalogueItem, Origin};
use crate::IdsError;
use plackett_core::formats::{DEFAULT_LINE_LIMIT, FormatError, Lines, atomic, json_problem, read_text};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The name of a catalogue in the directory of its model.
pub const CATALOGUE_FILE: &str = "catalogue.jsonl";
/// The name of the file that says which catalogue a model was trained with.
pub const BINDING_FILE: &str = "catalogue_binding.json";
/// The version of the form.
const FORM: u32 = 1;
/// The header has all tokens: a million of them in one line.
const HEADER_LIMIT: usize = 1 << 30;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    catalogue: u32,
    scheme: String,
    sha256: String,
    items: usize,
    codebooks: Vec<usize>,
    remarks: Vec<String>,
    /// Older files have none.
    #[serde(default)]
    made_with: Origin,
    tokens: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    codes: Vec<String>,
    title: String,
}

/// What a model was trained with.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Binding {
    catalogue_sha256: String,
    first_token: u32,
}

impl Catalogue {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), IdsError> {
        let header = Header {
            catalogue: FORM,
            scheme: self.scheme.clone(),
            sha256: self.sha256.clone(),
            items: self.len(),
            codebooks: self.codebooks.clone(),
            remarks: self.remarks.clone(),
            made_with: self.origin.clone(),
            tokens: self.tokens.clone(),
        };
        atomic::write(path, |out| {
            writeln!(out, "{}", serde_json::to_string(&header)?)?;
            for item in &self.items {
                let codes = item.codes.iter().map(|code| self.tokens[*code as usize].clone()).collect();
                let line = Line { id: item.id.clone(), codes, title: item.title.clone() };
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Reads a file and checks it whole; lines of items have at most [`DEFAULT_LINE_LIMIT`] bytes.
    ///
    /// # Errors
    /// As [`Catalogue::open_within`].
    pub fn open(path: &Path) -> Result<Catalogue, IdsError> {
        Catalogue::open_within(path, DEFAULT_LINE_LIMIT)
    }

    /// The same for lines of items of up to `limit` bytes; the header, which has all tokens, may be longer. Blank lines are passed over.
    ///
    /// # Errors
    /// It cannot be read, has another form or a line that is too long, or is not as it was written.
    pub fn open_within(path: &Path, limit: usize) -> Result<Catalogue, IdsError> {
        let file = || path.display().to_string();
        let wrong = |problem: String| IdsError::Catalogue { file: file(), problem };
        let mut lines = Lines::open(path, HEADER_LIMIT)?;
        let first = lines.next()?.unwrap_or_default().to_string();
        let header: Header = serde_json::from_str(&first).map_err(|error| FormatError::Json {
            file: file(),
            line: 1,
            expected: "the header of a catalogue (plackett ids build)",
            problem: json_problem(&first, &error),
        })?;
        if header.catalogue != FORM {
            return Err(wrong(format!(
                "a catalogue of form {}; this program reads form {FORM}; build it anew",
                header.catalogue
            )));
        }
        let numbers: HashMap<&str, u32> =
            header.tokens.iter().enumerate().map(|(number, token)| (token.as_str(), number as u32)).collect();
        let items = items_of(&mut lines, &numbers, limit)?;
        if items.len() != header.items {
            let (found, told) = (items.len(), header.items);
            return Err(wrong(format!(
                "it has {found} items and its header says {told}: lines are missing or were added; build it anew"
            )));
        }
        let Header { scheme, tokens, codebooks, remarks, made_with, .. } = header;
        let catalogue = Catalogue::of_parts(scheme, tokens, codebooks, items, remarks).map_err(wrong)?;
        if catalogue.sha256 != header.sha256 {
            return Err(wrong(
                "codes, titles or tokens were changed after it was written (its hash does not agree); build it anew".into(),
            ));
        }
        Ok(catalogue.with_origin(made_with))
    }

    /// Writes the catalogue into the directory of a model whose tokens for its codes follow each other from `first_token`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn bind(&self, directory: &Path, first_token: u32) -> Result<(), IdsError> {
        self.save(&directory.join(CATALOGUE_FILE))?;
        let binding = Binding { catalogue_sha256: self.sha256.clone(), first_token };
        let text = serde_json::to_string(&binding).map_err(std::io::Error::from);
        atomic::write(&directory.join(BINDING_FILE), |out| writeln!(out, "{}", text?))?;
        Ok(())
    }

    /// The catalogue that a model was trained with, and the token of its first code.
    ///
    /// # Errors
    /// A file cannot be read, or the catalogue is another one than the model's.
    pub fn open_bound(directory: &Path) -> Result<(Catalogue, u32), IdsError> {
        let path = directory.join(BINDING_FILE);
        let text = read_text(&path)?;
        let binding: Binding = serde_json::from_str(&text).map_err(|error| FormatError::Json {
            file: path.display().to_string(),
            line: 1,
            expected: "the catalogue that a model was trained with",
            problem: json_problem(&text, &error),
        })?;
        let path = directory.join(CATALOGUE_FILE);
        let catalogue = Catalogue::open(&path)?;
        if catalogue.sha256 != binding.catalogue_sha256 {
            let short = |hash: &str| hash.chars().take(12).collect::<String>();
            let (found, meant) = (short(&catalogue.sha256), short(&binding.catalogue_sha256));
            let problem = format!(
                "this is the catalogue {found}… ({}), and the model was trained with {meant}…: what it writes would mean other items; put its own catalogue back, or train anew",
                catalogue.scheme
            );
            return Err(IdsError::Catalogue { file: path.display().to_string(), problem });
        }
        Ok((catalogue, binding.first_token))
    }
}

/// The items behind the header; `numbers` has the codes of the tokens.
fn items_of(
    lines: &mut Lines<'_>,
    numbers: &HashMap<&str, u32>,
    limit: usize,
) -> Result<Vec<CatalogueItem>, IdsError> {
    let mut items = Vec::new();
    while let Some(text) = lines.next()? {
        let text = text.to_string();
        let (file, number) = (lines.file().to_string(), lines.line());
        if text.trim().is_empty() {
            continue;
        }
        if text.len() > limit {
            return Err(FormatError::LineTooLong { file, line: number, limit }.into());
        }
        let line: Line = serde_json::from_str(&text).map_err(|error| {
            let expected = "an item of a catalogue: id, codes and title";
            let problem = json_problem(&text, &error);
            FormatError::Json { file: file.clone(), line: number, expected, problem }
        })?;
        let code = |token: &String| {
            numbers.get(token.as_str()).copied().ok_or_else(|| IdsError::Catalogue {
                file: file.clone(),
                problem: format!(
                    "line {number}: the code `{token}` is not among the tokens of the header; build it anew"
                ),
            })
        };
        let codes = line.codes.iter().map(code).collect::<Result<_, IdsError>>()?;
        items.push(CatalogueItem { id: line.id, title: line.title, codes });
    }
    Ok(items)
}

/// Lines of outside files, which have no header.
pub(super) const LINE_LIMIT: usize = DEFAULT_LINE_LIMIT;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;
    use crate::scheme::{Source, parse};

    fn catalogue(scheme: &str) -> Catalogue {
        let item = |(id, title): (&str, &str)| Item { title: title.into(), ..Item::new(id) };
        let items: Vec<Item> = [("x", "Green tea"), ("y", "Green"), ("z z", "Green tea")].map(item).to_vec();
        parse(scheme).unwrap().catalogue(&Source::of_items(&items, 1)).unwrap()
    }

    #[test]
    fn a_saved_catalogue_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        for scheme in ["title", "atomic", "random(piece=2)"] {
            let catalogue = catalogue(scheme);
            catalogue.save(&path).unwrap();
            assert_eq!(Catalogue::open(&path).unwrap(), catalogue);
        }
    }

    #[test]
    fn what_it_was_made_with_is_kept_and_older_files_do_without() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        let plain = catalogue("random");
        assert_eq!(plain.origin(), &Origin { seed: Some(1), ..Origin::default() });
        let origin = Origin { seed: Some(7), vectors: Some("a-model".into()), held_out: Some(2) };
        let made = plain.clone().with_origin(origin.clone());
        assert_eq!(made.sha256(), plain.sha256());
        made.save(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let field = "\"made_with\":{\"seed\":7,\"vectors\":\"a-model\",\"held_out\":2},";
        assert!(text.contains(field), "{text}");
        assert_eq!(Catalogue::open(&path).unwrap(), made);
        assert_eq!(made.shuffled(1).unwrap().origin(), &origin);
        std::fs::write(&path, text.replace(field, "")).unwrap();
        let older = Catalogue::open(&path).unwrap();
        assert_eq!((older.origin(), older.items()), (&Origin::default(), plain.items()));
    }

    #[test]
    fn only_the_header_may_be_long_and_blank_lines_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        let own = catalogue("random(piece=2)");
        own.save(&path).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        let longest = whole.lines().skip(1).map(str::len).max().unwrap();
        assert!(whole.lines().next().unwrap().len() > longest);
        assert_eq!(Catalogue::open_within(&path, longest).unwrap(), own);
        let error = Catalogue::open_within(&path, longest - 1).unwrap_err().to_string();
        assert!(error.contains("c.jsonl, line ") && error.contains("--max-line-bytes"), "{error}");
        std::fs::write(&path, whole.replace('\n', "\n \n\n")).unwrap();
        assert_eq!(Catalogue::open(&path).unwrap(), own);
    }

    #[test]
    fn what_was_changed_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        catalogue("title").save(&path).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Catalogue::open(&path).unwrap_err().to_string()
        };
        let lines: Vec<&str> = whole.lines().collect();
        for (text, part) in [
            (whole.replacen("Green tea", "Green sea", 1), "its hash does not agree"),
            (lines[..3].join("\n"), "it has 2 items and its header says 3"),
            (whole.replace("\"catalogue\":1", "\"catalogue\":2"), "form 2"),
            (whole.replacen("\"codes\":[\"[\"", "\"codes\":[\"{\"", 1), "line 2: the code `{`"),
            (format!("{}\n{}\n{}\n{}", lines[0], lines[1], lines[1], lines[3]), "the item `x` stands twice"),
            ("{}".into(), "the header of a catalogue"),
            (String::new(), "line 1"),
        ] {
            let message = refused(&text);
            assert!(message.contains(part) && message.contains("c.jsonl"), "{message}");
        }
    }

    #[test]
    fn a_model_is_bound_to_its_catalogue() {
        let folder = tempfile::tempdir().unwrap();
        let own = catalogue("title");
        own.bind(folder.path(), 7).unwrap();
        assert_eq!(Catalogue::open_bound(folder.path()).unwrap(), (own, 7));
        catalogue("atomic").save(&folder.path().join(CATALOGUE_FILE)).unwrap();
        let error = Catalogue::open_bound(folder.path()).unwrap_err().to_string();
        assert!(error.contains("(atomic)") && error.contains("the model was trained with"), "{error}");
        std::fs::remove_file(folder.path().join(CATALOGUE_FILE)).unwrap();
        assert!(Catalogue::open_bound(folder.path()).is_err());
    }

    #[test]
    fn equal_titles_are_told_apart_and_statistics_count() {
        let catalogue = catalogue("title");
        let texts: Vec<String> = (0..3).map(|place| catalogue.text(place)).collect();
        assert_eq!(texts, ["[ green tea ] <same_0>", "[ green ]", "[ green tea ] <same_1>"]);
        let statistics = catalogue.statistics();
        assert!(statistics.is_prefix_free() && statistics.is_unique());
        assert_eq!(statistics.lengths.into_iter().collect::<Vec<_>>(), [(3, 1), (5, 2)]);
        let kept = super::tests::catalogue("title(duplicates=keep)");
        let statistics = kept.statistics();
        assert_eq!(
            (statistics.sequences, statistics.colliding_items, statistics.largest_collision),
            (2, 2, 2)
        );
        assert_eq!(kept.find(&kept.items()[0].codes), [0, 2]);
        assert!((statistics.levels[2].entropy - 0.918).abs() < 1e-3, "{:?}", statistics.levels);
        let trie = kept.trie(|code| code + 3).unwrap();
        assert_eq!((trie.trie.len(), trie.needs_end), (2, false));
        let rank = trie.trie.find(&kept.items()[1].codes.iter().map(|code| code + 3).collect::<Vec<_>>());
        assert_eq!(trie.items[rank.unwrap()], [1]);
        let one_token = super::tests::catalogue("atomic").trie(|_| 1).unwrap_err().to_string();
        assert!(one_token.contains("2 sequences become others"), "{one_token}");
    }

    #[test]
    fn shuffled_sequences_are_the_same_ones() {
        let catalogue = catalogue("random");
        let shuffled = catalogue.shuffled(3).unwrap();
        let sequences = |catalogue: &Catalogue| {
            let mut all: Vec<Vec<u32>> = catalogue.items().iter().map(|item| item.codes.clone()).collect();
            all.sort();
            all
        };
        assert_eq!(sequences(&catalogue), sequences(&shuffled));
        assert_ne!(catalogue.sha256(), shuffled.sha256());
        assert_eq!(catalogue.shuffled(3).unwrap(), shuffled);
    }
}
