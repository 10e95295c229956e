//! What was generated, as lines or as one JSON document.

use super::Arguments;
use super::asked::{Asked, Language};
use super::depths::DepthReport;
use super::engine::Prepared;
use crate::command::{Failure, Outcome, Output};
use plackett_lm::decode::{Decoded, Strategy};
use serde::Serialize;
use std::time::Duration;

/// All outputs of a command.
pub(super) struct GenerationOutput {
    pub model: String,
    pub kind: &'static str,
    pub adapter: Option<String>,
    /// Time in which the model was opened.
    pub opened: Option<Duration>,
    pub depths: DepthReport,
    pub results: Vec<Generated>,
}

/// The outputs for one prompt.
#[derive(Serialize)]
pub(super) struct Generated {
    pub index: usize,
    /// `None` when a server does not tell.
    pub prompt_tokens: Option<u64>,
    pub generated_tokens: Option<u64>,
    /// Calls of the model that this prompt was part of.
    pub passes: Option<usize>,
    /// Branches that the model ran for this prompt.
    pub branches: Option<usize>,
    /// Branches that were not complete after the most tokens.
    pub unfinished: usize,
    pub truncated: Option<Truncation>,
    pub hypotheses: Vec<Shown>,
}

/// A source that the model did not see whole.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Truncation {
    pub tokens: usize,
    pub kept: usize,
    /// Whether `tokens` is extrapolated from the beginning of the source.
    pub estimated: bool,
}

/// One output.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub written: Written,
    /// Sum over tokens; `None` when a server does not tell.
    pub log_prob: Option<f64>,
    /// The sum after length normalisation.
    pub score: Option<f64>,
    pub tokens: Option<Vec<u32>>,
    /// Tokens that had no alternative and cost nothing.
    pub forced: usize,
    /// The draw, or the group of beams.
    pub group: usize,
}

/// What an output means.
#[derive(Default, Serialize)]
pub(super) struct Written {
    pub text: String,
    /// Why a text ended: `stop`, `token` or `max-tokens`; a server's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Which of the texts of --choose or --trie, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<usize>,
    /// Numbers of --permutation, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Vec<Score>>,
}

#[derive(Serialize)]
pub(super) struct Score {
    pub id: usize,
    pub score: i64,
}

/// What is printed for people.
#[derive(Clone, Copy)]
pub(super) struct Printed {
    results: usize,
    prompts: usize,
    streamed: bool,
    /// What was said of the most tokens.
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Document<'a> {
    model: &'a str,
    kind: &'a str,
    adapter: Option<&'a str>,
    results: Vec<Row<'a>>,
    prompt_tokens: Option<u64>,
    generated_tokens: Option<u64>,
    seconds: f64,
    seconds_to_open: Option<f64>,
    #[serde(flatten)]
    depths: &'a DepthReport,
}

#[derive(Serialize)]
struct Row<'a> {
    prompt: &'a str,
    #[serde(flatten)]
    generated: &'a Generated,
}

impl Written {
    pub(super) fn text(text: &str) -> Written {
        Written { text: text.to_string(), ..Written::default() }
    }

    /// Whether the text ended because no more tokens were allowed; `length` is the servers' word.
    fn is_cut(&self) -> bool {
        self.end == Some("max-tokens") || self.finish.as_deref() == Some("length")
    }
}

impl Generated {
    /// From a decode and the meanings of its outputs.
    pub(super) fn new<O>(prompt: &Prepared, decoded: &Decoded<O>, written: Vec<Written>) -> Generated {
        let shown = decoded.hypotheses.iter().zip(written).map(|(found, written)| Shown {
            written,
            log_prob: Some(found.log_prob),
            score: Some(found.score),
            tokens: Some(found.tokens.clone()),
            forced: found.forced,
            group: found.group,
        });
        let tokens = decoded.hypotheses.iter().map(|found| found.tokens.len() as u64).sum();
        Generated {
            index: prompt.index,
            prompt_tokens: Some(prompt.ids.len() as u64),
            generated_tokens: Some(tokens),
            passes: Some(decoded.steps),
            branches: Some(decoded.branches),
            unfinished: decoded.unfinished,
            truncated: prompt.truncated,
            hypotheses: shown.collect(),
        }
    }

    /// The text of the best output.
    pub(super) fn best(&self) -> Option<&str> {
        self.hypotheses.first().map(|shown| shown.written.text.as_str())
    }
}

impl GenerationOutput {
    /// The same with so many outputs of each prompt at most.
    pub(super) fn best(mut self, results: Option<usize>) -> GenerationOutput {
        if let Some(most) = results {
            self.results.iter_mut().for_each(|generated| generated.hypotheses.truncate(most));
        }
        self
    }
}

