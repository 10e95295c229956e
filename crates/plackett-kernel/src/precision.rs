//! In which numbers a model's matrices are multiplied.

/// Number format of the matrices during a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As the file has them: int8 when it was quantised, the blocks of a GGUF file in as many bits as they have there
    /// (4 or, for 5 to 8, 8) with int8 activations (a scale per 32), f32 otherwise.
    #[default]
    Auto,
    /// f32 weights and activations.
    F32,
    /// int8 weights (a scale per output) and u8 activations (scale and zero point per row).
    Int8,
}
