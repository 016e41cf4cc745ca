//! What the store keeps of a sign-in and of a handle, sealed.

use identity::{Claims, Identity, Issuer, Kind, Origin, Proof, ProviderId, Secret, Subject, Verified};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Live, NewSession, Session, SignInId, Term, Vouched};
use crate::store::Hash;
use crate::{Keys, oidc};

/// A sign-in as the store keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct SignInRecord {
    issuer: Box<str>,
    subject: Box<str>,
    machine: bool,
    provider: Box<str>,
    email: Box<str>,
    name: Box<str>,
    groups: Box<[Box<str>]>,
    claims: Map<String, Value>,
    auth_time: Option<Timestamp>,
    acr: Box<str>,
    amr: Box<[Box<str>]>,
    created: Timestamp,
    expires: Timestamp,
    #[serde(with = "token")]
    id_token: Option<Secret>,
    #[serde(with = "token")]
    refresh_token: Option<Secret>,
    provider_session: Option<Box<str>>,
    #[serde(default)]
    term: Option<Term>,
    // The sign-in in a browser of which that of a program comes.
    #[serde(default)]
    program_of: Option<SignInId>,
    // Of a program whose record does not say of which sign-in it comes: as a browser's it could do more than it may.
    #[serde(default, skip_serializing)]
    is_program: bool,
}

/// The tokens of a sign-in.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// The last ID token.
    pub(crate) id_token: Option<Secret>,
    /// The refresh token that is good now.
    pub(crate) refresh_token: Option<Secret>,
}

impl SignInRecord {
    /// Describes a sign-in.
    pub(super) fn new(new: &NewSession, created: Timestamp, expires: Timestamp, term: Option<Term>) -> Self {
        let identity = &new.identity;
        let proof = identity.proof();
        Self {
            issuer: identity.issuer().as_str().into(),
            subject: identity.subject().as_str().into(),
            machine: identity.kind() == Kind::Machine,
            provider: identity.provider().as_str().into(),
            email: identity.email().into(),
            name: identity.name().into(),
            groups: identity.groups().into(),
            claims: identity.claims().as_map().clone(),
            auth_time: proof.auth_time,
            acr: proof.acr.clone(),
            amr: proof.amr.clone(),
            created,
            expires,
            id_token: new.id_token.clone(),
            refresh_token: new.refresh_token.clone(),
            provider_session: new.provider_session.as_deref().map(Into::into),
            term,
            program_of: None,
            is_program: false,
        }
    }

    /// Describes the sign-in of a browser for a program. The provider's tokens stay with the browser's: used in two places, a
    /// refresh token counts as stolen (RFC 9700 §4.14.2).
    pub(super) fn for_program(self, browser: SignInId) -> Self {
        Self { id_token: None, refresh_token: None, program_of: Some(browser), ..self }
    }

    /// Returns the sign-in in a browser of which that of a program comes.
    pub(super) const fn program_of(&self) -> Option<SignInId> {
        self.program_of
    }

    /// Seals the record for its place in the store, so that no record can be put in another's place.
    pub(super) fn seal(&self, keys: &Keys, id: &SignInId) -> Option<Vec<u8>> {
        let plain = Zeroizing::new(serde_json::to_vec(self).ok()?);
        Some(keys.seal_bytes(SIGN_IN, id.as_bytes(), &plain))
    }

    /// Opens the record of that sign-in.
    pub(super) fn open(keys: &Keys, id: &SignInId, sealed: &[u8]) -> Option<Self> {
        let plain = Zeroizing::new(keys.open_bytes(SIGN_IN, id.as_bytes(), sealed)?);
        serde_json::from_slice(&plain).ok().filter(|record: &Self| !record.is_program)
    }

    /// Returns the tokens.
    pub(super) fn into_tokens(self) -> Tokens {
        Tokens { id_token: self.id_token, refresh_token: self.refresh_token }
    }

    /// Describes the same sign-in of a program with what the provider says of its user to that browser; when and how they
    /// signed in stays.
    pub(super) fn renewed_by(self, browser: SignInId, identity: &Identity, term: Option<Term>) -> Self {
        let mut claims = identity.claims().as_map().clone();
        oidc::keep_proof(&mut claims, &self.claims);
        Self {
            email: identity.email().into(),
            name: identity.name().into(),
            groups: identity.groups().into(),
            claims,
            term,
            program_of: Some(browser),
            ..self
        }
    }

    /// Returns what the provider vouches for.
    pub(super) fn into_vouched(self, sign_in: &SignInId) -> Option<Vouched> {
        let identity = Identity::verified(Verified {
            issuer: Issuer::new(self.issuer).ok()?,
            subject: Subject::new(self.subject).ok()?,
            kind: if self.machine { Kind::Machine } else { Kind::Person },
            provider: ProviderId::new(self.provider).ok()?,
            email: self.email,
            name: self.name,
            groups: self.groups,
            claims: Claims::verified(self.claims),
            proof: Proof { auth_time: self.auth_time, acr: self.acr, amr: self.amr },
        });
        Some(Vouched::new(identity, self.term, sign_in, self.expires))
    }

    /// Makes the session that was last seen at `seen`, or not since it was made.
    pub(super) fn into_session(mut self, sign_in: SignInId, seen: Option<Timestamp>, live: &Live) -> Option<Session> {
        let Self { program_of, created, expires, .. } = self;
        let provider_session = self.provider_session.take();
        let life = live.life(&sign_in, seen.unwrap_or(created), self.into_vouched(&sign_in)?);
        Some(Session {
            id: sign_in.session_id(),
            sign_in,
            provider_session,
            is_program: program_of.is_some(),
            created,
            expires,
            vouched: life.vouched.load_full(),
            life,
        })
    }
}

/// A handle as the store keeps it, under its hash.
pub(super) struct HandleRecord {
    /// The sign-in that it stands for.
    pub(super) sign_in: SignInId,
    /// The one origin where it is good.
    pub(super) origin: Origin,
}

impl HandleRecord {
    /// Seals the record for its place in the store.
    pub(super) fn seal(&self, keys: &Keys, hash: &Hash) -> Vec<u8> {
        let mut plain = self.sign_in.as_bytes().to_vec();
        plain.extend_from_slice(self.origin.to_string().as_bytes());
        keys.seal_bytes(HANDLE, hash, &plain)
    }

    /// Opens the record of that handle.
    pub(super) fn open(keys: &Keys, hash: &Hash, sealed: &[u8]) -> Option<Self> {
        let plain = keys.open_bytes(HANDLE, hash, sealed)?;
        let (sign_in, origin) = plain.split_at_checked(SignInId::LEN)?;
        let origin = std::str::from_utf8(origin).ok()?.parse().ok()?;
        Some(Self { sign_in: SignInId::from_bytes(sign_in)?, origin })
    }
}

/// How a token is written: only ever into a record, which is sealed at once.
mod token {
    use identity::Secret;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(token: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        token.as_ref().map(Secret::expose).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

const SIGN_IN: &str = "sign-in";
const HANDLE: &str = "handle";
