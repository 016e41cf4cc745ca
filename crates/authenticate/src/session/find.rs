//! How a session is found: in memory, where it nearly always is, or in the store; and how its use is noted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderMap;
use identity::Origin;
use jiff::Timestamp;

use super::live::{Bound, Noted};
use super::record::HandleRecord;
use super::{Session, Sessions, SignInId, Standing, after, standing};
use crate::StoreError;
use crate::cookie::{self, Handle};
use crate::store::{Change, Hash, Key};

impl Sessions {
    /// Returns whether a session that was found before goes on. Looks only at what this process knows.
    pub(crate) fn goes_on(&self, session: &Session) -> bool {
        !session.life.ended.load(Ordering::Acquire) && self.standing(session, self.clock.now()) == Standing::Live
    }

    /// Finds the live session that a handle stands for on this host.
    pub(crate) async fn find(
        &self,
        handle: &Handle,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let hash = handle.hash();
        if let Some(bound) = self.live().handle(&hash) {
            if bound.origin != *origin {
                return Ok(None);
            }
            match self.standing(&bound.session, now) {
                // Its provider has said something else since: what that is, is read where it was written.
                Standing::Live if bound.session.may_be_outdated(now) && bound.session.is_outdated() => {
                    self.live().forget(&hash, &bound.session.sign_in);
                }
                Standing::Live => {
                    self.touch(&bound.session, now).await;
                    return Ok(Some(Arc::clone(&bound.session)));
                }
                Standing::Over => {
                    self.live().forget(&hash, &bound.session.sign_in);
                    return Ok(None);
                }
                // Another copy of it may have been in use: the store knows.
                Standing::Idle => {
                    self.write_seen(self.live().take_noted()).await?;
                    self.live().forget(&hash, &bound.session.sign_in);
                }
            }
        }
        // Seldom needed, and large: kept out of the future of every request.
        Box::pin(self.find_in_store(hash, origin, now)).await
    }

    async fn find_in_store(
        &self,
        hash: Hash,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        loop {
            let epoch = self.live().epoch();
            let Some(record) = self.handle_record(hash, origin, now).await? else { return Ok(None) };
            let Some(session) = self.load(&record.sign_in).await? else { return Ok(None) };
            let bound = Arc::new(Bound { origin: record.origin, session });
            if self.live().keep(epoch, hash, &bound) {
                self.touch(&bound.session, now).await;
                return Ok(Some(Arc::clone(&bound.session)));
            }
            // A session was revoked meanwhile. Whether it was this one, the store tells; what was read could outlive its
            // end in a stream, which nobody would tell.
        }
    }

    /// Returns what the store keeps of a handle that is good on this host.
    pub(super) async fn handle_record(
        &self,
        hash: Hash,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Option<HandleRecord>, StoreError> {
        let sealed = self.store.run(move |backend| backend.get(&Key::handle(&hash), now)).await?;
        let record = sealed.and_then(|sealed| HandleRecord::open(&self.keys, &hash, &sealed));
        Ok(record.filter(|record| record.origin == *origin))
    }

    /// Returns the session that a request's handles stand for on this host, where it is idle: nobody may use it, but whoever
    /// presents it has used it before.
    pub(crate) async fn left_idle(
        &self,
        headers: &HeaderMap,
        origin: &Origin,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        for handle in cookie::handles(headers, origin.scheme()) {
            let now = self.clock.now();
            let Some(record) = self.handle_record(handle.hash(), origin, now).await? else { continue };
            let session = self.known(&record.sign_in).await?;
            if let Some(idle) = session.filter(|session| self.standing(session, now) == Standing::Idle) {
                return Ok(Some(idle));
            }
        }
        Ok(None)
    }

    /// Returns a live session, from memory where it is there.
    pub(super) async fn load(&self, sign_in: &SignInId) -> Result<Option<Arc<Session>>, StoreError> {
        let now = self.clock.now();
        if let Some(session) = self.live().session(sign_in)
            && self.standing(&session, now) == Standing::Live
            && !session.is_outdated()
        {
            return Ok(Some(session));
        }
        self.load_from_store(sign_in).await
    }

    async fn load_from_store(&self, sign_in: &SignInId) -> Result<Option<Arc<Session>>, StoreError> {
        let session = self.known(sign_in).await?;
        Ok(session.filter(|session| self.standing(session, self.clock.now()) == Standing::Live))
    }

    /// Returns a session that the store knows, live or not: one that is idle is live again under a longer limit, so
    /// whoever ends sessions ends that, too.
    pub(super) async fn known(&self, sign_in: &SignInId) -> Result<Option<Arc<Session>>, StoreError> {
        let (id, now) = (*sign_in, self.clock.now());
        let Some(record) = self.record(sign_in).await? else { return Ok(None) };
        let seen = self.store.run(move |backend| backend.get(&Key::seen(id.as_bytes()), now)).await?;
        let seen = seen.and_then(|seen| Timestamp::from_microsecond(i64::from_be_bytes(seen.try_into().ok()?)).ok());
        Ok(record.into_session(id, seen, self.live()).map(Arc::new))
    }

    /// Notes that a session made a request; now and then writes what was noted.
    async fn touch(&self, session: &Session, now: Timestamp) {
        let Some(timeout) = self.bounds.idle_timeout else { return };
        let interval = (timeout / 8).min(SEEN_INTERVAL);
        let micros = now.as_microsecond();
        session.life.seen.fetch_max(micros, Ordering::Relaxed);
        let noted = session.life.noted.load(Ordering::Relaxed);
        let due = Timestamp::from_microsecond(noted).is_ok_and(|noted| now >= after(noted, interval));
        // Of all requests at once, one notes it.
        if due && session.life.noted.compare_exchange(noted, micros, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let noted = self.live().note_seen(session, now, interval);
            if let Err(error) = self.write_seen(noted).await {
                tracing::warn!(%error, "when sessions were last used is not in the store: they may end early");
            }
        }
    }

    async fn write_seen(&self, noted: Noted) -> Result<(), StoreError> {
        if noted.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let row = |(id, seen, expires): (SignInId, Timestamp, Timestamp)| {
            Change::put(Key::seen(id.as_bytes()), seen.as_microsecond().to_be_bytes().to_vec(), expires)
        };
        let changes: Vec<_> = noted.into_iter().map(row).collect();
        self.store.run(move |backend| backend.commit(&changes, now)).await
    }

    fn standing(&self, session: &Session, now: Timestamp) -> Standing {
        standing(&self.bounds, session.created, session.expires, session.seen(), now)
    }
}

/// How often the store hears when sessions were last seen, at most. A restart loses up to two such spans, as what is
/// noted waits for the next write: a session can look idle that much too early, never too late.
const SEEN_INTERVAL: Duration = Duration::from_secs(60);
