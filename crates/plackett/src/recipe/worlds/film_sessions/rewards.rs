//! Reward models of two halves of the people: one chooses, the other reports, so that a reward does not measure itself.

use super::measure::{keep, restore};
use super::world::SessionWorld;
use crate::recipe::error::StageError;
use crate::recipe::field::Values;
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::settings_of;
use crate::recipe::task::Task;
use plackett_rec::onerec::{RewardConfig, RewardTask, Session, SessionReward, TARGETS};
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;
use plackett_train::{Compute, Parameters};
use std::path::Path;
use std::sync::Arc;

/// What the model of each half does.
pub const HALVES: [&str; 2] = ["chooses", "reports"];

/// Both models.
pub struct Rewards {
    models: [(SessionReward, Parameters); 2],
}

impl Rewards {
    fn new(world: &SessionWorld, values: &Values) -> Result<Rewards, StageError> {
        let config = RewardConfig {
            width: values.count("width"),
            hidden: values.count("hidden"),
            max_history: values.count("history"),
        };
        let model = |half: u64| -> Result<(SessionReward, Parameters), StageError> {
            let mut parameters = Parameters::default();
            let texts = (world.texts.clone(), world.tokens.item_count());
            let seed = 2 * values.count("seed") as u64 + half;
            Ok((SessionReward::new(config, texts, &mut parameters, seed)?, parameters))
        };
        Ok(Rewards { models: [model(0)?, model(1)?] })
    }

    /// Learns both from the logged sessions of their halves, and keeps them in the stage's folder.
    ///
    /// # Errors
    /// Sizes that cannot be, or a training that fails.
    pub fn learn(task: &Task<'_>, world: &SessionWorld) -> Result<Rewards, StageError> {
        let values = task.values;
        let mut rewards = Rewards::new(world, values)?;
        for (half, (model, parameters)) in rewards.models.iter_mut().enumerate() {
            let sessions = half_of(&world.logged(), half);
            let settings = Settings {
                schedule: Schedule::Cosine,
                decay: 0.01,
                seed: (2 * values.count("seed") + half) as u64,
                ..settings_of(values)
            };
            let name = format!("{}, {}", task.name, HALVES[half]);
            train_within(task, &name, &RewardTask::new(model, &sessions), parameters, &settings)?;
            keep(parameters, &task.folder.join(HALVES[half]))?;
        }
        Ok(rewards)
    }

    /// Those that a stage has kept.
    ///
    /// # Errors
    /// A file is missing or of other sizes.
    pub fn open(world: &SessionWorld, values: &Values, folder: &Path) -> Result<Rewards, StageError> {
        let mut rewards = Rewards::new(world, values)?;
        for (half, (_, parameters)) in rewards.models.iter_mut().enumerate() {
            restore(parameters, &folder.join(HALVES[half]))?;
        }
        Ok(rewards)
    }

    /// The model of a half.
    pub fn half(&self, half: usize) -> (&SessionReward, &Parameters) {
        let (model, parameters) = &self.models[half];
        (model, parameters)
    }

    /// What the model of a half foretells, target by target.
    ///
    /// # Errors
    /// A history or session is empty.
    pub fn targets(
        &self,
        half: usize,
        compute: &Arc<Compute>,
        asked: &[(&[u32], &[u32])],
    ) -> Result<Vec<[f64; TARGETS.len()]>, StageError> {
        let (model, parameters) = self.half(half);
        Ok(model.rewards((parameters, compute), asked)?)
    }
}

/// The sessions of a half of the people.
pub(super) fn half_of(sessions: &[Session], half: usize) -> Vec<Session> {
    sessions.iter().filter(|session| session.user % 2 == half).cloned().collect()
}

/// Losses of the model that chooses on what the other half did, and of the mean of what its own half did: binary cross-entropies summed over
/// targets, session by session.
///
/// # Errors
/// A session has no history.
pub fn losses(
    world: &SessionWorld,
    rewards: &Rewards,
    compute: &Arc<Compute>,
) -> Result<[Vec<f64>; 2], StageError> {
    let logged = world.logged();
    let (own, other) = (half_of(&logged, 0), half_of(&logged, 1));
    let mut means = [0.0; TARGETS.len()];
    for session in &own {
        let targets = plackett_rec::onerec::logged_targets(&session.ratings);
        means
            .iter_mut()
            .zip(targets)
            .for_each(|(mean, target)| *mean += f64::from(target) / own.len() as f64);
    }
    let asked: Vec<(&[u32], &[u32])> =
        other.iter().map(|session| (&session.history[..], &session.items[..])).collect();
    let found = rewards.targets(0, compute, &asked)?;
    let loss = |session: &Session, shares: &[f64; TARGETS.len()]| -> f64 {
        let targets = plackett_rec::onerec::logged_targets(&session.ratings);
        let of = |(share, target): (&f64, f32)| {
            let (share, target) = (share.clamp(1e-6, 1.0 - 1e-6), f64::from(target));
            -target * share.ln() - (1.0 - target) * (1.0 - share).ln()
        };
        shares.iter().zip(targets).map(of).sum()
    };
    let by_model = other.iter().zip(&found).map(|(session, shares)| loss(session, shares)).collect();
    Ok([by_model, other.iter().map(|session| loss(session, &means)).collect()])
}
