//! The tests in policy files: what is given, and what is expected.

use std::sync::Arc;

use authorize::ClientCertificate;
use identity::{Claims, Identity, Issuer, Kind, Proof, ProviderId, Subject, Verified};
use jiff::Timestamp;

use super::builder::Builder;
use super::fields::Fields;
use super::format;
use super::given_rows::{self, GivenRows};
use super::schema::policy_tests;
use super::source::Place;
use super::tree::{Node, Style, Value, is_bool, quoted};
use crate::situation::{HeaderTexts, SessionTexts, Situation, push_parameter, word};
use crate::tables::Source;

/// One test of a policy file.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Which file, and where in it.
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) given: Situation<'static>,
    /// What tables hold while it runs.
    pub(crate) tables: Vec<GivenRows>,
    pub(crate) expect: Vec<Expectation>,
}

/// What one policy is expected to decide.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) policy: String,
    pub(crate) decision: Outcome,
    pub(crate) rule: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) shadow: Option<Outcome>,
}

/// What a policy decides, as tests tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allow,
    Deny,
    /// Refused, because a rule could not be evaluated.
    Error,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
        }
    }

    fn named(text: &str) -> Option<Self> {
        [Self::Allow, Self::Deny, Self::Error].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// Builds the tests of all policy files, and reports those that test nothing.
pub(crate) fn cases(
    builder: &mut Builder<'_>,
    files: &[Node],
    policies: &[authorize::Policy],
    tables: &[Arc<Source>],
) -> Vec<Case> {
    let mut cases = Vec::new();
    for file in files {
        let defaults = file.get("test_defaults");
        if let Some(node) = defaults {
            let fields = Fields::new(&policy_tests::GIVEN, Some(node));
            given(builder, &fields);
            given_rows::build(builder, &fields, tables);
        }
        for node in file.get("tests").map_or(&[][..], Node::items) {
            cases.extend(case(builder, node, defaults, policies, tables));
        }
    }
    cases
}

fn case(
    builder: &mut Builder<'_>,
    node: &Node,
    defaults: Option<&Node>,
    policies: &[authorize::Policy],
    tables: &[Arc<Source>],
) -> Option<Case> {
    let fields = Fields::new(&policy_tests::TEST, Some(node));
    let facts = Fields::new(&policy_tests::GIVEN, fields.own("given")).inheriting(defaults);
    let given = given(builder, &facts);
    let tables = given_rows::build(builder, &facts, tables);
    let expect = fields.own("expect")?;
    if expect.entries().is_empty() && matches!(expect.value, Value::Map(_)) {
        builder.error(expect.place, "this tests nothing: name a policy and what it decides, such as `staff: allow`");
    }
    let mut expected = Vec::new();
    for entry in expect.entries() {
        let Some(policy) = policies.iter().find(|policy| policy.name == entry.key) else {
            let hint = super::suggest::hint(&entry.key, policies.iter().map(|policy| policy.name.as_str()));
            builder.error(entry.key_place, format!("no policy is called {}: {hint}", quoted(&entry.key)));
            continue;
        };
        expected.extend(expectation(builder, &entry.value, policy));
    }
    let name = fields.text("name")?.to_owned();
    Some(Case { place: fields.own("name")?.place, name, given: given?, tables, expect: expected })
}

fn expectation(builder: &mut Builder<'_>, node: &Node, policy: &authorize::Policy) -> Option<Expectation> {
    let policy_name = policy.name.clone();
    if let Some(text) = node.text() {
        let decision = Outcome::named(text)?;
        return Some(Expectation {
            policy: policy_name,
            decision,
            rule: None,
            message: None,
            error: None,
            shadow: None,
        });
    }
    let fields = Fields::new(&policy_tests::EXPECTATION, Some(node));
    let outcome = |key| fields.text(key).and_then(Outcome::named);
    let text = |key| fields.own(key).and_then(Node::text).map(str::to_owned);
    if let Some(node) = fields.own("rule") {
        let own = policy.allow.iter().chain(&policy.deny).map(|rule| rule.name.as_str());
        let named = node.text().unwrap_or_default();
        if !own.clone().any(|rule| rule == named) {
            let hint = super::suggest::hint(named, own);
            builder.error(node.place, format!("{} has no rule {}: {hint}", quoted(&policy.name), node.shown()));
        }
    }
    if let Some(node) = fields.own("shadow").filter(|_| policy.shadow.is_none()) {
        let message = format!("{} has no candidate: write `shadow` there, or remove it here", quoted(&policy.name));
        builder.error(node.place, message);
    }
    Some(Expectation {
        policy: policy_name,
        decision: outcome("decision")?,
        rule: text("rule"),
        message: text("message"),
        error: text("error"),
        shadow: outcome("shadow"),
    })
}

fn given(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Option<Situation<'static>> {
    let request = fields.section("request", &policy_tests::REQUEST);
    let tls = request.section("tls", &policy_tests::TLS);
    let grpc = request.section("grpc", &policy_tests::GRPC);
    let session = fields.section("session", &policy_tests::SESSION);
    let route = fields.section("route", &policy_tests::ROUTE);
    let user = user(builder, fields, &session);
    if let Some(node) = fields.get("session").filter(|_| user.is_none()) {
        builder.error(node.place, "a session belongs to somebody: add `user`, or remove `session`");
    }
    let ip = request.read("ip", format::ip)?;
    Some(Situation {
        ip,
        peer_ip: request.read("peer_ip", format::ip).unwrap_or(ip),
        ip_source: word(&policy_tests::IP_SOURCES, request.text("ip_source")?).unwrap_or("peer"),
        method: request.read("method", format::any_method)?.into(),
        scheme: word(&policy_tests::SCHEMES, request.text("scheme")?).unwrap_or("https"),
        host: text(&request, "host").into(),
        path: path(builder, &request).into(),
        query: query(&request),
        headers: headers(builder, &request),
        time: request.read("time", format::time)?,
        protocol: word(&policy_tests::PROTOCOLS, request.text("protocol")?).unwrap_or("h2"),
        id: text(&request, "id").into(),
        grpc: (text(&grpc, "service"), text(&grpc, "method")),
        tls_version: tls.text("version").and_then(|text| word(&policy_tests::TLS_VERSIONS, text)).unwrap_or_default(),
        sni: text(&tls, "sni").into(),
        certificate: certificate(&tls),
        session: user.is_some().then(|| SessionTexts {
            id: text(&session, "id").into(),
            created: time(&session, "created").unwrap_or(Timestamp::UNIX_EPOCH),
            expires: time(&session, "expires").unwrap_or(Timestamp::UNIX_EPOCH),
        }),
        user: user.map(Arc::new),
        route: text(&route, "name").into(),
        route_host: text(&route, "host").into(),
    })
}

fn text(fields: &Fields<'_>, key: &str) -> String {
    fields.text(key).unwrap_or_default().to_owned()
}

fn time(fields: &Fields<'_>, key: &str) -> Option<Timestamp> {
    fields.read(key, format::time)
}

fn boxed(fields: &Fields<'_>, key: &str) -> Box<[Box<str>]> {
    fields.texts(key).into_iter().map(Into::into).collect()
}

fn path(builder: &mut Builder<'_>, request: &Fields<'_>) -> String {
    if request.text("method") == Some("CONNECT") {
        if let Some(node) = request.own("path") {
            builder.error(node.place, "a tunnel has no path: remove it, or the method `CONNECT`");
        }
        return String::new();
    }
    let path = text(request, "path");
    if let Some(node) = request.get("path").filter(|_| !path.starts_with('/') || path.contains(['?', '#'])) {
        let message =
            format!("{} is no path: start it with `/`, and write what follows `?` into `query`", node.shown());
        builder.error(node.place, message);
    }
    path
}

fn query(request: &Fields<'_>) -> String {
    let mut query = String::new();
    for (name, node) in request.table("query") {
        node.items().iter().filter_map(Node::text).for_each(|value| push_parameter(&mut query, name, value));
    }
    query
}

fn headers(builder: &mut Builder<'_>, request: &Fields<'_>) -> HeaderTexts {
    let mut headers = HeaderTexts::default();
    for (name, node) in request.table("headers") {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let lower = quoted(&name.to_ascii_lowercase());
            let message = format!("no expression sees a header {}: names are lower case; write {lower}", quoted(name));
            builder.error(node.place, message);
        }
        headers.0.insert(name.to_owned(), node.text().unwrap_or_default().to_owned());
    }
    headers
}

