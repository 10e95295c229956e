//! The one JSON object of `--json`: which command it is of, what the command found, and how it ended.
//!
//! The parts are texts that are written one after another, so that a list of a million rankings is never kept. An object
//! that does not end was cut short.

use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Grows when a field changes its meaning or goes away; new fields leave it as it is.
pub const SCHEMA_VERSION: u32 = 1;

/// What has been written of the object so far, and what its end will say.
pub struct Envelope {
    command: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: bool,
    /// Items of the list that is being written.
    items: Option<usize>,
    warnings: Vec<String>,
    errors: Vec<String>,
}

impl Envelope {
    /// Of a command such as `model show`.
    pub fn new(command: &str) -> Self {
        Envelope { command: command.into(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to what the end says under `warnings`.
    pub fn warn(&self, text: &str) {
        self.state().warnings.push(text.into());
    }

    /// Adds to what the end says under `errors`.
    pub fn fail(&self, text: &str) {
        self.state().errors.push(text.into());
    }

    /// The fields of an object, one a line.
    pub fn fields(&self, fields: &impl Serialize) -> serde_json::Result<String> {
        // The object's own braces give way to those of the envelope.
        let text = serde_json::to_string_pretty(fields)?;
        Ok(self.next(text[1..text.len() - 1].trim_end()))
    }

    /// The fields of an object with many numbers, in one line.
    pub fn fields_in_a_line(&self, fields: &impl Serialize) -> serde_json::Result<String> {
        let text = serde_json::to_string(fields)?;
        Ok(self.next(&format!("\n  {}", &text[1..text.len() - 1])))
    }

    fn next(&self, fields: &str) -> String {
        let head = self.head(&mut self.state());
        if fields.trim().is_empty() { head } else { format!("{head},{fields}") }
    }

    fn head(&self, state: &mut State) -> String {
        if std::mem::replace(&mut state.begun, true) {
            return String::new();
        }
        format!("{{\n  \"schema_version\": {SCHEMA_VERSION},\n  \"command\": {}", json!(self.command))
    }

    /// The next item of the list `results`.
    pub fn result(&self, item: &Value) -> String {
        let begin = self.results();
        let mut state = self.state();
        let items = state.items.get_or_insert_default();
        *items += 1;
        format!("{begin}{}\n{item}", if *items == 1 { "" } else { "," })
    }

    /// Begins the list `results`, unless it was begun.
    pub fn results(&self) -> String {
        let mut state = self.state();
        if state.items.is_some() {
            return String::new();
        }
        let head = self.head(&mut state);
        state.items = Some(0);
        format!("{head},\n  \"results\": [")
    }

    /// What closes the object.
    pub fn end(&self, exit_code: u8) -> String {
        let mut state = self.state();
        let head = self.head(&mut state);
        let list = match state.items {
            None => "",
            Some(0) => "]",
            Some(_) => "\n  ]",
        };
        let status = match exit_code {
            0 => "ok",
            1 => "check failed",
            _ => "error",
        };
        let (status, warnings, errors) = (json!(status), json!(state.warnings), json!(state.errors));
        format!(
            "{head}{list},\n  \"status\": {status},\n  \"exit_code\": {exit_code},\n  \"warnings\": {warnings},\n  \
             \"errors\": {errors}\n}}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
    }

    #[test]
    fn fields_stand_between_the_command_and_its_end() {
        for in_a_line in [false, true] {
            for fields in [json!({}), json!({"a": {}}), json!({"a": {"b": {}}, "c": [1, 2]})] {
                let envelope = Envelope::new("model show");
                let text =
                    if in_a_line { envelope.fields_in_a_line(&fields) } else { envelope.fields(&fields) };
                let whole = parsed(&format!("{}{}", text.unwrap(), envelope.end(0)));
                let end = json!({"status": "ok", "exit_code": 0, "warnings": [], "errors": []});
                let mut expected = json!({"schema_version": SCHEMA_VERSION, "command": "model show"});
                for part in [&fields, &end] {
                    expected.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
                }
                assert_eq!(whole, expected);
            }
        }
    }

    #[test]
    fn a_list_ends_wherever_the_command_does() {
        for items in 0..3 {
            let envelope = Envelope::new("search");
            let mut text: String = (0..items).map(|i| envelope.result(&json!({"query_id": i}))).collect();
            text += &envelope.results();
            envelope.warn("a \"warning\"");
            envelope.fail("an error");
            let whole = parsed(&format!("{text}{}", envelope.end(2)));
            assert_eq!(whole["results"].as_array().unwrap().len(), items);
            assert_eq!((&whole["status"], &whole["exit_code"]), (&json!("error"), &json!(2)));
            assert_eq!(
                (&whole["warnings"], &whole["errors"]),
                (&json!(["a \"warning\""]), &json!(["an error"]))
            );
        }
    }

    #[test]
    fn nothing_found_is_an_object_too() {
        let envelope = Envelope::new("eval");
        envelope.fail("no such file");
        assert_eq!(parsed(&envelope.end(2))["errors"][0], "no such file");
    }
}
