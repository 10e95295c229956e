//! Simulations whose numbers can be worked out in the head.

use crate::pipeline::ModelOptions;
use crate::recipe::{Environment, Recipe, Registry, Runner, Scale, Source};

/// The mean of a number of a simulation over some seeds.
fn number(simulation: &str, fields: &str, name: &str) -> f64 {
    let text =
        format!("title = \"t\"\n[stage.s]\nkind = \"simulate\"\nsimulation = \"{simulation}\"\n{fields}\n");
    let recipe = Recipe::read("test", Source::of_text("test.toml", &text), &Registry::default());
    let recipe = recipe.unwrap_or_else(|error| panic!("{error}"));
    let cache = tempfile::tempdir().unwrap();
    let environment =
        Environment::new(Registry::default(), cache.path().to_path_buf(), ModelOptions::default());
    let runner =
        Runner { recipe: &recipe, scale: Scale::Quick, environment: &environment, progress: &|_, _, _| {} };
    let outcome = runner.run().unwrap_or_else(|error| panic!("{error}"));
    outcome.quantity(&format!("s/{name}")).unwrap().mean()
}

#[test]
fn groups_of_purchases_have_a_token_of_their_own_and_noise_blurs_them() {
    assert_eq!(number("spectral-blocks", "groups = 4\nsize = 30\nseeds = 2", "recovered"), 1.0);
    assert_eq!(number("spectral-blocks", "groups = 4\nsize = 30\nseeds = 2", "unseen_apart"), 1.0);
    assert!(number("spectral-blocks", "groups = 4\nsize = 30\nstray = 1\nseeds = 2", "recovered") < 0.6);
}

#[test]
fn a_set_of_evidence_counts_where_its_last_page_stands() {
    let of = |name: &str| number("evidence-sets", "seeds = 1", name);
    assert_eq!([of("precision1"), of("recall2"), of("recall3"), of("r_precision")], [0.0, 0.5, 1.0, 0.5]);
}

#[test]
fn docids_over_the_documents_own_vectors_are_dense_search() {
    for fields in ["documents = 60\nqueries = 10\nseeds = 2", "documents = 30\ndimension = 4\nseeds = 1"] {
        assert_eq!(number("tied-docids", fields, "written"), 1.0, "{fields}");
        assert_eq!(number("tied-docids", fields, "rows"), 1.0, "{fields}");
    }
}

#[test]
fn block_attention_counts_what_the_rule_lets_through() {
    // 3 (N + 1) blocks of scores against (N + 2)².
    assert_eq!(number("block-attention", "items = 100\nlength = 1\nseeds = 1", "blocks"), 303.0);
    assert_eq!(number("block-attention", "items = 100\nlength = 1\nseeds = 1", "dense"), 102.0 * 102.0);
    assert_eq!(number("block-attention", "items = 1\nlength = 2\nseeds = 1", "causal"), 6.0 * 4.0);
}

#[test]
fn an_injected_token_is_left_out_and_a_weak_one_stays() {
    assert!(number("outlier-filter", "seeds = 50", "filtered") < 5.0);
    assert!(number("outlier-filter", "seeds = 50", "removed") >= 20.0);
    assert_eq!(number("outlier-filter", "seeds = 5", "plain"), 20.0);
    assert_eq!(number("outlier-filter", "tokens = 1\nnegative = 0\nseeds = 5", "removed"), 0.0);
}

#[test]
fn constant_scores_leave_the_other_order() {
    assert_eq!(number("score-fusion", "constant = \"first\"", "second"), 1.0);
    assert_eq!(number("score-fusion", "constant = \"second\"", "first"), 1.0);
    assert!(number("score-fusion", "", "first") < 0.5);
    assert_eq!(number("score-fusion", "", "finite"), 1.0);
}

