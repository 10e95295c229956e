//! A question about rap music and a scripted model: every step worked out by hand.

use super::*;
use crate::audit::{Audit, CallRecord};
use crate::method::MethodSpec;
use crate::testing::ScriptedModel;
use plackett_core::{Document, Status};
use std::sync::Mutex;

/// Passages 0 and 1 are about origins, 2 about styles, 3 about sales.
const TEXTS: [&str; 4] = [
    "Rap began in the Bronx in 1973.",
    "The Bronx saw the first rap parties.",
    "Trap and drill are styles of rap.",
    "Sales of rap records grew.",
];

fn documents() -> Vec<Document> {
    TEXTS.iter().enumerate().map(|(n, text)| Document::new(format!("d{n}"), *text)).collect()
}

fn pool(lists: &[&[usize]]) -> Pool {
    let lists: Vec<Vec<String>> =
        lists.iter().map(|list| list.iter().map(|n| format!("d{n}")).collect()).collect();
    Pool::join(&lists, 100)
}

fn aspects(texts: &[(&str, &str)]) -> Vec<Aspect> {
    let one =
        |(text, answer): &(&str, &str)| Aspect { answer: Some(answer.to_string()), ..Aspect::new(*text) };
    texts.iter().map(one).collect()
}

fn gold() -> Vec<Aspect> {
    aspects(&[
        ("Where did it begin?", "Rap began in the Bronx"),
        ("Which styles are there?", "Trap and drill are styles"),
        ("How does it sell?", "Sales grew"),
    ])
}

fn order(name: &str, pool: &Pool, k: usize, vectors: Option<&Vectors>) -> Vec<usize> {
    let (documents, aspects) = (documents(), gold());
    let documents: Vec<&Document> = documents.iter().collect();
    let given = Given {
        question: "Tell me about rap",
        aspects: &aspects,
        pool,
        documents: &documents,
        k,
        lambda: 0.5,
        vectors,
        list: None,
        pointed: None,
    };
    let ordered = CoverageRanker::find(name).unwrap().order(&given).unwrap();
    assert_eq!(ordered.positions.len(), ordered.scores.len());
    ordered.positions
}

fn asker(model: ScriptedModel) -> (Asker, Arc<ScriptedModel>) {
    let model = Arc::new(model);
    (Asker::new(model.clone(), Settings::default()).unwrap(), model)
}

#[test]
fn baselines_order_four_passages() {
    let pool = pool(&[&[0, 1, 2, 3], &[1, 0], &[2, 0], &[3]]);
    assert_eq!(order("retriever", &pool, 2, None), [0, 1]);
    assert_eq!(order("round-robin", &pool, 3, None), [1, 2, 3]);
    assert_eq!(order("round-robin", &pool, 9, None), [1, 2, 3, 0]);
    // Utilities are 1/3, 0.2, 0.4 and 0.4: 2 comes first. Then the first aspect is covered by 0.2 and the second wholly, so
    // that 0 has 0.8/1.8 and 3 has (0.16 + 1)/1.8; what is left is the first aspect, of which 0 has all.
    assert_eq!(order("silver", &pool, 3, None), [2, 3, 0]);
    // 0 and 1 say the same. After 0: 1 has 0.5 · 0.8 − 0.5 · 1, 2 has 0.5 · 0.6 and 3 nothing; after 2 comes 3 with 0.
    let vectors = Vectors {
        question: vec![0.8, 0.6, 0.0],
        documents: vec![vec![1.0, 0.0, 0.0], vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 0.0, 1.0]],
        trace: Trace::default(),
    };
    assert_eq!(order("mmr", &pool, 9, Some(&vectors)), [0, 2, 3, 1]);
    assert_eq!(RANKERS.iter().filter(|ranker| ranker.compares_texts).count(), 1);
}

#[test]
fn a_ranker_says_what_it_lacks() {
    let documents = documents();
    let documents: Vec<&Document> = documents.iter().collect();
    let pool = pool(&[&[0, 1, 2, 3]]);
    for (name, needs) in [("mmr", "vectors"), ("list", "a model"), ("pointer", "a trained list ranker")] {
        let given = Given {
            question: "q",
            aspects: &[],
            pool: &pool,
            documents: &documents,
            k: 2,
            lambda: 0.5,
            vectors: None,
            list: None,
            pointed: None,
        };
        let error = CoverageRanker::find(name).unwrap().order(&given).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(needs), "{error}");
    }
}

