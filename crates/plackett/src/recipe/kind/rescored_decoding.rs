//! `rescored-decoding`: continuations that a language model draws and a ranker chooses, at the end or on the way (RankGen).

use super::SEED;
use super::language_continuations::{MODEL, language_model, of_model, some};
use super::prefix_ranker::{FILE, KIND, PREFIX_RANKER};
use super::text_vectors::TEXT_VECTORS;
use crate::pipeline::{LocalModel, ModelError};
use crate::recipe::choosing::{Continued, continuations, cosine, source};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, Made, StageKind, nothing_to_check};
use crate::recipe::task::Task;
use plackett_arena::choosing::{Continuation, Drawn, RescoredSearch, Samples};
use plackett_core::continuation::{finished, repetition, unigram_overlap};
use plackett_core::summary::words;
use plackett_lm::EmbedOptions;
use plackett_lm::store::BUNDLED;
use plackett_rank::model::{
    AnswerForm, Finish, Generated, GenerationOptions, GenerationRequest, LanguageModel, Prompt, Sampling,
};
use plackett_train::trainer::{DualProjection, Side};
use plackett_train::{Compute, Parameters};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

/// Words among which a word that comes again is a repetition.
const WINDOW: usize = 20;
const NUMBERS: [&str; 9] = [
    "repetition/greedy",
    "repetition/likely",
    "repetition/overlap",
    "repetition/ranker",
    "repetition/drawn",
    "score/drawn",
    "score/ranker",
    "score/search",
    "score/real",
];

/// The declaration.
pub static RESCORED_DECODING: StageKind = StageKind {
    name: "rescored-decoding",
    help: "a language model draws whole continuations of prefixes of articles that are held out, of which one is chosen: by its likelihood, \
           by its words that the prefix has too, or by a ranker; and a beam search draws, scores and goes on every few tokens, with as many \
           drawn tokens. Gives by prefix `repetition/…` (share of the words that occur among the 20 before them) of `greedy`, of the one \
           chosen as `likely`, by `overlap`, by the `ranker`, and of all `drawn`; `score/…`, the ranker's score of all drawn, of the best of \
           them (`ranker`), of the beam search (`search`) and of what `real`ly follows; and `generation`, the share of the time of both \
           searches in which the model writes",
    version: 1,
    gives: Gives::Numbers,
    fields: &[
        FieldSpec::required("ranker", FieldKind::Stage(&[Gives::Numbers]), "a stage `prefix-ranker`"),
        MODEL,
        FieldSpec::new("prefixes", FieldKind::Whole(1, 100_000), Default::Whole(20), "how many"),
        FieldSpec::new("samples", FieldKind::Whole(1, 1000), Default::Whole(20), "whole continuations"),
        FieldSpec::new("tokens", FieldKind::Whole(1, 4096), Default::Whole(48), "of a continuation at most"),
        FieldSpec::new("every", FieldKind::Whole(1, 4096), Default::Whole(16), "tokens between two scorings"),
        FieldSpec::new("beams", FieldKind::Whole(1, 1000), Default::Whole(2), "that live on"),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.iter().chain(&["generation"]).map(ToString::to_string).collect(),
    outside: |values, surroundings| {
        let model = surroundings.fingerprint(values.word("model"))?;
        Ok(vec![("model".into(), model), ("encoder".into(), surroundings.fingerprint(BUNDLED)?)])
    },
    estimate: |task| {
        let values = task.values;
        let drawn = values.count("prefixes") * (2 * values.count("samples") + 1) * values.count("tokens");
        let missing = task.surroundings.model_size(values.word("model"))?.err();
        Ok(Estimate {
            work: format!("writes {drawn} tokens"),
            seconds: Some(drawn as f64 / 150.0),
            missing: missing.into_iter().collect(),
            ..Estimate::default()
        })
    },
    run,
};

/// Scores continuations of a prefix.
struct Ranker {
    encoder: LocalModel,
    projection: DualProjection,
    parameters: Parameters,
    compute: Arc<Compute>,
}

impl Ranker {
    fn vectors(&self, texts: &[&str], side: Side) -> Result<Vec<Vec<f32>>, StageError> {
        let made = self.encoder.embed(texts, &EmbedOptions::default()).map_err(ModelError::from)?;
        let rows: Vec<&[f32]> = made.data.chunks_exact(made.dim.max(1)).collect();
        Ok(self.projection.project(&self.parameters, &self.compute, &rows, side))
    }
}

/// A continuation with the sum of its tokens' log-probabilities.
#[derive(Clone, Debug, Default)]
struct Draft {
    text: String,
    log_prob: f64,
    tokens: usize,
}

/// A prefix that is continued.
struct Prefix<'p> {
    text: &'p str,
    vector: Vec<f32>,
    model: &'p dyn LanguageModel,
    ranker: &'p Ranker,
    writing: Cell<f64>,
    scoring: Cell<f64>,
}

