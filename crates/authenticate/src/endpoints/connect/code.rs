//! The code that a browser brings a program: good once, for a minute, on one host, for one port, with one verifier.

use identity::Origin;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::Shared;
use super::super::answer::Query;
use super::asked::{Asked, Callback, Challenge};
use super::error::ConnectError;
use crate::handoff::sha256;
use crate::keys::random_token;
use crate::session::SignInId;
use crate::{Session, StoreError};

/// What the store keeps of a code, under the hash of its name: who reads the store can redeem nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Code {
    sign_in: Vec<u8>,
    origin: String,
    callback: Callback,
    challenge: Challenge,
    until: Timestamp,
}

/// What a program presents for its session.
pub(super) struct Redemption<'a> {
    code: &'a str,
    verifier: &'a str,
    callback: Callback,
}

impl Code {
    /// Has the store keep a code that stands for the user of a session, and returns its name.
    pub(super) async fn issue(
        shared: &Shared,
        origin: &Origin,
        asked: &Asked,
        session: &Session,
    ) -> Result<String, StoreError> {
        let name = random_token();
        let code = Self {
            sign_in: session.sign_in().as_bytes().to_vec(),
            origin: origin.to_string(),
            callback: asked.callback,
            challenge: asked.challenge,
            until: shared.clock.now() + LIFETIME,
        };
        let kept = serde_json::to_vec(&code).map_err(|error| StoreError::Failed(error.to_string()))?;
        shared.sessions.put_once(CODE, &sha256(name.as_bytes()), &kept, LIFETIME.unsigned_abs()).await?;
        Ok(name)
    }
}

impl<'a> Redemption<'a> {
    /// Reads the form of a program.
    pub(super) fn of(form: &'a Query) -> Option<Self> {
        let (code, verifier) = (form.get("code")?, form.get("code_verifier")?);
        // RFC 7636 §4.1: a shorter one could be guessed.
        let fits = (MIN_VERIFIER..=MAX_VERIFIER).contains(&verifier.len());
        let callback = Callback::parse(form.get("redirect_uri")?)?;
        fits.then_some(Self { code, verifier, callback })
    }

    /// Takes the code, and makes the session that it stands for. A redemption that fails uses the code up, too; one that
    /// comes again ends the session that was made: one of the two was a thief (RFC 6749 §4.1.2).
    pub(super) async fn redeem(&self, shared: &Shared, origin: &Origin) -> Result<SignInId, ConnectError> {
        let (sessions, now) = (&shared.sessions, shared.clock.now());
        let key = sha256(self.code.as_bytes());
        let Some(kept) = sessions.take_once(CODE, &key).await? else {
            let Some(program) = sessions.take_once(REDEEMED, &key).await? else {
                return Err(ConnectError::CodeInvalid);
            };
            let ended = match SignInId::from_bytes(&program) {
                Some(program) => sessions.end_sign_in(&program).await?,
                None => None,
            };
            return Err(ConnectError::CodeReplayed(ended));
        };
        let code: Code = serde_json::from_slice(&kept).map_err(|_| ConnectError::CodeInvalid)?;
        if now >= code.until || code.origin != origin.to_string() || code.callback != self.callback {
            return Err(ConnectError::CodeInvalid);
        }
        if !code.challenge.is_of(self.verifier) {
            return Err(ConnectError::VerifierMismatch);
        }
        let browser = SignInId::from_bytes(&code.sign_in).ok_or(ConnectError::CodeInvalid)?;
        if sessions.has_most_programs(&browser).await? {
            return Err(ConnectError::TooManyPrograms);
        }
        let program = sessions.create_for_program(&browser).await?.ok_or(ConnectError::SessionEnded)?;
        sessions.put_once(REDEEMED, &key, program.as_bytes(), shared.config.session.lifetime).await?;
        Ok(program)
    }
}

const CODE: &str = "program code";
const REDEEMED: &str = "redeemed program code";
/// It travels in a URL of the browser: the shorter it lives, the less a leaked one is worth.
const LIFETIME: SignedDuration = SignedDuration::from_secs(60);
const MIN_VERIFIER: usize = 43;
const MAX_VERIFIER: usize = 128;
