//! Chat templates: from messages to the text that an instruction model was trained on.
//!
//! The templates come with models, so they are outside input: they run without access to files or other templates, and
//! a budget of work ends those that do not end by themselves. One gap is known: lists that hold each other many times
//! over cost little to make, and joining such a list to a text with `~` (or comparing two) is not paid for step by step.

use crate::error::LmError;
use crate::files::gguf::file::GgufFile;
use crate::files::gguf::value::GgufValue;
use crate::text::gguf_tokenizer::GgufTokenizer;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use serde::Serialize;
use std::path::Path;
use std::time::SystemTime;

/// Work that a template may do beside handling the messages themselves; about 64 bytes or one instruction a unit.
const FUEL: u64 = 1_000_000;
const NAME: &str = "chat_template";

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or what else the template knows.
    pub role: String,
    /// The text.
    pub content: String,
}

impl Message {
    /// A message of a role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into() }
    }
}

/// How a conversation is written out.
#[derive(Clone, Debug)]
pub struct ChatOptions {
    /// Ends with the beginning of the model's answer.
    pub add_generation_prompt: bool,
    /// More variables of the template, such as `tools` or `enable_thinking`.
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// The time that `strftime_now` writes, in UTC; `None` is the present. A fixed one keeps prompts repeatable.
    pub now: Option<SystemTime>,
}

impl Default for ChatOptions {
    fn default() -> ChatOptions {
        ChatOptions { add_generation_prompt: true, variables: serde_json::Map::new(), now: None }
    }
}

/// The chat template of a model.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    origin: String,
    bos: Option<String>,
    eos: Option<String>,
}

impl ChatTemplate {
    /// Compiles a template. `origin` (file and key) is for messages; `bos` and `eos` are what `bos_token` and
    /// `eos_token` stand for.
    ///
    /// # Errors
    /// [`LmError::ChatTemplate`] with the line of a syntax error.
    pub fn new(
        source: String,
        origin: impl Into<String>,
        bos: Option<String>,
        eos: Option<String>,
    ) -> Result<ChatTemplate, LmError> {
        let origin = origin.into();
        let failed = |error: Error| failure(&origin, &error);
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(failed)?);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(|out, state, value| {
            pay(state, value, 0)?;
            minijinja::escape_formatter(out, state, value)
        });
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("the template refuses the messages: {message}"),
            ))
        });
        environment.add_template_owned(NAME, source).map_err(failed)?;
        Ok(ChatTemplate { environment, origin, bos, eos })
    }

    /// The template of a model directory: `chat_template.jinja`, else `chat_template` of `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`LmError::ChatTemplate`] when there is none or it does not compile, [`LmError::Io`] and [`LmError::Config`] for
    /// files that cannot be read.
    pub fn from_directory(directory: &Path) -> Result<ChatTemplate, LmError> {
        let (path, single) = (directory.join("tokenizer_config.json"), directory.join("chat_template.jinja"));
        let bad = |problem: String| LmError::Config { path: path.clone(), problem };
        let config: serde_json::Value = if path.exists() {
            let bytes = std::fs::read(&path).map_err(LmError::io(&path))?;
            serde_json::from_slice(&bytes)
                .map_err(|error| bad(format!("not JSON ({error}); fetch it again")))?
        } else {
            serde_json::Value::Null
        };
        let token = |key: &str| {
            let entry = &config[key];
            entry.as_str().or_else(|| entry["content"].as_str()).map(str::to_string)
        };
        let (bos, eos) = (token("bos_token"), token("eos_token"));
        if single.exists() {
            let source = std::fs::read_to_string(&single).map_err(LmError::io(&single))?;
            return ChatTemplate::new(source, single.display().to_string(), bos, eos);
        }
        let source = match &config["chat_template"] {
            serde_json::Value::String(source) => source.clone(),
            serde_json::Value::Array(named) => {
                let default = named.iter().find(|entry| entry["name"] == "default");
                let source = default.and_then(|entry| entry["template"].as_str());
                source
                    .ok_or_else(|| bad("`chat_template` lists no template named `default`".into()))?
                    .to_string()
            }
            serde_json::Value::Null => return Err(absent(directory)),
            _ => return Err(bad("`chat_template` is neither a text nor a list of templates".into())),
        };
        ChatTemplate::new(source, format!("{}, key `chat_template`", path.display()), bos, eos)
    }

    /// The template of a GGUF file, with the names of its tokens.
    ///
    /// # Errors
    /// [`LmError::ChatTemplate`] when there is none or it does not compile.
    pub fn from_gguf(file: &GgufFile, tokenizer: &GgufTokenizer) -> Result<ChatTemplate, LmError> {
        let key = "tokenizer.chat_template";
        let source = file.header().get(key).and_then(GgufValue::as_str);
        let source = source.ok_or_else(|| absent(file.path()))?.to_string();
        let origin = format!("{}, key `{key}`", file.path().display());
        let token = |id: Option<u32>| id.and_then(|id| tokenizer.token(id));
        ChatTemplate::new(source, origin, token(tokenizer.bos), token(tokenizer.eos))
    }

    /// Writes a conversation out.
    ///
    /// # Errors
    /// [`LmError::ChatTemplate`] with the line where the template fails, refuses the messages, or has done more work
    /// than any honest template needs.
    pub fn render(&self, messages: &[Message], options: &ChatOptions) -> Result<String, LmError> {
        self.render_value(Value::from(Serde(messages)), options)
    }

    /// Writes out messages with more parts than role and text (tool calls, lists of contents).
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn render_json(
        &self,
        messages: &[serde_json::Value],
        options: &ChatOptions,
    ) -> Result<String, LmError> {
        self.render_value(Value::from(Serde(messages)), options)
    }

    fn render_value(&self, messages: Value, options: &ChatOptions) -> Result<String, LmError> {
        let mut environment = self.environment.clone();
        // Copying a text a few times from step to step is honest work.
        let size = messages.to_string().len() as u64;
        environment.set_fuel(Some(FUEL.saturating_add(size)));
        let now = options.now;
        environment.add_function("strftime_now", move |format: String| strftime(&format, now));
        let mut context = serde_json::Map::new();
        context.insert("tools".into(), serde_json::Value::Null);
        context.insert("documents".into(), serde_json::Value::Null);
        let tokens = [("bos_token", &self.bos), ("eos_token", &self.eos)];
        for (name, token) in tokens {
            context.extend(token.iter().map(|token| (name.to_string(), token.as_str().into())));
        }
        context.extend(options.variables.clone());
        context.insert("add_generation_prompt".into(), options.add_generation_prompt.into());
        let rest = Value::from(Serde(&context));
        let context = minijinja::context! { messages => messages, ..rest };
        let template = environment.get_template(NAME).map_err(|error| failure(&self.origin, &error))?;
        template.render(context).map_err(|error| failure(&self.origin, &error))
    }
}

