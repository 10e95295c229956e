//! SynerGen as a recommender: it learns from what users did without any search, and answers for the whole catalogue.

use super::config::{SynerGenConfig, TextVectors};
use super::fit::{Labels, SynerGenLearning, SynerGenTask};
use super::inference::{ContentTables, SynerGenInference};
use super::model::{IDS, SynerGen};
use super::tokens::Occurrence;
use crate::evaluation::{best, check_items};
use crate::recommender::{TEXT_VECTORS, matrix, width_of};
use crate::sequential::sas_rec::{take_over, workers};
use crate::sequential::{MOST_SCORES, check_next_items, check_size, settings_option as option};
use crate::{Event, FitData, Fitting, RecError, Recommender, RecommenderSpec, Request};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_lm::store::BUNDLED;
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::{Settings, Task};
use plackett_train::{Compute, Parameters};
use rayon::prelude::*;
use std::sync::Arc;

/// What is added to the probability of an item that is ranked again, so that it stands before all others, whose scores are cosines.
const BEFORE: f32 = 2.0;

const OPTIONS: [OptionSpec; 15] = [
    option(
        "encoder",
        OptionKind::Text("MODEL"),
        BUNDLED,
        "the encoder that reads the items' texts, a name or a folder",
    ),
    option("width", OptionKind::Integer(1, 4096), "64", "numbers of an event's vector"),
    option("blocks", OptionKind::Integer(1, 100), "2", "layers"),
    option(
        "heads",
        OptionKind::Integer(1, 1024),
        "4",
        "heads of attention; the width is a multiple of four times them",
    ),
    option("time", OptionKind::Switch, "true", "whether half of the pairs turn by time, or all by place"),
    option(
        "max-history",
        OptionKind::Integer(1, 10_000),
        "50",
        "events of a history that are read, the newest ones; also of those that are learned from",
    ),
    option(
        "places",
        OptionKind::Integer(0, 10_000),
        "6",
        "events of a user that a step learns from, drawn; 0 for the last one alone, as the authors do it",
    ),
    option(
        "ranking",
        OptionKind::Number(0.0, 1e6),
        "1",
        "weight of the ranking loss beside that of retrieval; 0 learns no ranking",
    ),
    option(
        "depth",
        OptionKind::Integer(0, 1_000_000),
        "0",
        "how many of the first items are put in the order of the ranking tokens",
    ),
    option("temperature", OptionKind::Positive, "0.07", "what cosines are divided by in the loss"),
    option("epochs", OptionKind::Integer(1, 100_000), "8", "how often all users are seen"),
    option("batch", OptionKind::Integer(1, 65_536), "24", "users of a step"),
    option("rate", OptionKind::Number(1e-9, 1e9), "0.002", "the learning rate"),
    option(
        "id-rate",
        OptionKind::Number(1e-9, 1e9),
        "0.01",
        "the learning rate of the trained vectors of items",
    ),
    option("dropout", OptionKind::Number(0.0, 0.99), "0.1", "share of numbers set to zero in training"),
];

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "synergen",
    aliases: &["search-recommend"],
    summary: "A decoder over events, whose items have the vector of their text and a trained one, turned by time; cosines with all items, and a ranking head for the first of them.",
    paper: "Contextualized generative recommender for unified search and recommendation, 2025 (arXiv 2509.21777); what it leaves open is completed",
    options: &OPTIONS,
    draws: true,
    reads_time: |options| options.switch("time"),
    check: |options, catalogue| config_of(options, catalogue).map(drop),
    fit: |options, data, fitting| Ok(Box::new(SynerGenRecommender::fit(options, data, fitting)?)),
    restore: |options, catalogue, saved| {
        Ok(Box::new(SynerGenRecommender::restore(options, catalogue, saved)?))
    },
};

/// A trained SynerGen that ranks a catalogue.
pub struct SynerGenRecommender {
    model: SynerGen,
    /// What was trained, and the vectors of texts beside it.
    parameters: Parameters,
    /// Of one thread: users are asked about side by side.
    compute: Arc<Compute>,
    tables: ContentTables,
    /// How many of the first items are ranked again.
    depth: usize,
}

/// Sizes of the model for a catalogue.
///
/// # Errors
/// Options that do not go together, or a model that would be too large.
fn config_of(options: &OptionValues, catalogue: usize) -> Result<SynerGenConfig, RecError> {
    let (width, heads, blocks) = (options.count("width"), options.count("heads"), options.count("blocks"));
    if !width.is_multiple_of(4 * heads) {
        let multiple = 4 * heads;
        let problem = format!("heads = {heads} need a width that is a multiple of {multiple}, not {width}");
        return Err(options.problem(problem).into());
    }
    if options.count("depth") > 0 && options.number("ranking") == 0.0 {
        let problem = "depth orders items by what ranking teaches, whose weight is 0; leave depth out, or give ranking a weight";
        return Err(options.problem(problem).into());
    }
    // Of each item there is the trained vector, and what both vectors become.
    check_size(width, 2 * catalogue, blocks, 12 * (width as u128).pow(2))?;
    Ok(SynerGenConfig {
        width,
        blocks,
        heads,
        inner: width * 5 / 2,
        max_events: options.count("max-history"),
        // Files of interactions rate on scales of their own, and a history that is given by names does not rate at all.
        actions: 1,
        ids: true,
        semantic: true,
        time: options.switch("time"),
    })
}

/// What is learned: recommendations alone, since interactions have no searches.
fn learning_of(options: &OptionValues) -> SynerGenLearning {
    let places = options.count("places");
    SynerGenLearning {
        labels: if places == 0 { Labels::Last } else { Labels::Drawn(places) },
        search: 0.0,
        temperature: options.number("temperature") as f32,
        ranked: places.max(1),
        ranking: options.number("ranking") as f32,
        ..SynerGenLearning::default()
    }
}

