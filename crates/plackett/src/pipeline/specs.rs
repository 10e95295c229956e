//! First stages and fusions: what there is, what can be written of each, and how that becomes what runs.

use super::PipelineError;
use super::build::{Builder, wrong};
use super::generator::DocidForm;
use super::ngrams::{NgramSearch, NgramSettings};
use super::run::FirstStage;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues, nearest, suggestion};
use plackett_core::fusion::{Method, Normalisation};
use plackett_core::pipeline as syntax;
use plackett_genir::corpus_ngrams::IntersectiveScoring;
use plackett_search::{DenseMethod, DenseSearch, Lengths, Rm3};
use std::str::FromStr;

/// The most beams of a query that writes docids.
const MOST_BEAMS: i64 = 10_000;
/// Most docids of one list.
const MOST_TITLES: i64 = 100;
/// Most category paths of a query, below each of which beams write docids.
const MOST_PATHS: i64 = 1000;
/// Most tokens of an n-gram.
const LONGEST_NGRAM: i64 = 100;
/// The largest power of an n-gram's score.
const LARGEST_ALPHA: f64 = 100.0;
/// The largest k1, weight of a field or constant of a fusion.
const LARGEST: f64 = 1e6;

/// A stage that finds candidates: a line of [`FIRST_STAGES`].
pub struct FirstStageSpec {
    /// The name in expressions.
    pub name: &'static str,
    /// What it does, in one sentence without a full stop.
    pub summary: &'static str,
    /// What can be chosen.
    pub options: &'static [OptionSpec],
    /// Checks it against the index and opens its model.
    pub(super) open: fn(&mut Builder<'_>, &syntax::Stage, &OptionValues) -> Result<FirstStage, PipelineError>,
}

/// One order from several: a line of [`FUSIONS`].
pub struct FusionSpec {
    /// The name in expressions.
    pub name: &'static str,
    /// What it does, in one sentence without a full stop.
    pub summary: &'static str,
    /// What can be chosen, besides its inputs.
    pub options: &'static [OptionSpec],
    pub(super) method: fn(&OptionValues) -> Method,
}

/// All first stages.
pub static FIRST_STAGES: &[&FirstStageSpec] = &[&BM25, &DENSE, &GENERATE, &NGRAMS];
/// All fusions.
pub static FUSIONS: &[&FusionSpec] = &[&RRF, &COMBSUM, &COMBMNZ, &BORDA];

impl FirstStageSpec {
    /// That of a name.
    pub fn find(name: &str) -> Option<&'static FirstStageSpec> {
        FIRST_STAGES.iter().copied().find(|spec| spec.name == name)
    }
}

impl FusionSpec {
    /// That of a name.
    pub fn find(name: &str) -> Option<&'static FusionSpec> {
        FUSIONS.iter().copied().find(|spec| spec.name == name)
    }
}

/// The names of what a pipeline can begin with: first stages and fusions.
pub fn beginnings() -> Vec<&'static str> {
    FIRST_STAGES.iter().map(|spec| spec.name).chain(FUSIONS.iter().map(|spec| spec.name)).collect()
}

static BM25: FirstStageSpec = FirstStageSpec {
    name: "bm25",
    summary: "finds documents that have words of the query, rare ones above all",
    options: &[
        OptionSpec {
            name: "k1",
            kind: OptionKind::Number(0.0, LARGEST),
            default: None,
            help: "how much it counts that a word comes often; without it 0.9",
        },
        OptionSpec {
            name: "b",
            kind: OptionKind::Number(0.0, 1.0),
            default: None,
            help: "how much long documents are held back; without it 0.4",
        },
        OptionSpec {
            name: "weights",
            kind: OptionKind::Text("FIELD:NUMBER/…"),
            default: None,
            help: "weights of the searched fields, as in title:2/text:1; one that is not named weighs 1",
        },
        OptionSpec {
            name: "lengths",
            kind: OptionKind::Choice(&["exact", "lucene"]),
            default: Some("exact"),
            help: "lengths of documents as they were counted, or as Lucene rounds them",
        },
        OptionSpec {
            name: "rm3",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "adds words of the best documents of a first search to the query",
        },
        OptionSpec {
            name: "fb_docs",
            kind: OptionKind::Integer(1, i64::MAX),
            default: Some("10"),
            help: "with rm3, documents whose words are looked at",
        },
        OptionSpec {
            name: "fb_terms",
            kind: OptionKind::Integer(1, i64::MAX),
            default: Some("10"),
            help: "with rm3, words that are added",
        },
        OptionSpec {
            name: "fb_weight",
            kind: OptionKind::Number(0.0, 1.0),
            default: Some("0.5"),
            help: "with rm3, the share of the query as it was asked",
        },
        FILTER,
    ],
    open: bm25,
};

