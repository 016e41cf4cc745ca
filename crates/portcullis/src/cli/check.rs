//! `portcullis check`.

use std::path::PathBuf;

use clap::Args;

use super::Exit;
use crate::config::{self, LoadError};

/// Check a configuration and everything it names, and print every problem
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  portcullis check --config portcullis.yaml\n\nExit codes: 0 it loads, 1 it has errors, 2 it cannot be read"
)]
pub(super) struct Check {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "portcullis.yaml")]
    config: PathBuf,
}

impl Check {
    pub(super) fn execute(&self) -> Exit {
        match config::load(&self.config) {
            Ok(config) => {
                if !config.warnings.is_empty() {
                    super::complain(config.warnings.to_string().trim_end());
                }
                let routes = config.proxy.routes.len();
                let noun = if routes == 1 { "route" } else { "routes" };
                super::print(format_args!(
                    "{}: good ({routes} {noun}, revision {})",
                    self.config.display(),
                    config.proxy.revision
                ))
            }
            Err(LoadError::Invalid(report)) => {
                super::complain(report.to_string().trim_end());
                let errors = report.errors();
                let noun = if errors == 1 { "error" } else { "errors" };
                super::complain(format_args!("{}: {errors} {noun}", self.config.display()));
                Exit::Negative
            }
            Err(error @ LoadError::Unreadable { .. }) => super::refuse(error),
        }
    }
}
