//! What a model continues with a query.

use plackett_core::Document;

/// Documents of no domain in particular, with queries that are asked about them: what a model sees where nobody gives examples of a collection.
pub const USUAL_EXAMPLES: [(&str, &str); 3] = [
    (
        "The bridge over the river was closed in March after engineers had found cracks in two of its steel beams. Repairs are to take eight \
         months, and lorries are sent over the motorway until then.",
        "why is the river bridge closed",
    ),
    (
        "Dough with sourdough rises more slowly than dough with yeast. At 20 degrees it needs about twelve hours, at 26 degrees five or six; a \
         cold kitchen is the usual reason for a flat loaf.",
        "how long does sourdough need to rise",
    ),
    (
        "Employees who have been with the company for more than five years may take up to six months of unpaid leave. They have to ask for it \
         in writing, three months before it begins.",
        "rules for unpaid leave after five years",
    ),
];

/// What stands in a text where the document goes.
pub const DOCUMENT_PLACE: &str = "{document}";

/// A text with one place for a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPrompt {
    before: String,
    after: String,
    /// Words of a document that are put there, from its beginning.
    words: usize,
}

impl QueryPrompt {
    /// Documents with their queries, and one whose query is open (DUQGen's prompt).
    pub fn of_examples(examples: &[(&str, &str)], words: usize) -> QueryPrompt {
        let mut before = String::new();
        for (at, (document, query)) in examples.iter().enumerate() {
            before += &format!("Example {}:\nDocument: {document}\nRelevant Query: {query}\n\n", at + 1);
        }
        before += &format!("Example {}:\nDocument: ", examples.len() + 1);
        QueryPrompt { before, after: "\nRelevant Query:".into(), words }
    }

    /// A text of one's own, with [`DOCUMENT_PLACE`] once; blanks at its end are taken off.
    ///
    /// # Errors
    /// The place is not there, or more than once.
    pub fn of_text(text: &str, words: usize) -> Result<QueryPrompt, String> {
        let place = DOCUMENT_PLACE;
        match text.trim_end().split(place).collect::<Vec<_>>().as_slice() {
            [before, after] => {
                Ok(QueryPrompt { before: before.to_string(), after: after.to_string(), words })
            }
            [_] => Err(format!("there is no `{place}`; write it where the document goes")),
            parts => {
                Err(format!("`{place}` stands there {} times; write it once", parts.len().saturating_sub(1)))
            }
        }
    }

    /// What a model reads for a document.
    pub fn text(&self, document: &Document) -> String {
        let text = document.model_text();
        let read = text.split_whitespace().take(self.words).collect::<Vec<_>>().join(" ");
        self.with(&read)
    }

    /// What a model reads, with words in brackets in place of a document.
    pub fn page(&self) -> String {
        self.with("[the document's first words]")
    }

    /// Words of a document that are read.
    pub fn words(&self) -> usize {
        self.words
    }

    fn with(&self, document: &str) -> String {
        format!("{}{document}{}", self.before, self.after).trim_end().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_ends_where_the_query_is_to_be_written() {
        let document = Document::new("d", "tea was drunk by ten people");
        let prompt = QueryPrompt::of_examples(&[("figs are sweet", "sugar of figs")], 4);
        assert_eq!(
            prompt.text(&document),
            "Example 1:\nDocument: figs are sweet\nRelevant Query: sugar of figs\n\n\
             Example 2:\nDocument: tea was drunk by\nRelevant Query:"
        );
        assert!(prompt.page().ends_with("Document: [the document's first words]\nRelevant Query:"));
    }

    #[test]
    fn a_text_has_one_place() {
        let document = Document::new("d", "tea was {document} drunk");
        let prompt = QueryPrompt::of_text("Ask about \"{document}\".\nQuery: \n", 3).unwrap();
        assert_eq!(prompt.text(&document), "Ask about \"tea was {document}\".\nQuery:");
        assert!(QueryPrompt::of_text("Ask.", 3).unwrap_err().contains("there is no `{document}`"));
        let twice = QueryPrompt::of_text("{document} {document}", 3).unwrap_err();
        assert!(twice.contains("2 times"), "{twice}");
    }
}
