//! Rankings in the cache, kept query by query, so that a killed run goes on where it was.

use super::line_log::{LineLog, lines, whole_lines};
use crate::recipe::error::StageError;
use plackett_core::{Ranked, Ranking, Trace};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file in the folder of a stage.
pub const FILE: &str = "rankings.jsonl";

/// One line. Scores are texts that give back the very same numbers.
#[derive(Serialize, Deserialize)]
struct Line {
    query: String,
    ids: Vec<String>,
    scores: Vec<String>,
    trace: Trace,
}

impl Line {
    fn of(ranking: &Ranking) -> Line {
        Line {
            query: ranking.query_id.clone(),
            ids: ranking.entries.iter().map(|entry| entry.id.clone()).collect(),
            scores: ranking.entries.iter().map(|entry| entry.score.to_string()).collect(),
            trace: ranking.trace.clone(),
        }
    }

    fn ranking(self) -> Option<Ranking> {
        let scores: Vec<f64> = self.scores.iter().map(|score| score.parse().ok()).collect::<Option<_>>()?;
        (scores.len() == self.ids.len()).then(|| Ranking {
            query_id: self.query,
            entries: self
                .ids
                .into_iter()
                .zip(scores)
                .enumerate()
                .map(|(place, (id, score))| Ranked { id, score, rank: place + 1 })
                .collect(),
            trace: self.trace,
        })
    }
}

/// A file to which rankings are added as they are found.
pub struct RankingLog {
    log: LineLog,
    /// What was there when it was opened.
    pub found: Vec<Ranking>,
}

impl RankingLog {
    /// Opens the file of a stage's folder, or begins it. A line that a kill cut short is taken off.
    ///
    /// # Errors
    /// The file cannot be read or written, or a line before its last is damaged.
    pub fn open(folder: &Path) -> Result<RankingLog, StageError> {
        let (log, lines) = LineLog::open(folder.join(FILE))?;
        let found = parse(lines.iter().map(Vec::as_slice), log.path())?;
        Ok(RankingLog { log, found })
    }

    /// Adds rankings; on return they are on the disk.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn add<'a>(&mut self, rankings: impl IntoIterator<Item = &'a Ranking>) -> Result<(), StageError> {
        let line = |ranking: &'a Ranking| serde_json::to_string(&Line::of(ranking));
        let lines: Result<Vec<String>, serde_json::Error> = rankings.into_iter().map(line).collect();
        let lines = lines.map_err(|error| damaged(self.log.path(), error.to_string()))?;
        self.log.add(&lines)
    }
}

/// The rankings of a finished stage.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn read(folder: &Path) -> Result<Vec<Ranking>, StageError> {
    let path = folder.join(FILE);
    let bytes = std::fs::read(&path).map_err(StageError::cache(&path))?;
    parse(lines(whole_lines(&bytes)), &path)
}

/// The ranking of each line.
fn parse<'l>(lines: impl Iterator<Item = &'l [u8]>, path: &Path) -> Result<Vec<Ranking>, StageError> {
    let mut rankings = Vec::new();
    for (nth, line) in lines.enumerate() {
        let ranking = serde_json::from_slice::<Line>(line).ok().and_then(Line::ranking);
        rankings.push(ranking.ok_or_else(|| damaged(path, format!("line {} is no ranking", nth + 1)))?);
    }
    Ok(rankings)
}

fn damaged(path: &Path, problem: String) -> StageError {
    StageError::Damaged { path: path.to_path_buf(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(query: &str, scores: &[f64]) -> Ranking {
        let scored = scores.iter().enumerate().map(|(i, &score)| (format!("d{i}"), score));
        Ranking::from_scores(query, scored, Trace { passes: 3, ..Trace::default() })
    }

    #[test]
    fn rankings_come_back_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let written =
            [ranking("a", &[0.1 + 0.2, 1e-300, -7.123456789012345]), ranking("b", &[]), ranking("ü", &[1.0])];
        RankingLog::open(folder.path()).unwrap().add(&written).unwrap();
        assert_eq!(read(folder.path()).unwrap(), written);
    }

    #[test]
    fn a_line_cut_short_is_taken_off_and_the_work_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (ranking("a", &[1.0, 2.0]), ranking("b", &[3.0]));
        RankingLog::open(folder.path()).unwrap().add([&first]).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        RankingLog::open(folder.path()).unwrap().add([&second]).unwrap();
        let both = std::fs::read(&path).unwrap();
        for cut in whole.len()..both.len() {
            std::fs::write(&path, &both[..cut]).unwrap();
            let mut log = RankingLog::open(folder.path()).unwrap();
            assert_eq!(log.found, std::slice::from_ref(&first), "{cut}");
            log.add([&second]).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), both, "{cut}");
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        RankingLog::open(folder.path()).unwrap().add([&ranking("a", &[1.0]), &ranking("b", &[2.0])]).unwrap();
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("scores", "stores", 1)).unwrap();
        let error = RankingLog::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("line 1") && error.contains(FILE), "{error}");
    }
}
