//! The trainer on tiny models of every family, against the inference engine and against itself.

use super::*;
use crate::TrainError;
use crate::nn::TokenBatch;
use crate::objective::parse_sum;
use crate::tape::{Compute, Parameters, Tape};
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::{
    AttentionPattern, DecoderModel, DecoderOptions, OutputRequest, Positions, Request,
};
use plackett_lm::{EncoderModel, EncoderOptions};
use std::path::{Path, PathBuf};

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests").join(name)
}

pub(super) fn examples() -> Vec<RankingExample> {
    let texts = ["cats purr at night", "dogs bark", "a fish swims in the sea", "birds sing in the morning"];
    let list = |query: &str, best: usize| RankingExample {
        query: query.into(),
        candidates: texts
            .iter()
            .enumerate()
            .map(|(at, text)| Candidate {
                text: text.to_string(),
                label: f32::from(u8::from(at == best)),
                teacher: None,
            })
            .collect(),
    };
    vec![list("what purrs", 0), list("what barks", 1), list("who swims", 2), list("who sings", 3)]
}

fn settings() -> Settings {
    Settings {
        batch: 2,
        steps: 12,
        rate: 3e-3,
        checkpoint: 5,
        dropout: 0.1,
        decay: 0.01,
        ..Settings::default()
    }
}

/// Trains a tiny cross-encoder and gives its scores of some pairs.
fn trained(workers: usize, folder: Option<&Path>, steps: usize) -> Result<(Vec<f32>, Report), TrainError> {
    let mut parameters = Parameters::default();
    let encoder = CrossEncoder::open(&model("parity/bert"), &mut parameters, 32, 7)?;
    let task = RankingTask::new(&encoder, &examples(), parse_sum("softmax-cross-entropy").unwrap())?;
    let compute = Compute::new(workers);
    let settings = Settings { steps: 12, ..settings() };
    let mut progress = |record: &StepRecord, _: usize| assert!(record.step <= 12);
    let interrupted = Interrupted { task: &task, left: steps };
    let report =
        train(&interrupted, &compute, &mut parameters, &settings, (folder, "tiny"), None, &mut progress)?;
    Ok((encoder.scores(&compute, &parameters, &[("what purrs", "cats purr"), ("x", "dogs")])?, report))
}

/// A task that fails after some batches, as a kill does.
struct Interrupted<'t> {
    task: &'t dyn Task,
    left: usize,
}

impl Task for Interrupted<'_> {
    fn count(&self) -> usize {
        self.task.count()
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: crate::nn::Mode) -> Result<StepLoss, TrainError> {
        if mode.key - (1 << 20) > 2 * self.left as u64 {
            return Err(TrainError::Setting("interrupted".into()));
        }
        self.task.loss(tape, examples, mode)
    }
}

#[test]
fn weights_do_not_depend_on_threads() {
    let alone = trained(1, None, 100).unwrap().0;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    assert_eq!(pool.install(|| trained(3, None, 100).unwrap().0), alone);
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bits() {
    let whole = trained(1, None, 100).unwrap();
    for stopped in [1, 5, 6, 11] {
        let folder = tempfile::tempdir().unwrap();
        assert!(trained(1, Some(folder.path()), stopped).is_err());
        let (scores, report) = trained(1, Some(folder.path()), 100).unwrap();
        assert_eq!(scores, whole.0, "stopped after {stopped}");
        assert_eq!(report.resumed, stopped / 5 * 5);
        let log = std::fs::read_to_string(folder.path().join("steps.jsonl")).unwrap();
        assert_eq!(log.lines().count(), 12);
    }
}

/// Copies the files of a training as a kill would leave them.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &to),
            false => {
                std::fs::copy(path, to).unwrap();
            }
        }
    }
}

