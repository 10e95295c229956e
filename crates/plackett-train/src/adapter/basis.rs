//! What tells whether another generator of random numbers would draw the same matrices of a seed.

use crate::random::Stream;
use plackett_lm::sha256::{self, Sha256};

/// The generator's name and version in files: Philox 4×32 with ten rounds, 24 bits a number.
pub(super) const GENERATOR: &str = "philox4x32-10/1";

/// How many numbers of a stream are looked at.
const LOOKED_AT: usize = 16;

/// SHA-256 over the first numbers of some streams, in hexadecimal.
pub(super) fn check(streams: &[Stream]) -> String {
    let mut hasher = Sha256::new();
    let mut first = [0f32; LOOKED_AT];
    for stream in streams {
        stream.fill_uniform(0, &mut first);
        first.iter().for_each(|x| hasher.update(x.to_le_bytes()));
    }
    sha256::hex(&hasher.digest()[..8])
}
