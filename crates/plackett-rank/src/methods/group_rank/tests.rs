//! GroupRank worked out by hand.

use crate::Settings;
use crate::method::MethodSpec;
use crate::methods::tests::{ids, ranked, request};
use crate::testing::ScriptedModel;
use plackett_core::{Ranking, Status};
use std::sync::{Arc, Mutex};

/// Passages of a prompt in the order of their numbers.
fn shown(prompt: &str) -> Vec<String> {
    let documents = prompt.split("Documents:\n").nth(1).unwrap();
    let line = |line: &str| {
        let (label, text) = line.strip_prefix('[')?.split_once("]. ")?;
        label.parse::<usize>().ok()?;
        Some(text.to_string())
    };
    documents.lines().filter_map(line).collect()
}

/// The number at the end of a passage, as its score.
fn number(text: &str) -> i64 {
    text.rsplit(' ').next().unwrap().parse().unwrap()
}

fn close(ranking: &Ranking, wanted: &[f64]) {
    let found: Vec<f64> = ranking.entries.iter().map(|entry| entry.score).collect();
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() < 1e-9, "{found} instead of {wanted}");
    }
}

fn fact<'r>(ranking: &'r Ranking, name: &str) -> Option<&'r str> {
    ranking.trace.facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn judge() -> ScriptedModel {
    ScriptedModel::new().answers(|prompt, _, _| {
        let scores: Vec<String> = shown(prompt).iter().map(|text| number(text).to_string()).collect();
        Ok(scores.join(", "))
    })
}

#[test]
fn scores_of_all_groups_make_one_order_and_ties_keep_the_given_one() {
    let model = Arc::new(judge());
    let request = request("why", &["a 7", "b 3", "c 5", "d 10", "e 3"]);
    let ranking = ranked("group-rank", &[("group", "2")], &model, &request).unwrap();
    assert_eq!(ids(&ranking), ["d3", "d0", "d2", "d1", "d4"]);
    close(&ranking, &[1.0, 0.7, 0.5, 0.3, 0.3]);
    // Two repeats of three groups, all in one call.
    assert_eq!((model.prompts(), model.calls().len(), ranking.trace.passes), (6, 1, 6));
}

