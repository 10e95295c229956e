//! Pairwise methods, worked out by hand: passages are numbers, and the greater one is the more relevant.

use crate::MethodSpec;
use crate::methods::tests::{ids, ranked, request};
use crate::model::{CallError, Need};
use crate::testing::ScriptedModel;
use plackett_core::Ranking;
use std::sync::Arc;

const SORTS: [&str; 3] = ["prp-sliding", "prp-heapsort", "prp-allpair"];

/// Passages A and B of a prompt.
fn shown(prompt: &str) -> (String, String) {
    let of = |label: &str| {
        let from = prompt.split_once(&format!("Passage {label}: \"")).unwrap().1;
        from.split_once('"').unwrap().0.to_string()
    };
    (of("A"), of("B"))
}

/// The logit of a label where A leads by `lead`, from the passages A and B.
fn logit(prompt: &str, label: &str, lead: impl Fn(&str, &str) -> f64) -> Result<f64, CallError> {
    let (a, b) = shown(prompt);
    match label.trim() {
        "A" => Ok(lead(&a, &b)),
        _ => Ok(0.0),
    }
}

fn scoring(lead: impl Fn(&str, &str) -> f64 + Send + Sync + 'static) -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::new().labels(move |prompt, label| logit(prompt, label, &lead)))
}

fn value(text: &str) -> f64 {
    text.parse().unwrap()
}

fn perfect() -> Arc<ScriptedModel> {
    scoring(|a, b| value(a) - value(b))
}

fn fact<'r>(ranking: &'r Ranking, name: &str) -> &'r str {
    let found = ranking.trace.facts.iter().find(|(known, _)| known == name);
    found.map_or_else(|| panic!("no {name} in {:?}", ranking.trace.facts), |(_, value)| value.as_str())
}

fn scores(ranking: &Ranking) -> Vec<f64> {
    ranking.entries.iter().map(|entry| entry.score).collect()
}

