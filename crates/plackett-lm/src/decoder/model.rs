//! A decoder, opened from a directory or a GGUF file, and its forward call.

use crate::adapter::lora::Adapter;
use crate::decoder::check::check;
use crate::decoder::forward::pass::{Buffers, Pass};
use crate::decoder::kv::cache::KvCache;
use crate::decoder::kv::format::CacheFormat;
use crate::decoder::kv::format::KvDims;
use crate::decoder::lm_head::{LogitRequest, logits};
use crate::decoder::request::{Positions, Request, SequenceOutput};
use crate::decoder::schedule::{MicroBatch, batches};
use crate::decoder::score_head::ScoreHead;
use crate::decoder::source::TensorSource;
use crate::decoder::weights::DecoderWeights;
use crate::encoder::outputs::ModelInfo;
use crate::error::LmError;
use crate::files::config::{JsonFile, Pooling};
use crate::files::factors::FactorizedLayer;
use crate::files::gguf::config::GgufArchitecture;
use crate::files::gguf::file::GgufFile;
use crate::files::gguf::parts::{part_of, split_error};
use crate::files::weights::WeightSet;
use crate::text::lm_tokenizer::LmTokenizer;
use plackett_kernel::Isa;
use plackett_kernel::Precision;
use rayon::prelude::*;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

/// How a decoder is opened.
#[derive(Clone, Debug, Default)]
pub struct DecoderOptions {
    /// Number format of the weights.
    pub precision: Precision,
    /// Number format of keys and values; when absent, the one that attention reads as it is: [`CacheFormat::Int16`] where
    /// the model's products are made in integers, else [`CacheFormat::F32`].
    pub cache: Option<CacheFormat>,
    /// Only so many layers, from the first, before the last normalisation and the output matrix: of a model whose
    /// intermediate layers were trained to be read (Sorted LLaMA, 2023). The others are not read from the file.
    pub depth: Option<usize>,
    /// Worker threads; all cores when absent.
    pub threads: Option<usize>,
    /// Bytes that weights, the buffers of a call and the caches that it reads and makes may take together. Blocks of a
    /// mapped [`BlockStore`](crate::decoder::BlockStore) do not count: the system reads and drops them as it likes.
    pub memory_budget: Option<usize>,
}

/// Facts about an open decoder.
#[derive(Clone, Debug)]
pub struct DecoderInfo {
    /// The name of the directory, or the file.
    pub name: String,
    /// `model_type` of config.json, or the architecture of a GGUF file.
    pub family: String,
    /// Layers that are run; fewer than the file has where [`DecoderOptions::depth`] says so.
    pub layers: usize,
    /// Numbers per token between layers.
    pub hidden: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Token ids.
    pub vocabulary: usize,
    /// Positions that the model was made for.
    pub positions: usize,
    /// `f32`, `int8`, or `packed` for the blocks of a GGUF file; except with f32, activations are rounded too.
    pub precision: &'static str,
    /// Bytes of weights in memory.
    pub weight_bytes: usize,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Worker threads.
    pub threads: usize,
}

/// A decoder, ready for calls from any number of threads.
pub struct DecoderModel {
    info: DecoderInfo,
    path: PathBuf,
    pub(super) decoder: DecoderWeights,
    /// What scores a text, in place of an output matrix.
    pub(super) head: Option<ScoreHead>,
    factorized: Vec<FactorizedLayer>,
    tokens: LmTokenizer,
    pub(super) pool: rayon::ThreadPool,
    buffers: Buffers,
    pub(super) format: CacheFormat,
    pub(super) precision: Precision,
    pub(super) depth: Option<usize>,
    /// What [`DecoderModel::fingerprint`] found.
    pub(super) fingerprint: OnceLock<String>,
    memory_budget: Option<usize>,
}

