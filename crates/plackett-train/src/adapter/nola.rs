//! NOLA: LoRA's matrices as sums of random matrices, of which only the coefficients are trained.

use super::attached::{Method, Shared};
use super::lora::{DROPOUT, dropped, free};
use super::site::{Site, choose};
use super::{
    AdapterSpec, Generator, OptionKind, OptionSpec, OptionValues, Parts, Request, basis, generated_linear,
};
use crate::TrainError;
use crate::engine::product;
use crate::nn::{LinearAdapter, init};
use crate::random::Stream;
use crate::tape::{Compute, ParameterId, Parameters, Tape, Var};
use plackett_kernel::Start;
use std::collections::HashMap;
use std::sync::Arc;

const COUNT: OptionKind = OptionKind::Integer(1, 1 << 20);

/// A = A₀ + Σ αᵢ Âᵢ / √k, B = Σ βⱼ B̂ⱼ / √l; only α and β are trained (Section 3.2, and the factor of the authors' code).
pub(super) static SPEC: AdapterSpec = AdapterSpec {
    name: "nola",
    aliases: &[],
    summary: "LoRA whose two matrices are sums of random matrices; only their coefficients are trained and saved.",
    paper: "Koohpayegani et al., NOLA: Compressing LoRA using linear combination of random basis, ICLR 2024",
    options: &[
        OptionSpec { name: "k", kind: COUNT, default: Some("512"), help: "random matrices for A" },
        OptionSpec {
            name: "l",
            kind: COUNT,
            default: None,
            help: "random matrices for B; as many as for A by itself",
        },
        super::lora::RANK,
        OptionSpec {
            name: "alpha",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("8"),
            help: "what the product is multiplied with, over the rank",
        },
        OptionSpec {
            name: "shared",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "whether layers of the same shape have the same random matrices",
        },
        OptionSpec {
            name: "cache",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "whether the random matrices, rank · (k·i + l·o) numbers a layer, stay in memory instead of being drawn in each pass",
        },
        OptionSpec {
            name: "chunk",
            kind: COUNT,
            default: Some("16"),
            help: "random matrices that are drawn at a time; changes memory and nothing else",
        },
        DROPOUT,
    ],
    formula: "k + l",
    count,
    needs_importance: false,
    attach,
};

fn bases(options: &OptionValues) -> (usize, usize) {
    let k = options.count("k");
    (k, if options.has("l") { options.count("l") } else { k })
}

fn count(options: &OptionValues, layers: &[(usize, usize)]) -> usize {
    let (k, l) = bases(options);
    layers.len() * (k + l)
}

/// Numbers of a matrix that one worker makes at a time.
const PIECE: usize = 2048;

/// A matrix as a sum: start + scale · Σ cᵢ Pᵢ, with Pᵢ evenly from \[−1, 1). Number `at` of Pᵢ is that of the stream's place
/// `i · numbers + at`.
#[derive(Debug)]
pub(super) struct Sum {
    /// outputs × inputs.
    shape: (usize, usize),
    /// Matrices of the sum.
    count: usize,
    basis: Stream,
    /// What the sum is added to: numbers evenly from ±bound; nothing for zeros.
    start: Option<(Stream, f32)>,
    /// What each coefficient is multiplied with.
    scale: f32,
    chunk: usize,
    /// The matrices, where they are kept: count × numbers.
    cache: Option<Arc<Vec<f32>>>,
}

impl Sum {
    fn numbers(&self) -> usize {
        self.shape.0 * self.shape.1
    }

