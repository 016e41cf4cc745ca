//! Finds the members of a request's line without parsing it: a segment has a hundred thousand of them, and the processors
//! that close it serve requests besides.

use std::borrow::Cow;

use memchr::memmem::Finder;

use super::{Line, User};

/// What is searched for. A quote within a text has a backslash before it, so none of these can stand within one.
#[derive(Debug)]
pub(super) struct Members {
    kind: Finder<'static>,
    method: Finder<'static>,
    route: Finder<'static>,
    client_ip: Finder<'static>,
    user_id: Finder<'static>,
    email: Finder<'static>,
    decision: Finder<'static>,
    // Kind, route, client and user of the request that was looked at last, as they stand in its line up to the method. The next
    // line is often of the same.
    last: Vec<u8>,
}

impl Members {
    /// Returns a line from its kind on, which stands behind time and id.
    pub(super) fn behind_id<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let beginning = line.get(..BEGINNING).unwrap_or(line);
        line.get(self.kind.find(beginning)? + self.kind.needle().len()..)
    }

    /// Returns what the line of a request says, from its kind on, if no text of interest has an escape: the others are few. What
    /// the call before has returned, too, is left out but for the kind.
    pub(super) fn of_request<'a>(&mut self, line: &'a [u8]) -> Option<Line<'a>> {
        // Who asked stands before the method, what was decided behind it. What a policy writer chose comes last.
        let is_known = !self.last.is_empty() && line.starts_with(&self.last);
        let end = if is_known { self.last.len() } else { self.method.find(line)? + self.method.needle().len() };
        let (who, what) = line.split_at_checked(end)?;
        let decision = Some(text(behind(&self.decision, what)?)?);
        let kind = text(who)?;
        if is_known {
            return Some(Line { kind, decision, user: None, client_ip: None, route: None });
        }
        let user = match behind(&self.user_id, who) {
            Some(id) => Some(User { id: text(id)?, email: text(behind(&self.email, id)?)? }),
            None => None,
        };
        let client_ip = optional(behind(&self.client_ip, who))?;
        let route = optional(behind(&self.route, who))?;
        self.last.clear();
        self.last.extend_from_slice(who);
        Some(Line { kind, decision, user, client_ip, route })
    }
}

/// Returns whether a line, from its kind on, says how a request ended.
pub(super) fn is_outcome(line: &[u8]) -> bool {
    line.starts_with(br#"outcome","#)
}

impl Default for Members {
    fn default() -> Self {
        let finder = |member: &'static str| Finder::new(member);
        Self {
            kind: finder(r#"","kind":""#),
            method: finder(r#","method":""#),
            route: finder(r#","route":""#),
            client_ip: finder(r#","client_ip":""#),
            user_id: finder(r#","user":{"id":""#),
            email: finder(r#"","email":""#),
            decision: finder(r#","decision":""#),
            last: Vec::new(),
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
