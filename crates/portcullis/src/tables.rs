//! The tables of `data:` while the process runs: files are read again when they change, URLs are asked now and then.
//! Whatever goes wrong, the last good copy stays in use.

mod fetch;
mod metrics;
mod source;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(crate) use fetch::Server;
pub(crate) use metrics::TableMetrics;
pub(crate) use source::{Origin, Source};

use crate::config::Watched;
use crate::watch::Watch;

/// The tables of the configuration in force.
#[derive(Debug)]
pub(crate) struct Tables {
    sources: watch::Sender<Vec<Arc<Source>>>,
    metrics: TableMetrics,
}

impl Tables {
    pub(crate) fn new(metrics: TableMetrics) -> Self {
        Self { sources: watch::Sender::new(Vec::new()), metrics }
    }

    /// Readies the tables of a configuration that is about to be put in force: what was fetched before goes on to be
    /// used, and what was never fetched is waited for a while. Until it comes, rules that ask it fail.
    pub(crate) async fn ready(&self, sources: &[Arc<Source>]) {
        let mut missing = JoinSet::new();
        for source in sources {
            for before in self.sources.borrow().iter() {
                source.take_over(before);
            }
            if !source.has_rows() {
                let source = Arc::clone(source);
                missing.spawn(async move { source.refresh().await });
            }
        }
        let _ = timeout(FIRST, async { while missing.join_next().await.is_some() {} }).await;
        missing.shutdown().await;
    }

    /// Goes on with the tables of the configuration that is now in force.
    pub(crate) fn follow(&self, sources: Vec<Arc<Source>>) {
        self.metrics.start_over(&sources);
        self.sources.send_replace(sources);
    }

    /// Keeps the tables up to date until `stopped` turns true.
    pub(crate) async fn run(&self, mut stopped: watch::Receiver<bool>) {
        let mut sources = self.sources.subscribe();
        loop {
            let current = sources.borrow_and_update().clone();
            let mut keeping = JoinSet::new();
            for source in &current {
                if source.refresh_interval().is_some() {
                    keeping.spawn(poll(Arc::clone(source), self.metrics.clone()));
                }
            }
            keeping.spawn(reread(current, self.metrics.clone()));
            let ends = tokio::select! {
                () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => true,
                changed = sources.changed() => changed.is_err(),
            };
            keeping.shutdown().await;
            if ends {
                return;
            }
        }
    }

    /// Returns what is wrong with which table.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.sources.borrow().iter().filter_map(|source| source.problem()).collect()
    }
}

/// Asks for a table now and then.
async fn poll(source: Arc<Source>, metrics: TableMetrics) {
    while let Some(interval) = source.refresh_interval() {
        tokio::time::sleep(if source.problem().is_some() { interval.min(RETRY) } else { interval }).await;
        source.refresh().await;
        metrics.update(&source);
    }
}

/// Reads files again whenever they change.
async fn reread(sources: Vec<Arc<Source>>, metrics: TableMetrics) {
    let mut all = Watched::default();
    for source in &sources {
        all.extend(source.watched());
    }
    let mut watch = Watch::new(all);
    loop {
        // At first too: a file may have changed between being read and being watched.
        for source in sources.iter().filter(|source| source.has_changed()) {
            source.refresh().await;
            metrics.update(source);
        }
        watch.changed().await;
        watch.acknowledge();
    }
}

/// How long a start, or a reload, waits for tables that were never fetched.
const FIRST: Duration = Duration::from_secs(5);

/// How soon a fetch that failed is tried again, where `refresh` is not sooner.
const RETRY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
