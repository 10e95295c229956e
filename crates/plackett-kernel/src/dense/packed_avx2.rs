//! The block kernel for AVX2: up to three rows by 16 outputs at a time.
//!
//! `vpmaddubsw` adds two products in 16 bits. Codes of 4 bits leave room for the products of a whole span (8 quads ·
//! 2 · 15 · 127 < 2¹⁵), codes of up to 6 bits for two products (2 · 63 · 127 < 2¹⁵); codes of 8 bits are widened first.
//!
//! Safety: as in `packed_avx512`, for AVX2, FMA and F16C.

use crate::dense::blockwise::SpanScale;
use crate::dense::layout::{CacheLine, LAYOUTS, SPAN};
use crate::sizes::TILE_COLUMNS;
use crate::tile::operands::TileOutput;
use std::arch::x86_64::*;

const MOST: usize = 3;

/// Any number of rows.
pub(crate) unsafe fn tile(
    layout: usize,
    (x, stride): (*const u8, usize),
    scales: *const SpanScale,
    depth: usize,
    count: usize,
    panel: &[CacheLine],
    start: &[f32; TILE_COLUMNS],
    out: TileOutput,
) {
    let mut first = 0;
    while first < count {
        let rows = MOST.min(count - first);
        unsafe {
            let x = (x.add(first * stride), stride);
            let scales = scales.add(first * (depth / SPAN));
            let out = TileOutput { y: out.y.add(first * out.stride), stride: out.stride };
            let panel = panel.as_ptr();
            match layout {
                0 => by_count::<0>(rows, x, scales, depth, panel, start, out),
                1 => by_count::<1>(rows, x, scales, depth, panel, start, out),
                2 => by_count::<2>(rows, x, scales, depth, panel, start, out),
                3 => by_count::<3>(rows, x, scales, depth, panel, start, out),
                4 => by_count::<4>(rows, x, scales, depth, panel, start, out),
                5 => by_count::<5>(rows, x, scales, depth, panel, start, out),
                6 => by_count::<6>(rows, x, scales, depth, panel, start, out),
                _ => by_count::<7>(rows, x, scales, depth, panel, start, out),
            }
        }
        first += rows;
    }
}

#[inline(always)]
unsafe fn by_count<const LAYOUT: usize>(
    rows: usize,
    x: (*const u8, usize),
    scales: *const SpanScale,
    depth: usize,
    panel: *const CacheLine,
    start: &[f32; TILE_COLUMNS],
    out: TileOutput,
) {
    for part in 0..2 {
        unsafe {
            match rows {
                1 => few::<1, LAYOUT>(part, x, scales, depth, panel, start, out),
                2 => few::<2, LAYOUT>(part, x, scales, depth, panel, start, out),
                _ => few::<3, LAYOUT>(part, x, scales, depth, panel, start, out),
            }
        }
    }
}

/// Outputs 8·part..8·part + 8 and those 16 after them.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn few<const R: usize, const LAYOUT: usize>(
    part: usize,
    (x, stride): (*const u8, usize),
    scales: *const SpanScale,
    depth: usize,
    panel: *const CacheLine,
    start: &[f32; TILE_COLUMNS],
    out: TileOutput,
) {
    unsafe {
        let layout = const { LAYOUTS[LAYOUT] };
        let column = 8 * part;
        let start = start.as_ptr().add(column);
        let mut sums = [[_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(16))]; R];
        let spans = depth / SPAN;
        let mut lines: *const u8 = panel.cast();
        for block in 0..depth / layout.block_len() {
            let head = lines.add(2 * column);
            lines = lines.add(64 * layout.head_lines());
            for within in 0..layout.block_len() / SPAN {
                let span = block * (layout.block_len() / SPAN) + within;
                let small = lines.add(column);
                lines = lines.add(64 * layout.nested as usize);
                let codes = lines.add(32 * part);
                let at = At { x: x.add(span * SPAN), stride, scales: scales.add(span), spans, codes };
                if layout.sixteens {
                    let products = integers::<R, LAYOUT, 0, 4>(at);
                    add::<R>(&mut sums, products, at, scale(head, Some(small)));
                    let products = integers::<R, LAYOUT, 4, 8>(at);
                    add::<R>(&mut sums, products, at, scale(head, Some(small.add(32))));
                } else {
                    let products = integers::<R, LAYOUT, 0, 8>(at);
                    add::<R>(&mut sums, products, at, scale(head, layout.nested.then_some(small)));
                }
                if layout.minimum {
                    let minima = scale(head.add(64), layout.nested.then_some(small.add(32)));
                    for r in 0..R {
                        let sum = _mm256_set1_ps((*at.scales.add(r * spans)).sum);
                        for half in 0..2 {
                            sums[r][half] = _mm256_fmadd_ps(minima[half], sum, sums[r][half]);
                        }
                    }
                }
                lines = lines.add(64 * layout.code_lines());
            }
        }
        for r in 0..R {
            let y = out.y.add(r * out.stride + column);
            _mm256_storeu_ps(y, sums[r][0]);
            _mm256_storeu_ps(y.add(16), sums[r][1]);
        }
    }
}

