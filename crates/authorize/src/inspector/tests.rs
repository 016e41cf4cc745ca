//! Tests of `inspector`: it agrees with what decides requests, and never guesses.

use std::collections::BTreeSet;

use super::{Explanation, Inspector, Judgement, Knowledge, Known, Outcome, PartExplanation, Version, WholeRequest};
use crate::fixture::{Lines, Scene, config, user};
use crate::{Authorizer, Candidate, Config, Decision, Policy, Read};

/// Conditions of every kind, some of which fail.
const CONDITIONS: &[&str] = &[
    "true",
    r#""engineering" in user.groups && (request.ip.inNetwork("vpn") || request.ip.inCIDR("203.0.113.0/24"))"#,
    r#"request.headers["x-role"] == "admin, guest" || user.claims.level > 6"#,
    r#"request.headers["x-none"] == "a" || user.email.endsWith("@example.com")"#,
    r#"!(request.headers["x-none"] == "a") && request.method == "GET""#,
    r#"user.claims.department in ["R&D", "Ops"] && !(user.claims.department != "R&D")"#,
    r#"has(user.claims.missing) ? user.claims.missing == "a" : has(user.claims.level)"#,
    r#"user.claims.missing ? true : false"#,
    r#"user.groups.exists(group, group == user.claims.department) || user.claims.teams.all(team, team.lead)"#,
    r#"user.claims.teams.exists(team, team.name == "core" && team.lead) && user.claims.missing == 1"#,
    r#"request.headers.exists(name, request.headers[name].startsWith("curl"))"#,
    r#"request.query.q[0] == "a b" && "q" in request.query && request.query.none == []"#,
    r#"size(user.groups.filter(group, group.startsWith("a"))) == 1 && user.groups.map(g, g + "!") != []"#,
    r#"request.time - session.auth_time < duration("8h") && "otp" in session.amr"#,
    r#"1 / (user.claims.level - 7) == 1 || request.path.glob("/api/**")"#,
    r#"user.claims.level == 8 && user.claims.nothing == null && request.headers.x == "y""#,
    r#"(user.email + request.headers["x-none"] == "a") == user.authenticated"#,
    r#"ip.isCanonical(request.ip) && type(user.claims) != net.IP && type(request.time) == google.protobuf.Timestamp"#,
];

fn scenes() -> Vec<Scene> {
    let other = Scene {
        user: Some(user(&["admins"], r#"{"department": "Ops", "level": 8, "missing": "a", "teams": []}"#)),
        headers: Lines(vec![("x-none", "a".to_owned()), ("x-role", "b".to_owned())]),
        ip: "203.0.113.9",
        ..Scene::default()
    };
    vec![Scene::default(), Scene::signed_out(), other]
}

fn all_configs() -> Vec<Config> {
    let mut configs = Vec::new();
    for (index, when) in CONDITIONS.iter().enumerate() {
        let next = CONDITIONS[(index + 1) % CONDITIONS.len()];
        configs.push(config(&[when], &[]));
        configs.push(config(&["true"], &[when]));
        configs.push(config(&[when, next], &["false", next]));
    }
    configs
}

/// What decides requests, in the words of a judgement.
fn decided(config: &Config, scene: &Scene) -> Judgement {
    let (authorizer, _) = Authorizer::compile(config).unwrap();
    match authorizer.route(0).unwrap().decide(&scene.input()) {
        Decision::Allow(permit) => Judgement::Allow { rule: permit.grounds().unwrap().clone() },
        Decision::Deny(denial) => Judgement::Deny {
            reason: denial.reason,
            rule: denial.rule,
            message: denial.message,
            error: denial.error.map(|error| error.to_string()),
        },
    }
}

#[test]
fn where_all_is_known_it_decides_as_requests_are_decided() {
    for config in all_configs() {
        let inspector = Inspector::new(&config).unwrap();
        for scene in scenes() {
            let route = inspector.route(0).unwrap();
            let explanation = route.explain(Version::InForce, &scene.input(), &WholeRequest);
            assert_eq!(explanation.judgement, decided(&config, &scene), "{config:?}");
            for rule in &explanation.rules {
                consistent(&rule.condition);
            }
        }
    }
}

/// What an operation of logic is follows from what its parts are.
fn consistent(part: &PartExplanation) {
    let skipped = |part: &&PartExplanation| part.outcome != Outcome::NotEvaluated;
    let evaluated: Vec<_> = part.parts.iter().filter(skipped).collect();
    if part.text.contains(" && ") && part.parts.len() < part.text.matches(" && ").count() + 2 {
        let any_false = evaluated.iter().any(|part| part.outcome == Outcome::Value(false.into()));
        if !part.text.contains(['(', '?', '|']) {
            assert_eq!(part.outcome == Outcome::Value(false.into()), any_false, "{part:?}");
        }
    }
    evaluated.into_iter().for_each(consistent);
}

/// Knows some of the reads and none of the others.
#[derive(Debug)]
struct Only<'a>(BTreeSet<&'a Read>);

impl Knowledge for Only<'_> {
    fn of(&self, read: &Read) -> Known {
        if self.0.contains(read) { Known::Value } else { Known::Nothing }
    }

    fn is(&self, _read: &Read, _text: &str) -> Option<bool> {
        None
    }
}

