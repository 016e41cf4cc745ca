//! The functions that a condition may call: their signatures here, what they do below.

#![expect(clippy::wildcard_enum_match_arm, reason = "values that a function does not take fail, all of them")]

mod address;
mod convert;
mod format;
mod list;
mod pattern;
mod text;
mod time;

use std::sync::LazyLock;

pub(crate) use address::to_cidr;
pub(crate) use format::clauses;
pub(crate) use pattern::{Pattern, PatternError, find_computed};
#[cfg(all(test, feature = "conformance"))]
pub(crate) use time::duration;
pub(crate) use time::{Part, bounded, in_range, zone, zones};

use crate::budget::Budget;
use crate::failure::Failure;
use crate::types::Type;
use crate::value::Value;

/// What a function does. Overloads of one meaning share a variant and are told apart by the values they get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Glob,
    CharAt,
    IndexOf,
    LastIndexOf,
    LowerAscii,
    UpperAscii,
    Replace,
    Split,
    Substring,
    Trim,
    Reverse,
    Join,
    Format,
    Quote,
    ToBool,
    ToInt,
    ToUint,
    ToDouble,
    ToText,
    ToBytes,
    ToDyn,
    TypeOf,
    ToTimestamp,
    ToDuration,
    Time(Part),
    InCidr,
    InNetwork,
    Lookup,
    ToIp,
    IsIp,
    IsCanonical,
    ToCidr,
    IsCidr,
    Family,
    IsUnspecified,
    IsLoopback,
    IsGlobalUnicast,
    IsLinkLocalUnicast,
    IsLinkLocalMulticast,
    ContainsIp,
    ContainsCidr,
    AddressOf,
    Masked,
    PrefixLength,
}

/// How a function is called.
#[derive(Debug)]
pub(crate) struct Signature {
    /// As the documentation and problems write it.
    pub(crate) text: &'static str,
    pub(crate) name: &'static str,
    pub(crate) receiver: Option<Type>,
    pub(crate) parameters: Vec<Type>,
    pub(crate) result: Type,
    pub(crate) function: Function,
}

/// All signatures.
pub(crate) fn signatures() -> &'static [Signature] {
    static PARSED: LazyLock<Vec<Signature>> =
        LazyLock::new(|| SIGNATURES.iter().filter_map(|(text, function)| Signature::parse(text, *function)).collect());
    &PARSED
}

impl Signature {
    fn parse(text: &'static str, function: Function) -> Option<Self> {
        let (call, result) = text.split_once(" -> ")?;
        let (path, parameters) = call.strip_suffix(')')?.split_once('(')?;
        let member = path.rsplit_once('.').filter(|_| !QUALIFIED.contains(&path));
        let (receiver, name) = member.map_or((None, path), |(of, name)| (Some(Type::parse(of)), name));
        let parameters = parameters.split(", ").filter(|text| !text.is_empty()).map(Type::parse).collect();
        Some(Self { text, name, receiver, parameters, result: Type::parse(result), function })
    }
}

impl Function {
    /// Calls the function. A receiver is the first argument.
    pub(crate) fn call<'a>(self, arguments: &[Value<'a>]) -> Result<Value<'a>, Failure> {
        match self {
            Self::Size
            | Self::Contains
            | Self::StartsWith
            | Self::EndsWith
            | Self::CharAt
            | Self::IndexOf
            | Self::LastIndexOf
            | Self::LowerAscii
            | Self::UpperAscii
            | Self::Replace
            | Self::Split
            | Self::Substring
            | Self::Trim => text::call(self, arguments),
            Self::Matches | Self::Glob => find_computed(self, arguments, &mut Budget::new()),
            Self::Format | Self::Quote => format::call(self, arguments),
            Self::Reverse | Self::Join => list::call(self, arguments),
            Self::ToBool
            | Self::ToInt
            | Self::ToUint
            | Self::ToDouble
            | Self::ToText
            | Self::ToBytes
            | Self::ToDyn
            | Self::TypeOf => convert::call(self, arguments),
            Self::ToTimestamp | Self::ToDuration | Self::Time(_) => time::call(self, arguments),
            Self::InCidr
            | Self::InNetwork
            | Self::ToIp
            | Self::IsIp
            | Self::IsCanonical
            | Self::ToCidr
            | Self::IsCidr
            | Self::Family
            | Self::IsUnspecified
            | Self::IsLoopback
            | Self::IsGlobalUnicast
            | Self::IsLinkLocalUnicast
            | Self::IsLinkLocalMulticast
            | Self::ContainsIp
            | Self::ContainsCidr
            | Self::AddressOf
            | Self::Masked
            | Self::PrefixLength => address::call(self, arguments),
            // Became code of its own when it was checked.
            Self::Lookup => Err(Failure::NoOverload("lookup")),
        }
    }

    /// Returns the function's name.
    pub(crate) fn name(self) -> &'static str {
        signatures().iter().find(|known| known.function == self).map_or("", |known| known.name)
    }
}