/// A span of some rows and of a part of a panel.
#[derive(Clone, Copy)]
struct At {
    x: *const u8,
    stride: usize,
    scales: *const SpanScale,
    spans: usize,
    codes: *const u8,
}

/// Twice eight scales from f16, times small scales where there are.
#[inline(always)]
unsafe fn scale(head: *const u8, small: Option<*const u8>) -> [__m256; 2] {
    unsafe {
        let half = |i: usize| {
            let scale = _mm256_cvtph_ps(_mm_loadu_si128(head.add(32 * i).cast()));
            match small {
                Some(small) => {
                    let small = _mm256_cvtepi8_epi32(_mm_loadl_epi64(small.add(16 * i).cast()));
                    _mm256_mul_ps(scale, _mm256_cvtepi32_ps(small))
                }
                None => scale,
            }
        };
        [half(0), half(1)]
    }
}

/// Σ x·(q − zero) of quads `FROM..TO` of a span.
#[inline(always)]
unsafe fn integers<const R: usize, const LAYOUT: usize, const FROM: usize, const TO: usize>(
    at: At,
) -> [[__m256i; 2]; R] {
    unsafe {
        let layout = const { LAYOUTS[LAYOUT] };
        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_si256(); 2]; R];
        // For wide codes: outputs 0–3 and 4–7 of each half, in two partial sums each.
        let mut wide = [[[_mm256_setzero_si256(); 2]; 2]; R];
        for k in FROM..TO {
            let [left, right] = if layout.four_bits {
                let both = _mm256_loadu_si256(at.codes.add(64 * k).cast());
                let mask = _mm256_set1_epi8(15);
                [both, _mm256_srli_epi16::<4>(both)].map(|codes| _mm256_and_si256(codes, mask))
            } else {
                let codes = at.codes.add(128 * k);
                [_mm256_loadu_si256(codes.cast()), _mm256_loadu_si256(codes.add(64).cast())]
            };
            for r in 0..R {
                let quad = at.x.add(r * at.stride + 4 * k).cast::<i32>().read_unaligned();
                for (half, codes) in [left, right].into_iter().enumerate() {
                    if layout.largest > 63 {
                        let quad = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(quad)));
                        let low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(codes));
                        let high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(codes));
                        let sums = &mut wide[r][half];
                        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(low, quad));
                        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(high, quad));
                        continue;
                    }
                    let pairs = _mm256_maddubs_epi16(codes, _mm256_set1_epi32(quad));
                    let sum = &mut sums[r][half];
                    *sum = if layout.four_bits {
                        _mm256_add_epi16(*sum, pairs)
                    } else {
                        _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones))
                    };
                }
            }
        }
        for r in 0..R {
            let own = &*at.scales.add(r * at.spans);
            let total = match (FROM, TO) {
                (0, 8) => own.total,
                (0, _) => own.first,
                _ => own.total - own.first,
            };
            for half in 0..2 {
                let mut sum = sums[r][half];
                if layout.four_bits {
                    sum = _mm256_madd_epi16(sum, ones);
                }
                if layout.largest > 63 {
                    let pairs = _mm256_hadd_epi32(wide[r][half][0], wide[r][half][1]);
                    sum = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
                }
                sums[r][half] = _mm256_sub_epi32(sum, _mm256_set1_epi32(total * layout.zero));
            }
        }
        sums
    }
}

#[inline(always)]
unsafe fn add<const R: usize>(
    sums: &mut [[__m256; 2]; R],
    products: [[__m256i; 2]; R],
    at: At,
    scales: [__m256; 2],
) {
    unsafe {
        for r in 0..R {
            let scale = _mm256_set1_ps((*at.scales.add(r * at.spans)).scale);
            for half in 0..2 {
                let product = _mm256_mul_ps(_mm256_cvtepi32_ps(products[r][half]), scales[half]);
                sums[r][half] = _mm256_fmadd_ps(product, scale, sums[r][half]);
            }
        }
    }
}