/// Trains with an adapter, and again from what a kill after each step of each phase leaves.
fn assert_kills_change_nothing(adapter: &str, phases: usize) {
    let trained = Trained { adapter: adapter.into(), ..Trained::default() };
    let settings = Settings { batch: 1, steps: 6, checkpoint: 1, ..settings() };
    let objective = "softmax-cross-entropy".into();
    let job = RankingJob { objective, tokens: 32, trained, settings, ..RankingJob::default() };
    // One list cannot teach: a step without gradients is taken from the state of the optimiser.
    let mut lists = examples();
    lists.push(lists[0].clone());
    lists[4].candidates.iter_mut().for_each(|candidate| candidate.label = 0.0);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let run = |work: &str, progress: &mut dyn FnMut(&StepRecord, usize)| {
        let (work, output) = (at(work), at(&format!("{work} model")));
        let compute = Compute::new(1);
        let base = model("parity/bert");
        let outcome = job.run(&base, (&lists, &[]), (&work, &output), adapter, &compute, progress).unwrap();
        (outcome, std::fs::read(output.join("model.safetensors")).unwrap())
    };
    let mut kills: Vec<String> = Vec::new();
    let (whole, weights) = run("whole", &mut |record, _| {
        kills.push(format!("{} {}", record.phase, record.step));
        copy(&at("whole"), &at(&kills[kills.len() - 1]));
    });
    assert_eq!((kills.len(), whole.report.total, whole.report.phases), (6 * phases, 6 * phases, phases));
    let losses =
        |outcome: &Outcome| -> Vec<f32> { outcome.report.steps.iter().map(|step| step.loss).collect() };
    for (done, kill) in kills.iter().enumerate() {
        let (outcome, after) = run(kill, &mut |_, _| {});
        assert!(after == weights, "{adapter}: killed after phase and step {kill}");
        assert_eq!(outcome.report.resumed, done + 1);
        assert_eq!(losses(&outcome), losses(&whole));
        assert_eq!(outcome.ranks, whole.ranks);
        assert_eq!(outcome.report.members, whole.report.members);
    }
}

#[test]
fn layers_that_are_run_again_leave_the_same_model() {
    let (lists, compute) = (examples(), Compute::new(1));
    for adapter in ["full", "lora(rank=2, dropout=0.2)"] {
        let run = |recompute: bool| {
            let trained = Trained { adapter: adapter.into(), ..Trained::default() };
            let settings = Settings { steps: 4, accumulate: 2, recompute, ..settings() };
            let objective = "softmax-cross-entropy".into();
            let job = RankingJob { objective, tokens: 32, trained, settings, ..RankingJob::default() };
            let folder = tempfile::tempdir().unwrap();
            let (work, output) = (folder.path().join("work"), folder.path().join("model"));
            let (base, places) = (model("parity/bert"), (work.as_path(), output.as_path()));
            job.run(&base, (&lists, &[]), places, "", &compute, &mut |_, _| {}).unwrap();
            std::fs::read(output.join("model.safetensors")).unwrap()
        };
        assert!(run(true) == run(false), "{adapter}");
    }
    let llama = tiny_llama();
    let learned = |recompute: bool| {
        let mut parameters = Parameters::default();
        let decoder = LanguageModel::open(llama.path(), &mut parameters).unwrap();
        let example = TextExample { prompt: "the cat".into(), target: " sat on the mat".into() };
        let task = LanguageTask::new(&decoder, &[example], parse_sum("language").unwrap(), 32).unwrap();
        let settings = Settings { batch: 1, steps: 3, rate: 5e-3, recompute, ..Settings::default() };
        train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
        parameters.iter().map(|(_, parameter)| parameter.value.to_vec()).collect::<Vec<_>>()
    };
    assert!(learned(true) == learned(false));
}

#[test]
fn running_layers_again_is_refused_where_it_would_change_nothing() {
    let settings = Settings { recompute: true, ..Settings::default() };
    let only = |adapter: &str| Trained { adapter: adapter.into(), ..Trained::default() };
    let head = RankingJob { trained: only("head"), settings: settings.clone(), ..RankingJob::default() };
    let error = head.check().unwrap_err().to_string();
    assert!(error.contains("recompute: adapter = \"head\" trains no layer"), "{error}");
    let heads =
        LanguageJob { trained: only(OWN_HEADS), settings: settings.clone(), ..LanguageJob::default() };
    let error = heads.check().unwrap_err().to_string();
    assert!(error.contains("recompute: adapter = \"exit-heads\" trains no layer"), "{error}");
    // A task that does not say that its model has such layers.
    let mut parameters = Parameters::default();
    let encoder = CrossEncoder::open(&model("parity/bert"), &mut parameters, 32, 7).unwrap();
    let task = RankingTask::new(&encoder, &examples(), parse_sum("bce").unwrap()).unwrap();
    let other = Interrupted { task: &task, left: 100 };
    let compute = Compute::new(1);
    let error = train(&other, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {});
    let error = error.unwrap_err().to_string();
    assert!(error.contains("recompute: this model has no transformer layers"), "{error}");
}

