//! A trie as bytes: a versioned header, then ends (where lengths differ), then ids, all little-endian.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..8 | `PLKTRIE` and a zero |
//! | 8..12 | version, 1 |
//! | 12..16 | bytes of an id: 2 or 4 |
//! | 16..24 | number of sequences |
//! | 24..32 | number of tokens |
//! | 32..40 | length of every sequence, or 0 where lengths differ |
//! | 40.. | with 0 above: the end of each sequence in the array of tokens, 4 bytes each |
//! | then | the tokens |

use crate::decode::trie::{Ends, Ids, TokenTrie};
use crate::error::decode::DecodeError;

const MAGIC: &[u8; 8] = b"PLKTRIE\0";
const VERSION: u32 = 1;
const HEADER: usize = 40;

impl TokenTrie {
    /// The trie as bytes, for [`TokenTrie::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = if let Ends::Every(length, _) = self.ends { length as u64 } else { 0 };
        let mut bytes = Vec::with_capacity(HEADER + self.bytes());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.id_width() as u32).to_le_bytes());
        for number in [self.len() as u64, self.ids.len() as u64, length] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        if let Ends::At(ends) = &self.ends {
            bytes.extend(ends.iter().flat_map(|end| end.to_le_bytes()));
        }
        match &self.ids {
            Ids::Narrow(ids) => bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes())),
            Ids::Wide(ids) => bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes())),
        }
        bytes
    }

    /// Reads a trie. Counts are checked against the length before anything is allocated, and the order of the sequences
    /// is checked too, so that a damaged file is refused instead of giving wrong ranges.
    ///
    /// # Errors
    /// [`DecodeError::TrieBytes`] with the offset of what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<TokenTrie, DecodeError> {
        let bad = |offset: usize, problem: String| DecodeError::TrieBytes { offset, problem };
        let short = || bad(bytes.len(), format!("a header of {HEADER} bytes is expected"));
        let word = |at: usize| -> Result<u32, DecodeError> {
            bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes).ok_or_else(short)
        };
        let number = |at: usize| -> Result<u64, DecodeError> {
            bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes).ok_or_else(short)
        };
        if bytes.get(..8).ok_or_else(short)? != MAGIC {
            return Err(bad(0, "not a trie of this library".into()));
        }
        let (version, width) = (word(8)?, word(12)?);
        if version != VERSION {
            return Err(bad(8, format!("version {version}, this library reads {VERSION}")));
        }
        if width != 2 && width != 4 {
            return Err(bad(12, format!("ids of {width} bytes; 2 and 4 are known")));
        }
        let (count, tokens, length) = (number(16)?, number(24)?, number(32)?);
        if count > u64::from(u32::MAX) || tokens > u64::from(u32::MAX) || count > tokens {
            return Err(bad(16, format!("{count} sequences of {tokens} tokens cannot be")));
        }
        if length > 0 && count.checked_mul(length) != Some(tokens) {
            return Err(bad(32, format!("{count} sequences of length {length} do not make {tokens} tokens")));
        }
        // Both counts fit 32 bits, so this cannot overflow 64.
        let ends_bytes = if length == 0 { count * 4 } else { 0 };
        let expected = HEADER as u64 + ends_bytes + tokens * u64::from(width);
        if expected != bytes.len() as u64 {
            return Err(bad(bytes.len(), format!("{expected} bytes are expected from the header")));
        }
        let (ends, ids) = bytes[HEADER..].split_at(ends_bytes as usize);
        let word = |b: &[u8]| b.try_into().map_or(0, u32::from_le_bytes);
        let ends = match length {
            0 => Ends::At(ends.chunks_exact(4).map(word).collect()),
            length => Ends::Every(length as usize, count as usize),
        };
        if let Ends::At(ends) = &ends {
            let falls = ends.iter().scan(0, |before, end| Some(std::mem::replace(before, *end) >= *end));
            if let Some(at) = falls.clone().position(|falls| falls) {
                return Err(bad(HEADER + at * 4, "ends that do not rise".into()));
            }
            if ends.last().map_or(0, |end| u64::from(*end)) != tokens {
                return Err(bad(HEADER, format!("the last sequence does not end at {tokens}")));
            }
        }
        let ids = match width {
            2 => {
                Ids::Narrow(ids.chunks_exact(2).map(|b| b.try_into().map_or(0, u16::from_le_bytes)).collect())
            }
            _ => Ids::Wide(ids.chunks_exact(4).map(word).collect()),
        };
        let trie = TokenTrie::indexed_when_sorted(ids, ends)
            .map_err(|rank| bad(HEADER, format!("sequence {rank} is not greater than the one before")))?;
        Ok(trie)
    }

    fn indexed_when_sorted(ids: Ids, ends: Ends) -> Result<TokenTrie, usize> {
        // The index walks ranges and so needs the order; it is checked on the bare arrays first.
        let span = |rank: usize| match &ends {
            Ends::Every(length, _) => rank * length..(rank + 1) * length,
            Ends::At(ends) => (if rank == 0 { 0 } else { ends[rank - 1] as usize })..ends[rank] as usize,
        };
        let count = match &ends {
            Ends::At(ends) => ends.len(),
            Ends::Every(_, count) => *count,
        };
        for rank in 1..count {
            let (before, this) = (span(rank - 1), span(rank));
            if !before.map(|at| ids.get(at)).lt(this.map(|at| ids.get(at))) {
                return Err(rank);
            }
        }
        Ok(TokenTrie::indexed(ids, ends))
    }
}