static DENSE: FirstStageSpec = FirstStageSpec {
    name: "dense",
    summary: "finds documents whose vectors are near that of the query",
    options: &[SEARCH, EF, FROM, FILTER],
    open: dense,
};

static GENERATE: FirstStageSpec = FirstStageSpec {
    name: "generate",
    summary: "lets a model write the docids of what answers the query",
    options: &[
        OptionSpec {
            name: "model",
            kind: OptionKind::Text("DIR"),
            default: None,
            help: "the folder of the retriever, which `plackett ids learn` makes; it must be named",
        },
        OptionSpec {
            name: "beams",
            kind: OptionKind::Integer(1, MOST_BEAMS),
            default: None,
            help: "sequences that are kept, or drawn; without it as many as documents are asked for",
        },
        OptionSpec {
            name: "decoding",
            kind: OptionKind::Choice(&["beams", "draws"]),
            default: Some("beams"),
            help: "a beam search, or draws with reverse annealing",
        },
        OptionSpec {
            name: "seed",
            kind: OptionKind::Integer(0, i64::MAX),
            default: None,
            help: "with decoding=draws, what the draws follow from; without it 1",
        },
        OptionSpec {
            name: "paths",
            kind: OptionKind::Integer(1, MOST_PATHS),
            default: None,
            help: "for a model that learned category paths, how many of them a query gets before docids are written below each",
        },
        OptionSpec {
            name: "titles",
            kind: OptionKind::Integer(2, MOST_TITLES),
            default: None,
            help: "for a model that learned lists of docids, how many a beam may write one after another, none twice",
        },
    ],
    open: generate,
};

static NGRAMS: FirstStageSpec = FirstStageSpec {
    name: NgramSearch::NAME,
    summary: "lets a language model write n-grams that occur in documents, and finds the documents that have them (SEAL)",
    options: &[
        OptionSpec {
            name: "model",
            kind: OptionKind::Text("MODEL"),
            default: None,
            help: "the decoder or encoder–decoder that writes: directory, Hugging Face id or built-in name; it must be named",
        },
        OptionSpec {
            name: "beams",
            kind: OptionKind::Integer(1, MOST_BEAMS),
            default: Some("15"),
            help: "n-grams with which the search goes on at each token",
        },
        OptionSpec {
            name: "length",
            kind: OptionKind::Integer(1, LONGEST_NGRAM),
            default: Some("10"),
            help: "tokens of an n-gram at most; all shorter ones on the way there count too",
        },
        OptionSpec {
            name: "alpha",
            kind: OptionKind::Number(0.0, LARGEST_ALPHA),
            default: Some("2"),
            help: "the power of an n-gram's score in the sum; the greater it is, the less weak n-grams count",
        },
        OptionSpec {
            name: "beta",
            kind: OptionKind::Number(0.0, 1.0),
            default: Some("0.8"),
            help: "how much an n-gram loses whose tokens better ones of the document have already",
        },
        OptionSpec {
            name: "prompt",
            kind: OptionKind::Text("FILE or name"),
            default: None,
            help: "what the model reads: a TOML file, or ngrams, ngrams-chat or ngrams-query; without it ngrams",
        },
    ],
    open: ngrams,
};

static RRF: FusionSpec = FusionSpec {
    name: "rrf",
    summary: "sums one over a constant and the rank (reciprocal rank fusion)",
    options: &[
        OptionSpec {
            name: "k",
            kind: OptionKind::Number(0.0, LARGEST),
            default: Some("60"),
            help: "the constant; the greater it is, the less the first ranks count",
        },
        WEIGHTS,
    ],
    method: |options| Method::ReciprocalRank { k: options.number("k") },
};

static COMBSUM: FusionSpec = FusionSpec {
    name: "combsum",
    summary: "sums the scores of the inputs",
    options: &[NORM, WEIGHTS],
    method: |options| Method::Sum(normalisation(options)),
};

