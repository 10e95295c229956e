//! `plackett model show`: family, sizes and limits.

use crate::command::{Outcome, Output};
use plackett::golden::Subject;
use plackett::pipeline::{LocalModel, ModelOptions};
use plackett_lm::FactorizedLayer;
use plackett_lm::decoder::{DecoderModel, PairPrompt};
use plackett_lm::seq2seq::EncoderDecoder;
use plackett_lm::store::{Resolved, StoreError, fingerprint};
use plackett_train::list_ranker::ListRanker;
use plackett_train::trainer::{Embedding, GroupHead, GroupScorer};
use plackett_train::{Parameters, TrainError};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::Path;

/// A fact under its name in JSON and for people.
struct Fact {
    key: &'static str,
    value: Value,
    name: &'static str,
    text: String,
}

fn fact(key: &'static str, value: impl Into<Value>, name: &'static str, text: impl Into<String>) -> Fact {
    Fact { key, value: value.into(), name, text: text.into() }
}

/// Opens a model and says what it is.
pub(super) fn run(model: &Resolved, options: &ModelOptions, output: &Output) -> Outcome {
    // Before anything is printed: the files may be wrong.
    let opened = match (GroupScorer::is_in(&model.directory), ListRanker::is_in(&model.directory)) {
        (true, _) => with_fingerprint(of_group_scorer(&model.directory)?, &model.directory)?,
        (false, true) => with_fingerprint(of_list_ranker(&model.directory)?, &model.directory)?,
        (false, false) => of_subject(&Subject::open(&model.directory, options)?),
    };
    let path = model.directory.display().to_string();
    let licence = model.licence.clone();
    let known = licence.clone().unwrap_or_else(|| "not recorded".into());
    let mut facts = vec![
        fact("name", model.name.clone(), "name", model.name.clone()),
        fact("source", model.source.clone(), "source", model.source.clone()),
        fact("licence", licence, "licence", known),
        fact("path", path.clone(), "path", path),
    ];
    facts.extend(opened);
    if output.json {
        let object: Map<String, Value> =
            facts.into_iter().map(|fact| (fact.key.into(), fact.value)).collect();
        return Ok(output.print_json(&object)?);
    }
    let mut text = String::new();
    for Fact { name, text: value, .. } in facts.iter().filter(|fact| !fact.name.is_empty()) {
        writeln!(text, "{name:<14} {value}")?;
    }
    Ok(output.print(&text)?)
}

fn of_subject(opened: &Subject) -> Vec<Fact> {
    match opened {
        Subject::Texts(model) => of_texts(model),
        Subject::Decoder(model) => of_decoder(model),
        Subject::EncoderDecoder(model, _) => of_encoder_decoder(model),
    }
}

/// Facts with what tells a small model of one's own from another one, for which all of its files are read.
fn with_fingerprint(mut facts: Vec<Fact>, folder: &Path) -> Result<Vec<Fact>, StoreError> {
    let own = fingerprint(folder)?;
    facts.push(fact("fingerprint", own.clone(), "fingerprint", own));
    Ok(facts)
}

/// TSPRank's scorer of lists, which reads vectors of another model (`plackett train` with `method = "tsprank"`).
fn of_group_scorer(folder: &Path) -> Result<Vec<Fact>, TrainError> {
    let mut parameters = Parameters::default();
    let (scorer, vectors) = GroupScorer::open(folder, &mut parameters)?;
    let shape = scorer.shape();
    let width = match shape.embedding {
        Embedding::None => shape.inputs,
        Embedding::Linear(width) | Embedding::Hidden(_, width) => width,
    };
    let (layers, heads) = shape.encoder.map_or((0, 0), |encoder| (encoder.layers, encoder.heads));
    let gives = match shape.head {
        GroupHead::Successor => "scores of ordered pairs of a list, for `tsprank`",
        GroupHead::Item => "one score for each text of a list",
    };
    let encoder = match layers {
        0 => "no encoder".to_string(),
        _ => format!("an encoder of {layers} layers and {heads} heads"),
    };
    let family = format!("group-scorer, {} numbers to {width}, {encoder}", shape.inputs);
    let bytes = parameters.count() * size_of::<f32>();
    Ok(vec![
        fact("family", "group-scorer", "family", family),
        fact("kind", "group-scorer", "gives", gives),
        fact("vectors", vectors.name.clone(), "vectors of", vectors.name),
        fact("inputs", shape.inputs, "", ""),
        fact("width", width, "", ""),
        fact("layers", layers, "", ""),
        fact("heads", heads, "", ""),
        fact("precision", "f32", "weights", format!("f32, {:.1} MB", bytes as f64 / 1e6)),
        fact("bytes", bytes, "", ""),
    ])
}

/// RichRAG's list ranker, which reads vectors of another model (`plackett train` with a table `[pointer]`).
fn of_list_ranker(folder: &Path) -> Result<Vec<Fact>, TrainError> {
    let mut parameters = Parameters::default();
    let ranker = ListRanker::open(folder, &mut parameters)?;
    let vectors =
        ListRanker::origin(folder)?.map_or_else(|| "not recorded".to_string(), |origin| origin.name);
    let config = &ranker.config;
    let (inputs, width, layers, heads) = (config.dimension, config.width, config.layers, config.heads);
    let family = format!("list-ranker, {inputs} numbers to {width}, {layers} layers and {heads} heads");
    let bytes = parameters.count() * size_of::<f32>();
    let gives = "lists that cover the sides of a question, for `plackett ask --ranker pointer`";
    Ok(vec![
        fact("family", "list-ranker", "family", family),
        fact("kind", "list-ranker", "gives", gives),
        fact("vectors", vectors.clone(), "vectors of", vectors),
        fact("inputs", inputs, "", ""),
        fact("width", width, "", ""),
        fact("layers", layers, "", ""),
        fact("heads", heads, "", ""),
        fact("precision", "f32", "weights", format!("f32, {:.1} MB", bytes as f64 / 1e6)),
        fact("bytes", bytes, "", ""),
    ])
}

