//! A memory budget against what is really taken, as the allocator sees it. One test, so that nothing else allocates.

use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn grow(bytes: usize) {
    MOST.fetch_max(NOW.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: all work is the system's; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it moves, both are there.
        grow(size);
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Small things that nobody counts: plans, lists of tasks, threads' queues.
const SMALL: usize = 32_000;

fn tokens(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|i| 3 + (i * 7919 + seed * 104_729) % 272).collect()
}

/// Bytes that a call takes at most beside what was there, and whether it was allowed.
fn taken(model: &DecoderModel, requests: &[Request]) -> Option<usize> {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let answers = model.forward(requests).ok()?;
    drop(answers);
    Some(MOST.load(Relaxed) - before)
}

#[test]
fn no_call_takes_more_than_its_budget() {
    let texts: Vec<Vec<u32>> = [250, 40, 3, 120, 17, 90].iter().map(|n| tokens(*n, *n as u32)).collect();
    let keys: Vec<_> = (0..40).map(|key| 6 * key..6 * key + 6).collect();
    let queries: Vec<usize> = (0..250).collect();
    let attention = AttentionRequest { layers: &[0, 1, 2], queries: &queries, keys: &keys, summed: false };
    let kinds = [
        OutputRequest { cache: true, ..OutputRequest::default() },
        OutputRequest {
            logits_at: Positions::All,
            logit_ids: LogitIds::All,
            normalizer: true,
            ..OutputRequest::default()
        },
        OutputRequest {
            logits_at: Positions::Last,
            logit_ids: LogitIds::Only(&[9, 77]),
            ..OutputRequest::default()
        },
        OutputRequest { hidden: Positions::All, hidden_after: &[1, 2, 3], ..OutputRequest::default() },
        OutputRequest { attention: Some(attention), ..OutputRequest::default() },
    ];
    for family in ["llama", "qwen3", "gemma3"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decoder").join(family);
        for threads in [1, 2] {
            for outputs in &kinds {
                let count = if outputs.attention.is_some() { 1 } else { texts.len() };
                for pattern in [AttentionPattern::Causal, AttentionPattern::Bidirectional] {
                    let request = |tokens| Request {
                        tokens,
                        cache: None,
                        pattern,
                        adapter: None,
                        outputs: outputs.clone(),
                    };
                    let requests: Vec<Request> = texts[..count].iter().map(|t| request(t)).collect();
                    let (mut allowed, mut budget) = (0, 100_000);
                    while allowed < 4 {
                        let memory_budget = Some(budget);
                        let options =
                            DecoderOptions { threads: Some(threads), memory_budget, ..Default::default() };
                        let model = DecoderModel::open(&folder, &options).expect("a model");
                        let weights = model.info().weight_bytes;
                        // Twice, since a call finds what the one before left.
                        for _ in 0..2 {
                            if let Some(bytes) = taken(&model, &requests) {
                                let room = budget - weights;
                                println!("{family} {threads} {pattern:?}: {bytes} of {room}");
                                assert!(bytes <= room + SMALL, "{bytes} of {room}: {outputs:?}");
                                allowed += 1;
                            }
                        }
                        budget += budget / 20;
                    }
                }
            }
        }
    }
}
