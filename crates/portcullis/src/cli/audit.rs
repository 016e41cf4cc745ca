//! `portcullis audit`: one file a verb, and what they share.

mod export;
mod query;
mod summary;
mod tail;
mod verify;

mod columns;
mod csv;
mod fit;
mod newest;
mod row;
mod search;
mod table;

use clap::{Args, Subcommand};

use super::Exit;

/// Look into the audit log
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  portcullis audit query --user ada@example.com --since 24h\n  portcullis audit tail --follow\n  portcullis audit verify /var/lib/portcullis/audit"
)]
pub(super) struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Query(Box<query::Query>),
    Summary(Box<summary::Summary>),
    Tail(Box<tail::Tail>),
    Export(Box<export::Export>),
    Verify(verify::Verify),
}

impl Audit {
    pub(super) fn execute(&self) -> Exit {
        match &self.verb {
            Verb::Query(query) => query.execute(),
            Verb::Summary(summary) => summary.execute(),
            Verb::Tail(tail) => tail.execute(),
            Verb::Export(export) => export.execute(),
            Verb::Verify(verify) => verify.execute(),
        }
    }
}
