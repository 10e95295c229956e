//! `prefix-ranker`: two maps of the bundled encoder's vectors, of prefixes and of continuations, learn which continuation follows
//! (RankGen).

use super::language_continuations::{LANGUAGE_CONTINUATIONS, WrittenTexts, written_of};
use super::text_vectors::{VECTORS, vectors_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training::train_within;
use crate::recipe::models::training_fields::{rate, settings_of, steps};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{Continued, TextVectors, continuations, cosine};
use plackett_core::continuation::{first_among, unigram_overlap};
use plackett_core::summary::words;
use plackett_train::objective::parse_sum;
use plackett_train::trainer::{Against, DualProjection, DualTask, Pairing, Settings, Side};
use plackett_train::{Compute, Parameters};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::HashMap;

/// The file of the maps of the first seed.
pub(super) const FILE: &str = "ranker.safetensors";
/// Maps of their own for both sides, and dot products as they are.
pub(super) const KIND: (bool, bool) = (false, false);
/// Vectors of the encoder have the length 1: without a temperature their dot products are all alike.
const OBJECTIVE: &str = "info-nce(temperature=0.05)";
/// By pair of which a model has written.
const BY_WRITTEN: [&str; 2] = ["generative", "in_book_of_written"];
/// By pair of articles that are held out.
const BY_PAIR: [&str; 5] = ["in_book", "in_book_11", "overlap", "retrieved", "across"];

/// The declaration.
pub static PREFIX_RANKER: StageKind = StageKind {
    name: "prefix-ranker",
    help: "two maps of the vectors of prefixes and continuations learn which continuation follows, told from other continuations of the same \
           article (`in-book`), from what a language model wrote instead (`generative`), from both, or from continuations of any articles \
           (`random`). Gives, by pair of articles that are held out, `in_book` (how often the right one of two of the same article is first, over all \
           others), `in_book_11` (of eleven), `overlap` (as in_book, by the share of words that are in the prefix), `retrieved` (1 where the \
           right one is first of the article) and `across` (as in_book, with continuations of all other articles), and by pair of which a \
           model has written `generative` (1 where what really follows is before what was written) and `in_book_of_written` (in_book of these \
           pairs); means of the seeds",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        VECTORS,
        FieldSpec::new(
            "written",
            FieldKind::Stage(&[OutputKind::Numbers]),
            Default::Absent,
            "a stage `language-continuations`; without it there are no generative negatives, and its two numbers are 0",
        ),
        FieldSpec::new(
            "negatives",
            FieldKind::Choice(&["in-book", "generative", "both", "random"]),
            Default::Text("in-book"),
            "what the right one is told from",
        ),
        FieldSpec::new(
            "batch",
            FieldKind::Whole(2, 4096),
            Default::Whole(32),
            "pairs of a step, of one article; in-book negatives of a pair and one",
        ),
        steps((0, 1_000_000), 500, "of AdamW"),
        rate(1e-3),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(2), "how many"),
    ],
    chooses: None,
    check: |values, _| {
        let generative = matches!(values.word("negatives"), "generative" | "both");
        match generative && !values.has("written") {
            false => Ok(()),
            true => {
                let problem = "these negatives are of a stage `language-continuations`; name it as `written`";
                Err(values.wrong("negatives", 0, crate::recipe::error::Problem::Said(problem.into())))
            }
        }
    },
    numbers: |_, _| BY_PAIR.iter().chain(&BY_WRITTEN).map(ToString::to_string).collect(),
    outside: nothing_outside,
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let seconds = Some(seeds as f64 * (3.0 + steps as f64 * 0.02));
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

/// Pairs with their vectors, and what a model wrote.
struct Texts<'t> {
    pairs: [Vec<Continued>; 2],
    vectors: &'t TextVectors,
    written: Option<WrittenTexts>,
}

