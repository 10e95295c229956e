//! Aligned columns for terminals. Widths are columns as letters take them, two for those of Chinese or an emoji and none for
//! an accent that is added, and not the bytes of colours.

use super::terminal::{self, styled};
use console::measure_text_width;

/// Which edge of its column a cell touches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table that is printed at once.
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a heading per column.
    pub fn new(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        let (heading, columns) = columns.into_iter().unzip();
        Table { columns, rows: vec![heading] }
    }

    /// Adds a row; missing cells are empty. A cell is one line: what a terminal obeys has its sign before it is measured, and
    /// ends of lines and tabs are blanks.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let one_line = |cell: String| styled(&cell).replace(['\n', '\t'], " ");
        self.rows.push(cells.into_iter().map(one_line).collect());
    }

    /// The lines of the table, indented by two blanks, with a rule under the heading. What is wider than the terminal has a
    /// block for each row, with a cell a line.
    pub fn render(&self) -> String {
        self.render_within(terminal::columns())
    }

    fn render_within(&self, columns: usize) -> String {
        let lines = self.lines();
        if lines.lines().all(|line| measure_text_width(line) <= columns) {
            lines
        } else {
            self.blocks(columns)
        }
    }

    /// The first cell of each row, and under it the others, each in a line with its heading; long ones go on in lines of their
    /// own.
    fn blocks(&self, columns: usize) -> String {
        let Some((heading, rows)) = self.rows.split_first() else { return String::new() };
        let wide = heading.iter().skip(1).map(|name| measure_text_width(name)).max().unwrap_or(0);
        let mut text = String::new();
        for row in rows {
            let first = row.first().map_or("", String::as_str);
            text.push_str(&format!("  {}\n", console::style(first).bold()));
            for (name, cell) in heading.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()) {
                let name = console::pad_str(name, wide, console::Alignment::Left, None);
                for (nth, line) in wrapped(cell, columns.saturating_sub(wide + 6)).into_iter().enumerate() {
                    let name = if nth == 0 { name.to_string() } else { " ".repeat(wide) };
                    text.push_str(&format!("    {}  {line}\n", console::style(name).dim()));
                }
            }
        }
        text
    }

    fn lines(&self) -> String {
        let width = |column: usize| {
            self.rows.iter().filter_map(|r| r.get(column)).map(|c| measure_text_width(c)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for (nth, row) in self.rows.iter().enumerate() {
            let mut line = String::from("  ");
            for (column, (&align, &width)) in self.columns.iter().zip(&widths).enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                let blanks = " ".repeat(width.saturating_sub(measure_text_width(cell)));
                let heading =
                    if nth == 0 { console::style(cell).bold().to_string() } else { cell.to_string() };
                match align {
                    Align::Left => line.extend([heading.as_str(), &blanks, "  "]),
                    Align::Right => line.extend([blanks.as_str(), &heading, "  "]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
            if nth == 0 {
                let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
                text.push_str(&format!("  {}\n", console::style(rule).dim()));
            }
        }
        text
    }
}

/// Names with what they mean, in two columns; what is longer than the line goes on in the second one.
pub fn definitions(rows: &[(&str, &str)], columns: usize) -> String {
    let wide = rows.iter().map(|(name, _)| measure_text_width(name)).max().unwrap_or(0);
    let mut text = String::new();
    for (name, meaning) in rows {
        let name = console::pad_str(name, wide, console::Alignment::Left, None);
        let lines =
            wrapped(meaning, columns.saturating_sub(wide + 2)).join(&format!("\n{}", " ".repeat(wide + 2)));
        text.push_str(&format!("{name}  {lines}\n"));
    }
    text
}

/// Fewer columns are no line.
const NARROWEST: usize = 16;

/// The words of a text in lines of at most so many columns, unless a word has more; one of wide letters, which are written without
/// blanks between words, is cut.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(NARROWEST);
    if measure_text_width(text) <= columns {
        return vec![text.to_string()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        for (nth, piece) in pieces(word, columns).into_iter().enumerate() {
            let Some(line) = lines.last_mut() else { continue };
            let blank = if nth == 0 && !line.is_empty() { " " } else { "" };
            if line.is_empty()
                || measure_text_width(line) + blank.len() + measure_text_width(piece) <= columns
            {
                line.push_str(blank);
                line.push_str(piece);
            } else {
                lines.push(piece.to_string());
            }
        }
    }
    lines
}

/// A word, or pieces of one that is wider than a line: it may end before any wide letter, but not inside an emoji that several
/// characters make.
fn pieces(word: &str, columns: usize) -> Vec<&str> {
    if measure_text_width(word) <= columns {
        return vec![word];
    }
    let mut pieces: Vec<&str> = Vec::new();
    // Where the piece begins, and the last place in its line where it may end.
    let (mut from, mut end, mut before) = (0, 0, None);
    for (at, letter) in word.char_indices() {
        let joins = matches!(letter, '\u{1f3fb}'..='\u{1f3ff}') || before == Some('\u{200d}');
        let is_wide = measure_text_width(letter.encode_utf8(&mut [0; 4])) == 2;
        before = Some(letter);
        if !is_wide || joins || at == from {
            continue;
        }
        if end > from && measure_text_width(word.get(from..at).unwrap_or_default()) > columns {
            pieces.extend(word.get(from..end));
            from = end;
        }
        end = at;
    }
    if end > from && measure_text_width(word.get(from..).unwrap_or_default()) > columns {
        pieces.extend(word.get(from..end));
        from = end;
    }
    pieces.extend(word.get(from..));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_bytes() {
        let mut table = Table::new([("name".to_string(), Align::Left), ("n".to_string(), Align::Right)]);
        table.row(["é".into(), "10".into()]);
        table.row(["long name".into()]);
        let lines = "  name        n\n  ─────────────\n  é          10\n  long name\n";
        assert_eq!(table.render_within(80), lines);
        assert_eq!(table.render_within(15), lines, "as wide as the terminal");
    }

    #[test]
    fn wide_letters_and_accents_take_the_columns_that_they_are_seen_in() {
        let mut table = Table::new([("name".to_string(), Align::Left), ("n".to_string(), Align::Right)]);
        table.row(["日本語".into(), "1".into()]);
        table.row(["e\u{301}te\u{301}".into(), "2".into()]);
        table.row(["👩\u{200d}💻".into(), "3".into()]);
        table.row(["a\u{202e}b\nc".into(), "4".into()]);
        assert_eq!(
            table.render_within(80),
            "  name    n\n  ─────────\n  日本語  1\n  e\u{301}te\u{301}     2\n  👩\u{200d}💻      3\n  a\u{fffd}b c   4\n"
        );
    }

    #[test]
    fn words_of_wide_letters_are_cut_between_letters() {
        // Nine letters of two columns in lines of sixteen.
        assert_eq!(wrapped("日本語日本語日本語", 16), ["日本語日本語日本", "語"]);
        assert_eq!(wrapped("ab 日本語日本語日本語 c", 17), ["ab", "日本語日本語日本", "語 c"]);
        let joined = "👩\u{200d}💻".repeat(9);
        let lines = wrapped(&joined, 16);
        assert_eq!(lines, ["👩\u{200d}💻".repeat(8), "👩\u{200d}💻".to_string()]);
        let long = "a".repeat(40);
        assert_eq!(wrapped(&format!("x {long} y"), 16), ["x", long.as_str(), "y"]);
    }

    #[test]
    fn meanings_go_on_in_their_column() {
        let rows = [(":k N", "length of the answer"), (":quit", "leave")];
        assert_eq!(definitions(&rows, 80), ":k N   length of the answer\n:quit  leave\n");
        assert_eq!(definitions(&rows, 23), ":k N   length of the\n       answer\n:quit  leave\n");
    }

    #[test]
    fn what_is_too_wide_has_a_cell_a_line() {
        let columns = ["name", "number", "words"].map(|name| (name.to_string(), Align::Left));
        let mut table = Table::new(columns);
        table.row(["one".into(), "10".into(), "words that go on and on".into()]);
        table.row(["two".into()]);
        assert_eq!(
            console::strip_ansi_codes(&table.render_within(30)),
            "  one\n    number  10\n    words   words that go on\n            and on\n  two\n"
        );
    }
}
