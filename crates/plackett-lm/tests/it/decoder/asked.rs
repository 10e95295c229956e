//! The last layer works only for the tokens that are read: what is read are the same numbers as when all are.

use crate::decoder::adapters::adapter;
use crate::decoder::golden::*;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::*;
use plackett_lm::{Adapter, LmError, Precision};

const LENGTHS: [usize; 7] = [150, 1, 13, 40, 2, 31, 90];
/// Layers of the tiny models that run.
const LAYERS: usize = 3;

/// What a text wants, and of which of its tokens: little of everything, nothing, or a mix of both.
fn little(n: usize, tokens: usize) -> (Positions<'static>, Positions<'static>, Vec<usize>) {
    match n % 4 {
        0 => (Positions::Last, Positions::None, vec![tokens - 1, 0]),
        1 => (Positions::None, Positions::Last, vec![]),
        2 => (Positions::At(&[5, 0, 5]), Positions::At(&[12, 3]), vec![7]),
        _ => (Positions::None, Positions::None, vec![tokens / 2]),
    }
}

/// Logits, hidden states and attention of every text, in one batch. Wanting everything, only those that `little` names
/// are given back.
fn run(
    model: &DecoderModel,
    pattern: AttentionPattern,
    adapters: &[Adapter],
    all: bool,
) -> Result<Vec<[Vec<f32>; 3]>, LmError> {
    let texts: Vec<Vec<u32>> = LENGTHS.iter().map(|n| tokens(*n, *n as u32)).collect();
    let wanted: Vec<_> = texts.iter().enumerate().map(|(n, text)| little(n, text.len())).collect();
    let keys: Vec<_> = texts.iter().map(|text| [0..text.len(), 0..1]).collect();
    let everyone: Vec<Vec<usize>> = texts.iter().map(|text| (0..text.len()).collect()).collect();
    let requests = texts.iter().enumerate().map(|(n, text)| {
        let (logits_at, hidden, queries) = &wanted[n];
        let (queries, layers) =
            if all { (&everyone[n], &[1, LAYERS - 1][..]) } else { (queries, &[LAYERS - 1][..]) };
        let attention = AttentionRequest { layers, queries, keys: &keys[n], summed: false };
        let outputs = OutputRequest {
            logits_at: if all { Positions::All } else { *logits_at },
            logit_ids: LogitIds::All,
            hidden: if all { Positions::All } else { *hidden },
            attention: (all || !queries.is_empty()).then_some(attention),
            cache: n % 3 == 0,
            ..OutputRequest::default()
        };
        Request { tokens: text, cache: None, pattern, adapter: adapters.get(n % 3), outputs }
    });
    let answers = model.forward(&requests.collect::<Vec<_>>())?;
    let heads = model.info().heads;
    let read = answers.into_iter().zip(&wanted).zip(&texts).map(|((answer, wanted), text)| {
        let (logits_at, hidden, queries) = wanted;
        if !all {
            return [answer.logits.concat(), answer.hidden, answer.attention];
        }
        let list = |places: &Positions| match places {
            Positions::Last => vec![text.len() - 1],
            Positions::At(list) => list.to_vec(),
            _ => vec![],
        };
        let width = answer.hidden.len() / text.len();
        let logits = list(logits_at).iter().flat_map(|at| answer.logits[*at].clone()).collect();
        let hidden =
            list(hidden).iter().flat_map(|at| answer.hidden[at * width..][..width].to_vec()).collect();
        let second = &answer.attention[answer.attention.len() / 2..];
        let of = |head: usize, query: usize| second[(head * text.len() + query) * 2..][..2].to_vec();
        let attention = (0..heads).flat_map(|head| queries.iter().flat_map(move |query| of(head, *query)));
        [logits, hidden, attention.collect()]
    });
    Ok(read.collect())
}

#[test]
fn the_last_layer_gives_those_who_read_it_the_same_numbers() {
    let adapters = [adapter("llama", "all"), adapter("llama", "some")];
    for family in FAMILIES {
        for pattern in [AttentionPattern::Causal, AttentionPattern::Bidirectional] {
            for precision in [Precision::F32, Precision::Int8] {
                let own = if family == "llama" { &adapters[..] } else { &[] };
                let open = |threads, memory_budget| {
                    let options = with(precision, CacheFormat::F32, threads);
                    open_with(family, &DecoderOptions { memory_budget, ..options })
                };
                assert_eq!(open(1, None).info().layers, LAYERS, "{family}");
                let expected = run(&open(2, None), pattern, own, true).expect(family);
                for threads in [1, 2, 3] {
                    let found = run(&open(threads, None), pattern, own, false).expect(family);
                    assert!(found == expected, "{family} {pattern:?} {precision:?} {threads} threads");
                }
                // With so little memory that the longest text goes through a layer in stretches.
                let tight =
                    |budget: usize| Some((budget, run(&open(2, Some(budget)), pattern, own, false).ok()?));
                let (budget, found) = (1..).find_map(|k| tight(k * 5_000)).expect("a budget");
                assert!(found == expected, "{family} {pattern:?} {precision:?} with {budget} bytes");
            }
        }
    }
}
