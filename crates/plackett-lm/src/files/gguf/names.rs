//! Tensor names of GGUF in the terms of Hugging Face checkpoints, and the order of query and key rows.

/// Tensors outside of layers: GGUF, Hugging Face.
const WHOLE: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];
/// Parts of a layer.
const PARTS: [(&str, &str); 10] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
/// Norms of layers with two of them beside the one in front.
const TWO_NORMS: [(&str, &str); 1] = [("ffn_norm", "post_attention_layernorm")];
/// Norms of layers with four: their names cross.
const FOUR_NORMS: [(&str, &str); 3] = [
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// The names of the parts of a layer.
fn parts(architecture: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let norms: &[(&str, &str)] =
        if matches!(architecture, "gemma2" | "gemma3") { &FOUR_NORMS } else { &TWO_NORMS };
    PARTS.iter().chain(norms).copied()
}

/// `12.PART.weight` as layer, part and kind.
fn in_layer(name: &str) -> Option<(u32, &str, &str)> {
    let (layer, part) = name.split_once('.')?;
    // Only the plain spelling of a number is a layer: neither `+1` nor `01`.
    let number: u32 = layer.parse().ok().filter(|number: &u32| number.to_string() == layer)?;
    let (part, kind) = part.rsplit_once('.')?;
    matches!(kind, "weight" | "bias").then_some((number, part, kind))
}

/// The Hugging Face name of a decoder tensor: `blk.0.attn_q.weight` is `model.layers.0.self_attn.q_proj.weight`.
///
/// `architecture` is `general.architecture`: the norms around the feed-forward part have other names where there are
/// four to a layer (gemma2, gemma3). `None` for a tensor that has no counterpart, such as `rope_freqs.weight`.
pub fn hugging_face_name(architecture: &str, name: &str) -> Option<String> {
    if let Some((_, known)) = WHOLE.iter().find(|(own, _)| *own == name) {
        return Some(known.to_string());
    }
    let (layer, part, kind) = in_layer(name.strip_prefix("blk.")?)?;
    let (_, known) = parts(architecture).find(|(own, _)| *own == part)?;
    Some(format!("model.layers.{layer}.{known}.{kind}"))
}

/// The name in GGUF files of a decoder tensor: the inverse of [`hugging_face_name`].
pub fn gguf_name(architecture: &str, name: &str) -> Option<String> {
    if let Some((own, _)) = WHOLE.iter().find(|(_, known)| *known == name) {
        return Some(own.to_string());
    }
    let (layer, part, kind) = in_layer(name.strip_prefix("model.layers.")?)?;
    let (own, _) = parts(architecture).find(|(_, known)| *known == part)?;
    Some(format!("blk.{layer}.{own}.{kind}"))
}

/// In which order the rows of a head's query and key projection lie, and so how their outputs are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// Output i is rotated with output i + d/2 of the head: as Hugging Face stores all families.
    Half,
    /// Output 2i is rotated with output 2i + 1: as GGUF stores the architecture `llama` (Mistral and SmolLM2 included).
    Interleaved,
}

impl RowOrder {
    /// The order in GGUF files of an architecture.
    pub fn of(architecture: &str) -> RowOrder {
        if architecture == "llama" { RowOrder::Interleaved } else { RowOrder::Half }
    }
}

/// For each row in interleaved order, the row of the half order that belongs there, for heads of `head_dim` rows.
///
/// Row `r` of the GGUF matrix is row `rope_rows(..)[r]` of the Hugging Face matrix. A loader either rotates neighbours
/// ([`RowOrder::Interleaved`]) and leaves the rows, or puts them back with [`unrope_rows`] and rotates halves. Biases of
/// the projections move like their rows. An odd last row of a head stays.
pub fn rope_rows(rows: usize, head_dim: usize) -> Vec<usize> {
    let half = head_dim / 2;
    within_heads(rows, head_dim, |i| if i >= 2 * half { i } else { i % 2 * half + i / 2 })
}

/// For each row in half order, the row of the interleaved order that belongs there: the inverse of [`rope_rows`].
///
/// Row `r` of the Hugging Face matrix is row `unrope_rows(..)[r]` of the GGUF matrix.
pub fn unrope_rows(rows: usize, head_dim: usize) -> Vec<usize> {
    let half = head_dim / 2;
    within_heads(rows, head_dim, |i| if i >= 2 * half { i } else { i % half * 2 + i / half })
}

