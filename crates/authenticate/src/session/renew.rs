//! How a session takes up what its provider says now.

use std::sync::Arc;

use identity::Identity;

use super::record::{SignInRecord, Tokens};
use super::{NewSession, Session, Sessions, SignInId, Term};
use crate::StoreError;
use crate::store::Key;

impl Sessions {
    /// Returns the tokens of a session, while the store still knows it.
    pub(crate) async fn tokens(&self, session: &Session) -> Result<Option<Tokens>, StoreError> {
        Ok(self.record(&session.sign_in).await?.map(SignInRecord::into_tokens))
    }

    /// Puts what a provider says now in the place of what it said, first in the store, then for all who hold the session;
    /// returns false, and changes nothing, where the session has ended meanwhile.
    pub(crate) async fn renew(
        &self,
        session: &Session,
        new: &NewSession,
        term: Option<Term>,
    ) -> Result<bool, StoreError> {
        // Before it: should the store fail on the way, the session is refreshed again.
        self.renew_programs(session, &session.sign_in, &new.identity, term).await?;
        self.put_in_place(session, SignInRecord::new(new, session.created, session.expires, term)).await
    }

    /// Has the programs of a session know of its user what their provider says now, to the browser's sign-in of which they
    /// come from here on.
    pub(super) async fn renew_programs(
        &self,
        session: &Session,
        browser: &SignInId,
        identity: &Identity,
        term: Option<Term>,
    ) -> Result<(), StoreError> {
        for program in self.programs_of(session).await? {
            if let Some(record) = self.record(&program.sign_in).await? {
                self.put_in_place(&program, record.renewed_by(*browser, identity, term)).await?;
                program.turn().succeeded();
            }
        }
        Ok(())
    }

    async fn put_in_place(&self, session: &Session, record: SignInRecord) -> Result<bool, StoreError> {
        let Session { sign_in, expires, .. } = *session;
        let none = || StoreError::Failed("a record has no JSON".into());
        let sealed = record.seal(&self.keys, &sign_in).ok_or_else(none)?;
        let vouched = record.into_vouched(&sign_in).ok_or_else(none)?;
        let now = self.clock.now();
        let key = Key::sign_in(sign_in.as_bytes());
        let replaced = self.store.run(move |backend| backend.replace(&key, &sealed, expires, now)).await?;
        if replaced {
            session.life.vouched.store(Arc::new(vouched));
        }
        Ok(replaced)
    }
}