static COMBMNZ: FusionSpec = FusionSpec {
    name: "combmnz",
    summary: "sums the scores of the inputs, times how many inputs have the document",
    options: &[NORM, WEIGHTS],
    method: |options| Method::Mnz(normalisation(options)),
};

static BORDA: FusionSpec = FusionSpec {
    name: "borda",
    summary: "sums points by rank, as many as documents stand below",
    options: &[WEIGHTS],
    method: |_| Method::Borda,
};

pub(super) const SEARCH: OptionSpec = OptionSpec {
    name: "search",
    kind: OptionKind::Choice(&["auto", "exact", "hnsw"]),
    default: Some("auto"),
    help: "looks at all vectors, or follows the graph, or chooses by how many there are",
};

pub(super) const EF: OptionSpec = OptionSpec {
    name: "ef",
    kind: OptionKind::Integer(1, i64::MAX),
    default: None,
    help: "candidates that a search through the graph keeps; without it 128, or as many as are asked for",
};

pub(super) const FROM: OptionSpec = OptionSpec {
    name: "from",
    kind: OptionKind::Integer(1, i64::MAX),
    default: None,
    help: "with search=auto, vectors from which the graph is followed; without it 20000",
};

pub(super) const FILTER: OptionSpec = OptionSpec {
    name: "filter",
    kind: OptionKind::Text("FILTER"),
    default: None,
    help: "documents that may be found, by their metadata (docs/filters.md)",
};

const NORM: OptionSpec = OptionSpec {
    name: "norm",
    kind: OptionKind::Choice(&["min-max", "z-score", "none"]),
    default: Some("min-max"),
    help: "how the scores of an input are brought to one scale",
};

const WEIGHTS: OptionSpec = OptionSpec {
    name: "weights",
    kind: OptionKind::Text("NUMBER/…"),
    default: None,
    help: "a weight for each input, in their order, as in 2/1; without it they count the same",
};

/// What was written of a stage.
pub(super) fn read(
    owner: &'static str,
    specs: &[OptionSpec],
    stage: &syntax::Stage,
) -> Result<OptionValues, PipelineError> {
    let written = stage.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    OptionValues::parse(owner, specs, written).map_err(|e| wrong(&stage.to_string(), e))
}

fn bm25(
    builder: &mut Builder<'_>,
    stage: &syntax::Stage,
    options: &OptionValues,
) -> Result<FirstStage, PipelineError> {
    let lengths = Lengths::from_str(options.choice("lengths"));
    let weights = match (options.get_text("weights"), builder.fields()) {
        (Some(text), Some(fields)) => field_weights(stage, text, fields)?,
        _ => Vec::new(),
    };
    Ok(FirstStage::Bm25 {
        k1: options.get_number("k1"),
        b: options.get_number("b"),
        weights,
        lengths: lengths.map_err(|e| wrong(&stage.to_string(), e))?,
        rm3: rm3(stage, options)?,
        filter: builder.filter(stage, options)?,
    })
}

/// Query expansion, when it is asked for.
fn rm3(stage: &syntax::Stage, options: &OptionValues) -> Result<Option<Rm3>, PipelineError> {
    let on = options.switch("rm3");
    match options.given().iter().find(|(key, _)| key.starts_with("fb_")) {
        Some((key, _)) if !on => {
            Err(wrong(&stage.to_string(), format!("`{key}` is a setting of RM3; write rm3=true with it")))
        }
        _ => Ok(on.then(|| Rm3 {
            documents: options.count("fb_docs"),
            terms: options.count("fb_terms"),
            original_weight: options.number("fb_weight"),
            ..Rm3::default()
        })),
    }
}

fn dense(
    builder: &mut Builder<'_>,
    stage: &syntax::Stage,
    options: &OptionValues,
) -> Result<FirstStage, PipelineError> {
    let search = dense_search(stage, options)?;
    let filter = builder.filter(stage, options)?;
    builder.check_dense(stage, &search)?;
    builder.open_embedder(stage)?;
    Ok(FirstStage::Dense { search, filter })
}

