//! `portcullis audit`: one file a verb.

mod verify;

use clap::{Args, Subcommand};

use super::Exit;

/// Look into the audit log
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis audit verify /var/lib/portcullis/audit")]
pub(super) struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Verify(verify::Verify),
}

impl Audit {
    pub(super) fn execute(&self) -> Exit {
        match &self.verb {
            Verb::Verify(verify) => verify.execute(),
        }
    }
}
