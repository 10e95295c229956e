//! `next-item`: a small decoder that learns to write the identifier of what somebody buys next.

use super::identifiers::{IDENTIFIERS, world_of};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::small_decoder::{
    BATCH, LAYERS, NARROW_WIDTH, RATE, STEPS, check_width, folder_of, learn_pairs, new_decoder,
};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput};
use crate::recipe::task::{Environment, Input, Task};
use crate::recipe::worlds::recommending::floor_cases::{FloorCase, FloorCases};
use crate::recipe::worlds::recommending::next_item::Pairs;
use crate::recipe::worlds::shopping::{
    IdLanguage, NextMeasured, PromptLanguage, Shopper, ShoppingWorld, texts_of,
};
use plackett_ids::{CATALOGUE_FILE, Catalogue};
use plackett_rank::prompt::{HISTORY_PROMPTS, HistoryTemplates};
use plackett_train::Parameters;
use plackett_train::rl::Rollouts;
use plackett_train::trainer::LanguageModel;
use std::path::Path;

/// What stands before their names where people are asked with templates that were not learned from.
const UNSEEN: &str = "unseen/";
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
           for the first time in the file. With `prompts` it reads prompts in words instead, each position of a history being asked for with one of the \
           seen templates; then these numbers are of seen templates, one after the other, and `unseen/hit@1` … `unseen/ndcg@10` of those that are kept \
           for the test",
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
        FieldSpec::new(
            "prompts",
            FieldKind::Text,
            Default::Absent,
            "templates of prompts: `next-item`, or a TOML file beside the recipe (docs/prompts.md)",
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
    check,
    numbers: |values, _| {
        let unseen = values.has("prompts").then_some(MEASURES).into_iter().flatten();
        let names = MEASURES.iter().chain([&OF_NEW]).map(ToString::to_string);
        names.chain(unseen.map(|name| format!("{UNSEEN}{name}"))).collect()
    },
    outside: |values, environment| {
        let templates = templates_of(values, environment)?;
        Ok(templates.map(|templates| ("prompts".into(), templates.hash().into())).into_iter().collect())
    },
    estimate: |task| {
        let values = task.values;
        templates_of(values, task.environment)?;
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

/// Refuses templates that are neither known by name nor a file, before anything runs, and what [`check_width`] does.
fn check(values: &Values, registry: &Registry) -> Result<(), RecipeError> {
    check_width(values, registry)?;
    let Some(asked) = values.text("prompts") else { return Ok(()) };
    let known: Vec<&str> = HISTORY_PROMPTS.iter().map(|prompt| prompt.name).collect();
    if known.contains(&asked) || asked.ends_with(".toml") {
        return Ok(());
    }
    let problem =
        format!("no templates are called `{asked}` ({} are), and a file ends in .toml", known.join(", "));
    Err(values.wrong("prompts", 0, Problem::Said(problem)))
}

/// The templates that the field `prompts` names; a relative path goes out from the recipe's folder.
fn templates_of(values: &Values, environment: &Environment) -> Result<Option<HistoryTemplates>, StageError> {
    let Some(asked) = values.text("prompts") else { return Ok(None) };
    let folder = environment.recipe_folder.clone().unwrap_or_default();
    let refused = |problem: String| StageError::Field { field: "prompts", problem };
    HistoryTemplates::choose(asked, &folder).map(Some).map_err(|error| refused(error.to_string()))
}

/// What a decoder learns from, and what it is asked with.
struct Lesson {
    pairs: Pairs,
    /// A prompt for each of the tested people.
    asked: Vec<Vec<u32>>,
    /// The same by templates that nothing is learned from.
    unseen: Option<Vec<Vec<u32>>>,
    /// The most tokens of a prompt with what is written after it.
    context: usize,
}

impl Lesson {
    /// Of histories without words: identifiers one after the other, of which all are learned.
    fn of_histories(
        language: &IdLanguage<'_>,
        (world, shoppers): (&ShoppingWorld, &[Shopper]),
        told: usize,
    ) -> Lesson {
        let windows = language.windows(&world.training(), told + 1);
        Lesson {
            pairs: windows.into_iter().map(|window| (Vec::new(), window)).collect(),
            asked: language.histories(shoppers, told),
            unseen: None,
            context: 1 + (told + 1) * language.longest(),
        }
    }

    /// Of prompts in words, after which the identifier alone is learned.
    fn of_prompts(
        language: &PromptLanguage<'_>,
        (world, shoppers): (&ShoppingWorld, &[Shopper]),
        (examples, seed): (usize, usize),
    ) -> Lesson {
        Lesson {
            pairs: language.pairs(&world.training(), examples, seed as u64),
            asked: language.asked(language.templates.seen(), shoppers),
            unseen: Some(language.asked(language.templates.unseen(), shoppers)),
            context: language.context(),
        }
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let input = identifiers_of(task)?;
    let world = world_of(input.values, task.environment)?;
    let catalogue = Catalogue::open(&input.folder.join(CATALOGUE_FILE))?;
    let templates = templates_of(values, task.environment)?;
    let language = IdLanguage::new(&catalogue, &templates.as_ref().map(texts_of).unwrap_or_default())?;
    let (told, people) = (values.count("told"), world.histories.users.len());
    let prompts = templates.as_ref().map(|found| PromptLanguage::new(&language, found, told, people));
    let shoppers = world.tested(values.count("tested"));
    let examples = values.count("steps").saturating_mul(values.count("batch"));
    let (mut all, mut all_unseen, mut learned) = (Vec::new(), Vec::new(), 0);
    for seed in 1..=values.count("seeds") {
        let lesson = match &prompts {
            Some(prompts) => Lesson::of_prompts(prompts, (&world, &shoppers), (examples, seed)),
            None => Lesson::of_histories(&language, (&world, &shoppers), told),
        };
        learned = lesson.pairs.len();
        let mut parameters = Parameters::default();
        let model = new_decoder(values, &language.vocabulary, lesson.context, seed, &mut parameters)?;
        learn_pairs(task, lesson.pairs, (&model, seed), &mut parameters)?;
        let folder = folder_of(task.folder, seed);
        let engine = save(&model, &parameters, &folder, (&language, &catalogue))?;
        let beams = values.count("beams");
        let measure = |asked: &[Vec<u32>]| language.measure(&engine, (&shoppers, asked), beams);
        all.push(measure(&lesson.asked)?);
        if let Some(asked) = &lesson.unseen {
            all_unseen.push(measure(asked)?);
        }
    }
    let learned_from = if prompts.is_some() { "prompts" } else { "windows" };
    let mut facts: Vec<(String, String)> =
        vec![("people".into(), people.to_string()), (learned_from.into(), learned.to_string())];
    if let Some(prompts) = &prompts {
        facts.push(("words of unseen templates alone".into(), prompts.unknown_words().to_string()));
    }
    let mut numbers = numbers(&shoppers, &all);
    if !all_unseen.is_empty() {
        numbers.extend(measures(UNSEEN, &shoppers, &all_unseen));
    }
    Ok(StageOutput { numbers, facts, ..StageOutput::default() })
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

/// Opens what was learned in the inference engine; vocabulary and catalogue go with the weights.
fn save(
    model: &LanguageModel,
    parameters: &Parameters,
    folder: &Path,
    (language, catalogue): (&IdLanguage<'_>, &Catalogue),
) -> Result<Rollouts, StageError> {
    let engine = Rollouts::open(model, parameters, folder)?;
    language.vocabulary.save(folder)?;
    catalogue.bind(folder, language.first_token())?;
    Ok(engine)
}

/// The mean over the seeds of each person's values.
fn by_person(all: &[NextMeasured], of: fn(&NextMeasured) -> &Vec<f64>) -> Vec<f64> {
    let people = all.first().map_or(0, |seed| of(seed).len());
    (0..people).map(|at| mean(&all.iter().map(|seed| of(seed)[at]).collect::<Vec<_>>())).collect()
}

/// The numbers of [`MEASURES`], whose names begin with `part`.
fn measures(part: &str, shoppers: &[Shopper], all: &[NextMeasured]) -> Vec<Quantity> {
    let users: Vec<String> = shoppers.iter().map(|shopper| shopper.user.clone()).collect();
    let of: [fn(&NextMeasured) -> &Vec<f64>; MEASURES.len()] =
        [|seed| &seed.hit_1, |seed| &seed.hit_5, |seed| &seed.hit_10, |seed| &seed.ndcg_10];
    let named = MEASURES.into_iter().zip(of);
    named
        .map(|(name, of)| Quantity::by_query(format!("{part}{name}"), users.clone(), by_person(all, of)))
        .collect()
}

fn numbers(shoppers: &[Shopper], all: &[NextMeasured]) -> Vec<Quantity> {
    let mut numbers = measures("", shoppers, all);
    let hits = by_person(all, |seed| &seed.hit_10);
    let new = shoppers.iter().zip(hits).filter(|(shopper, _)| shopper.is_new);
    let (keys, values) = new.map(|(shopper, hit)| (shopper.user.clone(), hit)).unzip();
    numbers.push(Quantity::by_query(OF_NEW, keys, values));
    numbers
}

#[cfg(test)]
mod tests {
    use crate::pipeline::ModelOptions;
    use crate::recipe::{Environment, Outcome, Recipe, RecipeError, Registry, Runner, Scale, Source};
    use std::path::Path;

    const TEMPLATES: &str = "[seen]\na = \"had {history}, then\"\nb = \"{history}: then\"\n[unseen]\nc = \"then {history}, then\"\n";

    /// Twelve items in a ring, and people who go along it, five steps each.
    fn ring(folder: &Path) {
        let items = (0..12).map(|item| format!("{{\"item\": \"i{item}\"}}\n")).collect::<String>();
        let event = |user: usize, step: usize| format!("u{user}\ti{}\t1\t{step}\n", (user + step) % 12);
        let events = (0..24).flat_map(|user| (0..5).map(move |step| event(user, step))).collect::<String>();
        std::fs::write(folder.join("items.jsonl.gz"), items).unwrap();
        std::fs::write(folder.join("interactions.tsv.gz"), events).unwrap();
        std::fs::write(folder.join("mine.toml"), TEMPLATES).unwrap();
    }

    fn read(folder: &Path, prompts: &str) -> Result<Recipe, RecipeError> {
        let text = format!(
            "title = \"t\"\n[stage.ids]\nkind = \"identifiers\"\ncollection = \"{}\"\nscheme = \"atomic\"\n\
             [stage.model]\nkind = \"next-item\"\nidentifiers = \"ids\"\nprompts = \"{prompts}\"\ntold = 2\nwidth = 32\n\
             batch = 16\nsteps = 300\n",
            folder.display()
        );
        Recipe::read("test", Source::of_text("test.toml", &text), &Registry::default())
    }

    fn run(folder: &Path, prompts: &str) -> Result<Outcome, RecipeError> {
        let recipe = read(folder, prompts)?;
        let mut environment =
            Environment::new(Registry::default(), folder.join("cache"), ModelOptions::default());
        environment.recipe_folder = Some(folder.to_path_buf());
        Runner { recipe: &recipe, scale: Scale::Quick, environment: &environment, progress: &|_, _, _| {} }
            .run()
    }

    #[test]
    fn what_was_learned_from_some_templates_is_found_with_another_one() {
        let folder = tempfile::tempdir().unwrap();
        ring(folder.path());
        let outcome = run(folder.path(), "mine.toml").unwrap_or_else(|error| panic!("{error}"));
        let number = |name: &str| outcome.quantity(&format!("model/{name}")).unwrap();
        assert_eq!(number("hit@1").keys, number("unseen/hit@1").keys);
        assert_eq!(number("unseen/ndcg@10").values.len(), 24);
        // By chance it is a twelfth.
        assert!(number("hit@1").mean() > 0.8, "{}", number("hit@1").mean());
        assert!(number("unseen/hit@1").mean() > 0.5, "{}", number("unseen/hit@1").mean());
        // 24 people with two positions each, in both templates.
        assert!(outcome.stages[1].made.facts.contains(&("prompts".to_string(), "96".to_string())));
        assert!(run(folder.path(), "mine.toml").unwrap().stages[1].cached);
        // The templates are part of what the result depends on.
        let key = &outcome.stages[1].key;
        let changed = TEMPLATES.replace("had", "bought");
        std::fs::write(folder.path().join("mine.toml"), changed).unwrap();
        assert_ne!(*key, run(folder.path(), "mine.toml").unwrap().stages[1].key);
    }

    #[test]
    fn templates_that_there_are_not_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        ring(folder.path());
        let error = read(folder.path(), "next-itm").unwrap_err().to_string();
        assert!(error.contains("`next-itm`") && error.contains("next-item"), "{error}");
        let error = run(folder.path(), "none.toml").unwrap_err().to_string();
        assert!(error.contains("`none.toml` is neither a file"), "{error}");
    }
}
