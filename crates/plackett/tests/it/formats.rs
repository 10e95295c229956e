//! The commands of docs/formats.md, and what becomes of the files of a folder.

use crate::common::plackett;
use plackett_search::Index;
use std::path::Path;

fn prepare(folder: &Path) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "notes/tea.md",
        "---\nauthor: Wei Chen\n---\n# Green tea\n\nLeaves that are **not** [fermented](x.html).\n",
    );
    write("notes/ships/old.html", "<title>Old ships</title><nav>Home</nav><p>Masts of <b>pine</b>.</p>");
    write("notes/moon.txt", "The full moon rises when the sun sets.");
    write("notes/picture.png", "\0");
    write("page.dat", "<h1>A page</h1><p>with words</p>");
    write("msmarco-docs.tsv", "D1\thttps://x.example/\tA title\tThe body of the page.\n");
    write(
        "films.json",
        "[\n{\"id\": 1, \"title\": \"Film\", \"text\": \"Plot.\", \"director\": \"Somebody Known\"},\n{\"id\": 2, \"title\": \"Other\", \"text\": \"\"}\n]\n",
    );
}

#[test]
fn the_commands_of_the_page_run() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let page = include_str!("../../../../docs/formats.md");
    let block = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut said = Vec::new();
    for line in block.lines() {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        said.push(plackett(folder.path(), &words).expect(0));
    }
    assert_eq!(said.len(), 6);
    let expected = "1 file of kinds that are not read left out: 1 .png (notes/picture.png)";
    assert!(said[0].stderr.contains(expected), "{}", said[0].stderr);
    assert!(said[5].stdout.contains("(0 added, 0 replaced, 0 deleted, 3 unchanged)"), "{}", said[5].stdout);
    let open = |name: &str| Index::open(folder.path().join(name)).unwrap();
    let document = |index: &str, id: &str| open(index).document(id).unwrap().unwrap();
    let tea = document("notes.index", "tea.md");
    assert_eq!(tea.text, "Green tea\n\nLeaves that are not fermented.");
    assert_eq!((tea.title.as_str(), &tea.metadata["author"]), ("Green tea", &"Wei Chen".into()));
    assert_eq!(document("tea.index", "tea.md"), tea);
    let ships = document("notes.index", "ships/old.html");
    assert_eq!((ships.title.as_str(), ships.text.as_str()), ("Old ships", "Masts of pine."));
    assert_eq!(document("page.index", "page.dat").title, "A page");
    assert_eq!(document("msmarco.index", "D1").metadata["url"], "https://x.example/");
    let found =
        plackett(folder.path(), &["search", "films.index", "-p", "bm25", "--json", "known"]).expect(0);
    assert_eq!(found.json()["results"][0]["ranking"][0]["id"], "1");
}

#[test]
fn snippets_have_no_marks() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    plackett(folder.path(), &["index", "notes", "-o", "i", "--no-vectors"]).expect(0);
    for (query, snippet) in [("fermented", "Leaves that are not fermented."), ("pine", "Masts of pine.")] {
        let found = plackett(folder.path(), &["search", "i", "-p", "bm25", "--json", query]).expect(0).json();
        let shown = found["results"][0]["ranking"][0]["snippet"].to_string();
        assert!(shown.contains(snippet), "{shown}");
    }
}
