//! `plackett synth answers`: two collections over the same questions, one of people's answers and one of a model's.

use crate::command::number::whole;
use crate::command::output_folder::check_output_folder;
use crate::command::paths::Paths;
use crate::command::{Global, Outcome, Output};
use anyhow::anyhow;
use clap::Args;
use plackett_core::formats::{AtomicFile, read_json_lines};
use plackett_train::synth::answers::{
    AnswerCollections, AnswerProfile, AnswerRecord, Author, Split, Triples,
};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Two BEIR folders from questions with answers of people and of a model: corpus, queries, judgments by part, triples to learn from
#[derive(Args)]
#[command(
    after_help = "Each line is {\"question\": …, \"human_answers\": […], \"model_answers\": […], \"domain\": …}; each domain\n\
                  is split by itself, in the order of the file: 28.5 % for the test, 2.5 % to choose by (dev). The\n\
                  folders are DIR/human and DIR/model; triples.PART.tsv has question, right and wrong answer, the\n\
                  latter drawn among those of other questions. What the answers of both are like is told, by domain:\n\
                  their length, the share of the question's words in them, and the shares of their words and of\n\
                  pairs of words that are different (distinct-1 and distinct-2)."
)]
pub struct Arguments {
    /// Questions with answers, one JSON object a line
    records: PathBuf,
    /// The folder that is made
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Wrong answers for each right one [the published collection has 1000]
    #[arg(long, value_name = "N", default_value = "4", value_parser = whole::<usize>(0..=100_000))]
    negatives: usize,
    /// Seed of all draws
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..))]
    seed: u64,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default().reads("RECORDS", [&arguments.records]).check(output)?;
    check_output_folder(&arguments.output, None)?;
    let expected = "{\"question\": …, \"human_answers\": […], \"model_answers\": […]}";
    let lines = read_json_lines::<AnswerRecord>(&arguments.records, global.max_line_bytes, expected)?;
    let records: Vec<AnswerRecord> = lines.into_iter().map(|(_, record)| record).collect();
    if records.is_empty() {
        return Err(
            anyhow!("{}: there is no question; give at least one line", arguments.records.display()).into()
        );
    }
    let collections = AnswerCollections::build(&records);
    remarks(&collections).iter().for_each(|remark| output.warn(remark));
    let mut written = Vec::new();
    for (author, name) in [(Author::Human, "human"), (Author::Model, "model")] {
        let folder = arguments.output.join(name);
        collections.write(author, &folder)?;
        let triples = write_triples(&collections, author, &folder, arguments)?;
        written.push((name, author, triples));
    }
    let parts = Split::ALL
        .map(|split| (split.name(), collections.splits.iter().filter(|own| **own == split).count()));
    if output.json {
        let made: Vec<Value> = written
            .into_iter()
            .map(|(name, author, triples)| {
                json!({
                    "name": name,
                    "answers": collections.of(author).answers.len(),
                    "triples": triples,
                    "profile": collections.profile(author),
                    "domains": collections.profiles_by_domain(author),
                })
            })
            .collect();
        let parts: serde_json::Map<String, serde_json::Value> =
            parts.iter().map(|(name, count)| (name.to_string(), json!(count))).collect();
        return Ok(output.print_json(&json!({
            "questions": records.len(),
            "parts": parts,
            "collections": made,
            "output": arguments.output,
        }))?);
    }
    let parts: Vec<String> = parts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let mut text = format!("{} questions: {}\n", records.len(), parts.join(", "));
    for (name, author, triples) in written {
        let folder = arguments.output.join(name);
        let answers = collections.of(author).answers.len();
        text += &format!("{}: {answers} answers, {triples} triples\n", folder.display());
        text += &profile_line("all", &collections.profile(author));
        let domains = collections.profiles_by_domain(author);
        if domains.len() > 1 {
            text.extend(domains.iter().map(|(domain, profile)| profile_line(domain, profile)));
        }
    }
    Ok(output.print(&text)?)
}

/// What answers are like.
fn profile_line(of: &str, profile: &AnswerProfile) -> String {
    let share = |found: Option<f64>| found.map_or(String::from("–"), |share| format!("{share:.3}"));
    format!(
        "  {of}: {} answers of {:.1} words, {:.3} of the question's words, distinct-1 {}, distinct-2 {}\n",
        profile.answers,
        profile.words,
        profile.overlap,
        share(profile.distinct_1),
        share(profile.distinct_2)
    )
}

/// What was repaired or left out.
fn remarks(collections: &AnswerCollections) -> Vec<String> {
    let repairs = &collections.repairs;
    let said = [
        (repairs.blank_human, "answers of people are blank and left out; later ones keep their numbers"),
        (repairs.blank_model, "answers of the model are blank and left out; later ones keep their numbers"),
        (repairs.without_human, "questions have no answer of people"),
        (repairs.without_model, "questions have no answer of the model"),
        (repairs.respaced, "texts had line ends or tabs, which became blanks"),
    ];
    said.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
}

/// Writes the triples of each part, one at a time, and gives how many there are.
fn write_triples(
    collections: &AnswerCollections,
    author: Author,
    folder: &Path,
    arguments: &Arguments,
) -> anyhow::Result<usize> {
    let collection = collections.of(author);
    let mut count = 0;
    for split in Split::ALL {
        let path = folder.join(format!("triples.{}.tsv", split.name()));
        let mut file = AtomicFile::create(&path)?;
        for triple in Triples::new(collections, (author, split), arguments.negatives, arguments.seed) {
            let [right, wrong] = [triple.positive, triple.negative].map(|at| &collection.answers[at].0);
            writeln!(file, "{}\t{right}\t{wrong}", triple.question)?;
            count += 1;
        }
        file.commit()?;
    }
    Ok(count)
}
