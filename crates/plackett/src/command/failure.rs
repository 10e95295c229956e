//! How a command ends.

use super::Output;
use super::output::to_stderr;
use super::terminal::{brief, plain};
use plackett::pipeline::QueryError;
use plackett::query_synthesis::QuerySynthesisError;
use plackett_core::formats::{FormatError, plain as plain_words};
use plackett_lm::store::StoreError;
use plackett_rank::RankError;
use plackett_rank::model::CallError;
use plackett_search::SearchError;
use std::process::ExitCode;

/// What a subcommand returns.
pub type Outcome = Result<(), Failure>;

/// The ways to end without success, each with its exit code.
#[derive(Debug)]
pub enum Failure {
    /// The work was done and a check on its result failed (1). The command has said which.
    Check(String),
    /// Input, files or flags are wrong (2).
    Input(anyhow::Error),
    /// A service or model outside this program failed (3).
    Service(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        match is_outage(&error) {
            true => Failure::Service(error),
            false => Failure::Input(error),
        }
    }
}

/// Whether a server failed and not what it was asked.
fn is_outage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(QueryError::is_outage)
            || cause.downcast_ref().is_some_and(RankError::is_outage)
            || cause.downcast_ref().is_some_and(CallError::is_outage)
            || cause.downcast_ref().is_some_and(QuerySynthesisError::is_outage)
    })
}

/// Prints a failure in one sentence on standard error, and ends the document of `--json`. A reader that closed the pipe
/// early is success.
pub fn exit_code(outcome: Outcome, output: &Output) -> ExitCode {
    let outcome = outcome.and_then(|()| Ok(output.end_json(0)?));
    let (code, text) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Check(text)) => (1, text),
        Err(Failure::Input(error)) if is_closed_pipe(&error) => return ExitCode::SUCCESS,
        Err(Failure::Input(error)) => (2, sentence(&error)),
        Err(Failure::Service(error)) => (3, sentence(&error)),
    };
    let text = brief(&text);
    to_stderr(&format!("plackett: {}\n", plain(&text)));
    output.envelope.fail(&text);
    // Whoever cannot be written to has the exit code.
    let _ = output.end_json(code);
    ExitCode::from(code)
}

/// An error with its causes, each said once: some errors repeat their cause in their own words.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut text = said(error.as_ref());
    // The errors of files say their causes in their own words.
    let own_words = error.chain().position(|cause| cause.is::<FormatError>()).unwrap_or(usize::MAX);
    for cause in error.chain().take(own_words.saturating_add(1)).skip(1) {
        if !text.contains(&said(cause)) && !text.contains(&cause.to_string()) {
            text = format!("{text}: {}", said(cause));
        }
    }
    text
}

/// A cause in a user's words: those of the system have numbers that say nothing.
fn said(cause: &(dyn std::error::Error + 'static)) -> String {
    if let Some(error) = cause.downcast_ref::<std::io::Error>() {
        return plain_words(error);
    }
    let place = match (cause.downcast_ref::<SearchError>(), cause.downcast_ref::<StoreError>()) {
        (Some(SearchError::Io { path, source }), _) | (_, Some(StoreError::Io { path, source })) => {
            Some((path, source))
        }
        _ => None,
    };
    match place {
        Some((path, source)) => format!("{}: {}", path.display(), plain_words(source)),
        None => cause.to_string(),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_system_are_said_in_plain_words() {
        let io = std::fs::read("no such file").unwrap_err();
        let text = sentence(&anyhow::Error::new(io).context("cannot read `x`"));
        assert_eq!(text, "cannot read `x`: there is no such file or folder");
    }

    #[test]
    fn so_are_those_of_the_index_and_of_the_models() {
        let source = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let index = SearchError::Io { path: "i".into(), source: source() };
        let store = StoreError::Io { path: "m".into(), source: source() };
        for (error, name) in [(anyhow::Error::new(index), "i"), (anyhow::Error::new(store), "m")] {
            assert_eq!(sentence(&error), format!("{name}: you have no right to do that there"));
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let io = std::io::Error::other("disk full");
        assert_eq!(
            sentence(&anyhow::Error::new(io).context("cannot write `x`")),
            "cannot write `x`: disk full"
        );
        let io = std::io::Error::other("disk full");
        assert_eq!(
            sentence(&anyhow::Error::new(io).context("cannot write: disk full")),
            "cannot write: disk full"
        );
    }
}
