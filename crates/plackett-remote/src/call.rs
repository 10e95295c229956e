//! One request on its way: taken from the log, or asked for as often as is sensible, paid and logged.

use crate::RemoteError;
use crate::client::Client;
use crate::ledger::Outcome;
use crate::log::LogRecord;
use crate::reply::{ReplyError, Usage, begin};
use crate::request::{Read, Request};
use crate::transport::Failure;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a waiting request looks whether its call has been given up.
const GLANCE: Duration = Duration::from_millis(20);

/// One request on its way.
pub(crate) struct Call<'a> {
    pub client: &'a Client,
    /// From 1.
    pub number: u64,
    pub request: &'a Request,
    /// Set when the requests of the same call are given up.
    pub stopped: &'a AtomicBool,
}

impl Call<'_> {
    /// Given up before it was sent; the reason is filled in later.
    pub fn not_sent(&self) -> RemoteError {
        RemoteError::NotSent { url: self.client.url(), number: self.number, because: String::new() }
    }

    /// The answer, known or asked for.
    pub fn run<T>(&self, read: &dyn Fn(&[u8]) -> Read<T>) -> Result<T, RemoteError> {
        let client = self.client;
        let hash = client.hash(self.request);
        if let Some(bytes) = client.known(&hash)? {
            let (value, _) = read(&bytes).map_err(|error| self.bad_reply(200, &bytes, &error))?;
            client.ledger.reused();
            return Ok(value);
        }
        let result = self.ask(&hash, read);
        if result.is_err() {
            client.ledger.failed();
        }
        result
    }

    /// Asks the server, as often as is sensible.
    fn ask<T>(&self, hash: &str, read: &dyn Fn(&[u8]) -> Read<T>) -> Result<T, RemoteError> {
        let client = self.client;
        let (url, bound) = (client.url(), self.request.bound);
        if client.config().offline {
            return Err(RemoteError::Offline { url, number: self.number });
        }
        let body = self.request.body.to_string().into_bytes();
        let start = Instant::now();
        let mut attempt = 1;
        loop {
            client.ledger.reserve(bound).map_err(|over| RemoteError::SpendingLimit {
                url: url.clone(),
                number: self.number,
                needed: over.needed,
                spent: over.spent,
                limit: over.limit,
            })?;
            let mut line = Line { hash, seconds: 0.0, attempts: attempt, cost: 0.0, usage: Usage::default() };
            match client.transport.attempt(&url, &body) {
                Ok((status, bytes)) => {
                    client.down.store(false, Ordering::Relaxed);
                    line.seconds = start.elapsed().as_secs_f64();
                    return match read(&bytes) {
                        Ok((value, usage)) => {
                            line.cost = client.ledger.settle(bound, Outcome::Answered(usage));
                            line.usage = usage;
                            self.log(&line, Some(status), Ok(&bytes)).map(|()| value)
                        }
                        Err(error) => {
                            line.cost = client.ledger.settle(bound, Outcome::Unknown);
                            let error = self.bad_reply(status, &bytes, &error);
                            self.log(&line, Some(status), Err(&error))?;
                            Err(error)
                        }
                    };
                }
                Err(failure) => {
                    line.cost = client.ledger.settle(bound, failure.outcome());
                    line.seconds = start.elapsed().as_secs_f64();
                    let down = client.down.load(Ordering::Relaxed);
                    let attempts = if down { 1 } else { client.config().attempts };
                    let wait = match &failure {
                        Failure::Refused { wait, .. } => client.backoff.wait(self.number, attempt, *wait),
                        _ => client.backoff.wait(self.number, attempt, None),
                    };
                    let wait = wait.filter(|_| failure.may_pass() && attempt < attempts);
                    let Some(wait) = wait else {
                        client.down.fetch_or(failure.may_pass(), Ordering::Relaxed);
                        let status = failure.status();
                        let error = self.error(failure, attempt);
                        self.log(&line, status, Err(&error))?;
                        return Err(error);
                    };
                    self.pause(wait)?;
                    client.ledger.retried();
                    attempt += 1;
                }
            }
        }
    }

    /// Waits, unless the call is given up meanwhile.
    fn pause(&self, wait: Duration) -> Result<(), RemoteError> {
        let until = Instant::now() + wait;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.stopped.load(Ordering::Acquire) {
                return Err(self.not_sent());
            }
            std::thread::sleep(left.min(GLANCE));
        }
        Ok(())
    }

    fn bad_reply(&self, status: u16, bytes: &[u8], error: &ReplyError) -> RemoteError {
        let api = self.client.config().api.name();
        let begin = begin(bytes);
        RemoteError::Reply {
            url: self.client.url(),
            number: self.number,
            status,
            problem: error.to_string(),
            begin,
            api,
        }
    }

    fn error(&self, failure: Failure, attempts: u32) -> RemoteError {
        let (url, number) = (self.client.url(), self.number);
        match failure {
            Failure::Refused { status, message, wait } => {
                let longest = self.client.config().longest_wait_seconds;
                let remedy = match wait {
                    Some(wait) if wait.as_secs_f64() > longest => {
                        "the server asks to wait longer than longest_wait_seconds; try again later"
                    }
                    _ => remedy(status),
                };
                RemoteError::Status { url, number, status, attempts, message, remedy }
            }
            Failure::NoAnswer { problem, .. } => RemoteError::NoAnswer { url, number, attempts, problem },
            Failure::TimedOut => {
                RemoteError::Timeout { url, number, seconds: self.client.config().timeout_seconds }
            }
            Failure::Redirect { status, to, problem } => {
                RemoteError::Redirect { url, number, status, to, problem }
            }
            Failure::TooLarge { status } => {
                RemoteError::TooLarge { url, number, status, limit: self.client.config().max_reply_bytes }
            }
            Failure::Cut { status, bytes, problem } => {
                RemoteError::Cut { url, number, status, bytes, problem }
            }
        }
    }

    fn log(
        &self,
        line: &Line<'_>,
        status: Option<u16>,
        result: Result<&[u8], &RemoteError>,
    ) -> Result<(), RemoteError> {
        let Some(log) = &self.client.log else { return Ok(()) };
        // A reply that was read is JSON, and so it is text.
        let reply = result.ok().and_then(|bytes| std::str::from_utf8(bytes).ok());
        log.append(&LogRecord {
            version: LogRecord::version(),
            hash: line.hash,
            ok: reply.is_some(),
            number: self.number,
            url: &self.client.url(),
            at: jiff::Timestamp::now().to_string(),
            seconds: line.seconds,
            attempts: line.attempts,
            status,
            prompt_tokens: line.usage.prompt_tokens,
            completion_tokens: line.usage.completion_tokens,
            cost: line.cost,
            request: &self.request.body,
            reply,
            error: result.err().map(ToString::to_string),
        })
    }
}

/// What the log says of a request beside its end.
struct Line<'a> {
    hash: &'a str,
    seconds: f64,
    attempts: u32,
    cost: f64,
    usage: Usage,
}

fn remedy(status: u16) -> &'static str {
    match status {
        400 | 422 => {
            "the request does not fit this server or model: shorten the texts or check the model's name"
        }
        401 | 403 => "check the key in the environment variable key_variable, and what it may do",
        402 => "the account has no credit",
        404 | 405 => "check the address and the model's name",
        413 => "send less at once: lower max_batch or shorten the texts",
        424 => "the server's model failed; see its log",
        429 => "the server allows fewer requests: lower in_flight or try again later",
        500.. => "the server failed or is overloaded; see its log, then run again",
        _ => "see the server's documentation",
    }
}
