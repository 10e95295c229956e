//! Reading a recipe: from TOML to stages and claims that are known to fit together, for both scales, before any work.

use super::graph;
use super::source::{Place, Source};
use crate::recipe::claim::ClaimKind;
use crate::recipe::error::{Problem, RecipeError, nearest};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Reader, Scale, Values};
use crate::recipe::registry::{Registry, StageKind};
use plackett_lm::sha256;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A recipe that has been read and checked.
#[derive(Debug)]
pub struct Recipe {
    /// Its name: that of the file without `.toml`.
    pub name: String,
    /// What it shows, in a line.
    pub title: String,
    /// The published system that it checks, by its name in `recipes/systems.toml`; `None` for a recipe of one's own.
    pub system: Option<String>,
    /// More about it.
    pub about: String,
    /// Its text.
    pub source: Source,
    scales: [AtScale; 2],
}

/// The stages and claims of one scale.
#[derive(Debug, std::default::Default)]
pub struct AtScale {
    /// In the order of the file.
    pub stages: Vec<StageDefinition>,
    /// Places in `stages`, every stage after those that it needs.
    pub order: Vec<usize>,
    /// Claims that are judged.
    pub claims: Vec<ClaimDefinition>,
    /// Claims that need what does not exist yet.
    pub waiting: Vec<Waiting>,
}

/// One stage.
#[derive(Debug)]
pub struct StageDefinition {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: &'static StageKind,
    /// Its fields at the scale.
    pub values: Values,
    /// The stages that it needs, as places in [`AtScale::stages`], each once.
    pub inputs: Vec<usize>,
    /// Where it stands.
    pub place: Place,
}

/// One claim.
#[derive(Debug)]
pub struct ClaimDefinition {
    /// Its name.
    pub id: String,
    /// What is claimed, in words.
    pub text: String,
    /// Whether the paper stands on it.
    pub main: bool,
    /// Whether it should hold here; a check fails when such a claim does not.
    pub expected: bool,
    /// How it is judged.
    pub kind: &'static ClaimKind,
    /// Its fields.
    pub values: Values,
}

/// A claim that cannot be checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub id: String,
    /// What is claimed, in words.
    pub text: String,
    /// Whether the paper stands on it.
    pub main: bool,
    /// What it waits for.
    pub needs: String,
}

const TOP: &[FieldSpec] = &[
    FieldSpec::required("title", FieldKind::Text, "what it shows, in a line"),
    FieldSpec::new(
        "system",
        FieldKind::Text,
        Default::Absent,
        "the published system, as in recipes/systems.toml",
    ),
    FieldSpec::new("about", FieldKind::Text, Default::Absent, "more about it"),
];

const SCALES: FieldKind = FieldKind::Choice(&["quick", "full", "both"]);

/// Keys that every stage has beside those of its kind.
pub const STAGE_FIELDS: &[FieldSpec] = &[
    FieldSpec::required("kind", FieldKind::Text, "what the stage does"),
    FieldSpec::new("scale", SCALES, Default::Text("both"), "the scale at which it runs"),
];

/// What a claim may wait for.
pub const WAITS: &[&str] = &["training", "data", "model"];

/// Keys that every claim has beside those of its kind.
pub const CLAIM_FIELDS: &[FieldSpec] = &[
    FieldSpec::new("kind", FieldKind::Text, Default::Absent, "how it is judged; needed unless it waits"),
    FieldSpec::required("text", FieldKind::Text, "what is claimed, in words"),
    FieldSpec::new("main", FieldKind::Switch, Default::Switch(false), "whether the paper stands on it"),
    FieldSpec::new(
        "expected",
        FieldKind::Switch,
        Default::Switch(true),
        "whether a check fails when it does not hold",
    ),
    FieldSpec::new(
        "waiting",
        FieldKind::Choice(WAITS),
        Default::Absent,
        "what it waits for; such a claim is listed, not judged",
    ),
    FieldSpec::new("scale", SCALES, Default::Text("both"), "the scale at which it is judged"),
];

/// Keys of a claim that change neither a number nor whether the claim holds.
const WORDS: &[&str] = &["text", "main", "expected"];

