//! Tables for the terminal or in Markdown.

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with these columns.
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self {
            rows: vec![heading.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Prints the table, optionally as Markdown.
    pub fn print(&self, markdown: bool) {
        if markdown {
            self.print_markdown();
        } else {
            self.print_plain();
        }
    }

    fn print_markdown(&self) {
        for (at, row) in self.rows.iter().enumerate() {
            println!("| {} |", row.join(" | "));
            if at == 0 {
                println!("|---|{}", "--:|".repeat(row.len() - 1));
            }
        }
    }

    fn print_plain(&self) {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .enumerate()
                .map(|(column, cell)| match column {
                    0 => format!("{cell:<0$}", width(column)),
                    _ => format!("{cell:>0$}", width(column)),
                })
                .collect();
            println!("{}", cells.join("  ").trim_end());
        }
    }
}
