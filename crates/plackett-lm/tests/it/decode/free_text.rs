//! Stop strings, end tokens, budgets and broken characters.

use crate::decode::vocabulary::Words;
use plackett_lm::decode::*;
use std::sync::Arc;

/// Reads the output back from the bytes of its tokens.
pub fn check(words: &Words, hypothesis: &Hypothesis<Text>, stops: &[String], budget: usize) {
    let Hypothesis { tokens, output, .. } = hypothesis;
    let bytes = words.bytes.concat(tokens);
    let Text { text, end } = output;
    assert!(tokens.len() <= budget);
    assert!(bytes.starts_with(text.as_bytes()));
    assert!(stops.iter().all(|stop| !text.contains(stop.as_str())), "{text:?} holds a stop of {stops:?}");
    match end {
        TextEnd::Token(id) => {
            assert_eq!((tokens.last(), *id), (Some(&words.end), words.end));
            assert_eq!(bytes, text.as_bytes());
        }
        TextEnd::Stop(at) => {
            assert!(bytes[text.len()..].starts_with(stops[*at].as_bytes()));
            // The stop was completed by the last token, not before.
            let before = words.bytes.concat(&tokens[..tokens.len() - 1]);
            assert!(text.len() + stops[*at].len() > before.len());
        }
        TextEnd::Budget => assert_eq!((tokens.len(), bytes.as_slice()), (budget, text.as_bytes())),
    }
}

fn feed(constraint: &FreeText, tokens: &[u32]) -> Option<Transition<TextState>> {
    let mut state = constraint.start();
    for (at, token) in tokens.iter().enumerate() {
        match constraint.advance(&state, *token)? {
            Transition::Finished(done) => {
                assert_eq!(at, tokens.len() - 1, "finished before the last token");
                return Some(Transition::Finished(done));
            }
            Transition::Continue(next) => state = next,
        }
    }
    Some(Transition::Continue(state))
}

#[test]
fn a_stop_string_is_cut_exactly_wherever_tokens_end() {
    let words: Vec<&str> = vec!["Hello", " wo", "rl", "d\n", "\nQ", "uestion", ":", "E", "\n\nQues"];
    let tokens = Arc::new(TokenBytes::new(&words).expect("bytes"));
    let free = FreeText::new(tokens, &["\n\n", "world\n\nX", "Question:"], &[], 20).expect("a text");
    let text = |ids: &[u32]| match feed(&free, ids) {
        Some(Transition::Finished(state)) => free.output(&state).map(|text| (text.text, text.end)),
        _ => None,
    };
    // Over two tokens, the last of which goes on behind the stop.
    assert_eq!(text(&[0, 1, 2, 3, 4]), Some(("Hello world".into(), TextEnd::Stop(0))));
    assert_eq!(text(&[0, 8]), Some(("Hello".into(), TextEnd::Stop(0))));
    assert_eq!(text(&[0, 1, 2, 3]), None);
    // Of two stops that end at the same byte the longer one counts.
    let tokens = Arc::new(TokenBytes::new(["ab", "c"]).expect("bytes"));
    let free = FreeText::new(tokens, &["c", "bc"], &[], 9).expect("a text");
    let Some(Transition::Finished(state)) = feed(&free, &[0, 1]) else { panic!("a stop") };
    assert_eq!(free.output(&state), Some(Text { text: "a".into(), end: TextEnd::Stop(1) }));
}

#[test]
fn characters_are_never_broken_even_by_the_budget() {
    let words = Words::by_hand();
    let byte = |b: u8| words.bytes.find(&[b]).expect("a byte");
    let free = FreeText::new(words.bytes.clone(), &[] as &[&str], &[words.end], 3).expect("a text");
    let none = |bytes: &[u8]| feed(&free, &bytes.iter().map(|b| byte(*b)).collect::<Vec<_>>()).is_none();
    assert!(none(&[0x80]) && none(&[0xc0]) && none(&[0xe0, 0x80]) && none(&[0xed, 0xa0]) && none(&[0xf5]));
    assert!(none(&[0xf0]), "four bytes do not fit three tokens");
    assert!(none(&[b'a', 0xe2]), "nor three bytes two");
    assert!(!none(&[0xe2, 0x82, 0xac]) && !none(&[b'a', 0xc3, 0xa9]));
    let open = feed(&free, &[byte(0xe2)]).expect("allowed");
    let Transition::Continue(open) = open else { panic!("an open character") };
    assert!(!free.allowed(&open).contains(words.end), "no end inside a character");
    assert!(free.allowed(&free.start()).contains(words.end));
    assert!(!free.allowed(&free.start()).contains(words.bytes.len() as u32), "nothing beyond the tokenizer");
    // Without all continuation bytes no token may leave a character open.
    let tokens =
        Arc::new(TokenBytes::new([&b"a"[..], &[0xe2], &[0x82], &[0xac], "é".as_bytes()]).expect("bytes"));
    let free = FreeText::new(tokens, &[] as &[&str], &[], 5).expect("a text");
    assert!(feed(&free, &[1]).is_none() && feed(&free, &[4, 0]).is_some());
}

#[test]
fn no_end_token_comes_before_the_least_number_of_tokens() {
    let words = Words::by_hand();
    let a = words.bytes.find(b"a").expect("a byte");
    let of = |least, budget| {
        let free = FreeText::new(words.bytes.clone(), &["aaa"], &[words.end], budget).expect("a text");
        free.with_least(least).expect("a length")
    };
    let free = of(2, 3);
    let ended = |tokens: &[u32]| match feed(&free, tokens) {
        Some(Transition::Finished(state)) => free.output(&state).map(|text| text.end),
        _ => None,
    };
    assert!(feed(&free, &[words.end]).is_none() && feed(&free, &[a, words.end]).is_none());
    assert!(!free.allowed(&free.start()).contains(words.end));
    assert_eq!(ended(&[a, a, words.end]), Some(TextEnd::Token(words.end)));
    // A stop string ends it all the same, and of forced length no end token is ever allowed.
    assert_eq!(ended(&[a, a, a]), Some(TextEnd::Stop(0)));
    let forced = of(2, 2);
    assert!(feed(&forced, &[a, words.end]).is_none());
    assert!(matches!(feed(&forced, &[a, a]), Some(Transition::Finished(_))));
    let free = FreeText::new(words.bytes.clone(), &[] as &[&str], &[words.end], 3).expect("a text");
    let refused = free.with_least(4).expect_err("refused").to_string();
    assert!(refused.contains("at least 4 tokens") && refused.contains("room for 3"), "{refused}");
}

#[test]
fn texts_that_cannot_be_are_refused() {
    let words = Words::by_hand();
    let make = |stops: &[&str], ends: &[u32], budget| {
        FreeText::new(words.bytes.clone(), stops, ends, budget).expect_err("refused").to_string()
    };
    assert!(make(&[], &[], 0).contains("budget"));
    assert!(make(&["x", ""], &[], 5).contains("stop string 1"));
    assert!(make(&[], &[70_000], 5).contains("beyond"));
    assert!(make(&[], &[0], 5).contains("writes"));
    assert!(FreeText::new(Arc::new(TokenBytes::new(["", ""]).expect("bytes")), &["x"], &[], 5).is_err());
    let without = words.bytes.without(&[0]).expect("bytes");
    assert!(FreeText::new(Arc::new(without), &["x"], &[0], 5).is_ok());
}
