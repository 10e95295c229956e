//! Passages as some view vectors, and anchors of the vectors of a whole list by one step of a decoder (Multi-View-guided Passage
//! Reranking, MVP, 2025): an encoder with a small decoder of anchors beside it.

use super::TextEncoder;
use super::bert_files::write_json;
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::{self, Initializer, Mode, T5, T5Config, TokenBatch, WeightSource};
use crate::tape::{Compute, Parameters, Tape, Var};
use plackett_lm::seq2seq::AnchorDecoder;
use serde_json::json;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The token that its step begins with, of the two that it has.
const START: u32 = 0;

/// An encoder of passages into views, and the decoder of anchors.
pub struct ViewRanker {
    /// Reads a passage with its query behind the view tokens.
    pub encoder: TextEncoder,
    decoder: T5,
    /// A token for each view, which stand before everything else.
    views: Vec<u32>,
}

/// What a [`ViewRanker`] makes of some lists.
pub struct ViewScores {
    /// Passages × 1: the mean over views of the product of a passage's vector and its list's anchor.
    pub scores: Var,
    /// (lists · views) × width.
    pub anchors: Var,
    /// The passages of each list.
    pub lists: Vec<Range<usize>>,
    /// Tokens that were read.
    pub tokens: usize,
}

impl ViewRanker {
    /// The encoder of a directory with a new decoder, whose weights follow from the seed. View tokens are the first spare ones of BERT's
    /// vocabulary, as in inference.
    ///
    /// # Errors
    /// A file is missing or damaged, or the vocabulary has fewer spare tokens.
    pub fn open(
        directory: &Path,
        parameters: &mut Parameters,
        views: usize,
        most: usize,
        seed: u64,
    ) -> Result<ViewRanker, TrainError> {
        let encoder = TextEncoder::open(directory, parameters, most)?;
        let token = |view: usize| {
            let name = format!("[unused{view}]");
            let missing =
                || TrainError::Model(format!("its tokenizer has no {name}, which stands for a view"));
            encoder.token(&name).ok_or_else(missing)
        };
        let views = (0..views).map(token).collect::<Result<_, _>>()?;
        ViewRanker::with_tokens(encoder, parameters, views, seed)
    }

    /// The same with any tokens for views.
    ///
    /// # Errors
    /// There is no token.
    pub fn with_tokens(
        encoder: TextEncoder,
        parameters: &mut Parameters,
        views: Vec<u32>,
        seed: u64,
    ) -> Result<ViewRanker, TrainError> {
        if views.is_empty() {
            return Err(TrainError::Setting("views: at least one is expected".into()));
        }
        let width = encoder.width();
        let config = decoder_config(width);
        let mut source = AnchorDecoderInitializer { drawn: Initializer::new(seed), head: config.d_kv };
        let decoder = T5::load(parameters, &mut source, &config)?;
        Ok(ViewRanker { encoder, decoder, views })
    }

    /// How many views there are.
    pub fn views(&self) -> usize {
        self.views.len()
    }

    /// Whether a parameter is part of the decoder.
    pub fn is_decoder(name: &str) -> bool {
        name.starts_with("decoder.") || name.starts_with("shared.")
    }

    /// The view tokens and a text behind them, `most` tokens together at most; whether the text had more.
    ///
    /// # Errors
    /// The text cannot be split into tokens.
    pub fn tokens(&self, text: &str, most: usize) -> Result<(Vec<u32>, bool), TrainError> {
        let most = most.min(self.encoder.most_tokens());
        let (text, is_cut) = self.encoder.tokens(text, most.saturating_sub(self.views.len()))?;
        Ok(([&self.views[..], &text].concat(), is_cut))
    }

    /// Scores and anchors of lists of passages, each as [`ViewRanker::tokens`] has it. No list is empty.
    pub fn forward(&self, tape: &Tape, lists: &[&[Vec<u32>]], mode: Mode) -> ViewScores {
        let views = self.views.len();
        let batch = TokenBatch::new(lists.iter().flat_map(|list| list.iter().map(Vec::as_slice)));
        let hidden = self.encoder.bert.forward(tape, &batch, mode);
        let places = places(lists, views);
        let rows: Vec<usize> =
            places.rows.iter().map(|(passage, view)| batch.sequences[*passage].start + view).collect();
        // Sorted by list, view and passage: what the decoder attends to lies together.
        let vectors = tape.select_rows(&hidden, &rows);
        let sources =
            TokenBatch { tokens: Vec::new(), segments: Vec::new(), sequences: places.groups.clone().into() };
        let steps = TokenBatch::new(places.groups.iter().map(|_| &[START][..]));
        let anchors = self.decoder.decode(tape, (&vectors, &sources), &steps, mode);
        let own: Vec<usize> =
            places.groups.iter().enumerate().flat_map(|(at, group)| group.clone().map(move |_| at)).collect();
        let products = tape.sum_rows(&tape.times(&vectors, &tape.select_rows(&anchors, &own)));
        let by_passage = tape.gather(&products, &places.of_passages, (batch.sequences.len(), views));
        let scores = tape.scale(&tape.sum_rows(&by_passage), 1.0 / views as f32);
        ViewScores { scores, anchors, lists: places.lists, tokens: batch.tokens.len() }
    }

    /// The mean size of the cosine between two anchors of each list; nothing with one view.
    pub fn anchor_similarity(
        &self,
        compute: &Arc<Compute>,
        parameters: &Parameters,
        lists: &[&[Vec<u32>]],
    ) -> Vec<f64> {
        let views = self.views.len();
        if views < 2 {
            return Vec::new();
        }
        let of_list = |list: &&[Vec<u32>]| {
            let tape = Tape::inference(parameters, compute);
            let found = self.forward(&tape, &[list], Mode::default());
            mean_absolute_cosine(&found.anchors.value, found.anchors.columns)
        };
        lists.iter().map(of_list).collect()
    }

