//! Requests that conditions are evaluated over: one before sign-in, an ordinary one, and one that means harm.

use std::borrow::Cow;

use authorize::{Grpc, Headers, Input, Request, RouteFacts, SessionFacts, Tls};
use identity::{Claims, Identity, Issuer, Kind, Proof, ProviderId, Subject, Verified};
use jiff::Timestamp;

/// What an [`Input`] borrows from.
#[derive(Debug)]
pub(crate) struct Scene {
    user: Option<Identity>,
    headers: Lines,
    query: String,
}

#[derive(Debug, Default)]
struct Lines(Vec<(&'static str, String)>);

impl Headers for Lines {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.iter().find(|line| line.0 == name).map(|line| line.1.as_str().into())
    }

    fn for_each(&self, each: &mut dyn FnMut(&str, Cow<'_, str>)) {
        for (name, value) in &self.0 {
            each(name, value.as_str().into());
        }
    }
}

impl Scene {
    pub(crate) fn all() -> [Self; 3] {
        let claims =
            r#"{"level": 7, "name": "Ada", "a": [1, "b", null], "teams": [{"a": "x"}], "deep": {"a": {"a": {}}}}"#;
        let groups: Vec<String> = (0..1_000).map(|n| format!("group-{n}")).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let deep =
            format!("{{\"level\": 1.5, \"deep\": {}{}, \"teams\": {}}}", "{\"a\":[".repeat(40), "]}".repeat(40), 7);
        [
            Self { user: None, headers: Lines::default(), query: String::new() },
            Self {
                user: Some(user(&["engineering", "admins"], claims)),
                headers: Lines(vec![("x", "1".to_owned()), ("x-role", "admin, guest".to_owned())]),
                query: "q=a+b&q=c".to_owned(),
            },
            Self {
                user: Some(user(&groups, &deep)),
                headers: Lines(vec![("x", "a,".repeat(20_000)), ("x-role", "(a|b)*".repeat(1_000))]),
                query: "q=1&".repeat(5_000),
            },
        ]
    }

    pub(crate) fn input(&self) -> Input<'_> {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let session =
            SessionFacts { id: "s1", created: time("2026-01-07T08:00:00Z"), expires: time("2026-01-07T22:00:00Z") };
        Input {
            request: Request {
                ip: "10.8.0.4".parse().unwrap(),
                peer_ip: "2001:db8::1".parse().unwrap(),
                ip_source: "peer",
                method: "GET",
                scheme: "https",
                host: "app.example.com",
                path: "/api/v1/items",
                query: &self.query,
                headers: &self.headers,
                time: time("2026-01-07T12:34:56.789Z"),
                protocol: "h2",
                id: "r1",
                grpc: Grpc { service: "shop.Orders", method: "List" },
                tls: Tls { version: "1.3", sni: "app.example.com", client_certificate: None },
            },
            user: self.user.as_ref(),
            session: self.user.as_ref().map(|_| session),
            route: RouteFacts { name: "app", host: "app.example.com" },
        }
    }
}

fn user(groups: &[&str], claims: &str) -> Identity {
    Identity::verified(Verified {
        issuer: Issuer::new("https://idp.example.com").unwrap(),
        subject: Subject::new("ada").unwrap(),
        kind: Kind::Person,
        provider: ProviderId::new("corp").unwrap(),
        email: "ada@example.com".into(),
        name: "Ada".into(),
        groups: groups.iter().map(|group| Box::from(*group)).collect(),
        claims: Claims::verified(serde_json::from_str(claims).unwrap()),
        proof: Proof { auth_time: None, acr: "mfa".into(), amr: ["pwd".into()].into() },
    })
}
