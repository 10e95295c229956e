//! A copy of a model's directory whose linear layers are two thin ones, which the inference engine runs as such.

use super::{Factorization, FactorizationReport, Rank, Solver, factorize_with};
use crate::TrainError;
use crate::adapter::Targets;
use crate::nn::Linear;
use crate::tape::Parameters;
use plackett_lm::{Factors, LinearWeight, ModelLinears, write_factors};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Tokens of the pass whose operations a card tells.
const TOKENS: usize = 128;

/// Which linear layers of a model are factorised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// By the ends of their names.
    pub targets: Targets,
    /// Those of so many of the model's last layers alone; `None` for all.
    pub last: Option<usize>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorizedDirectory {
    /// What became of the layers, and the numbers of the whole model.
    pub report: FactorizationReport,
    /// Numbers of the matrices of all attention and feed-forward parts before.
    pub matrices: usize,
    /// Linear layers that were not chosen.
    pub not_chosen: usize,
    /// Layers of the model.
    pub depth: usize,
    /// Numbers of a token between layers.
    pub hidden: usize,
    /// Bytes of the weights before.
    pub bytes_before: usize,
    /// Bytes of the weights after.
    pub bytes_after: usize,
}

impl FactorizedDirectory {
    /// The layers that are two thin ones now: name, rank and relative error.
    pub fn done(&self) -> impl Iterator<Item = (&str, usize, f64)> {
        self.report.layers.iter().filter_map(|own| {
            let (rank, error) = own.outcome.as_ref().ok()?;
            Some((own.layer.name.as_str(), *rank, *error))
        })
    }

    /// The mean of the relative errors of their weights.
    pub fn mean_error(&self) -> f64 {
        self.done().map(|(_, _, error)| error).sum::<f64>() / self.done().count().max(1) as f64
    }

    /// The share of the matrices' numbers that is left.
    pub fn share(&self) -> f64 {
        let saved = self.report.before as f64 - self.report.after as f64;
        1.0 - saved / self.matrices.max(1) as f64
    }

    /// The share of a pass's operations that is left, for a text of `tokens`, counted as [`advise`](super::advise) does: two a number of a
    /// matrix, and 4 · tokens · hidden for the attention of a layer, a token.
    pub fn operations(&self, tokens: usize) -> f64 {
        let attention = 4.0 * tokens as f64 * self.hidden as f64 * self.depth as f64;
        let matrices = 2.0 * self.matrices as f64;
        (matrices * self.share() + attention) / (matrices + attention)
    }
}

/// Writes a copy of an encoder's (BERT, RoBERTa, XLM-R, CamemBERT) or a decoder's directory with those of its linear layers as two thin ones that are meant
/// and become smaller by it. Embeddings, norms, pooler and heads stay as they are. `progress` is told how many of how many layers are done.
///
/// # Errors
/// The rank is none; no layer becomes smaller; a target is no layer; a weight is no number; the source is of another family, quantised,
/// factorised already or does not open; the target exists; a file cannot be written.
pub fn factorize_directory(
    source: &Path,
    target: &Path,
    which: &Layers,
    how: &Factorization,
    progress: &dyn Fn(usize, usize),
) -> Result<FactorizedDirectory, TrainError> {
    check_rank(how.rank)?;
    if target.symlink_metadata().is_ok() {
        let problem = "exists; choose another name or remove it".into();
        return Err(TrainError::Form { path: target.into(), problem });
    }
    let ModelLinears { linears, depth, hidden, numbers, bytes } =
        ModelLinears::open(source).map_err(|error| TrainError::Model(error.to_string()))?;
    let first = first_layer(which.last, depth)?;
    let all = linears.len();
    let matrices: usize = linears.iter().map(|linear| linear.weight.len()).sum();
    let mut parameters = Parameters::default();
    let chosen = linears.into_iter().filter(|linear| linear.layer >= first);
    let mut chosen: Vec<Linear> = chosen.map(|linear| add(&mut parameters, linear)).collect();
    let mut report = factorize_with(&mut parameters, &mut chosen, &which.targets, how, progress)?;
    check_done(&report)?;
    (report.before, report.after) = (numbers, numbers - report.before + report.after);
    let not_chosen = all - report.layers.len();
    let mut made = FactorizedDirectory {
        report,
        matrices,
        not_chosen,
        depth,
        hidden,
        bytes_before: bytes,
        bytes_after: 0,
    };
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    let (factors, card) = (factors(&chosen, &parameters), card(&name, &made, how));
    made.bytes_after = write_factors(source, target, &factors, &card)
        .map_err(|error| TrainError::Model(error.to_string()))?;
    Ok(made)
}

