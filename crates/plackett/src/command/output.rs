//! Results go to standard output, progress and remarks to standard error.

use super::Global;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};

/// Where a command writes.
pub struct Output {
    /// Whether the result is one JSON document.
    pub json: bool,
    quiet: bool,
}

impl Output {
    /// Set up from the global flags.
    pub fn new(global: &Global) -> Self {
        Output { json: global.json, quiet: global.quiet }
    }

    /// Writes text to standard output.
    pub fn print(&self, text: &str) -> io::Result<()> {
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
        if !self.quiet {
            eprintln!("{text}");
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
