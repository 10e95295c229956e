//! TIGER (Rajput et al., Recommender systems with generative retrieval, NeurIPS 2023) as a floor of generative recommenders: a small
//! encoder–decoder writes the semantic id of the next item. Ids are made of what users did (vectors of iALS), since there are no texts here; the
//! model is that of [`crate::onerec`] with dense networks and sessions of one item, and writes in the inference engine.

mod codes;

use crate::evaluation::check_items;
use crate::onerec::{ItemTokens, OneRec, OneRecConfig, OneRecInference, Session, SessionSearch, SessionTask};
use crate::recommender::{matrix, width_of};
use crate::sequential::sas_rec::take_over;
use crate::sequential::{check_heads, check_next_items, settings_option as option};
use crate::{FitData, FitStep, Fitting, RecError, Recommender, RecommenderSpec, Request, parse};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::{Settings, StepRecord, train};
use plackett_train::Parameters;

/// Numbers of a vector of what users did.
const VECTOR: usize = 32;
/// The matrix of codes among what is kept.
const CODES: &str = "codes";

const OPTIONS: [OptionSpec; 11] = [
    option(
        "levels",
        OptionKind::Integer(1, 8),
        "3",
        "codes of an item, before the one that tells items of equal codes apart",
    ),
    option("codes", OptionKind::Integer(1, 4096), "64", "different codes of a level"),
    option("width", OptionKind::Integer(1, 4096), "64", "numbers of a token's vector"),
    option("blocks", OptionKind::Integer(1, 100), "2", "layers of the encoder, and of the decoder"),
    option("heads", OptionKind::Integer(1, 1024), "4", "heads of attention; a divisor of the width"),
    option(
        "max-history",
        OptionKind::Integer(1, 1000),
        "20",
        "items of a history that are read, the newest ones",
    ),
    option(
        "beams",
        OptionKind::Integer(1, 10_000),
        "50",
        "items that are written; all others share the last place",
    ),
    option("epochs", OptionKind::Integer(1, 100_000), "10", "how often all next items are seen"),
    option("batch", OptionKind::Integer(1, 65_536), "128", "next items of a step"),
    option("rate", OptionKind::Number(1e-9, 1e9), "0.002", "the learning rate"),
    option("dropout", OptionKind::Number(0.0, 0.99), "0.1", "share of numbers set to zero in training"),
];

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "tiger",
    aliases: &["generative-retrieval"],
    summary: "A small encoder–decoder writes the semantic id of the next item by a beam search; ids are residual codes of iALS's vectors.",
    paper: "Rajput et al., Recommender systems with generative retrieval, NeurIPS 2023 (there ids are of texts)",
    options: &OPTIONS,
    draws: true,
    reads_time: false,
    fit: |options, data, fitting| Ok(Box::new(Tiger::fit(options, data, fitting)?)),
    restore: |options, catalogue, saved| Ok(Box::new(Tiger::restore(options, catalogue, saved)?)),
};

/// A model that writes the next item.
pub struct Tiger {
    inference: OneRecInference,
    parameters: Parameters,
    tokens: ItemTokens,
    beams: usize,
}

fn config_of(options: &OptionValues) -> OneRecConfig {
    OneRecConfig {
        width: options.count("width"),
        blocks: options.count("blocks"),
        heads: options.count("heads"),
        inner: 2 * options.count("width"),
        experts: 0,
        active: 1,
        max_history: options.count("max-history"),
    }
}

/// Items as tokens. The last code may need more numbers than the others.
fn tokens_of(ids: &[Vec<u32>], options: &OptionValues) -> Result<ItemTokens, RecError> {
    let largest = ids.iter().flatten().copied().max().unwrap_or_default() as usize;
    ItemTokens::new(ids, options.count("codes").max(largest + 1), &vec![1; ids.len()])
}

/// Every item that somebody had after others, with the newest of those.
fn next_items(data: &FitData<'_>, most: usize) -> Vec<Session> {
    let mut all = Vec::new();
    for (user, events) in data.sequences.iter().enumerate() {
        let items: Vec<u32> = events.iter().map(|event| event.item).collect();
        all.extend((1..items.len()).map(|at| Session {
            user,
            history: items[at.saturating_sub(most)..at].to_vec(),
            items: vec![items[at]],
            ratings: vec![1.0],
        }));
    }
    all
}

