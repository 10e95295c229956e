//! Results go to standard output, progress and remarks to standard error.

use super::Global;
use super::envelope::Envelope;
use super::terminal::{brief, plain, styled};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
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

    /// Writes text for people to standard output, without characters that a terminal obeys.
    pub fn print(&self, text: &str) -> io::Result<()> {
        self.print_data(&plain(text))
    }

    /// Writes text for people that has colours of our own; what comes from outside went through [`plain`] before.
    pub fn print_styled(&self, text: &str) -> io::Result<()> {
        self.print_data(&styled(text))
    }

    /// Writes data to standard output: JSON, runs and numbers, as they are.
    pub fn print_data(&self, text: &str) -> io::Result<()> {
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
        Ok(self.print_data(&self.envelope.fields(value)?)?)
    }

    /// Ends the document of `--json`.
    pub fn end_json(&self, exit_code: u8) -> io::Result<()> {
        if self.json { self.print_data(&self.envelope.end(exit_code)) } else { Ok(()) }
    }

    /// A remark for people, on standard error; it may have colours of our own.
    pub fn note(&self, text: &str) {
        let text = styled(text);
        if !self.keeps(&format!("{text}\n")) && !self.quiet {
            to_stderr(&format!("{text}\n"));
        }
    }

    /// What whoever uses the result has to know and the result does not say: on standard error, and in the JSON document.
    pub fn warn(&self, text: &str) {
        let text = &brief(text);
        self.envelope.warn(text);
        self.note(&format!("note: {}", plain(text)));
    }

    /// Tells of a part of the work that failed while the rest goes on: on standard error, past the bar, and in the JSON
    /// document.
    pub fn part_failed(&self, bar: &ProgressBar, text: &str) {
        let text = &brief(text);
        self.envelope.fail(text);
        bar.suspend(|| to_stderr(&format!("plackett: {}\n", plain(text))));
    }

    /// A prompt for people, on standard error.
    pub fn ask(&self, text: &str) {
        if self.kept.is_none() {
            to_stderr(text);
        }
    }

    /// A progress bar on standard error; hidden with `--quiet` and where standard error is not a terminal.
    pub fn progress(&self, what: &str, length: u64) -> ProgressBar {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        if let Ok(style) = ProgressStyle::with_template("{msg:<22} {bar:32} {pos}/{len} {rate} {eta} left") {
            bar.set_style(with_rate(style));
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
        if let Ok(style) = ProgressStyle::with_template("{msg:<22} {spinner} {pos} {rate}") {
            bar.set_style(with_rate(style));
        }
        bar
    }
}

/// Writes to standard error. Where nobody reads that any more the work goes on, which `eprint!` would end with a panic.
pub fn to_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The key `rate`: how many a second, in as many digits as anyone reads.
fn with_rate(style: ProgressStyle) -> ProgressStyle {
    style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let rate = state.per_sec();
        let digits = if rate < 10.0 { 1 } else { 0 };
        // What cannot be drawn is drawn the next time.
        let _ = write!(out, "{rate:.digits$}/s");
    })
}
