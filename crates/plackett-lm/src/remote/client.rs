//! Sending requests: attempts, account, log, and many at the same time.

use super::address::{Address, follow};
use super::ledger::{Bound, Ledger, Outcome, Spent};
use super::log::{Entry, Log, hash};
use super::reply::{ReplyError, Usage, begin, error_message};
use super::retry::{Backoff, may_pass, retry_after};
use super::{RemoteConfig, RemoteError};
use serde_json::Value;
use std::collections::HashMap;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest body of an error that is read.
const ERROR_BYTES: u64 = 64 << 10;
const REDIRECTS: usize = 3;
/// How often a waiting request looks whether its call has been given up.
const GLANCE: Duration = Duration::from_millis(20);

/// A request before it is sent.
pub(crate) struct Request {
    pub body: Value,
    pub bound: Bound,
    /// Which of several equal requests that want answers of their own.
    pub repeat: u32,
}

/// Reads the reply to the request of that place in its call.
pub(crate) type Reader<'a, T> = &'a (dyn Fn(usize, &[u8]) -> Read<T> + Sync);

/// What a reply says and what it cost, or what is wrong with it.
pub(crate) type Read<T> = Result<(T, Usage), ReplyError>;

/// A server's interface, and everything that outlives a request.
pub(crate) struct Client {
    config: RemoteConfig,
    address: Address,
    agent: ureq::Agent,
    key: Option<String>,
    ledger: Ledger,
    log: Option<Log>,
    backoff: Backoff,
    numbers: AtomicU64,
    /// The last attempts all failed: the next requests are tried once, until one succeeds.
    down: AtomicBool,
    /// Answers of calls that failed as a whole, for the next call that asks the same.
    undelivered: Mutex<HashMap<String, Vec<u8>>>,
}

/// How one attempt failed.
enum Failure {
    Refused { status: u16, message: String, wait: Option<Duration> },
    NoAnswer { problem: String, connected: bool },
    TimedOut,
    Redirect { status: u16, to: String, problem: &'static str },
    TooLarge { status: u16 },
    Cut { status: u16, bytes: u64, problem: String },
}

impl Failure {
    fn may_pass(&self) -> bool {
        match self {
            Failure::Refused { status, .. } => may_pass(*status),
            Failure::NoAnswer { .. } => true,
            _ => false,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Failure::Refused { .. }
            | Failure::Redirect { .. }
            | Failure::NoAnswer { connected: false, .. } => Outcome::Free,
            _ => Outcome::Unknown,
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Failure::Refused { status, .. }
            | Failure::Redirect { status, .. }
            | Failure::TooLarge { status }
            | Failure::Cut { status, .. } => Some(*status),
            Failure::NoAnswer { .. } | Failure::TimedOut => None,
        }
    }
}

impl Client {
    /// Checks the configuration, reads the key and opens the log. Sends nothing.
    pub fn open(config: RemoteConfig) -> Result<Client, RemoteError> {
        config.check()?;
        let address = Address::parse(&config.base_url)?;
        let key = config
            .key_variable
            .as_deref()
            .map(|name| key(name, &address, config.key_over_http))
            .transpose()?;
        let mut builder = ureq::AgentBuilder::new()
            .redirects(0)
            .timeout_connect(Duration::from_secs_f64(config.timeout_seconds.min(10.0)))
            .timeout(Duration::from_secs_f64(config.timeout_seconds))
            .max_idle_connections_per_host(config.in_flight)
            .user_agent(concat!("plackett/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &config.proxy {
            let proxy = ureq::Proxy::new(proxy);
            builder = builder.proxy(proxy.map_err(|_| {
                RemoteError::config("the proxy is not an address such as http://proxy:3128".into())
            })?);
        }
        let log = config.log.as_deref().map(Log::open).transpose()?;
        Ok(Client {
            address,
            agent: builder.build(),
            key,
            ledger: Ledger::new(config.price, config.spending_limit),
            log,
            backoff: Backoff {
                first: config.backoff_seconds,
                longest: config.longest_wait_seconds,
                seed: config.seed,
            },
            numbers: AtomicU64::new(1),
            down: AtomicBool::new(false),
            undelivered: Mutex::default(),
            config,
        })
    }

    pub fn config(&self) -> &RemoteConfig {
        &self.config
    }

    pub fn address(&self) -> &str {
        self.address.base()
    }

    pub fn spent(&self) -> Spent {
        self.ledger.spent()
    }

    /// Sends requests, several at a time, and gives the results in their order.
    ///
    /// A failure that all would share (no server, no access, no money) ends the call: requests under way are finished,
    /// the others come back as [`RemoteError::NotSent`].
    pub fn send<T: Send>(&self, requests: &[Request], read: Reader<'_, T>) -> Vec<Result<T, RemoteError>> {
        let first = self.numbers.fetch_add(requests.len() as u64, Ordering::Relaxed);
        let next = AtomicUsize::new(0);
        let given_up = Mutex::new(None::<String>);
        let stopped = AtomicBool::new(false);
        let results: Vec<Mutex<Option<Result<T, RemoteError>>>> =
            requests.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let (Some(request), Some(slot)) = (requests.get(index), results.get(index)) else { break };
                let call = Call { client: self, number: first + index as u64, request, stopped: &stopped };
                let result = if stopped.load(Ordering::Acquire) {
                    Err(call.not_sent())
                } else {
                    call.run(&|bytes| read(index, bytes))
                };
                if let Err(error) = &result
                    && error.concerns_all()
                    && !error.is_consequence()
                {
                    let mut reason = given_up.lock().unwrap_or_else(PoisonError::into_inner);
                    reason.get_or_insert_with(|| error.to_string());
                    stopped.store(true, Ordering::Release);
                }
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.config.in_flight.min(requests.len()) {
                scope.spawn(work);
            }
            work();
        });
        let reason = given_up.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
        let finish = |slot: Mutex<Option<Result<T, RemoteError>>>| {
            let result = slot.into_inner().unwrap_or_else(PoisonError::into_inner)?;
            Some(result.map_err(|error| match error {
                RemoteError::NotSent { url, number, .. } => {
                    RemoteError::NotSent { url, number, because: reason.clone() }
                }
                other => other,
            }))
        };
        results.into_iter().filter_map(finish).collect()
    }