fn numbers(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

fn rank(method: &str, options: &[(&str, &str)], model: &Arc<ScriptedModel>, texts: &[String]) -> Ranking {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    ranked(method, options, model, &request("why", &texts)).unwrap()
}

#[test]
fn all_pairs_give_points_and_cost_n_times_n_minus_one_prompts() {
    let model = perfect();
    let ranking = rank("prp-allpair", &[], &model, &numbers([2, 0, 3, 1]));
    assert_eq!(ids(&ranking), ["d2", "d0", "d3", "d1"]);
    assert_eq!(scores(&ranking), [3.0, 2.0, 1.0, 0.0]);
    assert_eq!((model.prompts(), model.calls().len()), (12, 1));
    for (name, wanted) in
        [("prompts", "12"), ("comparisons", "6"), ("inconsistent", "0"), ("unusable", "0"), ("ties", "0")]
    {
        assert_eq!(fact(&ranking, name), wanted, "{name}");
    }
    let spec = MethodSpec::find("pairwise").unwrap();
    let count = spec.calls.count.unwrap();
    let model = perfect();
    rank("prp-allpair", &[], &model, &numbers(0..100));
    assert_eq!((model.prompts() as u64, count(100, &spec.defaults())), (9900, 9900));
    // Ten calls of 512 pairs at most.
    assert_eq!(model.calls().len(), 10);
}

#[test]
fn the_prompt_shows_both_orders_and_begins_the_answer() {
    let model = perfect();
    rank("prp", &[], &model, &numbers([1, 2]));
    let read = model.read();
    assert_eq!(read.len(), 2);
    assert_eq!((shown(&read[0]), shown(&read[1])), (("2".into(), "1".into()), ("1".into(), "2".into())));
    assert!(
        read[0].contains("the query \"why\"")
            && read[0].contains("\n\nPassage A: \"2\"\n\nPassage B: \"1\"\n\n")
    );
    assert!(read[0].ends_with(":\n\nPassage"), "{}", read[0]);
}

#[test]
fn contradicting_answers_are_a_tie_of_half_a_point_each() {
    // Beside 2 against 0, which is clear, A always leads: three pairs of which two are ties.
    let model = scoring(|a, b| match (a, b) {
        ("2", "0") => 1.0,
        ("0", "2") => -1.0,
        _ => 0.5,
    });
    let ranking = rank("prp-allpair", &[], &model, &numbers([0, 1, 2]));
    // 0: tie and loss; 1: two ties; 2: tie and win.
    assert_eq!(ids(&ranking), ["d2", "d1", "d0"]);
    assert_eq!(scores(&ranking), [1.5, 1.0, 0.5]);
    assert_eq!((fact(&ranking, "inconsistent"), fact(&ranking, "ties")), ("2", "2"));
    assert_eq!(ranking.trace.status, plackett_core::Status::Ranked);
}

#[test]
fn a_model_that_always_says_a_is_one_that_always_ties() {
    let texts = numbers([3, 1, 4, 15, 9, 2, 6]);
    for method in SORTS {
        let biased = rank(method, &[], &scoring(|_, _| 7.0), &texts);
        let tied = rank(method, &[], &scoring(|_, _| 0.0), &texts);
        assert_eq!(ids(&biased), ids(&tied), "{method}");
        assert_eq!(fact(&biased, "inconsistent"), fact(&biased, "pairs"), "{method}");
        assert_eq!((fact(&tied, "inconsistent"), fact(&tied, "unusable")), ("0", "0"), "{method}");
        if method != "prp-heapsort" {
            assert_eq!(ids(&biased), ["d0", "d1", "d2", "d3", "d4", "d5", "d6"], "{method}");
        }
    }
}

#[test]
fn a_rotating_model_comes_to_an_end() {
    // 0 beats 1, 1 beats 2, 2 beats 0.
    let rotating = || scoring(|a, b| if (value(a) as i64 + 1) % 3 == value(b) as i64 { 1.0 } else { -1.0 });
    for method in SORTS {
        for options in [&[][..], &[("margin", "true")]] {
            let ranking = rank(method, options, &rotating(), &numbers([0, 1, 2]));
            let mut found = ids(&ranking);
            found.sort_unstable();
            assert_eq!(found, ["d0", "d1", "d2"], "{method}");
        }
    }
    let ranking = rank("prp-allpair", &[], &rotating(), &numbers([0, 1, 2]));
    assert_eq!((ids(&ranking), scores(&ranking)), (vec!["d0", "d1", "d2"], vec![1.0, 1.0, 1.0]));
}

#[test]
fn ten_passes_over_a_hundred_are_945_comparisons() {
    // Worst first: no pair meets twice, and no pass can be shortened.
    let model = perfect();
    let ranking = rank("prp-sliding", &[("passes", "10")], &model, &numbers(0..100));
    assert_eq!((fact(&ranking, "comparisons"), fact(&ranking, "prompts")), ("945", "1890"));
    assert_eq!(model.prompts(), 1890);
    let wanted: Vec<String> = (90..100).rev().chain(0..90).map(|n| format!("d{n}")).collect();
    assert_eq!(ids(&ranking), wanted);
    // Best first: one pass finds that nothing changes.
    let model = perfect();
    let ranking = rank("prp-sliding", &[], &model, &numbers((0..100).rev()));
    assert_eq!((fact(&ranking, "comparisons"), model.prompts()), ("99", 198));
}

#[test]
fn the_best_k_come_first_and_the_rest_keeps_its_order() {
    let texts = numbers([2, 9, 4, 7, 1, 8, 3]);
    for (method, options) in [
        ("prp-sliding", vec![("passes", "2")]),
        ("prp-heapsort", vec![("k", "2")]),
        ("prp-allpair", vec![("k", "2")]),
    ] {
        let ranking = rank(method, &options, &perfect(), &texts);
        assert_eq!(ids(&ranking), ["d1", "d5", "d0", "d2", "d3", "d4", "d6"], "{method}");
        assert_eq!(scores(&ranking), [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], "{method}");
    }
    // The rest of an inverted list is inverted too.
    let options = [("k", "2"), ("input", "inverted")];
    let ranking = rank("prp-heapsort", &options, &perfect(), &texts);
    assert_eq!(ids(&ranking), ["d1", "d5", "d6", "d4", "d3", "d2", "d0"]);
    assert_eq!(fact(&ranking, "input"), "inverted");
    // More than there are.
    for method in SORTS {
        assert_eq!(ids(&rank(method, &[], &perfect(), &numbers([5]))), ["d0"], "{method}");
        assert_eq!(ids(&rank(method, &[], &perfect(), &numbers([5, 6]))), ["d1", "d0"], "{method}");
    }
}

#[test]
fn a_shuffled_input_changes_ties_and_nothing_else() {
    let texts = numbers(0..12);
    let shuffled = [("input", "shuffled"), ("seed", "3")];
    let sorted = |ranking: &Ranking| ids(ranking).first().copied() == Some("d11");
    assert!(sorted(&rank("prp-allpair", &shuffled, &perfect(), &texts)));
    let tied = || scoring(|_, _| 0.0);
    let once = rank("prp-allpair", &shuffled, &tied(), &texts);
    assert_ne!(ids(&once), ids(&rank("prp-allpair", &[], &tied(), &texts)));
    assert_eq!(ids(&once), ids(&rank("prp-allpair", &shuffled, &tied(), &texts)));
}

#[test]
fn the_margin_of_both_orders_takes_ties_away() {
    // A leads by 3 + the difference: always A, but by more where the better passage is A.
    let biased = || scoring(|a, b| 3.0 + (value(a) - value(b)) / 10.0);
    for method in SORTS {
        let ranking = rank(method, &[("margin", "true")], &biased(), &numbers([2, 0, 3, 1]));
        assert_eq!(ids(&ranking), ["d2", "d0", "d3", "d1"], "{method}");
        assert_eq!(fact(&ranking, "ties"), "0");
        assert_eq!(fact(&ranking, "inconsistent"), fact(&ranking, "pairs"));
    }
}

#[test]
fn written_answers_are_read_and_unusable_ones_are_ties() {
    let answer = |prompt: &str| {
        let (a, b) = shown(prompt);
        match (a.as_str(), b.as_str()) {
            ("1", "2") => " neither".to_string(),
            _ if value(&a) > value(&b) => " A".to_string(),
            _ => "Passage B, which says more".to_string(),
        }
    };
    let model = Arc::new(ScriptedModel::new().answers(move |prompt, _, _| Ok(answer(prompt))));
    let ranking = rank("prp-allpair", &[("mode", "generation")], &model, &numbers([0, 1, 2]));
    // 2 against 1 is a tie: 2 has 1.5 points, 1 has 1.5, 0 none.
    assert_eq!((ids(&ranking), scores(&ranking)), (vec!["d1", "d2", "d0"], vec![1.5, 1.5, 0.0]));
    assert_eq!((fact(&ranking, "unusable"), fact(&ranking, "inconsistent")), ("1", "0"));
    assert_eq!(ranking.trace.status, plackett_core::Status::Repaired);
    // An answer that cannot be read at all does not end the query; a server that fails does.
    let odd = |answer: fn() -> CallError| {
        let model = Arc::new(ScriptedModel::new().answers(move |_, _, _| Err(answer())));
        ranked("prp", &[("mode", "generation")], &model, &request("why", &["0", "1"]))
    };
    let unreadable = || CallError::Answer { answer: "?".into(), problem: "empty".into() };
    assert_eq!(fact(&odd(unreadable).unwrap(), "unusable"), "2");
    assert!(odd(|| CallError::Argument("the server is gone".into())).is_err());
}

#[test]
fn scoring_and_generation_agree_where_the_model_writes_a_or_b() {
    let lead =
        |a: &str, b: &str| if (value(a) * value(b)) as i64 % 3 == 0 { 1.0 } else { value(a) - value(b) };
    let model =
        Arc::new(ScriptedModel::new().labels(move |prompt, label| logit(prompt, label, lead)).answers(
            move |prompt, _, _| {
                let (a, b) = shown(prompt);
                Ok(if lead(&a, &b) > 0.0 { " A".into() } else { " B".into() })
            },
        ));
    let texts = numbers([3, 5, 1, 8, 2, 7]);
    for method in SORTS {
        let scored = rank(method, &[], &model, &texts);
        let written = rank(method, &[("mode", "generation")], &model, &texts);
        assert_eq!(ids(&scored), ids(&written), "{method}");
        for name in ["prompts", "inconsistent", "ties"] {
            assert_eq!(fact(&scored, name), fact(&written, name), "{method}");
        }
    }
}

#[test]
fn a_label_that_is_not_one_token_is_read_in_its_other_spelling() {
    let refuse = |label: &str| {
        Err(CallError::Label { label: label.into(), problem: "two tokens after \"Passage\"".into() })
    };
    let lead = |a: &str, b: &str| value(a) - value(b);
    let bare = Arc::new(ScriptedModel::new().labels(move |prompt, label| {
        if label.starts_with(' ') { refuse(label) } else { logit(prompt, label, lead) }
    }));
    let ranking = rank("prp-allpair", &[], &bare, &numbers([0, 1, 2]));
    assert_eq!(ids(&ranking), ["d2", "d1", "d0"]);
    assert!(fact(&ranking, "labels").contains("other spelling"), "{:?}", ranking.trace.facts);
    // Neither spelling: the log-probability of the whole label.
    let neither = ScriptedModel::new()
        .labels(move |_, label| refuse(label))
        .likelihoods(move |prompt, label| logit(prompt, label, lead));
    let ranking = rank("prp-allpair", &[], &Arc::new(neither), &numbers([0, 1, 2]));
    assert_eq!(ids(&ranking), ["d2", "d1", "d0"]);
    assert!(fact(&ranking, "labels").contains("log-probability"), "{:?}", ranking.trace.facts);
    // Not even that: the error names the label.
    let lost = Arc::new(ScriptedModel::new().labels(move |_, label| refuse(label)));
    let error = ranked("prp", &[], &lost, &request("why", &["0", "1"])).unwrap_err();
    assert!(error.to_string().contains("\" A\""), "{error}");
}

#[test]
fn every_aggregation_of_a_consistent_model_is_the_same_order() {
    for aggregate in super::aggregate::NAMES {
        for margin in ["false", "true"] {
            let options = [("aggregate", *aggregate), ("margin", margin)];
            let ranking = rank("prp-allpair", &options, &perfect(), &numbers([2, 0, 3, 1, 4]));
            assert_eq!(ids(&ranking), ["d4", "d2", "d0", "d3", "d1"], "{options:?}");
        }
    }
}

#[test]
fn margins_weigh_wins_for_borda() {
    // 0 beats 1 by little, 1 beats 2 by little, 2 beats 0 by much: one point each, but not one share each.
    let model = || {
        scoring(|a, b| match (a, b) {
            ("0", "1") | ("1", "2") => 0.2,
            ("1", "0") | ("2", "1") => -0.2,
            ("2", "0") => 2.0,
            _ => -2.0,
        })
    };
    let texts = numbers([0, 1, 2]);
    let points = rank("prp-allpair", &[("margin", "true")], &model(), &texts);
    assert_eq!(scores(&points), [1.0, 1.0, 1.0]);
    let options = [("margin", "true"), ("aggregate", "borda")];
    let shares = rank("prp-allpair", &options, &model(), &texts);
    assert_eq!(ids(&shares), ["d2", "d1", "d0"]);
    // σ(2) + σ(−0.2), 2 × one half, σ(−2) + σ(0.2).
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let wanted = [sigmoid(2.0) + sigmoid(-0.2), 1.0, sigmoid(-2.0) + sigmoid(0.2)];
    assert!(scores(&shares).iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-12));
    // The paths 1, 2, 0 and 2, 0, 1 are the best, both of a small margin and the great one; the lesser is taken.
    let options = [("margin", "true"), ("aggregate", "tsp")];
    assert_eq!(ids(&rank("prp-allpair", &options, &model(), &texts)), ["d1", "d2", "d0"]);
}

