//! `plackett train` on a tiny BERT: from examples to a model that ranks, kills, and everything that can be wrong before.

use crate::common::{Done, command, kill_when, plackett};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert");
const ROUNDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/all-MiniLM-L6-v2-int8");

pub const TEXTS: [&str; 4] =
    ["cats purr at night", "dogs bark", "a fish swims in the sea", "birds sing in the morning"];
pub const QUERIES: [&str; 4] = ["what purrs", "what barks", "who swims", "who sings"];

/// Four queries, of which each has another best document.
pub fn examples(label: impl Fn(usize, usize) -> f64) -> String {
    let candidate = |query: usize, at: usize| json!({"text": TEXTS[at], "label": label(query, at)});
    let line = |query: usize| {
        let candidates: Vec<Value> = (0..4).map(|at| candidate(query, at)).collect();
        format!("{}\n", json!({"query": QUERIES[query], "candidates": candidates}))
    };
    (0..4).map(line).collect()
}

pub fn one_best(query: usize, at: usize) -> f64 {
    f64::from(u8::from(query == at))
}

const HEAD: &str = "objective = \"softmax-cross-entropy\"\ntokens = 16\n";
const LORA: &str = "[trained]\nadapter = \"lora(rank=2)\"\ntargets = \"query,value\"\n";
const SETTINGS: &str = "[settings]\nsteps = 12\nbatch = 2\nrate = 3e-3\ncheckpoint = 4\n";

pub fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// A folder with examples and a training file.
pub fn prepared(rest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "train.jsonl", &examples(one_best));
    write(folder.path(), "t.toml", &training(TINY, rest));
    folder
}

pub fn training(base: &str, rest: &str) -> String {
    format!("base = {base:?}\nexamples = \"train.jsonl\"\n{rest}")
}

pub fn train(folder: &Path, output: &str) -> Done {
    plackett(folder, &["train", "t.toml", "-o", output, "--json"])
}

pub fn weights(folder: &Path, model: &str) -> Vec<u8> {
    std::fs::read(folder.join(model).join("model.safetensors")).unwrap()
}

/// The sentence with which a training is refused.
pub fn refused(folder: &Path, output: &str) -> String {
    let done = train(folder, output).expect(2);
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    done.json()["errors"][0].as_str().unwrap().to_string()
}

/// The page of JSON answers names every field.
pub fn assert_documented(done: &Value) {
    let page = include_str!("../../../../docs/json.md");
    let row = page.lines().find(|line| line.starts_with("| `train` |")).unwrap();
    let names: Vec<&String> = done.as_object().unwrap().keys().collect();
    for name in &names[2..names.len() - 4] {
        assert!(row.contains(&format!("`{name}`")), "{name}: {row}");
    }
}

