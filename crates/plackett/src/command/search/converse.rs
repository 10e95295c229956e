//! A search that asks for one query after another.

use super::{Format, Session, facets_of_all};
use crate::command::get::read_filter;
use crate::command::terminal::plain;
use crate::command::{Failure, Outcome, Output};
use console::style;
use std::io::BufRead;

impl Session<'_> {
    /// Asks for queries until the input ends. Lines that begin with a colon change the session.
    pub(super) fn converse(&mut self, input: impl BufRead, output: &Output) -> Outcome {
        let documents = self.index.len();
        output.note(&format!(
            "{documents} documents · {} · :help for commands, an empty line ends",
            self.pipeline
        ));
        let mut lines = input.lines();
        loop {
            output.ask(&format!("{} ", style("search>").green().bold()));
            let Some(line) = lines.next() else { break };
            let line = line?;
            match line.trim() {
                "" | ":quit" | ":q" => break,
                command if command.starts_with(':') => self.obey(command, output),
                words => {
                    let started = std::time::Instant::now();
                    match self.answer_one(words, Format::Text, output) {
                        Ok(()) => output
                            .note(&format!("{}", style(format!("      {:.0?}", started.elapsed())).dim())),
                        Err(Failure::Input(error) | Failure::Service(error)) => {
                            output.note(&plain(&format!("{error:#}")))
                        }
                        Err(other) => return Err(other),
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes another filter, or none, for what comes; an error leaves all as it is.
    fn set_filter(&mut self, text: &str) -> anyhow::Result<()> {
        let filter = if text == "none" { None } else { Some(read_filter(text)?) };
        let facets = facets_of_all(&self.index, filter.as_ref(), self.arguments.facets.as_deref())?;
        let before = std::mem::replace(&mut self.filter, filter);
        match self.resolve(&self.pipeline.to_string()) {
            Ok(pipeline) => (self.pipeline, self.facets_of_all) = (pipeline, facets),
            Err(error) => {
                self.filter = before;
                return Err(error);
            }
        }
        Ok(())
    }

    fn obey(&mut self, command: &str, output: &Output) {
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match (name, argument.trim()) {
            (":pipeline" | ":p", "") => output.note(&self.pipeline.to_string()),
            (":pipeline" | ":p", expression) => match self.resolve(expression) {
                Ok(pipeline) => {
                    self.pipeline = pipeline;
                    self.remark_on_depth(Some(self.k), output);
                }
                Err(error) => output.note(&plain(&format!("{error:#}"))),
            },
            (":filter" | ":f", "") => match &self.filter {
                Some(filter) => output.note(&plain(&filter.to_string())),
                None => output.note("no filter; `:filter year >= 2020` sets one"),
            },
            (":filter" | ":f", text) => {
                if let Err(error) = self.set_filter(text) {
                    output.note(&plain(&format!("{error:#}")));
                }
            }
            (":k", number) => match number.parse() {
                Ok(k) if k > 0 => {
                    self.k = k;
                    self.remark_on_depth(Some(k), output);
                }
                _ => output.note(&format!("k is {}; `:k 20` changes it", self.k)),
            },
            (":explain" | ":e", _) => {
                self.explain = !self.explain;
                output.note(if self.explain { "explaining" } else { "not explaining" });
            }
            (":help" | ":h", _) => output.note(
                "words            search\n:pipeline EXPR   change how, e.g. :pipeline bm25:100 >> late-interaction\n\
                 :filter FILTER   documents that may be found, e.g. :filter year >= 2020; :filter none for all\n\
                 :k N             length of the answer\n:explain         passes, tokens and depths, on or off\n\
                 :quit            leave",
            ),
            (unknown, _) => output.note(&format!("{unknown} is not known; :help lists the commands")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arguments;
    use super::*;
    use clap::Parser;
    use plackett::pipeline::ModelOptions;
    use plackett_core::Document;
    use plackett_search::{Index, IndexSettings};
    use std::io::Cursor;
    use std::path::Path;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn index(folder: &Path) -> Arguments {
        let path = folder.join("i");
        let mut index = Index::create(&path, &IndexSettings::default()).unwrap();
        let mut writer = index.writer(None).unwrap();
        let texts =
            [("a", "apples and pears"), ("b", "apples"), ("c", "pears, apples, plums"), ("d", "rust")];
        for (number, (id, text)) in (1..).zip(texts) {
            let metadata = [("n".to_string(), number.into())].into_iter().collect();
            writer.put(Document { metadata, ..Document::new(id, text) }).unwrap();
        }
        writer.finish().unwrap();
        let line = Line::try_parse_from(["search", path.to_str().unwrap(), "-p", "bm25", "-k", "9"]);
        line.unwrap().arguments
    }

    /// What is said to some lines, and how many of them are left over.
    fn said(session: &mut Session<'_>, lines: &str) -> (String, usize) {
        let output = Output::kept();
        let mut input = Cursor::new(lines.as_bytes().to_vec());
        session.converse(&mut input, &output).expect("a conversation");
        let left = &lines[input.position() as usize..];
        (console::strip_ansi_codes(&output.take()).into_owned(), left.lines().count())
    }

    #[test]
    fn commands_change_what_the_next_query_gives() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = index(folder.path());
        let mut session = Session::open(&arguments, ModelOptions::default()).unwrap();
        // A hit is a rank and an id, indented; what is said about it has no number in front.
        let ids = |text: &str| -> Vec<String> {
            let hit = |line: &str| {
                let mut words = line.strip_prefix("   ")?.split_whitespace();
                words.next()?.parse::<usize>().ok()?;
                words.next().map(str::to_string)
            };
            text.lines().filter_map(hit).collect()
        };
        let (text, left) = said(&mut session, "apples\n:k 2\napples\n");
        assert_eq!((ids(&text).len(), left, session.k), (5, 0, 2), "{text}");
        assert!(text.starts_with("4 documents · bm25"), "{text}");
        let (text, _) = said(&mut session, ":pipeline bm25(k1=2, b=0.1):50\n:p\nplums\n");
        let now = session.pipeline.to_string();
        assert!(now.contains("k1=2") && now.ends_with(":50"), "{now}");
        assert!(text.contains(&now) && ids(&text) == ["c"], "{text}");
        assert!(!text.contains("passes"));
        let (text, _) = said(&mut session, ":explain\nplums\n:e\nplums\n");
        assert_eq!((text.matches("passes").count(), session.explain), (1, false), "{text}");
    }

    #[test]
    fn what_cannot_be_done_is_said_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = index(folder.path());
        let mut session = Session::open(&arguments, ModelOptions::default()).unwrap();
        for (line, answer) in [
            (":pipeline bm25 >>", "column"),
            (":pipeline dense", "no vectors"),
            (":p bm52", "`bm52` is not a stage"),
            (":k 0", "k is 9"),
            (":k many", "k is 9"),
            (":sing", ":sing is not known"),
        ] {
            let (text, _) = said(&mut session, &format!("{line}\nrust\n"));
            assert!(text.contains(answer), "{line}: {text}");
            assert!(text.contains("1  d"), "the conversation goes on: {text}");
            assert_eq!((session.k, session.pipeline.to_string()), (9, "bm25".into()), "{line}");
        }
        let (text, _) = said(&mut session, "nothingofthekind\n");
        assert!(text.contains("nothing found"), "{text}");
        let (text, _) =
            said(&mut session, ":f\n:filter yaer = 1\n:filter year >\n:f n > 2\napples\n:f\n:f none\nrust\n");
        assert!(text.contains("no filter") && text.contains("`yaer`") && text.contains("column 7"), "{text}");
        assert!(text.contains("1  c") && !text.contains("1  a") && text.contains("n > 2"), "{text}");
        assert!(text.contains("1  d") && session.filter.is_none(), "{text}");
        let (text, _) = said(&mut session, ":help\n");
        assert!(text.contains(":pipeline EXPR"), "{text}");
    }

    #[test]
    fn an_empty_line_or_quit_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = index(folder.path());
        let mut session = Session::open(&arguments, ModelOptions::default()).unwrap();
        for end in ["", ":q", ":quit"] {
            assert_eq!(said(&mut session, &format!("rust\n{end}\nrust\nrust\n")).1, 2, "{end:?}");
        }
        let broken = session.converse(Cursor::new(b"\xff\n"), &Output::kept());
        assert!(matches!(broken, Err(Failure::Input(_))));
    }
}
