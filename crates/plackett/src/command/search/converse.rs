//! A search that asks for one query after another.

use super::{Format, Session, facets_of_all};
use crate::command::get::read_filter;
use crate::command::open::many;
use crate::command::shown::{self, Part};
use crate::command::table::{definitions, wrapped};
use crate::command::terminal::{self, plain};
use crate::command::{Failure, Outcome, Output};
use console::style;
use plackett_core::declaration::{nearest, suggestion};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{self, BufRead, IsTerminal};

/// What is asked for.
const PROMPT: &str = "search>";

/// The commands that change or end the session.
const COMMANDS: [&str; 9] =
    [":search", ":open", ":set", ":pipeline", ":filter", ":k", ":explain", ":help", ":quit"];

/// What can be typed, and what it does.
const HELP: [(&str, &str); 8] = [
    ("words", "search (:search help searches for a word that is a command)"),
    (
        ":open 3",
        "the whole text and metadata of the third document of the last answer, or of a document by its id",
    ),
    (":set", "what is set; :set pipeline EXPR, :set filter FILTER, :set k N, :set explain on"),
    (":pipeline EXPR", "change how, e.g. :pipeline bm25:100 >> late-interaction"),
    (":filter FILTER", "documents that may be found, e.g. :filter year >= 2020; :filter none for all"),
    (":k N", "length of the answer"),
    (":explain on", "passes, tokens and depths; :explain off, and :explain alone for the other of the two"),
    (":quit", "leave; so do quit, exit, an empty line and Ctrl-D, while Ctrl-C drops a line"),
];

/// What is said in a conversation, in lines that fit the terminal.
fn say(output: &Output, text: &str) {
    let lines: Vec<String> =
        plain(text).lines().flat_map(|line| wrapped(line, terminal::columns())).collect();
    output.note(&lines.join("\n"));
}

/// The same for names with what they mean.
fn list(output: &Output, rows: &[(&str, &str)]) {
    output.note(definitions(rows, terminal::columns()).trim_end());
}

/// A line of a conversation.
#[derive(Debug, PartialEq, Eq)]
enum Said<'l> {
    End,
    Words(&'l str),
    /// A name with its colon, and what follows.
    Command(&'l str, &'l str),
}

/// What a line asks for. The words by which other programs are left, or asked for help, are commands here too.
fn said(line: &str) -> Said<'_> {
    let line = line.trim();
    match line.to_ascii_lowercase().as_str() {
        "" | ":quit" | ":q" | ":exit" | "quit" | "exit" | "quit()" | "exit()" => return Said::End,
        "help" | "?" => return Said::Command(":help", ""),
        _ => {}
    }
    if !line.starts_with(':') {
        return Said::Words(line);
    }
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (name, argument.trim()) {
        (":quit" | ":q" | ":exit", _) => Said::End,
        (":search" | ":s", words) if !words.is_empty() => Said::Words(words),
        (name, argument) => Said::Command(name, argument),
    }
}

