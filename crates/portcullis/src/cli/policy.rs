//! `portcullis policy`: tools for the people who write policies.

mod explain;
mod replay;
mod test;
mod tree;
mod verdict;

use clap::{Args, Subcommand};

use super::Exit;
use crate::config::LoadError;

/// Test, explain and replay policies
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis policy test --config config/policies.yaml")]
pub(super) struct Policy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Test(test::Test),
    Explain(Box<explain::Explain>),
    Replay(replay::Replay),
}

impl Policy {
    pub(super) fn execute(&self) -> Exit {
        match &self.verb {
            Verb::Test(test) => test.execute(),
            Verb::Explain(explain) => explain.execute(),
            Verb::Replay(replay) => replay.execute(),
        }
    }
}

/// Says why there is no configuration.
fn refuse_config(error: &LoadError) -> Exit {
    match error {
        LoadError::Invalid(report) => {
            super::complain(report.to_string().trim_end());
            super::refuse("the configuration has errors: correct those above")
        }
        LoadError::Unreadable { .. } => super::refuse(error),
    }
}