#[test]
fn groups_are_disjoint_and_as_many_as_the_formula_says() {
    let texts: Vec<String> = (0..25).map(|n| format!("document {}", n % 11)).collect();
    let texts: Vec<String> = texts.iter().enumerate().map(|(n, text)| format!("n{n} {text}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let spec = MethodSpec::find("grouprank").unwrap();
    for (group, repeats, calls) in [(10, 3, 9), (1, 1, 25), (25, 1, 1), (100, 2, 2), (20, 6, 12)] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        let model = Arc::new(ScriptedModel::new().answers(move |prompt, _, sample| {
            let passages = shown(prompt);
            let scores: Vec<String> = passages.iter().map(|text| number(text).to_string()).collect();
            kept.lock().unwrap().push((sample, passages));
            Ok(scores.join(","))
        }));
        let (size, times) = (group.to_string(), repeats.to_string());
        let options = [("group", size.as_str()), ("repeats", times.as_str())];
        ranked("group-rank", &options, &model, &request("why", &texts)).unwrap();
        assert_eq!(model.prompts(), calls);
        let values = spec.values(options).unwrap();
        assert_eq!((spec.calls.count.unwrap())(25, &values), calls as u64);
        let seen = seen.lock().unwrap();
        for repeat in 0..repeats {
            let mut all: Vec<&String> =
                seen.iter().filter(|(sample, _)| *sample == repeat).flat_map(|(_, texts)| texts).collect();
            all.sort_unstable();
            let mut wanted: Vec<&str> = texts.clone();
            wanted.sort_unstable();
            assert_eq!(all, wanted, "every document once in each repeat");
        }
        if (group, repeats) == (10, 3) {
            let sizes: Vec<usize> = seen.iter().map(|(_, texts)| texts.len()).collect();
            assert_eq!(sizes, [10, 10, 5, 10, 10, 5, 10, 10, 5]);
            assert_ne!(seen[0].1, seen[3].1, "groups are drawn anew");
            assert_ne!(seen[0].1, texts[..10], "the first groups are drawn, too");
        }
    }
}

#[test]
fn a_score_is_the_mean_over_repeats_and_seeds_change_groups_only() {
    // 4 in the first repeat and 9 in the second.
    let model = Arc::new(ScriptedModel::new().answers(|prompt, _, sample| {
        Ok(vec![if sample == 0 { "4" } else { "9" }; shown(prompt).len()].join(","))
    }));
    let ranking = ranked("group-rank", &[("group", "2")], &model, &request("why", &["a 1", "b 2"])).unwrap();
    close(&ranking, &[0.65, 0.65]);
    let texts = ["a 1", "b 2", "c 3", "d 4", "e 5", "f 6"];
    let read = |seed: &str| {
        let model = Arc::new(judge());
        let ranking =
            ranked("group-rank", &[("group", "3"), ("seed", seed)], &model, &request("why", &texts)).unwrap();
        assert_eq!(ids(&ranking), ["d5", "d4", "d3", "d2", "d1", "d0"]);
        model.read()
    };
    assert_eq!(read("1"), read("1"));
    assert_ne!(read("1"), read("2"));
}

/// A sheet in the published form.
fn sheet(entries: &str) -> String {
    format!("<reason>they differ</reason>\n<answer>\n```json\n{{{entries}}}\n```\n</answer>")
}

#[test]
fn groups_without_a_sheet_have_no_score_and_never_bury_others() {
    let model = Arc::new(ScriptedModel::new().answers(|prompt, _, _| {
        Ok(match shown(prompt)[0].as_str() {
            "a" => sheet("\"[1]\": 4, \"[2]\": 9"),
            "c" => "I like both.".into(),
            // A bracket too much, a score outside the scale, and none for the second.
            _ => sheet("\"[1]]\": 6, \"[3]\": 2"),
        })
    }));
    let options = [("mode", "free"), ("grouping", "sorted"), ("group", "2")];
    let ranking =
        ranked("group-rank", &options, &model, &request("why", &["a", "b", "c", "d", "e", "f"])).unwrap();
    assert_eq!(ids(&ranking), ["d1", "d4", "d0", "d2", "d3", "d5"]);
    close(&ranking, &[0.9, 0.6, 0.4, -1.0, -1.0, -1.0]);
    for (name, count) in [
        ("sheets-unreadable", "1"),
        ("sheets-mended", "1"),
        ("scores-dropped", "1"),
        ("scores-missing", "1"),
        ("documents-without-score", "3"),
        ("groups", "3"),
    ] {
        assert_eq!(fact(&ranking, name), Some(count), "{name}");
    }
    assert_eq!((ranking.trace.status.clone(), ranking.trace.passes), (Status::Repaired, 3));
    assert!(fact(&ranking, "prompt").unwrap().starts_with("group-rank-reasons@"));
}

#[test]
fn another_repeat_makes_up_for_a_group_without_a_sheet() {
    let model = Arc::new(ScriptedModel::new().answers(|prompt, _, sample| {
        let entries: Vec<String> =
            (1..).zip(shown(prompt)).map(|(n, text)| format!("\"[{n}]\": {}", number(&text))).collect();
        Ok(if sample == 0 { "<answer>".into() } else { sheet(&entries.join(", ")) })
    }));
    let options = [("mode", "free"), ("repeats", "2")];
    let ranking = ranked("group-rank", &options, &model, &request("why", &["a 2", "b 8", "c 0"])).unwrap();
    assert_eq!(ids(&ranking), ["d1", "d0", "d2"]);
    close(&ranking, &[0.8, 0.2, 0.0]);
    assert_eq!(fact(&ranking, "documents-without-score"), None);
}

#[test]
fn scores_of_the_first_stage_are_mixed_in_after_min_max() {
    let mut request = request("why", &["a 5", "b 5", "c 10"]);
    for (candidate, score) in request.candidates.iter_mut().zip([11.0, 13.0, 12.0]) {
        candidate.score = Some(score);
    }
    // First stage: 0, 1, .5. Fused: .6 · .5; .6 · .5 + .4; .6 + .2.
    let ranking = ranked("group-rank", &[("fuse", "0.4")], &Arc::new(judge()), &request).unwrap();
    assert_eq!(ids(&ranking), ["d2", "d1", "d0"]);
    close(&ranking, &[0.8, 0.7, 0.3]);
    // Without a single score the first stage's order is all there is.
    let silent = Arc::new(ScriptedModel::new().answers(|_, _, _| Ok("nothing".into())));
    let ranking = ranked("group-rank", &[("fuse", "0.4"), ("mode", "free")], &silent, &request).unwrap();
    assert_eq!(ids(&ranking), ["d1", "d2", "d0"]);
    close(&ranking, &[-1.0, -1.5, -2.0]);
    request.candidates[1].score = None;
    let error = ranked("group-rank", &[("fuse", "0.4")], &silent, &request).unwrap_err().to_string();
    assert!(error.contains("`d1` has none"), "{error}");
}

#[test]
fn passages_are_one_line_of_at_most_3000_characters() {
    // 1999 characters, two line breaks and 1999 more: 3999 in one line, of which the 1999, a blank and 1000 are read.
    let words = |word: &str| vec![word; 1000].join(" ");
    let long = format!("{}\n\n{}", words("ñ"), words("ÿ"));
    let whole = format!("{} 2", "z".repeat(3500));
    for mode in ["constrained", "free"] {
        let model = Arc::new(ScriptedModel::new().answers(|prompt, _, _| {
            // A line that looks like another passage is none.
            assert_eq!(shown(prompt).len(), 2, "{prompt}");
            Ok("1, 2".into())
        }));
        let ranking =
            ranked("group-rank", &[("mode", mode)], &model, &request("why", &["one\n[3]. two", &long]))
                .unwrap();
        let read = model.read().remove(0);
        assert!(read.contains("]. one (3). two\n"), "{read}");
        assert_eq!((read.matches('ñ').count(), read.matches('ÿ').count()), (1000, 500));
        let cut = &ranking.trace.truncated;
        assert_eq!((cut.len(), cut[0].id.as_str(), cut[0].kept), (1, "d1", 1500));
        // Who says how long passages are means all of it.
        let model = Arc::new(judge());
        let options = [("mode", mode), ("words", "9")];
        ranked("group-rank", &options, &model, &request("why", &["one 1", &whole])).unwrap();
        assert!(model.read()[0].contains(&whole));
    }
}

#[test]
fn random_groups_beat_sorted_ones_where_scores_are_relative_to_the_group() {
    // The scorer spreads each group over the scale: the best of any group gets 10, the worst 0.
    let model = || {
        Arc::new(ScriptedModel::new().answers(|prompt, _, _| {
            let numbers: Vec<i64> = shown(prompt).iter().map(|text| number(text)).collect();
            let below = |number: &i64| numbers.iter().filter(|other| *other < number).count();
            let most = numbers.len().saturating_sub(1).max(1);
            let scores: Vec<String> =
                numbers.iter().map(|number| (10 * below(number) / most).to_string()).collect();
            Ok(scores.join(","))
        }))
    };
    // The first stage is right already: sorted groups hold documents that are alike, and tear them apart.
    let texts: Vec<String> = (0..40).rev().map(|n| format!("x {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let inversions = |options: &[(&str, &str)]| {
        let ranking = ranked("group-rank", options, &model(), &request("why", &texts)).unwrap();
        let places: Vec<usize> = ids(&ranking).iter().map(|id| id[1..].parse().unwrap()).collect();
        let wrong = |n: usize| places[n + 1..].iter().filter(|other| **other < places[n]).count();
        (0..places.len()).map(wrong).sum::<usize>()
    };
    let sorted = inversions(&[("group", "10"), ("grouping", "sorted")]);
    let once = inversions(&[("group", "10"), ("repeats", "1")]);
    let often = inversions(&[("group", "10"), ("repeats", "20")]);
    assert!(often < once && once < sorted, "{often} {once} {sorted}");
}

#[test]
fn options_without_effect_are_refused() {
    let refused = |written: &[(&str, &str)]| {
        let spec = MethodSpec::find("group-rank").unwrap();
        let values = spec.values(written.iter().copied()).unwrap();
        spec.ranker(Arc::new(judge()), values, Settings::default()).err().unwrap().to_string()
    };
    for (written, part) in [
        (vec![("grouping", "sorted"), ("repeats", "2")], "repeats has no effect"),
        (vec![("grouping", "sorted"), ("seed", "2")], "seed has no effect"),
        (vec![("top-p", "0.8")], "top-p has no effect"),
        (vec![("max-tokens", "80")], "mode=free"),
    ] {
        let error = refused(&written);
        assert!(error.contains(part), "{error}");
    }
}
