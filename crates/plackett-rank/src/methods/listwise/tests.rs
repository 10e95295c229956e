//! Listwise methods against a scripted model, worked out by hand.

use crate::Settings;
use crate::method::{MethodError, MethodSpec};
use crate::methods::tests::{ids, ranked, request};
use crate::model::{AnswerForm, CallError, Need};
use crate::testing::ScriptedModel;
use plackett_core::{RankRequest, Ranking, Status};
use std::sync::Arc;

/// A request whose passages say their grades.
fn graded(grades: &[u32]) -> RankRequest {
    let texts: Vec<String> = grades.iter().map(|grade| format!("grade {grade} text")).collect();
    request("why", &texts.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Labels and grades of a prompt, in the order shown.
fn shown(prompt: &str) -> Vec<(String, u32)> {
    let read = |line: &str| {
        let (label, rest) = line.strip_prefix('[')?.split_once("] grade ")?;
        Some((label.to_string(), rest.split(' ').next()?.parse().ok()?))
    };
    prompt.lines().filter_map(|line| read(line.strip_prefix("user: ").unwrap_or(line))).collect()
}

/// Labels by descending grade, in brackets, so many as the form wants.
fn right_order(prompt: &str, form: &AnswerForm) -> String {
    let mut passages = shown(prompt);
    passages.sort_by_key(|(_, grade)| std::cmp::Reverse(*grade));
    let (length, separator) = match form {
        AnswerForm::Permutation { length, separator, .. } => (*length, separator.clone()),
        _ => (passages.len(), " > ".to_string()),
    };
    let mark = |(label, _): &(String, u32)| match form {
        AnswerForm::Permutation { labels, .. } if labels[0] == "1" => label.clone(),
        _ => format!("[{label}]"),
    };
    passages.iter().take(length).map(mark).collect::<Vec<_>>().join(&separator)
}

fn oracle() -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::new().answers(|prompt, form, _| Ok(right_order(prompt, form))))
}

/// The grade of the passage behind a label, as its logit.
fn grade_logits() -> ScriptedModel {
    ScriptedModel::new().labels(|prompt, label| {
        let passages = shown(prompt);
        let found = passages.iter().find(|(known, _)| known == label);
        Ok(f64::from(found.map(|(_, grade)| *grade).unwrap()))
    })
}

fn fact<'r>(ranking: &'r Ranking, name: &str) -> Option<&'r str> {
    ranking.trace.facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn refusal(method: &str, options: &[(&str, &str)], model: ScriptedModel) -> String {
    let spec = MethodSpec::find(method).unwrap();
    let made = spec
        .values(options.iter().copied())
        .map_err(MethodError::from)
        .and_then(|values| spec.ranker(Arc::new(model), values, Settings::default()));
    made.err().map(|error| error.to_string()).unwrap()
}

/// Ascending grades, so that the best stand last.
fn ascending(n: u32) -> Vec<u32> {
    (0..n).collect()
}

#[test]
fn windows_slide_from_the_tail_to_the_head() {
    // Grades 1 to 5, windows of 3 with stride 2: d2 d3 d4 become d4 d3 d2, then d0 d1 d4 become d4 d1 d0.
    let model = oracle();
    let options = [("window", "3"), ("stride", "2")];
    let ranking = ranked("listwise", &options, &model, &graded(&[1, 2, 3, 4, 5])).unwrap();
    assert_eq!(ids(&ranking), ["d4", "d1", "d0", "d3", "d2"]);
    assert_eq!((ranking.trace.passes, model.prompts()), (2, 2));
    assert_eq!(ranking.trace.status.clone(), Status::Ranked);
    // A second pass: d0 d3 d2 become d3 d2 d0, then d4 d1 d3 become d4 d3 d1.
    let twice = [("window", "3"), ("stride", "2"), ("passes", "2")];
    let ranking = ranked("listwise", &twice, &oracle(), &graded(&[1, 2, 3, 4, 5])).unwrap();
    assert_eq!(ids(&ranking), ["d4", "d3", "d1", "d2", "d0"]);
    assert!(ranking.entries.windows(2).all(|pair| pair[0].score > pair[1].score));
}

