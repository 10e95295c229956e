//! Groups of pictures of distinct digits, in the order of the digits.

use super::{OrderedGroups, TestedGroup, mixed};
use crate::recipe::data::digits::{PIXELS, Picture, read};
use crate::recipe::error::StageError;
use crate::recipe::task::Environment;
use plackett_train::random::Stream;
use plackett_train::trainer::ItemGroup;

/// Pictures to learn from; those after them are of other writers.
const LEARNED: usize = 1347;
/// Digits there are.
const DIGITS: usize = 10;

/// Draws `counts` groups of `size` distinct digits, to learn from and to test with.
///
/// # Errors
/// The collection is not here or has too few pictures; more digits than there are.
pub fn digits(
    environment: &Environment,
    collection: &str,
    size: usize,
    counts: (usize, usize),
    seed: u64,
) -> Result<OrderedGroups, StageError> {
    if size > DIGITS {
        let problem = format!("{size} distinct digits are asked for, and there are {DIGITS}");
        return Err(StageError::Field { field: "size", problem });
    }
    let pictures = read(environment, collection, LEARNED)?;
    let (learned, tested) = pictures.split_at(LEARNED);
    let all = |pictures: &[Picture], part: u64, count: usize| -> Result<Vec<ItemGroup>, StageError> {
        let by_digit = ImagesByDigit::new(pictures)?;
        Ok((0..count as u64)
            .map(|nth| by_digit.group(size, nth, Stream::new(seed, part << 32 | nth)))
            .collect())
    };
    Ok(OrderedGroups {
        inputs: PIXELS,
        learned: all(learned, 1, counts.0)?,
        tested: all(tested, 2, counts.1)?.into_iter().map(TestedGroup::of_ranks).collect(),
        remarks: Vec::new(),
    })
}

/// Pictures by what they show.
struct ImagesByDigit(Vec<Vec<Vec<f32>>>);

impl ImagesByDigit {
    fn new(pictures: &[Picture]) -> Result<ImagesByDigit, StageError> {
        let mut by_digit = vec![Vec::new(); DIGITS];
        for picture in pictures {
            // Grey values from 0 to 16 become numbers from −1 to 1.
            by_digit[picture.digit]
                .push(picture.grey.iter().map(|grey| (*grey / 8.0 - 1.0) as f32).collect());
        }
        match by_digit.iter().position(Vec::is_empty) {
            None => Ok(ImagesByDigit(by_digit)),
            Some(digit) => {
                let problem = format!("a part of the pictures has no {digit}; all ten digits are needed");
                Err(StageError::Field { field: "collection", problem })
            }
        }
    }

    fn group(&self, size: usize, nth: u64, stream: Stream) -> ItemGroup {
        let mut digits = stream.permutation(DIGITS);
        digits.truncate(size);
        digits.sort_unstable();
        // Places beyond those that the permutation has taken.
        let picture = |(at, digit): (usize, &usize)| {
            let images = &self.0[*digit];
            &images[stream.below((DIGITS + at) as u64, images.len())][..]
        };
        let items: Vec<&[f32]> = digits.iter().enumerate().map(picture).collect();
        mixed((nth + 1).to_string(), &items, Stream::new(stream.word(2 * DIGITS as u64).into(), nth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_distinct_digits_with_their_ranks() {
        // A picture of the digit d is grey d everywhere.
        let picture = |digit: usize| Picture { grey: vec![digit as f64; PIXELS], digit };
        let by_digit = ImagesByDigit::new(&(0..DIGITS).map(picture).collect::<Vec<_>>()).unwrap();
        for nth in 0..20 {
            let group = by_digit.group(8, nth, Stream::new(3, nth));
            let mut ranked: Vec<(usize, f32)> =
                group.ranks.iter().copied().zip(group.items.chunks(PIXELS).map(|item| item[0])).collect();
            ranked.sort_by_key(|(rank, _)| *rank);
            assert_eq!(ranked.iter().map(|(rank, _)| *rank).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
            assert!(ranked.windows(2).all(|pair| pair[0].1 < pair[1].1), "{ranked:?}");
        }
        assert!(ImagesByDigit::new(&[picture(1)]).is_err());
    }
}
