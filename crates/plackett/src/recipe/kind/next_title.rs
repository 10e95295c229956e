//! `next-title`: a small decoder that learns to write the title of what somebody liked next.

use super::film_lists::{outside, world_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::small_decoder::{BATCH, LAYERS, RATE, SEEDS, STEPS, WIDTH, check_width};
use crate::recipe::registry::{Estimate, StageKind};
use crate::recipe::task::{Input, Task};
use crate::recipe::worlds::film::FilmLanguage;
use crate::recipe::worlds::recommending::floor_cases::{FloorCase, FloorCases};
use crate::recipe::worlds::recommending::next_item::{BY_SEED, MEASURES, write_decoders};

/// Positions: ten films before, each with up to fourteen words, and one to write.
const CONTEXT: usize = 11 * 14 + 4;

/// The declaration.
pub static NEXT_TITLE: StageKind = StageKind {
    name: "next-title",
    help: "a small decoder over words, from drawn weights, learns to write the title of the film that somebody liked next, after up to ten \
           titles (MovieLens, films of the catalogue; the last film of each person is held out). Titles are searched in the trie of the \
           catalogue with 16 beams. Gives, of held-out films, `ndcg` (at 10), `hit` (of the first beam), `hit10`, `hit16` and `item_hit10` (of the film itself, where \
           films of one title stand in a drawn order; all by user, mean of the seeds), and by seed `unique_beams` and `unique_draws` (share of 16 beams, and of 16 titles drawn token by token in the trie, that \
           are different) and `legal` (share of the beams that are titles of the catalogue)",
    version: 3,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::new(
            "catalogue",
            FieldKind::Whole(10, 100_000),
            Default::Whole(500),
            "films that may be recommended, those liked most",
        ),
        LAYERS,
        WIDTH,
        BATCH,
        STEPS,
        RATE,
        FieldSpec::new(
            "tested",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(400),
            "people whose last film is asked for",
        ),
        SEEDS,
    ],
    chooses: None,
    check: check_width,
    numbers: |_, _| MEASURES.iter().chain(&BY_SEED).map(ToString::to_string).collect(),
    outside,
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let seconds = Some(seeds as f64 * (20.0 + steps as f64 * 0.2));
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run: |task| {
        let world = world_of(task.values, task.environment)?;
        let language = FilmLanguage::new(&world);
        write_decoders(task, (&language.vocabulary, CONTEXT), |seed| {
            Ok((language.next_films(&world, seed)?, Vec::new()))
        })
    },
};

/// What each person liked, all but the last film to learn from, and that one to ask for.
pub(super) fn floor_cases(task: &Task<'_>, input: &Input<'_>) -> Result<FloorCases, StageError> {
    let world = world_of(input.values, task.environment)?;
    let (mut learned, mut cases) = (Vec::new(), Vec::new());
    for (user, liked) in world.histories.iter().filter(|(_, liked)| liked.len() > 2) {
        let mut history: Vec<u32> = liked.iter().map(|place| *place as u32).collect();
        let targets = history.pop().into_iter().collect();
        learned.push(history.clone());
        cases.push(FloorCase { key: user.clone(), history, targets });
    }
    cases.truncate(input.values.count("tested"));
    Ok(FloorCases { catalogue: world.catalogue, learned, cases, exclude_seen: false })
}
