//! All that changes sessions: made, handed to hosts, ended; and what is listed of them.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use identity::{Clock, Identity, Issuer, Origin, Subject};
use jiff::Timestamp;

use super::live::Live;
use super::record::{HandleRecord, SignInRecord};
use super::{NewSession, Session, SessionId, SignInId, Term, after, sha256};
use crate::cookie::{self, Handle};
use crate::store::{Change, Hash, Key};
use crate::{Keys, SessionConfig, Store, StoreError};

/// The sessions: the store, the keys that seal it, and the bounds of the configuration.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) store: Arc<Store>,
    pub(super) keys: Arc<Keys>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bounds: SessionConfig,
}

/// A session as its user's own page lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionSummary {
    /// The id.
    pub(crate) id: SessionId,
    /// When the user signed in.
    pub(crate) created: Timestamp,
    /// When it ends.
    pub(crate) expires: Timestamp,
    /// Whether a program has it.
    pub(crate) is_program: bool,
}

impl Sessions {
    /// Keeps sessions in `store` under `bounds`.
    pub(crate) fn new(store: Arc<Store>, keys: Arc<Keys>, clock: Arc<dyn Clock>, bounds: SessionConfig) -> Self {
        Self { store, keys, clock, bounds }
    }

    /// Records a sign-in. It has no handle yet.
    pub(crate) async fn create(&self, new: NewSession) -> Result<SignInId, StoreError> {
        let now = self.clock.now();
        let expires = after(now, self.bounds.lifetime);
        let record = SignInRecord::new(&new, now, expires, Term::of(&new, now));
        self.keep(&record, &new.identity, new.provider_session.as_deref(), expires, None).await
    }

    /// Keeps the record of a sign-in, and all by which it is found: that of a program below the one that it comes of.
    pub(super) async fn keep(
        &self,
        record: &SignInRecord,
        identity: &Identity,
        provider_session: Option<&str>,
        expires: Timestamp,
        program_of: Option<SignInId>,
    ) -> Result<SignInId, StoreError> {
        let (id, now) = (SignInId::random(), self.clock.now());
        let sealed = record.seal(&self.keys, &id).ok_or_else(|| StoreError::Failed("a record has no JSON".into()))?;
        let of_user = of_user(identity.issuer(), identity.subject());
        let of_provider_session = provider_session.map(|sid| of_provider_session(identity.issuer(), sid));
        let of_program = program_of.map(|parent| Key::programs_of(parent.as_bytes()));
        let lists = [Some(of_user), of_provider_session, of_program];
        let row = |list: Key| Change::put(list.with(id.as_bytes()), Vec::new(), expires);
        let mut changes = vec![Change::put(Key::sign_in(id.as_bytes()), sealed, expires)];
        changes.extend(lists.into_iter().flatten().map(row));
        if program_of.is_some() {
            // The sign-in may be long ago: the program has been there since now.
            changes.push(Change::put(Key::seen(id.as_bytes()), now.as_microsecond().to_be_bytes().to_vec(), expires));
        }
        self.store.run(move |backend| backend.commit(&changes, now)).await?;
        Ok(id)
    }

    /// Makes a new handle of a sign-in for one host, and the `Set-Cookie` that carries it; `None` when the sign-in has
    /// ended.
    pub(crate) async fn issue_handle(
        &self,
        sign_in: &SignInId,
        origin: &Origin,
    ) -> Result<Option<(HeaderValue, Arc<Session>)>, StoreError> {
        let now = self.clock.now();
        let Some(session) = self.load(sign_in).await? else { return Ok(None) };
        let handle = Handle::random();
        let hash = handle.hash();
        let record = HandleRecord { sign_in: *sign_in, origin: origin.clone() };
        let changes = [
            Change::put(Key::handle(&hash), record.seal(&self.keys, &hash), session.expires),
            Change::put(Key::handles_of(sign_in.as_bytes()).with(&hash), Vec::new(), session.expires),
        ];
        self.store.run(move |backend| backend.commit(&changes, now)).await?;
        Ok(Some((cookie::set(origin, &handle), session)))
    }

