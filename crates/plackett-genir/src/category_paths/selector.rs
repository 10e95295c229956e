//! Who chooses the paths of a document from its shortlist. A selector is a declaration and a line in [`SELECTORS`].

use super::CategoryPath;
use super::asked::{ShownDocument, chosen_paths, selection_prompt};
use crate::GenirError;
use plackett_core::declaration::{self, Expression, OptionKind, OptionSpec, OptionValues, suggestion};
use std::collections::HashSet;

/// All selectors. A new one is a declaration, and a line here.
pub static SELECTORS: &[&SelectorSpec] = &[&NEAREST, &BRANCHES, &LANGUAGE_MODEL];

/// Answers prompts, each with a reply in the place of the prompt.
pub type PathAsker<'a> = dyn Fn(&[String]) -> Result<Vec<String>, GenirError> + 'a;

/// Takes places of a shortlist of paths with their likeness.
type ByLikeness = fn(&OptionValues, &[(&CategoryPath, f64)]) -> Vec<usize>;

/// How paths are taken.
enum Select {
    /// By what is known of the shortlist.
    Likeness(ByLikeness),
    /// As a language model says.
    Asked,
}

/// A selector: everything that is said of it, and what it does.
pub struct SelectorSpec {
    /// The name in expressions.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
    /// How places in the shortlist are taken, the best first.
    select: Select,
}

/// The paths most alike.
static NEAREST: SelectorSpec = SelectorSpec {
    name: "nearest",
    aliases: &[],
    summary: "the paths most like the document",
    options: &[PATHS],
    select: Select::Likeness(|options, shortlist| (0..shortlist.len().min(options.count("paths"))).collect()),
};

/// The path most alike of each broadest category.
static BRANCHES: SelectorSpec = SelectorSpec {
    name: "branches",
    aliases: &[],
    summary: "of each broadest category the path most like the document, so that its paths differ from the first step on",
    options: &[PATHS],
    select: Select::Likeness(|options, shortlist| {
        let mut seen = HashSet::new();
        let is_new = |at: &usize| seen.insert(shortlist[*at].0.categories().first());
        (0..shortlist.len()).filter(is_new).take(options.count("paths")).collect()
    }),
};

/// The paths that a language model names.
static LANGUAGE_MODEL: SelectorSpec = SelectorSpec {
    name: "language-model",
    aliases: &[],
    summary: "the paths that a language model names, which is shown the document and the numbered shortlist; the most alike one where it names none",
    options: &[PATHS, WORDS],
    select: Select::Asked,
};

/// How many.
const PATHS: OptionSpec = OptionSpec {
    name: "paths",
    kind: OptionKind::Integer(1, 100),
    default: Some("3"),
    help: "paths of a document at most",
};

/// How much of a document is shown.
const WORDS: OptionSpec = OptionSpec {
    name: "words",
    kind: OptionKind::Integer(1, 100_000),
    default: Some("200"),
    help: "words of a document that are shown",
};

plackett_core::impl_declaration!(SelectorSpec);

/// A selector with options.
#[derive(Clone, Debug)]
pub struct PathSelector {
    spec: &'static SelectorSpec,
    options: OptionValues,
}

/// What documents get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectedPaths {
    /// For each document places in its shortlist, the best first.
    pub places: Vec<Vec<usize>>,
    /// Documents for which a language model has named no path of the shortlist; they get the most alike one.
    pub unnamed: usize,
}

impl PathSelector {
    /// Whether a language model is asked.
    pub fn asks(&self) -> bool {
        matches!(self.spec.select, Select::Asked)
    }

    /// The paths of documents. `ask` is called once, with a prompt for each document, where [`PathSelector::asks`], and never otherwise.
    ///
    /// # Errors
    /// What `ask` says, or not a reply for each prompt.
    pub fn select(
        &self,
        documents: &[ShownDocument<'_>],
        ask: &PathAsker<'_>,
    ) -> Result<SelectedPaths, GenirError> {
        let most = self.options.count("paths");
        if let Select::Likeness(select) = self.spec.select {
            let places = documents.iter().map(|document| select(&self.options, &document.shortlist));
            return Ok(SelectedPaths { places: places.collect(), unnamed: 0 });
        }
        let words = self.options.count("words");
        let prompts: Vec<String> =
            documents.iter().map(|document| selection_prompt(document, most, words)).collect();
        let replies = ask(&prompts)?;
        if replies.len() != prompts.len() {
            let (replies, prompts) = (replies.len(), prompts.len());
            let problem =
                format!("{replies} replies to {prompts} questions for paths; one to each is expected");
            return Err(GenirError::Setting(problem));
        }
        let mut selected = SelectedPaths::default();
        for (document, reply) in documents.iter().zip(&replies) {
            let shown = document.shortlist.len();
            let mut chosen = chosen_paths(reply, shown, most);
            if chosen.is_empty() {
                selected.unnamed += 1;
                chosen.extend((shown > 0).then_some(0));
            }
            selected.places.push(chosen);
        }
        Ok(selected)
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
        let shortlist = paths.iter().map(|path| (path, 0.5)).collect();
        let shown = [ShownDocument { text: "not read", shortlist }];
        let nobody = |_: &[String]| -> Result<Vec<String>, GenirError> {
            Err(GenirError::Setting("nobody is asked".into()))
        };
        let select = |text: &str| {
            let selector = parse_selector(text).unwrap();
            assert!(!selector.asks());
            selector.select(&shown, &nobody).unwrap().places.remove(0)
        };
        assert_eq!(select("nearest"), [0, 1, 2]);
        assert_eq!(select("nearest(paths=9)"), [0, 1, 2, 3, 4]);
        assert_eq!(select("branches(paths=2)"), [0, 2]);
        assert_eq!(select("branches"), [0, 2, 4]);
        let error = parse_selector("nearst").unwrap_err().to_string();
        assert!(error.contains("nearest") && error.contains("branches"), "{error}");
        assert!(parse_selector("nearest(paths=0)").is_err());
    }
    #[test]
    fn a_language_model_takes_what_it_names_and_the_most_alike_path_else() {
        let paths = ["a >> b", "c", "d"].map(|path| CategoryPath::parse(path).unwrap());
        let shortlist: Vec<(&CategoryPath, f64)> = paths.iter().map(|path| (path, 0.5)).collect();
        let shown = ["sun", "rain", "snow"].map(|text| ShownDocument { text, shortlist: shortlist.clone() });
        let selector = parse_selector("language-model(paths=2, words=1)").unwrap();
        assert!(selector.asks());
        let ask = |prompts: &[String]| -> Result<Vec<String>, GenirError> {
            assert!(prompts[1].starts_with("Document: rain\n") && prompts[1].contains("\n3. d\n"));
            Ok(["3, 1, 2", "7", "2"].map(str::to_string).to_vec())
        };
        let selected = selector.select(&shown, &ask).unwrap();
        assert_eq!(selected, SelectedPaths { places: vec![vec![2, 0], vec![0], vec![1]], unnamed: 1 });
        let error = selector.select(&shown, &|_| Ok(Vec::new())).unwrap_err().to_string();
        assert!(error.contains("0 replies to 3 questions"), "{error}");
    }
}
