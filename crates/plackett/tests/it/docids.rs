//! `plackett ids learn` and `generate`: the commands of docs/generative-retrieval.md, and what does not belong together.

use crate::common::{kill_when, plackett};
use plackett_core::Document;
use plackett_genir::DocidDecoder;
use plackett_genir::category_paths::{CategoryHierarchy, CategoryPath, PathExamples};
use plackett_genir::learning::{LearningData, RetrieverTraining, catalogue_of};
use plackett_genir::representation::{PairSource, TextPair};
use plackett_ids::scheme::parse;
use plackett_train::Compute;
use std::path::Path;

const TEXTS: [(&str, &str); 6] = [
    ("tea", "Green tea is made of leaves that are not fermented. Hot water draws its taste."),
    ("ships", "Old ships sailed with the wind. Their masts were made of pine."),
    ("moon", "The full moon rises when the sun sets. It lights the night."),
    ("bread", "Bread is baked of flour, water and yeast. The dough has to rest."),
    ("fox", "A red fox hunts mice in the fields. It sleeps in a den."),
    ("glass", "Glass is melted sand. It is blown while it is hot."),
];

fn prepare(folder: &Path) {
    std::fs::create_dir(folder.join("texts")).unwrap();
    for (name, text) in TEXTS {
        std::fs::write(folder.join(format!("texts/{name}.txt")), text).unwrap();
    }
    std::fs::write(folder.join("queries.tsv"), "1\tgreen tea leaves\n2\told ships with masts\n").unwrap();
    std::fs::write(folder.join("qrels"), "1 0 tea.txt 1\n2 0 ships.txt 1\n").unwrap();
}

/// The words of a line, with what stands in quotes together, and the file behind `>`.
pub fn words_of(line: &str) -> (Vec<String>, Option<String>) {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ' ' => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    let to = words.iter().position(|word| word == ">").map(|at| words.drain(at..).nth(1).unwrap());
    (words, to)
}

#[test]
fn the_commands_of_the_page_run() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let page = include_str!("../../../../docs/generative-retrieval.md");
    let block = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut outputs = Vec::new();
    for line in block.lines() {
        let (words, to) = words_of(line);
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        let done = plackett(folder.path(), &words).expect(0);
        if let Some(to) = to {
            std::fs::write(folder.path().join(to), &done.stdout).unwrap();
        }
        outputs.push(done.stdout + &done.stderr);
    }
    assert_eq!(outputs.len(), 6);
    assert!(outputs[1].contains("6 documents learned"), "{}", outputs[1]);
    assert!(
        outputs[3].contains("Green tea") && outputs[3].contains("generate:docid:tea.txt"),
        "{}",
        outputs[3]
    );
    assert!(outputs[5].contains("1.000"), "{}", outputs[5]);
}

