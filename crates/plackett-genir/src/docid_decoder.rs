//! How the vectors of a model become tokens of docids. A decoder is a declaration and a line in [`DECODERS`].

use plackett_core::declaration::{
    self, Expression, OptionError, OptionKind, OptionSpec, OptionValues, suggestion,
};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// All decoders. A new one is a declaration, and a line here.
static DECODERS: &[&DecoderSpec] = &[&PLAIN, &PREFIX_AWARE];

/// A decoder: everything that is said of it, and how its options are read.
struct DecoderSpec {
    /// The name in expressions.
    name: &'static str,
    /// Other names.
    aliases: &'static [&'static str],
    /// What it does, in one sentence.
    summary: &'static str,
    /// Its options.
    options: &'static [OptionSpec],
    read: fn(&OptionValues) -> Result<DocidDecoder, OptionError>,
}

static PLAIN: DecoderSpec = DecoderSpec {
    name: "plain",
    aliases: &[],
    summary: "a token has the same weights wherever it stands",
    options: &[],
    read: |_| Ok(DocidDecoder::Plain),
};

static PREFIX_AWARE: DecoderSpec = DecoderSpec {
    name: "prefix-aware",
    aliases: &["pawa"],
    summary: "the weights of a token follow from its place and from the tokens of the docid before it (PAWA, of the Neural Corpus Indexer), \
              and tokens that no docid has at a place are impossible there",
    options: &[
        OptionSpec {
            name: "layers",
            kind: OptionKind::Integer(1, 12),
            default: Some("2"),
            help: "layers that read the tokens before",
        },
        OptionSpec {
            name: "dropout",
            kind: OptionKind::Number(0.0, 0.9),
            default: Some("0.1"),
            help: "share of numbers that dropout sets to zero while these layers and what they adapt are trained",
        },
        OptionSpec {
            name: "consistency",
            kind: OptionKind::Number(0.0, 10.0),
            default: Some("0"),
            help: "weight of the divergence between two passes with dropout of their own; the Neural Corpus Indexer has 0.1 to 0.15",
        },
    ],
    read: |options| {
        let [dropout, consistency] = ["dropout", "consistency"].map(|name| options.number(name) as f32);
        if consistency > 0.0 && dropout == 0.0 {
            return Err(options.problem(
                "without dropout both passes are the same and consistency changes nothing; leave it out, or give dropout",
            ));
        }
        Ok(DocidDecoder::PrefixAware(PrefixAware { layers: options.count("layers"), dropout, consistency }))
    },
};

plackett_core::impl_declaration!(DecoderSpec);

/// How docids are written. Read from `name` or `name(option=value, …)`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum DocidDecoder {
    /// By the output matrix of the model.
    #[default]
    Plain,
    /// By weights that follow from what is written already.
    PrefixAware(PrefixAware),
}

/// A prefix-aware decoder (Wang and others, A Neural Corpus Indexer for Document Retrieval, NeurIPS 2022).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PrefixAware {
    /// Layers of the adaptor.
    pub layers: usize,
    /// Share of numbers that dropout sets to zero, in the adaptor and of the vectors whose weights it adapts, while they are trained.
    pub dropout: f32,
    /// What ½ \[KL(P₁ ‖ P₂) + KL(P₂ ‖ P₁)\] of two passes, as a mean over the tokens of docids, is multiplied with; 0 for one pass.
    pub consistency: f32,
}

impl DocidDecoder {
    /// Whether docids are written by the output matrix of the model.
    pub fn is_plain(&self) -> bool {
        *self == DocidDecoder::Plain
    }
}

impl FromStr for DocidDecoder {
    /// What is wrong and what is expected.
    type Err = String;

    fn from_str(text: &str) -> Result<DocidDecoder, String> {
        let expression = Expression::split(text)?;
        let spec = declaration::find(DECODERS, expression.name).map_err(|unknown| {
            let (known, nearest) = (unknown.known, suggestion(&unknown.nearest));
            format!("there is no decoder `{}` ({known}){nearest}", expression.name)
        })?;
        let options = OptionValues::parse(spec.name, spec.options, expression.options()?);
        let decoder = options.and_then(|options| (spec.read)(&options));
        decoder.map_err(|error| error.to_string())
    }
}

/// The decoders with their options, for the help of a flag.
pub fn decoders_help() -> String {
    let option = |option: &OptionSpec| format!("; {}: {}, {}", option.name, option.help, option.expects());
    let named = |spec: &&DecoderSpec| {
        let options: String = spec.options.iter().map(option).collect();
        format!("`{}` ({}{options})", spec.name, spec.summary)
    };
    let all: Vec<String> = DECODERS.iter().map(named).collect();
    format!("How docids are written: {}", all.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoders_are_read_and_others_refused() {
        let usual = PrefixAware { layers: 2, dropout: 0.1, consistency: 0.0 };
        let read = |text: &str| text.parse::<DocidDecoder>();
        assert_eq!(read("plain"), Ok(DocidDecoder::Plain));
        assert_eq!(read("prefix-aware"), Ok(DocidDecoder::PrefixAware(usual)));
        let other = PrefixAware { layers: 4, dropout: 0.5, consistency: 0.25 };
        let written = "pawa(layers=4, dropout=0.5, consistency=0.25)";
        assert_eq!(read(written), Ok(DocidDecoder::PrefixAware(other)));
        for (text, expected) in [
            ("prefix-awre", "did you mean `prefix-aware`?"),
            ("plain(layers=2)", "it has none"),
            ("prefix-aware(layer=2)", "did you mean `layers`?"),
            ("prefix-aware(layers=0)", "a whole number from 1 to 12"),
            ("prefix-aware(dropout=0, consistency=0.1)", "consistency changes nothing"),
            ("prefix-aware(layers=2", "`)` is missing"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(decoders_help().contains("`prefix-aware`") && decoders_help().contains("default 0.1"));
    }

    #[test]
    fn decoders_go_to_files_and_back() {
        let decoder: DocidDecoder = "prefix-aware(layers=3)".parse().unwrap();
        let text = serde_json::to_string(&decoder).unwrap();
        assert_eq!(text, r#"{"prefix-aware":{"layers":3,"dropout":0.1,"consistency":0.0}}"#);
        assert_eq!(serde_json::from_str::<DocidDecoder>(&text).unwrap(), decoder);
        assert_eq!(serde_json::to_string(&DocidDecoder::Plain).unwrap(), r#""plain""#);
    }
}
