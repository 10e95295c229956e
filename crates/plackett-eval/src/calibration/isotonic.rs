//! Rising step functions by pooling adjacent violators.

use super::Sample;

/// Documents whose scores lie together and get one probability.
struct Block {
    low: f64,
    high: f64,
    relevant: f64,
    count: f64,
}

impl Block {
    fn share(&self) -> f64 {
        self.relevant / self.count
    }
}

/// The rising function that is nearest to the judgments in the least squares. Each block is two points, or one where it has
/// a single score.
pub(super) fn fit(samples: &[Sample]) -> Vec<[f64; 2]> {
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let mut blocks: Vec<Block> = Vec::new();
    for sample in sorted {
        let relevant = f64::from(u8::from(sample.relevant));
        match blocks.last_mut() {
            // Equal scores have equal probabilities.
            Some(last) if last.low == sample.score && last.high == sample.score => {
                last.relevant += relevant;
                last.count += 1.0;
            }
            _ => {
                // The block before is complete now: its share must not be below that of its predecessor.
                pool(&mut blocks);
                blocks.push(Block { low: sample.score, high: sample.score, relevant, count: 1.0 });
            }
        }
    }
    pool(&mut blocks);
    let ends = |block: &Block| {
        let (low, high) = ([block.low, block.share()], [block.high, block.share()]);
        std::iter::once(low).chain((block.low < block.high).then_some(high))
    };
    blocks.iter().flat_map(ends).collect()
}

/// Joins the last block with those before it until shares rise.
fn pool(blocks: &mut Vec<Block>) {
    while let [.., before, last] = blocks.as_slice()
        && before.share() >= last.share()
    {
        let (high, relevant, count) = (last.high, last.relevant, last.count);
        blocks.pop();
        if let Some(block) = blocks.last_mut() {
            block.high = high;
            block.relevant += relevant;
            block.count += count;
        }
    }
}

/// The function at a score: straight lines between points, and flat outside of them.
pub(super) fn at(points: &[[f64; 2]], score: f64) -> f64 {
    let next = points.partition_point(|[x, _]| *x < score);
    match (next.checked_sub(1).and_then(|before| points.get(before)), points.get(next)) {
        (Some([x0, y0]), Some([x1, y1])) => y0 + (y1 - y0) * ((score - x0) / (x1 - x0)),
        (Some([_, y]), None) | (None, Some([_, y])) => *y,
        (None, None) => f64::NAN,
    }
}
