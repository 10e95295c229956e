//! The instruction sets that kernels are written for, and how weights are laid out for each.

use crate::sizes::{MOST_BLOCK_ROWS, TILE_COLUMNS, TILE_ROWS};
use std::sync::OnceLock;

/// Instruction sets that have kernels of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 F, BW and VNNI: 16 f32 or 64 int8 multiply-adds an instruction.
    Avx512Vnni,
    /// AVX-512 F and BW without VNNI: int8 runs on the AVX2 kernel.
    Avx512,
    /// AVX2, FMA and F16C. Int8 products are widened to 16 bits first, because `vpmaddubsw` saturates.
    Avx2,
    /// Plain Rust.
    Portable,
}

impl Isa {
    /// The best instruction set of this machine. `PLACKETT_ISA` (`avx512vnni`, `avx512`, `avx2`, `portable`) lowers it.
    pub fn detect() -> Isa {
        static ISA: OnceLock<Isa> = OnceLock::new();
        *ISA.get_or_init(|| {
            let best = Isa::best();
            match std::env::var("PLACKETT_ISA").as_deref() {
                Ok("portable") => Isa::Portable,
                Ok("avx2") if best != Isa::Portable => Isa::Avx2,
                Ok("avx512") if best == Isa::Avx512Vnni => Isa::Avx512,
                _ => best,
            }
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn best() -> Isa {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && Isa::has_avx2() {
            if is_x86_feature_detected!("avx512vnni") { Isa::Avx512Vnni } else { Isa::Avx512 }
        } else if Isa::has_avx2() {
            Isa::Avx2
        } else {
            Isa::Portable
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn best() -> Isa {
        Isa::Portable
    }

    /// Rows that go over a panel of weights together. With sixteen registers a pass of six rows takes sixteen columns of it
    /// only, which stay in the cache for as many rows as there are.
    pub(crate) fn panel_rows(self) -> usize {
        if self == Isa::Avx2 { MOST_BLOCK_ROWS } else { TILE_ROWS }
    }

    /// Columns of a strip of a panel of f32: what the kernel reads in one go lies in one piece.
    pub(crate) fn strip_f32(self) -> usize {
        if self == Isa::Avx2 { 16 } else { TILE_COLUMNS }
    }

    /// The same of int8.
    pub(crate) fn strip_i8(self) -> usize {
        if self.widens() { 8 } else { TILE_COLUMNS }
    }

    /// Whether int8 products are made from activations of 16 bits.
    pub(crate) fn widens(self) -> bool {
        matches!(self, Isa::Avx2 | Isa::Avx512)
    }

    /// A name for people.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512Vnni => "AVX-512 with VNNI",
            Isa::Avx512 => "AVX-512",
            Isa::Avx2 => "AVX2",
            Isa::Portable => "portable",
        }
    }
}
