//! The command line: one file a verb.

mod audit;
mod check;
mod connect;
#[cfg(feature = "demo")]
mod demo;
mod format;
mod policy;
mod run;
mod schema;
mod sessions;
pub(crate) mod text;
mod version;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::format::{TableOrJson, TextOrJson};
use crate::telemetry::{self, LogFormat};

/// A zero-trust, identity-aware access proxy.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
struct LogArgs {
    /// How the log on standard error is written
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
    /// What is logged: `error`, `warn`, `info` (a line for each request too), `debug`, `trace`, or a filter such as
    /// `info,access=off,proxy=debug`
    #[arg(long, global = true, env = "PORTCULLIS_LOG", default_value = "info,access=off", value_name = "FILTER")]
    log_level: String,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    Check(check::Check),
    Connect(connect::Connect),
    Audit(audit::Audit),
    Schema(schema::Schema),
    Sessions(sessions::Sessions),
    Policy(policy::Policy),
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    Version(version::Version),
}

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Done.
    Done,
    /// The answer is no.
    Negative,
    /// Usage or configuration is wrong.
    Refused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Negative => Self::from(1),
            Exit::Refused => Self::from(2),
        }
    }
}

/// Parses the arguments and runs the verb.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let result = error.print();
            // Help and version are no errors.
            return if error.use_stderr() { Exit::Refused } else { printed(result) }.into();
        }
    };
    if let Err(error) = telemetry::start(cli.log.log_format, &cli.log.log_level) {
        return refuse(format!("the log filter cannot be read: {error}; write `info`, or `info,proxy=debug`")).into();
    }
    let exit = match cli.verb {
        Verb::Run(run) => run.execute(),
        Verb::Check(check) => check.execute(),
        Verb::Connect(connect) => connect.execute(),
        Verb::Audit(audit) => audit.execute(),
        Verb::Schema(schema) => schema.execute(),
        Verb::Sessions(sessions) => sessions.execute(),
        Verb::Policy(policy) => policy.execute(),
        #[cfg(feature = "demo")]
        Verb::Demo(demo) => demo.execute(),
        Verb::Version(version) => version.execute(),
    };
    exit.into()
}

/// Prints to standard output.
fn print(text: impl Display) -> Exit {
    printed(writeln!(std::io::stdout().lock(), "{text}"))
}

/// Says how a verb ended that printed all that it had to. A reader that went away (`portcullis schema | head`) is not an
/// error; a disk that is full is one, or a part of what was asked for would look like all of it.
fn printed(result: io::Result<()>) -> Exit {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let reason = crate::config::reason(&error);
            refuse(format_args!("cannot write to standard output: {reason}; print it elsewhere"))
        }
        Ok(()) | Err(_) => Exit::Done,
    }
}

/// Prints what is wrong and what to do to standard error.
fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn refuse(text: impl Display) -> Exit {
    complain(format_args!("portcullis: {text}"));
    Exit::Refused
}

const EXAMPLES: &str = "\
Examples:
  portcullis demo
  portcullis check --config portcullis.yaml
  portcullis policy test --config config/policies.yaml
  portcullis run --config portcullis.yaml

Exit codes: 0 done, 1 a negative answer, 2 usage or configuration";

#[cfg(test)]
mod tests;
