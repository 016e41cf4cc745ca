//! `portcullis demo`: the parts of crate `demo`, with a proxy in front of them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use identity::SystemClock;

use super::Exit;
use super::run::{block_on, serve_until_signalled, signal};
use crate::serve;

/// Run a provider, users, sample apps and a proxy on this machine, ready to open in a browser
///
/// Needs no root, no network, and writes to its own folder only.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  portcullis demo\n  portcullis demo --port 0 --dir /tmp/demo --json")]
pub(super) struct Demo {
    /// The port of the proxy; 0 picks a free one
    #[arg(long, default_value_t = demo::DEFAULT_PORT)]
    port: u16,
    /// The folder for certificates, configuration, sessions and audit log
    #[arg(long, value_name = "DIR", default_value = demo::DEFAULT_FOLDER)]
    dir: PathBuf,
    /// Print one JSON object when ready: `ca_file`, `config_file`, `audit_dir`, `admin`, `users`, `urls`
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) fn execute(&self) -> Exit {
        block_on(async { self.serve().await.unwrap_or_else(super::refuse) })
    }

    async fn serve(&self) -> Result<Exit, Box<dyn std::error::Error>> {
        // The demo's servers may need the provider of cryptography before the proxy installs it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let demo = demo::Demo::start(&self.dir, self.port, Arc::new(SystemClock)).await?;
        let greeting = if self.json { demo.summary().to_string() } else { demo.guide()? };
        let config_file = demo.config_file().to_owned();
        let ready = |_: &_| {
            super::print(greeting);
        };
        let served = serve_until_signalled(Box::pin(serve::run_file(&config_file, ready, signal()))).await;
        // After the proxy has drained: apps that end first would turn requests in flight into errors.
        demo.shutdown().await;
        Ok(served?)
    }
}
