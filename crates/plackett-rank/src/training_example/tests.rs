//! Examples of a model whose tokens are letters, worked out by hand.

use super::*;
use crate::methods::tests::request;
use crate::model::Need;
use crate::testing::ScriptedModel;

fn teacher(method: &str, options: &[(&str, &str)]) -> Result<ListwiseExampleBuilder, TrainingExampleError> {
    ListwiseExampleBuilder::new(Arc::new(ScriptedModel::new()), MethodSpec::find(method).unwrap(), options)
}

fn text(tokens: &[u32]) -> String {
    tokens.iter().filter_map(|token| char::from_u32(*token)).collect()
}

#[test]
fn the_first_label_stands_where_the_method_reads_it() {
    let request = request("why", &["low", "high"]);
    let example = teacher("first", &[]).unwrap().example(&request, &[1, 0]).unwrap();
    assert_eq!(text(&example.answer), "[B] > [A]");
    // `[B]`, ` >`, ` [A]`.
    let ranks = [vec![Some(1); 3], vec![None; 2], vec![Some(2); 4]].concat();
    assert_eq!(example.ranks, ranks);
    assert_eq!((text(&example.labels).as_str(), example.opening, example.cut), ("AB", 1, 0));
    let prompt = text(&example.prompt);
    assert!(prompt.contains("[A] low\n[B] high") && prompt.ends_with('\n'), "{prompt}");
}

#[test]
fn the_prompt_is_the_one_that_the_method_asks_with() {
    let request = request("why", &["one two three", "four [1] five"]);
    let options = [("words", "2")];
    let example = teacher("first", &options).unwrap().example(&request, &[0, 1]).unwrap();
    let asked = Arc::new(ScriptedModel::new().labels(|_, _| Ok(0.0)));
    let spec = MethodSpec::find("first").unwrap();
    let ranker = spec.ranker(asked.clone(), spec.values(options).unwrap(), Settings::default()).unwrap();
    ranker.rank(std::slice::from_ref(&request)).remove(0).unwrap();
    let given =
        example.prompt.iter().chain(&example.answer[..example.opening]).copied().collect::<Vec<u32>>();
    assert_eq!(asked.read(), [text(&given)]);
    assert_eq!((asked.calls()[0].kind, example.cut), (Need::LabelLogits, 2));
}

#[test]
fn a_length_of_free_answers_is_refused_with_the_mode() {
    for name in ["max-tokens", "min-tokens"] {
        let refused = teacher("listwise", &[("mode", "free"), (name, "9")]).err().unwrap().to_string();
        assert!(refused.contains("leave out mode=free") && refused.contains(name), "{refused}");
    }
    assert!(teacher("listwise", &[("mode", "free")]).is_ok());
}

#[test]
fn methods_without_a_first_token_have_no_labels() {
    let request = request("why", &["a", "b", "c"]);
    let example = teacher("full-rank", &[]).unwrap().example(&request, &[2, 0, 1]).unwrap();
    assert_eq!(text(&example.answer), "[3] > [1] > [2]");
    assert_eq!((example.labels.len(), example.opening), (0, 0));
    let plain = teacher("full-rank", &[("prompt", "full-rank-plain")]).unwrap();
    let plain = plain.example(&request, &[2, 0, 1]).unwrap();
    assert_eq!(text(&plain.answer), "3>1>2");
    assert_eq!(plain.ranks, [Some(1), None, Some(2), None, Some(3)]);
}

