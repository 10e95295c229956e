//! The category paths of documents, read from a file.

use super::hierarchy::of_lines;
use super::{CategoryHierarchy, CategoryPath, nearest_path};
use crate::GenirError;
use crate::representation::TextPair;
use plackett_train::trainer::words_of;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Says which document an id is of.
pub type PlaceOf<'p> = dyn Fn(&str) -> Option<usize> + 'p;

/// The paths of documents, and the hierarchy that they make.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentPaths {
    /// The hierarchy.
    pub hierarchy: CategoryHierarchy,
    /// For each document its paths, as places in the hierarchy and in the order of the file; none where the file has none.
    pub documents: Vec<Vec<usize>>,
    /// Lines of ids that are of no document.
    pub unknown: usize,
}

impl DocumentPaths {
    /// Reads a file with an id, a tab and a path (`A >> B`) a line, for so many documents; a document of several lines has several paths.
    /// Each is cut to `depth` categories. Empty lines are left out.
    ///
    /// # Errors
    /// The file cannot be read, a line is of another form, no id is of a document, or `depth` is 0.
    pub fn read(
        path: &Path,
        depth: usize,
        (count, place): (usize, &PlaceOf<'_>),
    ) -> Result<DocumentPaths, GenirError> {
        let lines = of_lines(path, |line| {
            let (id, whole) = line.split_once('\t').ok_or("an id, a tab and a category path are expected")?;
            let whole = CategoryPath::parse(whole).map_err(|error| error.to_string())?;
            Ok((place(id.trim()), whole))
        })?;
        let unknown = lines.iter().filter(|(document, _)| document.is_none()).count();
        if unknown == lines.len() {
            let problem = format!("none of its {unknown} lines begins with the id of a document");
            return Err(GenirError::Form { path: path.into(), line: None, problem });
        }
        let own: Vec<(usize, CategoryPath)> =
            lines.into_iter().filter_map(|(document, whole)| Some((document?, whole))).collect();
        let hierarchy = CategoryHierarchy::of_paths(own.iter().map(|(_, whole)| whole.clone()), depth)?;
        let documents = placed(&own, &hierarchy, depth, count)?;
        Ok(DocumentPaths { hierarchy, documents, unknown })
    }

    /// For each text the path of its document with which it has the most words in common; of equal ones the first.
    pub fn most_words_in_common(&self, texts: &[&TextPair]) -> Vec<usize> {
        let words: Vec<HashSet<String>> =
            self.hierarchy.paths().iter().map(|path| words_of(&path.to_string()).collect()).collect();
        let nearest = |pair: &&TextPair| {
            let own: HashSet<String> = words_of(&pair.text).collect();
            let common = |path: usize| words[path].intersection(&own).count() as f64;
            self.documents.get(pair.document).and_then(|paths| nearest_path(paths, common))
        };
        // A text of a document without a path has been refused before.
        texts.iter().map(|pair| nearest(pair).unwrap_or_default()).collect()
    }
}

/// The places of the paths of each document.
fn placed(
    own: &[(usize, CategoryPath)],
    hierarchy: &CategoryHierarchy,
    depth: usize,
    count: usize,
) -> Result<Vec<Vec<usize>>, GenirError> {
    let places: HashMap<&CategoryPath, usize> =
        hierarchy.paths().iter().enumerate().map(|(at, path)| (path, at)).collect();
    let mut documents: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (document, whole) in own {
        let cut = CategoryPath::new(whole.categories().iter().take(depth))?;
        let paths = documents.get_mut(*document).zip(places.get(&cut));
        if let Some((paths, path)) = paths.filter(|(paths, path)| !paths.contains(path)) {
            paths.push(*path);
        }
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, depth: usize) -> Result<DocumentPaths, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("paths.tsv");
        std::fs::write(&file, text).unwrap();
        let place = |id: &str| ["a", "b"].iter().position(|own| *own == id);
        DocumentPaths::read(&file, depth, (2, &place)).map_err(|error| error.to_string())
    }

    #[test]
    fn documents_get_the_paths_of_their_lines_cut_and_each_once() {
        let found =
            read("a\tArt >> Music >> Jazz\nb\tCities\n\na\tArt >> Music\nother\tX\na\tCities\n", 2).unwrap();
        let paths: Vec<String> = found.hierarchy.paths().iter().map(CategoryPath::to_string).collect();
        assert_eq!(paths, ["Art >> Music", "Cities"]);
        assert_eq!(found.documents, [vec![0, 1], vec![1]]);
        assert_eq!((found.unknown, found.hierarchy.cut()), (1, 1));
    }

    #[test]
    fn a_text_has_the_path_that_it_shares_words_with() {
        let found = read("a\tArt >> Music\na\tOld cities\nb\tArt >> Music\n", 3).unwrap();
        let pair = |text: &str| TextPair { text: text.into(), document: 0 };
        let texts = ["the music of cities that are old", "Music", "nothing of it"].map(pair);
        let texts: Vec<&TextPair> = texts.iter().collect();
        assert_eq!(found.most_words_in_common(&texts), [1, 0, 0]);
    }

    #[test]
    fn lines_of_another_form_are_refused_by_number() {
        let error = read("a\tArt\nArt >> Music\n", 3).unwrap_err();
        assert!(error.contains("line 2") && error.contains("a tab and a category path"), "{error}");
        assert!(read("a\tArt >> >> Music\n", 3).unwrap_err().contains("blank category"));
        assert!(read("other\tArt\n", 3).unwrap_err().contains("none of its 1 lines"));
        assert!(read("a\tArt\n", 0).unwrap_err().contains("depth 0"));
    }
}