impl Texts<'_> {
    fn side(&self, part: usize, side: Side) -> Result<Vec<&[f32]>, StageError> {
        let text = |pair: &Continued| match side {
            Side::Query => self.vectors.get(&pair.prefix),
            Side::Document => self.vectors.get(&pair.continuation),
        };
        self.pairs[part].iter().map(text).collect()
    }

    /// Places of pairs with the vectors of what was written instead.
    fn written(&self, part: usize) -> Result<Vec<(usize, &[f32])>, StageError> {
        let Some(written) = &self.written else { return Ok(Vec::new()) };
        let of =
            |own: &super::language_continuations::Written| Ok((own.place, written.vectors.get(&own.text)?));
        written.parts[part].iter().map(of).collect()
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (vectors, file) = vectors_of(task)?;
    let written = task.values.text("written").map(|stage| written_stage(task, stage)).transpose()?;
    let texts = Texts { pairs: continuations(&file)?, vectors: &vectors, written };
    let mut seeds = Vec::new();
    for seed in 1..=task.values.count("seeds") {
        let (projection, parameters) = learn(task, &texts, seed)?;
        if seed == 1 {
            projection.save(&parameters, &task.folder.join(FILE))?;
        }
        seeds.push(measure(&texts, &projection, &parameters)?);
    }
    let held_out = &texts.pairs[1];
    let keys: Vec<String> = (0..held_out.len()).map(|at| at.to_string()).collect();
    let mut made = StageOutput::default();
    for (number, name) in BY_PAIR.into_iter().enumerate() {
        let of = |at: usize| mean(&seeds.iter().map(|(pairs, _)| pairs[at][number]).collect::<Vec<_>>());
        made.numbers.push(Quantity::by_query(name, keys.clone(), (0..keys.len()).map(of).collect()));
    }
    let places = texts.written(1)?;
    let keys: Vec<String> = match places.is_empty() {
        true => vec!["0".to_string()],
        false => places.iter().map(|(place, _)| place.to_string()).collect(),
    };
    for (number, name) in BY_WRITTEN.into_iter().enumerate() {
        let of = |at: usize| {
            mean(&seeds.iter().filter_map(|(_, all)| Some(all.get(at)?[number])).collect::<Vec<_>>())
        };
        made.numbers.push(Quantity::by_query(name, keys.clone(), (0..keys.len()).map(of).collect()));
    }
    made.facts.push(("pairs to learn from".into(), texts.pairs[0].len().to_string()));
    made.facts.push(("pairs held out".into(), held_out.len().to_string()));
    Ok(made)
}

fn written_stage(task: &Task<'_>, stage: &str) -> Result<WrittenTexts, StageError> {
    let input = task.input(stage)?;
    input.check_kind("written", &[LANGUAGE_CONTINUATIONS.name])?;
    written_of(&input.folder)
}

fn learn(
    task: &Task<'_>,
    texts: &Texts<'_>,
    seed: usize,
) -> Result<(DualProjection, Parameters), StageError> {
    let values = task.values;
    let mut parameters = Parameters::default();
    let projection = DualProjection::new(&mut parameters, texts.vectors.dimension(), KIND);
    let steps = values.count("steps");
    if steps == 0 {
        return Ok((projection, parameters));
    }
    let (queries, mut documents) = (texts.side(0, Side::Query)?, texts.side(0, Side::Document)?);
    let mut generated = HashMap::new();
    for (place, vector) in texts.written(0)? {
        generated.insert(place, documents.len());
        documents.push(vector);
    }
    let negatives = values.word("negatives");
    let groups = groups(&texts.pairs[0], &generated, (negatives, values.count("batch"), steps), seed as u64);
    let against = if negatives == "generative" { Against::Negatives } else { Against::Batch };
    let objective = parse_sum(OBJECTIVE)
        .map_err(|error| StageError::Field { field: "negatives", problem: error.to_string() })?;
    let lesson = DualTask {
        projection: projection.clone(),
        queries: &queries,
        documents: &documents,
        groups: &groups,
        against,
        objective,
    };
    let settings = Settings { batch: 1, seed: seed as u64, ..settings_of(values) };
    let name = format!("{}, seed {seed}", task.name);
    train_within(task, &name, &lesson, &mut parameters, &settings)?;
    Ok((projection, parameters))
}

/// One group of pairs for each step: pairs of one article, or of any.
fn groups(
    pairs: &[Continued],
    generated: &HashMap<usize, usize>,
    (negatives, batch, steps): (&str, usize, usize),
    seed: u64,
) -> Vec<Vec<Pairing>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let usable = |place: &usize| negatives != "generative" || generated.contains_key(place);
    let mut articles: Vec<Vec<usize>> = Vec::new();
    match negatives {
        "random" => articles.push((0..pairs.len()).collect()),
        _ => {
            for own in
                pairs.iter().enumerate().collect::<Vec<_>>().chunk_by(|a, b| a.1.article == b.1.article)
            {
                articles.push(own.iter().map(|(place, _)| *place).filter(usable).collect());
            }
        }
    }
    articles.retain(|article| article.len() > 1);
    let mut groups = Vec::with_capacity(steps);
    while groups.len() < steps && !articles.is_empty() {
        articles.shuffle(&mut random);
        for article in &mut articles {
            article.shuffle(&mut random);
            let with_generated = matches!(negatives, "generative" | "both");
            let row = |place: &usize| {
                let own = generated.get(place).filter(|_| with_generated);
                let documents = std::iter::once(*place).chain(own.copied()).collect();
                Pairing { query: *place, documents, teacher: Vec::new() }
            };
            groups.push(article.iter().take(batch).map(row).collect());
        }
    }
    groups.truncate(steps);
    groups
}