#[test]
fn a_reasoning_is_learned_before_the_order_that_follows_from_it() {
    let request = request("why", &["low", "high"]);
    for (method, begin, close) in
        [("reason-rank", "<think>\n", "\n</think>\n<answer>\n"), ("dear", "\n", "\nRanking:\n")]
    {
        let teacher = teacher(method, &[]).unwrap();
        assert!(teacher.reasons(), "{method}");
        let example = teacher.reasoned_example(&request, &[1, 0], "The second is high.").unwrap();
        assert!(text(&example.prompt).ends_with(begin), "{method}: {}", text(&example.prompt));
        let before = format!("The second is high.{close}");
        assert_eq!(text(&example.answer), format!("{before}[2] > [1]"), "{method}");
        let ranks = [vec![None; before.len()], vec![Some(1); 3], vec![None; 2], vec![Some(2); 4]].concat();
        assert_eq!(example.ranks, ranks, "{method}");
        // The next list has none, and is refused.
        let message = teacher.example(&request, &[1, 0]).unwrap_err().to_string();
        assert!(message.contains("no reasoning to learn from"), "{method}: {message}");
        let message = teacher.reasoned_example(&request, &[1, 0], "so </think>").unwrap_err().to_string();
        assert!(message.contains("`</think>` in it"), "{method}: {message}");
    }
    let plain = teacher("full-rank", &[]).unwrap();
    assert!(!plain.reasons() && !teacher("first", &[]).unwrap().reasons());
    let message = plain.reasoned_example(&request, &[1, 0], "so").unwrap_err().to_string();
    assert!(message.contains("does not reason before"), "{message}");
}

#[test]
fn what_cannot_be_taught_is_refused() {
    let many = vec!["x"; 25];
    let (order, request) = ((0..25).collect::<Vec<_>>(), request("why", &many));
    let first = teacher("first", &[]).unwrap();
    let message = first.example(&request, &order).unwrap_err().to_string();
    assert!(message.contains("more than one prompt"), "{message}");
    let message = first.example(&request, &[0, 1]).unwrap_err().to_string();
    assert!(message.contains("no order of 25"), "{message}");
    let message = teacher("yes-no", &[]).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("use first, full-rank or listwise"), "{message}");
    assert!(teacher("first", &[("wrods", "2")]).is_err());
    // The mode is not for the user to say.
    assert!(teacher("first", &[("mode", "free")]).is_ok());
}

/// A model that gives vectors, and reads so many words where that is said.
fn embedder(most: Option<usize>) -> ScriptedModel {
    let model = ScriptedModel::new()
        .vectors(|_, _| Ok(vec![1.0]))
        .views(|_, _| Ok(vec![1.0]))
        .anchors(|_| Ok(vec![1.0]));
    match most {
        Some(most) => model.max_tokens(most),
        None => model,
    }
}

fn embedding_teacher(
    method: &str,
    options: &[(&str, &str)],
    most: Option<usize>,
) -> Result<EmbeddingExampleBuilder, TrainingExampleError> {
    EmbeddingExampleBuilder::new(Arc::new(embedder(None)), MethodSpec::find(method).unwrap(), options, most)
}

