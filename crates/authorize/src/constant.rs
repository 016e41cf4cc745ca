//! Values that are known when a configuration loads.

use std::borrow::Cow;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use crate::budget::Budget;
use crate::value::{List, Value};

/// A value known at load. Unlike [`Value`] it owns everything and is shared between threads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    Ip(std::net::IpAddr),
    Cidr(IpNet),
    Type(&'static str),
    List(Box<[Self]>),
}

impl Constant {
    /// Returns whether two values are equal, as CEL compares.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        // The bounds of an expression keep what it writes out far below the budget.
        self.value().equals(&other.value(), &mut Budget::new()) == Ok(true)
    }

    /// Returns the text, where it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Lends the value to an evaluation.
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Self::Timestamp(value) => Value::Timestamp(*value),
            Self::Duration(value) => Value::Duration(*value),
            Self::Ip(value) => Value::Ip(*value),
            Self::Cidr(value) => Value::Cidr(*value),
            Self::Type(name) => Value::Type(name),
            Self::List(items) => Value::List(List::Constants(items)),
        }
    }
}
