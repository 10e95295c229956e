//! Bytes of a memory-mapped file as the numbers that they are, without a copy.

use half::f16;

/// Bytes as f32 in the machine's order; `None` where the first byte or the length does not suit such numbers.
pub fn as_f32(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: every 32 bits are an f32, and `align_to` takes care of alignment and length.
    whole(unsafe { bytes.align_to() })
}

/// The same with f16.
pub fn as_f16(bytes: &[u8]) -> Option<&[f16]> {
    // SAFETY: f16 is a transparent wrapper of u16, and every 16 bits are one.
    whole(unsafe { bytes.align_to() })
}

/// The same with i16.
pub fn as_i16(bytes: &[u8]) -> Option<&[i16]> {
    // SAFETY: every 16 bits are an i16.
    whole(unsafe { bytes.align_to() })
}

/// The same with i8, which suit any bytes.
pub fn as_i8(bytes: &[u8]) -> Option<&[i8]> {
    // SAFETY: every byte is an i8.
    whole(unsafe { bytes.align_to() })
}

fn whole<'a, T>((before, numbers, after): (&'a [u8], &'a [T], &'a [u8])) -> Option<&'a [T]> {
    (before.is_empty() && after.is_empty()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_where_they_lie() {
        let floats = [1.0f32, -2.5, 3.25];
        let bytes: Vec<u8> = floats.iter().flat_map(|x| x.to_ne_bytes()).collect();
        // Somewhere in twice the room the bytes lie as an f32 would.
        let mut room = [0u8; 32];
        let at = room.as_ptr().align_offset(4);
        room[at..at + 12].copy_from_slice(&bytes);
        assert_eq!(as_f32(&room[at..at + 12]), Some(&floats[..]));
        assert_eq!(as_f32(&room[at + 1..at + 13]), None, "not aligned");
        assert_eq!(as_f32(&room[at..at + 11]), None, "not whole");
        assert_eq!(as_f16(&room[at + 1..at + 3]), None, "not aligned");
        assert_eq!(as_f16(&room[at..at + 12]).map(<[f16]>::len), Some(6));
        assert_eq!(as_i16(&room[at..at + 4]), Some(&[0, 16256][..]), "1.0 is 3f80 0000");
        assert_eq!(as_i16(&room[at + 1..at + 3]), None, "not aligned");
        assert_eq!(as_i8(&[255, 1]), Some(&[-1i8, 1][..]));
    }
}
