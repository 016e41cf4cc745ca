//! What is looked for.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;
use memchr::memmem::Finder;

use super::pattern::Needle;
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
    /// The host; the one of a tunnel, which has a port, also without.
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

    /// Returns what is in the line of each record that is meant: of the longest text, which is the rarest, mostly.
    ///
    /// What an outcome may say otherwise (`decision`, `status`) gives none.
    pub(super) fn needle(&self) -> Option<Finder<'static>> {
        let patterns = [
            // The first two may be one of several members.
            (&self.user, "\"", "\""),
            (&self.group, "\"", "\""),
            (&self.route, "\"route\":\"", "\""),
            // A port may follow.
            (&self.host, "\"host\":\"", ""),
            (&self.path, "\"path\":\"", "\""),
            (&self.method, "\"method\":\"", "\""),
            (&self.rule, "\"rule\":\"", "\""),
            (&self.session, "\"session\":\"", "\""),
            (&self.id, "\"id\":\"", "\""),
        ];
        let needles =
            patterns.into_iter().filter_map(|(pattern, before, after)| pattern.as_ref()?.needle(before, after));
        // Nearly all lines may be of one kind.
        let kind = self.kind.as_ref().map(|kind| Needle { bytes: format!("\"kind\":\"{kind}\""), of: 0 });
        let rarest = kind.into_iter().chain(self.network.and_then(address_needle)).chain(needles);
        rarest.max_by_key(|needle| needle.of).map(|needle| Finder::new(&needle.bytes).into_owned())
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
            && (is(&self.host, &facts.host) || is(&self.host, without_port(&facts.host)))
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
    pub(super) const fn have(self, status: u16) -> bool {
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

/// Returns a host without its port, if it has one. An IPv6 address stands in brackets.
fn without_port(host: &str) -> &str {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name)
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// Returns how the addresses of a network begin in a line, where they all begin so.
fn address_needle(network: IpNet) -> Option<Needle> {
    let bits = network.prefix_len();
    let begin = match network.network() {
        address if bits == network.max_prefix_len() => format!("{address}\""),
        IpAddr::V4(first) => {
            first.octets().iter().take(usize::from(bits / 8)).map(|octet| format!("{octet}.")).collect::<String>()
        }
        // Groups that are zero may be left out (RFC 5952), so those before the first of them are sure to stand there.
        IpAddr::V6(first) => {
            let groups = first.segments().into_iter().take(usize::from(bits / 16)).take_while(|group| *group != 0);
            groups.map(|group| format!("{group:x}:")).collect()
        }
    };
    (!begin.is_empty()).then(|| Needle { of: begin.len(), bytes: format!("{CLIENT_IP}{begin}") })
}

const CLIENT_IP: &str = "\"client_ip\":\"";
