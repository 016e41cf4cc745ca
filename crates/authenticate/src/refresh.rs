//! Keeps what is known of users up to date: sessions are refreshed shortly before their ID tokens end, beside the requests,
//! and once however many of them race.
//!
//! `oidc` asks and verifies, `session` keeps and ends. Here it is decided when, by whom, and what becomes of it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use identity::{Clock, Secret};
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::oidc::{Provider, Providers, Refresh, RefreshError, SignInError};
use crate::session::{BrowserOf, NewSession, Sessions};
use crate::{Session, StoreError};

/// What became of an attempt to refresh a session.
#[derive(Clone, Copy, Debug)]
pub struct RefreshEvent<'a> {
    /// When it ended.
    pub time: Timestamp,
    /// The session, as it was before.
    pub session: &'a Session,
    /// What became of it.
    pub result: RefreshResult<'a>,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub enum RefreshResult<'a> {
    /// The provider said who the user is now.
    Refreshed,
    /// It did not; the session goes on, and it is asked again.
    Failed {
        /// A stable kebab-case code.
        reason: &'static str,
        /// What exactly failed; no token, no claim.
        error: &'a str,
        /// Whether the attempt before succeeded.
        is_first: bool,
    },
    /// The session was ended by what it said.
    Ended {
        /// A stable kebab-case code.
        reason: &'static str,
        /// What exactly is wrong; no token, no claim.
        error: &'a str,
        /// The sessions of programs that ended with it.
        programs: &'a [Arc<Session>],
    },
}

/// Refreshes sessions with the providers of one configuration.
#[derive(Debug)]
pub(crate) struct Refresher {
    sessions: Arc<Sessions>,
    providers: Arc<Providers>,
    clock: Arc<dyn Clock>,
}

/// The refreshes that are under way, and who is told of them. Outlives configurations.
#[derive(Default)]
pub(crate) struct Refreshes {
    tasks: TaskTracker,
    told: OnceLock<Told>,
}

