//! How an explanation is printed.

use std::fmt::Write as _;

use authorize::Explanation;
use serde_json::{Value, json};

use super::Explained;
use crate::cli::policy::tree;
use crate::cli::policy::verdict::Verdict;
use crate::cli::text::safe;

/// Prints for people.
pub(super) fn text(explained: &Explained<'_>) -> String {
    let mut out = format!("route {}, revision {}\n", explained.route, explained.revision);
    if let Some(recorded) = &explained.recorded {
        let request = &recorded.situation;
        let who = Some(recorded.who()).filter(|who| !who.is_empty()).unwrap_or("nobody");
        let line = format!(
            "{} {} {}{} by {who} from {}",
            request.time, request.method, request.host, request.path, request.ip
        );
        let _ = writeln!(out, "{}", safe(&line));
        let rule = recorded.rule.map(|rule| format!(" by {rule}")).unwrap_or_default();
        let _ = writeln!(out, "recorded: {}{rule} ({})", recorded.decision, recorded.reason);
        if recorded.revision != explained.revision {
            let _ = writeln!(
                out,
                "note: it was decided under revision {}; this explains the configuration of now",
                recorded.revision
            );
        }
    }
    let _ = writeln!(out, "decision: {}", verdict(&explained.verdict));
    if let Some(note) = &explained.elsewhere {
        let _ = writeln!(out, "note: {note}");
    }
    if matches!(explained.verdict, Verdict::Challenge { reason: "step-up-required" }) {
        out.push_str(
            "note: rules that read `user` or `session` are asked once a sign-in meets `step_up`; this one does not\n",
        );
    } else if matches!(explained.verdict, Verdict::Challenge { .. }) {
        out.push_str("note: rules that read `user` or `session` are asked after sign-in; below, nobody is signed in\n");
    } else if explained.nobody {
        out.push_str("note: this route does not look at sessions, or not at this provider's: its rules see nobody\n");
    }
    rules(&mut out, &explained.rules);
    if let Some(candidate) = &explained.candidate {
        let _ = writeln!(out, "\nshadow: {}", verdict(&candidate.judgement.clone().into()));
        rules(&mut out, candidate);
    }
    out.trim_end().to_owned()
}

fn verdict(verdict: &Verdict) -> String {
    let by = verdict.rule().map(|rule| format!(" by {rule}")).unwrap_or_default();
    let mut text = format!("{}{by} ({})", verdict.as_str(), verdict.reason());
    match verdict {
        Verdict::Deny { message, error, .. } => {
            if let Some(error) = error {
                let _ = write!(text, ", error: {error}");
            }
            if let Some(message) = message {
                let _ = write!(text, ", message: {message}");
            }
        }
        Verdict::Undecidable { missing } => {
            let _ = write!(text, ": the record does not tell {}", safe(&missing.join(", ")));
        }
        Verdict::Allow { .. } | Verdict::Challenge { .. } => {}
    }
    text
}

fn rules(out: &mut String, explanation: &Explanation) {
    for rule in &explanation.rules {
        out.push('\n');
        tree::write_rule(out, rule, "");
    }
    if explanation.rules.is_empty() {
        out.push_str("\nno rule is attached, so nothing is allowed\n");
    }
}

/// Prints for programs.
pub(super) fn json(explained: &Explained<'_>) -> Value {
    let rules = |explanation: &Explanation| explanation.rules.iter().map(tree::rule_json).collect::<Vec<_>>();
    let shadow = explained.candidate.as_ref().map(|candidate| {
        let verdict: Verdict = candidate.judgement.clone().into();
        json!({ "decision": verdict_json(&verdict), "rules": rules(candidate) })
    });
    let recorded = explained.recorded.as_ref().map(|recorded| {
        json!({
            "id": recorded.situation.id,
            "time": recorded.situation.time,
            "user": recorded.who(),
            "method": recorded.situation.method,
            "host": recorded.situation.host,
            "path": recorded.situation.path,
            "client_ip": recorded.situation.ip.to_string(),
            "decision": recorded.decision,
            "rule": recorded.rule,
            "reason": recorded.reason,
            "revision": recorded.revision,
        })
    });
    json!({
        "route": explained.route,
        "revision": explained.revision,
        "recorded": recorded,
        "decision": verdict_json(&explained.verdict),
        "note": explained.elsewhere,
        "rules": rules(&explained.rules),
        "shadow": shadow,
    })
}

fn verdict_json(verdict: &Verdict) -> Value {
    let (message, error) = match verdict {
        Verdict::Deny { message, error, .. } => (message.as_deref(), error.as_deref()),
        Verdict::Allow { .. } | Verdict::Challenge { .. } | Verdict::Undecidable { .. } => (None, None),
    };
    let missing = match verdict {
        Verdict::Undecidable { missing } => missing.as_slice(),
        Verdict::Allow { .. } | Verdict::Deny { .. } | Verdict::Challenge { .. } => &[],
    };
    json!({
        "decision": verdict.as_str(),
        "reason": verdict.reason(),
        "rule": verdict.rule(),
        "message": message,
        "error": error,
        "missing": missing,
    })
}
