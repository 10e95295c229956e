//! Late interaction (ColBERT, Khattab and Zaharia 2020): which tokens of a text have a vector.

use crate::encoder::outputs::Side;
use crate::error::LmError;
use crate::files::config::JsonFile;
use crate::text::sequence::Sequence;
use crate::text::tokenizer::{Encoded, Text};
use std::collections::HashSet;

/// Settings of a ColBERT-like model as pylate stores them; absent for others.
#[derive(Default)]
pub(crate) struct LateSettings {
    colbert: Option<Colbert>,
}

struct Colbert {
    prefixes: [Option<u32>; 2],
    lengths: [usize; 2],
    /// Queries are filled with this token to their length.
    mask: Option<u32>,
    attend_to_masks: bool,
    skipped: HashSet<u32>,
}

impl LateSettings {
    /// Reads `config_sentence_transformers.json`.
    pub(crate) fn open(settings: Option<&JsonFile>, text: &Text) -> Result<LateSettings, LmError> {
        let Some(file) = settings.filter(|file| file.value().get("query_length").is_some()) else {
            return Ok(LateSettings::default());
        };
        let token = |key: &str| -> Result<Option<u32>, LmError> {
            match file.text(key).filter(|name| !name.is_empty()) {
                None => Ok(None),
                Some(name) => match text.id(name).or_else(|| text.id(name.trim())) {
                    Some(id) => Ok(Some(id)),
                    None => Err(file.problem(format!("`{key}`: the tokenizer has no token `{name}`"))),
                },
            }
        };
        let words = file.value().get("skiplist_words").and_then(|w| w.as_array());
        let skipped = words.into_iter().flatten().filter_map(|w| text.id(w.as_str()?)).collect();
        let mask = if file.flag("do_query_expansion", true) {
            let id = text.id("[MASK]").or_else(|| text.id("<mask>"));
            Some(id.ok_or_else(|| {
                file.problem("query expansion needs a [MASK] token, the tokenizer has none".into())
            })?)
        } else {
            None
        };
        Ok(LateSettings {
            colbert: Some(Colbert {
                prefixes: [token("query_prefix")?, token("document_prefix")?],
                lengths: [file.size("query_length")?, file.size_or("document_length", 300)?],
                mask,
                attend_to_masks: file.flag("attend_to_expansion_tokens", false),
                skipped,
            }),
        })
    }

    /// Tokens of one text with prefix and expansion.
    pub(crate) fn encode(
        &self,
        text: &Text,
        index: usize,
        words: &str,
        side: Side,
        most: usize,
    ) -> Result<Encoded, LmError> {
        let Some(colbert) = &self.colbert else { return text.single(index, ("", words), most) };
        let at = (side == Side::Document) as usize;
        let most = most.min(colbert.lengths[at]);
        let prefix = colbert.prefixes[at];
        let room = most - prefix.is_some() as usize;
        let mut encoded = text.single(index, ("", words), room)?;
        let sequence = &mut encoded.sequence;
        if let Some(prefix) = prefix {
            // After the opening special token.
            sequence.ids.insert(1.min(sequence.ids.len()), prefix);
            sequence.types.push(0);
            encoded.whole += 1;
        }
        sequence.visible = sequence.ids.len();
        if let (Side::Query, Some(mask)) = (side, colbert.mask) {
            let length = sequence.ids.len().max(most);
            encoded.whole = encoded.whole.max(length);
            sequence.ids.resize(length, mask);
            sequence.types.resize(length, 0);
            if colbert.attend_to_masks {
                sequence.visible = length;
            }
        }
        Ok(encoded)
    }

    /// Rows of a sequence that get a vector.
    pub(crate) fn kept(&self, sequence: &Sequence, side: Side, special: usize) -> Vec<usize> {
        match &self.colbert {
            Some(colbert) => (0..sequence.len())
                .filter(|row| side == Side::Query || !colbert.skipped.contains(&sequence.ids[*row]))
                .collect(),
            // One special token opens and the rest close; a text without any word keeps its special tokens.
            None if sequence.len() > special => {
                let before = special.min(1);
                (before..sequence.len() - (special - before)).collect()
            }
            None => (0..sequence.len()).collect(),
        }
    }
}
