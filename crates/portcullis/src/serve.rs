//! Serves a configuration from start to drain.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use crate::admin;
use crate::app::{App, Bound, StartError};
use crate::config::{self, Config, LoadError};
use crate::reload::Reloader;

/// Why a configuration was not served.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be read, or it is wrong.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Something that it needs cannot be opened or bound.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Reads the file, opens and binds what it needs, calls `ready`, and serves until `shutdown` ends and requests are
/// drained. Dropping the future stops at once.
///
/// # Errors
/// The configuration is wrong, or something that it needs cannot be opened. Nothing was accepted then.
pub async fn run_file(
    path: &Path,
    ready: impl FnOnce(&Bound) + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    run_file_on(path, Vec::new(), ready, shutdown).await
}

/// As [`run_file`], on sockets that were listened on before this process began.
///
/// # Errors
/// As for [`run_file`].
pub async fn run_file_on(
    path: &Path,
    handed_over: Vec<TcpListener>,
    ready: impl FnOnce(&Bound) + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    // Read and checked whole before any file is made or any port is bound.
    let config = config::load(path)?;
    run_loaded(path, config, handed_over, ready, shutdown).await
}

/// As [`run_file_on`], with what was read from the file.
///
/// # Errors
/// Something that the configuration needs cannot be opened. Nothing was accepted then.
pub async fn run_loaded(
    path: &Path,
    config: Config,
    handed_over: Vec<TcpListener>,
    ready: impl FnOnce(&Bound) + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    for warning in config.warnings.lines() {
        tracing::warn!(config.warning = warning, "the configuration has a warning");
    }
    let app = Box::pin(App::build(config, handed_over)).await?;
    ready(&app.bound);
    // Large, and made once: kept out of the futures of callers.
    Box::pin(serve(path, app, shutdown)).await;
    Ok(())
}

async fn serve(path: &Path, app: App, shutdown: impl Future<Output = ()> + Send) {
    let App { server, assembly, admin, state, reload_metrics, reload_requests, watched, hangups, drain_timeout, bound } =
        app;

    for (name, address) in &bound.listeners {
        tracing::info!(listener.name = name, server.address = %address, "listening");
    }
    tracing::info!(server.address = %bound.admin, config.revision = bound.revision, "ready");
    state.serving();

    let (audit, shippers, tables) =
        (assembly.audit().clone(), Arc::clone(assembly.shippers()), Arc::clone(assembly.tables()));
    let (draining, is_draining) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let reloader = Reloader::new(
        path,
        Arc::clone(&server),
        assembly,
        Arc::clone(&state),
        reload_metrics,
        drain_timeout,
        reload_requests,
    );
    let drain_timeout = reloader.drain_timeout();
    let drain = async {
        shutdown.await;
        // Load balancers look at `/readyz`: it turns before the listeners stop accepting.
        state.draining();
        // From here on no configuration takes effect.
        let _ = draining.send(true);
        let drain_timeout = *drain_timeout.borrow();
        tracing::info!(drain.timeout = ?drain_timeout, "draining");
        drain_timeout
    };
    let proxy = async {
        server.serve(drain).await;
        // The admin listener answers until the last request has ended.
        let _ = stop.send(true);
    };
    tokio::join!(
        proxy,
        admin::serve(admin, Arc::clone(&state), Arc::clone(&server), stopped.clone()),
        tables.run(stopped),
        reloader.run(watched, hangups, is_draining),
    );
    // Not where the future is dropped: then requests are being cut, and the last of them to leave its record closes it.
    audit.close();
    // The last lines and spans are there: they go out as well.
    let tracer = server.snapshot().tracer().cloned();
    let lines = tokio::task::spawn_blocking(move || shippers.finish());
    let spans = tokio::task::spawn_blocking(move || tracer.inspect(|tracer| tracer.finish()));
    let _ = tokio::join!(lines, spans);
    tracing::info!("stopped");
}

#[cfg(test)]
mod tests;
