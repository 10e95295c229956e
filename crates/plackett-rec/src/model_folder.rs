//! A fitted recommender in a folder: the catalogue with titles, the weights, and what users did.

use crate::interactions::read_interactions;
use crate::{Configured, Event, Interactions, RecError, Recommender, parse};
use plackett_core::formats::{FormatError, atomic, json_problem, read_text};
use plackett_train::Parameters;
use plackett_train::nn::{SafetensorsSource, save};
use plackett_train::sha256;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Says what the folder holds; written last, so that a folder with it is whole.
const ABOUT: &str = "recommender.json";
const WEIGHTS: &str = "model.safetensors";
const HISTORIES: &str = "interactions.tsv";
/// Lies in a folder that is being written, so that one that was left half is not taken for somebody else's.
const UNFINISHED: &str = "recommender.unfinished";
/// Says that a folder is an index.
const INDEX: &str = "plackett-index.json";
/// Grows when folders change their form.
const FORMAT: u32 = 2;

/// An item of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueItem {
    /// Its name in the interactions.
    pub item: String,
    /// What it is called, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct About {
    format: u32,
    recommender: String,
    seed: u64,
    /// SHA-256 of the file of interactions, as it was when the model was fitted.
    interactions: String,
    /// SHA-256 of the weights.
    weights: String,
    /// SHA-256 of the histories: what was learned from, after events, users and items were left out. Folders of before have none.
    #[serde(default)]
    histories: Option<String>,
    catalogue: Vec<CatalogueItem>,
}

/// A recommender that was read from a folder.
pub struct ModelFolder {
    path: PathBuf,
    /// The recommender with its options.
    pub configured: Configured,
    /// From which what was drawn followed.
    pub seed: u64,
    /// SHA-256 of the file of interactions that it was fitted to.
    pub interactions: String,
    /// SHA-256 of the events that were learned from, as they lie in the folder; `None` in folders of before.
    pub histories: Option<String>,
    /// All items, in the order of scores.
    pub catalogue: Vec<CatalogueItem>,
    /// The recommender itself.
    pub recommender: Box<dyn Recommender>,
}

impl ModelFolder {
    /// The file that a fitted recommender is known by in its folder.
    pub const FILE: &'static str = ABOUT;

    /// Whether a recommender can be written into a folder, from a file of interactions: before any fitting.
    ///
    /// # Errors
    /// Files of the same names lie there that are not a recommender's, the folder is an index, or the interactions are one of the files.
    pub fn check_output(folder: &Path, interactions: &Path) -> Result<(), RecError> {
        let own = [WEIGHTS, HISTORIES];
        let is_same = |name: &&str| {
            let read = interactions.canonicalize().ok();
            read.is_some() && read == folder.join(name).canonicalize().ok()
        };
        // A file of the name alone proves nothing: it has to say what a recommender's says.
        let about = folder.join(ABOUT);
        let is_own = std::fs::read(&about).is_ok_and(|bytes| serde_json::from_slice::<About>(&bytes).is_ok());
        let is_recommender = is_own || folder.join(UNFINISHED).exists();
        let problem = match own.iter().find(|name| is_same(name)) {
            Some(name) => format!("would write over the file that is read ({name})"),
            None if folder.join(INDEX).exists() => format!("is an index (it has {INDEX})"),
            None if !is_own && about.exists() => format!("has a {ABOUT} that is not a recommender's"),
            None => match own.iter().find(|name| !is_recommender && folder.join(name).exists()) {
                Some(name) => format!("has a {name} that is not a recommender's"),
                None => return Ok(()),
            },
        };
        let problem = format!("{problem}; name another folder");
        Err(FormatError::File { file: folder.display().to_string(), problem }.into())
    }