    /// Makes the handles that a request presents to this host worth nothing: their browser signed in again, and has another. Not
    /// done where several tabs sign in at once, each of which may go on with what the one before was given.
    pub(crate) async fn drop_handles(&self, headers: &HeaderMap, origin: &Origin) -> Result<(), StoreError> {
        for handle in cookie::handles(headers, origin.scheme()) {
            let (hash, now) = (handle.hash(), self.clock.now());
            let Some(record) = self.handle_record(hash, origin, now).await? else { continue };
            let of_session = Key::handles_of(record.sign_in.as_bytes()).with(&hash);
            let changes = [Change::Remove(Key::handle(&hash)), Change::Remove(of_session)];
            self.store.run(move |backend| backend.commit(&changes, now)).await?;
            self.live().revoke_handle(&hash);
        }
        Ok(())
    }

    /// Returns the sign-in that a session stands for, while the store still knows it.
    pub(crate) async fn sign_in_of(&self, session: &Session) -> Option<SignInId> {
        let (id, now) = (session.sign_in, self.clock.now());
        let record = self.store.run(move |backend| backend.get(&Key::sign_in(id.as_bytes()), now)).await;
        record.ok().flatten().map(|_| id)
    }

    /// Removes a session on every host: its record and all of its handles go, first from the store, then from memory.
    pub(super) async fn remove(&self, session: &Session) -> Result<(), StoreError> {
        let (id, now) = (session.sign_in, self.clock.now());
        let identity = session.identity();
        let mut changes = vec![
            Change::Remove(Key::sign_in(id.as_bytes())),
            Change::Remove(Key::seen(id.as_bytes())),
            Change::Remove(of_user(identity.issuer(), identity.subject()).with(id.as_bytes())),
        ];
        if let Some(sid) = &session.provider_session {
            changes.push(Change::Remove(of_provider_session(identity.issuer(), sid).with(id.as_bytes())));
        }
        let handles = self.store.run(move |backend| {
            let handles_of = Key::handles_of(id.as_bytes());
            let rows = backend.below(&handles_of, now)?;
            let hashes: Vec<Hash> = rows.iter().filter_map(|row| row.as_slice().try_into().ok()).collect();
            for hash in &hashes {
                changes.push(Change::Remove(Key::handle(hash)));
                changes.push(Change::Remove(handles_of.clone().with(hash)));
            }
            backend.commit(&changes, now)?;
            Ok(hashes)
        });
        self.live().revoke(&id, &handles.await?);
        Ok(())
    }

    /// Ends what a provider says has ended: its session `sid`, or all sessions of `subject`. Where both are named, both
    /// must agree. The sessions that were ended are added to `ended`, also when the store fails on the way.
    pub(crate) async fn end_provider_session(
        &self,
        issuer: &Issuer,
        sid: Option<&str>,
        subject: Option<&Subject>,
        ended: &mut Vec<Arc<Session>>,
    ) -> Result<(), StoreError> {
        let sign_ins = match (sid, subject) {
            (Some(sid), _) => self.sign_ins(of_provider_session(issuer, sid)).await?,
            (None, Some(subject)) => self.sign_ins(of_user(issuer, subject)).await?,
            (None, None) => Vec::new(),
        };
        for sign_in in sign_ins {
            let Some(session) = self.known(&sign_in).await? else { continue };
            if subject.is_none_or(|subject| session.identity().subject() == subject) {
                ended.extend(self.end(&session).await?);
                ended.push(session);
            }
        }
        Ok(())
    }

    /// Ends the session of that sign-in, if there is one, and returns it.
    pub(crate) async fn end_sign_in(&self, sign_in: &SignInId) -> Result<Option<Arc<Session>>, StoreError> {
        let session = self.known(sign_in).await?;
        if let Some(session) = &session {
            self.end(session).await?;
        }
        Ok(session)
    }