/// How vectors are searched: `search=auto|exact|hnsw`, `ef=` for searches through the graph, `from=` for auto.
pub(super) fn dense_search(
    stage: &syntax::Stage,
    options: &OptionValues,
) -> Result<DenseSearch, PipelineError> {
    let said = |problem: &str| wrong(&stage.to_string(), problem);
    let method = DenseMethod::from_str(options.choice("search")).map_err(|e| said(&e))?;
    let (ef, from) = (options.get_count("ef"), options.get_count("from"));
    if ef.is_some() && method == DenseMethod::Exact {
        return Err(said("`ef` is a setting of hnsw; an exact search has none"));
    }
    if from.is_some() && method != DenseMethod::Auto {
        return Err(said("`from` says when search=auto uses hnsw; leave it out, or search=…"));
    }
    Ok(DenseSearch { method, ef, from: from.unwrap_or(DenseSearch::default().from) })
}

fn generate(
    builder: &mut Builder<'_>,
    stage: &syntax::Stage,
    options: &OptionValues,
) -> Result<FirstStage, PipelineError> {
    let said = |problem: &str| wrong(&stage.to_string(), problem);
    let Some(folder) = options.get_text("model") else {
        return Err(said(
            "name the folder of a retriever, as in generate(model=DIR); `plackett ids learn` makes one",
        ));
    };
    let seed = options.get_integer("seed");
    let draws = match options.choice("decoding") == "draws" {
        true => Some(seed.unwrap_or(1).unsigned_abs()),
        false if seed.is_some() => {
            return Err(said("`seed` is a setting of decoding=draws; a beam search draws nothing"));
        }
        false => None,
    };
    let paths = options.get_count("paths");
    if paths.is_some() && draws.is_some() {
        return Err(said("`paths` is a setting of decoding=beams; docids below paths are not drawn"));
    }
    let titles = options.get_count("titles");
    if titles.is_some() && draws.is_some() {
        return Err(said("`titles` is a setting of decoding=beams; lists of docids are not drawn"));
    }
    let form = match (paths, titles) {
        (Some(_), Some(_)) => {
            return Err(said("`titles` writes lists of docids and `paths` one below a path; leave one out"));
        }
        (Some(paths), None) => DocidForm::BelowPaths(paths),
        (None, Some(titles)) => DocidForm::Lists(titles),
        (None, None) => DocidForm::Single,
    };
    builder.generator(stage, folder, (options.get_count("beams"), draws, form))
}

fn ngrams(
    builder: &mut Builder<'_>,
    stage: &syntax::Stage,
    options: &OptionValues,
) -> Result<FirstStage, PipelineError> {
    let Some(model) = options.get_text("model") else {
        return Err(wrong(
            &stage.to_string(),
            "name a decoder or an encoder–decoder, as in ngrams(model=SmolLM2-135M-Instruct)",
        ));
    };
    let scoring = IntersectiveScoring { alpha: options.number("alpha"), beta: options.number("beta") };
    let settings = NgramSettings {
        beams: options.count("beams"),
        length: options.count("length"),
        scoring,
        prompt: options.get_text("prompt").map(str::to_string),
    };
    builder.ngrams(stage, model, settings)
}

/// Weights of fields as `weights=title:2/text:1` or `weights="title:2,text:1"`, in the order of the index's `fields`; a
/// field that is not named weighs 1.
fn field_weights(stage: &syntax::Stage, text: &str, fields: &[String]) -> Result<Vec<f64>, PipelineError> {
    let failed = |problem: String| wrong(&stage.to_string(), problem);
    let mut weights: Vec<Option<f64>> = vec![None; fields.len()];
    for part in text.split([',', '/']) {
        let written = part.rsplit_once(':').and_then(|(field, number)| {
            let weight = number.trim().parse::<f64>().ok().filter(|weight| (0.0..=LARGEST).contains(weight));
            Some((field.trim(), weight?))
        });
        let Some((field, weight)) = written else {
            let part = part.trim();
            return Err(failed(format!(
                "the weight `{part}` is not written as a field and a number from 0, as in weights=title:2/text:1"
            )));
        };
        let Some(place) = fields.iter().position(|known| known == field) else {
            let meant = suggestion(&nearest(field, fields.iter().map(String::as_str)));
            let known = fields.join(", ");
            return Err(failed(format!("the index has no searched field `{field}`{meant}; it has {known}")));
        };
        if weights[place].replace(weight).is_some() {
            return Err(failed(format!("`{field}` has two weights; give one")));
        }
    }
    if weights.iter().all(|weight| *weight == Some(0.0)) {
        return Err(failed("all fields weigh 0, so nothing can be found; give one a weight".into()));
    }
    Ok(weights.into_iter().map(|weight| weight.unwrap_or(1.0)).collect())
}

