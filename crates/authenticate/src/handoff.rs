//! How sign-in passes from an app's host to the host of `authenticate.url` and back.
//!
//! An app's host seals a [`Handoff`] into the URL of the other; that one answers with a [`Ticket`]. Both are read back
//! only from our own seal, so no stranger can name an origin; the ticket is good once, for a minute, on that host, and
//! in the browser that holds the verifier.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use identity::{Origin, ProviderId};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keys::{Keys, random_token};
use crate::oidc::Prompt;
use crate::session::{Sessions, SignInId};
use crate::{SIGN_IN_PATH, Session, StepUp, StoreError};

/// What an app's host asks of the host of `authenticate.url`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Handoff {
    /// The app's origin, to which the ticket goes.
    origin: String,
    /// Which attempt of the browser this is.
    pub(crate) attempt: String,
    /// The hash of the verifier that the browser keeps.
    pub(crate) challenge: [u8; 32],
    /// The provider that the route asks for.
    provider: Option<String>,
    /// What the provider is asked.
    pub(crate) prompt: Option<Prompt>,
    /// How recent and strong the sign-in must be.
    pub(crate) step_up: Option<StepUp>,
    until: Timestamp,
}

/// Lets one browser have a handle for one host, once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    sign_in: Vec<u8>,
    origin: String,
    /// Which attempt of the browser this is.
    pub(crate) attempt: String,
    challenge: [u8; 32],
    until: Timestamp,
}

impl Handoff {
    /// States what is asked, to be sealed.
    pub(crate) fn new(origin: &Origin, attempt: String, challenge: [u8; 32], now: Timestamp) -> Self {
        let until = now + ATTEMPT_LIFETIME;
        Self { origin: origin.to_string(), attempt, challenge, provider: None, prompt: None, step_up: None, until }
    }

    /// Asks for one provider.
    pub(crate) fn with_provider(self, provider: Option<&ProviderId>) -> Self {
        Self { provider: provider.map(ToString::to_string), ..self }
    }

    /// Asks for a fresh sign-in.
    pub(crate) fn with_prompt(self, prompt: Option<Prompt>) -> Self {
        Self { prompt, ..self }
    }

    /// Asks for a recent or a strong sign-in.
    pub(crate) fn with_step_up(self, step_up: Option<StepUp>) -> Self {
        Self { step_up, ..self }
    }

    /// Returns whether a session that is there will not do: a fresh sign-in is asked for, or it falls short.
    pub(crate) fn is_beyond(&self, session: &Session, now: Timestamp) -> bool {
        let proof = session.identity().proof();
        self.prompt.is_some() || self.step_up.as_ref().is_some_and(|step_up| step_up.check(proof, now).is_err())
    }

    /// Seals it for a URL.
    pub(crate) fn seal(&self, keys: &Keys) -> String {
        seal(keys, HANDOFF, b"", self)
    }

    /// Reads what we sealed, unless it is too old.
    pub(crate) fn open(keys: &Keys, sealed: &str, now: Timestamp) -> Option<Self> {
        open::<Self>(keys, HANDOFF, b"", sealed).filter(|handoff| now < handoff.until)
    }

    /// Returns the app's origin.
    pub(crate) fn origin(&self) -> Option<Origin> {
        self.origin.parse().ok()
    }

    /// Returns the provider that the route asks for.
    pub(crate) fn provider(&self) -> Option<ProviderId> {
        ProviderId::new(self.provider.as_deref()?).ok()
    }

    /// Returns where sign-in to the same page starts again: the browser remembers which page that was.
    pub(crate) fn retry_url(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("attempt", &self.attempt);
        if let Some(provider) = &self.provider {
            query.append_pair("provider", provider);
        }
        if let Some(prompt) = self.prompt {
            query.append_pair("prompt", prompt.as_str());
        }
        query.extend_pairs(self.step_up.iter().flat_map(StepUp::parameters));
        format!("{}{SIGN_IN_PATH}?{}", self.origin, query.finish())
    }
}

