//! Buffers that grow to what is needed and no further, so that what a budget counts is what is taken.

/// Gives a buffer that length. What was in it is of no worth when it has to grow: the old room is let go before the new
/// one is asked for.
pub fn fit<T: Clone + Default>(buffer: &mut Vec<T>, length: usize) {
    reserve(buffer, length);
    buffer.resize(length, T::default());
}

/// Gives a buffer room for that length, as [`fit`] does.
pub fn reserve<T>(buffer: &mut Vec<T>, length: usize) {
    if buffer.capacity() < length {
        *buffer = Vec::new();
        buffer.reserve_exact(length);
    }
}
