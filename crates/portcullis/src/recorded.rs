//! A request from the audit log, as policies would see it again, and what its record does not tell.

mod line;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use audit::{InputKey, Redact, Redaction};
use authorize::{ClientCertificate, Knowledge, Known, Read};
use identity::{Claims, Identity, Ip, Issuer, Kind, Proof, ProviderId, Subject, Verified};
use jiff::Timestamp;
use proxy::{Authentication, Route};
use serde_json::Value;

use crate::config::{IP_SOURCES, PROTOCOLS, SCHEMES, TLS_VERSIONS};
use crate::situation::{HeaderTexts, SessionTexts, Situation, push_parameter, route_host, word};
pub(crate) use line::Line;
use line::{Certificate, Input, Text, User};

/// A request from the audit log.
#[derive(Debug)]
pub(crate) struct Recorded<'l> {
    pub(crate) situation: Situation<'l>,
    /// The port that a `CONNECT` named.
    pub(crate) port: Option<u16>,
    pub(crate) signed_in: SignedIn,
    /// What the record says was decided.
    pub(crate) decision: &'l str,
    pub(crate) reason: &'l str,
    pub(crate) rule: Option<&'l str>,
    pub(crate) revision: &'l str,
    pub(crate) route: Option<&'l str>,
    inputs: BTreeMap<Box<str>, Input>,
    query_keys: &'l [Text<'l>],
    /// Fields whose text was cut off.
    cut: Vec<&'static str>,
    key: Option<Arc<InputKey>>,
}

/// Whether somebody was signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignedIn {
    Yes,
    No,
    /// Nobody looked: the route did not ask for sign-in, or another provider's session was there.
    Unknown,
}

/// Reads records of one log.
#[derive(Debug)]
pub(crate) struct Reader {
    /// By their text in a record: a few thousand users make a million requests.
    users: HashMap<Box<str>, Arc<Identity>>,
    /// The key of hashed inputs, where it is there.
    key: Option<Arc<InputKey>>,
    /// Fields that records hold changed or not at all.
    redacted: Vec<&'static str>,
}

impl Reader {
    /// Reads records of the log in that directory, which was written with that redaction.
    pub(crate) fn new(dir: &Path, redaction: &Redaction) -> Self {
        let fields = [
            ("request.ip", redaction.client_ip),
            ("request.peer_ip", redaction.peer_ip),
            ("request.path", redaction.path),
            ("user.id", redaction.user_id),
            ("user.email", redaction.user_email),
            ("user.groups", redaction.user_groups),
            ("session.id", redaction.session),
        ];
        let redacted = fields.into_iter().filter(|(_, redact)| *redact != Redact::Keep).map(|(field, _)| field);
        Self { users: HashMap::new(), key: InputKey::read(dir).ok().map(Arc::new), redacted: redacted.collect() }
    }
}

