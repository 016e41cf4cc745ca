//! What a program asks of its user's browser.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::ProviderId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::Serializer;

use super::super::CONNECT_PATH;
use super::super::answer::Query;
use crate::handoff::{return_path, sha256, sign_in_url};
use crate::store::Hash;
use crate::{Session, StepUp};

/// What a program asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Where the program waits for the browser.
    pub(super) callback: Callback,
    /// What only the holder of the verifier can answer.
    pub(super) challenge: Challenge,
    // Invariant: unreserved characters, not many.
    state: String,
    provider: Option<ProviderId>,
    step_up: Option<StepUp>,
}

/// Where a program waits: a port of the browser's own computer, which no name server can move elsewhere (RFC 8252 §7.3,
/// §8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Callback(
    // Invariant: `127.0.0.1` or `::1`, and a port.
    SocketAddr,
);

/// The SHA-256 hash of a verifier (RFC 7636 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Challenge(Hash);

impl Asked {
    /// Reads the parameters; `None` where one is missing, is there twice, or is not what we hand sessions out for.
    pub(super) fn of(query: &Query) -> Option<Self> {
        // `plain`, also as the default, would leave the code worth something without the verifier (RFC 7636 §4.3).
        query.get("code_challenge_method").filter(|method| *method == S256)?;
        let asked = Self {
            callback: Callback::parse(query.get("redirect_uri")?)?,
            challenge: Challenge::parse(query.get("code_challenge")?)?,
            state: query.get("state").filter(|state| is_state(state))?.to_owned(),
            provider: query.get("provider").map(ProviderId::new).transpose().ok()?,
            step_up: StepUp::asked(query.get("max_age"), query.get("acr_values")),
        };
        // The user may have to sign in first, and must come back to the same.
        let url = asked.url();
        (return_path(Some(&url)) == url).then_some(asked)
    }

    /// Returns the path and query that ask the same.
    pub(super) fn url(&self) -> String {
        let mut query = Serializer::new(String::new());
        query
            .append_pair("redirect_uri", &self.callback.to_string())
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(self.challenge.0))
            .append_pair("code_challenge_method", S256)
            .append_pair("state", &self.state);
        self.append_wishes(&mut query);
        format!("{CONNECT_PATH}?{}", query.finish())
    }

    /// Returns the path and query that sign the user in and come back.
    pub(super) fn sign_in_url(&self) -> String {
        let mut query = Serializer::new(String::new());
        self.append_wishes(&mut query);
        let (url, wishes) = (sign_in_url(&self.url()), query.finish());
        if wishes.is_empty() { url } else { format!("{url}&{wishes}") }
    }

    /// Returns where the browser brings the code.
    pub(super) fn callback_url(&self, code: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("code", code).append_pair("state", &self.state);
        format!("{}?{}", self.callback, query.finish())
    }

    /// Returns whether a session is of the provider, as recent, and as strong as the program says that its route asks for.
    pub(super) fn is_content_with(&self, session: &Session, now: Timestamp) -> bool {
        let identity = session.identity();
        self.provider.as_ref().is_none_or(|provider| provider == identity.provider())
            && self.step_up.as_ref().is_none_or(|step_up| step_up.check(identity.proof(), now).is_ok())
    }

    fn append_wishes(&self, query: &mut Serializer<'_, String>) {
        query.extend_pairs(self.provider.iter().map(|provider| ("provider", provider.as_str())));
        query.extend_pairs(self.step_up.iter().flat_map(StepUp::parameters));
    }
}

impl Callback {
    /// Reads `http://127.0.0.1:PORT/` or `http://[::1]:PORT/`, in this one spelling.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let address: SocketAddr = text.strip_prefix("http://")?.strip_suffix('/')?.parse().ok()?;
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        // Made anew: an IPv6 address may carry a zone.
        let callback = Self(SocketAddr::new(address.ip(), address.port()));
        let is_ours = loopback.contains(&address.ip()) && address.port() != 0;
        (is_ours && callback.to_string() == text).then_some(callback)
    }
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}/", self.0)
    }
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Returns whether this is the verifier that the challenge was made of.
    pub(super) fn is_of(&self, verifier: &str) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&sha256(verifier.as_bytes()), &self.0).is_ok()
    }
}

fn is_state(text: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.len() <= MAX_STATE && text.bytes().all(is_unreserved)
}

const S256: &str = "S256";
const MAX_STATE: usize = 128;

#[cfg(test)]
mod tests;
