//! Docids written by a prefix-aware decoder: which tokens it knows at which place, and its weights in the folder of a retriever.
//!
//! The adaptor knows no query, so that while docids are looked for it reads what is written of each docid on the tape that has trained it,
//! and the inference engine gives the vectors whose weights it adapts.

mod session;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use session::PrefixAwareSession;
pub(crate) use task::PrefixAwareTask;

use crate::learning::HEADS;
use crate::retriever::{RETRIEVER_FILE, WEIGHTS_FILE};
use crate::{DocidTrie, GenirError, PrefixAware};
use plackett_lm::decode::TrieNode;
use plackett_train::engine::Engine;
use plackett_train::nn::{
    Mode, PREFIX_HEAD, PrefixHead, PrefixHeadConfig, SafetensorsSource, WeightSource, save,
};
use plackett_train::tape::Buffer;
use plackett_train::{Compute, Parameters, Tape, TrainError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// The weights of the head.
pub(crate) const HEAD_FILE: &str = "prefix_head.safetensors";
/// The output matrix of the model, which is that of its embeddings.
const TABLE: &str = "model.embed_tokens.weight";

/// The head of a decoder of a width over docids, each with its end.
pub(crate) fn head_config(docids: &[Vec<u32>], width: usize, options: &PrefixAware) -> PrefixHeadConfig {
    let mut places: Vec<BTreeSet<u32>> = Vec::new();
    for docid in docids {
        for (place, token) in docid.iter().enumerate() {
            if place == places.len() {
                places.push(BTreeSet::new());
            }
            places[place].insert(*token);
        }
    }
    let places = places.into_iter().map(|tokens| tokens.into_iter().collect()).collect();
    PrefixHeadConfig { width, layers: options.layers, heads: HEADS, places }
}

/// Refuses docids with which nothing follows from what is written before: at no place there are two prefixes that leave a choice.
///
/// # Errors
/// [`GenirError::Setting`] for them, and what [`DocidTrie::new`] says.
pub(crate) fn check_prefixes(docids: &[Vec<u32>], scheme: &str) -> Result<(), GenirError> {
    let tree = DocidTrie::new(docids)?;
    let mut choices = vec![0; tree.report().longest];
    let mut open = vec![tree.trie().root()];
    while let Some(node) = open.pop() {
        let children: Vec<TrieNode> = tree.trie().children(node).map(|(_, child)| child).collect();
        if children.len() > 1 {
            choices[node.depth()] += 1;
            if choices[node.depth()] > 1 {
                return Ok(());
            }
        }
        open.extend(children);
    }
    Err(GenirError::Setting(format!(
        "decoder: a prefix-aware one changes nothing with these docids (scheme `{scheme}`): no two of them leave a choice after beginnings of \
         one length that differ; take the decoder `plain`, or a scheme with longer docids, such as rq, or hierarchical with fewer documents of a leaf \
         (most)"
    )))
}

/// Writes the weights of the head, which are among those of the decoder.
///
/// # Errors
/// There are none, or the file cannot be written.
pub(crate) fn save_head(folder: &Path, parameters: &Parameters) -> Result<(), GenirError> {
    let is_own = |name: &str| name.starts_with(PREFIX_HEAD);
    if !parameters.iter().any(|(_, parameter)| is_own(&parameter.name)) {
        let problem = "the retriever has a prefix-aware decoder, and the weights of its head are not among those that are to be written; \
                       learn the docids anew";
        return Err(GenirError::Setting(problem.into()));
    }
    Ok(save(&folder.join(HEAD_FILE), parameters, |name| is_own(name).then(|| name.to_string()))?)
}

/// The head of a retriever that answers.
pub(crate) struct ServedHead {
    head: PrefixHead,
    parameters: Parameters,
    /// For each place the weights of its tokens that follow from no prefix: tokens × width.
    fixed: Vec<Arc<Buffer>>,
    compute: Arc<Compute>,
}

impl ServedHead {
    /// Opens the head in the folder of a retriever whose output matrix has a shape, vocabulary × width; `docids` are those that it was
    /// trained with.
    ///
    /// # Errors
    /// A file cannot be read, or has other weights.
    pub fn open(
        folder: &Path,
        docids: &[Vec<u32>],
        options: &PrefixAware,
        shape: (usize, usize),
        threads: usize,
    ) -> Result<ServedHead, GenirError> {
        let mut parameters = Parameters::default();
        let path = folder.join(WEIGHTS_FILE);
        let table = SafetensorsSource::open_some(&path, |name| name == TABLE)?.take(TABLE, shape)?;
        let path = folder.join(HEAD_FILE);
        let mut source = SafetensorsSource::open(&path)?;
        let head = PrefixHead::load(&mut parameters, &mut source, &head_config(docids, shape.1, options))?;
        if let Some(name) = source.left().first() {
            let problem = format!(
                "`{name}` is a weight of more layers than the {} that {RETRIEVER_FILE} says; restore that file, or make the retriever anew",
                options.layers
            );
            return Err(GenirError::Form { path, line: None, problem });
        }
        let compute = Compute::new(threads);
        let fixed = {
            let tape = Tape::inference(&parameters, &compute);
            let table = tape.shared(shape, &Arc::new(table.into()));
            let of_place = |place| head.fixed_weights(&tape, &table, place).value;
            (0..head.config.places.len()).map(of_place).collect()
        };
        Ok(ServedHead { head, parameters, fixed, compute })
    }

    /// The tokens that may stand at a place, in ascending order; none beyond the last one.
    fn tokens(&self, place: usize) -> &[u32] {
        self.head.config.places.get(place).map_or(&[], Vec::as_slice)
    }

    /// The logits of the tokens that may come next after what is written of each docid, in their order. `hidden` has the vector of the model
    /// there, one behind the other, normalised.
    ///
    /// # Errors
    /// What is written begins no docid.
    fn logits(&self, hidden: &[f32], written: &[&[u32]]) -> Result<Vec<Vec<f32>>, TrainError> {
        let tape = Tape::inference(&self.parameters, &self.compute);
        // What is written the same behind several prompts is read once.
        let mut different: Vec<&[u32]> = Vec::new();
        let mut known = BTreeMap::new();
        let mut own = Vec::with_capacity(written.len());
        for tokens in written.iter().copied() {
            let at = *known.entry(tokens).or_insert(different.len());
            if at == different.len() {
                different.push(tokens);
            }
            own.push(at);
        }
        let (adapted, sequences) = self.head.adapted(&tape, &different, Mode::default())?;
        let last: Vec<usize> = own.iter().map(|at| sequences[*at].end - 1).collect();
        let adapted = tape.select_rows(&adapted, &last);
        let hidden = tape.constant((written.len(), self.head.config.width), hidden);
        let places: Vec<usize> = written.iter().map(|tokens| tokens.len()).collect();
        let fixed = |place: usize| {
            let shape = (self.tokens(place).len(), self.head.config.width);
            tape.shared(shape, &self.fixed[place])
        };
        let mut found = vec![Vec::new(); written.len()];
        for own in self.head.logits_by(&tape, fixed, (&hidden, &adapted), &places, Mode::default()) {
            for (row, logits) in own.rows.iter().zip(own.logits.value.chunks(own.logits.columns.max(1))) {
                found[*row] = logits.to_vec();
            }
        }
        Ok(found)
    }
}
