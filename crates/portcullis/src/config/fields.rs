//! Typed access to a section: what is written, else what is inherited, else the default of the description.

use std::path::PathBuf;
use std::time::Duration;

use super::format;
use super::schema::{Alone, Kind, Presence, Section};
use super::source::{Place, Sources};
use super::tree::{Node, Value};

/// A section of a file that was checked. What was reported as wrong reads as if it were not written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'n> {
    section: &'static Section,
    own: Option<&'n Node>,
    inherited: Option<&'n Node>,
}

impl<'n> Fields<'n> {
    pub(crate) const fn new(section: &'static Section, own: Option<&'n Node>) -> Self {
        Self { section, own, inherited: None }
    }

    pub(crate) const fn inheriting(self, inherited: Option<&'n Node>) -> Self {
        Self { inherited, ..self }
    }

    /// Returns what is written here or inherited.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.own(key).or_else(|| self.inherited.and_then(|node| node.get(key)))
    }

    /// Returns what is written here.
    pub(crate) fn own(&self, key: &str) -> Option<&'n Node> {
        self.own.and_then(|node| node.get(key))
    }

    pub(crate) fn place(&self) -> Option<Place> {
        self.own.map(|node| node.place)
    }

    /// Returns a section within; both levels of it are inherited key by key.
    pub(crate) fn section(&self, key: &str, section: &'static Section) -> Self {
        let own = self.own(key);
        Fields { section, own, inherited: self.inherited.and_then(|node| node.get(key)) }
    }

    pub(crate) fn items(&self, key: &str) -> &'n [Node] {
        let must_be_list = self.section.key(key).is_some_and(|key| matches!(key.kind, Kind::List(_, Alone::Refused)));
        let is_list = |node: &&Node| matches!(node.value, Value::List(_));
        self.get(key).filter(|node| !must_be_list || is_list(node)).map_or(&[], Node::items)
    }

    /// Returns the text, or the default.
    pub(crate) fn text(&self, key: &str) -> Option<&'n str> {
        self.get(key).and_then(Node::text).or_else(|| self.default(key))
    }

    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        self.items(key).iter().filter_map(Node::text).map(str::to_owned).collect()
    }

    /// Reads the text, and the default where it does not read.
    pub(crate) fn read<T, E>(&self, key: &str, read: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let written = self.get(key).and_then(Node::text).and_then(|text| read(text).ok());
        written.or_else(|| self.default(key).and_then(|text| read(text).ok()))
    }

    pub(crate) fn read_all<T, E>(&self, key: &str, read: impl Fn(&str) -> Result<T, E>) -> Vec<T> {
        self.items(key).iter().filter_map(Node::text).filter_map(|text| read(text).ok()).collect()
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.text(key) == Some("true")
    }

    pub(crate) fn number<N: TryFrom<u64>>(&self, key: &str) -> Option<N> {
        self.read(key, str::parse::<u64>).and_then(|number| N::try_from(number).ok())
    }

    /// Returns the duration; nothing for `off`.
    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        let read = |text: &str| if text == "off" { Ok(None) } else { format::duration(text).map(Some) };
        self.read(key, read).flatten()
    }

    pub(crate) fn size(&self, key: &str) -> Option<u64> {
        self.read(key, format::size)
    }

    /// Returns a path, relative to the file that holds it.
    pub(crate) fn path(&self, key: &str, sources: &Sources) -> Option<PathBuf> {
        let node = self.get(key)?;
        node.text().map(|text| sources.folder(node.place.file).join(text))
    }

    /// Returns name and value of each entry of a table.
    pub(crate) fn table(&self, key: &str) -> impl Iterator<Item = (&'n str, &'n Node)> {
        self.get(key).map_or(&[][..], Node::entries).iter().map(|entry| (entry.key.as_str(), &entry.value))
    }

    /// Returns whether a mapping (and no flag) is written.
    pub(crate) fn is_map(&self, key: &str) -> bool {
        self.get(key).is_some_and(|node| matches!(node.value, Value::Map(_)))
    }

    pub(crate) fn default(&self, key: &str) -> Option<&'static str> {
        match self.section.key(key)?.presence {
            Presence::Default(text) => Some(text),
            Presence::Required | Presence::Optional(_) => None,
        }
    }
}
