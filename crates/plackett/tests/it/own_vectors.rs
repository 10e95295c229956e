//! Vectors that are made once and given to an index: `embed --output`, `index --vectors-from` and `--vector-field`.

use crate::common::plackett;
use crate::index_changes::MODEL;
use plackett_search::Index;
use std::path::Path;

const TEXTS: [&str; 3] = ["apples and pears", "old ships with masts", "the moon at night"];

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn prepare(folder: &Path) {
    write(folder, "texts", &TEXTS.join("\n"));
    let lines =
        TEXTS.iter().enumerate().map(|(nth, text)| format!("{{\"_id\": \"{nth}\", \"text\": \"{text}\"}}\n"));
    write(folder, "c.jsonl", &lines.collect::<String>());
    let done = plackett(folder, &["embed", "-i", "texts", "-o", "v.npy", "--model", MODEL]).expect(0);
    assert!(done.stdout.contains("v.npy: 3 vectors of "), "{}", done.stdout);
}

fn vectors(index: &Path) -> Vec<Option<Vec<f32>>> {
    let index = Index::open(index).unwrap();
    index.verify().unwrap();
    (0..TEXTS.len()).map(|nth| index.vector(&nth.to_string()).unwrap()).collect()
}

#[test]
fn vectors_of_a_file_and_of_a_field_are_those_that_the_model_makes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    let model = ["--model", MODEL];
    plackett(at, &[&["index", "c.jsonl", "-o", "made"][..], &model].concat()).expect(0);
    let made = vectors(&at.join("made"));
    plackett(at, &[&["index", "c.jsonl", "-o", "own", "--vectors-from", "v.npy"][..], &model].concat())
        .expect(0);
    assert_eq!(vectors(&at.join("own")), made);
    let embedded = plackett(at, &[&["embed", "-i", "texts", "--json"][..], &model].concat()).expect(0).json();
    let line = |nth: usize| {
        let vector = &embedded["embeddings"][nth]["vector"];
        serde_json::json!({"_id": nth.to_string(), "text": TEXTS[nth], "vector": vector}).to_string() + "\n"
    };
    write(at, "with.jsonl", &(0..3).map(line).collect::<String>());
    let field = ["index", "with.jsonl", "-o", "field", "--vector-field", "vector"];
    plackett(at, &[&field[..], &model].concat()).expect(0);
    assert_eq!(vectors(&at.join("field")), made);
    let index = Index::open(at.join("field")).unwrap();
    assert!(index.document("1").unwrap().unwrap().metadata.is_empty(), "the vector is no metadata");
    // What is given counts, and queries go through the model that was named.
    let other = at.join("swapped.npy");
    let mut rows =
        plackett_core::formats::NpyWriter::create(&other, 3, made[0].as_ref().unwrap().len()).unwrap();
    rows.push(made[1].as_ref().unwrap()).unwrap();
    rows.push(made[0].as_ref().unwrap()).unwrap();
    rows.push_zeros().unwrap();
    rows.commit().unwrap();
    let line = ["index", "c.jsonl", "-o", "swapped", "--vectors-from", "swapped.npy", "--json"];
    let done = plackett(at, &[&line[..], &model].concat()).expect(0).json();
    assert_eq!(done["without_vector"], serde_json::json!(["2"]));
    assert!(done["warnings"].to_string().contains("what was given is all zeros"), "{done}");
    let said = plackett(at, &["index", "c.jsonl", "-o", "swapped", "--append"]).expect(2).stderr;
    assert!(said.contains("were given") && said.contains("--vectors-from FILE"), "{said}");
    let onto_made = ["index", "c.jsonl", "-o", "made", "--append", "--vectors-from", "v.npy"];
    let said = plackett(at, &onto_made).expect(2).stderr;
    assert!(said.contains("--vectors-from v.npy: the vectors of the index made were made by"), "{said}");
    plackett(at, &[&onto_made[..], &model].concat()).expect(0);
    plackett(at, &["index", "c.jsonl", "-o", "made", "--append"]).expect(0);
    let found = plackett(at, &["search", "swapped", "-p", "dense", "--json", TEXTS[0]]).expect(0).json();
    let ranking = found["results"][0]["ranking"].as_array().unwrap();
    assert_eq!((ranking.len(), ranking[0]["id"].as_str()), (2, Some("1")));
}

