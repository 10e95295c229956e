//! Thousands of decodes under every constraint, both of random logits and of an engine with random weights; each output is
//! read back by a parser of its own. `PLACKETT_SWEEPS=full` makes them ten thousand for each, which takes minutes.

use crate::decode::engine::random_decoder;
use crate::decode::vocabulary::Words;
use plackett_lm::decode::*;
// Two glob imports have a `Strategy`.
use plackett_lm::decode::Strategy;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const OUTPUTS: usize = 200;

/// Parameter sets of each property, with 200 samples each; beams come on top.
fn cases() -> u32 {
    if std::env::var("PLACKETT_SWEEPS").is_ok_and(|sweeps| sweeps == "full") { 50 } else { 10 }
}

/// 200 samples and up to 80 outputs of searches over one constraint, of random logits and then of the engine; every output goes through
/// `check`. Returns how many there were of the one that gave fewer.
pub fn many<C: Constraint>(
    constraint: &C,
    vocabulary: usize,
    seed: u64,
    mut check: impl FnMut(&Hypothesis<C::Output>),
) -> usize {
    let mut random = RandomModel::new(vocabulary, seed);
    let of_logits = outputs(&mut random, constraint, seed, &mut check);
    assert_eq!(random.live_prefixes(), 0, "every handle is dropped");
    let mut session = random_decoder().session();
    if vocabulary > session.vocabulary() {
        return of_logits; // A real tokenizer, of which the engine has no model with random weights.
    }
    let of_engine = outputs(&mut session, constraint, seed, &mut check);
    assert_eq!(session.live_prefixes(), 0, "every handle is dropped");
    of_logits.min(of_engine)
}

fn outputs<C: Constraint>(
    model: &mut impl DecodeModel,
    constraint: &C,
    seed: u64,
    check: &mut impl FnMut(&Hypothesis<C::Output>),
) -> usize {
    // Weights of an engine are always the same, so its prompts are not.
    let prompts: Vec<[u32; 2]> = (0..8).map(|p| [p, (seed.rotate_left(p) % 29) as u32]).collect();
    let requests: Vec<DecodeRequest<'_, C>> = (0..)
        .zip(&prompts)
        .map(|(index, prompt)| DecodeRequest { prefix: model.root(), prompt, constraint, index })
        .collect();
    let sampling = Sampling { samples: OUTPUTS / prompts.len(), ..Sampling::new(seed) };
    let hot = Sampling { temperature: 3.0, top_k: Some(40), top_p: Some(0.99), ..sampling };
    let beam = Beam { stop: EarlyStop::Full, ..Beam::new(5) };
    let mut seen = 0;
    for strategy in [
        Strategy::Sample(if seed.is_multiple_of(2) { sampling } else { hot }),
        Strategy::Beam(beam),
        Strategy::DiverseBeam { beam: Beam { width: 4, ..beam }, groups: 2, penalty: 1.0 },
        Strategy::Greedy,
    ] {
        let options = DecodeOptions::new(strategy);
        for decoded in decode(model, &requests, &options).expect("a run") {
            let decoded = decoded.expect("no dead end");
            assert_eq!(decoded.unfinished, 0);
            assert!(!decoded.hypotheses.is_empty());
            for hypothesis in &decoded.hypotheses {
                assert!(hypothesis.log_prob <= 1e-9 && hypothesis.log_prob.is_finite());
                check(hypothesis);
                seen += 1;
            }
        }
    }
    seen
}

