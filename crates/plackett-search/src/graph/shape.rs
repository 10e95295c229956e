//! A check of usearch's bytes before they are handed to it: it follows links without looking where they lead.
//!
//! Layout (usearch 2, little-endian): u32 rows, u32 bytes of a row, the rows; a head of 64 bytes; u64 size, connectivity,
//! connectivity of the lowest layer, top layer, entry; i16 top layer per node; then the nodes: u64 key, i16 top layer,
//! and per layer from the lowest a u32 number of links and room for all links that a node may have there, u32 each.

use super::entry::BYTES;

/// Links of a node in the upper layers and in the lowest one.
pub(super) const CONNECTIVITY: usize = 16;
const CONNECTIVITY_BASE: usize = 2 * CONNECTIVITY;
const HEAD: usize = 64;
/// Where the head has the bytes of a row again.
const HEAD_DIMENSIONS: usize = 33;
/// With sixteen links no graph of 32-bit numbers comes near.
const LAYERS: i16 = 32;

/// Reads bytes from the front; `None` behind the end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// Whether the bytes are a sound graph of `nodes` entries: every link leads to a node that has the link's layer.
pub(super) fn is_sound(bytes: &[u8], nodes: usize) -> bool {
    check(Bytes(bytes), nodes).is_some()
}

fn check(mut bytes: Bytes<'_>, nodes: usize) -> Option<()> {
    let holds = |condition: bool| condition.then_some(());
    holds(nodes > 0 && bytes.u32()? == nodes && bytes.u32()? == BYTES)?;
    bytes.take(nodes.checked_mul(BYTES)?)?;
    let mut head = Bytes(bytes.take(HEAD)?);
    head.take(HEAD_DIMENSIONS)?;
    holds(head.u64()? == BYTES as u64)?;
    holds(bytes.u64()? == nodes as u64)?;
    holds(bytes.u64()? == CONNECTIVITY as u64 && bytes.u64()? == CONNECTIVITY_BASE as u64)?;
    let (top, entry) = (bytes.u64()?, usize::try_from(bytes.u64()?).ok()?);
    let tops = bytes.take(nodes.checked_mul(2)?)?.as_chunks::<2>().0;
    let top_of = |node: usize| tops.get(node).map(|top| i16::from_le_bytes(*top));
    holds(i16::try_from(top).ok()? <= top_of(entry)?)?;
    for node in 0..nodes {
        let own = top_of(node)?;
        bytes.take(8)?;
        holds((0..LAYERS).contains(&own) && bytes.take(2)? == own.to_le_bytes())?;
        for layer in 0..=own {
            let room = if layer == 0 { CONNECTIVITY_BASE } else { CONNECTIVITY };
            let count = bytes.u32()?;
            let links = bytes.take(4 * room)?.as_chunks::<4>().0.get(..count)?;
            let leads =
                |link: &[u8; 4]| top_of(u32::from_le_bytes(*link) as usize).is_some_and(|t| t >= layer);
            holds(links.iter().all(leads))?;
        }
    }
    holds(bytes.0.is_empty())
}
