//! The assembled proxy in this process, with a provider, on one https listener.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use demo::Authority;
use demo::provider::{Client, Provider, User};
use identity::{Clock as _, Secret, SystemClock};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{Browser, Result};

/// A directory with certificates for `*.localhost`, removed in the end.
#[derive(Debug)]
pub struct Folder {
    directory: TempDir,
    authority: Authority,
}

impl Folder {
    /// Makes the directory, with `cert.pem` and `key.pem` for these hosts below `localhost`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(hosts: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let now = SystemClock.now();
        let authority = Authority::generate(now)?;
        let names: Vec<_> = hosts.iter().map(|host| format!("{host}.localhost")).collect();
        let leaf = authority.sign(&names, now)?;
        std::fs::write(directory.path().join("ca.pem"), authority.certificate_pem())?;
        std::fs::write(directory.path().join("cert.pem"), leaf.certificate_pem())?;
        std::fs::write(directory.path().join("key.pem"), leaf.key_pem())?;
        Ok(Self { directory, authority })
    }

    /// Returns the path of a file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the authority that signed `cert.pem`.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }
}

/// What is started.
#[derive(Debug)]
pub struct Setup {
    routes: Vec<Value>,
    sections: Value,
    hosts: Vec<String>,
    users: Vec<User>,
    token_life: Duration,
    files: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            sections: json!({}),
            hosts: vec!["auth".into()],
            files: Vec::new(),
            token_life: Duration::from_secs(60 * 60),
            users: vec![
                User::new("ada", "Ada Lovelace", &["engineering"]),
                User::new("grace", "Grace Hopper", &["engineering", "sre"]),
                User::new("mallory", "Mallory", &[]),
            ],
        }
    }
}

impl Setup {
    /// Adds `https://HOST.localhost` in front of an upstream; `more` holds further keys of the route.
    #[must_use]
    pub fn route(mut self, host: &str, to: &str, more: &Value) -> Self {
        let mut route = json!({ "name": host, "from": format!("https://{host}.localhost"), "to": to });
        merge(&mut route, more);
        self.routes.push(route);
        self.hosts.push(host.into());
        self
    }

    /// Sets further sections of the configuration; listed objects are merged, anything else is replaced.
    #[must_use]
    pub fn section(mut self, more: &Value) -> Self {
        merge(&mut self.sections, more);
        self
    }

    /// Sets how long the provider's tokens are good.
    #[must_use]
    pub const fn token_life(mut self, life: Duration) -> Self {
        self.token_life = life;
        self
    }

    /// Puts a file beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }

    /// Starts the provider and the proxy.
    ///
    /// # Errors
    /// The configuration is refused, or something cannot be opened.
    pub async fn start(self) -> Result<Proxy> {
        let hosts: Vec<&str> = self.hosts.iter().map(String::as_str).collect();
        let folder = Folder::new(&hosts)?;
        let client = Client {
            id: "portcullis".into(),
            secret: Secret::new("a-secret-of-the-tests-only".into()),
            redirect_uris: vec!["https://auth.localhost/.portcullis/callback".into()],
            token_life: self.token_life,
        };
        let provider = Provider::start(self.users, vec![client], None, Arc::new(SystemClock)).await?;
        let mut configuration = json!({
            "listeners": [{
                "address": "127.0.0.1:0",
                "tls": { "certificates": [{ "cert_file": "cert.pem", "key_file": "key.pem" }] },
            }],
            "authenticate": {
                "url": "https://auth.localhost",
                "providers": [{
                    "id": "tests", "issuer": provider.issuer(), "client_id": "portcullis",
                    "client_secret": "a-secret-of-the-tests-only",
                }],
                "session": { "store": "memory" },
            },
            "admin": { "address": "127.0.0.1:0" },
            "drain_timeout": "1s",
            "routes": self.routes,
        });
        merge(&mut configuration, &self.sections);
        for (name, content) in self.files {
            std::fs::write(folder.path(&name), content)?;
        }
        let file = folder.path("portcullis.yaml");
        std::fs::write(&file, serde_json::to_vec_pretty(&configuration)?)?;
        let tls = folder.authority.client_config()?;
        Proxy::run(folder, &file, provider, tls).await
    }
}

/// Puts what `more` has into `into`; objects are merged, anything else is replaced.
pub fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    folder: Folder,
    address: SocketAddr,
    listeners: Vec<(String, SocketAddr)>,
    admin: SocketAddr,
    provider: Provider,
    tls: Arc<ClientConfig>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::result::Result<(), portcullis::serve::RunError>>,
}