#[test]
fn written_orders_are_read_or_left() {
    for fault in ["none", "two-answers", "repeated", "out-of-range", "missing"] {
        let fields = format!("fault = \"{fault}\"");
        assert_eq!(number("written-orders", &fields, "right"), 1.0, "{fault}");
    }
    assert_eq!(number("written-orders", "fault = \"no-tag\"", "given"), 1.0);
    assert_eq!(number("written-orders", "fault = \"unfinished\"", "given"), 1.0);
    assert_eq!(number("written-orders", "fault = \"no-tag\"\ntagged = false", "right"), 1.0);
    assert_eq!(number("written-orders", "fault = \"digits-before\"\ntagged = false", "right"), 1.0);
}

#[test]
fn the_reward_is_that_of_the_specification_and_bad_ranks_are_refused() {
    let near = |a: f64, b: f64| (a - b).abs() < 5e-4;
    assert!(near(number("multi-view-reward", "ranks = \"1,11\"\nseeds = 1", "ndcg"), 0.613));
    assert!(near(number("multi-view-reward", "ranks = \"9, 10\"\nseeds = 1", "ndcg"), 0.362));
    let opposite = number("multi-view-reward", "ranks = \"1\"\nteacher = \"opposite\"\nseeds = 1", "rbo");
    assert!(opposite < 0.6, "{opposite}");
    let text =
        "title = \"t\"\n[stage.s]\nkind = \"simulate\"\nsimulation = \"multi-view-reward\"\nranks = \"0\"\n";
    let error = Recipe::read("test", Source::of_text("test.toml", text), &Registry::default()).unwrap_err();
    assert!(error.to_string().contains("numbers from 1 to 20"), "{error}");
}

#[test]
fn an_order_that_is_not_shuffled_is_kept() {
    assert_eq!(number("consistency-filter", "", "kept"), 1.0);
    assert_eq!(number("consistency-filter", "", "ndcg"), 1.0);
    assert!(number("consistency-filter", "shuffled = 1.0\nseeds = 100", "kept") < 0.8);
}

#[test]
fn a_ranker_without_errors_brings_all_relevant_items_to_the_front() {
    for policy in ["none", "ndcg", "recall", "multi-view"] {
        let fields = format!("policy = \"{policy}\"\nnoise = 0.0\nseeds = 3");
        assert_eq!(number("window-policies", &fields, "ndcg"), 1.0, "{policy}");
        assert_eq!(number("window-policies", &fields, "windows"), 9.0);
    }
    assert!(number("window-policies", "policy = \"none\"\nnoise = 5.0", "ndcg") < 0.5);
}

#[test]
fn without_steps_a_policy_stays_even() {
    assert_eq!(number("graded-policy", "reward = \"squared-error\"\nsteps = 0", "above"), 0.0);
    let learnt = number("graded-policy", "reward = \"squared-error\"\nseeds = 3", "error");
    let even = number("graded-policy", "reward = \"squared-error\"\nsteps = 0\nseeds = 3", "error");
    assert!(learnt < even / 2.0, "{learnt} {even}");
}

#[test]
fn losses_of_lists_are_the_trainers() {
    let sixteen = |name: &str| number("list-losses", "items = 16\ntemperature = 0.1\nseeds = 3", name);
    assert_eq!((sixteen("pairs"), sixteen("ranknet_raised")), (120.0, 1.0));
    assert!((sixteen("ranknet_equal") - 2f64.ln()).abs() < 1e-6);
    // Softmax of 1.25, 0.625, 0.41667, 0.3125 and 0.25: .366 for the best, .135 for the worst.
    let five = |name: &str| number("list-losses", "items = 5\nseeds = 3", name);
    assert!((five("target_best") - 0.366).abs() < 5e-4 && (five("target_worst") - 0.135).abs() < 5e-4);
    assert_eq!((five("listnet_least"), five("orthonormal")), (1.0, 0.0));
    assert!((five("parallel") - 12.0).abs() < 1e-6);
}
