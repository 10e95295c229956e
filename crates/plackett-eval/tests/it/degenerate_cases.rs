//! Every row of `docs/degenerate-cases.md`, read from that page.

use plackett_core::{Qrels, Run};
use plackett_eval::measure::parse_list;
use plackett_eval::{Evaluation, Policy, evaluate};

struct Row {
    case: String,
    judgments: String,
    run: String,
    rules: String,
    measures: String,
    result: String,
    remark: String,
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/degenerate-cases.md");

fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let lines = page.lines().filter(|line| line.starts_with('|')).skip(2);
    lines
        .map(|line| {
            let cells: Vec<String> =
                line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect();
            let [case, judgments, run, rules, measures, result, remark] = <[String; 7]>::try_from(cells)
                .unwrap_or_else(|cells| panic!("{} cells in: {line}", cells.len()));
            Row { case, judgments, run, rules, measures, result, remark }
        })
        .collect()
}

/// `q1 a=1 b=0; q2` as queries with `(name, value)` pairs.
fn read(text: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    if text == "(nothing)" {
        return Vec::new();
    }
    text.split(';')
        .map(|query| {
            let mut words = query.split_whitespace();
            let id = words.next().unwrap();
            (id, words.map(|word| word.split_once('=').unwrap()).collect())
        })
        .collect()
}

fn qrels(text: &str) -> Qrels {
    let mut qrels = Qrels::new();
    for (query, documents) in read(text) {
        for (name, grade) in documents {
            let (document, subtopic) = name.split_once('/').unwrap_or((name, "0"));
            qrels.query_mut(query).push(subtopic, document, grade.parse().unwrap()).unwrap();
        }
    }
    qrels
}

fn run(text: &str) -> Run {
    let mut run = Run::new("r");
    for (query, documents) in read(text) {
        let query = run.query_mut(query);
        for (document, score) in documents {
            query.push(document, score.parse().unwrap()).unwrap();
        }
    }
    run
}

fn policy(text: &str) -> Policy {
    let mut policy = Policy::default();
    for rule in text.split_whitespace() {
        let (name, value) = rule.split_once('=').unwrap();
        match name {
            "ties" => policy.ties = value.parse().unwrap(),
            "missing" => policy.missing = value.parse().unwrap(),
            "scores" => policy.scores = value.parse().unwrap(),
            "self-match" => policy.self_match = value.parse().unwrap(),
            "unjudged" => policy.unjudged = value.parse().unwrap(),
            "duplicates" => policy.duplicates = value.parse().unwrap(),
            "depth" => policy.depth = Some(value.parse().unwrap()),
            "level" => policy.level = Some(value.parse().unwrap()),
            _ => panic!("unknown rule {name}"),
        }
    }
    policy
}

fn check_means(row: &Row, evaluation: &Evaluation) {
    let (value, no_interval) = match row.result.split_once(", no interval") {
        Some((value, _)) => (value, true),
        None => (row.result.as_str(), false),
    };
    let expected: f64 = value.parse().unwrap();
    for measured in &evaluation.measures {
        let what = format!("{}: {}", row.case, measured.measure);
        assert!(
            (measured.mean - expected).abs() < 1e-12,
            "{what} is {}, the table says {expected}",
            measured.mean
        );
        assert!(measured.values.iter().all(|value| value.is_finite()), "{what}");
        if no_interval {
            assert_eq!(measured.intervals.best(), None, "{what}");
        }
    }
    let remarks = evaluation.remarks().join("; ");
    if std::env::var_os("PLACKETT_BLESS").is_some() {
        return bless(&row.case, &remarks);
    }
    assert_eq!(remarks, row.remark, "{}: PLACKETT_BLESS=1 writes the remarks anew", row.case);
}

/// Puts the remarks of a row into the page.
fn bless(case: &str, remarks: &str) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let line = |line: &str| {
        let cells: Vec<&str> = line.split('|').collect();
        if cells.get(1).map(|cell| cell.trim()) != Some(case) {
            return format!("{line}\n");
        }
        let shown = if remarks.is_empty() { " ".to_string() } else { format!(" {remarks} ") };
        format!("{}|{shown}|\n", cells[..7].join("|"))
    };
    std::fs::write(PAGE, page.lines().map(line).collect::<String>()).unwrap();
}

#[test]
fn every_row_holds() {
    let rows = rows();
    assert!(rows.len() >= 50, "{}", rows.len());
    for row in &rows {
        let measures = parse_list(&row.measures).unwrap();
        let found = evaluate(&qrels(&row.judgments), &run(&row.run), &measures, &policy(&row.rules));
        match (row.result.strip_prefix("error: "), found) {
            (Some(words), Err(error)) => {
                assert!(error.to_string().contains(words), "{}: the error says: {error}", row.case);
            }
            (None, Ok(evaluation)) => check_means(row, &evaluation),
            (Some(_), Ok(_)) => panic!("{}: should be an error", row.case),
            (None, Err(error)) => panic!("{}: {error}", row.case),
        }
    }
}

#[test]
fn nothing_asked_for_is_an_error() {
    let error = evaluate(&qrels("q1 a=1"), &run("q1 a=1"), &[], &Policy::default()).unwrap_err();
    assert!(error.to_string().contains("no measure was asked for"));
}

#[test]
fn no_row_stands_twice() {
    let mut cases: Vec<String> = rows().into_iter().map(|row| row.case).collect();
    cases.sort();
    let before = cases.len();
    cases.dedup();
    assert_eq!(cases.len(), before);
}