#[test]
fn tsprank_follows_the_best_path_whatever_the_bias() {
    // Only successors lead: 2 → 0 → 3 → 1.
    let chain = ["2", "0", "3", "1"];
    let lead = move |a: &str, b: &str| {
        let place = |text: &str| chain.iter().position(|known| *known == text).unwrap();
        if place(b) == place(a) + 1 { 1.0 } else { 0.0 }
    };
    let texts = numbers([0, 1, 2, 3]);
    for bias in [0.0, 5.0, -5.0] {
        let model = scoring(move |a, b| bias + lead(a, b));
        let ranking = rank("tsprank", &[], &model, &texts);
        assert_eq!(ids(&ranking), ["d2", "d0", "d3", "d1"], "{bias}");
        assert_eq!(
            (model.prompts(), fact(&ranking, "path-value")),
            (12, &*format!("{}", 3.0 * (bias + 1.0)))
        );
    }
    assert_eq!(ids(&rank("tsprank", &[], &scoring(|_, _| 1.0), &texts)), ["d0", "d1", "d2", "d3"]);
    assert_eq!(ids(&rank("tsprank", &[], &perfect(), &numbers([7]))), ["d0"]);
    // Whose scores are those of precedence is told what to take, and that is there.
    let summary = MethodSpec::find("tsprank").unwrap().summary;
    assert!(summary.contains("`prp-allpair(aggregate=borda)`"), "{summary}");
    let borda = rank("prp-allpair", &[("aggregate", "borda")], &perfect(), &numbers([1, 3, 2]));
    assert_eq!(ids(&borda), ["d1", "d2", "d0"]);
}

