//! A memory budget is kept by splitting work, and what is split gives the same numbers.

use crate::decoder::golden::*;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::*;
use plackett_lm::{LmError, Precision};

/// A long sequence that wants everything, and a short one behind it that continues its cache.
fn run(model: &DecoderModel, pattern: AttentionPattern, ids: &[u32]) -> Result<Vec<SequenceOutput>, LmError> {
    let keys = [0..7, 7..150, 149..150];
    let attention = AttentionRequest { layers: &[0, 2], queries: &[149, 3, 80], keys: &keys, summed: false };
    let outputs = OutputRequest {
        logits_at: Positions::All,
        logit_ids: LogitIds::Only(&[5, 270, 31]),
        normalizer: true,
        hidden: Positions::All,
        hidden_after: &[0, 1, 3],
        attention: Some(attention),
        cache: true,
    };
    let first = Request { pattern, ..request(ids, None, outputs) };
    let first = model.forward(&[first])?.remove(0);
    let next = tokens(9, 3);
    let second = model.forward(&[request(&next, first.cache.as_ref(), everything())])?.remove(0);
    Ok(vec![first, second])
}

fn same(a: &[SequenceOutput], b: &[SequenceOutput]) -> bool {
    let numbers = |answer: &SequenceOutput| {
        (answer.logits.clone(), answer.normalizers.clone(), answer.hidden.clone(), answer.attention.clone())
    };
    a.iter().map(numbers).eq(b.iter().map(numbers))
}

/// The smallest budget, in steps of 1 kB, that `work` is not refused with.
fn enough<T>(work: impl Fn(usize) -> Result<T, LmError>) -> (usize, T) {
    (1..).map(|k| k * 1000).find_map(|budget| Some((budget, work(budget).ok()?))).expect("a budget")
}

#[test]
fn a_long_sequence_goes_through_each_layer_in_stretches() {
    let ids = tokens(150, 1);
    for family in FAMILIES {
        for (pattern, precision, format) in [
            (AttentionPattern::Causal, Precision::F32, CacheFormat::F32),
            (AttentionPattern::Causal, Precision::F32, CacheFormat::Int8),
            (AttentionPattern::Bidirectional, Precision::F32, CacheFormat::F16),
            (AttentionPattern::Causal, Precision::Int8, CacheFormat::Int16),
            (AttentionPattern::Bidirectional, Precision::Int8, CacheFormat::Int16),
        ] {
            for threads in [1, 3] {
                let open = |memory_budget| {
                    let options = DecoderOptions { memory_budget, ..with(precision, format, threads) };
                    open_with(family, &options)
                };
                let expected = run(&open(None), pattern, &ids).expect(family);
                let (least, found) = enough(|budget| run(&open(Some(budget)), pattern, &ids));
                assert!(same(&found, &expected), "{family} {pattern:?} {format:?} with {least} bytes");
                let more = run(&open(Some(least + 40_000)), pattern, &ids).expect(family);
                assert!(same(&more, &expected), "{family} {pattern:?} {format:?} with some more");
            }
        }
    }
}

/// What a token more costs at the least: a state and keys and values of one layer, not its queries and contexts.
#[test]
fn rows_of_a_layer_do_not_all_exist_at_once() {
    let least = |count| {
        let ids = tokens(count, 1);
        let outputs = || OutputRequest {
            logits_at: Positions::Last,
            logit_ids: LogitIds::Only(&[7]),
            ..OutputRequest::default()
        };
        let run = |budget| {
            let options = with(Precision::F32, CacheFormat::F32, 1);
            let model = open_with("llama", &DecoderOptions { memory_budget: Some(budget), ..options });
            model.forward(&[request(&ids, None, outputs())])
        };
        enough(run).0
    };
    // 32 numbers of a state; a key of 8 and a value padded to 32 for two heads; 48 scores; 4 bytes each.
    let token = 4 * (32 + 2 * (8 + 32) + 48);
    let (short, long) = (least(96), least(256));
    assert!(long - short <= 160 * token + 1000, "{short} {long}");
}

#[test]
fn what_answers_hold_is_counted() {
    let ids = tokens(200, 1);
    let refused = |outputs: OutputRequest, budget| {
        let weights = open("llama").info().weight_bytes;
        let options = with(Precision::F32, CacheFormat::F32, 1);
        let options = DecoderOptions { memory_budget: Some(weights + budget), ..options };
        match open_with("llama", &options).forward(&[request(&ids, None, outputs)]) {
            Err(LmError::MemoryBudgetOfAnswers { needed, .. }) => Some(needed - weights),
            _ => None,
        }
    };
    // 200 × 275 logits, 200 × 32 states of three layers, 4 heads × 200 queries × 200 keys of two layers.
    let logits =
        OutputRequest { logits_at: Positions::All, logit_ids: LogitIds::All, ..OutputRequest::default() };
    let states =
        OutputRequest { hidden: Positions::All, hidden_after: &[0, 1, 2], ..OutputRequest::default() };
    let keys: Vec<_> = (0..200).map(|key| key..key + 1).collect();
    let queries: Vec<usize> = (0..200).collect();
    let attention = AttentionRequest { layers: &[0, 2], queries: &queries, keys: &keys, summed: false };
    let attention = OutputRequest { attention: Some(attention), ..OutputRequest::default() };
    for (outputs, numbers) in [(logits, 200 * 275), (states, 3 * 200 * 32), (attention, 2 * 4 * 200 * 200)] {
        assert!(refused(outputs.clone(), 4 * numbers - 1).is_some_and(|held| held >= 4 * numbers));
        assert_eq!(refused(outputs, 8 * numbers + 2_000_000), None);
    }
}
