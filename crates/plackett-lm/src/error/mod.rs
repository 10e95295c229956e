//! What can go wrong between a model directory and its numbers.

pub(crate) mod decode;
pub(crate) mod gguf;

use decode::DecodeError;
use gguf::GgufError;
use std::path::PathBuf;

/// What says which tensors a model has and of which shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Described {
    /// config.json of a model directory.
    Config,
    /// adapter_config.json of an adapter.
    AdapterConfig,
    /// The metadata of a GGUF file.
    Metadata,
}

impl std::fmt::Display for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Described::Config => "config.json",
            Described::AdapterConfig => "adapter_config.json",
            Described::Metadata => "the file's metadata",
        })
    }
}

/// Why a model could not be opened or run. Each message says what was found, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// A file of the model directory could not be read or written.
    #[error("{path}: {source}; check that the file exists and can be read")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that every model directory has is absent.
    #[error("{directory}: no {file} there; {}", holds(file))]
    MissingFile {
        /// The model directory.
        directory: PathBuf,
        /// The file's name.
        file: String,
    },
    /// A configuration or tokenizer file that cannot be understood.
    #[error("{path}: {problem}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A model whose family this engine does not have.
    #[error("{path}, byte {offset}: the architecture `{found}` is not supported; supported: {supported}")]
    Architecture {
        /// The configuration file, or the GGUF file.
        path: PathBuf,
        /// Where in it the architecture is named.
        offset: u64,
        /// `model_type` or the first of `architectures`.
        found: String,
        /// Names of the supported families.
        supported: String,
    },
    /// A weights file whose header and content disagree.
    #[error(
        "{path}, byte {offset}: {}{problem}; the file is damaged or not safetensors: fetch it again",
        tensor.as_ref().map(|name| format!("tensor `{name}`: ")).unwrap_or_default()
    )]
    Weights {
        /// The weights file.
        path: PathBuf,
        /// Where in the file: the tensor's entry in the header, or the first byte that is wrong.
        offset: u64,
        /// The tensor's name, where it is one tensor.
        tensor: Option<String>,
        /// What is wrong.
        problem: String,
    },
    /// A tensor that the architecture needs is not in the weights.
    #[error(
        "{path}, byte {offset}: tensor `{tensor}` is missing from the list of tensors there; the weights are not those \
         of the architecture that {described} describes"
    )]
    MissingTensor {
        /// The weights file, or the index of several.
        path: PathBuf,
        /// Where the list of tensors begins.
        offset: u64,
        /// The tensor's name in the file.
        tensor: String,
        /// What says that there should be one.
        described: Described,
    },
    /// A tensor with another shape than the configuration says.
    #[error(
        "{path}, byte {offset}: tensor `{tensor}` has shape {found:?}, expected {expected:?} from {described}"
    )]
    Shape {
        /// The weights file.
        path: PathBuf,
        /// Where the tensor's data begin.
        offset: u64,
        /// The tensor's name.
        tensor: String,
        /// What the configuration demands.
        expected: Vec<usize>,
        /// What the file has.
        found: Vec<usize>,
        /// What says which shape it should have.
        described: Described,
    },
    /// A tensor in a number format that is not read.
    #[error(
        "{path}, byte {offset}: tensor `{tensor}` is stored as {found}; F32, F16, BF16 and our own I8 are read"
    )]
    DataType {
        /// The weights file.
        path: PathBuf,
        /// Where the tensor's data begin.
        offset: u64,
        /// The tensor's name.
        tensor: String,
        /// The stored format.
        found: String,
    },
    /// The tokenizer gives ids that the embedding matrix does not have.
    #[error(
        "{path}: the tokenizer has ids up to {largest}, the embedding matrix {rows} rows; tokenizer and weights are \
         of different models"
    )]
    Vocabulary {
        /// The tokenizer file.
        path: PathBuf,
        /// The largest token id.
        largest: usize,
        /// Rows of the embedding matrix.
        rows: usize,
    },
    /// A text that the tokenizer refuses.
    #[error("text {index} of the call: {problem}")]
    Tokenization {
        /// Position in the call, from 0.
        index: usize,
        /// What the tokenizer said.
        problem: String,
    },
    /// The model has no such head.
    #[error("{model} cannot {wanted}: {reason}")]
    Unsupported {
        /// The model's name.
        model: String,
        /// What was asked for.
        wanted: String,
        /// Why not, and what could.
        reason: String,
    },
    /// The work does not fit into the memory budget even one sequence at a time.
    #[error(
        "a sequence of {tokens} tokens needs {needed} bytes, the memory budget is {budget}; raise --memory-budget or shorten the text"
    )]
    MemoryBudget {
        /// Tokens of the sequence.
        tokens: usize,
        /// Bytes it needs, weights included.
        needed: usize,
        /// The budget.
        budget: usize,
    },
    /// Weights, caches and answers do not fit into the memory budget, whatever is done one after the other.
    #[error(
        "weights, caches and answers of {requests} requests take {needed} bytes, the memory budget is {budget}; ask for less in one call or raise --memory-budget"
    )]
    MemoryBudgetOfAnswers {
        /// Requests of the call.
        requests: usize,
        /// Bytes, buffers not yet included.
        needed: usize,
        /// The budget.
        budget: usize,
    },
    /// A GGUF file whose header, metadata or tensor table cannot be used.
    #[error("{path}, {source}")]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the key or tensor and the byte offset.
        source: GgufError,
    },
    /// A file of cached blocks that is damaged, or of a version that this one does not read.
    #[error("{path}, byte {offset}: {problem}; write the block store again")]
    BlockStore {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A file of cached blocks that was written with another model, or for another number format.
    #[error("{path}: {what} of its blocks is {found}, of the open model {expected}; {remedy}")]
    BlockModel {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the file has.
        found: String,
        /// What the model has.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A chat template that does not parse, fails, refuses the messages or does not end.
    #[error("{origin}{}: {problem}", line.map(|l| format!(", line {l} of the template")).unwrap_or_default())]
    ChatTemplate {
        /// The file of the template, and the key inside it.
        origin: String,
        /// Line of the template, from 1, when it is known.
        line: Option<usize>,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A constraint that cannot be made, or a decode that cannot go on.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A model outside of this engine, such as a server, gave no usable answer, or was not asked.
    #[error(transparent)]
    External(Box<dyn std::error::Error + Send + Sync>),
    /// An argument of a call that cannot be used.
    #[error("{0}")]
    Argument(String),
}

impl LmError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> LmError {
        let path = path.into();
        move |source| LmError::Io { path, source }
    }
}

/// What the directory holds that has such a file.
fn holds(file: &str) -> &'static str {
    if file.starts_with("adapter") {
        "an adapter's directory, as PEFT saves it, holds adapter_config.json and adapter_model.safetensors"
    } else {
        "a model directory holds config.json, tokenizer.json and model.safetensors"
    }
}
