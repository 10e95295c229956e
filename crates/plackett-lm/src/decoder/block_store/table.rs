//! Header and table of a file of blocks, read from bytes and checked against their number.
//!
//! Layout, little-endian. 128 bytes of header: 8 magic, u32 version, u32 number format (0 f32, 1 f16, 2 int8), u32
//! layers, u32 heads of keys, u32 numbers per head, u32 tokens of a panel of keys, 32 bytes fingerprint of the model, u64
//! first byte of the table, u64 number of blocks, u32 tokens of the prefix, u32 CRC-32 of the table, zeros, and in the
//! last four bytes the CRC-32 of the header before them. Then the segments, that of the prefix first, each at a multiple
//! of 64 bytes. The table reaches to the end of the file: the prefix's token ids (u32 each), where its segment begins
//! (u64) and its CRC-32 (u32), zeros (u32); for each block, ascending by id, where its segment begins (u64), its tokens
//! (u32), its CRC-32 (u32) and where its id ends among the ids (u64); all ids end to end in UTF-8.

use crate::decoder::kv::format::CacheFormat;
use crate::decoder::kv::format::KvDims;
use crate::decoder::kv::mapped::{ALIGNMENT, stored};
use crate::error::LmError;
use plackett_kernel::TILE_COLUMNS;
use std::ops::Range;
use std::path::Path;

pub(crate) const MAGIC: &[u8; 8] = b"PLKTBLK\0";
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER: usize = 128;
/// Bytes of the prefix's segment in the table, and of each block.
const PREFIX_ENTRY: usize = 16;
const ENTRY: usize = 24;

/// What header and table of a file of blocks say, checked against its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockTable {
    pub(crate) format: CacheFormat,
    pub(crate) dims: KvDims,
    pub(crate) fingerprint: [u8; 32],
    /// The tokens that all blocks continue.
    pub(crate) prefix: Vec<u32>,
    /// Their segment, when there are any.
    pub(crate) prefix_place: Option<Extent>,
    /// Ids end to end.
    pub(crate) names: String,
    pub(crate) entries: Vec<BlockRecord>,
}

/// A segment in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub start: usize,
    pub length: usize,
    pub tokens: u32,
    pub crc: u32,
}

/// A block: its id among the names and its segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockRecord {
    pub name: Range<usize>,
    pub place: Extent,
}

impl BlockTable {
    /// Id, tokens and bytes in the file of each block, ascending by id.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = (&str, usize, Range<usize>)> {
        self.entries.iter().map(|entry| {
            let Extent { start, length, tokens, .. } = entry.place;
            (&self.names[entry.name.clone()], tokens as usize, start..start + length)
        })
    }

    /// The tokens that all blocks continue.
    pub fn prefix_tokens(&self) -> &[u32] {
        &self.prefix
    }

    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.entries.binary_search_by(|entry| self.names[entry.name.clone()].cmp(id)).ok()
    }
}

pub(crate) fn code(format: CacheFormat) -> u32 {
    match format {
        CacheFormat::F32 => 0,
        CacheFormat::F16 => 1,
        CacheFormat::Int8 => 2,
        CacheFormat::Int16 => 3,
    }
}