/// Settings of the training on so many users.
fn settings_of(options: &OptionValues, users: usize, seed: u64) -> Settings {
    let settings = Settings {
        batch: options.count("batch").min(users),
        epochs: options.count("epochs") as f64,
        rate: options.number("rate") as f32,
        head_rate: options.number("id-rate") as f32,
        schedule: Schedule::Cosine,
        decay: 0.01,
        dropout: options.number("dropout") as f32,
        seed,
        checkpoint: 0,
        ..Settings::default()
    };
    Settings { warmup: settings.steps_over(users) / 50, ..settings }
}

/// Refuses a step before the memory of its scores is asked for: those of its questions for all items and for each other's targets.
fn check_step(labels: u128, catalogue: usize, learning: &SynerGenLearning) -> Result<(), RecError> {
    match labels * (catalogue as u128 + labels + learning.random as u128) > MOST_SCORES {
        true => Err(RecError::Setting(format!(
            "a step that learns from {labels} events among {catalogue} items has more than {MOST_SCORES} scores; give a smaller batch or \
             fewer places"
        ))),
        false => Ok(()),
    }
}

fn occurrence(event: &Event) -> Occurrence {
    Occurrence { item: event.item, action: 0, time: Some(event.time), query: None }
}

fn texts_of(texts: &[f32], catalogue: usize) -> TextVectors {
    TextVectors { items: texts.to_vec(), queries: Vec::new(), width: texts.len() / catalogue.max(1) }
}

impl SynerGenRecommender {
    /// Of a model that is trained; keeps the vectors of the items' texts among its parameters.
    fn new(
        model: SynerGen,
        mut parameters: Parameters,
        texts: Vec<f32>,
        depth: usize,
    ) -> SynerGenRecommender {
        let tables = ContentTables::new(&model, &parameters, &Compute::new(workers()));
        parameters.add(TEXT_VECTORS, (model.items, texts.len() / model.items.max(1)), texts);
        SynerGenRecommender { model, parameters, compute: Compute::new(1), tables, depth }
    }

    fn fit(
        options: &OptionValues,
        data: &FitData<'_>,
        fitting: &mut Fitting<'_>,
    ) -> Result<SynerGenRecommender, RecError> {
        let config = config_of(options, data.catalogue)?;
        let events = |events: &&[Event]| events.iter().map(occurrence).collect();
        let users: Vec<Vec<Occurrence>> = data.sequences.iter().map(events).collect();
        check_next_items("synergen", users.iter().filter(|events| events.len() > 1).count())?;
        let texts = data.texts_for("synergen")?;
        let mut parameters = Parameters::default();
        let model = SynerGen::new(config, texts_of(texts, data.catalogue), &mut parameters, fitting.seed)?;
        let (learning, queries) = (learning_of(options), vec![Vec::new(); data.catalogue]);
        let task = SynerGenTask::new(&model, &users, &queries, learning)?;
        let settings = settings_of(options, task.count(), fitting.seed);
        let of_user = options.count("places").clamp(1, config.max_events);
        check_step(settings.batch as u128 * of_user as u128, data.catalogue, &learning)?;
        fitting.train(&task, &mut parameters, settings)?;
        let mut counts = vec![0; data.catalogue];
        users.iter().flatten().for_each(|event| counts[event.item as usize] += 1);
        model.fill_cold_items(&mut parameters, &counts);
        Ok(SynerGenRecommender::new(model, parameters, texts.to_vec(), options.count("depth")))
    }

    fn restore(
        options: &OptionValues,
        catalogue: usize,
        saved: &Parameters,
    ) -> Result<SynerGenRecommender, RecError> {
        let config = config_of(options, catalogue)?;
        matrix(saved, IDS, (catalogue, config.width))?;
        let texts = matrix(saved, TEXT_VECTORS, (catalogue, width_of(saved, TEXT_VECTORS)?))?;
        let mut parameters = Parameters::default();
        let model = SynerGen::new(config, texts_of(&texts, catalogue), &mut parameters, 0)?;
        take_over(&mut parameters, saved)?;
        Ok(SynerGenRecommender::new(model, parameters, texts, options.count("depth")))
    }

    /// The scores of all items behind a history.
    fn scores_of(
        &self,
        inference: &SynerGenInference<'_>,
        request: &Request<'_>,
    ) -> Result<Vec<f32>, RecError> {
        check_items(request.history.iter(), self.catalogue())?;
        let newest = &request.history[request.history.len().saturating_sub(self.model.config.max_events)..];
        let events: Vec<Occurrence> = newest.iter().map(occurrence).collect();
        let (context, now) = (inference.read(&events)?, Some(request.now));
        let mut scores = inference.retrieve(&context, None, now)?;
        let first = best(&scores, self.depth);
        let ranked = inference.rank(&context, None, now, &first)?;
        for (item, probability) in first.iter().zip(ranked) {
            scores[*item as usize] = BEFORE + probability;
        }
        Ok(scores)
    }
}

impl Recommender for SynerGenRecommender {
    fn catalogue(&self) -> usize {
        self.model.items
    }

    /// Cosines of what a retrieval token becomes with all items; of the first `depth` ones 2 plus the probability by a ranking token. An empty history
    /// is asked about as any other.
    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        let tables = self.tables.clone();
        let inference =
            SynerGenInference::with_tables(&self.model, &self.parameters, self.compute.clone(), tables);
        let scores = |request: &Request<'_>| self.scores_of(&inference, request);
        let all: Result<Vec<Vec<f32>>, RecError> = requests.par_iter().map(scores).collect();
        Ok(all?.concat())
    }

    fn parameters(&self) -> Parameters {
        self.parameters.clone()
    }
}
