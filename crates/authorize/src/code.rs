//! A condition as it runs: every name resolved, every literal compiled.

#![expect(clippy::wildcard_enum_match_arm, reason = "only a lookup reads what it leads to by itself")]

use std::sync::Arc;

use identity::Ip;
use jiff::tz::TimeZone;

use crate::Input;
use crate::constant::Constant;
use crate::environment::Fact;
use crate::function::{Function, Part, Pattern};
use crate::network::NetworkSet;
use crate::syntax::Operator;
use crate::table::Table;

/// A part of a condition as it runs.
#[derive(Debug, PartialEq)]
pub(crate) enum Code {
    /// A place that has a fault. Never runs: a condition with faults is refused.
    Fault,
    Constant(Constant),
    Fact(&'static Fact),
    /// The variable of the macro at this depth.
    Local(usize),
    /// Whether a field holds anything.
    HasFact(&'static Fact),
    Select(Box<Self>, Arc<str>),
    Has(Box<Self>, Arc<str>),
    Index(Box<[Self; 2]>),
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    Not(Box<Self>),
    Conditional(Box<[Self; 3]>),
    Equal(Box<[Self; 2]>),
    NotEqual(Box<[Self; 2]>),
    Compare(Operator, Box<[Self; 2]>),
    In(Box<[Self; 2]>),
    /// Whether a text is among several.
    InTexts(Box<Self>, Texts),
    Arithmetic(Operator, Box<[Self; 2]>),
    Negate(Box<Self>),
    List(Box<[Self]>),
    Map(Box<[(Self, Self)]>),
    Fold(Box<Fold>),
    Call(Function, Box<[Self]>),
    InNetworks(Box<Self>, Arc<NetworkSet>),
    AddressInNetworks(Address, Arc<NetworkSet>),
    Lookup(Box<Lookup>),
    /// Whether the last name of the path is there.
    HasLookup(Box<Lookup>),
    Matches(Box<Self>, Pattern),
    PartInZone(Part, Box<Self>, TimeZone),
}

impl Code {
    /// Goes on to a key of a map. A path into a row is one step, so that no more of the row is read than it leads to.
    pub(crate) fn select(self, key: &str) -> Self {
        match self {
            Self::Lookup(mut lookup) => {
                lookup.path.push(key.into());
                Self::Lookup(lookup)
            }
            code => Self::Select(Box::new(code), key.into()),
        }
    }
}

/// Looks a row up, and something in it.
#[derive(Debug, PartialEq)]
pub(crate) struct Lookup {
    pub(crate) name: Arc<str>,
    pub(crate) table: Arc<Table>,
    /// Which of the condition's tables it is.
    pub(crate) slot: usize,
    pub(crate) key: LookupKey,
    /// The names that lead into the row; empty for the row itself.
    pub(crate) path: Vec<Arc<str>>,
}

/// What is looked up.
#[derive(Debug, PartialEq)]
pub(crate) enum LookupKey {
    Address(Address),
    Value(Code),
}

/// An address of the request, read without a detour over text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Client,
    Peer,
}

impl Address {
    /// Reads it.
    pub(crate) const fn of(self, input: &Input<'_>) -> Ip {
        match self {
            Self::Client => input.request.ip,
            Self::Peer => input.request.peer_ip,
        }
    }
}

/// Several texts, of which one is found by halving.
#[derive(Debug, PartialEq)]
pub(crate) struct Texts {
    // Invariant: texts alone, in their order.
    sorted: Box<[Constant]>,
}

impl Texts {
    /// Sorts the items of a list that has nothing but texts.
    pub(crate) fn of(items: &[Constant]) -> Option<Self> {
        let texts = items.iter().all(|item| matches!(item, Constant::Text(_)));
        (texts && !items.is_empty()).then(|| {
            let mut sorted = items.to_vec();
            sorted.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
            Self { sorted: sorted.into() }
        })
    }

    /// Returns the texts.
    pub(crate) const fn as_slice(&self) -> &[Constant] {
        &self.sorted
    }

    /// Returns whether a text is one of them.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.sorted.binary_search_by(|known| known.as_text().cmp(&Some(text))).is_ok()
    }
}

/// A macro that goes through a list, or the keys of a map.
#[derive(Debug, PartialEq)]
pub(crate) struct Fold {
    pub(crate) how: Macro,
    pub(crate) range: Code,
    /// The condition of the three-argument `map`.
    pub(crate) filter: Option<Code>,
    pub(crate) body: Code,
}

/// The macros that go through a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl Macro {
    /// Returns whether what runs for each element is a condition.
    pub(crate) const fn asks(self) -> bool {
        match self {
            Self::All | Self::Exists | Self::ExistsOne | Self::Filter => true,
            Self::Map => false,
        }
    }

    /// Returns the macro of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "map" => Self::Map,
            "filter" => Self::Filter,
            _ => return None,
        })
    }
}