fn of_decoder(model: &DecoderModel) -> Vec<Fact> {
    let info = model.info();
    let family = format!("{}, {} layers of {}, {} heads", info.family, info.layers, info.hidden, info.heads);
    let prompt = PairPrompt::recognize(model).ok().flatten();
    let pairs = prompt.is_some();
    let gives = match prompt {
        Some(prompt) if model.has_score_head() => format!("scores of pairs (prompt {})", prompt.name),
        Some(prompt) => format!("text, probabilities of tokens, scores of pairs (prompt {})", prompt.name),
        None => "text, probabilities of tokens".to_string(),
    };
    let mut facts = vec![
        fact("family", info.family.clone(), "family", family),
        fact("kind", "decoder", "gives", gives),
        fact("cross_encoder", pairs, "", ""),
        fact("layers", info.layers, "", ""),
        fact("hidden", info.hidden, "", ""),
        fact("heads", info.heads, "", ""),
        fact("vocabulary", info.vocabulary, "vocabulary", format!("{} tokens", info.vocabulary)),
        fact("max_tokens", info.positions, "longest text", format!("{} tokens", info.positions)),
    ];
    facts.extend(of_factors(model.factorized()));
    facts.extend(machine(info.precision, info.weight_bytes, info.isa.name(), info.threads));
    facts
}

fn of_encoder_decoder(model: &EncoderDecoder) -> Vec<Fact> {
    let (read, written) = (model.source_tokens(), model.output_tokens());
    let vocabulary = model.vocabulary();
    let mut facts = vec![
        fact("family", model.family(), "family", model.family()),
        fact("kind", "encoder-decoder", "gives", "text, probabilities of tokens"),
        fact("vocabulary", vocabulary, "vocabulary", format!("{vocabulary} tokens")),
        fact("max_tokens", read, "longest text", format!("{read} tokens")),
        fact("max_output_tokens", written, "longest output", format!("{written} tokens")),
    ];
    facts.extend(machine(model.precision(), model.weight_bytes(), model.isa().name(), model.threads()));
    facts
}

fn of_texts(opened: &LocalModel) -> Vec<Fact> {
    let info = opened.info();
    let gives = match (info.pooling, info.cross_encoder) {
        (Some(pooling), _) if matches!(opened, LocalModel::Decoder(_)) => {
            format!("one vector per text ({pooling:?} pooling)")
        }
        (_, true) => "scores of pairs".to_string(),
        (Some(pooling), _) => format!("one vector per text ({pooling:?} pooling), one per token"),
        (None, _) => "one vector per token".to_string(),
    };
    let family = format!("{}, {} layers of {}", info.family, info.layers, info.hidden);
    let kind = if matches!(opened, LocalModel::Encoder(_)) { "encoder" } else { "decoder" };
    let mut facts = vec![
        fact("family", info.family.clone(), "family", family),
        fact("kind", kind, "gives", gives),
        fact("layers", info.layers, "", ""),
        fact("hidden", info.hidden, "", ""),
        fact("cross_encoder", info.cross_encoder, "", ""),
        fact("dim", info.dim, "dimension", info.dim.to_string()),
        fact("max_tokens", info.max_tokens, "longest text", format!("{} tokens", info.max_tokens)),
    ];
    facts.extend(of_factors(match opened {
        LocalModel::Encoder(encoder) => encoder.factorized(),
        LocalModel::Decoder(decoder) => decoder.model().factorized(),
    }));
    facts.extend(machine(info.precision, info.weight_bytes, info.isa.name(), info.threads));
    facts
}

/// The linear layers that are two thin ones; nothing of a model without such.
fn of_factors(layers: &[FactorizedLayer]) -> Option<Fact> {
    let ranks = || layers.iter().map(|layer| layer.rank);
    let (least, most) = (ranks().min()?, ranks().max()?);
    let ranks = if least == most { format!("rank {least}") } else { format!("ranks {least} to {most}") };
    let whole: usize = layers.iter().map(|layer| layer.outputs * layer.inputs).sum();
    let left: usize = layers.iter().map(|layer| layer.rank * (layer.outputs + layer.inputs)).sum();
    let share = 100.0 * left as f64 / whole.max(1) as f64;
    let text = format!("{} linear layers, {ranks}, {share:.1} % of their {whole} numbers", layers.len());
    let value: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({"name": layer.name, "outputs": layer.outputs, "inputs": layer.inputs, "rank": layer.rank})
        })
        .collect();
    Some(fact("factorized", value, "factorised", text))
}

/// What depends on the file and on this machine.
fn machine(precision: &'static str, bytes: usize, isa: &'static str, threads: usize) -> [Fact; 4] {
    [
        fact("precision", precision, "weights", format!("{precision}, {:.1} MB", bytes as f64 / 1e6)),
        fact("bytes", json!(bytes), "", ""),
        fact("kernels", isa, "kernels here", isa),
        fact("threads", threads, "threads", threads.to_string()),
    ]
}
