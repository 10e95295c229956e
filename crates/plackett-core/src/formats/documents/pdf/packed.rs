//! Whether packed parts of a PDF are whole. The library gives what comes before the damage as if it were all.

use super::reader::LARGEST_STREAM;
use flate2::{Decompress, FlushDecompress, Status};
use lopdf::{Object, Stream};

/// The filter of nearly all streams.
const DEFLATE: &[u8] = b"FlateDecode";
/// Bytes of the header that stands before deflated bytes.
const HEADER: usize = 2;

/// Whether a stream unpacks, and to its end.
pub(super) fn unpacks(stream: &Stream) -> bool {
    ends(stream) && stream.get_plain_content_with_limit(LARGEST_STREAM).is_ok()
}

/// Whether what a stream unpacks to, as far as it does, comes to its end.
pub(super) fn ends(stream: &Stream) -> bool {
    let filters = stream.filters().unwrap_or_default();
    match filters.iter().position(|filter| *filter == DEFLATE) {
        None => true,
        Some(0) => inflates(&stream.content),
        Some(at) => behind(stream, &filters[..at]).is_some_and(|bytes| inflates(&bytes)),
    }
}

/// The bytes of a stream behind its first filters.
fn behind(stream: &Stream, filters: &[&[u8]]) -> Option<Vec<u8>> {
    let mut dict = stream.dict.clone();
    let names = filters.iter().map(|filter| Object::Name(filter.to_vec())).collect();
    dict.set("Filter", Object::Array(names));
    Stream::new(dict, stream.content.clone()).get_plain_content_with_limit(LARGEST_STREAM).ok()
}

/// Whether deflated bytes come to the end that they mark themselves. The checksum behind it is not asked for: programs that write a
/// wrong one lose no text.
fn inflates(bytes: &[u8]) -> bool {
    let Some(deflated) = bytes.get(HEADER..) else { return bytes.is_empty() };
    let mut inflate = Decompress::new(false);
    let mut unpacked = vec![0; 1 << 16];
    // What unpacks to more is refused elsewhere.
    while inflate.total_out() <= LARGEST_STREAM as u64 {
        let before = (inflate.total_in(), inflate.total_out());
        let rest = deflated.get(before.0 as usize..).unwrap_or_default();
        match inflate.decompress(rest, &mut unpacked, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return true,
            Ok(_) if (inflate.total_in(), inflate.total_out()) != before => {}
            _ => return false,
        }
    }
    true
}
