//! What a synthesis has finished, kept beside its result until that is whole: the same command goes on with it.

use crate::command::Output;
use crate::command::open::many;
use plackett::manifest::RunSettings;
use plackett::unfinished::{Unfinished, UnfinishedError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

/// Goes on with what an interrupted run of the same settings has left in a file, or begins it; says what was there.
pub(super) fn take_up<A: Serialize + DeserializeOwned>(
    path: &Path,
    settings: &RunSettings,
    output: &Output,
) -> anyhow::Result<Unfinished<A>> {
    let kept = Unfinished::<A>::take_up(path, settings)?;
    if kept.damaged > 0 {
        let lines = many(kept.damaged, "damaged line");
        output.warn(&format!("{}: {lines} dropped; what they answered is asked again", path.display()));
    }
    if !kept.finished.is_empty() {
        let answers = many(kept.finished.len(), "answer");
        output.note(&format!("{answers} of an interrupted run in {}; going on", path.display()));
    }
    Ok(kept)
}

/// Answers by their numbers, in a file where the input can be read again.
pub(super) struct Kept<A> {
    file: Option<Unfinished<A>>,
    /// Those that were there when the run began, or were added since, as far as nobody has taken them.
    pub known: BTreeMap<u64, A>,
    /// How many were there when the run began.
    pub resumed: usize,
    /// How many there are now.
    count: usize,
}

impl<A: Serialize + DeserializeOwned> Kept<A> {
    /// Answers of a file, or those of this run alone.
    pub fn new(mut file: Option<Unfinished<A>>) -> Kept<A> {
        let known = file.as_mut().map(|file| std::mem::take(&mut file.finished)).unwrap_or_default();
        let resumed = known.len();
        Kept { file, known, resumed, count: resumed }
    }

    /// Keeps new answers; on return they are on the disk.
    pub fn add(&mut self, new: Vec<(u64, A)>) -> Result<(), UnfinishedError> {
        if let Some(file) = &mut self.file {
            file.add(new.iter().map(|(number, answer)| (*number, answer)))?;
        }
        self.count += new.len();
        self.known.extend(new);
        Ok(())
    }

    /// What is said where a run stops before its end.
    pub fn interrupted(&self) -> String {
        match &self.file {
            Some(file) => format!(
                "{} kept in {}; the same command goes on",
                many(self.count, "answer"),
                file.path().display()
            ),
            None => "nothing was written".into(),
        }
    }

    /// Removes the file: the result is there.
    pub fn remove(self) -> Result<(), UnfinishedError> {
        self.file.map_or(Ok(()), Unfinished::remove)
    }
}
