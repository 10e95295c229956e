//! Plain, gzip and zstd bytes as files hold them. Lines and bytes are the same content; memory stays bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_core::formats::open_bytes;
use std::io::Read;

/// A few bytes may unpack to gigabytes; what is beyond this is left unread.
const MOST: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((whole, complete)) = unpacked(data, usize::MAX) else { return };
    // Small reads take other ways through the decoders.
    let (pieces, same) = unpacked(data, 7).expect("opened before");
    assert_eq!(complete, same);
    assert_eq!(whole, pieces);
    let packed = data.starts_with(&[0x1f, 0x8b]) || data.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    if !packed {
        let unmarked = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
        assert!(complete && whole == unmarked, "plain bytes were changed");
    }
});

/// The first [`MOST`] unpacked bytes, and whether no error came among them.
fn unpacked(data: &[u8], step: usize) -> Option<(Vec<u8>, bool)> {
    let mut reader = open_bytes(data, "bytes").ok()?.take(MOST);
    let mut content = Vec::new();
    let mut buffer = vec![0; step.min(1 << 16)];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Some((content, true)),
            Ok(count) => content.extend_from_slice(&buffer[..count]),
            Err(_) => return Some((content, false)),
        }
    }
}
