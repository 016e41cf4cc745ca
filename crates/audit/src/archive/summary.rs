//! What a closed segment holds, in short: beside its file, so that a search opens only the segments that can have what it
//! looks for.

mod members;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use self::members::Members;

/// What a closed segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Summary {
    /// Its lines, with the first and the last.
    pub lines: u64,
    /// Bytes of the lines before they were compressed.
    pub bytes: u64,
    /// No line has an earlier `time`; rounded down to the second.
    pub from: Option<Timestamp>,
    /// Each line has an earlier `time`; rounded up to the second.
    pub to: Option<Timestamp>,
    /// Lines by their `kind`.
    pub kinds: BTreeMap<Box<str>, u64>,
    /// Lines by their `decision`.
    pub decisions: BTreeMap<Box<str>, u64>,
    /// Ids and e-mail addresses of users.
    pub users: Values,
    /// Networks of clients: /24 of IPv4 and /48 of IPv6.
    pub networks: Values,
    /// Routes.
    pub routes: Values,
}

/// Values, unless there are too many to list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Values(Option<BTreeSet<Box<str>>>);

/// What is read of a line.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    decision: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user: Option<User<'a>>,
    #[serde(borrow)]
    client_ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    route: Option<Cow<'a, str>>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    email: Cow<'a, str>,
}

/// Makes a summary of lines.
#[derive(Debug, Default)]
pub(crate) struct Summarizer {
    summary: Summary,
    members: Members,
    outcomes: u64,
    earliest: Second,
    latest: Second,
    // Whose network was noted last: the next line is often of the same client.
    client: String,
}

/// A time up to the second, as it is written.
type Second = [u8; SECOND_LEN];

impl Summarizer {
    /// Takes lines, each with its line feed.
    pub(crate) fn add_all(&mut self, lines: &[u8]) {
        let mut start = 0;
        for feed in memchr::memchr_iter(b'\n', lines) {
            self.add(lines.get(start..feed).unwrap_or_default());
            start = feed + 1;
        }
    }

    /// Takes a line, without its line feed.
    fn add(&mut self, line: &[u8]) {
        self.summary.lines += 1;
        self.summary.bytes += line.len() as u64 + 1;
        let second = line.get(TIME_AT..).and_then(<[u8]>::first_chunk::<SECOND_LEN>);
        if let Some(second) = second {
            if self.summary.lines == 1 {
                self.earliest = *second;
            }
            self.earliest = self.earliest.min(*second);
            self.latest = self.latest.max(*second);
        }
        let rest = self.members.behind_id(line);
        if rest.is_some_and(members::is_outcome) {
            // Half of the lines, and nothing else is in them.
            self.outcomes += 1;
        } else if let Some(line) = rest.and_then(|rest| self.members.of_request(rest)) {
            self.add_parsed(&line);
        } else if let Ok(line) = serde_json::from_slice::<Line<'_>>(line) {
            self.add_parsed(&line);
        }
    }

    fn add_parsed(&mut self, line: &Line<'_>) {
        let Summary { kinds, decisions, users, networks, routes, .. } = &mut self.summary;
        count(kinds, &line.kind);
        if let Some(decision) = &line.decision {
            count(decisions, decision);
        }
        if let Some(user) = &line.user {
            users.insert(&user.id);
            users.insert(&user.email);
        }
        if let Some(client) = line.client_ip.as_ref().filter(|client| ***client != *self.client) {
            if let Ok(address) = client.parse() {
                networks.insert(&network(address));
            }
            self.client.replace_range(.., client);
        }
        if let Some(route) = &line.route {
            routes.insert(route);
        }
    }

    /// Returns the summary of all lines.
    pub(crate) fn finish(mut self) -> Summary {
        if self.outcomes > 0 {
            *self.summary.kinds.entry("outcome".into()).or_default() += self.outcomes;
        }
        self.summary.from = timestamp(&self.earliest);
        self.summary.to = timestamp(&self.latest).and_then(|time| time.checked_add(1.second()).ok());
        self.summary
    }
}

impl Values {
    /// Returns whether a value may be among them: not if it is not listed, unless there were too many to list.
    #[must_use]
    pub fn may_have(&self, value: &str) -> bool {
        self.0.as_ref().is_none_or(|values| values.contains(value))
    }

    /// Returns the values; `None` when there were too many to list.
    #[must_use]
    pub const fn listed(&self) -> Option<&BTreeSet<Box<str>>> {
        self.0.as_ref()
    }

    fn insert(&mut self, value: &str) {
        let Some(values) = &mut self.0 else { return };
        if value.is_empty() || values.contains(value) {
            return;
        }
        if values.len() >= MOST_VALUES {
            self.0 = None;
        } else {
            values.insert(value.into());
        }
    }
}

impl Default for Values {
    fn default() -> Self {
        Self(Some(BTreeSet::new()))
    }
}

fn count(counts: &mut BTreeMap<Box<str>, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.into(), 1)),
    }
}

/// Returns the network of an address, as it is written in [`Summary::networks`].
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

fn timestamp(second: &Second) -> Option<Timestamp> {
    format!("{}Z", str::from_utf8(second).ok()?).parse().ok()
}

/// Behind `{"time":"`.
const TIME_AT: usize = 9;
const SECOND_LEN: usize = "2026-01-01T00:00:00".len();

/// How many values are listed; a summary stays small whoever comes.
const MOST_VALUES: usize = 4096;

#[cfg(test)]
mod tests;
