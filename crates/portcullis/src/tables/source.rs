//! One table: where it comes from, and how reading it went last.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authorize::{Layout, Rows, Table, TableError};
use identity::{Clock as _, SystemClock};
use jiff::Timestamp;

use super::fetch::{Fetched, Server, Validators};
use crate::config::{Watched, read_bytes};

/// A table of `data:` and its source.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    layout: Layout,
    origin: Origin,
    max_size: u64,
    table: Arc<Table>,
    state: Mutex<State>,
}

/// Where a table comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    File(PathBuf),
    Url(Server),
}

#[derive(Clone, Debug, Default)]
struct State {
    problem: Option<String>,
    /// When the copy in use was last read, or found to be the newest.
    good: Option<Timestamp>,
    watched: Watched,
    validators: Validators,
}

impl Source {
    pub(crate) fn new(name: &str, layout: Layout, origin: Origin, max_size: u64) -> Self {
        let table = Arc::new(Table::new(layout.key));
        Self { name: name.to_owned(), layout, origin, max_size, table, state: Mutex::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) const fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Returns how many rows there are; none where the table was never read.
    pub(crate) fn rows(&self) -> Option<usize> {
        self.table.rows().map(|rows| rows.count())
    }

    pub(super) fn has_rows(&self) -> bool {
        self.table.rows().is_some()
    }

    /// Returns what is wrong with the table, and since when the copy in use is no longer known to be the newest.
    pub(crate) fn problem(&self) -> Option<String> {
        let State { problem, good, .. } = &*self.state();
        let problem = problem.as_deref()?;
        Some(match good {
            Some(good) => format!("{}: the copy of {good:.0} is in use, because: {problem}", self.name),
            None => format!("{}: nothing can be looked up in it, because: {problem}", self.name),
        })
    }

    pub(super) fn good(&self) -> Option<Timestamp> {
        self.state().good
    }

    pub(super) const fn refresh_interval(&self) -> Option<Duration> {
        match &self.origin {
            Origin::File(_) => None,
            Origin::Url(server) => Some(server.refresh()),
        }
    }

    pub(crate) fn watched(&self) -> Watched {
        self.state().watched.clone()
    }

    pub(super) fn has_changed(&self) -> bool {
        self.watched().has_changed()
    }

    /// Goes on to use what was fetched for the same table before.
    pub(super) fn take_over(&self, before: &Self) {
        let same = match (&self.origin, &before.origin) {
            (Origin::Url(now), Origin::Url(before)) => now.asks_the_same_as(before),
            (Origin::File(_) | Origin::Url(_), _) => false,
        };
        if same && self.name == before.name && self.layout == before.layout {
            self.table.exchange(before.table.rows());
            *self.state() = before.state().clone();
        }
    }

    /// Reads a file, for the first time and while nothing else goes on.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(&self) -> Result<(), String> {
        let Origin::File(path) = &self.origin else { return Ok(()) };
        let mut watched = Watched::default();
        watched.add(path.clone());
        self.state().watched = watched;
        let bytes = read_bytes(path, self.max_size)?;
        self.take(bytes).map_err(|error| error.to_string())?;
        self.state().good = Some(SystemClock.now());
        Ok(())
    }

    fn take(&self, bytes: Vec<u8>) -> Result<(), TableError> {
        let rows = Rows::read(&self.layout, bytes)?;
        if let Some(before) = self.table.rows() {
            rows.check_successor_of(&before)?;
        }
        self.table.replace(rows);
        Ok(())
    }

    /// Reads the file again, or asks the server.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let before = self.table.rows();
        let outcome = match &self.origin {
            Origin::File(_) => {
                let this = Arc::clone(self);
                tokio::task::spawn_blocking(move || this.read()).await.unwrap_or_else(|error| Err(error.to_string()))
            }
            Origin::Url(server) => self.fetch(server).await,
        };
        match &outcome {
            Ok(()) if same(before.as_ref(), self.table.rows().as_ref()) => {}
            Ok(()) => tracing::info!(table.name = self.name, table.rows = self.rows(), "table read"),
            Err(problem) => {
                let consequence =
                    if before.is_some() { "the last good copy is in use" } else { "what asks it is refused" };
                tracing::error!(table.name = self.name, error = problem, "a table cannot be read; {consequence}");
            }
        }
        self.state().problem = outcome.err();
    }

    async fn fetch(self: &Arc<Self>, server: &Server) -> Result<(), String> {
        // Without rows, nothing is known that could be unchanged.
        let known = if self.has_rows() { self.state().validators.clone() } else { Validators::default() };
        if let Fetched::Body { bytes, validators } = server.fetch(&known, self.max_size).await? {
            let this = Arc::clone(self);
            // Reading a large table would hold up requests.
            let taken =
                tokio::task::spawn_blocking(move || this.take(bytes)).await.map_err(|error| error.to_string())?;
            taken.map_err(|error| error.to_string())?;
            self.state().validators = validators;
        }
        self.state().good = Some(SystemClock.now());
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same(before: Option<&Arc<Rows>>, now: Option<&Arc<Rows>>) -> bool {
    before.zip(now).is_some_and(|(before, now)| Arc::ptr_eq(before, now))
}