type Table<'t, 'i> = (&'t Spanned<std::borrow::Cow<'i, str>>, &'t DeTable<'i>);

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn read(name: &str, source: Source, registry: &Registry) -> Result<Recipe, RecipeError> {
        let table = DeTable::parse(&source.text).map_err(|error| {
            let end = source.text.len();
            source.at(error.span().unwrap_or(end..end), Problem::Syntax(error.message().to_string()))
        })?;
        let read =
            |scale| Parts { reader: Reader { source: &source, scale }, registry }.read(table.get_ref());
        let scales = [read(Scale::Quick)?, read(Scale::Full)?];
        let reader = Reader { source: &source, scale: Scale::Quick };
        let top = reader.fields(table.get_ref(), 0..0, TOP, &["stage", "claim"], "a recipe")?;
        let text = |key: &str| top.text(key).map(str::to_string);
        Ok(Recipe {
            name: name.to_string(),
            title: text("title").unwrap_or_default(),
            system: text("system"),
            about: text("about").unwrap_or_default().trim().to_string(),
            scales,
            source,
        })
    }

    /// Its stages and claims at a scale.
    pub fn at(&self, scale: Scale) -> &AtScale {
        &self.scales[scale as usize]
    }

    /// SHA-256 of what decides its numbers and its judgements, in hexadecimal: stages and claims without their words
    /// (`text`, `main`, `expected`) and without comments, and the versions of the kinds of stages and claims. So a corrected sentence leaves recorded results
    /// valid, and a kind that works otherwise does not.
    pub fn hash(&self) -> String {
        self.hash_without_interval(&[])
    }

    /// The hash as it was before these claims said `interval = false`, those of them that do.
    pub(in crate::recipe) fn hash_without_interval(&self, ids: &[&str]) -> String {
        let mut table: toml::Table = toml::from_str(&self.source.text).unwrap_or_default();
        TOP.iter().for_each(|spec| drop(table.remove(spec.name)));
        let claims = table.get_mut("claim").and_then(toml::Value::as_table_mut);
        for (id, claim) in claims.into_iter().flat_map(|claims| claims.iter_mut()) {
            let Some(claim) = claim.as_table_mut() else { continue };
            WORDS.iter().for_each(|word| drop(claim.remove(*word)));
            let off = claim.get("interval").and_then(toml::Value::as_bool) == Some(false);
            if off && ids.contains(&id.as_str()) {
                claim.remove("interval");
            }
        }
        sha256::hex_digest(table.to_string() + &self.kinds())
    }

    /// Kinds of stages with their versions, a line each, then the kinds of claims that no longer have their first one.
    fn kinds(&self) -> String {
        let stages = self.scales.iter().flat_map(|scale| &scale.stages);
        let stages: BTreeMap<&str, u32> = stages.map(|stage| (stage.kind.name, stage.kind.version)).collect();
        let claims = self.scales.iter().flat_map(|scale| &scale.claims);
        let claims: BTreeMap<&str, u32> = claims.map(|claim| (claim.kind.name, claim.kind.version)).collect();
        let stages = stages.iter().map(|(name, version)| format!("{name} {version}\n"));
        let claims = claims.iter().filter(|(_, version)| **version != 1);
        stages.chain(claims.map(|(name, version)| format!("claim {name} {version}\n"))).collect()
    }
}

impl AtScale {
    /// The stage of a name.
    pub fn stage(&self, name: &str) -> Option<&StageDefinition> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    fn names(&self) -> Vec<&str> {
        self.stages.iter().map(|stage| stage.name.as_str()).collect()
    }
}

/// Splits `STAGE/NUMBER`.
pub fn quantity_parts(text: &str) -> Option<(&str, &str)> {
    text.split_once('/').filter(|(stage, number)| !stage.is_empty() && !number.is_empty())
}

struct Parts<'a> {
    reader: Reader<'a>,
    registry: &'a Registry,
}

