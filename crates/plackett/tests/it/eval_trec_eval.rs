//! `plackett eval` in trec_eval's place: its flags, its order, its names, preferences, judgment groups, standard scores.

use crate::common::plackett;
use std::path::Path;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("qrels", "1 0 a 1\n1 0 b 0\n1 0 e -1\n2 0 c 2\n2 0 d 1\n");
    write("run", "1 Q0 b 1 4 tag\n1 Q0 a 2 3 tag\n1 Q0 e 3 2 tag\n1 Q0 x 4 1 tag\n2 Q0 c 1 3 tag\n");
    write("partial", "2 Q0 c 1 3 tag\n");
    write("groups", "1 u1 a 1\n1 u1 b 0\n1 u2 b 1\n1 u2 a 0\n");
    write("prefs", "1 u1 s1 a 2\n1 u1 s1 b 1\n1 u1 s2 b 2\n1 u1 s2 z 1\n2 u1 s1 c 1\n2 u1 s1 d 0\n");
    write(
        "zscores",
        "1 map 0.25 0.5\n2 map 0.5 0.25\n1 gm_map -1 2\n2 gm_map -1 2\n1 num_ret 4 0\n2 num_ret 2 0\n",
    );
    folder
}

fn run(folder: &Path, arguments: &str) -> (i32, String, String) {
    let words: Vec<&str> = ["eval", "--ci", "none"].into_iter().chain(arguments.split(' ')).collect();
    let done = plackett(folder, &words);
    (done.code, done.stdout, done.stderr)
}

fn good(folder: &Path, arguments: &str) -> String {
    let (code, out, err) = run(folder, arguments);
    assert_eq!(code, 0, "{arguments}: {err}");
    out
}

#[test]
fn lines_come_in_the_order_and_with_the_names_of_trec_eval() {
    let folder = folder();
    let text = good(
        folder.path(),
        "--compat trec_eval-10 --trec -q -munj.1 -mutility.2,-1,0,0 -mP.2,1 -mrelstring.3 -mrunid -mmap qrels run",
    );
    let expected = "map                   \t1\t0.5000\nP_1                   \t1\t0.0000\nP_2                   \t1\t0.5000\n\
                    relstring_3           \t1\t'01.'\nutility_2,-1,0,0      \t1\t-1.0000\nunj_1                 \t1\t0.0000\n\
                    map                   \t2\t0.5000\nP_1                   \t2\t1.0000\nP_2                   \t2\t0.5000\n\
                    relstring_3           \t2\t'2'\nutility_2,-1,0,0      \t2\t2.0000\nunj_1                 \t2\t0.0000\n\
                    runid                 \tall\ttag\nmap                   \tall\t0.5000\nP_1                   \tall\t0.5000\n\
                    P_2                   \tall\t0.5000\nutility_2,-1,0,0      \tall\t0.5000\nunj_1                 \tall\t0.0000\n";
    assert_eq!(text, expected);
    // Without the name of the run among the measures, no line has it; `-n` leaves the means out.
    let text = good(folder.path(), "--compat trec_eval-10 --trec -q -n -mmap qrels run");
    assert_eq!(text, "map                   \t1\t0.5000\nmap                   \t2\t0.5000\n");
    // Nothing asked for: trec_eval's official measures.
    let text = good(folder.path(), "--compat trec_eval-10 --trec qrels run");
    assert!(text.starts_with("runid ") && text.contains("gm_map") && text.contains("P_1000"), "{text}");
}

#[test]
fn a_name_means_what_it_means_there_only_under_its_rules() {
    let folder = folder();
    let theirs = good(folder.path(), "--compat trec_eval-10 --json -m rbp qrels run");
    assert!(theirs.contains("RBP(p=0.9,per_query=True)"), "{theirs}");
    let ours = good(folder.path(), "--json -m rbp qrels run");
    assert!(ours.contains("\"RBP\""), "{ours}");
}

