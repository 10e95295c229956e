//! The block kernel for AVX-512 with VNNI: up to six rows by 32 outputs, integer and f32 sums in registers.
//!
//! Safety, the same for all functions: `x` points to `count` rows of `depth` readable bytes, `stride` apart; `scales` to
//! `depth / 32` for each row; `panel` has the lines of `depth` inputs; `out` has `count` rows of 32 numbers; the
//! processor has AVX-512 F, BW and VNNI. `tile_packed` checks the lengths.

use crate::dense::blockwise::SpanScale;
use crate::dense::layout::{CacheLine, LAYOUTS, SPAN};
use crate::sizes::TILE_COLUMNS;
use crate::tile::operands::TileOutput;
use std::arch::x86_64::*;

/// Rows whose integer and f32 sums fit into 32 registers together with the codes.
const MOST: usize = 6;

/// Up to 12 rows in one or two equal parts.
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
    let part = count.div_ceil(count.div_ceil(MOST).max(1));
    let mut first = 0;
    while first < count {
        let rows = part.min(count - first);
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
    unsafe {
        match rows {
            1 => few::<1, LAYOUT>(x, scales, depth, panel, start, out),
            2 => few::<2, LAYOUT>(x, scales, depth, panel, start, out),
            3 => few::<3, LAYOUT>(x, scales, depth, panel, start, out),
            4 => few::<4, LAYOUT>(x, scales, depth, panel, start, out),
            5 => few::<5, LAYOUT>(x, scales, depth, panel, start, out),
            _ => few::<6, LAYOUT>(x, scales, depth, panel, start, out),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn few<const R: usize, const LAYOUT: usize>(
    (x, stride): (*const u8, usize),
    scales: *const SpanScale,
    depth: usize,
    panel: *const CacheLine,
    start: &[f32; TILE_COLUMNS],
    out: TileOutput,
) {
    unsafe {
        let layout = const { LAYOUTS[LAYOUT] };
        let start = [_mm512_loadu_ps(start.as_ptr()), _mm512_loadu_ps(start.as_ptr().add(16))];
        let mut sums = [start; R];
        let spans = depth / SPAN;
        let mut lines: *const u8 = panel.cast();
        for block in 0..depth / layout.block_len() {
            let head = lines;
            lines = lines.add(64 * layout.head_lines());
            for within in 0..layout.block_len() / SPAN {
                let span = block * (layout.block_len() / SPAN) + within;
                let small = lines;
                lines = lines.add(64 * layout.nested as usize);
                let at = At { x: x.add(span * SPAN), stride, scales: scales.add(span), spans, codes: lines };
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
                        let sum = _mm512_set1_ps((*at.scales.add(r * spans)).sum);
                        for half in 0..2 {
                            sums[r][half] = _mm512_fmadd_ps(minima[half], sum, sums[r][half]);
                        }
                    }
                }
                lines = lines.add(64 * layout.code_lines());
            }
        }
        for r in 0..R {
            let y = out.y.add(r * out.stride);
            _mm512_storeu_ps(y, sums[r][0]);
            _mm512_storeu_ps(y.add(16), sums[r][1]);
        }
    }
}

/// A span of some rows and of a panel.
#[derive(Clone, Copy)]
struct At {
    x: *const u8,
    stride: usize,
    scales: *const SpanScale,
    spans: usize,
    codes: *const u8,
}

/// 32 scales from f16, times small scales where there are.
#[inline(always)]
unsafe fn scale(head: *const u8, small: Option<*const u8>) -> [__m512; 2] {
    unsafe {
        let half = |i: usize| {
            let scale = _mm512_cvtph_ps(_mm256_loadu_si256(head.add(32 * i).cast()));
            match small {
                Some(small) => {
                    let small = _mm512_cvtepi8_epi32(_mm_loadu_si128(small.add(16 * i).cast()));
                    _mm512_mul_ps(scale, _mm512_cvtepi32_ps(small))
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
) -> [[__m512i; 2]; R] {
    unsafe {
        let layout = const { LAYOUTS[LAYOUT] };
        let mut sums = [[_mm512_setzero_si512(); 2]; R];
        if layout.zero != 0 {
            for (r, sums) in sums.iter_mut().enumerate() {
                let own = &*at.scales.add(r * at.spans);
                let total = match (FROM, TO) {
                    (0, 8) => own.total,
                    (0, _) => own.first,
                    _ => own.total - own.first,
                };
                *sums = [_mm512_set1_epi32(total * -layout.zero); 2];
            }
        }
        for k in FROM..TO {
            let [left, right] = if layout.four_bits {
                let both = _mm512_loadu_si512(at.codes.add(64 * k).cast());
                let mask = _mm512_set1_epi8(15);
                [both, _mm512_srli_epi16::<4>(both)].map(|codes| _mm512_and_si512(codes, mask))
            } else {
                let codes = at.codes.add(128 * k);
                [_mm512_loadu_si512(codes.cast()), _mm512_loadu_si512(codes.add(64).cast())]
            };
            for (r, sums) in sums.iter_mut().enumerate() {
                let quad = at.x.add(r * at.stride + 4 * k).cast::<i32>().read_unaligned();
                let quad = _mm512_set1_epi32(quad);
                sums[0] = _mm512_dpbusd_epi32(sums[0], left, quad);
                sums[1] = _mm512_dpbusd_epi32(sums[1], right, quad);
            }
        }
        sums
    }
}

#[inline(always)]
unsafe fn add<const R: usize>(
    sums: &mut [[__m512; 2]; R],
    products: [[__m512i; 2]; R],
    at: At,
    scales: [__m512; 2],
) {
    unsafe {
        for r in 0..R {
            let scale = _mm512_set1_ps((*at.scales.add(r * at.spans)).scale);
            for half in 0..2 {
                let product = _mm512_mul_ps(_mm512_cvtepi32_ps(products[r][half]), scales[half]);
                sums[r][half] = _mm512_fmadd_ps(product, scale, sums[r][half]);
            }
        }
    }
}
