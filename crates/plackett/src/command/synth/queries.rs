//! `plackett synth queries`: queries that a model writes for a few documents of an index, as a collection to learn from.

use super::kept::{Kept, take_up};
use super::negatives::band;
use super::{model_hash, open_language_model};
use crate::command::number::{by, real, whole};
use crate::command::open::{many, many_queries, open_index, read_lines, remark_on_version};
use crate::command::output_folder::check_output_folder;
use crate::command::paths::Paths;
use crate::command::{Global, Outcome, Output};
use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use plackett::Pipeline;
use plackett::manifest::{InputHash, ModelHash, RunSettings};
use plackett::negative_mining::RankBand;
use plackett::pipeline::Models;
use plackett::query_synthesis::{
    CleanedQueries, DocumentSample, EXAMPLES_FILE, Negatives, QueryCollection, QueryPrompt, QuerySearch,
    QuerySynthesisError, QueryWriter, RoundTrip, SampleBy, SampledDocuments, TRIPLES_FILE, USUAL_EXAMPLES,
    WrittenLists, hash_of,
};
use plackett::replies::Reply;
use plackett::unfinished::Unfinished;
use plackett_rank::Settings;
use plackett_rank::model::{LanguageModel, Sampling};
use plackett_search::Index;
use plackett_train::synth::{QueryLetters, WithinCluster};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The temperature of several queries for a document, where nobody says another one.
const USUAL_TEMPERATURE: f64 = 0.8;

/// Queries for the documents of an index, to learn from where nobody has asked yet: a sample of documents, a query for each, those of use kept
/// (DUQGen)
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett synth queries my.index -o asked --round-trip 10\n  \
                        plackett synth queries my.index -o asked --count 1000 --negatives 4 --prompt ask.txt\n  \
                        plackett synth queries my.index -o asked --per-document 3 \\\n    \
                        --model 'remote:https://api.openai.com/v1/chat/completions#model=gpt-4o,key=OPENAI_API_KEY'\n\n\
                        The folder has queries.jsonl, qrels/train.tsv (each query's own document) and README.md, a data card\n\
                        with the prompt, the hashes of what it was made from and how many queries were left out, by kind:\n\
                        empty, not of ASCII (but for --any-letters), of more than 30 words, written before, and with\n\
                        --round-trip not finding their document. The documents stay in the index. With --negatives it has\n\
                        examples.jsonl too, as `plackett train` reads it, and with --triples triples.tsv: query, right and\n\
                        wrong document with tabs between them. A prompt of one's own is a text with {document} where the\n\
                        document goes; the model goes on with the query. A killed run goes on when the same command is\n\
                        given again; the same seed gives the same files of the same index.")]
pub struct Arguments {
    /// Index whose documents are asked about, made by `plackett index`
    index: PathBuf,
    /// The folder that is made
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Write the queries anew where the folder has some: the old ones stay until then
    #[arg(long)]
    overwrite: bool,
    /// Model that writes: directory, Hugging Face id, built-in name or remote:URL
    #[arg(long, short, value_name = "MODEL", default_value = "SmolLM2-135M-Instruct")]
    model: String,
    /// Documents that are asked about
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole::<usize>(1..))]
    count: usize,
    /// How they are chosen
    #[arg(long, value_enum, default_value = "diverse")]
    sample: Sample,
    /// Clusters of the documents' vectors, each of which gives documents by its size [default: as many as --count]
    #[arg(long, value_name = "K", value_parser = whole::<usize>(1..))]
    clusters: Option<usize>,
    /// Documents with fewer characters are not asked about
    #[arg(long, value_name = "N", default_value = "300", value_parser = whole::<usize>(0..))]
    characters: usize,
    /// Queries that are written for each document
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<usize>(1..=1000))]
    per_document: usize,
    /// Temperature of draws [default: the most probable words, and 0.8 with several queries for a document]
    #[arg(long, value_name = "T", value_parser = real(" above 0", |x| x > 0.0))]
    temperature: Option<f64>,
    /// Text that the model goes on with, with {document} in it [default: three documents with their queries, and the document]
    #[arg(long, value_name = "FILE")]
    prompt: Option<PathBuf>,
    /// The prompt is what a user says: write it out with the model's chat template
    #[arg(long)]
    chat: bool,
    /// Words of a document that the model reads
    #[arg(long, value_name = "N", default_value = "80", value_parser = whole::<usize>(1..))]
    words: usize,
    /// Most tokens of a query
    #[arg(long, value_name = "N", default_value = "32", value_parser = whole::<usize>(1..=4096))]
    tokens: usize,
    /// Keep queries with letters that are not of ASCII: for languages other than English
    #[arg(long)]
    any_letters: bool,
    /// Seed of all draws
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..))]
    seed: u64,
    /// Leave out queries whose document is not among the first DEPTH that a search finds
    #[arg(long, value_name = "DEPTH", value_parser = whole::<usize>(1..))]
    round_trip: Option<usize>,
    /// Negatives of each query, in lists to learn from
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..))]
    negatives: Option<usize>,
    /// Ranks of a search that they come from [default: 93-100]
    #[arg(long, value_name = "FROM-TO", requires = "negatives", value_parser = by(band))]
    ranks: Option<RankBand>,
    /// Write query, right and wrong document of each negative too, as lines of triples.tsv
    #[arg(long, requires = "negatives")]
    triples: bool,
    /// How --round-trip and --negatives search, as `plackett search` does [default: as there]
    #[arg(long, short, value_name = "EXPR")]
    pipeline: Option<String>,
}

