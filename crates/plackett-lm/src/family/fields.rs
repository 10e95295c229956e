//! Fields of configurations that families share.

use crate::error::LmError;
use crate::files::config::JsonFile;
use plackett_kernel::Activation;

/// The activation under `key`.
pub(crate) fn activation(config: &JsonFile, key: &str) -> Result<Activation, LmError> {
    let name = config.text(key).unwrap_or("gelu");
    Activation::named(name).ok_or_else(|| {
        config.problem(format!("`{key}`: `{name}` is not supported: gelu, gelu_new, relu, silu, tanh"))
    })
}

/// Heads and their size, checked against the hidden size.
pub(crate) fn heads(config: &JsonFile) -> Result<(usize, usize), LmError> {
    let (hidden, heads) = (config.size("hidden_size")?, config.size("num_attention_heads")?);
    if hidden % heads != 0 {
        return Err(
            config.problem(format!("`hidden_size` {hidden} is no multiple of `num_attention_heads` {heads}"))
        );
    }
    Ok((heads, hidden / heads))
}
