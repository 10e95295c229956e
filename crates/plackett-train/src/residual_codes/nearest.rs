//! Nearest vectors of a codebook, and codebooks by k-means.

use crate::engine::product;
use crate::random::Stream;
use crate::tape::Compute;
use plackett_kernel::Start;

/// Products of rows with codes that are made at once, at most.
const PRODUCTS: usize = 1 << 24;

/// The nearest vector of a codebook (codes × width) for each row, of equally near ones the first.
pub(super) fn nearest(compute: &Compute, rows: &[f32], book: &[f32], width: usize) -> Vec<u32> {
    let codes = book.len() / width.max(1);
    // ‖x − c‖² is least where x·c − ½‖c‖² is greatest.
    let halves: Vec<f32> =
        book.chunks(width.max(1)).map(|code| 0.5 * code.iter().map(|x| x * x).sum::<f32>()).collect();
    let best = |scores: &[f32]| {
        let score = |at: usize| scores[at] - halves[at];
        (1..codes).fold(0, |best, at| if score(at) > score(best) { at } else { best }) as u32
    };
    let together = (PRODUCTS / codes.max(1)).max(1);
    let mut found = Vec::with_capacity(rows.len() / width.max(1));
    for rows in rows.chunks(together * width.max(1)) {
        let count = rows.len() / width.max(1);
        let mut products = vec![0.0; count * codes];
        product(compute, (rows, count), (book, width, codes, true), &mut products, Start::Zero);
        found.extend(products.chunks(codes.max(1)).map(best));
    }
    found
}

/// A codebook of so many vectors by k-means (Lloyd) over rows, which begins with rows that are drawn. A vector that is nearest to no row stays
/// where it is; where there are fewer rows than vectors, rows come again.
pub(super) fn k_means(
    compute: &Compute,
    rows: &[f32],
    (codes, width): (usize, usize),
    iterations: usize,
    stream: Stream,
) -> Vec<f32> {
    let row = |at: usize| &rows[at * width..][..width];
    let count = rows.len() / width.max(1);
    let order = stream.permutation(count);
    let mut book: Vec<f32> = (0..codes).flat_map(|code| row(order[code % count]).iter().copied()).collect();
    for _ in 0..iterations {
        let own = nearest(compute, rows, &book, width);
        let (mut sums, mut counts) = (vec![0f64; book.len()], vec![0usize; codes]);
        for (at, code) in own.iter().enumerate() {
            let code = *code as usize;
            counts[code] += 1;
            let sums = sums[code * width..][..width].iter_mut();
            sums.zip(row(at)).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let before = book.clone();
        for (code, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let place = code * width..(code + 1) * width;
            let means = sums[place.clone()].iter().map(|sum| (sum / *count as f64) as f32);
            book[place].iter_mut().zip(means).for_each(|(x, mean)| *x = mean);
        }
        if book == before {
            break;
        }
    }
    book
}
