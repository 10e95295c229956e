//! Reading and writing filters, and the terms of documents.

use super::*;
use plackett_core::Document;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "\\PC{1,6}".prop_map(Value::text),
        any::<i64>().prop_map(|whole| Value::Number(Number::Whole(whole))),
        any::<f64>().prop_filter_map("finite", |double| Number::of_double(double).map(Value::Number)),
        any::<bool>().prop_map(Value::Boolean),
        (1u8..29, 0u8..24).prop_map(|(day, hour)| Value::text(format!("2024-02-{day:02}T{hour:02}:30Z"))),
    ]
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_][a-z0-9_.-]{0,6}", "\\PC{1,5}"]
}

fn filters() -> impl Strategy<Value = Filter> {
    let comparison = (field(), 0usize..6, value()).prop_filter_map("orders", |(field, which, value)| {
        use Comparison::{AtLeast, AtMost, Equal, Greater, Less, NotEqual};
        let comparison = [Equal, NotEqual, Less, AtMost, Greater, AtLeast][which];
        let ordered = matches!(value, Value::Number(_) | Value::Date(_));
        (ordered || !comparison.is_order()).then_some(Filter::Compare { field, comparison, value })
    });
    let list = (field(), proptest::collection::vec(value(), 1..4));
    let leaf = prop_oneof![
        comparison,
        list.prop_map(|(field, values)| Filter::In { field, values }),
        field().prop_map(Filter::Exists),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Filter::Not(Box::new(inner))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::All),
            proptest::collection::vec(inner, 2..4).prop_map(Filter::Any),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(filter in filters()) {
        let text = filter.to_string();
        prop_assert_eq!(text.parse::<Filter>(), Ok(filter), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), near in "[a-z`'\"()=<>!, 0-9\\\\-]{0,30}") {
        let _ = text.parse::<Filter>();
        let _ = near.parse::<Filter>();
    }
}

#[test]
fn the_grammar_binds_not_before_and_before_or() {
    let same = |one: &str, other: &str| {
        assert_eq!(one.parse::<Filter>().unwrap(), other.parse::<Filter>().unwrap(), "{one}");
    };
    same("a = 1 or b = 2 and not c = 3", "a=1 OR (b=2 AND (NOT (c=3)))");
    same("x not in (1, 'a')", "not x in (1,\"a\")");
    same("d >= '2024-05-01'", "d >= 2024-05-01");
    same("`exists` = true", "`exists`=TRUE");
    assert!(matches!("exists(a.b)".parse(), Ok(Filter::Exists(field)) if field == "a.b"));
    assert!(matches!("order = 1".parse(), Ok(Filter::Compare { field, .. }) if field == "order"));
    let all = "a = 1".parse::<Filter>().unwrap().and("b = 1 and c = 1".parse().unwrap());
    assert_eq!(all.to_string(), "a = 1 and b = 1 and c = 1");
}

#[test]
fn errors_point_at_the_column() {
    for (text, column, expected) in [
        ("", 1, "the name of a field"),
        ("year", 5, "`=`, `!=`"),
        ("year >", 7, "a text in quotes, a number, a date"),
        ("year = pod", 8, "a text in quotes"),
        ("tags = 'pod", 12, "`'` behind the text"),
        ("year < 'pod'", 8, "a number or a date behind `<`"),
        ("draft >= true", 10, "a number or a date behind `>=`"),
        ("(a = 1", 7, "`and`, `or` or `)`"),
        ("a = 1 b = 2", 7, "`and`, `or` or the end"),
        ("a in 1", 6, "`(` and the values"),
        ("a in (1 2)", 9, "`,` or `)`"),
        ("a not 1", 7, "`in` behind `not`"),
        ("exists a", 8, "`(` and a field"),
        ("a = ''", 5, "not exists(field)"),
        ("a = null", 5, "not exists(field)"),
        ("a == 1", 4, "a text in quotes"),
        ("1 = a", 1, "the name of a field"),
        ("ä = 1 und b = 2", 7, "`and`, `or` or the end"),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.expected.contains(expected), "{text}: {error}");
    }
    assert!("not ".repeat(100_000).parse::<Filter>().is_err());
    assert!("(".repeat(100_000).parse::<Filter>().is_err());
    let long = format!("a = '{}'", "x".repeat(600));
    assert_eq!(long.parse::<Filter>().unwrap_err().column, 5);
}

fn document(metadata: serde_json::Value) -> Document {
    let metadata = metadata.as_object().unwrap().clone();
    Document { metadata, ..Document::new("d", "text") }
}

#[test]
fn a_document_has_a_term_for_each_value() {
    let metadata = json!({
        "year": 2024, "half": 0.5, "whole": 3.0, "draft": false, "none": null, "empty": [],
        "author": {"name": "Ada", "born": {"year": 1815}}, "tags": ["b", "a", "b"],
        "links": [{"to": "x"}, {"to": "y"}], "long": "x".repeat(513),
    });
    let found = terms(&document(metadata), &BTreeMap::new()).unwrap();
    let mut expected: Vec<String> = [
        "eauthor.born.year",
        "eauthor.name",
        "edraft",
        "ehalf",
        "elinks.to",
        "elong",
        "etags",
        "ewhole",
        "eyear",
        "ltags",
        "llinks.to",
        "tlong",
        "bdraft\0false",
        "nauthor.born.year\x001815",
        "nhalf\x000.5",
        "nwhole\x003",
        "nyear\x002024",
        "sauthor.name\0Ada",
        "slinks.to\0x",
        "slinks.to\0y",
        "stags\0a",
        "stags\0b",
    ]
    .map(String::from)
    .into();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn types_that_were_given_are_kept_or_refused() {
    let given = BTreeMap::from([
        ("year".to_string(), FieldType::Number),
        ("zip".into(), FieldType::Keyword),
        ("on".into(), FieldType::Date),
        ("draft".into(), FieldType::Boolean),
        ("body".into(), FieldType::Text),
    ]);
    let cells = json!({"year": "2024", "zip": 1234, "on": "2024-05-01", "draft": "True", "body": "short"});
    let found = terms(&document(cells), &given).unwrap();
    for term in ["nyear\x002024", "szip\x001234", "son\x002024-05-01", "bdraft\0true", "tbody"] {
        assert!(found.iter().any(|known| known == term), "{term}: {found:?}");
    }
    let prefixed = BTreeMap::from([("metadata.zip".to_string(), FieldType::Keyword)]);
    let found = terms(&document(json!({"zip": 1234})), &prefixed).unwrap();
    assert_eq!(found, ["ezip", "szip\x001234"], "named as a filter may name it");
    let empty = terms(&document(json!({"year": "", "on": "", "zip": ""})), &given).unwrap();
    assert_eq!(empty, Vec::<String>::new());
    for (wrong, said) in [
        (json!({"year": "soon"}), "the field `year` has the text `soon`, and --field-types says number"),
        (json!({"year": [2024, true]}), "`year` has true"),
        (json!({"on": 2024}), "`on` has the number 2024"),
        (json!({"zip": "x".repeat(600)}), "a text of more than 512 bytes"),
    ] {
        let error = terms(&document(wrong), &given).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("document `d`"), "{error}");
    }
    let name = json!({"n".repeat(1001): 1});
    assert!(terms(&document(name), &given).unwrap_err().to_string().contains("at most 1000"));
}
