//! SETRec as a recommender: vectors of items from a SASRec and from texts, the training, and what is kept of both.

use super::fit::SetRecTask;
use super::model::{ENCODER, ItemTables, ItemVectors, SetRec, SetRecConfig};
use crate::evaluation::check_items;
use crate::recommender::{TEXT_VECTORS, matrix, width_of};
use crate::sequential::sas_rec::{take_over, workers};
use crate::sequential::{check_heads, check_next_items, check_size, settings_option as option};
use crate::{Event, FitData, Fitting, RecError, Recommender, RecommenderSpec, Request, parse};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_lm::store::BUNDLED;
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;
use plackett_train::{Compute, Parameters};
use std::sync::Arc;

/// The matrix of the SASRec's vectors of items among what is kept.
const COLLABORATIVE_VECTORS: &str = "collaborative_vectors";
/// Where the checkpoints of the SASRec lie, in the folder of those of the whole.
const START: &str = "sasrec";

const OPTIONS: [OptionSpec; 13] = [
    option(
        "encoder",
        OptionKind::Text("MODEL"),
        BUNDLED,
        "the encoder that reads the items' texts, a name or a folder",
    ),
    option("semantic", OptionKind::Integer(1, 64), "4", "vectors of an item's text"),
    option(
        "beta",
        OptionKind::Number(0.0, 1.0),
        "0.5",
        "weight of the scores of texts; those of what users did have the rest of 1",
    ),
    option("alpha", OptionKind::Number(0.0, 1e6), "0.7", "weight of the auto-encoder's error in the loss"),
    option("width", OptionKind::Integer(1, 4096), "48", "numbers of a vector"),
    option("blocks", OptionKind::Integer(1, 100), "2", "layers"),
    option("heads", OptionKind::Integer(1, 1024), "2", "heads of attention; a divisor of the width"),
    option(
        "max-history",
        OptionKind::Integer(1, 1000),
        "20",
        "items of a history that are read, the newest ones; also of those that are learned from",
    ),
    option(
        "sasrec-epochs",
        OptionKind::Integer(1, 100_000),
        "20",
        "how often the SASRec that gives the vectors of what users did sees all users",
    ),
    option("epochs", OptionKind::Integer(1, 100_000), "10", "how often all users are seen"),
    option("batch", OptionKind::Integer(1, 65_536), "16", "users of a step"),
    option("rate", OptionKind::Number(1e-9, 1e9), "0.002", "the learning rate"),
    option("dropout", OptionKind::Number(0.0, 0.99), "0.1", "share of numbers set to zero in training"),
];

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "setrec",
    aliases: &["set-identifiers"],
    summary: "An item is a set of vectors, one of what users did and some of its text; a small transformer emits all of the next item's in one step.",
    paper: "Lin et al., Order-agnostic identifier for large language model-based generative recommendation, SIGIR 2025 (there in a language model)",
    options: &OPTIONS,
    draws: true,
    reads_time: |_| false,
    check: |options, catalogue| config_of(options, catalogue).map(drop),
    fit: |options, data, fitting| Ok(Box::new(SetRecRecommender::fit(options, data, fitting)?)),
    restore: |options, catalogue, saved| Ok(Box::new(SetRecRecommender::restore(options, catalogue, saved)?)),
};

/// A trained SETRec that ranks a catalogue: one pass over a history, and a product for each slot.
pub struct SetRecRecommender {
    model: SetRec,
    /// What was trained, and the vectors of items beside it.
    parameters: Parameters,
    compute: Arc<Compute>,
    tables: ItemTables,
    beta: f32,
}

/// Sizes of the model for a catalogue.
///
/// # Errors
/// Sizes that cannot be.
fn config_of(options: &OptionValues, catalogue: usize) -> Result<SetRecConfig, RecError> {
    check_heads(options)?;
    let config = SetRecConfig {
        width: options.count("width"),
        blocks: options.count("blocks"),
        heads: options.count("heads"),
        max_items: options.count("max-history"),
        collaborative: true,
        semantic: options.count("semantic"),
        sparse: true,
    };
    let rows = (catalogue + 1) * config.tokens() + config.max_items + 1;
    check_size(config.width, rows, config.blocks, 12 * (config.width as u128).pow(2))?;
    Ok(config)
}

/// The most numbers that a step may hold: 32 GB, as a model of the greatest size with its gradients and moments.
const MOST_NUMBERS: u128 = 8 << 30;

/// Refuses a step before its memory is asked for: of so many users with so many events at most, and of all items with the width of their texts' vectors.
fn check_step(
    config: &SetRecConfig,
    (users, longest): (usize, usize),
    (items, text_width): (usize, usize),
) -> Result<(), RecError> {
    let [tokens, width, blocks] = [config.tokens(), config.width, config.blocks].map(|size| size as u128);
    // A layer keeps some twenty rows of the width for each token and slot; the auto-encoder its layers in both directions, before and after the ReLU.
    let of_users = users as u128 * 2 * longest as u128 * tokens * width * (2 + 20 * blocks);
    let layers = 4 * ENCODER.iter().sum::<usize>() as u128;
    let of_items = items as u128 * (layers + 4 * tokens * width + 3 * text_width as u128);
    let numbers = of_users + of_items;
    match numbers > MOST_NUMBERS {
        true => Err(RecError::Setting(format!(
            "a step of {users} users with up to {longest} events each and of the texts of {items} items holds {numbers} numbers, and \
             {MOST_NUMBERS} are the most; give a smaller batch, max-history, width or semantic, or fewer items"
        ))),
        false => Ok(()),
    }
}

