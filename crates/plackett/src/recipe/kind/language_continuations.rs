//! `language-continuations`: what a language model writes after prefixes, and how likely it finds what really follows (RankGen).

use super::SEED;
use super::text_vectors::{VECTORS, vectors_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{Continued, TextVectors, continuations};
use plackett_core::continuation::finished;
use plackett_rank::model::{
    AnswerForm, CallError, ContinuationRequest, GenerationOptions, GenerationRequest, LanguageModel, Prompt,
    Sampling,
};
use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// The file of what was written.
const FILE: &str = "written.json";
/// Requests of a call.
const TOGETHER: usize = 32;

/// The declaration.
pub static LANGUAGE_CONTINUATIONS: StageKind = StageKind {
    name: "language-continuations",
    help: "a language model writes on after some prefixes of a stage `text-vectors` of the texts `continuations` (nucleus sampling, \
           temperature 1), and says how likely it finds what really follows; what it writes ends with its last sentence. Gives, by prefix of \
           articles that are held out, `prefers_own` (1 where what it wrote is more likely to it than what really follows, by token) and \
           `in_book` (1 where what really follows is more likely than another continuation of the same article)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        VECTORS,
        MODEL,
        FieldSpec::new(
            "learned",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(400),
            "prefixes to learn from",
        ),
        FieldSpec::new("tested", FieldKind::Whole(1, 1_000_000), Default::Whole(100), "prefixes to test"),
        FieldSpec::new("tokens", FieldKind::Whole(1, 4096), Default::Whole(48), "that are written at most"),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| vec!["prefers_own".into(), "in_book".into()],
    outside: |values, environment| Ok(vec![("model".into(), environment.fingerprint(values.word("model"))?)]),
    estimate: |task| {
        let values = task.values;
        let texts = values.count("learned") + 3 * values.count("tested");
        let missing = task.environment.model_size(values.word("model"))?.err();
        Ok(Estimate {
            work: format!("writes and reads {texts} continuations"),
            seconds: Some(texts as f64 * 0.4),
            missing: missing.into_iter().collect(),
            ..Estimate::default()
        })
    },
    run,
};

/// The model that writes.
pub(super) const MODEL: FieldSpec =
    FieldSpec::new("model", FieldKind::Text, Default::Text("SmolLM2-135M-Instruct"), "who writes");

/// A pair with what a model wrote instead of what follows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Written {
    /// The place of the pair among those of its part.
    pub place: usize,
    /// What was written.
    pub text: String,
}

/// What was written after prefixes to learn from and after those to test, with the vectors.
pub(super) struct WrittenTexts {
    pub parts: [Vec<Written>; 2],
    pub vectors: TextVectors,
}

/// What a stage of this kind has left.
pub(super) fn written_of(folder: &Path) -> Result<WrittenTexts, StageError> {
    let path = folder.join(FILE);
    let bytes = std::fs::read(&path).map_err(StageError::cache(&path))?;
    let parts = serde_json::from_slice(&bytes)
        .map_err(|error| StageError::Damaged { path, problem: error.to_string() })?;
    Ok(WrittenTexts { parts, vectors: TextVectors::read(folder)? })
}

/// Some places, spread by chance and rising.
pub(super) fn some(count: usize, wanted: usize, seed: u64) -> Vec<usize> {
    let mut places = sample(&mut ChaCha8Rng::seed_from_u64(seed), count, wanted.min(count)).into_vec();
    places.sort_unstable();
    places
}

/// The language model that the field `model` names.
pub(super) fn language_model(task: &Task<'_>) -> Result<Arc<dyn LanguageModel>, StageError> {
    let models = task.environment.models(Some(task.values.word("model")));
    let unfit = |problem| StageError::Field { field: "model", problem };
    models.reranker(None)?.language_model().map_err(unfit)
}

