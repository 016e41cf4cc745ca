//! A request, a user and rules for tests.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use identity::{Claims, Identity, Issuer, Kind, Proof, ProviderId, Subject, Verified};
use jiff::Timestamp;

use crate::test_util::mmdb;
use crate::{
    Authorizer, ClientCertificate, Config, Decision, Format, Grpc, Headers, Input, KeyType, Layout, Problem, Request,
    RouteFacts, RouteRules, Rows, Rule, RuleRef, SessionFacts, Table, Tls,
};

/// What an [`Input`] borrows from.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) user: Option<Identity>,
    pub(crate) headers: Lines,
    pub(crate) query: String,
    pub(crate) method: &'static str,
    pub(crate) ip: &'static str,
    pub(crate) certificate: Option<ClientCertificate>,
}

/// Headers as they arrived.
#[derive(Debug, Default)]
pub(crate) struct Lines(pub(crate) Vec<(&'static str, String)>);

impl Headers for Lines {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let values: Vec<&str> = self.0.iter().filter(|line| line.0 == name).map(|line| line.1.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", ").into())
    }

    fn for_each(&self, each: &mut dyn FnMut(&str, Cow<'_, str>)) {
        let names: std::collections::BTreeSet<&str> = self.0.iter().map(|line| line.0).collect();
        for name in names {
            if let Some(value) = self.get(name) {
                each(name, value);
            }
        }
    }
}

impl Default for Scene {
    /// Ada, an engineer on the VPN, at noon on a Wednesday.
    fn default() -> Self {
        Self {
            user: Some(user(&["engineering", "admins"], CLAIMS)),
            headers: Lines(vec![
                ("x-role", "admin".to_owned()),
                ("x-role", "guest".to_owned()),
                ("user-agent", "curl/8".to_owned()),
            ]),
            query: "q=a+b&q=%C3%A4&empty&x%3Dy=1".to_owned(),
            method: "GET",
            ip: "10.8.0.4",
            certificate: Some(ClientCertificate {
                subject: "CN=ada".into(),
                san_dns: ["ada.example.com".into()].into(),
                fingerprint_sha256: "ab12".into(),
                not_after: timestamp("2027-01-01T00:00:00Z"),
                ..ClientCertificate::default()
            }),
        }
    }
}

impl Scene {
    /// The same request before anybody signed in.
    pub(crate) fn signed_out() -> Self {
        Self { user: None, headers: Lines::default(), query: String::new(), certificate: None, ..Self::default() }
    }

    pub(crate) fn input(&self) -> Input<'_> {
        let session = SessionFacts {
            id: "s1",
            created: timestamp("2026-01-07T08:00:00Z"),
            expires: timestamp("2026-01-07T22:00:00Z"),
        };
        Input {
            request: Request {
                ip: self.ip.parse().unwrap(),
                peer_ip: "192.0.2.1".parse().unwrap(),
                ip_source: "x-forwarded-for",
                method: self.method,
                scheme: "https",
                host: "app.example.com",
                path: "/api/v1/items",
                query: &self.query,
                headers: &self.headers,
                time: timestamp("2026-01-07T12:34:56.789Z"),
                protocol: "h2",
                id: "r1",
                grpc: Grpc { service: "shop.Orders", method: "List" },
                tls: Tls { version: "1.3", sni: "app.example.com", client_certificate: self.certificate.as_ref() },
            },
            user: self.user.as_ref(),
            session: self.user.as_ref().map(|_| session),
            route: RouteFacts { name: "app", host: "app.example.com" },
        }
    }
}

pub(crate) fn timestamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const CLAIMS: &str = r#"{
    "department": "R&D", "level": 7, "ratio": 0.5, "big": 18446744073709551615, "email_verified": true,
    "teams": [{"name": "core", "lead": true}, {"name": "web", "lead": false}], "nothing": null
}"#;

