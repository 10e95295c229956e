//! What has changed between two runs of a command.

use super::{InputHash, RunSettings};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// One thing that is not as it was, in the words of the command line.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// The version of the program.
    Version {
        /// Before.
        was: String,
        /// Now.
        is: String,
    },
    /// An argument.
    Argument {
        /// Its name.
        name: String,
        /// Before; `None` when it was not given.
        was: Option<Value>,
        /// Now.
        is: Option<Value>,
    },
    /// An input has other content.
    Input {
        /// The flag that names it, or `FILE`.
        flag: String,
        /// Its path.
        path: PathBuf,
    },
    /// A model has other weights or another configuration.
    Model {
        /// Its name.
        name: String,
    },
    /// A prompt has other words.
    Prompt {
        /// The stage as written.
        stage: String,
        /// The prompt's name.
        name: String,
    },
    /// A stage is made otherwise in this version: another default, say.
    Stage {
        /// The stage as written.
        stage: String,
    },
}

fn shown(value: &Option<Value>) -> String {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => "not given".into(),
        Some(Value::Bool(true)) => "given".into(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Version { was, is } => write!(f, "it was begun by plackett {was}, and this is {is}"),
            Difference::Argument { name, was, is } => {
                // The name of the field, as the flag is spelled.
                let flag =
                    if name == "file" { "FILE".into() } else { format!("--{}", name.replace('_', "-")) };
                write!(f, "{flag} was {}, and is {}", shown(was), shown(is))
            }
            Difference::Input { flag, path } => {
                write!(f, "{flag} `{}` has changed; put its old content back", path.display())
            }
            Difference::Model { name } => {
                write!(
                    f,
                    "the model {name} has other weights or another configuration; put the old files back"
                )
            }
            Difference::Prompt { stage, name } => {
                write!(
                    f,
                    "the prompt {name} of `{stage}` has changed; put its old words back, or use the version that had them"
                )
            }
            Difference::Stage { stage } => {
                write!(f, "`{stage}` means something else in this version; use the version that wrote it")
            }
        }
    }
}

/// What is not in `is` as it was in `was`.
pub(super) fn between(was: &RunSettings, is: &RunSettings) -> Vec<Difference> {
    let mut found = Vec::new();
    if was.plackett != is.plackett {
        found.push(Difference::Version { was: was.plackett.clone(), is: is.plackett.clone() });
    }
    let names: BTreeSet<&String> = was.arguments.keys().chain(is.arguments.keys()).collect();
    for name in names {
        let (before, now) = (was.arguments.get(name), is.arguments.get(name));
        let absent = |value: Option<&Value>| value.is_none_or(Value::is_null);
        if before != now && !(absent(before) && absent(now)) {
            let (was, is) = (before.cloned(), now.cloned());
            found.push(Difference::Argument { name: name.clone(), was, is });
        }
    }
    let same_arguments = !found.iter().any(|difference| matches!(difference, Difference::Argument { .. }));
    for input in &is.inputs {
        // What cannot be read again may be anything now.
        let is_same = |before: &InputHash| input.sha256.is_some() && before.sha256 == input.sha256;
        let before = was.inputs.iter().find(|before| before.flag == input.flag);
        if before.map_or(same_arguments, |before| !is_same(before)) {
            found.push(Difference::Input { flag: input.flag.clone(), path: input.path.clone() });
        }
    }
    for model in &is.models {
        let before = was.models.iter().find(|before| before.name == model.name);
        if before.map_or(same_arguments, |before| before.sha256 != model.sha256) {
            found.push(Difference::Model { name: model.name.clone() });
        }
    }
    if same_arguments {
        let common = was.stages.len().min(is.stages.len());
        let more = was.stages.iter().skip(common).chain(is.stages.iter().skip(common));
        found.extend(more.map(|stage| Difference::Stage { stage: stage.stage.clone() }));
    }
    for (before, now) in was.stages.iter().zip(&is.stages) {
        for prompt in &now.prompts {
            let old = before.prompts.iter().find(|old| old.name == prompt.name);
            if old.is_some_and(|old| old.sha256 != prompt.sha256) {
                found.push(Difference::Prompt { stage: now.stage.clone(), name: prompt.name.clone() });
            }
        }
        let otherwise =
            (&before.method, &before.options, &before.model) != (&now.method, &now.options, &now.model);
        if same_arguments && otherwise {
            found.push(Difference::Stage { stage: now.stage.clone() });
        }
    }
    found
}
