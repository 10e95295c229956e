//! Bad inputs: each row of the table below is a command that must end with exit code 2 and one sentence that names what
//! is wrong and where. `docs/bad-inputs.md` is this table; `PLACKETT_BLESS=1` writes it anew.

mod common;

use common::plackett;
use std::fs;
use std::path::{Path, PathBuf};

/// A row: what is wrong, the command, and pieces that its message must have.
type Row = (&'static str, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("an empty run", "eval good.qrels empty", &["empty", "empty"]),
    ("a run with five columns", "eval good.qrels five.run", &["five.run", "line 2", "six fields"]),
    ("a score that is no number", "eval good.qrels word.run", &["word.run", "line 1", "score", "high"]),
    ("a NaN score", "eval good.qrels nan.run", &["nan.run", "line 1", "NaN"]),
    ("a document twice in a run", "eval good.qrels twice.run", &["twice.run", "line 2", "line 1"]),
    ("bytes that are no text", "eval good.qrels latin.run", &["latin.run", "line 1", "UTF-8"]),
    ("a line of 10 MB", "eval good.qrels long.run", &["long.run", "line 1", "longer than"]),
    ("a truncated gzip file", "eval good.qrels cut.run.gz", &["cut.run.gz", "too early"]),
    ("a damaged zstd file", "eval good.qrels cut.run.zst", &["cut.run.zst"]),
    ("a file that is not there", "eval good.qrels none.run", &["none.run"]),
    ("a folder instead of a run", "eval good.qrels folder", &["folder", "is a folder"]),
    ("empty judgments", "eval empty good.run", &["empty"]),
    ("judgments with two columns", "eval two.qrels good.run", &["two.qrels", "line 1", "fields"]),
    ("a document judged twice", "eval twice.qrels good.run", &["twice.qrels", "line 2", "line 1"]),
    ("a grade that is no number", "eval word.qrels good.run", &["word.qrels", "line 1", "grade", "good"]),
    ("an unknown measure", "eval good.qrels good.run -m nDGC@10", &["nDGC", "nDCG"]),
    ("a measure with a bad parameter", "eval good.qrels good.run -m AP(rel=x)", &["rel"]),
    ("more decimals than a number has", "eval good.qrels good.run -p 70000", &["70000", "from 0 to 17"]),
    ("a full disk", "eval good.qrels good.run --report /dev/full", &["/dev/full"]),
    (
        "a report into a folder that is not there",
        "eval good.qrels good.run --report no/such/r.html",
        &["no/such"],
    ),
    ("no threads", "--threads 0 eval good.qrels good.run", &["--threads 0"]),
    (
        "a memory budget below what a model needs",
        "--memory-budget 40kB embed words --model good.model",
        &["budget is 40000", "raise the budget"],
    ),
    ("broken JSON in a collection", "index json.jsonl -o new1 --no-vectors", &["json.jsonl", "line 2"]),
    ("a document without id", "index noid.jsonl -o new2 --no-vectors", &["noid.jsonl", "line 1", "id"]),
    (
        "a document id that comes twice",
        "index twice.jsonl -o new3 --no-vectors",
        &["twice.jsonl", "`a`", "second time"],
    ),
    ("an empty collection", "index empty.jsonl -o new4 --no-vectors", &["empty.jsonl"]),
    ("a CSV line with too many fields", "index wide.csv -o new5 --no-vectors", &["wide.csv", "line 3"]),
    ("a truncated Parquet file", "index cut.parquet -o new6 --no-vectors", &["cut.parquet"]),
    (
        "a truncated packed Parquet file",
        "index cut.parquet.gz -o new8 --no-vectors",
        &["cut.parquet.gz", "too early"],
    ),
    (
        "a Parquet file as CSV",
        "index cut.parquet -o new9 --no-vectors --input-format csv",
        &["cut.parquet", "is a Parquet table"],
    ),
    (
        "an output folder with other files",
        "index good.jsonl -o folder --no-vectors",
        &["folder", "not empty"],
    ),
    ("an index that is not there", "search none.index words", &["none.index", "plackett index"]),
    ("a folder that is no index", "search folder words", &["folder", "no plackett index"]),
    ("an index of a newer version", "search newer words", &["newer", "version 99", "update"]),
    ("a damaged manifest", "search damaged words", &["damaged", "index the collection again"]),
    ("a pipeline that does not parse", "search good.index words -p bm25:x", &["column", "bm25:x"]),
    ("an unknown stage", "search good.index words -p bm52", &["bm52", "bm25", "cross-encoder"]),
    (
        "a weight for a field that the index does not search",
        "search good.index words -p bm25(weights=author:2/text:1)",
        &["`author`", "title, text"],
    ),
    (
        "a weight that is no number",
        "search good.index words -p bm25(weights=title:high)",
        &["`title:high`", "weights=title:2/text:1"],
    ),
    ("vectors that the index does not have", "search good.index words -p dense", &["no vectors"]),
    (
        "another model under the name of an index's model",
        "search swapped.index words -p dense",
        &["swapped.index", "swapped.model", "SHA-256", "index the collection again"],
    ),
    (
        "more documents with another model",
        "index good.jsonl -o vectors.index --append --model swapped.model",
        &["vectors.index", "good.model", "swapped.model", "SHA-256"],
    ),
    (
        "an unknown analyser",
        "index good.jsonl -o new7 --no-vectors --analyzer klingon",
        &["klingon", "english-snowball", "german"],
    ),
    ("a reranker without first stage", "search good.index words -p bi-encoder", &["first stage"]),
    ("queries without a tab", "search good.index --queries notab.tsv", &["notab.tsv", "line 1", "tab"]),
    ("broken requests", "rerank --method bi-encoder --strict bad.jsonl", &["bad.jsonl", "line 1"]),
    (
        "names of fields for requests",
        "rerank --method bi-encoder --id-field key requests.jsonl",
        &["--documents", "requests"],
    ),
    (
        "a text that is longer than the model reads, where such are refused",
        "rerank --method bi-encoder --model good.model --long-text refuse --strict long.jsonl",
        &["query `q`", "document `d`", "tokens", "shorten it"],
    ),
    (
        "a model that is not here, off-line",
        "--offline model pull all-MiniLM-L6-v2",
        &["--offline", "all-MiniLM-L6-v2"],
    ),
    ("an unknown model", "model show no-such-model", &["no-such-model", "directory"]),
    (
        "the wrong model for a method",
        "rerank --method cross-encoder --model good.model requests.jsonl",
        &["cross-encoder", "head"],
    ),
    (
        "a server's address of no known interface",
        "rerank --method cross-encoder --model remote:http://127.0.0.1:1/score requests.jsonl",
        &["/score", "/v1/rerank"],
    ),
    (
        "a method that needs more than a server gives",
        "rerank --method late-interaction --model remote:http://127.0.0.1:1/embed requests.jsonl",
        &["127.0.0.1:1", "one vector per text"],
    ),
    (
        "chunks of a text for a server, which keeps its tokenizer",
        "rerank --method cross-encoder --long-text chunk-max --model remote:http://127.0.0.1:1/rerank requests.jsonl",
        &["its tokenizer"],
    ),
    (
        "weights with a lying header",
        "model show lying.model",
        &["model.safetensors", "byte 0", "header claims"],
    ),
    (
        "truncated weights",
        "model show cut.model",
        &["model.safetensors, byte ", "tensor `", "the file ends at"],
    ),
    (
        "weights without a tensor",
        "model show renamed.model",
        &["byte 8", "layer.0.output.LayerNorm.bias", "missing"],
    ),
    ("a tensor of another shape", "model show wide.model", &["byte ", "tensor `", "shape", "expected"]),
    ("an unknown architecture", "model show poem.model", &["config.json", "byte", "poem", "bert"]),
    ("a broken config.json", "model show broken.model", &["config.json", "not JSON"]),
    ("a tokenizer of another model", "model show mixed.model", &["tokenizer.json", "embedding matrix"]),
    ("a model that is quantised already", "model quantize good.model folder", &["folder", "exists"]),
    (
        "golden outputs of another version",
        "model verify good.model --golden version.json",
        &["version.json", "version 7", "record it again"],
    ),
    (
        "golden outputs with an unknown field",
        "model verify good.model --golden field.json",
        &["field.json", "line 2", "`vectr`", "docs/golden.md"],
    ),
    (
        "golden outputs of another kind of model",
        "model verify tiny.decoder --golden vector.json",
        &["embeddings", "next tokens"],
    ),
    (
        "a model that there is nothing to compare with",
        "model verify good.model",
        &["nothing to compare with", "--record"],
    ),
    ("no prompt", "generate --model tiny.decoder --file empty", &["no prompt"]),
    (
        "an answer that comes twice",
        "generate --model tiny.decoder --choose yes,no,yes a",
        &["--choose", "`yes`", "twice"],
    ),
    ("an empty answer", "generate --model tiny.decoder --choose yes,,no a", &["--choose", "empty"]),
    (
        "an empty line among answers",
        "generate --model tiny.decoder --trie gap.txt a",
        &["gap.txt", "line 2", "empty"],
    ),
    (
        "groups that do not divide the beams",
        "generate --model tiny.decoder --beams 4 --diverse 3 a",
        &["--diverse 3", "--beams 4"],
    ),
    (
        "more tokens than the model has positions",
        "generate --model tiny.decoder --max-tokens 100000 a",
        &["prompt 1", "positions", "--max-tokens"],
    ),
    ("an encoder that is to write", "generate --model good.model a", &["config.json", "`bert`", "llama"]),
    ("a GGUF file that is none", "generate --model fake.gguf a", &["fake.gguf", "byte 0", "GGUF"]),
    (
        "an adapter that is none",
        "generate --model tiny.decoder --adapter folder a",
        &["adapter_config.json", "as PEFT saves it"],
    ),
    (
        "an ordering from a server that only writes text",
        "generate --model remote:http://127.0.0.1:1/v1/completions --permutation 3 a",
        &["--permutation", "127.0.0.1:1"],
    ),
];

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn parity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity").join(name)
}