fn certificate(tls: &Fields<'_>) -> Option<ClientCertificate> {
    tls.get("client_certificate")?;
    let fields = tls.section("client_certificate", &policy_tests::CERTIFICATE);
    fields.flag("present").then(|| ClientCertificate {
        subject: text(&fields, "subject").into(),
        san_dns: boxed(&fields, "san_dns"),
        san_uri: boxed(&fields, "san_uri"),
        san_email: boxed(&fields, "san_email"),
        fingerprint_sha256: text(&fields, "fingerprint_sha256").into(),
        not_after: time(&fields, "not_after").unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

fn user(builder: &mut Builder<'_>, given: &Fields<'_>, session: &Fields<'_>) -> Option<Identity> {
    let node = given.get("user")?;
    let fields = given.section("user", &policy_tests::USER);
    if !fields.flag("authenticated") {
        let known = ["machine", "id", "email", "name", "groups", "claims", "provider"];
        if known.iter().any(|key| fields.own(key).is_some()) {
            builder.error(node.place, "nobody is signed in, so nothing is known of them: remove the other fields");
        }
        return None;
    }
    let id = fields.text("id").unwrap_or("https://issuer.test|user");
    let Some((issuer, subject)) =
        id.split_once('|').filter(|(issuer, subject)| !issuer.is_empty() && !subject.is_empty())
    else {
        let place = fields.get("id").map_or(node.place, |node| node.place);
        builder.error(place, format!("{} is no id: write `issuer|subject`", quoted(id)));
        return None;
    };
    let mut claims: serde_json::Map<String, serde_json::Value> =
        fields.table("claims").map(|(name, node)| (name.to_owned(), json(node))).collect();
    if fields.get("email_verified").is_some() {
        claims.insert("email_verified".to_owned(), fields.flag("email_verified").into());
    }
    Some(Identity::verified(Verified {
        issuer: Issuer::new(issuer).ok()?,
        subject: Subject::new(subject).ok()?,
        kind: if fields.flag("machine") { Kind::Machine } else { Kind::Person },
        provider: ProviderId::new(fields.text("provider")?).ok()?,
        email: text(&fields, "email").into(),
        name: text(&fields, "name").into(),
        groups: boxed(&fields, "groups"),
        claims: Claims::verified(claims),
        proof: Proof {
            auth_time: time(session, "auth_time"),
            acr: text(session, "acr").into(),
            amr: boxed(session, "amr"),
        },
    }))
}

/// Reads a value as YAML 1.2 has it.
pub(crate) fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect(),
        Value::Scalar(scalar) => {
            let plain = scalar.style == Style::Plain;
            let number = plain.then(|| scalar.text.parse::<serde_json::Number>().ok()).flatten();
            match number {
                Some(number) => number.into(),
                None if plain && is_bool(&scalar.text) => (scalar.text == "true").into(),
                None => scalar.text.as_str().into(),
            }
        }
    }
}
