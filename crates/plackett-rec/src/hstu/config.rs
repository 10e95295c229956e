//! What an HSTU is like.

use crate::RecError;
use crate::sequential::{check_heads, check_size, settings_option as option};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};

/// Places behind the longest history that the authors' code pads to; they are part of the constant N.
pub const PADDING: usize = 11;

/// Options beside those of all models of sequences.
pub(super) const OPTIONS: [OptionSpec; 6] = [
    option(
        "variant",
        OptionKind::Choice(&["research", "production"]),
        "research",
        "research: biases for place and time in every layer; production: scaled products, places and times as embeddings of the \
         input, norms and projections with biases",
    ),
    option(
        "weighting",
        OptionKind::Choice(&["silu", "softmax"]),
        "silu",
        "how scores become weights: SiLU divided by a constant, or a softmax as in a transformer",
    ),
    option("position-bias", OptionKind::Switch, "true", "whether layers have a bias by distance of places"),
    option("time-bias", OptionKind::Switch, "true", "whether layers have a bias by distance in time"),
    option(
        "concat-ua",
        OptionKind::Switch,
        "false",
        "whether gate and attention go into the output beside their product",
    ),
    option(
        "head-size",
        OptionKind::Integer(0, 65_536),
        "0",
        "numbers of a query, key, value and gate of a head; 0 for the width divided by the heads",
    ),
];

/// The two forms in which the authors published the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Behind the public tables: no scale, biases by place and time, norms without weights.
    Research,
    /// Products scaled by 1/√d, no biases by place and time but embeddings of both at the input, norms and projections with
    /// biases, gate and attention beside their product.
    Production,
}

/// How scores of keys become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// SiLU(score) / N with a constant N: how many similar events there are is kept.
    Silu,
    /// Softmax over the keys that are seen, as in a transformer; scores are scaled by 1/√d.
    Softmax,
}

/// Sizes and forms of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HstuConfig {
    /// How many items there are.
    pub catalogue: usize,
    /// Numbers of an item's vector and of an event's state.
    pub width: usize,
    /// Layers.
    pub blocks: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Numbers of a query, key, value and gate of a head.
    pub head_size: usize,
    /// The most events that are read.
    pub max_length: usize,
    /// Which form of the layer.
    pub variant: Variant,
    /// How scores become weights.
    pub weighting: Weighting,
    /// Whether there is a bias by distance of places.
    pub position_bias: bool,
    /// Whether there is a bias by distance in time.
    pub time_bias: bool,
    /// Whether gate and attention go into the output beside their product.
    pub concat_ua: bool,
}

impl HstuConfig {
    /// The research form, as its authors have it on MovieLens-1M, for a catalogue.
    pub fn research(catalogue: usize, width: usize, blocks: usize, max_length: usize) -> HstuConfig {
        HstuConfig {
            catalogue,
            width,
            blocks,
            heads: 1,
            head_size: width,
            max_length,
            variant: Variant::Research,
            weighting: Weighting::Silu,
            position_bias: true,
            time_bias: true,
            concat_ua: false,
        }
    }

    /// The production form.
    pub fn production(catalogue: usize, width: usize, blocks: usize, max_length: usize) -> HstuConfig {
        HstuConfig {
            variant: Variant::Production,
            position_bias: false,
            time_bias: false,
            concat_ua: true,
            ..HstuConfig::research(catalogue, width, blocks, max_length)
        }
    }

    /// From the options of a recommender.
    ///
    /// # Errors
    /// Sizes that cannot be.
    pub fn of(options: &OptionValues, catalogue: usize) -> Result<HstuConfig, RecError> {
        check_heads(options)?;
        let is_production = options.choice("variant") == "production";
        let heads = options.count("heads");
        let base = match is_production {
            true => HstuConfig::production,
            false => HstuConfig::research,
        };
        let base =
            base(catalogue, options.count("width"), options.count("blocks"), options.count("max-length"));
        let config = HstuConfig {
            heads,
            head_size: match options.count("head-size") {
                0 => options.count("width") / heads.max(1),
                size => size,
            },
            weighting: if options.choice("weighting") == "softmax" {
                Weighting::Softmax
            } else {
                Weighting::Silu
            },
            position_bias: !is_production && options.switch("position-bias"),
            time_bias: !is_production && options.switch("time-bias"),
            concat_ua: is_production || options.switch("concat-ua"),
            ..base
        };
        config.check()?;
        Ok(config)
    }

    /// Refuses options of a new model that its form does not read.
    pub(super) fn check_unused(options: &OptionValues) -> Result<(), RecError> {
        if options.choice("variant") != "production" {
            return Ok(());
        }
        let of_research = ["position-bias", "time-bias", "concat-ua"];
        match of_research.into_iter().find(|name| options.is_given(name)) {
            Some(unused) => {
                let problem = format!("variant=production has no choice of `{unused}`; leave it out");
                Err(options.problem(problem).into())
            }
            None => Ok(()),
        }
    }

    /// Refuses sizes that cannot be.
    ///
    /// # Errors
    /// One of them is 0, or the model would be too large.
    pub fn check(&self) -> Result<(), RecError> {
        let sizes = [self.catalogue, self.width, self.blocks, self.heads, self.head_size, self.max_length];
        match sizes.contains(&0) {
            true => {
                Err(RecError::Setting("hstu: items, width, blocks, heads and length are 1 at least".into()))
            }
            false => {
                let per_row = 4 * self.heads as u128 * self.head_size as u128
                    + if self.concat_ua { 3 } else { 1 } * self.heads as u128 * self.head_size as u128;
                check_size(
                    self.width,
                    self.catalogue + self.max_length,
                    self.blocks,
                    per_row * self.width as u128,
                )
            }
        }
    }

    /// N: the length that the authors' code pads to, by which weights are divided. A constant, so that a cached event and
    /// one that is computed anew have the same weights.
    pub fn padded_length(&self) -> usize {
        self.max_length + PADDING
    }

    /// What products of queries and keys are multiplied with.
    pub fn scale(&self) -> f32 {
        match (self.variant, self.weighting) {
            (Variant::Research, Weighting::Silu) => 1.0,
            _ => 1.0 / (self.head_size as f32).sqrt(),
        }
    }

    /// Numbers of all heads together.
    pub fn inner(&self) -> usize {
        self.heads * self.head_size
    }

    /// Numbers that go into the output of a layer.
    pub fn output_inputs(&self) -> usize {
        if self.concat_ua { 3 * self.inner() } else { self.inner() }
    }
}
