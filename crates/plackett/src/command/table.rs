//! Aligned columns for terminals. Widths count characters as they are seen, not the bytes of colours.

use super::terminal;
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

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
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

/// The words of a text in lines of at most so many columns, unless a word has more; fewer than a few columns are no line.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(16);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            line.push_str(word);
        } else if measure_text_width(line) + 1 + measure_text_width(word) <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_string());
        }
    }
    lines
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
