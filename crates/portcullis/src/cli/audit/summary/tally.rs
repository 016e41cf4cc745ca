//! Records counted by some of their fields.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use ::audit::{Collect, Facts, Found};
use clap::ValueEnum;
use jiff::Timestamp;

/// What records are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Key {
    User,
    Ip,
    Route,
    Host,
    Path,
    Method,
    Status,
    Decision,
    Rule,
    Reason,
    Session,
    Kind,
}

/// Records with the same fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) count: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// The fields of a group, in the order asked for, and its count.
pub(super) type Counted = (Vec<Box<str>>, Group);

/// Counts records.
#[derive(Debug)]
pub(super) struct Tallying<'a> {
    by: &'a [Key],
    all: Mutex<Tally>,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    // By the fields, each with a line feed behind it.
    groups: HashMap<Box<str>, Group>,
    others: u64,
    key: String,
}

impl Key {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Ip => "ip",
            Self::Route => "route",
            Self::Host => "host",
            Self::Path => "path",
            Self::Method => "method",
            Self::Status => "status",
            Self::Decision => "decision",
            Self::Rule => "rule",
            Self::Reason => "reason",
            Self::Session => "session",
            Self::Kind => "kind",
        }
    }

    fn append(self, facts: &Facts<'_>, key: &mut String) {
        let text = match self {
            Self::Ip => &*facts.client_ip.map(|ip| ip.to_string()).unwrap_or_default(),
            Self::Status => &*facts.status.map(|status| status.to_string()).unwrap_or_default(),
            Self::User => facts.who(),
            Self::Route => &facts.route,
            Self::Host => &facts.host,
            Self::Path => &facts.path,
            Self::Method => &facts.method,
            Self::Decision => &facts.decision,
            Self::Rule => &facts.rule,
            Self::Reason => &facts.reason,
            Self::Session => &facts.session,
            Self::Kind => &facts.kind,
        };
        key.extend(text.chars().map(|c| if c == '\n' { ' ' } else { c }));
        key.push('\n');
    }
}

impl<'a> Tallying<'a> {
    pub(super) fn new(by: &'a [Key]) -> Self {
        Self { by, all: Mutex::default() }
    }

    /// Returns the groups, the largest first, and how many records are in none.
    pub(super) fn into_sorted(self) -> (Vec<Counted>, u64) {
        let Tally { groups, others, .. } = self.all.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by(|(a_key, a), (b_key, b)| b.count.cmp(&a.count).then_with(|| a_key.cmp(b_key)));
        let fields = |key: &str| key.split_terminator('\n').map(Into::into).collect();
        (groups.into_iter().map(|(key, group)| (fields(&key), group)).collect(), others)
    }
}

impl Tally {
    fn add(&mut self, key: &str, of: Group) {
        if let Some(group) = self.groups.get_mut(key) {
            group.count += of.count;
            group.first = group.first.min(of.first);
            group.last = group.last.max(of.last);
        } else if self.groups.len() < MOST_GROUPS {
            self.groups.insert(key.into(), of);
        } else {
            self.others += of.count;
        }
    }
}

impl Collect for Tallying<'_> {
    type Part = Tally;

    fn begin(&self, _place: usize) -> Tally {
        Tally::default()
    }

    fn take(&self, tally: &mut Tally, found: &Found<'_>) -> ControlFlow<()> {
        let mut key = std::mem::take(&mut tally.key);
        key.clear();
        self.by.iter().for_each(|by| by.append(found.facts, &mut key));
        let time = found.facts.time;
        tally.add(&key, Group { count: 1, first: time, last: time });
        tally.key = key;
        ControlFlow::Continue(())
    }

    fn end(&self, tally: Tally) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        tally.groups.iter().for_each(|(key, group)| all.add(key, *group));
        all.others += tally.others;
    }
}

/// How many groups are counted; further records are counted together. A caller chooses paths, so memory would grow with them.
pub(super) const MOST_GROUPS: usize = 200_000;
