//! What happened to the proxy itself, or to what it holds: everything that is audited and is no request.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::{User, line};

/// One event. [`crate::Log::note`] writes it.
#[derive(Clone, Debug, Serialize)]
pub struct Event<'a> {
    /// When it happened.
    #[serde(serialize_with = "line::microseconds")]
    pub time: Timestamp,
    /// The id of the request that did it, or that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// What happened.
    pub kind: EventKind,
    /// The configuration in force afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Cow<'a, str>>,
    /// The route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Cow<'a, str>>,
    /// Who did it: a user by id, `admin` with their address or token, a signal, a watched file, or `portcullis`.
    pub actor: Cow<'a, str>,
    /// Whom it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User<'a>>,
    /// The session that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Cow<'a, str>>,
    /// Why, as a stable code.
    pub reason: Cow<'a, str>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
    /// What else there is to say: names and texts, never a secret.
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "as_object")]
    pub details: &'a [(&'a str, &'a str)],
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A configuration was taken into force, or refused.
    Reload,
    /// A key began or ceased to sign or to seal.
    KeyRotation,
    /// An operator did something else on the admin listener or the command line.
    Admin,
    /// An operator ended a session.
    Revoke,
    /// A stream was closed because its session or its permission had ended.
    StreamClosed,
    /// A provider did not renew a session.
    RefreshFailed,
    /// Segments were deleted because they had outlived what `audit.retention` keeps.
    Retention,
}

impl<'a> Event<'a> {
    /// Describes an event of which nothing more is known.
    #[must_use]
    pub fn new(time: Timestamp, kind: EventKind, actor: &'a str, reason: &'a str) -> Self {
        Self {
            time,
            id: None,
            kind,
            revision: None,
            route: None,
            actor: actor.into(),
            user: None,
            session: None,
            reason: reason.into(),
            error: None,
            details: &[],
        }
    }
}

fn as_object<S: Serializer>(details: &&[(&str, &str)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(details.len()))?;
    for (name, text) in *details {
        map.serialize_entry(name, text)?;
    }
    map.end()
}
