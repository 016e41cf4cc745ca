//! Values while a condition is evaluated: borrowed from the request, the user or the rule wherever that can be.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use crate::Headers;
use crate::budget::Budget;
use crate::constant::Constant;
use crate::failure::Failure;
use crate::function::Function;
use crate::table::{Items, Object, Record};

/// The bytes of a text that count as one step of the budget.
pub(crate) const BYTES_PER_STEP: usize = 64;
/// The elements of a list that are looked through in one step.
pub(crate) const SCANNED_PER_STEP: usize = 8;

/// A value of CEL.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    Ip(IpAddr),
    Cidr(IpNet),
    Type(&'static str),
    List(List<'a>),
    Map(Map<'a>),
}

/// A list, by where its elements live.
#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    Texts(&'a [Box<str>]),
    Json(&'a [serde_json::Value]),
    Items(Items<'a>),
    Constants(&'a [Constant]),
    Values(Rc<[Value<'a>]>),
}

/// A map, by where its entries live.
#[derive(Clone, Debug)]
pub(crate) enum Map<'a> {
    Empty,
    Json(&'a serde_json::Map<String, serde_json::Value>),
    Headers(&'a dyn Headers),
    Record(Record<'a>),
    Object(Object<'a>),
    Lists(Rc<BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>>),
    Values(Rc<[(Value<'a>, Value<'a>)]>),
}

impl<'a> Value<'a> {
    /// Takes a text.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// Takes a list that was made while evaluating.
    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Values(items.into()))
    }

    /// Reads a claim. A JSON number is an `int` where it is whole and fits, else a `uint`, else a `double`.
    pub(crate) fn json(value: &'a serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => number.as_i64().map_or_else(
                || number.as_u64().map_or_else(|| Self::Double(number.as_f64().unwrap_or(f64::NAN)), Self::Uint),
                Self::Int,
            ),
            serde_json::Value::String(text) => Self::text(text.as_str()),
            serde_json::Value::Array(items) => Self::List(List::Json(items)),
            serde_json::Value::Object(entries) => Self::Map(Map::Json(entries)),
        }
    }

    /// Returns the value as JSON: times, durations and addresses as the texts that `string()` makes of them.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Uint(value) => (*value).into(),
            Self::Double(value) => (*value).into(),
            Self::Text(text) => (&**text).into(),
            Self::Type(name) => (*name).into(),
            Self::Bytes(_) | Self::Timestamp(_) | Self::Duration(_) | Self::Ip(_) | Self::Cidr(_) => {
                match Function::ToText.call(std::slice::from_ref(self)) {
                    Ok(Self::Text(text)) => text.into_owned().into(),
                    Ok(_) | Err(_) => serde_json::Value::Null,
                }
            }
            Self::List(list) => list.iter().map(|item| item.to_json()).collect(),
            Self::Map(map) => {
                let entry = |key: Self| match (&key, map.get(&key)) {
                    (Self::Text(name), Some(value)) => Some((name.to_string(), value.to_json())),
                    (_, _) => None,
                };
                map.keys().iter().filter_map(entry).collect()
            }
        }
    }

    /// Returns the name of the value's type, as `type()` answers it.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Type(_) => "type",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// Returns whether two values are equal. Numbers compare by their mathematical value; values of other unlike types
    /// are unequal. Spends a step an element: a list may hold itself a thousand times over without being large.
    pub(crate) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Failure> {
        match (self, other) {
            (Self::List(a), Self::List(b)) => a.equals(b, budget),
            (Self::Map(a), Self::Map(b)) => a.equals(b, budget),
            (Self::Text(a), Self::Text(b)) if a.len() == b.len() => {
                budget.spend(a.len() / BYTES_PER_STEP)?;
                Ok(a == b)
            }
            _ => Ok(self.equals_scalar(other)),
        }
    }

    /// Returns whether two values are equal that hold no others.
    fn equals_scalar(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a), Self::Cidr(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Int(_) | Self::Uint(_) | Self::Double(_), Self::Int(_) | Self::Uint(_) | Self::Double(_)) => {
                self.compare(other) == Some(Ordering::Equal)
            }
            _ => false,
        }
    }

    /// Orders two values; `None` where CEL has no order for them, and for NaN.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Uint(a), Self::Uint(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Int(a), Self::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Uint(a), Self::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Int(a), Self::Double(b)) => compare_whole(i128::from(*a), *b),
            (Self::Double(a), Self::Int(b)) => compare_whole(i128::from(*b), *a).map(Ordering::reverse),
            (Self::Uint(a), Self::Double(b)) => compare_whole(i128::from(*a), *b),
            (Self::Double(a), Self::Uint(b)) => compare_whole(i128::from(*b), *a).map(Ordering::reverse),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// Returns whether the value is what a field holds when nothing is known: what `has()` tells apart.
    pub(crate) fn is_default(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(value) => !value,
            Self::Int(value) => *value == 0,
            Self::Uint(value) => *value == 0,
            Self::Double(value) => *value == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Timestamp(value) => *value == Timestamp::UNIX_EPOCH,
            Self::Duration(value) => value.is_zero(),
            Self::Ip(_) | Self::Cidr(_) | Self::Type(_) => false,
            Self::List(list) => list.len() == 0,
            Self::Map(map) => map.len() == 0,
        }
    }
}

