//! The paths of one host, in the order in which they are tried.

use std::collections::HashMap;

use memchr::memrchr;
use regex::Regex;

use super::Candidate;

/// Groups of routes by their path.
#[derive(Debug, Default)]
pub(super) struct Paths {
    exact: HashMap<Box<str>, Vec<Candidate>>,
    // Invariant: longest pattern first; those of one length in the order of the configuration.
    regexes: Vec<(Regex, Vec<Candidate>)>,
    // By prefix without trailing slash; the empty text holds routes that have any path.
    prefixes: HashMap<Box<str>, Vec<Candidate>>,
    // Of the prefixes: what is longer need not be looked up.
    longest: usize,
}

/// A path of a route, in normal form.
#[derive(Debug)]
pub(super) enum Pattern {
    /// This path.
    Exact(String),
    /// A regex, anchored on both sides.
    Regex(Regex),
    /// This path and what lies below; no trailing slash.
    Prefix(String),
}

impl Paths {
    /// Returns the group of routes with that pattern.
    pub(super) fn group(&mut self, pattern: Pattern) -> &mut Vec<Candidate> {
        match pattern {
            Pattern::Exact(path) => self.exact.entry(path.into()).or_default(),
            Pattern::Prefix(path) => {
                self.longest = self.longest.max(path.len());
                self.prefixes.entry(path.into()).or_default()
            }
            Pattern::Regex(regex) => {
                let length = regex.as_str().len();
                let known = self.regexes.iter().position(|(other, _)| other.as_str() == regex.as_str());
                let at = known.unwrap_or_else(|| {
                    let at = self.regexes.partition_point(|(other, _)| other.as_str().len() >= length);
                    self.regexes.insert(at, (regex, Vec::new()));
                    at
                });
                #[expect(clippy::indexing_slicing, reason = "`at` was found or inserted above")]
                &mut self.regexes[at].1
            }
        }
    }

    /// Returns the group of the most specific pattern that matches; empty where none does.
    pub(super) fn find(&self, path: &str) -> &[Candidate] {
        let exact = self.exact.get(path);
        let found = exact
            .or_else(|| self.regexes.iter().find(|(regex, _)| regex.is_match(path)).map(|(_, group)| group))
            .or_else(|| ancestors(path, self.longest).find_map(|ancestor| self.prefixes.get(ancestor)))
            // `OPTIONS *` asks for the host as such: for what has any path.
            .or_else(|| self.prefixes.get("").filter(|_| path == "*"));
        found.map_or(&[], Vec::as_slice)
    }
}

/// Returns `/a/b`, `/a` and the empty text for `/a/b`, without those that have more than `most` bytes: one look-up a
/// segment, however many prefixes there are.
fn ancestors(path: &str, most: usize) -> impl Iterator<Item = &str> {
    // What comes before the last slash of so many bytes and one more.
    let first = if path.len() <= most { Some(path) } else { before_slash(path, path.as_bytes().get(..=most)) };
    std::iter::successors(first, |path| before_slash(path, Some(path.as_bytes())))
}

fn before_slash<'a>(path: &'a str, within: Option<&[u8]>) -> Option<&'a str> {
    path.get(..memrchr(b'/', within?)?)
}
