//! Aligned columns for terminals. Widths count characters as they are seen, not the bytes of colours.

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

    /// The lines of the table, indented by two blanks, with a rule under the heading.
    pub fn render(&self) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_bytes() {
        let mut table = Table::new([("name".to_string(), Align::Left), ("n".to_string(), Align::Right)]);
        table.row(["é".into(), "10".into()]);
        table.row(["long name".into()]);
        assert_eq!(table.render(), "  name        n\n  ─────────────\n  é          10\n  long name\n");
    }
}
