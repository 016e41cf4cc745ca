//! The `Date` of answers, made once a second (RFC 9110 §6.6.1).

use std::cell::RefCell;

use http::HeaderValue;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// Hands the date of now to `take`; nothing where a clock shows a year that has none.
pub(crate) fn date<T>(now: Timestamp, take: impl FnOnce(&HeaderValue) -> T) -> Option<T> {
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|(second, _)| *second != now.as_second()) {
            let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok();
            *last = text.and_then(|text| HeaderValue::try_from(text).ok()).map(|date| (now.as_second(), date));
        }
        last.as_ref().map(|(_, date)| take(date))
    })
}

thread_local! {
    static LAST: RefCell<Option<(i64, HeaderValue)>> = const { RefCell::new(None) };
}
