//! What the audit log is measured against: `unaudited CONFIG_FILE` serves as `portcullis run` does, without writing one. No
//! configuration can leave the log out; this program can.

use std::path::Path;
use std::process::ExitCode;

use audit::Mode;
use integration::Result;
use portcullis::app::Bound;
use portcullis::{config, serve};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file] = arguments.as_slice() else { return Err("usage: unaudited CONFIG_FILE".into()) };
    let path = Path::new(file);
    let mut config = config::load(path).map_err(|error| error.to_string())?;
    config.audit.mode = Mode::Unrecorded;
    let mut terminate = signal(SignalKind::terminate())?;
    serve::run_loaded(path, config, Vec::new(), announce, async move {
        // Whatever ends it.
        let _ = terminate.recv().await;
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the address is what this program answers")]
fn announce(bound: &Bound) {
    bound.listeners.iter().for_each(|(_, address)| println!("{address}"));
}
