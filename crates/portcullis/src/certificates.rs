//! Watches certificate and key files, and has listeners and upstreams swap them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{RecursiveMode, Watcher as _};
use proxy::{Server, Snapshot};
use tokio::sync::{mpsc, watch};

use crate::admin::State;

/// Reads the files again whenever their folders change, and on SIGHUP, until `stopped` turns true.
pub(crate) async fn watch(
    files: &[PathBuf],
    server: &Arc<Server>,
    snapshot: &ArcSwap<Snapshot>,
    state: &State,
    mut stopped: watch::Receiver<bool>,
) {
    let (changed, mut changes) = mpsc::channel(1);
    let _watcher = watcher(files, changed.clone());
    let mut hangups = hangups();
    loop {
        tokio::select! {
            () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => return,
            () = hangups.recv() => {}
            // `changed` lives here too, so the channel never closes.
            _ = changes.recv() => {
                // Certificate and key are written one after the other: wait until the folder is quiet. One that never
                // is, because logs lie in it, must not keep a revoked certificate in service.
                let quiet = async { while tokio::time::timeout(QUIET, changes.recv()).await.is_ok() {} };
                let _ = tokio::time::timeout(PATIENCE, quiet).await;
            }
        }
        reload(server, snapshot.load_full(), state).await;
    }
}

async fn reload(server: &Arc<Server>, snapshot: Arc<Snapshot>, state: &State) {
    let reading = Arc::clone(server);
    let problems = match tokio::task::spawn_blocking(move || reading.reload_certificates(&snapshot)).await {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(_) => vec!["the certificates could not be read".to_owned()],
    };
    if problems.is_empty() {
        tracing::debug!("certificates read again");
    }
    for problem in &problems {
        tracing::error!(error = problem, "a certificate cannot be used; the last good one stays in service");
    }
    state.certificates(problems);
}

/// Watches folders rather than files: editors rename over a file, and Kubernetes swaps a link above it.
fn watcher(files: &[PathBuf], changed: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let folders: BTreeSet<_> = files.iter().filter_map(|file| file.parent()).map(named_folder).collect();
    if folders.is_empty() {
        return None;
    }
    let notice = move |event: notify::Result<notify::Event>| {
        // Reading the files is an event as well; it must not lead to the next reading.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A full channel already stands for a change.
            let _ = changed.try_send(());
        }
    };
    let watching = notify::recommended_watcher(notice).and_then(|mut watcher| {
        folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| {
            tracing::warn!(error = %error, "certificate files are not watched; send SIGHUP after changing them");
        })
        .ok()
}

fn named_folder(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// SIGHUP; never, where there is no such signal.
struct Hangups(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

fn hangups() -> Hangups {
    #[cfg(unix)]
    {
        Hangups(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok())
    }
    #[cfg(not(unix))]
    Hangups()
}

impl Hangups {
    async fn recv(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0 {
            signal.recv().await;
            return;
        }
        std::future::pending().await
    }
}

/// Writers of several files pause less than this between them.
const QUIET: Duration = Duration::from_millis(250);

/// A folder that is written to all the time is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(2);
