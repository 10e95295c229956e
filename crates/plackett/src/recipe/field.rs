//! Fields of stages, claims and simulations: declarations from which the reader, the help and the documentation come.

use super::error::{Problem, RecipeError, nearest};
use super::reading::source::{Place, Source};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// At which size a recipe runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Scale {
    /// Real but small data, minutes on two cores.
    #[default]
    Quick,
    /// The paper's models and data.
    Full,
}

impl Scale {
    /// Both of them.
    pub const ALL: [Scale; 2] = [Scale::Quick, Scale::Full];

    /// The name in recipes and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scale::Quick => "quick",
            Scale::Full => "full",
        }
    }
}

/// What a stage gives, and so what may stand in a field that names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Queries, judgments, documents and perhaps candidates.
    Data,
    /// A searchable index.
    Index,
    /// One ranking per query.
    Rankings,
    /// A model in a folder, and numbers about it.
    Model,
    /// A matrix by which vectors are changed, and numbers about it.
    Projection,
    /// Named numbers.
    Numbers,
}

impl OutputKind {
    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            OutputKind::Data => "a collection",
            OutputKind::Index => "an index",
            OutputKind::Rankings => "rankings",
            OutputKind::Model => "a model",
            OutputKind::Projection => "a projection",
            OutputKind::Numbers => "numbers",
        }
    }
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldKind {
    /// Any text.
    Text,
    /// A whole number in a range, both ends in it.
    Whole(i64, i64),
    /// A number in a range, both ends in it.
    Number(f64, f64),
    /// `true` or `false`.
    Switch,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Several texts.
    Texts,
    /// The name of a stage that gives one of these.
    Stage(&'static [OutputKind]),
    /// Names of several such stages.
    Stages(&'static [OutputKind]),
    /// `STAGE/NUMBER`.
    Quantity,
    /// Several of them.
    Quantities,
}

impl FieldKind {
    /// In a sentence.
    pub fn words(self) -> String {
        let gives = |gives: &[OutputKind]| gives.iter().map(|g| g.words()).collect::<Vec<_>>().join(" or ");
        match self {
            FieldKind::Text => "a text".into(),
            FieldKind::Whole(low, i64::MAX) => format!("a whole number from {low}"),
            FieldKind::Whole(low, high) => format!("a whole number from {low} to {high}"),
            FieldKind::Number(low, high) if low == f64::MIN && high == f64::MAX => "a number".into(),
            FieldKind::Number(low, f64::MAX) => format!("a number from {low}"),
            FieldKind::Number(low, high) => format!("a number from {low} to {high}"),
            FieldKind::Switch => "true or false".into(),
            FieldKind::Choice(words) => format!("one of {}", words.join(", ")),
            FieldKind::Texts => "a list of texts".into(),
            FieldKind::Stage(wanted) => format!("the name of a stage that gives {}", gives(wanted)),
            FieldKind::Stages(wanted) => format!("a list of names of stages that give {}", gives(wanted)),
            FieldKind::Quantity => "STAGE/NUMBER".into(),
            FieldKind::Quantities => "a list of STAGE/NUMBER".into(),
        }
    }
}

/// What a field holds when it is not written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// It must be written.
    Required,
    /// It may be left out, and there is no value then.
    Absent,
    /// A text.
    Text(&'static str),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A switch.
    Switch(bool),
}

/// A field that a kind of stage or claim has.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Its key.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// What holds when it is not written.
    pub default: Default,
    /// What it says, in a few words.
    pub help: &'static str,
}

impl FieldSpec {
    /// A field that must be written.
    pub const fn required(name: &'static str, kind: FieldKind, help: &'static str) -> FieldSpec {
        FieldSpec { name, kind, default: Default::Required, help }
    }

    /// A field with a default.
    pub const fn new(name: &'static str, kind: FieldKind, default: Default, help: &'static str) -> FieldSpec {
        FieldSpec { name, kind, default, help }
    }

    /// The default in a sentence.
    pub fn default_words(&self) -> String {
        match self.default {
            Default::Required => "needed".into(),
            Default::Absent => "may be left out".into(),
            Default::Text(text) => format!("\"{text}\""),
            Default::Whole(number) => number.to_string(),
            Default::Number(number) => number.to_string(),
            Default::Switch(on) => on.to_string(),
        }
    }
}

/// What was written in a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text, also a choice, a stage or a quantity.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A switch.
    Switch(bool),
    /// Texts.
    Texts(Vec<String>),
}

