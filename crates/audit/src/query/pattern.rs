//! A text that is looked for: as it is, or with `*` for anything.

use std::str::FromStr;

/// A text that is looked for: as it is, or with `*` for any characters, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

/// Bytes that are in each line that is meant.
#[derive(Debug)]
pub(super) struct Needle {
    pub(super) bytes: String,
    /// How much of them is of the text that is looked for, and not its frame.
    pub(super) of: usize,
}

impl Pattern {
    /// Returns whether a text is meant.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return *self.0 == *text };
        let Some(mut text) = text.strip_prefix(first) else { return false };
        let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in between.split('*') {
            // The first place that fits leaves most to the parts behind it.
            let Some((_, behind)) = text.split_once(part).or_else(|| part.is_empty().then_some(("", text))) else {
                return false;
            };
            text = behind;
        }
        text.ends_with(last)
    }

    /// Returns bytes that are in each line with a text of this pattern, before which stands `before` and behind it `after`.
    ///
    /// Nothing where the pattern has what may be written in several ways: quotes, backslashes and all beyond ASCII.
    pub(super) fn needle(&self, before: &str, after: &str) -> Option<Needle> {
        let last = self.0.split('*').count() - 1;
        let parts = self.0.split('*').enumerate().filter(|(_, part)| !part.is_empty() && is_plain(part));
        let (number, part) = parts.max_by_key(|(_, part)| part.len())?;
        let before = if number == 0 { before } else { "" };
        let after = if number == last { after } else { "" };
        Some(Needle { bytes: format!("{before}{part}{after}"), of: part.len() })
    }
}

impl FromStr for Pattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err("write a text, or a pattern with `*`") } else { Ok(Self(text.into())) }
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}
