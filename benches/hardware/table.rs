//! What a part of the run has found: one table, as JSON and as Markdown.

use serde_json::{Map, Value, json};

/// One cell of a table.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// Words.
    Text(String),
    /// A number, and the decimals that Markdown shows of it.
    Number(f64, usize),
    /// Nothing was measured.
    Empty,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Number(count as f64, 0)
    }
}

/// Microseconds, ratios.
impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number, 3)
    }
}

impl<C: Into<Self>> From<Option<C>> for Cell {
    fn from(cell: Option<C>) -> Self {
        cell.map_or(Self::Empty, Into::into)
    }
}

impl Cell {
    fn markdown(&self) -> String {
        match self {
            Self::Text(text) => text.replace('|', "\\|"),
            Self::Number(number, decimals) => format!("{number:.decimals$}"),
            Self::Empty => "-".to_owned(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number, 0) => json!(*number as u64),
            Self::Number(number, _) => json!(number),
            Self::Empty => Value::Null,
        }
    }
}

/// What a part has found.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name in JSON.
    pub(crate) name: &'static str,
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
    /// What was left out for lack of time or memory.
    left_out: Vec<String>,
    /// What went wrong.
    failures: Vec<String>,
    pub(crate) seconds: f64,
}

impl Section {
    pub(crate) fn new(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            columns: Vec::new(),
            rows: Vec::new(),
            notes: Vec::new(),
            left_out: Vec::new(),
            failures: Vec::new(),
            seconds: 0.0,
        }
    }

    /// The heads of the table's columns.
    pub(crate) fn columns(&mut self, columns: &[&'static str]) {
        self.columns = columns.to_vec();
    }

    /// One row: a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "columns of {}", self.name);
        self.rows.push(cells);
    }

    /// A sentence that explains the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Says what was not measured, and why.
    pub(crate) fn leave_out(&mut self, what: impl Into<String>) {
        self.left_out.push(what.into());
    }

    /// Says what went wrong: the whole run fails.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    pub(crate) fn failed(&self) -> bool {
        !self.failures.is_empty()
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n", self.title);
        for failure in &self.failures {
            text += &format!("**FAILED: {failure}**\n\n");
        }
        if !self.rows.is_empty() {
            let line = |cells: &mut dyn Iterator<Item = String>| {
                format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
            };
            text += &line(&mut self.columns.iter().map(|&column| column.to_owned()));
            text += &line(&mut self.columns.iter().map(|_| "---".to_owned()));
            for row in &self.rows {
                text += &line(&mut row.iter().map(Cell::markdown));
            }
            text += "\n";
        }
        for note in &self.notes {
            text += &format!("{note}\n\n");
        }
        if !self.left_out.is_empty() {
            text += &format!("Left out: {}.\n\n", self.left_out.join("; "));
        }
        text + &format!("{:.0} seconds.\n", self.seconds)
    }

    pub(crate) fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let cells = self.columns.iter().zip(row);
                let cells = cells.map(|(&column, cell)| (column.to_owned(), cell.json()));
                Value::Object(cells.collect::<Map<_, _>>())
            })
            .collect();
        json!({
            "name": self.name,
            "title": self.title,
            "seconds": self.seconds,
            "rows": rows,
            "notes": self.notes,
            "left_out": self.left_out,
            "failures": self.failures,
        })
    }
}
