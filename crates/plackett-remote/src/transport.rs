//! One attempt at one request: what goes over the wire, and how it can fail.

use crate::address::{Address, follow};
use crate::ledger::Outcome;
use crate::reply::error_message;
use crate::retry::{may_pass, retry_after};
use crate::{RemoteConfig, RemoteError};
use std::io::Read as _;
use std::time::Duration;

/// Longest body of an error that is read.
const ERROR_BYTES: u64 = 64 << 10;
const REDIRECTS: usize = 3;

/// Connections to a server, and the key for it.
pub(crate) struct Transport {
    agent: ureq::Agent,
    key: Option<String>,
    max_reply_bytes: u64,
}

/// How one attempt failed.
pub(crate) enum Failure {
    Refused { status: u16, message: String, wait: Option<Duration> },
    NoAnswer { problem: String, connected: bool },
    TimedOut,
    Redirect { status: u16, to: String, problem: &'static str },
    TooLarge { status: u16 },
    Cut { status: u16, bytes: u64, problem: String },
}

impl Failure {
    /// Whether the server may answer later.
    pub fn may_pass(&self) -> bool {
        match self {
            Failure::Refused { status, .. } => may_pass(*status),
            Failure::NoAnswer { .. } => true,
            _ => false,
        }
    }

    /// What the attempt cost.
    pub fn outcome(&self) -> Outcome {
        match self {
            Failure::Refused { .. }
            | Failure::Redirect { .. }
            | Failure::NoAnswer { connected: false, .. } => Outcome::Free,
            _ => Outcome::Unknown,
        }
    }

    /// The status that came, if one did.
    pub fn status(&self) -> Option<u16> {
        match self {
            Failure::Refused { status, .. }
            | Failure::Redirect { status, .. }
            | Failure::TooLarge { status }
            | Failure::Cut { status, .. } => Some(*status),
            Failure::NoAnswer { .. } | Failure::TimedOut => None,
        }
    }
}

impl Transport {
    /// Reads the key. Connects to nothing.
    pub fn open(config: &RemoteConfig, address: &Address) -> Result<Transport, RemoteError> {
        let key = config.key_variable.as_deref();
        let key = key.map(|name| read_key(name, address, config.key_over_http)).transpose()?;
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
        Ok(Transport { agent: builder.build(), key, max_reply_bytes: config.max_reply_bytes })
    }

    /// One attempt, redirects included: the status and the body of a reply that came whole.
    pub fn attempt(&self, url: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
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
        let limit = self.max_reply_bytes;
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
fn read_key(variable: &str, address: &Address, over_http: bool) -> Result<String, RemoteError> {
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