#[test]
fn a_model_of_other_documents_and_settings_without_an_effect_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    let learn =
        ["ids", "learn", "all.index", "-o", "all.docids", "--steps", "5", "--width", "16", "--layers", "1"];
    plackett(at, &learn).expect(0);
    // The folder's catalogue is checked against what the retriever says it was trained with.
    let check = ["ids", "check", "--model", "all.docids"];
    plackett(at, &check).expect(0);
    let about = at.join("all.docids/retriever.json");
    let whole = std::fs::read_to_string(&about).unwrap();
    std::fs::write(&about, whole.replace("\"catalogue_sha256\": \"", "\"catalogue_sha256\": \"0")).unwrap();
    let error = plackett(at, &check).expect(2).stderr;
    assert!(error.contains("not the catalogue that the model was trained with"), "{error}");
    std::fs::write(&about, whole).unwrap();
    std::fs::remove_file(at.join("texts/tea.txt")).unwrap();
    plackett(at, &["index", "texts", "-o", "part.index", "--no-vectors"]).expect(0);
    let said = |index: &str, pipeline: &str| {
        plackett(at, &["search", index, "--pipeline", pipeline, "tea"]).expect(2).stderr
    };
    for (index, pipeline, expected) in [
        ("part.index", "generate(model=all.docids)", "1 of 6 documents"),
        ("all.index", "generate", "name the folder of a retriever"),
        ("all.index", "generate(model=no.docids)", "no.docids"),
        ("all.index", "generate(model=all.docids, seed=1)", "a setting of decoding=draws"),
        ("all.index", "generate(model=all.docids, beams=0)", "a whole number from 1"),
        ("all.index", "generate(model=all.docids, decoding=greedy)", "one of beams, draws"),
        ("all.index", "generate(model=all.docids, width=3)", "not one of the options of generate"),
    ] {
        let error = said(index, pipeline);
        assert!(error.contains(expected), "{pipeline}: {error}");
    }
    let drawn = [
        "search",
        "all.index",
        "--pipeline",
        "generate(model=all.docids, decoding=draws, seed=2):6",
        "tea",
        "--format",
        "json",
    ];
    let one = plackett(at, &drawn).expect(0).stdout;
    assert_eq!(one.matches("\"rank\"").count(), 6, "all there are, each once: {one}");
    plackett(at, &["ids", "learn", "all.index", "-o", "x", "--scheme", "rq"]).expect(2);
    plackett(at, &["ids", "learn", "all.index", "-o", "x", "--width", "12"]).expect(2);
    for (weights, expected) in [
        ("1:2", "--weights 1:2: three numbers from 0"),
        ("1:1:1", "weights: labelled queries are not learned from and have 1"),
        ("1:0:0", "weights: pseudo queries are learned from and have 0"),
    ] {
        let error =
            plackett(at, &["ids", "learn", "all.index", "-o", "x", "--weights", weights]).expect(2).stderr;
        assert!(error.contains(expected), "{error}");
    }
    plackett(at, &[&learn[..], &["--weights", "1:3:0"]].concat()).expect(0);
    // Documents that came later are counted.
    std::fs::create_dir(at.join("more")).unwrap();
    std::fs::write(at.join("more/new.txt"), "A new text about tea.").unwrap();
    plackett(at, &["index", "more", "-o", "all.index", "--append"]).expect(0);
    let found =
        plackett(at, &["search", "all.index", "--pipeline", "generate(model=all.docids)", "tea"]).expect(0);
    assert!(found.stderr.contains("1 document of the index has no docid"), "{}", found.stderr);
}

#[test]
fn a_prefix_aware_decoder_is_learned_and_searched_and_refused_where_it_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    let learn = |output: &str, scheme: &str, decoder: &str| {
        let short = ["--steps", "300", "--width", "32", "--layers", "1"];
        let asked = ["ids", "learn", "all.index", "-o", output, "--scheme", scheme, "--decoder", decoder];
        plackett(at, &[&asked[..], &short].concat())
    };
    // 08, 09 and 10 to 13: both beginnings leave a choice.
    learn("aware.docids", "naive(start=8)", "prefix-aware(layers=1, consistency=0.1)").expect(0);
    let about = std::fs::read_to_string(at.join("aware.docids/retriever.json")).unwrap();
    assert!(about.contains("\"prefix-aware\"") && about.contains("head_sha256"), "{about}");
    let pipeline = "generate(model=aware.docids):6";
    let search = ["search", "all.index", "--pipeline", pipeline, "green tea leaves", "--format", "json"];
    let found = plackett(at, &search).expect(0).stdout;
    assert_eq!(found.matches("\"rank\"").count(), 6, "{found}");
    let with_paths = "generate(model=aware.docids, paths=2)";
    let error = plackett(at, &["search", "all.index", "--pipeline", with_paths, "tea"]).expect(2).stderr;
    assert!(error.contains("writes no category paths"), "{error}");
    for (scheme, decoder, expected) in [
        ("atomic", "prefix-aware", "changes nothing with these docids (scheme `atomic`)"),
        ("naive(start=8)", "prefix-awre", "--decoder prefix-awre: there is no decoder `prefix-awre`"),
        ("naive(start=8)", "plain(layers=2)", "not one of the options of plain (it has none)"),
        ("naive(start=8)", "prefix-aware(dropout=0, consistency=0.1)", "consistency changes nothing"),
    ] {
        let error = learn("x", scheme, decoder).expect(2).stderr;
        assert!(error.contains(expected), "{scheme} {decoder}: {error}");
    }
    let bounded = ["ids", "learn", "all.index", "-o", "x", "--memory-budget", "1MB"];
    let error = plackett(at, &bounded).expect(2).stderr;
    assert!(error.contains("--memory-budget: a training does not keep to one"), "{error}");
    assert!(!at.join("x").exists(), "what is refused leaves nothing");
}

