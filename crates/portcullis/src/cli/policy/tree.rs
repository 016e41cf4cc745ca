//! A rule and the values of its parts, as text and as JSON.

use std::fmt::Write as _;

use authorize::{Outcome, PartExplanation, RuleExplanation};
use serde_json::{Value, json};

use crate::cli::text::safe;

/// Writes a rule with its parts below it, each line beginning with `margin`.
pub(super) fn write_rule(out: &mut String, rule: &RuleExplanation, margin: &str) {
    let effect = if rule.denies { "deny " } else { "allow" };
    let asked = if rule.asked { "" } else { "  (not asked: another rule decided)" };
    let _ = writeln!(out, "{margin}{effect} {} = {}{asked}", rule.rule, outcome_text(&rule.condition.outcome));
    let inner = format!("{margin}  ");
    // A condition of one part would only say the same again.
    if rule.condition.parts.is_empty() {
        write_part(out, &rule.condition, &inner);
    } else {
        let _ = writeln!(out, "{inner}{}", one_line(&rule.condition.text));
        write_parts(out, &rule.condition, &format!("{inner}  "));
    }
}

fn write_part(out: &mut String, part: &PartExplanation, margin: &str) {
    let element = part.element.as_ref().map(|(name, value)| format!("[{name} = {}] ", safe(&value.to_string())));
    let _ = writeln!(
        out,
        "{margin}{}{} = {}",
        element.unwrap_or_default(),
        one_line(&part.text),
        outcome_text(&part.outcome)
    );
    write_parts(out, part, &format!("{margin}  "));
}

fn write_parts(out: &mut String, part: &PartExplanation, margin: &str) {
    for part in &part.parts {
        write_part(out, part, margin);
    }
    if part.left_out > 0 {
        let _ = writeln!(out, "{margin}... and {} elements more", part.left_out);
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Value(value) => safe(&value.to_string()),
        Outcome::Failed(error) => format!("error: {error}"),
        Outcome::Unknown(reads) => {
            let reads: Vec<String> = reads.iter().map(ToString::to_string).collect();
            format!("unknown: the value of {} was not recorded", safe(&reads.join(", ")))
        }
        Outcome::NotEvaluated => "not evaluated".to_owned(),
    }
}

/// Returns a rule and its parts.
pub(super) fn rule_json(rule: &RuleExplanation) -> Value {
    json!({
        "rule": &*rule.rule,
        "effect": if rule.denies { "deny" } else { "allow" },
        "asked": rule.asked,
        "condition": part_json(&rule.condition),
    })
}

fn part_json(part: &PartExplanation) -> Value {
    let mut json = serde_json::Map::from_iter([("text".to_owned(), part.text.as_str().into())]);
    let (key, value) = match &part.outcome {
        Outcome::Value(value) => ("value", value.clone()),
        Outcome::Failed(error) => ("error", error.as_str().into()),
        Outcome::Unknown(reads) => ("unknown", reads.iter().map(ToString::to_string).collect()),
        Outcome::NotEvaluated => ("evaluated", false.into()),
    };
    json.insert(key.to_owned(), value);
    if let Some((name, value)) = &part.element {
        json.insert("element".to_owned(), json!({ &**name: value }));
    }
    if !part.parts.is_empty() {
        json.insert("parts".to_owned(), part.parts.iter().map(part_json).collect());
    }
    if part.left_out > 0 {
        json.insert("left_out".to_owned(), part.left_out.into());
    }
    json.into()
}

/// Puts an expression on one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
