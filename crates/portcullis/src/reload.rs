//! Puts a changed configuration in force, whole, or leaves everything as it is.

mod hangup;
mod metrics;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use audit::{Event, EventKind};
use identity::{Clock as _, SystemClock};
use proxy::{ServeError, Server};
use tokio::sync::{mpsc, oneshot, watch};

use crate::admin::{InForce, State};
use crate::app::StartError;
use crate::assembly::Assembly;
use crate::config::{self, Config, LoadError, Watched};
use crate::supervisor::{self, Standing};
use crate::watch::Watch;

pub(crate) use hangup::Hangups;
pub(crate) use metrics::ReloadMetrics;

/// Reloads one configuration file.
#[derive(Debug)]
pub(crate) struct Reloader {
    path: PathBuf,
    server: Arc<Server>,
    assembly: Assembly,
    state: Arc<State>,
    metrics: ReloadMetrics,
    drain_timeout: watch::Sender<Duration>,
    requests: mpsc::Receiver<Request>,
}

/// Asks for a reload.
#[derive(Debug)]
pub(crate) struct Request {
    /// Who asks, for the audit log.
    pub(crate) actor: String,
    /// Told the revision in force, or what is wrong.
    pub(crate) reply: oneshot::Sender<Result<String, Vec<String>>>,
}

/// What caused a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    File,
    Signal,
    Admin,
}

impl Reloader {
    pub(crate) fn new(
        path: &Path,
        server: Arc<Server>,
        assembly: Assembly,
        state: Arc<State>,
        metrics: ReloadMetrics,
        drain_timeout: Duration,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        let drain_timeout = watch::Sender::new(drain_timeout);
        Self { path: path.to_owned(), server, assembly, state, metrics, drain_timeout, requests }
    }

    /// Returns `drain_timeout` of the configuration in force.
    pub(crate) fn drain_timeout(&self) -> watch::Receiver<Duration> {
        self.drain_timeout.subscribe()
    }

    /// Reloads whenever something on disk changes, on SIGHUP and on request, until `draining` turns true.
    pub(crate) async fn run(mut self, watched: Watched, mut hangups: Hangups, mut draining: watch::Receiver<bool>) {
        let mut watch = Watch::new(watched);
        loop {
            let (cause, asked) = tokio::select! {
                () = async { drop(draining.wait_for(|draining| *draining).await) } => return,
                () = hangups.recv() => (Cause::Signal, None),
                () = watch.changed() => (Cause::File, None),
                Some(request) = self.requests.recv() => (Cause::Admin, Some(request)),
            };
            supervisor::tell(Standing::Reloading);
            let reloaded = self.reload(cause, &mut watch).await;
            // Nothing is told behind the word that it stops.
            if !*draining.borrow() {
                supervisor::tell(Standing::Ready);
            }
            let actor = asked.as_ref().map_or(cause.as_str(), |asked| &asked.actor);
            self.note(actor, &reloaded);
            if let Some(Request { reply, .. }) = asked {
                // Whoever asked may have left.
                let _ = reply.send(reloaded);
            }
        }
    }

    async fn reload(&mut self, cause: Cause, watch: &mut Watch) -> Result<String, Vec<String>> {
        watch.acknowledge();
        let problems = match load(self.path.clone()).await {
            Ok(config) => {
                let watched = config.warnings.watched().clone();
                match self.exchange(config).await {
                    Ok(revision) => {
                        watch.follow(watched);
                        tracing::info!(
                            config.revision = revision,
                            reload.cause = cause.as_str(),
                            "configuration reloaded"
                        );
                        return Ok(revision);
                    }
                    Err(error) => {
                        // What it names is watched as well: the correction may be made there.
                        watch.follow_too(watched);
                        error.to_string().lines().map(str::to_owned).collect()
                    }
                }
            }
            Err(LoadError::Invalid(report)) => {
                watch.follow_too(report.watched().clone());
                report.error_lines().collect()
            }
            Err(error @ LoadError::Unreadable { .. }) => vec![error.to_string()],
        };
        self.refuse(cause, &problems).await;
        Err(problems)
    }

    /// Writes the audit record of a reload.
    fn note(&self, actor: &str, reloaded: &Result<String, Vec<String>>) {
        let reason = if reloaded.is_ok() { "configuration-taken" } else { "configuration-refused" };
        let snapshot = self.server.snapshot();
        let event = Event {
            revision: Some(snapshot.revision().into()),
            error: reloaded.as_ref().err().map(|problems| problems.join("; ").into()),
            ..Event::new(SystemClock.now(), EventKind::Reload, actor, reason)
        };
        self.write(&event);
    }

    fn write(&self, event: &Event<'_>) {
        if let Err(error) = self.assembly.audit().note(event) {
            tracing::error!(reason = &*event.reason, %error, "a reload has no audit record");
        }
    }

    async fn exchange(&mut self, config: Config) -> Result<String, StartError> {
        for warning in config.warnings.lines() {
            tracing::warn!(config.warning = warning, "the configuration has a warning");
        }
        let (drain_timeout, tables, in_force) = (config.drain_timeout, config.tables.clone(), InForce::of(&config));
        self.assembly.tables().ready(&tables).await;
        let (assembly, before) = (self.assembly.clone(), self.server.snapshot());
        let next = tokio::task::spawn_blocking(move || assembly.next(config, &before)).await;
        let (snapshot, opened) = next.unwrap_or(Err(StartError::Stopped))?.into_parts();
        let revision = snapshot.revision().to_owned();
        self.server.exchange(snapshot, drain_timeout).map_err(StartError::Listeners)?;
        self.assembly.tables().follow(tables);
        if self.assembly.in_force(opened) {
            tracing::info!("keys exchanged");
            let rotated = Event::new(SystemClock.now(), EventKind::KeyRotation, "portcullis", "keys-exchanged");
            self.write(&Event { revision: Some((&*revision).into()), ..rotated });
        }
        self.drain_timeout.send_replace(drain_timeout);
        self.metrics.reloaded(&revision);
        self.state.reloaded(in_force);
        Ok(revision)
    }

    /// Says why, and renews what can be renewed all the same: one bad file must not let the certificates of others end.
    async fn refuse(&self, cause: Cause, problems: &[String]) {
        for problem in problems {
            tracing::error!(
                error = problem,
                reload.cause = cause.as_str(),
                "the configuration cannot be used; the last good one serves"
            );
        }
        self.metrics.refused();
        self.state.refused(problems.to_vec());
        let snapshot = self.server.snapshot();
        let certificates = tokio::task::spawn_blocking(move || snapshot.reload_certificates()).await;
        let bad: Vec<_> = match certificates {
            Ok(read) => read.err().unwrap_or_default().iter().map(ServeError::to_string).collect(),
            Err(_) => vec!["the certificates could not be read".to_owned()],
        };
        self.state.certificates(bad);
    }
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::File => "watched file",
            Self::Signal => "SIGHUP",
            Self::Admin => "admin",
        }
    }
}

/// Reads and checks, where waiting for a disk and thinking holds up no request.
async fn load(path: PathBuf) -> Result<Config, LoadError> {
    let unreadable = path.clone();
    tokio::task::spawn_blocking(move || config::load(&path))
        .await
        .unwrap_or_else(|error| Err(LoadError::Unreadable { path: unreadable, reason: error.to_string() }))
}