/// A retriever of the texts that has learned a path before each docid.
fn learn_paths(folder: &Path) {
    let documents: Vec<Document> =
        TEXTS.iter().map(|(name, text)| Document::new(format!("{name}.txt"), *text)).collect();
    let paths = ["Drinks >> Hot", "Things >> Old"].map(|path| CategoryPath::parse(path).unwrap());
    let hierarchy = CategoryHierarchy::of_paths(paths, 4).unwrap();
    let of_documents: Vec<Vec<usize>> = (0..documents.len()).map(|at| vec![usize::from(at > 0)]).collect();
    let choose = |_: &[&TextPair]| Ok(Vec::new());
    let paths = PathExamples { hierarchy: &hierarchy, documents: &of_documents, choose: &choose };
    let labelled = PairSource::default();
    let similar = |_: &str, _: usize| Ok(Vec::new());
    let data =
        LearningData { documents: &documents, labelled: &labelled, similar: &similar, paths: Some(paths) };
    let training = RetrieverTraining {
        first: 8,
        chunks: 0,
        chunk_words: 8,
        queries: 0,
        labelled: false,
        weights: None,
        curriculum: false,
        rank_every: 0,
        layers: 1,
        width: 32,
        words: 8,
        batch: 6,
        steps: 300,
        rate: 1e-2,
        seed: 1,
        decoder: DocidDecoder::Plain,
        titles: None,
    };
    let catalogue = catalogue_of(&parse("atomic").unwrap(), &documents, None, 1).unwrap();
    let learned = training.learn(&data, catalogue, &Compute::new(1), None, &mut |_, _, _| {}).unwrap();
    learned.save(folder).unwrap();
}

#[test]
fn a_retriever_with_paths_gives_reasons_and_is_not_asked_without() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    std::fs::create_dir(at.join("paths.docids")).unwrap();
    learn_paths(&at.join("paths.docids"));
    let learn =
        ["ids", "learn", "all.index", "-o", "all.docids", "--steps", "5", "--width", "16", "--layers", "1"];
    plackett(at, &learn).expect(0);
    for (pipeline, expected) in [
        ("generate(model=paths.docids)", "paths.docids writes category paths before docids"),
        ("generate(model=all.docids, paths=3)", "all.docids writes no category paths"),
        ("generate(model=paths.docids, paths=3, decoding=draws)", "a setting of decoding=beams"),
        ("generate(model=paths.docids, paths=0)", "a whole number from 1"),
        ("generate(model=paths.docids, paths=1001)", "a whole number from 1 to 1000"),
        ("generate(model=no.docids, paths=3)", "holds no retriever"),
    ] {
        let error = plackett(at, &["search", "all.index", "--pipeline", pipeline, "tea"]).expect(2).stderr;
        assert!(error.contains(expected), "{pipeline}: {error}");
    }
    let asked = "green tea is made of leaves that are not";
    let search = ["search", "all.index", "--pipeline", "generate(model=paths.docids, paths=1)", "--explain"];
    let said = plackett(at, &[&search[..], &["-k", "3", asked]].concat()).expect(0);
    let said = said.stdout + &said.stderr;
    assert!(said.contains("generate:path:tea.txt") && said.contains("Drinks >> Hot"), "{said}");
}

