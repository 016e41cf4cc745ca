//! `portcullis version`.

use clap::Args;

use super::Exit;

/// Print the version
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis version")]
pub(super) struct Version {}

impl Version {
    pub(super) fn execute(&self) -> Exit {
        super::print(format_args!("portcullis {}", env!("CARGO_PKG_VERSION")))
    }
}
