//! What decides nothing is left unread by the tools for policies: secrets, certificates and keys are often on another
//! machine than the people who write policies.

use super::schema::{Format, Kind, Section};
use super::tree::{Entry, Node, Value};

/// Marks what decides nothing, so that nothing replaces, opens or reports it.
pub(super) fn mark(node: &mut Node, section: &Section) {
    let Value::Map(entries) = &mut node.value else { return };
    // The log is read, and nothing is signed.
    entries.retain(|entry| {
        section.key(&entry.key).is_none_or(|key| !matches!(key.kind, Kind::Format(Format::SigningKey)))
    });
    for entry in entries {
        if let Some(key) = section.key(&entry.key) {
            value(&mut entry.value, &key.kind);
        }
    }
}

/// Marks what stands for a value that decides nothing, `to: http://${env:HOST}` say, in the same way.
pub(super) fn mark_references(root: &mut Node) {
    for entry in entries(root) {
        match entry.key.as_str() {
            "policy_files" | "networks" | "data" | "guard" => {}
            "routes" => items(&mut entry.value).for_each(|route| all_but(&OF_ROUTES, route)),
            "defaults" => all_but(&OF_ROUTES, &mut entry.value),
            "audit" => all_but(&OF_AUDIT, &mut entry.value),
            "authenticate" => {
                for entry in entries(&mut entry.value) {
                    match entry.key.as_str() {
                        "providers" => items(&mut entry.value).for_each(|provider| all_but(&["id"], provider)),
                        _ => references(&mut entry.value),
                    }
                }
            }
            _ => references(&mut entry.value),
        }
    }
}

fn all_but(kept: &[&str], section: &mut Node) {
    let left_out = entries(section).filter(|entry| !kept.contains(&entry.key.as_str()));
    left_out.for_each(|entry| references(&mut entry.value));
}

fn references(node: &mut Node) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) => scalar.failed |= scalar.text.contains("${"),
        Value::List(items) => items.iter_mut().for_each(references),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| references(&mut entry.value)),
    }
}

fn entries(node: &mut Node) -> impl Iterator<Item = &mut Entry> {
    match &mut node.value {
        Value::Map(entries) => entries.as_mut_slice(),
        Value::Null | Value::Scalar(_) | Value::List(_) => &mut [],
    }
    .iter_mut()
}

fn items(node: &mut Node) -> impl Iterator<Item = &mut Node> {
    match &mut node.value {
        Value::List(items) => items.as_mut_slice(),
        Value::Null | Value::Scalar(_) | Value::Map(_) => &mut [],
    }
    .iter_mut()
}

fn value(node: &mut Node, kind: &Kind) {
    match (&mut node.value, kind) {
        (Value::Scalar(scalar), kind) if decides_nothing(kind) => scalar.failed = true,
        (Value::Scalar(scalar), Kind::List(item, _)) if decides_nothing(item) => scalar.failed = true,
        (Value::List(items), Kind::List(item, _) | Kind::ChoiceOr(_, item)) => {
            items.iter_mut().for_each(|node| value(node, item));
        }
        (Value::Map(entries), Kind::Table(item)) => {
            entries.iter_mut().for_each(|entry| value(&mut entry.value, item));
        }
        (Value::Map(_), Kind::Section(section) | Kind::FlagOr(section) | Kind::ScalarOr(_, section)) => {
            mark(node, section);
        }
        _ => {}
    }
}

const fn decides_nothing(kind: &Kind) -> bool {
    matches!(kind, Kind::Secret | Kind::Format(Format::Certificates | Format::PrivateKey | Format::RevocationLists))
}

/// Keys of a route by which it is found and decided.
const OF_ROUTES: [&str; 14] = [
    "name",
    "from",
    "path",
    "prefix",
    "regex",
    "methods",
    "encoded_slashes",
    "policy",
    "allow",
    "deny",
    "mode",
    "authenticate",
    "provider",
    "step_up",
];

/// Keys of `audit` that say where records are, and what is in them.
const OF_AUDIT: [&str; 4] = ["dir", "redact", "fields", "record_inputs"];
