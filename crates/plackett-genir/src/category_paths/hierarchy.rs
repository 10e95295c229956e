//! A hierarchy of categories, read from paths or from edges, cut at a depth.

use crate::GenirError;
use plackett_core::formats::{FormatError, Lines};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

/// What stands between the categories of a path where it is text.
pub const CATEGORY_SEPARATOR: &str = " >> ";
/// The separator without blanks, which no category may have.
const MARK: &str = ">>";
/// Most paths of a hierarchy: a category with several parents has a path for each way to it, and ways multiply.
const MOST_PATHS: usize = 1_000_000;

/// Categories from the broadest to the narrowest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CategoryPath(Vec<String>);

impl CategoryPath {
    /// A path of categories, in which runs of blanks become one.
    ///
    /// # Errors
    /// There is no category, one is blank, or one has the separator in it.
    pub fn new<S: AsRef<str>>(categories: impl IntoIterator<Item = S>) -> Result<CategoryPath, GenirError> {
        let plain = |name: S| name.as_ref().split_whitespace().collect::<Vec<_>>().join(" ");
        let categories: Vec<String> = categories.into_iter().map(plain).collect();
        let refused = |problem: &str| {
            let path = categories.join(CATEGORY_SEPARATOR);
            Err(GenirError::Setting(format!("the category path `{path}` {problem}")))
        };
        if categories.is_empty() {
            return refused("is empty; leave it out");
        }
        if categories.iter().any(String::is_empty) {
            return refused("has a blank category; name it or leave it out");
        }
        if categories.iter().any(|category| category.contains(MARK)) {
            return refused("has `>>` within a category; write it otherwise, it separates categories");
        }
        Ok(CategoryPath(categories))
    }

    /// The path that a text is, as [`CategoryPath`] is displayed.
    ///
    /// # Errors
    /// As [`CategoryPath::new`].
    pub fn parse(text: &str) -> Result<CategoryPath, GenirError> {
        CategoryPath::new(text.split(MARK))
    }

    /// The categories, the broadest first.
    pub fn categories(&self) -> &[String] {
        &self.0
    }
}

/// Categories with [`CATEGORY_SEPARATOR`] between them.
impl fmt::Display for CategoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(CATEGORY_SEPARATOR))
    }
}

/// The paths of a hierarchy, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CategoryHierarchy {
    paths: Vec<CategoryPath>,
    cut: usize,
}

impl CategoryHierarchy {
    /// A hierarchy of paths that are there, each cut to `depth` categories; what becomes equal is one, in the place of the first.
    ///
    /// # Errors
    /// There is no path, or `depth` is 0.
    pub fn of_paths(
        paths: impl IntoIterator<Item = CategoryPath>,
        depth: usize,
    ) -> Result<CategoryHierarchy, GenirError> {
        check_depth(depth)?;
        let mut seen = HashSet::new();
        let mut hierarchy = CategoryHierarchy::default();
        for mut path in paths {
            hierarchy.cut += usize::from(path.0.len() > depth);
            path.0.truncate(depth);
            if seen.insert(path.clone()) {
                hierarchy.paths.push(path);
            }
        }
        match hierarchy.paths.is_empty() {
            true => Err(GenirError::Setting("the hierarchy of categories has no path".into())),
            false => Ok(hierarchy),
        }
    }

