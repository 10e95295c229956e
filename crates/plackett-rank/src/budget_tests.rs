use super::*;
use crate::methods::tests::request;
use crate::model::AnswerForm;
use crate::testing::ScriptedModel;
use crate::{Depth, LongText};
use std::sync::Arc;

/// A query with passages of so many words each.
fn list(candidates: usize, words: usize) -> RankRequest {
    let texts: Vec<String> = (0..candidates).map(|_| vec!["word"; words].join(" ")).collect();
    request("two words", &texts.iter().map(String::as_str).collect::<Vec<_>>())
}

fn scripted() -> ScriptedModel {
    // Leaves every window in the order in which it came.
    let answer = |_: &str, form: &AnswerForm, _: u64| match form {
        AnswerForm::Permutation { labels, length, separator } => Ok(labels[..*length].join(separator)),
        _ => Ok(String::new()),
    };
    ScriptedModel::new().likelihoods(|text, _| Ok(text.len() as f64)).answers(answer)
}

fn probe<'a>(method: &str, model: &Arc<ScriptedModel>, written: &'a [(String, String)]) -> Probe<'a> {
    let method = MethodSpec::find(method).unwrap();
    let settings = Settings { long_text: LongText::Truncate, ..Settings::default() };
    Probe { method, model: model.clone(), written, settings }
}

fn tokens(most: u64) -> Budget {
    Budget { tokens: Some(most), seconds: None }
}

/// What a request really costs with a choice.
fn real(method: &str, choice: &Choice, request: &RankRequest) -> (f64, u64) {
    let model = Arc::new(scripted());
    let method = MethodSpec::find(method).unwrap();
    let options = choice.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let ranker = method.ranker(model, method.values(options).unwrap(), Settings::default()).unwrap();
    let ranking = Depth::new(ranker, choice.depth).rank(std::slice::from_ref(request)).remove(0).unwrap();
    (Estimate::of(&ranking.trace).tokens, ranking.trace.passes)
}

#[test]
fn a_pointwise_method_gets_as_many_candidates_as_the_tokens_allow() {
    let model = Arc::new(scripted());
    let request = list(50, 10);
    let probe = probe("query-likelihood", &model, &[]);
    // `Passage:`, ten words, ten words of the question: 21 tokens a prompt, and the query is not one of them.
    let each = cost(
        MethodSpec::find("query-likelihood")
            .unwrap()
            .ranker(model.clone(), probe.method.defaults(), Settings::default())
            .unwrap()
            .as_ref(),
        &request,
        2,
    )
    .unwrap()
    .tokens
        / 2.0;
    for (budget, depth) in
        [(each as u64 * 7, 7), (each as u64 * 7 + 1, 7), (each as u64 * 8 - 1, 7), (1 << 40, 50)]
    {
        let choice = probe.choose(&[&request], &tokens(budget)).unwrap();
        assert_eq!((choice.depth, choice.calls, choice.options.len()), (depth, depth as u64, 0), "{budget}");
        assert_eq!(choice.expected.tokens, each * depth as f64);
        let (cost, passes) = real("query-likelihood", &choice, &request);
        assert!(cost <= budget as f64 && passes == depth as u64);
    }
    let refused = probe.choose(&[&request], &tokens(each as u64 * 2 - 1)).unwrap_err();
    assert!(matches!(refused, BudgetError::NothingFits { depth: 2, .. }), "{refused}");
    assert!(refused.to_string().contains(&format!("{:.0} tokens", each * 2.0)), "{refused}");
}