type Told = Box<dyn Fn(&RefreshEvent<'_>) + Send + Sync>;

impl Refresher {
    /// Refreshes sessions with these providers.
    pub(crate) const fn new(sessions: Arc<Sessions>, providers: Arc<Providers>, clock: Arc<dyn Clock>) -> Self {
        Self { sessions, providers, clock }
    }

    /// Returns a session whose time to be refreshed has come; `None` when it ends by that. It is waited for only where the
    /// ID token has ended and the provider is not known to be away: it could not be told from one that is slow.
    pub(crate) async fn fresh(self: &Arc<Self>, session: Arc<Session>, now: Timestamp) -> Option<Arc<Session>> {
        self.begin(&session, now);
        if session.is_vouched_for(now) || session.turn().fails() {
            return Some(session);
        }
        // What comes later counts then.
        let _late = timeout(PATIENCE, session.turn().over()).await;
        let session = session.renewed().unwrap_or(session);
        self.sessions.goes_on(&session).then_some(session)
    }

    /// Begins to refresh a session whose time has come, unless that is being done, or has just failed.
    pub(crate) fn begin(self: &Arc<Self>, session: &Arc<Session>, now: Timestamp) {
        if session.turn().is_off(now) {
            return;
        }
        let Some(spare) = session.turn().take() else { return };
        // Whoever had it before may be done just now.
        if session.is_outdated() || session.turn().is_off(now) {
            return;
        }
        let (this, session) = (Arc::clone(self), Arc::clone(session));
        // A task of its own, awaited at the end of the process: a client that leaves, or a stop, must not lose an answer
        // whose refresh token has taken the place of the one that is kept (RFC 9700 §4.14.2).
        self.sessions.store.refreshes().tasks.spawn(async move {
            let mut spare = spare;
            if session.is_program() {
                this.refresh_browser_of(&session).await;
            } else {
                this.refresh(&session, &mut spare).await;
            }
        });
    }

    async fn refresh(&self, session: &Session, spare: &mut Option<Secret>) {
        match self.ask(session, spare).await {
            Ok(Asked::Answered) => {
                session.turn().succeeded();
                self.tell(session, RefreshResult::Refreshed);
            }
            Ok(Asked::Needless) => {}
            Err(error) => self.not_refreshed(session, error).await,
        }
    }

    /// Refreshes the session of the browser of which a program's comes, and so all of its programs': only that one has tokens.
    async fn refresh_browser_of(&self, program: &Session) {
        let browser = match self.sessions.browser_of(program).await {
            Ok(BrowserOf::Is(browser)) => browser,
            Ok(BrowserOf::Ended) => return self.not_refreshed(program, RefreshError::BrowserEnded).await,
            Ok(BrowserOf::Needless) => return,
            Err(error) => return self.not_refreshed(program, unkept(error)).await,
        };
        let mut spare = browser.turn().next().await;
        // However many of its programs, and of its own requests, race: who comes next finds that it was done.
        if program.is_outdated() {
            return;
        }
        if !browser.turn().is_off(self.clock.now()) {
            let browser = browser.renewed().unwrap_or_else(|| Arc::clone(&browser));
            self.refresh(&browser, &mut spare).await;
        }
        if browser.turn().fails() {
            program.turn().failed(self.clock.now());
        }
    }

    /// Asks the provider, and keeps what it says. `spare` is a refresh token that the store did not take: the one that it
    /// has is spent.
    async fn ask(&self, session: &Session, spare: &mut Option<Secret>) -> Result<Asked, RefreshError> {
        let Some(provider) = self.providers.get(session.identity().provider()) else { return Ok(Asked::Needless) };
        let Some(tokens) = self.sessions.tokens(session).await.map_err(unkept)? else { return Ok(Asked::Needless) };
        let Some(refresh_token) = spare.clone().or(tokens.refresh_token) else { return Ok(Asked::Needless) };
        let (identity, id_token) = (session.identity(), tokens.id_token.as_ref());
        let answer = provider.refresh(&Refresh { identity, id_token, refresh_token: &refresh_token }).await?;
        let (identity, id_token, term, failed) = match answer.identity {
            Ok(identity) => {
                let term = session.next_term(self.clock.now(), answer.until);
                (identity, answer.id_token.or(tokens.id_token), term, None)
            }
            // What was exchanged is kept all the same: else the next attempt would be taken for a thief's.
            Err(error) if !error.ends_session() && answer.refresh_token.is_some() => {
                (session.identity().clone(), tokens.id_token, session.term(), Some(error))
            }
            Err(error) => return Err(error),
        };
        let refresh_token = answer.refresh_token.unwrap_or(refresh_token);
        *spare = Some(refresh_token.clone());
        let provider_session = session.provider_session().map(str::to_owned);
        let new = NewSession { identity, id_token, refresh_token: Some(refresh_token), provider_session };
        let kept = self.sessions.renew(session, &new, term).await.map_err(unkept)?;
        *spare = None;
        match failed {
            Some(error) => Err(error),
            None => Ok(if kept { Asked::Answered } else { Asked::Needless }),
        }
    }

    async fn not_refreshed(&self, session: &Session, error: RefreshError) {
        let ended = if error.ends_session() { self.sessions.end(session).await } else { Ok(Vec::new()) };
        let (programs, error) = match ended {
            Ok(programs) => (programs, error),
            Err(unended) => (Vec::new(), unkept(unended)),
        };
        let (reason, text) = (error.code(), error.to_string());
        let (provider, hash) = (session.identity().provider(), session.id().as_str());
        let result = if error.ends_session() {
            tracing::info!(provider.id = %provider, session.hash = hash, reason, error = text, "a session is not refreshed and ends");
            RefreshResult::Ended { reason, error: &text, programs: &programs }
        } else {
            let is_first = session.turn().failed(self.clock.now());
            if is_first {
                tracing::warn!(provider.id = %provider, session.hash = hash, reason, error = text, "a session cannot be refreshed and goes on");
            }
            RefreshResult::Failed { reason, error: &text, is_first }
        };
        self.tell(session, result);
    }

    fn tell(&self, session: &Session, result: RefreshResult<'_>) {
        if let Some(told) = self.sessions.store.refreshes().told.get() {
            told(&RefreshEvent { time: self.clock.now(), session, result });
        }
    }
}

/// What came of asking.
enum Asked {
    Answered,
    /// There is nothing to ask for any more: the session ended meanwhile.
    Needless,
}

impl Refreshes {
    /// Has `told` called after each attempt; the first one that asks for it.
    pub(crate) fn observe(&self, told: impl Fn(&RefreshEvent<'_>) + Send + Sync + 'static) {
        // A second one has nothing to add: what is observed outlives configurations.
        let _ = self.told.set(Box::new(told));
    }

    /// Has a provider forget the refresh token of a session that has ended, beside everything else: nothing here depends on it.
    pub(crate) fn give_back(&self, provider: &Arc<Provider>, refresh_token: Secret) {
        let provider = Arc::clone(provider);
        self.tasks.spawn(async move {
            if let Err(error) = provider.revoke(&refresh_token).await {
                tracing::warn!(provider.id = %provider.id(), error, "a refresh token that is not needed any more is not revoked");
            }
        });
    }

    /// Waits, for a while, until none is under way.
    pub(crate) async fn settle(&self) {
        self.tasks.close();
        if timeout(PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::warn!("the process ends while providers are asked: some users may have to sign in again");
        }
    }
}

impl fmt::Debug for Refreshes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshes").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

fn unkept(error: StoreError) -> RefreshError {
    RefreshError::Failed(SignInError::Store(error))
}

/// How long a request waits for a provider, and the end of the process for all of them. A provider that connects late and
/// answers late takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);
