//! What a decision may cost: no allocation where a rule is typical, bounded memory where it is hostile, and nothing
//! fetched from a request that no rule names.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[cfg(test)]
#[path = "fuzz/request.rs"]
mod request;

use std::borrow::Cow;
use std::cell::RefCell;

use allocation_counter::measure;
use authorize::{Authorizer, Config, Decision, Headers, Input, RouteRules, Rule, RuleRef};

use request::Scene;

fn compile(allow: &[&str], deny: &[&str]) -> Authorizer {
    let rules = |rules: &[&str]| {
        let rule = |when: &&str| Rule {
            origin: RuleRef(0),
            name: "rule".to_owned(),
            when: (*when).to_owned(),
            message: Some("no".to_owned()),
        };
        rules.iter().map(rule).collect()
    };
    let route = RouteRules { route: "app".to_owned(), allow: rules(allow), deny: rules(deny), ..RouteRules::default() };
    let networks = [("vpn".to_owned(), vec!["10.8.0.0/16".parse().unwrap()])].into();
    Authorizer::compile(&Config { networks, routes: vec![route], ..Config::default() }).unwrap().0
}

#[test]
fn a_typical_policy_is_decided_without_allocating() {
    let [signed_out, ada, _] = Scene::all();
    let authorizer = compile(
        &[
            r#""sre" in user.groups && request.headers["x-role"].startsWith("admin")"#,
            r#"request.ip.inNetwork("vpn") && user.email.endsWith("@example.com") && "admins" in user.groups"#,
        ],
        &[
            r#""contractors" in user.groups && !(request.method in ["GET", "HEAD"])"#,
            r#"request.time.getHours("Europe/Berlin") < 6 || request.path.matches("^/admin(/|$)")"#,
            r#"has(user.claims.level) && user.claims.level > 10"#,
            r#"user.email in ["a@x", "b@x", "c@x", "d@x", "e@x", "f@x", "g@x", "h@x", "i@x", "j@x"]"#,
        ],
    );
    let policy = authorizer.route(0).unwrap();
    for (scene, allowed) in [(&ada, true), (&signed_out, false)] {
        let input = scene.input();
        // The first match of a pattern makes room to work in, and keeps it.
        drop(policy.decide(&input));
        let counted = measure(|| assert_eq!(matches!(policy.decide(&input), Decision::Allow(_)), allowed));
        assert_eq!(counted.count_total, 0, "{counted:?}");
    }
}

#[test]
fn a_hostile_rule_takes_little_memory() {
    let [_, _, hostile] = Scene::all();
    for when in [
        r#"request.headers.x.split("").map(a, request.headers.x) == []"#,
        r#"request.headers.x.replace("", request.headers.x) == """#,
        "user.groups.map(a, user.groups).map(b, b + b).map(c, c + c) == []",
        r#"user.groups.map(g, request.headers.x + g).join() == """#,
        r#"[request.headers.x].map(a, a + a).map(a, a + a).map(a, a + a).map(a, a.split("")).map(a, a + a) == []"#,
        r#""%s".format([[request.headers.x].map(a, [a, a, a, a]).map(a, [a, a, a, a])]) == """#,
        "request.query.q + request.query.q + request.query.q + request.query.q == []",
        "[request.query, request.query, request.query].map(a, a.q + a.q) == []",
    ] {
        let authorizer = compile(&[when], &[]);
        let policy = authorizer.route(0).unwrap();
        let input = hostile.input();
        let counted = measure(|| assert!(matches!(policy.decide(&input), Decision::Deny(_))));
        assert!(counted.bytes_max < 32 << 20, "{when}: {counted:?}");
    }
}

/// Notes which headers are asked for.
#[derive(Debug, Default)]
struct Asked(RefCell<Vec<String>>);

impl Headers for Asked {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.borrow_mut().push(name.to_owned());
        Some("a".into())
    }

    fn for_each(&self, _: &mut dyn FnMut(&str, Cow<'_, str>)) {
        self.0.borrow_mut().push("*".to_owned());
    }
}

#[test]
fn only_what_a_rule_names_is_fetched() {
    let asked = |when: &str| {
        let [_, ada, _] = Scene::all();
        let headers = Asked::default();
        let Input { request, .. } = ada.input();
        let input = Input { request: authorize::Request { headers: &headers, ..request }, ..ada.input() };
        drop(compile(&[when], &[]).route(0).unwrap().decide(&input));
        headers.0.into_inner()
    };
    assert_eq!(asked("user.authenticated && request.method == 'GET'"), [""; 0]);
    assert_eq!(asked(r#"request.headers["x-a"] == "a""#), ["x-a"]);
    assert_eq!(asked(r#""x-a" in request.headers && has(request.headers.b)"#), ["x-a", "b"]);
    assert_eq!(asked(r#"user.machine && request.headers["x-a"] == "a""#), [""; 0]);
}
