//! What values a part of a condition can have, where those are fewer than its type has.

use std::ops::RangeInclusive;

use crate::code::Code;
use crate::function::{Function, Part};

/// The values that a part can have.
#[derive(Debug)]
pub(super) enum Domain {
    /// Every value of its type.
    Any,
    /// One of these texts.
    Texts(&'static [&'static str]),
    /// A whole number of this range.
    Ints(RangeInclusive<i64>),
}

impl Domain {
    /// Returns what values the code can have.
    pub(super) fn of(code: &Code) -> Self {
        match code {
            Code::Fact(fact) => match fact.name {
                "request.scheme" => Self::Texts(&["http", "https"]),
                "request.protocol" => Self::Texts(&["http/1.1", "h2", "h3"]),
                "request.tls.version" => Self::Texts(&["", "1.2", "1.3"]),
                _ => Self::Any,
            },
            Code::PartInZone(part, ..) => Self::of_time(*part),
            Code::Call(Function::Size, _) => Self::Ints(0..=i64::MAX),
            Code::Call(Function::Family, _) => Self::Ints(4..=6),
            Code::Call(Function::PrefixLength, _) => Self::Ints(0..=128),
            _ => Self::Any,
        }
    }

    /// Returns what values a part of a time can have.
    pub(super) const fn of_time(part: Part) -> Self {
        Self::Ints(match part {
            Part::FullYear => return Self::Any,
            Part::Month => 0..=11,
            Part::Date => 1..=31,
            Part::DayOfMonth => 0..=30,
            Part::DayOfWeek => 0..=6,
            Part::DayOfYear => 0..=365,
            Part::Hours => 0..=23,
            Part::Minutes | Part::Seconds => 0..=59,
            Part::Milliseconds => 0..=999,
        })
    }

    /// Returns whether a number is among the values.
    pub(super) fn has(&self, number: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Texts(_) => false,
            Self::Ints(range) => range.contains(&number),
        }
    }
}

/// Says what the numbers of a part are, where a number outside of them is compared with it.
pub(super) const fn numbers(part: Part) -> &'static str {
    match part {
        Part::FullYear => "it is a year",
        Part::Month => "it is 0 (January) to 11 (December)",
        Part::Date => "it is 1 to 31",
        Part::DayOfMonth => "it is 0 to 30; `getDate` is 1 to 31",
        Part::DayOfWeek => "it is 0 (Sunday) to 6 (Saturday)",
        Part::DayOfYear => "it is 0 to 365",
        Part::Hours => "it is 0 to 23",
        Part::Minutes | Part::Seconds => "it is 0 to 59",
        Part::Milliseconds => "it is 0 to 999",
    }
}