    /// Calls `visit` with each matrix's index and its numbers from `at` on.
    fn each(&self, at: usize, length: usize, mut visit: impl FnMut(usize, &[f32])) {
        let numbers = self.numbers();
        if let Some(cache) = &self.cache {
            (0..self.count).for_each(|index| visit(index, &cache[index * numbers + at..][..length]));
            return;
        }
        let chunk = self.chunk.min(self.count).max(1);
        let mut drawn = vec![0.0; chunk * length];
        for first in (0..self.count).step_by(chunk) {
            let indices = first..(first + chunk).min(self.count);
            for (index, row) in indices.clone().zip(drawn.chunks_mut(length)) {
                self.basis.fill_uniform((index * numbers + at) as u64, row);
            }
            indices.zip(drawn.chunks(length)).for_each(|(index, row)| visit(index, row));
        }
    }
}

impl Generator for Sum {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn generate(&self, compute: &Compute, coefficients: &[&[f32]], weight: &mut [f32]) {
        compute.pieces(weight, PIECE, |at, out| {
            match self.start {
                Some((stream, bound)) => {
                    stream.fill_uniform(at as u64, out);
                    out.iter_mut().for_each(|x| *x *= bound);
                }
                None => out.fill(0.0),
            }
            self.each(at, out.len(), |index, basis| {
                let by = coefficients[0][index] * self.scale;
                if by != 0.0 {
                    out.iter_mut().zip(basis).for_each(|(out, basis)| *out += by * basis);
                }
            });
        });
    }

    /// The inner product of the gradient with each matrix of the sum (Section 3.2: the gradient of a coefficient).
    fn pull_back(&self, compute: &Compute, _: &[&[f32]], gradient: &[f32], sums: &mut [&mut [f32]]) {
        let numbers = self.numbers();
        compute.pieces(sums[0], 1, |index, sum| {
            let mut drawn = vec![0.0; PIECE.min(numbers)];
            let mut total = 0f64;
            for (piece, gradient) in gradient.chunks(PIECE).enumerate() {
                let at = index * numbers + piece * PIECE;
                let basis = match &self.cache {
                    Some(cache) => &cache[at..at + gradient.len()],
                    None => {
                        self.basis.fill_uniform(at as u64, &mut drawn[..gradient.len()]);
                        &drawn[..gradient.len()]
                    }
                };
                total += gradient.iter().zip(basis).map(|(g, p)| f64::from(*g) * f64::from(*p)).sum::<f64>();
            }
            sum[0] += (total * f64::from(self.scale)) as f32;
        });
    }
}

/// One layer's adapter.
#[derive(Clone, Debug)]
struct Layer {
    alpha: ParameterId,
    beta: ParameterId,
    /// rank × inputs.
    a: Arc<dyn Generator>,
    /// outputs × rank, with the adapter's scale.
    b: Arc<dyn Generator>,
    dropout: f32,
    place: usize,
    shared: Arc<Shared>,
}

impl LinearAdapter for Layer {
    fn forward(&self, tape: &Tape, x: &Var, y: &Var) -> Var {
        let (alpha, beta) = (tape.parameter(self.alpha), tape.parameter(self.beta));
        let x = dropped(tape, x, self.dropout, (&self.shared, self.place), &beta);
        let inner = generated_linear(tape, &x, &self.a, &[&alpha], None);
        generated_linear(tape, &inner, &self.b, &[&beta], Some(y))
    }

    fn weight_change(&self, parameters: &Parameters) -> Vec<f32> {
        let compute = Compute::new(1);
        let ((rank, inputs), (outputs, _)) = (self.a.shape(), self.b.shape());
        let (mut a, mut b) = (vec![0.0; rank * inputs], vec![0.0; outputs * rank]);
        self.a.generate(&compute, &[&parameters[self.alpha].value], &mut a);
        self.b.generate(&compute, &[&parameters[self.beta].value], &mut b);
        let mut change = vec![0.0; outputs * inputs];
        product(&compute, (&b, outputs), (&a, rank, inputs, false), &mut change, Start::Zero);
        change
    }
}

#[derive(Debug)]
struct Nola {
    layers: Vec<Layer>,
    check: String,
}

impl Method for Nola {
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        self.layers.iter().map(|layer| Arc::new(layer.clone()) as Arc<dyn LinearAdapter>).collect()
    }

    fn basis_check(&self) -> Option<String> {
        Some(self.check.clone())
    }
}

