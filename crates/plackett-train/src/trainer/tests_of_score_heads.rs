//! Decoders with a score head: what they read, what they learn, and what the inference engine makes of what is left.

use super::tests::{examples, tiny_llama, without_windows};
use super::*;
use crate::TrainError;
use crate::nn::SafetensorsSource;
use crate::objective::parse_sum;
use crate::tape::{Compute, Parameters};
use plackett_lm::decoder::{DecoderModel, DecoderOptions, PairPrompt, PromptedScorer};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const PAIRS: [(&str, &str); 4] = [
    ("what purrs", "cats purr at night"),
    ("what barks", "dogs bark"),
    ("what purrs", "dogs bark"),
    ("x", ""),
];

/// A tiny Llama whose config.json names two tokens that end a text, of which the first does.
fn base() -> tempfile::TempDir {
    let folder = tiny_llama();
    let path = folder.path().join("config.json");
    let mut config = config_of(folder.path());
    config["eos_token_id"] = json!([2, 1]);
    std::fs::write(path, config.to_string()).unwrap();
    folder
}

fn config_of(model: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(model.join("config.json")).unwrap()).unwrap()
}

fn job(adapter: &str) -> RankingJob {
    RankingJob {
        objective: "softmax-cross-entropy".into(),
        tokens: 64,
        trained: Trained { adapter: adapter.into(), ..Trained::default() },
        prompt: Some(PairPrompt::of_score_heads().name.into()),
        settings: Settings { batch: 2, steps: 6, rate: 3e-3, checkpoint: 0, ..Settings::default() },
        ..RankingJob::default()
    }
}

fn open(
    path: &Path,
    prompt: &str,
    most: usize,
    parameters: &mut Parameters,
) -> Result<ScoredDecoder, TrainError> {
    ScoredDecoder::open(path, parameters, PairPrompt::find(prompt).unwrap(), most, 7)
}

/// Scores of a model that was saved, opened with the prompt that its files name.
fn engine_scores(model: &Path) -> Vec<f32> {
    let options = DecoderOptions { precision: plackett_lm::Precision::F32, ..DecoderOptions::default() };
    let model = Arc::new(DecoderModel::open(model, &options).unwrap());
    let prompt = PairPrompt::recognize(&model).unwrap().unwrap();
    PromptedScorer::new(model, prompt).unwrap().score_pairs(&PAIRS, None).unwrap().logits
}

fn assert_close(ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
    }
}

#[test]
fn pairs_are_read_in_the_tokens_of_their_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = Parameters::default();
    let config = crate::nn::LlamaConfig::small(BYTE_VOCABULARY, 1, (16, 16), 2);
    let mut bytes = LanguageModel::of_bytes(&config, 64, 3, &mut parameters).unwrap();
    bytes.save(folder.path(), &parameters).unwrap();
    let encode = |path: &Path, prompt: &str, most: usize| {
        open(path, prompt, most, &mut Parameters::default()).unwrap().encode("a", "b c").unwrap()
    };
    // A vocabulary of bytes has no token that begins a text.
    let whole = encode(folder.path(), "query-document", 64);
    assert_eq!(whole.tokens, [encode_bytes("query: a document: b c"), vec![END_OF_TEXT]].concat());
    assert!(!whole.is_cut && whole.first == 23);
    let cut = encode(folder.path(), "query-document", 9);
    assert_eq!(cut.tokens, [encode_bytes("query: a"), vec![END_OF_TEXT]].concat());
    assert!(cut.is_cut);
    // One that has it: 0 begins, 2 ends.
    let llama = base();
    let plain = LanguageModel::open(llama.path(), &mut Parameters::default()).unwrap();
    let plain = |text: &str| plain.encode(text).unwrap();
    let one = encode(llama.path(), "query-document", 64);
    assert_eq!(one.tokens, [vec![0], plain("query: a document: b c"), vec![2]].concat());
    let two = encode(llama.path(), "rankllama", 64);
    assert_eq!(two.tokens, [vec![0], plain("query: a"), vec![0], plain("document: b c")].concat());
}

