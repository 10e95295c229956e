//! Every call of a model, for those who want to check what was asked and answered.

use crate::model::{Prompt, Usage};
use serde::Serialize;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// One prompt and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallRecord {
    /// The query's identifier.
    pub query_id: String,
    /// The method that asked.
    pub method: String,
    /// The number of the call for this query and method, from 1; prompts of one call were asked together.
    pub call: usize,
    /// `label-logits`, `log-likelihood`, `generate` or `attention`.
    pub kind: &'static str,
    /// The model's name.
    pub model: String,
    /// The prompt.
    pub prompt: Prompt,
    /// The prompt as the model read it, chat template applied, where that is known here.
    pub written: Option<String>,
    /// What was asked: labels, a continuation, or the form of the answer and how it is written.
    pub asked: serde_json::Value,
    /// The raw answer; `None` when there is none.
    pub answer: Option<serde_json::Value>,
    /// What was read from it.
    pub parsed: Option<serde_json::Value>,
    /// Why there is no answer.
    pub error: Option<String>,
    /// What it cost.
    pub usage: Usage,
}

/// Is told of every call.
pub trait Audit: Send + Sync {
    /// The calls of one request, in order, when the request is finished. Requests come in the order in which they were
    /// given.
    fn record(&self, calls: &[CallRecord]);
}

/// Writes calls as JSON, one a line.
pub struct JsonLines<W: Write + Send> {
    out: Mutex<(W, Option<io::Error>)>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to a file, say.
    pub fn new(out: W) -> JsonLines<W> {
        JsonLines { out: Mutex::new((out, None)) }
    }

    /// The first error of writing, once. After an error nothing more is written.
    ///
    /// # Errors
    /// That error.
    pub fn finish(&self) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        match out.1.take() {
            Some(error) => Err(error),
            None => out.0.flush(),
        }
    }
}

impl<W: Write + Send> Audit for JsonLines<W> {
    fn record(&self, calls: &[CallRecord]) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.1.is_some() {
            return;
        }
        let lines: serde_json::Result<String> =
            calls.iter().map(|call| serde_json::to_string(call).map(|line| line + "\n")).collect();
        let written = lines.map_err(io::Error::from).and_then(|lines| {
            out.0.write_all(lines.as_bytes())?;
            out.0.flush()
        });
        out.1 = written.err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_call_is_one_line_and_an_error_of_writing_is_kept() {
        let call = CallRecord {
            query_id: "q".into(),
            method: "yes-no".into(),
            call: 1,
            kind: "label-logits",
            model: "toy".into(),
            prompt: Prompt::text("a\nb"),
            written: None,
            asked: json!({"labels": ["A"]}),
            answer: Some(json!({"logits": [1.5]})),
            parsed: None,
            error: None,
            usage: Usage::default(),
        };
        let lines = JsonLines::new(Vec::new());
        lines.record(&[call.clone(), call.clone()]);
        let out = lines.out.lock().unwrap();
        let text = String::from_utf8(out.0.clone()).unwrap();
        assert_eq!(text.lines().count(), 2);
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&line["prompt"]["text"], &line["answer"]["logits"][0]), (&json!("a\nb"), &json!(1.5)));
        let mut full = [0u8; 10];
        let full = JsonLines::new(&mut full[..]);
        full.record(&[call]);
        assert!(full.finish().is_err());
    }
}
