//! Checks the proxy's assertion the way an app behind it should: signature, issuer, audience and dates, with keys that
//! come from the proxy itself.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The proxy that an app believes.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    hosts: HashSet<String>,
    keys: Mutex<Arc<JwkSet>>,
}

/// Why an assertion is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Unverified {
    /// It was made for another app.
    #[error("the app is not served at `{0}`")]
    Host(String),
    /// The proxy's keys cannot be had.
    #[error("the proxy's keys cannot be fetched: {0}")]
    Keys(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key is not one of the proxy's.
    #[error("its key is not one of the proxy's")]
    UnknownKey,
    /// A check failed.
    #[error("{0}")]
    Token(#[from] jsonwebtoken::errors::Error),
}

impl Proxy {
    /// Believes the proxy at `address`, which fronts the app under `hosts` (`name:port`).
    #[must_use]
    pub fn new(address: SocketAddr, tls: Arc<ClientConfig>, hosts: impl IntoIterator<Item = String>) -> Self {
        let keys = Mutex::new(Arc::new(JwkSet { keys: Vec::new() }));
        Self { address, tls, hosts: hosts.into_iter().collect(), keys }
    }

    /// Returns the claims of an assertion that was made for `host`.
    ///
    /// # Errors
    /// It was not, or it is not the proxy's, or the proxy cannot be asked.
    pub async fn verify(&self, token: &str, host: &str) -> Result<Map<String, Value>, Unverified> {
        // Only hosts that the app knows: the request that names one may come from anybody.
        if !self.hosts.contains(host) {
            return Err(Unverified::Host(host.into()));
        }
        let id = jsonwebtoken::decode_header(token)?.kid.ok_or(Unverified::UnknownKey)?;
        let mut keys = self.known_keys();
        if keys.find(&id).is_none() {
            keys = Arc::new(self.fetch(host).await.map_err(Unverified::Keys)?);
            *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
        }
        let key = DecodingKey::from_jwk(keys.find(&id).ok_or(Unverified::UnknownKey)?)?;
        Ok(jsonwebtoken::decode(token, &key, &validation(without_port(host)))?.claims)
    }

    fn known_keys(&self) -> Arc<JwkSet> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn fetch(&self, host: &str) -> Result<JwkSet, Box<dyn std::error::Error + Send + Sync>> {
        tokio::time::timeout(PATIENCE, self.request_keys(host)).await?
    }

    async fn request_keys(&self, host: &str) -> Result<JwkSet, Box<dyn std::error::Error + Send + Sync>> {
        let name = ServerName::try_from(without_port(host).to_owned())?;
        let socket = TcpStream::connect(self.address).await?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, socket).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request =
            Request::get("/.well-known/portcullis/jwks.json").header(header::HOST, host).body(Empty::<Bytes>::new())?;
        let answer = async move {
            let response = sender.send_request(request).await?;
            Limited::new(response.into_body(), MAX_KEYS_BYTES).collect().await
        };
        // Both run here, so nothing is left behind when the caller gives up.
        let (answer, _) = tokio::join!(answer, connection);
        Ok(serde_json::from_slice(&answer?.to_bytes())?)
    }
}

fn validation(host: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[host]);
    validation.set_issuer(&[host]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.leeway = LEEWAY_SECONDS;
    validation
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

const PATIENCE: Duration = Duration::from_secs(5);
const MAX_KEYS_BYTES: usize = 64 * 1024;

/// Proxy and app share a clock, so a few seconds are plenty; more would lengthen the life of a stolen assertion.
const LEEWAY_SECONDS: u64 = 5;