    /// A hierarchy of edges from a category to a narrower one. Every way of at most `depth` categories from a category that is below
    /// no other one is a path, also where it goes on; ways are in the order of the alphabet.
    ///
    /// # Errors
    /// A category is below itself (the message has the circle), there is no edge, `depth` is 0, or there are more than a million ways.
    pub fn of_edges(edges: &[(String, String)], depth: usize) -> Result<CategoryHierarchy, GenirError> {
        check_depth(depth)?;
        let mut narrower: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut is_below: HashSet<&str> = HashSet::new();
        for (parent, child) in edges {
            narrower.entry(parent).or_default().push(child);
            narrower.entry(child).or_default();
            is_below.insert(child);
        }
        narrower.values_mut().for_each(|children| {
            children.sort_unstable();
            children.dedup();
        });
        if let Some(circle) = circle(&narrower) {
            let circle = circle.join(CATEGORY_SEPARATOR);
            let problem = format!("categories go round in a circle: {circle}; take out one of these edges");
            return Err(GenirError::Setting(problem));
        }
        let roots = narrower.keys().filter(|category| !is_below.contains(*category));
        let mut waiting: Vec<Vec<&str>> = roots.rev().map(|root| vec![*root]).collect();
        let (mut ways, mut cut) = (Vec::new(), 0);
        while let Some(way) = waiting.pop() {
            let below = way.last().and_then(|last| narrower.get(last)).map_or(&[][..], Vec::as_slice);
            if way.len() == depth {
                cut += usize::from(!below.is_empty());
            } else {
                waiting.extend(below.iter().rev().map(|child| way.iter().chain([child]).copied().collect()));
            }
            ways.push(CategoryPath::new(&way)?);
            if ways.len() > MOST_PATHS {
                let problem = format!(
                    "the hierarchy has more than {MOST_PATHS} ways; ask for a lesser depth than {depth}"
                );
                return Err(GenirError::Setting(problem));
            }
        }
        Ok(CategoryHierarchy { cut, ..CategoryHierarchy::of_paths(ways, depth)? })
    }

    /// Reads a file with a path a line, categories separated by `>>`; empty lines are left out.
    ///
    /// # Errors
    /// The file cannot be read, a line is no path, or as [`CategoryHierarchy::of_paths`].
    pub fn read_paths(path: &Path, depth: usize) -> Result<CategoryHierarchy, GenirError> {
        let paths = of_lines(path, |text| CategoryPath::parse(text).map_err(|error| error.to_string()))?;
        CategoryHierarchy::of_paths(paths, depth)
    }

    /// Reads a file with an edge a line: a category, a tab, a narrower one; empty lines are left out.
    ///
    /// # Errors
    /// The file cannot be read, a line is no edge, or as [`CategoryHierarchy::of_edges`].
    pub fn read_edges(path: &Path, depth: usize) -> Result<CategoryHierarchy, GenirError> {
        let edges = of_lines(path, |text| match text.split('\t').collect::<Vec<_>>()[..] {
            [parent, child] => {
                let names = CategoryPath::new([parent, child]).map_err(|error| error.to_string())?.0;
                Ok((names[0].clone(), names[1].clone()))
            }
            _ => Err("a category, a tab and a narrower category are expected".into()),
        })?;
        CategoryHierarchy::of_edges(&edges, depth)
    }

    /// The paths.
    pub fn paths(&self) -> &[CategoryPath] {
        &self.paths
    }

    /// How many paths were cut at the depth.
    pub fn cut(&self) -> usize {
        self.cut
    }
}

fn check_depth(depth: usize) -> Result<(), GenirError> {
    match depth {
        0 => Err(GenirError::Setting(
            "a hierarchy of depth 0 has no category; a depth from 1 is expected".into(),
        )),
        _ => Ok(()),
    }
}