impl Ticket {
    /// Makes the ticket that answers a handoff, and has the store keep it. Returns what names it.
    pub(crate) async fn issue(
        sessions: &Sessions,
        handoff: &Handoff,
        sign_in: &SignInId,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let name = random_token();
        let ticket = Self {
            sign_in: sign_in.as_bytes().to_vec(),
            origin: handoff.origin.clone(),
            attempt: handoff.attempt.clone(),
            challenge: handoff.challenge,
            until: now + SignedDuration::from_secs(TICKET_LIFETIME.as_secs().try_into().unwrap_or(0)),
        };
        // The store holds the name's hash alone: who reads the store can redeem nothing.
        let key = sha256(name.as_bytes());
        let ticket = serde_json::to_vec(&ticket).map_err(|error| StoreError::Failed(error.to_string()))?;
        sessions.put_once(TICKET, &key, &ticket, TICKET_LIFETIME).await?;
        Ok(name)
    }

    /// Takes the ticket of that name out of the store; `None` when there is none, when it was taken before, when it is
    /// too old, or when it is for another host.
    pub(crate) async fn take(
        sessions: &Sessions,
        name: &str,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        let key = sha256(name.as_bytes());
        let kept = sessions.take_once(TICKET, &key).await?;
        let ticket = kept.and_then(|ticket| serde_json::from_slice::<Self>(&ticket).ok());
        Ok(ticket.filter(|ticket| now < ticket.until && ticket.origin == origin.to_string()))
    }

    /// Returns whether the browser that holds the verifier is the one that started.
    pub(crate) fn is_for(&self, verifier: &str) -> bool {
        verify_slices_are_equal(&sha256(verifier.as_bytes()), &self.challenge).is_ok()
    }

    /// Returns the sign-in that the ticket stands for.
    pub(crate) fn sign_in(&self) -> Option<SignInId> {
        SignInId::from_bytes(&self.sign_in)
    }
}

/// Returns the path and query that starts sign-in on a route's host.
pub(crate) fn sign_in_url(return_to: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", return_to);
    format!("{SIGN_IN_PATH}?{}", query.finish())
}

/// Returns the path to go back to; `/` for anything that a browser might take for another host.
///
/// Browsers drop tabs and newlines from URLs and take `\` for `/`, so `/\evil`, `/<tab>/evil` and `//evil` all name
/// another host. Some servers decode before they redirect, so the same must hold for the decoded text.
pub(crate) fn return_path(text: Option<&str>) -> String {
    text.filter(|text| text.len() <= MAX_RETURN_TO && is_own_path(text)).unwrap_or("/").to_owned()
}

fn is_own_path(text: &str) -> bool {
    let plain = |path: &str| {
        path.starts_with('/') && !path.starts_with("//") && !path.chars().any(|c| c == '\\' || c.is_control())
    };
    // A query may hold anything that is encoded; only the path is looked at decoded.
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let ascii = text.bytes().all(|byte| byte.is_ascii_graphic());
    ascii
        && plain(text)
        && percent_decode_str(path).decode_utf8().is_ok_and(|decoded| plain(&decoded) && !hides_slashes(&decoded))
}

/// Returns whether a path begins with two slashes once its dot segments are gone (RFC 3986 §5.2.4): `/.//evil`. Who resolves
/// it and forgets the host has `//evil`.
fn hides_slashes(path: &str) -> bool {
    let mut depth = 0_usize;
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => depth = depth.saturating_sub(1),
            "" if depth == 0 => return path.len() > 1,
            _ => depth += 1,
        }
    }
    false
}

/// Seals a value as text.
pub(crate) fn seal(keys: &Keys, purpose: &'static str, context: &[u8], value: &impl Serialize) -> String {
    // These are our own plain structures: none of them fails to serialise, and an empty text would not open again.
    keys.seal(purpose, context, &serde_json::to_vec(value).unwrap_or_default())
}

/// Opens what was sealed for the same purpose and context.
pub(crate) fn open<T: DeserializeOwned>(keys: &Keys, purpose: &'static str, context: &[u8], sealed: &str) -> Option<T> {
    serde_json::from_slice(&keys.open(purpose, context, sealed)?).ok()
}

/// Returns the SHA-256 hash.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap_or_default()
}

const HANDOFF: &str = "handoff";
const TICKET: &str = "ticket";
/// How long a user may take from the first redirect to the last.
pub(crate) const ATTEMPT_LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// A ticket travels in a URL: the shorter it lives, the less a leaked URL is worth.
const TICKET_LIFETIME: Duration = Duration::from_secs(60);
/// It is kept in a cookie: four of these, sealed, and the cookies of an app must fit into 16 KiB of headers.
const MAX_RETURN_TO: usize = 1_536;

#[cfg(test)]
mod tests;
