//! The reward model: what somebody would do with a session (section 3.3 of the paper).

use super::attention::within;
use super::session_task::as_training;
use super::sessions::Session;
use crate::RecError;
use plackett_kernel::Activation;
use plackett_train::engine::Pooling;
use plackett_train::nn::{Mode, init};
use plackett_train::random::Stream;
use plackett_train::tape::Buffer;
use plackett_train::trainer::{StepLoss, Task};
use plackett_train::{Compute, Engine, ParameterId, Parameters, Tape, TrainError, Var};
use std::ops::Range;
use std::sync::Arc;

/// What is predicted: session watch time, views, follows and likes. Of ratings they are, in our words: how high the mean rating is between 1 and 5, and
/// the shares rated 3 and more, 5, and 4 and more.
pub const TARGETS: [&str; 4] = ["swt", "vtr", "wtr", "ltr"];
/// Sessions that are scored together.
const TOGETHER: usize = 512;

/// The logged targets of a session, each from 0 to 1.
pub fn logged_targets(ratings: &[f32]) -> [f32; TARGETS.len()] {
    let count = ratings.len().max(1) as f32;
    let share = |least: f32| ratings.iter().filter(|rating| **rating >= least).count() as f32 / count;
    let mean = ratings.iter().map(|rating| ((rating - 1.0) / 4.0).clamp(0.0, 1.0)).sum::<f32>() / count;
    [mean, share(3.0), share(5.0), share(4.0)]
}

/// Sizes of a reward model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RewardConfig {
    /// Numbers of a vector.
    pub width: usize,
    /// Numbers of the hidden layer of each tower.
    pub hidden: usize,
    /// Liked items of a history that are read, the newest.
    pub max_history: usize,
}

/// A reward model. An item's vector v is a trained one plus a map of that of its text; the user's u a layer over the mean of those that were liked;
/// a session's items are v ⊙ u, which attend to each other and are summed; each target has a tower of one hidden layer over the sum.
#[derive(Clone, Debug)]
pub struct SessionReward {
    config: RewardConfig,
    items: usize,
    texts: Arc<Buffer>,
    ids: ParameterId,
    text: ParameterId,
    user: [ParameterId; 2],
    attention: [ParameterId; 3],
    towers: Vec<[ParameterId; 4]>,
}

impl SessionReward {
    /// A model for items with these vectors of texts, items × any width, whose weights follow from a seed.
    ///
    /// # Errors
    /// A size is 0, or vectors are not of all items.
    pub fn new(
        config: RewardConfig,
        (texts, items): (Vec<f32>, usize),
        parameters: &mut Parameters,
        seed: u64,
    ) -> Result<SessionReward, RecError> {
        let RewardConfig { width, hidden, max_history } = config;
        if [width, hidden, max_history, items].contains(&0)
            || texts.is_empty()
            || !texts.len().is_multiple_of(items)
        {
            return Err(RecError::Setting(
                "the reward model needs a width, a hidden layer, a history and a vector of the text of each item".into(),
            ));
        }
        let mut drawn = 0;
        let mut add = |name: String, shape: (usize, usize)| {
            drawn += 1;
            parameters.add(name, shape, init::xavier_uniform(Stream::new(seed, drawn), shape))
        };
        let text = add("text.weight".into(), (width, texts.len() / items));
        let user = add("user.weight".into(), (width, width));
        let attention = ["query", "key", "value"].map(|name| add(format!("{name}.weight"), (width, width)));
        let weights: Vec<[ParameterId; 2]> = TARGETS
            .iter()
            .map(|name| {
                [
                    add(format!("{name}.in.weight"), (hidden, width)),
                    add(format!("{name}.out.weight"), (1, hidden)),
                ]
            })
            .collect();
        let towers = TARGETS.iter().zip(weights).map(|(name, [inner, outer])| {
            let bias = parameters.add(format!("{name}.in.bias"), (1, hidden), vec![0.0; hidden]);
            [inner, bias, outer, parameters.add(format!("{name}.out.bias"), (1, 1), vec![0.0])]
        });
        let towers = towers.collect();
        let user = [user, parameters.add("user.bias", (1, width), vec![0.5; width])];
        let ids = init::normal(Stream::new(seed, 1 << 32), items * width, 0.3);
        let ids = parameters.add("ids.weight", (items, width), ids);
        Ok(SessionReward { config, items, texts: Arc::new(texts.into()), ids, text, user, attention, towers })
    }

    /// Refuses items that there are not, and histories and sessions without any.
    fn check(&self, history: &[u32], items: &[u32]) -> Result<(), RecError> {
        if history.is_empty() || items.is_empty() {
            return Err(RecError::EmptyHistory);
        }
        match history.iter().chain(items).find(|item| **item as usize >= self.items) {
            Some(item) => Err(RecError::UnknownItem { item: *item, catalogue: self.items }),
            None => Ok(()),
        }
    }