#[test]
fn what_is_decided_from_less_is_what_is_decided_from_all() {
    let (mut decidable, mut undecidable) = (0, 0);
    for config in all_configs() {
        let (authorizer, _) = Authorizer::compile(&config).unwrap();
        let reads = authorizer.route(0).unwrap().reads();
        let inspector = Inspector::new(&config).unwrap();
        for scene in scenes() {
            let whole = decided(&config, &scene);
            for subset in 0..1_u32 << reads.len() {
                let known = reads.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 1);
                let knowledge = Only(known.map(|(_, read)| read).collect());
                match (inspector.route(0).unwrap().judge(Version::InForce, &scene.input(), &knowledge), &whole) {
                    (Judgement::Undecidable { missing }, _) => {
                        assert!(!missing.is_empty() && missing.iter().all(|read| !knowledge.0.contains(read)));
                        undecidable += 1;
                    }
                    (Judgement::Allow { .. }, Judgement::Allow { .. })
                    | (Judgement::Deny { .. }, Judgement::Deny { .. }) => decidable += 1,
                    (partial, whole) => panic!("{partial:?} from {knowledge:?} but {whole:?}: {config:?}"),
                }
            }
        }
    }
    assert!(decidable > 100 && undecidable > 100, "{decidable} {undecidable}");
}

