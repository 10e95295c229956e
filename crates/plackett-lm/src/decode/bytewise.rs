//! From a machine over bytes to a constraint over tokens.

use crate::decode::constraint::{Allowed, Constraint, Transition};
use crate::error::decode::DecodeError;
use crate::text::token_bytes::{ByteNode, TokenBytes};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, RwLock};

/// A language of byte strings, read one byte at a time. No string of the language may be the beginning of another one:
/// the output ends with its last byte.
pub trait ByteMachine: Sync {
    /// Where in a string the machine is.
    type State: Clone + Eq + Hash + Send + Sync;
    /// What a finished string means.
    type Output: Send;

    /// Before the first byte.
    fn start(&self) -> Self::State;

    /// The state after a byte; `None` where no string of the language goes on so.
    fn step(&self, state: &Self::State, byte: u8) -> Option<Self::State>;

    /// Whether the string is complete.
    fn finished(&self, state: &Self::State) -> bool;

    /// What was written, once complete.
    fn output(&self, state: &Self::State) -> Option<Self::Output>;

    /// Every byte that any string of the language may contain.
    fn alphabet(&self) -> Vec<u8>;

    /// The part of a state that decides which strings can follow. Tokens are cached by it, so the smaller it is, the
    /// more branches share one answer.
    fn future(&self, state: &Self::State) -> Self::State {
        state.clone()
    }
}

/// Most states whose tokens are kept. Beyond it the cache starts anew.
const CACHED: usize = 1 << 14;

/// A machine over bytes as a constraint over the tokens of any vocabulary.
///
/// A token is allowed when all of its bytes keep the machine alive, wherever the borders of tokens fall. The tokens are
/// walked as a trie of bytes together with the machine, so a step costs what the machine lets live and not the size of
/// the vocabulary; the answer for a state is kept and shared by all branches and requests.
#[derive(Debug)]
pub struct Bytewise<M: ByteMachine> {
    machine: M,
    tokens: Arc<TokenBytes>,
    cache: RwLock<HashMap<M::State, Arc<[u32]>>>,
}

impl<M: ByteMachine> Bytewise<M> {
    /// The constraint.
    ///
    /// # Errors
    /// [`DecodeError::Tokenizer`] when a byte that the machine may need is not a token by itself: a decode could come
    /// to a place from which no token leads on.
    pub fn new(machine: M, tokens: Arc<TokenBytes>) -> Result<Bytewise<M>, DecodeError> {
        if let Some(byte) = machine.alphabet().into_iter().find(|byte| tokens.find(&[*byte]).is_none()) {
            return Err(DecodeError::Tokenizer(format!(
                "no token writes the byte {byte:#04x} ({:?}) alone, and the constraint needs it",
                char::from(byte)
            )));
        }
        Ok(Bytewise { machine, tokens, cache: RwLock::default() })
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// States whose tokens are kept now.
    pub fn cached(&self) -> usize {
        self.cache.read().map_or(0, |cache| cache.len())
    }

    fn walk(&self, node: ByteNode, state: &M::State, found: &mut Vec<u32>) {
        let (ends, rest) = self.tokens.split(node);
        found.extend_from_slice(ends);
        self.tokens.children(&rest, |byte, child| {
            if let Some(next) = self.machine.step(state, byte) {
                self.walk(child, &next, found);
            }
        });
    }
}

impl<M: ByteMachine> Constraint for Bytewise<M> {
    type State = M::State;
    type Output = M::Output;

    fn start(&self) -> M::State {
        self.machine.start()
    }

    fn allowed(&self, state: &M::State) -> Allowed {
        let future = self.machine.future(state);
        // A poisoned lock means that another thread panicked; the answer can be had without the cache.
        if let Some(ids) = self.cache.read().ok().and_then(|cache| cache.get(&future).cloned()) {
            return Allowed::Only(ids);
        }
        let mut found = Vec::new();
        if !self.machine.finished(state) {
            self.walk(self.tokens.root(), state, &mut found);
        }
        found.sort_unstable();
        let ids: Arc<[u32]> = found.into();
        if let Ok(mut cache) = self.cache.write() {
            if cache.len() >= CACHED {
                cache.clear();
            }
            cache.insert(future, ids.clone());
        }
        Allowed::Only(ids)
    }

    fn advance(&self, state: &M::State, token: u32) -> Option<Transition<M::State>> {
        let bytes = self.tokens.bytes(token);
        if bytes.is_empty() {
            return None;
        }
        let next = bytes.iter().try_fold(state.clone(), |state, byte| self.machine.step(&state, *byte))?;
        Some(if self.machine.finished(&next) {
            Transition::Finished(next)
        } else {
            Transition::Continue(next)
        })
    }

    fn output(&self, state: &M::State) -> Option<M::Output> {
        self.machine.output(state)
    }
}