impl DecoderModel {
    /// Opens a Hugging Face directory (config.json, tokenizer.json, safetensors) or a GGUF file; a directory without
    /// config.json that holds one GGUF file stands for it.
    ///
    /// # Errors
    /// Names the file, field or tensor that is missing or wrong, and what is not supported.
    pub fn open(path: impl AsRef<Path>, options: &DecoderOptions) -> Result<DecoderModel, LmError> {
        let path = path.as_ref();
        if path.is_file() {
            return DecoderModel::open_gguf(path, options);
        }
        if !path.join("config.json").exists()
            && let Some(file) = only_gguf(path)?
        {
            return DecoderModel::open_gguf(&file, options);
        }
        let config = JsonFile::open(path, "config.json")?;
        let shape = crate::family::decoder_families::read(&config)?.first_layers(options.depth)?;
        let weights = WeightSet::open(path)?;
        let head = ScoreHead::open(&config, &weights, shape.hidden)?;
        let factorized = weights.factorized();
        let source = TensorSource::directory(weights)?;
        let decoder = DecoderWeights::open(shape, &source, head.is_none(), options.precision)?;
        let tokens = LmTokenizer::open(path)?;
        let model = DecoderModel::assemble(path, (decoder, head), tokens, options)?;
        Ok(DecoderModel { factorized, ..model })
    }

    fn open_gguf(path: &Path, options: &DecoderOptions) -> Result<DecoderModel, LmError> {
        let file = GgufFile::open(path)?;
        let architecture = GgufArchitecture::read(&file)?;
        let shape = crate::family::decoder_families::from_gguf(&architecture, &file)?;
        let shape = shape.first_layers(options.depth)?;
        let tokens = LmTokenizer::gguf(&file)?;
        let source = TensorSource::gguf(file, &architecture.architecture, architecture.head_dim);
        let decoder = DecoderWeights::open(shape, &source, true, options.precision)?;
        DecoderModel::assemble(path, (decoder, None), tokens, options)
    }

