//! Registries on a terminal and as JSON: what there is, and what one of them does.

use super::table::{Align, Table};
use super::{Outcome, Output};
use plackett_core::declaration::OptionSpec;
use serde_json::{Map, Value, json};

/// What is shown of a line of a registry.
pub struct Declared {
    /// The name.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Where it is described.
    pub paper: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
    /// What only this registry has: a field of the JSON, and the line that is shown for it, if any.
    pub own: (&'static str, Value, Option<String>),
}

impl Declared {
    /// As JSON.
    pub fn json(&self) -> Value {
        let option = |option: &OptionSpec| {
            json!({
                "name": option.name,
                "expects": option.expects(),
                "default": option.default,
                "help": option.help,
            })
        };
        let mut fields = Map::new();
        fields.insert("name".into(), self.name.into());
        fields.insert("aliases".into(), json!(self.aliases));
        fields.insert("summary".into(), self.summary.into());
        fields.insert("paper".into(), self.paper.into());
        fields.insert(self.own.0.into(), self.own.1.clone());
        fields.insert("options".into(), self.options.iter().map(option).collect());
        Value::Object(fields)
    }

    /// As lines.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.summary);
        if !self.aliases.is_empty() {
            text += &format!("also: {}\n", self.aliases.join(", "));
        }
        if !self.paper.is_empty() {
            text += &format!("from: {}\n", self.paper);
        }
        if let Some(line) = &self.own.2 {
            text += &format!("{line}\n");
        }
        for option in self.options {
            text += &format!("  {} ({}): {}\n", option.name, option.expects(), option.help);
        }
        text
    }
}

/// A table of all; as JSON under `plural`.
pub fn list(all: &[Declared], (singular, plural): (&str, &str), output: &Output) -> Outcome {
    if output.json {
        let all: Vec<Value> = all.iter().map(Declared::json).collect();
        return Ok(output.print_json(&json!({ plural: all }))?);
    }
    let columns = [singular, "what it does"].map(|name| (name.to_string(), Align::Left));
    let mut table = Table::new(columns);
    all.iter().for_each(|one| table.row([one.name.to_string(), one.summary.to_string()]));
    Ok(output.print_styled(&table.render())?)
}

/// One of them; as JSON under `singular`.
pub fn show(one: &Declared, singular: &str, output: &Output) -> Outcome {
    match output.json {
        true => Ok(output.print_json(&json!({ singular: one.json() }))?),
        false => Ok(output.print(&one.text())?),
    }
}
