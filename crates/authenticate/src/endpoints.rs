//! Our own paths on every route's host, and those on the host of `authenticate.url`.

use std::sync::Arc;

use identity::{ClientAddress, Origin};

use crate::{Outcome, Session};

/// Where the challenge of a browser leads: `/.portcullis/sign_in?return_to=/path` on the same host, with
/// `&provider=ID` where the route names one.
pub const SIGN_IN_PATH: &str = "/.portcullis/sign_in";

/// What the proxy knows of a request for one of our own paths.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The origin that was asked, as the configuration names it.
    pub origin: Origin,
    /// Who asks.
    pub outcome: Outcome,
    /// From where.
    pub address: ClientAddress,
    /// The request id, for error pages.
    pub request_id: Arc<str>,
    /// The routes that this user may open from here; filled only for the user's own page.
    pub apps: Vec<App>,
}

/// An app on the user's own page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The route's name.
    pub name: String,
    /// Where to open it.
    pub url: String,
}

/// What an answer did, for the audit record: an extension of the response.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Whose session it is about, where there is one.
    pub session: Option<Arc<Session>>,
    /// A stable kebab-case code: `signed-in`, `state-mismatch`, `token-invalid`...
    pub reason: &'static str,
    /// What exactly went wrong, for the log and the audit record; no token, no claim.
    pub error: Option<Arc<str>>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A sign-in ended, well or badly: `Event::error` tells.
    SignIn,
    /// A user signed out.
    SignOut,
    /// A provider ended a session (back-channel logout).
    Revoke,
}