impl Parts<'_> {
    fn read(&self, top: &DeTable<'_>) -> Result<AtScale, RecipeError> {
        let source = self.reader.source;
        self.reader.only(
            top,
            TOP.iter().map(|spec| spec.name).chain(["stage", "claim"]).collect(),
            "a recipe",
        )?;
        let mut scale = AtScale::default();
        for (name, table) in self.tables(top, "stage")? {
            scale.stages.extend(self.stage(name, table)?);
        }
        for nth in 0..scale.stages.len() {
            let inputs = self.inputs(&scale, nth)?;
            scale.stages[nth].inputs = inputs;
        }
        scale.order = graph::order(&scale.stages).map_err(|circle| {
            let at = circle.first().map_or(0..0, |&nth| self.span_of(top, &scale.stages[nth].name));
            let names: Vec<&str> = circle.iter().map(|&nth| scale.stages[nth].name.as_str()).collect();
            source.at(at, Problem::Cycle(names.join(" → ")))
        })?;
        for (id, table) in self.tables(top, "claim")? {
            self.claim(&mut scale, id, table)?;
        }
        if scale.stages.is_empty() && scale.waiting.is_empty() {
            let problem =
                format!("nothing to do at the scale {}: add a table [stage.NAME]", self.reader.scale.name());
            return Err(source.at(0..0, Problem::Said(problem)));
        }
        Ok(scale)
    }

    /// The tables under `[stage.…]` or `[claim.…]`, in the order of the file.
    fn tables<'t, 'i>(&self, top: &'t DeTable<'i>, key: &str) -> Result<Vec<Table<'t, 'i>>, RecipeError> {
        let Some(value) = top.get(key) else { return Ok(Vec::new()) };
        let form = |span: Range<usize>| {
            self.reader
                .source
                .at(span, Problem::Said(format!("write every {key} as a table of its own, [{key}.NAME]")))
        };
        let DeValue::Table(tables) = value.get_ref() else { return Err(form(value.span())) };
        let mut found = Vec::new();
        for (name, value) in tables.iter() {
            let DeValue::Table(table) = value.get_ref() else { return Err(form(name.span())) };
            if name.get_ref().is_empty() || name.get_ref().contains(['/', '\n', '"']) {
                let problem = format!(
                    "`{}` is no name of a {key}: use letters, digits, `-` and `_`",
                    name.get_ref().escape_debug()
                );
                return Err(self.reader.source.at(name.span(), Problem::Said(problem)));
            }
            found.push((name, table));
        }
        Ok(found)
    }

    fn span_of(&self, top: &DeTable<'_>, name: &str) -> Range<usize> {
        let stages = top.get("stage").and_then(|value| value.get_ref().as_table());
        stages.and_then(|stages| stages.get_key_value(name)).map_or(0..0, |(key, _)| key.span())
    }

    /// A name that the registry must have.
    fn known<'t>(
        &self,
        table: &'t DeTable<'_>,
        whole: &Range<usize>,
        key: &'static str,
        what: &'static str,
        names: &[&str],
    ) -> Result<&'t str, RecipeError> {
        let source = self.reader.source;
        let Some(value) = table.get(key) else {
            let problem = Problem::MissingKey {
                key: key.into(),
                of: format!("the {what}"),
                help: format!("one of {}", names.join(", ")),
            };
            return Err(source.at(whole.clone(), problem));
        };
        let name = value.get_ref().as_str().unwrap_or_default();
        if names.contains(&name) {
            return Ok(name);
        }
        let found = if name.is_empty() {
            format!("a value of type {}", value.get_ref().type_str())
        } else {
            name.to_string()
        };
        let problem = Problem::UnknownName {
            what,
            nearest: nearest(name, names.iter().copied()),
            name: found,
            known: names.join(", "),
        };
        Err(source.at(value.span(), problem))
    }

    /// Whether something is of the scale that is read.
    fn is_here(&self, values: &Values) -> bool {
        matches!(values.word("scale"), "both") || values.word("scale") == self.reader.scale.name()
    }

    fn stage(
        &self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        table: &DeTable<'_>,
    ) -> Result<Option<StageDefinition>, RecipeError> {
        let kinds: Vec<&str> = self.registry.stages.iter().map(|kind| kind.name).collect();
        let written = self.known(table, &name.span(), "kind", "stage kind", &kinds)?;
        let Some(kind) = self.registry.stage(written) else { return Ok(None) };
        let mut specs = [STAGE_FIELDS, kind.fields].concat();
        if let Some(key) = kind.chooses {
            let names: Vec<&str> =
                self.registry.simulations.iter().map(|simulation| simulation.name).collect();
            let chosen = self.known(table, &name.span(), key, "simulation", &names)?;
            specs.extend(self.registry.simulation(chosen).map_or(&[][..], |simulation| simulation.fields));
        }
        let values = self.reader.fields(
            table,
            name.span(),
            &specs,
            &[],
            &format!("a stage of the kind {}", kind.name),
        )?;
        (kind.check)(&values, self.registry)?;
        let place = self.reader.source.place(name.span());
        let stage =
            StageDefinition { name: name.get_ref().to_string(), kind, values, inputs: Vec::new(), place };
        Ok(self.is_here(&stage.values).then_some(stage))
    }

    /// The stages that a stage names, as places.
    fn inputs(&self, scale: &AtScale, nth: usize) -> Result<Vec<usize>, RecipeError> {
        let stage = &scale.stages[nth];
        let mut inputs = Vec::new();
        for spec in stage.kind.fields {
            for (at, name) in stage.values.texts(spec.name).into_iter().enumerate() {
                let found = match spec.kind {
                    FieldKind::Stage(wanted) | FieldKind::Stages(wanted) => self.find(scale, name, wanted),
                    FieldKind::Quantity | FieldKind::Quantities => self.quantity(scale, name),
                    _ => continue,
                };
                let found = found.map_err(|problem| stage.values.wrong(spec.name, at, problem))?;
                if !inputs.contains(&found) {
                    inputs.push(found);
                }
            }
        }
        Ok(inputs)
    }

    fn find(&self, scale: &AtScale, name: &str, wanted: &[OutputKind]) -> Result<usize, Problem> {
        let names = scale.names();
        let unknown = || Problem::UnknownStage {
            name: name.into(),
            nearest: nearest(name, names.iter().copied()),
            known: names.join(", "),
        };
        let nth = names.iter().position(|&known| known == name).ok_or_else(unknown)?;
        let gives = scale.stages[nth].kind.gives;
        if wanted.contains(&gives) {
            return Ok(nth);
        }
        let wanted = wanted.iter().map(|gives| gives.words()).collect::<Vec<_>>().join(" or ");
        Err(Problem::WrongStage { name: name.into(), gives: gives.words(), wanted })
    }

    fn claim(
        &self,
        scale: &mut AtScale,
        id: &Spanned<std::borrow::Cow<'_, str>>,
        table: &DeTable<'_>,
    ) -> Result<(), RecipeError> {
        let kinds: Vec<&str> = self.registry.claims.iter().map(|kind| kind.name).collect();
        let waits = table.contains_key("waiting");
        if waits && !table.contains_key("kind") {
            let values = self.reader.fields(table, id.span(), CLAIM_FIELDS, &[], "a waiting claim")?;
            self.wait(scale, id.get_ref(), &values);
            return Ok(());
        }
        let written = self.known(table, &id.span(), "kind", "claim kind", &kinds)?;
        let Some(kind) = self.registry.claim(written) else { return Ok(()) };
        let specs = [CLAIM_FIELDS, kind.fields].concat();
        let of = format!("a claim of the kind {}", kind.name);
        let values = self.reader.fields(table, id.span(), &specs, &[], &of)?;
        if waits {
            self.wait(scale, id.get_ref(), &values);
            return Ok(());
        }
        (kind.check)(&values)?;
        if !self.is_here(&values) {
            return Ok(());
        }
        for spec in
            kind.fields.iter().filter(|spec| matches!(spec.kind, FieldKind::Quantity | FieldKind::Quantities))
        {
            for (at, text) in values.texts(spec.name).into_iter().enumerate() {
                self.quantity(scale, text).map_err(|problem| values.wrong(spec.name, at, problem))?;
            }
        }
        scale.claims.push(ClaimDefinition {
            id: id.get_ref().to_string(),
            text: values.word("text").to_string(),
            main: values.on("main"),
            expected: values.on("expected"),
            kind,
            values,
        });
        Ok(())
    }

    fn wait(&self, scale: &mut AtScale, id: &str, values: &Values) {
        if self.is_here(values) {
            scale.waiting.push(Waiting {
                id: id.to_string(),
                text: values.word("text").to_string(),
                main: values.on("main"),
                needs: values.word("waiting").to_string(),
            });
        }
    }

    /// The stage that will give a quantity.
    fn quantity(&self, scale: &AtScale, text: &str) -> Result<usize, Problem> {
        let (stage, number) = quantity_parts(text).ok_or_else(|| Problem::NoQuantity(text.into()))?;
        const NUMBERS: &[OutputKind] =
            &[OutputKind::Numbers, OutputKind::Model, OutputKind::Projection, OutputKind::Rankings];
        let nth = self.find(scale, stage, NUMBERS)?;
        let found = &scale.stages[nth];
        let numbers = (found.kind.numbers)(&found.values, self.registry);
        if numbers.is_empty() {
            // Most kinds of rankings have none.
            self.find(scale, stage, &NUMBERS[..3])?;
        }
        if numbers.iter().any(|name| name == number) {
            return Ok(nth);
        }
        Err(Problem::UnknownNumber {
            stage: stage.into(),
            number: number.into(),
            nearest: nearest(number, numbers.iter().map(String::as_str)),
            known: numbers.join(", "),
        })
    }
}