impl Proxy {
    async fn run(folder: Folder, file: &Path, provider: Provider, tls: Arc<ClientConfig>) -> Result<Self> {
        let (bound, ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let file = file.to_owned();
        let task = tokio::spawn(async move {
            let ready = |addresses: &portcullis::app::Bound| drop(bound.send(addresses.clone()));
            portcullis::serve::run_file(&file, ready, async { drop(stopped.await) }).await
        });
        let Ok(bound) = ready.await else {
            task.await??;
            return Err("the proxy ended before it was ready".into());
        };
        let address = bound.listeners.first().ok_or("no listener")?.1;
        Ok(Self {
            folder,
            address,
            listeners: bound.listeners,
            admin: bound.admin,
            provider,
            tls,
            stop: Some(stop),
            task,
        })
    }

    /// Returns the address of the first listener.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of a listener by its name.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.iter().find(|(other, _)| other == name).map(|(_, address)| *address)
    }

    /// Returns the address of the admin listener.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Returns the provider.
    #[must_use]
    pub const fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Returns the directory of the configuration.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns a TLS client that trusts the proxy's certificate.
    #[must_use]
    pub fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// Returns a caller without cookies.
    #[must_use]
    pub fn browser(&self) -> Browser {
        Browser::new(self.tls(), self.address)
    }

    /// Returns a caller that has signed in to `host` as `user`.
    ///
    /// # Errors
    /// Sign-in did not end on the host's own page.
    pub async fn signed_in(&self, user: &str, host: &str) -> Result<Browser> {
        let mut browser = self.browser();
        let url = format!("https://{host}.localhost/");
        let answer = browser.open(&url, user).await?;
        if answer.url.as_str() == url {
            Ok(browser)
        } else {
            Err(format!("sign-in ended at {} with {}: {}", answer.url, answer.status, answer.text()).into())
        }
    }

    /// Gets a path of the admin listener, asked for by this name: status line, headers and body.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn admin_get(&self, host: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// Waits until the metrics have this line.
    ///
    /// # Errors
    /// They do not within a minute, or the admin listener does not answer.
    pub async fn counts(&self, line: &str) -> Result<()> {
        let line = format!("\n{line}\n");
        let counted = async {
            while !self.admin_get("localhost", "/metrics").await?.contains(&line) {}
            Ok(())
        };
        timeout(Duration::from_secs(60), counted).await.map_err(|_| format!("never in the metrics: {line}"))?
    }

    /// Sends a request without a body to the admin listener, as JSON, and returns status line, headers and body.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn admin_send(&self, method: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.admin).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// Changes the configuration file, as an editor does, by renaming over it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn configure(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let file = self.folder.path("portcullis.yaml");
        let mut configuration = serde_json::from_slice(&std::fs::read(&file)?)?;
        change(&mut configuration);
        let aside = self.folder.path(".portcullis.yaml.new");
        std::fs::write(&aside, serde_json::to_vec_pretty(&configuration)?)?;
        Ok(std::fs::rename(aside, file)?)
    }

    /// Returns the revision in force.
    ///
    /// # Errors
    /// The admin listener does not answer.
    pub async fn revision(&self) -> Result<String> {
        let ready = self.admin_get("localhost", "/readyz?verbose").await?;
        let revision = ready.lines().find_map(|line| line.strip_prefix("revision: "));
        Ok(revision.ok_or("no revision")?.to_owned())
    }

    /// Changes the configuration and has it reloaded: the admin listener's answer.
    ///
    /// # Errors
    /// It cannot be written, or the admin listener does not answer.
    pub async fn reload(&self, change: impl FnOnce(&mut Value)) -> Result<String> {
        self.configure(change)?;
        self.admin_send("POST", "/reload").await
    }

    /// Begins to drain, as SIGTERM does.
    pub fn drain(&mut self) {
        self.stop.take();
    }

    /// Stops the proxy and returns its audit log.
    ///
    /// # Errors
    /// It did not stop well, or a line is no JSON.
    pub async fn stop(self) -> Result<Vec<Value>> {
        drop(self.stop);
        self.task.await??;
        self.provider.shutdown().await;
        Ok(audit::test_util::records(&self.folder.path("audit"))?)
    }
}
