use super::*;
use crate::pipeline::PromptHash;
use serde_json::json;

fn settings() -> RunSettings {
    let stage = StageDescription {
        stage: "yes-no(words=8)".into(),
        method: "yes-no".into(),
        options: [("words".to_string(), "8".to_string())].into(),
        model: "m".into(),
        prompts: vec![PromptHash { name: "yes-no".into(), sha256: "aa".into() }],
    };
    let hash = |path: &str| InputHash {
        flag: "FILE".into(),
        path: path.into(),
        sha256: Some("cc".into()),
        bytes: Some(3),
    };
    RunSettings {
        plackett: "0.1.0".into(),
        command: "rerank".into(),
        folder: "/somewhere".into(),
        arguments: json!({"method": "yes-no(words=8)", "k": null}).as_object().unwrap().clone(),
        stages: vec![stage],
        models: vec![ModelHash { name: "m".into(), sha256: Some("bb".into()) }],
        inputs: vec![hash("requests.jsonl")],
    }
}

#[test]
fn every_change_is_named_by_its_flag() {
    let was = settings();
    assert_eq!(was.differences(&was), []);
    type Change = fn(&mut RunSettings);
    let changes: [(Change, &str); 10] = [
        (|s| s.plackett = "9".into(), "plackett 0.1.0, and this is 9"),
        (|s| drop(s.arguments.insert("top_k".into(), json!(3))), "--top-k was not given, and is `3`"),
        (
            |s| drop(s.arguments.insert("method".into(), json!("x"))),
            "--method was `yes-no(words=8)`, and is `x`",
        ),
        (|s| s.inputs[0].sha256 = None, "FILE `requests.jsonl` has changed"),
        (|s| s.models[0].sha256 = Some("other".into()), "the model m has other weights"),
        (|s| s.stages[0].prompts[0].sha256 = "other".into(), "the prompt yes-no of `yes-no(words=8)`"),
        (
            |s| drop(s.stages[0].options.insert("seed".into(), "1".into())),
            "means something else in this version",
        ),
        (|s| s.stages.clear(), "`yes-no(words=8)` means something else"),
        (|s| s.stages.push(StageDescription { stage: "new".into(), ..s.stages[0].clone() }), "`new` means"),
        (|s| s.models[0].name = "n".into(), "the model n has other weights"),
    ];
    for (change, words) in changes {
        let mut is = was.clone();
        change(&mut is);
        let said: Vec<String> = is.differences(&was).iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains(words), "{words}: {said:?}");
    }
    let mut stream = was.clone();
    stream.inputs[0].sha256 = None;
    let said: Vec<String> = stream.differences(&stream).iter().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].contains("FILE `requests.jsonl` has changed"), "{said:?}");
    let mut moved = was.clone();
    moved.folder = "/elsewhere".into();
    assert_eq!(moved.differences(&was), [], "the same files may lie elsewhere");
}

#[test]
fn a_manifest_is_read_as_it_was_written_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.json");
    let manifest = Manifest {
        manifest_version: MANIFEST_VERSION,
        settings: settings(),
        requests: 3,
        ranked: 2,
        failed: 1,
        prompts: ["yes-no@aa".to_string()].into(),
        output: OutputHash { path: "out".into(), sha256: "dd".into(), bytes: 7 },
        cost: Cost { passes: 4, seconds: 0.1 + 0.2, ..Cost::default() },
        finished: "2026-01-01T00:00:00Z".into(),
    };
    manifest.write(&path).unwrap();
    assert_eq!(Manifest::read(&path).unwrap(), manifest);
    let text = std::fs::read_to_string(&path).unwrap();
    let later = text.replace("\"manifest_version\": 1", "\"manifest_version\": 2");
    for (text, words) in [
        (later.as_str(), "version 2"),
        ("{}", "no `manifest_version`"),
        ("nonsense", "no JSON"),
        ("{\"manifest_version\": 1}", "missing field"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Manifest::read(&path).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("m.json"), "{error}");
    }
    let absent = Manifest::read(&folder.path().join("absent")).unwrap_err().to_string();
    assert!(absent.contains("no such file"), "{absent}");
}