impl Session<'_> {
    /// Asks at the terminal until the input ends. Lines can be edited, and those before come again with the arrows; nothing of
    /// them is kept. Where only one of input and output is a terminal, lines are read as they come.
    pub(super) fn converse_at_terminal(&mut self, output: &Output) -> Outcome {
        let editor = if io::stdout().is_terminal() { DefaultEditor::new().ok() } else { None };
        let Some(mut editor) = editor else { return self.converse(io::stdin().lock(), output) };
        let prompt = (format!("{PROMPT} "), format!("{} ", style(PROMPT).green().bold()));
        let next = |_: &Output| loop {
            match editor.readline(&prompt) {
                Ok(line) => {
                    // A line that cannot be remembered is no reason not to search.
                    let _ = editor.add_history_entry(line.as_str());
                    break Ok(Some(line));
                }
                // Ctrl-C drops the line, as shells do.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break Ok(None),
                Err(ReadlineError::Io(error)) => break Err(error),
                Err(other) => break Err(io::Error::other(other.to_string())),
            }
        };
        self.talk(next, output)
    }

    /// Asks for queries until the input ends. Lines that begin with a colon change the session.
    pub(super) fn converse(&mut self, input: impl BufRead, output: &Output) -> Outcome {
        let mut lines = input.lines();
        let next = |output: &Output| {
            output.ask(&format!("{} ", style(PROMPT).green().bold()));
            lines.next().transpose()
        };
        self.talk(next, output)
    }

    fn talk(
        &mut self,
        mut next: impl FnMut(&Output) -> io::Result<Option<String>>,
        output: &Output,
    ) -> Outcome {
        let documents = many(self.index.len(), "document");
        say(output, &format!("{documents} · {} · :help for commands, an empty line ends", self.pipeline));
        // The ids of what was found last.
        let mut found = Vec::new();
        while let Some(line) = next(output)? {
            match said(&line) {
                Said::End => break,
                Said::Command(":open" | ":o", which) => self.open_found(which, &found, output)?,
                Said::Command(name, argument) => self.obey(name, argument, output),
                Said::Words(words) => {
                    let started = std::time::Instant::now();
                    match self.answer_one(words, Format::Text, output) {
                        Ok(ids) => {
                            found = ids;
                            output.note(&format!(
                                "{}",
                                style(format!("      {:.0?}", started.elapsed())).dim()
                            ));
                        }
                        Err(Failure::Input(error) | Failure::Service(error)) => {
                            say(output, &format!("{error:#}"))
                        }
                        Err(other) => return Err(other),
                    }
                }
            }
        }
        Ok(())
    }

    /// Shows a document of the last answer by its place, whole also where a passage was found, or any by its id.
    fn open_found(&self, which: &str, found: &[String], output: &Output) -> Outcome {
        let place = which.parse::<usize>().ok();
        let of_answer = place.and_then(|place| found.get(place.checked_sub(1)?));
        let passage = of_answer.map(|id| self.index.passage(id)).transpose()?.flatten();
        let id = passage.as_ref().map(|passage| &passage.document).or(of_answer);
        let Some(document) = self.index.document(id.map_or(which, String::as_str))? else {
            let said: String = match (found.len(), place) {
                (0, _) if which.is_empty() => {
                    "nothing was found yet; `:open 3` opens the third of an answer".into()
                }
                (all, _) if which.is_empty() => {
                    format!("`:open N` with a number from 1 to {all}, or with an id")
                }
                (all, Some(_)) => format!("the last answer has {all}; {which} is none of them, nor an id"),
                (_, None) => format!("no document has the id {which}"),
            };
            say(output, &said);
            return Ok(());
        };
        let mut text = format!("  {}\n", style(plain(&document.id)).cyan());
        if !document.title.is_empty() {
            text.push_str(&format!("  {}\n", style(plain(&document.title)).bold()));
        }
        text.push_str(&shown::lines(&document, &[Part::Text, Part::Metadata]));
        Ok(output.print_styled(&text)?)
    }

    /// Says what is set, or sets it.
    fn set(&mut self, argument: &str, output: &Output) {
        let (name, value) = argument.split_once(char::is_whitespace).unwrap_or((argument, ""));
        match (name, value.trim()) {
            ("", _) => {
                let filter = self.filter.as_ref().map_or_else(|| "none".to_string(), ToString::to_string);
                let explain = if self.explain { "on" } else { "off" };
                let (pipeline, k) = (self.pipeline.to_string(), self.k.to_string());
                let (pipeline, filter) = (plain(&pipeline), plain(&filter));
                let rows = [("pipeline", &*pipeline), ("filter", &*filter), ("k", &*k), ("explain", explain)];
                list(output, &rows);
            }
            ("explain", "on" | "off") => self.obey(":explain", value.trim(), output),
            ("explain", _) => say(output, "`:set explain on` or `:set explain off`"),
            ("pipeline" | "filter" | "k", value) => self.obey(&format!(":{name}"), value, output),
            (unknown, _) => {
                let meant = nearest(unknown, ["pipeline", "filter", "k", "explain"].into_iter());
                say(
                    output,
                    &format!(
                        "{unknown} cannot be set{}; pipeline, filter, k and explain can",
                        suggestion(&meant).trim_end_matches('?')
                    ),
                );
            }
        }
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

    fn tell_filter(&self, output: &Output) {
        match &self.filter {
            Some(filter) => say(output, &filter.to_string()),
            None => say(output, "no filter; `:filter year >= 2020` sets one"),
        }
    }

    fn obey(&mut self, name: &str, argument: &str, output: &Output) {
        match (name, argument) {
            (":set", argument) => self.set(argument, output),
            (":search" | ":s", _) => {
                say(output, "`:search WORDS` searches for words, also for those that are commands")
            }
            (":pipeline" | ":p", "") => say(output, &self.pipeline.to_string()),
            (":pipeline" | ":p", expression) => match self.resolve(expression) {
                Ok(pipeline) => {
                    self.pipeline = pipeline;
                    say(output, &self.pipeline.to_string());
                    self.remark_on_depth(Some(self.k), output);
                }
                Err(error) => say(output, &format!("{error:#}")),
            },
            (":filter" | ":f", "") => self.tell_filter(output),
            (":filter" | ":f", text) => match self.set_filter(text) {
                Ok(()) => self.tell_filter(output),
                Err(error) => say(output, &format!("{error:#}")),
            },
            (":k", number) => match number.parse() {
                Ok(k) if k > 0 => {
                    self.k = k;
                    say(output, &format!("k is {k}"));
                    self.remark_on_depth(Some(k), output);
                }
                _ => say(output, &format!("k is {}; `:k 20` changes it", self.k)),
            },
            (":explain" | ":e", "" | "on" | "off") => {
                self.explain = if argument.is_empty() { !self.explain } else { argument == "on" };
                say(output, if self.explain { "explaining" } else { "not explaining" });
            }
            (":explain" | ":e", other) => say(
                output,
                &format!(
                    "`:explain on`, `:explain off`, or `:explain` alone for the other of the two; {other} is neither"
                ),
            ),
            (":", _) => say(
                output,
                "a command has its name right behind the colon, as in `:k 20`; :help lists the commands",
            ),
            (":help" | ":h", _) => list(output, &HELP),
            (unknown, _) => {
                let meant = nearest(unknown, COMMANDS.into_iter());
                let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
                say(output, &format!("{unknown} is not known{meant}; :help lists the commands"));
            }
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
    fn answers(session: &mut Session<'_>, lines: &str) -> (String, usize) {
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
        let (text, left) = answers(&mut session, "apples\n:k 2\napples\n");
        assert_eq!((ids(&text).len(), left, session.k), (5, 0, 2), "{text}");
        assert!(text.starts_with("4 documents · bm25"), "{text}");
        let (text, _) = answers(&mut session, ":pipeline bm25(k1=2, b=0.1):50\n:p\nplums\n");
        let now = session.pipeline.to_string();
        assert!(now.contains("k1=2") && now.ends_with(":50"), "{now}");
        assert!(text.contains(&now) && ids(&text) == ["c"], "{text}");
        assert!(!text.contains("passes"));
        let (text, _) = answers(&mut session, ":explain\nplums\n:e\nplums\n");
        assert_eq!((text.matches("passes").count(), session.explain), (1, false), "{text}");
        let (text, _) = answers(&mut session, ":explain off\n:explain on\n:explain on\n:explain maybe\n");
        assert_eq!((text.matches("not explaining").count(), session.explain), (1, true), "{text}");
        assert!(text.contains("maybe is neither"), "{text}");
        let (text, _) = answers(&mut session, ":set explain off\n:set k 3\n:set filter n > 2\n:f none\n:\n");
        for said in ["not explaining", "k is 3", "n > 2", "no filter", "right behind the colon"] {
            assert!(text.contains(said), "{said}: {text}");
        }
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
            let (text, _) = answers(&mut session, &format!("{line}\nrust\n"));
            assert!(text.contains(answer), "{line}: {text}");
            assert!(text.contains("1  d"), "the conversation goes on: {text}");
            assert_eq!((session.k, session.pipeline.to_string()), (9, "bm25".into()), "{line}");
        }
        let (text, _) = answers(&mut session, "nothingofthekind\n");
        assert!(text.contains("nothing found"), "{text}");
        let (text, _) = answers(
            &mut session,
            ":f\n:filter yaer = 1\n:filter year >\n:f n > 2\napples\n:f\n:f none\nrust\n",
        );
        assert!(text.contains("no filter") && text.contains("`yaer`") && text.contains("column 7"), "{text}");
        assert!(text.contains("1  c") && !text.contains("1  a") && text.contains("n > 2"), "{text}");
        assert!(text.contains("1  d") && session.filter.is_none(), "{text}");
        let (text, _) = answers(&mut session, ":help\n");
        assert!(text.contains(":pipeline EXPR"), "{text}");
        let narrow = definitions(&HELP, 60);
        assert!(narrow.lines().all(|line| console::measure_text_width(line) <= 60), "{narrow}");
        assert!(narrow.contains("\n:set            what is set; :set pipeline EXPR,"), "{narrow}");
    }

    #[test]
    fn a_document_of_the_answer_is_opened_and_settings_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = index(folder.path());
        let mut session = Session::open(&arguments, ModelOptions::default()).unwrap();
        let (text, _) = answers(&mut session, ":open\nplums\n:open 1\n:open 2\n:open d\n:open nobody\n");
        assert!(text.contains("nothing was found yet"), "{text}");
        assert!(text.contains("  c\n      pears, apples, plums\n      n: 3\n"), "{text}");
        assert!(text.contains("the last answer has 1; 2 is none"), "{text}");
        assert!(
            text.contains("  d\n      rust\n") && text.contains("no document has the id nobody"),
            "{text}"
        );
        let (text, _) = answers(
            &mut session,
            ":set k 3\n:set pipeline bm25(b=0.1)\n:set explain on\n:set\n:set pipelin x\n",
        );
        assert_eq!((session.k, session.explain), (3, true), "{text}");
        assert!(text.contains("pipeline  bm25(b=0.1)") && text.contains("filter    none"), "{text}");
        assert!(text.contains("did you mean `pipeline`"), "{text}");
        let (text, _) = answers(&mut session, ":pipelin bm25\n");
        assert!(text.contains(":pipelin is not known (did you mean :pipeline?)"), "{text}");
    }

    #[test]
    fn the_document_of_a_passage_is_opened_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i");
        let settings =
            IndexSettings { chunking: "tokens(size=3, overlap=0)".parse().ok(), ..IndexSettings::default() };
        let mut index = Index::create(&path, &settings).unwrap();
        let mut writer = index.writer(None).unwrap();
        writer.put(Document::new("a", "apples and pears\n\nplums and cherries")).unwrap();
        writer.finish().unwrap();
        let line = Line::try_parse_from(["search", path.to_str().unwrap(), "-p", "bm25", "-k", "9"]);
        let arguments = line.unwrap().arguments;
        let mut session = Session::open(&arguments, ModelOptions::default()).unwrap();
        let (text, _) = answers(&mut session, "plums\n:open 1\n");
        assert!(settings.chunking.is_some() && text.contains("apples and pears"), "{text}");
    }

    #[test]
    fn words_of_other_programs_are_commands_and_can_be_searched_for() {
        assert_eq!(said(" help "), Said::Command(":help", ""));
        assert_eq!(said("?"), Said::Command(":help", ""));
        assert_eq!(said("Quit"), Said::End);
        assert_eq!(said(":quit now"), Said::End);
        assert_eq!(said(":search help"), Said::Words("help"));
        assert_eq!(said("exit signs"), Said::Words("exit signs"));
        assert_eq!(said(":k   20"), Said::Command(":k", "20"));
        assert_eq!(said(":search"), Said::Command(":search", ""));
    }

    #[test]
    fn an_empty_line_or_quit_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = index(folder.path());
        let mut session = Session::open(&arguments, ModelOptions::default()).unwrap();
        for end in ["", ":q", ":quit", "quit", "EXIT", ":exit"] {
            assert_eq!(answers(&mut session, &format!("rust\n{end}\nrust\nrust\n")).1, 2, "{end:?}");
        }
        let broken = session.converse(Cursor::new(b"\xff\n"), &Output::kept());
        assert!(matches!(broken, Err(Failure::Input(_))));
    }
}
