//! `plackett eval` and `plackett compare` as a script meets them: output, JSON contract, exit codes, messages.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("qrels.txt", "1 0 a 1\n1 0 b 0\n2 0 c 2\n2 0 d 1\n3 0 e 1\n");
        folder.write(
            "first.trec",
            "1 Q0 b 1 2.0 first\n1 Q0 a 2 1.0 first\n2 Q0 c 1 3 first\n2 Q0 x 2 2 first\n",
        );
        folder.write(
            "second.trec",
            "1 Q0 a 1 2.0 second\n2 Q0 c 1 3 second\n2 Q0 d 2 2 second\n3 Q0 e 1 1 second\n",
        );
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn plackett(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_plackett"))
            .args(arguments)
            .current_dir(self.path())
            .output()
            .unwrap()
    }

    /// Standard output of a command that must succeed.
    fn good(&self, arguments: &[&str]) -> String {
        let output = self.plackett(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that must end with exit code 2 and say nothing on standard output.
    fn bad(&self, arguments: &[&str]) -> String {
        let output = self.plackett(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains("panicked"), "{text}");
        text
    }
}

#[test]
fn json_is_the_contract() {
    let folder = Folder::new();
    let text = folder.good(&["eval", "qrels.txt", "first.trec", "-m", "RR", "-m", "nDCG@10", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let run = &document["runs"][0];
    assert_eq!(run["name"], "first");
    // 1/2, 1 and 0 for the query that the run lacks.
    assert_eq!(run["measures"]["RR"]["mean"], 0.5);
    assert_eq!(run["measures"]["RR"]["n"], 3);
    let interval = run["measures"]["RR"]["ci95"].as_array().unwrap();
    assert!(interval[0].as_f64().unwrap() <= 0.5 && interval[1].as_f64().unwrap() >= 0.5);
    assert_eq!(document["policy"]["ties"], "docno-desc");
    assert_eq!(document["policy"]["missing"], "zero");
    assert_eq!(run["account"]["missing_queries"], serde_json::json!(["3"]));
    let one = folder.good(&["eval", "qrels.txt", "first.trec", "-m", "RR", "--json", "-q"]);
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one["runs"][0]["queries"]["1"]["RR"], 0.5);
}

#[test]
fn policies_change_the_number_and_are_printed() {
    let folder = Folder::new();
    let zero = folder.good(&["eval", "qrels.txt", "first.trec", "-m", "RR"]);
    assert!(zero.contains("0.5000") && zero.contains("missing=zero"), "{zero}");
    assert!(zero.contains("2 of 3 judged queries answered, the other counts 0"), "{zero}");
    let skip =
        folder.good(&["eval", "qrels.txt", "first.trec", "-m", "recip_rank", "--compat", "trec_eval-9"]);
    assert!(skip.contains("0.7500") && skip.contains("missing=skip scores=f32"), "{skip}");
    let complete =
        folder.good(&["eval", "-c", "--compat", "trec_eval-9", "qrels.txt", "first.trec", "-m", "RR"]);
    assert!(complete.contains("0.5000") && complete.contains("missing=zero scores=f32"), "{complete}");
    let error = folder.bad(&["eval", "qrels.txt", "first.trec", "-m", "RR", "--compat", "trec_eval-10"]);
    assert!(error.contains("first.trec") && error.contains("lacks 1 of 3 judged queries"), "{error}");
}

#[test]
fn the_lines_of_trec_eval() {
    let folder = Folder::new();
    let text = folder.good(&[
        "eval",
        "--trec",
        "-q",
        "--compat",
        "trec_eval-9",
        "-m",
        "num_q map P.5,10",
        "qrels.txt",
        "first.trec",
    ]);
    let expected = "map                   \t1\t0.5000\nP_5                   \t1\t0.2000\nP_10                  \t1\t0.1000\n\
                    map                   \t2\t0.5000\nP_5                   \t2\t0.2000\nP_10                  \t2\t0.1000\n\
                    num_q                 \tall\t2\nmap                   \tall\t0.5000\n\
                    P_5                   \tall\t0.2000\nP_10                  \tall\t0.1000\n";
    assert_eq!(text, expected);
}

#[test]
fn comparisons_carry_tests_and_power() {
    let folder = Folder::new();
    let text =
        folder.good(&["compare", "qrels.txt", "first.trec", "second.trec", "-m", "RR", "-m", "AP", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["runs"].as_array().unwrap().len(), 2);
    let compared = &document["comparison"]["compared"][0];
    assert_eq!((compared["run"].as_str(), compared["measure"].as_str()), (Some("second"), Some("RR")));
    assert_eq!(
        (compared["wins"].as_u64(), compared["ties"].as_u64(), compared["losses"].as_u64()),
        (Some(2), Some(1), Some(0))
    );
    // Two differences that are not 0: four sign patterns, two of them as extreme.
    assert_eq!(compared["randomisation"]["p"], 0.5);
    assert_eq!(compared["randomisation"]["exact"], true);
    assert!(compared["power"]["minimal_difference"].as_f64().unwrap() > 0.0);
    let table = folder.good(&["compare", "qrels.txt", "first.trec", "second.trec", "-m", "RR"]);
    assert!(
        table.contains("baseline: first") && table.contains("detectable") && table.contains("RBO"),
        "{table}"
    );
    let latex = folder.good(&["compare", "qrels.txt", "first.trec", "second.trec", "-m", "RR", "--latex"]);
    assert!(latex.contains("\\begin{tabular}{lr}"), "{latex}");
}

#[test]
fn the_report_is_written_and_mentioned() {
    let folder = Folder::new();
    folder.write("queries.tsv", "1\thow long is a <river>\n2\tsecond need\n");
    let text = folder.good(&[
        "compare",
        "qrels.txt",
        "first.trec",
        "second.trec",
        "--report",
        "out.html",
        "--queries",
        "queries.tsv",
        "--json",
    ]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["report"], "out.html");
    let html = std::fs::read_to_string(folder.path().join("out.html")).unwrap();
    assert!(html.contains("second need") && html.contains("Gained most") && !html.contains("<river>"));
}

#[test]
fn judgments_may_be_a_beir_folder() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("set/qrels")).unwrap();
    folder.write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\ta\t1\n2\tc\t2\n");
    folder.write(
        "set/queries.jsonl",
        "{\"_id\": \"1\", \"text\": \"first need\"}\n{\"_id\": \"2\", \"text\": \"two\"}\n",
    );
    folder.write("set/corpus.jsonl", "{\"_id\": \"a\", \"title\": \"\", \"text\": \"all about a\"}\n");
    for judgments in ["set", "set/qrels/test.tsv"] {
        let text = folder.good(&["eval", judgments, "first.trec", "-m", "RR"]);
        assert!(text.contains("0.7500"), "{judgments}: {text}");
    }
    let absent = folder.bad(&["eval", "set", "first.trec", "--split", "dev"]);
    assert!(absent.contains("set/qrels/dev.tsv") && absent.contains("splits there: test"), "{absent}");
    folder.good(&["compare", "set", "first.trec", "second.trec", "--report", "out.html"]);
    let html = std::fs::read_to_string(folder.path().join("out.html")).unwrap();
    assert!(html.contains("first need") && html.contains("all about a"));
    for part in ["plackett compare set first.trec", "test.tsv, SHA-256 ", "second.trec, SHA-256 ", " UTC<"] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn runs_with_one_tag_go_by_their_files() {
    let folder = Folder::new();
    folder.write("third.trec", "1 Q0 a 1 2.0 first\n");
    let text = folder.good(&["eval", "qrels.txt", "first.trec", "third.trec", "-m", "RR", "--markdown"]);
    assert!(text.contains("| first |") && text.contains("| third |"), "{text}");
}

#[test]
fn mistakes_are_named() {
    let folder = Folder::new();
    let unknown = folder.bad(&["eval", "qrels.txt", "first.trec", "-m", "nDGC@10"]);
    assert!(unknown.contains("did you mean `nDCG`?"), "{unknown}");
    let absent = folder.bad(&["eval", "qrels.txt", "absent.trec"]);
    assert!(absent.contains("absent.trec"), "{absent}");
    let swapped = folder.bad(&["eval", "first.trec", "qrels.txt"]);
    assert!(swapped.contains("first.trec") || swapped.contains("qrels.txt"), "{swapped}");
    folder.write("twice.trec", "1 Q0 a 1 2.0 t\n1 Q0 b 2 1.5 t\n1 Q0 a 3 1.0 t\n");
    let twice = folder.bad(&["eval", "qrels.txt", "twice.trec"]);
    assert!(twice.contains("twice.trec") && twice.contains('a'), "{twice}");
    assert!(
        folder
            .good(&["eval", "qrels.txt", "twice.trec", "-m", "RR", "--duplicates", "last"])
            .contains("duplicates=last")
    );
    folder.write("strange.trec", "9 Q0 a 1 2.0 t\n");
    assert!(folder.bad(&["eval", "qrels.txt", "strange.trec"]).contains("no query in common"));
    folder.write("empty.txt", "");
    folder.bad(&["eval", "empty.txt", "first.trec"]);
    assert!(folder.bad(&["eval"]).contains("Usage"));
    assert!(folder.bad(&["compare", "qrels.txt", "first.trec"]).contains("RUN"));
}

#[test]
fn files_come_in_many_forms() {
    let folder = Folder::new();
    // Ranks alone, as MS MARCO writes them: 1/2, 1, and 0 for the query that is not there.
    folder.write("marco.tsv", "1\tb\t1\n1\ta\t2\n2\tc\t1\n");
    let marco = folder.good(&["eval", "qrels.txt", "marco.tsv", "--compat", "msmarco", "-m", "RR@10"]);
    assert!(marco.contains("0.5000") && marco.contains("ties=run-order"), "{marco}");
    folder.write("nan.trec", "1 Q0 a 1 NaN t\n1 Q0 b 2 -7 t\n");
    let refused = folder.bad(&["eval", "qrels.txt", "nan.trec", "-m", "RR"]);
    assert!(refused.contains("nan.trec") && refused.contains('1'), "{refused}");
    let kept = folder.good(&["eval", "qrels.txt", "nan.trec", "-m", "RR", "--keep-nan", "--missing", "skip"]);
    assert!(kept.contains("0.5000") && kept.contains("1 score is not a number"), "{kept}");
    folder.write("fraction.txt", "1 0 a 1.7\n");
    folder.bad(&["eval", "fraction.txt", "first.trec", "-m", "RR"]);
    folder.good(&["eval", "fraction.txt", "first.trec", "-m", "RR", "--compat", "trec_eval-9"]);
}

#[test]
fn all_measures_are_listed() {
    let text = Folder::new().good(&["eval", "--list-measures"]);
    for name in ["nDCG", "alpha_nDCG", "infAP", "StRecall@k", "RBP", "gains:"] {
        assert!(text.contains(name), "{name} is missing");
    }
}
