//! In which numbers keys and values are held, and how many of them there are.

use plackett_kernel::TILE_COLUMNS;

/// Number format of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheFormat {
    /// As computed.
    F32,
    /// Half the memory; errors of about 1 in 2,000.
    F16,
    /// Half the memory: a scale for each token, head and layer; errors of about 1 in 8,000 of the largest number. Where a
    /// model's products are made in integers, its attention rounds keys and values to these numbers anyway, so that its
    /// answers are those with [`CacheFormat::F32`], bit for bit.
    Int16,
    /// A quarter of the memory: a scale for each token, head and layer; errors of about 1 in 250 of the largest number.
    Int8,
}

/// Sizes of the keys and values of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KvDims {
    pub layers: usize,
    /// Heads of keys.
    pub heads: usize,
    /// Numbers per head.
    pub size: usize,
}

impl KvDims {
    pub(crate) fn padded(&self) -> usize {
        self.size.next_multiple_of(TILE_COLUMNS)
    }

    /// Numbers of one layer and head.
    pub(crate) fn head_len(&self, capacity: usize) -> usize {
        capacity * (self.size + self.padded())
    }

    /// Numbers and scales of a segment of that many tokens; `None` where they cannot be counted.
    pub(crate) fn lengths(&self, tokens: usize, format: CacheFormat) -> Option<(usize, usize)> {
        let capacity = rounded_checked(tokens)?;
        let heads = self.layers.checked_mul(self.heads)?;
        let head = self.size.checked_next_multiple_of(TILE_COLUMNS)?.checked_add(self.size)?;
        let numbers = heads.checked_mul(capacity)?.checked_mul(head)?;
        let scales = match format {
            CacheFormat::Int16 | CacheFormat::Int8 => heads.checked_mul(capacity)?.checked_mul(2)?,
            CacheFormat::F32 | CacheFormat::F16 => 0,
        };
        Some((numbers, scales))
    }

    /// Bytes of a segment of that many tokens.
    pub(crate) fn bytes(&self, tokens: usize, format: CacheFormat) -> usize {
        let capacity = rounded(tokens);
        let numbers = self.layers * self.heads * self.head_len(capacity);
        let scales = 8 * self.layers * self.heads * capacity;
        match format {
            CacheFormat::F32 => 4 * numbers,
            CacheFormat::F16 => 2 * numbers,
            CacheFormat::Int16 => 2 * numbers + scales,
            CacheFormat::Int8 => numbers + scales,
        }
    }
}

/// Whole panels, or one narrower panel.
pub(crate) fn rounded(tokens: usize) -> usize {
    if tokens <= TILE_COLUMNS { tokens } else { tokens.next_multiple_of(TILE_COLUMNS) }
}

fn rounded_checked(tokens: usize) -> Option<usize> {
    if tokens <= TILE_COLUMNS { Some(tokens) } else { tokens.checked_next_multiple_of(TILE_COLUMNS) }
}
