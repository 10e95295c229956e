//! How a command ends.

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

/// Prints a failure in one sentence on standard error. A reader that closed the pipe early is success.
pub fn exit_code(outcome: Outcome) -> ExitCode {
    let (code, text) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Check(text)) => (1, text),
        Err(Failure::Input(error)) if is_closed_pipe(&error) => return ExitCode::SUCCESS,
        Err(Failure::Input(error)) => (2, format!("{error:#}")),
        Err(Failure::Service(error)) => (3, format!("{error:#}")),
    };
    eprintln!("plackett: {text}");
    ExitCode::from(code)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