/// The longest text that an evaluation may build.
pub(crate) const MAX_TEXT: usize = 256 * 1024;
/// The longest list that an evaluation may build.
pub(crate) const MAX_LIST: usize = 64 * 1024;

/// Functions with a dot in their name, which are called on nothing.
pub(crate) const QUALIFIED: [&str; 2] = ["ip.isCanonical", "strings.quote"];

const SIGNATURES: &[(&str, Function)] = &[
    ("size(string) -> int", Function::Size),
    ("size(bytes) -> int", Function::Size),
    ("size(list) -> int", Function::Size),
    ("size(map) -> int", Function::Size),
    ("string.size() -> int", Function::Size),
    ("bytes.size() -> int", Function::Size),
    ("list.size() -> int", Function::Size),
    ("map.size() -> int", Function::Size),
    ("string.contains(string) -> bool", Function::Contains),
    ("string.startsWith(string) -> bool", Function::StartsWith),
    ("string.endsWith(string) -> bool", Function::EndsWith),
    ("string.matches(string) -> bool", Function::Matches),
    ("matches(string, string) -> bool", Function::Matches),
    ("string.glob(string) -> bool", Function::Glob),
    ("string.charAt(int) -> string", Function::CharAt),
    ("string.indexOf(string) -> int", Function::IndexOf),
    ("string.indexOf(string, int) -> int", Function::IndexOf),
    ("string.lastIndexOf(string) -> int", Function::LastIndexOf),
    ("string.lastIndexOf(string, int) -> int", Function::LastIndexOf),
    ("string.lowerAscii() -> string", Function::LowerAscii),
    ("string.upperAscii() -> string", Function::UpperAscii),
    ("string.replace(string, string) -> string", Function::Replace),
    ("string.replace(string, string, int) -> string", Function::Replace),
    ("string.split(string) -> list<string>", Function::Split),
    ("string.split(string, int) -> list<string>", Function::Split),
    ("string.substring(int) -> string", Function::Substring),
    ("string.substring(int, int) -> string", Function::Substring),
    ("string.trim() -> string", Function::Trim),
    ("string.reverse() -> string", Function::Reverse),
    ("list<string>.join() -> string", Function::Join),
    ("list<string>.join(string) -> string", Function::Join),
    ("string.format(list) -> string", Function::Format),
    ("strings.quote(string) -> string", Function::Quote),
    ("bool(bool) -> bool", Function::ToBool),
    ("bool(string) -> bool", Function::ToBool),
    ("int(int) -> int", Function::ToInt),
    ("int(uint) -> int", Function::ToInt),
    ("int(double) -> int", Function::ToInt),
    ("int(string) -> int", Function::ToInt),
    ("int(timestamp) -> int", Function::ToInt),
    ("uint(uint) -> uint", Function::ToUint),
    ("uint(int) -> uint", Function::ToUint),
    ("uint(double) -> uint", Function::ToUint),
    ("uint(string) -> uint", Function::ToUint),
    ("double(double) -> double", Function::ToDouble),
    ("double(int) -> double", Function::ToDouble),
    ("double(uint) -> double", Function::ToDouble),
    ("double(string) -> double", Function::ToDouble),
    ("string(string) -> string", Function::ToText),
    ("string(bool) -> string", Function::ToText),
    ("string(int) -> string", Function::ToText),
    ("string(uint) -> string", Function::ToText),
    ("string(double) -> string", Function::ToText),
    ("string(bytes) -> string", Function::ToText),
    ("string(timestamp) -> string", Function::ToText),
    ("string(duration) -> string", Function::ToText),
    ("string(ip) -> string", Function::ToText),
    ("string(cidr) -> string", Function::ToText),
    ("bytes(bytes) -> bytes", Function::ToBytes),
    ("bytes(string) -> bytes", Function::ToBytes),
    ("dyn(dyn) -> dyn", Function::ToDyn),
    ("type(dyn) -> type", Function::TypeOf),
    ("timestamp(string) -> timestamp", Function::ToTimestamp),
    ("timestamp(int) -> timestamp", Function::ToTimestamp),
    ("timestamp(timestamp) -> timestamp", Function::ToTimestamp),
    ("duration(string) -> duration", Function::ToDuration),
    ("duration(duration) -> duration", Function::ToDuration),
    ("timestamp.getFullYear() -> int", Function::Time(Part::FullYear)),
    ("timestamp.getFullYear(string) -> int", Function::Time(Part::FullYear)),
    ("timestamp.getMonth() -> int", Function::Time(Part::Month)),
    ("timestamp.getMonth(string) -> int", Function::Time(Part::Month)),
    ("timestamp.getDate() -> int", Function::Time(Part::Date)),
    ("timestamp.getDate(string) -> int", Function::Time(Part::Date)),
    ("timestamp.getDayOfMonth() -> int", Function::Time(Part::DayOfMonth)),
    ("timestamp.getDayOfMonth(string) -> int", Function::Time(Part::DayOfMonth)),
    ("timestamp.getDayOfWeek() -> int", Function::Time(Part::DayOfWeek)),
    ("timestamp.getDayOfWeek(string) -> int", Function::Time(Part::DayOfWeek)),
    ("timestamp.getDayOfYear() -> int", Function::Time(Part::DayOfYear)),
    ("timestamp.getDayOfYear(string) -> int", Function::Time(Part::DayOfYear)),
    ("timestamp.getHours() -> int", Function::Time(Part::Hours)),
    ("timestamp.getHours(string) -> int", Function::Time(Part::Hours)),
    ("timestamp.getMinutes() -> int", Function::Time(Part::Minutes)),
    ("timestamp.getMinutes(string) -> int", Function::Time(Part::Minutes)),
    ("timestamp.getSeconds() -> int", Function::Time(Part::Seconds)),
    ("timestamp.getSeconds(string) -> int", Function::Time(Part::Seconds)),
    ("timestamp.getMilliseconds() -> int", Function::Time(Part::Milliseconds)),
    ("timestamp.getMilliseconds(string) -> int", Function::Time(Part::Milliseconds)),
    ("duration.getHours() -> int", Function::Time(Part::Hours)),
    ("duration.getMinutes() -> int", Function::Time(Part::Minutes)),
    ("duration.getSeconds() -> int", Function::Time(Part::Seconds)),
    ("duration.getMilliseconds() -> int", Function::Time(Part::Milliseconds)),
    ("string.inCIDR(string) -> bool", Function::InCidr),
    ("string.inNetwork(string) -> bool", Function::InNetwork),
    ("lookup(string, string) -> map<string, dyn>", Function::Lookup),
    ("lookup(string, ip) -> map<string, dyn>", Function::Lookup),
    ("ip(string) -> ip", Function::ToIp),
    ("isIP(string) -> bool", Function::IsIp),
    ("ip.isCanonical(string) -> bool", Function::IsCanonical),
    ("cidr(string) -> cidr", Function::ToCidr),
    ("isCIDR(string) -> bool", Function::IsCidr),
    ("ip.family() -> int", Function::Family),
    ("ip.isUnspecified() -> bool", Function::IsUnspecified),
    ("ip.isLoopback() -> bool", Function::IsLoopback),
    ("ip.isGlobalUnicast() -> bool", Function::IsGlobalUnicast),
    ("ip.isLinkLocalUnicast() -> bool", Function::IsLinkLocalUnicast),
    ("ip.isLinkLocalMulticast() -> bool", Function::IsLinkLocalMulticast),
    ("cidr.containsIP(ip) -> bool", Function::ContainsIp),
    ("cidr.containsIP(string) -> bool", Function::ContainsIp),
    ("cidr.containsCIDR(cidr) -> bool", Function::ContainsCidr),
    ("cidr.containsCIDR(string) -> bool", Function::ContainsCidr),
    ("cidr.ip() -> ip", Function::AddressOf),
    ("cidr.masked() -> cidr", Function::Masked),
    ("cidr.prefixLength() -> int", Function::PrefixLength),
];
