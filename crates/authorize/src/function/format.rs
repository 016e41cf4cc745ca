//! Functions that write values into a text.

use super::{Function, MAX_TEXT};
use crate::failure::Failure;
use crate::value::{List, Map, Value};

pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Failure> {
    match (function, arguments) {
        (Function::Format, [Value::Text(text), Value::List(values)]) => format(text, values),
        (Function::Quote, [Value::Text(text)]) => quote(text),
        _ => Err(Failure::NoOverload(function.name())),
    }
}

/// A part of a text for `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    /// `%d`, or `%.2f` with its number of digits.
    Clause(char, Option<usize>),
}

/// Counts the values that a text for `format` takes.
pub(crate) fn clauses(text: &str) -> Result<usize, Failure> {
    pieces(text).try_fold(0, |count, piece| Ok(count + usize::from(matches!(piece?, Piece::Clause(..)))))
}

fn format<'a>(text: &str, values: &List<'a>) -> Result<Value<'a>, Failure> {
    let mut out = String::new();
    let mut index = 0;
    for piece in pieces(text) {
        match piece? {
            Piece::Text(text) => push(&mut out, text)?,
            Piece::Clause(kind, digits) => {
                let value = values.get(index).ok_or(Failure::IndexOutOfRange)?;
                index += 1;
                clause(&mut out, kind, digits, &value)?;
            }
        }
    }
    Ok(Value::text(out))
}

fn pieces(text: &str) -> impl Iterator<Item = Result<Piece<'_>, Failure>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = match rest.strip_prefix('%') {
            _ if rest.is_empty() => return None,
            None => {
                let (text, after) = rest.split_at_checked(rest.find('%').unwrap_or(rest.len()))?;
                (Ok(Piece::Text(text)), after)
            }
            Some(escaped) if escaped.starts_with('%') => (Ok(Piece::Text("%")), escaped.get(1..)?),
            Some(clause) => match read_clause(clause) {
                Some((piece, after)) => (Ok(piece), after),
                None => (Err(Failure::Invalid("not a text for `format`: it takes %s %d %f %e %b %x %X %o and %%")), ""),
            },
        };
        rest = after;
        Some(piece)
    })
}

fn read_clause(text: &str) -> Option<(Piece<'_>, &str)> {
    let (digits, text) = match text.strip_prefix('.') {
        Some(text) => {
            let end = text.find(|c: char| !c.is_ascii_digit())?;
            let (digits, text) = text.split_at_checked(end)?;
            (Some(digits.parse().ok().filter(|digits| *digits <= MAX_DIGITS)?), text)
        }
        None => (None, text),
    };
    let kind = text.chars().next().filter(|kind| "sdfebxXo".contains(*kind))?;
    let piece = Piece::Clause(kind, digits);
    (digits.is_none() || matches!(kind, 'f' | 'e')).then_some((piece, text.get(1..)?))
}

fn clause(out: &mut String, kind: char, digits: Option<usize>, value: &Value<'_>) -> Result<(), Failure> {
    let digits = digits.unwrap_or(6);
    let written = match (kind, value) {
        ('s', value) => return write(out, value),
        ('d' | 'f' | 'e', Value::Double(number)) if !number.is_finite() => double(*number),
        ('d', Value::Int(number)) => number.to_string(),
        ('d', Value::Uint(number)) => number.to_string(),
        ('f', Value::Double(number)) => format!("{number:.digits$}"),
        ('e', Value::Double(number)) => scientific(*number, digits),
        ('b', Value::Bool(value)) => u8::from(*value).to_string(),
        ('b', Value::Int(number)) => signed(*number, format!("{:b}", number.unsigned_abs())),
        ('b', Value::Uint(number)) => format!("{number:b}"),
        ('o', Value::Int(number)) => signed(*number, format!("{:o}", number.unsigned_abs())),
        ('o', Value::Uint(number)) => format!("{number:o}"),
        ('x', Value::Int(number)) => signed(*number, format!("{:x}", number.unsigned_abs())),
        ('X', Value::Int(number)) => signed(*number, format!("{:X}", number.unsigned_abs())),
        ('x', Value::Uint(number)) => format!("{number:x}"),
        ('X', Value::Uint(number)) => format!("{number:X}"),
        ('x', Value::Text(text)) => hexadecimal(text.as_bytes())?,
        ('x', Value::Bytes(bytes)) => hexadecimal(bytes)?,
        ('X', Value::Text(text)) => hexadecimal(text.as_bytes())?.to_ascii_uppercase(),
        ('X', Value::Bytes(bytes)) => hexadecimal(bytes)?.to_ascii_uppercase(),
        _ => return Err(Failure::NoOverload("format")),
    };
    push(out, &written)
}

/// Writes a value as `%s` does.
fn write(out: &mut String, value: &Value<'_>) -> Result<(), Failure> {
    match value {
        Value::Null => push(out, "null"),
        Value::Type(name) => push(out, name),
        Value::Double(number) => push(out, &double(*number)),
        Value::List(list) => {
            push(out, "[")?;
            for (index, item) in list.iter().enumerate() {
                push(out, if index > 0 { ", " } else { "" })?;
                write(out, &item)?;
            }
            push(out, "]")
        }
        Value::Map(map) => write_map(out, map),
        value => match super::convert::to_text(value)? {
            Value::Text(text) => push(out, &text),
            _ => Err(Failure::NoOverload("format")),
        },
    }
}

/// Writes a map in the order of its keys as texts.
fn write_map(out: &mut String, map: &Map<'_>) -> Result<(), Failure> {
    let mut entries = Vec::with_capacity(map.len());
    for key in map.keys().iter() {
        let mut text = String::new();
        write(&mut text, &key)?;
        entries.push((text, map.get(&key).unwrap_or(Value::Null)));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    push(out, "{")?;
    for (index, (key, value)) in entries.iter().enumerate() {
        push(out, if index > 0 { ", " } else { "" })?;
        push(out, key)?;
        push(out, ": ")?;
        write(out, value)?;
    }
    push(out, "}")
}

fn push(out: &mut String, text: &str) -> Result<(), Failure> {
    if out.len() + text.len() > MAX_TEXT {
        return Err(Failure::Budget);
    }
    out.push_str(text);
    Ok(())
}

fn signed(number: i64, digits: String) -> String {
    if number < 0 { format!("-{digits}") } else { digits }
}

fn double(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    number.to_string()
}

/// Writes an exponent with its sign and at least two digits.
fn scientific(number: f64, digits: usize) -> String {
    let written = format!("{number:.digits$e}");
    let (number, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{number}e{sign}{exponent:0>2}")
}

fn hexadecimal(bytes: &[u8]) -> Result<String, Failure> {
    if bytes.len() > MAX_TEXT / 2 {
        return Err(Failure::Budget);
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a text as CEL would, in double quotes.
fn quote<'a>(text: &str) -> Result<Value<'a>, Failure> {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
        if out.len() > MAX_TEXT {
            return Err(Failure::Budget);
        }
    }
    out.push('"');
    Ok(Value::text(out))
}

/// The most digits behind a point.
const MAX_DIGITS: usize = 100;