/// Knows an entry by its hash alone.
#[derive(Debug)]
struct Hashed(&'static str);

impl Knowledge for Hashed {
    fn of(&self, read: &Read) -> Known {
        if read.is_entry() { Known::Presence } else { Known::Value }
    }

    fn is(&self, _read: &Read, text: &str) -> Option<bool> {
        Some(text == self.0)
    }
}

#[test]
fn a_hash_answers_what_a_text_is_compared_with_and_nothing_else() {
    for (when, expected) in [
        (r#"request.headers["x-role"] == "admin""#, Some(true)),
        (r#""guest" == request.headers["x-role"]"#, Some(false)),
        (r#"request.headers["x-role"] != "admin""#, Some(false)),
        (r#"request.headers["x-role"] in ["guest", "admin"]"#, Some(true)),
        (r#"request.headers["x-role"].contains("a") || "x-role" in request.headers"#, Some(true)),
        (r#""x-role" in request.headers && request.headers["x-role"] == "admin""#, Some(true)),
        (r#"request.headers["x-role"].startsWith("a")"#, None),
        (r#"request.headers["x-role"] > "a""#, None),
        (r#"request.headers["x-role"] == user.email"#, None),
        (r#"request.headers["x-role"].startsWith("a") && user.machine"#, Some(false)),
    ] {
        let Some(inspector) = Inspector::new(&config(&[when], &[])) else { panic!("{when}") };
        let judgement =
            inspector.route(0).unwrap().judge(Version::InForce, &Scene::default().input(), &Hashed("admin"));
        let decided = match judgement {
            Judgement::Allow { .. } => Some(true),
            Judgement::Deny { .. } => Some(false),
            Judgement::Undecidable { .. } => None,
        };
        assert_eq!(decided, expected, "{when}");
    }
}

fn explain(when: &str, knowledge: &dyn Knowledge) -> String {
    let inspector = Inspector::new(&config(&[when], &[])).unwrap();
    let Explanation { rules, .. } =
        inspector.route(0).unwrap().explain(Version::InForce, &Scene::default().input(), knowledge);
    let mut lines = String::new();
    draw(&rules[0].condition, 0, &mut lines);
    lines
}

fn draw(part: &PartExplanation, depth: usize, lines: &mut String) {
    let outcome = match &part.outcome {
        Outcome::Value(value) => value.to_string(),
        Outcome::Failed(error) => format!("! {error}"),
        Outcome::Unknown(reads) => format!("? {}", reads.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        Outcome::NotEvaluated => "-".to_owned(),
    };
    let element = part.element.as_ref().map(|(name, value)| format!("[{name}={value}] ")).unwrap_or_default();
    *lines += &format!("{}{element}{} => {outcome}\n", "  ".repeat(depth), part.text);
    part.parts.iter().for_each(|part| draw(part, depth + 1, lines));
}

#[test]
fn every_part_has_its_value_and_what_was_not_needed_is_marked() {
    assert_eq!(
        explain(
            r#""engineering" in user.groups && (request.ip.inNetwork("vpn") || request.ip.inCIDR("203.0.113.0/24"))"#,
            &WholeRequest
        ),
        r#""engineering" in user.groups && (request.ip.inNetwork("vpn") || request.ip.inCIDR("203.0.113.0/24")) => true
  "engineering" in user.groups => true
    user.groups => ["engineering","admins"]
  request.ip.inNetwork("vpn") || request.ip.inCIDR("203.0.113.0/24") => true
    request.ip.inNetwork("vpn") => true
      request.ip => "10.8.0.4"
    request.ip.inCIDR("203.0.113.0/24") => -
"#
    );
}

#[test]
fn an_error_is_shown_where_it_arises() {
    assert_eq!(
        explain(r#"user.claims.missing == "a" && user.authenticated"#, &WholeRequest),
        r#"user.claims.missing == "a" && user.authenticated => ! no such key: `missing`
  user.claims.missing == "a" => ! no such key: `missing`
    user.claims.missing => ! no such key: `missing`
  user.authenticated => true
"#
    );
}

#[test]
fn a_macro_shows_each_element_until_one_decides() {
    assert_eq!(
        explain(r#"user.groups.exists(g, g.startsWith("eng"))"#, &WholeRequest),
        r#"user.groups.exists(g, g.startsWith("eng")) => true
  user.groups => ["engineering","admins"]
  [g="engineering"] g.startsWith("eng") => true
    g => "engineering"
"#
    );
}

#[test]
fn what_is_not_known_is_named() {
    assert_eq!(
        explain(r#"request.headers["x-role"] == "admin" || user.machine"#, &Only(BTreeSet::new())),
        r#"request.headers["x-role"] == "admin" || user.machine => ? request.headers.x-role user.machine
  request.headers["x-role"] == "admin" => ? request.headers.x-role
    request.headers["x-role"] => ? request.headers.x-role
  user.machine => ? user.machine
"#
    );
}

#[test]
fn credentials_are_never_shown() {
    let token = "eyJhbGciOiJub25lIn0.e30.c2ln";
    let scene = Scene {
        user: Some(user(
            &[],
            &format!(r#"{{"token": "hunter2", "plain": "{token}", "n": {{"access_token": "hunter2"}}}}"#),
        )),
        headers: Lines(vec![("authorization", "Basic hunter2".to_owned()), ("x", "y".to_owned())]),
        query: "password=hunter2".to_owned(),
        ..Scene::default()
    };
    for when in [
        r#"request.headers.authorization.startsWith("Basic")"#,
        r#"request.headers.authorization.split(" ")[1] == user.claims.token"#,
        r#"request.headers.exists(name, request.headers[name] == "y")"#,
        r#"request.query.password[0] == user.claims.plain + user.claims.token"#,
        "user.claims == {} || user.claims.n == {}",
        r#"request.headers.map(n, request.headers[n]).exists(v, v == "y")"#,
    ] {
        let inspector = Inspector::new(&config(&[when], &[])).unwrap();
        let explanation = inspector.route(0).unwrap().explain(Version::InForce, &scene.input(), &WholeRequest);
        let shown = format!("{explanation:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(token), "{when}: {shown}");
        assert!(shown.contains("[redacted]"), "{when}: {shown}");
    }
}

#[test]
fn candidates_are_judged_beside_the_rules_in_force() {
    let mut config = config(&[], &[]);
    let rules = |when: &str| crate::fixture::rules("allow", &[when]);
    config.policies = vec![Policy {
        name: "p".to_owned(),
        allow: rules("true"),
        shadow: Some(Candidate { allow: rules("user.machine"), deny: Vec::new() }),
        ..Policy::default()
    }];
    config.routes[0].policies = vec![0];
    let inspector = Inspector::new(&config).unwrap();
    let route = inspector.route(0).unwrap();
    assert!(route.has_candidate());
    let judge = |version| route.judge(version, &Scene::default().input(), &WholeRequest);
    assert!(matches!(judge(Version::InForce), Judgement::Allow { .. }));
    assert!(matches!(judge(Version::Candidate), Judgement::Deny { .. }));
}
