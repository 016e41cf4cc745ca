//! Finds the members of a request's line without parsing it: a segment has a hundred thousand of them, and the processors
//! that close it serve requests besides.

use std::borrow::Cow;

use memchr::memmem::Finder;

use super::{Line, User};

/// What is searched for. A quote within a text has a backslash before it, so none of these can stand within one.
#[derive(Debug)]
pub(super) struct Members {
    outcome: Finder<'static>,
    kind: Finder<'static>,
    method: Finder<'static>,
    route: Finder<'static>,
    client_ip: Finder<'static>,
    user_id: Finder<'static>,
    email: Finder<'static>,
    decision: Finder<'static>,
}

impl Members {
    /// Returns whether the line says how a request ended.
    pub(super) fn is_outcome(&self, line: &[u8]) -> bool {
        self.outcome.find(line.get(..BEGINNING).unwrap_or(line)).is_some()
    }

    /// Returns what a line says, if it is of a request and no text of interest has an escape: the others are few.
    pub(super) fn of_request<'a>(&self, line: &'a [u8]) -> Option<Line<'a>> {
        // Who asked stands before the method, what was decided behind it. What a policy writer chose comes last.
        let (who, what) = line.split_at_checked(self.method.find(line)?)?;
        let of_user = behind(&self.user_id, who);
        let user = match of_user {
            Some(id) => Some(User { id: text(id)?, email: text(behind(&self.email, id)?)? }),
            None => None,
        };
        Some(Line {
            kind: text(behind(&self.kind, who)?)?,
            decision: Some(text(behind(&self.decision, what)?)?),
            user,
            client_ip: optional(behind(&self.client_ip, who))?,
            route: optional(behind(&self.route, who))?,
        })
    }
}

impl Default for Members {
    fn default() -> Self {
        let finder = |member: &'static str| Finder::new(member);
        Self {
            outcome: finder(r#"","kind":"outcome","#),
            kind: finder(r#"","kind":""#),
            method: finder(r#","method":""#),
            route: finder(r#","route":""#),
            client_ip: finder(r#","client_ip":""#),
            user_id: finder(r#","user":{"id":""#),
            email: finder(r#"","email":""#),
            decision: finder(r#","decision":""#),
        }
    }
}

fn behind<'a>(member: &Finder<'_>, line: &'a [u8]) -> Option<&'a [u8]> {
    line.get(member.find(line)? + member.needle().len()..)
}

/// Returns the text that begins here; `None` where it has an escape.
fn text(line: &[u8]) -> Option<Cow<'_, str>> {
    let end = memchr::memchr2(b'"', b'\\', line).filter(|end| line.get(*end) == Some(&b'"'))?;
    str::from_utf8(line.get(..end)?).ok().map(Cow::Borrowed)
}

/// Returns a text that may be missing; `None` where it is there and has an escape.
#[expect(clippy::option_option, reason = "missing and not to be had this way are two things")]
fn optional(member: Option<&[u8]>) -> Option<Option<Cow<'_, str>>> {
    member.map_or(Some(None), |line| text(line).map(Some))
}

/// Where the kind stands: behind time and id.
const BEGINNING: usize = 128;
