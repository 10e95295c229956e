//! Against a scripted model by hand, and tiny models of the engine against their golden vectors.

use super::*;
use crate::Settings;
use crate::engine::Decoder;
use crate::method::MethodSpec;
use crate::methods::tests::{ids, ranked, request};
use crate::model::Abilities;
use crate::testing::ScriptedModel;
use plackett_core::{RankRequest, Ranking};
use plackett_lm::decoder::DecoderOptions;
use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions};
use std::path::{Path, PathBuf};

fn model() -> ScriptedModel {
    ScriptedModel::new().vectors(|prompt, end| {
        let vector = match prompt {
            "one" => vec![1.0, 0.0],
            "two" => vec![0.0, 2.0],
            "three" => vec![3.0, 3.0],
            "four" => vec![-1.0, 0.0],
            "Instruct: Find the passages that answer a web search query\nQuery:why" => vec![0.0, -1.0],
            prompt => {
                assert!(!end, "a conversation ends with the beginning of its answer: {prompt}");
                vec![3.0, 4.0]
            }
        };
        Ok(vector)
    })
}

fn ranker(model: Arc<dyn Abilities>, options: &[(&str, &str)]) -> Arc<dyn crate::Ranker> {
    let spec = MethodSpec::find("e2rank").unwrap();
    spec.ranker(model, spec.values(options.iter().copied()).unwrap(), Settings::default()).unwrap()
}

#[test]
fn all_candidates_are_compared_with_a_prompt_of_the_first() {
    let model = Arc::new(model());
    let request = request("why", &["one", "two", "three", "four"]);
    let ranking = ranked("e2rank", &[("documents", "2")], &model, &request).unwrap();
    // Cosines with (3, 4): 3/5, 4/5, 21/(5·3√2), −3/5.
    assert_eq!(ids(&ranking), ["d2", "d1", "d0", "d3"]);
    let wanted = [21.0 / (5.0 * 18f64.sqrt()), 0.8, 0.6, -0.6];
    for (entry, wanted) in ranking.entries.iter().zip(wanted) {
        assert!((entry.score - wanted).abs() < 1e-12, "{entry:?}");
    }
    let prompt = &model.read()[0];
    assert!(prompt.contains("Documents:\n[1] one\n[2] two\nSearch Query: why"), "{prompt}");
    assert!(!prompt.contains("three") && !prompt.contains("[3]"));
    // One pass over the prompt and one over each document, in one call.
    assert_eq!((ranking.trace.passes, model.calls().len()), (4 + 1, 1));
}

#[test]
fn without_documents_in_the_prompt_the_query_retrieves() {
    let model = Arc::new(model());
    let request = request("why", &["one", "two", "three", "four"]);
    let ranking = ranked("e2rank", &[("documents", "0")], &model, &request).unwrap();
    // (0, −1) against 0, −1, −1/√2, 0: ties keep the given order.
    assert_eq!(ids(&ranking), ["d0", "d3", "d2", "d1"]);
    assert_eq!(ranking.trace.passes, 5);
}

#[test]
fn a_document_in_the_prompt_and_its_copy_outside_have_one_score() {
    let model = Arc::new(model());
    let request = request("why", &["one", "two", "one"]);
    let ranking = ranked("e2rank", &[("documents", "1")], &model, &request).unwrap();
    let score = |id: &str| ranking.entries.iter().find(|entry| entry.id == id).unwrap().score;
    assert_eq!(score("d0"), score("d2"));
    // The copy is not read again.
    assert_eq!((ranking.trace.passes, ranking.trace.cache_hits, model.prompts()), (3, 1, 3));
}

#[test]
fn a_document_is_read_once_for_all_requests() {
    let model = Arc::new(model());
    let ranker = ranker(model.clone(), &[]);
    let mut requests = vec![request("why", &["one", "two"]), request("how", &["two", "three"])];
    requests[1].query.id = "r".into();
    let rankings: Vec<Ranking> = ranker.rank(&requests).into_iter().map(Result::unwrap).collect();
    let passes: Vec<u64> = rankings.iter().map(|ranking| ranking.trace.passes).collect();
    let hits: Vec<u64> = rankings.iter().map(|ranking| ranking.trace.cache_hits).collect();
    assert_eq!((passes.iter().sum::<u64>(), hits.iter().sum::<u64>(), model.prompts()), (5, 1, 5));
    // Once its vector is known, a document costs nothing: one prompt a query.
    let again = ranker.rank(&requests).remove(1).unwrap();
    assert_eq!((again.trace.passes, again.trace.cache_hits, model.prompts()), (1, 2, 7));
    assert_eq!(again.entries, rankings[1].entries);
}

#[test]
fn vectors_of_an_index_are_not_made_again() {
    let model = Arc::new(model());
    let own = ranker(model.clone(), &[("documents", "2")]);
    let request = request("why", &["one", "two", "three"]);
    assert!(own.knows_vectors());
    for (candidate, vector) in request.candidates.iter().zip([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]) {
        own.know_vector(&candidate.document, vector.to_vec());
    }
    let ranking = own.rank(std::slice::from_ref(&request)).remove(0).unwrap();
    assert_eq!(ids(&ranking), ["d2", "d1", "d0"]);
    // One prompt, and nothing of the documents but what stands in it.
    assert_eq!((ranking.trace.passes, ranking.trace.cache_hits, model.prompts()), (1, 3, 1));
    assert!(!ranker(model, &[("words", "3")]).knows_vectors(), "documents that are cut have other vectors");
}

