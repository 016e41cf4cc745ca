//! `portcullis policy`: tools for the people who write policies.

mod test;
mod tree;

use clap::{Args, Subcommand};

use super::Exit;

/// Test, explain and replay policies
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis policy test policies/*.yaml")]
pub(super) struct Policy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Test(test::Test),
}

impl Policy {
    pub(super) fn execute(&self) -> Exit {
        match &self.verb {
            Verb::Test(test) => test.execute(),
        }
    }
}
