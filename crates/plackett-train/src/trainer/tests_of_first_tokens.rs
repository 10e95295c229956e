//! First tokens of tiny encoder–decoders: scores against the inference engine, losses by hand from its logits, what is learned, and
//! what is refused.

use super::*;
use crate::TrainError;
use crate::nn::Mode;
use crate::objective::parse_sum;
use crate::tape::{Compute, Parameters, Tape, assert_parameter_gradients};
use plackett_lm::decode::{Branch, DecodeModel, LogitIds};
use plackett_lm::seq2seq::{EncoderDecoder, EncoderDecoderOptions};
use std::path::{Path, PathBuf};

/// Three prompts of one list.
const PROMPTS: [&[u32]; 3] = [&[5, 9, 33, 1], &[7, 1], &[8, 8, 21, 60, 3, 1]];
const WORDS: FirstToken = FirstToken::Words { good: 44, bad: 12 };
const LOGIT: FirstToken = FirstToken::Logit(71);

fn base(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/golden/seq2seq").join(name)
}

/// Logits of the whole vocabulary for the first token after each prompt, in the inference engine.
fn engine(folder: &Path) -> Vec<Vec<f64>> {
    let model = EncoderDecoder::open(folder, &EncoderDecoderOptions::default()).unwrap();
    let mut session = model.session();
    let start = [model.start()];
    let parents = session.sources(&PROMPTS).unwrap();
    let branch = |parent| Branch { parent, tokens: &start, logit_ids: LogitIds::All, normalizer: false };
    let branches: Vec<Branch<'_>> = parents.into_iter().map(branch).collect();
    let outputs = session.extend(&branches, &[]).unwrap();
    outputs.into_iter().map(|output| output.logits.into_iter().map(f64::from).collect()).collect()
}

/// What the logits of the inference engine say of the prompts.
fn engine_scores(folder: &Path, read: FirstToken) -> Vec<f64> {
    let score = |logits: &Vec<f64>| match read {
        FirstToken::Logit(token) => logits[token as usize],
        FirstToken::Words { good, bad } => logits[good as usize] - logits[bad as usize],
    };
    engine(folder).iter().map(score).collect()
}

fn assert_close(ours: &[f32], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((f64::from(*ours) - theirs).abs() < 1e-4 * theirs.abs().max(1.0), "{ours} {theirs}");
    }
}

/// The list of the prompts, of which the second one is relevant.
fn list() -> PromptedList {
    let candidate = |label| Candidate { text: String::new(), label, teacher: None };
    let candidates = Vec::from([0.0, 1.0, 0.0].map(candidate));
    let example = RankingExample { query: "which".into(), candidates };
    PromptedList::new(&example, Vec::from(PROMPTS.map(<[u32]>::to_vec))).unwrap()
}

#[test]
fn scores_are_those_of_the_inference_engine_before_and_after_saving() {
    for name in ["t5", "t5-gated"] {
        let mut parameters = Parameters::default();
        let mut model = EncoderDecoderModel::open(&base(name), &mut parameters).unwrap();
        let compute = Compute::new(1);
        let scores = |model: &EncoderDecoderModel, parameters: &Parameters, read| {
            model.scores(&compute, parameters, &PROMPTS, read).unwrap()
        };
        for read in [WORDS, LOGIT] {
            assert_close(&scores(&model, &parameters, read), &engine_scores(&base(name), read));
        }
        // Other weights, so that it is those that are read.
        for (_, parameter) in parameters.iter_mut() {
            let numbers = parameter.values_mut().iter_mut().enumerate();
            numbers.for_each(|(at, x)| *x *= 1.0 + (at % 7) as f32 / 20.0);
        }
        let saved = tempfile::tempdir().unwrap();
        model.save(saved.path(), &parameters).unwrap();
        let mut read_back = Parameters::default();
        let opened = EncoderDecoderModel::open(saved.path(), &mut read_back).unwrap();
        for read in [WORDS, LOGIT] {
            let ours = scores(&model, &parameters, read);
            assert_close(&ours, &engine_scores(saved.path(), read));
            assert_eq!(scores(&opened, &read_back, read), ours);
        }
    }
}

/// The loss of the list, and how much it is the mean of.
fn loss_of(objective: &str, read: FirstToken) -> Result<(f64, usize), TrainError> {
    let mut parameters = Parameters::default();
    let model = EncoderDecoderModel::open(&base("t5"), &mut parameters)?;
    let lists = [list()];
    let task = FirstTokenTask::new(&model, &lists, read, parse_sum(objective).unwrap())?;
    let tape = Tape::new(&parameters, &Compute::new(1));
    let loss = task.loss(&tape, &[0], Mode::default())?;
    assert_eq!((loss.skipped, loss.tokens, task.describe(0).as_str()), (0, 12, "`which`"));
    Ok((f64::from(loss.value.item()), loss.used))
}

