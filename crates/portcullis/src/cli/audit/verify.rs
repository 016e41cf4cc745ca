//! `portcullis audit verify`.

use std::fmt;
use std::path::PathBuf;

use ::audit::{Chain, Checkpoint, Verification, VerifyingKey};
use clap::Args;

use super::search::{self, LogArgs};
use crate::cli::{self, Exit};

/// Find lines of the audit log that were altered, removed, inserted or reordered
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  portcullis audit verify /var/lib/portcullis/audit --key audit.pub --checkpoint copy.checkpoint\n\nExit codes: 0 all is as it was written, 1 something is not, 2 the log or a key cannot be read"
)]
pub(in crate::cli) struct Verify {
    /// The folder of the segments, as after `--dir`
    #[arg(value_name = "DIR", conflicts_with_all = ["dir", "config"])]
    folder: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
    /// A public key in PEM: the first and the last line of each segment must be signed with it, or with another one given
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// A copy of a checkpoint (`audit-….checkpoint`) that was kept elsewhere: what it counts must still be there
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

impl Verify {
    pub(super) fn execute(&self) -> Exit {
        let keys = match self.keys() {
            Ok(keys) => keys,
            Err(error) => return cli::refuse(error),
        };
        let copies = match self.copies() {
            Ok(copies) => copies,
            Err(error) => return cli::refuse(error),
        };
        let dir = match self.folder.clone().map_or_else(|| self.log.dir(), Ok) {
            Ok(dir) => dir,
            Err(exit) => return exit,
        };
        match ::audit::verify(&dir, &keys, &copies) {
            Ok(verification) if is_empty(&verification) => {
                cli::refuse(format_args!("no segments in `{}`; name the folder of `audit.dir`", dir.display()))
            }
            Ok(verification) => report(&verification),
            Err(error) => search::refuse(&dir, &error),
        }
    }

    fn keys(&self) -> Result<Vec<VerifyingKey>, String> {
        let read = |path: &PathBuf| {
            let shown = path.display();
            let remedy = "write one with `openssl pkey -in KEY -pubout`";
            let pem = std::fs::read(path).map_err(|error| format!("cannot read `{shown}`: {error}; {remedy}"))?;
            VerifyingKey::from_pem(&pem).map_err(|error| format!("`{shown}` has {error}; {remedy}"))
        };
        self.key.iter().map(read).collect()
    }

    fn copies(&self) -> Result<Vec<Checkpoint>, String> {
        let read = |path: &PathBuf| {
            let shown = path.display();
            let remedy = "name a copy of `audit-….checkpoint`";
            let file = std::fs::read(path).map_err(|error| format!("cannot read `{shown}`: {error}; {remedy}"))?;
            Checkpoint::parse(&file).map_err(|error| format!("`{shown}` is {error}; {remedy}"))
        };
        self.checkpoint.iter().map(read).collect()
    }
}

/// Returns whether there is nothing, nor a sign that there was something.
fn is_empty(verification: &Verification) -> bool {
    verification.chains.is_empty() && verification.unchained == 0 && verification.findings.is_empty()
}

fn report(verification: &Verification) -> Exit {
    let printed = cli::print(Shown(verification));
    if printed == Exit::Done && !verification.findings.is_empty() { Exit::Negative } else { printed }
}

struct Shown<'a, T>(&'a T);

impl fmt::Display for Shown<'_, Verification> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verification { chains, findings, unchained, .. } = self.0;
        findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        chains.iter().try_for_each(|chain| writeln!(f, "{}", Shown(chain)))?;
        if *unchained > 0 {
            let unchained = segments(*unchained);
            writeln!(f, "{unchained} without a chain, written before there were chains: nothing can be said of them")?;
        }
        match findings.len() {
            0 => f.write_str("good: every line is as it was written"),
            found => write!(f, "{}: the log is not as it was written", counted(found as u64, "finding")),
        }
    }
}

impl fmt::Display for Shown<'_, Chain> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chain {
            instance, segments: (first, last), count, lines, is_closed, signed_through, signed_at, key, ..
        } = self.0;
        write!(f, "chain `{instance}`: {} ({first} to {last}), {}", segments(*count), counted(*lines, "line"))?;
        match (signed_through, key) {
            (Some(_), _) if *is_closed => f.write_str(", signed to its end"),
            (Some(line), _) => write!(f, ", signed up to line {line} of its last segment, which is open"),
            (None, Some(key)) => write!(f, ", signed with key `{key}`, which was not checked: give it with `--key`"),
            (None, None) if *is_closed => f.write_str(", not signed"),
            (None, None) => f.write_str(", not signed, its last segment is open"),
        }?;
        match signed_at {
            // Whoever can roll back all files cannot make this time a later one.
            Some(time) => write!(f, ", last at {time:.0}"),
            None => Ok(()),
        }
    }
}

fn segments(count: usize) -> String {
    counted(count as u64, "segment")
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
