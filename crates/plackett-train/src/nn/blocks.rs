//! Prompts in blocks (BlockRank; Gupta and others, 2025): an instruction, passages that see it and themselves but not each other,
//! and a question that sees everything. Which passage the question attends to at a middle layer is read out.

use super::{Llama, TokenBatch};
use crate::engine::{Attention, Engine, Rotary};
use crate::tape::{Tape, Var};
use std::ops::Range;
use std::sync::Arc;

/// Where positions of a question's block begin, far behind those of every passage (the paper's number): the default of the option
/// `query-position` of the method `block-rank`, so that a model is asked as it was trained.
pub const QUERY_POSITION: u32 = 8192;

/// Rows of a question whose attention is read: the opener of the answer and the token before it.
const SIGNALS: usize = 2;

/// A prompt, block by block.
#[derive(Clone, Copy, Debug)]
pub struct BlockPrompt<'a> {
    /// What everything sees.
    pub instruction: &'a [u32],
    /// Passages, of at least one token each.
    pub passages: &'a [Vec<u32>],
    /// The question, at least two tokens; its last one opens the answer.
    pub question: &'a [u32],
    /// Tokens of the answer, in the question's block; none where nothing is written.
    pub answer: &'a [u32],
}

/// Prompts in blocks, one after another without padding.
#[derive(Clone, Debug)]
pub struct BlockBatch {
    /// The tokens, a sequence for each prompt.
    pub batch: TokenBatch,
    /// The position of each row: passages of a prompt begin at the same one.
    pub positions: Arc<[u32]>,
    /// What each row does not see of the rows before it in its prompt: other passages.
    pub hidden: Arc<[Range<usize>]>,
    /// The rows of the passages of each prompt.
    pub passages: Vec<Vec<Range<usize>>>,
    /// The row of the token that opens the answer of each prompt.
    pub openers: Vec<usize>,
}

impl BlockBatch {
    /// Lays prompts out; positions of questions begin at `query_position`.
    pub fn new<'a>(prompts: impl IntoIterator<Item = BlockPrompt<'a>>, query_position: u32) -> BlockBatch {
        let mut texts: Vec<Vec<u32>> = Vec::new();
        let (mut positions, mut hidden) = (Vec::new(), Vec::new());
        let (mut passages, mut openers, mut start) = (Vec::new(), Vec::new(), 0);
        for prompt in prompts {
            let mut text = prompt.instruction.to_vec();
            let given = text.len();
            positions.extend(0..given as u32);
            hidden.resize(start + given, 0..0);
            let mut own = Vec::new();
            for passage in prompt.passages {
                let first = text.len();
                text.extend(passage);
                positions.extend((given as u32..).take(passage.len()));
                hidden.resize(start + text.len(), given..first);
                own.push(start + first..start + text.len());
            }
            openers.push(start + text.len() + prompt.question.len().saturating_sub(1));
            text.extend(prompt.question.iter().chain(prompt.answer));
            positions.extend((query_position..).take(prompt.question.len() + prompt.answer.len()));
            hidden.resize(start + text.len(), 0..0);
            passages.push(own);
            start += text.len();
            texts.push(text);
        }
        let batch = TokenBatch::new(texts.iter().map(Vec::as_slice));
        BlockBatch { batch, positions: positions.into(), hidden: hidden.into(), passages, openers }
    }

    /// The passages of each prompt among those of all.
    pub fn lists(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let list = |passages: &Vec<Range<usize>>| {
            end += passages.len();
            end - passages.len()..end
        };
        self.passages.iter().map(list).collect()
    }
}

/// A pass over prompts in blocks that stands at the attention of one layer.
#[derive(Clone, Debug)]
pub struct BlockReading {
    /// Which layer, from 1.
    pub layer: usize,
    /// Vectors before it, and its queries, keys and values.
    x: Var,
    sides: [Var; 3],
}