/// Reads header and table of the bytes of a file of blocks; `path` is for messages. Everything that it names lies in the
/// bytes. The numbers themselves are not read: [`BlockStore::verify`](crate::decoder::BlockStore::verify) does.
///
/// # Errors
/// [`LmError::BlockStore`] with the byte and what is wrong there.
pub fn parse_block_table(bytes: &[u8], path: &Path) -> Result<BlockTable, LmError> {
    let reader = Reader { bytes, path };
    let (format, dims) = reader.header()?;
    let table = reader.long(64)?;
    let end = bytes.len() as u64;
    if table < HEADER as u64 || table > end {
        return reader.bad(64, format!("the table begins at byte {table}, the file has {end} bytes"));
    }
    let table = table as usize;
    if crc32fast::hash(&bytes[table..]) != reader.word(84)? {
        return reader.bad(table, "the table is not what was written, or the file is cut off".into());
    }
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(&bytes[32..64]);
    let tokens = reader.word(80)?;
    let segments = SegmentReader { reader, format, dims, end: table };
    let own = table as u64 + 4 * u64::from(tokens);
    let entries_at = own + PREFIX_ENTRY as u64;
    let names_at = u128::from(reader.long(72)?) * ENTRY as u128 + u128::from(entries_at);
    if names_at > u128::from(end) {
        let problem = format!("{} blocks do not fit the file of {end} bytes", reader.long(72)?);
        return reader.bad(72, problem);
    }
    let (own, entries_at, names_at) = (own as usize, entries_at as usize, names_at as usize);
    let prefix = (table..own).step_by(4).map(|at| reader.word(at)).collect::<Result<_, _>>()?;
    let prefix_place = match tokens {
        0 => None,
        _ => Some(segments.read(own, tokens, reader.word(own + 8)?)?),
    };
    let names = match std::str::from_utf8(&bytes[names_at..]) {
        Ok(names) => names.to_string(),
        Err(error) => return reader.bad(names_at + error.valid_up_to(), "an id is not UTF-8".into()),
    };
    let mut entries: Vec<BlockRecord> = Vec::with_capacity((names_at - entries_at) / ENTRY);
    for at in (entries_at..names_at).step_by(ENTRY) {
        let name = reader.name(at + 16, &names, entries.last().map(|entry| entry.name.clone()))?;
        let place = segments.read(at, reader.word(at + 8)?, reader.word(at + 12)?)?;
        entries.push(BlockRecord { name, place });
    }
    if entries.last().map_or(0, |entry| entry.name.end) != names.len() {
        return reader.bad(names_at, "there are more ids than blocks".into());
    }
    segments.apart(prefix_place.iter().chain(entries.iter().map(|entry| &entry.place)))?;
    Ok(BlockTable { format, dims, fingerprint, prefix, prefix_place, names, entries })
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    path: &'a Path,
}

impl Reader<'_> {
    fn bad<T>(&self, offset: usize, problem: String) -> Result<T, LmError> {
        Err(LmError::BlockStore { path: self.path.to_path_buf(), offset: offset as u64, problem })
    }

    fn fixed<const N: usize>(&self, at: usize) -> Result<[u8; N], LmError> {
        match self.bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(bytes) => Ok(*bytes),
            None => self.bad(self.bytes.len(), format!("the file ends before byte {}", at + N)),
        }
    }

    fn word(&self, at: usize) -> Result<u32, LmError> {
        Ok(u32::from_le_bytes(self.fixed(at)?))
    }

    fn long(&self, at: usize) -> Result<u64, LmError> {
        Ok(u64::from_le_bytes(self.fixed(at)?))
    }

    /// Number format and sizes, after magic, version and checksum.
    fn header(&self) -> Result<(CacheFormat, KvDims), LmError> {
        if self.bytes.get(..8) != Some(&MAGIC[..]) {
            return self.bad(0, "not a block store".into());
        }
        // Before the checksum: another version may have another header.
        let version = self.word(8)?;
        if version != VERSION {
            return self.bad(8, format!("version {version} of the file, version {VERSION} is read"));
        }
        let crc = self.word(HEADER - 4)?;
        if crc32fast::hash(&self.bytes[..HEADER - 4]) != crc {
            return self.bad(HEADER - 4, "the header is not what was written".into());
        }
        let format = match self.word(12)? {
            0 => CacheFormat::F32,
            1 => CacheFormat::F16,
            2 => CacheFormat::Int8,
            3 => CacheFormat::Int16,
            other => return self.bad(12, format!("number format {other} is unknown")),
        };
        let [layers, heads, size] = [16, 20, 24].map(|at| self.word(at));
        let dims = KvDims { layers: layers? as usize, heads: heads? as usize, size: size? as usize };
        if dims.layers == 0 || dims.heads == 0 || dims.size == 0 {
            return self.bad(16, "layers, heads or numbers per head are 0".into());
        }
        let panel = self.word(28)?;
        if panel as usize != TILE_COLUMNS {
            return self.bad(28, format!("panels of {panel} keys, {TILE_COLUMNS} are read"));
        }
        Ok((format, dims))
    }

    /// Where an id lies among all, after the one before it and greater than that.
    fn name(&self, at: usize, names: &str, before: Option<Range<usize>>) -> Result<Range<usize>, LmError> {
        let start = before.as_ref().map_or(0, |before| before.end);
        let end = usize::try_from(self.long(at)?).unwrap_or(usize::MAX);
        let Some(name) = names.get(start..end) else {
            return self.bad(at, format!("an id at {start}..{end} of {} bytes of ids", names.len()));
        };
        if before.is_some_and(|before| names[before] >= *name) {
            return self.bad(at, format!("`{name}` does not follow in the order of ids"));
        }
        Ok(start..end)
    }
}

