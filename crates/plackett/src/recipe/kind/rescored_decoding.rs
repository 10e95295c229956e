//! `rescored-decoding`: continuations that a language model draws and a ranker chooses, at the end or on the way (RankGen).

use super::SEED;
use super::language_continuations::{MODEL, language_model, of_model, some};
use super::prefix_ranker::{FILE, KIND, PREFIX_RANKER};
use super::text_vectors::TEXT_VECTORS;
use crate::choosing::{Draft, Scored, Scorer, Writer};
use crate::pipeline::{LocalModel, ModelError};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{Continued, continuations, cosine, source};
use plackett_arena::choosing::RescoredSearch;
use plackett_core::continuation::{finished, repetition, unigram_overlap};
use plackett_core::summary::words;
use plackett_lm::EmbedOptions;
use plackett_lm::store::BUNDLED;
use plackett_rank::model::{CallError, Prompt};
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
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("ranker", FieldKind::Stage(&[OutputKind::Numbers]), "a stage `prefix-ranker`"),
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
    outside: |values, environment| {
        let model = environment.fingerprint(values.word("model"))?;
        Ok(vec![("model".into(), model), ("encoder".into(), environment.fingerprint(BUNDLED)?)])
    },
    estimate: |task| {
        let values = task.values;
        let drawn = values.count("prefixes") * (2 * values.count("samples") + 1) * values.count("tokens");
        let missing = task.environment.model_size(values.word("model"))?.err();
        Ok(Estimate {
            work: format!("writes {drawn} tokens"),
            seconds: Some(drawn as f64 / 150.0),
            missing: missing.into_iter().collect(),
            ..Estimate::default()
        })
    },
    run,
};

/// The encoder with the maps of a stage.
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

/// Scores continuations of a prefix.
struct PrefixScorer<'r> {
    vector: Vec<f32>,
    ranker: &'r Ranker,
    seconds: Cell<f64>,
}

impl PrefixScorer<'_> {
    fn of_texts(&self, texts: &[&str]) -> Result<Vec<f64>, StageError> {
        let begun = Instant::now();
        let vectors = self.ranker.vectors(texts, Side::Document)?;
        self.seconds.set(self.seconds.get() + begun.elapsed().as_secs_f64());
        Ok(vectors.iter().map(|vector| cosine(&self.vector, vector)).collect())
    }
}

impl Scorer for PrefixScorer<'_> {
    type Error = StageError;

    fn scores(&self, drafts: &[&Draft]) -> Result<Vec<f64>, StageError> {
        self.of_texts(&drafts.iter().map(|draft| draft.text.as_str()).collect::<Vec<_>>())
    }

    fn failed(&self, error: CallError) -> StageError {
        of_model(error)
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
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
        let writer = Writer::new(model, Prompt::text(pair.prefix.as_str()), (1.0, Some(0.9)));
        let vector = ranker.vectors(&[&pair.prefix], Side::Query)?.swap_remove(0);
        let scorer = PrefixScorer { vector, ranker: &ranker, seconds: Cell::new(0.0) };
        let drawn = seed.wrapping_mul(1 << 24).wrapping_add(*place as u64);
        by_prefix.push(continued(task, (&writer, &scorer), pair, drawn)?);
        shares.push(writer.seconds() / (writer.seconds() + scorer.seconds.get()).max(1e-9));
    }
    let keys: Vec<String> = places.iter().map(ToString::to_string).collect();
    let quantity = |(at, name): (usize, &&str)| {
        Quantity::by_query(*name, keys.clone(), by_prefix.iter().map(|numbers| numbers[at]).collect())
    };
    let mut numbers: Vec<Quantity> = NUMBERS.iter().enumerate().map(quantity).collect();
    numbers.push(Quantity::by_query("generation", keys.clone(), shares));
    Ok(StageOutput {
        numbers,
        facts: vec![("prefixes".into(), places.len().to_string())],
        ..StageOutput::default()
    })
}

/// Pairs of articles that are held out, and the ranker of the stage that is named.
fn ranker_of(task: &Task<'_>) -> Result<(Vec<Continued>, Ranker), StageError> {
    let input = task.input_of("ranker", &[PREFIX_RANKER.name])?;
    let texts = task.input(input.values.word("vectors"))?;
    texts.check_kind("ranker", &[TEXT_VECTORS.name])?;
    let source = source(texts.values.word("texts"));
    let file = task.environment.collection(texts.values.word("collection"))?.join(source.file);
    let [_, pairs] = continuations(&file)?;
    let encoder = task.environment.models(Some(BUNDLED)).open(None)?;
    let dimension = encoder.embed(&["a"], &EmbedOptions::default()).map_err(ModelError::from)?.dim;
    let mut parameters = Parameters::default();
    let projection = DualProjection::open(&mut parameters, dimension, KIND, &input.folder.join(FILE))?;
    let compute = Compute::new(rayon::current_num_threads());
    Ok((pairs, Ranker { encoder, projection, parameters, compute }))
}

/// The numbers of [`NUMBERS`] of a prefix.
fn continued(
    task: &Task<'_>,
    (writer, scorer): (&Writer<'_>, &PrefixScorer<'_>),
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
    let greedy = writer.greedy(tokens).map_err(of_model)?;
    let drawn = writer.draw((&Draft::default(), seed), samples, tokens).map_err(of_model)?;
    let drafts: Vec<&Draft> = drawn.iter().map(|drawn| &drawn.draft).collect();
    let scores = scorer.scores(&drafts)?;
    let best = |of: &dyn Fn(usize) -> f64| {
        (0..drafts.len()).fold(0, |best, at| if of(at) > of(best) { at } else { best })
    };
    let likely = best(&|at| drafts[at].mean_log_prob());
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
    let found = search.run(&Scored { writer, scorer })?;
    let searched = match (found.scores.first(), found.beams.first()) {
        (Some(score), _) => *score,
        (None, Some(draft)) => scorer.scores(&[draft])?[0],
        (None, None) => f64::NEG_INFINITY,
    };
    let repetitions: Vec<f64> = drafts.iter().map(|draft| repeated(&draft.text)).collect();
    Ok([
        repeated(&greedy.text),
        repetitions[likely],
        repetitions[overlap],
        repetitions[ranked],
        mean(&repetitions),
        mean(&scores),
        scores[ranked],
        searched,
        scorer.of_texts(&[pair.continuation.as_str()])?[0],
    ])
}
