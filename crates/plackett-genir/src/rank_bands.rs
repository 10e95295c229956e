//! Negatives from bands of ranks of a first stage (DDRO, 2025, section 4: BM25's ranks 1–100, 101–500 and 501–1000 in equal shares).

use plackett_train::random::Stream;
use std::ops::Range;

/// The bands of the paper, as ranks from 0.
pub const PAPER_BANDS: [Range<usize>; 3] = [0..100, 100..500, 500..1000];

/// Negatives of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negatives {
    /// Documents and the band that each comes from.
    pub drawn: Vec<(usize, usize)>,
    /// How many are missing in each band, whose ranks do not hold so many documents that are not positives.
    pub missing: Vec<usize>,
}

/// Draws `count` documents of a ranking that are not positives, an equal share from each band without replacement; the first bands
/// get what is left over. What follows from the stream does not depend on other queries.
pub fn draw_negatives(
    ranking: &[usize],
    is_positive: impl Fn(usize) -> bool,
    bands: &[Range<usize>],
    count: usize,
    stream: Stream,
) -> Negatives {
    let mut negatives = Negatives::default();
    let mut place = 0;
    for (band, ranks) in bands.iter().enumerate() {
        let wanted = count / bands.len() + usize::from(band < count % bands.len());
        let ranks = ranks.start.min(ranking.len())..ranks.end.min(ranking.len());
        let mut left: Vec<usize> =
            ranking[ranks].iter().copied().filter(|document| !is_positive(*document)).collect();
        let taken = wanted.min(left.len());
        for at in 0..taken {
            let other = at + stream.below(place, left.len() - at);
            left.swap(at, other);
            place += 1;
        }
        negatives.drawn.extend(left[..taken].iter().map(|document| (*document, band)));
        negatives.missing.push(wanted - taken);
    }
    negatives
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_band_gives_its_share_and_no_positive() {
        let ranking: Vec<usize> = (0..1000).rev().collect();
        let positive = |document: usize| document.is_multiple_of(2);
        let drawn = draw_negatives(&ranking, positive, &PAPER_BANDS, 32, Stream::new(1, 2));
        assert_eq!(drawn.missing, [0, 0, 0]);
        let counts = [0, 1, 2].map(|band| drawn.drawn.iter().filter(|(_, of)| *of == band).count());
        assert_eq!(counts, [11, 11, 10]);
        for (document, band) in &drawn.drawn {
            assert!(!positive(*document) && PAPER_BANDS[*band].contains(&(999 - document)));
        }
        let distinct: HashSet<_> = drawn.drawn.iter().collect();
        assert_eq!(distinct.len(), 32);
    }

    #[test]
    fn what_a_short_ranking_lacks_is_said() {
        let drawn = draw_negatives(&[7, 8, 9], |document| document == 8, &PAPER_BANDS, 9, Stream::new(1, 2));
        let mut documents: Vec<usize> = drawn.drawn.iter().map(|(document, _)| *document).collect();
        documents.sort_unstable();
        assert_eq!(documents, [7, 9]);
        assert_eq!(drawn.missing, [1, 3, 3]);
        assert_eq!(draw_negatives(&[], |_| false, &PAPER_BANDS[..1], 2, Stream::new(1, 2)).missing, [2]);
    }
}
