//! What outlives a request: the account, the log, the connections.

use crate::address::Address;
use crate::ledger::{Ledger, Spent};
use crate::log::{Log, hash};
use crate::reply_cache::ReplyCache;
use crate::request::Request;
use crate::retry::Backoff;
use crate::transport::Transport;
use crate::{RemoteConfig, RemoteError};
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Most bytes of answers that are kept for calls that failed.
pub(crate) const KEPT_BYTES: usize = 64 << 20;

/// A server's interface, and everything that outlives a request.
pub(crate) struct Client {
    pub config: RemoteConfig,
    address: Address,
    pub transport: Transport,
    pub ledger: Ledger,
    pub log: Option<Log>,
    pub backoff: Backoff,
    pub numbers: AtomicU64,
    /// The last attempts all failed: the next requests are tried once, until one succeeds.
    pub down: AtomicBool,
    /// Answers of calls that failed as a whole, for the next call that asks the same.
    pub replies: ReplyCache,
}

impl Client {
    /// Checks the configuration, reads the key and opens the log. Sends nothing.
    pub fn open(config: RemoteConfig) -> Result<Client, RemoteError> {
        config.check()?;
        let address = Address::parse(&config.base_url)?;
        let transport = Transport::open(&config, &address)?;
        let log = config.log.as_deref().map(Log::open).transpose()?;
        Ok(Client {
            address,
            transport,
            ledger: Ledger::new(config.price, config.spending_limit),
            log,
            backoff: Backoff {
                first: config.backoff_seconds,
                longest: config.longest_wait_seconds,
                seed: config.seed,
            },
            numbers: AtomicU64::new(1),
            down: AtomicBool::new(false),
            replies: ReplyCache::new(KEPT_BYTES),
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

    /// Where requests go.
    pub fn url(&self) -> String {
        self.address.join(self.config.api.path())
    }

    /// The name of a request in the log.
    pub fn hash(&self, request: &Request) -> String {
        hash(&self.url(), request.body.to_string().as_bytes(), request.repeat)
    }

    /// The answer to a request that was answered before.
    pub fn known(&self, hash: &str) -> Result<Option<Vec<u8>>, RemoteError> {
        match (self.replies.take(hash), &self.log) {
            (Some(reply), _) => Ok(Some(reply)),
            (None, Some(log)) => log.answer(hash),
            (None, None) => Ok(None),
        }
    }
}