impl Prefix<'_> {
    fn scores(&self, texts: &[&str]) -> Result<Vec<f64>, StageError> {
        let begun = Instant::now();
        let vectors = self.ranker.vectors(texts, Side::Document)?;
        self.scoring.set(self.scoring.get() + begun.elapsed().as_secs_f64());
        Ok(vectors.iter().map(|vector| cosine(&self.vector, vector)).collect())
    }

    fn write(
        &self,
        prompts: &[(Prompt, u64)],
        tokens: usize,
        sampling: Option<Sampling>,
    ) -> Result<Vec<Generated>, StageError> {
        let begun = Instant::now();
        let options = GenerationOptions { max_tokens: tokens, stop: Vec::new(), sampling };
        let requests: Vec<GenerationRequest<'_>> = prompts
            .iter()
            .map(|(prompt, sample)| GenerationRequest { prompt, form: &AnswerForm::Text, sample: *sample })
            .collect();
        let written = self.model.generate(&requests, &options);
        self.writing.set(self.writing.get() + begun.elapsed().as_secs_f64());
        written.into_iter().map(|reply| reply.map_err(of_model)).collect()
    }
}

impl Continuation for Prefix<'_> {
    type Draft = Draft;
    type Error = StageError;

    fn start(&self) -> Draft {
        Draft::default()
    }

    fn sample(
        &self,
        drafts: &[(&Draft, u64)],
        samples: usize,
        tokens: usize,
    ) -> Result<Samples<Draft>, StageError> {
        let mut all = Vec::with_capacity(drafts.len());
        for (draft, seed) in drafts {
            let prompt = Prompt::text(self.text).with_answer(&draft.text);
            let prompts: Vec<(Prompt, u64)> =
                (0..samples as u64).map(|sample| (prompt.clone(), sample)).collect();
            let sampling = Sampling { seed: *seed, temperature: 1.0, top_p: Some(0.9) };
            let drawn = self.write(&prompts, tokens, Some(sampling))?.into_iter().map(|written| Drawn {
                tokens: written.usage.generated_tokens,
                is_done: written.finish != Finish::Length,
                draft: Draft {
                    text: format!("{}{}", draft.text, written.text),
                    log_prob: draft.log_prob + written.log_prob.unwrap_or(0.0),
                    tokens: draft.tokens + written.usage.generated_tokens,
                },
            });
            all.push(drawn.collect());
        }
        Ok(all)
    }

    fn score(&self, drafts: &[&Draft]) -> Result<Vec<f64>, StageError> {
        self.scores(&drafts.iter().map(|draft| draft.text.as_str()).collect::<Vec<_>>())
    }
}

fn run(task: &Task<'_>) -> Result<Made, StageError> {
    let values = task.values;
    let (pairs, ranker) = ranker_of(task)?;
    let seed = values.count("seed") as u64;
    let model = language_model(task)?;
    let model = model.as_ref();
    let places = some(pairs.len(), values.count("prefixes"), seed.wrapping_add(1000));
    let (mut by_prefix, mut shares) = (Vec::new(), Vec::new());
    for (done, place) in places.iter().enumerate() {
        (task.progress)(task.name, done as u64, places.len() as u64);
        let pair = &pairs[*place];
        let prefix = Prefix {
            text: &pair.prefix,
            vector: ranker.vectors(&[&pair.prefix], Side::Query)?.swap_remove(0),
            model,
            ranker: &ranker,
            writing: Cell::new(0.0),
            scoring: Cell::new(0.0),
        };
        by_prefix.push(continued(
            task,
            &prefix,
            pair,
            seed.wrapping_mul(1 << 24).wrapping_add(*place as u64),
        )?);
        shares.push(prefix.writing.get() / (prefix.writing.get() + prefix.scoring.get()).max(1e-9));
    }
    let keys: Vec<String> = places.iter().map(ToString::to_string).collect();
    let quantity = |(at, name): (usize, &&str)| {
        Quantity::by_query(*name, keys.clone(), by_prefix.iter().map(|numbers| numbers[at]).collect())
    };
    let mut numbers: Vec<Quantity> = NUMBERS.iter().enumerate().map(quantity).collect();
    numbers.push(Quantity::by_query("generation", keys.clone(), shares));
    Ok(Made { numbers, facts: vec![("prefixes".into(), places.len().to_string())], ..Made::default() })
}

