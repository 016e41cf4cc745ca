//! Sessions of programs: each comes of the session that its user has in a browser, and ends with that.

use std::sync::Arc;

use super::{Session, Sessions, SignInId};
use crate::StoreError;
use crate::store::{Change, Key};

impl Sessions {
    /// Records that a program may act for the user of a session: a session of its own, which ends when that sign-in would
    /// have ended. It has no handle yet. `None` when the session has ended.
    pub(crate) async fn create_for_program(&self, browser: &SignInId) -> Result<Option<SignInId>, StoreError> {
        let Some(session) = self.load(browser).await? else { return Ok(None) };
        // A refresh that is under way, or a sign-in that takes programs over, would miss this one.
        let _turn = session.turn().next().await;
        let Some(record) = self.record(browser).await? else { return Ok(None) };
        let (record, sid) = (record.for_program(*browser), session.provider_session.as_deref());
        let id = self.keep(&record, session.identity(), sid, session.expires, Some(*browser)).await?;
        // Whoever ends a session looks for its programs last, so one of the two sees the other.
        if self.record(browser).await?.is_some() {
            return Ok(Some(id));
        }
        if let Some(orphan) = self.known(&id).await? {
            self.remove(&orphan).await?;
        }
        Ok(None)
    }

    /// Returns whether a session has as many programs as it may have. Forgets those that have ended by themselves.
    pub(crate) async fn has_most_programs(&self, browser: &SignInId) -> Result<bool, StoreError> {
        let (list, now) = (Key::programs_of(browser.as_bytes()), self.clock.now());
        let live = self.store.run(move |backend| {
            let (mut live, mut ended) = (0, Vec::new());
            for program in backend.below(&list, now)? {
                match backend.get(&Key::sign_in(&program), now)? {
                    Some(_) => live += 1,
                    None => ended.push(Change::Remove(list.clone().with(&program))),
                }
            }
            backend.commit(&ended, now)?;
            Ok(live)
        });
        Ok(live.await? >= MOST_PROGRAMS)
    }

    /// Ends a session on every host, and the sessions of the programs that come of it: returns those.
    pub(crate) async fn end(&self, session: &Session) -> Result<Vec<Arc<Session>>, StoreError> {
        // Before it: should the store fail on the way, the session is still there to be ended again.
        let mut programs = self.end_programs(session).await?;
        self.remove(session).await?;
        programs.extend(self.end_programs(session).await?);
        Ok(programs)
    }

    /// Ends a session in favour of another one of the same user at the same provider, with which its programs go on.
    pub(crate) async fn replace(&self, old: &Session, new: &Session) -> Result<Vec<Arc<Session>>, StoreError> {
        // A refresh that is under way would give its programs back to the old one.
        let _turn = old.turn().next().await;
        // Before they are moved: should the store fail on the way, they end with the old one.
        self.renew_programs(old, &new.sign_in, new.identity(), new.term()).await?;
        let (before, after) = (Key::programs_of(old.sign_in.as_bytes()), Key::programs_of(new.sign_in.as_bytes()));
        let (now, expires) = (self.clock.now(), new.expires);
        self.store
            .run(move |backend| {
                let programs = backend.below(&before, now)?;
                let moved = programs.iter().flat_map(|program| {
                    let put = Change::put(after.clone().with(program), Vec::new(), expires);
                    [put, Change::Remove(before.clone().with(program))]
                });
                backend.commit(&moved.collect::<Vec<_>>(), now)
            })
            .await?;
        self.end(old).await
    }

    /// Returns the session of the browser of which that of a program comes; idle or not, as it is asked for what is in use.
    pub(crate) async fn browser_of(&self, program: &Session) -> Result<BrowserOf, StoreError> {
        let Some(browser) = self.program_of(program).await? else { return Ok(BrowserOf::Needless) };
        if let Some(session) = self.known(&browser).await? {
            program.life.browser.store(Some(Arc::clone(&session.life)));
            return Ok(BrowserOf::Is(session));
        }
        // Meanwhile a sign-in may have taken the program over, or whoever ended the browser's may have ended it, too.
        let still = self.program_of(program).await? == Some(browser);
        Ok(if still { BrowserOf::Ended } else { BrowserOf::Needless })
    }

    async fn program_of(&self, program: &Session) -> Result<Option<SignInId>, StoreError> {
        Ok(self.record(&program.sign_in).await?.and_then(|record| record.program_of()))
    }

    /// Returns the live sessions of the programs that come of a session.
    pub(crate) async fn programs_of(&self, session: &Session) -> Result<Vec<Arc<Session>>, StoreError> {
        let mut programs = Vec::new();
        for program in self.sign_ins(Key::programs_of(session.sign_in.as_bytes())).await? {
            programs.extend(self.load(&program).await?);
        }
        Ok(programs)
    }

    async fn end_programs(&self, session: &Session) -> Result<Vec<Arc<Session>>, StoreError> {
        let mut programs = Vec::new();
        for program in self.sign_ins(Key::programs_of(session.sign_in.as_bytes())).await? {
            let Some(program) = self.known(&program).await? else { continue };
            self.remove(&program).await?;
            programs.push(program);
        }
        Ok(programs)
    }
}

/// The session of the browser of which that of a program comes.
#[derive(Debug)]
pub(crate) enum BrowserOf {
    /// This one.
    Is(Arc<Session>),
    /// One that has ended, and was to take the program's along.
    Ended,
    /// None that matters: the program's session has ended, or has just been taken over.
    Needless,
}

/// How many programs a user may sign in with one session: who asks for more fills the store.
pub(crate) const MOST_PROGRAMS: usize = 256;
