//! Golden files: tiny models and what PyTorch's training did with them (`tools/train/golden.py` makes them and says what is
//! in them).

use plackett_train::optimizer::{AdamW, Schedule, clip};
use plackett_train::tape::Gradients;
use plackett_train::{Compute, Parameters, Tape, Var};
use safetensors::SafeTensors;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A folder of golden files.
pub struct Golden {
    pub folder: PathBuf,
    bytes: Vec<u8>,
}

impl Golden {
    pub fn read(name: &str) -> Golden {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let bytes = std::fs::read(folder.join("expected.safetensors")).expect("golden numbers");
        Golden { folder, bytes }
    }

    fn words<T>(&self, tensor: &str, number: fn([u8; 4]) -> T) -> Vec<T> {
        let file = SafeTensors::deserialize(&self.bytes).expect("golden file");
        file.tensor(tensor).expect(tensor).data().as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
    }

    pub fn ids(&self, tensor: &str) -> Vec<u32> {
        self.words(tensor, u32::from_le_bytes)
    }

    pub fn sizes(&self, tensor: &str) -> Vec<usize> {
        self.ids(tensor).into_iter().map(|size| size as usize).collect()
    }

    pub fn floats(&self, tensor: &str) -> Vec<f32> {
        self.words(tensor, f32::from_le_bytes)
    }

    /// Sequences, which lie one after another in `tokens` and whose lengths are in `lengths`.
    pub fn sequences(&self, tokens: &str, lengths: &str) -> Vec<Vec<u32>> {
        let tokens = self.ids(tokens);
        ranges(&self.sizes(lengths)).into_iter().map(|range| tokens[range].to_vec()).collect()
    }

    /// The model's directory with a tokenizer of the inference engine's tests, which a golden folder does without.
    pub fn with_tokenizer(&self, tokenizer: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests");
        for from in [
            self.folder.join("config.json"),
            self.folder.join("model.safetensors"),
            tests.join(tokenizer).join("tokenizer.json"),
        ] {
            let name = from.file_name().expect("a name");
            std::fs::copy(&from, folder.path().join(name)).expect("a copy");
        }
        folder
    }

    /// Takes the reference's steps and compares: losses to 1e-5, gradients to 1e-4 of their norm, weights to 1e-4.
    pub fn follow(&self, parameters: &mut Parameters, loss: impl Fn(&Tape) -> Var) {
        let compute = Compute::new(2);
        let mut optimizer = AdamW::default();
        (optimizer.decay, optimizer.epsilon) = (0.1, 1e-5);
        let mut gradients = Gradients::default();
        let (losses, norms) = (self.floats("losses"), self.floats("norms"));
        for step in 0..3 {
            let tape = Tape::new(parameters, &compute);
            let value = loss(&tape);
            let found = value.item();
            assert!(
                (found - losses[step]).abs() <= 1e-5 * losses[step].max(1.0),
                "step {step}: the loss is {found} instead of {}",
                losses[step]
            );
            tape.backward(&value, &mut gradients);
            if step == 0 {
                self.assert_gradients(parameters, &gradients);
            }
            let norm = clip(&mut gradients, 1.0) as f32;
            assert!((norm - norms[step]).abs() <= 1e-4 * norms[step], "step {step}: norm {norm}");
            let rate = 1e-2 * Schedule::Linear.share(step, 0, 4);
            optimizer.step(&compute, parameters, &gradients, |_| rate);
            gradients.clear();
            if step != 1 {
                self.assert_weights(parameters, if step == 0 { "one" } else { "three" });
            }
        }
    }

    fn assert_gradients(&self, parameters: &Parameters, gradients: &Gradients) {
        for (id, parameter) in parameters.iter() {
            let expected = self.floats(&format!("gradient.{}", parameter.name));
            let found = gradients.get(id).unwrap_or_else(|| panic!("`{}` has no gradient", parameter.name));
            assert_eq!(found.len(), expected.len(), "`{}`", parameter.name);
            let difference: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
            let (off, whole) = (norm(&difference), norm(&expected));
            // Biases of keys have a gradient of zero, but for rounding: it has no digits to compare.
            let allowed = 1e-4 * whole + 1e-6;
            assert!(off <= allowed, "gradient of `{}`: off by {off}, norm {whole}", parameter.name);
        }
    }

    fn assert_weights(&self, parameters: &Parameters, after: &str) {
        for (_, parameter) in parameters.iter() {
            let expected = self.floats(&format!("{after}.{}", parameter.name));
            let differences = parameter.value.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            let worst = differences.fold(0.0, f32::max);
            assert!(worst <= 1e-4, "`{}` after {after}: off by {worst}", parameter.name);
        }
    }
}

fn norm(numbers: &[f32]) -> f64 {
    numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// Ranges of these lengths, one after another.
pub fn ranges(lengths: &[usize]) -> Vec<Range<usize>> {
    let mut end = 0;
    lengths
        .iter()
        .map(|length| {
            end += length;
            end - length..end
        })
        .collect()
}