#[test]
fn losses_are_those_of_the_formulas() {
    let sum_of_exponentials = |logits: &[f64]| logits.iter().map(|x| x.exp()).sum::<f64>();
    let logits = engine(&base("t5"));
    // −ln p of the right word among all tokens: the bad one, the good one, the bad one.
    let right = [12, 44, 12];
    let nll = |(logits, word): (&Vec<f64>, &usize)| sum_of_exponentials(logits).ln() - logits[*word];
    let language = logits.iter().zip(&right).map(nll).sum::<f64>() / 3.0;
    let (found, used) = loss_of("language", WORDS).unwrap();
    assert!((found - language).abs() < 1e-4 && used == 3, "{found} {language}");
    // −ln p of the right word among the two words.
    let of_two = |(logits, word): (&Vec<f64>, &usize)| {
        sum_of_exponentials(&[logits[12], logits[44]]).ln() - logits[*word]
    };
    let two = logits.iter().zip(&right).map(of_two).sum::<f64>() / 3.0;
    let (found, used) = loss_of("bce", WORDS).unwrap();
    assert!((found - two).abs() < 1e-4 && used == 1, "{found} {two}");
    // −ln of the share of the second one in the softmax of the list.
    let scores = engine_scores(&base("t5"), LOGIT);
    let softmax = sum_of_exponentials(&scores).ln() - scores[1];
    let (found, used) = loss_of("softmax-cross-entropy", LOGIT).unwrap();
    assert!((found - softmax).abs() < 1e-4 && used == 1, "{found} {softmax}");
    let (found, used) = loss_of("language + 2*bce", WORDS).unwrap();
    assert!((found - language - 2.0 * two).abs() < 1e-3 && used == 3, "{found} {language} {two}");
}

fn job(objective: &str, adapter: &str) -> FirstTokenJob {
    FirstTokenJob {
        objective: objective.into(),
        trained: Trained { adapter: adapter.into(), ..Trained::default() },
        settings: Settings { batch: 1, steps: 20, rate: 5e-3, checkpoint: 5, ..Settings::default() },
    }
}

#[test]
fn a_training_lowers_the_loss_and_leaves_what_the_inference_engine_ranks_with() {
    let lists = [list()];
    for (objective, adapter, read) in [
        ("language", "full", WORDS),
        ("softmax-cross-entropy", "lora(rank=2)", LOGIT),
        ("listmle", "full", LOGIT),
        ("ranknet", "lora(rank=2)", WORDS),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (work, output) = (folder.path().join("work"), folder.path().join("model"));
        let (job, compute) = (job(objective, adapter), Compute::new(1));
        let data = (&lists[..], &lists[..], read);
        let done = job.run(&base("t5"), data, (&work, &output), "", &compute, &mut |_, _| {}).unwrap();
        let [before, after] = done.validation.unwrap();
        assert!(after < before, "{objective} {adapter}: {before} {after}");
        assert_eq!(done.trainable < done.parameters, adapter != "full");
        let mut parameters = Parameters::default();
        let model = EncoderDecoderModel::open(&output, &mut parameters).unwrap();
        let scores = model.scores(&compute, &parameters, &PROMPTS, read).unwrap();
        assert_close(&scores, &engine_scores(&output, read));
        // The second candidate is the relevant one.
        let better = scores.iter().filter(|score| **score > scores[1]).count();
        let found = done.ndcg.as_ref().unwrap()[1][0];
        assert!((found - 1.0 / (better as f64 + 2.0).log2()).abs() < 1e-9, "{objective} {adapter}: {found}");
        // The same again finds all steps done, and leaves the same bits.
        let bytes = std::fs::read(output.join("model.safetensors")).unwrap();
        let again = job.run(&base("t5"), data, (&work, &output), "", &compute, &mut |_, _| {}).unwrap();
        assert_eq!(again.report.resumed, 20);
        assert_eq!(std::fs::read(output.join("model.safetensors")).unwrap(), bytes);
    }
}

#[test]
fn what_first_tokens_cannot_teach_is_refused() {
    let message = |found: Result<(f64, usize), TrainError>| found.unwrap_err().to_string();
    let said = message(loss_of("language", LOGIT));
    assert!(said.contains("reads the logit of one token") && said.contains("`language`"), "{said}");
    for objective in ["importance-aware", "info-nce", "gradient-ascent"] {
        let said = message(loss_of(objective, WORDS));
        assert!(said.contains("needs more than scores and labels"), "{said}");
    }
    let said = message(loss_of("margin-mse", LOGIT));
    assert!(said.contains("the query `which`") && said.contains("teacher"), "{said}");
    let said = message(loss_of("bce", FirstToken::Logit(90)));
    assert!(said.contains("the token 90") && said.contains("a vocabulary of 90"), "{said}");
    let mut job = job("language", "full");
    job.settings.head_rate = 0.5;
    assert!(job.check().unwrap_err().to_string().contains("head_rate = 0.5"));
    let said = EncoderDecoderModel::check_base(&base("bart")).unwrap_err().to_string();
    assert!(said.contains("the family `bart`") && said.contains("`t5` and `mt5`"), "{said}");
    let example = RankingExample { query: "which".into(), candidates: Vec::new() };
    let said = PromptedList::new(&example, vec![vec![1]]).unwrap_err().to_string();
    assert!(said.contains("0 candidates and 1 prompts"), "{said}");
}

#[test]
fn gradients_of_words_and_scores_are_those_of_differences() {
    let mut parameters = Parameters::default();
    let model = EncoderDecoderModel::open(&base("t5-gated"), &mut parameters).unwrap();
    let lists = [list()];
    let objective = parse_sum("language + bce").unwrap();
    let task = FirstTokenTask::new(&model, &lists, WORDS, objective).unwrap();
    let names = ["lm_head.weight", "decoder.block.1.layer.1.EncDecAttention.v.weight"];
    let checked = names.map(|name| parameters.find(name).unwrap());
    assert_parameter_gradients(&mut parameters, &checked, 40, |tape| {
        task.loss(tape, &[0], Mode::default()).unwrap().value
    });
}
