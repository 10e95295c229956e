//! A model on this machine, and prompts that are ready for it.

use super::asked::{Asked, Language};
use super::depths::{Account, DepthReport, Way};
use super::languages::Languages;
use super::report::{Generated, GenerationOutput, Truncation};
use super::stream::Streamed;
use super::{Arguments, Cache, Precision};
use crate::command::open::model_folder;
use crate::command::{Global, Output};
use anyhow::{Context, anyhow, bail};
use plackett_lm::chat::{ChatOptions, Message};
use plackett_lm::decode::{
    Constraint, DecodeError, DecodeModel, DecodeOptions, DecodeRequest, Hypothesis, Normalize, PrefixId,
    TokenBytes, decode,
};
use plackett_lm::decoder::{CacheFormat, DecoderEmbedder, DecoderModel, DecoderOptions, ScoreHead};
use plackett_lm::seq2seq::{self, EncoderDecoder, EncoderDecoderOptions};
use plackett_lm::{Adapter, Precision as Format, SUPPORTED_DECODERS, SUPPORTED_FAMILIES, Truncated};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

enum Model {
    Decoder(Box<DecoderModel>, Option<Adapter>, Way),
    Both(Box<EncoderDecoder>),
}

/// An open model.
pub(super) struct Engine {
    model: Model,
    name: String,
    bytes: Arc<TokenBytes>,
    ends: Vec<u32>,
    depth: Option<usize>,
    account: Account,
}

/// A prompt as token ids.
pub(super) struct Prepared {
    pub index: usize,
    pub ids: Vec<u32>,
    /// Whether answers begin with a blank.
    pub blank: bool,
    pub truncated: Option<Truncation>,
    /// Most tokens of the output.
    pub most: usize,
}

impl Engine {
    pub(super) fn open(arguments: &Arguments, global: &Global) -> anyhow::Result<Engine> {
        let path = model_folder(&arguments.model, global)?;
        check_role(&path)?;
        let precision = match arguments.precision {
            None => Format::Auto,
            Some(Precision::F32) => Format::F32,
            Some(Precision::Int8) => Format::Int8,
        };
        let model = if seq2seq::is_directory(&path) {
            Model::Both(Box::new(open_both(&path, precision, arguments, global)?))
        } else {
            open_decoder(&path, precision, arguments, global)?
        };
        let (tokens, ends) = match &model {
            Model::Decoder(model, ..) => (model.tokenizer(), model.tokenizer().ends().to_vec()),
            Model::Both(model) => {
                let missing = || format!("{}: has no tokenizer.json, and texts need one", path.display());
                (model.tokenizer().with_context(missing)?, model.end().into_iter().collect())
            }
        };
        let bytes = Arc::new(tokens.bytes()?.without(&ends)?);
        let (name, depth) = (arguments.model.clone(), arguments.depths.depth());
        Ok(Engine { name, model, bytes, ends, depth, account: Account::default() })
    }

    /// What came of the depths so far.
    pub(super) fn depths(&self) -> DepthReport {
        self.account.report(self.depth)
    }

    /// What a report says of the model.
    pub(super) fn describe(&self, opened: Duration) -> GenerationOutput {
        let (kind, adapter) = match &self.model {
            Model::Decoder(_, adapter, _) => ("decoder", adapter.as_ref()),
            Model::Both(_) => ("encoder-decoder", None),
        };
        let adapter = adapter.map(|adapter| adapter.id().to_string());
        GenerationOutput {
            model: self.name.clone(),
            kind,
            adapter,
            opened: Some(opened),
            depths: self.depths(),
            results: Vec::new(),
        }
    }

    /// Token ids of prompts; what does not fit is refused before anything is computed.
    pub(super) fn prepare(
        &self,
        arguments: &Arguments,
        asked: &Asked,
        prompts: &[String],
    ) -> anyhow::Result<Vec<Prepared>> {
        let one = |(index, prompt): (usize, &String)| {
            let prepared = match &self.model {
                Model::Decoder(model, ..) => prepare_decoder(model, arguments, asked, prompt),
                Model::Both(model) => prepare_both(model, asked, prompt),
            };
            let place = || arguments.place(index);
            prepared.map(|prepared| Prepared { index, ..prepared }).with_context(place)
        };
        prompts.iter().enumerate().map(one).collect()
    }

