//! What is measured: a signed-in user, a policy of three clauses, the audit log and the assertion, against none of them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use demo::provider::{Client, Provider, User};
use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE, HOST as HOST_HEADER, USER_AGENT};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use identity::{Secret, SystemClock};
use integration::{Browser, Folder, Result};
use rustls::ClientConfig;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::counters::{Counter, Counts};
use crate::load::{Load, Protocol};
use crate::process::Process;
use crate::table::Table;

/// Something known of both proxies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Both<T> {
    pub(crate) bare: T,
    pub(crate) portcullis: T,
}

/// What one proxy needed for the requests of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) requests: u32,
    pub(crate) cpu_seconds: f64,
    pub(crate) seconds: f64,
    pub(crate) counts: Option<Counts>,
}

/// Everything that is running.
#[derive(Debug)]
pub(crate) struct Scenario {
    folder: Folder,
    upstream: Upstream,
    provider: Provider,
    tls: Arc<ClientConfig>,
    proxies: Both<Process>,
    idle_kib: Both<u64>,
    cookie: String,
    // Through Portcullis, sign-in left aside.
    forwarded: u64,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) table: Table,
    pub(crate) idle_kib: Both<u64>,
    pub(crate) loaded_kib: Both<u64>,
    /// Requests that Portcullis forwarded, the audit records of them, and those that came with an assertion.
    pub(crate) forwarded: u64,
    pub(crate) recorded: u64,
    pub(crate) asserted: u64,
}

/// Both proxies under load over one protocol.
pub(crate) struct Rounds<'a> {
    proxies: &'a Both<Process>,
    loads: Both<Load>,
    forwarded: &'a mut u64,
}

impl Scenario {
    /// Starts upstream, provider and both proxies, and signs a user in.
    pub(crate) async fn start() -> Result<Self> {
        let folder = Folder::new(&["auth", "app"])?;
        let upstream = Upstream::start().await?;
        let client = Client {
            id: "portcullis".into(),
            secret: Secret::new(CLIENT_SECRET.into()),
            redirect_uris: vec!["https://auth.localhost/.portcullis/callback".into()],
        };
        let users = vec![User::new("ada", "Ada Lovelace", &["engineering", "on-call"])];
        let provider = Provider::start(users, vec![client], None, Arc::new(SystemClock)).await?;
        let configuration = serde_json::to_vec_pretty(&configuration(provider.issuer(), upstream.address))?;
        std::fs::write(folder.path("portcullis.yaml"), configuration)?;
        let proxies = Both {
            bare: Process::bare_proxy(&folder.path(""), upstream.address)?,
            portcullis: Process::portcullis(&folder.path(""))?,
        };
        let idle_kib = proxies.resident_kib()?;
        let tls = folder.authority().client_config()?;
        let (cookie, forwarded) = sign_in(&tls, proxies.portcullis.address()).await?;
        Ok(Self { folder, upstream, provider, tls, proxies, idle_kib, cookie, forwarded })
    }

    /// Connects to both proxies.
    pub(crate) async fn rounds(&mut self, protocol: Protocol) -> Result<Rounds<'_>> {
        let (tls, cookie) = (&self.tls, self.cookie.as_str());
        let open = |proxy: &Process| {
            let (address, request) = (proxy.address(), request(protocol, cookie));
            async move { Load::open(tls, address, protocol, request?).await }
        };
        let loads = Both { bare: open(&self.proxies.bare).await?, portcullis: open(&self.proxies.portcullis).await? };
        Ok(Rounds { proxies: &self.proxies, loads, forwarded: &mut self.forwarded })
    }

    /// Stops everything and counts what Portcullis has left behind.
    pub(crate) async fn finish(mut self, table: Table) -> Result<Measured> {
        let loaded_kib = self.proxies.resident_kib()?;
        self.proxies.portcullis.stop()?;
        self.provider.shutdown().await;
        let mut recorded = 0;
        for segment in audit::Archive::open(&self.folder.path("audit"))?.segments() {
            let mut lines = segment.lines()?;
            while let Some(line) = lines.next_line()? {
                recorded += u64::from(str::from_utf8(line)?.contains(r#""upstream":{"#));
            }
        }
        Ok(Measured {
            table,
            idle_kib: self.idle_kib,
            loaded_kib,
            forwarded: self.forwarded,
            recorded,
            asserted: self.upstream.asserted.load(Ordering::Relaxed),
        })
    }
}

impl Rounds<'_> {
    /// Sends the same requests through one proxy and then through the other.
    pub(crate) async fn next(&mut self, requests: u32, counted: bool) -> Result<Both<Cost>> {
        let bare = cost(&self.proxies.bare, &mut self.loads.bare, requests, counted).await?;
        let portcullis = cost(&self.proxies.portcullis, &mut self.loads.portcullis, requests, counted).await?;
        *self.forwarded += u64::from(requests);
        Ok(Both { bare, portcullis })
    }
}