/// How documents are chosen.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sample {
    /// From clusters of their vectors, by the sizes of these: drawn near the middle of each
    Diverse,
    /// From such clusters, those nearest to the middle of each
    Central,
    /// From such clusters, at random in each
    Spread,
    /// At random, without clusters
    Uniform,
}

impl Arguments {
    /// Refuses flags without an effect.
    fn check(&self) -> anyhow::Result<()> {
        match (self.sample, self.clusters) {
            (Sample::Uniform, Some(_)) => {
                bail!("--clusters: --sample uniform makes none; leave one of them out")
            }
            (_, Some(clusters)) if clusters > self.count => bail!(
                "--clusters {clusters}: each gives a document, and --count asks for {}; give at most as many clusters",
                self.count
            ),
            _ => {}
        }
        if self.pipeline.is_some() && self.round_trip.is_none() && self.negatives.is_none() {
            bail!("--pipeline: nothing is searched without --round-trip or --negatives; leave it out");
        }
        Ok(())
    }

    fn sample(&self) -> DocumentSample {
        DocumentSample {
            documents: self.count,
            by: match self.sample {
                Sample::Diverse => SampleBy::Clusters(self.clusters, WithinCluster::Drawn),
                Sample::Central => SampleBy::Clusters(self.clusters, WithinCluster::Central),
                Sample::Spread => SampleBy::Clusters(self.clusters, WithinCluster::Uniform),
                Sample::Uniform => SampleBy::Uniform,
            },
            characters: self.characters,
            seed: self.seed,
        }
    }

    /// How the model draws; `None` for the most probable words.
    fn sampling(&self) -> Option<Sampling> {
        let usual = (self.per_document > 1).then_some(USUAL_TEMPERATURE);
        let temperature = self.temperature.or(usual)?;
        Some(Sampling { seed: self.seed, temperature, top_p: None })
    }

    fn letters(&self) -> QueryLetters {
        if self.any_letters { QueryLetters::Any } else { QueryLetters::Ascii }
    }

    fn prompt(&self) -> anyhow::Result<QueryPrompt> {
        let Some(path) = &self.prompt else {
            return Ok(QueryPrompt::of_examples(&USUAL_EXAMPLES, self.words));
        };
        let text = read_lines(path)?.join("\n");
        let wrong = |problem: String| anyhow!("--prompt {}: {problem}", path.display());
        QueryPrompt::of_text(&text, self.words).map_err(wrong)
    }

    fn open_model(&self, global: &Global) -> anyhow::Result<Arc<dyn LanguageModel>> {
        let model = open_language_model("--model", &self.model, global)?;
        if self.chat && !model.has_chat_template() {
            bail!("--chat: {} has no chat template; leave it out", self.model);
        }
        Ok(model)
    }

    /// What queries are searched with; `None` where nothing is searched.
    fn pipeline(&self, index: &Index, global: &Global, output: &Output) -> anyhow::Result<Option<Pipeline>> {
        let deepest =
            self.negatives.map(|_| self.ranks.unwrap_or(RankBand::DUQGEN).last()).max(self.round_trip);
        let Some(depth) = deepest else { return Ok(None) };
        let expression = self.pipeline.as_deref().unwrap_or_else(|| Pipeline::default_for(index));
        let models = Models::new(None, global.models());
        let pipeline = Pipeline::resolve(expression, Some(index), &models, &Settings::default())?;
        if let Some(remark) = pipeline.shortened(depth) {
            output.warn(&remark);
        }
        Ok(Some(pipeline))
    }

    /// Refuses a folder in which anything else would be written over. `kept` is where a killed run has left its replies.
    fn check_folder(&self, kept: &Path) -> anyhow::Result<()> {
        let folder = &self.output;
        if !QueryCollection::is_in(folder) {
            return check_output_folder(folder, None);
        }
        // A killed run may have begun to write there.
        if self.overwrite || kept.is_file() {
            return Ok(());
        }
        bail!(
            "--output: {} has queries already; write them anew with --overwrite, or name a new folder",
            folder.display()
        )
    }

