//! `portcullis run`.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use clap::Args;

use super::Exit;
use crate::app::Bound;
use crate::config::LoadError;
use crate::serve::{self, RunError};
use crate::supervisor::{self, Standing};

/// Serve a configuration until SIGTERM or Ctrl-C
///
/// Requests in flight may end (`drain_timeout`); a second signal stops at once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis run --config /etc/portcullis/portcullis.yaml --log-format json")]
pub(super) struct Run {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "portcullis.yaml")]
    config: PathBuf,
}

impl Run {
    pub(super) fn execute(&self) -> Exit {
        let sockets = supervisor::sockets();
        block_on(async {
            let ready = |_: &Bound| supervisor::tell(Standing::Ready);
            let shutdown = async {
                signal().await;
                supervisor::tell(Standing::Stopping);
            };
            let serving = serve::run_file_on(&self.config, sockets, ready, shutdown);
            match serve_until_signalled(Box::pin(serving)).await {
                Ok(exit) => exit,
                Err(RunError::Load(LoadError::Invalid(report))) => {
                    super::complain(report.to_string().trim_end());
                    super::refuse(format_args!("`{}` is not served: correct the errors above", self.config.display()))
                }
                Err(error) => super::refuse(error),
            }
        })
    }
}

/// Runs `serving`, whose own shutdown is the first signal; the second one drops it.
pub(super) async fn serve_until_signalled<E>(serving: impl Future<Output = Result<(), E>>) -> Result<Exit, E> {
    let serving = pin!(serving);
    tokio::select! {
        served = serving => served.map(|()| Exit::Done),
        () = second_signal() => {
            tracing::warn!("stopped at once by a second signal; requests in flight were cut");
            Ok(Exit::Negative)
        }
    }
}

async fn second_signal() {
    signal().await;
    // `timeout` and some supervisors signal the process and its group, which is meant as one.
    tokio::time::sleep(ONE_SIGNAL).await;
    signal().await;
}

/// Ends with SIGTERM or SIGINT.
pub(super) async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Runs a future on a runtime of its own.
pub(super) fn block_on(future: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            outlive_the_limit_of_files();
            future.await
        }),
        Err(error) => super::refuse(format_args!("cannot start threads: {error}; raise the limit of processes")),
    }
}

/// Where files may not grow further (`ulimit -f`), `write` shall fail as it does on a full disk: unhandled, the signal ends
/// the process. A handler that was installed stays.
fn outlive_the_limit_of_files() {
    #[cfg(unix)]
    {
        use rustix::process::Signal;
        use tokio::signal::unix::{SignalKind, signal};
        let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
    }
}

/// Signals closer together than this are one.
const ONE_SIGNAL: Duration = Duration::from_millis(250);
