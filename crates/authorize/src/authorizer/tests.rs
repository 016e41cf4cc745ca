//! Tests of `authorizer`: how rules combine.

use crate::fixture::{Lines, Scene, config, rules, user};
use crate::{
    Authorizer, Candidate, Config, Decision, Denial, Guard, Mode, Policy, Reason, RouteRules, RuleRef, Severity,
    ShadowDecision,
};

const FAILS: &str = r#"user.claims.missing == "x""#;

fn decide(config: &Config, scene: &Scene) -> Result<String, Denial> {
    let (authorizer, _) = Authorizer::compile(config).unwrap();
    match authorizer.route(0).unwrap().decide(&scene.input()) {
        Decision::Allow(permit) => Ok(permit.grounds().unwrap().to_string()),
        Decision::Deny(denial) => Err(denial),
    }
}

#[track_caller]
fn allowed(config: &Config, rule: &str) {
    assert_eq!(decide(config, &Scene::default()).unwrap(), rule);
}

#[track_caller]
fn denied(config: &Config, reason: Reason, rule: Option<&str>, message: Option<&str>, error: Option<&str>) {
    let denial = decide(config, &Scene::default()).unwrap_err();
    assert_eq!(
        (denial.reason, denial.rule.as_deref(), denial.message.as_deref(), denial.error.as_deref()),
        (reason, rule, message, error)
    );
}

#[test]
fn one_allow_rule_that_holds_is_enough() {
    allowed(&config(&["true"], &[]), "app/allow[0]");
    allowed(&config(&["false", FAILS, "true"], &["false"]), "app/allow[2]");
}

#[test]
fn nothing_attached_denies() {
    denied(&config(&[], &[]), Reason::NoPolicyMatched, None, None, None);
    denied(&config(&[], &["false"]), Reason::NoPolicyMatched, None, None, None);
    denied(&config(&["false", "user.machine"], &[]), Reason::NoPolicyMatched, None, None, None);
}

#[test]
fn deny_wins_over_allow() {
    let config = config(&["true"], &["false", "request.method == \"GET\""]);
    denied(&config, Reason::DenyRuleMatched, Some("app/deny[1]"), Some("deny 1"), None);
}

#[test]
fn a_deny_rule_that_fails_denies() {
    denied(
        &config(&["true"], &[FAILS]),
        Reason::DenyRuleFailed,
        Some("app/deny[0]"),
        Some("deny 0"),
        Some("no such key: `missing`"),
    );
}

#[test]
fn an_allow_rule_that_fails_does_not_allow() {
    let error = Some("app/allow[1]: no such key: `missing`");
    denied(&config(&["false", FAILS, "1 / 0 == 1"], &[]), Reason::AllowRuleFailed, None, None, error);
}

#[test]
fn errors_never_hold_a_value_of_the_request() {
    for when in [
        "int(user.email) == 1",
        "user.claims[user.email] == 1",
        "user.claims.department + 1 == 2",
        "user.claims.department < 1",
        r#"request.headers["x-role"].inNetwork("vpn")"#,
        "timestamp(user.name) < request.time",
        "user.groups[size(user.email)] == \"x\"",
        "user.email.matches(user.claims.department + \"(\")",
        "{user.email: 1, user.email: 2} == {}",
    ] {
        let error = decide(&config(&[], &[when]), &Scene::default()).unwrap_err().error.unwrap().to_string();
        for value in ["ada", "Ada", "R&D", "guest", "engineering"] {
            assert!(!error.contains(value), "{when}: {error}");
        }
    }
}

#[test]
fn named_policies_and_the_guard_apply_with_the_routes_own_rules() {
    let policy = |name: &str, allow: &[&str], deny: &[&str]| Policy {
        name: name.to_owned(),
        allow: rules("allow", allow),
        deny: rules("deny", deny),
        shadow: None,
    };
    let mut config = config(&[], &[]);
    config.policies = vec![policy("closed", &[], &["true"]), policy("engineers", &["true"], &["false"])];
    config.routes[0].policies = vec![1];
    allowed(&config, "engineers/allow[0]");

    config.routes[0].policies = vec![1, 0];
    denied(&config, Reason::DenyRuleMatched, Some("closed/deny[0]"), Some("deny 0"), None);

    config.routes[0].policies = vec![1];
    config.guard = Guard { allow: Vec::new(), deny: rules("deny", &["request.ip.inNetwork(\"vpn\")"]) };
    denied(&config, Reason::DenyRuleMatched, Some("guard/deny[0]"), Some("deny 0"), None);

    config.routes[0].policies = Vec::new();
    config.guard = Guard { allow: rules("allow", &["true"]), deny: Vec::new() };
    allowed(&config, "guard/allow[0]");
}

#[test]
fn a_policy_that_is_not_there_allows_nothing() {
    let mut config = config(&["true"], &[]);
    config.routes[0].policies = vec![7];
    denied(&config, Reason::NoPolicyMatched, None, None, None);
}

