//! Ranks of factorised layers, and how many parameters they save, from shapes alone.

use crate::nn::BertConfig;
use std::fmt;

/// A rank for all layers, or one that follows from each layer's shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rank {
    /// The same for all.
    Absolute(usize),
    /// A share of the layer's limit.
    Ratio(f64),
}

/// Why a layer stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The ratio is less than one component.
    RankZero,
    /// Two thin layers would not be smaller.
    AboveLimit {
        /// The rank from which on nothing is saved.
        limit: usize,
    },
    /// It is factorised already.
    Factorized,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skipped::RankZero => write!(f, "the ratio of its limit is less than one component"),
            Skipped::AboveLimit { limit } => {
                write!(f, "from rank {limit} on two thin layers are not smaller")
            }
            Skipped::Factorized => write!(f, "it is factorised already"),
        }
    }
}

impl Rank {
    /// From which rank on a layer of outputs × inputs does not become smaller: ⌊oi / (o + i)⌋.
    pub fn limit((outputs, inputs): (usize, usize)) -> usize {
        outputs * inputs / (outputs + inputs).max(1)
    }

    /// The rank of a layer of outputs × inputs.
    ///
    /// # Errors
    /// The layer stays as it is.
    pub fn of(self, shape: (usize, usize), beyond_limit: bool) -> Result<usize, Skipped> {
        let limit = Rank::limit(shape);
        let rank = match self {
            Rank::Absolute(rank) => rank,
            Rank::Ratio(ratio) => (ratio * limit as f64) as usize,
        };
        match rank {
            0 => Err(Skipped::RankZero),
            _ if beyond_limit => Ok(rank.min(shape.0).min(shape.1)),
            _ if rank >= limit => Err(Skipped::AboveLimit { limit }),
            _ => Ok(rank),
        }
    }
}

/// A linear layer without its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// Its name.
    pub name: String,
    /// Numbers out.
    pub outputs: usize,
    /// Numbers in.
    pub inputs: usize,
}

/// The linear layers of a BERT, with its pooler.
pub fn bert_layers(config: &BertConfig) -> Vec<LayerShape> {
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let layer = |name: String, outputs, inputs| LayerShape { name, outputs, inputs };
    let square =
        ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"];
    let mut all = Vec::new();
    for at in 0..config.num_hidden_layers {
        let name = |part: &str| format!("bert.encoder.layer.{at}.{part}");
        all.extend(square.iter().map(|part| layer(name(part), width, width)));
        all.push(layer(name("intermediate.dense"), inner, width));
        all.push(layer(name("output.dense"), width, inner));
    }
    all.push(layer("bert.pooler.dense".into(), width, width));
    all
}

/// How many parameters factorisation of these layers saves.
pub fn parameters_saved(layers: &[LayerShape], rank: Rank) -> usize {
    let saved = layers.iter().filter_map(|layer| {
        let rank = rank.of((layer.outputs, layer.inputs), false).ok()?;
        Some(layer.outputs * layer.inputs - rank * (layer.outputs + layer.inputs))
    });
    saved.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BERT-base without a head, uncased.
    const BERT_BASE: usize = 109_482_240;

    fn bert_base() -> Vec<LayerShape> {
        let config: BertConfig = serde_json::from_str(
            r#"{"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                "intermediate_size": 3072, "max_position_embeddings": 512}"#,
        )
        .unwrap();
        bert_layers(&config)
    }

    /// The pooler and the last layers.
    fn last(count: usize) -> Vec<LayerShape> {
        bert_base().split_off((12 - count) * 6)
    }

    #[test]
    fn totals_of_bert_base_are_those_of_the_authors() {
        let all = bert_base();
        assert_eq!(all.iter().filter(|layer| layer.outputs == layer.inputs).count(), 49);
        assert_eq!(all.len(), 49 + 24);
        let weights: usize = all.iter().map(|layer| layer.outputs * layer.inputs + layer.outputs).sum();
        let norms = 25 * 2 * 768;
        assert_eq!(weights + norms + (30_522 + 512 + 2) * 768, BERT_BASE);
        let after = |layers: &[LayerShape], rank: Rank| BERT_BASE - parameters_saved(layers, rank);
        assert_eq!(after(&all, Rank::Absolute(256)), 66_818_304);
        assert_eq!(after(&all, Rank::Ratio(0.4)), 58_052_352);
        assert_eq!(after(&last(6), Rank::Ratio(0.2)), 74_965_248);
        assert_eq!(108_311_810 - parameters_saved(&last(4), Rank::Absolute(192)), 90_322_178);
    }

    #[test]
    fn limits_are_those_of_the_formula() {
        let limits = [(768, 768), (768, 3072), (384, 384), (384, 1536), (576, 192)].map(Rank::limit);
        assert_eq!(limits, [384, 614, 192, 307, 144]);
    }
}