fn enough(seen: usize) -> Result<(), TestCaseError> {
    prop_assert!(seen >= OUTPUTS, "only {} outputs", seen);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 50, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn orderings_hold_each_identifier_once(
        numbers in proptest::collection::btree_set(1u32..200, 2..25),
        first in proptest::option::of(1usize..5),
        brackets: bool,
        seed: u64,
    ) {
        let words = Words::by_hand();
        let spell = |n: &u32| if brackets { format!("[{n}]") } else { n.to_string() };
        let identifiers: Vec<String> = numbers.iter().map(spell).collect();
        let first = first.map(|k| k.min(identifiers.len()));
        let tokenize = |text: &str| words.tokenize(text);
        let constraint =
            Permutation::new(&identifiers, " > ", first, tokenize, Some(words.end)).expect("identifiers");
        let length = first.unwrap_or(identifiers.len());
        let seen = many(&constraint, words.bytes.len(), seed, |hypothesis| {
            let text = words.text(&hypothesis.tokens);
            let read: Vec<usize> = text
                .split(" > ")
                .map(|part| identifiers.iter().position(|i| i == part).unwrap_or_else(|| panic!("{text:?}")))
                .collect();
            assert_eq!((read.len(), BTreeSet::from_iter(&read).len()), (length, length), "{text:?}");
            assert_eq!(read, hypothesis.output);
        });
        enough(seen)?;
    }

    #[test]
    fn members_are_in_the_trie(
        sequences in proptest::collection::btree_set(proptest::collection::vec(0u32..30, 1..6), 20..200),
        seed: u64,
    ) {
        let built = TokenTrie::build(&sequences).expect("sequences");
        let known: BTreeMap<&[u32], usize> = sequences.iter().map(Vec::as_slice).zip(0..).collect();
        let constraint = TrieConstraint::new(&built.trie, Some(31)).expect("an end token");
        enough(many(&constraint, 40, seed, |hypothesis| {
            let written = hypothesis.tokens.strip_suffix(&[31]).unwrap_or(&hypothesis.tokens);
            assert_eq!(known.get(written), Some(&hypothesis.output));
        }))?;
    }

    #[test]
    fn sheets_are_json_with_every_candidate_once(
        identifiers in proptest::collection::btree_set("[a-c0-9\"\\\\é]{1,4}", 1..9),
        (bounds, decimals) in ((-150i64..150, -150i64..150), 0u8..4),
        free: bool,
        seed: u64,
    ) {
        let words = Words::by_hand();
        let identifiers: Vec<String> = identifiers.into_iter().rev().collect();
        let (min, max) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
        let range = ScoreRange::decimals(min, max, decimals).expect("a range");
        let order = if free { SheetOrder::Free } else { SheetOrder::Given };
        let sheet = ScoreSheet::new(&identifiers, range, order).expect("candidates");
        let constraint = Bytewise::new(sheet, words.bytes.clone()).expect("all bytes are tokens");
        let seen = many(&constraint, words.bytes.len(), seed, |hypothesis| {
            let text = words.text(&hypothesis.tokens);
            check_sheet(&text, &identifiers, (min, max, decimals), free, &hypothesis.output);
        });
        enough(seen)?;
    }

    #[test]
    fn answers_are_from_the_list(seed: u64, more in proptest::collection::btree_set("[a-z ]{1,6}", 20..60)) {
        let words = Words::by_hand();
        let mut spellings: Vec<Vec<String>> = vec![vec!["yes".into(), " yes".into(), "Yes".into()]];
        let more = more.into_iter().filter(|text| !spellings[0].contains(text)).collect::<Vec<_>>();
        spellings.extend(more.chunks(2).map(<[String]>::to_vec));
        let lists: Vec<&[String]> = spellings.iter().map(Vec::as_slice).collect();
        let constraint = Choices::new(&lists, |text| words.tokenize(text), Some(words.end)).expect("answers");
        enough(many(&constraint, words.bytes.len(), seed, |hypothesis| {
            let text = words.text(&hypothesis.tokens);
            assert!(spellings[hypothesis.output].contains(&text), "{text:?}");
        }))?;
    }

    #[test]
    fn texts_are_utf8_without_their_stops(
        stops in proptest::collection::vec("[ab\n]{1,2}|stop|é", 0..3),
        budget in 1usize..24,
        seed: u64,
    ) {
        let words = Words::by_hand();
        let constraint = FreeText::new(words.bytes.clone(), &stops, &[words.end], budget).expect("a text");
        enough(many(&constraint, words.bytes.len(), seed, |hypothesis| {
            crate::decode::free_text::check(&words, hypothesis, &stops, budget);
        }))?;
    }
}

/// Reads a sheet with a JSON parser and its numbers as they are spelled.
pub fn check_sheet(
    text: &str,
    identifiers: &[String],
    (min, max, decimals): (i64, i64, u8),
    free: bool,
    output: &[SheetScore],
) {
    let json: serde_json::Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let lines = json["scores"].as_array().expect("a list");
    assert_eq!((lines.len(), json.as_object().map(serde_json::Map::len)), (identifiers.len(), Some(1)));
    let mut seen = BTreeSet::new();
    let mut spelled = Vec::new();
    for (at, (line, score)) in lines.iter().zip(output).enumerate() {
        let id = line["id"].as_str().expect("an identifier");
        let candidate = identifiers.iter().position(|known| known == id).expect("a known one");
        assert!(seen.insert(candidate), "{id} twice in {text}");
        assert!(free || candidate == at, "{text}");
        let value = line["score"].as_f64().expect("a number");
        let scale = 10f64.powi(i32::from(decimals));
        assert_eq!((score.candidate, score.value), (candidate, value));
        assert_eq!((value * scale).round() as i64, score.units);
        assert!((min..=max).contains(&score.units), "{text}");
        let number = format!("{value:.0$}", usize::from(decimals));
        spelled.push(format!("{{\"id\": {}, \"score\": {number}}}", serde_json::json!(id)));
    }
    assert_eq!(text, format!("{{\"scores\": [{}]}}", spelled.join(", ")));
}

