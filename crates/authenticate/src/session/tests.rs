//! Sessions over real stores and a clock that stands still.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use identity::{
    Claims, Clock as _, FixedClock, Identity, Issuer, Kind, Origin, Proof, ProviderId, Secret, Subject, Verified,
};
use jiff::Timestamp;
use tokio::time::timeout;

use super::record::SignInRecord;
use super::{NewSession, Session, Sessions, Standing, standing};
use crate::cookie::{self, Handle};
use crate::store::{Change, Key};
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
        let (set_cookie, session) = self.sessions.issue_handle(&id, at).await.unwrap().unwrap();
        (handle_of(&set_cookie, at), session)
    }

    async fn finds(&self, handle: &Handle, at: &Origin) -> bool {
        self.sessions.find(handle, at, self.clock.now()).await.unwrap().is_some()
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
    let session = world.sessions.find(&handle, &app(), world.clock.now()).await.unwrap().unwrap();
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
    let session = after.sessions.find(&handle, &app(), after.clock.now()).await.unwrap().unwrap();
    assert_eq!(*session.identity(), identity("ada"));
    assert_eq!(*session.id(), id);
    let tokens = after.sessions.tokens(&session).await.unwrap().unwrap();
    assert_eq!(tokens.id_token.unwrap().expose(), "the-id-token");
    assert_eq!(tokens.refresh_token.unwrap().expose(), "the-refresh-token");
}

#[tokio::test]
async fn a_handle_is_refused_on_another_host_and_another_scheme() {
    let world = World::new(SessionConfig::default());
    let (handle, _) = world.sign_in(sign_in_of("ada"), &app()).await;
    for warm in [false, true] {
        for other in ["https://other.example.com", "http://app.example.com", "https://app.example.com:8443"] {
            assert!(!world.finds(&handle, &origin(other)).await, "{other}, in memory: {warm}");
        }
        assert!(world.finds(&handle, &app()).await);
    }
}

#[tokio::test]
async fn each_sign_in_and_each_host_has_a_handle_of_its_own() {
    let world = World::new(SessionConfig::default());
    let (first, one) = world.sign_in(sign_in_of("ada"), &app()).await;
    let (second, two) = world.sign_in(sign_in_of("ada"), &app()).await;
    assert_ne!(first.hash(), second.hash());
    assert_ne!(one.id(), two.id());
    let sign_in = world.sessions.sign_in_of(&one).await.unwrap();
    let other = origin("https://other.example.com");
    let (set_cookie, same) = world.sessions.issue_handle(&sign_in, &other).await.unwrap().unwrap();
    assert_ne!(handle_of(&set_cookie, &other).hash(), first.hash());
    assert_eq!(same.id(), one.id());
}