#[test]
fn recall_levels_are_rounded_as_the_tool_does() {
    let folder = folder();
    // R = 2 for query 2: recall 0.2 asks for 0.4 documents, which is none or one.
    std::fs::write(folder.path().join("late"), "2 Q0 x 1 3 t\n2 Q0 c 2 2 t\n1 Q0 a 1 1 t\n").unwrap();
    let policy = |arguments: &str| good(folder.path(), &format!("-m IPrec@0.2 {arguments} qrels late"));
    assert!(policy("--compat trec_eval-10").contains("recall-cut=nearest"));
    assert!(!policy("--compat trec_eval-9").contains("recall-cut"));
    assert!(policy("--recall-cut nearest").contains("recall-cut=nearest"));
}

#[test]
fn judgment_groups_are_averaged() {
    let folder = folder();
    let text = good(folder.path(), "--compat trec_eval-10 --trec -q -R qrels_jg -m map_avgjg groups run");
    // 1/2 for the first group, 1 for the second.
    assert_eq!(text, "map_avgjg             \t1\t0.7500\nmap_avgjg             \tall\t0.7500\n");
}

#[test]
fn preferences_are_measured_and_are_no_judgments() {
    let folder = folder();
    let text = good(
        folder.path(),
        "--compat trec_eval-10 --trec -q -R prefs -mprefs_simp -mprefs_num_prefs_poss -mprefs_simp_ret prefs run",
    );
    // Query 1: a over b (broken: b is first), b over z and, through b, a over z (kept: z is not returned).
    assert!(text.contains("prefs_num_prefs_poss  \t1\t3\n"), "{text}");
    assert!(text.contains("prefs_simp            \t1\t0.6667\n"), "{text}");
    assert!(text.contains("prefs_simp_ret        \t1\t0.0000\n"), "{text}");
    assert!(text.contains("prefs_simp            \t2\t1.0000\n"), "{text}");
    let table = good(folder.path(), "-R prefs prefs run");
    assert!(table.contains("PrefsPair") && table.contains("2 of 2 judged queries answered"), "{table}");
    for (arguments, words) in [
        ("-R prefs -m map prefs run", "AP is measured on judgments"),
        ("-m Prefs qrels run", "--judgments prefs"),
        ("-R prefs prefs run --report r.html", "leave it out"),
        ("-R prefs qrels run", "the five fields `qid group list docno level`"),
    ] {
        let (code, out, err) = run(folder.path(), arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments}");
        assert!(err.contains(words), "{arguments}: {err}");
    }
}

#[test]
fn standard_scores_take_the_place_of_values() {
    let folder = folder();
    let text = good(
        folder.path(),
        "--compat trec_eval-10 --trec -q -Z zscores -mmap -mgm_map -mnum_q -mnum_ret -mrelstring qrels run",
    );
    let expected = "Znum_ret               \t1\t0.0000\nZmap                   \t1\t0.5000\nrelstring             \t1\t'01.-'\n\
                    Znum_ret               \t2\t-1000000.0000\nZmap                   \t2\t0.0000\nrelstring             \t2\t'2'\n\
                    Znum_q                 \tall\t2.0000\nZnum_ret               \tall\t-1000000.0000\n\
                    Zmap                   \tall\t0.2500\n";
    assert!(text.starts_with(expected), "{text}");
    // ln 0.5 is 0.307 above the mean −1, in units of 2.
    let z = (1.0 + 0.5_f64.ln()) / 2.0;
    assert!(text.ends_with(&format!("Zgm_map                \tall\t{:.4}\n", z.exp())), "{text}");
    let (_, _, err) = run(folder.path(), "--compat trec_eval-10 --trec -Z zscores -mnum_ret qrels run");
    assert!(err.contains("1 values have no reference"), "{err}");
    let (code, _, err) = run(folder.path(), "-Z zscores -mnum_ret qrels run");
    assert!(code == 2 && err.contains("--trec"), "{err}");
}

#[test]
fn the_size_of_the_collection_reaches_utility() {
    let folder = folder();
    let value =
        |arguments: &str| good(folder.path(), &format!("--compat trec_eval-10 --trec {arguments} qrels run"));
    // 100 documents, 5 returned and 2 relevant ones of 3 among them, over two queries.
    assert_eq!(value("-N 100 -m utility.0,0,0,1"), "utility_0,0,0,1       \tall\t97.0000\n");
    let (code, _, err) = run(folder.path(), "-N 100 -m map qrels run");
    assert!(code == 2 && err.contains("--collection-size 100"), "{err}");
}