#[test]
fn ranges_allow_exactly_their_numbers() {
    let tokens = std::sync::Arc::new(TokenBytes::new((0..=127u8).map(|b| [b])).expect("bytes"));
    for (min, max, decimals) in [(0, 10, 0), (-12, 7, 0), (95, 1203, 2), (-5, 5, 2), (-20, -3, 1), (0, 0, 1)]
    {
        let range = ScoreRange::decimals(min, max, decimals).expect("a range");
        let sheet = ScoreSheet::new(&["x"], range, SheetOrder::Given).expect("one");
        let constraint = Bytewise::new(sheet, tokens.clone()).expect("bytes");
        // Everything that the constraint can write, by walking it.
        let (mut found, mut open) = (BTreeSet::new(), vec![constraint.start()]);
        while let Some(state) = open.pop() {
            let Allowed::Only(ids) = constraint.allowed(&state) else { panic!("a list") };
            assert!(!ids.is_empty(), "a dead end");
            for id in ids.iter() {
                match constraint.advance(&state, *id).expect("allowed") {
                    Transition::Continue(next) => open.push(next),
                    Transition::Finished(next) => {
                        let output = constraint.output(&next).expect("finished");
                        assert!(found.insert(output[0].units), "{} in two spellings", output[0].units);
                    }
                }
            }
        }
        assert_eq!(found, (min..=max).collect(), "{min} to {max} with {decimals}");
    }
    assert!(ScoreRange::integers(3, 2).is_err() && ScoreRange::decimals(0, 1, 10).is_err());
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    let words = Words::by_hand();
    let tokenize = |text: &str| words.tokenize(text);
    let bytes = |text: &str| Ok(text.bytes().map(u32::from).collect::<Vec<u32>>());
    let error = |ids: &[&str], separator: &str, first, end| {
        Permutation::new(ids, separator, first, bytes, end).expect_err("refused").to_string()
    };
    assert!(error(&["a", "b", "a"], " > ", None, None).contains("twice"));
    assert!(error(&["a > b", "c"], " > ", None, None).contains("separator"));
    assert!(error(&["1", "12"], "", None, None).contains("separator"));
    assert!(error(&["1", "1,2"], ", ", None, Some(300)).contains("separator"));
    assert!(error(&["1", "12"], " ", Some(1), None).contains("end token"));
    assert!(error(&["a"], " ", Some(2), None).contains("first 2"));
    assert!(error(&[], " ", None, None).contains("no identifiers"));
    assert!(error(&["ab"], " ", None, Some(97)).contains("end token"));
    // All of them are written, so the last one is known without an end token.
    assert!(Permutation::new(&["1", "12"], " ", None, bytes, None).is_ok());
    let trie = TokenTrie::build([vec![1], vec![1, 2]]).expect("sequences").trie;
    assert!(TrieConstraint::new(&trie, None).is_err() && TrieConstraint::new(&trie, Some(2)).is_err());
    let no: &[&str] = &["no"];
    assert!(Choices::new(&[&["yes", "no"], no], tokenize, None).is_err());
    assert!(Choices::new(&[&["no", "not"][..]], bytes, None).is_err());
    let sheet = ScoreSheet::new(&["é"], ScoreRange::integers(0, 9).expect("range"), SheetOrder::Free);
    let ascii = std::sync::Arc::new(TokenBytes::new((0..=127u8).map(|b| [b])).expect("bytes"));
    let error = Bytewise::new(sheet.expect("one"), ascii).expect_err("no such bytes").to_string();
    assert!(error.contains("0xc3") || error.contains("0xa9"), "{error}");
    let constraint = Permutation::new(&["1", "2"], " ", None, bytes, None).expect("identifiers");
    assert!(constraint.advance(&constraint.start(), u32::from(b'3')).is_none());
}
