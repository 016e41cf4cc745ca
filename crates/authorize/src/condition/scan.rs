//! A look at the characters of a condition before the parser sees it.
//!
//! The parser's prediction takes memory exponential in the nesting of texts that are no CEL (cel-rust #305, #306), so
//! what is too long, too deep or unbalanced never reaches it.

use std::collections::HashMap;
use std::ops::Range;

use super::Fault;

/// The longest condition, in bytes.
pub(super) const MAX_SOURCE: usize = 8 * 1024;
/// The deepest nesting of brackets. The published inputs that exhaust the parser start at 42.
const MAX_NESTING: usize = 24;
/// The most `!` or `-` in a row.
const MAX_PREFIXES: usize = 4;

/// Where each bracket closes: from the offset of the opening one to that of the closing one.
#[derive(Debug, Default)]
pub(super) struct Brackets(HashMap<usize, usize>);

impl Brackets {
    /// Returns where the bracket that opens at `offset` closes.
    pub(super) fn closing(&self, offset: usize) -> Option<usize> {
        self.0.get(&offset).copied()
    }

    /// Returns a stretch of characters with the brackets that it cuts apart: operands do not span those around them.
    pub(super) fn balanced(&self, at: &Range<usize>) -> Range<usize> {
        let cut = self.0.iter().filter(|(open, close)| at.contains(*open) != at.contains(*close));
        cut.fold(at.clone(), |at, (open, close)| at.start.min(*open)..at.end.max(close + 1))
    }
}

/// Scans a condition, given as its characters.
pub(super) fn scan(source: &[char]) -> Result<Brackets, Fault> {
    let bytes: usize = source.iter().map(|c| c.len_utf8()).sum();
    if bytes > MAX_SOURCE {
        return Err(Fault::new(
            0..source.len(),
            format!("the expression has {bytes} bytes; at most {MAX_SOURCE} are allowed"),
        )
        .help("split it into several rules or policies"));
    }
    let mut brackets = Brackets::default();
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut prefixes = 0;
    let mut offset = 0;
    while let Some(&c) = source.get(offset) {
        prefixes = match c {
            '!' | '-' => prefixes + 1,
            _ if c.is_whitespace() => prefixes,
            _ => 0,
        };
        if prefixes > MAX_PREFIXES {
            return Err(Fault::new(offset..offset + 1, format!("more than {MAX_PREFIXES} `{c}` in a row")));
        }
        match c {
            '"' | '\'' => {
                offset = skip_text(source, offset)?;
                continue;
            }
            '/' if source.get(offset + 1) == Some(&'/') => {
                offset = source.iter().skip(offset).position(|c| *c == '\n').map_or(source.len(), |line| offset + line);
                continue;
            }
            '(' | '[' | '{' => {
                open.push((offset, c));
                if open.len() > MAX_NESTING {
                    let message = format!("brackets are nested more than {MAX_NESTING} deep");
                    return Err(Fault::new(offset..offset + 1, message).help("split it into several rules or policies"));
                }
            }
            ')' | ']' | '}' => match open.pop() {
                Some((start, opening)) if closes(opening) == c => {
                    brackets.0.insert(start, offset);
                }
                Some((start, opening)) => {
                    return Err(Fault::new(offset..offset + 1, format!("`{c}` closes nothing")).help(format!(
                        "the `{opening}` at character {} wants `{}`",
                        start + 1,
                        closes(opening)
                    )));
                }
                None => return Err(Fault::new(offset..offset + 1, format!("`{c}` closes nothing"))),
            },
            _ => {}
        }
        offset += 1;
    }
    match open.pop() {
        Some((start, opening)) => Err(Fault::new(start..start + 1, format!("`{opening}` is not closed"))
            .help(format!("add `{}`", closes(opening)))),
        None => Ok(brackets),
    }
}

const fn closes(opening: char) -> char {
    match opening {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

/// Returns the offset behind the text that starts with the quote at `start`.
fn skip_text(source: &[char], start: usize) -> Result<usize, Fault> {
    let at = |offset: usize| source.get(offset).copied();
    let quote = at(start);
    let raw = prefix(source, start).any(|c| matches!(c, 'r' | 'R'));
    let triple = at(start + 1) == quote && at(start + 2) == quote;
    let mut offset = start + if triple { 3 } else { 1 };
    while let Some(c) = at(offset) {
        if c == '\\' && !raw {
            offset += 2;
        } else if Some(c) == quote && !triple {
            return Ok(offset + 1);
        } else if Some(c) == quote && at(offset + 1) == quote && at(offset + 2) == quote {
            return Ok(offset + 3);
        } else if matches!(c, '\n' | '\r') && !triple {
            break;
        } else {
            offset += 1;
        }
    }
    let at: Range<usize> = start..offset.min(source.len());
    Err(Fault::new(at, "the text is not closed").help("add the closing quote"))
}

/// Goes back over the letters before a quote, which make a text raw or bytes.
fn prefix(source: &[char], quote: usize) -> impl Iterator<Item = char> + '_ {
    source.iter().take(quote).rev().copied().take(2).take_while(|c| matches!(c, 'r' | 'R' | 'b' | 'B'))
}
