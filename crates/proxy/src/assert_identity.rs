//! Tells the upstream who is calling: the signed assertion, and claims as plain headers.
//!
//! What a downstream sent under these names was removed by `sanitize`; what is not set here is absent upstream.

mod value;

use authenticate::{AuthenticateError, Authenticator, Session};
use authorize::Permit;
use http::HeaderMap;
use identity::Origin;
use jiff::Timestamp;

use crate::IdentityHeaders;
use crate::client_address::Told;

/// Why the upstream cannot be told who is calling. The request is not forwarded then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssertError {
    /// The assertion was not signed.
    #[error("cannot sign the assertion: {0}")]
    Unsigned(#[from] AuthenticateError),
    /// There is a session, and nobody who signs for it.
    #[error("a session came without the authenticator that signs for it")]
    NoAuthenticator,
    /// A claim is larger than apps take.
    #[error("the value of identity header `{header}` is larger than {} bytes", value::MAX_BYTES)]
    TooLarge {
        /// The header.
        header: http::HeaderName,
    },
}

impl AssertError {
    /// Returns the stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::NoAuthenticator => "assertion-unsigned",
            Self::TooLarge { .. } => "identity-header-too-large",
        }
    }
}

/// Whom an assertion is about, and for whom.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) session: &'a Session,
    pub(crate) authenticator: Option<&'a Authenticator>,
    /// The route's own origin.
    pub(crate) audience: &'a Origin,
    /// Of the request.
    pub(crate) time: Timestamp,
}

/// Sets the identity headers of a permitted request.
///
/// # Errors
/// The upstream would learn less than the route promises it.
pub(crate) fn assert_identity(
    _permit: &Permit,
    headers: &mut HeaderMap,
    identity: Option<&IdentityHeaders>,
    signed: Option<Signed<'_>>,
    told: &mut Told,
) -> Result<(), AssertError> {
    let (Some(identity), Some(Signed { session, authenticator, audience, time })) = (identity, signed) else {
        return Ok(());
    };
    let authenticator = authenticator.ok_or(AssertError::NoAuthenticator)?;
    let mut assertion = authenticator.assertion(session, audience, time)?;
    // HPACK spells out what is sensitive in each request (RFC 7541 §7.1.3), lest somebody guess at it in requests of their
    // own. Here nobody can: this header is removed from all that come.
    assertion.set_sensitive(false);
    identity.names().for_each(|name| told.leave(name));
    set_claims(headers, identity, session.identity())?;
    headers.insert(identity.assertion_header.clone(), assertion);
    Ok(())
}

fn set_claims(
    headers: &mut HeaderMap,
    identity: &IdentityHeaders,
    caller: &identity::Identity,
) -> Result<(), AssertError> {
    for (header, claim) in &identity.headers {
        // Removed first: a claim that the user lacks leaves no header, whatever was there.
        headers.remove(header);
        if let Some(value) = value::of(caller, claim) {
            let value = value.map_err(|value::TooLarge| AssertError::TooLarge { header: header.clone() })?;
            headers.insert(header.clone(), value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