#[test]
fn a_document_without_text_is_not_read_and_comes_last() {
    let model = Arc::new(model());
    let ranking = ranked("e2rank", &[], &model, &request("why", &["  ", "four", "one"])).unwrap();
    assert_eq!(ids(&ranking), ["d2", "d1", "d0"]);
    assert!(ranking.trace.facts.iter().any(|(name, _)| name == "empty:d0"));
    assert_eq!(model.prompts(), 3);
}

#[test]
fn what_does_not_fit_is_refused_before_any_text_is_read() {
    let spec = MethodSpec::find("e2rank").unwrap();
    let lacking = Arc::new(ScriptedModel::new());
    let error = spec.ranker(lacking, spec.defaults(), Settings::default()).err().unwrap().to_string();
    assert!(error.contains("vectors of whole prompts"), "{error}");
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("mine.toml");
    std::fs::write(&path, "body = \"{doc}\"\nsuffix = \"{query}\"").unwrap();
    let options = [("prompt", path.to_str().unwrap()), ("documents", "0")];
    let error =
        spec.ranker(Arc::new(model()), spec.values(options).unwrap(), Settings::default()).err().unwrap();
    assert!(error.to_string().contains("write [parts] with query"), "{error}");
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests").join(name)
}

/// Texts of the golden file and their vectors by sentence-transformers.
fn embedder() -> Arc<Decoder> {
    Arc::new(Decoder::open(&golden("golden/decoder/embedder"), &DecoderOptions::default()).unwrap())
}

#[test]
fn vectors_of_documents_are_those_of_the_embedder() {
    let decoder = embedder();
    let texts = ["the quick brown fox", "lazy dogs rank over", "again"];
    // The embedder's own vectors agree with sentence-transformers (`golden_encoders` of the engine).
    let own = decoder.embedder().unwrap().embed(&texts, &EmbedOptions::default()).unwrap();
    let language = decoder.language_model().unwrap();
    let prompts = texts.map(Prompt::text);
    let requests: Vec<VectorRequest<'_>> =
        prompts.iter().map(|prompt| VectorRequest { prompt, role: Role::Document, end: true }).collect();
    for (n, reply) in language.prompt_vectors(&requests).into_iter().enumerate() {
        let similar = cosine(&reply.unwrap().values, &own.data[n * own.dim..][..own.dim]);
        assert!((similar - 1.0).abs() < 1e-6, "{n}: {similar}");
    }
    // Forgetting the end token is another vector.
    let bare = VectorRequest { end: false, ..requests[0] };
    let bare = language.prompt_vectors(&[bare]).remove(0).unwrap();
    assert!(cosine(&bare.values, &own.data[..own.dim]) < 0.999);
}

fn engine_requests() -> Vec<RankRequest> {
    let texts = ["the quick brown fox", "lazy dogs", "the quick brown fox", "ranks over again", "a fox"];
    let mut requests = vec![request("quick fox", &texts), request("lazy dogs again", &texts)];
    requests[1].query.id = "r".into();
    requests
}

#[test]
fn a_batch_gives_the_bits_of_its_parts_and_copies_one_score() {
    let folder = tempfile::tempdir().unwrap();
    let prompt = folder.path().join("short.toml");
    std::fs::write(&prompt, "body = \"[{label}] {doc}\"\nsuffix = \"\\n{query}\"").unwrap();
    let encoder = EncoderModel::open(golden("parity/bert"), &EncoderOptions::default()).unwrap();
    let models: [Arc<dyn Abilities>; 2] = [embedder(), Arc::new(encoder)];
    for (n, model) in models.into_iter().enumerate() {
        // The tiny models read few tokens, and nearly every letter is one.
        let options = [("documents", "2"), ("prompt", prompt.to_str().unwrap())];
        let together = ranker(model.clone(), &options).rank(&engine_requests());
        for (request, together) in engine_requests().iter().zip(together) {
            let alone =
                ranker(model.clone(), &options).rank(std::slice::from_ref(request)).remove(0).unwrap();
            let together = together.unwrap();
            assert_eq!(alone.entries, together.entries, "{n}");
            let score = |id: &str| alone.entries.iter().find(|entry| entry.id == id).unwrap().score;
            assert_eq!(score("d0"), score("d2"), "{n}: one is in the prompt, the other is not");
            assert!(alone.entries.iter().all(|entry| entry.score.abs() <= 1.0 + 1e-9));
        }
    }
}

#[test]
fn an_encoder_gives_the_cosine_of_its_own_vectors() {
    let encoder = Arc::new(EncoderModel::open(golden("parity/bert"), &EncoderOptions::default()).unwrap());
    let request = request("quick fox", &["lazy dogs", "the brown fox"]);
    let ranking =
        ranker(encoder.clone(), &[("documents", "0")]).rank(std::slice::from_ref(&request)).remove(0);
    let ranking = ranking.unwrap();
    let query = "Instruct: Find the passages that answer a web search query\nQuery:quick fox";
    let own = encoder.embed(&[query, "lazy dogs"], &EmbedOptions::default()).unwrap();
    let (a, b) = own.data.split_at(own.dim);
    let found = ranking.entries.iter().find(|entry| entry.id == "d0").unwrap().score;
    assert!((found - cosine(a, b)).abs() < 1e-9);
    assert!(ranking.trace.facts.iter().any(|(name, _)| name == "vector"));
}
