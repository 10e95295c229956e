//! Addresses: what may be asked, and where a key may go.

use crate::RemoteError;

/// The address of a server, checked once.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    base: String,
    encrypted: bool,
    loopback: bool,
}

impl Address {
    /// Takes `http://host[:port][/path]` or the same with https.
    pub fn parse(base: &str) -> Result<Address, RemoteError> {
        let wrong = |problem: &str| {
            RemoteError::config(format!(
                "the address `{}` {problem}; write it like https://host/v1 or http://127.0.0.1:8080",
                hide_login(base)
            ))
        };
        let parsed = ureq::post(base).request_url().map_err(|_| wrong("is not a web address"))?;
        let url = parsed.as_url();
        let encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("is neither http nor https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a login, which would end up in logs (name a key_variable instead)"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a `?` or `#`"));
        }
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = host == "localhost"
            || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let base = base.trim_end_matches('/');
        let base = ["/v1", "/v2"].iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base);
        Ok(Address { base: base.to_string(), encrypted, loopback })
    }

    /// The address of a path such as `/v1/embeddings`.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Without a path of an interface.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether a key cannot be read on its way.
    pub fn keeps_secrets(&self) -> bool {
        self.encrypted || self.loopback
    }
}

/// An address for messages.
pub(crate) fn hide_login(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => address.to_string(),
    }
}

/// Where a redirect leads, if it is one that can be followed with the same request and key.
pub(crate) fn follow(
    from: &str,
    status: u16,
    location: Option<&str>,
) -> Result<String, (String, &'static str)> {
    let Some(location) = location else {
        return Err(("nowhere".into(), "the reply has no Location; check the address"));
    };
    let joined = ureq::post(from).request_url().ok().and_then(|old| {
        let new = old.as_url().join(location).ok()?;
        let old = old.as_url();
        Some((
            new.to_string(),
            origin(old.scheme(), old.host_str(), old.port_or_known_default()),
            origin(new.scheme(), new.host_str(), new.port_or_known_default()),
        ))
    });
    let Some((to, old, new)) = joined else {
        return Err((hide_login(location), "it is not a web address"));
    };
    let hidden = hide_login(&to);
    if old.0 == "https" && new.0 != "https" {
        return Err((hidden, "it would give up encryption; set the address that is meant"));
    }
    if old != new {
        return Err((
            hidden,
            "it is another server, which would get the texts and the key; set that address if it is meant",
        ));
    }
    if !matches!(status, 307 | 308) {
        return Err((hidden, "such a redirect drops the request's body; set the new address"));
    }
    Ok(to)
}

fn origin(scheme: &str, host: Option<&str>, port: Option<u16>) -> (String, String, Option<u16>) {
    (scheme.to_string(), host.unwrap_or_default().to_string(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_not_doubled() {
        for base in
            ["https://a.example/v1", "https://a.example/v1/", "https://a.example", "https://a.example/v2"]
        {
            assert_eq!(
                Address::parse(base).unwrap().join("/v1/embeddings"),
                "https://a.example/v1/embeddings"
            );
        }
        let below = Address::parse("http://127.0.0.1:80/api/v1").unwrap();
        assert_eq!(below.join("/v1/rerank"), "http://127.0.0.1:80/api/v1/rerank");
        assert!(below.keeps_secrets());
        assert!(!Address::parse("http://10.0.0.1").unwrap().keeps_secrets());
        assert!(Address::parse("http://[::1]:8080").unwrap().keeps_secrets());
    }

    #[test]
    fn addresses_that_cannot_be_meant_are_refused_without_their_secrets() {
        for bad in [
            "",
            "host",
            "ftp://host",
            "https://",
            "http://user:secret@host",
            "https://host/?key=1",
            "http://host/#x",
        ] {
            let message = Address::parse(bad).unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn redirects_stay_on_the_server_and_encrypted() {
        let from = "https://a.example/v1/rerank";
        assert_eq!(follow(from, 308, Some("/v2/rerank")).unwrap(), "https://a.example/v2/rerank");
        let why = |status, to| follow(from, status, to).unwrap_err().1;
        assert!(why(308, Some("http://a.example/v1/rerank")).contains("encryption"));
        assert!(why(308, Some("https://b.example/v1/rerank")).contains("another server"));
        assert!(why(307, Some("https://a.example:444/")).contains("another server"));
        assert!(why(301, Some("/v2/rerank")).contains("drops"));
        assert!(why(308, None).contains("Location"));
    }
}
