//! Results go to standard output, progress and remarks to standard error.

use super::Global;
use super::envelope::Envelope;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};
use std::sync::Mutex;

/// Where a command writes.
pub struct Output {
    /// Whether the result is one JSON document.
    pub json: bool,
    /// That document.
    pub envelope: Envelope,
    quiet: bool,
    /// Takes all text in place of the streams: what tests look at.
    kept: Option<Mutex<String>>,
}

impl Output {
    /// Set up from the global flags, for a command such as `model show`.
    pub fn new(global: &Global, command: &str) -> Self {
        Output { json: global.json, envelope: Envelope::new(command), quiet: global.quiet, kept: None }
    }

    /// Keeps all text, and shows no bars.
    #[cfg(test)]
    pub fn kept() -> Self {
        Output { json: false, envelope: Envelope::new("test"), quiet: true, kept: Some(Mutex::default()) }
    }

    /// What was written since the last time.
    #[cfg(test)]
    pub fn take(&self) -> String {
        self.kept.as_ref().map(|kept| std::mem::take(&mut *kept.lock().unwrap())).unwrap_or_default()
    }

    fn keeps(&self, text: &str) -> bool {
        let Some(Ok(mut kept)) = self.kept.as_ref().map(Mutex::lock) else { return false };
        kept.push_str(text);
        true
    }

    /// Writes text to standard output.
    pub fn print(&self, text: &str) -> io::Result<()> {
        if self.keeps(text) {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Writes what the command found, an object, into the one JSON document of `--json`.
    pub fn print_json(&self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        // Written in one go, so that a closed pipe is seen as such and not as a JSON error.
        Ok(self.print(&self.envelope.fields(value)?)?)
    }

    /// Ends the document of `--json`.
    pub fn end_json(&self, exit_code: u8) -> io::Result<()> {
        if self.json { self.print(&self.envelope.end(exit_code)) } else { Ok(()) }
    }

    /// A remark for people, on standard error.
    pub fn note(&self, text: &str) {
        if !self.keeps(&format!("{text}\n")) && !self.quiet {
            eprintln!("{text}");
        }
    }

    /// What whoever uses the result has to know and the result does not say: on standard error, and in the JSON document.
    pub fn warn(&self, text: &str) {
        self.envelope.warn(text);
        self.note(&format!("note: {text}"));
    }

    /// Tells of a part of the work that failed while the rest goes on: on standard error, past the bar, and in the JSON
    /// document.
    pub fn part_failed(&self, bar: &ProgressBar, text: &str) {
        self.envelope.fail(text);
        bar.suspend(|| eprintln!("plackett: {text}"));
    }

    /// A prompt for people, on standard error.
    pub fn ask(&self, text: &str) {
        if self.kept.is_none() {
            eprint!("{text}");
        }
    }

    /// A progress bar on standard error; hidden with `--quiet` and where standard error is not a terminal.
    pub fn progress(&self, what: &str, length: u64) -> ProgressBar {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        if let Ok(style) = ProgressStyle::with_template("{msg:<22} {bar:32} {pos}/{len} {per_sec} {eta} left")
        {
            bar.set_style(style);
        }
        bar.set_message(what.to_string());
        bar
    }

    /// The same over bytes.
    pub fn bytes(&self, what: &str, length: u64) -> ProgressBar {
        let bar = self.progress(what, length);
        if let Ok(style) = ProgressStyle::with_template("{msg:<28} {bar:32} {bytes}/{total_bytes} {eta} left")
        {
            bar.set_style(style);
        }
        bar
    }

    /// A counter for work whose length is not known, drawn like [`Output::progress`].
    pub fn counter(&self, what: &str) -> ProgressBar {
        let bar = self.progress(what, 0);
        bar.unset_length();
        if let Ok(style) = ProgressStyle::with_template("{msg:<22} {spinner} {pos} {per_sec}") {
            bar.set_style(style);
        }
        bar
    }
}
