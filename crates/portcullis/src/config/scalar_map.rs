//! Finds the place in the file of a character of a scalar's value, whatever quotes and escapes lie between.

use std::ops::Range;

use super::source::Place;
use super::tree::{Node, Style};

/// Returns the place of characters `at` of the value. Where characters of the value have no place of their own
/// (folded text, values that were put in for `${..}`), the place is the scalar's.
pub(crate) fn place(node: &Node, source: &str, at: Range<usize>) -> Place {
    let start_only = Place { end: node.place.start, ..node.place };
    let Some(scalar) = node.scalar().filter(|scalar| !scalar.expanded) else { return start_only };
    let raw = source.get(node.place.start..node.place.end).unwrap_or_default();
    let offsets = match scalar.style {
        Style::Folded => return start_only,
        Style::Literal => literal(source, node.place.start, &scalar.text),
        // A line break within quotes or a plain text is folded to a space.
        Style::Plain | Style::SingleQuoted | Style::DoubleQuoted if raw.contains('\n') => return start_only,
        Style::Plain => plain(raw),
        Style::SingleQuoted => single_quoted(raw),
        Style::DoubleQuoted => double_quoted(raw),
    };
    let base = if scalar.style == Style::Literal { 0 } else { node.place.start };
    let Some(start) = offsets.get(at.start).or_else(|| offsets.last()).map(|offset| base + offset) else {
        return start_only;
    };
    let end = offsets.get(at.end.max(at.start)).or_else(|| offsets.last()).map_or(start, |offset| base + offset);
    Place { start, end: end.max(start), ..node.place }
}

/// Returns the byte offset of each character and of the end.
fn plain(raw: &str) -> Vec<usize> {
    raw.char_indices().map(|(offset, _)| offset).chain([raw.trim_end().len()]).collect()
}

/// `''` stands for one quote.
fn single_quoted(raw: &str) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut chars = raw.char_indices().skip(1).peekable();
    while let Some((offset, c)) = chars.next() {
        offsets.push(offset);
        if c == '\'' && chars.next_if(|(_, next)| *next == '\'').is_none() {
            break;
        }
    }
    offsets
}

/// Escapes stand for one character each (YAML 1.2 §5.7).
fn double_quoted(raw: &str) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut chars = raw.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        offsets.push(offset);
        match c {
            '"' => break,
            '\\' => {
                let digits = match chars.next() {
                    Some((_, 'x')) => 2,
                    Some((_, 'u')) => 4,
                    Some((_, 'U')) => 8,
                    _ => 0,
                };
                for _ in 0..digits {
                    chars.next();
                }
            }
            _ => {}
        }
    }
    offsets
}

/// Each line of the value is a line of the file behind the same indentation. Offsets are those of the whole file.
fn literal(source: &str, start: usize, value: &str) -> Vec<usize> {
    let Some(mut offset) = block_start(source, start, value) else { return Vec::new() };
    let mut offsets = Vec::new();
    for (line, written) in
        value.split_inclusive('\n').zip(source.get(offset..).unwrap_or_default().split_inclusive('\n'))
    {
        let content = line.trim_end_matches('\n');
        let indentation = written.trim_end_matches(['\n', '\r']).len().saturating_sub(content.len());
        offsets.extend(line.char_indices().map(|(within, _)| offset + indentation + within));
        offset += written.len();
    }
    offsets.push(offset);
    offsets
}

/// The parser gives a block's place as that of its first line with content; the value begins with the empty ones above.
fn block_start(source: &str, start: usize, value: &str) -> Option<usize> {
    let line_start = |before: &str| before.rfind('\n').map_or(0, |newline| newline + 1);
    let empty = value.bytes().take_while(|byte| *byte == b'\n').count();
    (0..empty)
        .try_fold(line_start(source.get(..start)?), |below, _| Some(line_start(source.get(..below.checked_sub(1)?)?)))
}

#[cfg(test)]
mod tests;
