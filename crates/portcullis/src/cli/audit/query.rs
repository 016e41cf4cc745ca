//! `portcullis audit query`.

use std::io::{self, Write as _};
use std::iter::once;

use ::audit::{Order, scan};
use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use super::csv;
use super::newest::{Kept, Newest};
use super::row::Row;
use super::search::{self, SearchArgs};
use super::table::Table;
use crate::cli::{self, Exit};

/// Find records of the audit log: who reached what, from where, and why they could
///
/// A request and what became of it are one record. The newest come first.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Query {
    #[command(flatten)]
    search: SearchArgs,
    /// How many records are printed at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print the oldest that match, in their order
    #[arg(long)]
    oldest_first: bool,
    /// How records are printed: for people, as one JSON object a line, or for spreadsheets
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

impl Query {
    pub(super) fn execute(&self) -> Exit {
        let search = match self.search.read() {
            Ok(search) => search,
            Err(exit) => return exit,
        };
        let order = if self.oldest_first { Order::Oldest } else { Order::Newest };
        let newest = Newest::new(self.limit as usize, order);
        let scanned = match scan(&search.dir, &search.filter, order, &newest) {
            Ok(scanned) => scanned,
            Err(error) => return search::refuse(&search.dir, &error),
        };
        let kept = newest.into_sorted();
        let printed = cli::printed(match self.format {
            Format::Table => table(&kept, search.zone),
            Format::Json => print(kept.iter().map(|kept| kept.json() + "\n")),
            Format::Csv => print(once(csv::head()).chain(kept.iter().filter_map(Row::of).map(|row| csv::line(&row)))),
        });
        let concluded = search::conclude(&scanned, !kept.is_empty());
        if printed == Exit::Done { concluded } else { printed }
    }
}

fn table(kept: &[Kept], zone: TimeZone) -> io::Result<()> {
    let rows: Vec<_> = kept.iter().filter_map(Row::of).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let table = Table::fitting(&rows, zone);
    table.head(&mut out)?;
    rows.iter().try_for_each(|row| table.row(&mut out, row))?;
    out.flush()
}

fn print(mut lines: impl Iterator<Item = String>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    lines.try_for_each(|line| out.write_all(line.as_bytes()))?;
    out.flush()
}

const EXAMPLES: &str = "\
Examples:
  portcullis audit query --user ada@example.com --ip 10.8.0.0/16 --decision deny --since 24h
  portcullis audit query --route 'git*' --status 5xx --format json

Exit codes: 0 found, 1 nothing found, 2 usage, or the log cannot be read";
