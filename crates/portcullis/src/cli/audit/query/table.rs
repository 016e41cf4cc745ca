//! Records for people: one line each, no wider than the terminal.

use std::fmt;

use jiff::tz::TimeZone;

use super::row::Row;
use crate::cli::text;

/// Records for people.
pub(super) struct Table<'a> {
    pub(super) rows: &'a [Row],
    /// The zone of times.
    pub(super) zone: TimeZone,
    /// How wide lines may be; as wide as they are where nobody looks.
    pub(super) width: Option<usize>,
    pub(super) colours: bool,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return Ok(());
        }
        let cells: Vec<_> = self.rows.iter().map(|row| self.cells(row)).collect();
        let mut widths = HEAD.map(str::len);
        for row in &cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        self.fit(&mut widths);
        line(f, &HEAD.map(str::to_owned), &widths, None)?;
        for cells in &cells {
            let colour = cells.get(DECISION).filter(|_| self.colours).and_then(|decision| colour(decision));
            line(f, cells, &widths, colour)?;
        }
        Ok(())
    }
}

impl Table<'_> {
    fn cells(&self, row: &Row) -> [String; COLUMNS] {
        let time = row.time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string();
        let what = match &*row.text("/kind") {
            "request" => format!("{} {}{}", row.text("/method"), row.text("/host"), row.text("/path")),
            kind => kind.to_owned(),
        };
        let why = match (row.text("/rule"), row.text("/error")) {
            (rule, error) if rule.is_empty() && error.is_empty() => row.text("/reason").into_owned(),
            (rule, error) if error.is_empty() => rule.into_owned(),
            (_, error) => format!("{}: {error}", row.text("/reason")),
        };
        let cells = [
            &row.text("/decision"),
            &row.status(),
            &row.who(),
            &row.text("/client_ip"),
            &*what,
            &why,
            &row.text("/id"),
        ];
        let [decision, status, who, from, what, why, id] = cells.map(text::safe);
        [time, decision, status, who, from, what, why, id]
    }

    /// Takes from the widest of what may be shortened, until all fits.
    fn fit(&self, widths: &mut [usize; COLUMNS]) {
        let Some(width) = self.width else { return };
        while widths.iter().sum::<usize>() + GAP.len() * (COLUMNS - 1) > width {
            let widest = SHORTENED.iter().copied().max_by_key(|column| widths.get(*column));
            match widest.and_then(|column| widths.get_mut(column)) {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                Some(_) | None => return,
            }
        }
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    cells: &[String; COLUMNS],
    widths: &[usize; COLUMNS],
    colour: Option<&str>,
) -> fmt::Result {
    let shown = cells.iter().zip(widths).map(|(cell, width)| format!("{:<width$}", text::cut(cell, *width)));
    let line = shown.collect::<Vec<_>>().join(GAP);
    match colour {
        Some(colour) => writeln!(f, "{colour}{}{RESET}", line.trim_end()),
        None => writeln!(f, "{}", line.trim_end()),
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
const DECISION: usize = 1;
/// Columns whose texts may be shortened: who, what, why.
const SHORTENED: [usize; 3] = [3, 5, 6];
const NARROWEST: usize = 8;
const GAP: &str = "  ";
const RESET: &str = "\u{1b}[0m";
