//! Grades of a judge, kept conversation by conversation, so that a run that was killed asks only for those that it lacks.

use super::ListSynthesisError;
use crate::recipe::StageError;
use crate::recipe::running::line_log::LineLog;
use plackett_core::formats::FormatError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// What a judge has said of the items for one conversation.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Grades {
    /// Places in the catalogue with their grades.
    pub grades: Vec<(usize, i64)>,
    /// Replies that are no grade.
    pub unread: usize,
}

/// The first line of the file: what the others are of.
#[derive(Deserialize)]
struct Head {
    of: String,
}

/// A file of grades, a line for each conversation in their order.
pub struct KeptGrades {
    log: LineLog,
    known: VecDeque<Grades>,
}

impl KeptGrades {
    /// Where the grades for a file of lists are kept until it is written.
    pub fn path_for(output: &Path) -> PathBuf {
        let mut name = output.as_os_str().to_owned();
        name.push(".grades.unfinished");
        PathBuf::from(name)
    }

    /// Opens the file, or begins it; `identity` says what the grades are of.
    ///
    /// # Errors
    /// It cannot be read or written, is damaged, or has grades of other conversations, models or settings.
    pub fn open(path: &Path, identity: &str) -> Result<KeptGrades, ListSynthesisError> {
        let (mut log, lines) = LineLog::open(path.to_path_buf()).map_err(kept)?;
        let mut lines = lines.into_iter();
        match lines.next() {
            None => log.add(&[json!({"of": identity}).to_string()]).map_err(kept)?,
            Some(line) if read::<Head>(path, &line)?.of == identity => {}
            Some(_) => {
                let problem = "has grades of other conversations, models or settings; give those again, or delete the file";
                return Err(wrong(path, problem.into()));
            }
        }
        let known = lines.map(|line| read(path, &line)).collect::<Result<VecDeque<Grades>, _>>()?;
        Ok(KeptGrades { log, known })
    }

    /// How many conversations are graded already, of those that were not asked for yet.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// The grades of the next conversation: those of the file, or those that are made, which it then has too.
    ///
    /// # Errors
    /// What making them says, or the file cannot be written.
    pub fn take_or(
        &mut self,
        make: impl FnOnce() -> Result<Grades, ListSynthesisError>,
    ) -> Result<Grades, ListSynthesisError> {
        if let Some(known) = self.known.pop_front() {
            return Ok(known);
        }
        let made = make()?;
        self.log.add(&[json!(made).to_string()]).map_err(kept)?;
        Ok(made)
    }
}

fn kept(error: StageError) -> ListSynthesisError {
    ListSynthesisError::Kept(Box::new(error))
}

fn wrong(path: &Path, problem: String) -> ListSynthesisError {
    kept(FormatError::File { file: path.display().to_string(), problem }.into())
}

/// What a line says.
fn read<T: DeserializeOwned>(path: &Path, line: &[u8]) -> Result<T, ListSynthesisError> {
    serde_json::from_slice(line)
        .map_err(|error| wrong(path, format!("has a line that cannot be read ({error}); delete the file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grades(grade: i64) -> Grades {
        Grades { grades: vec![(3, grade)], unread: 1 }
    }

    #[test]
    fn grades_are_asked_for_once_and_those_of_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = KeptGrades::path_for(&folder.path().join("lists.jsonl"));
        assert!(path.ends_with("lists.jsonl.grades.unfinished"));
        let mut kept = KeptGrades::open(&path, "a").unwrap();
        assert_eq!(kept.take_or(|| Ok(grades(2))).unwrap(), grades(2));
        assert_eq!(kept.take_or(|| Ok(grades(-1))).unwrap(), grades(-1));
        drop(kept);
        let mut kept = KeptGrades::open(&path, "a").unwrap();
        assert_eq!(kept.known(), 2);
        let asked = || -> Result<Grades, ListSynthesisError> { panic!("asked again") };
        assert_eq!(kept.take_or(asked).unwrap(), grades(2));
        assert_eq!(kept.take_or(asked).unwrap(), grades(-1));
        assert_eq!(kept.take_or(|| Ok(grades(0))).unwrap(), grades(0));
        drop(kept);
        let other = KeptGrades::open(&path, "b").err().unwrap().to_string();
        assert!(other.contains("grades of other conversations"), "{other}");
        std::fs::write(&path, "{\"of\": \"a\"}\n7\n").unwrap();
        let damaged = KeptGrades::open(&path, "a").err().unwrap().to_string();
        assert!(damaged.contains("has a line that cannot be read"), "{damaged}");
    }
}
