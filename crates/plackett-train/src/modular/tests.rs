use super::*;
use crate::tape::Compute;
use crate::trainer::{Candidate, RankingExample, Settings, StepRecord};
use std::path::PathBuf;
use tempfile::TempDir;

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert")
}

fn texts() -> Vec<String> {
    let all =
        ["cats purr at night", "dogs bark in the morning", "a fish swims in the sea", "birds sing at night"];
    all.map(String::from).to_vec()
}

fn settings(rate: f32) -> Settings {
    Settings { batch: 2, steps: 20, rate, checkpoint: 0, ..Settings::default() }
}

struct Files {
    folder: TempDir,
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A head, and language and ranking modules of both kinds; what each language's module did.
fn trained() -> (Files, Vec<LanguageOutcome>) {
    let files = Files { folder: tempfile::tempdir().unwrap() };
    let compute = Compute::new(1);
    let mut progress = |_: &StepRecord, _: usize| {};
    let head = files.path("head");
    let learned =
        train_masked_head(&base(), &texts(), (32, &settings(1e-2)), &head, &compute, &mut progress).unwrap();
    assert!(learned[1] < learned[0], "{learned:?}");
    let mut outcomes = Vec::new();
    for (name, module, rate) in [
        ("es", "bottleneck(reduction=2, invertible=true)", 1e-2),
        ("de", "bottleneck(reduction=2, invertible=true)", 3e-3),
        ("es-sparse", "lt-sft(k=200)", 3e-3),
        ("de-sparse", "lt-sft(k=200)", 1e-3),
    ] {
        let job = LanguageModuleJob { module: module.into(), tokens: 32, settings: settings(rate) };
        let output = files.path(name);
        let made = job.run((&base(), &head), (&texts(), &texts()), &output, &compute, &mut progress);
        outcomes.push(made.unwrap());
    }
    let list = |query: &str, best: usize| RankingExample {
        query: query.into(),
        candidates: texts()
            .into_iter()
            .enumerate()
            .map(|(at, text)| Candidate { text, label: f32::from(u8::from(at == best)), teacher: None })
            .collect(),
    };
    let examples = [list("what purrs", 0), list("what barks", 1)];
    for (name, module, below) in
        [("rank", "bottleneck(reduction=4)", "es"), ("rank-sparse", "lt-sft(k=300)", "es-sparse")]
    {
        let job = RankingModuleJob {
            module: module.into(),
            objective: "bce".into(),
            tokens: 32,
            settings: settings(3e-3),
        };
        let (below, output) = (files.path(below), files.path(name));
        job.run((&base(), Some(&below)), &examples, &output, &compute, &mut progress).unwrap();
    }
    (files, outcomes)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

const PAIRS: [(&str, &str); 3] =
    [("what purrs", "cats purr"), ("what barks", "dogs bark at night"), ("x", "a fish")];

#[test]
fn modules_are_learned_taken_off_and_put_together() {
    let (files, outcomes) = trained();
    for outcome in &outcomes {
        assert!(mean(&outcome.after) < mean(&outcome.before), "{outcome:?}");
        for (before, reverted) in outcome.before.iter().zip(&outcome.reverted) {
            assert!((before - reverted).abs() < 1e-5);
        }
    }
    assert!(outcomes[2..].iter().all(|outcome| (100..=200).contains(&outcome.trainable)));
    let compute = Compute::new(1);
    let open = |rank: &str, languages: &[(&str, &str)]| {
        let paths: Vec<(String, PathBuf)> =
            languages.iter().map(|(name, file)| (name.to_string(), files.path(file))).collect();
        let paths: Vec<(String, &Path)> =
            paths.iter().map(|(name, path)| (name.clone(), path.as_path())).collect();
        ModularRanker::open(&base(), &files.path(rank), &paths, 32)
    };
    let mut adapters = open("rank", &[("es", "es"), ("de", "de")]).unwrap();
    let mut scores = |setting, languages| {
        adapters.assemble(setting, languages, true).unwrap();
        adapters.scores(&compute, &PAIRS).unwrap()
    };
    let document = scores(LanguageSetting::Document, ("de", "es"));
    assert_eq!(scores(LanguageSetting::Query, ("es", "de")), document);
    let split = scores(LanguageSetting::Split, ("es", "es"));
    assert!(split.iter().zip(&document).all(|(a, b)| (a - b).abs() < 1e-5));
    assert_ne!(scores(LanguageSetting::Split, ("de", "es")), document);
    assert_ne!(scores(LanguageSetting::None, ("", "")), document);
    let mut sparse = open("rank-sparse", &[("es", "es-sparse"), ("de", "de-sparse")]).unwrap();
    let mut scores = |setting, languages| {
        sparse.assemble(setting, languages, true).unwrap();
        sparse.scores(&compute, &PAIRS).unwrap()
    };
    let document = scores(LanguageSetting::Document, ("de", "es"));
    assert_eq!(scores(LanguageSetting::Both, ("es", "es")), document, "one language is added once");
    let both = scores(LanguageSetting::Both, ("de", "es"));
    let turned = scores(LanguageSetting::Both, ("es", "de"));
    assert!(both.iter().zip(&turned).all(|(a, b)| (a - b).abs() < 1e-5), "the order of a sum");
    assert_ne!(both, document);
    let refused = |made: Result<(), TrainError>, part: &str| {
        let error = made.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(adapters.assemble(LanguageSetting::Both, ("de", "es"), true), "adapters take `split`");
    refused(sparse.assemble(LanguageSetting::Split, ("de", "es"), true), "sparse differences take `both`");
    refused(sparse.assemble(LanguageSetting::Query, ("tr", "es"), true), "there are: de, es");
    let mut mixed = open("rank-sparse", &[("es", "es")]).unwrap();
    refused(mixed.assemble(LanguageSetting::Document, ("", "es"), true), "modules of one kind go together");
    std::fs::write(files.path("none"), b"nothing").unwrap();
    assert!(open("none", &[]).is_err());
}
