//! What decides nothing is left unread by the tools for policies: secrets, certificates and keys are often on another
//! machine than the people who write policies.

use super::schema::{Format, Kind, Section};
use super::tree::{Node, Value};

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