#[test]
fn a_kill_in_any_phase_of_an_adapter_changes_nothing() {
    assert_kills_change_nothing("lt-sft(k=60, iterations=2, l1=0.1)", 4);
    assert_kills_change_nothing("sora(rank=4, xi=0/0.3)", 2);
    assert_kills_change_nothing("lora(rank=2, dropout=0.2)", 1);
}

#[test]
fn each_threshold_of_sora_leaves_an_adapter_with_its_size_and_worth() {
    let trained = Trained { adapter: "sora(rank=4, xi=0/0.3/9)".into(), ..Trained::default() };
    let settings = Settings { batch: 2, steps: 3, checkpoint: 2, ..settings() };
    let objective = "softmax-cross-entropy".into();
    let job = RankingJob { objective, tokens: 32, trained, settings, ..RankingJob::default() };
    let folder = tempfile::tempdir().unwrap();
    let (work, output) = (folder.path().join("work"), folder.path().join("model"));
    let (lists, compute) = (examples(), Compute::new(1));
    let base = model("parity/bert");
    let outcome = job.run(&base, (&lists, &lists), (&work, &output), "", &compute, &mut |_, _| {}).unwrap();
    let members = &outcome.report.members;
    let settings: Vec<&str> = members.iter().map(|member| member.setting.as_str()).collect();
    assert_eq!(settings, ["xi = 0", "xi = 0.3", "xi = 9"]);
    let sizes: Vec<usize> = members.iter().map(|member| member.size).collect();
    assert!(sizes[0] > sizes[1] && sizes[1] > 0, "{sizes:?}");
    assert_eq!(sizes[2], 0, "a threshold of 9 leaves no gate");
    assert_eq!(members[2].ranks, outcome.ranks);
    // What is left after the second phase is opened again, and is worth what was measured.
    let mut parameters = Parameters::default();
    let mut encoder = CrossEncoder::open(&base, &mut parameters, 32, 1).unwrap();
    let path = phase_folder(&work, 2).join(PHASE_ADAPTER);
    crate::adapter::open(&path, &mut parameters, &mut encoder.bert).unwrap();
    let task = RankingTask::new(&encoder, &lists, parse_sum("softmax-cross-entropy").unwrap()).unwrap();
    let ndcg = super::list_ndcg::mean_ndcg(&task, &compute, &parameters, 2);
    assert_eq!(members[1].measured, Some(("validation nDCG@10".to_string(), ndcg)));
}

#[test]
fn an_adapter_that_a_saved_model_would_lose_is_refused() {
    let trained = Trained { adapter: "bottleneck".into(), ..Trained::default() };
    let job = RankingJob { trained, ..RankingJob::default() };
    let folder = tempfile::tempdir().unwrap();
    let places = (folder.path(), folder.path());
    let compute = Compute::new(1);
    let error = job.run(&model("parity/bert"), (&examples(), &[]), places, "", &compute, &mut |_, _| {});
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`bottleneck` has nothing") && error.contains("use an adapter"), "{error}");
}

