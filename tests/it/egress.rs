//! Apps inside call `http://api.internal`; Portcullis decides, adds a token and sends the call over verified TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Method;
use identity::{Clock as _, SystemClock};
use integration::{Folder, Proxy, Setup, read_request};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::Result;

/// A token endpoint, and an API that takes only the token that was given out last and not revoked.
struct Api {
    address: SocketAddr,
    folder: Folder,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    given: AtomicUsize,
    revoked: AtomicUsize,
    served: AtomicUsize,
}

impl Api {
    async fn start() -> Result<Self> {
        let folder = Folder::new(&["api"])?;
        let leaf = folder.authority().sign(&["api.localhost".to_owned()], SystemClock.now())?;
        let tls = TlsAcceptor::from(leaf.server_config()?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, state) = (tls.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(mut stream) = tls.accept(stream).await else { return };
                    let mut buffer = Vec::new();
                    while let Some(request) = read_request(&mut stream, &mut buffer).await {
                        let (status, body) = state.answer(&request);
                        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(Self { address, folder, state, task })
    }

    fn ca_file(&self) -> String {
        self.folder.path("ca.pem").display().to_string()
    }

    /// Starts a proxy in front of it, with these keys of `credential`.
    async fn proxy(&self, oauth2: &Value) -> Result<Proxy> {
        let mut credential = json!({
            "token_url": format!("https://api.localhost:{}/token", self.address.port()),
            "client_id": "portcullis", "client_secret": "the-secret-of-the-client", "ca_file": self.ca_file(),
        });
        for (key, value) in oauth2.as_object().into_iter().flatten() {
            credential[key] = value.clone();
        }
        let route = json!({
            "name": "api", "from": "http://api.internal.localhost", "to": format!("https://{}", self.address),
            "authenticate": "none", "allow": "request.ip.inCIDR('127.0.0.0/8') && request.path != '/admin'",
            "upstream_tls": { "ca_file": self.ca_file(), "server_name": "api.localhost" },
            "credential": { "oauth2": credential },
        });
        let listeners = json!([{ "address": "127.0.0.1:0" }]);
        Setup::default().section(&json!({ "listeners": listeners, "routes": [route] })).start().await
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn answer(&self, request: &integration::Seen) -> (u16, String) {
        if request.line.starts_with("POST /token ") {
            let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
            let token = format!(r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":3600}}"#);
            return (200, token);
        }
        let valid = |number: usize| format!("Bearer token-{number}");
        let given = self.given.load(Ordering::SeqCst);
        let presented = request.all("authorization");
        if given > self.revoked.load(Ordering::SeqCst) && presented == [valid(given)] {
            self.served.fetch_add(1, Ordering::SeqCst);
            (200, String::from_utf8_lossy(&request.body).into_owned())
        } else {
            (401, String::new())
        }
    }

    fn revoke(&self) {
        self.revoked.store(self.given.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }
}

async fn call(proxy: &Proxy, path: &str) -> Result<integration::Answer> {
    let url = format!("http://api.internal.localhost{path}");
    // What the client claims to be is not passed on.
    proxy.browser().send(Method::POST, &url, &[("authorization", "Bearer stolen")], Bytes::from("order")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_callers_at_once_make_one_token_request() -> Result {
    let api = Api::start().await?;
    let proxy = Arc::new(api.proxy(&json!({})).await?);
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let proxy = Arc::clone(&proxy);
            tokio::spawn(async move {
                let answer = call(&proxy, "/data").await?;
                Result::Ok((answer.status, answer.text()))
            })
        })
        .collect();
    for answer in calls {
        assert_eq!(answer.await??, (http::StatusCode::OK, "order".to_owned()));
    }
    assert_eq!(api.state.given(), 1);
    assert_eq!(call(&proxy, "/admin").await?.status, 403, "the policy decides");
    let metrics = proxy.admin_get("localhost", "/metrics").await?;
    assert!(metrics.contains("portcullis_upstream_token_fetches_total{route=\"api\",result=\"ok\"} 1"), "{metrics}");
    let records = Arc::into_inner(proxy).ok_or("still in use")?.stop().await?;
    let records = serde_json::to_string(&records)?;
    for secret in ["token-1", "stolen", "the-secret-of-the-client"] {
        assert!(!records.contains(secret), "{secret} is in the audit log");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once_and_the_call_is_sent_again() -> Result {
    let api = Api::start().await?;
    let proxy = api.proxy(&json!({ "client_authentication": "client_secret_post" })).await?;
    assert_eq!(call(&proxy, "/data").await?.status, 200);
    api.state.revoke();
    for _ in 0..2 {
        let answer = call(&proxy, "/data").await?;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "order"));
    }
    assert_eq!((api.state.given(), api.state.served.load(Ordering::SeqCst)), (2, 3));
    // An API that refuses every token is believed after one renewal.
    api.state.revoked.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(call(&proxy, "/data").await?.status, 401);
    assert_eq!(api.state.given(), 3);
    Ok(())
}

#[tokio::test]
async fn a_reload_keeps_the_token_unless_it_comes_from_elsewhere() -> Result {
    let api = Api::start().await?;
    let proxy = api.proxy(&json!({})).await?;
    assert_eq!(call(&proxy, "/data").await?.status, 200);
    proxy.reload(|file| file["routes"][0]["allow"] = json!("request.ip.inCIDR('127.0.0.0/8')")).await?;
    assert_eq!((call(&proxy, "/data").await?.status.as_u16(), api.state.given()), (200, 1));
    proxy.reload(|file| file["routes"][0]["credential"]["oauth2"]["scopes"] = json!(["orders.read"])).await?;
    assert_eq!((call(&proxy, "/data").await?.status.as_u16(), api.state.given()), (200, 2));
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() -> Result {
    let api = Api::start().await?;
    let other = Folder::new(&["other"])?;
    let proxy = api.proxy(&json!({ "ca_file": other.path("ca.pem") })).await?;
    let answer = call(&proxy, "/data").await?;
    assert_eq!((answer.status.as_u16(), answer.json()?["error"].as_str()), (502, Some("upstream_credential_error")));
    assert!(!answer.text().contains("localhost"), "{}", answer.text());
    assert_eq!((api.state.given(), api.state.served.load(Ordering::SeqCst)), (0, 0));
    let records = proxy.stop().await?;
    let outcome = records.iter().find(|record| record["status"] == 502).ok_or("no record")?;
    let error = outcome["error"].as_str().unwrap_or_default();
    assert!(
        error.starts_with("no token from `https://api.localhost:") && error.contains("invalid peer certificate"),
        "{error}"
    );
    Ok(())
}