fn check_rank(rank: Rank) -> Result<(), TrainError> {
    match rank {
        Rank::Absolute(0) => {
            Err(TrainError::Setting("rank 0 leaves nothing of a layer; give a rank from 1".into()))
        }
        Rank::Ratio(ratio) if !(ratio > 0.0 && ratio < 1.0) => Err(TrainError::Setting(format!(
            "ratio {ratio} is not between 0 and 1: it is a share of the rank from which on nothing is saved"
        ))),
        _ => Ok(()),
    }
}

/// The first layer of the model that is meant.
fn first_layer(last: Option<usize>, depth: usize) -> Result<usize, TrainError> {
    match last {
        None => Ok(0),
        Some(last) if last == 0 || last > depth => Err(TrainError::Setting(format!(
            "the last {last} layers are wanted of a model with {depth}; give a number from 1 to {depth}"
        ))),
        Some(last) => Ok(depth - last),
    }
}

fn add(parameters: &mut Parameters, linear: LinearWeight) -> Linear {
    let LinearWeight { name, outputs, inputs, weight, bias, .. } = linear;
    let weight = parameters.add(format!("{name}.weight"), (outputs, inputs), weight);
    let bias = bias.map(|bias| parameters.add(format!("{name}.bias"), (1, outputs), bias));
    Linear { name, weight, down: None, bias, outputs, inputs, adapter: None }
}

/// Refuses to write a model that is as before.
fn check_done(report: &FactorizationReport) -> Result<(), TrainError> {
    if report.layers.iter().any(|own| own.outcome.is_ok()) {
        return Ok(());
    }
    let why = report.layers.iter().find_map(|own| Some((&own.layer.name, own.outcome.as_ref().err()?)));
    Err(TrainError::Setting(match why {
        Some((name, why)) => format!("no layer would become smaller (`{name}`: {why}); give another rank"),
        None => "no linear layer of the model is chosen; choose others".into(),
    }))
}

fn factors(linears: &[Linear], parameters: &Parameters) -> BTreeMap<String, Factors> {
    let factors = linears.iter().filter_map(|linear| {
        let down = &parameters[linear.down?];
        let own = Factors {
            rank: down.rows,
            down: down.value.to_vec(),
            up: parameters[linear.weight].value.to_vec(),
            bias: linear.bias.map(|bias| parameters[bias].value.to_vec()),
        };
        Some((linear.name.clone(), own))
    });
    factors.collect()
}

