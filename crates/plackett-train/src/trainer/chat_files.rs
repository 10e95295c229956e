//! The chat template of a model, which goes with it through a training: a model that is asked in another form than the one
//! that it has learned has learned something else.

use crate::TrainError;
use crate::files::write_whole;
use plackett_lm::gguf::GgufTokenizer;
use serde_json::{Value, json};
use std::path::Path;

/// The file in which Hugging Face's libraries keep it.
const CONFIG: &str = "tokenizer_config.json";
/// The file that newer ones prefer.
const TEMPLATE: &str = "chat_template.jinja";
/// What of the first file a template needs.
const KEYS: [&str; 3] = ["chat_template", "bos_token", "eos_token"];

/// How conversations are written out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChatFiles {
    config: Value,
}

impl ChatFiles {
    /// Those of a directory of Hugging Face; `None` for a model without a template.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of_directory(directory: &Path) -> Result<Option<ChatFiles>, TrainError> {
        let read = |name: &str| -> Result<Option<String>, TrainError> {
            let path = directory.join(name);
            match path.is_file() {
                true => {
                    std::fs::read_to_string(&path).map(Some).map_err(|source| TrainError::file(&path, source))
                }
                false => Ok(None),
            }
        };
        let whole: Value = match read(CONFIG)? {
            Some(text) => serde_json::from_str(&text).map_err(|error| TrainError::Form {
                path: directory.join(CONFIG),
                problem: error.to_string(),
            })?,
            None => Value::Null,
        };
        let mut config = json!({});
        for key in KEYS.into_iter().filter(|key| !whole[key].is_null()) {
            config[key] = whole[key].clone();
        }
        if let Some(template) = read(TEMPLATE)? {
            config["chat_template"] = template.into();
        }
        Ok((!config["chat_template"].is_null()).then_some(ChatFiles { config }))
    }

    /// That of a GGUF file.
    pub fn of_gguf(tokenizer: &GgufTokenizer) -> Option<ChatFiles> {
        let mut config = json!({"chat_template": tokenizer.chat_template.as_ref()?});
        for (key, id) in [("bos_token", tokenizer.bos), ("eos_token", tokenizer.eos)] {
            if let Some(token) = id.and_then(|id| tokenizer.token(id)) {
                config[key] = token.into();
            }
        }
        Some(ChatFiles { config })
    }

    /// Writes it beside the model.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), TrainError> {
        let text = serde_json::to_string_pretty(&self.config).unwrap_or_default();
        write_whole(&folder.join(CONFIG), text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_goes_on_with_its_tokens_and_nothing_else() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(ChatFiles::of_directory(from.path()).unwrap(), None);
        let config = r#"{"chat_template": "{{ messages }}", "eos_token": {"content": "</s>"}, "padding_side": "left"}"#;
        std::fs::write(from.path().join(CONFIG), config).unwrap();
        let found = ChatFiles::of_directory(from.path()).unwrap().unwrap();
        found.save(to.path()).unwrap();
        assert_eq!(ChatFiles::of_directory(to.path()).unwrap(), Some(found.clone()));
        assert_eq!(
            found.config,
            json!({"chat_template": "{{ messages }}", "eos_token": {"content": "</s>"}})
        );
        // The file of its own wins.
        std::fs::write(from.path().join(TEMPLATE), "new").unwrap();
        let found = ChatFiles::of_directory(from.path()).unwrap().unwrap();
        assert_eq!(found.config["chat_template"], "new");
    }
}
