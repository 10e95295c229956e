use super::*;

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect()
}

fn by_hand(x: &[f32], w: &[f32], b: &[f32], inputs: usize) -> Vec<f64> {
    x.chunks_exact(inputs)
        .flat_map(|x| {
            w.chunks_exact(inputs).zip(b).map(move |(w, b)| {
                *b as f64 + x.iter().zip(w).map(|(x, w)| *x as f64 * *w as f64).sum::<f64>()
            })
        })
        .collect()
}

fn isas() -> Vec<Isa> {
    let mut isas = vec![Isa::Portable, Isa::detect()];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        isas.push(Isa::Avx2);
    }
    isas
}

#[test]
fn every_instruction_set_agrees_with_double_precision() {
    for isa in isas() {
        for (rows, inputs, outputs) in [(1, 3, 5), (12, 32, 32), (13, 20, 70), (29, 384, 33), (127, 44, 40)] {
            let (x, w, b) = (numbers(rows * inputs, 1), numbers(inputs * outputs, 2), numbers(outputs, 3));
            let expected = by_hand(&x, &w, &b, inputs);
            let mut y = vec![0.0; rows * outputs];
            let run = |layer: &Linear, y: &mut [f32]| {
                let scratch = &mut LinearScratch::default();
                layer.apply(isa, (&x, inputs), rows, (y, outputs), Activation::None, scratch);
            };
            run(&Linear::from_f32(&w, &b, outputs, inputs), &mut y);
            for (y, e) in y.iter().zip(&expected) {
                assert!((*y as f64 - e).abs() < 1e-5, "{isa:?}: {y} for {e}");
            }
            run(&Linear::quantized(&w, &b, outputs, inputs), &mut y);
            let step = 0.01 * (inputs as f64).sqrt();
            for (y, e) in y.iter().zip(&expected) {
                assert!((*y as f64 - e).abs() < step, "{isa:?} int8: {y} for {e}");
            }
        }
    }
}

#[test]
fn integer_products_do_not_saturate() {
    // 255 · 127 added four times overflows 16 bits: the instruction sets must all give the same integers.
    let (x, w) = (vec![1.0; 8], vec![1.0; 8]);
    for isa in isas() {
        let layer = Linear::quantized(&w, &[], 1, 8);
        let mut y = [0.0];
        layer.apply(isa, (&x, 8), 1, (&mut y, 1), Activation::None, &mut LinearScratch::default());
        assert!((y[0] - 8.0).abs() < 1e-4, "{isa:?}: {}", y[0]);
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let (inputs, outputs) = (40, 45);
    let (x, w, b) = (numbers(31 * inputs, 4), numbers(inputs * outputs, 5), numbers(outputs, 6));
    for layer in [Linear::from_f32(&w, &b, outputs, inputs), Linear::quantized(&w, &b, outputs, inputs)] {
        let scratch = &mut LinearScratch::default();
        let isa = Isa::detect();
        let mut together = vec![0.0; 31 * outputs];
        layer.apply(isa, (&x, inputs), 31, (&mut together, outputs), Activation::Gelu, scratch);
        for row in 0..31 {
            let mut alone = vec![0.0; outputs];
            let own = &x[row * inputs..(row + 1) * inputs];
            layer.apply(isa, (own, inputs), 1, (&mut alone, outputs), Activation::Gelu, scratch);
            assert_eq!(alone, together[row * outputs..(row + 1) * outputs]);
        }
    }
}

#[test]
fn columns_split_over_tasks_are_the_same_numbers() {
    let (inputs, outputs) = (40, 145);
    let (x, w, b) = (numbers(31 * inputs, 4), numbers(inputs * outputs, 5), numbers(outputs, 6));
    for layer in [Linear::from_f32(&w, &b, outputs, inputs), Linear::quantized(&w, &b, outputs, inputs)] {
        let scratch = &mut LinearScratch::default();
        for isa in isas() {
            for (rows, stride) in [(1, outputs), (3, outputs + 7), (31, outputs)] {
                let mut expected = vec![9.0; rows * stride];
                layer.apply(isa, (&x, inputs), rows, (&mut expected, stride), Activation::Silu, scratch);
                for workers in [1, 2, 3, 50] {
                    let mut y = vec![9.0; rows * stride];
                    let out = (&mut y[..], stride);
                    layer.apply_wide(isa, (&x, inputs), rows, out, Activation::Silu, workers, scratch);
                    assert_eq!(y, expected, "{isa:?}, {rows} rows, {workers} workers");
                }
            }
        }
    }
}

#[test]
fn chosen_outputs_are_those_of_the_whole_layer() {
    let (inputs, outputs, rows) = (42, 145, 14);
    let (x, w, b) = (numbers(rows * inputs, 4), numbers(inputs * outputs, 5), numbers(outputs, 6));
    for layer in [Linear::from_f32(&w, &b, outputs, inputs), Linear::quantized(&w, &b, outputs, inputs)] {
        let scratch = &mut LinearScratch::default();
        for isa in isas() {
            let mut whole = vec![0.0; rows * outputs];
            layer.apply(isa, (&x, inputs), rows, (&mut whole, outputs), Activation::None, scratch);
            for ids in [&[][..], &[144], &[3, 3, 0], &(0..145).rev().step_by(3).collect::<Vec<u32>>()] {
                let mut y = vec![0.0; rows * ids.len()];
                layer.chosen(isa, (&x, inputs), rows, ids, (&mut y, ids.len()), scratch);
                let expected =
                    whole.chunks_exact(outputs).flat_map(|row| ids.iter().map(|id| row[*id as usize]));
                assert_eq!(y, expected.collect::<Vec<f32>>(), "{isa:?} {ids:?}");
            }
        }
    }
}

#[test]
fn a_row_of_weights_can_be_had_back() {
    for (inputs, outputs) in [(42, 45), (64, 33)] {
        let w = numbers(inputs * outputs, 5);
        let layers = [
            (Linear::from_f32(&w, &[], outputs, inputs), 0.0),
            (Linear::quantized(&w, &[], outputs, inputs), 0.01),
        ];
        for (layer, tolerance) in layers {
            let mut row = vec![0.0; inputs];
            for id in 0..outputs {
                layer.row(id, &mut row);
                for (found, expected) in row.iter().zip(&w[id * inputs..]) {
                    assert!((found - expected).abs() <= tolerance, "{found} for {expected}");
                }
            }
        }
    }
}
