//! `portcullis check`.

use std::path::PathBuf;

use clap::Args;

use super::Exit;
use crate::config::{self, LoadError};

/// Check a configuration and everything it names, and print every problem
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  portcullis check --config portcullis.yaml\n  portcullis check --strict\n\nExit codes: 0 it loads, 1 it has errors (with --strict: or warnings), 2 it cannot be read"
)]
pub(super) struct Check {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "portcullis.yaml")]
    config: PathBuf,
    /// Count warnings as errors: rules that are always true or never, comparisons that never hold, and whatever else
    /// loads and is likely not meant
    #[arg(long)]
    strict: bool,
}

impl Check {
    pub(super) fn execute(&self) -> Exit {
        match config::load(&self.config) {
            Ok(config) => {
                if !config.warnings.is_empty() {
                    super::complain(config.warnings.to_string().trim_end());
                }
                if self.strict && !config.warnings.is_empty() {
                    let warnings = counted(config.warnings.lines().count(), "warning");
                    super::complain(format_args!("{}: {warnings}, and `--strict` allows none", self.config.display()));
                    return Exit::Negative;
                }
                super::print(format_args!(
                    "{}: good ({}, revision {})",
                    self.config.display(),
                    counted(config.proxy.routes.len(), "route"),
                    config.proxy.revision
                ))
            }
            Err(LoadError::Invalid(report)) => {
                super::complain(report.to_string().trim_end());
                super::complain(format_args!("{}: {}", self.config.display(), counted(report.errors(), "error")));
                Exit::Negative
            }
            Err(error @ LoadError::Unreadable { .. }) => super::refuse(error),
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