/// Reads where segments lie in this file.
struct SegmentReader<'a> {
    reader: Reader<'a>,
    format: CacheFormat,
    dims: KvDims,
    /// First byte after all segments.
    end: usize,
}

impl SegmentReader<'_> {
    fn read(&self, at: usize, tokens: u32, crc: u32) -> Result<Extent, LmError> {
        let start = self.reader.long(at)?;
        if tokens == 0 {
            return self.reader.bad(at, "a segment without tokens".into());
        }
        let length = stored(self.dims, tokens as usize, self.format).map(|(length, _)| length);
        let fits = length.filter(|length| {
            let end = start.checked_add(*length as u64);
            start >= HEADER as u64 && end.is_some_and(|end| end <= self.end as u64)
        });
        let Some(length) = fits.filter(|_| start.is_multiple_of(ALIGNMENT as u64)) else {
            let problem = format!(
                "a segment of {tokens} tokens at byte {start} does not lie in bytes {HEADER}..{} at a multiple of \
                 {ALIGNMENT}",
                self.end
            );
            return self.reader.bad(at, problem);
        };
        Ok(Extent { start: start as usize, length, tokens, crc })
    }

    /// Refuses segments that lie in one another.
    fn apart<'p>(&self, places: impl Iterator<Item = &'p Extent>) -> Result<(), LmError> {
        let mut all: Vec<(usize, usize)> = places.map(|place| (place.start, place.length)).collect();
        all.sort_unstable();
        match all.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
            Some(pair) => self.reader.bad(pair[1].0, "two segments have this byte".into()),
            None => Ok(()),
        }
    }
}

impl BlockTable {
    /// The bytes of the header of a file whose table is `table`, at that byte.
    pub(crate) fn header_bytes(&self, table_at: u64, table: &[u8]) -> [u8; HEADER] {
        let mut out = Vec::with_capacity(HEADER);
        out.extend(MAGIC);
        let KvDims { layers, heads, size } = self.dims;
        let words =
            [VERSION, code(self.format), layers as u32, heads as u32, size as u32, TILE_COLUMNS as u32];
        words.iter().for_each(|word| out.extend(word.to_le_bytes()));
        out.extend(self.fingerprint);
        out.extend(table_at.to_le_bytes());
        out.extend((self.entries.len() as u64).to_le_bytes());
        out.extend((self.prefix.len() as u32).to_le_bytes());
        out.extend(crc32fast::hash(table).to_le_bytes());
        out.resize(HEADER - 4, 0);
        let crc = crc32fast::hash(&out);
        out.extend(crc.to_le_bytes());
        let mut header = [0; HEADER];
        header.copy_from_slice(&out);
        header
    }

    /// The bytes of the table.
    pub(crate) fn table_bytes(&self) -> Vec<u8> {
        let mut out: Vec<u8> = self.prefix.iter().flat_map(|id| id.to_le_bytes()).collect();
        let (start, crc) = self.prefix_place.map_or((0, 0), |place| (place.start as u64, place.crc));
        out.extend(start.to_le_bytes());
        out.extend(crc.to_le_bytes());
        out.extend([0; 4]);
        for BlockRecord { name, place } in &self.entries {
            out.extend((place.start as u64).to_le_bytes());
            out.extend(place.tokens.to_le_bytes());
            out.extend(place.crc.to_le_bytes());
            out.extend((name.end as u64).to_le_bytes());
        }
        out.extend(self.names.as_bytes());
        out
    }
}