    /// The same where only all results together are of use. Answers of a call that failed are kept, so that the next one
    /// does not pay for them again.
    pub fn send_all<T: Send>(
        &self,
        requests: &[Request],
        read: Reader<'_, T>,
    ) -> Result<Vec<T>, RemoteError> {
        let keep = |index: usize, bytes: &[u8]| {
            read(index, bytes).map(|(value, usage)| ((value, bytes.to_vec()), usage))
        };
        let results = self.send(requests, &keep);
        let failed = results.iter().any(Result::is_err);
        if failed && self.log.is_none() {
            let mut kept = self.undelivered.lock().unwrap_or_else(PoisonError::into_inner);
            for (request, result) in requests.iter().zip(&results) {
                if let Ok((_, bytes)) = result {
                    kept.insert(self.hash(request), bytes.clone());
                }
            }
        }
        // The cause before its consequences.
        let (mut values, mut errors) = (Vec::with_capacity(results.len()), Vec::new());
        for result in results {
            match result {
                Ok((value, _)) => values.push(value),
                Err(error) => errors.push(error),
            }
        }
        let cause = errors.iter().position(|error| !error.is_consequence()).unwrap_or(0);
        if errors.is_empty() { Ok(values) } else { Err(errors.swap_remove(cause)) }
    }

    fn url(&self) -> String {
        self.address.join(self.config.api.path())
    }

    fn hash(&self, request: &Request) -> String {
        hash(&self.url(), request.body.to_string().as_bytes(), request.repeat)
    }

    fn known(&self, hash: &str) -> Result<Option<Vec<u8>>, RemoteError> {
        let kept = self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
        match (kept, &self.log) {
            (Some(reply), _) => Ok(Some(reply)),
            (None, Some(log)) => log.answer(hash),
            (None, None) => Ok(None),
        }
    }

    /// One attempt, redirects included.
    fn attempt(&self, url: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
        let mut url = url.to_string();
        for _ in 0..=REDIRECTS {
            let mut call = self
                .agent
                .post(&url)
                .set("Content-Type", "application/json")
                .set("Accept", "application/json");
            if let Some(key) = &self.key {
                call = call.set("Authorization", &format!("Bearer {key}"));
            }
            match call.send_bytes(body) {
                Ok(reply) if reply.status() >= 300 => {
                    let status = reply.status();
                    match follow(&url, status, reply.header("location")) {
                        Ok(next) => url = next,
                        Err((to, problem)) => return Err(Failure::Redirect { status, to, problem }),
                    }
                }
                Ok(reply) => return self.read(reply),
                Err(ureq::Error::Status(status, reply)) => return Err(self.refused(status, reply)),
                Err(ureq::Error::Transport(error)) => return Err(self.transport(&error)),
            }
        }
        Err(Failure::Redirect { status: 308, to: url, problem: "too many redirects; check the address" })
    }

