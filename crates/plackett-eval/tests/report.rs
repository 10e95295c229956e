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
