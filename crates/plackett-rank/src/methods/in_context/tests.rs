//! Worked out by hand.

use crate::methods::tests::{ids, ranked, request};
use crate::model::CallError;
use crate::testing::{AttendedWord, ScriptedModel};
use crate::{MethodError, Settings};
use plackett_core::Ranking;
use std::sync::Arc;

/// Labels get 0.1 from every query.
fn fruits(asked: &AttendedWord<'_>) -> Result<f64, CallError> {
    let free = asked.ending.ends_with("N/A");
    Ok(match (asked.word, free) {
        ("apple", false) => 0.5,
        ("pie", false) => 0.2,
        ("pear", _) => 0.3,
        _ => 0.1,
    } * if asked.last == Some(1) { 2.0 } else { 1.0 })
}

/// Scores of the documents in the order of their numbers.
fn scores(ranking: &Ranking) -> Vec<f64> {
    let mut entries: Vec<_> = ranking.entries.iter().collect();
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    // Sums of tenths.
    entries.iter().map(|entry| (entry.score * 1e6).round() / 1e6).collect()
}

#[test]
fn the_attention_of_a_query_without_content_is_subtracted() {
    // apple pie: (0.5 − 0.1) + (0.2 − 0.1) + label (0.1 − 0.1); pear: 0.
    let model = Arc::new(ScriptedModel::new().attention(fruits));
    let ranking = ranked("icr", &[], &model, &request("tart", &["pear", "apple pie"])).unwrap();
    assert_eq!((ids(&ranking), scores(&ranking)), (vec!["d1", "d0"], vec![0.0, 0.5]));
    assert_eq!((ranking.trace.passes, model.calls().len()), (2, 2 - 1), "one call with two endings");
    let read = model.read();
    let common = "Several paragraphs follow:\n\n[1] apple pie\n\n[2] pear\n\n";
    assert!(read[0].starts_with(common) && read[1].starts_with(common), "the best last: {read:?}");
    assert!(read[0].ends_with("\n\nQuery: tart") && read[1].ends_with("\n\nQuery: N/A"), "{read:?}");
    assert!(ranking.trace.cache_hits == 1, "the documents are read once");
}

#[test]
fn each_mode_reads_what_it_says() {
    let request = request("tart", &["pear", "apple pie"]);
    let with = |mode: &str| {
        let model = Arc::new(ScriptedModel::new().attention(fruits));
        let ranking = ranked("icr", &[("mode", mode)], &model, &request).unwrap();
        (scores(&ranking), ranking.trace.passes)
    };
    assert_eq!(with("uncalibrated"), (vec![0.4, 0.8], 1));
    assert_eq!(with("last-token"), (vec![0.8, 1.6], 1));
    assert_eq!(with("calibrated-last-token"), (vec![0.0, 1.0], 2));
    assert_eq!(with("calibration-only"), (vec![0.4, 0.3], 1));
}

#[test]
fn the_query_without_content_gives_zeros_and_keeps_the_given_order() {
    let model = Arc::new(ScriptedModel::new().attention(fruits));
    let ranking = ranked("icr", &[], &model, &request("N/A", &["pear", "apple pie", "fig"])).unwrap();
    assert_eq!((ids(&ranking), scores(&ranking)), (vec!["d0", "d1", "d2"], vec![0.0; 3]));
    assert_eq!(ranking.trace.ties.documents, 3);
}

#[test]
fn an_abnormally_negative_token_is_left_out_and_counted() {
    let model = Arc::new(ScriptedModel::new().attention(|asked| {
        let free = asked.ending.ends_with("N/A");
        Ok(if free && asked.word == "sink" { 20.0 } else { f64::from(u8::from(!free)) })
    }));
    // The label and eight words get 1 each; the sink gets −19 in both documents.
    let text = "a a a a a a a a sink";
    let ranking = ranked("icr", &[("order", "given")], &model, &request("q", &[text, "b"])).unwrap();
    assert_eq!(scores(&ranking), [9.0, 2.0]);
    assert!(
        ranking.trace.facts.contains(&("outlier-tokens".into(), "1".into())),
        "{:?}",
        ranking.trace.facts
    );
    assert!(model.read()[0].contains(&format!("[1] {text}\n\n[2] b\n\n")));
}

#[test]
fn windows_carry_the_best_from_the_tail_to_the_head() {
    let model = Arc::new(ScriptedModel::new().attention(|asked| {
        let number = asked.word.strip_prefix('w').and_then(|number| number.parse().ok());
        Ok(if asked.ending.ends_with("N/A") { 0.0 } else { number.unwrap_or(0.0) })
    }));
    let request = request("q", &["w1", "w2", "w0", "w9"]);
    let ranking = ranked("icr", &[("window", "2"), ("stride", "1")], &model, &request).unwrap();
    assert_eq!(ids(&ranking), ["d3", "d0", "d1", "d2"]);
    assert_eq!((ranking.trace.passes, model.calls().len()), (6, 6 / 2), "three windows of two passes");
    let whole = ranked("icr", &[("window", "4")], &model, &request).unwrap();
    assert_eq!(ids(&whole), ["d3", "d1", "d0", "d2"]);
    assert_eq!(scores(&whole), [1.0, 2.0, 0.0, 9.0]);
}

