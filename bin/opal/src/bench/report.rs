//! A table of figures, as text for people and as JSON for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// One figure.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Text(String),
    Whole(u64),
    /// A number with digits that suit its size.
    Number(f64),
    /// Of a whole, from 0 to 1.
    Share(f64),
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) if number.abs() >= 100.0 => format!("{number:.0}"),
            Self::Number(number) if number.abs() >= 1.0 => format!("{number:.1}"),
            Self::Number(number) => format!("{number:.3}"),
            Self::Share(share) => format!("{:.0} %", share * 100.0),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Whole(number) => json!(number),
            Self::Number(number) | Self::Share(number) => json!(number),
        }
    }
}

/// Milliseconds.
pub(super) fn ms(time: Duration) -> Cell {
    Cell::Number(time.as_secs_f64() * 1_000.0)
}

/// What a bench found.
#[derive(Debug)]
pub(super) struct Report {
    /// What was measured, and on what.
    pub(super) title: String,
    /// Name of each column; the key in JSON.
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Whether people see each row as a column, since there are more figures than rows.
    pub(super) upright: bool,
    /// What to make of it.
    pub(super) notes: Vec<String>,
}

impl Report {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut table = vec![self.columns.iter().map(ToString::to_string).collect::<Vec<_>>()];
        table.extend(self.rows.iter().map(|row| row.iter().map(Cell::text).collect()));
        if self.upright {
            table = (0..self.columns.len())
                .map(|column| table.iter().filter_map(|row| row.get(column)).cloned().collect())
                .collect();
        }
        let columns = table.first().map_or(0, Vec::len);
        let width = |column: usize| {
            table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> =
            (0..columns).map(|column| width(column).unwrap_or_default()).collect();
        let mut out = format!("{}\n\n", self.title);
        for row in &table {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a string can't fail.
                let _ = match column {
                    0 => write!(line, "{cell:<width$}"),
                    _ => write!(line, "  {cell:>width$}"),
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        for note in &self.notes {
            let _ = write!(out, "\n{note}");
        }
        out.trim_end().to_owned()
    }

    /// For programs.
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        let row = |row: &Vec<Cell>| -> Value {
            let cells = self.columns.iter().zip(row);
            cells
                .map(|(name, cell)| ((*name).to_owned(), cell.json()))
                .collect::<Map<_, _>>()
                .into()
        };
        serde_json::to_string_pretty(&json!({
            "title": self.title,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "notes": self.notes,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn columns_line_up_and_json_has_their_names() {
        let mut report = Report {
            title: "two rows".into(),
            columns: vec!["what", "ms", "share"],
            rows: vec![
                vec![Cell::Text("a".into()), ms(Duration::from_micros(1_500)), Cell::Share(0.5)],
                vec![Cell::Text("longer".into()), Cell::Number(250.0), Cell::Share(1.0)],
            ],
            upright: false,
            notes: vec!["done".into()],
        };
        let expected =
            "two rows\n\nwhat     ms  share\na       1.5   50 %\nlonger  250  100 %\n\ndone";
        assert_eq!(report.text(), expected);
        report.upright = true;
        let expected =
            "two rows\n\nwhat      a  longer\nms      1.5     250\nshare  50 %   100 %\n\ndone";
        assert_eq!(report.text(), expected);
        let json: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["rows"][0]["ms"], 1.5);
    }
}
