//! Both stages of reasoning as a recipe, as small as can be.

use crate::pipeline::ModelOptions;
use crate::recipe::{Environment, Outcome, Recipe, Registry, Runner, Scale, Source};

/// Runs a recipe in which a decoder of one narrow layer is taught for three steps and rewarded for two.
fn run(shape: &str, reward: &str) -> Outcome {
    let text = format!(
        "title = \"t\"\n[stage.taught]\nkind = \"imitate-reasoning\"\n{shape}\nlists = 40\nlayers = 1\nwidth = 16\nbatch = 4\n\
         steps = 3\ntested = 6\nseeds = 1\n[stage.rewarded]\nkind = \"reward-reasoning\"\nstart = \"taught\"\nbatch = 2\ngroup = 3\n\
         steps = 2\n{reward}\n[claim.formed]\ntext = \"c\"\nkind = \"equal\"\nof = \"rewarded/drawn_well_formed\"\nvalue = 1\n"
    );
    let registry = Registry::default();
    let recipe = Recipe::read("test", Source::of_text("test.toml", &text), &registry).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let environment = Environment::new(registry, cache.path().to_path_buf(), ModelOptions::default());
    let runner =
        Runner { recipe: &recipe, scale: Scale::Quick, environment: &environment, progress: &|_, _, _| {} };
    let outcome = runner.run().unwrap_or_else(|error| panic!("{error}"));
    let folder = &outcome.stages.iter().find(|stage| stage.name == "rewarded").unwrap().folder;
    let lines = std::fs::read_to_string(folder.join("rollouts-1.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 2);
    assert!(!folder.join("policy-1").exists(), "checkpoints go when the stage is done");
    outcome
}

#[test]
fn answers_of_every_format_are_well_formed_under_the_constraint() {
    for shape in [
        "format = \"setwise\"\nitems = 3\ndecoys = 1",
        "format = \"groups\"\nitems = 4\nshown = 2\ndecoys = 1",
        "format = \"pointwise\"\nitems = 3\ndecoys = 1",
        "format = \"listwise\"\nitems = 4\ndecoys = 1\nfaults = 0.5\nleast = 0.4\ndepth = 3",
    ] {
        let outcome = run(shape, "");
        assert!(outcome.claims[0].verdict.held, "{shape}: {}", outcome.claims[0].verdict.summary);
        let value = |name: &str| outcome.quantity(name).unwrap_or_else(|| panic!("{name}")).mean();
        assert_eq!(value("taught/well_formed"), 1.0, "{shape}");
        assert_eq!(outcome.quantity("rewarded/ndcg").unwrap().values.len(), 6);
        assert!((0.0..=1.0).contains(&value("rewarded/right")));
        assert!(value("rewarded/rollout_share") > 0.0);
    }
}

#[test]
fn without_the_constraint_a_decoder_that_knows_nothing_is_rewarded_for_nothing_and_that_is_said() {
    let outcome = run("format = \"pointwise\"\nitems = 3\ndecoys = 1\nrate = 0.0", "constrained = false");
    let stage = outcome.stages.iter().find(|stage| stage.name == "rewarded").unwrap();
    assert!(!outcome.claims[0].verdict.held);
    let warning = stage.made.warnings.first().map(String::as_str).unwrap_or_default();
    assert!(warning.starts_with("seed 1: in 2 of 2 steps") && warning.ends_with("step 1, 2"), "{warning}");
}
