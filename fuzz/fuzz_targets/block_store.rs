//! Header and table of block stores. Checksums are made right first, so that what lies behind them is reached. Every
//! segment lies inside the file, aligned, apart from the others; ids ascend.
#![no_main]

mod common;

use common::crc;
use libfuzzer_sys::fuzz_target;
use plackett_lm::decoder::parse_block_table;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let path = Path::new("documents.blocks");
    let _ = parse_block_table(data, path);
    let mut bytes = data.to_vec();
    if bytes.len() >= 128 {
        let table = u64::from_le_bytes(bytes[64..72].try_into().expect("8 bytes"));
        if let Some(table) = usize::try_from(table).ok().and_then(|at| bytes.get(at..)) {
            let table = crc(table);
            bytes[84..88].copy_from_slice(&table);
        }
        let header = crc(&bytes[..124]);
        bytes[124..128].copy_from_slice(&header);
    }
    let Ok(table) = parse_block_table(&bytes, path) else { return };
    let mut ends = Vec::new();
    let mut before = None;
    for (id, tokens, place) in table.blocks() {
        assert!(tokens > 0 && place.start >= 128 && place.start < place.end && place.end <= bytes.len());
        assert_eq!(place.start % 64, 0, "`{id}` is not aligned");
        assert!(before.is_none_or(|before| before < id), "`{id}` is out of order");
        before = Some(id);
        ends.push((place.start, place.end));
    }
    ends.sort_unstable();
    assert!(ends.windows(2).all(|pair| pair[0].1 <= pair[1].0), "segments overlap");
    assert!(4 * table.prefix_tokens().len() < bytes.len());
});
