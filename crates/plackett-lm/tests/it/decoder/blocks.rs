//! Block attention: an instruction, documents that see it and themselves, a query that sees everything.

use crate::decoder::golden::*;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::*;

const QUERY_START: u32 = 100;

fn documents(expected: &Expected) -> Vec<Vec<u32>> {
    (0..5).map(|n| expected.ids(&format!("block.document.{n}"))).collect()
}

/// Logits after the query, and attention of layer 1 from its last token to each token.
fn run(model: &DecoderModel, expected: &Expected, order: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let instruction = model.prefill(&expected.ids("block.instruction"), None).expect("an instruction");
    let documents = documents(expected);
    let outputs = OutputRequest { cache: true, ..OutputRequest::default() };
    let requests: Vec<Request> =
        order.iter().map(|n| request(&documents[*n], Some(&instruction), outputs.clone())).collect();
    let blocks = model.forward(&requests).expect("documents").into_iter().map(|a| a.cache.expect("a block"));
    let all = instruction.followed_by(&blocks.collect::<Vec<KvCache>>()).expect("blocks").at(QUERY_START);
    let query = expected.ids("block.query");
    let keys: Vec<_> = (0..all.tokens() + query.len()).map(|key| key..key + 1).collect();
    let queries = [query.len() - 1];
    let attention = AttentionRequest { layers: &[1], queries: &queries, keys: &keys, summed: false };
    let outputs = OutputRequest {
        logits_at: Positions::Last,
        logit_ids: LogitIds::All,
        attention: Some(attention),
        ..OutputRequest::default()
    };
    let answer = model.forward(&[request(&query, Some(&all), outputs)]).expect("a query").remove(0);
    (answer.logits[0].clone(), answer.attention)
}

#[test]
fn blocks_are_an_explicit_mask() {
    for family in ["llama", "qwen3"] {
        let (model, expected) = (open(family), Expected::read(family));
        let (logits, attention) = run(&model, &expected, &[0, 1, 2, 3, 4]);
        assert!(distance(&logits, &expected.floats("block.logits")) < 2e-4, "{family}");
        assert!(distance(&attention, &expected.floats("block.attention")) < 2e-4, "{family}");
    }
}

/// Documents begin at the same position, so their order changes nothing but rounding.
#[test]
fn the_order_of_documents_does_not_matter() {
    let (model, expected) = (open("llama"), Expected::read("llama"));
    let (logits, attention) = run(&model, &expected, &[0, 1, 2, 3, 4]);
    let order = [3, 0, 4, 2, 1];
    let (other, moved) = run(&model, &expected, &order);
    assert!(distance(&logits, &other) < 1e-4);
    let lengths: Vec<usize> = documents(&expected).iter().map(Vec::len).collect();
    let start = |order: &[usize], n: usize| -> usize {
        9 + order.iter().take_while(|other| **other != n).map(|other| lengths[*other]).sum::<usize>()
    };
    let all = 9 + lengths.iter().sum::<usize>() + 6;
    let mass = |attention: &[f32], start: usize, n: usize| -> f32 {
        attention[start..start + lengths[n]].iter().sum()
    };
    for head in 0..4 {
        let (first, second) = (&attention[head * all..], &moved[head * all..]);
        for n in 0..5 {
            let (a, b) = (mass(first, start(&[0, 1, 2, 3, 4], n), n), mass(second, start(&order, n), n));
            assert!((a - b).abs() < 1e-5, "head {head}, document {n}: {a} {b}");
        }
    }
}

#[test]
fn blocks_that_do_not_fit_are_refused() {
    let model = open("llama");
    let (one, other) = (tokens(5, 1), tokens(6, 2));
    let instruction = model.prefill(&one, None).expect("an instruction");
    let stray = model.prefill(&other, None).expect("another text");
    assert!(instruction.followed_by(&[stray]).unwrap_err().to_string().contains("block 0"));
    // A window of tokens has no meaning among blocks that begin at the same position.
    let model = open("mistral");
    let instruction = model.prefill(&one, None).expect("an instruction");
    let block = model.prefill(&other, Some(&instruction)).expect("a block");
    let two = instruction.followed_by(&[block.clone(), block.clone()]).expect("blocks");
    assert!(model.prefill(&one, Some(&two)).unwrap_err().to_string().contains("window"));
    assert!(model.prefill(&one, Some(&instruction.followed_by(&[block]).expect("one block"))).is_ok());
}
