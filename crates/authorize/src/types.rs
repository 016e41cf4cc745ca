//! The types that the checker infers.

use std::fmt;

/// The type of a part of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Known only when the condition runs: claims, and what is made of them.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Timestamp,
    Duration,
    Ip,
    Cidr,
    /// A type, such as what `type()` answers.
    Kind,
    List(Box<Self>),
    Map(Box<Self>, Box<Self>),
}

impl Type {
    /// Reads a type as signatures write it. What is not known is `dyn`.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(element) = text.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>')) {
            return Self::List(Box::new(Self::parse(element)));
        }
        if let Some((key, value)) =
            text.strip_prefix("map<").and_then(|rest| rest.strip_suffix('>')).and_then(|rest| rest.split_once(','))
        {
            return Self::Map(Box::new(Self::parse(key)), Box::new(Self::parse(value)));
        }
        match text {
            "null" => Self::Null,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "string" => Self::Text,
            "bytes" => Self::Bytes,
            "timestamp" => Self::Timestamp,
            "duration" => Self::Duration,
            "ip" => Self::Ip,
            "cidr" => Self::Cidr,
            "type" => Self::Kind,
            "list" => Self::List(Box::new(Self::Dyn)),
            "map" => Self::Map(Box::new(Self::Dyn), Box::new(Self::Dyn)),
            _ => Self::Dyn,
        }
    }

    /// Returns whether a value of this type can be taken where `wanted` is.
    pub(crate) fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) => a.fits(b),
            (Self::Map(a_key, a_value), Self::Map(b_key, b_value)) => a_key.fits(b_key) && a_value.fits(b_value),
            _ => self == wanted,
        }
    }

    /// Returns whether values of the two types can be equal.
    pub(crate) fn comparable(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => a.comparable(b),
            (Self::Map(a_key, a_value), Self::Map(b_key, b_value)) => {
                a_key.comparable(b_key) && a_value.comparable(b_value)
            }
            _ => self.fits(other) || (self.is_number() && other.is_number()),
        }
    }

    /// Returns whether values of the two types have an order.
    pub(crate) fn ordered(&self, other: &Self) -> bool {
        let has_order = |of: &Self| {
            matches!(
                of,
                Self::Dyn
                    | Self::Bool
                    | Self::Int
                    | Self::Uint
                    | Self::Double
                    | Self::Text
                    | Self::Bytes
                    | Self::Timestamp
                    | Self::Duration
            )
        };
        has_order(self) && has_order(other) && self.comparable(other)
    }

    pub(crate) const fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Returns the type that holds values of both.
    pub(crate) fn join(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Dyn }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Ip => "ip",
            Self::Cidr => "cidr",
            Self::Kind => "type",
            Self::List(element) => return write!(f, "list<{element}>"),
            Self::Map(key, value) => return write!(f, "map<{key}, {value}>"),
        })
    }
}
