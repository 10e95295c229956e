//! The parser of listwise answers over 13,773 real ones.

use flate2::read::GzDecoder;
use plackett_core::parse::{AnswerClass, OrderFormat, parse_order};
use plackett_core::permutation::Permutation;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

#[test]
fn every_answer_of_real_rerankers_becomes_a_permutation() {
    let Some(folder) = crate::data("llm-rank-responses") else { return };
    let file = std::fs::File::open(folder.join("responses.jsonl.gz")).unwrap();
    let (mut answers, mut repaired, mut unread) = (0, 0, 0);
    let mut classes: BTreeMap<(String, &str), u64> = BTreeMap::new();
    let mut sums = [0u64; 3];
    for line in BufReader::new(GzDecoder::new(file)).lines() {
        let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let (reply, kind) = (row["response"].as_str().unwrap(), row["kind"].as_str().unwrap());
        let (passages, count) = (row["passages"].as_u64().unwrap() as usize, row["count"].as_u64().unwrap());
        let parsed = parse_order(reply, passages, &OrderFormat::default());
        assert!(Permutation::new(parsed.order.items().to_vec()).is_ok() && parsed.order.len() == passages);
        // What the data's own rule calls well-formed must need no repair, and what it calls broken must.
        let expected = match kind {
            "ok" => Some(AnswerClass::Ok),
            "repeats" => Some(AnswerClass::Repetition),
            "missing" => Some(AnswerClass::MissingDocuments),
            "out-of-range" => Some(AnswerClass::WrongFormat),
            _ => None,
        };
        assert!(expected.is_none_or(|class| class == parsed.class), "{kind}: {:?} {reply}", parsed.class);
        answers += count;
        repaired += if parsed.repaired() { count } else { 0 };
        unread += if parsed.read == 0 { count } else { 0 };
        for (sum, part) in sums.iter_mut().zip([parsed.repeated, parsed.missing, parsed.out_of_range]) {
            *sum += count * part as u64;
        }
        *classes.entry((kind.to_string(), parsed.class.name())).or_default() += count;
    }
    assert_eq!(answers, 13_773);
    println!(
        "{answers} answers, {repaired} repaired ({:.1} %), {unread} without any label",
        100.0 * repaired as f64 / answers as f64
    );
    println!("labels repeated {}, missing {}, out of range {}", sums[0], sums[1], sums[2]);
    classes.iter().for_each(|((kind, class), count)| println!("{kind:<12} {class:<18} {count}"));
    // Just those without a label: 660 times "20 passages are provided.", 387 times a line of navigation, and the
    // like.
    assert_eq!(unread, 1158);
}