impl Value {
    /// As it would be written.
    pub fn written(&self) -> String {
        match self {
            Value::Text(text) => format!("{text:?}"),
            Value::Whole(number) => number.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Switch(on) => on.to_string(),
            Value::Texts(texts) => {
                format!("[{}]", texts.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A value and where it stands: the place of each text for lists, and one place for everything else. No place for defaults.
#[derive(Clone, Debug)]
struct Field {
    name: &'static str,
    value: Value,
    places: Vec<Place>,
}

/// The fields of one stage or claim, with defaults filled in. Reading a field that the kind has not declared, or as a
/// type that it was not declared with, gives the type's empty value.
#[derive(Clone, Debug)]
pub struct Values {
    fields: Vec<Field>,
    /// Where the whole thing begins.
    place: Place,
}

impl Values {
    fn find(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether there is a value.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A text, if there is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.find(name).map(|field| &field.value) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A text that is always there; empty otherwise.
    pub fn word(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// A whole number that is never negative.
    pub fn count(&self, name: &str) -> usize {
        match self.find(name).map(|field| &field.value) {
            Some(Value::Whole(number)) => usize::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// A number, if there is one.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.find(name).map(|field| &field.value) {
            Some(Value::Number(number)) => Some(*number),
            Some(Value::Whole(number)) => Some(*number as f64),
            _ => None,
        }
    }

    /// A number that is always there: written, or the declared default.
    pub fn real(&self, name: &str) -> f64 {
        let number = self.number(name);
        // What is not declared, or may be left out, is a mistake of the kind and not of a recipe.
        debug_assert!(number.is_some(), "`{name}` is read as a number that is always there, and it is not");
        number.unwrap_or_default()
    }

    /// A switch.
    pub fn on(&self, name: &str) -> bool {
        matches!(self.find(name).map(|field| &field.value), Some(Value::Switch(true)))
    }

    /// Texts of a list; a single text is a list of one.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.find(name).map(|field| &field.value) {
            Some(Value::Texts(texts)) => texts.iter().map(String::as_str).collect(),
            Some(Value::Text(text)) => vec![text],
            _ => Vec::new(),
        }
    }

    /// Where the nth text of a field stands; where the stage or claim begins, when it is not written.
    pub fn place(&self, name: &str, nth: usize) -> &Place {
        self.find(name)
            .and_then(|field| field.places.get(nth).or(field.places.first()))
            .unwrap_or(&self.place)
    }

    /// An error about the nth text of a field.
    pub fn wrong(&self, name: &str, nth: usize, problem: Problem) -> RecipeError {
        RecipeError::At { place: Box::new(self.place(name, nth).clone()), problem }
    }

    /// All values as they would be written, in the order of their declaration.
    pub fn written(&self) -> Vec<(&'static str, String)> {
        self.fields.iter().map(|field| (field.name, field.value.written())).collect()
    }

    /// Those that were written, not defaults.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        let written = self.fields.iter().filter(|field| !field.places.is_empty());
        written.map(|field| (field.name, field.value.written())).collect()
    }
}

/// Reads the fields of one table.
pub struct Reader<'a> {
    /// The recipe's text.
    pub source: &'a Source,
    /// The scale for which values are read.
    pub scale: Scale,
}

impl Reader<'_> {
    /// The values of a table at this scale. `of` names the thing in messages; `also` are keys that are read elsewhere.
    ///
    /// # Errors
    /// An unknown key, a missing one, a value of another type or out of range, each with its place.
    pub fn fields(
        &self,
        table: &DeTable<'_>,
        whole: Range<usize>,
        specs: &[FieldSpec],
        also: &[&str],
        of: &str,
    ) -> Result<Values, RecipeError> {
        self.only(table, specs.iter().map(|spec| spec.name).chain(also.iter().copied()).collect(), of)?;
        let mut fields = Vec::new();
        for spec in specs {
            let written =
                table.get(spec.name).map(|value| self.at_scale(spec.name, value)).transpose()?.flatten();
            match (written, spec.default) {
                (Some(value), _) => fields.push(self.field(spec, value)?),
                (None, Default::Required) => {
                    let (key, of) = (spec.name.to_string(), of.to_string());
                    let problem = Problem::MissingKey { key, of, help: spec.help.into() };
                    return Err(self.source.at(whole, problem));
                }
                (None, Default::Absent) => {}
                (None, default) => fields.extend(fill(default).map(|value| Field {
                    name: spec.name,
                    value,
                    places: Vec::new(),
                })),
            }
        }
        Ok(Values { fields, place: self.source.place(whole) })
    }

    /// Refuses keys that mean nothing, so that a misspelt one is not silently without effect.
    pub fn only(&self, table: &DeTable<'_>, known: Vec<&str>, of: &str) -> Result<(), RecipeError> {
        let unknown = table.iter().find(|(key, _)| !known.contains(&key.get_ref().as_ref()));
        let Some((key, _)) = unknown else { return Ok(()) };
        let written = key.get_ref().to_string();
        let problem = Problem::UnknownKey {
            nearest: nearest(&written, known.iter().copied()),
            key: written,
            of: of.into(),
            known: known.join(", "),
        };
        Err(self.source.at(key.span(), problem))
    }

    /// What holds at this scale of a value that may be written `{ quick = …, full = … }`.
    fn at_scale<'t, 'i>(
        &self,
        key: &str,
        value: &'t Spanned<DeValue<'i>>,
    ) -> Result<Option<&'t Spanned<DeValue<'i>>>, RecipeError> {
        let DeValue::Table(table) = value.get_ref() else { return Ok(Some(value)) };
        self.only(table, Scale::ALL.map(Scale::name).to_vec(), &format!("`{key}`, written by scale,"))?;
        Ok(table.get(self.scale.name()))
    }

    fn field(&self, spec: &FieldSpec, value: &Spanned<DeValue<'_>>) -> Result<Field, RecipeError> {
        let wrong = |value: &Spanned<DeValue<'_>>| {
            let found = match value.get_ref() {
                DeValue::String(text) => format!("the text `{text}`"),
                DeValue::Integer(number) => format!("`{number}`"),
                DeValue::Float(number) => format!("`{number}`"),
                other => format!("a value of type {}", other.type_str()),
            };
            let problem = Problem::Value { key: spec.name.into(), expected: spec.kind.words(), found };
            self.source.at(value.span(), problem)
        };
        let place = self.source.place(value.span());
        let made = |value: Value| Field { name: spec.name, value, places: vec![place.clone()] };
        match (spec.kind, value.get_ref()) {
            (FieldKind::Text | FieldKind::Stage(_) | FieldKind::Quantity, DeValue::String(text))
                if !text.trim().is_empty() =>
            {
                Ok(made(Value::Text(text.to_string())))
            }
            (FieldKind::Choice(words), DeValue::String(text)) if words.contains(&text.as_ref()) => {
                Ok(made(Value::Text(text.to_string())))
            }
            (FieldKind::Switch, DeValue::Boolean(on)) => Ok(made(Value::Switch(*on))),
            (FieldKind::Whole(low, high), DeValue::Integer(_)) => match whole(value.get_ref()) {
                Some(number) if (low..=high).contains(&number) => Ok(made(Value::Whole(number))),
                _ => Err(wrong(value)),
            },
            (FieldKind::Number(low, high), DeValue::Integer(_) | DeValue::Float(_)) => {
                match number(value.get_ref()) {
                    Some(number) if (low..=high).contains(&number) => Ok(made(Value::Number(number))),
                    _ => Err(wrong(value)),
                }
            }
            (FieldKind::Texts | FieldKind::Stages(_) | FieldKind::Quantities, DeValue::Array(list))
                if !list.is_empty() =>
            {
                let mut texts = Vec::new();
                let mut places = Vec::new();
                for item in list.iter() {
                    match item.get_ref() {
                        DeValue::String(text) if !text.trim().is_empty() => texts.push(text.to_string()),
                        _ => return Err(wrong(item)),
                    }
                    places.push(self.source.place(item.span()));
                }
                Ok(Field { name: spec.name, value: Value::Texts(texts), places })
            }
            _ => Err(wrong(value)),
        }
    }
}

fn fill(default: Default) -> Option<Value> {
    match default {
        Default::Required | Default::Absent => None,
        Default::Text(text) => Some(Value::Text(text.into())),
        Default::Whole(number) => Some(Value::Whole(number)),
        Default::Number(number) => Some(Value::Number(number)),
        Default::Switch(on) => Some(Value::Switch(on)),
    }
}

/// A whole number of any base that TOML writes.
fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A number, whole or not. TOML's `inf` and `nan` are in no range.
fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok().filter(|n: &f64| n.is_finite()),
        other => whole(other).map(|number| number as f64),
    }
}