    /// Writes a fitted recommender, with the histories of the users it was fitted to. `hash` is that of the file they came from. A folder
    /// that is being written over is no recommender until it is whole again.
    ///
    /// # Errors
    /// The folder cannot be made, or a file cannot be written.
    pub fn write(
        folder: &Path,
        (configured, seed): (&Configured, u64),
        recommender: &dyn Recommender,
        (all, titles): (&Interactions, &HashMap<String, String>),
        hash: &str,
    ) -> Result<(), RecError> {
        let failed = |source| FormatError::Write { file: folder.display().to_string(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        atomic::write(&folder.join(UNFINISHED), |_| Ok(()))?;
        match std::fs::remove_file(folder.join(ABOUT)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error).into()),
            _ => {}
        }
        let weights = folder.join(WEIGHTS);
        save(&weights, &recommender.parameters(), |name| Some(name.to_string()))?;
        atomic::write(&folder.join(HISTORIES), |out| {
            writeln!(out, "user\titem\trating\ttimestamp")?;
            for (user, events) in all.users.iter().zip(&all.sequences) {
                for event in events {
                    let item = field(&all.items[event.item as usize]);
                    writeln!(out, "{}\t{item}\t{}\t{}", field(user), event.rating, event.time)?;
                }
            }
            Ok(())
        })?;
        let item = |item: &String| CatalogueItem { item: item.clone(), title: titles.get(item).cloned() };
        let about = About {
            format: FORMAT,
            recommender: configured.to_string(),
            seed,
            interactions: hash.to_string(),
            weights: sha256_of(&weights)?,
            histories: Some(sha256_of(&folder.join(HISTORIES))?),
            catalogue: all.items.iter().map(item).collect(),
        };
        let text = serde_json::to_string(&about).map_err(|error| RecError::Setting(error.to_string()))?;
        atomic::write(&folder.join(ABOUT), |out| writeln!(out, "{text}"))?;
        Ok(std::fs::remove_file(folder.join(UNFINISHED)).map_err(failed)?)
    }

    /// Reads what [`ModelFolder::write`] has written.
    ///
    /// # Errors
    /// A file is missing or damaged, or was written by a program with another format.
    pub fn open(folder: &Path) -> Result<ModelFolder, RecError> {
        let path = folder.join(ABOUT);
        if !path.is_file() {
            let problem =
                format!("holds no recommender (no {ABOUT}); make one with `plackett recommend fit`");
            return Err(FormatError::File { file: folder.display().to_string(), problem }.into());
        }
        let text = read_text(&path)?;
        let about: About = serde_json::from_str(&text).map_err(|error| FormatError::Json {
            file: path.display().to_string(),
            line: error.line() as u64,
            expected: "what a recommender's folder holds",
            problem: json_problem(&text, &error),
        })?;
        if about.format != FORMAT {
            let problem =
                format!("has format {}, and this program reads {FORMAT}; fit it again", about.format);
            return Err(FormatError::File { file: path.display().to_string(), problem }.into());
        }
        let wrong =
            |file: &Path, problem: String| FormatError::File { file: file.display().to_string(), problem };
        let mut names = HashSet::new();
        if let Some(twice) = about.catalogue.iter().find(|item| !names.insert(&item.item)) {
            return Err(
                wrong(&path, format!("has `{}` twice in its catalogue; fit it again", twice.item)).into()
            );
        }
        let weights = folder.join(WEIGHTS);
        if sha256_of(&weights)? != about.weights {
            let problem = format!("is not the file that {ABOUT} was written with; fit the model again");
            return Err(wrong(&weights, problem).into());
        }
        let configured = parse(&about.recommender)?;
        let mut parameters = Parameters::default();
        for (name, shape, values) in SafetensorsSource::open(&weights)?.into_tensors() {
            let columns = shape.last().copied().unwrap_or(1);
            let rows = if shape.len() > 1 { shape[0] } else { 1 };
            if rows.checked_mul(columns) != Some(values.len()) {
                return Err(wrong(&weights, format!("`{name}` is no matrix")).into());
            }
            parameters.add(name, (rows, columns), values);
        }
        let recommender = configured
            .restore(about.catalogue.len(), &parameters)
            .map_err(|error| wrong(folder, error.to_string()))?;
        Ok(ModelFolder {
            path: folder.into(),
            configured,
            seed: about.seed,
            interactions: about.interactions,
            histories: about.histories,
            catalogue: about.catalogue,
            recommender,
        })
    }

    /// The place of an item of a name.
    pub fn place(&self, item: &str) -> Option<u32> {
        self.catalogue.iter().position(|known| known.item == item).map(|at| at as u32)
    }

