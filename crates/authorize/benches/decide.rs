//! What a decision costs, and how it grows. Three clauses are to stay under 200 ns.
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

/// As many rules on one route, of which the last allows.
#[divan::bench(args = [1, 10, 100])]
fn rules(bencher: Bencher<'_, '_>, count: usize) {
    let mut config = config(r#""admins" in user.groups && request.method == "GET""#);
    let team = |n: usize| rule(&format!(r#""team-{n}" in user.groups && request.method == "GET""#));
    let route = config.routes.first_mut().expect("there is a route");
    route.allow.splice(0..0, (1..count).map(team));
    decide_by(bencher, &config, 0);
}

/// As many networks in one list.
#[divan::bench(args = [10, 10_000])]
fn networks(bencher: Bencher<'_, '_>, count: u32) {
    let mut config = config(r#"request.ip.inNetwork("many")"#);
    let network = |n: u32| {
        let address = std::net::Ipv4Addr::from_bits(0x0a08_0000 + n * 512);
        format!("{address}/24").parse().expect("a network")
    };
    config.networks.insert("many".to_owned(), (0..count).map(network).collect());
    decide_by(bencher, &config, 0);
}

/// As many texts in one list.
#[divan::bench(args = [5, 500])]
fn texts(bencher: Bencher<'_, '_>, count: usize) {
    let emails: Vec<String> = (1..count).map(|n| format!(r#""u{n}@x.org""#)).collect();
    decide_by(bencher, &config(&format!(r#"user.email in [{}, "ada@example.com"]"#, emails.join(", "))), 0);
}

/// As many routes, of which the last is asked.
#[divan::bench(args = [10, 10_000])]
fn routes(bencher: Bencher<'_, '_>, count: usize) {
    decide_by(bencher, &many_routes(count), count - 1);
}

/// Loads as many routes, each with a rule of its own.
#[divan::bench(args = [10, 10_000], sample_count = 5, sample_size = 1)]
fn load(bencher: Bencher<'_, '_>, count: usize) {
    let config = many_routes(count);
    bencher.bench_local(|| Authorizer::compile(black_box(&config)));
}

fn decide_by(bencher: Bencher<'_, '_>, config: &Config, route: usize) {
    let authorizer = Authorizer::compile(config).expect("the rules compile").0;
    let policy = authorizer.route(route).expect("there is a route");
    let user = user();
    let input = input(&user);
    assert!(matches!(policy.decide(&input), Decision::Allow(_)));
    bencher.bench_local(|| policy.decide(black_box(&input)));
}

fn many_routes(count: usize) -> Config {
    let route = |n: usize| RouteRules {
        allow: vec![rule(&format!(
            r#""admins" in user.groups && request.ip.inCIDR("10.8.0.0/16") && user.email != "{n}@example.com""#
        ))],
        ..RouteRules::default()
    };
    Config { routes: (0..count).map(route).collect(), ..Config::default() }
}

fn rule(when: &str) -> Rule {
    Rule { origin: RuleRef(0), name: "allow[0]".to_owned(), when: when.to_owned(), message: None }
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
    let route = RouteRules { route: "app".to_owned(), allow: vec![rule(when)], ..RouteRules::default() };
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
