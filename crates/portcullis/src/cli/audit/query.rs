//! `portcullis audit query`.

mod newest;
mod row;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use ::audit::scan;
use clap::{Args, ValueEnum};

use self::newest::{Kept, Newest};
use self::row::Row;
use self::table::Table;
use super::log_args::{self, FilterArgs, LogArgs};
use crate::cli::{self, Exit};

/// Find records of the audit log: who reached what, from where, and why they could
///
/// A request and what became of it are one record. The newest come first.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Query {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    filter: FilterArgs,
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
        let (dir, filter, zone) = match (self.log.dir(), self.filter.filter(), self.filter.zone()) {
            (Err(exit), ..) => return exit,
            (_, Err(error), _) | (_, _, Err(error)) => return cli::refuse(error),
            (Ok(dir), Ok(filter), Ok(zone)) => (dir, filter, zone),
        };
        let newest = Newest::new(self.limit as usize, self.oldest_first);
        let scanned = match scan(&dir, &filter, !self.oldest_first, &newest) {
            Ok(scanned) => scanned,
            Err(error) => return log_args::refuse(&dir, &error),
        };
        let kept = newest.into_sorted();
        // A reader that went away (`| head`) is not an error.
        let _ = match self.format {
            Format::Table => table(&kept, zone),
            Format::Json => lines(kept.iter().map(Kept::json)),
            Format::Csv => {
                lines(std::iter::once(row::csv_head()).chain(kept.iter().filter_map(Row::of).map(|row| row.csv())))
            }
        };
        log_args::conclude(&scanned, !kept.is_empty())
    }
}

fn table(kept: &[Kept], zone: jiff::tz::TimeZone) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let rows: Vec<_> = kept.iter().filter_map(Row::of).collect();
    let is_terminal = out.is_terminal();
    let width = is_terminal.then(terminal_size::terminal_size).flatten().map(|(width, _)| usize::from(width.0));
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    out.write_all(Table { rows: &rows, zone, width, colours }.to_string().as_bytes())
}

fn lines(lines: impl Iterator<Item = String>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

const EXAMPLES: &str = "\
Examples:
  portcullis audit query --user ada@example.com --ip 10.8.0.0/16 --decision deny --since 24h
  portcullis audit query --route 'git*' --status 5xx --format json

Exit codes: 0 found, 1 nothing found, 2 usage, or the log cannot be read";
