//! From the syntax of RE2, which CEL prescribes, to that of the regex crate: the same text means something else in both.

/// Writes a pattern of RE2 so that the regex crate reads the same: `\d`, `\s`, `\w` and `\b` are about ASCII alone, and in
/// brackets `[`, `&&`, `--` and `~~` are characters, not classes and their arithmetic.
pub(super) fn from_re2(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut within = Within::Nothing;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        let dash = within == Within::Brackets { dash: true };
        match (c, within) {
            ('\\', _) => rest = escape(&mut out, rest, within),
            ('[', Within::Nothing) => {
                rest = open(&mut out, rest);
                within = Within::Brackets { dash: false };
                continue;
            }
            ('[', Within::Brackets { .. }) => match rest.starts_with(':').then(|| rest.find(":]")).flatten() {
                // `[:alpha:]` is the one class that may stand within another.
                Some(end) => {
                    let (name, after) = rest.split_at(end + 2);
                    out.push('[');
                    out.push_str(name);
                    rest = after;
                }
                None => out.push_str("\\["),
            },
            (']', Within::Brackets { .. }) => {
                out.push(']');
                within = Within::Nothing;
            }
            ('&' | '~', Within::Brackets { .. }) => out.extend(['\\', c]),
            ('-', Within::Brackets { dash: true }) => out.push_str("\\-"),
            _ => out.push(c),
        }
        if let Within::Brackets { .. } = within {
            within = Within::Brackets { dash: c == '-' && !dash };
        }
    }
    out
}

/// Where a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    /// In brackets, and whether a dash stands before it.
    Brackets {
        dash: bool,
    },
}

/// Opens brackets: a closing one right behind is a character of the class.
fn open<'p>(out: &mut String, mut rest: &'p str) -> &'p str {
    out.push('[');
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(']') {
        out.push_str("\\]");
        rest = after;
    }
    rest
}

/// Writes what stands behind a backslash; returns what follows.
fn escape<'p>(out: &mut String, rest: &'p str, within: Within) -> &'p str {
    let Some(c) = rest.chars().next() else {
        out.push('\\');
        return rest;
    };
    let after = rest.get(c.len_utf8()..).unwrap_or_default();
    match (c, within) {
        ('d', _) => out.push_str("[0-9]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('s', _) => out.push_str("[\\t\\n\\f\\r ]"),
        ('S', _) => out.push_str("[^\\t\\n\\f\\r ]"),
        ('w', _) => out.push_str("[0-9A-Za-z_]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('b', Within::Nothing) => out.push_str("(?-u:\\b)"),
        ('<' | '>', _) => out.push(c),
        ('Q', Within::Nothing) => {
            let (text, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(text));
            return after;
        }
        _ => out.extend(['\\', c]),
    }
    after
}

#[cfg(test)]
mod tests;
