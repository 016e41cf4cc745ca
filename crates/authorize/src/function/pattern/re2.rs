//! From the syntax of RE2, which CEL prescribes, to that of the regex crate: the same text means something else in both.

use super::{PatternError, literal};

/// Writes a pattern of RE2 so that the regex crate reads the same: `\d`, `\s`, `\w` and `\b` are about ASCII alone, and in
/// brackets `[`, `&&`, `--` and `~~` are characters, not classes and their arithmetic.
///
/// # Errors
/// Brackets hold a class of no known name, which the regex crate would take for brackets within brackets.
pub(super) fn from_re2(pattern: &str) -> Result<String, PatternError> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((c, after)) = first(rest) {
        rest = match c {
            '[' => brackets(&mut out, after)?,
            '\\' => escape(&mut out, after),
            _ => {
                out.push(c);
                after
            }
        };
    }
    Ok(out)
}

/// Writes what stands in brackets, taken apart as RE2 does: classes, and characters or ranges of them. Returns what follows.
fn brackets<'p>(out: &mut String, mut rest: &'p str) -> Result<&'p str, PatternError> {
    out.push('[');
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    // A closing one right behind is a character.
    let mut closes = false;
    while let Some((c, after)) = first(rest) {
        if c == ']' && closes {
            out.push(']');
            return Ok(after);
        }
        closes = true;
        rest = match class(out, rest)? {
            Some(after) => after,
            None => range(out, rest),
        };
    }
    // They are not closed, which the regex crate says.
    Ok(rest)
}

/// Writes a class that stands in brackets; returns what follows, or nothing where there is none.
fn class<'p>(out: &mut String, rest: &'p str) -> Result<Option<&'p str>, PatternError> {
    if let Some((name, after)) = rest.strip_prefix("[:").and_then(|named| named.split_once(":]")) {
        if !CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(PatternError::Syntax(UNKNOWN_CLASS.to_owned()));
        }
        out.extend(["[:", name, ":]"]);
        return Ok(Some(after));
    }
    let Some((c, after)) = rest.strip_prefix('\\').and_then(first) else { return Ok(None) };
    if let Some(class) = ascii(c) {
        out.push_str(class);
        return Ok(Some(after));
    }
    if !matches!(c, 'p' | 'P') {
        return Ok(None);
    }
    let one_letter = || after.split_at_checked(after.chars().next()?.len_utf8());
    let (name, after) = in_braces(after).or_else(one_letter).unwrap_or((after, ""));
    out.extend(['\\', c]);
    out.push_str(name);
    Ok(Some(after))
}

/// Writes a character in brackets, or a range where a dash stands behind it that is not the last character; returns what
/// follows. A class does not end a range: it is written as it is there, and the regex crate refuses it, too.
fn range<'p>(out: &mut String, rest: &'p str) -> &'p str {
    let rest = character(out, rest);
    match rest.strip_prefix('-').filter(|after| !after.starts_with(']')) {
        Some(after) => {
            out.push('-');
            character(out, after)
        }
        None => rest,
    }
}

fn character<'p>(out: &mut String, rest: &'p str) -> &'p str {
    match first(rest) {
        Some(('\\', after)) => escaped(out, after),
        Some((c, after)) => {
            literal(out, c);
            after
        }
        None => rest,
    }
}

/// Writes what stands behind a backslash outside of brackets; returns what follows.
fn escape<'p>(out: &mut String, rest: &'p str) -> &'p str {
    match first(rest) {
        Some(('b', after)) => {
            out.push_str("(?-u:\\b)");
            after
        }
        Some(('Q', after)) => {
            let (text, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(text));
            after
        }
        Some((c, after)) => match ascii(c) {
            Some(class) => {
                out.push_str(class);
                after
            }
            None => escaped(out, rest),
        },
        None => escaped(out, rest),
    }
}

/// Writes an escape that is the same in both, with its number in braces; returns what follows.
fn escaped<'p>(out: &mut String, rest: &'p str) -> &'p str {
    let Some((c, after)) = first(rest) else {
        out.push('\\');
        return rest;
    };
    if let '<' | '>' = c {
        // With the backslash, it would be where a word begins or ends.
        out.push(c);
        return after;
    }
    out.extend(['\\', c]);
    let Some((number, after)) = in_braces(after).filter(|_| c == 'x') else { return after };
    out.push_str(number);
    after
}

/// Returns a class that is about ASCII alone.
const fn ascii(c: char) -> Option<&'static str> {
    match c {
        'd' => Some("[0-9]"),
        'D' => Some("[^0-9]"),
        's' => Some("[\\t\\n\\f\\r ]"),
        'S' => Some("[^\\t\\n\\f\\r ]"),
        'w' => Some("[0-9A-Za-z_]"),
        'W' => Some("[^0-9A-Za-z_]"),
        _ => None,
    }
}

/// Takes what a text begins with in braces, and the braces, off it.
fn in_braces(text: &str) -> Option<(&str, &str)> {
    let end = text.strip_prefix('{')?.find('}')?;
    text.split_at_checked(end + "{}".len())
}

fn first(text: &str) -> Option<(char, &str)> {
    let mut characters = text.chars();
    Some((characters.next()?, characters.as_str()))
}

/// The names of classes in brackets.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

const UNKNOWN_CLASS: &str =
    "what stands between `[:` and `:]` is no class: write one such as `[:alpha:]`, or `\\[` for a bracket";

#[cfg(test)]
mod tests;