impl Tiger {
    fn fit(options: &OptionValues, data: &FitData<'_>, fitting: &mut Fitting<'_>) -> Result<Tiger, RecError> {
        check_heads(options)?;
        let seed = fitting.seed;
        let ids = codes::semantic_ids(
            &vectors(data, fitting)?,
            VECTOR,
            (options.count("levels"), options.count("codes")),
            seed,
        );
        let tokens = tokens_of(&ids, options)?;
        let sessions = next_items(data, options.count("max-history"));
        check_next_items("tiger", sessions.len())?;
        let mut parameters = Parameters::default();
        let model = OneRec::new(config_of(options), tokens.vocabulary(), &mut parameters, seed)?;
        let mut settings = Settings {
            batch: options.count("batch").min(sessions.len()),
            epochs: options.count("epochs") as f64,
            rate: options.number("rate") as f32,
            schedule: Schedule::Cosine,
            dropout: options.number("dropout") as f32,
            seed,
            checkpoint: 0,
            ..Settings::default()
        };
        let folder = fitting.kept.map(|kept| kept.begin("", &mut settings)).transpose()?;
        let place = (folder.as_deref(), fitting.kept.map_or("", |kept| kept.identity));
        let task = SessionTask::new(&model, &tokens, &sessions);
        let mut progress = |record: &StepRecord, total: usize| (fitting.progress)(FitStep::of(record, total));
        train(&task, &fitting.compute, &mut parameters, &settings, place, None, &mut progress)?;
        let values = ids.iter().flatten().map(|code| *code as f32).collect();
        parameters.add(CODES, (ids.len(), options.count("levels") + 1), values);
        let inference = OneRecInference::new(&model, &parameters, fitting.compute.workers)?;
        Ok(Tiger { inference, parameters, tokens, beams: options.count("beams") })
    }

    fn restore(options: &OptionValues, catalogue: usize, saved: &Parameters) -> Result<Tiger, RecError> {
        check_heads(options)?;
        let levels = width_of(saved, CODES)?;
        let values = matrix(saved, CODES, (catalogue, levels))?;
        if let Some(code) = values.iter().find(|code| !(0.0..1e6).contains(*code) || code.fract() != 0.0) {
            return Err(RecError::Setting(format!(
                "`{CODES}` has {code}, which is no code; fit the model again"
            )));
        }
        let ids: Vec<Vec<u32>> =
            values.chunks(levels).map(|codes| codes.iter().map(|code| *code as u32).collect()).collect();
        let tokens = tokens_of(&ids, options)?;
        matrix(saved, "embeddings.weight", (tokens.vocabulary(), options.count("width")))?;
        let mut parameters = Parameters::default();
        let model = OneRec::new(config_of(options), tokens.vocabulary(), &mut parameters, 0)?;
        take_over(&mut parameters, saved)?;
        parameters.add(CODES, (catalogue, levels), values);
        let inference = OneRecInference::new(&model, &parameters, rayon::current_num_threads())?;
        Ok(Tiger { inference, parameters, tokens, beams: options.count("beams") })
    }
}

/// The vectors of all items that iALS finds, one after another.
fn vectors(data: &FitData<'_>, fitting: &Fitting<'_>) -> Result<Vec<f32>, RecError> {
    let mut own =
        Fitting { compute: fitting.compute.clone(), seed: fitting.seed, kept: None, progress: &mut |_| {} };
    let fitted = parse(&format!("ials(width={VECTOR})"))?.fit(data, &mut own)?;
    matrix(&fitted.parameters(), "items", (data.catalogue, VECTOR))
}

impl Recommender for Tiger {
    fn catalogue(&self) -> usize {
        self.tokens.item_count()
    }

    /// ln p of the items that a beam finds; all others have the same score below them. Each history is searched for alone, so that what it gets
    /// depends on no other.
    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        let mut all = Vec::with_capacity(requests.len() * self.catalogue());
        for request in requests {
            check_items(request.history.iter(), self.catalogue())?;
            let history: Vec<u32> = request.history.iter().map(|event| event.item).collect();
            let search = SessionSearch::Beam(self.beams);
            let found = self.inference.generate(&self.tokens, &[&history[..]], 1, search)?;
            let least = found.iter().flatten().map(|own| own.log_probability).fold(0.0, f64::min);
            let mut scores = vec![(least - 1.0) as f32; self.catalogue()];
            for own in found.iter().flatten() {
                own.items.iter().for_each(|item| scores[*item as usize] = own.log_probability as f32);
            }
            all.extend(scores);
        }
        Ok(all)
    }

    fn parameters(&self) -> Parameters {
        self.parameters.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::Compute;

    #[test]
    fn heads_that_do_not_divide_the_width_are_refused_by_its_own_options() {
        let mut fitting = Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
        let events = [crate::Event { item: 0, rating: 1.0, time: 0 }];
        let data = FitData { catalogue: 3, sequences: &[&events[..]], texts: &[] };
        let error = parse("tiger(heads=3)").unwrap().fit(&data, &mut fitting).err().unwrap().to_string();
        assert!(error.contains("heads = 3 do not divide width = 64; give a divisor"), "{error}");
    }
}