impl Llama {
    fn in_blocks(&self, blocks: &BlockBatch) -> (Rotary, Attention) {
        let attention = Attention { hidden: Some(blocks.hidden.clone()), ..self.attention(&blocks.batch) };
        (self.rotary(blocks.positions.clone()), attention)
    }

    /// Reads prompts up to the attention of a layer, from 1: all that ranking needs.
    ///
    /// # Panics
    /// There is no such layer.
    pub fn read_blocks(&self, tape: &Tape, blocks: &BlockBatch, layer: usize) -> BlockReading {
        assert!((1..=self.layers.len()).contains(&layer), "a layer from 1 to {}", self.layers.len());
        let (rotary, attention) = self.in_blocks(blocks);
        let x = self.embed(tape, &blocks.batch);
        let x = self.through(tape, (&rotary, &attention), (x, 0..layer - 1), |_, _| ());
        let sides = self.layers[layer - 1].sides(tape, &self.config, &rotary, &x);
        BlockReading { layer, x, sides }
    }

    /// Goes on to the end: a vector for each token after the last layer, before the last norm.
    pub fn read_on(&self, tape: &Tape, blocks: &BlockBatch, reading: &BlockReading) -> Var {
        let (rotary, attention) = self.in_blocks(blocks);
        let own = &self.layers[reading.layer - 1];
        let x = own.forward(tape, &self.config, &attention, &reading.sides, &reading.x);
        self.through(tape, (&rotary, &attention), (x, reading.layer..self.layers.len()), |_, _| ())
    }

    /// How much of the attention to the passages of its prompt each passage gets, prompt after prompt: a column, whose numbers sum to 1 in each
    /// prompt. Softmax over the tokens of passages alone, the mean over heads and the last two tokens before the answer.
    pub fn block_shares(&self, tape: &Tape, blocks: &BlockBatch, reading: &BlockReading) -> Var {
        let shares: Vec<Var> = blocks
            .passages
            .iter()
            .zip(&blocks.openers)
            .map(|(passages, opener)| self.shares_of(tape, passages, *opener, reading))
            .collect();
        tape.stack(&shares.iter().collect::<Vec<_>>())
    }

    fn shares_of(
        &self,
        tape: &Tape,
        passages: &[Range<usize>],
        opener: usize,
        reading: &BlockReading,
    ) -> Var {
        let (heads, key_heads) = (self.config.num_attention_heads, self.config.num_key_value_heads);
        let size = self.config.hidden_size / heads;
        let [query, key, _] = &reading.sides;
        let signals: Vec<usize> = (opener + 1 - SIGNALS..=opener).collect();
        let tokens: Vec<usize> = passages.iter().cloned().flatten().collect();
        let (query, key) = (tape.select_rows(query, &signals), tape.select_rows(key, &tokens));
        let part = |side: &Var, head: usize| tape.columns(side, head * size..(head + 1) * size);
        let scores: Vec<Var> = (0..heads)
            .map(|head| {
                let own = part(&key, head / (heads / key_heads));
                tape.linear(&part(&query, head), &own, None, None)
            })
            .collect();
        let scores = tape.stack(&scores.iter().collect::<Vec<_>>());
        let attended = tape.exp(&tape.log_softmax(&tape.scale(&scores, 1.0 / (size as f32).sqrt())));
        // Passages × tokens: 1 where a token is one of the passage.
        let mut members = vec![0.0; passages.len() * tokens.len()];
        let mut at = 0;
        for (passage, row) in passages.iter().zip(members.chunks_mut(tokens.len().max(1))) {
            row[at..at + passage.len()].fill(1.0);
            at += passage.len();
        }
        let members = tape.constant((passages.len(), tokens.len()), &members);
        let of_passages = tape.transpose(&tape.linear(&attended, &members, None, None));
        tape.scale(&tape.sum_rows(&of_passages), 1.0 / (SIGNALS * heads) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Initializer, LlamaConfig};
    use super::*;
    use crate::tape::{Compute, Parameters};

    fn model(parameters: &mut Parameters) -> Llama {
        let config = LlamaConfig { num_key_value_heads: 2, ..LlamaConfig::small(20, 3, (16, 24), 4) };
        let llama = Llama::load(parameters, &mut Initializer::new(3), &config).unwrap();
        // Weights of a size at which attention is far from even.
        for (_, parameter) in parameters.iter_mut().filter(|(_, parameter)| !parameter.name.contains("norm"))
        {
            parameter.values_mut().iter_mut().for_each(|x| *x *= 20.0);
        }
        llama
    }

    fn passages() -> Vec<Vec<u32>> {
        vec![vec![5, 6, 7], vec![8, 9], vec![10, 11, 12, 13]]
    }

    fn prompt(passages: &[Vec<u32>]) -> BlockPrompt<'_> {
        BlockPrompt { instruction: &[1, 2], passages, question: &[3, 4, 14], answer: &[15] }
    }