#[test]
fn calls_are_those_of_the_formulas() {
    let sizes = [1u32, 2, 15, 20, 25, 30, 95, 100];
    let windows = [0u64, 1, 1, 1, 2, 2, 9, 9];
    // Pass after pass over what is left: 9 + 8 + … + 1 for the last two.
    let multi_pass = [0u64, 1, 1, 1, 3, 3, 45, 45];
    for ((n, wanted), settled) in sizes.into_iter().zip(windows).zip(multi_pass) {
        let request = graded(&ascending(n));
        let doubled: &[(&str, &str)] = &[("passes", "2")];
        for (method, options, calls) in [
            ("listwise", &[][..], wanted),
            ("listwise", doubled, 2 * wanted),
            ("listwise", &[("shuffles", "3")][..], 3 * wanted),
            ("listwise", &[("schedule", "full")][..], wanted.min(1)),
            ("listwise", &[("schedule", "multi-pass")][..], settled),
            ("full-rank", &[][..], wanted.min(1)),
            ("full-rank", doubled, 2 * wanted.min(1)),
            ("first", &[][..], wanted),
            ("first", &[("mode", "constrained")][..], wanted),
            ("reason-rank", &[("mode", "free")][..], wanted),
            ("reason-rank", &[][..], 2 * wanted),
            ("dear", &[("mode", "free")][..], wanted.min(2)),
        ] {
            let model = Arc::new(grade_logits().answers(|prompt, form, _| Ok(right_order(prompt, form))));
            let ranking = ranked(method, options, &model, &request).unwrap();
            let spec = MethodSpec::find(method).unwrap();
            let formula = spec.calls.count.unwrap();
            let counted = formula(n as usize, &spec.values(options.iter().copied()).unwrap());
            assert_eq!((model.prompts() as u64, counted), (calls, calls), "{method} {options:?} {n}");
            assert_eq!(ranking.entries.len(), n as usize);
        }
    }
    let tournament = [("schedule", "tournament"), ("tournaments", "4")];
    let model = oracle();
    let ranking = ranked("listwise", &tournament, &model, &graded(&ascending(100))).unwrap();
    assert_eq!(ids(&ranking)[0], "d99");
    // 5 groups of 20, 3 of 50, 2 of 24 …: four times.
    let spec = MethodSpec::find("listwise").unwrap();
    let counted = spec.calls.count.unwrap()(100, &spec.values(tournament).unwrap());
    assert_eq!((model.prompts() as u64, counted % 4), (counted, 0));
    // Nobody beats the pivot of a list that is in order: one window and ⌈80 / 19⌉ partitions.
    let descending: Vec<u32> = (0..100).rev().collect();
    let model = oracle();
    let ranking = ranked("listwise", &[("schedule", "top-down")], &model, &graded(&descending)).unwrap();
    assert_eq!((model.prompts(), ids(&ranking)[..3].to_vec()), (6, vec!["d0", "d1", "d2"]));
    let counted = spec.calls.count.unwrap()(100, &spec.values([("schedule", "top-down")]).unwrap());
    assert_eq!(counted, 6);
}

#[test]
fn passes_over_what_is_left_give_the_whole_order() {
    // Grades 1 to 5, windows of 3 with stride 2, so that a pass settles one rank. d4 d1 d0 d3 d2 after the first pass; then
    // d0 d3 d2 become d3 d2 d0 and d1 d3 become d3 d1; d1 d2 d0 are one window.
    let options = [("schedule", "multi-pass"), ("window", "3"), ("stride", "2")];
    let model = oracle();
    let ranking = ranked("listwise", &options, &model, &graded(&[1, 2, 3, 4, 5])).unwrap();
    assert_eq!((ids(&ranking), model.prompts()), (vec!["d4", "d3", "d2", "d1", "d0"], 5));
    // One pass over a hundred is sure of the first ten alone.
    let grades: Vec<u32> = (0..100).map(|n| n * 37 % 100).collect();
    let mut wanted: Vec<usize> = (0..100).collect();
    wanted.sort_by_key(|place| std::cmp::Reverse(grades[*place]));
    let wanted: Vec<String> = wanted.iter().map(|place| format!("d{place}")).collect();
    let of = |schedule| ranked("listwise", &[("schedule", schedule)], &oracle(), &graded(&grades)).unwrap();
    assert_eq!(ids(&of("multi-pass")), wanted);
    let (once, all) = (of("sliding"), wanted);
    assert!(ids(&once)[..10] == all[..10] && ids(&once) != all);
}

