//! How the user signs in: a browser confirms, and brings a code that is good with our verifier alone (RFC 7636).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::Secret;
use tokio::time::timeout;
use url::form_urlencoded::Serializer;

use super::callback::Callback;
use super::failure::printable;
use super::proxy::{Proxy, Wishes};
use super::{Failure, Notice, Tell};

/// A session, and whose it is.
pub(super) struct SignedIn {
    /// What the proxy knows it by.
    pub(super) cookie: Secret,
    /// What its user is called.
    pub(super) user: String,
}

/// Has the user sign in with a browser.
pub(super) async fn sign_in(proxy: &Proxy, wishes: &Wishes, tell: &Tell) -> Result<SignedIn, Failure> {
    let local = |error: std::io::Error| Failure::Local(format!("cannot wait for a browser on 127.0.0.1: {error}"));
    let (state, verifier) = (random()?, random()?);
    let callback = Callback::open(state.clone(), proxy.host().to_owned()).await.map_err(local)?;
    let redirect_uri = callback.redirect_uri().map_err(local)?;
    tell(Notice::SignIn(&proxy.url(&question(&redirect_uri, &verifier, &state, wishes))));
    let waited = timeout(PATIENCE, callback.code()).await;
    let code = waited.map_err(|_| Failure::SignIn("nobody signed in within 5 minutes".into()))?.map_err(local)?;
    redeem(proxy, &code, &verifier, &redirect_uri).await
}

/// Returns the path and query that ask the user.
fn question(redirect_uri: &str, verifier: &str, state: &str, wishes: &Wishes) -> String {
    let challenge = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    let mut query = Serializer::new(String::new());
    query
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
        .append_pair("code_challenge_method", "S256")
        .append_pair("state", state)
        .extend_pairs(wishes.parameters());
    format!("/.portcullis/connect?{}", query.finish())
}

async fn redeem(proxy: &Proxy, code: &str, verifier: &str, redirect_uri: &str) -> Result<SignedIn, Failure> {
    let pairs = [("code", code), ("code_verifier", verifier), ("redirect_uri", redirect_uri)];
    let form = Serializer::new(String::new()).extend_pairs(pairs).finish();
    let answer = proxy.redeem(form).await?;
    let text = |key| answer.get(key).and_then(serde_json::Value::as_str);
    match (text("cookie"), text("user")) {
        (Some(cookie), Some(user)) => Ok(SignedIn { cookie: Secret::new(cookie.to_owned()), user: printable(user) }),
        _ => Err(Failure::SignIn(text("message").map_or_else(|| "the proxy gave no session".into(), printable))),
    }
}

fn random() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    let filled = aws_lc_rs::rand::fill(&mut bytes);
    filled.map_err(|_| Failure::Local("the random generator of this computer does not work".into()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// How long the user may take.
const PATIENCE: Duration = Duration::from_secs(300);
