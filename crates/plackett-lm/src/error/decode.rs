//! What can go wrong while decoding under a constraint.

/// Why a constraint could not be made or a decode not run. Each message says what was found and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// A set of sequences from which no trie can be made.
    #[error("sequence {index} of the trie: {problem}")]
    Sequence {
        /// Position in the input, from 0.
        index: usize,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Stored bytes that are no trie.
    #[error("trie, byte {offset}: {problem}; build and write it again")]
    TrieBytes {
        /// Where in the bytes.
        offset: usize,
        /// What is wrong.
        problem: String,
    },
    /// A tokenizer whose tokens cannot be turned into bytes.
    #[error("the tokenizer cannot be used for decoding by bytes: {0}")]
    Tokenizer(String),
    /// A constraint that cannot be kept or read back without doubt.
    #[error("the constraint cannot be made: {0}")]
    Constraint(String),
    /// A state in which the constraint allows no token, or no token with any probability.
    #[error("request {request}: no token is possible after {tokens} generated tokens: {problem}")]
    DeadEnd {
        /// Position in the call, from 0.
        request: usize,
        /// Tokens generated so far.
        tokens: usize,
        /// What the constraint or the model said.
        problem: String,
    },
    /// A model that answered something else than it was asked.
    #[error("the model broke its contract: {0}")]
    Model(String),
    /// Options or requests that cannot be used.
    #[error("{0}")]
    Argument(String),
}