#[tokio::test]
async fn ending_a_session_ends_it_on_every_host_at_once_and_no_other() {
    let world = World::new(SessionConfig::default());
    let (handle, session) = world.sign_in(sign_in_of("ada"), &app()).await;
    let (bystander, _) = world.sign_in(sign_in_of("ada"), &app()).await;
    let sign_in = world.sessions.sign_in_of(&session).await.unwrap();
    let other = origin("https://other.example.com");
    let (set_cookie, _) = world.sessions.issue_handle(&sign_in, &other).await.unwrap().unwrap();
    let elsewhere = handle_of(&set_cookie, &other);
    assert!(world.finds(&handle, &app()).await && world.finds(&elsewhere, &other).await);

    world.sessions.end(&session).await.unwrap();

    assert!(!world.finds(&handle, &app()).await);
    assert!(!world.finds(&elsewhere, &other).await);
    assert!(world.finds(&bystander, &app()).await);
    assert!(world.sessions.sign_in_of(&session).await.is_none());
    assert!(world.sessions.tokens(&session).await.unwrap().is_none());
    assert!(world.sessions.issue_handle(&sign_in, &app()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_read_before_a_revocation_is_not_kept_after_it() {
    let world = World::new(SessionConfig::default());
    let (handle, session) = world.sign_in(sign_in_of("ada"), &app()).await;
    let epoch = world.store.live().epoch();
    world.sessions.end(&session).await.unwrap();
    let bound = Arc::new(super::live::Bound { origin: app(), session });
    assert!(!world.store.live().keep(epoch, handle.hash(), &bound));
    assert!(!world.finds(&handle, &app()).await);
}

#[tokio::test]
async fn a_session_ends_with_its_lifetime_however_busy_it_is() {
    let world = World::new(idle(30 * MINUTE));
    let (handle, _) = world.sign_in(sign_in_of("ada"), &app()).await;
    for _ in 0..14 * 3 - 1 {
        world.pass(20 * MINUTE);
        assert!(world.finds(&handle, &app()).await);
    }
    world.pass(20 * MINUTE);
    assert!(!world.finds(&handle, &app()).await);
}

#[tokio::test]
async fn an_idle_session_ends_and_stays_ended() {
    let world = World::new(idle(10 * MINUTE));
    let (handle, _) = world.sign_in(sign_in_of("ada"), &app()).await;
    assert!(world.finds(&handle, &app()).await);
    world.pass(10 * MINUTE);
    assert!(!world.finds(&handle, &app()).await);
    assert!(!world.finds(&handle, &app()).await);
}

#[tokio::test]
async fn what_was_idle_when_it_was_ended_does_not_come_back_under_a_longer_limit() {
    for ends_at_the_provider in [false, true] {
        let mut world = World::new(idle(10 * MINUTE));
        let (browser, session) = world.sign_in(sign_in_of("ada"), &app()).await;
        let program = world.sessions.create_for_program(session.sign_in()).await.unwrap().unwrap();
        let (set_cookie, _) = world.sessions.issue_handle(&program, &app()).await.unwrap().unwrap();
        let program = handle_of(&set_cookie, &app());
        world.pass(6 * MINUTE);
        assert!(world.finds(&browser, &app()).await);
        world.pass(6 * MINUTE);
        assert!(!world.finds(&program, &app()).await);
        if ends_at_the_provider {
            let (issuer, mut ended) = (Issuer::new("https://idp.example.com").unwrap(), Vec::new());
            world.pass(6 * MINUTE);
            world.sessions.end_provider_session(&issuer, Some("sid-of-ada"), None, &mut ended).await.unwrap();
            assert_eq!(ended.len(), 2);
        } else {
            assert_eq!(world.sessions.end(&session).await.unwrap().len(), 1);
        }
        world.sessions.bounds.idle_timeout = None;
        assert!(!world.finds(&program, &app()).await && !world.finds(&browser, &app()).await);
    }
}

#[tokio::test]
async fn programs_are_made_and_taken_over_while_no_refresh_of_their_session_is_under_way() {
    let world = World::new(SessionConfig::default());
    let (_, old) = world.sign_in(sign_in_of("ada"), &app()).await;
    let (_, new) = world.sign_in(sign_in_of("ada"), &app()).await;
    let program = world.sessions.create_for_program(old.sign_in()).await.unwrap().unwrap();
    let comes_of = async || world.sessions.record(&program).await.unwrap().unwrap().program_of().unwrap();
    let refresh = old.turn().take().unwrap();
    // Whoever does not wait is done when first asked.
    assert!(timeout(Duration::ZERO, world.sessions.create_for_program(old.sign_in())).await.is_err());
    assert!(timeout(Duration::ZERO, world.sessions.replace(&old, &new)).await.is_err());
    assert_eq!(comes_of().await, *old.sign_in());
    drop(refresh);
    assert!(world.sessions.replace(&old, &new).await.unwrap().is_empty());
    assert_eq!(comes_of().await, *new.sign_in());
}

#[tokio::test]
async fn a_program_of_whose_browser_nothing_is_known_has_no_session() {
    let world = World::new(SessionConfig::default());
    let (handle, session) = world.sign_in(sign_in_of("ada"), &app()).await;
    let (id, expires) = (session.sign_in(), session.expires());
    let record = SignInRecord::new(&sign_in_of("ada"), session.created(), expires, None);
    let mut plain = serde_json::to_value(record).unwrap();
    for (is_program, found) in [(false, true), (true, false)] {
        plain["is_program"] = is_program.into();
        let sealed = world.keys.seal_bytes("sign-in", id.as_bytes(), plain.to_string().as_bytes());
        let put = Change::put(Key::sign_in(id.as_bytes()), sealed, expires);
        world.store.backend().commit(&[put], world.clock.now()).unwrap();
        world.store.live().clear();
        assert_eq!(world.finds(&handle, &app()).await, found);
    }
}

#[tokio::test]
async fn use_on_one_host_keeps_a_session_alive_on_the_others() {
    let world = World::new(idle(10 * MINUTE));
    let (handle, session) = world.sign_in(sign_in_of("ada"), &app()).await;
    let sign_in = world.sessions.sign_in_of(&session).await.unwrap();
    let other = origin("https://other.example.com");
    let elsewhere = handle_of(&world.sessions.issue_handle(&sign_in, &other).await.unwrap().unwrap().0, &other);
    assert!(world.finds(&elsewhere, &other).await);
    for _ in 0..4 {
        world.pass(6 * MINUTE);
        assert!(world.finds(&handle, &app()).await);
    }
    assert!(world.finds(&elsewhere, &other).await);
}

#[tokio::test]
async fn when_a_session_was_seen_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("portcullis.db");
    let before = World::in_file(&path, idle(10 * MINUTE));
    let (handle, _) = before.sign_in(sign_in_of("ada"), &app()).await;
    before.pass(8 * MINUTE);
    assert!(before.finds(&handle, &app()).await);
    drop(before);
    let after = World::in_file(&path, idle(10 * MINUTE));
    after.pass(16 * MINUTE);
    assert!(after.finds(&handle, &app()).await);
}

#[tokio::test]
async fn a_busy_session_is_written_once_an_interval() {
    let world = World::new(idle(80 * MINUTE));
    let (handle, session) = world.sign_in(sign_in_of("ada"), &app()).await;
    let written = || world.store.backend().get(&crate::store::Key::seen(session.sign_in.as_bytes()), world.clock.now());
    let mut writes = std::collections::BTreeSet::new();
    for _ in 0..120 {
        world.pass(Duration::from_secs(1));
        assert!(world.finds(&handle, &app()).await);
        writes.extend(written().unwrap());
    }
    assert_eq!(writes.len(), 2);
}

#[tokio::test]
async fn a_provider_ends_its_session_or_all_of_a_subject() {
    let world = World::new(SessionConfig::default());
    let issuer = Issuer::new("https://idp.example.com").unwrap();
    let (ada, _) = world.sign_in(sign_in_of("ada"), &app()).await;
    let (bob, _) = world.sign_in(sign_in_of("bob"), &app()).await;
    let bob_again = NewSession { provider_session: Some("another".into()), ..sign_in_of("bob") };
    let (bob_again, _) = world.sign_in(bob_again, &app()).await;
    let subject = |name: &str| Subject::new(name).unwrap();
    let end = async |issuer: &Issuer, sid: Option<&str>, subject: Option<&Subject>| {
        let mut ended = Vec::new();
        world.sessions.end_provider_session(issuer, sid, subject, &mut ended).await.unwrap();
        ended.len()
    };

    assert_eq!(end(&Issuer::new("https://evil.example").unwrap(), Some("sid-of-ada"), None).await, 0);
    assert_eq!(end(&issuer, Some("sid-of-ada"), Some(&subject("bob"))).await, 0);
    assert_eq!(end(&issuer, None, None).await, 0);
    assert!(world.finds(&ada, &app()).await);

    assert_eq!(end(&issuer, Some("sid-of-ada"), Some(&subject("ada"))).await, 1);
    assert!(!world.finds(&ada, &app()).await);
    assert_eq!(end(&issuer, None, Some(&subject("bob"))).await, 2);
    assert!(!world.finds(&bob, &app()).await && !world.finds(&bob_again, &app()).await);
}

#[tokio::test]
async fn a_user_sees_their_own_live_sessions_newest_first() {
    let world = World::new(SessionConfig::default());
    let (_, old) = world.sign_in(sign_in_of("ada"), &app()).await;
    world.pass(MINUTE);
    let (_, new) = world.sign_in(sign_in_of("ada"), &app()).await;
    world.sign_in(sign_in_of("bob"), &app()).await;
    let ids = async || -> Vec<_> {
        let summaries = world.sessions.of_user(&identity("ada")).await.unwrap();
        summaries.into_iter().map(|summary| summary.id).collect()
    };
    assert_eq!(ids().await, [new.id().clone(), old.id().clone()]);
    world.sessions.end(&new).await.unwrap();
    assert_eq!(ids().await, [old.id().clone()]);
}

#[tokio::test]
async fn a_value_is_taken_once_and_before_its_end() {
    let world = World::new(SessionConfig::default());
    let sessions = &world.sessions;
    assert!(sessions.put_once("ticket", b"a", b"one", MINUTE).await.unwrap());
    assert!(!sessions.put_once("ticket", b"a", b"two", MINUTE).await.unwrap());
    assert_eq!(sessions.take_once("other", b"a").await.unwrap(), None);
    assert_eq!(sessions.take_once("ticket", b"a").await.unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(sessions.take_once("ticket", b"a").await.unwrap(), None);
    assert!(sessions.put_once("ticket", b"a", b"three", MINUTE).await.unwrap());
    world.pass(MINUTE);
    assert_eq!(sessions.take_once("ticket", b"a").await.unwrap(), None);
}

#[tokio::test]
async fn the_file_holds_neither_handles_nor_tokens_nor_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("portcullis.db");
    let world = World::in_file(&path, SessionConfig::default());
    let id = world.sessions.create(sign_in_of("ada")).await.unwrap();
    let (set_cookie, _) = world.sessions.issue_handle(&id, &app()).await.unwrap().unwrap();
    let handle = set_cookie.to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    let raw = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &handle).unwrap();
    drop(world);
    let bytes = std::fs::read(&path).unwrap();
    for secret in [handle.as_bytes(), &raw, b"the-id-token", b"the-refresh-token", b"ada@example.com"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", String::from_utf8_lossy(secret));
    }
}

#[test]
fn standing_follows_the_tighter_bound() {
    let check = |lifetime: u64, idle: Option<u64>, seen: u64, now: u64, expected| {
        let time = |seconds| START.parse::<Timestamp>().unwrap() + Duration::from_secs(seconds);
        let bounds =
            SessionConfig { lifetime: Duration::from_secs(lifetime), idle_timeout: idle.map(Duration::from_secs) };
        assert_eq!(standing(&bounds, time(0), time(100), time(seen), time(now)), expected, "{lifetime} {idle:?} {now}");
    };
    check(100, None, 0, 99, Standing::Live);
    check(100, None, 99, 100, Standing::Over);
    // The configuration was tightened after the sign-in, and loosened.
    check(50, None, 49, 50, Standing::Over);
    check(200, None, 99, 100, Standing::Over);
    check(100, Some(10), 5, 14, Standing::Live);
    check(100, Some(10), 5, 15, Standing::Idle);
    check(100, Some(200), 0, 100, Standing::Over);
}