#[test]
fn free_answers_are_repaired_and_the_trace_says_how() {
    // The third twice, a ninth that there is not, the second not at all.
    let model = Arc::new(ScriptedModel::new().answers(|_, form, _| {
        assert_eq!(*form, AnswerForm::Text);
        Ok("[3] > [3] > [9] > [1]".into())
    }));
    let ranking = ranked("listwise", &[("mode", "free")], &model, &graded(&[1, 2, 3])).unwrap();
    assert_eq!(ids(&ranking), ["d2", "d0", "d1"]);
    assert_eq!(ranking.trace.status.clone(), Status::Repaired);
    let counts = ["answers-repaired", "labels-missing", "labels-repeated", "labels-out-of-range"];
    assert_eq!(counts.map(|name| fact(&ranking, name)), [Some("1"); 4]);
    let good = ranked("listwise", &[("mode", "free")], &oracle(), &graded(&[1, 2, 3])).unwrap();
    assert_eq!((ids(&good), good.trace.status.clone()), (vec!["d2", "d1", "d0"], Status::Ranked));
    let chatty =
        Arc::new(ScriptedModel::new().answers(|_, _, _| Ok("I cannot help with 3 passages.".into())));
    let kept = ranked("listwise", &[("mode", "free")], &chatty, &graded(&[1, 2, 3])).unwrap();
    assert_eq!((ids(&kept), fact(&kept, "answers-without-order")), (vec!["d0", "d1", "d2"], Some("1")));
}

#[test]
fn a_least_length_beyond_the_model_is_named() {
    let model = Arc::new(ScriptedModel::new().answers(|_, _, _| unreachable!()).max_tokens(2_000));
    let options = [("mode", "free"), ("min-tokens", "2001")];
    let refused = ranked("listwise", &options, &model, &graded(&[1, 2, 3])).unwrap_err().to_string();
    assert!(refused.contains("min-tokens is 2001") && !refused.contains("shorten the query"), "{refused}");
}

#[test]
fn free_answers_can_be_held_to_a_length() {
    // The script's tokens are words: five of an order of three, seven with its tags. It ends where it likes.
    let order = || Arc::new(ScriptedModel::new().answers(|prompt, form, _| Ok(right_order(prompt, form))));
    let tagged = || {
        Arc::new(
            ScriptedModel::new()
                .answers(|prompt, form, _| Ok(format!("<answer> {} </answer>", right_order(prompt, form)))),
        )
    };
    for (method, model, own) in [
        ("listwise", order(), 5),
        ("full-rank", order(), 5),
        ("first", order(), 5),
        ("reason-rank", tagged(), 7),
    ] {
        let of = |tokens: i32| {
            let tokens = tokens.to_string();
            let limits = ["max-tokens", "min-tokens"].map(|name| (name, tokens.as_str()));
            let options = [("mode", "free"), limits[0], limits[1]];
            ranked(method, &options, &model, &graded(&[1, 2, 3]))
        };
        assert_eq!(ids(&of(own).unwrap()), ["d2", "d1", "d0"], "{method}");
        let short = of(own + 1).unwrap_err().to_string();
        let said = format!("has {own} tokens, and at least {} are wanted", own + 1);
        assert!(short.contains(&said), "{method}: {short}");
    }
}

#[test]
fn only_the_top_labels_are_written_where_only_they_are_wanted() {
    let model = Arc::new(ScriptedModel::new().answers(|prompt, form, _| {
        let AnswerForm::Permutation { length, labels, .. } = form else { panic!("{form:?}") };
        assert_eq!((*length, labels.len()), (2, 5));
        Ok(right_order(prompt, form))
    }));
    let ranking = ranked("full-rank", &[("top", "2")], &model, &graded(&[3, 1, 5, 2, 4])).unwrap();
    assert_eq!(ids(&ranking), ["d2", "d4", "d0", "d1", "d3"]);
    // The script's tokens are words: two labels and a sign between them.
    assert_eq!(ranking.trace.generated_tokens, 3);
}

