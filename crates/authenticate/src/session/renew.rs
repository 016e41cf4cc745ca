//! How a session takes up what its provider says now.

use std::sync::Arc;

use super::record::{SignInRecord, Tokens};
use super::{NewSession, Session, Sessions, Term, Vouched};
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
        let Session { sign_in, created, expires, .. } = *session;
        let record = SignInRecord::new(new, created, expires, term);
        let sealed =
            record.seal(&self.keys, &sign_in).ok_or_else(|| StoreError::Failed("a record has no JSON".into()))?;
        let now = self.clock.now();
        let key = Key::sign_in(sign_in.as_bytes());
        let replaced = self.store.run(move |backend| backend.replace(&key, &sealed, expires, now)).await?;
        if replaced {
            session.life.vouched.store(Arc::new(Vouched::new(new.identity.clone(), term, &sign_in, expires)));
        }
        Ok(replaced)
    }
}