#[test]
fn queries_with_several_answers_teach_lists_of_docids() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    std::fs::write(at.join("hot.tsv"), "1\tthings that are hot\n2\tships of pine\n").unwrap();
    std::fs::write(at.join("hot.qrels"), "1 0 tea.txt 1\n1 0 glass.txt 1\n2 0 ships.txt 1\n").unwrap();
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    let learn = |output: &'static str, more: &[&'static str]| {
        let asked = ["ids", "learn", "all.index", "-o", output, "--width", "32", "--layers", "1"];
        plackett(at, &[&asked[..], more].concat())
    };
    learn("all.docids", &["--steps", "5"]).expect(0);
    let labelled = ["--titles", "2", "--queries", "hot.tsv", "--qrels", "hot.qrels", "--steps", "300"];
    learn("lists.docids", &labelled).expect(0);
    let single = ["--titles", "2", "--queries", "queries.tsv", "--qrels", "qrels"];
    let error = learn("x", &single).expect(2).stderr;
    assert!(error.contains("no labelled query has several answers"), "{error}");
    assert!(learn("x", &["--titles", "2"]).expect(2).stderr.contains("--queries"));
    assert!(!at.join("x").exists(), "what is refused leaves nothing");
    // Six docids alone and thirty pairs of two: no list is left out by the beams.
    let pipeline = "generate(model=lists.docids, titles=2, beams=36):2";
    let search = ["search", "all.index", "--pipeline", pipeline, "--explain", "things that are hot"];
    let said = plackett(at, &search).expect(0);
    let said = said.stdout + &said.stderr;
    for expected in ["generate:list:tea.txt", "generate:list:glass.txt", " | ", "(1.0000)", "(0.5000)"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    for (pipeline, expected) in [
        ("generate(model=all.docids, titles=2)", "has learned no lists of docids"),
        ("generate(model=lists.docids, titles=1)", "a whole number from 2 to 100"),
        ("generate(model=lists.docids, titles=7)", "not 7 different docids"),
        ("generate(model=lists.docids, titles=2, decoding=draws)", "a setting of decoding=beams"),
        ("generate(model=lists.docids, titles=2, paths=2)", "leave one out"),
    ] {
        let error = plackett(at, &["search", "all.index", "--pipeline", pipeline, "tea"]).expect(2).stderr;
        assert!(error.contains(expected), "{pipeline}: {error}");
    }
}

#[test]
fn one_document_and_documents_without_words_are_learned() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = ["--steps", "20", "--width", "16", "--layers", "1"];
    let learned = |lines: &str| {
        std::fs::write(at.join("some.jsonl"), lines).unwrap();
        let _ = std::fs::remove_dir_all(at.join("some.index"));
        plackett(at, &["index", "some.jsonl", "-o", "some.index", "--no-vectors"]).expect(0);
        let learn = ["ids", "learn", "some.index", "-o", "some.docids", "--json"];
        plackett(at, &[&learn[..], &small].concat()).expect(0)
    };
    let found = || {
        let pipeline = "generate(model=some.docids):5";
        let search = ["search", "some.index", "--pipeline", pipeline, "green tea", "--format", "json"];
        plackett(at, &search).expect(0).stdout
    };
    let one = learned("{\"id\": \"only\", \"text\": \"Green tea is made of leaves.\"}\n").json();
    assert_eq!(one["documents"], 1);
    assert_eq!(one["known_by_heart"], 1.0, "there is but one docid");
    let answer = found();
    assert!(answer.matches("\"rank\"").count() == 1 && answer.contains("\"only\""), "{answer}");
    let two = learned(
        "{\"id\": \"tea\", \"text\": \"Green tea is made of leaves.\"}\n{\"id\": \"signs\", \"text\": \"?!\"}\n",
    );
    assert!(two.stderr.contains("1 document has no words"), "{}", two.stderr);
    assert_eq!(two.json()["documents"], 2);
    // It has a docid, and can be written.
    let answer = found();
    assert!(answer.matches("\"rank\"").count() == 2 && answer.contains("\"signs\""), "{answer}");
}

