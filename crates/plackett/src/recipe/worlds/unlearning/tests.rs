//! The facts, and both kinds of stages on decoders of some thousand numbers.

use super::people::facts;
use crate::pipeline::ModelOptions;
use crate::recipe::{Environment, Outcome, Recipe, RecipeError, Registry, Runner, Scale, Source};
use std::collections::HashSet;
use std::path::Path;

#[test]
fn people_are_different_and_wrong_answers_are_wrong() {
    let people = facts(60, 1);
    assert_eq!(people, facts(60, 1));
    assert_ne!(people[0], facts(60, 2)[0]);
    let questions: HashSet<&str> = people.iter().flatten().map(|fact| fact.question.as_str()).collect();
    assert_eq!(questions.len(), 300);
    for fact in people.iter().flatten() {
        assert!(fact.wrong.len() == 3 && !fact.wrong.contains(&fact.paraphrase));
        let all: HashSet<&String> = fact.wrong.iter().collect();
        assert_eq!(all.len(), 3);
        // The answer and its paraphrase say the same.
        let value =
            |text: &str| text.trim_end_matches('.').rsplit(' ').next().unwrap_or_default().to_string();
        assert_eq!(value(&fact.answer), value(&fact.paraphrase));
    }
    let first = |fact: &super::people::Fact| fact.answer.split(' ').next().unwrap_or_default().to_string();
    let names: HashSet<String> = facts(200, 3).iter().map(|facts| first(&facts[0])).collect();
    assert_eq!(names.len(), 200);
}

const TINY: &str =
    "subjects = 6\nforgotten = 2\nlayers = 1\nwidth = 16\nheads = 2\ninner = 16\nepochs = 2\nbatch = 8\n";

fn recipe(more: &str) -> String {
    format!(
        "title = \"t\"\n[stage.whole]\nkind = \"memorize\"\n{TINY}[stage.rest]\nkind = \"memorize\"\nwithout_forgotten = true\n{TINY}\
         [stage.arm]\nkind = \"unlearn\"\nmodel = \"whole\"\nretain_only = \"rest\"\nsteps = 3\nwarmup = 1\n{more}\n"
    )
}

fn run(cache: &Path, text: &str) -> Result<Outcome, RecipeError> {
    let recipe = Recipe::read("test", Source::of_text("test.toml", text), &Registry::default())?;
    let environment = Environment::new(Registry::default(), cache.to_path_buf(), ModelOptions::default());
    Runner { recipe: &recipe, scale: Scale::Quick, environment: &environment, progress: &|_, _, _| {} }.run()
}

#[test]
fn a_decoder_learns_by_heart_and_forgets() {
    let cache = tempfile::tempdir().unwrap();
    let outcome =
        run(cache.path(), &recipe("adapter = \"fila(rank=2)\"")).unwrap_or_else(|error| panic!("{error}"));
    let arm = outcome.stages.iter().find(|stage| stage.name == "arm").unwrap();
    // Every number that is declared is given, and the other way round.
    let kind = Registry::default().stage("unlearn").unwrap();
    let text = recipe("adapter = \"fila(rank=2)\"");
    let read = Recipe::read("test", Source::of_text("test.toml", &text), &Registry::default()).unwrap();
    let values = &read.at(Scale::Quick).stages.iter().find(|stage| stage.name == "arm").unwrap().values;
    let mut declared = (kind.numbers)(values, &Registry::default());
    let mut given: Vec<String> = arm.made.numbers.iter().map(|number| number.name.clone()).collect();
    declared.sort();
    given.sort();
    assert_eq!(declared, given);
    let number = |name: &str| outcome.quantity(&format!("arm/{name}")).unwrap();
    assert_eq!(number("forget_ma").values.len(), 10);
    assert_eq!(number("retain_nll").values.len(), 20);
    assert_eq!(number("importance_passes").mean(), 10.0);
    assert!(number("rebase_difference").mean() < 1e-4);
    assert_eq!(number("row_correlation").values.len(), 7);
    assert_eq!(number("steps").mean(), 3.0);
    // Perplexities divide as likelihoods subtract.
    let before = outcome.quantity("whole/retain_nll").unwrap().mean();
    let expected = number("retain_nll").mean().exp() / before.exp();
    assert!((number("retain_perplexity_ratio").mean() - expected).abs() < 1e-9);
    // Another arm takes the memorised models from the cache, and goes on from the arm where it is asked to.
    let text = recipe(
        "adapter = \"lora(rank=2)\"\n[stage.again]\nkind = \"unlearn\"\nmodel = \"arm\"\nretain_only = \"rest\"\nsteps = 1\nwarmup = 0",
    );
    let outcome = run(cache.path(), &text).unwrap_or_else(|error| panic!("{error}"));
    let cached: Vec<bool> = outcome.stages.iter().map(|stage| stage.cached).collect();
    assert_eq!(cached, [true, true, false, false]);
    assert!(outcome.quantity("arm/importance_passes").is_none());
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let cache = tempfile::tempdir().unwrap();
    let message = |more: &str| run(cache.path(), &recipe(more)).unwrap_err().to_string();
    assert!(message("objective = \"ranknet\"").contains("not about the tokens of answers"));
    assert!(message("adapter = \"fola\"").contains("fola"));
    let text = recipe("").replacen("subjects = 6", "subjects = 5", 1);
    let error = run(cache.path(), &text).unwrap_err().to_string();
    assert!(error.contains("has to learn the same as that of `model`"), "{error}");
    let text = recipe("").replace("forgotten = 2", "forgotten = 6");
    let error = run(cache.path(), &text).unwrap_err().to_string();
    assert!(error.contains("6 of 6 subjects are to be forgotten"), "{error}");
    let planted = "[stage.x]\nkind = \"simulate\"\nsimulation = \"planted-update\"\nadapter = \"fila\"";
    assert!(message(planted).contains("would be plain lora"));
}

#[test]
fn questions_of_a_collection_are_learned_beside_its_texts() {
    let cache = tempfile::tempdir().unwrap();
    let text = recipe(
        "adapter = \"lora(rank=2)\"\nobjective = \"gradient-ascent + reference-kl\"\nuntil_level = true",
    )
    .replace(TINY, &format!("{TINY}data = \"papers\"\ntexts = \"papers\"\npassages = 40\nlongest = 30\n"))
    .replace("subjects = 6", "subjects = 9")
        + "[stage.papers]\nkind = \"data\"\ncollection = \"papers\"\n";
    let outcome = run(cache.path(), &text).unwrap_or_else(|error| panic!("{error}"));
    let number = |name: &str| outcome.quantity(name).unwrap();
    assert_eq!(number("arm/forget_ma").values.len(), 2);
    assert_eq!(number("arm/unrelated_nll").values.len(), 200);
    // 9 questions twice and 40 passages, in batches of 8.
    assert_eq!(number("whole/steps").mean(), 8.0);
    assert_eq!(number("rest/steps").mean(), 7.0);
    assert!(outcome.warnings().iter().any(|warning| warning.contains("more than 30 bytes and are cut")));
}