/// The refusal of options.
fn refused(method: &str, options: &[(&str, &str)]) -> String {
    let spec = crate::MethodSpec::find(method).unwrap();
    let values = spec.values(options.iter().copied()).unwrap();
    let model = Arc::new(ScriptedModel::new().attention(fruits));
    let error: MethodError = spec.ranker(model, values, Settings::default()).err().unwrap();
    error.to_string()
}

#[test]
fn options_that_have_no_effect_or_no_meaning_are_refused() {
    assert!(refused("icr", &[("stride", "2")]).contains("without window"));
    assert!(refused("icr", &[("stride", "4"), ("window", "3")]).contains("up to 3"));
    assert!(refused("icr", &[("heads", "8.3+x")]).contains("layer.head"));
    assert!(refused("block-rank", &[("answer", "decode"), ("layer", "0")]).contains("leave it out"));
    assert!(refused("icr", &[("layers", "9-3")]).contains("8-20"));
    assert!(refused("icr", &[("layers", "3"), ("heads", "3.1")]).contains("no effect"));
}

#[test]
fn templates_that_have_no_parts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |method: &str, text: &str| {
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, text).unwrap();
        refused(method, &[("prompt", &path.display().to_string())])
    };
    assert!(
        refuse("icr", "prefix = \"{query}\"\nbody = \"{doc}\"\nsuffix = \"{query}\"")
            .contains("suffix alone")
    );
    assert!(refuse("icr", "body = \"{doc} {query}\"\nsuffix = \"?\"").contains("write {query}"));
    let turns = "style = \"chat\"\nbody = \"{doc}\"\nbody_reply = \"Yes.\"\nsuffix = \"{query}\"";
    assert!(refuse("icr", turns).contains("take body_reply out"));
    let counted = "prefix = \"{num}\"\nbody = \"{doc}\"\nsuffix = \"{query}\"";
    assert!(refuse("block-rank", counted).contains("neither {num}"));
    assert!(refuse("block-rank", "body = \"{doc}\"\nsuffix = \"{query}\"").contains("prefix"));
}

#[test]
fn shares_of_attention_among_documents_are_the_scores_of_block_rank() {
    let model = Arc::new(ScriptedModel::new().attention(|asked| {
        assert_eq!(asked.last, Some(2));
        Ok(match asked.word {
            "one" => 1.0,
            "three" => 3.0,
            _ => 0.0,
        })
    }));
    let request = request("tart", &["one", "three", "four"]);
    let ranking = ranked("block-rank", &[], &model, &request).unwrap();
    assert_eq!((ids(&ranking), scores(&ranking)), (vec!["d1", "d0", "d2"], vec![0.25, 0.75, 0.0]));
    assert_eq!((ranking.trace.passes, model.prompts()), (1, 1));
    let read = &model.read()[0];
    assert!(read.contains("\nQuery: tart\nDocuments:\nID: 0 | CONTENT: one | END ID: 0\nID: 1 |"), "{read}");
    assert!(read.ends_with("Final Answer: ["), "{read}");
}

#[test]
fn probabilities_of_ids_are_the_scores_of_block_rank_that_decodes() {
    let written = |prompt: &str, answer: &str| {
        assert!(prompt.ends_with("Final Answer: ["), "{prompt}");
        Ok(match answer {
            "0]" => -2.0,
            "1]" => -0.5,
            _ => -1.0,
        })
    };
    let model = Arc::new(ScriptedModel::new().attention(fruits).likelihoods(written));
    let request = request("tart", &["one", "three", "four"]);
    let ranking = ranked("block-rank", &[("answer", "decode")], &model, &request).unwrap();
    assert_eq!((ids(&ranking), scores(&ranking)), (vec!["d1", "d2", "d0"], vec![-2.0, -0.5, -1.0]));
    // The prompt once, and an id of each document behind it.
    assert_eq!((ranking.trace.passes, model.prompts()), (4, 1));
}

#[test]
fn a_prompt_of_ids_that_are_decoded_opens_a_bracket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let text =
        "style = \"chat\"\nprefix = \"{query}\"\nbody = \"{doc}\"\nsuffix = \"{query}\"\nanswer = \"It is \"";
    std::fs::write(&path, text).unwrap();
    let refused = refused("block-rank", &[("prompt", &path.display().to_string()), ("answer", "decode")]);
    assert!(refused.contains("let `answer` end with ["), "{refused}");
}