/// Each text once.
fn distinct(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut found = Vec::new();
    for text in texts {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

#[test]
fn an_encoder_learns_from_the_texts_that_the_method_asks_it_for() {
    let long: Vec<String> = (0..40).map(|n| format!("w{n}")).collect();
    let long = format!("[2] {}", long.join(" "));
    // A copy goes through the model once, and is a document of the example all the same.
    let request = request("why", &[long.as_str(), "copy", "copy"]);
    for (method, options, most, cut) in [
        ("e2rank", &[("documents", "0")][..], 60, 0),
        ("e2rank", &[("documents", "2")][..], 60, 1),
        ("e2rank", &[("documents", "0"), ("words", "7")][..], 60, 1),
        ("mvp", &[("views", "2")][..], 20, 1),
        ("mvp", &[("views", "2"), ("length", "18")][..], 60, 1),
    ] {
        let teacher = embedding_teacher(method, options, Some(most)).unwrap();
        let example = teacher.example(&request).unwrap();
        let asked = Arc::new(embedder(Some(most)));
        let spec = MethodSpec::find(method).unwrap();
        let values = spec.values(options.iter().copied()).unwrap();
        let ranker = spec.ranker(asked.clone(), values, Settings::default()).unwrap();
        let ranking = ranker.rank(std::slice::from_ref(&request)).remove(0).unwrap();
        let learned = example.query.iter().chain(&example.documents).cloned();
        // The scripted model is asked for anchors with no words.
        let read = asked.read().into_iter().filter(|text| !text.is_empty());
        assert_eq!(distinct(learned), distinct(read), "{method} {options:?}");
        assert_eq!(example.truncated, ranking.trace.truncated);
        assert_eq!((example.documents.len(), example.truncated.len()), (3, cut), "{method} {options:?}");
        assert_eq!(
            (example.query.is_some(), &example.documents[1]),
            (method == "e2rank", &example.documents[2])
        );
        // What was read already is read again.
        assert_eq!(teacher.example(&request).unwrap(), example);
    }
}

#[test]
fn methods_without_vectors_and_candidates_without_text_are_refused() {
    let message = embedding_teacher("first", &[], None).err().map(|error| error.to_string());
    assert!(message.unwrap().contains("use e2rank or mvp"));
    assert!(embedding_teacher("e2rank", &[("document", "2")], None).is_err());
    let lacking = Arc::new(ScriptedModel::new());
    assert!(EmbeddingExampleBuilder::new(lacking, MethodSpec::find("mvp").unwrap(), &[], None).is_err());
    let (teacher, request) = (embedding_teacher("mvp", &[], None).unwrap(), request("why", &["a", " ", "b"]));
    let message = teacher.example(&request).unwrap_err().to_string();
    assert!(message.contains("2 of 3 candidates"), "{message}");
    let readable = readable(&request);
    let ids: Vec<&str> = readable.candidates.iter().map(|found| found.document.id.as_str()).collect();
    assert_eq!((ids, teacher.example(&readable).unwrap().documents.len()), (vec!["d0", "d2"], 2));
    // A prompt without room for a passage is what the method refuses.
    let narrow = embedding_teacher("e2rank", &[], Some(20)).unwrap();
    assert!(matches!(narrow.example(&readable), Err(TrainingExampleError::Rank(_))));
}

fn first_token_teacher(
    method: &str,
    options: &[(&str, &str)],
) -> Result<FirstTokenExampleBuilder, TrainingExampleError> {
    FirstTokenExampleBuilder::new(Arc::new(ScriptedModel::new()), MethodSpec::find(method).unwrap(), options)
}

#[test]
fn labels_of_several_tokens_are_refused_by_name() {
    // Every letter is a token of the scripted model.
    for (method, label) in [("mono-t5", "true"), ("rank-t5", "<extra_id_10>")] {
        let teacher = first_token_teacher(method, &[]).unwrap();
        let message = format!("{:?}", teacher.example(&request("why", &["low"])).unwrap_err());
        assert!(message.contains(label), "{message}");
    }
}

#[test]
fn methods_that_read_more_than_a_first_token_are_refused() {
    for method in ["first", "yes-no", "query-likelihood"] {
        let message = first_token_teacher(method, &[]).err().unwrap().to_string();
        assert!(message.contains(method) && message.contains("use mono-t5 or rank-t5"), "{message}");
    }
    assert!(first_token_teacher("mono-t5", &[("wrods", "2")]).is_err());
}

#[test]
fn an_encoder_decoder_learns_from_the_prompts_and_labels_of_the_method() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = |name: &str, rest: &str| {
        let path = folder.path().join(name);
        let prompt = format!("body = \"{{query}}: {{doc}}\"\nlabels = [\"t\", \"f\"]\n{rest}");
        std::fs::write(&path, prompt).unwrap();
        first_token_teacher("mono-t5", &[("prompt", path.to_str().unwrap()), ("words", "2")]).unwrap()
    };
    // A copy is a candidate all the same.
    let copied = request("why", &["one two three", "low", "low"]);
    let example = teacher("plain.toml", "").example(&copied).unwrap();
    let prompts: Vec<String> = example.prompts.iter().map(|prompt| text(prompt)).collect();
    assert_eq!(prompts, ["why: one two", "why: low", "why: low"]);
    assert_eq!((text(&example.labels).as_str(), example.cut), ("tf", 1));
    let begun = teacher("begun.toml", "answer = \"It is \"\n").example(&copied);
    let message = begun.unwrap_err().to_string();
    assert!(message.contains("leave `answer` out"), "{message}");
    let empty = request("why", &["low", " "]);
    let message = teacher("plain.toml", "").example(&empty).unwrap_err().to_string();
    assert!(message.contains("1 of 2 candidates"), "{message}");
}
