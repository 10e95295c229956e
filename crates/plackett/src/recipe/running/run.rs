//! Running a recipe: stages in order, each from the cache when nothing that it depends on has changed, then the claims.

use crate::recipe::claim::{Quantities, Verdict};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{OutputKind, Scale};
use crate::recipe::quantity::Quantity;
use crate::recipe::reading::file::{
    AtScale, ClaimDefinition, Recipe, StageDefinition, Waiting, quantity_parts,
};
use crate::recipe::registry::{Estimate, StageOutput};
use crate::recipe::task::{Environment, Input, Progress, Task};
use plackett_core::formats::atomic;
use plackett_lm::sha256::Sha256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Grows when the form of the cache changes.
const CACHE_FORMAT: u32 = 1;
/// What a finished stage leaves last, beside what it made.
const RECORD: &str = "stage.json";
/// Held while a stage works, so that two programs do not write into one folder.
const LOCK: &str = "lock";

/// What a stage's folder says when the stage is done.
#[derive(Serialize, Deserialize)]
struct Record {
    kind: String,
    key: String,
    seconds: f64,
    made: StageOutput,
}

/// A stage that has run, or was found in the cache.
#[derive(Clone, Debug)]
pub struct StageOutcome {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: &'static str,
    /// What it gives.
    pub gives: OutputKind,
    /// The hash of all that it depends on.
    pub key: String,
    /// Its folder in the cache.
    pub folder: PathBuf,
    /// Whether an earlier run had done it.
    pub cached: bool,
    /// How long it worked, in this run or in the earlier one.
    pub seconds: f64,
    /// What it made.
    pub made: StageOutput,
}

/// A judged claim.
#[derive(Clone, Debug)]
pub struct ClaimOutcome {
    /// Its name.
    pub id: String,
    /// What is claimed, in words.
    pub text: String,
    /// Whether the paper stands on it.
    pub main: bool,
    /// Whether it should hold here.
    pub expected: bool,
    /// The kind of claim.
    pub kind: &'static str,
    /// The quantities that it is about.
    pub about: Vec<String>,
    /// Whether it holds, with the numbers.
    pub verdict: Verdict,
}

/// What came of a recipe.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The recipe's name.
    pub recipe: String,
    /// At which scale it ran.
    pub scale: Scale,
    /// Stages in order of work.
    pub stages: Vec<StageOutcome>,
    /// Claims that were judged.
    pub claims: Vec<ClaimOutcome>,
    /// Claims that wait.
    pub waiting: Vec<Waiting>,
    /// Wall time of this run.
    pub seconds: f64,
}

impl Outcome {
    /// Claims that should hold and do not.
    pub fn failures(&self) -> impl Iterator<Item = &ClaimOutcome> {
        self.claims.iter().filter(|claim| claim.expected && !claim.verdict.held)
    }

    /// A measured quantity by `STAGE/NUMBER`.
    pub fn quantity(&self, name: &str) -> Option<&Quantity> {
        let (stage, number) = quantity_parts(name)?;
        let made = &self.stages.iter().find(|outcome| outcome.name == stage)?.made;
        made.numbers.iter().find(|quantity| quantity.name == number)
    }

    /// All that a reader has to know, stage by stage.
    pub fn warnings(&self) -> Vec<String> {
        let of = |stage: &StageOutcome| {
            stage
                .made
                .warnings
                .iter()
                .map(|warning| format!("{}: {}: {warning}", self.recipe, stage.name))
                .collect::<Vec<_>>()
        };
        self.stages.iter().flat_map(of).collect()
    }
}

/// What would be done.
#[derive(Clone, Debug)]
pub struct PlannedStage {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: &'static str,
    /// Whether an earlier run has done it; `None` where that hangs on what is missing.
    pub cached: Option<bool>,
    /// What it will cost; nothing for a stage that is done.
    pub estimate: Estimate,
}

/// A recipe and the machine it runs on.
pub struct Runner<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// At which scale.
    pub scale: Scale,
    /// The machine.
    pub environment: &'a Environment,
    /// Where progress is told.
    pub progress: Progress<'a>,
}

