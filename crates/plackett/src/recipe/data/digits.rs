//! Pictures of handwritten digits, 8 × 8, as several kinds use them.

use crate::recipe::error::StageError;
use crate::recipe::task::Environment;
use plackett_core::formats::{FormatError, read_text};
use std::path::PathBuf;

const FILE: &str = "digits.csv.gz";

/// Grey values of a picture.
pub const PIXELS: usize = 64;

/// A picture.
pub struct Picture {
    /// Grey values from 0 to 16, row by row.
    pub grey: Vec<f64>,
    /// What it shows.
    pub digit: usize,
}

/// The file of the pictures in a collection.
///
/// # Errors
/// The collection is not on this machine.
pub fn file(environment: &Environment, collection: &str) -> Result<PathBuf, StageError> {
    Ok(environment.collection(collection)?.join(FILE))
}

/// All pictures of a collection: more than `least`.
///
/// # Errors
/// The collection is not here, has too few pictures, or a line is none.
pub fn read(environment: &Environment, collection: &str, least: usize) -> Result<Vec<Picture>, StageError> {
    let path = file(environment, collection)?;
    let file = path.display().to_string();
    let mut pictures = Vec::new();
    for (at, line) in read_text(&path)?.lines().enumerate().skip(1) {
        let numbers: Option<Vec<f64>> = line.split(',').map(|field| field.trim().parse().ok()).collect();
        let split = numbers.as_deref().and_then(<[f64]>::split_last);
        let fits = split.filter(|(digit, grey)| {
            grey.len() == PIXELS
                && grey.iter().all(|x| (0.0..=16.0).contains(x))
                && (0.0..10.0).contains(*digit)
        });
        let (digit, grey) = fits.ok_or_else(|| FormatError::Value {
            file: file.clone(),
            line: at as u64 + 1,
            what: "the line",
            found: line.chars().take(40).collect(),
            remedy: "64 grey values from 0 to 16 and a digit are expected",
        })?;
        pictures.push(Picture { grey: grey.to_vec(), digit: *digit as usize });
    }
    if pictures.len() <= least {
        let problem = format!("has {} pictures; more than {least} are needed", pictures.len());
        return Err(FormatError::File { file, problem }.into());
    }
    Ok(pictures)
}

/// For each digit the mean of what is seen of its pictures.
pub fn means(pictures: &[Picture], seen: impl Fn(&[f64]) -> Vec<f64>) -> Vec<Vec<f64>> {
    let mean = |digit: usize| {
        let own: Vec<Vec<f64>> = pictures
            .iter()
            .filter(|picture| picture.digit == digit)
            .map(|picture| seen(&picture.grey))
            .collect();
        let width = own.first().map_or(0, Vec::len);
        (0..width).map(|at| own.iter().map(|x| x[at]).sum::<f64>() / own.len() as f64).collect()
    };
    (0..10).map(mean).collect()
}
