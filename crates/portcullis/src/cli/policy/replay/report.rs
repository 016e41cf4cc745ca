//! How a replay is printed.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::tally::{Change, Changed, Tally, Window};
use crate::cli::text::safe;

/// Prints for people: totals, then who loses and who gains what.
pub(super) fn text(tally: &Tally, window: Window, revision: &str) -> String {
    let until = window.until.map(|until| format!(" until {until}")).unwrap_or_default();
    let mut out =
        format!("{} requests since {}{until}, decided again under revision {revision}\n", tally.all(), window.since);
    let mut line = |count: u64, what: &str| {
        let _ = writeln!(out, "  {count:>9} {what}");
    };
    line(tally.unchanged, "unchanged");
    line(tally.changed(false), "lose access");
    line(tally.changed(true), "gain access");
    line(tally.refused_otherwise, "refused in another way");
    line(tally.undecidable, "undecidable");
    for (input, count) in &tally.missing {
        let _ = writeln!(out, "            {count} of them because `{}` was not recorded", safe(input));
    }
    if tally.not_by_policy > 0 {
        let _ = writeln!(out, "{} more were decided by no policy and are left out", tally.not_by_policy);
    }
    if tally.unreadable > 0 {
        let _ = writeln!(out, "{} lines cannot be read: see `portcullis audit verify`", tally.unreadable);
    }
    for (gains, heading) in [(false, "Lose access"), (true, "Gain access")] {
        section(&mut out, heading, &tally.changes(gains));
    }
    out.trim_end().to_owned()
}

fn section(out: &mut String, heading: &str, changes: &[(&Change, &Changed)]) {
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{heading}");
    let mut last: Option<(&str, &str)> = None;
    for (change, changed) in changes {
        if last.map(|(user, _)| user) != Some(&change.user) {
            let _ = writeln!(out, "  {}", safe(name(&change.user, "nobody signed in")));
        }
        if last != Some((&change.user, &change.route)) {
            let _ = writeln!(out, "    {}", safe(name(&change.route, "no route")));
        }
        last = Some((&change.user, &change.route));
        let by = |rule: &Option<Box<str>>| rule.as_deref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "      {} requests: {}{} ({}), before {}{}",
            changed.requests,
            change.decision,
            by(&change.rule),
            change.reason,
            change.reason_before,
            by(&change.before),
        );
        let _ = writeln!(out, "        last {}, id {}", changed.last, safe(&changed.id));
    }
}

fn name<'n>(name: &'n str, else_: &'n str) -> &'n str {
    if name.is_empty() { else_ } else { name }
}

/// Prints for programs.
pub(super) fn json(tally: &Tally, window: Window, revision: &str) -> Value {
    let changes = |gains| {
        let change = |(change, changed): (&Change, &Changed)| {
            json!({
                "user": *change.user,
                "route": *change.route,
                "decision": change.decision,
                "reason": change.reason,
                "rule": change.rule,
                "before": { "reason": *change.reason_before, "rule": change.before },
                "requests": changed.requests,
                "last": changed.last,
                "id": changed.id,
            })
        };
        tally.changes(gains).into_iter().map(change).collect::<Vec<_>>()
    };
    json!({
        "revision": revision,
        "since": window.since,
        "until": window.until,
        "requests": tally.all(),
        "unchanged": tally.unchanged,
        "lose": tally.changed(false),
        "gain": tally.changed(true),
        "refused_otherwise": tally.refused_otherwise,
        "undecidable": tally.undecidable,
        "missing": tally.missing,
        "not_by_policy": tally.not_by_policy,
        "unreadable": tally.unreadable,
        "loses": changes(false),
        "gains": changes(true),
    })
}
