//! How recent and how strong a sign-in must be for some routes: what is asked of the provider, and whether what came
//! back, or a session that is there, is enough (OpenID Connect Core 1.0 §3.1.2.1, RFC 9470).

use std::time::Duration;

use identity::Proof;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a sign-in must be beyond being one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUp {
    // Invariant: there is an age or a value, and each value is one word.
    max_auth_age: Option<u64>,
    acr_values: Vec<String>,
}

impl StepUp {
    /// Asks that the user proved who they are within `max_auth_age` (whole seconds count), and in one of the ways that
    /// `acr_values` name. `None` where nothing is asked, or where no request could ask it.
    #[must_use]
    pub fn new(max_auth_age: Option<Duration>, acr_values: Vec<String>) -> Option<Self> {
        let max_auth_age = max_auth_age.map(|age| age.as_secs());
        let asks = max_auth_age.is_some() || !acr_values.is_empty();
        let fits = acr_values.len() <= MAX_ACR_VALUES && acr_values.iter().all(|value| is_acr(value));
        (asks && fits).then_some(Self { max_auth_age, acr_values })
    }

    /// Reads what a request for sign-in asks; nothing where it asks nothing, or what nobody can ask.
    pub(crate) fn asked(max_age: Option<&str>, acr_values: Option<&str>) -> Option<Self> {
        let max_age = max_age.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let acr_values = acr_values.into_iter().flat_map(str::split_ascii_whitespace).map(str::to_owned).collect();
        Self::new(max_age, acr_values)
    }

    /// Returns the parameters that ask for it, of a sign-in request and of an authorization request alike.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let max_age = self.max_auth_age.map(|age| ("max_age", age.to_string()));
        let acr_values = (!self.acr_values.is_empty()).then(|| ("acr_values", self.acr_values.join(" ")));
        max_age.into_iter().chain(acr_values)
    }

    /// Returns what of a session it looks at, as policies call it.
    pub fn looks_at(&self) -> impl Iterator<Item = &'static str> {
        let age = self.max_auth_age.map(|_| "session.auth_time");
        age.into_iter().chain((!self.acr_values.is_empty()).then_some("session.acr"))
    }

    /// Tells whether a sign-in is enough.
    ///
    /// # Errors
    /// It is not: which claim is wanting, and how.
    pub fn check(&self, proof: &Proof, now: Timestamp) -> Result<(), StepUpUnmet> {
        if let Some(max) = self.max_auth_age {
            let age = now.as_second() - proof.auth_time.ok_or(StepUpUnmet::NoTime)?.as_second();
            // A time that lies ahead would stay recent for ever.
            if age < -LEEWAY {
                return Err(StepUpUnmet::Ahead);
            }
            if age > i64::try_from(max).unwrap_or(i64::MAX).saturating_add(LEEWAY) {
                return Err(StepUpUnmet::TooOld);
            }
        }
        if !self.acr_values.is_empty() && !self.acr_values.iter().any(|value| **value == *proof.acr) {
            return Err(StepUpUnmet::OtherClass);
        }
        Ok(())
    }
}

/// Why a sign-in is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepUpUnmet {
    /// Nobody says when it was.
    #[error("`auth_time` is missing")]
    NoTime,
    /// It has yet to come.
    #[error("`auth_time` lies in the future")]
    Ahead,
    /// It was too long ago.
    #[error("`auth_time` is longer ago than `max_auth_age`")]
    TooOld,
    /// It was done in another way.
    #[error("`acr` is none of `acr_values`")]
    OtherClass,
}

/// Returns whether a text can be a value of `acr_values`: they are written with blanks between them, and between quotes in
/// a challenge (RFC 9470 §3).
#[must_use]
pub fn is_acr(text: &str) -> bool {
    (1..=MAX_ACR).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// Seconds by which the provider's clock may differ from ours, as for its tokens. The same holds when a token comes back and
/// when a request is made: else one could be taken and the other refused, and sign-in would go round and round.
const LEEWAY: i64 = 60;

/// How many values a step-up names at most: they go into URLs, and into a cookie.
pub const MAX_ACR_VALUES: usize = 8;
const MAX_ACR: usize = 128;

#[cfg(test)]
mod tests;