    /// Outputs for some prompts, in their order.
    pub(super) fn generate(
        &self,
        asked: &Asked,
        prompts: &[Prepared],
        streamed: Option<&Output>,
    ) -> anyhow::Result<Vec<Generated>> {
        let mut all: Vec<Option<Generated>> = prompts.iter().map(|_| None).collect();
        // A call has one constraint and one limit.
        let mut groups: Vec<((bool, usize), Vec<usize>)> = Vec::new();
        for (at, prompt) in prompts.iter().enumerate() {
            let key = (prompt.blank, prompt.most);
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, group)) => group.push(at),
                None => groups.push((key, vec![at])),
            }
        }
        for ((blank, most), group) in groups {
            let own: Vec<&Prepared> = group.iter().map(|at| &prompts[*at]).collect();
            let languages =
                Languages { engine: self, asked, prompts: &own, most, lead: if blank { " " } else { "" } };
            let made = languages.run(streamed)?;
            group.into_iter().zip(made).for_each(|(at, made)| all[at] = Some(made));
        }
        Ok(all.into_iter().flatten().collect())
    }

    /// Tokens that write a text where an answer begins.
    pub(super) fn spell(&self, text: &str) -> Result<Vec<u32>, DecodeError> {
        let model = match &self.model {
            Model::Decoder(model, ..) => return self.bytes.continuation(model.tokenizer().backend(), text),
            Model::Both(model) => model,
        };
        let tokens = model.tokenizer().ok_or_else(|| DecodeError::Tokenizer("there is none".into()))?;
        tokens.encode(text, false, false).map_err(|error| DecodeError::Tokenizer(error.to_string()))
    }

    pub(super) fn bytes(&self) -> &Arc<TokenBytes> {
        &self.bytes
    }

    pub(super) fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Whether the first blank of an output is the tokenizer's and not the model's.
    pub(super) fn leading_blank(&self) -> bool {
        matches!(self.model, Model::Both(_))
    }

    /// Decodes under a constraint; `read` says what an output means.
    pub(super) fn decode<C: Constraint>(
        &self,
        asked: &Asked,
        prompts: &[&Prepared],
        most: usize,
        constraint: &C,
        streamed: Option<&mut Streamed>,
        read: impl Fn(&Hypothesis<C::Output>) -> super::report::Written,
    ) -> anyhow::Result<Vec<Generated>> {
        let mut options = DecodeOptions { max_tokens: most, ..DecodeOptions::new(asked.strategy.clone()) };
        if matches!(asked.language, Language::Text(_)) {
            options.normalize = Normalize::Vocabulary;
        }
        let decoded = match &self.model {
            Model::Decoder(model, adapter, way) => {
                let adapter = adapter.as_ref();
                let starts =
                    |root| prompts.iter().map(|prompt| (root, prompt.ids.clone())).collect::<Vec<Start>>();
                match way {
                    Way::Whole => {
                        let mut session = match adapter {
                            Some(adapter) => model.session_with(adapter)?,
                            None => model.session(),
                        };
                        let starts = starts(session.root());
                        drive(&mut session, &starts, prompts, constraint, &options, streamed)?
                    }
                    Way::Exits(exits, missing) => {
                        let mut session = model.exit_session(exits, *missing, adapter)?;
                        let starts = starts(session.root());
                        let decoded = drive(&mut session, &starts, prompts, constraint, &options, streamed)?;
                        self.account.add_exits(session.counts());
                        decoded
                    }
                    Way::Drafts(depth) => {
                        let mut session = model.speculative_session(*depth, adapter)?;
                        let starts = starts(session.root());
                        let decoded = drive(&mut session, &starts, prompts, constraint, &options, streamed)?;
                        self.account.add_drafts(session.counts());
                        decoded
                    }
                }
            }
            Model::Both(model) => {
                let mut session = model.session();
                let sources: Vec<&[u32]> = prompts.iter().map(|prompt| &prompt.ids[..]).collect();
                let handles = session.sources(&sources)?;
                let start = |handle| (handle, vec![model.start()]);
                let starts: Vec<Start> = handles.into_iter().map(start).collect();
                drive(&mut session, &starts, prompts, constraint, &options, streamed)?
            }
        };
        let made = prompts.iter().zip(decoded).map(|(prompt, decoded)| {
            let outputs = decoded.hypotheses.iter().map(&read).collect();
            Generated::new(prompt, &decoded, outputs)
        });
        Ok(made.collect())
    }
}