#[test]
fn shuffled_windows_have_a_central_order() {
    // The model always believes the first passage to be best: over several orders that cancels out.
    let biased = || {
        Arc::new(ScriptedModel::new().answers(|prompt, _, _| {
            let mut passages = shown(prompt);
            passages[1..].sort_by_key(|(_, grade)| std::cmp::Reverse(*grade));
            Ok(passages.iter().map(|(label, _)| format!("[{label}]")).collect::<Vec<_>>().join(" > "))
        }))
    };
    let request = graded(&[1, 2, 5, 4, 3]);
    let once = ranked("listwise", &[], &biased(), &request).unwrap();
    assert_eq!(ids(&once), ["d0", "d2", "d3", "d4", "d1"]);
    for consistency in ["kemeny", "borda"] {
        let model = biased();
        let options = [("shuffles", "15"), ("consistency", consistency)];
        let central = ranked("listwise", &options, &model, &request).unwrap();
        assert_eq!(ids(&central), ["d2", "d3", "d4", "d1", "d0"], "{consistency}");
        assert_eq!((model.prompts(), model.calls().len()), (15, 1));
        assert!(fact(&central, "consistency").unwrap().contains("mean Kendall tau"));
    }
    let agreed = ranked("listwise", &[("shuffles", "4")], &oracle(), &request).unwrap();
    assert!(fact(&agreed, "consistency").unwrap().starts_with("1.0000"));
    assert_eq!(ids(&agreed), ["d2", "d3", "d4", "d1", "d0"]);
}

#[test]
fn prompts_show_query_passages_and_form() {
    let model = oracle();
    let mut brackets = graded(&[1, 2]);
    brackets.candidates[0].document.text = "grade 7 as in [2] and [B]".into();
    ranked("listwise", &[], &model, &brackets).unwrap();
    let read = model.read().remove(0);
    for part in [
        "Here are 2 passages",
        "[1] grade 7 as in (2) and (B)\n[2] grade 2",
        "Search Query: why.",
        "example [2] > [1]",
    ] {
        assert!(read.contains(part), "{part}: {read}");
    }
    let model = oracle();
    ranked("listwise", &[("prompt", "listwise-turns")], &model, &graded(&[1, 2])).unwrap();
    assert!(model.read()[0].contains("Received passage [2]."), "{}", model.read()[0]);
    let model = oracle();
    let plain = ranked("full-rank", &[("prompt", "full-rank-plain")], &model, &graded(&[1, 2])).unwrap();
    assert!(model.read()[0].contains("such as 2>1."), "{}", model.read()[0]);
    assert_eq!(ids(&plain), ["d1", "d0"]);
}