/// Lines are numbered from 1, as `embed` numbers them.
#[test]
fn vectors_of_a_table_are_those_that_the_model_makes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    let done =
        plackett(at, &["embed", "-i", "texts", "-o", "v.parquet", "--model", MODEL, "--json"]).expect(0);
    assert_eq!((&done.json()["output"], &done.json()["texts"]), (&"v.parquet".into(), &3.into()));
    let lines = ["--input-format", "text", "--model", MODEL];
    plackett(at, &[&["index", "texts", "-o", "made"][..], &lines].concat()).expect(0);
    plackett(at, &[&["index", "texts", "-o", "own", "--vectors-from", "v.parquet"][..], &lines].concat())
        .expect(0);
    let [made, own] = ["made", "own"].map(|index| {
        let index = Index::open(at.join(index)).unwrap();
        index.verify().unwrap();
        (1..=TEXTS.len()).map(|nth| index.vector(&nth.to_string()).unwrap().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(made, own);
    // Other ids, and a table that is no such one.
    for (line, pieces) in [
        (
            "index c.jsonl -o x --vectors-from v.parquet",
            &["v.parquet", "`1`", "`0`", "order of the documents", ".npy"][..],
        ),
        ("index c.jsonl -o x --vectors-from text.parquet", &["text.parquet", "not a readable Parquet table"]),
    ] {
        write(at, "text.parquet", "words");
        let words: Vec<&str> = line.split(' ').chain(["--model", MODEL]).collect();
        let said = plackett(at, &words).expect(2).stderr;
        assert!(pieces.iter().all(|piece| said.contains(piece)) && !at.join("x").exists(), "{line}: {said}");
    }
    // A row without a vector is a document without one.
    let other = at.join("given.parquet");
    let mut table = plackett_core::formats::VectorTableWriter::create(&other).unwrap();
    for (id, vector) in [("0", Some(&own[1])), ("1", None), ("2", Some(&own[0]))] {
        table.push(id, vector.map(Vec::as_slice)).unwrap();
    }
    table.commit().unwrap();
    let line = ["index", "c.jsonl", "-o", "given", "--vectors-from", "given.parquet", "--model", MODEL];
    plackett(at, &line).expect(0);
    assert_eq!(vectors(&at.join("given")), [Some(own[1].clone()), None, Some(own[0].clone())]);
    let line = ["index", "c.jsonl", "-o", "wide", "--vectors-from", "given.parquet"];
    let said = plackett(at, &line).expect(2).stderr;
    assert!(said.contains("given.parquet") && said.contains("--model"), "{said}");
}

/// Rows of a table have the ids of the documents, and title and text are embedded as an index does it.
#[test]
fn vectors_of_documents_have_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    let titled = |(n, text): (usize, &&str)| {
        serde_json::json!({"_id": n.to_string(), "title": "one", "text": text}).to_string() + "\n"
    };
    write(at, "titled.jsonl", &TEXTS.iter().enumerate().map(titled).collect::<String>());
    let rows = TEXTS.iter().enumerate().map(|(n, text)| format!("{n}\t{text}\n"));
    write(at, "c.tsv", &rows.collect::<String>());
    let model = ["--model", MODEL];
    for collection in ["c.jsonl", "titled.jsonl", "c.tsv"] {
        let made = format!("{collection}.made");
        plackett(at, &[&["index", collection, "-o", &made][..], &model].concat()).expect(0);
        for ending in ["parquet", "npy"] {
            let (file, own) = (format!("{collection}.{ending}"), format!("{collection}.{ending}.own"));
            plackett(at, &[&["embed", "-i", collection, "-o", &file][..], &model].concat()).expect(0);
            let line = ["index", collection, "-o", &own, "--vectors-from", &file];
            plackett(at, &[&line[..], &model].concat()).expect(0);
            assert_eq!(vectors(&at.join(&own)), vectors(&at.join(&made)), "{file}");
        }
    }
    let table = plackett_core::formats::VectorTable::open(&at.join("c.tsv.parquet")).unwrap();
    let ids: Vec<String> = table.map(|row| row.unwrap().id.unwrap()).collect();
    assert_eq!(ids, ["0", "1", "2"]);
    let done = plackett(at, &[&["embed", "-i", "c.jsonl", "--json"][..], &model].concat()).expect(0).json();
    let third = &done["embeddings"][2];
    assert_eq!((&third["id"], &third["index"]), (&"2".into(), &2.into()));
    // Lines have none, and flags of documents have nothing to say of them.
    let done = plackett(at, &[&["embed", "-i", "texts", "--json"][..], &model].concat()).expect(0).json();
    assert!(done["embeddings"][0].get("id").is_none(), "{done}");
    write(at, "numbered.jsonl", "{\"text\": \"apples\"}\n");
    for (line, pieces) in [
        ("embed -i numbered.jsonl", ["numbered.jsonl", "--number-missing-ids"]),
        ("embed -i texts --id-field key", ["--id-field", "--input-format"]),
        ("embed apples --number-missing-ids", ["--number-missing-ids", "--input"]),
    ] {
        let words: Vec<&str> = line.split(' ').chain(model).collect();
        let said = plackett(at, &words).expect(2).stderr;
        assert!(pieces.iter().all(|piece| said.contains(piece)), "{line}: {said}");
    }
}

#[test]
fn an_index_of_an_older_version_that_does_not_say_whose_its_vectors_are_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    plackett(at, &["index", "c.jsonl", "-o", "old", "--vectors-from", "v.npy", "--model", MODEL]).expect(0);
    let manifest = at.join("old/plackett-index.json");
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    assert_eq!(value["settings"].as_object_mut().unwrap().remove("given_vectors"), Some(true.into()));
    std::fs::write(&manifest, value.to_string()).unwrap();
    let said = plackett(at, &["index", "c.jsonl", "-o", "old", "--append"]).expect(0).stderr;
    assert!(said.contains("old: is of an older version") && said.contains("parity/bert"), "{said}");
    let given = ["index", "c.jsonl", "-o", "old", "--append", "--vectors-from", "v.npy"];
    let said = plackett(at, &given).expect(2).stderr;
    assert!(said.contains("older version") && said.contains("--model"), "{said}");
    plackett(at, &[&given[..], &["--model", MODEL]].concat()).expect(0);
    plackett(at, &["search", "old", "-p", "rrf(bm25,dense)", "--json", TEXTS[0]]).expect(0);
}