    /// What a user of the interactions did, the oldest first; `None` for someone who is not in them.
    ///
    /// # Errors
    /// The file of histories is missing or damaged, or is not the one that the model was fitted to.
    pub fn history(&self, user: &str) -> Result<Option<Vec<Event>>, RecError> {
        let path = self.path.join(HISTORIES);
        if let Some(hash) = &self.histories
            && sha256_of(&path)? != *hash
        {
            let problem = format!("is not the file that {ABOUT} was written with; fit the model again");
            return Err(FormatError::File { file: path.display().to_string(), problem }.into());
        }
        let all = read_interactions(&path, None)?;
        let Some(at) = all.users.iter().position(|known| known == user) else { return Ok(None) };
        let places: HashMap<&str, u32> =
            self.catalogue.iter().enumerate().map(|(at, item)| (item.item.as_str(), at as u32)).collect();
        let event = |event: &Event| {
            let name = &all.items[event.item as usize];
            let item = places.get(name.as_str()).copied().ok_or_else(|| FormatError::File {
                file: path.display().to_string(),
                problem: format!("has the item `{name}`, which the catalogue lacks; fit the model again"),
            })?;
            Ok(Event { item, ..*event })
        };
        all.sequences[at].iter().map(event).collect::<Result<Vec<_>, RecError>>().map(Some)
    }
}

/// A name as a field that is read as this name: in double quotes where it begins with one, or has blanks around it.
fn field(name: &str) -> Cow<'_, str> {
    match name.starts_with('"') || name.trim() != name {
        true => format!("\"{}\"", name.replace('"', "\"\"")).into(),
        false => name.into(),
    }
}