#[test]
fn a_trained_model_ranks() {
    let folder = prepared(&format!("validation = \"train.jsonl\"\n{HEAD}{LORA}{SETTINGS}"));
    let long = format!(
        "{{\"query\": \"x\", \"candidates\": [{{\"text\": \"{}\", \"label\": 1}}, {{\"text\": \"y\", \"label\": 0}}]}}\n",
        "cat ".repeat(50)
    );
    write(folder.path(), "train.jsonl", &(examples(one_best) + &long));
    let done = train(folder.path(), "ranker").expect(0).json();
    assert_eq!((&done["steps"], &done["queries"], &done["resumed"]), (&json!(12), &json!(5), &json!(0)));
    let [before, after] = [0, 1].map(|at| done["validation"][at].as_f64().unwrap());
    assert!(after.is_finite() && before != after && done["trainable"].as_u64() < done["parameters"].as_u64());
    assert_documented(&done);
    let warning = done["warnings"][0].as_str().unwrap();
    assert!(warning.contains(" of 36 pairs") && warning.contains("more than 16 tokens"), "{warning}");
    // The same again has nothing to do, and changes nothing.
    let bytes = weights(folder.path(), "ranker");
    let again = train(folder.path(), "ranker").expect(0).json();
    assert_eq!((&again["resumed"], &again["loss"], &again["steps"]), (&json!(12), &done["loss"], &json!(12)));
    assert_eq!(weights(folder.path(), "ranker"), bytes);
    let page = std::fs::read_to_string(folder.path().join("ranker/training.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(page.contains("train.jsonl") && page.contains("lora(rank=2)"), "{page}");
    let card = std::fs::read_to_string(folder.path().join("ranker/README.md")).unwrap();
    assert!(card.contains("in 12 steps") && card.contains("lora(rank=2)"), "{card}");
    let candidates: Vec<Value> =
        (0..4).map(|at| json!({"docid": format!("d{at}"), "text": TEXTS[at]})).collect();
    write(
        folder.path(),
        "requests.jsonl",
        &json!({"query": QUERIES[0], "candidates": candidates}).to_string(),
    );
    let arguments =
        ["rerank", "--method", "cross-encoder", "--model", "./ranker", "requests.jsonl", "--json"];
    let ranked = plackett(folder.path(), &arguments).expect(0);
    for at in 0..4 {
        assert!(ranked.stdout.contains(&format!("d{at}")), "{}", ranked.stdout);
    }
}

#[test]
fn objectives_and_adapters_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| plackett(folder.path(), &[&["train"][..], arguments].concat());
    let all = said(&["--list-objectives"]).expect(0).stdout;
    assert!(all.contains("listnet") && all.contains("position-aware-listmle"), "{all}");
    let one = said(&["--list-objectives", "lambdarank"]).expect(0).stdout;
    assert!(one.contains("lambda-loss (listwise)") && one.contains("default lambdarank"), "{one}");
    let one = said(&["--list-adapters", "lora", "--json"]).expect(0).json();
    assert_eq!(one["adapters"][0]["trained_numbers"], "rank · (i + o)");
    assert_eq!(one["adapters"][0]["options"][0]["name"], "rank");
    let all = said(&["--list-objectives", "--json"]).expect(0).json();
    assert!(all["objectives"].as_array().unwrap().iter().any(|own| own["group"] == "preference"), "{all}");
    for (arguments, words) in [
        (&["--list-objectives", "lisnet"][..], "did you mean `listnet`?"),
        (&["--list-adapters", "lorra"][..], "did you mean `lora`?"),
        (&["t.toml", "-o", "out", "--list-adapters"][..], "--list-adapters"),
        (&["t.toml"][..], "--output"),
    ] {
        let refused = said(arguments).expect(2).stderr;
        assert!(refused.contains(words), "{arguments:?}: {refused}");
    }
}

#[test]
fn a_training_that_is_evaluated_leaves_its_best_weights() {
    let settings = SETTINGS.replace("steps = 12", "steps = 40").replace("3e-3", "5e-2");
    let evaluated = format!("{settings}evaluate = 2\npatience = 3\n");
    let folder = prepared(&format!("validation = \"train.jsonl\"\n{HEAD}{LORA}{evaluated}"));
    let done = train(folder.path(), "ranker").expect(0).json();
    let found = &done["evaluated"];
    assert_eq!((&found["measure"], &found["phase"]), (&json!("validation nDCG@10"), &json!(1)));
    // What is saved is what was measured after the best step.
    assert_eq!(found["value"], done["ndcg"][1]);
    assert_eq!(done["ndcg_change"]["n"], json!(4));
    let [best, steps] = [&found["best"], &done["steps"]].map(|step| step.as_u64().unwrap());
    assert!(best.is_multiple_of(2) && best <= steps, "{done}");
    match found["stopped"].as_u64() {
        Some(stopped) => assert_eq!((stopped, stopped), (steps, best + 6)),
        None => assert_eq!(steps, 40),
    }
    let page = std::fs::read_to_string(folder.path().join("ranker/training.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains("Evaluations") && page.contains("best step"), "{page}");
    let card = std::fs::read_to_string(folder.path().join("ranker/README.md")).unwrap();
    assert!(card.contains(&format!("validation nDCG@10 was best after step {best}")), "{card}");
    let again = plackett(folder.path(), &["train", "t.toml", "-o", "ranker"]).expect(0);
    assert!(again.stdout.contains(&format!("was best after step {best}")), "{}", again.stdout);
    let folder = prepared(&format!("{HEAD}{evaluated}"));
    assert!(refused(folder.path(), "out").contains("evaluate: there are no examples to evaluate on"));
}

#[test]
fn the_entropy_that_there_is_a_bonus_for_stands_in_the_log() {
    let rest =
        "objective = \"pg-rank(samples=4, entropy=0.1)\"\ntokens = 16\n[settings]\nsteps = 3\nbatch = 2\n";
    let folder = prepared(rest);
    train(folder.path(), "out").expect(0);
    let read = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let log = read("training/steps.jsonl");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entropies: Vec<f64> = lines.map(|line| line["entropy"].as_f64().unwrap()).collect();
    // Of four candidates it is ln 4 at most.
    assert!(entropies.len() == 3 && entropies.iter().all(|own| *own > 0.0 && *own < 1.3863), "{entropies:?}");
    assert_eq!(read("training.html").matches("<svg").count(), 4);
}

#[test]
fn layers_that_are_run_again_leave_the_same_model() {
    let rest = format!("{HEAD}{LORA}{SETTINGS}dropout = 0.1\n");
    let folder = prepared(&rest);
    train(folder.path(), "kept").expect(0);
    write(folder.path(), "t.toml", &training(TINY, &format!("{rest}recompute = true\n")));
    train(folder.path(), "again").expect(0);
    assert!(weights(folder.path(), "again") == weights(folder.path(), "kept"));
    let card = std::fs::read_to_string(folder.path().join("again/README.md")).unwrap();
    assert!(card.contains("recompute = true"), "{card}");
    // What was done without it may go on with it.
    let done = train(folder.path(), "kept").expect(0).json();
    assert_eq!(done["resumed"], json!(12));
}

#[test]
fn phases_of_sora_leave_adapters_of_their_own() {
    let sora = LORA.replace("lora(rank=2)", "sora(rank=2, xi=0/9)");
    let folder = prepared(&format!("validation = \"train.jsonl\"\n{HEAD}{sora}{SETTINGS}"));
    let done = train(folder.path(), "ranker").expect(0).json();
    let phases = done["phases"].as_array().unwrap();
    let of = |key: &str| -> Vec<&Value> { phases.iter().map(|phase| &phase[key]).collect() };
    assert_eq!(of("setting"), [&json!("xi = 0"), &json!("xi = 9")]);
    assert!(phases[0]["numbers"].as_u64().unwrap() > 0, "{done}");
    assert_eq!((&phases[1]["numbers"], &phases[1]["value"]), (&json!(0), &done["ndcg"][1]));
    for phase in phases {
        assert!(folder.path().join(phase["adapter"].as_str().unwrap()).is_file(), "{phase}");
    }
    let card = std::fs::read_to_string(folder.path().join("ranker/README.md")).unwrap();
    assert!(card.contains("| xi = 9 | 0 | validation nDCG@10 "), "{card}");
}

/// Starts a command and kills it (signal 9 on Unix) after a time, if it has not ended by then.
fn kill_after(folder: &Path, arguments: &[&str], delay: Duration) {
    let quiet = || Stdio::null();
    let mut child =
        command(folder, arguments).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().unwrap();
    std::thread::sleep(delay);
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_killed_training_goes_on_to_the_same_bits() {
    let settings = SETTINGS.replace("steps = 12", "steps = 60");
    let sparse = "[trained]\nadapter = \"lt-sft(k=40)\"\n";
    let folder = prepared(&format!("{HEAD}{sparse}{settings}"));
    train(folder.path(), "whole").expect(0);
    let checkpoint = folder.path().join("killed/training/checkpoint.safetensors");
    kill_when(folder.path(), &["train", "t.toml", "-o", "killed"], || checkpoint.exists());
    let done = train(folder.path(), "killed").expect(0).json();
    assert!(done["resumed"].as_u64().unwrap() >= 4, "{done}");
    assert_eq!(done["steps"], 120, "two phases");
    assert_eq!(weights(folder.path(), "killed"), weights(folder.path(), "whole"));
}

#[test]
fn kills_at_any_time_and_on_any_number_of_threads_end_with_the_same_bits() {
    let settings = SETTINGS.replace("steps = 12", "steps = 16").replace("checkpoint = 4", "checkpoint = 2");
    let sparse = "[trained]\nadapter = \"lt-sft(k=40)\"\n";
    let folder = prepared(&format!("{HEAD}{sparse}{settings}"));
    let begun = Instant::now();
    train(folder.path(), "whole").expect(0);
    let most = begun.elapsed().as_micros() as u64;
    let expected = weights(folder.path(), "whole");
    // Moments from a fixed sequence: before the first step, between and in steps, while a checkpoint or the model is written.
    let mut state = 0x2545_f491_u64;
    for threads in ["1", "2"] {
        for kill in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let delay = Duration::from_micros((state >> 33) % most.max(1));
            let arguments = ["train", "t.toml", "-o", "killed", "--threads", threads, "--json"];
            kill_after(folder.path(), &arguments, delay);
            let done = plackett(folder.path(), &arguments).expect(0).json();
            assert_eq!(done["steps"], 32, "{threads} threads, kill {kill} after {delay:?}");
            let weights = weights(folder.path(), "killed");
            assert!(weights == expected, "{threads} threads, kill {kill} after {delay:?}");
            std::fs::remove_dir_all(folder.path().join("killed")).unwrap();
        }
    }
}

#[test]
fn a_training_that_was_killed_before_it_said_what_it_is_begins_again() {
    let folder = prepared(&format!("{HEAD}{LORA}{SETTINGS}"));
    std::fs::create_dir_all(folder.path().join("out/training")).unwrap();
    write(folder.path(), "out/training/lock", "");
    train(folder.path(), "out").expect(0);
    // What is no such thing is left alone.
    std::fs::create_dir_all(folder.path().join("other/training")).unwrap();
    write(folder.path(), "other/training/notes.txt", "mine");
    assert!(refused(folder.path(), "other").contains("there is something in this folder"));
}

#[test]
fn names_of_other_trainers_are_read() {
    let folder = prepared(&format!("{HEAD}{LORA}{SETTINGS}"));
    train(folder.path(), "own").expect(0);
    let [head, lora, settings] = [
        HEAD.replace("tokens", "max_length"),
        LORA.replace("targets", "target_modules"),
        SETTINGS
            .replace("batch", "batch_size")
            .replace("rate", "learning_rate")
            .replace("checkpoint", "save_steps"),
    ];
    write(folder.path(), "t.toml", &training(TINY, &format!("{head}{lora}{settings}")));
    // The same training, which has nothing left to do.
    let again = train(folder.path(), "own").expect(0).json();
    assert_eq!(again["resumed"], json!(12));
    write(folder.path(), "t.toml", &training(TINY, &format!("{HEAD}{SETTINGS}batch_size = 2\n")));
    let said = refused(folder.path(), "other");
    assert!(said.contains("`batch` is given twice"), "{said}");
}

#[test]
fn what_is_wrong_is_said_before_training() {
    let lora = |text: &str| LORA.replace("lora(rank=2)", text);
    let unlabelled = "negatives = 2\n";
    for (rest, parts) in [
        (
            format!("objectiv = \"bce\"\n{SETTINGS}"),
            vec!["t.toml, line 3", "`objectiv` is no key", "`objective`"],
        ),
        (format!("{HEAD}[settings]\nstep = 3\n"), vec!["t.toml, line 6", "`step`", "`steps`"]),
        (format!("{HEAD}[settings]\nsteps = \"many\"\n"), vec!["line 6", "there must be a whole number"]),
        (format!("{HEAD}[settings]\nrate = nan\n"), vec!["t.toml", "rate"]),
        (format!("{HEAD}[settings]\nbatch = 99999999\n"), vec!["batch", "from 1 to 65536"]),
        (format!("{HEAD}[settings]\ndecay = nan\n"), vec!["decay"]),
        (format!("{HEAD}[settings]\npatience = 2\n"), vec!["patience", "set evaluate"]),
        (
            format!("{HEAD}[trained]\nadapter = \"head\"\n[settings]\nrecompute = true\n"),
            vec!["t.toml", "recompute: adapter = \"head\" trains no layer", "leave it out"],
        ),
        ("tokens = 0\n".into(), vec!["tokens", "from 8"]),
        ("objective = \"margin-mse\"\n".into(), vec!["`what purrs`", "scores of a teacher", "add them"]),
        ("objective = \"language\"\n".into(), vec!["log-probabilities of tokens", "choose an objective"]),
        ("objective = \"softmax-cros-entropy\"\n".into(), vec!["did you mean `softmax-cross-entropy`?"]),
        (format!("{HEAD}{}", lora("lora(rnk=2)")), vec!["`rnk`", "did you mean `rank`?"]),
        (format!("{HEAD}{LORA}").replace("query,value", "qery"), vec!["`qery`", "did you mean `query`?"]),
        (format!("{HEAD}{}", lora("lt-sft(k=3)")).replace("query,value", "query,vlue"), vec!["`vlue`"]),
        (format!("{HEAD}{}", lora("full")), vec!["\"query,value\"", "leave targets out"]),
        (format!("{HEAD}[trained]\nadapter = \"bottleneck\"\n"), vec!["`bottleneck`", "use an adapter that"]),
        (format!("validation = \"nothing.jsonl\"\n{HEAD}"), vec!["nothing.jsonl"]),
        (format!("validation = \"\"\n{HEAD}"), vec!["t.toml, line 3: validation: nothing is written"]),
        ("scorer = 1\n".into(), vec!["t.toml, line 3", "the number `1` where there must be a table"]),
        ("objective = \"0*bce\"\n".into(), vec!["objective: every objective of `0*bce` has the weight 0"]),
        (
            "negatives = 4\nobjective = \"bce + -0.5*ranknet\"\n".into(),
            vec!["t.toml, line 4: objective: the weight -0.5 of `ranknet` is below 0", "a weight from 0"],
        ),
        (unlabelled.into(), vec![]),
    ] {
        let folder = prepared(&rest);
        if rest == unlabelled {
            write(folder.path(), "train.jsonl", &examples(|_, _| 0.0));
            let said = refused(folder.path(), "out");
            assert!(
                said.contains("none of its 4 queries") && said.contains("label what is relevant"),
                "{said}"
            );
            continue;
        }
        let said = refused(folder.path(), "out");
        for part in parts {
            assert!(said.contains(part), "{rest}\n{said}");
        }
        assert!(!folder.path().join("out").exists(), "{rest}");
    }
}

#[test]
fn records_without_a_meaning_are_named() {
    let good = examples(one_best);
    for (bad, parts) in [
        (
            "{\"query\": \"q\", \"candidates\": [{\"text\": \"t\", \"label\": NaN}]}",
            vec!["record 5", "column"],
        ),
        (
            "{\"query\": \"q\", \"candidates\": [{\"text\": \"t\", \"label\": \"x\"}]}",
            vec!["record 5", "a number"],
        ),
        ("{\"query\": \"q\", \"candidates\": []}", vec!["record 5", "leave the record out"]),
        ("{\"query\": \"q\"}", vec!["record 5", "candidates"]),
        ("[1]", vec!["record 5", "a list"]),
    ] {
        let folder = prepared(HEAD);
        write(folder.path(), "train.jsonl", &format!("{good}{bad}\n"));
        let said = refused(folder.path(), "out");
        for part in parts {
            assert!(said.contains(part), "{bad}\n{said}");
        }
    }
    // Labels of which none is better teach this objective nothing.
    let folder = prepared(HEAD);
    write(folder.path(), "train.jsonl", &examples(|_, _| 0.0));
    let said = refused(folder.path(), "out");
    assert!(said.contains("none of the 4 queries can teach"), "{said}");
    // A text of a megabyte is read as far as `tokens` says, and is counted among those that were cut.
    let folder = prepared(&format!("{HEAD}[settings]\nsteps = 1\nbatch = 5\n"));
    let cut = |text: &str, output: &str| {
        let candidates = json!([{"text": text, "label": 1}, {"text": "y", "label": 0}]);
        let line = json!({"query": "x", "candidates": candidates});
        write(folder.path(), "train.jsonl", &format!("{good}{line}\n"));
        let done = train(folder.path(), output).expect(0).json();
        (done["cut"].as_u64().unwrap(), done["warnings"].to_string())
    };
    let (few, _) = cut("cat", "short");
    let (more, warnings) = cut(&"cat ".repeat(1 << 18), "long");
    assert_eq!(more, few + 1);
    assert!(warnings.contains(&format!("{more} of 18 pairs")), "{warnings}");
}

#[test]
fn bases_and_folders_that_cannot_be_are_refused() {
    let folder = prepared(HEAD);
    write(folder.path(), "t.toml", &training(ROUNDED, HEAD));
    let said = refused(folder.path(), "out");
    assert!(said.contains("is rounded") && said.contains("give the model that"), "{said}");
    // A decoder of a family that is not trained is not taken for a BERT.
    let qwen = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/qwen3");
    write(folder.path(), "t.toml", &training(qwen, ""));
    let said = refused(folder.path(), "out");
    assert!(said.contains("family `qwen3` cannot be trained yet") && said.contains("`qwen2`"), "{said}");
    // What ended so is nobody's training.
    write(folder.path(), "t.toml", &training(TINY, &format!("{HEAD}{SETTINGS}")));
    train(folder.path(), "out").expect(0);
    let bytes = weights(folder.path(), "out");
    write(folder.path(), "t.toml", &training(TINY, &format!("{HEAD}{}", SETTINGS.replace("12", "13"))));
    let said = refused(folder.path(), "out");
    assert!(said.contains("a training with other settings"), "{said}");
    std::fs::create_dir(folder.path().join("other")).unwrap();
    write(folder.path(), "other/config.json", "{}");
    let said = refused(folder.path(), "other");
    assert!(said.contains("there is something in this folder"), "{said}");
    assert_eq!(weights(folder.path(), "out"), bytes);
}

#[test]
fn a_base_that_splits_texts_otherwise_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::create_dir(at.join("base")).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(Path::new(TINY).join(name), at.join("base").join(name)).unwrap();
    }
    write(at, "train.jsonl", &examples(one_best));
    write(at, "t.toml", &training("./base", &format!("{HEAD}{SETTINGS}")));
    train(at, "out").expect(0);
    let tokenizer = std::fs::read_to_string(at.join("base/tokenizer.json")).unwrap();
    write(at, "base/tokenizer.json", &format!("{tokenizer}\n"));
    assert!(refused(at, "out").contains("a training with other settings, data or model"));
}

/// Saves a decoder of bytes that reads so many tokens as `base`.
pub fn save_decoder(folder: &Path, context: usize) {
    use plackett_train::Parameters;
    use plackett_train::nn::LlamaConfig;
    use plackett_train::trainer::LanguageModel;
    let config: LlamaConfig = serde_json::from_value(json!({
        "vocab_size": 257, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4,
        "intermediate_size": 64, "rms_norm_eps": 1e-5,
    }))
    .unwrap();
    let mut parameters = Parameters::default();
    let mut model = LanguageModel::of_bytes(&config, context, 7, &mut parameters).unwrap();
    model.save(&folder.join("base"), &parameters).unwrap();
}

/// A folder with a decoder of bytes and texts.
fn decoder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    save_decoder(folder.path(), 64);
    let line = |prompt: &str, target: &str| format!("{}\n", json!({"prompt": prompt, "target": target}));
    write(folder.path(), "train.jsonl", &(line("the cat", " purrs.") + &line("the dog", " barks.")));
    write(folder.path(), "dev.jsonl", &line("the cat", " purrs."));
    folder
}

