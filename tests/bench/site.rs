//! What stands around every proxy: certificates, the upstream, an OpenID provider, and tokens for those who cannot sign in.

pub(crate) mod authoriser;
pub(crate) mod tls;
pub(crate) mod upstream;

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use demo::provider::{Client, Provider, User};
use identity::{Clock as _, Secret, SystemClock};
use integration::{Browser, Folder, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::ClientConfig;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::client::{Answered, Ask, Protocol, Target};
use crate::machine::{self, Placement};
use crate::process::{Program, free_address};

/// Everything but the proxies.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) placement: Placement,
    pub(crate) upstreams: Upstreams,
    folder: Folder,
    provider: Provider,
    tls: Arc<ClientConfig>,
    // When tokens were issued, to the second.
    issued: i64,
    // Runs the provider.
    runtime: Runtime,
    _upstream: Program,
}

/// Where the app listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upstreams {
    pub(crate) plain: SocketAddr,
    pub(crate) h2c: SocketAddr,
    pub(crate) tls: SocketAddr,
}

impl Site {
    /// Starts upstream and provider.
    pub(crate) fn start(placement: Placement) -> Result<Self> {
        let folder = Folder::new(&["auth", "app", "upstream"])?;
        // Servers that give up root read their files as somebody else.
        fs::set_permissions(folder.path(""), Permissions::from_mode(0o755))?;
        let pem = fs::read_to_string(folder.path("cert.pem"))? + &fs::read_to_string(folder.path("key.pem"))?;
        fs::write(folder.path("both.pem"), pem)?;
        let upstreams = Upstreams { plain: free_address()?, h2c: free_address()?, tls: free_address()? };
        let mut command = machine::bound();
        command.arg(std::env::current_exe()?).arg("upstream").arg(folder.path("cert.pem")).arg(folder.path("key.pem"));
        command.args([upstreams.plain, upstreams.h2c, upstreams.tls].map(|address| address.to_string()));
        let mut upstream = Program::start(&mut command, &folder.path("upstream.log"))?;
        upstream.listens(upstreams.tls)?;
        let runtime = Runtime::new()?;
        let users = ["ada", "mallory"].map(|id| User::new(id, id, groups(id))).to_vec();
        let clients =
            [("portcullis", "https://auth.localhost/.portcullis/callback"), ("apache", "https://app.localhost/.oidc")];
        let clients = clients.map(|(id, redirect)| Client {
            id: id.into(),
            secret: Secret::new(CLIENT_SECRET.into()),
            redirect_uris: vec![redirect.into()],
            token_life: Duration::from_secs(24 * 60 * 60),
        });
        let provider = Provider::start(users, clients.to_vec(), None, Arc::new(SystemClock));
        let provider = runtime.block_on(provider)?;
        let tls = Arc::new(tls::client(&folder.path("ca.pem"))?);
        let issued = SystemClock.now().as_second();
        Ok(Self { placement, upstreams, folder, provider, tls, issued, runtime, _upstream: upstream })
    }

    /// Returns the path of a file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// Returns the provider's issuer.
    pub(crate) fn issuer(&self) -> &str {
        self.provider.issuer()
    }

    /// Returns what the load generator sends to a proxy.
    pub(crate) fn target(&self, address: SocketAddr, secure: bool, protocol: Protocol, ask: Ask) -> Target {
        let tls = secure.then(|| {
            let mut tls = (*self.tls).clone();
            tls.alpn_protocols = match protocol {
                Protocol::Http1 => vec![b"http/1.1".to_vec()],
                Protocol::Http2 => vec![b"h2".to_vec()],
            };
            Arc::new(tls)
        });
        Target { address, tls, protocol, ask }
    }

    /// Signs a user in through a proxy, and returns the value of the session's cookie.
    pub(crate) fn sign_in(&self, proxy: SocketAddr, user: &str, cookie: &str) -> Result<String> {
        let mut browser = Browser::new(self.folder.authority().client_config()?, proxy);
        let answer = self.runtime.block_on(browser.open(&format!("https://{HOST}/"), user))?;
        let session = browser.cookies(HOST).remove(cookie);
        session
            .ok_or_else(|| format!("sign-in ended at {} with {}: {}", answer.url, answer.status, answer.text()).into())
    }

    /// Signs Ada in so often, from a browser of its own each time.
    pub(crate) fn sign_ins(&self, proxy: SocketAddr, count: usize) -> Result<()> {
        let tls = self.folder.authority().client_config()?;
        let left = Arc::new(AtomicUsize::new(count));
        let browse = || {
            let (tls, left) = (Arc::clone(&tls), Arc::clone(&left));
            async move {
                while left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let answer = Browser::new(Arc::clone(&tls), proxy).open(&format!("https://{HOST}/"), "ada").await?;
                    if answer.status != http::StatusCode::OK {
                        return Err(format!("sign-in ended with {}: {}", answer.status, answer.text()).into());
                    }
                }
                Ok(())
            }
        };
        self.runtime.block_on(async {
            let mut browsers: JoinSet<Result<()>> = (0..BROWSERS).map(|_| browse()).collect();
            while let Some(ended) = browsers.join_next().await {
                ended??;
            }
            Ok(())
        })
    }

    /// Returns the token that says who somebody is, as a gateway of JWTs would have made it at sign-in: always the same.
    pub(crate) fn token(&self, user: &str) -> Result<String> {
        let now = self.issued;
        let claims = json!({
            "iss": self.issuer(), "aud": "app", "sub": user, "email": format!("{user}@example.com"),
            "groups": groups(user), "iat": now, "exp": now + DAY,
        });
        let key = EncodingKey::from_secret(TOKEN_SECRET.as_bytes());
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?)
    }

    /// Runs something asynchronous to its end.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Returns how many requests have reached the app with an assertion.
    pub(crate) fn asserted(&self) -> Result<usize> {
        let ask = Ask { host: HOST.into(), path: upstream::COUNT.into(), cookie: String::new(), grpc: false };
        let Answered { bytes, .. } = self.target(self.upstreams.plain, false, Protocol::Http1, ask).once()?;
        Ok(bytes)
    }
}

/// Returns the groups of a user: Ada may do what Mallory may not.
fn groups(user: &str) -> &'static [&'static str] {
    if user == "ada" { &["engineering", "on-call"] } else { &["sales"] }
}

/// The app's host.
pub(crate) const HOST: &str = "app.localhost";

/// What every client of the provider shares with it.
pub(crate) const CLIENT_SECRET: &str = "a-secret-of-the-bench-only";

/// The key of the tokens.
pub(crate) const TOKEN_SECRET: &str = "a-key-of-the-bench-that-is-32-bytes-long";

/// Browsers that sign in at once.
const BROWSERS: usize = 8;

const DAY: i64 = 24 * 60 * 60;
