//! A text that is looked for: as it is, or with `*` for anything.

use std::str::FromStr;

/// A text that is looked for: as it is, or with `*` for any characters, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

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

    /// Returns the text, unless it has a `*`.
    pub(super) fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&*self.0)
    }

    /// Returns bytes that are in each line where a text of this pattern is, in quotes where nothing else is in them.
    ///
    /// Nothing where the pattern has what may be written in several ways: quotes, backslashes and all beyond ASCII.
    pub(super) fn needle(&self) -> Option<String> {
        if let Some(text) = self.exact() {
            return is_plain(text).then(|| format!("\"{text}\""));
        }
        let longest = self.0.split('*').filter(|part| is_plain(part)).max_by_key(|part| part.len())?;
        (!longest.is_empty()).then(|| longest.to_owned())
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