#[test]
fn a_long_list_is_cut_until_it_fits_the_context() {
    let long = "word ".repeat(80);
    let texts: Vec<String> = (0..30).map(|grade| format!("grade {grade} {long}")).collect();
    let request = request("why", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let model = Arc::new(
        ScriptedModel::new().max_tokens(800).answers(|prompt, form, _| Ok(right_order(prompt, form))),
    );
    let ranking = ranked("full-rank", &[], &model, &request).unwrap();
    assert_eq!((ids(&ranking)[0], model.prompts(), ranking.trace.truncated.len()), ("d29", 1, 30));
    // No cut makes 300 passages fit.
    let many = graded(&ascending(300));
    let model = Arc::new(ScriptedModel::new().max_tokens(800).answers(|_, _, _| unreachable!()));
    assert!(ranked("full-rank", &[], &model, &many).is_err());
    assert_eq!(model.prompts(), 0);
}

#[test]
fn options_without_effect_and_models_without_ability_are_refused() {
    let model = || ScriptedModel::new().answers(|_, _, _| unreachable!()).labels(|_, _| unreachable!());
    let unconstrained = || model().without(Need::ConstrainedGeneration, "it takes no grammar");
    for (method, options, part) in [
        ("listwise", &[("window", "5"), ("stride", "6")][..], "stride of at most 5"),
        ("listwise", &[("schedule", "full"), ("window", "5")], "window has no effect with schedule=full"),
        ("listwise", &[("schedule", "top-down"), ("top", "5")], "top has no effect"),
        ("listwise", &[("schedule", "multi-pass"), ("passes", "2")], "passes has no effect"),
        ("listwise", &[("schedule", "multi-pass"), ("window", "4"), ("stride", "4")], "stride of at most 3"),
        ("listwise", &[("schedule", "top-down"), ("pivot", "20")], "pivot is 20 and window 20"),
        ("listwise", &[("pivot", "4")], "pivot has no effect with schedule=sliding"),
        ("listwise", &[("seed", "4")], "seed has no effect"),
        ("listwise", &[("consistency", "borda")], "consistency has no effect without shuffles"),
        ("listwise", &[("shuffles", "3"), ("top", "4")], "leave out top or shuffles"),
        ("listwise", &[("max-tokens", "9")], "mode=free"),
        ("listwise", &[("min-tokens", "9")], "min-tokens has no effect on constrained answers"),
        ("first", &[("min-tokens", "9")], "min-tokens has no effect unless answers are free"),
        (
            "listwise",
            &[("mode", "free"), ("max-tokens", "5"), ("min-tokens", "6")],
            "min-tokens is 6 and max-tokens 5",
        ),
        ("dear", &[("min-tokens", "2000")], "min-tokens is 2000 and max-tokens 1024"),
        ("first", &[("window", "27")], "27 passages stand in one prompt, and it has 26 labels"),
        ("first", &[("max-tokens", "9")], "mode=free"),
        ("reason-rank", &[("top-p", "0.9")], "top-p has no effect at temperature 0"),
        ("reason-rank", &[("seed", "1")], "seed has no effect"),
    ] {
        let message = refusal(method, options, model());
        assert!(message.contains(part), "{method} {options:?}: {message}");
    }
    for method in ["listwise", "full-rank", "reason-rank", "dear"] {
        let message = refusal(method, &[], unconstrained());
        assert!(message.contains("it takes no grammar"), "{method}: {message}");
        let spec = MethodSpec::find(method).unwrap();
        let free = spec.values([("mode", "free")]).unwrap();
        assert!(spec.ranker(Arc::new(unconstrained()), free, Settings::default()).is_ok(), "{method}");
    }
}

#[test]
fn first_reads_the_order_from_the_first_letter() {
    // Logits of A to D: 0, 2, 2, 5. Equal ones keep the order shown.
    let model = Arc::new(ScriptedModel::new().labels(|prompt, label| {
        assert!(prompt.ends_with("\n["), "{prompt:?}");
        assert!(prompt.contains("example [B] > [A]."), "{prompt}");
        Ok(match label {
            "A" => 0.0,
            "D" => 5.0,
            _ => 2.0,
        })
    }));
    let ranking = ranked("first", &[], &model, &graded(&[1, 2, 3, 4])).unwrap();
    assert_eq!(ids(&ranking), ["d3", "d1", "d2", "d0"]);
    assert_eq!((ranking.trace.generated_tokens, ranking.trace.passes), (0, 1));
    // The last of a hundred comes to the head in one pass, scores fall from place to place.
    let model = Arc::new(grade_logits());
    let ranking = ranked("first", &[], &model, &graded(&ascending(100))).unwrap();
    let best: Vec<String> = (90..100).rev().map(|n| format!("d{n}")).collect();
    assert_eq!(ids(&ranking)[..10], best);
    assert!(ranking.entries.windows(2).all(|pair| pair[0].score > pair[1].score));
}

#[test]
fn first_writes_the_same_prompt_out_for_comparison() {
    let logits = Arc::new(grade_logits());
    let one = ranked("first", &[], &logits, &graded(&[2, 1, 3])).unwrap();
    for mode in ["constrained", "free"] {
        let model = oracle();
        let written = ranked("first", &[("mode", mode)], &model, &graded(&[2, 1, 3])).unwrap();
        assert_eq!((ids(&written), written.trace.status.clone()), (ids(&one), Status::Ranked));
        assert_eq!(logits.read()[0].trim_end_matches('['), model.read()[0]);
        assert_eq!(written.trace.generated_tokens, 5);
    }
}

#[test]
fn letters_of_several_tokens_are_replaced_and_the_trace_says_so() {
    let only_small = |prompt: &str, label: &str| match label.chars().all(|c| c.is_ascii_lowercase()) {
        true => Ok(f64::from(shown(prompt).iter().find(|(known, _)| known == label).unwrap().1)),
        false => Err(CallError::Label { label: label.into(), problem: "two tokens".into() }),
    };
    let model = Arc::new(ScriptedModel::new().labels(only_small));
    let ranking = ranked("first", &[("window", "2"), ("stride", "1")], &model, &graded(&[1, 2, 3])).unwrap();
    assert_eq!(ids(&ranking), ["d2", "d0", "d1"]);
    assert!(fact(&ranking, "labels").unwrap().starts_with("[a and so on"), "{:?}", ranking.trace.facts);
    // The alphabet is tried once: two windows and the one that was refused.
    assert_eq!((model.calls().len(), ranking.trace.passes), (3, 2));
    let none = Arc::new(
        ScriptedModel::new()
            .labels(|_, label| Err(CallError::Label { label: label.into(), problem: "two tokens".into() })),
    );
    let error = ranked("first", &[], &none, &graded(&[1, 2])).unwrap_err();
    assert!(format!("{error:?}").contains("two tokens"), "{error:?}");
    let full = Arc::new(grade_logits());
    let error = ranked("first", &[("schedule", "full")], &full, &graded(&ascending(27))).unwrap_err();
    assert!(format!("{error:?}").contains("27 passages"), "{error:?}");
    // Another error than that of a label is none of the alphabet.
    let broken =
        Arc::new(ScriptedModel::new().labels(|_, _| Err(CallError::Argument("the model is gone".into()))));
    assert!(ranked("first", &[], &broken, &graded(&[1, 2])).is_err());
    assert_eq!(broken.calls().len(), 1);
}

#[test]
fn reasoning_is_no_ranking() {
    let answers = |text: &'static str| Arc::new(ScriptedModel::new().answers(move |_, _, _| Ok(text.into())));
    let rank =
        |text| ranked("reason-rank", &[("mode", "free")], &answers(text), &graded(&[1, 2, 3])).unwrap();
    let good = rank("<think>[1] is from 1999, [2] > [3]</think> <answer> [3] > [1] > [2] </answer>");
    assert_eq!((ids(&good), good.trace.status.clone()), (vec!["d2", "d0", "d1"], Status::Ranked));
    assert!(fact(&good, "reasoning").unwrap().contains("1999"));
    // Without the tag the window stays as it was, and that is counted.
    for text in ["[3] > [1] > [2]", "<think>[3] > [2] > [1]", ""] {
        let failed = rank(text);
        assert_eq!(
            (ids(&failed), failed.trace.status.clone()),
            (vec!["d0", "d1", "d2"], Status::Repaired),
            "{text}"
        );
        assert_eq!(fact(&failed, "answers-without-order"), Some("1"), "{text}");
    }
    // Of two blocks the last counts; repeated and unknown labels are dropped, missing ones follow.
    let odd = rank("<answer>[1]</answer> no: <answer>[3] > [3] > [7]</answer>");
    assert_eq!((ids(&odd), odd.trace.status.clone()), (vec!["d2", "d0", "d1"], Status::Repaired));
    let cut = ranked(
        "reason-rank",
        &[("mode", "free"), ("max-tokens", "2")],
        &answers("<answer> [3] > [2] > [1] </answer>"),
        &graded(&[1, 2, 3]),
    )
    .unwrap();
    assert_eq!(ids(&cut), ["d2", "d0", "d1"]);
    assert_eq!(fact(&cut, "answers-cut-at-max-tokens"), Some("1"));
}

#[test]
fn an_order_can_be_held_to_its_form_after_the_reasoning() {
    let model = Arc::new(ScriptedModel::new().answers(|prompt, form, _| match form {
        AnswerForm::Text => {
            assert!(prompt.ends_with("<think>\n"), "{prompt}");
            Ok("The third is best. </think> <answer> [1]".into())
        }
        _ => {
            assert!(prompt.ends_with("<think>\nThe third is best. \n</think>\n<answer>\n"), "{prompt:?}");
            Ok(right_order(prompt, form))
        }
    }));
    let ranking = ranked("reason-rank", &[], &model, &graded(&[1, 2, 3])).unwrap();
    assert_eq!(ids(&ranking), ["d2", "d1", "d0"]);
    assert_eq!(fact(&ranking, "reasoning"), Some("The third is best. "));
    assert_eq!((ranking.trace.passes, ranking.trace.status.clone()), (2, Status::Ranked));
    // A reasoning that comes to no end is ended.
    let model = Arc::new(ScriptedModel::new().answers(|prompt, form, _| match form {
        AnswerForm::Text => Ok("on and on and on".into()),
        _ => Ok(right_order(prompt, form)),
    }));
    let ranking = ranked("reason-rank", &[("max-tokens", "2")], &model, &graded(&[1, 2])).unwrap();
    assert_eq!((ids(&ranking), fact(&ranking, "reasoning")), (vec!["d1", "d0"], Some("on and")));
    assert_eq!(fact(&ranking, "reasoning-cut-at-max-tokens"), Some("1"));
}

#[test]
fn dear_reads_the_head_only_and_takes_the_last_chain() {
    // Forty candidates: windows over ranks 11 to 30 and 1 to 20, the others stay.
    let model = Arc::new(ScriptedModel::new().answers(|prompt, form, _| {
        let order = right_order(prompt, form);
        Ok(format!("Step 1: needs of 2024. Step 2: [2] > [1] > [3] would be a draft.\nStep 3: so {order}"))
    }));
    let ranking = ranked("dear", &[("mode", "free")], &model, &graded(&ascending(40))).unwrap();
    assert_eq!((model.prompts(), ranking.trace.status.clone()), (2, Status::Ranked));
    let best: Vec<String> = (20..30).rev().chain((0..10).rev()).map(|n| format!("d{n}")).collect();
    assert_eq!(ids(&ranking)[..20], best);
    let rest: Vec<String> = (10..20).rev().chain(30..40).map(|n| format!("d{n}")).collect();
    assert_eq!(ids(&ranking)[20..], rest);
    assert!(fact(&ranking, "depth").unwrap().starts_with("30 of 40"));
    assert!(fact(&ranking, "reasoning").unwrap().contains("needs of 2024"));
    // Fewer than a window are read too; a model that changes nothing changes nothing.
    let same = Arc::new(ScriptedModel::new().answers(|prompt, _, _| {
        Ok(shown(prompt).iter().map(|(label, _)| format!("[{label}]")).collect::<Vec<_>>().join(" > "))
    }));
    let unchanged = ranked("dear", &[("mode", "free")], &same, &graded(&[3, 1, 2])).unwrap();
    assert_eq!((ids(&unchanged), same.prompts()), (vec!["d0", "d1", "d2"], 1));
}

#[test]
fn what_announces_the_order_ends_the_reasoning_of_a_model_that_has_learned_it() {
    let model = Arc::new(ScriptedModel::new().answers(|prompt, form, _| match form {
        AnswerForm::Text => Ok("The third is best.\nRanking:\n[1] > [2] > [3]".into()),
        _ => {
            assert!(prompt.ends_with("The third is best.\nRanking:\n"), "{prompt:?}");
            Ok(right_order(prompt, form))
        }
    }));
    let ranking = ranked("dear", &[], &model, &graded(&[1, 2, 3])).unwrap();
    assert_eq!((ids(&ranking), ranking.trace.passes), (vec!["d2", "d1", "d0"], 2));
    assert_eq!(fact(&ranking, "reasoning"), Some("The third is best."));
}

#[test]
fn draws_have_the_papers_settings_and_a_seed() {
    let spec = MethodSpec::find("dear").unwrap();
    let defaults = spec.values([]).unwrap();
    assert_eq!((defaults.get_number("temperature"), defaults.get_number("top-p")), (Some(0.5), Some(0.9)));
    assert_eq!((defaults.get_count("max-tokens"), defaults.get_count("depth")), (Some(1024), Some(30)));
    let spec = MethodSpec::find("reason-rank").unwrap();
    assert_eq!(spec.values([]).unwrap().get_number("temperature"), Some(0.0));
}

#[test]
fn limits_in_tokens_become_words_where_a_server_does_not_tell_its_tokens() {
    let long = format!("grade 2 {}", "word ".repeat(598));
    let request = request("why", &["grade 1 text", &long]);
    let model = Arc::new(
        ScriptedModel::new()
            .answers(|prompt, form, _| Ok(format!("<answer>{}</answer>", right_order(prompt, form))))
            .without(Need::Tokenizer, "it keeps its tokens to itself"),
    );
    let ranking = ranked("reason-rank", &[("mode", "free")], &model, &request).unwrap();
    assert_eq!(ids(&ranking), ["d1", "d0"]);
    // Three quarters of 512.
    let cut = &ranking.trace.truncated[0];
    assert_eq!((cut.id.as_str(), cut.tokens, cut.kept), ("d1", 600, 384));
    assert!(fact(&ranking, "truncated-unit").unwrap().starts_with("words"));
}
