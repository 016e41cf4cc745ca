//! Times, durations and the calendar.

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use super::Function;
use crate::failure::Failure;
use crate::value::Value;

/// A part of a date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    FullYear,
    /// From zero.
    Month,
    /// The day of the month, from one.
    Date,
    /// The day of the month, from zero.
    DayOfMonth,
    /// From Sunday, which is zero.
    DayOfWeek,
    /// From zero.
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Part {
    /// Reads the part of a time in a zone.
    pub(crate) fn of(self, time: Timestamp, zone: &TimeZone) -> i64 {
        let local: DateTime = zone.to_datetime(time);
        match self {
            Self::FullYear => i64::from(local.year()),
            Self::Month => i64::from(local.month()) - 1,
            Self::Date => i64::from(local.day()),
            Self::DayOfMonth => i64::from(local.day()) - 1,
            Self::DayOfWeek => i64::from(local.weekday().to_sunday_zero_offset()),
            Self::DayOfYear => i64::from(local.day_of_year()) - 1,
            Self::Hours => i64::from(local.hour()),
            Self::Minutes => i64::from(local.minute()),
            Self::Seconds => i64::from(local.second()),
            Self::Milliseconds => i64::from(local.millisecond()),
        }
    }

    /// Reads a duration as a whole number of a unit; milliseconds are those beyond the last full second.
    fn of_duration(self, duration: SignedDuration) -> Option<i64> {
        match self {
            Self::Hours => Some(duration.as_hours()),
            Self::Minutes => Some(duration.as_mins()),
            Self::Seconds => Some(duration.as_secs()),
            Self::Milliseconds => Some(i64::from(duration.subsec_millis())),
            Self::FullYear | Self::Month | Self::Date | Self::DayOfMonth | Self::DayOfWeek | Self::DayOfYear => None,
        }
    }
}

/// Looks a time zone up: a name of the IANA database, or an offset such as `+02:00`.
///
/// The database is the one that is compiled in, so that a decision does not depend on the files of a machine.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    let (sign, digits) = match name.as_bytes().first() {
        Some(b'-') => (-1, name.get(1..)?),
        Some(b'+') => (1, name.get(1..)?),
        _ => (1, name),
    };
    if let Some((hours, minutes)) = digits.split_once(':') {
        let valid = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let (hours, minutes) =
            (valid(hours).then(|| hours.parse::<i32>().ok())??, valid(minutes).then(|| minutes.parse::<i32>().ok())??);
        let within = hours < 24 && minutes < 60;
        return within.then(|| Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok())?.map(TimeZone::fixed);
    }
    TimeZoneDatabase::bundled().get(name).ok()
}

/// Returns the names of all zones.
pub(crate) fn zones() -> Vec<String> {
    TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect()
}

pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Failure> {
    match (function, arguments) {
        (Function::ToTimestamp, [Value::Timestamp(time)]) => Ok(Value::Timestamp(*time)),
        (Function::ToTimestamp, [Value::Text(text)]) => timestamp(text).map(Value::Timestamp),
        (Function::ToTimestamp, [Value::Int(seconds)]) => {
            Timestamp::from_second(*seconds).ok().filter(in_range).map(Value::Timestamp).ok_or(Failure::Overflow)
        }
        (Function::ToDuration, [Value::Duration(duration)]) => Ok(Value::Duration(*duration)),
        (Function::ToDuration, [Value::Text(text)]) => {
            duration(text).map(Value::Duration).ok_or(Failure::Invalid("not a duration such as `1h30m`"))
        }
        (Function::Time(part), [Value::Timestamp(time)]) => Ok(Value::Int(part.of(*time, &TimeZone::UTC))),
        (Function::Time(part), [Value::Duration(duration)]) => {
            part.of_duration(*duration).map(Value::Int).ok_or(Failure::NoOverload(function.name()))
        }
        _ => Err(Failure::NoOverload(function.name())),
    }
}

fn timestamp(text: &str) -> Result<Timestamp, Failure> {
    let time: Option<Timestamp> = text.parse().ok().filter(|_| is_rfc3339(text));
    time.filter(in_range).ok_or_else(|| {
        let is_time = |pieces: Pieces<'_>| pieces.time().is_some() && pieces.offset().is_some();
        Failure::Invalid(if is_rfc3339(text) && Pieces::parse(text).is_ok_and(is_time) {
            "outside of what can be told: 0001-01-01T00:00:00Z to 9999-12-30T22:00:00Z"
        } else {
            "not an RFC 3339 timestamp such as `2026-01-07T09:00:00Z`"
        })
    })
}

/// Returns whether a text has the form that RFC 3339 §5.6 gives a time. The parser takes more: `2026-01-07 09Z`.
fn is_rfc3339(text: &str) -> bool {
    let like = |text: &str, form: &str| {
        let fits = |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
    };
    let text = text.to_ascii_uppercase();
    let Some((time, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else { return false };
    let fraction = rest.strip_prefix('.').unwrap_or(rest);
    let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = fraction.len() - zone.len();
    let has_fraction = fraction.len() < rest.len();
    let is_zone = zone == "Z" || like(zone, "+00:00") || like(zone, "-00:00");
    like(time, "0000-00-00T00:00:00") && has_fraction == (digits > 0) && is_zone
}

/// Reads `1h30m`, `-1.5s`, `0`: numbers with the units h, m, s, ms, us and ns.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut total = 0_i128;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at_checked(end)?;
        let end = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let (unit, after) = unit.split_at_checked(end)?;
        total = total.checked_add(nanoseconds(number, unit)?)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let total = if negative { -total } else { total };
    let seconds = i64::try_from(total / 1_000_000_000).ok()?;
    let rest = i32::try_from(total % 1_000_000_000).ok()?;
    Some(SignedDuration::new(seconds, rest)).filter(bounded)
}

/// Returns whether a duration is within the bound of CEL, about ten thousand years.
pub(crate) fn bounded(duration: &SignedDuration) -> bool {
    duration.unsigned_abs().as_secs() <= 315_576_000_000
}

/// Returns whether a time is one of CEL: they begin with the year 1.
pub(crate) fn in_range(time: &Timestamp) -> bool {
    const FIRST: Timestamp = Timestamp::constant(-62_135_596_800, 0);
    *time >= FIRST
}

fn nanoseconds(number: &str, unit: &str) -> Option<i128> {
    let unit: i128 = match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() > 18 || fraction.len() > 18 {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(digits(whole)? * unit + digits(fraction)? * unit / scale)
}