/// A prefix and the tokens after it.
type Start = (PrefixId, Vec<u32>);

/// The decode itself; a prompt without any possible output ends it.
fn drive<C: Constraint>(
    session: &mut dyn DecodeModel,
    starts: &[Start],
    prompts: &[&Prepared],
    constraint: &C,
    options: &DecodeOptions,
    streamed: Option<&mut Streamed>,
) -> anyhow::Result<Vec<plackett_lm::decode::Decoded<C::Output>>> {
    let pairs = starts.iter().zip(prompts);
    let requests: Vec<DecodeRequest<C>> = pairs
        .map(|((prefix, prompt), own)| DecodeRequest {
            prefix: *prefix,
            prompt,
            constraint,
            index: own.index as u64,
        })
        .collect();
    let decoded = match streamed {
        Some(streamed) => decode(&mut streamed.over(session), &requests, options)?,
        None => decode(session, &requests, options)?,
    };
    let named = decoded.into_iter().zip(prompts);
    let failed = |error: DecodeError| match error {
        // The place in the call is not the prompt's.
        DecodeError::DeadEnd { tokens, problem, .. } => {
            anyhow!("no token is possible after {tokens} generated tokens: {problem}")
        }
        error => error.into(),
    };
    let one = |(decoded, own): (Result<_, DecodeError>, &&Prepared)| {
        decoded.map_err(failed).with_context(|| format!("prompt {}", own.index + 1))
    };
    named.map(one).collect()
}

/// Refuses what can be no adapter's directory.
fn check_adapter(folder: &Path) -> anyhow::Result<()> {
    let problem = match folder.is_dir() {
        true => return Ok(()),
        false if folder.exists() => "is a file, expected the directory of an adapter, as PEFT saves it",
        false => "is not there; expected the directory of an adapter, as PEFT saves it",
    };
    bail!("--adapter {}: {problem}", folder.display())
}

/// Refuses a model that was not made to write text, before it is opened.
fn check_role(path: &Path) -> anyhow::Result<()> {
    let config = std::fs::read(path.join("config.json")).unwrap_or_default();
    let config = serde_json::from_slice::<serde_json::Value>(&config).unwrap_or_default();
    let family = config["model_type"].as_str().unwrap_or_default();
    let writers = "use a decoder (a GGUF file or a directory of";
    let known = SUPPORTED_DECODERS.join(", ");
    if DecoderEmbedder::is_one(path)? {
        bail!(
            "{}: is an embedding model (it has modules.json), which was not made to write text; use it with `embed` or \
             `rerank`; here {writers} {known}) or an encoder-decoder",
            path.display()
        );
    }
    if SUPPORTED_FAMILIES.contains(&family) && !seq2seq::is_directory(path) {
        bail!(
            "{}: `{family}` is an encoder, which reads texts and writes none; use it with `embed` or `rerank`; here \
             {writers} {known}) or an encoder-decoder",
            path.join("config.json").display()
        );
    }
    if SUPPORTED_DECODERS.contains(&family) && ScoreHead::is_one(path)? {
        bail!(
            "{}: is a decoder with a score head, which ranks and writes no text; use it with `rerank --method cross-encoder`; here \
             {writers} {known}) or an encoder-decoder",
            path.display()
        );
    }
    Ok(())
}

