//! Who chooses the paths of a document from its shortlist. A selector is a declaration and a line in [`SELECTORS`].

use super::CategoryPath;
use crate::GenirError;
use plackett_core::declaration::{
    self, Declaration, Expression, OptionKind, OptionSpec, OptionValues, suggestion,
};
use std::collections::HashSet;
use std::fmt;

/// All selectors. A new one is a declaration, and a line here.
pub static SELECTORS: &[&SelectorSpec] = &[&NEAREST, &BRANCHES];

/// Takes places of a shortlist of paths with their likeness.
type Select = fn(&OptionValues, &[(&CategoryPath, f64)]) -> Vec<usize>;

/// A selector: everything that is said of it, and what it does.
pub struct SelectorSpec {
    /// The name in expressions.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
    /// Places in the shortlist that are taken, the best first.
    select: Select,
}

/// The paths most alike.
static NEAREST: SelectorSpec = SelectorSpec {
    name: "nearest",
    summary: "the paths most like the document",
    options: &[PATHS],
    select: |options, shortlist| (0..shortlist.len().min(options.count("paths"))).collect(),
};

/// The path most alike of each broadest category.
static BRANCHES: SelectorSpec = SelectorSpec {
    name: "branches",
    summary: "of each broadest category the path most like the document, so that its paths differ from the first step on",
    options: &[PATHS],
    select: |options, shortlist| {
        let mut seen = HashSet::new();
        let is_new = |at: &usize| seen.insert(shortlist[*at].0.categories().first());
        (0..shortlist.len()).filter(is_new).take(options.count("paths")).collect()
    },
};

/// How many.
const PATHS: OptionSpec = OptionSpec {
    name: "paths",
    kind: OptionKind::Integer(1, 100),
    default: Some("3"),
    help: "paths of a document at most",
};

impl Declaration for SelectorSpec {
    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }
}

impl fmt::Debug for SelectorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A selector with options.
#[derive(Clone, Debug)]
pub struct PathSelector {
    spec: &'static SelectorSpec,
    options: OptionValues,
}

impl PathSelector {
    /// Places in a shortlist (paths with their similarity, the most alike first) that a document gets, the best first.
    pub fn select(&self, shortlist: &[(&CategoryPath, f64)]) -> Vec<usize> {
        (self.spec.select)(&self.options, shortlist)
    }
}

/// Reads `name` or `name(option=value, …)`.
///
/// # Errors
/// A selector or option is unknown, or a value is not allowed.
pub fn parse_selector(text: &str) -> Result<PathSelector, GenirError> {
    let refused = |problem: String| {
        GenirError::Setting(format!("cannot read the selector of paths `{text}`: {problem}"))
    };
    let expression = Expression::split(text).map_err(refused)?;
    let spec = declaration::find(SELECTORS, expression.name).map_err(|unknown| {
        let (known, nearest) = (unknown.known, suggestion(&unknown.nearest));
        refused(format!("there is no selector `{}` ({known}){nearest}", expression.name))
    })?;
    let written = expression.options().map_err(refused)?;
    let options = OptionValues::parse(spec.name, spec.options, written);
    Ok(PathSelector { spec, options: options.map_err(|error| refused(error.to_string()))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_take_from_the_front_of_the_list() {
        let paths = ["a >> b", "a >> c", "d", "a", "e >> f"].map(|path| CategoryPath::parse(path).unwrap());
        let listed: Vec<(&CategoryPath, f64)> = paths.iter().map(|path| (path, 0.5)).collect();
        let select = |text: &str| parse_selector(text).unwrap().select(&listed);
        assert_eq!(select("nearest"), [0, 1, 2]);
        assert_eq!(select("nearest(paths=9)"), [0, 1, 2, 3, 4]);
        assert_eq!(select("branches(paths=2)"), [0, 2]);
        assert_eq!(select("branches"), [0, 2, 4]);
        let error = parse_selector("nearst").unwrap_err().to_string();
        assert!(error.contains("nearest") && error.contains("branches"), "{error}");
        assert!(parse_selector("nearest(paths=0)").is_err());
    }
}
