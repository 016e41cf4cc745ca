//! Asks an https server for a table, with bounds on time and size, following no redirect.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ETAG, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

/// A server that has a table. No derived `Debug`: path and query may hold a key.
pub(crate) struct Server {
    url: Url,
    tls: Arc<ClientConfig>,
    refresh: Duration,
    timeout: Duration,
}

/// What tells whether a copy is still the newest (RFC 9110 §8.8).
#[derive(Clone, Debug, Default)]
pub(super) struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

/// What a server answered.
#[derive(Debug)]
pub(super) enum Fetched {
    Unchanged,
    Body { bytes: Vec<u8>, validators: Validators },
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Server {
    /// Asks `url` every `refresh`, trusting the authorities of the file, or those of the system.
    ///
    /// # Errors
    /// The file cannot be used.
    pub(crate) fn new(url: Url, ca_file: Option<&Path>, refresh: Duration, timeout: Duration) -> Result<Self, String> {
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(ca_file.map_or_else(|| Ok(system_roots()), roots)?)
            .with_no_client_auth();
        Ok(Self { url, tls: Arc::new(tls), refresh, timeout })
    }

    pub(super) const fn refresh(&self) -> Duration {
        self.refresh
    }

    pub(super) fn asks_the_same_as(&self, other: &Self) -> bool {
        self.url == other.url
    }

    /// Fetches the table unless it is what is known already.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn fetch(&self, known: &Validators, max_size: u64) -> Result<Fetched, String> {
        tokio::time::timeout(self.timeout, self.exchange(known, max_size))
            .await
            .unwrap_or_else(|_| Err(format!("no whole answer within {:?}: see `timeout`", self.timeout)))
    }

    async fn exchange(&self, known: &Validators, max_size: u64) -> Result<Fetched, String> {
        let stream = self.connect().await?;
        let failed = |error: hyper::Error| format!("the server gave no proper answer: {error}");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let asked = known.etag.is_some() || known.last_modified.is_some();
        let request = self.request(known).map_err(|error| error.to_string())?;
        let answer = async move { answer(sender.send_request(request).await.map_err(failed)?, asked, max_size).await };
        // The connection is driven here, not in a task of its own: when this future is dropped, so is the socket.
        let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
        tokio::select! {
            answer = &mut answer => answer,
            _closed = &mut connection => answer.await,
        }
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, String> {
        let host = self.url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = self.url.port_or_known_default().unwrap_or(443);
        let stream = TcpStream::connect((bare, port))
            .await
            .map_err(|error| format!("cannot connect to `{host}:{port}`: {error}"))?;
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| error.to_string())?;
        TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|error| format!("tls with `{host}:{port}` failed: {error}"))
    }

    fn request(&self, known: &Validators) -> Result<Request<Empty<Bytes>>, http::Error> {
        let target =
            self.url.query().map_or_else(|| self.url.path().to_owned(), |query| format!("{}?{query}", self.url.path()));
        let host = self.url.port().map_or_else(String::new, |port| format!(":{port}"));
        let mut request = Request::get(target)
            .header(HOST, format!("{}{host}", self.url.host_str().unwrap_or_default()))
            .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT_ENCODING, "identity");
        // RFC 9110 §13.1.3: where there is an entity tag, the date says nothing more.
        if let Some(etag) = &known.etag {
            request = request.header(IF_NONE_MATCH, etag);
        } else if let Some(date) = &known.last_modified {
            request = request.header(IF_MODIFIED_SINCE, date);
        }
        request.body(Empty::new())
    }
}

async fn answer(response: Response<Incoming>, asked: bool, max_size: u64) -> Result<Fetched, String> {
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if asked => return Ok(Fetched::Unchanged),
        StatusCode::NOT_MODIFIED => return Err("the server answered 304 for what was never fetched".to_owned()),
        status if status.is_redirection() => {
            return Err(format!("the server answered {}: write the URL that it leads to", status.as_u16()));
        }
        status => return Err(format!("the server answered {}", status.as_u16())),
    }
    let limit = usize::try_from(max_size).unwrap_or(usize::MAX);
    let body = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            format!("the answer is larger than {max_size} bytes: see `max_size`")
        } else {
            format!("the answer broke off: {error}")
        }
    })?;
    Ok(Fetched::Body { bytes: body.to_bytes().to_vec(), validators: Validators::of(&head.headers) })
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        Self { etag: headers.get(ETAG).cloned(), last_modified: headers.get(LAST_MODIFIED).cloned() }
    }
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let unusable = |reason: String| format!("`{}`: {reason}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    Ok(roots)
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        // An image without certificates of its own (scratch, distroless).
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