    fn assemble(
        path: &Path,
        (decoder, head): (DecoderWeights, Option<ScoreHead>),
        tokens: LmTokenizer,
        options: &DecoderOptions,
    ) -> Result<DecoderModel, LmError> {
        tokens.check(decoder.shape.vocabulary)?;
        let threads = options.threads.unwrap_or(0);
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("plackett-lm-{i}"));
        let pool =
            pool.build().map_err(|e| LmError::Argument(format!("cannot start {threads} threads: {e}")))?;
        let shape = &decoder.shape;
        let read = if decoder.integers { CacheFormat::Int16 } else { CacheFormat::F32 };
        let info = DecoderInfo {
            name: path.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned()),
            family: shape.family.clone(),
            layers: shape.layers.len(),
            hidden: shape.hidden,
            heads: shape.heads,
            vocabulary: shape.vocabulary,
            positions: shape.positions,
            precision: decoder.numbers(),
            weight_bytes: decoder.bytes(),
            isa: Isa::detect(),
            threads: pool.current_num_threads(),
        };
        Ok(DecoderModel {
            info,
            path: path.to_path_buf(),
            decoder,
            head,
            factorized: Vec::new(),
            tokens,
            pool,
            buffers: Buffers::default(),
            format: options.cache.unwrap_or(read),
            precision: options.precision,
            depth: options.depth,
            fingerprint: OnceLock::new(),
            memory_budget: options.memory_budget,
        })
    }

    /// Facts about the model.
    pub fn info(&self) -> &DecoderInfo {
        &self.info
    }

    /// The linear layers whose weights are two factors, in the order of their names; of all layers of the file, whatever
    /// [`DecoderOptions::depth`] says.
    pub fn factorized(&self) -> &[FactorizedLayer] {
        &self.factorized
    }

    /// The same as facts about a model of texts, which takes inputs of up to `limit` tokens.
    pub(super) fn text_info(
        &self,
        dim: usize,
        limit: usize,
        pooling: Option<Pooling>,
        cross_encoder: bool,
    ) -> ModelInfo {
        let info = &self.info;
        ModelInfo {
            name: info.name.clone(),
            family: info.family.clone(),
            layers: info.layers,
            hidden: info.hidden,
            dim,
            max_tokens: info.positions.min(limit),
            pooling,
            cross_encoder,
            precision: info.precision,
            weight_bytes: info.weight_bytes,
            isa: info.isa,
            threads: info.threads,
        }
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has a head that scores a text, and so none that would write one.
    pub fn has_score_head(&self) -> bool {
        self.head.is_some()
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &LmTokenizer {
        &self.tokens
    }

    /// Reads an adapter's directory for requests to this model.
    ///
    /// # Errors
    /// Those of [`Adapter::open`]; [`LmError::Config`] with layer, module and both shapes for one of another model.
    pub fn open_adapter(&self, directory: impl AsRef<Path>) -> Result<Adapter, LmError> {
        let adapter = Adapter::open(directory.as_ref())?;
        self.decoder.shape.check_adapter(&adapter)?;
        Ok(adapter)
    }

    /// Runs sequences through all layers and reads what each wants; answers in the order of requests.
    ///
    /// An answer depends on its own request and on nothing else: not on the batch, the number of threads or the memory
    /// budget.
    ///
    /// # Errors
    /// [`LmError::Argument`] with the number of a request that cannot be run and the reason; the memory budget.
    pub fn forward(&self, requests: &[Request]) -> Result<Vec<SequenceOutput>, LmError> {
        self.forward_until(requests, self.info.layers)
    }

    /// The same, ending after `layers` layers. Caches of such a call have that many layers.
    ///
    /// # Errors
    /// As [`DecoderModel::forward`].
    pub fn forward_until(&self, requests: &[Request], layers: usize) -> Result<Vec<SequenceOutput>, LmError> {
        self.forward_through(requests, None, 0..layers.min(self.info.layers), false)
    }

    /// Runs sequences through some layers. `states` has what goes into the first of them for every token of every
    /// request; without it their input vectors do. A cache has the layers of `layers` alone. With `keys_only` nothing but
    /// keys and values is computed, those of every layer from the same states.
    pub(super) fn forward_through(
        &self,
        requests: &[Request],
        states: Option<&[&[f32]]>,
        layers: Range<usize>,
        keys_only: bool,
    ) -> Result<Vec<SequenceOutput>, LmError> {
        self.check_output(requests)?;
        check(&self.decoder.shape, requests, &layers)?;
        let dims = KvDims {
            layers: layers.len(),
            heads: self.decoder.shape.kv_heads,
            size: self.decoder.shape.size,
        };
        let weights = self.info.weight_bytes;
        let plan = batches(
            &self.decoder,
            requests,
            dims,
            self.format,
            (self.memory_budget, weights),
            self.info.threads,
        )?;
        let answers: Mutex<Vec<SequenceOutput>> =
            Mutex::new(requests.iter().map(|_| SequenceOutput::default()).collect());
        let store = |batch: &[usize], found: Vec<SequenceOutput>| {
            if let Ok(mut answers) = answers.lock() {
                batch.iter().zip(found).for_each(|(index, answer)| answers[*index] = answer);
            }
        };
        let run = |batch: &MicroBatch, workers| {
            let own = states
                .map(|states| batch.requests.iter().flat_map(|index| states[*index]).copied().collect());
            let own: Option<Vec<f32>> = own;
            let pass = Pass {
                decoder: &self.decoder,
                isa: self.info.isa,
                buffers: &self.buffers,
                format: self.format,
                layers: layers.clone(),
                states: own.as_deref(),
                keys_only,
            };
            store(&batch.requests, self.run(requests, batch, &pass, workers));
        };
        self.pool.install(|| {
            plan.spread.par_iter().with_max_len(1).for_each(|batch| run(batch, 1));
            for batch in &plan.split {
                run(batch, plan.workers);
            }
        });
        Ok(answers.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Refuses to read logits of tokens from a model that has none.
    fn check_output(&self, requests: &[Request]) -> Result<(), LmError> {
        let wants = |request: &Request| request.outputs.logits_at != Positions::None;
        match self.has_score_head() && requests.iter().any(wants) {
            false => Ok(()),
            true => Err(LmError::Unsupported {
                model: self.info.name.clone(),
                wanted: "write text".into(),
                reason: "it has a score head in place of an output matrix; rank with it by the method cross-encoder, or give the \
                         decoder that it was made from"
                    .into(),
            }),
        }
    }

    fn run(
        &self,
        requests: &[Request],
        batch: &MicroBatch,
        pass: &Pass,
        workers: usize,
    ) -> Vec<SequenceOutput> {
        let isa = self.info.isa;
        let own: Vec<&Request> = batch.requests.iter().map(|index| &requests[*index]).collect();
        let mut output = pass.forward(&own, workers, batch.rows);
        let hidden = self.info.hidden;
        let places = own.iter().map(|request| request.outputs.logits_at.count(request.tokens.len()));
        let mut states = Vec::with_capacity(places.sum::<usize>() * hidden);
        let mut logit_requests = Vec::new();
        let mut start = 0;
        for (request, answer) in own.iter().zip(&mut output.answers) {
            let tokens = request.tokens.len();
            let state = |place: &usize| {
                let mut row = output.x[(start + place) * hidden..][..hidden].to_vec();
                self.decoder.final_norm(isa, &mut row);
                row
            };
            if request.outputs.hidden_after.is_empty() {
                let places = request.outputs.hidden.list(tokens);
                answer.hidden.reserve_exact(places.len() * hidden);
                answer.hidden.extend(places.iter().flat_map(state));
            }
            for place in request.outputs.logits_at.list(tokens) {
                states.extend(state(&place));
                logit_requests.push(LogitRequest {
                    logit_ids: request.outputs.logit_ids,
                    normalizer: request.outputs.normalizer,
                });
            }
            start += tokens;
        }
        pass.return_states(output.x);
        let mut found = logits(&self.decoder, isa, workers, &states, &logit_requests).into_iter();
        for (request, answer) in own.iter().zip(&mut output.answers) {
            let places = request.outputs.logits_at.list(request.tokens.len()).len();
            for (logits, normalizer) in found.by_ref().take(places) {
                answer.logits.push(logits);
                answer.normalizers.extend(normalizer);
            }
        }
        if self.memory_budget.is_some() {
            self.buffers.clear();
        }
        output.answers
    }

    /// Does nothing but the matrix products that `tokens` tokens need in the layers when all of them are read, on all
    /// threads: the floor of a pass, for measurements of how close it comes.
    pub fn products_alone(&self, tokens: usize) {
        let (isa, buffers) = (self.info.isa, &self.buffers);
        let layers = 0..self.info.layers;
        let format = self.format;
        let pass =
            Pass { decoder: &self.decoder, isa, buffers, format, layers, states: None, keys_only: false };
        self.pool.install(|| pass.products_alone(tokens, self.info.threads));
    }

    /// Keys and values of a text that others continue: [`DecoderModel::forward`] with nothing but a cache wanted.
    ///
    /// # Errors
    /// As [`DecoderModel::forward`].
    pub fn prefill(&self, tokens: &[u32], cache: Option<&KvCache>) -> Result<KvCache, LmError> {
        let outputs = crate::decoder::request::OutputRequest { cache: true, ..Default::default() };
        let request = Request { tokens, cache, pattern: Default::default(), adapter: None, outputs };
        let answer = self.forward(&[request])?.pop();
        Ok(answer.and_then(|answer| answer.cache).unwrap_or_default())
    }
}

/// The one GGUF file of a directory that has no config.json.
fn only_gguf(directory: &Path) -> Result<Option<PathBuf>, LmError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(LmError::io(directory))? {
        let path = entry.map_err(LmError::io(directory))?.path();
        if path.extension().is_some_and(|e| e == "gguf") {
            found.push(path);
        }
    }
    found.sort();
    if let Some((first, (_, parts))) = found.iter().find_map(|path| Some((path, part_of(path)?))) {
        return Err(split_error(first, parts.into()));
    }
    match found.len() {
        0 => Ok(None),
        1 => Ok(found.pop()),
        count => Err(LmError::Argument(format!(
            "{}: {count} GGUF files and no config.json; name the file that is meant",
            directory.display()
        ))),
    }
}