    /// What the replies of the model depend on.
    fn settings(&self, sampled: &SampledDocuments, model: ModelHash) -> anyhow::Result<RunSettings> {
        let sampling = self.sampling();
        let recorded = [
            ("model", json!(self.model)),
            ("count", json!(self.count)),
            ("sample", json!(self.sample().to_string())),
            ("per_document", json!(self.per_document)),
            ("temperature", json!(sampling.map(|sampling| sampling.temperature))),
            ("seed", json!(self.seed)),
            ("prompt", json!(self.prompt)),
            ("chat", json!(self.chat)),
            ("words", json!(self.words)),
            ("tokens", json!(self.tokens)),
        ];
        let recorded: Map<String, Value> =
            recorded.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let mut inputs = vec![InputHash {
            flag: format!("INDEX (documents: {})", self.sample()),
            path: self.index.clone(),
            sha256: Some(hash_of(&sampled.documents)),
            bytes: None,
        }];
        if let Some(prompt) = &self.prompt {
            inputs.push(InputHash::of("--prompt", prompt)?);
        }
        Ok(RunSettings::without_stages("synth queries", recorded, vec![model], inputs)?)
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let files = Paths::default().opens("INDEX", [&arguments.index]).reads("--prompt", &arguments.prompt);
    files.opens("--model", [&arguments.model]).check(output)?;
    arguments.check()?;
    let path = kept_file(&arguments.output)?;
    arguments.check_folder(&path)?;
    let index = open_index(&arguments.index)?;
    remark_on_version(&index, output);
    let prompt = arguments.prompt()?;
    let pipeline = arguments.pipeline(&index, global, output)?;
    let search = pipeline.as_ref().map(|pipeline| QuerySearch { index: &index, pipeline });
    let model = arguments.open_model(global)?;
    let hash = model_hash(Some(arguments.model.as_str()), global)?;
    // A server is told by its address alone.
    let weights = hash.sha256.clone().unwrap_or_else(|| hash.name.clone());
    let sampled = arguments.sample().of(&index)?;
    without_vector(&sampled).iter().for_each(|remark| output.warn(remark));
    let mut kept = begin(&path, &arguments.settings(&sampled, hash)?, output)?;
    let resumed = kept.resumed;
    let texts = write(arguments, model.as_ref(), (&sampled, &prompt), &mut kept, output)?;
    let round_trip = search.zip(arguments.round_trip).map(|(search, depth)| RoundTrip { search, depth });
    let bar = output.progress("searching", texts.len() as u64);
    let moved = |done: usize| bar.set_position(done as u64);
    let (documents, letters) = (&sampled.documents, arguments.letters());
    let queries = CleanedQueries::read(documents, &texts, letters, round_trip.as_ref(), &moved)?;
    bar.finish_and_clear();
    tell_left_out(&queries, &path, output)?;
    let collection = QueryCollection {
        documents,
        queries: &queries,
        sample: arguments.sample(),
        model: &arguments.model,
        prompt: &prompt,
        sampling: arguments.sampling(),
        round_trip: round_trip.as_ref(),
        sources: vec![(format!("model {}", arguments.model), weights)],
    };
    collection.write(&arguments.output, false)?;
    let lists = write_lists(arguments, search, (&sampled, &queries), output)?;
    kept.remove()?;
    say(arguments, (&sampled, resumed, &queries), lists, output)
}

/// What is to be said of documents that cannot be clustered.
fn without_vector(sampled: &SampledDocuments) -> Option<String> {
    let documents = many(sampled.without_vector, "document");
    (sampled.without_vector > 0).then(|| {
        format!("left out: {documents} without a vector to be clustered by; --sample uniform needs none")
    })
}

/// Where replies are kept until the collection is written: beside its folder.
fn kept_file(output: &Path) -> anyhow::Result<PathBuf> {
    let whole = std::path::absolute(output).with_context(|| format!("--output {}", output.display()))?;
    Ok(Unfinished::path_for(whole.components().as_path()))
}

/// Begins to keep replies, in a folder that is made where it is missing, or goes on with those of a killed run.
fn begin(path: &Path, settings: &RunSettings, output: &Output) -> anyhow::Result<Kept<Reply>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("--output: {}", folder.display()))?;
    }
    Ok(Kept::new(Some(take_up(path, settings, output)?)))
}

