//! What the bytes of a line tell before it is parsed: a busy log has a million lines for each that is looked for.
//!
//! Lines are written in one way only, and quotes within texts are escaped: a member that is not found with its quotes is
//! not there. One that is found may be another's: of an object whose names a policy writer or a client chose.

use memchr::memmem::Finder;

use super::Filter;

/// What is searched for.
#[derive(Debug)]
pub(super) struct Glance {
    allowed: Finder<'static>,
    decision: Finder<'static>,
    status: Finder<'static>,
    free_names: [Finder<'static>; 3],
}

impl Default for Glance {
    fn default() -> Self {
        Self {
            allowed: Finder::new(r#""decision":"allow""#),
            decision: Finder::new(r#""decision":"#),
            status: Finder::new(r#""status":"#),
            free_names: FREE_NAMES.map(Finder::new),
        }
    }
}

impl Glance {
    /// Returns the id of a request that was decided ahead of its outcome, where the line can be told to be one.
    pub(super) fn id_of_ahead<'l>(&self, line: &'l [u8]) -> Option<&'l str> {
        let id = id_of(line, b"request")?;
        let is_ahead = self.allowed.find(line).is_some() && self.status.find(line).is_none();
        is_ahead.then_some(id)
    }

    /// Returns whether a line can be the last of a record that is meant. Those of requests whose outcome follows may always be.
    pub(super) fn may_end(&self, filter: &Filter, line: &[u8]) -> bool {
        if filter.status.is_none() && filter.decision.is_none() {
            return true;
        }
        let is_decision = |wanted: &str| {
            let mut decisions = members(line, &self.decision);
            // An outcome without one leaves what was decided: to let through.
            let Some(first) = decisions.next() else { return wanted == "allow" };
            is_text(first, wanted) || decisions.any(|text| is_text(text, wanted))
        };
        let mut statuses = members(line, &self.status).map(number).peekable();
        statuses.peek().is_none()
            || (filter.status.is_none_or(|wanted| statuses.any(|status| wanted.have(status)))
                && filter.decision.as_deref().is_none_or(is_decision))
    }

    /// Returns whether a line has an object whose names are others' choice: they may be called as members of records are.
    pub(super) fn has_free_names(&self, line: &[u8]) -> bool {
        self.free_names.iter().any(|name| name.find(line).is_some())
    }
}

/// Returns the id of the request that an outcome belongs to; nothing where the line is no outcome.
pub(super) fn id_of_outcome(line: &[u8]) -> Option<&str> {
    id_of(line, b"outcome")
}

/// Returns the id of a line of that kind. Time, id and kind are what lines of requests begin with, and are never escaped.
fn id_of<'l>(line: &'l [u8], kind: &[u8]) -> Option<&'l str> {
    let (_, rest) = text(line, BEGINNING)?;
    let (id, rest) = text(rest, br#","id":""#)?;
    let (found, _) = text(rest, br#","kind":""#)?;
    str::from_utf8(id).ok().filter(|_| found == kind)
}

/// Returns the text of a member that a line goes on with, and what is behind it.
fn text<'l>(line: &'l [u8], member: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let line = line.strip_prefix(member)?;
    let (text, rest) = line.split_at_checked(memchr::memchr(b'"', line)?)?;
    Some((text, rest.get(1..)?))
}

/// Returns what stands behind each member of that name: also in objects within, so there may be more than one.
fn members<'l>(line: &'l [u8], name: &Finder<'_>) -> impl Iterator<Item = &'l [u8]> {
    let len = name.needle().len();
    name.find_iter(line).filter_map(move |at| line.get(at + len..)).map(<[u8]>::trim_ascii_start)
}

fn is_text(json: &[u8], text: &str) -> bool {
    let rest = json.strip_prefix(b"\"").and_then(|json| json.strip_prefix(text.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"\""))
}

fn number(json: &[u8]) -> u16 {
    let digits = json.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u16, digit| number.saturating_mul(10).saturating_add((digit - b'0').into()))
}

/// What each line begins with that we write.
pub(super) const BEGINNING: &[u8] = br#"{"time":""#;

const FREE_NAMES: [&str; 3] = ["\"fields\":", "\"inputs\":", "\"details\":"];
