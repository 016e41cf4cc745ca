//! Which row a key has: by text, or by the longest network that holds an address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::IpAddr;

use identity::Ip;
use ipnet::IpNet;

use super::networks::Networks;
use super::{KeyType, TableError, shown};
use crate::failure::Failure;

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key<'k> {
    Text(&'k str),
    Address(IpAddr),
}

#[derive(Debug)]
pub(super) enum Index {
    Texts(HashMap<Box<str>, u32>),
    Networks(Networks),
}

/// The key of a row, and where it was written.
pub(super) struct WrittenKey {
    pub(super) text: Box<str>,
    pub(super) place: Place,
}

/// A place of a key: each format has its own.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Line(usize, usize),
    Row(usize),
}

impl Key<'_> {
    pub(super) fn address(self) -> Result<IpAddr, Failure> {
        match self {
            Self::Address(address) => Ok(address),
            Self::Text(text) => text.parse::<Ip>().map(Ip::get).map_err(|_| Failure::Invalid("not an IP address")),
        }
    }
}

impl Place {
    fn error(self, message: &str) -> TableError {
        match self {
            Self::Line(line, column) => TableError::at(line, column, message),
            Self::Row(row) => TableError::new(format!("row {row}: {message}")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line, _) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

impl Index {
    /// Sorts keys; the number of a row is its place among them.
    pub(super) fn new(of: KeyType, keys: Vec<WrittenKey>) -> Result<Self, TableError> {
        match of {
            KeyType::Text => Self::texts(keys),
            KeyType::Network => Self::networks(&keys),
        }
    }

    fn texts(keys: Vec<WrittenKey>) -> Result<Self, TableError> {
        let places: Vec<Place> = keys.iter().map(|key| key.place).collect();
        let mut texts = HashMap::with_capacity(keys.len());
        for (row, WrittenKey { text, place }) in (0..).zip(keys) {
            match texts.entry(text) {
                Entry::Vacant(free) => {
                    free.insert(row);
                }
                Entry::Occupied(taken) => {
                    return Err(twice(taken.key(), place, places.get(*taken.get() as usize)));
                }
            }
        }
        Ok(Self::Texts(texts))
    }

    fn networks(keys: &[WrittenKey]) -> Result<Self, TableError> {
        let networks = keys.iter().map(|WrittenKey { text, place }| {
            network(text).map_err(|reason| place.error(&format!("{} is {reason}", shown(text))))
        });
        let networks: Vec<IpNet> = networks.collect::<Result<_, _>>()?;
        Networks::new(&networks).map(Self::Networks).map_err(|(first, second)| {
            match (keys.get(first), keys.get(second)) {
                (Some(first), Some(second)) => twice(&second.text, second.place, Some(&first.place)),
                (None, _) | (_, None) => TableError::new("a key is there twice"),
            }
        })
    }

    pub(super) fn find(&self, key: Key<'_>) -> Result<Option<usize>, Failure> {
        let row = match (self, key) {
            (Self::Texts(texts), Key::Text(text)) => texts.get(text).copied(),
            (Self::Texts(_), Key::Address(_)) => return Err(Failure::NoOverload("lookup")),
            (Self::Networks(networks), key) => networks.find(key.address()?),
        };
        Ok(row.map(|row| row as usize))
    }
}

fn twice(key: &str, second: Place, first: Option<&Place>) -> TableError {
    let first = first.map_or_else(String::new, |first| format!(" (first on {first})"));
    second.error(&format!("the key {} is there twice{first}: remove one", shown(key)))
}

/// Reads a network, or an address that stands for a network of its own.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => text.parse::<IpAddr>().map(IpNet::from).map_err(|_| "no network: write one such as `10.0.0.0/8`")?,
    };
    if network.trunc() == network { Ok(network) } else { Err("a network with bits behind its prefix") }
}