#[test]
fn an_adapter_that_would_be_another_one_here_is_refused_before_a_model_is_opened() {
    let trained = Trained { adapter: "fila(rank=4)".into(), ..Trained::default() };
    let error = RankingJob { trained, ..RankingJob::default() }.check().unwrap_err().to_string();
    assert!(
        error.contains("`fila` begins from the weights that matter") && error.contains("use `lora`"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    trained(1, Some(folder.path()), 100).unwrap();
    let mut parameters = Parameters::default();
    let mut optimizer = crate::optimizer::AdamW::default();
    let error = checkpoint::load(folder.path(), &mut parameters, &mut optimizer, "another").unwrap_err();
    assert!(error.to_string().contains("other settings, data or model"), "{error}");
}

#[test]
fn a_pyramid_is_saved_as_one_and_other_engines_refuse_it() {
    let folder = tempfile::tempdir().unwrap();
    let (work, output) = (folder.path().join("work"), folder.path().join("model"));
    let job = RankingJob {
        objective: "softmax-cross-entropy".into(),
        tokens: 32,
        separate_layers: Some(1),
        settings: Settings { steps: 2, checkpoint: 0, ..settings() },
        ..RankingJob::default()
    };
    let compute = Compute::new(1);
    let places = (work.as_path(), output.as_path());
    job.run(&model("parity/bert"), (&examples(), &[]), places, "", &compute, &mut |_, _| {}).unwrap();
    let pairs = [("what purrs", "cats purr at night")];
    let mut parameters = Parameters::default();
    let mut encoder = CrossEncoder::open(&output, &mut parameters, 32, 7).unwrap();
    assert_eq!(encoder.bert.separate_layers, 1);
    let apart = encoder.scores(&compute, &parameters, &pairs).unwrap();
    encoder.keep_apart(0).unwrap();
    assert_ne!(encoder.scores(&compute, &parameters, &pairs).unwrap(), apart);
    let error = EncoderModel::open(&output, &EncoderOptions::default()).err().unwrap().to_string();
    assert!(error.contains("separate_layers"), "{error}");
    let error = encoder.keep_apart(99).unwrap_err().to_string();
    assert!(error.contains("99 layers") && error.contains("give a number from 0"), "{error}");
}

#[test]
fn what_is_saved_has_the_same_scores_in_the_inference_engine() {
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = Parameters::default();
    let mut encoder = CrossEncoder::open(&model("parity/bert"), &mut parameters, 64, 7).unwrap();
    let compute = Compute::new(1);
    let pairs = [("what purrs", "cats purr at night"), ("who sings", "a bird"), ("x", "")];
    let task = RankingTask::new(&encoder, &examples(), parse_sum("bce").unwrap()).unwrap();
    train(&task, &compute, &mut parameters, &settings(), (None, ""), None, &mut |_, _| {}).unwrap();
    let ours = encoder.scores(&compute, &parameters, &pairs).unwrap();
    encoder.save(folder.path(), &parameters).unwrap();
    let engine = EncoderModel::open(folder.path(), &EncoderOptions::default()).unwrap();
    let theirs = engine.score_pairs(&pairs, None).unwrap();
    for (ours, theirs) in ours.iter().zip(&theirs.logits) {
        assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
    }
}

#[test]
fn a_cross_encoder_learns_four_lists() {
    let mut parameters = Parameters::default();
    let encoder = CrossEncoder::open(&model("parity/bert"), &mut parameters, 32, 7).unwrap();
    let task = RankingTask::new(&encoder, &examples(), parse_sum("softmax-cross-entropy").unwrap()).unwrap();
    let compute = Compute::new(1);
    let before = mean_loss(&task, &compute, &parameters, 4).unwrap();
    let settings = Settings { batch: 4, steps: 60, rate: 3e-3, ..Settings::default() };
    train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    let after = mean_loss(&task, &compute, &parameters, 4).unwrap();
    assert!(before > 1.2 && after < 0.5 * before, "{before} {after}");
}

#[test]
fn a_decoder_has_the_log_probabilities_of_the_inference_engine() {
    let llama = tiny_llama();
    assert_log_probabilities(llama.path());
    let qwen = without_windows("golden/decoder/qwen2");
    let saved = assert_log_probabilities(qwen.path());
    let config = std::fs::read_to_string(saved.path().join("config.json")).unwrap();
    assert!(config.contains("\"qwen2\"") && !config.contains("qkv_bias"), "{config}");
    // It has biases, and they are learned.
    let mut parameters = Parameters::default();
    LanguageModel::open(saved.path(), &mut parameters).unwrap();
    let bias = parameters.find("model.layers.1.self_attn.k_proj.bias").unwrap();
    assert!(parameters[bias].trainable && parameters[bias].value.iter().any(|x| *x != 0.0));
    assert!(parameters.find("model.layers.1.self_attn.o_proj.bias").is_none());
}

/// A golden decoder whose layers see everything.
pub(super) fn without_windows(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(model(name).join(file), folder.path().join(file)).unwrap();
    }
    let config = std::fs::read_to_string(model(name).join("config.json")).unwrap();
    let whole = config.replace("\"use_sliding_window\": true", "\"use_sliding_window\": false");
    assert_ne!(whole, config);
    std::fs::write(folder.path().join("config.json"), whole).unwrap();
    folder
}

/// Compares the decoder of a directory, and what is saved of it, with the inference engine.
fn assert_log_probabilities(directory: &Path) -> tempfile::TempDir {
    let mut parameters = Parameters::default();
    let mut decoder = LanguageModel::open(directory, &mut parameters).unwrap();
    let tokens = decoder.encode("the cat sat on the mat and").unwrap();
    let compute = Compute::new(1);
    let tape = Tape::inference(&parameters, &compute);
    let batch = TokenBatch::new([&tokens[..]]);
    let hidden = decoder.llama.hidden(&tape, &batch);
    let logits = decoder.llama.logits(&tape, &hidden, &[tokens.len() - 1]);
    let options = DecoderOptions { precision: plackett_lm::Precision::F32, ..DecoderOptions::default() };
    let saved = tempfile::tempdir().unwrap();
    decoder.save(saved.path(), &parameters).unwrap();
    for directory in [directory, saved.path()] {
        let theirs = last_logits(&DecoderModel::open(directory, &options).unwrap(), &tokens);
        for (ours, theirs) in logits.value.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-3, "{ours} {theirs}");
        }
    }
    saved
}

