//! Functions on texts. Positions and lengths count characters.

use std::borrow::Cow;

use super::{Function, MAX_LIST, MAX_TEXT};
use crate::failure::Failure;
use crate::value::Value;

pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Failure> {
    match (function, arguments) {
        (Function::Size, [value]) => size(value).map(Value::Int),
        (Function::Contains, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.contains(&**part))),
        (Function::StartsWith, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
        (Function::EndsWith, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
        (Function::CharAt, [Value::Text(text), Value::Int(at)]) => char_at(text, *at).map(Value::text),
        (Function::IndexOf, [Value::Text(text), Value::Text(part)]) => index_of(text, part, 0),
        (Function::IndexOf, [Value::Text(text), Value::Text(part), Value::Int(from)]) => {
            index_of(text, part, position(text, *from)?)
        }
        (Function::LastIndexOf, [Value::Text(text), Value::Text(part)]) => last_index_of(text, part, None),
        (Function::LastIndexOf, [Value::Text(text), Value::Text(part), Value::Int(from)]) => {
            last_index_of(text, part, Some(position(text, *from)?))
        }
        (Function::LowerAscii, [Value::Text(text)]) => Ok(Value::text(text.to_ascii_lowercase())),
        (Function::UpperAscii, [Value::Text(text)]) => Ok(Value::text(text.to_ascii_uppercase())),
        (Function::Replace, [Value::Text(text), Value::Text(from), Value::Text(to)]) => replace(text, from, to, -1),
        (Function::Replace, [Value::Text(text), Value::Text(from), Value::Text(to), Value::Int(limit)]) => {
            replace(text, from, to, *limit)
        }
        (Function::Split, [Value::Text(text), Value::Text(separator)]) => split(text, separator, -1),
        (Function::Split, [Value::Text(text), Value::Text(separator), Value::Int(limit)]) => {
            split(text, separator, *limit)
        }
        (Function::Substring, [Value::Text(text), Value::Int(start)]) => substring(text, position(text, *start)?, None),
        (Function::Substring, [Value::Text(text), Value::Int(start), Value::Int(end)]) => {
            substring(text, position(text, *start)?, Some(position(text, *end)?))
        }
        (Function::Trim, [Value::Text(text)]) => Ok(Value::text(text.trim().to_owned())),
        _ => Err(Failure::NoOverload(function.name())),
    }
}

fn size(value: &Value<'_>) -> Result<i64, Failure> {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return Err(Failure::NoOverload("size")),
    };
    i64::try_from(size).map_err(|_| Failure::Overflow)
}

/// Turns a position in characters, which may be the end, into one in bytes.
fn position(text: &str, at: i64) -> Result<usize, Failure> {
    let at = usize::try_from(at).map_err(|_| Failure::IndexOutOfRange)?;
    let mut starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    starts.nth(at).ok_or(Failure::IndexOutOfRange)
}

fn char_at(text: &str, at: i64) -> Result<String, Failure> {
    let start = position(text, at)?;
    Ok(text.get(start..).and_then(|rest| rest.chars().next()).map(String::from).unwrap_or_default())
}

fn characters_before<'a>(text: &str, at: usize) -> Result<Value<'a>, Failure> {
    let count = text.get(..at).unwrap_or_default().chars().count();
    i64::try_from(count).map(Value::Int).map_err(|_| Failure::Overflow)
}

fn index_of<'a>(text: &str, part: &str, from: usize) -> Result<Value<'a>, Failure> {
    match text.get(from..).and_then(|rest| rest.find(part)) {
        Some(found) => characters_before(text, from + found),
        None => Ok(Value::Int(-1)),
    }
}

fn last_index_of<'a>(text: &str, part: &str, from: Option<usize>) -> Result<Value<'a>, Failure> {
    let until = from.map_or(text.len(), |from| from.saturating_add(part.len()).min(text.len()));
    let until = (0..=until).rfind(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let found = text.get(..until).and_then(|rest| rest.rfind(part));
    match found.filter(|found| from.is_none_or(|from| *found <= from)) {
        Some(found) => characters_before(text, found),
        None => Ok(Value::Int(-1)),
    }
}

fn replace<'a>(text: &str, from: &str, to: &str, limit: i64) -> Result<Value<'a>, Failure> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(from).count().min(limit);
    // Replacing nothing by something inserts between all characters: the product of two lengths.
    if count.saturating_mul(to.len()).saturating_add(text.len()) > MAX_TEXT {
        return Err(Failure::Budget);
    }
    Ok(Value::text(text.replacen(from, to, limit)))
}

fn split<'a>(text: &Cow<'a, str>, separator: &str, limit: i64) -> Result<Value<'a>, Failure> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = if separator.is_empty() { text.chars().count() } else { text.matches(separator).count() + 1 };
    if count.min(limit) > MAX_LIST {
        return Err(Failure::Budget);
    }
    let parts = if separator.is_empty() { characters(text, limit) } else { pieces(text, separator, limit) };
    Ok(Value::list(parts))
}

fn pieces<'a>(text: &Cow<'a, str>, separator: &str, limit: usize) -> Vec<Value<'a>> {
    match text {
        Cow::Borrowed(text) => text.splitn(limit, separator).map(Value::text).collect(),
        Cow::Owned(text) => text.splitn(limit, separator).map(|part| Value::text(part.to_owned())).collect(),
    }
}

/// An empty separator splits between all characters.
fn characters<'a>(text: &str, limit: usize) -> Vec<Value<'a>> {
    let mut rest = text.chars();
    let mut parts = Vec::new();
    while parts.len() + 1 < limit {
        match rest.next() {
            Some(c) => parts.push(Value::text(c.to_string())),
            None => return parts,
        }
    }
    if limit > 0 && !rest.as_str().is_empty() {
        parts.push(Value::text(rest.as_str().to_owned()));
    }
    parts
}

fn substring<'a>(text: &str, start: usize, end: Option<usize>) -> Result<Value<'a>, Failure> {
    let part = text.get(start..end.unwrap_or(text.len())).ok_or(Failure::IndexOutOfRange)?;
    Ok(Value::text(part.to_owned()))
}
