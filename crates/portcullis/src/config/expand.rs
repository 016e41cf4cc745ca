//! Replaces `${env:NAME}` and `${file:PATH}` inside values.

use super::problem::Problem;
use super::source::{Place, Sources};
use super::text;
use super::tree::{Node, Value, quoted};

/// Where names come from; tests bring their own.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Replaces every reference below `node`. Keys are left alone.
pub(crate) fn expand(
    node: &mut Node,
    environment: Environment<'_>,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) {
    let place = node.place;
    match &mut node.value {
        Value::Null => {}
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, environment, sources, problems)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|entry| expand(&mut entry.value, environment, sources, problems));
        }
        Value::Scalar(scalar) if scalar.text.contains("${") && !scalar.failed => {
            scalar.expanded = true;
            let before = problems.len();
            scalar.text = replace(&scalar.text, place, environment, sources, problems);
            scalar.failed = problems.len() > before;
        }
        Value::Scalar(_) => {}
    }
}

fn replace(
    text: &str,
    place: Place,
    environment: Environment<'_>,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((reference, after)) = after.split_once('}') else {
            problems.push(Problem::error(place, "`${` has no `}`: write `${env:NAME}` or `${file:PATH}`"));
            return out;
        };
        match resolve(reference, place, environment, sources) {
            Ok(value) => out.push_str(&value),
            Err(message) => problems.push(Problem::error(place, message)),
        }
        rest = after;
    }
    out + rest
}

fn resolve(
    reference: &str,
    place: Place,
    environment: Environment<'_>,
    sources: &mut Sources,
) -> Result<String, String> {
    match reference.split_once(':') {
        Some(("env", name)) => environment(name).ok_or_else(|| {
            format!("the environment variable {} is not set: set it, or correct the name", quoted(name))
        }),
        Some(("file", path)) => {
            let path = sources.folder(place.file).join(path);
            sources.watched.add(path.clone());
            let shown = quoted(&path.display().to_string());
            text::read_value(&path).map_err(|reason| format!("cannot read {shown}: {reason}"))
        }
        _ => Err("`${` starts neither `${env:NAME}` nor `${file:PATH}`: write one of them, or `$${` for a plain `${`"
            .to_owned()),
    }
}
