//! What a decision costs. Three clauses are to stay under a microsecond.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::borrow::Cow;

use authorize::{
    Authorizer, Config, Decision, Grpc, Headers, Input, Request, RouteFacts, RouteRules, Rule, RuleRef, Tls,
};
use divan::{Bencher, black_box};
use identity::{Claims, Identity, Issuer, Kind, Proof, ProviderId, Subject, Verified};
use jiff::Timestamp;

fn main() {
    divan::main();
}

const EXPRESSIONS: &[&str] = &[
    "true",
    r#"request.ip.inCIDR("10.0.0.0/8") && user.email.endsWith("@example.com") && "admins" in user.groups"#,
    r#"user.groups.exists(group, group.startsWith("adm"))"#,
    r#"user.email.matches("^[a-z]+@example\\.com$")"#,
    r#"request.headers["x-role"] == "admin" && request.method in ["GET", "HEAD"]"#,
    r#"request.time.getHours("Europe/Berlin") >= 7"#,
];

#[divan::bench(args = EXPRESSIONS)]
fn decide(bencher: Bencher<'_, '_>, when: &str) {
    let authorizer = Authorizer::compile(&config(when)).expect("the expression compiles").0;
    let policy = authorizer.route(0).expect("there is a route");
    let user = user();
    let input = input(&user);
    assert!(matches!(policy.decide(&input), Decision::Allow(_)), "{when}");
    bencher.bench_local(|| policy.decide(black_box(&input)));
}

#[divan::bench(args = EXPRESSIONS)]
fn compile(bencher: Bencher<'_, '_>, when: &str) {
    let config = config(when);
    bencher.bench_local(|| Authorizer::compile(black_box(&config)));
}

#[derive(Debug)]
struct OneHeader;

impl Headers for OneHeader {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "x-role").then_some(Cow::Borrowed("admin"))
    }

    fn for_each(&self, each: &mut dyn FnMut(&str, Cow<'_, str>)) {
        each("x-role", Cow::Borrowed("admin"));
    }
}

fn config(when: &str) -> Config {
    let rule = Rule { origin: RuleRef(0), name: "allow[0]".to_owned(), when: when.to_owned(), message: None };
    let route = RouteRules { route: "app".to_owned(), allow: vec![rule], ..RouteRules::default() };
    Config { routes: vec![route], ..Config::default() }
}

fn user() -> Identity {
    Identity::verified(Verified {
        issuer: Issuer::new("https://idp.example.com").expect("not empty"),
        subject: Subject::new("ada").expect("not empty"),
        kind: Kind::Person,
        provider: ProviderId::new("corp").expect("not empty"),
        email: "ada@example.com".into(),
        name: "Ada".into(),
        groups: ["staff", "engineering", "admins"].map(Box::from).into(),
        claims: Claims::default(),
        proof: Proof::default(),
    })
}

fn input(user: &Identity) -> Input<'_> {
    let address = "10.8.0.4".parse().expect("an address");
    Input {
        request: Request {
            ip: address,
            peer_ip: address,
            ip_source: "peer",
            method: "GET",
            scheme: "https",
            host: "app.example.com",
            path: "/",
            query: "",
            headers: &OneHeader,
            time: Timestamp::from_second(1_767_787_200).expect("a time"),
            protocol: "h2",
            id: "r1",
            grpc: Grpc::default(),
            tls: Tls::default(),
        },
        user: Some(user),
        session: None,
        route: RouteFacts { name: "app", host: "app.example.com" },
    }
}
