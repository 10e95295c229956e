//! Prompts in parts as tokens: each part by itself, so that spans are exact.

use super::stored::StoredBlocks;
use super::text::Reader;
use crate::model::{CallError, PromptPart, PromptParts};
use plackett_lm::decoder::KvCache;
use std::ops::Range;

/// A prompt in parts as tokens.
pub(super) struct PartTokens {
    /// What stands before the first document, with what the model wants before any text.
    pub before: Vec<u32>,
    /// What follows it.
    pub blocks: Vec<Block>,
    /// One for each ending.
    pub endings: Vec<Vec<u32>>,
}

/// A document, or words between documents.
pub(super) struct Block {
    pub document: bool,
    /// How many tokens it has.
    pub length: usize,
    /// They themselves, where they are to be computed.
    pub ids: Vec<u32>,
    /// Its keys and values behind the stored prefix, where an index has them.
    pub stored: Option<KvCache>,
}

impl PartTokens {
    /// Reads all parts; documents that are stored behind the same beginning are not read again.
    pub fn read(
        reader: Reader<'_>,
        prompt: &PromptParts,
        stored: Option<&StoredBlocks>,
    ) -> Result<PartTokens, CallError> {
        let (mut before, after) = reader.around(prompt)?;
        let first = prompt.parts.iter().position(|part| matches!(part, PromptPart::Document(_)));
        let (common, others) = prompt.parts.split_at(first.unwrap_or(prompt.parts.len()));
        for part in common {
            before.extend(reader.part(part.text())?);
        }
        let stored = stored.filter(|stored| stored.prefix_tokens() == before);
        let block = |part: &PromptPart| {
            let document = matches!(part, PromptPart::Document(_));
            let found = stored.filter(|_| document).map(|own| own.find(part.text())).transpose()?.flatten();
            if let Some((length, cache)) = found {
                return Ok(Block { document, length, ids: Vec::new(), stored: Some(cache) });
            }
            let ids = reader.part(part.text())?;
            Ok(Block { document, length: ids.len(), ids, stored: None })
        };
        let blocks = others.iter().map(block).collect::<Result<Vec<Block>, CallError>>()?;
        let ending = |text: &String| {
            let mut ids = reader.part(text)?;
            ids.extend(&after);
            if ids.is_empty() {
                let problem = "the prompt has no words behind its documents; write a suffix";
                return Err(CallError::Argument(problem.into()));
            }
            Ok(ids)
        };
        let endings = prompt.endings.iter().map(ending).collect::<Result<Vec<_>, _>>()?;
        Ok(PartTokens { before, blocks, endings })
    }

    /// Where documents stand when everything is one sequence.
    pub fn spans(&self) -> Vec<Range<usize>> {
        let mut at = self.before.len();
        let mut spans = Vec::new();
        for Block { document, length, .. } in &self.blocks {
            if *document {
                spans.push(at..at + length);
            }
            at += length;
        }
        spans
    }

    /// Tokens before the endings.
    pub fn common(&self) -> usize {
        self.before.len() + self.blocks.iter().map(|block| block.length).sum::<usize>()
    }

    /// Tokens that are not computed because they are stored: those of documents, and of what stands before all.
    pub fn stored_tokens(&self) -> usize {
        let documents = self.blocks.iter().filter(|block| block.stored.is_some()).map(|block| block.length);
        let documents = documents.sum::<usize>();
        documents + if documents > 0 { self.before.len() } else { 0 }
    }

    /// How many documents have stored keys and values.
    pub fn stored(&self) -> usize {
        self.blocks.iter().filter(|block| block.stored.is_some()).count()
    }

    /// Tokens of the longest ending.
    pub fn longest_ending(&self) -> usize {
        self.endings.iter().map(Vec::len).max().unwrap_or(0)
    }
}