impl<'a> Runner<'a> {
    fn stages(&self) -> &'a AtScale {
        self.recipe.at(self.scale)
    }

    /// Runs all stages that have not run yet, and judges the claims.
    ///
    /// # Errors
    /// The first stage that could not do its work, or a claim that cannot be judged. What finished before stays in the cache.
    pub fn run(&self) -> Result<Outcome, RecipeError> {
        let begun = Instant::now();
        let scale = self.stages();
        let mut inputs = BTreeMap::new();
        let mut keys: BTreeMap<usize, String> = BTreeMap::new();
        let mut stages = Vec::new();
        for &nth in &scale.order {
            let stage = &scale.stages[nth];
            let at_stage = |source| failed(stage, source);
            let key = self.key(stage, &keys).map_err(at_stage)?;
            let outcome = self.stage(stage, &key, &inputs).map_err(at_stage)?;
            let (folder, made) = (outcome.folder.clone(), Some(outcome.made.clone()));
            let (name, kind, values) = (stage.name.as_str(), stage.kind, &stage.values);
            inputs.insert(name.to_string(), Input { name, kind, values, folder, made });
            keys.insert(nth, key);
            stages.push(outcome);
        }
        let mut outcome = Outcome {
            recipe: self.recipe.name.clone(),
            scale: self.scale,
            stages,
            claims: Vec::new(),
            waiting: scale.waiting.clone(),
            seconds: 0.0,
        };
        outcome.claims = scale.claims.iter().map(|claim| judge(claim, &outcome)).collect::<Result<_, _>>()?;
        outcome.seconds = begun.elapsed().as_secs_f64();
        Ok(outcome)
    }

    /// What a run would do. Nothing is run, fetched or written, but for the bundled collection and model, which are put into
    /// the cache.
    ///
    /// # Errors
    /// A collection's file is damaged. What is only missing is in the plan.
    pub fn plan(&self) -> Result<Vec<PlannedStage>, RecipeError> {
        let scale = self.stages();
        let mut inputs = BTreeMap::new();
        let mut keys: BTreeMap<usize, String> = BTreeMap::new();
        let mut planned = Vec::new();
        for &nth in &scale.order {
            let stage = &scale.stages[nth];
            let known = stage.inputs.iter().all(|input| keys.contains_key(input));
            let key = if known {
                missing_is_none(self.key(stage, &keys)).map_err(|e| failed(stage, e))?
            } else {
                None
            };
            let folder = key.as_ref().map_or_else(PathBuf::new, |key| self.folder(stage, key));
            let record = key.as_ref().and_then(|key| read_record(&folder, key));
            let cached = key.as_ref().map(|_| record.is_some());
            let task = self.task(stage, &folder, &inputs);
            let estimate = match &record {
                Some(_) => {
                    Estimate { work: "is in the cache".into(), seconds: Some(0.0), ..Estimate::default() }
                }
                None => match (stage.kind.estimate)(&task) {
                    Ok(estimate) => estimate,
                    Err(error) if is_missing(&error) => Estimate {
                        work: "waits for what is missing".into(),
                        missing: vec![error.to_string()],
                        ..Estimate::default()
                    },
                    Err(error @ StageError::NotMade { .. }) => {
                        Estimate { work: error.to_string(), ..Estimate::default() }
                    }
                    Err(error) => return Err(failed(stage, error)),
                },
            };
            planned.push(PlannedStage { name: stage.name.clone(), kind: stage.kind.name, cached, estimate });
            let made = record.map(|record| record.made);
            let (name, kind, values) = (stage.name.as_str(), stage.kind, &stage.values);
            inputs.insert(name.to_string(), Input { name, kind, values, folder, made });
            if let Some(key) = key {
                keys.insert(nth, key);
            }
        }
        Ok(planned)
    }

    fn task<'t>(
        &'t self,
        stage: &'t StageDefinition,
        folder: &'t Path,
        inputs: &'t BTreeMap<String, Input<'t>>,
    ) -> Task<'t> {
        Task {
            name: &stage.name,
            values: &stage.values,
            folder,
            inputs,
            environment: self.environment,
            progress: self.progress,
        }
    }

    fn folder(&self, stage: &StageDefinition, key: &str) -> PathBuf {
        self.environment.cache.join(stage.kind.name).join(&key[..32.min(key.len())])
    }

    /// The hash of all that the stage's result depends on.
    fn key(&self, stage: &StageDefinition, keys: &BTreeMap<usize, String>) -> Result<String, StageError> {
        let mut hasher = Sha256::new();
        let mut add = |name: &str, value: &str| {
            hasher.update_part(name);
            hasher.update_part(value);
        };
        add("format", &CACHE_FORMAT.to_string());
        add(stage.kind.name, &stage.kind.version.to_string());
        for (name, value) in stage.values.written() {
            // Names of other stages say nothing of their own: their keys stand for them. But numbers are named after runs.
            if name != "scale" {
                add(name, &value);
            }
        }
        for input in &stage.inputs {
            add("input", keys.get(input).map_or("", String::as_str));
        }
        for (name, value) in (stage.kind.outside)(&stage.values, self.environment)? {
            add(&name, &value);
        }
        Ok(hasher.hex_digest())
    }

    fn stage(
        &self,
        stage: &StageDefinition,
        key: &str,
        inputs: &BTreeMap<String, Input<'_>>,
    ) -> Result<StageOutcome, StageError> {
        let folder = self.folder(stage, key);
        let outcome = |record: Record, cached| StageOutcome {
            name: stage.name.clone(),
            kind: stage.kind.name,
            gives: stage.kind.gives,
            key: key.to_string(),
            folder: folder.clone(),
            cached,
            seconds: record.seconds,
            made: record.made,
        };
        if let Some(record) = read_record(&folder, key) {
            return Ok(outcome(record, true));
        }
        std::fs::create_dir_all(&folder).map_err(StageError::cache(&folder))?;
        let path = folder.join(LOCK);
        let lock = std::fs::File::create(&path).map_err(StageError::cache(&path))?;
        lock.lock().map_err(StageError::cache(&path))?;
        // Another program may have done it while this one waited.
        if let Some(record) = read_record(&folder, key) {
            return Ok(outcome(record, true));
        }
        let begun = Instant::now();
        (self.progress)(&stage.name, 0, 0);
        let made = (stage.kind.run)(&self.task(stage, &folder, inputs))?;
        if let Some(broken) =
            made.numbers.iter().find(|quantity| quantity.values.iter().any(|value| !value.is_finite()))
        {
            return Err(StageError::Work(format!("`{}` has a value that is no number", broken.name)));
        }
        let record = Record {
            kind: stage.kind.name.into(),
            key: key.into(),
            seconds: begun.elapsed().as_secs_f64(),
            made,
        };
        let text = serde_json::to_string(&record).map_err(|error| StageError::Work(error.to_string()))?;
        atomic::write(&folder.join(RECORD), |out| out.write_all(text.as_bytes()))?;
        // Read back, so that this run and later ones work with the very same numbers.
        let unread =
            || StageError::Damaged { path: folder.join(RECORD), problem: "it cannot be read back".into() };
        Ok(outcome(read_record(&folder, key).ok_or_else(unread)?, false))
    }
}

