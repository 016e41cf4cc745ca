//! A verified caller.

use jiff::Timestamp;

use crate::{Claims, Issuer, ProviderId, Subject};

/// A caller whose sign-in or token was verified.
///
/// Two identities are the same user when `issuer` and `subject` are equal; never by e-mail address.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    issuer: Issuer,
    subject: Subject,
    kind: Kind,
    provider: ProviderId,
    id: Box<str>,
    email: Box<str>,
    name: Box<str>,
    groups: Box<[Box<str>]>,
    claims: Claims,
    proof: Proof,
}

/// Whether a person or a program is calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person, signed in.
    Person,
    /// A program with a token of its own.
    Machine,
}

/// How and when an identity was proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// When the provider last saw the user prove who they are (`auth_time`).
    pub auth_time: Option<Timestamp>,
    /// Authentication context class (`acr`), or empty.
    pub acr: Box<str>,
    /// Authentication methods (`amr`).
    pub amr: Box<[Box<str>]>,
}

/// What an [`Identity`] is made of.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The `iss` claim.
    pub issuer: Issuer,
    /// The `sub` claim.
    pub subject: Subject,
    /// Person or machine.
    pub kind: Kind,
    /// The provider of the configuration that vouched.
    pub provider: ProviderId,
    /// The e-mail address that the provider vouches for, or empty.
    pub email: Box<str>,
    /// The display name, or empty.
    pub name: Box<str>,
    /// The groups.
    pub groups: Box<[Box<str>]>,
    /// All claims.
    pub claims: Claims,
    /// How and when it was proved.
    pub proof: Proof,
}

impl Identity {
    /// States that the caller verified every part: signature, issuer, audience, bounds.
    #[must_use]
    pub fn verified(parts: Verified) -> Self {
        let Verified { issuer, subject, kind, provider, email, name, groups, claims, proof } = parts;
        let id = format!("{issuer}|{subject}").into();
        Self { issuer, subject, kind, provider, id, email, name, groups, claims, proof }
    }

    /// Returns the issuer.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns the subject.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns whether a person or a machine is calling.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the provider that vouched.
    #[must_use]
    pub const fn provider(&self) -> &ProviderId {
        &self.provider
    }

    /// Returns `issuer|subject`: what policies and the audit record call the user's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the e-mail address that the provider vouches for, or an empty text.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }

    /// Returns the display name, or an empty text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the groups.
    #[must_use]
    pub fn groups(&self) -> &[Box<str>] {
        &self.groups
    }

    /// Returns all claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns how and when the identity was proved.
    #[must_use]
    pub const fn proof(&self) -> &Proof {
        &self.proof
    }
}