impl<'l> Recorded<'l> {
    /// Reads a record; `None` where policies had no say: it is no request, or was refused before or after them.
    pub(crate) fn read(line: &'l Line<'l>, reader: &mut Reader) -> Option<Self> {
        if line.kind != "request" || !DECIDED_BY_POLICIES.contains(&&*line.reason) {
            return None;
        }
        let inputs: BTreeMap<Box<str>, Input> = line.inputs()?;
        let signed_in = match (&line.user, &*line.reason) {
            (Some(_), _) => SignedIn::Yes,
            (None, "sign-in-required") => SignedIn::No,
            (None, _) if inputs.get("user.authenticated") == Some(&Input::Is(false.into())) => SignedIn::No,
            (None, _) => SignedIn::Unknown,
        };
        let mut cut = reader.redacted.clone();
        let user = line.user.as_ref().map(|raw| user(raw.get(), &inputs, reader, &mut cut));
        let user = match user {
            Some(user) => Some(user?),
            None => None,
        };
        for (field, text) in [("request.path", &line.path), ("request.host", &line.host)] {
            if is_cut(text) {
                cut.push(field);
            }
        }
        // Only a log that leaves addresses out has none here.
        let ip = Ip::new(line.client_ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()));
        let tls = line.tls.as_ref();
        let (host, port) = match line.host.rsplit_once(':') {
            Some((host, port)) if line.method == "CONNECT" => (host, Some(port.parse().ok()?)),
            _ => (&*line.host, None),
        };
        let time = |name: &str| text_input(&inputs, name).and_then(|text| text.parse::<Timestamp>().ok());
        Some(Self {
            situation: Situation {
                ip,
                peer_ip: line.peer_ip.map_or(ip, Ip::new),
                ip_source: word(&IP_SOURCES, line.client_ip_source.as_deref()?)?,
                method: Cow::Borrowed(&line.method),
                scheme: word(&SCHEMES, &line.scheme)?,
                host: host.into(),
                path: Cow::Borrowed(&line.path),
                query: query(&inputs),
                headers: headers(&inputs),
                time: line.time,
                protocol: word(&PROTOCOLS, &line.protocol)?,
                id: Cow::Borrowed(&line.id),
                grpc: (owned_input(&inputs, "request.grpc.service"), owned_input(&inputs, "request.grpc.method")),
                tls_version: tls.and_then(|tls| word(&TLS_VERSIONS, &tls.version)).unwrap_or_default(),
                sni: tls.map(|tls| Cow::Borrowed(&*tls.sni)).unwrap_or_default(),
                certificate: tls.and_then(|tls| tls.client_certificate.as_ref()).map(|one| certificate(one, &inputs)),
                session: user.is_some().then(|| SessionTexts {
                    id: line.session.as_deref().unwrap_or_default().into(),
                    created: time("session.created").unwrap_or(Timestamp::UNIX_EPOCH),
                    expires: time("session.expires").unwrap_or(Timestamp::UNIX_EPOCH),
                }),
                user,
                route: Cow::default(),
                route_host: Cow::default(),
            },
            port,
            signed_in,
            decision: &line.decision,
            reason: &line.reason,
            rule: line.rule.as_deref(),
            revision: &line.revision,
            route: line.route.as_deref(),
            inputs,
            query_keys: &line.query_keys,
            cut,
            key: reader.key.clone(),
        })
    }

    /// Puts the request on a route.
    pub(crate) fn set_route(&mut self, route: &'l Route) {
        self.situation.route = Cow::Borrowed(&route.name);
        self.situation.route_host = route_host(route);
    }

    /// Returns who it was, for people: the e-mail address, else the id; empty when nobody is known.
    pub(crate) fn who(&self) -> &str {
        let user = self.situation.user.as_deref();
        user.map_or("", |user| if user.email().is_empty() { user.id() } else { user.email() })
    }

    /// Returns a field without which the route of the request cannot be told.
    pub(crate) fn unknown_for_routing(&self) -> Option<&'static str> {
        self.cut.iter().copied().find(|field| ["request.host", "request.path"].contains(field))
    }

    /// Returns whether the route would ask for sign-in first.
    pub(crate) fn must_sign_in(&self, route: &Route) -> bool {
        route.authenticate == Authentication::Required && self.signed_in != SignedIn::Yes
    }

    /// Returns what is known of what only `inputs` can hold.
    fn input(&self, read: &Read) -> Known {
        match self.inputs.get(read.to_string().as_str()) {
            Some(Input::Absent) => Known::Value,
            Some(Input::Is(value)) if !value.as_str().is_some_and(is_cut) => Known::Value,
            Some(Input::Is(_) | Input::Redacted | Input::Hashed(_)) => Known::Presence,
            None => Known::Nothing,
        }
    }

    fn of_user(&self, read: &Read) -> Known {
        match self.signed_in {
            SignedIn::No => Known::Value,
            SignedIn::Unknown => Known::Nothing,
            SignedIn::Yes if self.cut.contains(&read.field) => Known::Nothing,
            SignedIn::Yes if RECORDED_OF_USERS.contains(&read.field) => Known::Value,
            SignedIn::Yes => self.input(read),
        }
    }

    fn of_certificate(&self, read: &Read) -> Known {
        let field = read.field.rsplit('.').next().unwrap_or_default();
        if self.situation.certificate.is_none() || ["present", "subject", "fingerprint_sha256"].contains(&field) {
            return Known::Value;
        }
        self.input(read)
    }
}

