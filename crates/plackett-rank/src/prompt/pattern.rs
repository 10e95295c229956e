//! Text with placeholders: `Query: {query}`. Braces that are braces are written `{{` and `}}`.

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it stands.
    Literal(String),
    /// The name of a placeholder.
    Slot(String),
}

/// A text with placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

/// What is wrong with a pattern: the placeholder as it stands there, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadPattern {
    pub part: String,
    pub problem: String,
}

impl Pattern {
    /// Reads a text whose placeholders are all among `known`.
    pub fn read(text: &str, known: &[&str]) -> Result<Pattern, BadPattern> {
        let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if brace.starts_with("{{") || brace.starts_with("}}") {
                literal.push_str(&brace[..1]);
                rest = &brace[2..];
                continue;
            }
            let inner = brace.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let Some((name, after)) = inner.filter(|(name, _)| is_name(name)) else {
                let part = brace.chars().take(20).collect();
                let problem = "a brace that begins no placeholder; write {{ and }} for braces".to_string();
                return Err(BadPattern { part, problem });
            };
            if !known.contains(&name) {
                let listed: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
                let listed = if listed.is_empty() { "none".into() } else { listed.join(", ") };
                let nearest = crate::method::nearest(name, known.iter().copied());
                let nearest = nearest.map(|n| format!("; did you mean {{{n}}}?")).unwrap_or_default();
                let problem = format!("{{{name}}} is not a placeholder here; known: {listed}{nearest}");
                return Err(BadPattern { part: format!("{{{name}}}"), problem });
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Slot(name.to_string()));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Pattern(pieces))
    }

    /// A placeholder alone.
    pub fn slot(name: &str) -> Pattern {
        Pattern(vec![Piece::Slot(name.to_string())])
    }

    /// Its literals and placeholders, in their order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Whether a placeholder stands in it.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Slot(slot) if slot == name))
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes it out; what `value` has nothing for is left empty. Values are not read for placeholders.
    pub fn write<'v>(&self, out: &mut String, value: &dyn Fn(&str) -> Option<&'v str>) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Slot(name) => out.push_str(value(name).unwrap_or_default()),
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(text: &str, known: &[&str]) -> Result<String, BadPattern> {
        let mut out = String::new();
        Pattern::read(text, known)?.write(&mut out, &|name| match name {
            "query" => Some("{doc}?"),
            _ => None,
        });
        Ok(out)
    }

    #[test]
    fn values_stand_in_the_place_of_names_and_are_not_read_again() {
        assert_eq!(write("a {query} {{b}}", &["query"]).unwrap(), "a {doc}? {b}");
        assert_eq!(write("", &[]).unwrap(), "");
    }

    #[test]
    fn unknown_names_and_lonely_braces_are_refused() {
        let bad = write("a {quary}", &["query", "doc"]).unwrap_err();
        assert_eq!(bad.part, "{quary}");
        assert!(
            bad.problem.contains("{query}, {doc}") && bad.problem.contains("did you mean {query}?"),
            "{bad:?}"
        );
        for lonely in ["a { b", "a } b", "{", "{}", "{a b}"] {
            assert!(write(lonely, &["a"]).is_err(), "{lonely}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = Pattern::read(&text, &["query"]);
        }
    }
}
