//! How results are printed: for people, for programs, for continuous integration.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::{Check, Decided, Results};
use crate::cli::policy::tree;

/// Prints for people.
pub(super) fn text(results: &Results) -> String {
    let mut out = String::new();
    let mut file: Option<&Path> = None;
    for check in &results.checks {
        if file != Some(&check.file) {
            let _ = writeln!(out, "{}", check.file.display());
            file = Some(&check.file);
        }
        let (passed, name, policy) = (check.passed(), &check.name, &check.expected.policy);
        let _ = writeln!(
            out,
            "  {} {name}: {policy} decides {}",
            if passed { "ok  " } else { "FAIL" },
            told(&check.decided)
        );
        if !passed {
            out.push_str(&failure(check));
        }
    }
    let failed = results.checks.iter().filter(|check| !check.passed()).count();
    let passed = results.checks.len() - failed;
    let _ = write!(out, "\n{}\n{passed} passed, {failed} failed", results.coverage.text());
    out
}

/// Says what was decided, by which rule.
fn told(decided: &Decided) -> String {
    let by = decided.rule.as_deref().map(|rule| format!(" by {rule}")).unwrap_or_default();
    let error = decided.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{}{by} ({}{error})", decided.outcome.as_str(), decided.reason)
}

fn failure(check: &Check) -> String {
    let mut out = format!("       {}:{}\n", check.file.display(), check.line);
    for (what, expected, came) in check.mismatches() {
        let _ = writeln!(out, "       {what}: expected {expected}, but it is {came}");
    }
    for rule in &check.because {
        tree::write_rule(&mut out, rule, "         ");
    }
    out
}

/// Prints for programs.
pub(super) fn json(results: &Results) -> Value {
    let failed = results.checks.iter().filter(|check| !check.passed()).count();
    json!({
        "passed": results.checks.len() - failed,
        "failed": failed,
        "tests": results.checks.iter().map(check_json).collect::<Vec<_>>(),
        "coverage": results.coverage.json(),
    })
}

fn check_json(check: &Check) -> Value {
    let mismatch = |(what, expected, came)| json!({ "what": what, "expected": expected, "decided": came });
    json!({
        "file": check.file.display().to_string(),
        "line": check.line,
        "name": check.name,
        "policy": check.expected.policy,
        "passed": check.passed(),
        "decision": check.decided.outcome.as_str(),
        "rule": check.decided.rule.as_deref(),
        "reason": check.decided.reason,
        "message": check.decided.message.as_deref(),
        "error": check.decided.error.as_deref(),
        "mismatches": check.mismatches().into_iter().map(mismatch).collect::<Vec<_>>(),
        "rules": check.because.iter().map(tree::rule_json).collect::<Vec<_>>(),
    })
}

/// Prints as the XML of `JUnit`, a suite for each file.
pub(super) fn junit(results: &Results) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let counts = |checks: &[&Check]| {
        let failed = checks.iter().filter(|check| !check.passed()).count();
        format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\"", checks.len())
    };
    let all: Vec<&Check> = results.checks.iter().collect();
    let _ = writeln!(out, "<testsuites name=\"portcullis policy test\" {}>", counts(&all));
    for suite in all.chunk_by(|a, b| a.file == b.file) {
        let name = suite.first().map(|check| check.file.display().to_string()).unwrap_or_default();
        let _ = writeln!(out, "  <testsuite name=\"{}\" {}>", escaped(&name), counts(suite));
        for check in suite {
            let (name, policy) = (escaped(&check.name), escaped(&check.expected.policy));
            let file = escaped(&check.file.display().to_string());
            let _ = write!(
                out,
                "    <testcase classname=\"{policy}\" name=\"{name}\" file=\"{file}\" line=\"{}\"",
                check.line
            );
            if check.passed() {
                out.push_str("/>\n");
                continue;
            }
            let message: Vec<String> = check
                .mismatches()
                .into_iter()
                .map(|(what, expected, came)| format!("{what}: expected {expected}, but it is {came}"))
                .collect();
            let (message, detail) = (escaped(&message.join("; ")), escaped(&failure(check)));
            let _ = writeln!(out, ">\n      <failure message=\"{message}\">{detail}</failure>\n    </testcase>");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>");
    out
}

/// Escapes a text for XML 1.0, which has no form at all for most control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            _ if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}