impl Knowledge for Recorded<'_> {
    fn of(&self, read: &Read) -> Known {
        match read.field {
            "request.headers" | "request.grpc.service" | "request.grpc.method" => self.input(read),
            "request.query" => match (self.input(read), &read.key) {
                (Known::Nothing, Some(key)) if self.query_keys.iter().any(|known| **known == **key) => Known::Presence,
                (known, _) => known,
            },
            field if field.starts_with("user.") || field.starts_with("session.") => self.of_user(read),
            field if field.starts_with("request.tls.client_certificate.") => self.of_certificate(read),
            field if self.cut.contains(&field) => Known::Nothing,
            _ => Known::Value,
        }
    }

    fn is(&self, read: &Read, text: &str) -> Option<bool> {
        let name = read.to_string();
        match (self.inputs.get(name.as_str())?, &self.key) {
            (Input::Hashed(hash), Some(key)) => Some(*key.hash(&name, text) == **hash),
            (Input::Hashed(_) | Input::Redacted | Input::Absent | Input::Is(_), _) => None,
        }
    }
}

fn user(
    raw: &str,
    inputs: &BTreeMap<Box<str>, Input>,
    reader: &mut Reader,
    cut: &mut Vec<&'static str>,
) -> Option<Arc<Identity>> {
    // Almost all that a record tells of a user is the same in the next one.
    let more = inputs.keys().any(|name| name.starts_with("user.") || name.starts_with("session."));
    if let Some(known) = reader.users.get(raw).filter(|_| !more) {
        return Some(Arc::clone(known));
    }
    let user: User<'_> = serde_json::from_str(raw).ok()?;
    let whole = !user.groups.iter().any(|group| is_cut(group));
    if !whole {
        cut.push("user.groups");
    }
    for (field, text) in [("user.id", &user.id), ("user.email", &user.email)] {
        if is_cut(text) {
            cut.push(field);
        }
    }
    let identity = Arc::new(identity(&user, inputs)?);
    if !more && cut.is_empty() {
        reader.users.insert(raw.into(), Arc::clone(&identity));
    }
    Some(identity)
}

fn identity(user: &User<'_>, inputs: &BTreeMap<Box<str>, Input>) -> Option<Identity> {
    // What stands for an id that is not to be written has no issuer.
    let (issuer, subject) = user.id.split_once('|').unwrap_or(("redacted", &user.id));
    let is = |name: &str| match inputs.get(name) {
        Some(Input::Is(value)) => Some(value),
        _ => None,
    };
    let mut claims = serde_json::Map::new();
    if let Some(verified) = is("user.email_verified") {
        claims.insert("email_verified".to_owned(), verified.clone());
    }
    for (name, input) in inputs {
        let Some(claim) = name.strip_prefix("user.claims.") else { continue };
        match input {
            Input::Is(value) => drop(claims.insert(claim.to_owned(), value.clone())),
            // Only that it is there is known: nothing looks at the value.
            Input::Redacted | Input::Hashed(_) => drop(claims.insert(claim.to_owned(), Value::Null)),
            Input::Absent => {}
        }
    }
    let texts = |name: &str| is(name).and_then(Value::as_array).map(|items| strings(items)).unwrap_or_default();
    Some(Identity::verified(Verified {
        issuer: Issuer::new(issuer).ok()?,
        subject: Subject::new(subject).ok()?,
        kind: if is("user.machine") == Some(&Value::Bool(true)) { Kind::Machine } else { Kind::Person },
        provider: ProviderId::new(&*user.provider).ok()?,
        email: (*user.email).into(),
        name: owned_input(inputs, "user.name").into(),
        groups: user.groups.iter().map(|group| (**group).into()).collect(),
        claims: Claims::verified(claims),
        proof: Proof {
            auth_time: text_input(inputs, "session.auth_time").and_then(|text| text.parse().ok()),
            acr: owned_input(inputs, "session.acr").into(),
            amr: texts("session.amr"),
        },
    }))
}