    fn shares(passages: &[Vec<u32>]) -> Vec<f32> {
        let mut parameters = Parameters::default();
        let llama = model(&mut parameters);
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let blocks = BlockBatch::new([prompt(passages)], QUERY_POSITION);
        let reading = llama.read_blocks(&tape, &blocks, 2);
        llama.block_shares(&tape, &blocks, &reading).value.to_vec()
    }

    #[test]
    fn places_and_masks_are_those_of_the_specification() {
        let all = passages();
        let blocks = BlockBatch::new([prompt(&all[..2]), prompt(&all[1..])], 100);
        let first = [0, 1, 2, 3, 4, 2, 3, 100, 101, 102, 103];
        assert_eq!(blocks.positions[..11], first);
        assert_eq!(blocks.positions[11..], [0, 1, 2, 3, 2, 3, 4, 5, 100, 101, 102, 103]);
        assert_eq!(blocks.hidden[2..8], [2..2, 2..2, 2..2, 2..5, 2..5, 0..0]);
        assert_eq!(blocks.passages, [vec![2..5, 5..7], vec![13..15, 15..19]]);
        assert_eq!((&blocks.openers[..], blocks.lists()), (&[9, 21][..], vec![0..2, 2..4]));
    }

    #[test]
    fn shares_sum_to_one_and_follow_their_passages() {
        let (given, all) = (shares(&passages()), passages());
        assert!((given.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{given:?}");
        assert!(given.iter().any(|share| (share - 1.0 / 3.0).abs() > 0.05), "{given:?}");
        let turned = shares(&[all[2].clone(), all[0].clone(), all[1].clone()]);
        for (a, b) in [(turned[0], given[2]), (turned[1], given[0]), (turned[2], given[1])] {
            assert!((a - b).abs() < 1e-4, "{given:?} {turned:?}");
        }
    }

    #[test]
    fn passages_do_not_see_each_other_and_the_question_sees_all() {
        let mut parameters = Parameters::default();
        let llama = model(&mut parameters);
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let read = |passages: &[Vec<u32>]| {
            let blocks = BlockBatch::new([prompt(passages)], QUERY_POSITION);
            let reading = llama.read_blocks(&tape, &blocks, 2);
            llama.read_on(&tape, &blocks, &reading)
        };
        let mut other = passages();
        other[0][1] = 17;
        let (before, after) = (read(&passages()), read(&other));
        let rows = |y: &Var, rows: Range<usize>| y.value[rows.start * 16..rows.end * 16].to_vec();
        assert_eq!(rows(&before, 5..11), rows(&after, 5..11));
        assert_ne!(rows(&before, 11..12), rows(&after, 11..12));
    }

    #[test]
    fn one_passage_with_the_question_right_behind_is_plain_text() {
        let mut parameters = Parameters::default();
        let llama = model(&mut parameters);
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let all = passages();
        let blocks = BlockBatch::new([prompt(&all[..1])], 5);
        let reading = llama.read_blocks(&tape, &blocks, 1);
        let in_blocks = llama.read_on(&tape, &blocks, &reading);
        let plain = llama.hidden(&tape, &blocks.batch);
        assert_eq!(in_blocks.value[..], plain.value[..]);
    }
}
