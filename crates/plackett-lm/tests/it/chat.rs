//! Chat templates against transformers (tools/golden/chat_templates.py), hostile templates, and where they come from.

use plackett_lm::LmError;
use plackett_lm::chat::{ChatOptions, ChatTemplate, Message};
use plackett_lm::gguf::{GgufFile, GgufTokenizer};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::smollm2;

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf/chat.json");
    serde_json::from_slice(&std::fs::read(path).expect("golden texts")).expect("JSON")
}

fn compile(source: &str) -> ChatTemplate {
    ChatTemplate::new(source.into(), "test", Some("<s>".into()), Some("</s>".into())).expect("template")
}

fn check(name: &str, template: &ChatTemplate, golden: &Value) {
    let cases = golden["cases"].as_array().expect("cases");
    let mut seen = 0;
    for case in cases.iter().filter(|case| case["template"] == name) {
        let options = ChatOptions {
            add_generation_prompt: case["prompt"].as_bool().expect("prompt"),
            variables: case["variables"].as_object().expect("variables").clone(),
            ..ChatOptions::default()
        };
        let found = template.render_json(case["messages"].as_array().expect("messages"), &options);
        match case["text"].as_str() {
            Some(text) => assert_eq!(found.expect("text"), text, "{name}: {case}"),
            None => {
                let found = found.expect_err("a refusal").to_string();
                assert!(found.contains(case["error"].as_str().expect("error")), "{found}");
                assert!(found.contains("line "), "{found}");
            }
        }
        seen += 1;
    }
    assert!(seen >= 20, "{name}: {seen} cases");
}

#[test]
fn four_shapes_render_as_in_transformers() {
    let golden = golden();
    for (name, source) in golden["templates"].as_object().expect("templates") {
        check(name, &compile(source.as_str().expect("source")), &golden);
    }
}

#[test]
fn the_template_of_a_real_model_renders_as_in_transformers() {
    let Some(path) = smollm2::gguf_file() else { return };
    let file = GgufFile::open(&path).expect("GGUF");
    let tokenizer = GgufTokenizer::read(&file).expect("tokenizer");
    check("model", &ChatTemplate::from_gguf(&file, &tokenizer).expect("template"), &golden());
}

#[test]
fn hostile_templates_end_with_an_error() {
    let nested = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}";
    let doubling =
        format!("{{% set ns = namespace(x='aaaaaaaa') %}}{}", "{% set ns.x = ns.x ~ ns.x %}".repeat(60));
    let recursion = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
    let long = "{{ 'x' * 9999999999 }}";
    let twice = "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}";
    let json = format!("{twice}{{{{ ns.x | tojson }}}}");
    let shown = format!("{twice}{{{{ ns.x }}}}");
    for source in [nested, &doubling, recursion, long, &json, &shown] {
        let start = std::time::Instant::now();
        let error = compile(source).render(&[Message::new("user", "x")], &ChatOptions::default());
        assert!(matches!(error, Err(LmError::ChatTemplate { .. })), "{source}: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{source}: {:?}", start.elapsed());
    }
}

#[test]
fn errors_name_origin_and_line() {
    let error = ChatTemplate::new("a\nb\n{% if %}".into(), "model/file", None, None).expect_err("syntax");
    assert!(error.to_string().starts_with("model/file, line 3 of the template: "), "{error}");
    let error =
        compile("a\n{{ messages[0].x.y }}").render(&[Message::new("user", "x")], &ChatOptions::default());
    let error = error.expect_err("undefined").to_string();
    assert!(error.starts_with("test, line 2 of the template: "), "{error}");
    // No other template and no file can be reached.
    for source in ["{% include 'chat_template' %}", "{% import '/etc/hostname' as x %}", "{% extends 'x' %}"]
    {
        let refused = ChatTemplate::new(source.into(), "test", None, None);
        assert!(matches!(refused, Err(LmError::ChatTemplate { line: Some(1), .. })), "{source}");
    }
}

#[test]
fn a_fixed_time_is_written_as_asked() {
    let now = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 59 + 3_600 * 5));
    let options = ChatOptions { now, ..ChatOptions::default() };
    let found = compile("{{ strftime_now('%d %b %Y %H:%M') }}").render(&[], &options).expect("a date");
    assert_eq!(found, "01 Mar 1970 05:00");
    assert!(compile("{{ strftime_now('%') }}").render(&[], &options).is_err());
    let present = compile("{{ strftime_now('%Y') }}").render(&[], &ChatOptions::default()).expect("a year");
    assert!(present.parse::<u32>().expect("a year") >= 2026);
}

#[test]
fn templates_of_directories() {
    let folder = tempfile::tempdir().expect("folder");
    let absent = ChatTemplate::from_directory(folder.path()).expect_err("none");
    assert!(absent.to_string().contains("no chat template"), "{absent}");
    let config = r#"{"bos_token": {"content": "<b>"}, "eos_token": "<e>",
        "chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"}]}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), config).expect("write");
    let render = || {
        let template = ChatTemplate::from_directory(folder.path()).expect("template");
        template.render(&[Message::new("user", "x")], &ChatOptions::default()).expect("text")
    };
    assert_eq!(render(), "<b>x<e>");
    std::fs::write(folder.path().join("chat_template.jinja"), "{{ eos_token }}{{ bos_token }}")
        .expect("write");
    assert_eq!(render(), "<e><b>");
    std::fs::write(folder.path().join("tokenizer_config.json"), "{").expect("write");
    let error = ChatTemplate::from_directory(folder.path()).expect_err("not JSON");
    assert!(error.to_string().contains("tokenizer_config.json"), "{error}");
}
