//! The log of the process, on standard error.

use std::io::IsTerminal as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log.
///
/// # Errors
/// The filter cannot be read.
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let parsed = EnvFilter::builder().parse(filter)?;
    // What cannot be written (a full disk, a pipe that nobody reads) would be told to standard error, too, by a macro that
    // panics when that fails: every request with something to log would be torn down.
    let log = fmt().with_writer(std::io::stderr).log_internal_errors(false);
    // A log that was started already (by an embedding program) stays as it is.
    match format {
        LogFormat::Text => {
            let log = log.with_ansi(std::io::stderr().is_terminal());
            let log = log.with_env_filter(parsed).with_filter_reloading();
            let handle = log.reload_handle();
            if log.finish().try_init().is_ok() {
                keep(filter, move |filter| handle.reload(filter).is_ok());
            }
        }
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_env_filter(parsed).with_filter_reloading();
            let handle = log.reload_handle();
            if log.finish().try_init().is_ok() {
                keep(filter, move |filter| handle.reload(filter).is_ok());
            }
        }
    }
    Ok(())
}

/// Returns what is logged, where the log is ours.
pub(crate) fn level() -> Option<String> {
    LEVEL.get().map(|level| level.text.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Reads a filter for [`change_level`]; nothing where it cannot be read.
pub(crate) fn filter(text: &str) -> Option<EnvFilter> {
    EnvFilter::builder().parse(text).ok()
}

/// Changes what is logged to a filter that was read from this text; returns whether the log took it.
pub(crate) fn change_level(text: &str, filter: EnvFilter) -> bool {
    let Some(level) = LEVEL.get().filter(|level| (level.change)(filter)) else { return false };
    text.clone_into(&mut level.text.lock().unwrap_or_else(PoisonError::into_inner));
    true
}

struct Level {
    text: Mutex<String>,
    change: Box<dyn Fn(EnvFilter) -> bool + Send + Sync>,
}

fn keep(filter: &str, change: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) {
    let _ = LEVEL.set(Level { text: Mutex::new(filter.to_owned()), change: Box::new(change) });
}

// A process has one log.
static LEVEL: OnceLock<Level> = OnceLock::new();
