//! Setwise methods, worked out by hand: passages are numbers, and the greatest one is the most relevant.

use crate::MethodSpec;
use crate::methods::tests::{ids, ranked, request};
use crate::model::{AnswerForm, CallError};
use crate::testing::ScriptedModel;
use plackett_core::{Ranking, Status};
use std::sync::Arc;

/// The passages of a setwise prompt by label.
fn lettered(prompt: &str) -> Vec<i64> {
    let parts = prompt.split("\n\n").filter(|part| part.starts_with("Passage ") && part.ends_with('"'));
    parts.map(|part| part.split('"').nth(1).unwrap().parse().unwrap()).collect()
}

/// The passages of a prompt of Rank-R1 by label.
fn numbered(prompt: &str) -> Vec<i64> {
    let lines = prompt.lines().filter(|line| line.starts_with('['));
    lines.map(|line| line.split_once("] ").unwrap().1.parse().unwrap()).collect()
}

fn best(passages: &[i64]) -> usize {
    let most = passages.iter().max().unwrap();
    passages.iter().position(|passage| passage == most).unwrap()
}

fn fact<'r>(ranking: &'r Ranking, name: &str) -> &'r str {
    let found = ranking.trace.facts.iter().find(|(known, _)| known == name);
    found.map_or_else(|| panic!("no {name} in {:?}", ranking.trace.facts), |(_, value)| value.as_str())
}

fn rank(method: &str, options: &[(&str, &str)], model: &Arc<ScriptedModel>, numbers: &[i64]) -> Ranking {
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    ranked(method, options, model, &request("why", &texts)).unwrap()
}

/// A model that knows the best passage in either form of answer.
fn perfect() -> Arc<ScriptedModel> {
    let letter = |prompt: &str| char::from(b'A' + best(&lettered(prompt)) as u8);
    Arc::new(
        ScriptedModel::new()
            .labels(move |prompt, label| Ok(if label == format!(" {}", letter(prompt)) { 1.0 } else { 0.0 }))
            .answers(move |prompt, _, _| {
                if prompt.contains("<answer>") {
                    let label = best(&numbered(prompt)) + 1;
                    return Ok(format!("<think>[1] or [2]?</think> <answer>[{label}]</answer>"));
                }
                Ok(format!(" {}", letter(prompt)))
            }),
    )
}

/// 0 … n − 1 in an order that is not sorted.
fn mixed(count: i64) -> Vec<i64> {
    (0..count).map(|n| n * 37 % count).collect()
}

#[test]
fn a_heap_of_sets_sorts_out_the_best_k() {
    // Seven passages, two children: [3 | 1 4], [1 | 0 5], [4 | 6 2]. Level by level: 1 and 4 are sifted together (5 and 6
    // go up), then the root [3 | 5 6]: 6 goes up, and [3 | 4 2]: 4 goes up. Out comes 6, the last (2) takes its place:
    // [2 | 5 4]: 5 goes up, [2 | 0 1]: nothing moves. Out comes 5.
    for mode in ["likelihood", "generation"] {
        let model = perfect();
        let options = [("children", "2"), ("k", "2"), ("mode", mode)];
        let ranking = rank("setwise", &options, &model, &[3, 1, 4, 0, 5, 6, 2]);
        assert_eq!(ids(&ranking), ["d5", "d4", "d0", "d1", "d2", "d3", "d6"], "{mode}");
        assert_eq!(
            (fact(&ranking, "comparisons"), model.prompts(), model.calls().len()),
            ("6", 6, 5),
            "{mode}"
        );
        assert_eq!((fact(&ranking, "unusable"), &ranking.trace.status), ("0", &Status::Ranked));
    }
}

#[test]
fn the_prompt_shows_a_set_with_letters() {
    let model = perfect();
    rank("setwise", &[], &model, &[1, 2, 3]);
    let prompt = &model.read()[0];
    assert!(prompt.contains("these 3 passages") && prompt.contains("the query \"why\""), "{prompt}");
    assert!(prompt.contains("\n\nPassage A: \"1\"\n\nPassage B: \"2\"\n\nPassage C: \"3\"\n\n"), "{prompt}");
    assert!(prompt.ends_with(":\n\nPassage"), "{prompt}");
}