impl Printed {
    /// The most tokens of an output, for messages.
    fn limit(&self) -> String {
        match self.limit {
            Some(most) => format!("--max-tokens {most}"),
            None => "the tokens that the model has room for".into(),
        }
    }

    pub(super) fn new(arguments: &Arguments, prompts: usize) -> Printed {
        let draws = arguments.search.samples.unwrap_or(1);
        let limit = arguments.max_tokens.map(|most| most as usize);
        Printed { results: arguments.results.unwrap_or(draws), prompts, streamed: false, limit }
    }

    /// Whether one text is all that is printed, so that it can be shown while it is written.
    pub(super) fn one_text(&self, asked: &Asked) -> bool {
        let one = match &asked.strategy {
            Strategy::Greedy => true,
            Strategy::Sample(sampling) => sampling.samples == 1,
            _ => false,
        };
        one && self.prompts == 1 && self.results == 1 && matches!(asked.language, Language::Text(_))
    }

    /// The same after the text was shown already, if it was.
    pub(super) fn after_stream(self, streamed: bool) -> Printed {
        Printed { streamed, ..self }
    }

    fn lines(&self, generated: &Generated) -> String {
        let whole = self.prompts == 1 && self.results == 1;
        let mut lines = String::new();
        for shown in generated.hypotheses.iter().take(self.results) {
            let text = &shown.written.text;
            let text = if whole { text.clone() } else { text.replace('\r', "\\r").replace('\n', "\\n") };
            if self.results > 1 {
                let number = generated.index + 1;
                let log_prob = shown.log_prob.map_or("-".to_string(), |sum| format!("{sum:.4}"));
                lines.push_str(&format!("{number}\t{log_prob}\t{text}\n"));
            } else {
                lines.push_str(&format!("{text}\n"));
            }
        }
        if generated.hypotheses.is_empty() && self.results == 1 {
            lines.push('\n');
        }
        lines
    }
}

/// Says what the outputs of a prompt do not show.
fn remark(generated: &Generated, printed: &Printed, output: &Output) {
    let number = generated.index + 1;
    if let Some(Truncation { tokens, kept, estimated }) = generated.truncated {
        let about = if estimated { "about " } else { "" };
        output.warn(&format!("prompt {number}: cut from {about}{tokens} to {kept} tokens"));
    }
    let limit = printed.limit();
    if generated.hypotheses.is_empty() {
        output.warn(&format!("prompt {number}: no output was complete within {limit}; give more tokens"));
    } else if generated.unfinished > 0 {
        let unfinished = generated.unfinished;
        output.warn(&format!("prompt {number}: {unfinished} more outputs were not complete within {limit}"));
    }
    let shown = generated.hypotheses.iter().take(printed.results);
    let cut = shown.filter(|shown| shown.written.is_cut()).count();
    if cut > 0 {
        let which = if printed.results == 1 { "the text".into() } else { format!("{cut} texts") };
        output.warn(&format!("prompt {number}: {which} ended at the most tokens, not by the model"));
    }
}

/// Prints all outputs, and on standard error what they do not show. A prompt without any output makes exit code 1.
pub(super) fn write(
    made: &GenerationOutput,
    prompts: &[String],
    printed: &Printed,
    took: Duration,
    output: &Output,
) -> Outcome {
    made.results.iter().for_each(|generated| remark(generated, printed, output));
    print(made, prompts, printed, took, output)?;
    let missing = made.results.iter().filter(|generated| generated.hypotheses.is_empty()).count();
    match missing {
        0 => Ok(()),
        _ => Err(Failure::Check(format!("{missing} of {} prompts have no output", made.results.len()))),
    }
}

fn print(
    made: &GenerationOutput,
    prompts: &[String],
    printed: &Printed,
    took: Duration,
    output: &Output,
) -> Outcome {
    if output.json {
        let sum = |of: fn(&Generated) -> Option<u64>| made.results.iter().map(of).sum();
        let document = Document {
            model: &made.model,
            kind: made.kind,
            adapter: made.adapter.as_deref(),
            results: made
                .results
                .iter()
                .filter_map(|generated| Some(Row { prompt: prompts.get(generated.index)?, generated }))
                .collect(),
            prompt_tokens: sum(|generated| generated.prompt_tokens),
            generated_tokens: sum(|generated| generated.generated_tokens),
            seconds: took.as_secs_f64(),
            seconds_to_open: made.opened.map(|opened| opened.as_secs_f64()),
            depths: &made.depths,
        };
        return Ok(output.print_json(&document)?);
    }
    if !printed.streamed {
        let text: String = made.results.iter().map(|generated| printed.lines(generated)).collect();
        output.print(&text)?;
    }
    Ok(())
}