#[test]
fn options_without_effect_and_lists_beyond_reach_are_refused() {
    let model = Arc::new(ScriptedModel::new().labels(|_, _| Ok(0.0)).answers(|_, _, _| Ok("A".into())));
    for (method, options, part) in [
        ("prp", vec![("mode", "generation"), ("margin", "true")], "margin needs the logits"),
        ("prp", vec![("max-tokens", "3")], "max-tokens has no effect with mode=scoring"),
        ("prp", vec![("seed", "3")], "input=shuffled"),
        ("prp", vec![("k", "3")], "use passes=3"),
    ] {
        let spec = MethodSpec::find(method).unwrap();
        let values = spec.values(options.iter().copied()).unwrap();
        let error = spec.ranker(model.clone(), values, crate::Settings::default()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let silent =
        Arc::new(ScriptedModel::new().labels(|_, _| Ok(0.0)).without(Need::LabelLogits, "it tells none"));
    let spec = MethodSpec::find("prp").unwrap();
    let error = spec.ranker(silent, spec.defaults(), crate::Settings::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("it tells none"), "{error}");
    let texts = numbers(0..1001);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let error = ranked("prp-allpair", &[], &perfect(), &request("why", &texts)).unwrap_err();
    assert!(error.to_string().contains("1001 candidates are 1001000 prompts"), "{error}");
    let error = ranked("tsprank", &[], &perfect(), &request("why", &texts)).unwrap_err();
    assert!(error.to_string().contains("the most is 300"), "{error}");
}
