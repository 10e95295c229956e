//! Residual quantisation: a vector as a sum of centroids, one of each codebook, found level by level with some of the best sums so far kept.

use crate::codebook::{BLOCK, Codebook, center, greatest, k_means, sample, subtract};
use crate::vectors::READ_ROWS;
use crate::{IdsError, VectorTable};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// How codebooks are learned and vectors are written with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResidualSettings {
    /// Codebooks.
    pub levels: usize,
    /// Centroids of each.
    pub codes: usize,
    /// Rounds of k-means at most.
    pub rounds: usize,
    /// Sums that are kept from level to level; 1 takes the nearest centroid each time.
    pub beam: usize,
    /// Vectors that codebooks are learned from, for each code; where there are more, some are drawn. 0 for all.
    pub per_code: usize,
    /// From which what is drawn follows.
    pub seed: u64,
}

/// Codebooks of residuals (Babenko and Lempitsky's stacked quantisers, 2014; "RQ" of faiss).
pub struct ResidualQuantizer {
    mean: Vec<f32>,
    codebooks: Vec<Codebook>,
    /// Products of the centroids of each codebook with those of each earlier one: earlier × later. Only where a beam needs them.
    crossed: Vec<Vec<Vec<f32>>>,
    beam: usize,
    learned_from: usize,
}

impl ResidualQuantizer {
    /// Learns codebooks: k-means of the vectors, then of what each lacks of its sum so far.
    ///
    /// # Errors
    /// The vectors cannot be read.
    pub fn train(vectors: &VectorTable, settings: &ResidualSettings) -> Result<ResidualQuantizer, IdsError> {
        let most = if settings.per_code == 0 { usize::MAX } else { settings.per_code * settings.codes };
        let drawn = sample(vectors.rows(), most, &mut ChaCha8Rng::seed_from_u64(settings.seed));
        let mut rows = vectors.gather(&drawn)?;
        let dimension = vectors.dimension();
        let mut quantizer = ResidualQuantizer {
            mean: center(&mut rows, dimension),
            codebooks: Vec::new(),
            crossed: Vec::new(),
            beam: settings.beam.max(1),
            learned_from: drawn.len(),
        };
        let mut residuals = rows.clone();
        for level in 0..settings.levels {
            let seed = settings.seed.wrapping_add(level as u64);
            let (codebook, codes) = k_means(&residuals, dimension, settings.codes, settings.rounds, seed);
            quantizer.add(codebook);
            if level + 1 == settings.levels {
                break;
            }
            if quantizer.beam == 1 {
                // What k-means has found is the nearest of this level.
                quantizer.subtract_last(&mut residuals, &codes);
            } else {
                residuals.copy_from_slice(&rows);
                let codes = quantizer.codes_of(&rows);
                quantizer.for_sums(&mut residuals, &codes, |x, own| *x -= own);
            }
        }
        Ok(quantizer)
    }

    fn add(&mut self, codebook: Codebook) {
        if self.beam > 1 {
            self.crossed.push(self.codebooks.iter().map(|earlier| codebook.products(earlier)).collect());
        }
        self.codebooks.push(codebook);
    }

    /// Codebooks.
    pub fn levels(&self) -> usize {
        self.codebooks.len()
    }

    /// How many vectors the codebooks were learned from.
    pub fn learned_from(&self) -> usize {
        self.learned_from
    }

    /// The codes of all vectors, one of each level, vector after vector. Vectors are read once, some at a time.
    ///
    /// # Errors
    /// The vectors cannot be read.
    pub fn encode(&self, vectors: &VectorTable) -> Result<Vec<u32>, IdsError> {
        let mut codes = Vec::with_capacity(vectors.rows() * self.levels());
        vectors.blocks(READ_ROWS, |_, rows| {
            subtract(rows, &self.mean);
            codes.extend(self.codes_of(rows));
            Ok(())
        })?;
        Ok(codes)
    }

    /// The vectors that codes stand for, one after another.
    ///
    /// # Panics
    /// A code is beyond its codebook: a mistake of the caller.
    pub fn decode(&self, codes: &[u32]) -> Vec<f32> {
        let mut rows: Vec<f32> = self.mean.repeat(codes.len() / self.levels().max(1));
        self.for_sums(&mut rows, codes, |x, own| *x += own);
        rows
    }

