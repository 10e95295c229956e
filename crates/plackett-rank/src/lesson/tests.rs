//! Lessons of a model whose tokens are letters, worked out by hand.

use super::*;
use crate::methods::tests::request;
use crate::model::Need;
use crate::testing::ScriptedModel;

fn teacher(method: &str, options: &[(&str, &str)]) -> Result<ListTeacher, LessonError> {
    ListTeacher::new(Arc::new(ScriptedModel::new()), MethodSpec::find(method).unwrap(), options)
}

fn text(tokens: &[u32]) -> String {
    tokens.iter().filter_map(|token| char::from_u32(*token)).collect()
}

#[test]
fn the_first_label_stands_where_the_method_reads_it() {
    let request = request("why", &["low", "high"]);
    let lesson = teacher("first", &[]).unwrap().lesson(&request, &[1, 0]).unwrap();
    assert_eq!(text(&lesson.answer), "[B] > [A]");
    // `[B]`, ` >`, ` [A]`.
    let ranks = [vec![Some(1); 3], vec![None; 2], vec![Some(2); 4]].concat();
    assert_eq!(lesson.ranks, ranks);
    assert_eq!((text(&lesson.labels).as_str(), lesson.opening, lesson.cut), ("AB", 1, 0));
    let prompt = text(&lesson.prompt);
    assert!(prompt.contains("[A] low\n[B] high") && prompt.ends_with('\n'), "{prompt}");
}

#[test]
fn the_prompt_is_the_one_that_the_method_asks_with() {
    let request = request("why", &["one two three", "four [1] five"]);
    let options = [("words", "2")];
    let lesson = teacher("first", &options).unwrap().lesson(&request, &[0, 1]).unwrap();
    let asked = Arc::new(ScriptedModel::new().labels(|_, _| Ok(0.0)));
    let spec = MethodSpec::find("first").unwrap();
    let ranker = spec.ranker(asked.clone(), spec.values(options).unwrap(), Settings::default()).unwrap();
    ranker.rank(std::slice::from_ref(&request)).remove(0).unwrap();
    let given = lesson.prompt.iter().chain(&lesson.answer[..lesson.opening]).copied().collect::<Vec<u32>>();
    assert_eq!(asked.read(), [text(&given)]);
    assert_eq!((asked.calls()[0].kind, lesson.cut), (Need::LabelLogits, 2));
}

#[test]
fn methods_without_a_first_token_have_no_labels() {
    let request = request("why", &["a", "b", "c"]);
    let lesson = teacher("full-rank", &[]).unwrap().lesson(&request, &[2, 0, 1]).unwrap();
    assert_eq!(text(&lesson.answer), "[3] > [1] > [2]");
    assert_eq!((lesson.labels.len(), lesson.opening), (0, 0));
    let plain = teacher("full-rank", &[("prompt", "full-rank-plain")]).unwrap();
    let plain = plain.lesson(&request, &[2, 0, 1]).unwrap();
    assert_eq!(text(&plain.answer), "3>1>2");
    assert_eq!(plain.ranks, [Some(1), None, Some(2), None, Some(3)]);
}

#[test]
fn what_cannot_be_taught_is_refused() {
    let many = vec!["x"; 25];
    let (order, request) = ((0..25).collect::<Vec<_>>(), request("why", &many));
    let first = teacher("first", &[]).unwrap();
    let message = first.lesson(&request, &order).unwrap_err().to_string();
    assert!(message.contains("more than one prompt"), "{message}");
    let message = first.lesson(&request, &[0, 1]).unwrap_err().to_string();
    assert!(message.contains("no order of 25"), "{message}");
    let message = teacher("yes-no", &[]).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("use first, full-rank or listwise"), "{message}");
    assert!(teacher("first", &[("wrods", "2")]).is_err());
    // The mode is not for the user to say.
    assert!(teacher("first", &[("mode", "free")]).is_ok());
}
