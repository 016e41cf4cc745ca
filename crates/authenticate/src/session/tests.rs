//! Sessions over real stores and a clock that stands still.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use identity::{
    Claims, Clock as _, FixedClock, Identity, Issuer, Kind, Origin, Proof, ProviderId, Secret, Subject, Verified,
};
use jiff::Timestamp;

use super::{NewSession, Session, Sessions, Standing, standing};
use crate::cookie::{self, Handle};
use crate::{KeyTexts, Keys, SessionConfig, Store, StoreLocation};

pub(crate) const START: &str = "2026-01-01T00:00:00Z";

/// Sessions with a clock to set.
pub(crate) struct World {
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) sessions: Sessions,
}

impl World {
    pub(crate) fn new(bounds: SessionConfig) -> Self {
        Self::with_store(Store::open(&StoreLocation::Memory).unwrap(), bounds)
    }

    fn in_file(path: &Path, bounds: SessionConfig) -> Self {
        Self::with_store(Store::open(&StoreLocation::File(path.to_owned())).unwrap(), bounds)
    }

    pub(crate) fn with_store(store: Store, bounds: SessionConfig) -> Self {
        let clock = Arc::new(FixedClock::new(START.parse().unwrap()));
        let store = Arc::new(store);
        let keys = Arc::new(Keys::load(&KeyTexts::default(), &store).unwrap());
        let sessions = Sessions::new(Arc::clone(&store), Arc::clone(&keys), Arc::clone(&clock) as _, bounds);
        Self { clock, store, keys, sessions }
    }

    /// The same store and keys as another instance, or a restarted one, sees them: with nothing in memory.
    fn pass(&self, duration: Duration) {
        self.clock.set(self.clock.now().checked_add(duration).unwrap());
    }

    /// Signs in on a host and returns what the browser then sends.
    pub(crate) async fn sign_in(&self, new: NewSession, at: &Origin) -> (Handle, Arc<Session>) {
        let id = self.sessions.create(new).await.unwrap();
        let (set_cookie, session) = self.sessions.issue_handle(&id, at).await.unwrap();
        (handle_of(&set_cookie, at), session)
    }

    async fn finds(&self, handle: &Handle, at: &Origin) -> bool {
        self.sessions.find(handle, at).await.unwrap().is_some()
    }
}

fn handle_of(set_cookie: &http::HeaderValue, at: &Origin) -> Handle {
    let headers = [(http::header::COOKIE, set_cookie.clone())].into_iter().collect();
    cookie::handles(&headers, at.scheme()).next().unwrap()
}

pub(crate) fn origin(text: &str) -> Origin {
    text.parse().unwrap()
}

pub(crate) fn identity(subject: &str) -> Identity {
    let claims = serde_json::json!({ "sub": subject, "groups": ["sre"], "nested": { "a": [1, null] } });
    Identity::verified(Verified {
        issuer: Issuer::new("https://idp.example.com").unwrap(),
        subject: Subject::new(subject).unwrap(),
        kind: Kind::Person,
        provider: ProviderId::new("corp").unwrap(),
        email: "ada@example.com".into(),
        name: "Ada".into(),
        groups: ["sre".into(), "on-call".into()].into(),
        claims: Claims::verified(claims.as_object().unwrap().clone()),
        proof: Proof {
            auth_time: Some(START.parse().unwrap()),
            acr: "urn:mfa".into(),
            amr: ["pwd".into(), "otp".into()].into(),
        },
    })
}

pub(crate) fn sign_in_of(subject: &str) -> NewSession {
    NewSession {
        identity: identity(subject),
        id_token: Some(Secret::new("the-id-token".into())),
        refresh_token: Some(Secret::new("the-refresh-token".into())),
        provider_session: Some(format!("sid-of-{subject}")),
    }
}

fn app() -> Origin {
    origin("https://app.example.com")
}

fn idle(timeout: Duration) -> SessionConfig {
    SessionConfig { idle_timeout: Some(timeout), ..SessionConfig::default() }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_handle_finds_its_session_with_all_that_the_provider_said() {
    let world = World::new(SessionConfig::default());
    let (handle, _) = world.sign_in(sign_in_of("ada"), &app()).await;
    let session = world.sessions.find(&handle, &app()).await.unwrap().unwrap();
    assert_eq!(*session.identity(), identity("ada"));
    assert_eq!(session.created(), START.parse::<Timestamp>().unwrap());
    assert_eq!(session.expires(), "2026-01-01T14:00:00Z".parse::<Timestamp>().unwrap());
}

#[tokio::test]
async fn a_session_survives_a_restart_with_the_file_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("portcullis.db");
    let before = World::in_file(&path, SessionConfig::default());
    let (handle, session) = before.sign_in(sign_in_of("ada"), &app()).await;
    let id = session.id().clone();
    drop(before);
    let after = World::in_file(&path, SessionConfig::default());
    let session = after.sessions.find(&handle, &app()).await.unwrap().unwrap();
    assert_eq!(*session.identity(), identity("ada"));
    assert_eq!(*session.id(), id);
    assert_eq!(after.sessions.id_token(&session).await.unwrap().expose(), "the-id-token");
}