#[test]
fn deny_rules_over_the_request_alone_are_decided_before_sign_in() {
    let before = |deny: &[&str]| {
        let (authorizer, _) = Authorizer::compile(&config(&["true"], deny)).unwrap();
        let denial = authorizer.route(0).unwrap().before_sign_in(&Scene::signed_out().input());
        denial.map(|denial| (denial.reason, denial.rule.unwrap().to_string()))
    };
    assert_eq!(before(&["request.ip.inNetwork(\"vpn\")"]), Some((Reason::DenyRuleMatched, "app/deny[0]".to_owned())));
    assert_eq!(before(&["request.ip.inNetwork(\"office\")"]), None);
    assert_eq!(before(&["!user.authenticated", "session.id == \"\"", FAILS]), None);
    assert_eq!(before(&["true || has(user.claims.x)"]), None);
    assert_eq!(before(&["request.headers.missing == \"x\""]), Some((Reason::DenyRuleFailed, "app/deny[0]".to_owned())));
    assert_eq!(before(&[]), None);
}

#[test]
fn a_route_knows_whether_its_rules_read_the_path() {
    let reads = |config: &Config| Authorizer::compile(config).unwrap().0.route(0).unwrap().reads_path();
    assert!(!reads(&config(&["request.method == \"GET\""], &["request.host == \"x\""])));
    assert!(reads(&config(&["request.path == \"/\""], &[])));
    assert!(reads(&config(&["request.grpc.service == \"shop.Orders\""], &[])));
    assert!(reads(&config(&["true"], &["request.grpc.method == \"Delete\""])));
    assert!(reads(&config(&[], &["[1].exists(x, request.path.glob(\"/a\"))"])));
    let mut guarded = config(&["true"], &[]);
    guarded.guard.deny = rules("deny", &["has(request.path)"]);
    assert!(reads(&guarded));
}

#[test]
fn all_problems_of_all_rules_come_in_one_run() {
    let mut config = config(&["user.emial == \"\"", "true"], &["fo()"]);
    config.policies = vec![Policy { name: "p".to_owned(), allow: rules("allow", &["("]), ..Policy::default() }];
    config.guard.deny = rules("deny", &["request.ip.inCIDR(\"10.0.0.1/8\")"]);
    let problems = Authorizer::compile(&config).unwrap_err();
    assert_eq!(problems.len(), 4);
    assert!(problems.iter().all(|problem| problem.origin == RuleRef(0)));
    assert_eq!(problems.iter().filter(|problem| problem.severity == Severity::Warning).count(), 1);
}

#[test]
fn warnings_alone_do_not_refuse() {
    let (_, warnings) = Authorizer::compile(&config(&["request.ip.inCIDR(\"10.0.0.1/8\")"], &[])).unwrap();
    assert_eq!(warnings.len(), 1);
}

#[test]
fn routes_are_found_by_their_index() {
    let mut config = config(&["true"], &[]);
    config.routes.push(RouteRules { route: "b".to_owned(), ..RouteRules::default() });
    let (authorizer, _) = Authorizer::compile(&config).unwrap();
    assert!(authorizer.route(1).is_some() && authorizer.route(2).is_none());
}

#[test]
fn only_a_route_in_shadow_mode_lets_through_what_is_denied() {
    let mut config = config(&[], &["request.method == \"GET\"", "user.authenticated"]);
    let scene = Scene::default();
    let decide = |config: &Config| {
        let (authorizer, _) = Authorizer::compile(config).unwrap();
        let policy = authorizer.route(0).unwrap();
        let decision = policy.decide(&scene.input());
        let shadow = policy.shadow(&scene.input(), &decision);
        let before = policy.before_sign_in(&scene.input());
        (decision, shadow, before, policy.shadow_before_sign_in(&scene.input()))
    };
    assert!(matches!(decide(&config), (Decision::Deny(_), None, Some(_), None)));
    config.routes[0].mode = Mode::Shadow;
    let (Decision::Allow(permit), Some(ShadowDecision::Deny(denial)), None, Some(ShadowDecision::Deny(_))) =
        decide(&config)
    else {
        panic!("not let through")
    };
    assert_eq!(denial.rule.as_deref(), Some("app/deny[0]"));
    assert_eq!(permit.grounds().unwrap_err().rule, denial.rule);
}

#[test]
fn a_candidate_is_decided_beside_its_policy_and_enforces_nothing() {
    let mut config = config(&[], &[]);
    config.policies = vec![Policy {
        name: "p".to_owned(),
        allow: rules("allow", &["true"]),
        deny: Vec::new(),
        shadow: Some(Candidate { allow: Vec::new(), deny: rules("deny", &["request.path != \"/\""]) }),
    }];
    config.routes[0].policies = vec![0];
    let (authorizer, _) = Authorizer::compile(&config).unwrap();
    let policy = authorizer.route(0).unwrap();
    assert!(!policy.reads_path(), "a candidate changed how paths are read");
    let decision = policy.decide(&Scene::default().input());
    assert!(matches!(decision, Decision::Allow(_)));
    assert!(policy.before_sign_in(&Scene::default().input()).is_none());
    let Some(ShadowDecision::Deny(denial)) = policy.shadow(&Scene::default().input(), &decision) else {
        panic!("not denied")
    };
    assert_eq!((denial.reason, denial.rule.as_deref()), (Reason::DenyRuleMatched, Some("p/deny[0]")));
    config.policies[0].shadow = Some(Candidate { allow: rules("allow", &["user.emial == 1"]), deny: Vec::new() });
    assert!(Authorizer::compile(&config).is_err(), "a candidate is checked, too");
}

