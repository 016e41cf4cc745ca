//! What is looked for.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;
use memchr::memmem::{self, Finder};

use super::pending::STATUS;
use super::{Facts, Pattern};
use crate::Summary;

/// What is looked for: a record is meant by a filter when each condition that is set holds.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The id or the e-mail address of the user.
    pub user: Option<Pattern>,
    /// One of the user's groups.
    pub group: Option<Pattern>,
    /// A network with the client's address.
    pub network: Option<IpNet>,
    /// The route.
    pub route: Option<Pattern>,
    /// The host.
    pub host: Option<Pattern>,
    /// The path.
    pub path: Option<Pattern>,
    /// The method.
    pub method: Option<Pattern>,
    /// The status.
    pub status: Option<Statuses>,
    /// What was decided.
    pub decision: Option<Box<str>>,
    /// The rule, as `policy/rule`.
    pub rule: Option<Pattern>,
    /// The session.
    pub session: Option<Pattern>,
    /// The request id.
    pub id: Option<Pattern>,
    /// What happened.
    pub kind: Option<Box<str>>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// Statuses: `403`, `4xx` or `500-599`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    first: u16,
    last: u16,
}

impl Filter {
    /// Returns whether a segment can hold what is looked for.
    pub(super) fn may_be_in(&self, summary: &Summary) -> bool {
        let in_time = self.since.is_none_or(|since| summary.to.is_none_or(|to| to > since))
            && self.until.is_none_or(|until| summary.from.is_none_or(|from| from < until));
        let listed = |pattern: &Option<Pattern>, values: &crate::Values| {
            let Some((pattern, listed)) = pattern.as_ref().zip(values.listed()) else { return true };
            listed.iter().any(|value| pattern.matches(value))
        };
        in_time
            && listed(&self.user, &summary.users)
            && listed(&self.route, &summary.routes)
            && self.kind.as_ref().is_none_or(|kind| summary.kinds.contains_key(kind))
            && self.network.zip(summary.networks.listed()).is_none_or(|(network, listed)| {
                listed.iter().any(|of| of.parse::<IpNet>().map_or(true, |of| overlap(network, of)))
            })
    }

    /// Returns what is in the line of each record that is meant: the longest is the rarest, mostly.
    ///
    /// What an outcome may say otherwise (`decision`, `status`) gives none.
    pub(super) fn needle(&self) -> Option<Finder<'static>> {
        let patterns = [
            &self.user,
            &self.group,
            &self.route,
            &self.host,
            &self.path,
            &self.method,
            &self.rule,
            &self.session,
            &self.id,
        ];
        let kind = self.kind.as_ref().map(|kind| format!("\"kind\":\"{kind}\""));
        let network = self.network.and_then(address_needle);
        let needles = patterns.into_iter().flatten().filter_map(Pattern::needle).chain(kind).chain(network);
        needles.max_by_key(String::len).map(|needle| Finder::new(needle.as_bytes()).into_owned())
    }

    /// Returns whether a line can be the last of a record that is meant, as far as its bytes tell at a glance. Those of requests
    /// whose outcome follows may always be.
    pub(super) fn may_end(&self, line: &[u8]) -> bool {
        let is_decision = |wanted: &str| {
            let mut decisions = members(line, DECISION);
            // An outcome without one leaves what was decided: to let through.
            let Some(first) = decisions.next() else { return wanted == "allow" };
            is_text(first, wanted) || decisions.any(|text| is_text(text, wanted))
        };
        let is_status = |wanted: Statuses| members(line, STATUS).any(|text| wanted.have(number(text)));
        (self.status.is_none() && self.decision.is_none())
            || members(line, STATUS).next().is_none()
            || (self.status.is_none_or(is_status) && self.decision.as_deref().is_none_or(is_decision))
    }

    /// Returns whether a record is meant, now that all is known of it.
    pub(super) fn allows(&self, facts: &Facts<'_>) -> bool {
        let is = |pattern: &Option<Pattern>, text: &str| pattern.as_ref().is_none_or(|pattern| pattern.matches(text));
        self.since.is_none_or(|since| facts.time >= since)
            && self.until.is_none_or(|until| facts.time < until)
            && self.kind.as_ref().is_none_or(|kind| **kind == facts.kind)
            && self.decision.as_ref().is_none_or(|decision| **decision == facts.decision)
            && self.status.is_none_or(|statuses| facts.status.is_some_and(|status| statuses.have(status)))
            && is(&self.id, &facts.id)
            && is(&self.route, &facts.route)
            && is(&self.host, &facts.host)
            && is(&self.path, &facts.path)
            && is(&self.method, &facts.method)
            && is(&self.rule, &facts.rule)
            && is(&self.session, &facts.session)
            && (is(&self.user, &facts.user.id) || is(&self.user, &facts.user.email))
            && self.group.as_ref().is_none_or(|group| facts.user.groups.iter().any(|of| group.matches(of)))
            && self.network.is_none_or(|network| facts.client_ip.is_some_and(|ip| network.contains(&ip)))
    }
}

impl Statuses {
    const fn have(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }
}

impl FromStr for Statuses {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const REMEDY: &str = "write a status such as `403`, a class such as `4xx`, or a range such as `500-599`";
        let number = |text: &str| text.parse::<u16>().map_err(|_| REMEDY);
        let (first, last) = match (text.strip_suffix("xx"), text.split_once('-')) {
            (Some(class), _) => {
                let class = number(class).ok().filter(|class| *class < 10).ok_or(REMEDY)?;
                (class * 100, class * 100 + 99)
            }
            (None, Some((first, last))) => (number(first)?, number(last)?),
            (None, None) => (number(text)?, number(text)?),
        };
        if first <= last { Ok(Self { first, last }) } else { Err(REMEDY) }
    }
}

/// Returns what stands behind each member of that name: also in objects within, so there may be more than one.
fn members<'l>(line: &'l [u8], name: &'static [u8]) -> impl Iterator<Item = &'l [u8]> {
    memmem::find_iter(line, name).filter_map(|at| line.get(at + name.len()..)).map(<[u8]>::trim_ascii_start)
}

fn is_text(json: &[u8], text: &str) -> bool {
    let rest = json.strip_prefix(b"\"").and_then(|json| json.strip_prefix(text.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"\""))
}

fn number(json: &[u8]) -> u16 {
    let digits = json.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u16, digit| number.saturating_mul(10).saturating_add((digit - b'0').into()))
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// Returns how the addresses of a network begin in a line, where they all begin so.
fn address_needle(network: IpNet) -> Option<String> {
    let bits = network.prefix_len();
    let begin = match network.network() {
        address if bits == network.max_prefix_len() => return Some(format!("{CLIENT_IP}{address}\"")),
        IpAddr::V4(first) => {
            first.octets().iter().take(usize::from(bits / 8)).map(|octet| format!("{octet}.")).collect::<String>()
        }
        // Groups that are zero may be left out (RFC 5952), so those before the first of them are sure to stand there.
        IpAddr::V6(first) => {
            let groups = first.segments().into_iter().take(usize::from(bits / 16)).take_while(|group| *group != 0);
            groups.map(|group| format!("{group:x}:")).collect()
        }
    };
    (!begin.is_empty()).then(|| format!("{CLIENT_IP}{begin}"))
}

const CLIENT_IP: &str = "\"client_ip\":\"";
const DECISION: &[u8] = b"\"decision\":";