    /// Takes off each row its centroid of the last codebook.
    fn subtract_last(&self, rows: &mut [f32], codes: &[u32]) {
        let Some(last) = self.codebooks.last() else { return };
        for (row, code) in rows.chunks_exact_mut(self.mean.len()).zip(codes) {
            row.iter_mut().zip(last.centroid(*code as usize)).for_each(|(x, own)| *x -= own);
        }
    }

    /// Changes each number of each row by those of its centroids, level by level.
    fn for_sums(&self, rows: &mut [f32], codes: &[u32], change: impl Fn(&mut f32, f32) + Sync) {
        let each = rows.par_chunks_exact_mut(self.mean.len()).with_min_len(BLOCK);
        each.zip(codes.par_chunks_exact(self.levels().max(1))).for_each(|(row, codes)| {
            for (codebook, code) in self.codebooks.iter().zip(codes) {
                let centroid = codebook.centroid(*code as usize);
                row.iter_mut().zip(centroid).for_each(|(x, own)| change(x, *own));
            }
        });
    }

    /// The codes of rows without their mean.
    fn codes_of(&self, rows: &[f32]) -> Vec<u32> {
        let mut codes = vec![0; rows.len() / self.mean.len() * self.levels()];
        let blocks =
            codes.par_chunks_mut(BLOCK * self.levels()).zip(rows.par_chunks(BLOCK * self.mean.len()));
        match self.beam {
            1 => blocks.for_each_init(Vec::new, |scores, (codes, rows)| self.nearest(rows, codes, scores)),
            _ => blocks.for_each_init(Beams::default, |beams, (codes, rows)| beams.encode(self, rows, codes)),
        }
        codes
    }

    /// The nearest centroid of what is left, level by level.
    fn nearest(&self, rows: &[f32], codes: &mut [u32], scores: &mut Vec<f32>) {
        let (dimension, levels) = (self.mean.len(), self.levels());
        let mut left = rows.to_vec();
        for (level, codebook) in self.codebooks.iter().enumerate() {
            codebook.scores(&left, scores);
            let found = scores.chunks_exact(codebook.len()).map(greatest);
            for ((row, codes), code) in
                left.chunks_exact_mut(dimension).zip(codes.chunks_exact_mut(levels)).zip(found)
            {
                codes[level] = code as u32;
                row.iter_mut().zip(codebook.centroid(code)).for_each(|(x, own)| *x -= own);
            }
        }
    }
}

/// A sum that is kept: how good it is, and its codes.
#[derive(Clone, Default)]
struct Sum {
    /// x·s − ½‖s‖² for the sum s: it is greatest where ‖x − s‖ is least.
    score: f32,
    codes: Vec<u32>,
}

/// What a thread needs to find the best sums of rows.
#[derive(Default)]
struct Beams {
    /// Scores of a block with all centroids, by level.
    scores: Vec<Vec<f32>>,
    /// Scores of one sum with each centroid added.
    added: Vec<f32>,
    /// The best additions: score, place of the sum, code.
    best: Vec<(f32, usize, u32)>,
}

impl Beams {
    /// The codes of the best sum of each row. A row is multiplied with each centroid once; what a sum makes of it follows from the products of
    /// centroids with each other: ½‖s + c‖² = ½‖s‖² + s·c + ½‖c‖².
    fn encode(&mut self, quantizer: &ResidualQuantizer, rows: &[f32], codes: &mut [u32]) {
        let levels = quantizer.levels();
        self.scores.resize(levels, Vec::new());
        for (codebook, scores) in quantizer.codebooks.iter().zip(&mut self.scores) {
            codebook.scores(rows, scores);
        }
        for (row, codes) in codes.chunks_exact_mut(levels).enumerate() {
            let mut sums = vec![Sum::default()];
            for level in 0..levels {
                sums = self.extended(quantizer, &sums, (row, level));
            }
            codes.copy_from_slice(&sums[0].codes);
        }
    }

    /// The best sums with a centroid more, the best first; of equal ones those of better sums and lesser codes.
    fn extended(
        &mut self,
        quantizer: &ResidualQuantizer,
        sums: &[Sum],
        (row, level): (usize, usize),
    ) -> Vec<Sum> {
        let codes = quantizer.codebooks[level].len();
        let scores = &self.scores[level][row * codes..][..codes];
        self.best.clear();
        for (place, sum) in sums.iter().enumerate() {
            self.added.clear();
            self.added.extend(scores.iter().map(|score| sum.score + score));
            for (earlier, code) in quantizer.crossed[level].iter().zip(&sum.codes) {
                let products = &earlier[*code as usize * codes..][..codes];
                self.added.iter_mut().zip(products).for_each(|(added, product)| *added -= product);
            }
            keep_best(&mut self.best, &self.added, place, quantizer.beam);
        }
        let with = |(score, place, code): &(f32, usize, u32)| {
            let mut codes = Vec::with_capacity(quantizer.levels());
            codes.extend_from_slice(&sums[*place].codes);
            codes.push(*code);
            Sum { score: *score, codes }
        };
        self.best.iter().map(with).collect()
    }
}