/// The SHA-256 of a file, in hexadecimal.
fn sha256_of(path: &Path) -> Result<String, RecError> {
    sha256::file_hex_digest(path)
        .map_err(|source| FormatError::Open { file: path.display().to_string(), source }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FitData, Fitting, Request};
    use plackett_train::Compute;

    fn interactions() -> Interactions {
        let event = |item: u32, time: i64| Event { item, rating: 1.0, time };
        Interactions {
            users: vec!["ann".into(), "bob".into()],
            items: ["x", "y", "z"].map(String::from).to_vec(),
            sequences: vec![vec![event(0, 1), event(2, 2)], vec![event(1, 1), event(0, 5), event(2, 9)]],
            ..Interactions::default()
        }
    }

    #[test]
    fn what_is_written_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let all = interactions();
        let titles = HashMap::from([("x".to_string(), "Xylophone".to_string())]);
        for text in
            ["ease(l2=1)", "hstu(epochs=1, width=4, max-length=5)", "sasrec(epochs=1, width=4, max-length=5)"]
        {
            let configured = parse(text).unwrap();
            let mut fitting =
                Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
            let data = FitData { catalogue: 3, sequences: &crate::borrowed(&all.sequences), texts: &[] };
            let fitted = configured.fit(&data, &mut fitting).unwrap();
            ModelFolder::write(folder.path(), (&configured, 1), &*fitted, (&all, &titles), "abc").unwrap();
            let read = ModelFolder::open(folder.path()).unwrap();
            let request = [Request { history: &all.sequences[1], now: 10 }];
            assert_eq!(
                read.recommender.scores(&request).unwrap(),
                fitted.scores(&request).unwrap(),
                "{text}"
            );
            assert_eq!(read.catalogue[0].title.as_deref(), Some("Xylophone"));
            assert_eq!(
                (read.place("z"), read.place("q"), read.interactions.as_str()),
                (Some(2), None, "abc")
            );
            assert_eq!(read.history("bob").unwrap().unwrap(), all.sequences[1]);
            assert!(read.history("eve").unwrap().is_none());
        }
        let histories = folder.path().join(HISTORIES);
        std::fs::write(&histories, "user\titem\trating\ttimestamp\nbob\tx\t1\t1\n").unwrap();
        let changed = ModelFolder::open(folder.path()).unwrap().history("bob").err().unwrap().to_string();
        assert!(changed.contains("interactions.tsv") && changed.contains("fit the model again"), "{changed}");
        // A folder of before has no hash of them.
        let about = std::fs::read_to_string(folder.path().join(ABOUT)).unwrap();
        let mut about: serde_json::Value = serde_json::from_str(&about).unwrap();
        about.as_object_mut().unwrap().remove("histories").unwrap();
        std::fs::write(folder.path().join(ABOUT), about.to_string()).unwrap();
        assert_eq!(ModelFolder::open(folder.path()).unwrap().history("bob").unwrap().unwrap().len(), 1);
    }

    #[test]
    fn names_with_quotes_and_blanks_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = interactions();
        all.users = ["\"ann\" \"b\"", " bob "].map(String::from).to_vec();
        all.items = ["\"x", "5\" y", " z, \"w\" "].map(String::from).to_vec();
        let configured = parse("ease(l2=1)").unwrap();
        let mut fitting = Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
        let data = FitData { catalogue: 3, sequences: &crate::borrowed(&all.sequences), texts: &[] };
        let fitted = configured.fit(&data, &mut fitting).unwrap();
        ModelFolder::write(folder.path(), (&configured, 1), &*fitted, (&all, &HashMap::new()), "abc")
            .unwrap();
        let read = ModelFolder::open(folder.path()).unwrap();
        for (user, sequence) in all.users.iter().zip(&all.sequences) {
            assert_eq!(&read.history(user).unwrap().unwrap(), sequence, "{user}");
        }
    }

    #[test]
    fn folders_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = |folder: &Path| {
            ModelFolder::open(folder).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(said(folder.path()).contains("plackett recommend fit"));
        std::fs::write(folder.path().join(ABOUT), "{\"format\":1}").unwrap();
        assert!(said(folder.path()).contains("recommender.json, line 1"));
        let about = "{\"format\":9,\"recommender\":\"ease\",\"seed\":1,\"interactions\":\"\",\"weights\":\"\",\"catalogue\":[]}";
        std::fs::write(folder.path().join(ABOUT), about).unwrap();
        assert!(said(folder.path()).contains("format 9"));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let all = interactions();
        let write = |folder: &Path, text: &str| {
            let configured = parse(text).unwrap();
            let mut fitting =
                Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
            let data = FitData { catalogue: 3, sequences: &crate::borrowed(&all.sequences), texts: &[] };
            let fitted = configured.fit(&data, &mut fitting).unwrap();
            ModelFolder::write(folder, (&configured, 1), &*fitted, (&all, &HashMap::new()), "").unwrap();
        };
        let said = |folder: &Path| {
            ModelFolder::open(folder).err().map(|error| error.to_string()).unwrap_or_default()
        };
        write(folder.path(), "ease(l2=1)");
        write(other.path(), "ease(l2=2)");
        std::fs::copy(other.path().join(WEIGHTS), folder.path().join(WEIGHTS)).unwrap();
        assert!(said(folder.path()).contains("not the file that recommender.json was written with"));
        let about = std::fs::read_to_string(other.path().join(ABOUT)).unwrap();
        std::fs::write(other.path().join(ABOUT), about.replace("\"y\"", "\"x\"")).unwrap();
        assert!(said(other.path()).contains("`x` twice"));
        std::fs::write(other.path().join(ABOUT), about.replace("ease(l2=2)", "popularity")).unwrap();
        assert!(said(other.path()).contains("no `counts`"));

        let input = folder.path().join(HISTORIES);
        let check = |folder: &Path, input: &Path| ModelFolder::check_output(folder, input).err();
        assert!(check(folder.path(), &input).unwrap().to_string().contains("write over the file"));
        assert!(check(folder.path(), Path::new("elsewhere.tsv")).is_none());
        std::fs::remove_file(folder.path().join(ABOUT)).unwrap();
        let error = check(folder.path(), Path::new("elsewhere.tsv")).unwrap().to_string();
        assert!(error.contains("not a recommender's; name another folder"), "{error}");
    }

    #[test]
    fn files_of_others_are_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let said = || {
            let problem = ModelFolder::check_output(folder.path(), Path::new("elsewhere.tsv")).err();
            problem.map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(said(), "");
        for other in ["{\"mine\":1}", "no JSON"] {
            std::fs::write(folder.path().join(ABOUT), other).unwrap();
            assert!(
                said().contains("has a recommender.json that is not a recommender's; name another"),
                "{}",
                said()
            );
        }
        let about = "{\"format\":2,\"recommender\":\"ease\",\"seed\":1,\"interactions\":\"\",\"weights\":\"\",\"catalogue\":[]}";
        std::fs::write(folder.path().join(ABOUT), about).unwrap();
        assert_eq!(said(), "");
        std::fs::write(folder.path().join(INDEX), "{}").unwrap();
        assert!(said().contains("is an index (it has plackett-index.json); name another"), "{}", said());
    }
}