/// Lets the model write; gives what is written for the first document, for the second …
fn write(
    arguments: &Arguments,
    model: &dyn LanguageModel,
    (sampled, prompt): (&SampledDocuments, &QueryPrompt),
    kept: &mut Kept<Reply>,
    output: &Output,
) -> anyhow::Result<Vec<String>> {
    let writer = QueryWriter {
        model,
        prompt,
        chat: arguments.chat,
        tokens: arguments.tokens,
        each: arguments.per_document,
        sampling: arguments.sampling(),
    };
    let count = sampled.documents.len() * arguments.per_document;
    let bar = output.progress("queries", count as u64);
    let moved = |done: usize| bar.set_position(done as u64);
    let options = writer.options();
    let known = std::mem::take(&mut kept.known);
    let mut keep = |new: &[(u64, Reply)]| -> Result<(), QuerySynthesisError> { Ok(kept.add(new.to_vec())?) };
    let replies = writer.replies(&options, &moved).to(&writer.prompts(&sampled.documents), known, &mut keep);
    bar.finish_and_clear();
    let replies = replies.with_context(|| kept.interrupted())?;
    Ok(replies.iter().map(|reply| reply.text().to_string()).collect())
}

/// Says what was left out.
///
/// # Errors
/// Nothing is of use.
fn tell_left_out(queries: &CleanedQueries, kept: &Path, output: &Output) -> anyhow::Result<()> {
    for (reason, count) in &queries.left_out {
        output.warn(&format!("left out: {}, {}", many_queries(*count), reason.words()));
    }
    if queries.kept.is_empty() {
        bail!(
            "of {} none is of use, and no collection was written; remove {} and take a stronger model or another --prompt, or give the same \
             command without --round-trip",
            many_queries(queries.written),
            kept.display()
        );
    }
    Ok(())
}

/// Writes lists to learn from, where there is a search and they are asked for; gives how many. Those of an earlier run are removed.
fn write_lists(
    arguments: &Arguments,
    search: Option<QuerySearch<'_>>,
    (sampled, queries): (&SampledDocuments, &CleanedQueries),
    output: &Output,
) -> anyhow::Result<Option<WrittenLists>> {
    for name in [EXAMPLES_FILE, TRIPLES_FILE] {
        let old = arguments.output.join(name);
        if old.is_file() {
            std::fs::remove_file(&old).with_context(|| old.display().to_string())?;
        }
    }
    let Some((search, most)) = search.zip(arguments.negatives) else { return Ok(None) };
    let ranks = arguments.ranks.unwrap_or(RankBand::DUQGEN);
    let bar = output.progress("negatives", queries.kept.len() as u64);
    let moved = |done: usize| bar.set_position(done as u64);
    let negatives = Negatives { search, ranks, most, triples: arguments.triples };
    let written = negatives.write(&sampled.documents, &queries.kept, &arguments.output, &moved)?;
    bar.finish_and_clear();
    let without = queries.kept.len() - written.lists;
    if without > 0 {
        let without = many_queries(without);
        output.warn(&format!("no list for {without}: no negative is found on the ranks {ranks}"));
    }
    Ok(Some(written))
}

/// Says what came out.
fn say(
    arguments: &Arguments,
    (sampled, resumed, queries): (&SampledDocuments, usize, &CleanedQueries),
    written: Option<WrittenLists>,
    output: &Output,
) -> Outcome {
    let documents = sampled.documents.len();
    if output.json {
        let left_out: Map<String, Value> =
            queries.left_out.iter().map(|(reason, count)| (reason.words().into(), json!(count))).collect();
        return Ok(output.print_json(&json!({
            "documents": documents,
            "too_short": sampled.too_short,
            "without_vector": sampled.without_vector,
            "written": queries.written,
            "queries": queries.kept.len(),
            "left_out": left_out,
            "lists": written.map(|written| written.lists),
            "triples": written.filter(|_| arguments.triples).map(|written| written.triples),
            "resumed": resumed,
            "output": arguments.output,
        }))?);
    }
    let folder = arguments.output.display();
    let (kept, asked) = (many_queries(queries.kept.len()), many(documents, "document"));
    output.print(&format!("{folder}: {kept} of {} written for {asked}\n", queries.written))?;
    if sampled.too_short > 0 {
        let (short, all) = (sampled.too_short, sampled.all);
        output.print(&format!("{short} of {all} documents were too short to be asked about\n"))?;
    }
    let next = match written {
        Some(WrittenLists { lists, .. }) if lists > 0 => {
            format!("plackett train FILE.toml -o DIR, with examples = \"{folder}/{EXAMPLES_FILE}\"")
        }
        _ => {
            let index = arguments.index.display();
            format!("plackett search {index} --queries {folder} --format trec > run.trec")
        }
    };
    Ok(output.print(&format!("\nTry next: {next}\n"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_kept_beside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let kept = kept_file(&folder.path().join("asked/")).unwrap();
        assert_eq!(kept, folder.path().join("asked.unfinished"));
    }
}