/// Which random matrices a stream has.
#[derive(Clone, Copy)]
enum Factor {
    BasisOfA,
    BasisOfB,
    StartOfA,
}

/// The stream of one layer, or with `shared` that of its shape, for a factor.
fn stream(seed: u64, (place, site): (usize, &Site), shared: bool, factor: Factor) -> Stream {
    let owner = match shared {
        true => (1 << 62) | (site.outputs as u64) << 31 | site.inputs as u64,
        false => place as u64,
    };
    Stream::new(seed, owner << 2 | factor as u64)
}

fn attach(request: Request) -> Result<Parts, TrainError> {
    let Request { options, parameters, model, targets, seed, shared, .. } = request;
    let (k, l) = bases(&options);
    let rank = options.count("rank");
    let sites: Vec<Site> = choose(model, targets)?.iter().map(|linear| Site::of(linear)).collect();
    let mut caches: HashMap<(Stream, usize), Arc<Vec<f32>>> = HashMap::new();
    let (mut layers, mut streams) = (Vec::new(), Vec::new());
    for (place, site) in sites.iter().enumerate() {
        let stream = |factor| stream(seed, (place, site), options.switch("shared"), factor);
        let mut sum = |factor, shape: (usize, usize), count: usize, start, scale: f32| {
            let basis = stream(factor);
            streams.push(basis);
            let numbers = count * shape.0 * shape.1;
            let cache = options.switch("cache").then(|| {
                let kept = caches.entry((basis, numbers));
                kept.or_insert_with(|| Arc::new(init::uniform(basis, numbers, 1.0))).clone()
            });
            let scale = scale / (count as f32).sqrt();
            Arc::new(Sum { shape, count, basis, start, scale, chunk: options.count("chunk"), cache })
        };
        let bound = 1.0 / (site.inputs as f32).sqrt();
        let start = Some((stream(Factor::StartOfA), bound));
        let a = sum(Factor::BasisOfA, (rank, site.inputs), k, start, 1.0);
        let scale = options.number("alpha") as f32 / rank as f32;
        let b = sum(Factor::BasisOfB, (site.outputs, rank), l, None, scale);
        let mut add = |part: &str, count: usize| {
            let name = free(parameters, format!("{}.{part}", site.name));
            parameters.add(name, (1, count), vec![0.0; count])
        };
        let (alpha, beta) = (add("nola_alpha", k), add("nola_beta", l));
        let dropout = options.number("dropout") as f32;
        layers.push(Layer { alpha, beta, a, b, dropout, place, shared: shared.clone() });
    }
    let check = basis::check(&streams[..2.min(streams.len())]);
    Ok(Parts { method: Box::new(Nola { layers, check }), sites })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_close};
    use super::super::{AdapterHeader, open, parse};
    use super::*;
    use crate::tape::Gradients;

    fn sum(chunk: usize, count: usize, cached: bool) -> Sum {
        let (shape, basis) = ((3, 1700), Stream::new(5, 1));
        let cache = cached.then(|| Arc::new(init::uniform(basis, count * 3 * 1700, 1.0)));
        let start = Some((Stream::new(5, 2), 0.5));
        Sum { shape, count, basis, start, scale: 0.3, chunk, cache }
    }

    #[test]
    fn chunks_threads_and_memory_change_no_bit() {
        let coefficients: Vec<f32> = (0..9).map(|at| at as f32 - 3.5).collect();
        let made = |sum: &Sum, workers: usize| {
            let mut weight = vec![0.0; 5100];
            sum.generate(&Compute::new(workers), &[&coefficients], &mut weight);
            let mut gradient = vec![0.0; 9];
            sum.pull_back(&Compute::new(workers), &[&coefficients], &weight, &mut [&mut gradient]);
            (weight, gradient)
        };
        let whole = made(&sum(9, 9, false), 1);
        for (chunk, cached, workers) in [(1, false, 1), (7, false, 2), (9, true, 1), (100, false, 3)] {
            assert_eq!(made(&sum(chunk, 9, cached), workers), whole, "{chunk} {cached} {workers}");
        }
    }

    #[test]
    fn what_is_kept_in_memory_is_what_would_be_drawn() {
        // Layers of 8 × 8, 12 × 8 and 8 × 12: some have as many numbers in A or in B, and yet streams of their own.
        for shared in [false, true] {
            let outputs = |cache: bool| {
                let mut toy = Toy::bert();
                let text = format!("nola(k=4, l=3, rank=2, shared={shared}, cache={cache})");
                let attached = toy.attach(&text, "all");
                toy.shake(&attached, 0.3);
                toy.outputs()
            };
            let drawn = outputs(false);
            assert_ne!(drawn, Toy::bert().outputs());
            assert_eq!(outputs(true), drawn, "shared={shared}");
        }
    }

    #[test]
    fn the_variance_of_a_sum_does_not_depend_on_its_length() {
        for count in [4, 64] {
            let basis = Sum { start: None, scale: 1.0 / (count as f32).sqrt(), ..sum(8, count, false) };
            let stream = Stream::new(8, count as u64);
            let mut totals = (0.0, 0.0);
            for draw in 0..8u64 {
                let deviation = 2.0;
                let at = |index: usize| deviation * stream.normal(draw * 64 + index as u64);
                let coefficients: Vec<f32> = (0..count).map(at).collect();
                let mut weight = vec![0.0; 5100];
                basis.generate(&Compute::new(1), &[&coefficients], &mut weight);
                let squares: f64 = weight.iter().map(|x| f64::from(*x).powi(2)).sum();
                // What these coefficients say, which themselves vary a lot when they are few.
                let own: f64 = coefficients.iter().map(|c| f64::from(*c).powi(2)).sum::<f64>() / count as f64;
                totals = (totals.0 + squares / 5100.0, totals.1 + own / 3.0);
            }
            assert!((totals.0 / totals.1 - 1.0).abs() < 0.03, "{count}: {totals:?}");
        }
    }

    #[test]
    fn it_begins_as_the_base_model_and_trains_k_plus_l_numbers_whatever_the_rank() {
        let before = Toy::bert().outputs();
        for rank in [1, 16] {
            let mut toy = Toy::bert();
            let attached = toy.attach(&format!("nola(k=5, l=3, rank={rank})"), "query,value");
            assert_eq!(toy.outputs(), before);
            assert_eq!(attached.trainable_count(&toy.parameters), 4 * 8);
            let mut gradients = Gradients::default();
            toy.loss_gradients(&mut gradients);
            for pair in attached.parameters().chunks(2) {
                assert!(gradients.get(pair[0]).unwrap().iter().all(|g| *g == 0.0));
                assert!(gradients.get(pair[1]).unwrap().iter().any(|g| *g != 0.0));
            }
        }
        let counts =
            |text: &str, layers: usize| parse(text).unwrap().trainable_count(&vec![(768, 768); layers]);
        assert_eq!(counts("nola(k=384)", 12), 9216);
        assert_eq!(counts("nola(k=96)", 12), 2304);
        assert_eq!(counts("nola(k=120)", 60), 14_400);
        assert_eq!(counts("nola(k=128)", 32 * 7), 57_344);
        assert_eq!(counts("nola(k=256)", 40 * 7), 143_360);
        assert_eq!(counts("nola(k=1000)", 72), 144_000);
    }

    #[test]
    fn gradients_are_differences() {
        for text in ["nola(k=5, l=3, rank=2)", "nola(k=4, rank=2, cache=true, shared=true)"] {
            let mut toy = Toy::bert();
            let attached = toy.attach(text, "query,output.dense");
            toy.shake(&attached, 0.3);
            toy.assert_gradients(attached.parameters());
        }
    }

    #[test]
    fn merged_weights_give_the_same_outputs_and_not_those_of_the_base() {
        let mut toy = Toy::llama();
        let mut attached = toy.attach("nola(k=6, rank=2)", "all");
        let base = toy.outputs();
        toy.shake(&attached, 0.5);
        let unmerged = toy.outputs();
        attached.merge(&mut toy.parameters).unwrap();
        assert_close(&toy.outputs(), &unmerged, 1e-4);
        let moved = unmerged.iter().zip(&base).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(moved > 0.01, "{moved}");
        attached.unmerge(&mut toy.parameters);
        assert_eq!(toy.outputs(), unmerged);
    }

    #[test]
    fn a_file_of_seed_and_coefficients_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("variant.safetensors");
        let mut toy = Toy::bert();
        let attached = toy.attach("nola(k=200, l=100, rank=2)", "query,value");
        toy.shake(&attached, 0.3);
        let head = toy.parameters.find("classifier.weight").unwrap();
        attached.save(&toy.parameters, &path, &[head]).unwrap();
        let size = std::fs::metadata(&path).unwrap().len() as usize;
        assert!(size < 4 * 4 * 300 + 1000, "{size} bytes");
        let mut other = Toy::bert();
        let mut opened = open(&path, &mut other.parameters, &mut other.bert).unwrap();
        assert_eq!(other.outputs(), toy.outputs());
        let header = AdapterHeader::read(&path).unwrap();
        assert_eq!((header.seed, header.heads), (7, vec!["classifier.weight".to_string()]));
        // Swapping variants of one seed, and back.
        let second = folder.path().join("second.safetensors");
        toy.shake(&attached, 0.3);
        attached.save(&toy.parameters, &second, &[]).unwrap();
        let changed = toy.outputs();
        opened.load(&mut other.parameters, &second).unwrap();
        assert_eq!(other.outputs(), changed);
        opened.detach(&mut other.bert);
        assert_eq!(other.outputs(), Toy::bert().outputs());
        opened.reattach(&mut other.bert);
        assert_eq!(other.outputs(), changed);
    }

    #[test]
    fn a_file_for_something_else_is_refused_and_the_message_says_for_what() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("variant.safetensors");
        let mut toy = Toy::bert();
        toy.attach("nola(k=4)", "query").save(&toy.parameters, &path, &[]).unwrap();
        let refused = |text: &str, targets: &str, seed: u64| {
            let mut toy = Toy::bert();
            let mut attached = toy.attach_seeded(text, targets, seed).unwrap();
            attached.load(&mut toy.parameters, &path).unwrap_err().to_string()
        };
        for (text, targets, seed, parts) in [
            (
                "nola(k=4)",
                "key",
                7,
                ["was made for the layer `bert.encoder.layer.0.attention.self.query 8 8`", "key"],
            ),
            ("nola(k=4)", "query", 8, ["seed 7", "from 8"]),
            ("nola(k=5)", "query", 7, ["nola(k=4)", "nola(k=5)"]),
            ("lora", "query", 7, ["nola(k=4)", "`lora`"]),
        ] {
            let message = refused(text, targets, seed);
            parts.iter().for_each(|part| assert!(message.contains(part), "{message}"));
        }
        let mut other = Toy::llama();
        let error = open(&path, &mut other.parameters, &mut other.llama).unwrap_err().to_string();
        assert!(error.contains("`query`") && error.contains("q_proj"), "{error}");
        // Another generator: the checksum of the first numbers differs.
        let mut bytes = std::fs::read(&path).unwrap();
        let generator = br#"philox4x32-10/1\",\""#;
        let at = bytes.windows(generator.len()).position(|part| part == generator).unwrap() + generator.len();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        std::fs::write(&path, bytes).unwrap();
        assert!(refused("nola(k=4)", "query", 7).contains("checksum"));
    }
}