/// The model's failure as a stage's.
pub(super) fn of_model(error: CallError) -> StageError {
    StageError::Field { field: "model", problem: error.to_string() }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (_, file) = vectors_of(task)?;
    let pairs = continuations(&file)?;
    let seed = values.count("seed") as u64;
    let model = language_model(task)?;
    let model = model.as_ref();
    let counts = [values.count("learned"), values.count("tested")];
    let mut parts: [Vec<Written>; 2] = [Vec::new(), Vec::new()];
    let mut likelihoods = Vec::new();
    let all: usize = counts.iter().sum();
    for (part, pairs) in pairs.iter().enumerate() {
        let places = some(pairs.len(), counts[part], seed);
        for group in places.chunks(TOGETHER) {
            let done = parts.iter().map(Vec::len).sum::<usize>();
            (task.progress)(task.name, done as u64, all as u64);
            let prompts: Vec<Prompt> =
                group.iter().map(|place| Prompt::text(pairs[*place].prefix.as_str())).collect();
            let options = GenerationOptions {
                max_tokens: values.count("tokens"),
                min_tokens: 0,
                stop: Vec::new(),
                sampling: Some(Sampling { seed, temperature: 1.0, top_p: Some(0.9) }),
            };
            let request = |prompt| GenerationRequest { prompt, form: &AnswerForm::Text, sample: 0 };
            let requests: Vec<GenerationRequest<'_>> = prompts.iter().map(request).collect();
            for (place, written) in group.iter().zip(model.generate(&requests, &options)) {
                let text = finished(&written.map_err(of_model)?.text);
                if !text.is_empty() {
                    parts[part].push(Written { place: *place, text });
                }
            }
        }
        if part == 1 {
            likelihoods = compared(model, pairs, &parts[1], seed)?;
        }
    }
    let texts: Vec<String> = parts.iter().flatten().map(|written| written.text.clone()).collect();
    let without = counts.iter().sum::<usize>() - texts.len();
    TextVectors::embed(task, texts)?.write(task.folder)?;
    let path = task.folder.join(FILE);
    let json = serde_json::to_vec(&parts)
        .map_err(|error| StageError::Damaged { path: path.clone(), problem: error.to_string() })?;
    std::fs::write(&path, json).map_err(StageError::cache(&path))?;
    let keys: Vec<String> = parts[1].iter().map(|written| written.place.to_string()).collect();
    let one = |yes: bool| f64::from(u8::from(yes));
    let mut made = StageOutput {
        numbers: vec![
            Quantity::by_query(
                "prefers_own",
                keys.clone(),
                likelihoods.iter().map(|[real, own, _]| one(own > real)).collect(),
            ),
            Quantity::by_query(
                "in_book",
                keys,
                likelihoods.iter().map(|[real, _, other]| one(real > other)).collect(),
            ),
        ],
        facts: vec![("texts".into(), parts.iter().map(Vec::len).sum::<usize>().to_string())],
        ..StageOutput::default()
    };
    if without > 0 {
        made.warnings.push(format!(
            "after {without} prefixes nothing was written, or there were fewer prefixes than asked for; they are left out"
        ));
    }
    Ok(made)
}

/// Mean log-probabilities of a token: of what follows, of what was written, and of another continuation of the same article.
fn compared(
    model: &dyn LanguageModel,
    pairs: &[Continued],
    written: &[Written],
    seed: u64,
) -> Result<Vec<[f64; 3]>, StageError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut all = Vec::with_capacity(written.len());
    for own in written {
        let pair = &pairs[own.place];
        let others: Vec<&Continued> = pairs
            .iter()
            .enumerate()
            .filter(|(place, other)| *place != own.place && other.article == pair.article)
            .map(|(_, other)| other)
            .collect();
        let other = others.get(random.random_range(0..others.len().max(1)));
        let texts = [
            format!(" {}", pair.continuation),
            format!(" {}", own.text),
            format!(" {}", other.map_or(own.text.as_str(), |other| other.continuation.as_str())),
        ];
        let prompt = Prompt::text(pair.prefix.as_str());
        let requests: Vec<ContinuationRequest<'_>> =
            texts.iter().map(|continuation| ContinuationRequest { prompt: &prompt, continuation }).collect();
        let mut means = [0.0; 3];
        for (mean, reply) in means.iter_mut().zip(model.log_likelihoods(&requests)) {
            *mean = reply.map_err(of_model)?.mean();
        }
        all.push(means);
    }
    Ok(all)
}
