//! Finds the place in the file of a character of a scalar's value, whatever quotes and escapes lie between.

use std::ops::Range;

use super::source::Place;
use super::tree::{Node, Style};

/// Returns the place of characters `at` of the value. Where characters of the value have no place of their own
/// (values that were put in for `${..}`), the place is the scalar's.
pub(crate) fn place(node: &Node, source: &str, at: Range<usize>) -> Place {
    let offsets = node.scalar().filter(|scalar| !scalar.expanded).and_then(|scalar| {
        let raw = source.get(node.place.start..node.place.end).unwrap_or_default();
        offsets(&written(raw, scalar.style), &scalar.text)
    });
    let offset = |of: usize| offsets.as_ref().and_then(|offsets| offsets.get(of).or_else(|| offsets.last()));
    let start = node.place.start + offset(at.start).unwrap_or(&0);
    let end = node.place.start + offset(at.end).unwrap_or(&0);
    Place { start, end: end.max(start), ..node.place }
}

/// A character or an escape as it stands in the file.
struct Written {
    offset: usize,
    /// `None` where an escape tells.
    stands_for: Option<char>,
}

impl Written {
    fn is_space(&self) -> bool {
        self.stands_for.is_some_and(is_space)
    }
}

fn written(raw: &str, style: Style) -> Vec<Written> {
    let quotes = matches!(style, Style::SingleQuoted | Style::DoubleQuoted);
    let mut chars = raw.char_indices().skip(usize::from(quotes)).peekable();
    let mut written = Vec::new();
    while let Some((offset, c)) = chars.next() {
        let stands_for = match (style, c) {
            (Style::DoubleQuoted, '\\') => escaped(&mut chars),
            (Style::SingleQuoted, '\'') => {
                chars.next_if(|(_, next)| *next == '\'');
                Some(c)
            }
            _ => Some(c),
        };
        written.push(Written { offset, stands_for });
    }
    written.push(Written { offset: raw.len(), stands_for: None });
    written
}

/// Reads on behind a backslash. An escape stands for one character (YAML 1.2 §5.7), an escaped line break for none.
fn escaped(chars: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    let (_, kind) = chars.next()?;
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        '\r' | '\n' => return Some(kind),
        _ => 0,
    };
    chars.take(digits).for_each(drop);
    None
}

/// Returns the offset of each character of the value and of its end. What is not space stands in the file as in the value,
/// one for one; what is space may be folded, stripped or indentation.
fn offsets(mut written: &[Written], value: &str) -> Option<Vec<usize>> {
    let mut offsets = Vec::new();
    for c in value.chars() {
        while let [first, rest @ ..] = written
            && first.is_space()
            && !is_space(c)
        {
            written = rest;
        }
        let [first, rest @ ..] = written else { return None };
        offsets.push(first.offset);
        if first.is_space() || first.stands_for.is_none_or(|found| found == c) {
            written = rest;
        } else if !is_space(c) {
            return None;
        }
    }
    offsets.push(written.first()?.offset);
    Some(offsets)
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests;
