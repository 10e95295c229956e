//! Results go to standard output, progress and remarks to standard error.

use super::Global;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};
use std::sync::Mutex;

/// Where a command writes.
pub struct Output {
    /// Whether the result is one JSON document.
    pub json: bool,
    quiet: bool,
    /// Takes all text in place of the streams: what tests look at.
    kept: Option<Mutex<String>>,
}

impl Output {
    /// Set up from the global flags.
    pub fn new(global: &Global) -> Self {
        Output { json: global.json, quiet: global.quiet, kept: None }
    }

    /// Keeps all text, and shows no bars.
    #[cfg(test)]
    pub fn kept() -> Self {
        Output { json: false, quiet: true, kept: Some(Mutex::default()) }
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

    /// Writes the one JSON document of `--json`.
    pub fn print_json(&self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        // Written in one go, so that a closed pipe is seen as such and not as a JSON error.
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.print(&text)?;
        Ok(())
    }

    /// A remark for people, on standard error.
    pub fn note(&self, text: &str) {
        if !self.keeps(&format!("{text}\n")) && !self.quiet {
            eprintln!("{text}");
        }
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