    /// Writes a directory from which the inference engine ranks: the encoder, with the decoder in a folder of it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path, parameters: &Parameters) -> Result<(), TrainError> {
        self.encoder.save(folder, parameters, self.encoder.most_tokens())?;
        let folder = folder.join(AnchorDecoder::FOLDER);
        std::fs::create_dir_all(&folder).map_err(|source| TrainError::file(&folder, source))?;
        nn::save(&folder.join("model.safetensors"), parameters, |name| {
            ViewRanker::is_decoder(name).then(|| name.to_string())
        })?;
        let config = &self.decoder.config;
        let written = json!({
            "model_type": "t5", "d_model": config.d_model, "num_heads": config.num_heads, "d_kv": config.d_kv, "d_ff": config.d_ff,
            "num_layers": AnchorDecoder::LAYERS, "num_decoder_layers": AnchorDecoder::LAYERS, "vocab_size": config.vocab_size,
            "feed_forward_proj": config.feed_forward_proj, "layer_norm_epsilon": config.layer_norm_epsilon,
            "relative_attention_num_buckets": config.relative_attention_num_buckets,
            "relative_attention_max_distance": config.relative_attention_max_distance,
            "tie_word_embeddings": true, "scale_decoder_outputs": false, "decoder_start_token_id": START,
            // With another number of views other states would be read than those that were trained.
            "views": self.views(),
        });
        write_json(&folder.join("config.json"), &written)
    }
}

/// A T5 without layers in its encoder, of which the decoder alone is used: heads and sizes as the untrained one of the inference engine.
fn decoder_config(width: usize) -> T5Config {
    let size = if width.is_multiple_of(AnchorDecoder::HEAD) { AnchorDecoder::HEAD } else { width };
    T5Config {
        vocab_size: 2,
        d_model: width,
        d_kv: size,
        d_ff: 4 * width,
        num_layers: 0,
        num_decoder_layers: Some(AnchorDecoder::LAYERS),
        num_heads: width / size.max(1),
        relative_attention_num_buckets: 32,
        relative_attention_max_distance: 128,
        layer_norm_epsilon: 1e-6,
        feed_forward_proj: "relu".into(),
        tie_word_embeddings: true,
        scale_decoder_outputs: Some(false),
        decoder_start_token_id: START,
    }
}

/// A decoder's weights before its training, with the deviations with which T5 begins (Raffel et al., 2020), but for what would be the same
/// for all lists and views: its step has one token, so that this is small and what it would tell itself is nothing at first.
struct AnchorDecoderInitializer {
    drawn: Initializer,
    /// Numbers of a head.
    head: usize,
}

impl WeightSource for AnchorDecoderInitializer {
    fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
        let one_over_root = |count: usize| 1.0 / (count.max(1) as f32).sqrt();
        Ok(match name {
            // Anchors begin with length 1. As long as T5 has them, products with states of the encoder would be some ten times what the
            // softmax of a list takes, and a new norm is far from there at any usual learning rate.
            "decoder.final_layer_norm.weight" => vec![one_over_root(columns); columns],
            _ if name.ends_with("norm.weight") => vec![1.0; columns],
            _ if name.ends_with("SelfAttention.o.weight") => vec![0.0; rows * columns],
            "shared.weight" => self.drawn.normal(rows * columns, 0.02),
            _ if name.ends_with(".q.weight") => {
                self.drawn.normal(rows * columns, one_over_root(columns * self.head))
            }
            _ => self.drawn.normal(rows * columns, one_over_root(columns)),
        })
    }
}

/// Where the view vectors of some lists go.
struct Places {
    /// The passage, among all, and the view of each vector, sorted by list, view and passage.
    rows: Vec<(usize, usize)>,
    /// The vectors of each view of each list.
    groups: Vec<Range<usize>>,
    /// The vectors of each passage, view after view.
    of_passages: Vec<usize>,
    /// The passages of each list.
    lists: Vec<Range<usize>>,
}

fn places(lists: &[&[Vec<u32>]], views: usize) -> Places {
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(lists.len());
    for list in lists {
        let start = ranges.last().map_or(0, |range| range.end);
        ranges.push(start..start + list.len());
    }
    let count = ranges.last().map_or(0, |range| range.end);
    let mut places = Places {
        rows: Vec::with_capacity(count * views),
        groups: Vec::with_capacity(lists.len() * views),
        of_passages: vec![0; count * views],
        lists: ranges,
    };
    for list in &places.lists {
        for view in 0..views {
            let start = places.rows.len();
            for passage in list.clone() {
                places.of_passages[passage * views + view] = places.rows.len();
                places.rows.push((passage, view));
            }
            places.groups.push(start..places.rows.len());
        }
    }
    places
}

/// The mean absolute cosine between two rows.
fn mean_absolute_cosine(rows: &[f32], width: usize) -> f64 {
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let rows: Vec<&[f32]> = rows.chunks(width.max(1)).collect();
    let mut cosines = Vec::new();
    for (at, a) in rows.iter().enumerate() {
        for b in &rows[at + 1..] {
            let length = (product(a, a) * product(b, b)).sqrt();
            cosines.push(if length > 0.0 { (product(a, b) / length).abs() } else { 0.0 });
        }
    }
    cosines.iter().sum::<f64>() / cosines.len().max(1) as f64
}

#[cfg(test)]
#[path = "view_ranker_tests.rs"]
mod tests;
