//! Text that is shown while it is written.

use crate::command::Output;
use plackett_lm::LmError;
use plackett_lm::decode::{Branch, BranchOutput, DecodeModel, PrefixId, TokenBytes};
use std::sync::Arc;

/// What of one text was shown, and where to.
pub(super) struct Streamed<'a> {
    output: &'a Output,
    bytes: Arc<TokenBytes>,
    /// Bytes that may be the beginning of a stop string.
    held: usize,
    trim: bool,
    /// The prompt was read.
    started: bool,
    text: Vec<u8>,
    shown: usize,
}

/// A model whose only branch is shown token by token.
pub(super) struct Shown<'s, 'a> {
    streamed: &'s mut Streamed<'a>,
    model: &'s mut dyn DecodeModel,
}

impl<'a> Streamed<'a> {
    pub(super) fn new(
        output: &'a Output,
        bytes: Arc<TokenBytes>,
        stops: &[String],
        trim: bool,
    ) -> Streamed<'a> {
        let held = stops.iter().map(|stop| stop.len()).max().unwrap_or(1).saturating_sub(1);
        Streamed { output, bytes, held, trim, started: false, text: Vec::new(), shown: 0 }
    }

    pub(super) fn over<'s>(&'s mut self, model: &'s mut dyn DecodeModel) -> Shown<'s, 'a> {
        Shown { streamed: self, model }
    }

    /// Shows what is left of the whole text.
    pub(super) fn finish(&self, text: &str) -> std::io::Result<()> {
        self.output.print(&format!("{}\n", text.get(self.shown..).unwrap_or_default()))
    }

    /// Shows whole characters that no stop string can take back.
    fn show(&mut self, tokens: &[u32]) {
        self.text.extend(self.bytes.concat(tokens));
        if std::mem::take(&mut self.trim) && self.text.first() == Some(&b' ') {
            self.text.remove(0);
        }
        let safe = self.text.len().saturating_sub(self.held).max(self.shown);
        let ready = &self.text[self.shown..safe];
        let whole = match std::str::from_utf8(ready) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = String::from_utf8_lossy(&ready[..whole]).into_owned();
        // A reader that went away is found out at the end.
        let _ = self.output.print(&text);
        self.shown += whole;
    }
}

impl DecodeModel for Shown<'_, '_> {
    fn vocabulary(&self) -> usize {
        self.model.vocabulary()
    }

    fn root(&self) -> PrefixId {
        self.model.root()
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        if let (true, [branch]) = (self.streamed.started, branches) {
            self.streamed.show(branch.tokens);
        }
        self.streamed.started = true;
        self.model.extend(branches, last_use)
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        self.model.release(prefixes);
    }
}
