//! ERank worked out by hand.

use crate::method::MethodSpec;
use crate::methods::tests::{ids, ranked, request};
use crate::model::{CallError, Need};
use crate::testing::ScriptedModel;
use crate::{RankError, Settings};
use plackett_core::{RankRequest, Ranking, Status};
use std::sync::Arc;

fn scores(ranking: &Ranking) -> Vec<f64> {
    ranking.entries.iter().map(|entry| entry.score).collect()
}

fn close(ranking: &Ranking, wanted: &[f64]) {
    let found = scores(ranking);
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() < 1e-9, "{found} instead of {wanted}");
    }
}

fn fact<'r>(ranking: &'r Ranking, name: &str) -> Option<&'r str> {
    ranking.trace.facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The logarithm of a probability, with one that is practically nothing for 0.
fn log(probability: f64) -> f64 {
    if probability > 0.0 { probability.ln() } else { -900.0 }
}

/// Level 9 with .85 and 0 else; surely 8; 5 and 6 alike.
fn three(prompt: &str, label: &str) -> Result<f64, CallError> {
    let table: &[(&str, f64)] = match prompt {
        prompt if prompt.contains("\nfirst\n") => &[("9", 0.85), ("0", 0.15)],
        prompt if prompt.contains("\nsecond\n") => &[("8", 1.0)],
        _ => &[("5", 0.5), ("6", 0.5)],
    };
    Ok(3.0 + log(table.iter().find(|(level, _)| *level == label).map_or(0.0, |(_, chance)| *chance)))
}

#[test]
fn levels_read_without_reasoning_become_three_kinds_of_scores() {
    let request = request("why", &["first", "second", "third"]);
    for (score, order, wanted) in [
        ("hard", ["d0", "d1", "d2"], [9.0, 8.0, 5.0]),
        // Not monotone in the level: 9 · .85 is less than 8 · 1.
        ("weighted", ["d1", "d0", "d2"], [8.0, 7.65, 2.5]),
        ("expected", ["d1", "d0", "d2"], [8.0, 7.65, 5.5]),
    ] {
        let model = Arc::new(ScriptedModel::new().labels(three));
        let ranking =
            ranked("graded", &[("reasoning", "false"), ("score", score)], &model, &request).unwrap();
        assert_eq!(ids(&ranking), order, "{score}");
        close(&ranking, &wanted);
        assert_eq!((model.prompts(), ranking.trace.passes, ranking.trace.generated_tokens), (3, 3, 0));
        assert!(model.read()[0].ends_with("Your output:\n\n<answer>"), "{}", model.read()[0]);
        assert!(fact(&ranking, "prompt").unwrap().starts_with("erank-direct@"));
    }
}

#[test]
fn a_level_of_several_tokens_takes_its_share_from_the_one_it_begins_with() {
    // As tokens: 1 has .5, of which .4 goes on to 10; 9 has .5. So 1, 9, 10 have .1, .5, .4.
    let model = || {
        ScriptedModel::new().labels(|_, label| match label {
            "10" => Err(CallError::Label { label: label.into(), problem: "it is two tokens".into() }),
            "1" | "9" => Ok(log(0.5)),
            _ => Ok(log(0.0)),
        })
    };
    for (score, wanted) in [("expected", 0.1 + 4.5 + 4.0), ("weighted", 4.5), ("hard", 9.0)] {
        let model = Arc::new(model().likelihoods(|_, continuation| {
            assert_eq!(continuation, "10");
            Ok(log(0.4))
        }));
        let options = [("reasoning", "false"), ("score", score)];
        let ranking = ranked("erank", &options, &model, &request("why", &["a", "b"])).unwrap();
        close(&ranking, &[wanted, wanted]);
        assert_eq!(ranking.trace.passes, 2 + 2, "one more for each document and long level");
        assert!(fact(&ranking, "levels").unwrap().ends_with(": 10"));
    }
    let model = Arc::new(model().without(Need::Likelihoods, "it is a toy"));
    let error = ranked("erank", &[("reasoning", "false")], &model, &request("why", &["a"])).unwrap_err();
    assert!(error.to_string().contains("two tokens"), "{error}");
}

fn reasoner() -> ScriptedModel {
    ScriptedModel::new()
        .answers(|prompt, _, _| {
            let text = match prompt {
                prompt if prompt.contains("\nfirst\n") => "<think>good</think><answer>8</answer>",
                prompt if prompt.contains("\nsecond\n") => "<think>great</think>\n<answer> 10 </answer> so",
                prompt if prompt.contains("\nthird\n") => "no idea",
                prompt if prompt.contains("\nfourth\n") => "<think><answer>7</answer>",
                _ => "<think>more</think><answer>11</answer>",
            };
            Ok(text.into())
        })
        .labels(|prompt, label| {
            let table: &[(&str, f64)] = if prompt.contains("\nfirst\n") {
                assert!(prompt.ends_with("Your output:\n\n<think>good</think><answer>"), "{prompt}");
                &[("8", 0.5), ("9", 0.5)]
            } else {
                assert!(prompt.ends_with("<think>great</think>\n<answer> "), "{prompt}");
                &[("10", 0.25), ("0", 0.75)]
            };
            Ok(log(table.iter().find(|(level, _)| *level == label).map_or(0.0, |(_, chance)| *chance)))
        })
}