#[test]
fn documents_that_come_later_are_added_and_those_that_go_leave() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    let short = ["--steps", "100", "--width", "16", "--layers", "1"];
    let learn = |index: &str, output: &str, scheme: &str| {
        let learn = ["ids", "learn", index, "-o", output, "--scheme", scheme];
        plackett(at, &[&learn[..], &short].concat()).expect(0);
    };
    let update = |index: &str, model: &str, output: &str, more: &[&str]| {
        let update = ["ids", "update", index, "--model", model, "-o", output];
        plackett(at, &[&update[..], more].concat())
    };
    let search = |index: &str, model: &str| {
        let pipeline = format!("generate(model={model}):9");
        let asked = ["search", index, "--pipeline", &pipeline, "hot tea and the moon", "--format", "json"];
        plackett(at, &asked).expect(0)
    };
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    learn("all.index", "all.docids", "atomic");
    std::fs::create_dir(at.join("more")).unwrap();
    std::fs::write(at.join("more/new.txt"), "Hot tea is made while the moon lights the night.").unwrap();
    plackett(at, &["index", "more", "-o", "all.index", "--append"]).expect(0);
    let said = update("all.index", "all.docids", "newer.docids", &["--json"]).expect(0).json();
    assert_eq!([&said["documents"], &said["added"], &said["removed"]], [7, 1, 0]);
    assert!(said["known_before"].is_f64() && said["known_after"].is_f64() && said["known_added"].is_f64());
    let found = search("all.index", "newer.docids");
    assert_eq!(found.stdout.matches("\"rank\"").count(), 7, "{}", found.stdout);
    assert!(found.stdout.contains("new.txt") && !found.stderr.contains("no docid"), "{}", found.stderr);
    // The catalogue of the new model is one that can be checked.
    plackett(at, &["ids", "check", "--model", "newer.docids"]).expect(0);
    std::fs::remove_file(at.join("texts/tea.txt")).unwrap();
    plackett(at, &["index", "texts", "-o", "part.index", "--no-vectors"]).expect(0);
    let said = update("part.index", "newer.docids", "part.docids", &["--json"]).expect(0).json();
    assert_eq!([&said["documents"], &said["added"], &said["removed"]], [5, 0, 2]);
    assert!(said["known_added"].is_null());
    assert_eq!(search("part.index", "part.docids").stdout.matches("\"rank\"").count(), 5);
    learn("part.index", "digits.docids", "naive-string");
    learn("part.index", "again.docids", "atomic");
    plackett(at, &["index", "more", "-o", "other.index", "--no-vectors"]).expect(0);
    let none = ["--first", "0", "--chunks", "0", "--pseudo-queries", "0"];
    // What a learning leaves that was killed, alone and beside the model that it is to replace.
    for folder in ["killed.docids", "again.docids"] {
        let part = at.join(folder).join("training.unfinished/part-1");
        std::fs::create_dir_all(&part).unwrap();
        std::fs::write(part.join("checkpoint.safetensors"), "").unwrap();
    }
    let refused: [(&str, &str, &str, &[&str], &str); 9] = [
        ("all.index", "all.docids", "all.docids", &[], "is the model that is read"),
        ("all.index", "killed.docids", "x", &[], "--model killed.docids: a learning was interrupted there"),
        ("all.index", "all.docids", "killed.docids", &[], "--output killed.docids: a learning was"),
        ("all.index", "all.docids", "again.docids", &[], "finish it by the same `plackett ids learn`"),
        ("all.index", "digits.docids", "x", &[], "have several tokens"),
        ("other.index", "all.docids", "x", &[], "none of its 6 documents is in the index"),
        ("all.index", "no.docids", "x", &[], "holds no retriever"),
        ("all.index", "all.docids", "x", &none, "no text stands for a document"),
        ("all.index", "all.docids", "x", &["--lambda", "2"], "a number from 0 to 1 is expected"),
    ];
    for (index, model, output, more, expected) in refused {
        let error = update(index, model, output, more).expect(2).stderr;
        assert!(error.contains(expected), "{index} {model} {output}: {error}");
    }
}

