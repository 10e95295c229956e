//! The report page: whole, offline, and safe against texts that look like markup.

use plackett_core::{Qrels, Run};
use plackett_eval::measure::parse_list;
use plackett_eval::report::Report;
use plackett_eval::{CompareOptions, Evaluation, MeansTable, Policy, compare, comparison_text, evaluate};

/// 60 queries over 400 documents; each system finds relevant documents with its own luck.
fn collection() -> (Qrels, Vec<Run>) {
    let mut state = 7_u64;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / (1_u64 << 31) as f64
    };
    let mut qrels = Qrels::new();
    let mut runs: Vec<Run> = ["bm25", "bi-encoder", "cross-encoder"].map(Run::new).into();
    for query in 0..60 {
        let id = format!("q{query}");
        for document in 0..40 {
            let name = format!("d{}", document + query % 7);
            let grade = if random() < 0.25 { 1 + (random() * 3.0) as i32 } else { 0 };
            if document % 3 != 0 || grade > 0 {
                qrels.query_mut(&id).push("0", &name, grade).unwrap();
            }
            for (place, run) in runs.iter_mut().enumerate() {
                let score = f64::from(grade) * (0.25 + 0.22 * place as f64) + random() * 1.6;
                run.query_mut(&id).push(&name, score).unwrap();
            }
        }
    }
    (qrels, runs)
}

fn evaluations(qrels: &Qrels, runs: &[Run]) -> Vec<Evaluation> {
    let measures = parse_list("nDCG@10 AP RR@10 R@20 P@5").unwrap();
    runs.iter().map(|run| evaluate(qrels, run, &measures, &Policy::default()).unwrap()).collect()
}