#[test]
fn many_rules_for_groups_decide_as_few_do() {
    let team = |n: usize| match n % 5 {
        0 => format!(r#""team-{n}" in user.groups"#),
        1 => format!(r#""team-{n}" in user.groups && user.claims.missing == {n}"#),
        2 => format!(r#"("team-{n}" in user.groups || "lead-{n}" in user.groups) && request.method == "GET""#),
        3 => format!(r#"request.method == "PUT" && "team-{n}" in user.groups"#),
        _ => format!(r#"user.name == "team-{n}" || "team-{n}" in user.groups && user.machine"#),
    };
    let conditions: Vec<String> = (0..70).map(team).collect();
    let conditions: Vec<&str> = conditions.iter().map(String::as_str).collect();
    let compile = |allow: &[&str], deny: &[&str]| Authorizer::compile(&config(allow, deny)).unwrap().0;
    let alone: Vec<_> = conditions.iter().map(|when| (compile(&[when], &[]), compile(&["true"], &[when]))).collect();
    let (allowing, denying) = (compile(&conditions, &[]), compile(&["true"], &conditions));
    let teams = (0..70).map(|n| vec![format!("team-{n}")]);
    let others = [&[][..], &["lead-7"], &["team-36", "team-5", "lead-2"]];
    for groups in teams.chain(others.map(|groups| groups.iter().map(ToString::to_string).collect())) {
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let scene = Scene { user: Some(user(&groups, "{}")), ..Scene::default() };
        let allows = |authorizer: &Authorizer| match authorizer.route(0).unwrap().decide(&scene.input()) {
            Decision::Allow(permit) => Ok(permit.grounds().unwrap().to_string()),
            Decision::Deny(denial) => Err((denial.reason, denial.rule.map(|rule| rule.to_string()))),
        };
        let holding = alone.iter().position(|(allowing, _)| allows(allowing).is_ok());
        assert_eq!(allows(&allowing).ok(), holding.map(|at| format!("app/allow[{at}]")), "{groups:?}");
        let refusing = alone.iter().position(|(_, denying)| allows(denying).is_err());
        let expected = refusing.map(|at| format!("app/deny[{at}]"));
        assert_eq!(allows(&denying).err().and_then(|(_, rule)| rule), expected, "{groups:?}");
        let failing = alone.iter().any(|(_, denying)| matches!(allows(denying), Err((Reason::DenyRuleFailed, _))));
        if holding.is_none() {
            let reason = if failing { Reason::AllowRuleFailed } else { Reason::NoPolicyMatched };
            assert_eq!(allows(&allowing).err().map(|(reason, _)| reason), Some(reason), "{groups:?}");
        }
    }
}

#[test]
fn of_a_hundred_rules_for_groups_only_those_of_the_user_are_asked() {
    let conditions: Vec<String> = (0..100).map(|n| format!(r#""team-{n}" in user.groups && !user.machine"#)).collect();
    let mut conditions: Vec<&str> = conditions.iter().map(String::as_str).collect();
    conditions.push("user.machine");
    let (authorizer, _) = Authorizer::compile(&config(&conditions, &[])).unwrap();
    let asked = |scene: &Scene| {
        let mut count = 0;
        let none: Option<()> = authorizer.route(0).unwrap().rules.allow.ask(&scene.input(), |_| {
            count += 1;
            None
        });
        none.map_or(count, |()| 0)
    };
    assert_eq!(asked(&Scene::signed_out()), 1);
    assert_eq!(asked(&Scene { user: Some(user(&["team-70", "team-7", "other"], "{}")), ..Scene::default() }), 3);
}

#[test]
fn fields_of_records_have_any_type_are_null_where_they_fail_and_hold_no_credential() {
    let mut config = config(&["true"], &[]);
    let expressions = ["user.email", "size(user.groups) > 0", "user.claims.missing", r#"request.headers["cookie"]"#];
    config.fields = rules("field", &expressions);
    let (authorizer, _) = Authorizer::compile(&config).unwrap();
    let scene = Scene { headers: Lines(vec![("cookie", "session=secret".to_owned())]), ..Scene::default() };
    let values: Vec<_> = authorizer.fields(&scene.input()).map(|(_, value)| value).collect();
    assert_eq!(serde_json::Value::from(values), serde_json::json!(["ada@example.com", true, null, "[redacted]"]));
    config.fields = rules("field", &["user.emial"]);
    assert!(Authorizer::compile(&config).is_err());
}