    /// The logits of the targets of each session behind its history: sessions × targets.
    ///
    /// # Errors
    /// A history or session is empty or has an item that there is not.
    pub fn logits(&self, tape: &Tape, sessions: &[(&[u32], &[u32])]) -> Result<Var, RecError> {
        let (mut liked, mut places) = (Vec::new(), Vec::new());
        let (mut histories, mut ranges): (Vec<Range<usize>>, Vec<Range<usize>>) = Default::default();
        let mut owners = Vec::new();
        for (at, (history, items)) in sessions.iter().enumerate() {
            self.check(history, items)?;
            let newest = &history[history.len().saturating_sub(self.config.max_history)..];
            histories.push(liked.len()..liked.len() + newest.len());
            liked.extend(newest.iter().map(|item| *item as usize));
            ranges.push(places.len()..places.len() + items.len());
            places.extend(items.iter().map(|item| *item as usize));
            owners.extend(std::iter::repeat_n(at, items.len()));
        }
        let linear = |x: &Var, weight: ParameterId, bias: Option<ParameterId>| {
            let bias = bias.map(|bias| tape.parameter(bias));
            Engine::linear(tape, x, &tape.parameter(weight), bias.as_ref(), None)
        };
        let texts = tape.shared((self.items, self.texts.len() / self.items), &self.texts);
        let vectors = Engine::add(tape, &linear(&texts, self.text, None), &tape.parameter(self.ids));
        let mean =
            Engine::pool(tape, &Engine::select_rows(tape, &vectors, &liked), &histories, Pooling::Mean);
        let users = linear(&mean, self.user[0], Some(self.user[1]));
        let aware = Engine::gated(
            tape,
            &Engine::select_rows(tape, &vectors, &places),
            &Engine::select_rows(tape, &users, &owners),
            Activation::None,
        );
        let [query, key, value] = self.attention.map(|weight| linear(&aware, weight, None));
        let attention = within(&ranges.clone().into(), None, (self.config.width, 1), false);
        let attended = Engine::attention(tape, &query, &key, &value, None, &attention);
        // Sums are means times lengths.
        let lengths: Vec<f32> = ranges.iter().map(|range| range.len() as f32).collect();
        let pooled = Engine::pool(tape, &attended, &ranges, Pooling::Mean);
        let pooled = tape.times(&pooled, &tape.constant((sessions.len(), 1), &lengths));
        let tower = |[inner, inner_bias, outer, outer_bias]: &[ParameterId; 4]| {
            let hidden =
                Engine::activation(tape, &linear(&pooled, *inner, Some(*inner_bias)), Activation::Relu);
            tape.transpose(&linear(&hidden, *outer, Some(*outer_bias)))
        };
        let logits: Vec<Var> = self.towers.iter().map(tower).collect();
        Ok(tape.transpose(&tape.stack(&logits.iter().collect::<Vec<_>>())))
    }

    /// What is predicted of each session behind its history.
    ///
    /// # Errors
    /// A history or session is empty or has an item that there is not.
    pub fn rewards(
        &self,
        (parameters, compute): (&Parameters, &Arc<Compute>),
        sessions: &[(&[u32], &[u32])],
    ) -> Result<Vec<[f64; TARGETS.len()]>, RecError> {
        let mut all = Vec::with_capacity(sessions.len());
        for sessions in sessions.chunks(TOGETHER) {
            let tape = Tape::inference(parameters, compute);
            let shares = tape.sigmoid(&self.logits(&tape, sessions)?);
            let (rows, _) = shares.value.as_chunks::<{ TARGETS.len() }>();
            all.extend(rows.iter().map(|row| row.map(f64::from)));
        }
        Ok(all)
    }
}

/// Logged sessions that a reward model learns from: the mean binary cross-entropy over sessions, summed over targets.
pub struct RewardTask<'t> {
    model: &'t SessionReward,
    sessions: &'t [Session],
}

impl<'t> RewardTask<'t> {
    /// Of some sessions; those without a history teach nothing and are to be left out before.
    pub fn new(model: &'t SessionReward, sessions: &'t [Session]) -> RewardTask<'t> {
        RewardTask { model, sessions }
    }
}

impl Task for RewardTask<'_> {
    fn count(&self) -> usize {
        self.sessions.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("session {}", example + 1)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], _: Mode) -> Result<StepLoss, TrainError> {
        let sessions: Vec<&Session> = examples.iter().map(|at| &self.sessions[*at]).collect();
        let asked: Vec<(&[u32], &[u32])> =
            sessions.iter().map(|session| (&session.history[..], &session.items[..])).collect();
        let logits = self.model.logits(tape, &asked).map_err(as_training)?;
        let targets: Vec<f32> =
            sessions.iter().flat_map(|session| logged_targets(&session.ratings)).collect();
        let targets = tape.constant((sessions.len(), TARGETS.len()), &targets);
        // ln(1 + eˣ) − y·x
        let losses = tape.minus(&tape.softplus(&logits), &tape.times(&targets, &logits));
        let value = tape.scale(&tape.sum(&losses), 1.0 / sessions.len().max(1) as f32);
        Ok(StepLoss { value, tokens: asked.len(), used: asked.len(), skipped: 0 })
    }
}
