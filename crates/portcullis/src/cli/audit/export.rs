//! `portcullis audit export`.

mod batch;
mod in_order;
mod output;
mod parquet;

use std::io;
use std::path::PathBuf;

use ::audit::{Order, scan};
use clap::{Args, ValueEnum};

use self::in_order::InOrder;
use self::output::Output;
use super::search::{self, Search, SearchArgs};
use crate::cli::{self, Exit};
use crate::config;

/// Hand records of the audit log to other programs
///
/// The segments are read in their order, the oldest first; memory does not grow with the log.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    search: SearchArgs,
    /// How records are written
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Format,
    /// Where to; unless given, standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For spreadsheets (RFC 4180)
    Csv,
    /// One JSON object a line
    Json,
    /// For databases and what else reads columns
    Parquet,
}

impl Export {
    pub(super) fn execute(&self) -> Exit {
        let search = match self.search.read() {
            Ok(search) => search,
            Err(exit) => return exit,
        };
        let output = match Output::open(self.output.as_deref(), self.force, self.format) {
            Ok(output) => output,
            Err(error) => return cli::refuse(error),
        };
        self.export(&search, output).unwrap_or_else(|error| match &self.output {
            None => cli::printed(Err(error)),
            Some(path) => cli::refuse(format_args!(
                "cannot write `{}`: {}; nothing was left there",
                path.display(),
                config::reason(&error)
            )),
        })
    }

    fn export(&self, search: &Search, output: Output) -> io::Result<Exit> {
        let in_order = InOrder::new(self.format, output.writer()?)?;
        let scanned = match scan(&search.dir, &search.filter, Order::Oldest, &in_order) {
            Ok(scanned) => scanned,
            Err(error) => return Ok(search::refuse(&search.dir, &error)),
        };
        let count = in_order.finish()?;
        output.persist()?;
        if let Some(path) = &self.output {
            cli::complain(format_args!("portcullis: {} in `{}`", search::counted(count, "record"), path.display()));
        }
        Ok(search::conclude(&scanned, count > 0))
    }
}

const EXAMPLES: &str = "\
Examples:
  portcullis audit export --format parquet --output march.parquet --since 2026-03-01 --until 2026-04-01
  portcullis audit export --format json --user ada@example.com | jq .path

Exit codes: 0 exported, 1 nothing found (what is written has no record), 2 usage, or the log cannot be read";
