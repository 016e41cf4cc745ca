//! The text of the files that were read, places in them, and which lines must never be shown.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::redact::names_secret;
use super::tree::credentials;
use super::watched::Watched;

/// A place in one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: FileId,
    /// Byte offsets.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Place {
    pub(crate) const fn start_of(file: FileId) -> Self {
        Self { file, start: 0, end: 0 }
    }
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(usize);

/// All files of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: Vec<Source>,
    /// Everything on disk that the configuration depends on.
    pub(crate) watched: Watched,
}

/// One file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Byte ranges that hold secrets.
    secret: Vec<Range<usize>>,
}

impl Sources {
    pub(crate) fn add(&mut self, path: PathBuf, text: String) -> FileId {
        self.files.push(Source { path, text, secret: Vec::new() });
        FileId(self.files.len() - 1)
    }

    pub(crate) fn get(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.files.iter()
    }

    /// Returns the folder that relative paths in this file start from.
    pub(crate) fn folder(&self, file: FileId) -> &Path {
        self.get(file).and_then(|source| source.path.parent()).unwrap_or_else(|| Path::new(""))
    }

    /// Keeps every line of this place out of all messages.
    pub(crate) fn hide(&mut self, place: Place) {
        if let Some(source) = self.files.get_mut(place.file.0) {
            source.secret.push(place.start..place.end.max(place.start + 1));
        }
    }
}

/// The text may hold secrets, so it is left out.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Source {
    /// Returns line and column of a byte offset, both from 1; the column counts characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        (line, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
    }

    /// Returns the line that a byte offset lies in, unless it may hold a secret.
    pub(crate) fn line_at(&self, offset: usize) -> Option<Range<usize>> {
        let offset = offset.min(self.text.len());
        let start = self.text.get(..offset)?.rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text.get(offset..)?.find('\n').map_or(self.text.len(), |newline| offset + newline);
        let shown = !self.secret.iter().any(|secret| secret.start <= end && start < secret.end)
            && !self.looks_secret(start, end);
        shown.then_some(start..end)
    }

    /// Tells by the text alone whether a line may hold a secret: a mistyped `client_secrt` and a file that is no YAML
    /// have no tree to ask. Looks at the line and at the keys that it lies under.
    fn looks_secret(&self, start: usize, end: usize) -> bool {
        let line = self.text.get(start..end).unwrap_or_default();
        let mut indentation = indentation(line);
        let above = self.text.get(..start).unwrap_or_default().lines().rev().filter(|line| {
            let inner = indentation_of_content(line).is_some_and(|found| found < indentation);
            if inner {
                indentation = self::indentation(line);
            }
            inner
        });
        has_secret_key(line)
            || line.split_whitespace().any(|word| credentials(word).is_some())
            || line.contains("-----BEGIN")
            || above.into_iter().any(has_secret_key)
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn indentation_of_content(line: &str) -> Option<usize> {
    let content = line.trim_start();
    (!content.is_empty() && !content.starts_with('#')).then(|| indentation(line))
}

/// Returns whether a line has a key whose name sounds like a secret's.
fn has_secret_key(line: &str) -> bool {
    let mut words = line.split([',', '{', '[', ' ', '\t', '"', '\'']).filter(|word| !word.is_empty());
    let mut before = "";
    words.any(|word| {
        let key = match word.split_once(':') {
            // Behind a quote or a space.
            Some(("", _)) => before,
            Some((key, _)) => key,
            None => "",
        };
        before = word;
        names_secret(key)
    })
}