#[test]
fn docids_that_are_there_are_learned_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    // In another order than that of the index, and without one document.
    let item = |(name, _): &(&str, &str)| format!("{{\"id\": \"{name}.txt\", \"title\": \"The {name}\"}}\n");
    let items = |texts: &[(&str, &str)]| texts.iter().rev().map(item).collect::<String>();
    std::fs::write(at.join("items.jsonl"), items(&TEXTS[1..])).unwrap();
    plackett(at, &["ids", "build", "items.jsonl", "--scheme", "title", "-o", "given.jsonl"]).expect(0);
    let learn = |catalogue: &'static str, more: &[&'static str]| {
        let short = ["--steps", "5", "--width", "16", "--layers", "1"];
        let arguments = ["ids", "learn", "all.index", "-o", "all.docids", "--catalogue", catalogue];
        plackett(at, &[&arguments[..], &short, more].concat())
    };
    let done = learn("given.jsonl", &["--json"]).expect(0);
    let said = done.json();
    assert_eq!(said["documents"], 5);
    assert_eq!(said["scheme"], "title");
    assert!(done.stderr.contains("1 of 6 documents have no docid"), "{}", done.stderr);
    let read = |name: &str| std::fs::read(at.join(name)).unwrap();
    assert!(read("all.docids/catalogue.jsonl") == read("given.jsonl"));
    let search =
        ["search", "all.index", "--pipeline", "generate(model=all.docids):6", "fox", "--format", "json"];
    let found = plackett(at, &search).expect(0);
    assert!(found.stdout.contains("fox.txt"), "{}", found.stdout);
    std::fs::write(at.join("items.jsonl"), items(&TEXTS) + "{\"id\": \"other\"}\n").unwrap();
    plackett(at, &["ids", "build", "items.jsonl", "--scheme", "title", "-o", "other.jsonl"]).expect(0);
    let error = learn("other.jsonl", &[]).expect(2).stderr;
    assert!(error.contains("1 of 7 documents are not in the index, such as `other`"), "{error}");
    assert!(learn("given.jsonl", &["--scheme", "atomic"]).expect(2).stderr.contains("cannot be used with"));
}

#[test]
fn the_page_of_a_catalogue_shows_its_codes_lengths_and_collisions() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let item =
        |n: usize| format!("{{\"id\": \"i{n}\", \"title\": \"<b> tea {}\", \"keywords\": \"tea\"}}\n", n / 2);
    std::fs::write(at.join("items.jsonl"), (0..6).map(item).collect::<String>()).unwrap();
    let build = ["ids", "build", "items.jsonl", "--scheme", "title(duplicates=keep)", "-o", "c.jsonl"];
    plackett(at, &build).expect(0);
    plackett(at, &["ids", "show", "c.jsonl", "--report", "page.html"]).expect(0);
    let page = std::fs::read_to_string(at.join("page.html")).unwrap();
    for part in ["Identifiers of c.jsonl", "<svg", "share an identifier", "Lengths"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<b> tea"), "titles are text");
    let error = plackett(at, &["ids", "show", "c.jsonl", "--report", "c.jsonl"]).expect(2).stderr;
    assert!(error.contains("--report"), "{error}");
}

#[test]
fn a_killed_learning_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    let learn = |output: &'static str, steps: &'static str| {
        [
            "ids",
            "learn",
            "all.index",
            "-o",
            output,
            "--steps",
            steps,
            "--width",
            "32",
            "--checkpoint",
            "7",
            "--json",
        ]
    };
    let whole = plackett(at, &learn("whole", "1500")).expect(0).json();
    assert_eq!(whole["resumed"], 0);
    let checkpoint = at.join("killed/training.unfinished/part-1/checkpoint.safetensors");
    kill_when(at, &learn("killed", "1500"), || checkpoint.exists());
    assert!(!at.join("killed/retriever.json").exists());
    let other = plackett(at, &learn("killed", "1499")).expect(2);
    assert!(other.stdout.contains("other settings, data or model"), "{}", other.stdout);
    let rest = plackett(at, &learn("killed", "1500")).expect(0).json();
    assert!(rest["resumed"].as_u64().unwrap() >= 7, "{rest}");
    assert_eq!(rest["loss"], whole["loss"]);
    for name in ["model.safetensors", "retriever.json", "catalogue.jsonl", "vocabulary.json"] {
        let read = |model: &str| std::fs::read(at.join(model).join(name)).unwrap();
        assert!(read("killed") == read("whole"), "{name}");
    }
    assert!(
        !at.join("killed/training.unfinished").exists(),
        "what was kept on the way goes when the model is there"
    );
}

