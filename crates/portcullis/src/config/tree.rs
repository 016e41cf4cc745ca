//! The tree that a file is read into: every value knows its place.

use std::borrow::Cow;

use super::source::Place;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// What a value can be.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Anything that is written in one piece.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A value that is written in one piece.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) style: Style,
    /// Whether the text came from the environment or a file, and so may be a secret that no message may show.
    pub(crate) expanded: bool,
    /// Whether nothing else is said about it: a reference in it could not be replaced, which was reported, or it is left out.
    pub(crate) failed: bool,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes.
    Plain,
    /// `'..'`.
    SingleQuoted,
    /// `".."`.
    DoubleQuoted,
    /// A `|` block.
    Literal,
    /// A `>` block.
    Folded,
}

/// One key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// Returns the scalar's text; nothing where nothing is to be said about it.
    pub(crate) fn text(&self) -> Option<&str> {
        self.scalar().filter(|scalar| !scalar.failed).map(|scalar| scalar.text.as_str())
    }

    /// Returns whether nothing is to be said about it any more.
    pub(crate) fn is_failed(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.failed)
    }

    pub(crate) const fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Returns the entries of a mapping; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// Returns the items of a list; a single value stands for a list of one.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(self),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Returns the text in back-ticks, or words that do not give it away.
    pub(crate) fn shown(&self) -> String {
        match self.scalar() {
            Some(scalar) if !scalar.expanded => quoted(&scalar.text),
            Some(_) => "the value that stands here".to_owned(),
            None => format!("{} here", self.noun()),
        }
    }

    /// Names the kind of value for messages.
    pub(crate) fn noun(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(scalar) if scalar.style == Style::Plain && is_bool(&scalar.text) => "a boolean",
            Value::Scalar(scalar) if scalar.style == Style::Plain && scalar.text.parse::<f64>().is_ok() => "a number",
            Value::Scalar(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Returns whether a plain scalar is a boolean of YAML 1.2; `yes` and `on` are texts.
pub(crate) fn is_bool(text: &str) -> bool {
    matches!(text, "true" | "false")
}

/// Puts user input in back-ticks, on one line, of bounded length, and without the credentials of URLs.
pub(crate) fn quoted(text: &str) -> String {
    let text: String = text.split_inclusive(char::is_whitespace).map(without_credentials).collect();
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    // `escape_debug` also escapes quotes, which need no escape between back-ticks.
    shown = shown.replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\");
    if text.chars().count() > MAX_SHOWN {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

fn without_credentials(word: &str) -> Cow<'_, str> {
    match credentials(word) {
        Some((before, after)) => format!("{before}***@{after}").into(),
        None => word.into(),
    }
}

/// Returns what stands before and behind the credentials of URLs in a word: a password that nobody encoded may have any
/// character, and a token may stand where the name does. So it is all to the last `@`, which may be more.
pub(crate) fn credentials(word: &str) -> Option<(&str, &str)> {
    let start = word.find("://")? + "://".len();
    let (before, rest) = word.split_at_checked(start)?;
    let (credentials, after) = rest.rsplit_once('@')?;
    (!credentials.is_empty()).then_some((before, after))
}

/// Characters of user input that a message repeats.
const MAX_SHOWN: usize = 80;
