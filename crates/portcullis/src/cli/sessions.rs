//! `portcullis sessions`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::uri::Authority;
use clap::{ArgGroup, Args, Subcommand};
use jiff::Timestamp;
use serde_json::Value;
use telemetry::{Receiver, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use url::form_urlencoded::byte_serialize;

use super::{Exit, TableOrJson};

/// Show who is signed in, and end sessions
///
/// Asks the admin listener of a running proxy.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Sessions {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List live sessions, the newest first
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Only those of this user: an id or an e-mail address
        #[arg(long)]
        user: Option<String>,
        /// How sessions are printed: for people, or as one JSON object a line
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: TableOrJson,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// End a session, or all sessions of a user, and close what they have open
    #[command(after_help = REVOKE_EXAMPLES, group = ArgGroup::new("whose").args(["id", "user"]).required(true))]
    Revoke {
        /// The session, as `list` and audit records call it
        #[arg(allow_hyphen_values = true)]
        id: Option<String>,
        /// All sessions of this user: an id or an e-mail address
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

#[derive(Debug, Args)]
struct AdminArgs {
    /// The admin listener: `HOST:PORT`, or as a URL
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901", value_parser = admin)]
    admin: Admin,
    /// The value of `admin.token`
    #[arg(long, value_name = "TOKEN", env = "PORTCULLIS_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The authorities of `admin.tls`, as PEM: asks over TLS; for `https://` without it, those of the system
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A name of the listener's certificate, where that does not name its address
    #[arg(long, value_name = "NAME", requires = "ca_file")]
    server_name: Option<String>,
    /// Your certificate, as PEM
    #[arg(long, value_name = "FILE", requires_all = ["ca_file", "client_key_file"])]
    client_cert_file: Option<PathBuf>,
    /// Its key, as PEM
    #[arg(long, value_name = "FILE", requires = "client_cert_file")]
    client_key_file: Option<PathBuf>,
}

/// Where an admin listener is.
#[derive(Clone, Debug)]
struct Admin {
    authority: Authority,
    is_tls: bool,
}

impl Sessions {
    pub(super) fn execute(&self) -> Exit {
        let of_user = |user: Option<&str>| {
            let query = user.map_or_else(String::new, |user| format!("?user={}", encoded(user)));
            format!("/sessions{query}")
        };
        match &self.verb {
            Verb::List { user, format, admin } => {
                let user = user.as_deref();
                match admin.ask("GET", &of_user(user), "sessions", user) {
                    Ok(sessions) if sessions.is_empty() => Exit::Done,
                    Ok(sessions) if *format == TableOrJson::Json => super::print(lines(&sessions)),
                    Ok(sessions) => super::print(table(&sessions)),
                    Err(exit) => exit,
                }
            }
            Verb::Revoke { id: Some(id), admin, .. } => admin.revoke(&format!("/sessions/{}", encoded(id)), None),
            Verb::Revoke { id: None, user, admin } => {
                let user = user.as_deref();
                admin.revoke(&of_user(user), user)
            }
        }
    }
}

impl AdminArgs {
    fn revoke(&self, path: &str, user: Option<&str>) -> Exit {
        match self.ask("DELETE", path, "revoked", user) {
            Ok(revoked) if revoked.is_empty() => Exit::Negative,
            Ok(revoked) => super::print(table(&revoked)),
            Err(exit) => exit,
        }
    }

    /// Returns the sessions that are answered as `list`.
    fn ask(&self, method: &str, path: &str, list: &str, user: Option<&str>) -> Result<Vec<Value>, Exit> {
        let answered = self
            .send(method, path)
            .map_err(|error| super::refuse(format_args!("{error}; is that the admin listener of a proxy?")))?;
        let body = answered.split_once("\r\n\r\n").map(|(_, body)| body);
        let Some(answer) = body.and_then(|body| serde_json::from_str::<Value>(body).ok()) else {
            let admin = &self.admin.authority;
            return Err(super::refuse(format_args!("`{admin}` gave no proper answer: is it the admin listener?")));
        };
        if let Some(message) = answer.get("message").and_then(Value::as_str) {
            let remedy = answer.get("error").and_then(Value::as_str).map(remedy).unwrap_or_default();
            super::complain(format_args!("portcullis: {message}{remedy}"));
            return Err(Exit::Negative);
        }
        let sessions = answer.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        if sessions.is_empty() {
            super::complain(format_args!("portcullis: {}", none(user)));
        }
        Ok(sessions)
    }

    fn send(&self, method: &str, path: &str) -> io::Result<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = async { timeout(PATIENCE, self.exchange(method, path)).await };
        runtime.block_on(answer).unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
    }

    async fn exchange(&self, method: &str, path: &str) -> io::Result<String> {
        let mut stream = self.receiver().connect().await?;
        let token = self.token.as_ref().map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{token}content-type: application/json\r\nconnection: close\r\n\r\n",
            self.admin.authority
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    fn receiver(&self) -> Receiver {
        let client = self.client_cert_file.clone().zip(self.client_key_file.clone());
        let (ca_file, server_name) = (self.ca_file.clone(), self.server_name.clone());
        let tls = (self.admin.is_tls || ca_file.is_some()).then_some(Tls { ca_file, client, server_name });
        let host = self.admin.authority.host().trim_start_matches('[').trim_end_matches(']');
        Receiver { host: host.to_owned(), port: self.admin.authority.port_u16().unwrap_or(ADMIN_PORT), tls }
    }
}

/// Says that there is none.
fn none(user: Option<&str>) -> String {
    user.map_or_else(
        || "no live session".to_owned(),
        |user| format!("no live session of `{}`", super::text::safe(user)),
    )
}

/// Lays sessions out below the names of their columns.
fn table(sessions: &[Value]) -> String {
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(sessions.iter().map(cells)).collect();
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    let line = |row: &[String; HEAD.len()]| {
        let cells: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        cells.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn lines(sessions: &[Value]) -> String {
    sessions.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

fn cells(session: &Value) -> [String; HEAD.len()] {
    let text = |pointer| {
        let text = session.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        // A name from a provider must not steer the terminal.
        super::text::safe(text)
    };
    let user = text("/user/email");
    let user = if user.is_empty() { text("/user/id") } else { user };
    let second =
        |pointer| text(pointer).parse::<Timestamp>().map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let [created, expires] = ["/created", "/expires"].map(|time| second(time).unwrap_or_default());
    let program = session.get("program").and_then(Value::as_bool).unwrap_or_default();
    [text("/id"), user, created, expires, if program { "program" } else { "browser" }.to_owned()]
}

/// Returns what to do here about a refusal.
fn remedy(error: &str) -> &'static str {
    match error {
        "no_session" => "; `portcullis sessions list` shows those that there are",
        "token_required" => ": give it with `--token`, or as PORTCULLIS_ADMIN_TOKEN",
        "certificate_required" => ": name it with `--client-cert-file` and `--client-key-file`",
        _ => "",
    }
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn admin(text: &str) -> Result<Admin, &'static str> {
    let (is_tls, rest) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("http://").unwrap_or(text)),
    };
    let authority = rest.trim_end_matches('/').parse::<Authority>().ok().filter(|authority| {
        // Without a port, a word is rather a mistake than a host.
        !authority.as_str().contains('@') && (authority.port_u16().is_some() || rest.len() < text.len())
    });
    let authority =
        authority.ok_or("write an address such as `127.0.0.1:9901`, or a URL such as `https://10.0.0.5:9901`")?;
    Ok(Admin { authority, is_tls })
}

/// The names of the columns.
const HEAD: [&str; 5] = ["SESSION", "USER", "CREATED", "EXPIRES", "HOLDER"];

/// Where the admin listener is, unless something else is said.
const ADMIN_PORT: u16 = 9901;

const PATIENCE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  portcullis sessions list
  portcullis sessions list --user ada@example.com
  portcullis sessions revoke zn9b2A77l1YO
  portcullis sessions revoke --user ada@example.com
  portcullis sessions list --admin https://10.0.0.5:9901 --ca-file ca.pem --client-cert-file me.pem --client-key-file me.key

Exit codes: 0 done, 1 refused, 2 the admin listener cannot be asked";

const LIST_EXAMPLES: &str = "\
Examples:
  portcullis sessions list
  portcullis sessions list --user ada@example.com
  portcullis sessions list --format json

Exit codes: 0 done, 1 refused, 2 the admin listener cannot be asked";

const REVOKE_EXAMPLES: &str = "\
Examples:
  portcullis sessions revoke zn9b2A77l1YO
  portcullis sessions revoke --user ada@example.com

Exit codes: 0 done, 1 refused, or there is no such session, 2 the admin listener cannot be asked";

#[cfg(test)]
mod tests;