const DEPTHS: &str =
    "validation = \"dev.jsonl\"\ndepths = [2, 4]\n[settings]\nsteps = 80\nbatch = 2\nrate = 5e-3\n";

#[test]
fn a_decoder_learns_at_several_depths() {
    let folder = decoder();
    let folder = folder.path();
    write(folder, "t.toml", &training("./base", DEPTHS));
    let done = train(folder, "sorted").expect(0).json();
    assert_eq!((done["texts"].as_u64(), done["steps"].as_u64()), (Some(2), Some(80)));
    assert_documented(&done);
    let depths = done["depths"].as_array().unwrap();
    assert_eq!(depths.iter().map(|own| own["depth"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 4]);
    for depth in depths {
        let pair = |key: &str| [0, 1].map(|at| depth[key][at].as_f64().unwrap());
        assert!(pair("nll")[1] < 0.3 * pair("nll")[0] && pair("exact_match") == [0.0, 1.0], "{depth}");
    }
    let card = std::fs::read_to_string(folder.join("sorted/README.md")).unwrap();
    assert!(card.starts_with("# A decoder") && card.contains("| 2 |"), "{card}");
    let page = std::fs::read_to_string(folder.join("sorted/training.html")).unwrap();
    assert!(page.contains("A decoder made from"));
    for flags in [&["--depth", "2"][..], &["--exit", "2:0.5"], &["--draft-depth", "2"], &[]] {
        let generate = ["generate", "--model", "./sorted", "--max-tokens", "7", "the cat"];
        let done = plackett(folder, &[&generate, flags].concat()).expect(0);
        assert_eq!(done.stdout.trim_end(), " purrs.", "{flags:?}");
    }
    assert!(
        plackett(folder, &["train", "t.toml", "-o", "again"])
            .expect(0)
            .stdout
            .contains("Try next: plackett generate")
    );
}

#[test]
fn an_adapter_that_is_saved_makes_its_base_the_trained_model() {
    let folder = decoder();
    let folder = folder.path();
    let rest = "[trained]\nadapter = \"lora(rank=4)\"\nsave_adapter = true\n[settings]\nsteps = 60\nbatch = 2\nrate = 2e-2\n";
    write(folder, "t.toml", &training("./base", rest));
    let done = train(folder, "out").expect(0).json();
    assert_eq!(done["adapter"], json!(Path::new("out").join("adapter")));
    let generated = |flags: &[&str]| {
        let generate = &["generate", "--max-tokens", "7", "the cat"][..];
        plackett(folder, &[generate, flags].concat()).expect(0).stdout
    };
    let trained = generated(&["--model", "./out"]);
    assert_eq!(generated(&["--model", "./base", "--adapter", "out/adapter"]), trained);
    assert_ne!(generated(&["--model", "./base"]), trained);
    // What PEFT has not is kept as its coefficients, and put into the base again.
    write(folder, "t.toml", &training("./base", &rest.replace("lora(rank=4)", "nola(k=8)")));
    train(folder, "small").expect(0);
    let merge = ["model", "merge", "./base", "small/adapter", "merged", "--json"];
    assert!(plackett(folder, &merge).expect(0).json()["matrices"].as_u64().unwrap() > 0);
    assert_eq!(generated(&["--model", "./merged"]), generated(&["--model", "./small"]));
    // So is the difference of a sparse fine-tuning; those of several add up.
    let sparse = rest.replace("lora(rank=4)", "lt-sft(k=3000)").replace("2e-2", "5e-3");
    write(folder, "t.toml", &training("./base", &sparse));
    let done = train(folder, "sparse").expect(0).json();
    assert_eq!(done["adapter"], json!(Path::new("sparse").join("adapter")));
    let trainable = done["trainable"].as_u64().unwrap();
    let merge = ["model", "merge", "./base", "sparse/adapter", "sum", "--json"];
    let done = plackett(folder, &merge).expect(0).json();
    let numbers = done["differences"][0]["numbers"].as_u64().unwrap();
    assert!((1..=3000).contains(&numbers) && done["differences"][0]["shared"] == 0, "{done}");
    // What is told is the second phase, in which those are trained that were chosen, and not all.
    assert!((numbers..=3000).contains(&trainable), "{trainable}");
    assert_eq!(generated(&["--model", "./sum"]), generated(&["--model", "./sparse"]));
    let more = ["model", "merge", "./base", "sparse/adapter", "two", "--and", "out/adapter"];
    assert!(plackett(folder, &more).expect(2).stderr.contains("adapter.safetensors"));
    assert!(!folder.join("two").exists());
    write(folder, "t.toml", &training("./base", "[trained]\nadapter = \"fila(rank=4)\"\n"));
    assert!(refused(folder, "other").contains("`fila` begins from the weights that matter"));
}

#[test]
fn a_decoder_forgets_texts() {
    let folder = decoder();
    let folder = folder.path();
    let line = |prompt: &str, target: &str| format!("{}\n", json!({"prompt": prompt, "target": target}));
    write(folder, "forget.jsonl", &line("the cat", " purrs."));
    write(folder, "train.jsonl", &(line("the dog", " barks.") + &line("the fish", " swims.")));
    let rest = "validation = \"dev.jsonl\"\nforget = \"forget.jsonl\"\n[trained]\nadapter = \"fila(rank=2)\"\nsave_adapter = true\n\
                [settings]\nsteps = 6\nbatch = 1\nrate = 1e-3\n";
    write(folder, "t.toml", &training("./base", rest));
    let done = train(folder, "out").expect(0).json();
    assert_documented(&done);
    let known = done["known"].as_array().unwrap();
    let counts: Vec<(&str, u64)> = known
        .iter()
        .map(|known| (known["texts"].as_str().unwrap(), known["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, [("forget", 1), ("retain", 2), ("validation", 1)]);
    for known in known {
        assert!([0, 1].iter().all(|at| known["perplexity"][at].as_f64().unwrap() >= 1.0), "{known}");
    }
    // What is held out is what is forgotten here.
    assert_eq!(known[0]["perplexity"], known[2]["perplexity"]);
    let card = std::fs::read_to_string(folder.join("out/README.md")).unwrap();
    assert!(card.contains("| forget | 1 |") && card.contains("| forget.jsonl |"), "{card}");
    let generate = ["generate", "--max-tokens", "4", "the cat", "--model"];
    let merged = plackett(folder, &[&generate[..], &["./out"]].concat()).expect(0).stdout;
    let adapter = [&generate[..], &["./base", "--adapter", "out/adapter"]].concat();
    assert_eq!(plackett(folder, &adapter).expect(0).stdout, merged);
    for (rest, said) in [
        (
            "forget = \"forget.jsonl\"\nmethod = \"first\"\n",
            "method = \"first\": what forgets texts orders nothing",
        ),
        ("forget = \"forget.jsonl\"\ndepths = [2]\n", "depths: is not for a decoder that forgets"),
        ("forget = \"\"\n", "forget: nothing is written"),
        ("forget = \"forget.jsonl\"\nobjective = \"bce\"\n", "is not about the tokens of answers"),
    ] {
        write(folder, "t.toml", &training("./base", rest));
        let message = refused(folder, "other");
        assert!(message.contains(said), "{rest}: {message}");
    }
    let folder = prepared("forget = \"train.jsonl\"\n");
    let message = refused(folder.path(), "out");
    assert!(message.contains("is no decoder, and nothing else forgets texts"), "{message}");
}

#[test]
fn keys_of_the_other_kind_of_model_are_refused() {
    let folder = decoder();
    for (rest, said) in [
        ("negatives = 2\n", "negatives: ./base is a decoder"),
        ("depths = [5]\n", "depths: 5 is none of the model's layers, which are 1 to 4"),
        ("layers = 9\n", "layers: the first 9 of a model with 4 are wanted"),
        ("depths = []\n", "depths: none is given"),
        (
            "[trained]\nadapter = \"exit-heads\"\n",
            "output matrices of their own are for layers before the last",
        ),
        ("objective = \"bce\"\n", "objective: `binary-cross-entropy` needs more than texts"),
        ("[settings]\ndropout = 0.1\n", "as lora(dropout=0.1)"),
        ("[settings]\nhead_rate = 1e-3\n", "head_rate = 0.001: no part of this decoder is new"),
    ] {
        write(folder.path(), "t.toml", &training("./base", rest));
        let message = refused(folder.path(), "out");
        assert!(message.contains(said), "{rest}: {message}");
        let _ = std::fs::remove_dir_all(folder.path().join("out"));
    }
    // Lists without a method.
    write(folder.path(), "train.jsonl", &examples(one_best));
    write(folder.path(), "t.toml", &training("./base", ""));
    let message = refused(folder.path(), "out");
    assert!(message.contains("name a `method`, as \"first\" or \"cross-encoder\""), "{message}");
    let folder = prepared("depths = [1]\n");
    let message = refused(folder.path(), "out");
    assert!(message.contains("depths: is for decoders"), "{message}");
}