fn open_decoder(
    path: &Path,
    precision: Format,
    arguments: &Arguments,
    global: &Global,
) -> anyhow::Result<Model> {
    let cache = arguments.cache.map(|format| match format {
        Cache::F32 => CacheFormat::F32,
        Cache::F16 => CacheFormat::F16,
        Cache::Int16 => CacheFormat::Int16,
        Cache::Int8 => CacheFormat::Int8,
    });
    let depth = arguments.depths.depth();
    let options = DecoderOptions { precision, cache, depth, ..global.models().decoder() };
    let model = DecoderModel::open(path, &options);
    let model = match depth {
        Some(depth) => model.with_context(|| format!("--depth {depth}"))?,
        None => model?,
    };
    let way = arguments.depths.way(model.info().layers)?;
    if let Some(folder) = &arguments.adapter {
        check_adapter(folder)?;
    }
    let adapter = arguments.adapter.as_ref().map(|folder| model.open_adapter(folder)).transpose()?;
    Ok(Model::Decoder(Box::new(model), adapter, way))
}

fn open_both(
    path: &Path,
    precision: Format,
    arguments: &Arguments,
    global: &Global,
) -> anyhow::Result<EncoderDecoder> {
    let refused = [
        ("--adapter", arguments.adapter.is_some(), "adapters are for decoders; merge it into the model"),
        ("--cache", arguments.cache.is_some(), "its keys and values are kept in f32"),
        ("--chat", arguments.chat, "it has no chat template; give plain text"),
        ("--control-tokens", arguments.control_tokens, "its prompts are plain text"),
    ];
    let depths =
        arguments.depths.given().map(|(flag, given)| (flag, given, "only decoders are read at other depths"));
    if let Some((flag, _, reason)) = refused.into_iter().chain(depths).find(|(_, given, _)| *given) {
        bail!("{flag}: {} is an encoder-decoder; {reason}", path.display());
    }
    let options = EncoderDecoderOptions { precision, ..global.models().encoder_decoder() };
    Ok(EncoderDecoder::open(path, &options)?)
}

fn prepare_decoder(
    model: &DecoderModel,
    arguments: &Arguments,
    asked: &Asked,
    prompt: &str,
) -> anyhow::Result<Prepared> {
    let tokens = model.tokenizer();
    let positions = model.info().positions;
    // Of a text of many megabytes no more is tokenised than is needed to refuse it.
    let encode = |text: &str, special: bool, control: bool| {
        let (ids, estimate) = tokens.encode_beginning(text, positions, special, control)?;
        match estimate {
            Some(about) if ids.len() > positions => {
                bail!("about {about} tokens are over the model's {positions} positions; shorten it")
            }
            Some(_) => Ok(tokens.encode(text, special, control)?),
            None => Ok(ids),
        }
    };
    let ids = if arguments.chat {
        let system = arguments.system.iter().map(|text| Message::new("system", text));
        let messages: Vec<Message> = system.chain([Message::new("user", prompt)]).collect();
        let text = tokens.chat()?.render(&messages, &ChatOptions::default())?;
        encode(&text, false, true)?
    } else {
        let mut ids = encode(prompt, true, arguments.control_tokens)?;
        // Some tokenizers end every text; a prompt goes on.
        while ids.last().is_some_and(|last| tokens.ends().contains(last)) {
            ids.pop();
        }
        ids
    };
    if ids.is_empty() {
        bail!("has no tokens; write something");
    }
    let room = positions.saturating_sub(ids.len());
    if room < asked.needed() {
        bail!(
            "{} tokens and {} more are over the model's {positions} positions; shorten it or lower --max-tokens",
            ids.len(),
            asked.needed()
        );
    }
    let blank = !arguments.chat && !prompt.ends_with(char::is_whitespace);
    Ok(Prepared { index: 0, ids, blank, truncated: None, most: asked.most(room) })
}

fn prepare_both(model: &EncoderDecoder, asked: &Asked, prompt: &str) -> anyhow::Result<Prepared> {
    let (mut ids, cut) = model.encode(&[prompt], usize::MAX)?;
    let ids = ids.pop().unwrap_or_default();
    let room = model.output_tokens().saturating_sub(1);
    if room < asked.needed() {
        bail!(
            "{} tokens are over the model's {room} positions of outputs; lower --max-tokens",
            asked.needed()
        );
    }
    let truncated = cut.first().map(|cut| {
        let Truncated { tokens, kept, estimated, .. } = *cut;
        Truncation { tokens, kept, estimated }
    });
    Ok(Prepared { index: 0, ids, blank: false, truncated, most: asked.most(room) })
}