#[test]
fn bubbles_of_sets_cost_what_the_formula_says() {
    // Worst first, three children, one pass: ⌈(10 − 1) / 3⌉ windows.
    let model = perfect();
    let options = [("sort", "bubblesort"), ("k", "1")];
    let ranking = rank("setwise", &options, &model, &(0..10).collect::<Vec<i64>>());
    assert_eq!(ids(&ranking)[..2], ["d9", "d0"]);
    assert_eq!((fact(&ranking, "comparisons"), model.prompts()), ("3", 3));
    // Ten passes over a hundred: never more than Σ ⌈(99 − i) / 3⌉ for i < 10.
    let most: usize = (0..10).map(|pass: usize| (99 - pass).div_ceil(3)).sum();
    let model = perfect();
    let ranking = rank("setwise", &[("sort", "bubblesort")], &model, &mixed(100));
    let wanted: Vec<i64> = (90..100).rev().collect();
    let places: Vec<i64> =
        ids(&ranking)[..10].iter().map(|id| mixed(100)[id[1..].parse::<usize>().unwrap()]).collect();
    assert_eq!(places, wanted);
    assert!(model.prompts() <= most, "{} of {most}", model.prompts());
}

#[test]
fn twenty_to_twenty_five_sets_of_twenty_find_the_best_ten_of_a_hundred() {
    for reasoning in ["true", "false"] {
        let model = perfect();
        let ranking = rank("rank-r1", &[("reasoning", reasoning)], &model, &mixed(100));
        let places: Vec<i64> =
            ids(&ranking)[..10].iter().map(|id| mixed(100)[id[1..].parse::<usize>().unwrap()]).collect();
        assert_eq!(places, (90..100).rev().collect::<Vec<i64>>());
        assert!((20..=25).contains(&model.prompts()), "{}", model.prompts());
        assert_eq!((fact(&ranking, "unusable"), fact(&ranking, "untagged")), ("0", "0"));
        // The rest keeps its order.
        let rest: Vec<usize> = ids(&ranking)[10..].iter().map(|id| id[1..].parse().unwrap()).collect();
        assert!(rest.is_sorted());
        assert_eq!(model.read()[0].contains("think"), reasoning == "true");
    }
}

#[test]
fn an_answer_without_a_label_leaves_the_first_in_its_place() {
    for answer in ["I cannot tell.", "<think>[2] is", "<answer>[9]</answer>", "<answer>[1] or [2]</answer>"] {
        let model = Arc::new(ScriptedModel::new().answers(move |_, _, _| Ok(answer.into())));
        let ranking = rank("rank-r1", &[("k", "1")], &model, &[1, 2, 3]);
        assert_eq!(ids(&ranking), ["d0", "d1", "d2"], "{answer}");
        assert_eq!((fact(&ranking, "unusable"), fact(&ranking, "undecided")), ("1", "1"), "{answer}");
        assert_eq!(ranking.trace.status, Status::Repaired);
    }
    // Other ways to write a label count, without tags too, which is said.
    let model = Arc::new(ScriptedModel::new().answers(|_, _, _| Ok("3.".into())));
    let ranking = rank("rank-r1", &[("k", "1"), ("shuffle", "false")], &model, &[1, 2, 3]);
    assert_eq!((ids(&ranking), fact(&ranking, "untagged")), (vec!["d2", "d0", "d1"], "1"));
}

#[test]
fn only_when_asked_a_failed_answer_is_followed_by_a_choice() {
    let model = Arc::new(ScriptedModel::new().answers(|prompt, form, _| match form {
        AnswerForm::OneOf(labels) => {
            assert_eq!(labels, &["[1]", "[2]", "[3]"]);
            assert!(prompt.ends_with("<think>Let me see\n</think>\n<answer>"), "{prompt}");
            Ok(format!("[{}]", best(&numbered(prompt)) + 1))
        }
        _ => Ok("<think>Let me see".into()),
    }));
    let ranking = rank("rank-r1", &[("failure", "choose"), ("k", "1")], &model, &[1, 3, 2]);
    assert_eq!(ids(&ranking), ["d1", "d0", "d2"]);
    assert_eq!((fact(&ranking, "chosen-again"), fact(&ranking, "unusable")), ("1", "0"));
    assert_eq!((model.prompts(), ranking.trace.status), (2, Status::Repaired));
}

#[test]
fn shuffled_sets_take_a_preference_for_the_first_label_away() {
    // Always the first label: unshuffled the heap stays as it is; shuffled its winner is drawn.
    let model = || Arc::new(ScriptedModel::new().answers(|_, _, _| Ok("<answer>[1]</answer>".into())));
    let first = |seed: &str, shuffle: &str| {
        let mut options = vec![("k", "1"), ("shuffle", shuffle)];
        if shuffle == "true" {
            options.push(("seed", seed));
        }
        ids(&rank("rank-r1", &options, &model(), &[0, 1, 2, 3])).remove(0).to_string()
    };
    assert_eq!(first("0", "false"), "d0");
    let drawn: std::collections::BTreeSet<String> =
        (0..40).map(|seed| first(&seed.to_string(), "true")).collect();
    assert_eq!(drawn.len(), 4);
    assert_eq!(first("5", "true"), first("5", "true"));
}