fn certificate(one: &Certificate<'_>, inputs: &BTreeMap<Box<str>, Input>) -> ClientCertificate {
    let texts = |name: &str| match inputs.get(&*format!("request.tls.client_certificate.{name}")) {
        Some(Input::Is(Value::Array(items))) => strings(items),
        _ => Box::default(),
    };
    let not_after = text_input(inputs, "request.tls.client_certificate.not_after").and_then(|text| text.parse().ok());
    ClientCertificate {
        subject: (*one.subject).into(),
        fingerprint_sha256: (*one.fingerprint_sha256).into(),
        san_dns: texts("san_dns"),
        san_uri: texts("san_uri"),
        san_email: texts("san_email"),
        not_after: not_after.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

fn headers(inputs: &BTreeMap<Box<str>, Input>) -> HeaderTexts {
    let mut headers = HeaderTexts::default();
    for (name, input) in inputs {
        let Some(name) = name.strip_prefix("request.headers.") else { continue };
        match input {
            Input::Is(Value::String(text)) => drop(headers.0.insert(name.to_owned(), text.clone())),
            Input::Is(_) | Input::Redacted | Input::Hashed(_) => drop(headers.0.insert(name.to_owned(), String::new())),
            Input::Absent => {}
        }
    }
    headers
}

fn query(inputs: &BTreeMap<Box<str>, Input>) -> String {
    let mut query = String::new();
    for (name, input) in inputs {
        let Some(name) = name.strip_prefix("request.query.") else { continue };
        match input {
            Input::Is(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).for_each(|value| push_parameter(&mut query, name, value));
            }
            Input::Is(_) | Input::Redacted | Input::Hashed(_) => push_parameter(&mut query, name, ""),
            Input::Absent => {}
        }
    }
    query
}

fn text_input<'i>(inputs: &'i BTreeMap<Box<str>, Input>, name: &str) -> Option<&'i str> {
    match inputs.get(name) {
        Some(Input::Is(Value::String(text))) => Some(text),
        _ => None,
    }
}

fn owned_input(inputs: &BTreeMap<Box<str>, Input>, name: &str) -> String {
    text_input(inputs, name).unwrap_or_default().to_owned()
}

fn strings(items: &[Value]) -> Box<[Box<str>]> {
    items.iter().filter_map(Value::as_str).map(Into::into).collect()
}

/// Returns whether a text in a record stands for another: it was too long, or it was not to be written.
fn is_cut(text: &str) -> bool {
    text.starts_with("hmac:")
        || text == "[removed]"
        || ((text.ends_with(" bytes)") || text.ends_with(" items)")) && text.contains("…(+"))
}

/// What the log says of every signed-in user.
const RECORDED_OF_USERS: [&str; 6] =
    ["user.authenticated", "user.id", "user.email", "user.groups", "user.provider", "session.id"];

/// The reasons of decisions that another policy may change.
const DECIDED_BY_POLICIES: [&str; 10] = [
    "allow-rule-matched",
    "deny-rule-matched",
    "deny-rule-failed",
    "no-policy-matched",
    "allow-rule-failed",
    "shadow-mode",
    "sign-in-required",
    "other-provider-required",
    "step-up-required",
    "no-route",
];

#[cfg(test)]
mod tests;