#[test]
fn a_listwise_method_gives_up_some_overlap_of_its_windows_before_candidates() {
    let model = Arc::new(scripted());
    let request = list(100, 5);
    let probe = probe("listwise", &model, &[]);
    let whole = probe.choose(&[&request], &tokens(1 << 40)).unwrap();
    // Windows of 20 by steps of 10 over 100 candidates.
    assert_eq!((whole.depth, whole.calls, whole.options.as_slice()), (100, 9, &[][..]));
    let (cost, passes) = real("listwise", &whole, &request);
    assert_eq!(passes, 9);
    assert!((cost - whole.expected.tokens).abs() < 1e-6, "{cost} {whole:?}");
    let call = cost / 9.0;
    let tight = probe.choose(&[&request], &tokens((call * 5.0).ceil() as u64)).unwrap();
    // By steps of 10 five windows of 20 reach over 60 candidates, by steps of 15 over 80.
    assert_eq!((tight.depth, tight.calls), (80, 5));
    assert_eq!(tight.options, [("stride".to_string(), "15".to_string())]);
    assert_eq!(real("listwise", &tight, &request).1, 5);
    // One window holds 20 candidates, and less than a window costs less than a call of a whole one.
    let one = probe.choose(&[&request], &tokens(call.ceil() as u64)).unwrap();
    assert_eq!((one.depth, one.calls), (20, 1));
    let part = probe.choose(&[&request], &tokens((call * 0.7) as u64)).unwrap();
    assert!((LEAST..20).contains(&part.depth) && part.calls == 1, "{part:?}");
    assert!(real("listwise", &part, &request).0 <= call * 0.7);
    for budget in (1..40).map(|n| (call * n as f64 / 4.0) as u64) {
        if let Ok(choice) = probe.choose(&[&request], &tokens(budget)) {
            assert!(real("listwise", &choice, &request).0 <= budget as f64 + 1.0, "{budget}: {choice:?}");
        }
    }
}

#[test]
fn written_options_stay() {
    let model = Arc::new(scripted());
    let request = list(40, 5);
    let written = [("window".to_string(), "10".to_string()), ("stride".to_string(), "5".to_string())];
    let probe = probe("listwise", &model, &written);
    let whole = probe.choose(&[&request], &tokens(1 << 40)).unwrap();
    assert_eq!((whole.depth, whole.calls), (40, 7));
    let half = probe.choose(&[&request], &tokens((whole.expected.tokens / 2.0) as u64)).unwrap();
    assert_eq!((half.depth, half.calls, half.options.len()), (20, 3, 0));
}

#[test]
fn seconds_are_kept_too_and_what_cannot_be_foreseen_is_refused() {
    let model = Arc::new(scripted());
    let request = list(30, 5);
    let probe_of = |method: &str| probe(method, &model, &[]);
    let plenty = Budget { seconds: Some(3600.0), tokens: None };
    assert_eq!(probe_of("query-likelihood").choose(&[&request], &plenty).unwrap().depth, 30);
    let none = Budget { seconds: Some(0.0), tokens: None };
    let refused = probe_of("query-likelihood").choose(&[&request], &none).unwrap_err();
    assert!(matches!(refused, BudgetError::NothingFits { depth: LEAST, .. }), "{refused}");
    let labels = Arc::new(ScriptedModel::new().labels(|_, _| Ok(0.0)).answers(|_, _, _| Ok("A".into())));
    let refused = probe("setwise", &labels, &[]).choose(&[&request], &plenty).unwrap_err();
    assert!(
        matches!(refused, BudgetError::NoFormula { .. }) && refused.to_string().contains("setwise"),
        "{refused}"
    );
    let empty = probe_of("query-likelihood").choose(&[&list(1, 5)], &plenty).unwrap_err();
    assert!(matches!(empty, BudgetError::NoRequest), "{empty}");
}

#[test]
fn costs_are_a_line_that_never_falls() {
    let point = |passages: f64, tokens: f64| (passages, Estimate { seconds: 0.0, tokens });
    let line = Line::through(point(10.0, 150.0), point(20.0, 250.0));
    assert_eq!((line.at(5).tokens, line.at(20).tokens), (100.0, 250.0));
    let falling = Line::through(point(10.0, 300.0), point(20.0, 250.0));
    assert_eq!((falling.at(2).tokens, falling.at(20).tokens), (250.0, 250.0));
    let steep = Line::through(point(10.0, 1.0), point(20.0, 250.0));
    assert_eq!((steep.at(0).tokens, steep.at(10).tokens), (0.0, 125.0));
}