/// What the README.md of the new directory says.
fn card(base: &str, made: &FactorizedDirectory, how: &Factorization) -> String {
    let report = &made.report;
    let rank = match how.rank {
        Rank::Absolute(rank) => rank.to_string(),
        Rank::Ratio(ratio) => format!("{ratio} of the rank from which on nothing is saved, layer by layer"),
    };
    let solver = match how.solver {
        Solver::Svd => "truncated singular value decomposition",
        Solver::SemiNmf { .. } => "semi-non-negative factorisation",
        Solver::Random => "new random numbers: train it before it is used",
    };
    let mut text = format!(
        "# {base}, factorised\n\n\
         Made by Plackett from `{base}`: linear layers are stored and run as two thin ones, `NAME.led_unit.0.weight` (rank × inputs) and then\n\
         `NAME.led_unit.1.weight` (outputs × rank). Method: Cahyawijaya, Greenformers, 2021.\n\n\
         - rank: {rank}\n\
         - solver: {solver}\n\
         - parameters: {} became {} ({:.1} % of the layers' matrices are left)\n\
         - operations of a pass over {TOKENS} tokens, as the cost model counts them: {:.1} % of before\n\
         - mean relative error of a weight, ‖W − UV‖ / ‖W‖: {:.4}\n\n\
         | layer | outputs × inputs | rank | relative error |\n| --- | --- | --- | --- |\n",
        report.before,
        report.after,
        100.0 * made.share(),
        100.0 * made.operations(TOKENS),
        made.mean_error(),
    );
    for own in &report.layers {
        let (name, outputs, inputs) = (&own.layer.name, own.layer.outputs, own.layer.inputs);
        // Writing to a text cannot fail.
        let _ = match &own.outcome {
            Ok((rank, error)) => writeln!(text, "| `{name}` | {outputs} × {inputs} | {rank} | {error:.4} |"),
            Err(why) => writeln!(text, "| `{name}` | {outputs} × {inputs} | whole: {why} | 0 |"),
        };
    }
    if made.not_chosen > 0 {
        let _ = writeln!(text, "\nNot chosen and left whole: {} linear layers.", made.not_chosen);
    }
    text.push_str("\nEmbeddings, norms, pooler and heads are as they were.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::{LayerShape, advise, parameters_saved};
    use super::*;
    use crate::nn::{SafetensorsSource, save};
    use plackett_lm::decode::LogitIds;
    use plackett_lm::decoder::{
        AttentionPattern, DecoderModel, DecoderOptions, OutputRequest, Positions, Request,
    };
    use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions, Precision};
    use std::path::PathBuf;

    const TEXTS: [&str; 3] = ["a ranker reads passages", "[1] > [2]", "words"];

    fn base() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert")
    }

    fn how(rank: Rank, solver: Solver) -> Factorization {
        Factorization { rank, solver, balanced: false, beyond_limit: false, seed: 1 }
    }

    fn layers(targets: &str, last: Option<usize>) -> Layers {
        Layers { targets: Targets::parse(targets), last }
    }

    fn vectors(model: &Path, precision: Precision) -> Vec<f32> {
        let options = EncoderOptions { precision, threads: Some(2), ..EncoderOptions::default() };
        let model = EncoderModel::open(model, &options).unwrap();
        model.embed(&TEXTS, &EmbedOptions::default()).unwrap().data
    }

    fn worst(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    fn run(target: &Path, which: &Layers, how: &Factorization) -> Result<FactorizedDirectory, TrainError> {
        factorize_directory(&base(), target, which, how, &|_, _| {})
    }

    /// A copy of a factorised model with the products in the place of their factors.
    fn multiplied(factorized: &Path, target: &Path) {
        std::fs::create_dir_all(target.join("1_Pooling")).unwrap();
        let files = ["config.json", "tokenizer.json", "tokenizer_config.json", "modules.json"];
        for file in files.into_iter().chain(["sentence_bert_config.json", "1_Pooling/config.json"]) {
            // A decoder has the first three alone.
            if factorized.join(file).exists() {
                std::fs::copy(factorized.join(file), target.join(file)).unwrap();
            }
        }
        let all = SafetensorsSource::open(&factorized.join("model.safetensors")).unwrap().into_tensors();
        let find = |name: &str| all.iter().find(|(own, _, _)| own == name).unwrap();
        let mut whole = Parameters::default();
        for (name, shape, values) in &all {
            let (rows, columns) = match shape[..] {
                [rows, columns] => (rows, columns),
                _ => (1, values.len()),
            };
            if let Some(layer) = name.strip_suffix(".led_unit.1.weight") {
                let (_, down_shape, down) = find(&format!("{layer}.led_unit.0.weight"));
                let (rank, inputs) = (down_shape[0], down_shape[1]);
                assert_eq!(rank, columns);
                let entry = |at: usize| -> f32 {
                    (0..rank).map(|k| values[at / inputs * rank + k] * down[k * inputs + at % inputs]).sum()
                };
                let product = (0..rows * inputs).map(entry).collect();
                whole.add(format!("{layer}.weight"), (rows, inputs), product);
            } else if let Some(layer) = name.strip_suffix(".led_unit.1.bias") {
                whole.add(format!("{layer}.bias"), (1, columns), values.clone());
            } else if !name.ends_with(".led_unit.0.weight") {
                whole.add(name.clone(), (rows, columns), values.clone());
            }
        }
        save(&target.join("model.safetensors"), &whole, |name| Some(name.to_string())).unwrap();
    }

    #[test]
    fn the_full_rank_gives_the_vectors_of_the_base() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("full");
        let how = Factorization { beyond_limit: true, ..how(Rank::Absolute(48), Solver::Svd) };
        let made = run(&target, &layers("all", None), &how).unwrap();
        // No weight has more than 32 singular values.
        assert!(made.done().all(|(_, rank, error)| rank == 32 && error < 1e-5));
        assert_eq!(made.done().count(), 12);
        let (own, before) = (vectors(&target, Precision::F32), vectors(&base(), Precision::F32));
        assert!(worst(&own, &before) < 1e-4, "{}", worst(&own, &before));
    }

    #[test]
    fn lower_ranks_give_the_vectors_of_their_products() {
        let folder = tempfile::tempdir().unwrap();
        for (at, (solver, targets)) in [
            (Solver::Svd, "all"),
            (Solver::SemiNmf { iterations: 5 }, "all"),
            (Solver::Random, "all"),
            // Keys and values are whole beside factorised queries.
            (Solver::Svd, "query,output.dense"),
        ]
        .into_iter()
        .enumerate()
        {
            let [thin, whole] = ["thin", "whole"].map(|name| folder.path().join(format!("{name}{at}")));
            let made = run(&thin, &layers(targets, None), &how(Rank::Absolute(7), solver)).unwrap();
            assert!(made.done().all(|(_, rank, error)| rank == 7 && error > 0.01));
            multiplied(&thin, &whole);
            let (own, product) = (vectors(&thin, Precision::F32), vectors(&whole, Precision::F32));
            assert!(worst(&own, &product) < 1e-4, "{at}: {}", worst(&own, &product));
            assert!(worst(&own, &vectors(&base(), Precision::F32)) > 1e-3, "{at}");
            // Both factors are rounded, so that nothing but the direction of vectors is kept.
            let rounded = vectors(&thin, Precision::Int8);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = dot(&rounded, &own) / (dot(&rounded, &rounded) * dot(&own, &own)).sqrt();
            assert!(cosine > 0.95, "{at}: {cosine}");
        }
    }

    fn decoder(family: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/golden/decoder").join(family)
    }

    /// Logits of every token of a text.
    fn logits(model: &Path, precision: Precision, threads: usize) -> Vec<f32> {
        let options = DecoderOptions { precision, threads: Some(threads), ..DecoderOptions::default() };
        let model = DecoderModel::open(model, &options).unwrap();
        let tokens: Vec<u32> = (0..40).map(|at| 3 + at * 7919 % 272).collect();
        let outputs =
            OutputRequest { logits_at: Positions::All, logit_ids: LogitIds::All, ..OutputRequest::default() };
        let pattern = AttentionPattern::Causal;
        let request = Request { tokens: &tokens, cache: None, pattern, adapter: None, outputs };
        model.forward(&[request]).unwrap().remove(0).logits.concat()
    }

    #[test]
    fn the_full_rank_gives_the_logits_of_the_decoder() {
        let folder = tempfile::tempdir().unwrap();
        for family in ["llama", "qwen2"] {
            let (base, target) = (decoder(family), folder.path().join(family));
            let how = Factorization { beyond_limit: true, ..how(Rank::Absolute(48), Solver::Svd) };
            let made = factorize_directory(&base, &target, &layers("all", None), &how, &|_, _| {}).unwrap();
            // Keys and values have 16 outputs, all others 32 inputs or outputs.
            assert!(made.done().all(|(_, rank, error)| (rank == 16 || rank == 32) && error < 1e-5));
            assert_eq!((made.done().count(), made.depth, made.hidden), (3 * 7, 3, 32));
            let (own, before) = (logits(&target, Precision::F32, 2), logits(&base, Precision::F32, 2));
            assert!(worst(&own, &before) < 1e-4, "{family}: {}", worst(&own, &before));
        }
    }

    #[test]
    fn lower_ranks_give_the_logits_of_their_products() {
        let folder = tempfile::tempdir().unwrap();
        // All linear layers of the first have biases, of the second queries, keys and values.
        let cases = [("llama", "all"), ("qwen2", "all"), ("llama", "q_proj,up_proj,down_proj")];
        for (at, (family, targets)) in cases.into_iter().enumerate() {
            let [thin, whole] = ["thin", "whole"].map(|name| folder.path().join(format!("{name}{at}")));
            let how = how(Rank::Absolute(7), Solver::Svd);
            let which = layers(targets, None);
            let made = factorize_directory(&decoder(family), &thin, &which, &how, &|_, _| {}).unwrap();
            assert!(made.done().all(|(_, rank, error)| rank == 7 && error > 0.01));
            multiplied(&thin, &whole);
            let own = logits(&thin, Precision::F32, 2);
            let product = logits(&whole, Precision::F32, 2);
            assert!(worst(&own, &product) < 1e-4, "{at}: {}", worst(&own, &product));
            assert!(worst(&own, &logits(&decoder(family), Precision::F32, 2)) > 1e-3, "{at}");
            assert_eq!(own, logits(&thin, Precision::F32, 1), "{at}");
            // Both factors are rounded, so that nothing but the direction of logits is kept.
            let rounded = logits(&thin, Precision::Int8, 2);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = dot(&rounded, &own) / (dot(&rounded, &rounded) * dot(&own, &own)).sqrt();
            assert!(cosine > 0.9, "{at}: {cosine}");
        }
    }

    #[test]
    fn factors_of_different_ranks_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("thin");
        let (which, how) = (layers("q_proj", Some(1)), how(Rank::Absolute(7), Solver::Svd));
        factorize_directory(&decoder("llama"), &target, &which, &how, &|_, _| {}).unwrap();
        let file = target.join("model.safetensors");
        let all = SafetensorsSource::open(&file).unwrap().into_tensors();
        let mut changed = Parameters::default();
        let foreign = "model.layers.2.self_attn.q_proj.led_unit.1.weight";
        for (name, shape, mut values) in all {
            let (rows, mut columns) = match shape[..] {
                [rows, columns] => (rows, columns),
                _ => (1, values.len()),
            };
            if name == foreign {
                columns = 6;
                values.truncate(rows * columns);
            }
            changed.add(name, (rows, columns), values);
        }
        save(&file, &changed, |name| Some(name.to_string())).unwrap();
        let refused = DecoderModel::open(&target, &DecoderOptions::default()).err().unwrap().to_string();
        assert!(refused.contains(foreign) && refused.contains("[32, 6]"), "{refused}");
        assert!(refused.contains("[32, 7]"), "{refused}");
    }

    #[test]
    fn numbers_are_those_of_the_formula_and_stand_on_the_card() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("thin");
        let made = run(&target, &layers("all", Some(1)), &how(Rank::Ratio(0.5), Solver::Svd)).unwrap();
        let shapes: Vec<LayerShape> = made.report.layers.iter().map(|own| own.layer.clone()).collect();
        assert_eq!((shapes.len(), made.not_chosen), (6, 6));
        let saved = parameters_saved(&shapes, Rank::Ratio(0.5));
        // Limits 32 · 32 / 64 = 16 and 32 · 48 / 80 = 19: ranks 8 and 9.
        assert_eq!(saved, 4 * (1024 - 8 * 64) + 2 * (1536 - 9 * 80));
        assert_eq!(made.report.before - made.report.after, saved);
        assert_eq!(made.matrices, 2 * (4 * 1024 + 2 * 1536));
        assert!(made.bytes_after < made.bytes_before);
        let all = SafetensorsSource::open(&target.join("model.safetensors")).unwrap().into_tensors();
        assert_eq!(all.iter().map(|(_, _, values)| values.len()).sum::<usize>(), made.report.after);
        let card = std::fs::read_to_string(target.join("README.md")).unwrap();
        for part in ["# bert, factorised", "Not chosen and left whole: 6", &made.report.after.to_string()] {
            assert!(card.contains(part), "{part}: {card}");
        }
        let shown = EncoderModel::open(&target, &EncoderOptions::default()).unwrap();
        let ranks: Vec<usize> = shown.factorized().iter().map(|layer| layer.rank).collect();
        assert_eq!(ranks.iter().filter(|rank| **rank == 8).count(), 4);
        assert_eq!(ranks.iter().filter(|rank| **rank == 9).count(), 2);
    }

    #[test]
    fn operations_are_those_of_the_cost_model() {
        // Width 128 with a network of 512 in four layers, rank 48: 18 r d numbers of 12 d² are left.
        let (matrices, saved) = (4 * 12 * 128 * 128, 4 * (12 * 128 * 128 - 18 * 48 * 128));
        let report = FactorizationReport { layers: Vec::new(), before: matrices, after: matrices - saved };
        let made = FactorizedDirectory {
            report,
            matrices,
            not_chosen: 0,
            depth: 4,
            hidden: 128,
            bytes_before: 0,
            bytes_after: 0,
        };
        let advice = advise(128, 4, 64, 48, 16);
        let expected = advice.low_rank.operations / advice.dense.operations;
        assert!((made.operations(64) - expected).abs() < 1e-12);
        assert!((made.share() - 0.5625).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_factorised_is_refused_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let svd = |rank: Rank| how(rank, Solver::Svd);
        let said = |which: &Layers, how: &Factorization| run(&target, which, how).unwrap_err().to_string();
        let all = layers("all", None);
        assert!(said(&all, &svd(Rank::Absolute(0))).contains("rank 0"));
        assert!(said(&all, &svd(Rank::Ratio(1.0))).contains("ratio 1 is not between 0 and 1"));
        assert!(said(&all, &svd(Rank::Ratio(f64::NAN))).contains("not between"));
        let above = said(&all, &svd(Rank::Absolute(19)));
        assert!(above.contains("no layer would become smaller") && above.contains("from rank 16"), "{above}");
        assert!(said(&layers("qury", None), &svd(Rank::Absolute(4))).contains("did you mean `query`?"));
        assert!(said(&layers("all", Some(3)), &svd(Rank::Absolute(4))).contains("a model with 2"));
        assert!(!target.exists());

        let rounded = folder.path().join("rounded");
        plackett_lm::quantize(&base(), &rounded).unwrap();
        let refused = |source: &Path, target: &Path| {
            let how = svd(Rank::Absolute(4));
            factorize_directory(source, target, &all, &how, &|_, _| {}).unwrap_err().to_string()
        };
        assert!(refused(&rounded, &target).contains("is quantised"));
        assert!(refused(&base(), &rounded).contains("exists"));
        let modern = base().with_file_name("modernbert");
        assert!(refused(&modern, &target).contains("modernbert"));
        run(&target, &all, &svd(Rank::Absolute(4))).unwrap();
        assert!(refused(&target, &folder.path().join("again")).contains("factorised already"));
    }
}
