//! Records for people: one line each, no wider than the terminal.

use std::io::{self, IsTerminal as _, Write};

use jiff::tz::TimeZone;

use super::fit::{self, Layout, SHORT_TIME, WHOLE_TIME, Widths};
use super::row::Row;
use crate::cli::text;

/// Records for people.
pub(super) struct Table {
    /// The zone of times.
    zone: TimeZone,
    widths: Widths,
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
            for (width, cell) in widths.iter_mut().zip(cells(row, &zone, WHOLE_TIME)) {
                *width = (*width).max(cell.chars().count());
            }
            // One long error must not push what follows out of sight, in all lines.
            widths[WHY] = widths[WHY].min(MOST_WHY);
        }
        let widths = Widths::fitting(&widths, &TEXTS, &LAYOUTS);
        let asks_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { zone, widths, colours: io::stdout().is_terminal() && !asks_for_none }
    }

    /// Writes the names of the columns.
    pub(super) fn head(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.widths.line(HEAD.map(str::to_owned)))
    }

    /// Writes a record.
    pub(super) fn row(&self, out: &mut impl Write, row: &Row) -> io::Result<()> {
        let line = self.widths.line(cells(row, &self.zone, self.widths.of(TIME)));
        match colour(&row.text("/decision")).filter(|_| self.colours) {
            Some(colour) => writeln!(out, "{colour}{line}{RESET}"),
            None => writeln!(out, "{line}"),
        }
    }
}

fn cells(row: &Row, zone: &TimeZone, width_of_time: usize) -> [String; COLUMNS] {
    let time = row.time.to_zoned(zone.clone()).strftime(fit::time_format(width_of_time)).to_string();
    let what = match &*row.text("/kind") {
        "request" => format!("{} {}{}", row.text("/method"), row.text("/host"), row.text("/path")),
        kind => kind.to_owned(),
    };
    let why = match (row.text("/rule"), row.text("/error")) {
        (rule, error) if rule.is_empty() && error.is_empty() => reason(row),
        (rule, error) if error.is_empty() => rule.into_owned(),
        (_, error) => format!("{}: {error}", row.text("/reason")),
    };
    let cells =
        [&row.text("/decision"), &row.status(), &row.who(), &row.text("/client_ip"), &*what, &why, &row.text("/id")];
    let [decision, status, who, from, what, why, id] = cells.map(text::safe);
    [time, decision, status, who, from, what, why, id]
}

/// Returns the reason, and who did it where that is not the one it was done to.
fn reason(row: &Row) -> String {
    let (reason, actor) = (row.text("/reason"), row.text("/actor"));
    if actor.is_empty() || actor == "portcullis" || actor == row.who() {
        reason.into_owned()
    } else {
        format!("{reason} by {actor}")
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
const TIME: usize = 0;
const WHO: usize = 3;
const FROM: usize = 4;
const WHAT: usize = 5;
const WHY: usize = 6;
const ID: usize = 7;
const TEXTS: [usize; 3] = [WHO, WHAT, WHY];
/// What a narrow terminal makes do without: first the year, then the address, because the id is what `policy explain`
/// takes and has the address too, then the id; the last layout is for some 50 characters.
const LAYOUTS: [Layout<'static>; 5] = [
    Layout { replaced: &[], least: 16 },
    Layout { replaced: &[(TIME, SHORT_TIME)], least: 10 },
    Layout { replaced: &[(TIME, SHORT_TIME), (FROM, 0)], least: 12 },
    Layout { replaced: &[(TIME, SHORT_TIME), (ID, 0)], least: 8 },
    Layout { replaced: &[(TIME, SHORT_TIME), (ID, 0), (FROM, 0)], least: 4 },
];
/// How wide reasons are at most; longer ones are cut on a terminal.
const MOST_WHY: usize = 48;
const RESET: &str = "\u{1b}[0m";
