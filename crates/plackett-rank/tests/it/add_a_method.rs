//! The worked example of `docs/add-a-method.md` runs, and is what the page shows.

#[path = "../../examples/add_a_method.rs"]
mod example;

#[test]
fn the_example_runs() {
    example::main().unwrap();
}

#[test]
fn the_page_shows_the_example() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let page = std::fs::read_to_string(format!("{root}/docs/add-a-method.md")).unwrap();
    let code = page.split_once("```rust\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let file =
        std::fs::read_to_string(format!("{root}/crates/plackett-rank/examples/add_a_method.rs")).unwrap();
    assert_eq!(code, file, "copy the example into docs/add-a-method.md");
}