#[test]
fn a_decoder_learns_a_sentence() {
    let mut parameters = Parameters::default();
    let decoder = LanguageModel::open(tiny_llama().path(), &mut parameters).unwrap();
    let example = TextExample { prompt: "the cat".into(), target: " sat on the mat".into() };
    let task = LanguageTask::new(&decoder, &[example], parse_sum("language").unwrap(), 32).unwrap();
    let compute = Compute::new(1);
    let before = mean_loss(&task, &compute, &parameters, 1).unwrap();
    let settings = Settings { batch: 1, steps: 40, rate: 5e-3, ..Settings::default() };
    train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    let after = mean_loss(&task, &compute, &parameters, 1).unwrap();
    assert!(after < 0.2 * before, "{before} {after}");
}

#[test]
fn bad_records_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lists.jsonl");
    let good = r#"{"query": "q", "candidates": [{"text": "t", "label": 1}]}"#;
    for (bad, said) in [
        (r#"{"query": "q", "candidates": []}"#, "`candidates` is empty"),
        (r#"{"query": "q"}"#, "candidates"),
        ("{", "ends too early"),
        (r#"{"query": "q", "candidates": [{"text": "t", "label": 1e999}]}"#, "number out of range"),
    ] {
        std::fs::write(&path, format!("{good}\n{bad}\n")).unwrap();
        let error = read_ranking_examples(&path).unwrap_err().to_string();
        assert!(error.contains("record 2") && error.contains(said), "{error}");
    }
    std::fs::write(&path, "\n").unwrap();
    assert!(read_ranking_examples(&path).unwrap_err().to_string().contains("no example"));
}

#[test]
fn negatives_are_kept_in_proportion_and_lists_without_a_positive_are_counted() {
    let mut lists = examples();
    lists[0].candidates[0].label = 0.0;
    let left_out = keep_negatives(&mut lists, 2, 3);
    assert_eq!((left_out, lists.len()), (1, 3));
    assert!(lists.iter().all(|list| list.candidates.len() == 3));
}

/// Logits after the last token, of the inference engine.
fn last_logits(engine: &DecoderModel, tokens: &[u32]) -> Vec<f32> {
    let outputs =
        OutputRequest { logits_at: Positions::Last, logit_ids: LogitIds::All, ..OutputRequest::default() };
    let request = Request { tokens, cache: None, pattern: AttentionPattern::Causal, adapter: None, outputs };
    engine.forward(&[request]).unwrap().remove(0).logits.remove(0)
}

/// A Llama with grouped queries and biases whose weights are drawn, with the tokenizer of the golden model.
pub(super) fn tiny_llama() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = serde_json::json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu",
        "vocab_size": 275, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 48, "rms_norm_eps": 1e-6, "rope_theta": 500.0,
        "max_position_embeddings": 256, "attention_bias": true, "mlp_bias": false,
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let golden = model("golden/decoder/llama");
    std::fs::copy(golden.join("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    let mut parameters = Parameters::default();
    let mut drawn = crate::nn::Initializer::new(5);
    let shape = serde_json::from_value(config).unwrap();
    crate::nn::Llama::load(&mut parameters, &mut drawn, &shape).unwrap();
    for (_, parameter) in parameters.iter_mut() {
        parameter.values_mut().iter_mut().for_each(|x| *x *= 5.0);
    }
    let path = folder.path().join("model.safetensors");
    crate::nn::save(&path, &parameters, |name| Some(name.to_string())).unwrap();
    folder
}

#[test]
fn what_a_decoder_has_that_is_not_trained_here_is_refused() {
    let mut parameters = Parameters::default();
    let error = LanguageModel::open(&model("golden/decoder/llama"), &mut parameters).err().unwrap();
    assert!(error.to_string().contains("rope_parameters"), "{error}");
    let error = LanguageModel::open(&model("golden/decoder/qwen2"), &mut parameters).err().unwrap();
    assert!(error.to_string().contains("use_sliding_window"), "{error}");
    let error = LanguageModel::open(&model("golden/decoder/qwen3"), &mut parameters).err().unwrap();
    assert!(error.to_string().contains("family `qwen3`"), "{error}");
}
