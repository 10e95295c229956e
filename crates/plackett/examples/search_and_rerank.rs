//! Index a few texts, search them by words and by meaning, and rerank what was found.
//!
//! ```sh
//! cargo run --release --example search_and_rerank
//! ```

use plackett::Pipeline;
use plackett::core::{Document, Query};
use plackett::indexing::DocumentEmbedder;
use plackett::pipeline::{ModelOptions, Models};
use plackett::rank::Settings;
use plackett::search::{Index, IndexSettings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Models are opened by name, each one once. Without a name it is the one inside the binary: nothing is downloaded.
    let models = Models::new(None, ModelOptions { offline: true, ..ModelOptions::default() });

    // An index is a directory. It remembers which model made its vectors.
    let folder = tempfile::tempdir()?;
    let embedder = DocumentEmbedder::open(&models, None, |_| {})?;
    let settings = IndexSettings { model: Some(embedder.identity().clone()), ..IndexSettings::default() };
    let mut index = Index::create(folder.path().join("index"), &settings)?;
    let mut writer = index.writer(Some(&embedder))?;
    for (id, text) in [
        ("lava", "Magma rises through the crust until the volcano erupts."),
        ("cake", "A recipe for apple cake with cinnamon and sugar."),
        ("moon", "The moon moves around the earth and makes the tides."),
    ] {
        writer.put(Document::new(id, text))?;
    }
    writer.finish()?;

    // A pipeline is one expression: BM25 and vectors joined by reciprocal rank, the best 20 reranked token by token.
    let expression = "rrf(bm25, dense):20 >> late-interaction";
    let pipeline = Pipeline::resolve(expression, Some(&index), &models, &Settings::default())?;
    let queries = [Query::new("q1", "why is there ebb and flow"), Query::new("q2", "how to bake a dessert")];
    for (query, answer) in queries.iter().zip(pipeline.search(&index, &queries, 2)) {
        let ranking = answer?;
        println!("{}", query.text);
        for entry in &ranking.entries {
            println!("  {} {} {:.3}", entry.rank, entry.id, entry.score);
        }
        // What it cost, and everything that was cut or tied, is part of the answer.
        println!("  {} passes, {} tokens", ranking.trace.passes, ranking.trace.prompt_tokens);
    }
    Ok(())
}