pub(crate) fn user(groups: &[&str], claims: &str) -> Identity {
    Identity::verified(Verified {
        issuer: Issuer::new("https://idp.example.com").unwrap(),
        subject: Subject::new("ada").unwrap(),
        kind: Kind::Person,
        provider: ProviderId::new("corp").unwrap(),
        email: "ada@example.com".into(),
        name: "Ada".into(),
        groups: groups.iter().map(|group| Box::from(*group)).collect(),
        claims: Claims::verified(serde_json::from_str(claims).unwrap()),
        proof: Proof {
            auth_time: Some(timestamp("2026-01-07T08:00:00Z")),
            acr: "mfa".into(),
            amr: ["pwd".into(), "otp".into()].into(),
        },
    })
}

pub(crate) fn rules(of: &str, when: &[&str]) -> Vec<Rule> {
    when.iter()
        .enumerate()
        .map(|(index, when)| Rule {
            origin: RuleRef(index),
            name: format!("{of}[{index}]"),
            when: (*when).to_owned(),
            message: Some(format!("{of} {index}")),
        })
        .collect()
}

/// The tables `owners`, `partners`, `geoip` and, not loaded, `pending` and `later`.
fn tables() -> BTreeMap<String, Arc<Table>> {
    let of = |key, format, bytes: Vec<u8>| {
        let table = Table::new(key);
        table.replace(Rows::read(&Layout { key, format }, bytes).unwrap());
        Arc::new(table)
    };
    let owners = "host,team,tier\napp.example.com,web,1\n\"b.example.com\",\"core, \"\"the\"\" team\",\n";
    let partners = r#"[
        {"network": "10.0.0.0/8", "name": "all", "tags": ["a", "b"]},
        {"network": "10.8.0.0/16", "name": "vpn", "level": 3, "contact": {"mail": "x@example.com"}},
        {"network": "2001:db8::/32", "name": "six"}
    ]"#;
    let country = |code: &str| serde_json::json!({ "country": { "iso_code": code, "geoname_id": 7 }, "subdivisions": [{ "iso_code": "BE" }] });
    let networks = [("10.0.0.0/8", country("DE")), ("10.9.0.0/16", country("FR")), ("2001:db8::/32", country("JP"))];
    let networks: Vec<_> = networks.map(|(network, record)| (network.parse().unwrap(), record)).into();
    BTreeMap::from([
        (
            "owners".to_owned(),
            of(KeyType::Text, Format::Csv { key: "host".to_owned(), columns: Vec::new() }, owners.into()),
        ),
        (
            "partners".to_owned(),
            of(KeyType::Network, Format::Json { key: Some("network".to_owned()) }, partners.into()),
        ),
        ("geoip".to_owned(), of(KeyType::Network, Format::Mmdb, mmdb("Test-Country", &networks))),
        ("pending".to_owned(), Arc::new(Table::new(KeyType::Text))),
        ("later".to_owned(), Arc::new(Table::new(KeyType::Text))),
    ])
}

/// A configuration of one route, with the networks `vpn` and `office`.
pub(crate) fn config(allow: &[&str], deny: &[&str]) -> Config {
    Config {
        networks: BTreeMap::from([
            ("vpn".to_owned(), vec!["10.8.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()]),
            ("office".to_owned(), vec!["203.0.113.0/24".parse().unwrap()]),
        ]),
        tables: tables(),
        routes: vec![RouteRules {
            route: "app".to_owned(),
            allow: rules("allow", allow),
            deny: rules("deny", deny),
            ..RouteRules::default()
        }],
        ..Config::default()
    }
}

/// The problems of one expression, errors and warnings.
pub(crate) fn problems(when: &str) -> Vec<Problem> {
    match Authorizer::compile(&config(&[when], &[])) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    }
}

/// Decides one allow rule: `true`, `false` or the error.
pub(crate) fn decide(scene: &Scene, when: &str) -> Result<bool, String> {
    let (authorizer, _) = Authorizer::compile(&config(&[when], &[])).map_err(|problems| format!("{problems:?}"))?;
    match authorizer.route(0).unwrap().decide(&scene.input()) {
        Decision::Allow(_) => Ok(true),
        Decision::Deny(denial) => denial.error.map_or(Ok(false), |error| Err(error.to_string())),
    }
}
