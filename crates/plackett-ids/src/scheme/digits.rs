//! Identifiers without structure of their own: one token an item, or numbers as digits, given in some order.

use super::{Encoding, LAST, SchemeSpec, Source};
use crate::scheme::Reads;
use crate::tokens::{TokenTable, leaf_token};
use plackett_core::counted;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// One new token for each item.
pub static ATOMIC: SchemeSpec = SchemeSpec {
    name: "atomic",
    aliases: &["independent", "iid"],
    summary: "one new token for each item, which shares nothing with others",
    paper: "Transformer Memory as a Differentiable Search Index (2022); How to Index Item IDs (2023)",
    reads: &[],
    options: &[],
    // A token for each, twice while they are numbered.
    holds: |_, sizes| 160 * sizes.items,
    encode: |_, source| {
        let mut table = TokenTable::default();
        let codes = (0..source.items.len()).map(|item| vec![table.number(leaf_token(item))]).collect();
        let codebooks = vec![source.items.len()];
        Ok(Encoding { tokens: table.into_tokens(), codes, codebooks, remarks: Vec::new() })
    },
};

/// The place in the file as digits.
pub static NAIVE: SchemeSpec = SchemeSpec {
    name: "naive-string",
    aliases: &["naive"],
    summary: "the place of the item in its file, written as digits",
    paper: "Transformer Memory as a Differentiable Search Index (2022)",
    reads: &[],
    options: &[PIECE, START],
    holds: |_, sizes| 80 * sizes.items,
    encode: |options, source| {
        let numbers = (0..source.items.len() as u64).collect();
        Ok(of_numbers(numbers, options, source.items.len() as u64))
    },
};

/// A drawn number as digits.
pub static RANDOM: SchemeSpec = SchemeSpec {
    name: "random",
    aliases: &["rid"],
    summary: "a drawn number, written as digits, so that unrelated items share tokens",
    paper: "How to Index Item IDs for Recommendation Foundation Models (2023)",
    reads: &[],
    options: &[PIECE, START],
    holds: |_, sizes| 80 * sizes.items,
    encode: |options, source| {
        let items = source.items.len() as u64;
        // A few numbers are free, as in the paper's 1000–13000 for some 12,000 items.
        let range = items + items / 10;
        let mut random = ChaCha8Rng::seed_from_u64(source.seed);
        let (mut taken, mut numbers) = (HashSet::new(), Vec::new());
        while (numbers.len() as u64) < items {
            let number = random.random_range(0..range.max(1));
            if taken.insert(number) {
                numbers.push(number);
            }
        }
        Ok(of_numbers(numbers, options, range))
    },
};

/// Numbers in the order in which items occur.
pub static SEQUENTIAL: SchemeSpec = SchemeSpec {
    name: "sequential",
    aliases: &["sid"],
    summary: "numbers in the order in which items first occur in users' training histories, as digits: who occurs together shares tokens",
    paper: "How to Index Item IDs for Recommendation Foundation Models (2023)",
    reads: &[Reads::Histories],
    options: &[
        PIECE,
        START,
        OptionSpec {
            name: "users",
            kind: OptionKind::Choice(&["original", "random", "short-to-long", "long-to-short"]),
            default: Some("original"),
            help: "in which order users are walked over",
        },
        LAST,
    ],
    holds: |_, sizes| 160 * sizes.items + 16 * sizes.pairs,
    encode: |options, source| Ok(sequential(options, source)),
};

/// Digits of a token.
const PIECE: OptionSpec = OptionSpec {
    name: "piece",
    kind: OptionKind::Integer(1, 9),
    default: Some("1"),
    help: "digits of a token, from the left",
};
/// The first number.
const START: OptionSpec = OptionSpec {
    name: "start",
    kind: OptionKind::Integer(0, 1_000_000_000_000),
    default: None,
    help: "the first number; without it the least of 1001, 10001 … from which all numbers have as many digits",
};

/// Numbers as digits of one length, so that none begins another: where the last one has more digits than the first, zeros go before.
fn of_numbers(numbers: Vec<u64>, options: &OptionValues, range: u64) -> Encoding {
    let start = options.get_integer("start").map_or_else(
        || (3..18).map(|digits| 10u64.pow(digits)).find(|low| low + range < 10 * low).unwrap_or(0) + 1,
        |start| start as u64,
    );
    let width = (start + range.saturating_sub(1)).to_string().len();
    let piece = options.count("piece");
    let mut table = TokenTable::default();
    let sequence = |number: u64| {
        let digits = format!("{:0width$}", start + number);
        digits.as_bytes().chunks(piece).map(|piece| table.number(String::from_utf8_lossy(piece))).collect()
    };
    let codes = numbers.into_iter().map(sequence).collect();
    Encoding { codes, tokens: table.into_tokens(), ..Encoding::default() }
}

fn sequential(options: &OptionValues, source: &Source<'_>) -> Encoding {
    let histories = source.histories();
    let mut order: Vec<usize> = (0..histories.len()).collect();
    match options.choice("users") {
        "random" => order.shuffle(&mut ChaCha8Rng::seed_from_u64(source.seed)),
        "short-to-long" => order.sort_by_key(|user| histories[*user].len()),
        "long-to-short" => order.sort_by_key(|user| std::cmp::Reverse(histories[*user].len())),
        _ => {}
    }
    let items = source.items.len();
    let mut numbers = vec![None; items];
    let mut next = 0;
    // What no training history has comes last, in the order of the items: where it is held out must not be seen in its number.
    let walked = order.iter().flat_map(|user| histories[*user].iter().copied());
    for item in walked.chain(0..items) {
        if numbers[item].is_none() {
            numbers[item] = Some(next);
            next += 1;
        }
    }
    let unseen = items - histories.iter().flatten().collect::<HashSet<_>>().len();
    let numbers: Vec<u64> = numbers.into_iter().flatten().collect();
    let mut encoding = of_numbers(numbers, options, items as u64);
    if options.choice("last") == "item" {
        let first = encoding.tokens.len() as u32;
        encoding.tokens.extend((0..items).map(leaf_token));
        encoding.codes.iter_mut().enumerate().for_each(|(item, codes)| codes.push(first + item as u32));
    }
    encoding.remarks.extend(unseen_remark(unseen, "they are numbered last, in the order of the items"));
    encoding
}

/// Says how many items no training history has.
pub(super) fn unseen_remark(unseen: usize, what: &str) -> Option<String> {
    let items = counted(unseen, "item is", "items are");
    (unseen > 0).then(|| format!("{items} in no training history; {what}"))
}
