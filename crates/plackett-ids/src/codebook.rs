//! k-means in single precision over rows of one length, and the codebook that comes out: products of blocks of rows with packed centroids on
//! all cores. Every number is one chain of operations in a stated order, so codes are the same for any number of threads.

use plackett_kernel::{Isa, Panels, Start, multiply_panels};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Rows whose products with all centroids lie in the second-level cache while they are looked through.
pub(crate) const BLOCK: usize = 192;
/// Numbers of a chunk that is worked on at once.
const LANES: usize = 16;
/// Rows among which the first centroids are drawn, where there are more: the start reads them once for each centroid.
const START_ROWS: usize = 8192;
/// The same, for each centroid.
const START_ROWS_OF_A_CODE: usize = 8;

/// Centroids by number.
pub(crate) struct Codebook {
    dimension: usize,
    centroids: Vec<f32>,
    panels: Panels,
    /// −½‖c‖² of each: with x·c it is greatest for the nearest centroid.
    halves: Vec<f32>,
}

impl Codebook {
    pub(crate) fn new(dimension: usize, centroids: Vec<f32>) -> Codebook {
        let count = centroids.len() / dimension.max(1);
        let mut panels = Panels::default();
        panels.pack(rayon::current_num_threads(), &centroids, dimension, count, true);
        let half = |row: &[f32]| -0.5 * row.iter().map(|x| x * x).sum::<f32>();
        let halves = centroids.chunks_exact(dimension.max(1)).map(half).collect();
        Codebook { dimension, centroids, panels, halves }
    }

    /// How many centroids there are.
    pub(crate) fn len(&self) -> usize {
        self.halves.len()
    }

    /// One of them.
    pub(crate) fn centroid(&self, code: usize) -> &[f32] {
        &self.centroids[code * self.dimension..][..self.dimension]
    }

    /// x·c − ½‖c‖² of some rows with all centroids, on this thread; the vector is made as long as it has to be.
    pub(crate) fn scores(&self, rows: &[f32], scores: &mut Vec<f32>) {
        let count = rows.len() / self.dimension;
        scores.resize(count * self.len(), 0.0);
        let (isa, start) = (Isa::detect(), Start::Bias(&self.halves));
        multiply_panels(isa, 1, rows, (count, self.dimension), &self.panels, scores, start, None);
    }

    /// The products of the centroids of another codebook with those of this one: theirs × ours.
    pub(crate) fn products(&self, with: &Codebook) -> Vec<f32> {
        let mut products = vec![0.0; with.len() * self.len()];
        let sizes = (with.len(), self.dimension);
        let workers = rayon::current_num_threads();
        let (left, right) = (&with.centroids, &self.panels);
        multiply_panels(Isa::detect(), workers, left, sizes, right, &mut products, Start::Zero, None);
        products
    }

    /// The nearest centroid of each row; of equally near ones the first.
    pub(crate) fn nearest(&self, rows: &[f32]) -> Vec<u32> {
        let mut codes = vec![0; rows.len() / self.dimension];
        codes.par_chunks_mut(BLOCK).zip(rows.par_chunks(BLOCK * self.dimension)).for_each_init(
            Vec::new,
            |scores, (codes, rows)| {
                self.scores(rows, scores);
                for (code, scores) in codes.iter_mut().zip(scores.chunks_exact(self.len())) {
                    *code = greatest(scores) as u32;
                }
            },
        );
        codes
    }

    /// The codebook whose centroids are the means of the rows that have them; one that nobody has stays where it is.
    fn at_means(&self, rows: &[f32], codes: &[u32]) -> Codebook {
        let members = Members::of(codes, self.len());
        let mut centroids = self.centroids.clone();
        centroids.par_chunks_mut(self.dimension).enumerate().for_each_init(
            || vec![0.0f64; self.dimension],
            |sums, (code, centroid)| {
                let own = members.of_code(code);
                if own.is_empty() {
                    return;
                }
                sums.fill(0.0);
                for row in own {
                    let row = &rows[*row as usize * self.dimension..][..self.dimension];
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
                }
                let count = own.len() as f64;
                centroid.iter_mut().zip(sums).for_each(|(x, sum)| *x = (*sum / count) as f32);
            },
        );
        Codebook::new(self.dimension, centroids)
    }
}

/// Rows by code, those of a code in their order.
struct Members {
    starts: Vec<usize>,
    rows: Vec<u32>,
}

impl Members {
    fn of(codes: &[u32], count: usize) -> Members {
        let mut starts = vec![0; count + 1];
        codes.iter().for_each(|code| starts[*code as usize + 1] += 1);
        (0..count).for_each(|code| starts[code + 1] += starts[code]);
        let (mut next, mut rows) = (starts.clone(), vec![0; codes.len()]);
        for (row, code) in codes.iter().enumerate() {
            rows[next[*code as usize]] = row as u32;
            next[*code as usize] += 1;
        }
        Members { starts, rows }
    }

    fn of_code(&self, code: usize) -> &[u32] {
        &self.rows[self.starts[code]..self.starts[code + 1]]
    }
}

/// The place of the greatest number; of equal ones the first.
pub(crate) fn greatest(numbers: &[f32]) -> usize {
    let (chunks, rest) = numbers.as_chunks::<LANES>();
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = larger(*lane, *x));
    }
    let most = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |most, x| larger(most, *x));
    // Whole chunks are looked through at once, which is faster than number by number.
    let has = |chunk: &[f32; LANES]| chunk.iter().fold(false, |found, x| found | (*x == most));
    let first = chunks.iter().position(has).unwrap_or(chunks.len()) * LANES;
    first + numbers[first..].iter().position(|x| *x == most).unwrap_or(0)
}

