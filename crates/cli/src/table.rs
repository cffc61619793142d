//! The one printer of tables, for terminals and as Markdown.

use unicode_width::UnicodeWidthStr;

/// A table, ready to be printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// What it shows; nothing is printed for an empty one.
    pub title: String,
    /// Heads of the columns.
    pub header: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
    /// What one must know to read it.
    pub notes: Vec<String>,
    /// How many columns hold text and stand on the left; the others hold numbers.
    pub text_columns: usize,
}

impl Table {
    /// A table whose first `text_columns` columns hold text, and the others numbers.
    pub fn new<T: Into<String>>(text_columns: usize, header: impl IntoIterator<Item = T>) -> Self {
        let header = header.into_iter().map(Into::into).collect();
        Self { header, text_columns, ..Self::default() }
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Columns side by side, for a terminal.
    pub fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&self.header]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let mut lines = Vec::new();
        if !self.title.is_empty() {
            lines.push(self.title.clone());
        }
        for row in [&self.header].into_iter().chain(&self.rows) {
            let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
                let space = " ".repeat(width.saturating_sub(cell.width()));
                match at < self.text_columns {
                    true => format!("{cell}{space}"),
                    false => format!("{space}{cell}"),
                }
            });
            lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
        }
        // Two columns of names and values need no head.
        lines.retain(|line| !line.is_empty());
        lines.extend(self.notes.iter().cloned());
        lines.join("\n")
    }

    /// A Markdown table with its title and notes.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |", cells.join(" | "))
        };
        let rule: Vec<String> = self.header.iter().map(|_| "---".to_owned()).collect();
        let mut lines = Vec::new();
        if !self.title.is_empty() {
            lines.extend([format!("**{}**", self.title), String::new()]);
        }
        lines.extend([line(&self.header), line(&rule)]);
        lines.extend(self.rows.iter().map(|row| line(row)));
        for note in &self.notes {
            lines.extend([String::new(), note.clone()]);
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_left_and_numbers_right() {
        let mut table = Table::new(2, ["class", "set", "n"]);
        table.row(["café", "a", "7"]);
        table.row(["猫", "bb", "100"]);
        assert_eq!(table.text(), "class  set    n\ncafé   a      7\n猫     bb   100");
        let expected =
            "| class | set | n |\n| --- | --- | --- |\n| café | a | 7 |\n| 猫 | bb | 100 |";
        assert_eq!(table.markdown(), expected);
        let titled = Table { title: "T".to_owned(), notes: vec!["N".to_owned()], ..table };
        assert!(titled.text().starts_with("T\nclass") && titled.text().ends_with("100\nN"));
        assert!(titled.markdown().starts_with("**T**\n\n| class"));
    }

    #[test]
    fn names_and_values_need_no_header() {
        let mut table = Table::new(2, ["", ""]);
        table.row(["kind", "stats"]);
        table.row(["classes", "4"]);
        assert_eq!(table.text(), "kind     stats\nclasses  4");
    }
}