/// A copy of a tiny model, with one file changed.
fn model(folder: &Path, name: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    for own in ["config.json", "tokenizer.json", "model.safetensors"] {
        let bytes = fs::read(parity("bert").join(own)).unwrap();
        let bytes = if own == file { change(bytes) } else { bytes };
        write(folder, &format!("{name}/{own}"), bytes);
    }
}

fn replaced(bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

fn prepare(folder: &Path) {
    let gzip_start = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x33, 0x54];
    for (name, content) in [
        ("good.qrels", &b"q 0 a 1\n"[..]),
        ("good.run", b"q Q0 a 1 2.5 t\n"),
        ("empty", b""),
        ("empty.jsonl", b""),
        ("five.run", b"q Q0 a 1 2.5 t\nq Q0 b 2 1.5\n"),
        ("word.run", b"q Q0 a 1 high t\n"),
        ("nan.run", b"q Q0 a 1 NaN t\n"),
        ("twice.run", b"q Q0 a 1 2 t\nq Q0 a 2 1 t\n"),
        ("latin.run", b"q Q0 \xfc 1 2 t\n"),
        ("cut.run.gz", &gzip_start),
        ("cut.run.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x50]),
        ("folder/file", b"something"),
        ("two.qrels", b"q a\n"),
        ("twice.qrels", b"q 0 a 1\nq 0 a 2\n"),
        ("word.qrels", b"q 0 a good\n"),
        ("good.jsonl", b"{\"_id\": \"a\", \"text\": \"some words\"}\n"),
        ("json.jsonl", b"{\"_id\": \"a\", \"text\": \"b\"}\n{\"_id\": \"b\", \n"),
        ("noid.jsonl", b"{\"text\": \"b\"}\n"),
        ("twice.jsonl", b"{\"_id\": \"a\", \"text\": \"b\"}\n{\"_id\": \"a\", \"text\": \"c\"}\n"),
        ("wide.csv", b"id,text\na,b\nc,d,e\n"),
        ("cut.parquet", b"PAR1 and nothing more"),
        ("newer/plackett-index.json", b"{\"kind\": \"plackett-index\", \"format_version\": 99}"),
        ("damaged/plackett-index.json", b"{\"kind\""),
        ("notab.tsv", b"words without tab\n"),
        ("bad.jsonl", b"{\"query\": 1}\n"),
        ("cut.parquet.gz", &gzip_start),
        ("version.json", br#"{"plackett_golden":7,"made_by":"","kind":"embeddings","cases":[]}"#),
        (
            "field.json",
            b"{\"plackett_golden\":1,\"made_by\":\"\",\"kind\":\"embeddings\",\n\"cases\":[{\"vectr\":[1]}]}",
        ),
        (
            "vector.json",
            br#"{"plackett_golden":1,"made_by":"","kind":"embeddings","cases":[{"text":"a","vector":[1]}]}"#,
        ),
        ("gap.txt", b"one\n\ntwo\n"),
        ("fake.gguf", b"no weights at all, but enough of them"),
        ("requests.jsonl", b"{\"query\": \"a\", \"candidates\": [\"b\"]}\n"),
    ] {
        write(folder, name, content);
    }
    write(folder, "long.run", "x".repeat(10 << 20));
    let long = "many words ".repeat(2000);
    let request =
        serde_json::json!({"query": {"qid": "q", "text": "a"}, "candidates": [{"docid": "d", "text": long}]});
    write(folder, "long.jsonl", format!("{request}\n"));
    plackett(folder, &["index", "good.jsonl", "-o", "good.index", "--no-vectors"]).expect(0);
    model(folder, "good.model", "", |b| b);
    let decoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/golden/decoder/llama");
    for own in ["config.json", "tokenizer.json", "model.safetensors"] {
        write(folder, &format!("tiny.decoder/{own}"), fs::read(decoder.join(own)).unwrap());
    }
    model(folder, "swapped.model", "", |b| b);
    for (index, model) in [("vectors.index", "good.model"), ("swapped.index", "swapped.model")] {
        plackett(folder, &["index", "good.jsonl", "-o", index, "--model", model]).expect(0);
    }
    // Another weight under the same name.
    model(folder, "swapped.model", "model.safetensors", |b| {
        [&b[..b.len() - 1], &[b[b.len() - 1] ^ 1]].concat()
    });
    let lying = |b: Vec<u8>| [&u64::MAX.to_le_bytes()[..], &b[8..]].concat();
    model(folder, "lying.model", "model.safetensors", lying);
    model(folder, "cut.model", "model.safetensors", |b| b[..b.len() - 10].to_vec());
    model(folder, "renamed.model", "model.safetensors", |b| {
        replaced(b, "encoder.layer.0.output", "encoder.layer.9.output")
    });
    let text =
        |b: Vec<u8>, from: &str, to: &str| String::from_utf8(b).unwrap().replace(from, to).into_bytes();
    model(folder, "poem.model", "config.json", |b| {
        text(b, "\"model_type\": \"bert\"", "\"model_type\": \"poem\"")
    });
    model(folder, "broken.model", "config.json", |b| b[..20].to_vec());
    model(folder, "wide.model", "config.json", |b| {
        let mut config: serde_json::Value = serde_json::from_slice(&b).unwrap();
        config["intermediate_size"] = 7.into();
        serde_json::to_vec(&config).unwrap()
    });
    model(folder, "mixed.model", "tokenizer.json", |_| {
        fs::read(parity("roberta").join("tokenizer.json")).unwrap()
    });
}

#[test]
fn every_bad_input_ends_with_a_sentence_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let mut page = String::from(
        "# Bad inputs\n\nWhat the command says to inputs it cannot use. Exit code 2 in every row. The table is made and \
         checked by\n`crates/plackett/tests/bad_inputs.rs`.\n\n| input | command | message |\n| --- | --- | --- |\n",
    );
    let mut faults = Vec::new();
    for (what, line, pieces) in ROWS {
        let arguments: Vec<&str> = line.split(' ').collect();
        let cache = folder.path().join("cache");
        let mut command = common::command(folder.path(), &arguments);
        let done: common::Done =
            command.env("PLACKETT_CACHE", &cache).env("HF_HUB_CACHE", &cache).output().unwrap().into();
        // Our own sentence is the last line, after warnings; the one about a flag comes before how to get help.
        let mut lines = done.stderr.trim().lines();
        let message = lines.clone().find(|line| line.starts_with("error: ")).or(lines.next_back());
        let message = message.unwrap_or_default().to_string();
        let missing: Vec<_> = pieces.iter().filter(|piece| !done.stderr.contains(**piece)).collect();
        if done.code != 2 || done.stderr.contains("panicked") || !missing.is_empty() {
            faults.push(format!(
                "{what}: `{line}` ended with {} and lacks {missing:?}:\n{}",
                done.code, done.stderr
            ));
        }
        let mut shown = message.replace(&*folder.path().to_string_lossy(), "…").replace('|', "\\|");
        if let Some(at) = shown.find("/.tmp") {
            // The name of a temporary file is drawn anew each time.
            shown.replace_range(at + 5..at + 11, "…");
        }
        page.push_str(&format!("| {what} | `plackett {line}` | {shown} |\n"));
    }
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), ROWS.len(), faults.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/bad-inputs.md");
    if std::env::var_os("PLACKETT_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    assert!(recorded == page, "docs/bad-inputs.md is not this table; run this test with PLACKETT_BLESS=1");
}

#[test]
fn a_closed_pipe_is_success() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let program = env!("CARGO_BIN_EXE_plackett");
    let status = std::process::Command::new("sh")
        .current_dir(folder.path())
        .args([
            "-c",
            &format!("{{ '{program}' eval good.qrels good.run --list-measures; echo $? >&2; }} | head -c 1"),
        ])
        .output()
        .unwrap();
    let code = String::from_utf8_lossy(&status.stderr);
    assert_eq!(code.trim(), "0", "{code}");
}
