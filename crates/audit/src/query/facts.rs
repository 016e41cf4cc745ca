//! What is read of a line to tell whether it is looked for, and the two lines of a request as one.

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::line;

/// What is read of a line. A text that the line does not have is empty.
#[derive(Clone, Debug, Deserialize)]
pub struct Facts<'a> {
    /// When it happened.
    pub time: Timestamp,
    /// The request id.
    #[serde(borrow, default)]
    pub id: Cow<'a, str>,
    /// What happened.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The route.
    #[serde(borrow, default)]
    pub route: Cow<'a, str>,
    /// The client's address.
    #[serde(default)]
    pub client_ip: Option<IpAddr>,
    /// Who asked.
    #[serde(borrow, default)]
    pub user: Who<'a>,
    /// The session.
    #[serde(borrow, default)]
    pub session: Cow<'a, str>,
    /// The method.
    #[serde(borrow, default)]
    pub method: Cow<'a, str>,
    /// The host.
    #[serde(borrow, default)]
    pub host: Cow<'a, str>,
    /// The path.
    #[serde(borrow, default)]
    pub path: Cow<'a, str>,
    /// What was decided.
    #[serde(borrow, default)]
    pub decision: Cow<'a, str>,
    /// The rule that decided.
    #[serde(borrow, default)]
    pub rule: Cow<'a, str>,
    /// Why.
    #[serde(borrow, default)]
    pub reason: Cow<'a, str>,
    /// The status that was sent.
    #[serde(default)]
    pub status: Option<u16>,
}

/// Who asked.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Who<'a> {
    /// `issuer|subject`.
    #[serde(borrow, default)]
    pub id: Cow<'a, str>,
    /// The e-mail address.
    #[serde(borrow, default)]
    pub email: Cow<'a, str>,
    /// The groups.
    #[serde(borrow, default)]
    pub groups: Vec<Cow<'a, str>>,
}

/// What an outcome adds.
#[derive(Deserialize)]
struct End<'a> {
    #[serde(borrow, default)]
    decision: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    status: Option<u16>,
}

/// A record that was looked for.
#[derive(Debug)]
pub struct Found<'a> {
    /// What was read of it; of a request with its outcome, from both lines.
    pub facts: &'a Facts<'a>,
    /// Its line.
    pub line: &'a [u8],
    /// The second line, of a request that was decided ahead.
    pub outcome: Option<&'a [u8]>,
}

impl<'a> Facts<'a> {
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Returns whether what became of it stands, or will stand, in a second line.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.kind == "request" && self.status.is_none() && self.decision == "allow"
    }

    /// Takes in what became of it.
    pub(super) fn end(&mut self, outcome: &'a [u8]) {
        let Ok(end) = serde_json::from_slice::<End<'_>>(outcome) else { return };
        self.status = end.status;
        if !end.decision.is_empty() {
            (self.decision, self.reason) = (end.decision, end.reason);
        }
    }

    /// Returns the e-mail address of the user, else the id.
    #[must_use]
    pub fn who(&self) -> &str {
        if self.user.email.is_empty() { &self.user.id } else { &self.user.email }
    }
}

/// Joins the lines of a request into one object, without what ties the lines to the chain. Its texts are as they were
/// written. A request that was decided ahead and whose outcome was not found has `"outcome":"not-found"`.
///
/// # Errors
/// A line is no object.
pub fn joined(line: &[u8], outcome: Option<&[u8]>) -> serde_json::Result<String> {
    let Members(mut members) = serde_json::from_slice(line)?;
    if let Some(outcome) = outcome {
        let Members(of_outcome) = serde_json::from_slice(outcome)?;
        for (name, value) in of_outcome.into_iter().filter(|(name, _)| !matches!(&**name, "time" | "id" | "kind")) {
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => members.push((name, value)),
            }
        }
    }
    members.retain(|(name, _)| !matches!(&**name, "prev" | "hash" | "signature"));
    let is_cut_off = outcome.is_none() && Facts::read(line).is_some_and(|facts| facts.is_ahead());
    let mut json = String::with_capacity(line.len() + outcome.map_or(0, <[u8]>::len));
    for (name, value) in &members {
        json.push(if json.is_empty() { '{' } else { ',' });
        json.push_str(&serde_json::to_string(name)?);
        json.push(':');
        json.push_str(value.get());
    }
    json.push_str(if is_cut_off { r#","outcome":"not-found"}"# } else { "}" });
    Ok(line::escape_unsafe(json))
}

/// The members of an object, in their order and as they were written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}