/// The lines of a file that are not blank, each read by `read`.
pub(super) fn of_lines<T>(
    path: &Path,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, GenirError> {
    let mut lines = Lines::open(path, plackett_core::formats::DEFAULT_LINE_LIMIT)?;
    let mut all = Vec::new();
    while let Some(text) = lines.next()? {
        if text.trim().is_empty() {
            continue;
        }
        let parsed = read(text);
        all.push(parsed.map_err(|problem| GenirError::Form {
            path: path.into(),
            line: Some(lines.line() as usize),
            problem,
        })?);
    }
    match all.is_empty() {
        true => {
            let (file, expected) = (path.display().to_string(), "categories, one path or edge a line");
            Err(FormatError::Empty { file, expected }.into())
        }
        false => Ok(all),
    }
}

/// A way from a category back to itself, if there is one. Walked without recursion, since hierarchies of people can be deep.
fn circle<'c>(narrower: &BTreeMap<&'c str, Vec<&'c str>>) -> Option<Vec<&'c str>> {
    let mut left: HashSet<&str> = HashSet::new();
    for start in narrower.keys().copied() {
        let mut way: Vec<(&str, usize)> = vec![(start, 0)];
        let mut place: HashMap<&str, usize> = HashMap::from([(start, 0)]);
        while let Some((category, next)) = way.last_mut() {
            let category = *category;
            let child = narrower.get(category).and_then(|children| children.get(*next)).copied();
            *next += 1;
            match child {
                Some(child) if left.contains(child) => {}
                Some(child) => match place.get(child) {
                    Some(first) => {
                        return Some(way[*first..].iter().map(|(name, _)| *name).chain([child]).collect());
                    }
                    None => {
                        place.insert(child, way.len());
                        way.push((child, 0));
                    }
                },
                None => {
                    left.insert(category);
                    place.remove(category);
                    way.pop();
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(edges: &[[&str; 2]]) -> Vec<(String, String)> {
        edges.iter().map(|[parent, child]| (parent.to_string(), child.to_string())).collect()
    }

    fn texts(hierarchy: &CategoryHierarchy) -> Vec<String> {
        hierarchy.paths().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn paths_read_back_from_text_and_bad_ones_are_refused() {
        let path = CategoryPath::new(["Government", "Government  by cities"]).unwrap();
        assert_eq!(path.to_string(), "Government >> Government by cities");
        assert_eq!(CategoryPath::parse(&path.to_string()).unwrap(), path);
        for bad in ["", "a >> ", ">>"] {
            assert!(CategoryPath::parse(bad).is_err(), "{bad}");
        }
        assert!(CategoryPath::new(["a >> b"]).unwrap_err().to_string().contains("`>>` within"));
    }

    #[test]
    fn edges_become_all_ways_and_are_pruned_by_depth() {
        let graph = edges(&[["b", "d"], ["a", "b"], ["a", "c"], ["c", "d"], ["d", "e"]]);
        let whole = CategoryHierarchy::of_edges(&graph, 9).unwrap();
        let all =
            ["a", "a >> b", "a >> b >> d", "a >> b >> d >> e", "a >> c", "a >> c >> d", "a >> c >> d >> e"];
        assert_eq!((texts(&whole), whole.cut()), (all.map(str::to_string).to_vec(), 0));
        let pruned = CategoryHierarchy::of_edges(&graph, 2).unwrap();
        assert_eq!((texts(&pruned), pruned.cut()), (vec!["a".into(), "a >> b".into(), "a >> c".into()], 2));
        let error = CategoryHierarchy::of_edges(&graph, 0).unwrap_err().to_string();
        assert!(error.contains("depth 0"), "{error}");
    }

    #[test]
    fn circles_are_refused_with_their_categories() {
        for graph in [edges(&[["r", "a"], ["a", "b"], ["b", "c"], ["c", "a"]]), edges(&[["a", "a"]])] {
            let error = CategoryHierarchy::of_edges(&graph, 4).unwrap_err().to_string();
            assert!(error.contains("circle: a") && error.contains(">> a;"), "{error}");
        }
    }

    #[test]
    fn files_of_paths_and_edges_are_read_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("categories");
        std::fs::write(&file, "a >> b >> c\n\na>>b\na >> b >> d\n").unwrap();
        let read = CategoryHierarchy::read_paths(&file, 2).unwrap();
        assert_eq!((texts(&read), read.cut()), (vec!["a >> b".into()], 2));
        std::fs::write(&file, "a\tb\n\tc\n").unwrap();
        let error = CategoryHierarchy::read_edges(&file, 2).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("blank"), "{error}");
        std::fs::write(&file, "a\tb\nb\tc\n").unwrap();
        assert_eq!(texts(&CategoryHierarchy::read_edges(&file, 4).unwrap()), ["a", "a >> b", "a >> b >> c"]);
        std::fs::write(&file, "").unwrap();
        assert!(CategoryHierarchy::read_edges(&file, 4).is_err());
    }
}
