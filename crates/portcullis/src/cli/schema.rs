//! `portcullis schema`.

use clap::Args;

use super::Exit;

/// Print the JSON Schema of `portcullis.yaml`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis schema > portcullis.schema.json")]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn execute(&self) -> Exit {
        super::print(format_args!("{:#}", crate::config::json_schema()))
    }
}