/// ‖a − b‖², in lanes that are summed in their order.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            let apart = a[lane] - b[lane];
            lanes[lane] += apart * apart;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b));
    lanes.iter().sum::<f32>() + rest.sum::<f32>()
}

/// Takes the mean of the rows off them and gives it. Scores of far rows would lose the digits in which near centroids differ.
pub(crate) fn center(rows: &mut [f32], dimension: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; dimension];
    for row in rows.chunks_exact(dimension) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    let count = (rows.len() / dimension).max(1) as f64;
    let mean: Vec<f32> = sums.into_iter().map(|sum| (sum / count) as f32).collect();
    subtract(rows, &mean);
    mean
}

/// Takes one vector off all rows.
pub(crate) fn subtract(rows: &mut [f32], vector: &[f32]) {
    rows.par_chunks_exact_mut(vector.len()).with_min_len(BLOCK).for_each(|row| {
        row.iter_mut().zip(vector).for_each(|(x, own)| *x -= own);
    });
}

/// Clusters by Euclidean distance after so many rounds at most (Lloyd, 1982), with the start of k-means++ (Arthur and Vassilvitskii, 2007): the
/// codebook and the code of each row. There may be fewer centroids than were asked for, where rows coincide. There is one row at least,
/// and rows lie about zero ([`center`]).
pub(crate) fn k_means(
    rows: &[f32],
    dimension: usize,
    count: usize,
    rounds: usize,
    seed: u64,
) -> (Codebook, Vec<u32>) {
    let mut codebook = Codebook::new(dimension, start(rows, dimension, count.max(1), seed));
    let mut codes = codebook.nearest(rows);
    for _ in 0..rounds.max(1) {
        codebook = codebook.at_means(rows, &codes);
        let now = codebook.nearest(rows);
        if now == codes {
            break;
        }
        codes = now;
    }
    (codebook, codes)
}

/// The first centroids: rows that are drawn with the squared distance to the nearest one so far as weight; of many rows, among some that are drawn.
fn start(rows: &[f32], dimension: usize, count: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let most = START_ROWS.max(START_ROWS_OF_A_CODE * count);
    let drawn = sample(rows.len() / dimension, most, &mut random);
    let row = |at: usize| &rows[drawn[at] * dimension..][..dimension];
    let mut centroids = row(random.random_range(0..drawn.len())).to_vec();
    let mut far = vec![f32::INFINITY; drawn.len()];
    for _ in 1..count.min(drawn.len()) {
        let newest = &centroids[centroids.len() - dimension..];
        far.par_iter_mut()
            .with_min_len(BLOCK)
            .enumerate()
            .for_each(|(at, far)| *far = far.min(squared_distance(newest, row(at))));
        let total: f64 = far.iter().map(|far| f64::from(*far)).sum();
        if total <= 0.0 {
            break;
        }
        let mut left = random.random::<f64>() * total;
        let place = far.iter().position(|distance| {
            left -= f64::from(*distance);
            left < 0.0
        });
        let last = far.iter().rposition(|distance| *distance > 0.0).unwrap_or(0);
        centroids.extend_from_slice(row(place.unwrap_or(last)));
    }
    centroids
}

/// Places of `0..count`, rising: all, or `most` that are drawn.
pub(crate) fn sample(count: usize, most: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    let mut places = rand::seq::index::sample(random, count, most).into_vec();
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows about 7 places that are far from each other.
    fn rows(count: usize, dimension: usize) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        (0..count * dimension)
            .map(|at| {
                ((at / dimension % 7) * (at % dimension + 1) % 11) as f32 + random.random::<f32>() / 4.0
            })
            .collect()
    }

    #[test]
    fn groups_are_found_and_the_same_for_any_number_of_threads() {
        let mut rows = rows(1000, 19);
        center(&mut rows, 19);
        let of = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (codebook, codes) = pool.install(|| k_means(&rows, 19, 7, 25, 3));
            (codebook.centroids, codes)
        };
        let (centroids, codes) = of(1);
        assert_eq!(of(3), (centroids, codes.clone()));
        assert!((7..1000).all(|row| codes[row] == codes[row - 7]));
    }

    #[test]
    fn the_nearest_is_that_of_distances() {
        let mut rows = rows(300, 21);
        center(&mut rows, 21);
        let (codebook, codes) = k_means(&rows, 21, 40, 4, 1);
        for (row, code) in rows.chunks(21).zip(codes) {
            let far = |code: usize| squared_distance(row, codebook.centroid(code));
            let least = (0..codebook.len()).map(far).fold(f32::INFINITY, f32::min);
            assert!(far(code as usize) <= least + 1e-3, "{} {least}", far(code as usize));
        }
    }

    #[test]
    fn rows_that_coincide_give_fewer_centroids() {
        let (codebook, codes) = k_means(&[1.0; 10], 2, 3, 5, 1);
        assert_eq!((codebook.len(), codes), (1, vec![0; 5]));
        assert_eq!(k_means(&[0.0, 4.0], 1, 9, 5, 1).0.len(), 2);
    }

    #[test]
    fn the_greatest_is_the_first_of_equal_ones() {
        let mut numbers = vec![0.0; 40];
        assert_eq!(greatest(&numbers), 0);
        for at in [39, 31, 17, 3] {
            numbers[at] = 2.0;
            assert_eq!(greatest(&numbers), at);
        }
        assert_eq!(greatest(&numbers[..5]), 3);
    }

    #[test]
    fn many_rows_begin_with_some_that_are_drawn() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(sample(5, 9, &mut random), [0, 1, 2, 3, 4]);
        let drawn = sample(1000, 10, &mut random);
        assert!(drawn.len() == 10 && drawn.is_sorted() && drawn.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