impl Rounds<'_> {
    /// Returns the id of the process of Portcullis.
    pub(crate) fn portcullis(&self) -> u32 {
        self.proxies.portcullis.id()
    }

    /// Sends requests through Portcullis alone.
    pub(crate) async fn load(&mut self, requests: u32) -> Result<()> {
        *self.forwarded += u64::from(requests);
        self.loads.portcullis.run(requests).await
    }
}

impl Both<Process> {
    fn resident_kib(&self) -> Result<Both<u64>> {
        Ok(Both { bare: self.bare.resident_kib()?, portcullis: self.portcullis.resident_kib()? })
    }
}

impl Cost {
    /// Returns the CPU time of one request, in microseconds.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu_seconds * 1e6 / f64::from(self.requests)
    }

    /// Returns how many requests were answered in a second.
    pub(crate) fn per_second(&self) -> f64 {
        f64::from(self.requests) / self.seconds
    }
}

async fn cost(proxy: &Process, load: &mut Load, requests: u32, counted: bool) -> Result<Cost> {
    let counter = counted.then(|| Counter::attach(proxy.id())).transpose()?;
    let (began, before) = (Instant::now(), proxy.cpu()?);
    load.run(requests).await?;
    let (cpu_seconds, seconds) = (proxy.cpu()? - before, began.elapsed().as_secs_f64());
    let counts = counter.map(Counter::end).transpose()?.map(|counts| counts / f64::from(requests));
    Ok(Cost { requests, cpu_seconds, seconds, counts })
}

fn configuration(issuer: &str, upstream: SocketAddr) -> serde_json::Value {
    json!({
        "listeners": [{
            "address": "127.0.0.1:0",
            "tls": { "certificates": [{ "cert_file": "cert.pem", "key_file": "key.pem" }] },
        }],
        "authenticate": {
            "url": "https://auth.localhost",
            "providers": [{
                "id": "bench", "issuer": issuer, "client_id": "portcullis", "client_secret": CLIENT_SECRET,
            }],
        },
        "admin": { "address": "127.0.0.1:0" },
        "networks": { "office": ["127.0.0.0/8", "10.0.0.0/8"] },
        "routes": [{
            "name": "app",
            "from": format!("https://{HOST}"),
            "to": format!("http://{upstream}"),
            "allow": r#""engineering" in user.groups && user.email.endsWith("@example.com") && request.ip.inNetwork("office")"#,
        }],
    })
}

/// Returns the session's cookie of the app's host, and how many requests were forwarded for it.
async fn sign_in(tls: &Arc<ClientConfig>, proxy: SocketAddr) -> Result<(String, u64)> {
    let mut browser = Browser::new(Arc::clone(tls), proxy);
    let url = format!("https://{HOST}/");
    let answer = browser.open(&url, "ada").await?;
    if answer.url.as_str() != url || answer.body.len() != ANSWER_BYTES {
        return Err(format!("sign-in ended at {} with {}: {}", answer.url, answer.status, answer.text()).into());
    }
    let cookies = browser.cookies(HOST);
    let handle = cookies.get("__Host-portcullis").ok_or("sign-in left no session cookie")?;
    Ok((format!("theme=dark; __Host-portcullis={handle}"), 1))
}

/// What a page's script sends: the same to both proxies.
fn request(protocol: Protocol, cookie: &str) -> Result<Request<Empty<Bytes>>> {
    let request = match protocol {
        Protocol::Http1 => Request::get(PATH).header(HOST_HEADER, HOST),
        Protocol::Http2 => Request::get(format!("https://{HOST}{PATH}")),
    };
    Ok(request
        .header(USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header(ACCEPT, "application/json")
        .header(ACCEPT_LANGUAGE, "en-GB,en;q=0.7")
        .header(ACCEPT_ENCODING, "gzip, deflate, br, zstd")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-site", "same-origin")
        .header(COOKIE, cookie)
        .body(Empty::new())?)
}

/// An app that answers everything with the same bytes, and counts the requests that say who is calling.
#[derive(Debug)]
struct Upstream {
    address: SocketAddr,
    asserted: Arc<AtomicU64>,
}

impl Upstream {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = Self { address: listener.local_addr()?, asserted: Arc::default() };
        let counter = Arc::clone(&upstream.asserted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Without it answers wait for acknowledgements. Should it fail, they only come later.
                let _ = stream.set_nodelay(true);
                let counter = Arc::clone(&counter);
                let service = service_fn(move |request: Request<Incoming>| {
                    let asserted = request.headers().contains_key("x-portcullis-jwt-assertion");
                    counter.fetch_add(u64::from(asserted), Ordering::Relaxed);
                    std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(ANSWER))))
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(upstream)
    }
}

/// The app's host.
pub(crate) const HOST: &str = "app.localhost";

/// The length of the upstream's answer.
pub(crate) const ANSWER_BYTES: usize = 1024;

const ANSWER: Bytes = Bytes::from_static(&[b'x'; ANSWER_BYTES]);
const PATH: &str = "/api/v1/items/42?fields=name,owner";
const CLIENT_SECRET: &str = "a-secret-of-the-bench-only";