#[test]
fn what_is_saved_has_the_same_scores_in_the_inference_engine() {
    let qwen = without_windows("golden/decoder/qwen2");
    let llama = base();
    for (base, class, adapter) in [
        (llama.path(), "LlamaForSequenceClassification", "full"),
        (llama.path(), "LlamaForSequenceClassification", "lora(rank=2)"),
        (qwen.path(), "Qwen2ForSequenceClassification", "lora(rank=2)"),
    ] {
        let (job, compute) = (job(adapter), Compute::new(1));
        let mut parameters = Parameters::default();
        let mut model = open(base, "query-document", 64, &mut parameters).unwrap();
        let mut attached = job.attach(&mut parameters, &mut model).unwrap();
        let before = model.scores(&compute, &parameters, &PAIRS).unwrap();
        let task = RankingTask::new(&model, &examples(), parse_sum(&job.objective).unwrap()).unwrap();
        assert_eq!(task.cut(), (0, 16));
        let hooks = attached.as_mut().map(|attached| attached as &mut dyn Hooks);
        train(&task, &compute, &mut parameters, &job.settings, (None, ""), hooks, &mut |_, _| {}).unwrap();
        let ours = model.scores(&compute, &parameters, &PAIRS).unwrap();
        assert_ne!(ours, before);
        let folder = tempfile::tempdir().unwrap();
        PairModel::save(&mut model, folder.path(), &parameters).unwrap();
        assert_close(&ours, &engine_scores(folder.path()));
        let config = config_of(folder.path());
        assert_eq!(config["architectures"], json!([class]));
        assert_eq!(
            (&config["pair_prompt"], &config["eos_token_id"], &config["id2label"]),
            (&json!("query-document"), &json!(2), &json!({"0": "LABEL_0"}))
        );
        let weights = SafetensorsSource::open(&folder.path().join("model.safetensors")).unwrap();
        assert!(!weights.has("lm_head.weight"), "a score head stands in its place");
        let shapes = weights.into_tensors();
        let head = shapes.iter().find(|(name, ..)| name == "score.weight").unwrap();
        assert_eq!(head.1, [1, 32]);
        assert!(shapes.iter().all(|(name, ..)| !name.contains("lora")));
        // It is a base like any other, whose head is there.
        let mut parameters = Parameters::default();
        let again = open(folder.path(), "query-document", 64, &mut parameters).unwrap();
        assert_close(&ours, &again.scores(&compute, &parameters, &PAIRS).unwrap());
        // But it is none that writes.
        let error = LanguageModel::open(folder.path(), &mut Parameters::default()).err().unwrap().to_string();
        assert!(error.contains("writes no text; name method = \"cross-encoder\""), "{error}");
    }
}

#[test]
fn a_prompt_goes_with_the_model() {
    let (folder, llama) = (tempfile::tempdir().unwrap(), base());
    let mut parameters = Parameters::default();
    let mut model = open(llama.path(), "rankllama", 64, &mut parameters).unwrap();
    let ours = model.scores(&Compute::new(1), &parameters, &PAIRS).unwrap();
    PairModel::save(&mut model, folder.path(), &parameters).unwrap();
    assert_close(&ours, &engine_scores(folder.path()));
    let other = open(folder.path(), "query-document", 64, &mut Parameters::default()).unwrap();
    assert_ne!(other.scores(&Compute::new(1), &parameters, &PAIRS).unwrap(), ours);
}

