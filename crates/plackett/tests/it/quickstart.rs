//! The main job, from the outside.

use crate::common::plackett;

#[test]
fn quickstart_evaluates_its_pipelines_and_leaves_files_to_go_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let done = plackett(folder.path(), &["quickstart", "--json", "--offline"]).expect(0);
    let value = done.json();
    let runs = value["runs"].as_array().unwrap();
    let mean = |name: &str| {
        let run = runs.iter().find(|run| run["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        let measured = &run["measures"]["nDCG@10"];
        assert_eq!(measured["n"], 171);
        let (low, high) = (measured["ci95"][0].as_f64().unwrap(), measured["ci95"][1].as_f64().unwrap());
        let mean = measured["mean"].as_f64().unwrap();
        assert!(low < mean && mean < high);
        mean
    };
    assert!(mean("combsum(bm25,dense)") > mean("bm25") + 0.02);
    assert!(!value["policy"]["ties"].is_null());
    let report = folder.path().join(value["report"].as_str().unwrap());
    let page = std::fs::read_to_string(report).unwrap();
    for part in ["<html", "plackett quickstart --json --offline", "SHA-256", "ms/query of bm25"] {
        assert!(page.contains(part), "{part}");
    }
    let search = ["search", "plackett-quickstart/index", "reward for listwise RL", "--json"];
    assert_eq!(
        plackett(folder.path(), &search).expect(0).json()["results"][0]["ranking"].as_array().unwrap().len(),
        10
    );
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.txt"), "precious").unwrap();
    let done = plackett(folder.path(), &["quickstart", "--dir", "."]).expect(2);
    assert!(done.stderr.contains("--dir"), "{}", done.stderr);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