#[test]
fn a_model_is_tuned_on_labelled_queries_and_goes_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    let short = ["--steps", "30", "--width", "16", "--layers", "1"];
    plackett(at, &[&["ids", "learn", "all.index", "-o", "all.docids"][..], &short].concat()).expect(0);
    let tune = |output: &'static str, epochs: &'static str| {
        let asked = ["ids", "tune", "all.index", "--model", "all.docids", "-o", output, "--json"];
        let data = ["--queries", "queries.tsv", "--qrels", "qrels", "--negatives", "random", "--batch", "6"];
        [&asked[..], &data, &["--rate", "0.003", "--checkpoint", "7", "--epochs", epochs]].concat()
    };
    let whole = plackett(at, &tune("whole", "1000")).expect(0).json();
    // Two queries with an answer and three negatives each; a model that is its own reference has the loss ln 2.
    assert_eq!([&whole["queries"], &whole["triples"], &whole["missing"], &whole["steps"]], [2, 6, 0, 1000]);
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    assert!((number(&whole["first_loss"]) - std::f64::consts::LN_2).abs() < 1e-4, "{whole}");
    assert!(number(&whole["loss"]) < 0.4 && number(&whole["margin"]) > 0.0, "{whole}");
    assert_eq!([number(&whole["accuracy"]), number(&whole["resumed"])], [1.0, 0.0]);
    assert_eq!(whole["measured_on"], "tuned");
    // Ten beams write all six docids.
    assert_eq!([&whole["hits"][0]["k"], &whole["hits"][1]["k"], &whole["hits"][1]["n"]], [1, 10, 2]);
    assert_eq!([number(&whole["hits"][1]["before"]), number(&whole["hits"][1]["after"])], [1.0, 1.0]);
    let checkpoint = at.join("killed/training.unfinished/part-1/checkpoint.safetensors");
    kill_when(at, &tune("killed", "1000"), || checkpoint.exists());
    assert!(!at.join("killed/retriever.json").exists());
    plackett(at, &tune("killed", "999")).expect(2);
    let rest = plackett(at, &tune("killed", "1000")).expect(0).json();
    assert!(rest["resumed"].as_u64().unwrap() >= 7, "{rest}");
    assert_eq!([&rest["loss"], &rest["first_loss"]], [&whole["loss"], &whole["first_loss"]]);
    let weights = |model: &str| std::fs::read(at.join(model).join("model.safetensors")).unwrap();
    assert!(weights("killed") == weights("whole") && weights("whole") != weights("all.docids"));
    assert!(!at.join("killed/training.unfinished").exists());
    let search = ["search", "all.index", "--pipeline", "generate(model=whole):6", "tea", "--format", "json"];
    assert_eq!(plackett(at, &search).expect(0).stdout.matches("\"rank\"").count(), 6);
}