#[test]
fn a_trained_list_is_kept_and_filled() {
    let (documents, pool) = (documents(), pool(&[&[0, 1, 2, 3]]));
    let documents: Vec<&Document> = documents.iter().collect();
    let trace = Trace { passes: 5, facts: vec![("vectors".into(), "m".into())], ..Trace::default() };
    let list = PointedList { positions: vec![3, 1], trace };
    let given = Given {
        question: "q",
        aspects: &[],
        pool: &pool,
        documents: &documents,
        k: 3,
        lambda: 0.5,
        vectors: None,
        list: None,
        pointed: Some(&list),
    };
    let ordered = CoverageRanker::find("pointer").unwrap().order(&given).unwrap();
    assert_eq!((ordered.positions, ordered.scores), (vec![3, 1, 0], vec![4.0, 3.0, 2.0]));
    let names: Vec<&str> = ordered.trace.facts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((ordered.trace.passes, names), (5, vec!["ranker", "vectors", "scores"]));
}

#[test]
fn coverage_is_the_greatest_recall_of_what_answers_an_aspect() {
    let documents = documents();
    let documents: Vec<&Document> = documents.iter().collect();
    let coverage = coverage_of(&gold(), &documents).unwrap();
    // Of `Rap began in the Bronx` passage 1 has rap, the and Bronx: 3 of 5 words. Passage 3 has rap alone.
    let wanted = [[1.0, 0.6, 0.2, 0.2], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let mean = |n: usize| wanted.iter().map(|row| row[n]).sum::<f64>() / 3.0;
    for (n, utility) in coverage.utilities(&[]).unwrap().into_iter().enumerate() {
        assert!((utility - mean(n)).abs() < 1e-12, "{n}: {utility}");
    }
}

#[test]
fn the_model_writes_a_list_that_covers_and_never_repeats() {
    let shown = Arc::new(ScriptedModel::new().answers(|prompt, form, _| {
        assert!(prompt.contains("Question: Tell me about rap\nSub-aspects:\n- Where did it begin?"));
        assert!(matches!(form, crate::model::AnswerForm::Permutation { length: 3, .. }), "{form:?}");
        Ok("[3] > [4] > [1]".into())
    }));
    let spec = MethodSpec::find("listwise").unwrap();
    let values = spec.values([("prompt", "richrag"), ("top", "3")]).unwrap();
    let ranker = spec.ranker(shown.clone(), values, Settings::default()).unwrap();
    let (documents, aspects, pool) = (documents(), gold(), pool(&[&[0, 1, 2, 3]]));
    let documents: Vec<&Document> = documents.iter().collect();
    let list = |request: &RankRequest| Ok(ranker.rank(std::slice::from_ref(request)).remove(0)?);
    let given = Given {
        question: "Tell me about rap",
        aspects: &aspects,
        pool: &pool,
        documents: &documents,
        k: 3,
        lambda: 0.5,
        vectors: None,
        list: Some(&list),
        pointed: None,
    };
    let ordered = CoverageRanker::find("list").unwrap().order(&given).unwrap();
    assert_eq!(ordered.positions, [2, 3, 0]);
    assert_eq!(ordered.trace.facts[0], ("ranker".to_string(), "list".to_string()));
    assert_eq!(shown.prompts(), 1);
}

#[test]
fn the_model_is_asked_for_aspects_once() {
    let (asker, model) = asker(ScriptedModel::new().answers(|prompt, _, _| {
        assert!(prompt.contains("Question: Tell me about rap") && prompt.contains("at most 3"));
        Ok("- Where did it begin?\n- Where did it begin?\n- Which styles are there?".into())
    }));
    let options = AspectOptions { most: 3, ..AspectOptions::default() };
    let found = asker.aspects("Tell me about rap", &options).unwrap();
    let texts: Vec<&str> = found.aspects.iter().map(|aspect| aspect.text.as_str()).collect();
    assert_eq!(texts, ["Where did it begin?", "Which styles are there?"]);
    assert_eq!(found.repairs.len(), 1);
    assert_eq!((found.trace.status, found.trace.passes), (Status::Repaired, 1));
    assert_eq!(model.prompts(), 1);
    assert!(matches!(asker.aspects(" \n", &options), Err(AskError::NoQuestion)));
}

#[test]
fn citations_point_at_passages_that_were_shown() {
    let (asker, model) = asker(ScriptedModel::new().answers(|prompt, _, _| {
        // The empty passage is not numbered.
        assert!(prompt.contains("[Source 1]: Rap began"), "{prompt}");
        assert!(prompt.contains("[Source 2]: Trap and drill"), "{prompt}");
        assert!(!prompt.contains("[Source 3]"), "{prompt}");
        Ok(" It began in the Bronx [1]. Styles are many [2][7]. ".into())
    }));
    let (documents, empty) = (documents(), Document::new("empty", " … "));
    let passages = [&documents[0], &empty, &documents[2]];
    let answer = asker.answer("Tell me about rap", &gold(), &passages, &AnswerOptions::default()).unwrap();
    assert_eq!(answer.text, "It began in the Bronx [1]. Styles are many [2].");
    assert_eq!(answer.sources, ["d0", "d2"]);
    let cited: Vec<(usize, &str)> = answer.citations.iter().map(|c| (c.source, c.id.as_str())).collect();
    assert_eq!(cited, [(1, "d0"), (2, "d2")]);
    assert_eq!(answer.dropped, ["[7]"]);
    assert!(answer.remarks[0].contains("taken out of the answer: [7]"), "{:?}", answer.remarks);
    assert!(
        answer.remarks[1].contains("without a word were not shown to the reader: 1"),
        "{:?}",
        answer.remarks
    );
    assert_eq!(answer.trace.status, Status::Repaired);
    let read = model.read().concat();
    let aspects = "**Multi-aspects:**\nWhere did it begin?\nWhich styles are there?\nHow does it sell?\n\n**Response:**";
    assert!(read.contains(aspects), "{read}");
    let none = asker.answer("q", &[], &[&empty], &AnswerOptions::default()).unwrap_err();
    assert!(none.to_string().contains("no passage to answer from"));
}

#[test]
fn an_answer_without_aspects_or_citations_says_so() {
    let (asker, model) = asker(ScriptedModel::new().answers(|_, _, _| Ok("Rap is music.".into())));
    let documents = documents();
    let answer = asker.answer("What?", &[], &[&documents[0]], &AnswerOptions::default()).unwrap();
    assert_eq!(answer.remarks, ["the answer cites no passage, so nothing says where it comes from"]);
    assert!(!model.read().concat().contains("spects"), "{:?}", model.read());
}

#[test]
fn labels_inside_passages_are_no_sources() {
    let (asker, _) = asker(ScriptedModel::new().answers(|prompt, _, _| {
        assert!(prompt.contains("[Source 1]: Rap (3) is old"), "{prompt}");
        Ok("Old [1].".into())
    }));
    let document = Document::new("d", "Rap [3] is old");
    let answer = asker.answer("q", &[], &[&document], &AnswerOptions::default()).unwrap();
    assert!(answer.trace.facts.iter().any(|(name, _)| name == "rewritten-brackets"));
}

#[test]
fn a_model_that_cannot_write_is_refused() {
    let error = |model: ScriptedModel| Asker::new(Arc::new(model), Settings::default()).err().unwrap();
    let silent = error(ScriptedModel::new().labels(|_, _| Ok(0.0)));
    assert!(silent.to_string().contains("scripted") && silent.to_string().contains("writes no text"));
    let settings = Settings { long_text: "chunk-max".parse().unwrap(), ..Settings::default() };
    let model = Arc::new(ScriptedModel::new().answers(|_, _, _| Ok(String::new())));
    assert!(matches!(Asker::new(model, settings), Err(AskError::Pieces)));
}

#[test]
fn a_failing_model_is_an_error_of_its_step() {
    let (asker, _) = asker(
        ScriptedModel::new()
            .answers(|_, _, _| Err(CallError::model(std::io::Error::other("the server is gone")))),
    );
    let error = asker.aspects("q", &AspectOptions::default()).unwrap_err();
    assert!(error.is_outside() && error.to_string() == "ask-aspects: the server is gone", "{error}");
}

/// Keeps what it is told.
#[derive(Default)]
struct RecordingAudit(Mutex<Vec<CallRecord>>);

impl Audit for RecordingAudit {
    fn record(&self, calls: &[CallRecord]) {
        self.0.lock().unwrap().extend(calls.iter().cloned());
    }
}

#[test]
fn every_call_is_recorded_with_what_was_read_from_it() {
    let kept = Arc::new(RecordingAudit::default());
    let settings = Settings { audit: Some(kept.clone()), ..Settings::default() };
    let model = Arc::new(ScriptedModel::new().answers(|prompt, _, _| {
        Ok(if prompt.contains("[Source 1]") { "Yes [1].".into() } else { "- one\n- two".into() })
    }));
    let asker = Asker::new(model, settings).unwrap();
    asker.aspects("q", &AspectOptions::default()).unwrap();
    asker.answer("q", &[], &[&documents()[0]], &AnswerOptions::default()).unwrap();
    let records = kept.0.lock().unwrap();
    let told: Vec<(&str, String)> = records
        .iter()
        .map(|record| {
            (record.method.as_str(), record.parsed.as_ref().map(ToString::to_string).unwrap_or_default())
        })
        .collect();
    assert_eq!(told, [("ask-aspects", "[\"one\",\"two\"]".to_string()), ("ask-answer", "[1]".to_string())]);
}
