//! Remote models on the command line and in pipelines: the address of an endpoint, and settings behind a `#`.

use crate::address::hide_login;
use crate::{Api, RemoteConfig, RemoteError};
use serde_json::{Map, Value};

/// How a model's name begins when it is the address of a remote one.
pub const PREFIX: &str = "remote:";

/// Settings of which every sign counts.
const PROMPTS: [&str; 2] = ["query_prompt", "document_prompt"];

impl RemoteConfig {
    /// Reads `remote:URL` or `remote:URL#name=value,…`. The end of the address tells the interface: `/v1/embeddings`,
    /// `/embed`, `/rerank` (text-embeddings-inference), `/v1/rerank`, `/v2/rerank`, `/predict`,
    /// `/v1/chat/completions`, `/v1/completions`. Settings are those of [`RemoteConfig`], `key` for `key_variable` and
    /// `prompt_price`, `completion_price`, `request_price`.
    ///
    /// # Errors
    /// An address of no known interface, an unknown setting, a value of another kind.
    ///
    /// ```
    /// use plackett_remote::{Api, RemoteConfig};
    /// let config = RemoteConfig::from_spec("remote:https://api.cohere.com/v2/rerank#model=rerank-v3.5,key=CO_API_KEY")?;
    /// assert_eq!((config.api, config.base_url.as_str()), (Api::Rerank, "https://api.cohere.com"));
    /// assert_eq!(config.key_variable.as_deref(), Some("CO_API_KEY"));
    /// # Ok::<(), plackett_remote::RemoteError>(())
    /// ```
    pub fn from_spec(spec: &str) -> Result<RemoteConfig, RemoteError> {
        let rest = spec.strip_prefix(PREFIX).unwrap_or(spec);
        let (address, settings) = rest.split_once('#').unwrap_or((rest, ""));
        let address = address.trim_end_matches('/');
        // `/v1/rerank` before `/rerank`.
        let mut known = Api::ALL.to_vec();
        known.sort_by_key(|api| std::cmp::Reverse(api.path().len()));
        let found = known.into_iter().find_map(|api| Some((api, address.strip_suffix(api.path())?)));
        let Some((api, base_url)) = found else {
            let ends: Vec<&str> = Api::ALL.iter().map(|api| api.path()).collect();
            return Err(RemoteError::config(format!(
                "the address `{}` does not end in an interface that is known ({})",
                hide_login(address),
                ends.join(", ")
            )));
        };
        let mut values = Map::new();
        let mut price = Map::new();
        for setting in settings.split(',').filter(|setting| !setting.trim().is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or(("model", setting));
            let name = name.trim();
            // The blank at the end of a prompt is part of it.
            let value = if PROMPTS.contains(&name) { value } else { value.trim() };
            let (into, name) = match name {
                "key" => (&mut values, "key_variable"),
                "prompt_price" => (&mut price, "prompt_per_million"),
                "completion_price" => (&mut price, "completion_per_million"),
                "request_price" => (&mut price, "per_request"),
                "base_url" | "api" | "price" => {
                    return Err(RemoteError::config(format!("`{name}` is not a setting behind `#`")));
                }
                other => (&mut values, other),
            };
            if into.insert(name.to_string(), typed(name, value)).is_some() {
                return Err(RemoteError::config(format!("`{name}` stands twice behind `#`")));
            }
        }
        if !price.is_empty() {
            values.insert("price".into(), Value::Object(price));
        }
        let config: RemoteConfig = serde_json::from_value(Value::Object(values))
            .map_err(|e| RemoteError::config(format!("settings `{settings}`: {e}")))?;
        Ok(RemoteConfig { api, base_url: base_url.to_string(), ..config })
    }
}

/// Numbers and truth values as such; names as text, even when they look like numbers.
fn typed(name: &str, value: &str) -> Value {
    let text = ["model", "key_variable", "proxy", "log"].contains(&name) || PROMPTS.contains(&name);
    let parsed = (!text).then(|| serde_json::from_str::<Value>(value).ok()).flatten();
    parsed.filter(|v| v.is_number() || v.is_boolean()).unwrap_or_else(|| Value::String(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_address_is_the_interface() {
        for api in Api::ALL {
            let config =
                RemoteConfig::from_spec(&format!("remote:http://host:80/x{}#m", api.path())).unwrap();
            assert_eq!((config.api, config.base_url.as_str()), (*api, "http://host:80/x"));
            assert_eq!(config.model.as_deref(), Some("m"));
            assert_eq!(api.name().parse(), Ok(*api));
        }
    }

    #[test]
    fn settings_are_typed_and_unknown_ones_refused() {
        let spec = "remote:http://h/rerank#model=7,attempts=2,timeout_seconds=1.5,prompt_price=2,spending_limit=3,log=a.jsonl";
        let config = RemoteConfig::from_spec(spec).unwrap();
        assert_eq!((config.model.as_deref(), config.attempts, config.timeout_seconds), (Some("7"), 2, 1.5));
        assert_eq!((config.price.prompt_per_million, config.spending_limit), (2.0, Some(3.0)));
        let spec = "remote:http://h/embed#query_prompt=query: , document_prompt=7";
        let config = RemoteConfig::from_spec(spec).unwrap();
        assert_eq!((config.query_prompt.as_str(), config.document_prompt.as_str()), ("query: ", "7"));
        for (bad, part) in [
            ("remote:http://h/other", "/v1/embeddings"),
            ("remote:http://h/rerank#attemps=2", "attemps"),
            ("remote:http://h/rerank#attempts=two", "two"),
            ("remote:http://h/rerank#attempts=2,attempts=3", "twice"),
            ("remote:http://h/rerank#api=chat", "api"),
        ] {
            let message = RemoteConfig::from_spec(bad).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