#[test]
fn the_adapter_alone_has_the_head_beside_it() {
    let (folder, llama) = (tempfile::tempdir().unwrap(), base());
    let (work, output) = (folder.path().join("work"), folder.path().join("model"));
    let trained =
        Trained { adapter: "lora(rank=2)".into(), targets: "q_proj,v_proj".into(), save_adapter: true };
    let job = RankingJob { trained, ..job("full") };
    let places = (work.as_path(), output.as_path());
    let outcome = job.run(llama.path(), (&examples(), &[]), places, "", &Compute::new(1), &mut |_, _| {});
    // Two layers of 32 × 32 and 16 × 32 with rank 2 in each of three layers, and the head.
    assert_eq!(outcome.unwrap().trainable, 3 * (2 * 64 + 2 * 48) + 32);
    let adapter = output.join(ADAPTER);
    let config: Value =
        serde_json::from_slice(&std::fs::read(adapter.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!((&config["modules_to_save"], &config["task_type"]), (&json!(["score"]), &json!("SEQ_CLS")));
    let tensors = |path: &Path| SafetensorsSource::open(path).unwrap().into_tensors();
    let own = tensors(&adapter.join("adapter_model.safetensors"));
    let merged = tensors(&output.join("model.safetensors"));
    let find = |all: &[(String, Vec<usize>, Vec<f32>)], wanted: &str| {
        let found = all.iter().find(|(name, ..)| name == wanted).unwrap();
        (found.1.clone(), found.2.clone())
    };
    assert_eq!(find(&own, "base_model.model.score.weight"), find(&merged, "score.weight"));
    assert!(
        own.iter().any(|(name, ..)| name == "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight")
    );
}

#[test]
fn objectives_of_lists_and_of_teachers_are_learned() {
    let llama = base();
    let mut lists = examples();
    for list in &mut lists {
        list.candidates.iter_mut().for_each(|candidate| candidate.teacher = Some(2.0 * candidate.label));
    }
    for objective in [
        "softmax-cross-entropy",
        "ranknet",
        "kl-distillation(temperature=2)",
        "0.9*softmax-cross-entropy + 0.1*kl-distillation(temperature=2)",
    ] {
        let mut parameters = Parameters::default();
        let model = open(llama.path(), "query-document", 64, &mut parameters).unwrap();
        let task = RankingTask::new(&model, &lists, parse_sum(objective).unwrap()).unwrap();
        let compute = Compute::new(1);
        let before = mean_loss(&task, &compute, &parameters, 4).unwrap();
        let settings = Settings { batch: 4, steps: 80, rate: 5e-3, ..Settings::default() };
        train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
        let after = mean_loss(&task, &compute, &parameters, 4).unwrap();
        assert!(after < 0.9 * before, "{objective}: {before} {after}");
    }
}

#[test]
fn the_head_alone_can_be_trained_and_has_a_rate_of_its_own() {
    let (folder, llama) = (tempfile::tempdir().unwrap(), base());
    let settings = Settings { head_rate: 1e-2, ..job("head").settings };
    let job = RankingJob { settings, ..job("head") };
    let (work, output) = (folder.path().join("work"), folder.path().join("model"));
    let places = (work.as_path(), output.as_path());
    let outcome = job.run(llama.path(), (&examples(), &[]), places, "", &Compute::new(1), &mut |_, _| {});
    assert_eq!(outcome.unwrap().trainable, 32);
    let weights = |path: &Path| {
        let all = SafetensorsSource::open(&path.join("model.safetensors")).unwrap().into_tensors();
        all.into_iter().filter(|(name, ..)| name.starts_with("model.")).collect::<Vec<_>>()
    };
    assert_eq!(weights(&output), weights(llama.path()));
}

#[test]
fn a_kill_after_any_step_changes_nothing() {
    let (folder, llama) = (tempfile::tempdir().unwrap(), base());
    let job = job("lora(rank=2, dropout=0.2)");
    let job = RankingJob { settings: Settings { checkpoint: 1, ..job.settings.clone() }, ..job };
    let run = |name: &str, progress: &mut dyn FnMut(&StepRecord, usize)| {
        let (work, output) = (folder.path().join(name), folder.path().join(format!("{name} model")));
        let places = (work.as_path(), output.as_path());
        let outcome = job.run(llama.path(), (&examples(), &[]), places, "x", &Compute::new(1), progress);
        (outcome.unwrap().report.resumed, std::fs::read(output.join("model.safetensors")).unwrap())
    };
    let copied = |step: usize| {
        let to = folder.path().join(format!("killed {step}"));
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(folder.path().join("whole")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    let (_, weights) = run("whole", &mut |record, _| copied(record.step));
    for step in [1, 4] {
        let (resumed, after) = run(&format!("killed {step}"), &mut |_, _| {});
        assert_eq!(resumed, step);
        assert!(after == weights, "killed after step {step}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let said = |job: RankingJob| job.check().unwrap_err().to_string();
    let prompt = said(RankingJob { prompt: Some("qeury".into()), ..job("full") });
    assert!(prompt.contains("there is no `qeury`") && prompt.contains("query-document"), "{prompt}");
    let layers = said(RankingJob { separate_layers: Some(1), ..job("full") });
    assert!(layers.contains("separate_layers"), "{layers}");
    let settings = Settings { dropout: 0.1, ..Settings::default() };
    assert!(said(RankingJob { settings, ..job("full") }).contains("lora(dropout=0.1)"));
    let opened = |path: &Path, prompt: &str, most: usize| {
        open(path, prompt, most, &mut Parameters::default()).err().unwrap().to_string()
    };
    let llama = base();
    let short = opened(llama.path(), "query-document", 2);
    assert!(short.contains("tokens: 2 leave no room") && short.contains("give more"), "{short}");
    // The tiny Llama as it is names no token that ends a text.
    let endless = tiny_llama();
    let end = opened(endless.path(), "query-document", 64);
    assert!(end.contains("eos_token_id"), "{end}");
    assert!(open(endless.path(), "rankllama", 64, &mut Parameters::default()).is_ok());
    assert!(opened(llama.path(), "yes-no", 64).contains("no token `<|im_start|>`"));
    let bert = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert");
    assert!(opened(&bert, "query-document", 64).contains("family `bert`"));
}