/// Rows that move inside their head only; heads of no rows leave all where they are.
fn within_heads(rows: usize, head_dim: usize, moved: impl Fn(usize) -> usize) -> Vec<usize> {
    let head_dim = head_dim.max(1);
    (0..rows).map(|row| row - row % head_dim + moved(row % head_dim)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_layer() {
        let name = |n| hugging_face_name("llama", n);
        assert_eq!(name("blk.0.attn_q.weight").as_deref(), Some("model.layers.0.self_attn.q_proj.weight"));
        assert_eq!(name("blk.12.attn_k.bias").as_deref(), Some("model.layers.12.self_attn.k_proj.bias"));
        assert_eq!(
            name("blk.3.ffn_norm.weight").as_deref(),
            Some("model.layers.3.post_attention_layernorm.weight")
        );
        assert_eq!(
            hugging_face_name("gemma3", "blk.3.ffn_norm.weight").as_deref(),
            Some("model.layers.3.pre_feedforward_layernorm.weight")
        );
        assert_eq!(name("output.weight").as_deref(), Some("lm_head.weight"));
        for other in
            ["rope_freqs.weight", "blk.x.attn_q.weight", "blk.+1.attn_q.weight", "blk.0.attn_q.scale", ""]
        {
            assert_eq!(name(other), None, "{other}");
        }
        for architecture in ["llama", "qwen3", "gemma3"] {
            for name in ["output_norm.weight", "blk.7.ffn_norm.weight", "blk.0.attn_k.bias"] {
                let known = hugging_face_name(architecture, name).expect(name);
                assert_eq!(gguf_name(architecture, &known).as_deref(), Some(name));
            }
        }
        let norm = "model.layers.3.post_attention_layernorm.weight";
        assert_eq!(gguf_name("llama", norm).as_deref(), Some("blk.3.ffn_norm.weight"));
        assert_eq!(gguf_name("gemma3", norm).as_deref(), Some("blk.3.post_attention_norm.weight"));
        assert_eq!(gguf_name("llama", "model.layers.3.post_feedforward_layernorm.weight"), None);
    }

    /// The definition in the words of array operations: a head's rows as (2, d/2) transposed to (d/2, 2).
    #[test]
    fn interleaving_is_a_transposition_of_halves() {
        assert_eq!(rope_rows(8, 4), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(rope_rows(6, 6), [0, 3, 1, 4, 2, 5]);
        assert_eq!(unrope_rows(6, 6), [0, 2, 4, 1, 3, 5]);
    }

    #[test]
    fn the_two_orders_undo_each_other() {
        for (rows, head_dim) in [(576, 64), (192, 64), (24, 6), (12, 2), (10, 5), (3, 1), (0, 64), (4, 0)] {
            let (there, back) = (rope_rows(rows, head_dim), unrope_rows(rows, head_dim));
            for row in 0..rows {
                assert_eq!(there[back[row]], row, "{rows} rows, heads of {head_dim}");
                assert_eq!(back[there[row]], row, "{rows} rows, heads of {head_dim}");
            }
        }
    }

    /// Rotating neighbours of permuted rows is rotating halves of the rows as they were.
    #[test]
    fn both_rotations_give_the_same_scores() {
        let d = 8;
        let (q, k): (Vec<f32>, Vec<f32>) = (0..d).map(|i| ((i as f32).sin(), (3.0 * i as f32).cos())).unzip();
        let angle = |i: usize, position: f32| position * 100f32.powf(-2.0 * i as f32 / d as f32);
        let half = |x: &[f32], p: f32| -> Vec<f32> {
            let turned = |i: usize| {
                let (s, c) = angle(i % (d / 2), p).sin_cos();
                if i < d / 2 { x[i] * c - x[i + d / 2] * s } else { x[i] * c + x[i - d / 2] * s }
            };
            (0..d).map(turned).collect()
        };
        let pairs = |x: &[f32], p: f32| -> Vec<f32> {
            let turned = |i: usize| {
                let (s, c) = angle(i / 2, p).sin_cos();
                if i.is_multiple_of(2) { x[i] * c - x[i + 1] * s } else { x[i] * c + x[i - 1] * s }
            };
            (0..d).map(turned).collect()
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let permuted = |x: &[f32]| rope_rows(d, d).into_iter().map(|row| x[row]).collect::<Vec<f32>>();
        let first = dot(&half(&q, 5.0), &half(&k, 2.0));
        let second = dot(&pairs(&permuted(&q), 5.0), &pairs(&permuted(&k), 2.0));
        assert!((first - second).abs() < 1e-5, "{first} {second}");
        assert!((first - dot(&half(&permuted(&q), 5.0), &half(&permuted(&k), 2.0))).abs() > 1e-3);
    }
}