#[test]
fn a_written_level_is_weighed_by_its_probability_where_it_was_written() {
    let request = request("why", &["third", "first", "second", "fourth", "fifth"]);
    for (score, order, wanted, passes) in [
        // 8 · .5 and 10 · .25; what cannot be read has 0 and stays in the given order.
        ("weighted", ["d1", "d2", "d0", "d3", "d4"], [4.0, 2.5, 0.0, 0.0, 0.0], 5 + 2),
        ("hard", ["d2", "d1", "d0", "d3", "d4"], [10.0, 8.0, 0.0, 0.0, 0.0], 5),
        ("expected", ["d1", "d2", "d0", "d3", "d4"], [8.5, 2.5, 0.0, 0.0, 0.0], 5 + 2),
    ] {
        let model = Arc::new(reasoner());
        let ranking = ranked("erank", &[("score", score)], &model, &request).unwrap();
        assert_eq!(ids(&ranking), order, "{score}");
        close(&ranking, &wanted);
        assert_eq!((ranking.trace.passes, model.prompts() as u64), (passes, passes));
        assert_eq!(fact(&ranking, "answers-without-level"), Some("3"));
        assert_eq!(ranking.trace.status, Status::Repaired);
    }
}

#[test]
fn more_levels_and_softer_scores_make_fewer_ties() {
    let texts: Vec<String> = (0..30).map(|n| format!("x{n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let different = |levels: &str, score: &str| {
        let model = Arc::new(ScriptedModel::new().labels(|prompt, label| {
            let tail = prompt.split("\nx").nth(1).unwrap();
            let number: f64 = tail.split('\n').next().unwrap().parse().unwrap();
            Ok(match label {
                "yes" => number - 14.5,
                "no" => 0.0,
                level => -(level.parse::<f64>().unwrap() - number / 3.0).powi(2),
            })
        }));
        let options = [("reasoning", "false"), ("levels", levels), ("score", score)];
        let mut found = scores(&ranked("erank", &options, &model, &request("why", &texts)).unwrap());
        found.dedup();
        found.len()
    };
    assert_eq!(different("yes-no", "hard"), 2);
    assert_eq!(different("0-3", "hard"), 4);
    // 0 to 29 thirds, rounded: levels 0 to 10.
    assert_eq!(different("0-10", "hard"), 11);
    assert_eq!(different("0-10", "expected"), 30);
}

fn scored(scores: &[Option<f64>]) -> RankRequest {
    let mut request = request("why", &["first", "second", "third"][..scores.len()]);
    for (candidate, score) in request.candidates.iter_mut().zip(scores) {
        candidate.score = *score;
    }
    request
}

#[test]
fn scores_of_the_first_stage_are_mixed_in_as_z_scores() {
    let rank = |options: &[(&str, &str)], request: &RankRequest| -> (Result<Ranking, RankError>, usize) {
        let model = Arc::new(ScriptedModel::new().labels(three));
        let mut all = vec![("reasoning", "false"), ("score", "hard")];
        all.extend(options);
        (ranked("erank", &all, &model, request), model.prompts())
    };
    // Levels 9 and 8 have z-scores 1 and −1, the first stage's 2 and 6 have −1 and 1: .8 − .2 and its negative.
    let two = scored(&[Some(2.0), Some(6.0)]);
    let ranking = rank(&[("fuse", "0.2")], &two).0.unwrap();
    assert_eq!(ids(&ranking), ["d0", "d1"]);
    close(&ranking, &[0.6, -0.6]);
    // Equal scores of the first stage decide nothing and divide by nothing.
    let ranking = rank(&[("fuse", "0.2")], &scored(&[Some(3.0), Some(3.0)])).0.unwrap();
    close(&ranking, &[0.8, -0.8]);
    let (error, prompts) = rank(&[("fuse", "0.2")], &scored(&[Some(2.0), None]));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`d1` has none") && error.contains("leave fuse out"), "{error}");
    assert_eq!(prompts, 0, "nothing is asked");
}

#[test]
fn the_prompt_says_the_instruction_and_the_levels() {
    let model = Arc::new(ScriptedModel::new().labels(|_, _| Ok(0.0)));
    let options =
        [("reasoning", "false"), ("levels", "yes-no"), ("instruction", "it uses the same data structure.")];
    ranked("erank", &options, &model, &request("why", &["a"])).unwrap();
    let prompt = &model.read()[0];
    assert!(prompt.contains("it uses the same data structure.") && prompt.contains(": yes, no."), "{prompt}");
    assert!(!prompt.contains("similar topic"), "{prompt}");
}

#[test]
fn options_without_effect_and_templates_without_a_scale_are_refused() {
    let refused = |written: &[(&str, &str)]| {
        let spec = MethodSpec::find("erank").unwrap();
        let values = spec.values(written.iter().copied()).unwrap();
        spec.ranker(Arc::new(reasoner()), values, Settings::default()).err().unwrap().to_string()
    };
    assert!(refused(&[("reasoning", "false"), ("max-tokens", "5")]).contains("max-tokens has no effect"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, "body = \"{doc}\"\nsuffix = \"{query}\"\n").unwrap();
    let error = refused(&[("prompt", &path.display().to_string())]);
    assert!(error.contains("mine.toml") && error.contains("0-10 = "), "{error}");
}
