//! A trained model in the inference engine: its encoder and decoder are those of a T5 whose decoder has mixtures of experts, without a tape.

use super::attention::{EPSILON, buckets};
use super::model::{OneRec, OneRecConfig};
use crate::RecError;
use plackett_lm::Precision;
use plackett_lm::seq2seq::{EncoderDecoder, EncoderDecoderOptions, NamedTensor};
use plackett_train::{Parameter, Parameters};
use serde_json::{Value, json};

/// A trained model that writes. A history is read once; keys and values of what is written behind it are kept, and of the experts of a layer those
/// are computed that a token goes through.
pub struct OneRecInference {
    pub(super) engine: EncoderDecoder,
    pub(super) max_history: usize,
}

impl OneRecInference {
    /// Of a model and its weights, which are copied, for so many threads; their number changes no number that comes out.
    ///
    /// # Errors
    /// The weights are not those of the model, or threads cannot be started.
    pub fn new(model: &OneRec, parameters: &Parameters, threads: usize) -> Result<OneRecInference, RecError> {
        let options = EncoderDecoderOptions {
            precision: Precision::F32,
            threads: Some(threads.max(1)),
            memory_budget: None,
        };
        let tensors = engine_tensors(&model.config, parameters);
        let engine = EncoderDecoder::of_tensors(&engine_config(&model.config), &tensors, &options)?;
        Ok(OneRecInference { engine, max_history: model.config.max_history })
    }
}

/// What the engine is told of the model.
fn engine_config(config: &OneRecConfig) -> Value {
    // Both halves have equally many, and as far.
    let distances = buckets(true);
    let mut told = json!({
        "model_type": "t5",
        "d_model": config.width,
        "num_heads": config.heads,
        "d_kv": config.width / config.heads,
        "d_ff": config.active * config.inner,
        "num_layers": config.blocks,
        "relative_attention_num_buckets": distances.count,
        "relative_attention_max_distance": distances.reach,
        "layer_norm_epsilon": EPSILON,
        "tie_word_embeddings": false,
    });
    if config.experts > 0 {
        told["num_experts"] = json!(config.experts);
        told["num_experts_per_tok"] = json!(config.active);
        told["moe_intermediate_size"] = json!(config.inner);
    }
    told
}

/// The weights under the names that the engine knows.
fn engine_tensors(config: &OneRecConfig, parameters: &Parameters) -> Vec<NamedTensor> {
    // A T5 does not scale its scores, so queries are scaled in its place.
    let scale = 1.0 / ((config.width / config.heads) as f32).sqrt();
    let tensor = |own: &Parameter| -> Option<NamedTensor> {
        let name = engine_name(&own.name)?;
        let by = if name.ends_with("Attention.q.weight") { scale } else { 1.0 };
        let is_vector = name.ends_with("norm.weight");
        let shape = if is_vector { vec![own.columns] } else { vec![own.rows, own.columns] };
        Some((name, shape, own.value.iter().map(|x| by * x).collect()))
    };
    parameters.iter().filter_map(|(_, own)| tensor(own)).collect()
}

/// The name that a weight has in a T5, or, of an expert and the gate, in Switch Transformers; `None` for what is none of the model's.
fn engine_name(name: &str) -> Option<String> {
    match name {
        "embeddings.weight" => return Some("shared.weight".into()),
        "head.weight" => return Some("lm_head.weight".into()),
        _ => {}
    }
    let (half, rest) = name.split_once('.')?;
    // The feed-forward part comes behind one kind of attention or two.
    let last = match half {
        "encoder" => 1,
        "decoder" => 2,
        _ => return None,
    };
    let rest = match rest {
        "distance_bias" => {
            return Some(format!("{half}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"));
        }
        "norm.weight" => return Some(format!("{half}.final_layer_norm.weight")),
        other => other.strip_prefix("blocks.")?.strip_suffix(".weight")?,
    };
    let (block, part) = rest.split_once('.')?;
    let parts: Vec<&str> = part.split('.').collect();
    let part = match parts.as_slice() {
        ["attention", "norm"] => "0.layer_norm".to_string(),
        ["attention", matrix] => format!("0.SelfAttention.{}", matrix_name(matrix)?),
        ["cross_attention", "norm"] => "1.layer_norm".to_string(),
        ["cross_attention", matrix] => format!("1.EncDecAttention.{}", matrix_name(matrix)?),
        ["norm"] => format!("{last}.layer_norm"),
        ["gate"] => format!("{last}.mlp.router.classifier"),
        ["experts", expert, matrix] => format!("{last}.mlp.experts.expert_{expert}.{}", matrix_name(matrix)?),
        [matrix] => format!("{last}.DenseReluDense.{}", matrix_name(matrix)?),
        _ => return None,
    };
    Some(format!("{half}.block.{block}.layer.{part}.weight"))
}

fn matrix_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "query" => "q",
        "key" => "k",
        "value" => "v",
        "output" => "o",
        "in" => "wi",
        "out" => "wo",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_has_a_name_in_the_engine() {
        for experts in [0, 3] {
            let config =
                OneRecConfig { width: 4, blocks: 1, heads: 2, inner: 1, experts, active: 2, max_history: 2 };
            let mut parameters = Parameters::default();
            let model = OneRec::new(config, 7, &mut parameters, 1).unwrap();
            assert_eq!(engine_tensors(&config, &parameters).len(), parameters.iter().count());
            // What is kept beside a model is none of its weights.
            parameters.add("codes", (1, 1), vec![0.0]);
            let engine = OneRecInference::new(&model, &parameters, 1).unwrap().engine;
            assert_eq!((engine.vocabulary(), engine.threads()), (7, 1));
        }
        let name = |name: &str| engine_name(name).unwrap_or_default();
        assert_eq!(
            name("decoder.blocks.1.cross_attention.query.weight"),
            "decoder.block.1.layer.1.EncDecAttention.q.weight"
        );
        assert_eq!(name("encoder.blocks.0.out.weight"), "encoder.block.0.layer.1.DenseReluDense.wo.weight");
        assert_eq!(
            name("decoder.blocks.0.experts.12.in.weight"),
            "decoder.block.0.layer.2.mlp.experts.expert_12.wi.weight"
        );
    }
}
