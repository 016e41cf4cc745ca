//! Counts what changes.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::super::verdict::Verdict;
use crate::recorded::Recorded;

/// From when until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) since: Timestamp,
    pub(super) until: Option<Timestamp>,
}

impl Window {
    pub(super) fn holds(&self, time: Timestamp) -> bool {
        time >= self.since && self.until.is_none_or(|until| time < until)
    }
}

/// What becomes of all requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) unchanged: u64,
    /// Refused before and after, in another way.
    pub(super) refused_otherwise: u64,
    pub(super) undecidable: u64,
    /// What records do not tell, and how many of them.
    pub(super) missing: BTreeMap<String, u64>,
    /// Requests that no policy decided.
    pub(super) not_by_policy: u64,
    pub(super) unreadable: u64,
    changes: HashMap<Change, Changed>,
}

/// Who loses or gains what, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) gains: bool,
    /// Empty for nobody known.
    pub(super) user: Box<str>,
    pub(super) route: Box<str>,
    /// What is decided then.
    pub(super) decision: &'static str,
    pub(super) reason: &'static str,
    /// The rule that decides then.
    pub(super) rule: Option<Box<str>>,
    /// The rule that decided before.
    pub(super) before: Option<Box<str>>,
    pub(super) reason_before: Box<str>,
}

/// The requests of a change.
#[derive(Clone, Debug, Default)]
pub(super) struct Changed {
    pub(super) requests: u64,
    pub(super) last: Timestamp,
    /// The last of them, for `policy explain`.
    pub(super) id: String,
}

impl Tally {
    /// Counts a request that was decided again.
    pub(super) fn count(&mut self, recorded: &Recorded<'_>, route: Option<&str>, verdict: Verdict) {
        if let Verdict::Undecidable { missing } = verdict {
            self.undecidable += 1;
            for input in missing {
                *self.missing.entry(input).or_default() += 1;
            }
            return;
        }
        let (was, is) = (recorded.decision == "allow", matches!(verdict, Verdict::Allow { .. }));
        if was == is {
            let same = recorded.decision == verdict.as_str();
            *(if same { &mut self.unchanged } else { &mut self.refused_otherwise }) += 1;
            return;
        }
        let change = Change {
            gains: is,
            user: recorded.who().into(),
            route: route.or(recorded.route).unwrap_or_default().into(),
            decision: verdict.as_str(),
            reason: verdict.reason(),
            rule: verdict.rule().map(Into::into),
            before: recorded.rule.map(Into::into),
            reason_before: recorded.reason.into(),
        };
        let request = &recorded.situation;
        let known = self.changes.entry(change).or_default();
        known.requests += 1;
        if request.time >= known.last {
            known.last = request.time;
            request.id.as_ref().clone_into(&mut known.id);
        }
    }

    /// Takes in what was counted elsewhere.
    pub(super) fn merge(&mut self, other: Self) {
        self.unchanged += other.unchanged;
        self.refused_otherwise += other.refused_otherwise;
        self.undecidable += other.undecidable;
        self.not_by_policy += other.not_by_policy;
        self.unreadable += other.unreadable;
        for (input, count) in other.missing {
            *self.missing.entry(input).or_default() += count;
        }
        for (change, changed) in other.changes {
            let known = self.changes.entry(change).or_default();
            known.requests += changed.requests;
            if changed.last >= known.last {
                (known.last, known.id) = (changed.last, changed.id);
            }
        }
    }

    /// Returns whether anybody loses or gains access.
    pub(super) fn differs(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Returns who gains or loses what: by user, route and rule.
    pub(super) fn changes(&self, gains: bool) -> Vec<(&Change, &Changed)> {
        let mut changes: Vec<_> = self.changes.iter().filter(|(change, _)| change.gains == gains).collect();
        changes.sort_by_key(|(change, _)| *change);
        changes
    }

    /// Returns how many requests gain or lose.
    pub(super) fn changed(&self, gains: bool) -> u64 {
        self.changes.iter().filter(|(change, _)| change.gains == gains).map(|(_, changed)| changed.requests).sum()
    }

    /// Returns how many requests were decided again, or could not be.
    pub(super) fn all(&self) -> u64 {
        self.unchanged + self.refused_otherwise + self.undecidable + self.changed(true) + self.changed(false)
    }
}