fn failed(stage: &StageDefinition, source: StageError) -> RecipeError {
    RecipeError::Stage {
        place: Box::new(stage.place.clone()),
        stage: stage.name.clone(),
        source: Box::new(source),
    }
}

/// Whether something has to be fetched, rather than mended.
fn is_missing(error: &StageError) -> bool {
    matches!(error, StageError::NoData { .. } | StageError::Store(_))
}

fn missing_is_none<T>(result: Result<T, StageError>) -> Result<Option<T>, StageError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a finished stage left; `None` for one that has not finished, or whose record is of another program.
fn read_record(folder: &Path, key: &str) -> Option<Record> {
    let text = std::fs::read(folder.join(RECORD)).ok()?;
    serde_json::from_slice::<Record>(&text).ok().filter(|record| record.key == key)
}

fn judge(claim: &ClaimDefinition, outcome: &Outcome) -> Result<ClaimOutcome, RecipeError> {
    let find = |name: &str| outcome.quantity(name);
    let verdict = (claim.kind.judge)(&claim.values, &Quantities::new(&find));
    let verdict =
        verdict.map_err(|error| claim.values.wrong("kind", 0, Problem::Claim(error.to_string())))?;
    Ok(ClaimOutcome {
        id: claim.id.clone(),
        text: claim.text.clone(),
        main: claim.main,
        expected: claim.expected,
        kind: claim.kind.name,
        about: claim.kind.quantities(&claim.values).into_iter().map(str::to_string).collect(),
        verdict,
    })
}
