//! How a command ends.

use super::Output;
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
        Failure::Input(error.into())
    }
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
    eprintln!("plackett: {text}");
    output.envelope.fail(&text);
    // Whoever cannot be written to has the exit code.
    let _ = output.end_json(code);
    ExitCode::from(code)
}

/// An error with its causes, each said once: some errors repeat their cause in their own words.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
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