fn absent(place: &Path) -> LmError {
    let problem =
        "the model has no chat template; it is a base model, or the template must be given".to_string();
    LmError::ChatTemplate { origin: place.display().to_string(), line: None, problem }
}

fn failure(origin: &str, error: &Error) -> LmError {
    let problem = match error.kind() {
        ErrorKind::OutOfFuel => {
            "the template does more work than any chat template needs; it is stopped".into()
        }
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_string),
    };
    LmError::ChatTemplate { origin: origin.to_string(), line: error.line(), problem }
}

fn strftime(format: &str, now: Option<SystemTime>) -> Result<String, Error> {
    let bad = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {error}"));
    let now = jiff::Timestamp::try_from(now.unwrap_or_else(SystemTime::now)).map_err(bad)?;
    jiff::fmt::strtime::format(format, &now.to_zoned(jiff::tz::TimeZone::UTC)).map_err(bad)
}

/// JSON as Python writes it: blanks after commas and colons, nothing escaped for HTML.
fn to_json(state: &State, value: &Value, options: Kwargs) -> Result<Value, Error> {
    let bad = |error: serde_json::Error| Error::new(ErrorKind::InvalidOperation, format!("tojson: {error}"));
    let indent: Option<usize> = options.get("indent")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let sort: Option<bool> = options.get("sort_keys")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    if indent.is_some_and(|n| n > 16) {
        return Err(Error::new(ErrorKind::InvalidOperation, "tojson: an indent above 16"));
    }
    let mut json = plain(state, value, 0)?;
    if sort == Some(true) {
        json.sort_all_objects();
    }
    let mut bytes = Vec::new();
    if let Some(indent) = indent {
        let blanks = vec![b' '; indent];
        let format = serde_json::ser::PrettyFormatter::with_indent(&blanks);
        json.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, format)).map_err(bad)?;
    } else {
        let mut pair = separators.unwrap_or_default().into_iter();
        let comma = pair.next().unwrap_or_else(|| ", ".into());
        let colon = pair.next().unwrap_or_else(|| ": ".into());
        let format = Separated { comma, colon };
        json.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, format)).map_err(bad)?;
    }
    state.consume_fuel(bytes.len() as u64 / 64)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(Value::from(if ascii == Some(true) { escaped(&text) } else { text.into_owned() }))
}

/// Takes fuel for every part of a value that is about to be written: the engine itself only counts the text it gets.
fn pay(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    if !matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable) {
        return Ok(());
    }
    if depth > 100 {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "values nested more than 100 deep cannot be written",
        ));
    }
    for item in value.try_iter()? {
        state.consume_fuel(1)?;
        let inner = if value.kind() == ValueKind::Map { value.get_item(&item)? } else { item };
        pay(state, &inner, depth + 1)?;
    }
    Ok(())
}

/// A value as JSON, every part of it paid for: a few lists that hold each other twice are more than any memory holds.
fn plain(state: &State, value: &Value, depth: usize) -> Result<serde_json::Value, Error> {
    let bad = |problem: &str| Error::new(ErrorKind::InvalidOperation, format!("tojson: {problem}"));
    if depth > 100 {
        return Err(bad("values nested more than 100 deep"));
    }
    state.consume_fuel(1 + value.as_str().map_or(0, str::len) as u64 / 64)?;
    Ok(match value.kind() {
        ValueKind::Map => {
            let mut map = serde_json::Map::new();
            for key in value.try_iter()? {
                let entry = plain(state, &value.get_item(&key)?, depth + 1)?;
                map.insert(key.as_str().map_or_else(|| key.to_string(), str::to_string), entry);
            }
            serde_json::Value::Object(map)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.map(|item| plain(state, &item, depth + 1));
            serde_json::Value::Array(items.collect::<Result<_, _>>()?)
        }
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::String => {
            serde_json::to_value(value).map_err(|error| bad(&error.to_string()))?
        }
        other => return Err(bad(&format!("a value of type {other} is no JSON"))),
    })
}

/// Every sign beyond ASCII as UTF-16 escapes; in JSON such signs only occur inside strings.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        if sign.is_ascii() {
            out.push(sign);
        } else {
            sign.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

struct Separated {
    comma: String,
    colon: String,
}

impl Separated {
    fn between<W: ?Sized + std::io::Write>(&self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.comma.as_bytes()) }
    }
}

impl serde_json::ser::Formatter for Separated {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.between(w, first)
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.between(w, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        w.write_all(self.colon.as_bytes())
    }
}