    fn read(&self, reply: ureq::Response) -> Result<(u16, Vec<u8>), Failure> {
        let status = reply.status();
        let limit = self.config.max_reply_bytes;
        let mut bytes = Vec::new();
        match reply.into_reader().take(limit.saturating_add(1)).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > limit => Err(Failure::TooLarge { status }),
            Ok(_) => Ok((status, self.scrubbed(bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Err(Failure::TimedOut),
            Err(error) => Err(Failure::Cut { status, bytes: bytes.len() as u64, problem: error.to_string() }),
        }
    }

    fn refused(&self, status: u16, reply: ureq::Response) -> Failure {
        let wait = reply.header("retry-after").and_then(retry_after);
        let mut bytes = Vec::new();
        // What came of the reason is better than none.
        let _ = reply.into_reader().take(ERROR_BYTES).read_to_end(&mut bytes);
        Failure::Refused { status, message: error_message(&self.scrubbed(bytes)), wait }
    }

    fn transport(&self, error: &ureq::Transport) -> Failure {
        use ureq::ErrorKind;
        let source = std::error::Error::source(error).and_then(|s| s.downcast_ref::<std::io::Error>());
        let connected =
            !matches!(error.kind(), ErrorKind::Dns | ErrorKind::ConnectionFailed | ErrorKind::ProxyConnect);
        if connected && source.is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut) {
            return Failure::TimedOut;
        }
        let kind = error.kind().to_string();
        let problem = match (error.message(), source) {
            (Some(message), Some(source)) => format!("{kind}: {message}: {source}"),
            (Some(message), None) => format!("{kind}: {message}"),
            (None, Some(source)) => format!("{kind}: {source}"),
            (None, None) => kind,
        };
        Failure::NoAnswer { problem: self.without_key(problem), connected }
    }

    /// A reply without the key, which some servers repeat. Before anything is shortened: half a key is a secret too.
    fn scrubbed(&self, bytes: Vec<u8>) -> Vec<u8> {
        let Some(key) = self.key.as_deref().map(str::as_bytes) else { return bytes };
        if !bytes.windows(key.len()).any(|window| window == key) {
            return bytes;
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some((first, after)) = rest.split_first() {
            match rest.strip_prefix(key) {
                Some(after) => {
                    clean.extend_from_slice(b"(key)");
                    rest = after;
                }
                None => {
                    clean.push(*first);
                    rest = after;
                }
            }
        }
        clean
    }

    fn without_key(&self, message: String) -> String {
        match &self.key {
            Some(key) => message.replace(key.as_str(), "(key)"),
            None => message,
        }
    }
}

/// The key, when it may be sent to that address.
fn key(variable: &str, address: &Address, over_http: bool) -> Result<String, RemoteError> {
    let wrong = |problem| RemoteError::Key { url: address.base().into(), variable: variable.into(), problem };
    let key = std::env::var(variable).map_err(|_| wrong("is not set; set it, or leave key_variable out"))?;
    let key = key.trim();
    if key.is_empty() {
        return Err(wrong("is empty"));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("holds characters that no key has"));
    }
    if !over_http && !address.keeps_secrets() {
        return Err(wrong("would travel unencrypted to another machine; use https, or set key_over_http"));
    }
    Ok(key.to_string())
}

/// One request on its way.
struct Call<'a> {
    client: &'a Client,
    number: u64,
    request: &'a Request,
    stopped: &'a AtomicBool,
}

impl Call<'_> {
    fn not_sent(&self) -> RemoteError {
        RemoteError::NotSent { url: self.client.url(), number: self.number, because: String::new() }
    }

    fn run<T>(&self, read: &dyn Fn(&[u8]) -> Read<T>) -> Result<T, RemoteError> {
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
        if client.config.offline {
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
            match client.attempt(&url, &body) {
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
                    let attempts = if down { 1 } else { client.config.attempts };
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
        let api = self.client.config.api.name();
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
                let longest = self.client.config.longest_wait_seconds;
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
                RemoteError::Timeout { url, number, seconds: self.client.config.timeout_seconds }
            }
            Failure::Redirect { status, to, problem } => {
                RemoteError::Redirect { url, number, status, to, problem }
            }
            Failure::TooLarge { status } => {
                RemoteError::TooLarge { url, number, status, limit: self.client.config.max_reply_bytes }
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
        log.append(&Entry {
            version: Entry::version(),
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