#[test]
fn vectors_that_do_not_belong_to_the_documents_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    write(at, "two.jsonl", "{\"_id\": \"0\", \"text\": \"a\"}\n{\"_id\": \"1\", \"text\": \"b\"}\n");
    write(
        at,
        "four.jsonl",
        &(0..4).map(|n| format!("{{\"_id\": \"{n}\", \"text\": \"a\"}}\n")).collect::<String>(),
    );
    write(at, "short.jsonl", "{\"_id\": \"0\", \"text\": \"a\", \"v\": [1, 2]}\n");
    write(at, "text.npy", "words");
    plackett(at, &["index", "c.jsonl", "-o", "words", "--no-vectors"]).expect(0);
    for (line, pieces) in [
        ("index two.jsonl -o x --vectors-from v.npy", &["v.npy", "3 rows", "2 documents"][..]),
        ("index four.jsonl -o x --vectors-from v.npy", &["v.npy", "3 rows", "`3`"]),
        ("index c.jsonl -o x --vectors-from text.npy", &["text.npy", "no NumPy array"]),
        ("index short.jsonl -o x --vector-field v", &["--vector-field v", "`0`", "numbers"]),
        ("index c.jsonl -o x --vector-field v", &["--vector-field v", "`0`", "no such field"]),
    ] {
        let words: Vec<&str> = line.split(' ').chain(["--model", MODEL]).collect();
        let said = plackett(at, &words).expect(2).stderr;
        let missing: Vec<_> = pieces.iter().filter(|piece| !said.contains(**piece)).collect();
        assert!(missing.is_empty() && !at.join("x").exists(), "{line} lacks {missing:?}: {said}");
    }
    for (line, pieces) in [
        ("index c.jsonl -o x --vectors-from v.npy", &["numbers", "--model"][..]),
        ("index c.jsonl -o words --append --vectors-from v.npy", &["--vectors-from", "no vectors"]),
        ("index c.jsonl -o x --sync --vectors-from v.npy", &["--sync", "--vectors-from"]),
        ("embed words -o v.csv", &["--output v.csv", ".npy", ".parquet"]),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let said = plackett(at, &words).expect(2).stderr;
        assert!(pieces.iter().all(|piece| said.contains(piece)), "{line}: {said}");
    }
    assert!(!at.join("v.csv").exists());
}