type Measured = (Vec<[f64; BY_PAIR.len()]>, Vec<[f64; BY_WRITTEN.len()]>);

fn measure(
    texts: &Texts<'_>,
    projection: &DualProjection,
    parameters: &Parameters,
) -> Result<Measured, StageError> {
    let compute = Compute::new(rayon::current_num_threads());
    let prefixes = projection.project(parameters, &compute, &texts.side(1, Side::Query)?, Side::Query);
    let after = projection.project(parameters, &compute, &texts.side(1, Side::Document)?, Side::Document);
    let pairs = &texts.pairs[1];
    let split: Vec<[Vec<String>; 2]> =
        pairs.par_iter().map(|pair| [words(&pair.prefix), words(&pair.continuation)]).collect();
    let one = |at: usize| {
        let is_book = |other: &usize| *other != at && pairs[*other].article == pairs[at].article;
        let is_across = |other: &usize| pairs[*other].article != pairs[at].article;
        let score = |other: usize| cosine(&prefixes[at], &after[other]);
        let overlap = |other: usize| unigram_overlap(&split[at][0], &split[other][1]);
        let all = 0..pairs.len();
        let book = chances(score(at), all.clone().filter(is_book).map(score));
        let across = chances(score(at), all.clone().filter(is_across).map(score));
        let by_words = chances(overlap(at), all.filter(is_book).map(overlap));
        let retrieved = if book.2 == 0 { 1.0 } else { 0.0 };
        [book.0, book.1, by_words.0, retrieved, across.0]
    };
    let by_pair: Vec<[f64; BY_PAIR.len()]> = (0..pairs.len()).into_par_iter().map(one).collect();
    let mut generative = Vec::new();
    for (place, vector) in texts.written(1)? {
        let written = &projection.project(parameters, &compute, &[vector], Side::Document)[0];
        let (real, own) = (cosine(&prefixes[place], &after[place]), cosine(&prefixes[place], written));
        generative.push([if real > own { 1.0 } else { 0.0 }, by_pair[place][0]]);
    }
    Ok((by_pair, generative))
}

/// How often a score is above one of the others (equal ones count half) and above ten of them, and how many are not below it.
fn chances(own: f64, others: impl Iterator<Item = f64>) -> (f64, f64, usize) {
    let (mut count, mut above, mut equal) = (0usize, 0usize, 0usize);
    for other in others {
        count += 1;
        above += usize::from(other > own);
        equal += usize::from(other == own);
    }
    let wins = count as f64 - above as f64 - equal as f64 / 2.0;
    (wins / count.max(1) as f64, first_among(above + equal, count, 10), above + equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_count_ties_half() {
        assert_eq!(chances(0.5, [0.6, 0.5, 0.1, 0.2].into_iter()), (2.5 / 4.0, 0.0, 2));
        assert_eq!(chances(0.5, (0..10).map(|_| 0.1)), (1.0, 1.0, 0));
    }

    #[test]
    fn groups_are_of_one_article() {
        let pair = |article: usize| Continued { article, prefix: String::new(), continuation: String::new() };
        let pairs: Vec<Continued> = (0..20).map(|at| pair(at / 5)).collect();
        let generated: HashMap<usize, usize> = [(0, 20), (1, 21), (7, 22)].into();
        for group in groups(&pairs, &generated, ("in-book", 3, 9), 1) {
            assert_eq!(group.len(), 3);
            assert!(group.iter().all(|row| row.query / 5 == group[0].query / 5 && row.documents.len() == 1));
        }
        // One article has two pairs with something written, another a single one.
        let groups_of = |negatives, batch| groups(&pairs, &generated, (negatives, batch, 4), 1);
        assert!(
            groups_of("generative", 3).iter().all(|group| group.len() == 2 && group[0].documents.len() == 2)
        );
        assert!(groups_of("random", 20).iter().all(|group| group.len() == 20));
        assert_eq!(groups_of("both", 5).iter().flatten().filter(|row| row.documents.len() == 2).count(), 3);
    }
}