/// Settings of the training on so many users.
fn settings_of(options: &OptionValues, users: usize, seed: u64) -> Settings {
    let settings = Settings {
        batch: options.count("batch").min(users),
        epochs: options.count("epochs") as f64,
        rate: options.number("rate") as f32,
        schedule: Schedule::Cosine,
        dropout: options.number("dropout") as f32,
        seed,
        checkpoint: 0,
        ..Settings::default()
    };
    Settings { warmup: settings.steps_over(users) / 20, ..settings }
}

/// The item vectors of a SASRec that learns from what users did, each of length √width: catalogue × width. Those of items that nobody had stay as
/// they were drawn.
///
/// # Errors
/// Nobody has two events, or the training fails.
pub fn collaborative_vectors(
    data: &FitData<'_>,
    (width, epochs): (usize, usize),
    fitting: &mut Fitting<'_>,
) -> Result<Vec<f32>, RecError> {
    let start = parse(&format!("sasrec(epochs={epochs}, batch=32, width={width})"))?;
    let fitted = start.fit(data, fitting)?;
    let mut vectors = matrix(&fitted.parameters(), "items.weight", (data.catalogue, width))?;
    for row in vectors.chunks_mut(width) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
        row.iter_mut().for_each(|x| *x *= (width as f32).sqrt() / length);
    }
    Ok(vectors)
}

impl SetRecRecommender {
    /// Of a model that is trained; keeps its vectors of items among its parameters.
    fn new(model: SetRec, mut parameters: Parameters, compute: Arc<Compute>, beta: f64) -> SetRecRecommender {
        let tables = model.tables(&parameters, &compute);
        let vectors = &model.vectors;
        for (name, width, values) in [
            (COLLABORATIVE_VECTORS, vectors.collaborative_width(), &vectors.collaborative),
            (TEXT_VECTORS, vectors.text_width(), &vectors.text),
        ] {
            parameters.add(name, (vectors.items, width), values.clone());
        }
        SetRecRecommender { model, parameters, compute, tables, beta: beta as f32 }
    }

    fn fit(
        options: &OptionValues,
        data: &FitData<'_>,
        fitting: &mut Fitting<'_>,
    ) -> Result<SetRecRecommender, RecError> {
        let config = config_of(options, data.catalogue)?;
        let items = |events: &&[Event]| events.iter().map(|event| event.item).collect();
        let sequences: Vec<Vec<u32>> = data.sequences.iter().map(items).collect();
        let users = sequences.iter().filter(|items| items.len() > 1).count();
        check_next_items("setrec", users)?;
        let text = data.texts_for("setrec")?.to_vec();
        let settings = settings_of(options, users, fitting.seed);
        let longest = sequences.iter().map(|items| items.len().min(config.max_items + 1)).max().unwrap_or(0);
        check_step(&config, (settings.batch, longest), (data.catalogue, text.len() / data.catalogue))?;
        let sizes = (config.width, options.count("sasrec-epochs"));
        let collaborative = fitting.part(START, |own| collaborative_vectors(data, sizes, own))?;
        let vectors = ItemVectors { collaborative, text, items: data.catalogue };
        let mut parameters = Parameters::default();
        let model = SetRec::new(config, vectors, &mut parameters, fitting.seed)?;
        let task = SetRecTask::new(&model, &sequences, options.number("alpha") as f32);
        fitting.train(&task, &mut parameters, settings)?;
        Ok(SetRecRecommender::new(model, parameters, fitting.compute.clone(), options.number("beta")))
    }

    fn restore(
        options: &OptionValues,
        catalogue: usize,
        saved: &Parameters,
    ) -> Result<SetRecRecommender, RecError> {
        let config = config_of(options, catalogue)?;
        let of_items = |name: &str| matrix(saved, name, (catalogue, width_of(saved, name)?));
        let vectors = ItemVectors {
            collaborative: of_items(COLLABORATIVE_VECTORS)?,
            text: of_items(TEXT_VECTORS)?,
            items: catalogue,
        };
        matrix(saved, "slots.weight", (config.tokens(), config.width))?;
        let mut parameters = Parameters::default();
        let model = SetRec::new(config, vectors, &mut parameters, 0)?;
        take_over(&mut parameters, saved)?;
        Ok(SetRecRecommender::new(model, parameters, Compute::new(workers()), options.number("beta")))
    }
}

impl Recommender for SetRecRecommender {
    fn catalogue(&self) -> usize {
        self.model.items()
    }

    /// (1 − β) times what the slot of what users did says, plus β times what those of texts say together. An empty history is asked about as any other.
    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        check_items(requests.iter().flat_map(|request| request.history), self.catalogue())?;
        let items = |request: &Request<'_>| request.history.iter().map(|event| event.item).collect();
        let histories: Vec<Vec<u32>> = requests.iter().map(items).collect();
        let histories: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
        let found = self.model.scores_by((&self.parameters, &self.compute), &self.tables, &histories, None);
        Ok(found.iter().flat_map(|scores| scores.mixed(self.beta)).collect())
    }

    fn parameters(&self) -> Parameters {
        self.parameters.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_would_hold_too_much_is_refused() {
        let config = SetRecConfig {
            width: 48,
            blocks: 2,
            heads: 2,
            max_items: 20,
            collaborative: true,
            semantic: 4,
            sparse: true,
        };
        assert!(check_step(&config, (16, 21), (1682, 384)).is_ok());
        for (users, items) in [((65_536, 1001), 1682), ((16, 21), 10_000_000)] {
            let error = check_step(&config, users, (items, 384)).unwrap_err().to_string();
            assert!(error.contains("give a smaller batch"), "{error}");
        }
    }
}
