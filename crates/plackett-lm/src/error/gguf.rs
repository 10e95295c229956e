//! What can be wrong in a GGUF file.

/// A fault of a GGUF file: what it concerns, where, and what it is.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("byte {offset}: {item}: {fault}")]
pub struct GgufError {
    /// The key or tensor, in words: ``key `llama.block_count` ``.
    pub item: String,
    /// Byte offset in the file.
    pub offset: u64,
    /// What is wrong.
    pub fault: GgufFault,
}

/// The kinds of faults.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GgufFault {
    /// The first four bytes are not `GGUF`.
    #[error("the file does not begin with `GGUF`; it is not a GGUF model")]
    Magic,
    /// A big-endian file.
    #[error("the file is big-endian; convert it to little-endian")]
    BigEndian,
    /// A version other than 2 and 3.
    #[error("version {0} is not read, 2 and 3 are; convert the model again")]
    Version(u32),
    /// The file ends inside an item.
    #[error("{needed} bytes are needed and {left} are left; the file is cut off: fetch it again")]
    Truncated {
        /// Bytes that the item needs.
        needed: u64,
        /// Bytes up to the end of the file.
        left: u64,
    },
    /// A count of entries that cannot be true for a file of this length.
    #[error(
        "a count of {count} needs at least {needed} bytes and {left} are left; the file is damaged: fetch it again"
    )]
    Count {
        /// The count.
        count: u64,
        /// Bytes that so many entries have at least.
        needed: u128,
        /// Bytes up to the end of the file.
        left: u64,
    },
    /// Text that is not UTF-8.
    #[error("the text is not UTF-8; the file is damaged: fetch it again")]
    Utf8,
    /// An unknown type of a metadata value.
    #[error("value type {0} is unknown (0 to 12 exist); the file is damaged or newer than this reader")]
    ValueType(u32),
    /// A truth value other than 0 and 1.
    #[error("a truth value is {0}, only 0 and 1 are; the file is damaged: fetch it again")]
    Bool(u8),
    /// Arrays of arrays of arrays.
    #[error("arrays are nested more than {0} deep; no model needs that")]
    Nesting(usize),
    /// A name that occurs twice.
    #[error("it occurs twice; the file is damaged: convert the model again")]
    Duplicate,
    /// Too many dimensions.
    #[error("{0} dimensions, 1 to 4 are possible; the file is damaged: fetch it again")]
    Dimensions(u32),
    /// Dimensions with a zero or a product that does not fit.
    #[error("the dimensions {0:?} have no usable product; the file is damaged: fetch it again")]
    Shape(Vec<u64>),
    /// A block format that is not read.
    #[error("stored as {0}; F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K are read")]
    BlockFormat(String),
    /// A row that is no whole number of blocks.
    #[error("rows of {row} numbers are not whole blocks of {block}; the file is damaged: fetch it again")]
    PartialBlock {
        /// Numbers in a row.
        row: u64,
        /// Numbers in a block.
        block: u64,
    },
    /// An alignment that is not a power of two.
    #[error("an alignment of {0} is not a power of two up to 2^20; convert the model again")]
    Alignment(u64),
    /// Data that do not begin at a multiple of the alignment.
    #[error("its data begin at {offset}, which is no multiple of {alignment}; the file is damaged")]
    Misaligned {
        /// Offset relative to the data section.
        offset: u64,
        /// The file's alignment.
        alignment: u64,
    },
    /// Data outside of the file.
    #[error(
        "its {length} bytes from byte {start} on are not inside the file of {file} bytes: fetch it again"
    )]
    OutsideFile {
        /// Where the data would begin.
        start: u128,
        /// Their length.
        length: u64,
        /// Length of the file.
        file: u64,
    },
    /// Two tensors that share bytes.
    #[error("its data overlap those of tensor `{0}`; the file is damaged: fetch it again")]
    Overlap(String),
    /// A key that a model must have.
    #[error("the key is missing; the file holds no complete model")]
    MissingKey,
    /// A value of another type than the key has.
    #[error("expected {expected}, found {found}")]
    Value {
        /// What the key needs.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}