#[test]
fn a_tuning_that_cannot_be_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    let short = ["--steps", "5", "--width", "16", "--layers", "1"];
    plackett(at, &[&["ids", "learn", "all.index", "-o", "all.docids"][..], &short].concat()).expect(0);
    std::fs::create_dir(at.join("paths.docids")).unwrap();
    learn_paths(&at.join("paths.docids"));
    std::fs::remove_file(at.join("texts/tea.txt")).unwrap();
    plackett(at, &["index", "texts", "-o", "part.index", "--no-vectors"]).expect(0);
    std::fs::write(at.join("other.qrels"), "1 0 other.txt 1\n").unwrap();
    let refused = [
        ("all.index", "all.docids", "all.docids", "qrels", vec![], "is the model that is read"),
        ("all.index", "paths.docids", "x", "qrels", vec![], "it writes category paths before docids"),
        ("part.index", "all.docids", "x", "qrels", vec![], "1 of its 6 documents are not in the index"),
        ("all.index", "all.docids", "x", "other.qrels", vec![], "no query has an answer in the index"),
        ("all.index", "all.docids", "x", "qrels", vec!["--negatives", "low"], "one of bands, top, random"),
        ("all.index", "all.docids", "x", "qrels", vec!["--test-queries", "queries.tsv"], "--test-qrels"),
    ];
    for (index, model, output, qrels, more, expected) in refused {
        let tune = ["ids", "tune", index, "--model", model, "-o", output, "--queries", "queries.tsv"];
        let error = plackett(at, &[&tune[..], &["--qrels", qrels], &more[..]].concat()).expect(2).stderr;
        assert!(error.contains(expected), "{index} {model} {output} {qrels}: {error}");
    }
    assert!(!at.join("x").exists());
}

#[test]
fn paths_of_a_file_are_learned_and_become_reasons() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let at = folder.path();
    plackett(at, &["index", "texts", "-o", "all.index", "--no-vectors"]).expect(0);
    let write = |paths: &[(&str, &str)]| {
        let line = |(name, path): &(&str, &str)| format!("{name}.txt\t{path}\n");
        std::fs::write(at.join("paths.tsv"), paths.iter().map(line).collect::<String>()).unwrap();
    };
    let paths = [
        ("tea", "Drinks >> Hot"),
        ("ships", "Things >> Old >> Wooden"),
        ("moon", "Sky"),
        ("bread", "Food"),
        ("bread", "Things >> Baked"),
        ("fox", "Animals"),
        ("glass", "Things >> Old >> Clear"),
        ("other", "Sky"),
    ];
    write(&paths);
    let learn = |more: &[&'static str]| {
        let learn = ["ids", "learn", "all.index", "-o", "paths.docids", "--layers", "1"];
        plackett(at, &[&learn[..], more].concat())
    };
    let given = ["--paths", "paths.tsv", "--path-depth", "2", "--steps", "400", "--json"];
    let done = learn(&given).expect(0);
    // Drinks >> Hot, Things >> Old (of two), Sky, Food, Things >> Baked, Animals.
    assert_eq!(done.json()["paths"], 6);
    for remark in ["1 line is of a document that the index does not have", "2 paths were cut to 2"] {
        assert!(done.stderr.contains(remark), "{}", done.stderr);
    }
    let asked = "green tea is made of leaves that are not";
    let search = ["search", "all.index", "--pipeline", "generate(model=paths.docids, paths=2)", "--explain"];
    let said = plackett(at, &[&search[..], &["-k", "3", asked]].concat()).expect(0);
    let said = said.stdout + &said.stderr;
    assert!(said.contains("generate:path:tea.txt") && said.contains("Drinks >> Hot"), "{said}");
    let aware = ["--paths", "paths.tsv", "--scheme", "naive(start=8)", "--decoder", "prefix-aware"];
    let error = learn(&aware).expect(2).stderr;
    assert!(error.contains("--paths: category paths before docids go with --decoder plain"), "{error}");
    assert!(learn(&["--path-depth", "2"]).expect(2).stderr.contains("--paths"));
    write(&paths[1..]);
    let error = learn(&["--paths", "paths.tsv"]).expect(2).stderr;
    assert!(error.contains("1 of 6 documents have no path, such as `tea.txt`"), "{error}");
    // A model without paths in the same folder is one without paths.
    assert!(learn(&["--steps", "5", "--json"]).expect(0).json()["paths"].is_null());
    let search = ["search", "all.index", "--pipeline", "generate(model=paths.docids):6", "tea"];
    plackett(at, &search).expect(0);
}
