//! What is fuzzed, and what must hold of every case.

use std::collections::BTreeMap;
use std::panic;
use std::sync::Mutex;

use authorize::{
    Authorizer, Config, Decision, Inspector, Judgement, Problem, RouteRules, Rule, RuleRef, Version, WholeRequest,
};
use jiff::SignedDuration;

use crate::request::Scene;

/// Compiles a text. Every problem has a place in it, and none takes long to find.
pub(crate) fn fuzz_compile(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let length = text.chars().count();
    for problem in compile(&text, &[]).map_or_else(|problems| problems, |(_, warnings)| warnings) {
        assert!(problem.at.start <= problem.at.end && problem.at.end <= length, "{problem:?} is outside of {length}");
    }
}

/// Compiles a text and, where it is a condition, evaluates it over several requests: each answer comes soon, comes again,
/// and agrees with what was foretold and with what explains it.
pub(crate) fn fuzz_evaluate(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok((authorizer, warnings)) = compile(&text, &[]) else { return };
    let inspector = Inspector::new(&config(&text, &[]));
    let foretold = |what: &str| warnings.iter().any(|warning| warning.message == what);
    let denying = compile("true", &[&text]).map(|(authorizer, _)| authorizer).ok();
    let [signed_out, ada, hostile] = Scene::all();
    for (scene, explained) in [(signed_out, true), (ada, true), (hostile, false)] {
        let decide = |authorizer: &Authorizer| timed(|| summary(&authorizer.route(0).unwrap().decide(&scene.input())));
        let allowed = decide(&authorizer);
        assert_eq!(allowed, decide(&authorizer), "the same question has two answers");
        assert!(!allowed.contains("could not be evaluated"), "{allowed}");
        assert!(!(allowed == "allow" && foretold("the rule can never be true")), "it is true");
        // Each part that is explained has a budget of its own, and so what comes of a hostile request may differ.
        if let Some(inspector) = inspector.as_ref().filter(|_| explained) {
            let explanation = explain(inspector, &scene);
            let agree = explanation == allowed || [&allowed, &explanation].iter().any(|told| told.contains("budget"));
            assert!(agree, "decided: {allowed}; explained: {explanation}");
        }
        let denied = denying.as_ref().map(decide).unwrap_or_default();
        assert!(!(denied == "allow" && foretold("the rule can never be false")), "it is false");
        // Where the condition has no value, neither rule lets anybody through.
        assert!(!(allowed == "allow" && denied == "allow"), "it is true and false");
    }
}

fn summary(decision: &Decision) -> String {
    match decision {
        Decision::Allow(_) => "allow".to_owned(),
        Decision::Deny(denial) => format!("{:?} {:?}", denial.reason, denial.error),
    }
}

/// Explains a decision, and sums it up as [`summary`] does.
fn explain(inspector: &Inspector, scene: &Scene) -> String {
    match inspector.route(0).unwrap().explain(Version::InForce, &scene.input(), &WholeRequest).judgement {
        Judgement::Allow { .. } => "allow".to_owned(),
        Judgement::Deny { reason, error, .. } => format!("{reason:?} {error:?}"),
        other => format!("{other:?}"),
    }
}

fn compile(allow: &str, deny: &[&str]) -> Result<(Authorizer, Vec<Problem>), Vec<Problem>> {
    let config = config(allow, deny);
    timed(|| Authorizer::compile(&config))
}

fn config(allow: &str, deny: &[&str]) -> Config {
    let rule = |when: &str| Rule { origin: RuleRef(0), name: "rule".to_owned(), when: when.to_owned(), message: None };
    let networks = BTreeMap::from([("vpn".to_owned(), vec!["10.8.0.0/16".parse().unwrap()])]);
    let route = RouteRules {
        route: "app".to_owned(),
        allow: vec![rule(allow)],
        deny: deny.iter().map(|when| rule(when)).collect(),
        ..RouteRules::default()
    };
    Config { networks, routes: vec![route], ..Config::default() }
}

/// A hundred milliseconds of the processor in a release build; a debug build is some twenty times slower.
fn timed<T>(work: impl FnOnce() -> T) -> T {
    let limit = SignedDuration::from_millis(if cfg!(debug_assertions) { 3_000 } else { 100 });
    let start = busy();
    let result = work();
    let taken = busy() - start;
    let panics = std::mem::take(&mut *PANICS.lock().unwrap());
    assert_eq!(panics, [""; 0], "it panics");
    // The system counts in hundredths of a second, and rounds up.
    assert!(taken <= limit + TICK, "it takes {taken:?}");
    result
}

/// Returns how long this process has kept the processor busy; zero where the system does not say. A clock on the wall
/// would tell how busy the machine is.
fn busy() -> SignedDuration {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = status.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ').skip(11).take(2);
    TICK * fields.filter_map(|ticks| ticks.parse::<i32>().ok()).sum::<i32>()
}

/// What `/proc/self/stat` counts in.
const TICK: SignedDuration = SignedDuration::from_millis(10);

/// Panics of our own code, which is caught and turned into an error. The parser is known to panic on some texts.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes panics instead of printing them.
pub(crate) fn note_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let ours = ["authorize/src", "library/alloc", "library/core"].iter().any(|part| place.contains(part));
        if ours {
            PANICS.lock().unwrap().push(format!("{place}: {panic}"));
        }
    }));
}

/// The most memory that this process had, in bytes; 0 where the system does not say.
pub(crate) fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}
