//! The same with the tokenizer of SmolLM2-135M-Instruct: 49,152 tokens, of which many cross the borders of formats.

use crate::decode::constraints::{check_sheet, many};
use crate::decode::vocabulary::Words;
use plackett_lm::decode::*;
use plackett_lm::gguf::{GgufFile, GgufTokenizer};
use std::collections::BTreeSet;
use std::time::Instant;

fn smollm2() -> Option<Words> {
    let file = GgufFile::open(&crate::support::smollm2::gguf_file()?).expect("SmolLM2");
    let read = GgufTokenizer::read(&file).expect("tokenizer");
    Some(Words::new(read.tokenizer, &read.control, read.eos.expect("an end")))
}

#[test]
fn bytes_of_every_token_are_what_the_tokenizer_decodes() {
    let Some(words) = smollm2() else { return };
    assert_eq!(words.bytes.len(), 49152);
    for id in 0..49152 {
        let bytes = words.bytes.bytes(id);
        let decoded = words.tokenizer.decode(&[id], true).expect("text");
        assert_eq!(String::from_utf8_lossy(bytes), decoded, "token {id}");
    }
    for text in [" > [12]", "[3]", "yes", " no", "\n\nHé \u{1f600}"] {
        assert_eq!(words.text(&words.tokenize(text).expect("tokens")), text);
    }
}

#[test]
fn every_constraint_holds_on_the_real_vocabulary() {
    let Some(words) = smollm2() else { return };
    let names: Vec<String> = (1..=20).map(|n| n.to_string()).collect();
    let bracketed: Vec<String> = names.iter().map(|n| format!("[{n}]")).collect();
    let tokenize = |text: &str| words.tokenize(text);
    let orders = Permutation::new(&bracketed, " > ", None, tokenize, Some(words.end)).expect("identifiers");
    let seen = many(&orders, 49152, 1, |hypothesis| {
        let text = words.text(&hypothesis.tokens);
        let parts: BTreeSet<&str> = text.split(" > ").collect();
        assert_eq!((parts.len(), text.matches(" > ").count()), (20, 19), "{text}");
        assert!(parts.iter().all(|part| bracketed.iter().any(|known| known == part)), "{text}");
    });
    println!("{seen} orderings of 20");

    let range = ScoreRange::decimals(0, 100, 1).expect("range");
    let sheet = ScoreSheet::new(&names[..8], range, SheetOrder::Free).expect("candidates");
    let sheets = Bytewise::new(sheet, words.bytes.clone()).expect("bytes");
    let start = Instant::now();
    assert!(matches!(sheets.allowed(&sheets.start()), Allowed::Only(ids) if ids.len() > 1));
    let (first, start) = (start.elapsed(), Instant::now());
    let seen = many(&sheets, 49152, 2, |hypothesis| {
        let text = words.text(&hypothesis.tokens);
        check_sheet(&text, &names[..8], (0, 100, 1), true, &hypothesis.output);
    });
    println!(
        "{seen} sheets of 8 in {:?}; first state in {first:?}; {} states kept",
        start.elapsed(),
        sheets.cached()
    );

    let stops = ["\n".to_string(), "e".to_string()];
    let texts = FreeText::new(words.bytes.clone(), &stops, &[words.end], 10).expect("text");
    let seen = many(&texts, 49152, 3, |h| crate::decode::free_text::check(&words, h, &stops, 10));
    println!("{seen} texts");
}

/// A token is allowed exactly when a scan of the whole vocabulary finds that its bytes fit.
#[test]
fn allowed_tokens_are_those_of_a_scan() {
    let Some(words) = smollm2() else { return };
    let sheet = ScoreSheet::new(
        &["1", "12", "x\"y"],
        ScoreRange::decimals(-5, 120, 1).expect("range"),
        SheetOrder::Free,
    );
    let sheets = Bytewise::new(sheet.expect("candidates"), words.bytes.clone()).expect("bytes");
    let mut state = sheets.start();
    for step in 0..60u32 {
        let Allowed::Only(ids) = sheets.allowed(&state) else { panic!("a list") };
        let scan: Vec<u32> = (0..49152).filter(|id| sheets.advance(&state, *id).is_some()).collect();
        assert_eq!(ids.as_ref(), scan);
        match sheets.advance(&state, ids[(step as usize * 7919) % ids.len()]).expect("allowed") {
            Transition::Continue(next) => state = next,
            Transition::Finished(_) => break,
        }
    }
}