fn normalisation(options: &OptionValues) -> Normalisation {
    match options.choice("norm") {
        "z-score" => Normalisation::ZScore,
        "none" => Normalisation::None,
        _ => Normalisation::MinMax,
    }
}

/// Weights of a fusion as `weights="2,1"` or `weights=2/1`; none where nothing was written.
pub(super) fn weights(stage: &syntax::Stage, options: &OptionValues) -> Result<Vec<f64>, PipelineError> {
    let Some(text) = options.get_text("weights") else { return Ok(Vec::new()) };
    let parsed = text.split([',', '/']).map(|part| part.trim().parse::<f64>().ok().filter(|w| w.is_finite()));
    parsed.collect::<Option<Vec<f64>>>().ok_or_else(|| {
        wrong(
            &stage.to_string(),
            format!("weights are `{text}`; write one number per input, as in weights=2/1"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::feedback::{self, FEEDBACK};
    use plackett_search::{Bm25, HNSW_FROM};

    fn values(owner: &'static str, specs: &[OptionSpec], stage: &str) -> Result<OptionValues, String> {
        let parsed: syntax::Pipeline = stage.parse().unwrap();
        read(owner, specs, &parsed.stages[0]).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_misspelt_gets_a_suggestion() {
        for (stage, said) in [
            ("bm25(fb_doc=3)", "did you mean `fb_docs`?"),
            ("bm25(lengths=lucine)", "did you mean `lucene`?"),
            ("bm25(b=2)", "b is `2`; bm25 expects a number from 0 to 1"),
            ("bm25(k1=NaN)", "k1 is `NaN`"),
        ] {
            let error = values(BM25.name, BM25.options, stage).unwrap_err();
            assert!(error.contains(said), "{stage}: {error}");
        }
        let error = values(RRF.name, RRF.options, "rrf(bm25, dense, wieghts=2/1)").unwrap_err();
        assert!(error.contains("did you mean `weights`?"), "{error}");
        let error = values(BORDA.name, BORDA.options, "borda(bm25, dense, k=2)").unwrap_err();
        assert!(error.contains("not one of the options of borda (weights)"), "{error}");
    }

    /// What the declarations say holds without a word is what the search does without one.
    #[test]
    fn declared_defaults_are_those_of_the_search() {
        let parsed: syntax::Pipeline = "bm25(rm3=true)".parse().unwrap();
        let options = read(BM25.name, BM25.options, &parsed.stages[0]).unwrap();
        assert_eq!(rm3(&parsed.stages[0], &options).unwrap(), Some(Rm3::default()));
        let usual = Bm25::default();
        assert_eq!((usual.k1, usual.b, usual.lengths), (0.9, 0.4, Lengths::Exact));
        let dense: syntax::Pipeline = "dense".parse().unwrap();
        let options = read(DENSE.name, DENSE.options, &dense.stages[0]).unwrap();
        assert_eq!(dense_search(&dense.stages[0], &options).unwrap(), DenseSearch::default());
        assert_eq!(HNSW_FROM, 20_000);
        let options = values(NGRAMS.name, NGRAMS.options, "ngrams(model=m)").unwrap();
        let scoring = IntersectiveScoring { alpha: options.number("alpha"), beta: options.number("beta") };
        assert_eq!(scoring, IntersectiveScoring::default());
        let options = values(RRF.name, RRF.options, "rrf(bm25, dense)").unwrap();
        assert_eq!((RRF.method)(&options), Method::RRF);
        let options = values(COMBSUM.name, COMBSUM.options, "combsum(bm25, dense)").unwrap();
        assert_eq!((COMBSUM.method)(&options), Method::Sum(Normalisation::MinMax));
    }

    #[test]
    fn the_page_has_every_option() {
        let page = include_str!("../../../../docs/first-stages.md");
        let first = FIRST_STAGES.iter().map(|spec| (spec.name, spec.summary, spec.options));
        let fusions = FUSIONS.iter().map(|spec| (spec.name, spec.summary, spec.options));
        for (name, summary, options) in
            first.chain(fusions).chain([(FEEDBACK, feedback::SUMMARY, feedback::OPTIONS)])
        {
            assert!(page.contains(&format!("`{name}` {summary}")), "{name}");
            for option in options {
                let row = format!("| `{}` | {} | {} |", option.name, option.expects(), option.help);
                assert!(page.contains(&row), "{name}: {row}");
            }
        }
    }
}
