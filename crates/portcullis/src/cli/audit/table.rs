//! Records for people: one line each, no wider than the terminal.

use std::io::{self, IsTerminal as _, Write};

use jiff::tz::TimeZone;

use super::row::Row;
use crate::cli::text;

/// Records for people.
pub(super) struct Table {
    /// The zone of times.
    zone: TimeZone,
    widths: [usize; COLUMNS],
    /// Whether somebody looks at it on a terminal: what is wider than its column is shortened.
    on_terminal: bool,
    colours: bool,
}

impl Table {
    /// Makes a table for these rows.
    pub(super) fn fitting(rows: &[Row], zone: TimeZone) -> Self {
        Self::new(rows, HEAD.map(str::len), zone)
    }

    /// Makes a table for these rows and those that will come.
    pub(super) fn growing(rows: &[Row], zone: TimeZone) -> Self {
        Self::new(rows, USUAL, zone)
    }

    fn new(rows: &[Row], mut widths: [usize; COLUMNS], zone: TimeZone) -> Self {
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(cells(row, &zone)) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let on_terminal = io::stdout().is_terminal();
        if let Some((width, _)) = on_terminal.then(terminal_size::terminal_size).flatten() {
            fit(&mut widths, width.0.into());
        }
        let colours = on_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { zone, widths, on_terminal, colours }
    }

    /// Writes the names of the columns.
    pub(super) fn head(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.line(HEAD.map(str::to_owned)))
    }

    /// Writes a record.
    pub(super) fn row(&self, out: &mut impl Write, row: &Row) -> io::Result<()> {
        let line = self.line(cells(row, &self.zone));
        match colour(&row.text("/decision")).filter(|_| self.colours) {
            Some(colour) => writeln!(out, "{colour}{line}{RESET}"),
            None => writeln!(out, "{line}"),
        }
    }

    fn line(&self, cells: [String; COLUMNS]) -> String {
        let shown = cells.into_iter().zip(self.widths).map(|(cell, width)| {
            let cell = if self.on_terminal { text::cut(&cell, width) } else { cell };
            format!("{cell:<width$}")
        });
        shown.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    }
}

fn cells(row: &Row, zone: &TimeZone) -> [String; COLUMNS] {
    let time = row.time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string();
    let what = match &*row.text("/kind") {
        "request" => format!("{} {}{}", row.text("/method"), row.text("/host"), row.text("/path")),
        kind => kind.to_owned(),
    };
    let why = match (row.text("/rule"), row.text("/error")) {
        (rule, error) if rule.is_empty() && error.is_empty() => row.text("/reason").into_owned(),
        (rule, error) if error.is_empty() => rule.into_owned(),
        (_, error) => format!("{}: {error}", row.text("/reason")),
    };
    let cells =
        [&row.text("/decision"), &row.status(), &row.who(), &row.text("/client_ip"), &*what, &why, &row.text("/id")];
    let [decision, status, who, from, what, why, id] = cells.map(text::safe);
    [time, decision, status, who, from, what, why, id]
}

/// Takes from the widest of what may be shortened, until all fits.
fn fit(widths: &mut [usize; COLUMNS], width: usize) {
    while widths.iter().sum::<usize>() + GAP.len() * (COLUMNS - 1) > width {
        let widest = SHORTENED.iter().copied().max_by_key(|column| widths.get(*column));
        match widest.and_then(|column| widths.get_mut(column)) {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            Some(_) | None => return,
        }
    }
}

fn colour(decision: &str) -> Option<&'static str> {
    match decision {
        "deny" => Some("\u{1b}[31m"),
        "challenge" => Some("\u{1b}[33m"),
        _ => None,
    }
}

const COLUMNS: usize = 8;
const HEAD: [&str; COLUMNS] = ["TIME", "DECISION", "STATUS", "WHO", "FROM", "WHAT", "WHY", "ID"];
/// How wide columns are before their rows are known.
const USUAL: [usize; COLUMNS] = [25, 9, 6, 24, 15, 40, 24, 36];
/// Columns whose texts may be shortened: who, what, why.
const SHORTENED: [usize; 3] = [3, 5, 6];
const NARROWEST: usize = 8;
const GAP: &str = "  ";
const RESET: &str = "\u{1b}[0m";
