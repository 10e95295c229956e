//! What can go wrong with a model on another machine.

use plackett_lm::LmError;
use std::path::PathBuf;

/// Why a remote model gave no answer. Each message names the request and its address, what came back, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A setting that cannot be used.
    #[error("remote model: {problem}")]
    Config {
        /// What is wrong and what to do.
        problem: String,
    },
    /// The environment variable of the key is unset, empty or not a header's value.
    #[error("the key for {url} is expected in the environment variable {variable}, which {problem}")]
    Key {
        /// The server.
        url: String,
        /// The variable's name.
        variable: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Off-line use: nothing was sent.
    #[error(
        "request {number} to {url} was not sent: off-line use was asked for and the log has no answer to it"
    )]
    Offline {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
    },
    /// Something that this interface cannot give: nothing was sent.
    #[error("{url} ({api}) cannot give {wanted}: {reason}")]
    CannotGive {
        /// The server.
        url: String,
        /// Its interface.
        api: &'static str,
        /// What was asked for.
        wanted: String,
        /// Why not, and what could.
        reason: &'static str,
    },
    /// The next request could cost more than is left: it was not sent.
    #[error(
        "request {number} to {url} was not sent: it may cost {needed}, {spent} of the spending limit {limit} are spent \
         or reserved; raise the limit to go on"
    )]
    SpendingLimit {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
        /// Most that it can cost.
        needed: f64,
        /// Spent and reserved so far.
        spent: f64,
        /// The limit.
        limit: f64,
    },
    /// No answer came.
    #[error(
        "request {number} to {url}: no answer after {attempts} attempts ({problem}); check that the server runs and \
         can be reached"
    )]
    NoAnswer {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
        /// How often it was tried.
        attempts: u32,
        /// What the network said.
        problem: String,
    },
    /// The answer took too long. It is not asked for again, because it may have been made and charged.
    #[error(
        "request {number} to {url}: no whole answer within {seconds} s; raise timeout_seconds or ask for less at once"
    )]
    Timeout {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
        /// The limit.
        seconds: f64,
    },
    /// The server refused.
    #[error("request {number} to {url}: status {status} after {attempts} attempts: {message}; {remedy}")]
    Status {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
        /// The HTTP status.
        status: u16,
        /// How often it was tried.
        attempts: u32,
        /// What the server said.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The server sent the client elsewhere, where it does not follow.
    #[error("request {number} to {url}: status {status} leads to {to}, which is not followed: {problem}")]
    Redirect {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
        /// The HTTP status.
        status: u16,
        /// The new address.
        to: String,
        /// Why not, and what to do.
        problem: &'static str,
    },
    /// The reply is longer than allowed.
    #[error(
        "request {number} to {url}: status {status}, the reply has more than {limit} bytes; raise max_reply_bytes or \
         ask for less at once"
    )]
    TooLarge {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
        /// The HTTP status.
        status: u16,
        /// The limit.
        limit: u64,
    },
    /// The connection ended inside the reply.
    #[error(
        "request {number} to {url}: status {status}, the reply broke off after {bytes} bytes ({problem}); what was \
         finished is kept in the log, run again"
    )]
    Cut {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
        /// The HTTP status.
        status: u16,
        /// Bytes that came.
        bytes: u64,
        /// What the network said.
        problem: String,
    },
    /// The reply is not what this interface promises.
    #[error(
        "request {number} to {url}: status {status}, {problem} (the reply begins `{begin}`); check that the address \
         speaks {api}"
    )]
    Reply {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
        /// The HTTP status.
        status: u16,
        /// What is wrong.
        problem: String,
        /// First characters of the reply.
        begin: String,
        /// The interface.
        api: &'static str,
    },
    /// Not sent, because an earlier request of the same call failed in a way that the next ones would share.
    #[error("request {number} to {url} was not sent: {because}")]
    NotSent {
        /// The address.
        url: String,
        /// Number of the request, from 1.
        number: u64,
        /// The failure.
        because: String,
    },
    /// The request log cannot be used.
    #[error("{path}{}: {problem}", line.map(|l| format!(", line {l}")).unwrap_or_default())]
    Log {
        /// The log.
        path: PathBuf,
        /// Line, from 1, when the problem is in one.
        line: Option<u64>,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl From<RemoteError> for LmError {
    fn from(error: RemoteError) -> LmError {
        LmError::External(Box::new(error))
    }
}

impl TryFrom<LmError> for RemoteError {
    type Error = LmError;

    fn try_from(error: LmError) -> Result<RemoteError, LmError> {
        match error {
            LmError::External(error) => error.downcast().map(|own| *own).map_err(LmError::External),
            other => Err(other),
        }
    }
}

impl RemoteError {
    /// The error of a server that an error of a model stands for.
    pub fn of(error: &LmError) -> Option<&RemoteError> {
        match error {
            LmError::External(error) => error.downcast_ref(),
            _ => None,
        }
    }

    pub(crate) fn config(problem: String) -> RemoteError {
        RemoteError::Config { problem }
    }

    /// Whether further requests of the same kind would meet the same failure.
    pub fn concerns_all(&self) -> bool {
        match self {
            RemoteError::Status { status, .. } => !matches!(status, 400 | 413 | 422),
            RemoteError::Timeout { .. }
            | RemoteError::Reply { .. }
            | RemoteError::TooLarge { .. }
            | RemoteError::Cut { .. } => false,
            _ => true,
        }
    }

    /// Whether the server, the way to it or a limit of this run was at fault and not what was asked or how it was asked
    /// for, so that the same request may well be answered another time.
    pub fn is_outage(&self) -> bool {
        match self {
            RemoteError::Status { status, .. } => !matches!(status, 400 | 413 | 422),
            RemoteError::Config { .. } | RemoteError::CannotGive { .. } | RemoteError::TooLarge { .. } => {
                false
            }
            RemoteError::Log { .. } | RemoteError::Offline { .. } => false,
            _ => true,
        }
    }

    /// Whether this stands for a failure that another request reports.
    pub fn is_consequence(&self) -> bool {
        matches!(self, RemoteError::NotSent { .. })
    }
}