/// Numbers that are compared with the worst of the best at once.
const LANES: usize = 16;

/// Puts what is better than the worst of the `most` best ones among them, in the order of scores.
fn keep_best(best: &mut Vec<(f32, usize, u32)>, added: &[f32], place: usize, most: usize) {
    for (first, chunk) in added.chunks(LANES).enumerate() {
        let worst = |best: &[(f32, usize, u32)]| match best.len() < most {
            true => f32::NEG_INFINITY,
            false => best[most - 1].0,
        };
        let limit = worst(best);
        // Mostly none is better, which is seen without a branch for each.
        if !chunk.iter().fold(false, |any, score| any | (*score > limit)) {
            continue;
        }
        for (at, score) in chunk.iter().enumerate() {
            if *score > worst(best) {
                let to = best.partition_point(|kept| kept.0 >= *score);
                best.insert(to, (*score, place, (first * LANES + at) as u32));
                best.truncate(most);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;
    use rand::RngExt;

    fn table(count: usize, dimension: usize) -> VectorTable {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let items: Vec<Item> = (0..count).map(|at| Item::new(at.to_string())).collect();
        let rows: Vec<Vec<f64>> = (0..count)
            .map(|at| (0..dimension).map(|x| ((at * 3 + x) % 5) as f64 + random.random::<f64>()).collect())
            .collect();
        VectorTable::of_rows(&items, &rows).unwrap()
    }

    const SETTINGS: ResidualSettings =
        ResidualSettings { levels: 3, codes: 16, rounds: 20, beam: 1, per_code: 0, seed: 7 };

    /// The mean squared distance of vectors from what their codes stand for.
    fn error(table: &VectorTable, settings: &ResidualSettings) -> f64 {
        let quantizer = ResidualQuantizer::train(table, settings).unwrap();
        let (codes, mut rows) =
            (quantizer.encode(table).unwrap(), vec![0.0; table.rows() * table.dimension()]);
        table.read(0, &mut rows).unwrap();
        let apart = rows.iter().zip(quantizer.decode(&codes)).map(|(a, b)| f64::from(a - b).powi(2));
        apart.sum::<f64>() / table.rows() as f64
    }

    #[test]
    fn more_levels_and_wider_beams_come_nearer() {
        let table = table(600, 24);
        let of = |levels: usize, beam: usize| error(&table, &ResidualSettings { levels, beam, ..SETTINGS });
        let errors = [of(1, 1), of(2, 1), of(3, 1), of(3, 4), of(3, 16)];
        assert!(errors.windows(2).all(|pair| pair[1] < pair[0]), "{errors:?}");
    }

    #[test]
    fn a_beam_over_all_sums_finds_the_best_one() {
        let table = table(40, 6);
        let settings = ResidualSettings { levels: 2, codes: 5, beam: 25, ..SETTINGS };
        let quantizer = ResidualQuantizer::train(&table, &settings).unwrap();
        let codes = quantizer.encode(&table).unwrap();
        for (row, codes) in codes.chunks(2).enumerate() {
            let vector = table.gather(&[row]).unwrap();
            let far = |codes: &[u32]| -> f32 {
                vector.iter().zip(quantizer.decode(codes)).map(|(a, b)| (a - b).powi(2)).sum()
            };
            let least = (0..25).map(|pair| far(&[pair / 5, pair % 5])).fold(f32::INFINITY, f32::min);
            assert!(far(codes) <= least + 1e-4, "{} {least}", far(codes));
        }
    }

    #[test]
    fn one_beam_is_the_nearest_centroid_of_what_is_left_and_threads_do_not_matter() {
        let table = table(500, 17);
        for beam in [1, 3] {
            let settings = ResidualSettings { beam, per_code: 20, ..SETTINGS };
            let of = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let quantizer = ResidualQuantizer::train(&table, &settings).unwrap();
                    assert_eq!(quantizer.learned_from(), 320);
                    quantizer.encode(&table).unwrap()
                })
            };
            assert_eq!(of(1), of(4));
        }
    }
}
