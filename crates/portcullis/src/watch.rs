//! Notices when something on disk changes that a configuration was read from.

use std::path::PathBuf;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::config::Watched;

/// Watches folders rather than files: editors rename over a file, and Kubernetes swaps a link above it.
#[derive(Debug)]
pub(crate) struct Watch {
    watched: Watched,
    folders: Vec<PathBuf>,
    watcher: Option<notify::RecommendedWatcher>,
    changes: mpsc::Receiver<()>,
    // Lives here too, so the channel never closes.
    changed: mpsc::Sender<()>,
}

impl Watch {
    pub(crate) fn new(watched: Watched) -> Self {
        // One that waits stands for any number.
        let (changed, changes) = mpsc::channel(1);
        let mut watch = Self { watched: Watched::default(), folders: Vec::new(), watcher: None, changes, changed };
        watch.follow(watched);
        watch
    }

    /// Watches these from now on.
    pub(crate) fn follow(&mut self, watched: Watched) {
        let folders: Vec<_> = watched.folders().into_iter().collect();
        self.watched = watched;
        if folders != self.folders {
            self.watcher = self.watcher(&folders);
            self.folders = folders;
        }
    }

    /// Adds these to what is watched.
    pub(crate) fn follow_too(&mut self, more: Watched) {
        let mut watched = self.watched.clone();
        watched.extend(more);
        self.follow(watched);
    }

    /// Takes all as it is now.
    pub(crate) fn acknowledge(&mut self) {
        self.watched = self.watched.as_it_is();
    }

    /// Waits until something is not as it was when it was read.
    pub(crate) async fn changed(&mut self) {
        loop {
            // Looks now and then also where nothing is told: on network file systems, or when a folder was replaced.
            if tokio::time::timeout(LOOK, self.changes.recv()).await.is_ok() {
                self.settle().await;
            }
            // Much else may happen in these folders: sessions and records may be written there.
            let watched = self.watched.clone();
            if tokio::task::spawn_blocking(move || watched.has_changed()).await.unwrap_or(true) {
                return;
            }
        }
    }

    /// Waits until the folders are quiet: several files are written one after the other.
    async fn settle(&mut self) {
        let limit = Instant::now() + RESTLESS;
        while timeout_at((Instant::now() + QUIET).min(limit), self.changes.recv()).await.is_ok() {}
    }

    fn watcher(&self, folders: &[PathBuf]) -> Option<notify::RecommendedWatcher> {
        let changed = self.changed.clone();
        let notice = move |event: notify::Result<notify::Event>| {
            // Reading the files is an event as well; it must not lead to the next reading.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = changed.try_send(());
            }
        };
        let watching = notify::recommended_watcher(notice).and_then(|mut watcher| {
            // A folder that is not there yet is looked for like a file.
            let there = folders.iter().filter(|folder| folder.is_dir());
            there.into_iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
            Ok(watcher)
        });
        watching
            .inspect_err(|error| {
                tracing::warn!(%error, "the configuration's folders are not watched; changes are noticed late, or on SIGHUP");
            })
            .ok()
    }
}

/// Writers of several files pause less than this between them.
const QUIET: Duration = Duration::from_millis(250);

/// A folder that is never quiet is looked at all the same.
const RESTLESS: Duration = Duration::from_secs(2);

const LOOK: Duration = Duration::from_secs(10);