impl<'a> List<'a> {
    /// Returns the number of elements.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Texts(items) => items.len(),
            Self::Json(items) => items.len(),
            Self::Items(items) => items.len(),
            Self::Constants(items) => items.len(),
            Self::Values(items) => items.len(),
        }
    }

    /// Returns the element at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Texts(items) => items.get(index).map(|text| Value::text(&**text)),
            Self::Json(items) => items.get(index).map(Value::json),
            Self::Items(items) => items.get(index),
            Self::Constants(items) => items.get(index).map(Constant::value),
            Self::Values(items) => items.get(index).cloned(),
        }
    }

    /// Goes through the elements.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Returns whether an element equals `value`.
    pub(crate) fn contains(&self, value: &Value<'_>, budget: &mut Budget) -> Result<bool, Failure> {
        budget.spend(self.len() / SCANNED_PER_STEP)?;
        match (self, value) {
            (Self::Texts(items), Value::Text(text)) => Ok(items.iter().any(|item| **item == **text)),
            (Self::Texts(_), _) => Ok(false),
            (Self::Json(_) | Self::Items(_) | Self::Constants(_) | Self::Values(_), _) => {
                for item in self.iter() {
                    if item.equals(value, budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn equals(&self, other: &List<'_>, budget: &mut Budget) -> Result<bool, Failure> {
        if self.len() != other.len() {
            return Ok(false);
        }
        for (a, b) in self.iter().zip(other.iter()) {
            budget.spend(1)?;
            if !a.equals(&b, budget)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<'a> Map<'a> {
    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Json(entries) => entries.len(),
            Self::Headers(headers) => {
                let mut count = 0;
                headers.for_each(&mut |_, _| count += 1);
                count
            }
            Self::Record(record) => record.len(),
            Self::Object(object) => object.names().len(),
            Self::Lists(entries) => entries.len(),
            Self::Values(entries) => entries.len(),
        }
    }

    /// Returns the value of a text key.
    pub(crate) fn get_text(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Self::Empty => None,
            Self::Json(entries) => entries.get(key).map(Value::json),
            Self::Headers(headers) => headers.get(key).map(Value::Text),
            Self::Record(record) => record.get(key).map(Value::text),
            Self::Object(object) => object.get(key),
            Self::Lists(entries) => {
                entries.get(key).map(|items| Value::list(items.iter().cloned().map(Value::Text).collect()))
            }
            Self::Values(_) => self.get(&Value::text(key)),
        }
    }

    /// Returns the value of a key.
    pub(crate) fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Values(entries), _) => {
                entries.iter().find(|(known, _)| known.equals_scalar(key)).map(|(_, value)| value.clone())
            }
            (_, Value::Text(text)) => self.get_text(text),
            (_, _) => None,
        }
    }

    /// Returns all keys.
    pub(crate) fn keys(&self) -> List<'a> {
        let keys: Rc<[Value<'a>]> = match self {
            Self::Empty => Rc::from([]),
            Self::Json(entries) => entries.keys().map(|key| Value::text(key.as_str())).collect(),
            Self::Headers(headers) => {
                let mut keys = Vec::new();
                headers.for_each(&mut |name, _| keys.push(Value::text(name.to_owned())));
                keys.into()
            }
            Self::Record(record) => return record.columns(),
            Self::Object(object) => return List::Texts(object.names()),
            Self::Lists(entries) => entries.keys().cloned().map(Value::Text).collect(),
            Self::Values(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
        };
        List::Values(keys)
    }

    /// Returns what looking a key up costs beyond the operation itself.
    pub(crate) fn search(&self) -> usize {
        match self {
            Self::Values(entries) => entries.len() / SCANNED_PER_STEP,
            Self::Empty | Self::Json(_) | Self::Headers(_) | Self::Record(_) | Self::Object(_) | Self::Lists(_) => 0,
        }
    }

    fn equals(&self, other: &Map<'_>, budget: &mut Budget) -> Result<bool, Failure> {
        if self.len() != other.len() {
            return Ok(false);
        }
        for key in self.keys().iter() {
            budget.spend(1 + self.search() + other.search())?;
            match (self.get(&key), other.get(&key)) {
                (Some(a), Some(b)) if a.equals(&b, budget)? => {}
                (Some(_) | None, _) => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Orders a whole number and a fraction without rounding the whole number.
fn compare_whole(whole: i128, fraction: f64) -> Option<Ordering> {
    if fraction.is_nan() {
        return None;
    }
    // Every whole number here has at most 64 bits, so a bound of 2^65 decides without looking at the digits.
    let bound = 36_893_488_147_419_103_232.0;
    if fraction >= bound {
        return Some(Ordering::Less);
    }
    if fraction <= -bound {
        return Some(Ordering::Greater);
    }
    let floor = fraction.floor();
    #[expect(clippy::cast_possible_truncation, reason = "the value is whole and within 65 bits")]
    let order = whole.cmp(&(floor as i128));
    Some(if order == Ordering::Equal && fraction > floor { Ordering::Less } else { order })
}