#[test]
fn votes_outweigh_a_wrong_answer() {
    // Wrong exactly where the best passage stands first.
    let model = Arc::new(ScriptedModel::new().answers(|prompt, _, _| {
        let place = best(&numbered(prompt));
        Ok(format!("<answer>[{}]</answer>", if place == 0 { 2 } else { place + 1 }))
    }));
    let ranking = rank("rank-r1", &[("votes", "15"), ("k", "1")], &model, &[0, 3, 1, 2]);
    assert_eq!(ids(&ranking)[0], "d1");
    assert_eq!((fact(&ranking, "comparisons"), fact(&ranking, "prompts")), ("1", "15"));
    assert_eq!((model.prompts(), model.calls().len()), (15, 1));
}

#[test]
fn places_are_mixed_with_the_scores_of_the_first_stage_after_min_max() {
    let mut asked = request("why", &["0", "3", "1", "2"]);
    for (candidate, score) in asked.candidates.iter_mut().zip([8.0, 2.0, 6.0, 4.0]) {
        candidate.score = Some(score);
    }
    // The two best come first, the others as they came: d1 1, d3 2/3, d0 1/3, d2 0. The first stage: d0 1, d2 2/3, d3 1/3, d1 0.
    for (weight, wanted) in [
        ("0.1", [("d1", 0.9), ("d3", 0.6 + 0.1 / 3.0), ("d0", 0.4), ("d2", 0.2 / 3.0)]),
        ("1", [("d0", 1.0), ("d2", 2.0 / 3.0), ("d3", 1.0 / 3.0), ("d1", 0.0)]),
    ] {
        let ranking = ranked("rank-r1", &[("fuse", weight), ("k", "2")], &perfect(), &asked).unwrap();
        for (entry, (id, score)) in ranking.entries.iter().zip(wanted) {
            assert_eq!(entry.id, id, "{weight}");
            assert!((entry.score - score).abs() < 1e-12, "{weight}: {} of {id}", entry.score);
        }
    }
    asked.candidates[1].score = None;
    let model = perfect();
    let error = ranked("rank-r1", &[("fuse", "0.1")], &model, &asked).unwrap_err().to_string();
    assert!(error.contains("`d1` has none") && error.contains("leave fuse out"), "{error}");
    assert_eq!(model.prompts(), 0, "nothing is asked");
}

#[test]
fn options_without_effect_and_too_many_children_are_refused() {
    let model = perfect();
    for (method, options, part) in [
        ("setwise", vec![("max-tokens", "3")], "max-tokens has no effect with mode=likelihood"),
        ("setwise", vec![("max_tokens", "3")], "max-tokens has no effect with mode=likelihood"),
        ("setwise", vec![("seed", "3")], "no effect without shuffle"),
        ("rank-r1", vec![("prompt", "rank-r1"), ("reasoning", "false")], "give one of both"),
    ] {
        let spec = MethodSpec::find(method).unwrap();
        let values = spec.values(options.iter().copied()).unwrap();
        let error = spec.ranker(model.clone(), values, crate::Settings::default()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(MethodSpec::find("setwise").unwrap().values([("children", "26")]).is_err());
    let gone = Arc::new(
        ScriptedModel::new().answers(|_, _, _| Err(CallError::Argument("the server is gone".into()))),
    );
    assert!(ranked("rank-r1", &[], &gone, &request("why", &["0", "1"])).is_err());
}

#[test]
fn one_candidate_needs_no_question() {
    for method in ["setwise", "rank-r1"] {
        for sort in ["heapsort", "bubblesort"] {
            let model = perfect();
            assert_eq!(ids(&rank(method, &[("sort", sort)], &model, &[4])), ["d0"]);
            assert_eq!(model.prompts(), 0);
            assert_eq!(ids(&rank(method, &[("sort", sort)], &model, &[4, 5])), ["d1", "d0"]);
        }
    }
}

#[test]
fn an_answer_takes_at_most_half_of_what_the_model_reads() {
    let model =
        Arc::new(ScriptedModel::new().answers(|_, _, _| Ok("<answer>[2]</answer>".into())).max_tokens(400));
    let ranking = rank("rank-r1", &[("k", "1"), ("shuffle", "false")], &model, &[1, 2]);
    assert_eq!(ids(&ranking), ["d1", "d0"]);
    assert_eq!(fact(&ranking, "max-tokens"), "200, half of what the model reads, not 2048");
}
