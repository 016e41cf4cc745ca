//! Records one after the other, as they come.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::ops::ControlFlow;

use ::audit::{Found, joined};
use jiff::tz::TimeZone;

use crate::cli::TableOrJson;
use crate::cli::audit::newest::Kept;
use crate::cli::audit::row::Row;
use crate::cli::audit::table::Table;

/// Prints records.
pub(super) struct Printer {
    out: BufWriter<Stdout>,
    // None where records are JSON.
    table: Option<Table>,
    failed: io::Result<()>,
}

impl Printer {
    /// Prints the first records, and all that comes before them.
    pub(super) fn start(format: TableOrJson, zone: TimeZone, first: &[Kept], more_will_come: bool) -> io::Result<Self> {
        let mut out = BufWriter::new(io::stdout());
        let table = match format {
            TableOrJson::Json => {
                first.iter().try_for_each(|kept| writeln!(out, "{}", kept.json()))?;
                None
            }
            TableOrJson::Table => {
                let rows: Vec<_> = first.iter().filter_map(Row::of).collect();
                let table = if more_will_come { Table::growing(&rows, zone) } else { Table::fitting(&rows, zone) };
                if more_will_come || !rows.is_empty() {
                    table.head(&mut out)?;
                }
                rows.iter().try_for_each(|row| table.row(&mut out, row))?;
                Some(table)
            }
        };
        out.flush()?;
        Ok(Self { out, table, failed: Ok(()) })
    }

    /// Prints a record; [`Printer::flush`] tells what failed.
    pub(super) fn print(&mut self, found: &Found<'_>) -> ControlFlow<()> {
        // Both lines were read before.
        let json = joined(found.line, found.outcome).unwrap_or_default();
        let printed = match &self.table {
            None => writeln!(self.out, "{json}"),
            Some(table) => Row::read(&json).map_or(Ok(()), |row| table.row(&mut self.out, &row)),
        };
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Err(error);
                ControlFlow::Break(())
            }
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        std::mem::replace(&mut self.failed, Ok(())).and_then(|()| self.out.flush())
    }
}
