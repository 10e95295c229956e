//! `next-item`: a small decoder that learns to write the identifier of what somebody buys next.

use super::identifiers::{IDENTIFIERS, world_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::floor_cases::{FloorCase, FloorCases};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::shopping::{IdLanguage, NextMeasured, Shopper};
use crate::recipe::small_decoder::{
    BATCH, LAYERS, NARROW_WIDTH, RATE, STEPS, check_width, folder_of, learn_pairs, new_decoder,
};
use crate::recipe::task::{Input, Task};
use plackett_ids::{CATALOGUE_FILE, Catalogue};
use plackett_train::Parameters;
use plackett_train::rl::Rollouts;
use plackett_train::trainer::LanguageModel;

/// One more, of those whose last item nobody has before them.
const OF_NEW: &str = "new/hit@10";
/// The numbers that it gives, by person.
const MEASURES: [&str; 4] = ["hit@1", "hit@5", "hit@10", "ndcg@10"];

/// The declaration.
pub static NEXT_ITEM: StageKind = StageKind {
    name: "next-item",
    help: "a small decoder, from drawn weights, learns histories as identifiers one after the other, without the last two positions of each, \
           and then ranks, for people whose last item is asked for, the items of the catalogue by a beam search in the trie of all identifiers. \
           Gives `hit@1`, `hit@5`, `hit@10` and `ndcg@10` (by person, mean of the seeds), and `new/hit@10` of those people whose last item stands there \
           for the first time in the file",
    version: 2,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("identifiers", FieldKind::Stage(&[OutputKind::Numbers]), "a stage `identifiers`"),
        LAYERS,
        NARROW_WIDTH,
        FieldSpec::new(
            "told",
            FieldKind::Whole(1, 1000),
            Default::Whole(20),
            "items of a history at most, the newest",
        ),
        BATCH,
        STEPS,
        RATE,
        FieldSpec::new("beams", FieldKind::Whole(10, 1000), Default::Whole(10), "beams of a search"),
        FieldSpec::new(
            "tested",
            FieldKind::Whole(1, 10_000_000),
            Default::Whole(2000),
            "people whose last item is asked for",
        ),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(1), "how many"),
    ],
    chooses: None,
    check: check_width,
    numbers: |_, _| MEASURES.iter().chain([&OF_NEW]).map(ToString::to_string).collect(),
    outside: nothing_outside,
    estimate: |task| {
        let values = task.values;
        let seeds = values.count("seeds") as f64;
        let (steps, tested) = (values.count("steps") as f64, values.count("tested") as f64);
        let work = format!("{seeds} trainings of {steps} steps, {tested} searches each");
        Ok(Estimate { work, seconds: Some(seeds * (steps * 0.05 + tested * 0.005)), ..Estimate::default() })
    },
    run,
};

fn identifiers_of<'t>(task: &'t Task<'_>) -> Result<&'t Input<'t>, StageError> {
    task.input_of("identifiers", &[IDENTIFIERS.name])
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let input = identifiers_of(task)?;
    let world = world_of(input.values, task.environment)?;
    let catalogue = Catalogue::open(&input.folder.join(CATALOGUE_FILE))?;
    let language = IdLanguage::new(&catalogue)?;
    let told = values.count("told");
    let windows = language.windows(&world.training(), told + 1);
    let shoppers = world.tested(values.count("tested"));
    let mut all = Vec::new();
    for seed in 1..=values.count("seeds") {
        let mut parameters = Parameters::default();
        let model = learn(task, (&language, told), &windows, seed, &mut parameters)?;
        let folder = folder_of(task.folder, seed);
        let engine = Rollouts::open(&model, &parameters, &folder)?;
        language.vocabulary.save(&folder)?;
        catalogue.bind(&folder, language.first_token())?;
        all.push(language.measure(&engine, &shoppers, (told, values.count("beams")))?);
    }
    let facts = [("people", world.histories.users.len()), ("windows", windows.len())];
    Ok(StageOutput {
        numbers: numbers(&shoppers, &all),
        facts: facts.into_iter().map(|(name, count)| (name.to_string(), count.to_string())).collect(),
        ..StageOutput::default()
    })
}

/// Histories without the positions that are held out, and the people whose last item is asked for.
pub(super) fn floor_cases(task: &Task<'_>, input: &Input<'_>) -> Result<FloorCases, StageError> {
    let identifiers = task.input(input.values.word("identifiers"))?;
    identifiers.check_kind("of", &[IDENTIFIERS.name])?;
    let world = world_of(identifiers.values, task.environment)?;
    let items = |items: &[usize]| items.iter().map(|item| *item as u32).collect::<Vec<u32>>();
    let case = |shopper: Shopper| FloorCase {
        history: items(&shopper.before),
        targets: vec![shopper.next as u32],
        key: shopper.user,
    };
    Ok(FloorCases {
        catalogue: world.items.len(),
        learned: world.training().iter().map(|history| items(history)).collect(),
        cases: world.tested(input.values.count("tested")).into_iter().map(case).collect(),
        exclude_seen: false,
    })
}

fn learn(
    task: &Task<'_>,
    (language, told): (&IdLanguage<'_>, usize),
    windows: &[Vec<u32>],
    seed: usize,
    parameters: &mut Parameters,
) -> Result<LanguageModel, StageError> {
    let values = task.values;
    let vocabulary = &language.vocabulary;
    let context = 1 + (told + 1) * language.longest();
    let model = new_decoder(values, vocabulary, context, seed, parameters)?;
    let pairs = windows.iter().map(|window| (Vec::new(), window.clone())).collect();
    learn_pairs(task, pairs, (&model, seed), parameters)?;
    Ok(model)
}

fn numbers(shoppers: &[Shopper], all: &[NextMeasured]) -> Vec<Quantity> {
    let users: Vec<String> = shoppers.iter().map(|shopper| shopper.user.clone()).collect();
    let of: [fn(&NextMeasured) -> &Vec<f64>; MEASURES.len()] =
        [|seed| &seed.hit_1, |seed| &seed.hit_5, |seed| &seed.hit_10, |seed| &seed.ndcg_10];
    let by_user = |of: fn(&NextMeasured) -> &Vec<f64>| -> Vec<f64> {
        (0..users.len()).map(|at| mean(&all.iter().map(|seed| of(seed)[at]).collect::<Vec<_>>())).collect()
    };
    let mut numbers: Vec<Quantity> = MEASURES
        .into_iter()
        .zip(of)
        .map(|(name, of)| Quantity::by_query(name, users.clone(), by_user(of)))
        .collect();
    let hits = by_user(|seed| &seed.hit_10);
    let new = shoppers.iter().zip(hits).filter(|(shopper, _)| shopper.is_new);
    let (keys, values) = new.map(|(shopper, hit)| (shopper.user.clone(), hit)).unzip();
    numbers.push(Quantity::by_query(OF_NEW, keys, values));
    numbers
}