/// Pairs of articles that are held out, and the ranker of the stage that is named.
fn ranker_of(task: &Task<'_>) -> Result<(Vec<Continued>, Ranker), StageError> {
    let input = task.input(task.values.word("ranker"))?;
    let wrong = |kind: &str, expected: &str| {
        let problem = format!("it is of the kind `{kind}`; a stage `{expected}` is expected");
        StageError::Field { field: "ranker", problem }
    };
    if input.kind.name != PREFIX_RANKER.name {
        return Err(wrong(input.kind.name, PREFIX_RANKER.name));
    }
    let texts = task.input(input.values.word("vectors"))?;
    if texts.kind.name != TEXT_VECTORS.name {
        return Err(wrong(texts.kind.name, TEXT_VECTORS.name));
    }
    let source = source(texts.values.word("texts"));
    let file = task.surroundings.collection(texts.values.word("collection"))?.join(source.file);
    let [_, pairs] = continuations(&file)?;
    let encoder = task.surroundings.models(Some(BUNDLED)).open(None)?;
    let dimension = encoder.embed(&["a"], &EmbedOptions::default()).map_err(ModelError::from)?.dim;
    let mut parameters = Parameters::default();
    let projection = DualProjection::open(&mut parameters, dimension, KIND, &input.folder.join(FILE))?;
    let compute = Compute::new(rayon::current_num_threads());
    Ok((pairs, Ranker { encoder, projection, parameters, compute }))
}

/// The numbers of [`NUMBERS`] of a prefix.
fn continued(
    task: &Task<'_>,
    prefix: &Prefix<'_>,
    pair: &Continued,
    seed: u64,
) -> Result<[f64; NUMBERS.len()], StageError> {
    let values = task.values;
    let (tokens, samples, beams) = (values.count("tokens"), values.count("samples"), values.count("beams"));
    let before = words(&pair.prefix);
    let repeated = |text: &str| {
        let mut all = before.clone();
        all.extend(words(&finished(text)));
        repetition(&all, before.len(), WINDOW)
    };
    let greedy = prefix.write(&[(Prompt::text(prefix.text), 0)], tokens, None)?;
    let drawn = prefix.sample(&[(&Draft::default(), seed)], samples, tokens)?.swap_remove(0);
    let drafts: Vec<&Draft> = drawn.iter().map(|drawn| &drawn.draft).collect();
    let scores = prefix.score(&drafts)?;
    let best = |of: &dyn Fn(usize) -> f64| {
        (0..drafts.len()).fold(0, |best, at| if of(at) > of(best) { at } else { best })
    };
    let likely = best(&|at| drafts[at].log_prob / drafts[at].tokens.max(1) as f64);
    let overlap = best(&|at| unigram_overlap(&before, &words(&drafts[at].text)));
    let ranked = best(&|at| scores[at]);
    let search = RescoredSearch {
        every: values.count("every"),
        beams,
        samples: (samples / beams).max(1),
        longest: tokens,
        seed,
    };
    search.check()?;
    let found = search.run(prefix)?;
    let searched = match (found.scores.first(), found.beams.first()) {
        (Some(score), _) => *score,
        (None, Some(draft)) => prefix.score(&[draft])?[0],
        (None, None) => f64::NEG_INFINITY,
    };
    let repetitions: Vec<f64> = drafts.iter().map(|draft| repeated(&draft.text)).collect();
    Ok([
        greedy.first().map_or(0.0, |written| repeated(&written.text)),
        repetitions[likely],
        repetitions[overlap],
        repetitions[ranked],
        mean(&repetitions),
        mean(&scores),
        scores[ranked],
        searched,
        prefix.scores(&[pair.continuation.as_str()])?[0],
    ])
}
