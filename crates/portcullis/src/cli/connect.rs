//! `portcullis connect`.

use std::fmt::Display;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{self, SignalKind};

use super::Exit;
use super::run::signal;
use crate::connect::{self, Client, Failure, Notice, Options, SessionFile, Target};

/// Open a tunnel to a service behind a proxy: SSH, a database, anything over TCP
///
/// Carries standard input and output, or what connects to a local port, to the route `from: tcp+https://HOST:PORT` of a
/// proxy. Who is not signed in is sent to sign in with a browser, once for each host.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Connect {
    /// The service, as the route's `from` names it; port 443 where none is given
    #[arg(value_name = "HOST[:PORT]")]
    target: Target,
    /// The port of this computer whose connections are carried, a tunnel for each; port 0 takes a free one and prints it;
    /// `-` carries standard input and output
    #[arg(long, value_name = "IP:PORT", default_value = "-")]
    listen: Place,
    /// Where the proxy is, if not at port 443 of HOST; its certificate must name HOST all the same
    #[arg(long, value_name = "HOST:PORT")]
    proxy: Option<Target>,
    /// The authorities of the proxy's certificate, as PEM; those of the system without it
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print the address to sign in at, and open no browser
    #[arg(long)]
    no_browser: bool,
    /// End the session that is kept for HOST, at the proxy and here
    #[arg(long, conflicts_with_all = ["listen", "no_browser"])]
    sign_out: bool,
}

/// What is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    StandardStreams,
    // Invariant: of loopback.
    Port(SocketAddr),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::StandardStreams);
        }
        let address: SocketAddr = text.parse().map_err(|_| "write `127.0.0.1:PORT`, `[::1]:PORT`, or `-`")?;
        if address.ip().is_loopback() {
            Ok(Self::Port(address))
        } else {
            Err("whoever reaches this address would be let in as you: write `127.0.0.1:PORT`".into())
        }
    }
}

impl Connect {
    pub(super) fn execute(self) -> Exit {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return super::refuse(format_args!("cannot start: {error}")),
        };
        let exit = runtime.block_on(self.serve()).unwrap_or_else(|failure| {
            complain(&failure);
            if failure.is_an_answer() { Exit::Negative } else { Exit::Refused }
        });
        // A read of standard input cannot be called off: it must not keep the program from ending.
        runtime.shutdown_background();
        exit
    }

    async fn serve(self) -> Result<Exit, Failure> {
        let directory = SessionFile::directory().ok_or_else(|| {
            Failure::Local("there is no home directory to keep sessions in: set XDG_STATE_HOME".into())
        })?;
        let host = self.target.host().to_owned();
        let Self { target, listen, proxy, ca_file, no_browser, sign_out } = self;
        let port = proxy.as_ref().map_or(HTTPS, Target::port);
        let options = Options { target, proxy, ca_file, directory };
        let client = Arc::new(Client::new(options, Arc::new(move |notice| tell(notice, no_browser)))?);
        if sign_out {
            if client.sign_out().await? {
                return Ok(super::print(format_args!("signed out of {host}")));
            }
            complain(none_kept(&host, port, &client.kept_at()));
            return Ok(Exit::Negative);
        }
        match listen {
            Place::StandardStreams => {
                let streams = connect::standard_streams()?;
                connect::carry(client.open().await?, streams, stopped()).await?;
            }
            Place::Port(address) => {
                let unusable =
                    |error| Failure::Local(format!("cannot listen on `{address}`: {error}; choose another port"));
                let listener = TcpListener::bind(address).await.map_err(unusable)?;
                super::print(format_args!("listening on {}", listener.local_addr().map_err(unusable)?));
                tokio::select! {
                    failed = connect::listen(client, listener, complain) => failed?,
                    () = signal() => {}
                }
            }
        }
        Ok(Exit::Done)
    }
}

/// Standard output belongs to the tunnel: whatever is said, is said on standard error.
fn tell(notice: Notice<'_>, no_browser: bool) {
    match notice {
        Notice::SignIn(url) => {
            complain(format_args!("sign in with a browser on this computer to go on:\n  {url}"));
            if !no_browser {
                open_browser(url);
            }
        }
        Notice::Waiting => complain("another one waits for you to sign in: this one goes on after it"),
        Notice::SignedIn(user) => complain(format_args!("signed in as {user}")),
    }
}

/// Says that there is no session to end, and where there may be one.
fn none_kept(host: &str, port: u16, others: &[u16]) -> String {
    let none = format!("no session is kept here for `{host}` with a proxy at port {port}");
    match others {
        [] => none,
        [first, ..] => {
            let ports = others.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
            format!(
                "{none}, but with one at port {ports}: add `--proxy HOST:{first}`, and `--ca-file` where you sign in with it"
            )
        }
    }
}

/// Waits until this program is to end; `ssh` hangs up on its `ProxyCommand`.
async fn stopped() {
    match unix::signal(SignalKind::hangup()) {
        Ok(mut hangup) => tokio::select! {
            _ = hangup.recv() => {}
            () = signal() => {}
        },
        Err(_) => signal().await,
    }
}

/// Opens a browser, where there is one: the address was printed, too.
fn open_browser(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    // In a group of its own: what interrupts this program must not close the browser.
    command.arg(url).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.spawn();
}

fn complain(text: impl Display) {
    super::complain(format_args!("portcullis: {text}"));
}

/// Where a proxy is that nothing is said of.
const HTTPS: u16 = 443;

const EXAMPLES: &str = "\
Examples:
  portcullis connect ssh.example.com:22
  ssh -o ProxyCommand='portcullis connect %h:%p' ssh.example.com
  portcullis connect db.example.com:5432 --listen 127.0.0.1:15432
  portcullis connect db.example.com:5432 --proxy 10.0.0.5:8443 --ca-file ca.pem --listen 127.0.0.1:0
  portcullis connect --sign-out ssh.example.com

Sessions are kept in $XDG_STATE_HOME/portcullis, or ~/.local/state/portcullis, for you alone.

Exit codes: 0 done, 1 refused, not signed in or broken off, 2 usage, or the proxy cannot be reached";

#[cfg(test)]
mod tests;