    /// Returns the live sessions of a user, the newest first.
    pub(crate) async fn of_user(&self, identity: &Identity) -> Result<Vec<SessionSummary>, StoreError> {
        let mut summaries = Vec::new();
        for sign_in in self.sign_ins(of_user(identity.issuer(), identity.subject())).await? {
            if let Some(session) = self.load(&sign_in).await? {
                let Session { id, created, expires, is_program, .. } = &*session;
                let (created, expires, is_program) = (*created, *expires, *is_program);
                summaries.push(SessionSummary { id: id.clone(), created, expires, is_program });
            }
        }
        summaries.sort_by_key(|summary| std::cmp::Reverse(summary.created));
        Ok(summaries)
    }

    /// Returns all live sessions, the newest first.
    pub(crate) async fn all(&self) -> Result<Vec<Arc<Session>>, StoreError> {
        let mut sessions = Vec::new();
        for sign_in in self.sign_ins(Key::sign_ins()).await? {
            sessions.extend(self.load(&sign_in).await?);
        }
        sessions.sort_by_key(|session| std::cmp::Reverse(session.created));
        Ok(sessions)
    }

    /// Returns how many sessions are live.
    pub(crate) async fn count(&self) -> Result<usize, StoreError> {
        self.sign_ins(Key::sign_ins()).await.map(|sign_ins| sign_ins.len())
    }

    /// Returns the live session of that id.
    pub(crate) async fn by_id(&self, id: &str) -> Result<Option<Arc<Session>>, StoreError> {
        let sign_ins = self.sign_ins(Key::sign_ins()).await?;
        match sign_ins.iter().find(|sign_in| sign_in.session_id().as_str() == id) {
            Some(sign_in) => self.load(sign_in).await,
            None => Ok(None),
        }
    }

    /// Keeps a value for `ttl` unless there is one under that key; returns whether it was kept.
    pub(crate) async fn put_once(
        &self,
        kind: &'static str,
        key: &[u8],
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let name = sha256(&[kind.as_bytes(), key]);
        let sealed = self.keys.seal_bytes(ONCE, &name, value);
        self.store.run(move |backend| backend.put_new(&Key::once(&name), &sealed, after(now, ttl), now)).await
    }

    /// Returns whether a value is kept under that key.
    pub(crate) async fn has_once(&self, kind: &'static str, key: &[u8]) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let name = sha256(&[kind.as_bytes(), key]);
        let kept = self.store.run(move |backend| backend.get(&Key::once(&name), now)).await?;
        Ok(kept.is_some())
    }

    /// Removes and returns a value that was kept: of several callers at once, one gets it.
    pub(crate) async fn take_once(&self, kind: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let now = self.clock.now();
        let name = sha256(&[kind.as_bytes(), key]);
        let sealed = self.store.run(move |backend| backend.take(&Key::once(&name), now)).await?;
        Ok(sealed.and_then(|sealed| self.keys.open_bytes(ONCE, &name, &sealed)))
    }

    pub(super) fn live(&self) -> &Live {
        self.store.live()
    }

    pub(super) async fn sign_ins(&self, prefix: Key) -> Result<Vec<SignInId>, StoreError> {
        let now = self.clock.now();
        let rows = self.store.run(move |backend| backend.below(&prefix, now)).await?;
        Ok(rows.iter().filter_map(|row| SignInId::from_bytes(row)).collect())
    }

    pub(super) async fn record(&self, sign_in: &SignInId) -> Result<Option<SignInRecord>, StoreError> {
        let (id, now) = (*sign_in, self.clock.now());
        let sealed = self.store.run(move |backend| backend.get(&Key::sign_in(id.as_bytes()), now)).await?;
        Ok(sealed.and_then(|sealed| SignInRecord::open(&self.keys, sign_in, &sealed)))
    }
}

/// The place of a user's sign-ins. A user is issuer and subject together.
fn of_user(issuer: &Issuer, subject: &Subject) -> Key {
    Key::sign_ins_of_user(&sha256(&[issuer.as_str().as_bytes(), subject.as_str().as_bytes()]))
}

fn of_provider_session(issuer: &Issuer, sid: &str) -> Key {
    Key::sign_ins_of_provider_session(&sha256(&[issuer.as_str().as_bytes(), sid.as_bytes()]))
}

const ONCE: &str = "once";
