//! The way to a provider: HTTPS over its own trust anchors, with bounds on time and size, following no redirect.

use std::fs::File;
use std::future::Future;
use std::io::BufReader;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

/// Sends requests to one provider.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    tls: Arc<ClientConfig>,
    // The certificates of the file; none for the system's.
    authorities: Arc<[CertificateDer<'static>]>,
    // How long a connection may take, and then an answer.
    patience: Duration,
}

/// Why a provider could not be asked.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// No connection in time.
    #[error("cannot connect to `{authority}`: {reason}")]
    Connect {
        /// Host and port.
        authority: String,
        /// Why.
        reason: String,
    },
    /// The certificate does not verify, or the peer speaks no TLS.
    #[error("tls with `{authority}` failed: {reason}")]
    Tls {
        /// Host and port.
        authority: String,
        /// Why.
        reason: String,
    },
    /// The answer broke off, or is no HTTP.
    #[error("`{authority}` gave no proper answer: {reason}")]
    Exchange {
        /// Host and port.
        authority: String,
        /// Why.
        reason: String,
    },
    /// The answer took too long.
    #[error("`{authority}` did not answer in time")]
    TooSlow {
        /// Host and port.
        authority: String,
    },
    /// The URL is none that may be asked.
    #[error("`{0}` is neither https nor http on loopback")]
    Forbidden(String),
}

impl Transport {
    /// Trusts the certificate authorities of the file only.
    pub(crate) fn with_ca_file(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        let mut roots = RootCertStore::empty();
        let mut authorities = Vec::new();
        for certificate in CertificateDer::pem_reader_iter(BufReader::new(file)) {
            let certificate = certificate.map_err(|error| format!("`{}` is no PEM file: {error}", path.display()))?;
            roots.add(certificate.clone()).map_err(|error| format!("`{}`: {error}", path.display()))?;
            authorities.push(certificate);
        }
        if roots.is_empty() {
            return Err(format!("`{}` holds no certificate", path.display()));
        }
        Self::trusting(roots, authorities)
    }

    /// Trusts the certificate authorities of the system.
    pub(crate) fn with_system_roots() -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a certificate of the system's trust store cannot be read");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        Self::trusting(roots, Vec::new())
    }

    /// Returns whether both trust the same authorities.
    pub(crate) fn trusts_as(&self, other: &Self) -> bool {
        self.authorities == other.authorities
    }

    /// Waits as long as a test does.
    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn trusting(roots: RootCertStore, authorities: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), authorities: authorities.into(), patience: PATIENCE })
    }

    /// Fetches a JSON document; anything but 200 is a failure.
    pub(crate) async fn get(&self, url: &Url, bearer: Option<&HeaderValue>) -> Result<Vec<u8>, TransportError> {
        let mut request = Request::get(url.as_str()).header(ACCEPT, "application/json");
        if let Some(bearer) = bearer {
            request = request.header(http::header::AUTHORIZATION, bearer);
        }
        let exchange_error =
            |reason: String| TransportError::Exchange { authority: url.authority().to_owned(), reason };
        let request = request.body(Vec::new()).map_err(|error| exchange_error(error.to_string()))?;
        let response = self.send(request).await?;
        if response.status() != http::StatusCode::OK {
            return Err(exchange_error(format!("`{}` answered {}", url.path(), response.status().as_u16())));
        }
        Ok(response.into_body())
    }

    /// Posts a form, and returns status and body whatever they are.
    pub(crate) async fn post_form(
        &self,
        url: &Url,
        form: String,
        authorization: Option<HeaderValue>,
    ) -> Result<(http::StatusCode, Vec<u8>), TransportError> {
        let mut request = Request::new(form.into_bytes());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = url.as_str().parse().map_err(|_| TransportError::Forbidden(url.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        let response = self.send(request).await?;
        Ok((response.status(), response.into_body()))
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let target = Target::of(request.uri())?;
        let stream = timeout(self.patience, self.connect(&target)).await.unwrap_or_else(|_| {
            Err(TransportError::Connect { authority: target.authority.clone(), reason: "no connection in time".into() })
        })?;
        timeout(self.patience, exchange(stream, request, &target))
            .await
            .unwrap_or_else(|_| Err(TransportError::TooSlow { authority: target.authority.clone() }))
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Stream>, TransportError> {
        let failed = |error: std::io::Error| TransportError::Connect {
            authority: target.authority.clone(),
            reason: error.to_string(),
        };
        let stream = if is_localhost(&target.host) {
            // RFC 6761 §6.3: these names are loopback and need no resolver, which many systems' do not know them.
            let loopback = [
                SocketAddr::from((Ipv4Addr::LOCALHOST, target.port)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, target.port)),
            ];
            TcpStream::connect(&loopback[..]).await.map_err(failed)?
        } else {
            let host = target.host.trim_start_matches('[').trim_end_matches(']');
            TcpStream::connect((host, target.port)).await.map_err(failed)?
        };
        if !target.tls {
            return Ok(Box::new(stream));
        }
        let tls_error = |reason: String| TransportError::Tls { authority: target.authority.clone(), reason };
        let name = target.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|error| tls_error(error.to_string()))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|error| tls_error(format!("{error}{}", self.remedy(&error))))?;
        Ok(Box::new(stream))
    }

    /// Says what to do about a certificate whose authority is not trusted.
    fn remedy(&self, error: &std::io::Error) -> &'static str {
        let error = error.get_ref().and_then(|error| error.downcast_ref());
        let Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) = error else { return "" };
        if self.authorities.is_empty() {
            "; name the file of a private authority in `ca_file`"
        } else {
            "; none of the authorities in `ca_file` signed it"
        }
    }
}

impl<'c> AsyncHttpClient<'c> for Transport {
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, TransportError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// Returns whether a host is this machine by its very name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    is_localhost(host) || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Target {
    tls: bool,
    host: String,
    port: u16,
    authority: String,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, TransportError> {
        let forbidden = || TransportError::Forbidden(uri.to_string());
        let host = uri.host().ok_or_else(forbidden)?.to_ascii_lowercase();
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(&host) => false,
            _ => return Err(forbidden()),
        };
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let authority = uri.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        Ok(Self { tls, host, port, authority })
    }
}

async fn exchange(
    stream: Box<dyn Stream>,
    request: HttpRequest,
    target: &Target,
) -> Result<HttpResponse, TransportError> {
    let failed = |reason: String| TransportError::Exchange { authority: target.authority.clone(), reason };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    let request = origin_form(request, target).map_err(|error| failed(error.to_string()))?;
    let answer = async move {
        let (head, body) = sender.send_request(request).await.map_err(|error| failed(error.to_string()))?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| failed(error.to_string()))?;
        Ok(Response::from_parts(head, body.to_bytes().to_vec()))
    };
    // The connection is driven here, not in a task of its own: when this future is dropped, so is the socket.
    let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
    tokio::select! {
        answer = &mut answer => answer,
        _closed = &mut connection => answer.await,
    }
}

fn origin_form(request: HttpRequest, target: &Target) -> Result<Request<Full<Bytes>>, http::Error> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = Uri::try_from(path)?;
    head.headers.insert(HOST, HeaderValue::try_from(target.authority.as_str())?);
    Ok(Request::from_parts(head, Full::from(body)))
}

const PATIENCE: Duration = Duration::from_secs(5);
/// Discovery documents, key sets and token answers are a few kilobytes; a provider that sends more is broken or hostile.
const MAX_BODY: usize = 1024 * 1024;