#[test]
fn the_page_is_whole_and_offline() {
    let (qrels, runs) = collection();
    let found = evaluations(&qrels, &runs);
    let comparison = compare(&found[0], &found[1..], &CompareOptions::default()).unwrap();
    let mut report = Report::new("A sample & its <limits>", &qrels)
        .comparison(&comparison)
        .query_texts(|id| Some(format!("what is known about <b>{id}</b> & its kind?")))
        .document_texts(|id| {
            Some(format!("Document {id} says <script>alert(1)</script> {}", "many words ".repeat(60)))
        });
    for (run, evaluation) in runs.iter().zip(&found) {
        report = report.run(run, evaluation);
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html");
    report.write(&path).unwrap();
    let html = std::fs::read_to_string(&path).unwrap();
    for outside in ["http:", "https:", "src=", "<link", "@import", "url("] {
        assert!(!html.contains(outside), "the page refers to something outside: {outside}");
    }
    assert!(!html.contains("<script>alert"), "texts are escaped");
    assert!(
        html.contains("A sample &#38; its &#60;limits&#62;")
            || html.contains("A sample &amp; its &lt;limits&gt;")
    );
    for part in [
        "Means",
        "Against bm25",
        "Curves",
        "Precision by recall",
        "nDCG by cut-off",
        "Gained most",
        "Lost most",
        "What was counted",
        "Every query",
        "docno-desc",
        "cross-encoder",
        "detectable",
    ] {
        assert!(html.contains(part), "{part} is missing");
    }
    assert_eq!(
        html.matches("<svg").count(),
        4,
        "two curves and one plot of differences for each of two runs"
    );
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    assert!(!html.replace("isNaN(", "").contains("NaN"));
}

/// The headings of the table that begins behind these words.
fn headings(html: &str, from: &str) -> Vec<String> {
    let table = &html[html.find(from).expect("a table")..];
    let head = &table[table.find("<thead>").expect("a head")..table.find("</thead>").expect("an end")];
    let cell = |cell: &str| Some(cell.split_once('>')?.1.split("</th>").next()?.to_string());
    head.split("<th ").skip(1).filter_map(cell).collect()
}

#[test]
fn every_query_is_shown_under_every_measure_and_run() {
    let (qrels, runs) = collection();
    let found = evaluations(&qrels, &runs[..2]);
    let html = Report::new("all", &qrels).run(&runs[0], &found[0]).run(&runs[1], &found[1]).html().unwrap();
    let expected: Vec<String> = ["nDCG@10", "AP", "RR@10", "R@20", "P@5"]
        .iter()
        .flat_map(|measure| ["bm25", "bi-encoder"].map(|run| format!("{run} {measure}")))
        .collect();
    assert_eq!(headings(&html, "id=\"queries\"")[1..], expected);
    let row = html.lines().find(|line| line.starts_with("<tr><td>q7</td>")).expect("a row");
    let values: Vec<String> = (0..5)
        .flat_map(|measure| [0, 1].map(|run| format!("{:.4}", found[run].measures[measure].values[7])))
        .collect();
    assert_eq!(found[0].queries[7], "q7");
    assert_eq!(row, format!("<tr><td>q7</td><td>{}</td></tr>", values.join("</td><td>")));
    assert!(html.contains("<option value=\"4\">P@5</option>"));
    // A run that lacks queries under rules that leave them out has no value there.
    let policy = Policy { missing: plackett_eval::Missing::Skip, ..Policy::default() };
    let mut short = Run::new("short");
    short.query_mut("q3").push("d3", 1.0).unwrap();
    let measures = parse_list("P@5").unwrap();
    let own = [&runs[0], &short].map(|run| evaluate(&qrels, run, &measures, &policy).unwrap());
    let html = Report::new("short", &qrels).run(&runs[0], &own[0]).run(&short, &own[1]).html().unwrap();
    assert_eq!(html.matches("<td data-sort=\"-1\">–</td>").count(), 59);
    // Nor does a query go missing that only a later run has.
    let html = Report::new("short", &qrels).run(&short, &own[1]).run(&runs[0], &own[0]).html().unwrap();
    assert_eq!(html.matches("<td data-sort=\"-1\">–</td>").count(), 59);
    assert!(html.contains("<tr><td>q59</td>"));
}

#[test]
fn tables_are_sorted_by_the_keyboard_too() {
    let (qrels, runs) = collection();
    let found = evaluations(&qrels, &runs);
    let comparison = compare(&found[0], &found[1..], &CompareOptions::default()).unwrap();
    let report = Report::new("keys", &qrels).comparison(&comparison).run(&runs[0], &found[0]);
    let html = report.html().unwrap();
    for table in html.split("<table class=\"sortable").skip(1) {
        let head = &table[..table.find("</thead>").expect("a head")];
        assert_eq!(head.matches("<th ").count(), head.matches("<th tabindex=\"0\"").count(), "{head}");
        assert!(!head.contains("<th>"), "{head}");
    }
    assert!(html.contains("event.key === \"Enter\""));
}

#[test]
fn bars_say_their_query_and_value_and_the_page_where_it_comes_from() {
    let (qrels, runs) = collection();
    let found = evaluations(&qrels, &runs[..2]);
    let comparison = compare(&found[0], &found[1..], &CompareOptions::default()).unwrap();
    let report = Report::new("bars", &qrels).comparison(&comparison);
    let report = report.run(&runs[0], &found[0]).run(&runs[1], &found[1]);
    let html = report.provenance(vec![("command".into(), "plackett compare <a>".into())]).html().unwrap();
    let compared = &comparison.compared[0];
    assert_eq!(html.matches("</title></rect>").count(), 60, "a bar for each query");
    let mut seen = 0;
    for (query, value) in compared.queries.iter().zip(&compared.differences) {
        if value.abs() > 0.005 {
            assert!(html.contains(&format!("<title>{query} {value:+.2}</title></rect>")), "{query} {value}");
            seen += 1;
        }
    }
    assert!(seen > 30 && !html.contains("-0.00</title>"), "{seen}");
    assert!(html.contains("Where this comes from") && html.contains("plackett compare &#60;a&#62;"));
    // Numbers come before the rules by which they were measured.
    let (means, rules) = (html.find("</tbody>").unwrap(), html.find("class=\"chips\"").unwrap());
    assert!(means < rules);
    let plain = Report::new("plain", &qrels).run(&runs[0], &found[0]).html().unwrap();
    assert!(!plain.contains("Where this comes from"));
}

#[test]
fn one_run_alone_makes_a_page() {
    let (qrels, runs) = collection();
    let found = evaluations(&qrels, &runs[..1]);
    let html = Report::new("alone", &qrels).run(&runs[0], &found[0]).html().unwrap();
    assert!(html.contains("Every query") && !html.contains("Gained most"));
    assert!(Report::new("empty", &qrels).html().is_err());
}

#[test]
fn a_report_that_cannot_be_written_says_where() {
    let (qrels, runs) = collection();
    let found = evaluations(&qrels, &runs[..1]);
    let report = Report::new("lost", &qrels).run(&runs[0], &found[0]);
    let error = report.write("/no/such/folder/report.html").unwrap_err().to_string();
    assert!(error.starts_with("/no/such/folder/report.html: cannot write"), "{error}");
}

#[test]
fn tables_carry_daggers_and_policies() {
    let (qrels, runs) = collection();
    let found = evaluations(&qrels, &runs);
    let comparison = compare(&found[0], &found[1..], &CompareOptions::default()).unwrap();
    let table =
        MeansTable { evaluations: &found, comparison: Some(&comparison), digits: 3, intervals: false };
    let markdown = table.markdown();
    assert!(
        markdown.starts_with("| run | nDCG@10 | AP | RR@10 | R@20 | P@5 |\n| --- | ---: |"),
        "{markdown}"
    );
    assert!(markdown.contains("**") && markdown.contains('†') && markdown.contains("ties=docno-desc"));
    let latex = table.latex();
    assert!(latex.contains("\\begin{tabular}{lrrrrr}") && latex.contains("$^{\\dagger}$"), "{latex}");
    assert!(latex.contains("\\textbf{") && latex.contains("\\bottomrule"));
    let text = MeansTable { intervals: true, ..table }.text();
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(comparison_text(&comparison, 4).contains("baseline: bm25"));
}

#[test]
fn runs_by_other_rules_are_not_compared() {
    let (qrels, runs) = collection();
    let mut found = evaluations(&qrels, &runs);
    found[1].policy.depth = Some(10);
    let error = compare(&found[0], &found[1..], &CompareOptions::default()).unwrap_err().to_string();
    assert!(error.contains("other rules") && error.contains("depth=10"), "{error}");
    let none = compare(&found[0], &[], &CompareOptions::default()).unwrap_err().to_string();
    assert!(none.contains("at least one run"));
}
