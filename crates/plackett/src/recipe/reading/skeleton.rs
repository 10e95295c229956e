//! What `plackett recipe new` writes: a recipe that runs as it is, with words on what to change.

use super::systems::System;

/// The text of a new recipe. A system of the table gives title and name.
pub fn skeleton(name: &str, system: Option<&System>) -> String {
    let (title, line) = match system {
        Some(system) => {
            (format!("{}: {}", system.title, system.about), format!("system = {:?}\n", system.name))
        }
        None => (
            format!("What {name} shows, in a line"),
            "# system = \"…\"   # a name of recipes/systems.toml, when it checks a published system\n".into(),
        ),
    };
    format!(
        r#"# A recipe: stages that make numbers, and claims about the numbers.
# `plackett recipe kinds` lists all kinds of stages and claims with their fields.
# Try it with `plackett recipe check` and the path of this file; only what a change touches is run again.

title = {title:?}
{line}
# Any value may be written by scale: queries = {{ quick = 20, full = 0 }}

[stage.collection]
kind = "data"
collection = "papers"      # bundled; or a folder of PLACKETT_DATA; or a path such as ./my-collection
queries = {{ quick = 40, full = 0 }}   # 0: all

[stage.index]
kind = "index"
data = "collection"
vectors = false            # true embeds the documents, for `dense`

[stage.bm25]
kind = "retrieve"
index = "index"
pipeline = "bm25:100"

[stage.reranked]
kind = "rank"
candidates = "bm25"
pipeline = "bi-encoder"    # any reranker of `plackett rerank --help`
depth = 20

[stage.quality]
kind = "evaluate"
data = "collection"
runs = ["bm25", "reranked"]
measures = ["nDCG@10"]

[stage.cost]
kind = "cost"
runs = ["reranked"]

# A claim is about numbers written STAGE/NUMBER. It is tested in pairs, query by query.

[claim.no-worse]
text = "Reranking the first 20 is not worse than BM25 alone."
kind = "not-worse"
of = "quality/reranked/nDCG@10"
than = "quality/bm25/nDCG@10"
main = true                # the paper stands on it
# expected = false         # when it is known not to hold here: shown, but no failure of the check

[claim.one-pass-each]
text = "A query and its twenty candidates are read once each, and a text that queries share once for all."
kind = "within"
of = "cost/reranked/passes"
at_most = 21

# [claim.trained]
# text = "The trained model is better than the untrained one."
# waiting = "training"     # listed, not judged, until the stage exists
"#
    )
}
