//! A record as JSON, written directly: nearly every record holds nothing but plain ASCII, and there is one for every
//! request. Whatever is not plain is left to `line.rs`, which writes the same fields with all the care that they need.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::{Decision, Ended, Kind, MAX_ITEMS, Outcome, Record};
use crate::line::MAX_TEXT_BYTES;

/// What has a direct form beside that of `serde_json`.
pub(crate) trait AppendPlain {
    /// Appends the same JSON, without a line feed, as `serde_json` would write.
    ///
    /// Returns `false` when a text, a list or a number is not plain; what was appended then is to be thrown away.
    fn append_plain(&self, line: &mut Vec<u8>) -> bool;
}

impl AppendPlain for Record<'_> {
    fn append_plain(&self, line: &mut Vec<u8>) -> bool {
        append(line, self)
    }
}

impl AppendPlain for Ended<'_> {
    fn append_plain(&self, line: &mut Vec<u8>) -> bool {
        append_ended(line, self)
    }
}

fn append(line: &mut Vec<u8>, record: &Record<'_>) -> bool {
    let mut plain = Plain { line, holds: true };
    plain.time(r#"{"time":""#, record.time);
    plain.text(r#","id":""#, &record.id);
    plain.text(r#","kind":""#, kind(record.kind));
    plain.text(r#","revision":""#, &record.revision);
    plain.option(r#","route":""#, record.route.as_deref());
    if let Some(address) = record.client_ip {
        plain.address(r#","client_ip":""#, address);
    }
    if let Some(address) = record.peer_ip {
        plain.address(r#","peer_ip":""#, address);
    }
    plain.option(r#","client_ip_source":""#, record.client_ip_source);
    if let Some(user) = &record.user {
        plain.text(r#","user":{"id":""#, &user.id);
        plain.text(r#","email":""#, &user.email);
        plain.list(r#","groups":["#, &user.groups);
        plain.text(r#","provider":""#, &user.provider);
        plain.raw("}");
    }
    plain.option(r#","session":""#, record.session.as_deref());
    request(&mut plain, record);
    plain.text(r#","decision":""#, decision(record.decision));
    plain.option(r#","rule":""#, record.rule.as_deref());
    plain.text(r#","reason":""#, &record.reason);
    plain.option(r#","error":""#, record.error.as_deref());
    if let Some(shadow) = &record.shadow {
        plain.text(r#","shadow":{"decision":""#, decision(shadow.decision));
        plain.option(r#","rule":""#, shadow.rule.as_deref());
        plain.text(r#","reason":""#, shadow.reason);
        plain.option(r#","error":""#, shadow.error.as_deref());
        plain.raw("}");
    }
    // Their values have any form, and most routes have none.
    plain.holds &= record.inputs.is_empty() && record.fields.is_empty();
    plain.option(r#","trace_id":""#, record.trace_id.as_deref());
    plain.option(r#","user_agent":""#, record.user_agent.as_deref());
    if let Some(of_request) = &record.outcome {
        outcome(&mut plain, of_request);
    }
    plain.raw("}");
    plain.holds
}

fn append_ended(line: &mut Vec<u8>, ended: &Ended<'_>) -> bool {
    let mut plain = Plain { line, holds: true };
    plain.time(r#"{"time":""#, ended.time);
    plain.text(r#","id":""#, &ended.id);
    plain.text(r#","kind":""#, kind(ended.kind));
    if let Some(refused) = &ended.refused {
        plain.text(r#","decision":""#, decision(refused.decision));
        plain.text(r#","reason":""#, &refused.reason);
    }
    plain.option(r#","error":""#, ended.error.as_deref());
    outcome(&mut plain, &ended.outcome);
    plain.raw("}");
    plain.holds
}

fn request(plain: &mut Plain<'_>, record: &Record<'_>) {
    plain.text(r#","method":""#, &record.method);
    plain.text(r#","scheme":""#, record.scheme);
    plain.text(r#","host":""#, &record.host);
    plain.text(r#","path":""#, &record.path);
    if !record.query_keys.is_empty() {
        plain.list(r#","query_keys":["#, &record.query_keys);
    }
    plain.text(r#","protocol":""#, record.protocol);
    if let Some(tls) = &record.tls {
        plain.text(r#","tls":{"version":""#, tls.version);
        plain.text(r#","sni":""#, &tls.sni);
        if let Some(client) = &tls.client_certificate {
            plain.text(r#","client_certificate":{"subject":""#, &client.subject);
            plain.text(r#","fingerprint_sha256":""#, &client.fingerprint_sha256);
            plain.raw("}");
        }
        plain.raw("}");
    }
}

fn outcome(plain: &mut Plain<'_>, outcome: &Outcome<'_>) {
    if let Some(upstream) = &outcome.upstream {
        plain.text(r#","upstream":{"endpoint":""#, &upstream.endpoint);
        plain.text(r#","protocol":""#, upstream.protocol);
        plain.text(r#","protocol_reason":""#, upstream.protocol_reason);
        plain.number(r#","attempts":"#, u64::from(upstream.attempts));
        plain.raw("}");
    }
    plain.number(r#","status":"#, u64::from(outcome.status));
    if let Some(status) = outcome.grpc_status {
        plain.number(r#","grpc_status":"#, u64::from(status));
    }
    plain.number(r#","bytes_in":"#, outcome.bytes_in);
    plain.number(r#","bytes_out":"#, outcome.bytes_out);
    plain.thousandths(r#","ms":{"policy":"#, outcome.ms.policy);
    plain.thousandths(r#","upstream":"#, outcome.ms.upstream);
    plain.thousandths(r#","total":"#, outcome.ms.total);
    plain.raw("}");
}

struct Plain<'a> {
    line: &'a mut Vec<u8>,
    holds: bool,
}

impl Plain<'_> {
    fn raw(&mut self, json: &str) {
        self.line.extend_from_slice(json.as_bytes());
    }

    /// Appends what is printable ASCII without quotes and backslashes by its kind.
    fn display(&mut self, value: impl std::fmt::Display) {
        self.holds &= write!(self.line, "{value}").is_ok();
    }

    /// Appends a text; `before` ends in its opening quote.
    fn text(&mut self, before: &str, text: &str) {
        self.raw(before);
        self.holds &= text.len() <= MAX_TEXT_BYTES && is_plain(text);
        self.raw(text);
        self.raw("\"");
    }

    fn option(&mut self, before: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(before, text);
        }
    }

    fn list(&mut self, before: &str, items: &[impl AsRef<str>]) {
        self.raw(before);
        self.holds &= items.len() <= MAX_ITEMS;
        let mut separator = "\"";
        for item in items.iter().take(MAX_ITEMS) {
            self.text(separator, item.as_ref());
            separator = ",\"";
        }
        self.raw("]");
    }

    fn number(&mut self, before: &str, number: u64) {
        self.raw(before);
        self.decimal(number);
    }

    /// Appends an address; `before` ends in its opening quote.
    fn address(&mut self, before: &str, address: IpAddr) {
        self.raw(before);
        match address {
            IpAddr::V4(address) => {
                let mut separator = "";
                for octet in address.octets() {
                    self.number(separator, u64::from(octet));
                    separator = ".";
                }
            }
            IpAddr::V6(address) => self.display(address),
        }
        self.raw("\"");
    }

    /// Appends a number. `Display` pads, aligns and calls back: several times the work of the digits.
    fn decimal(&mut self, number: u64) {
        let mut digits = [0; MOST_DIGITS];
        let (mut rest, mut unused) = (number, MOST_DIGITS);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
            unused -= 1;
            if rest == 0 {
                break;
            }
        }
        self.line.extend_from_slice(digits.get(unused..).unwrap_or_default());
    }

    /// Appends a time; `before` ends in its opening quote. What is before the fraction is the same for all records of a
    /// second, and is kept.
    fn time(&mut self, before: &str, time: Timestamp) {
        self.raw(before);
        let (second, nanosecond) = (time.as_second(), time.subsec_nanosecond());
        SECOND.with_borrow_mut(|kept| {
            if kept.0 != second {
                kept.0 = second;
                kept.1.clear();
                self.holds &= write!(kept.1, "{}", time - SignedDuration::from_nanos(nanosecond.into())).is_ok();
                self.holds &= kept.1.pop() == Some(b'Z');
            }
            self.line.extend_from_slice(&kept.1);
        });
        // Before 1970 the fraction counts down; no clock of ours says so.
        self.holds &= nanosecond >= 0;
        let mut rest = u32::try_from(nanosecond).unwrap_or_default();
        if rest > 0 {
            let mut digits = *b".000000000";
            for digit in digits.iter_mut().skip(1).rev() {
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
                rest /= 10;
            }
            let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
            self.line.extend_from_slice(digits.get(..kept).unwrap_or_default());
        }
        self.raw("Z\"");
    }

    fn thousandths(&mut self, before: &str, number: f64) {
        let all = (number * 1000.0).round();
        self.holds &= (0.0..MOST_THOUSANDTHS).contains(&all);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range was checked")]
        let all = all as u64;
        self.number(before, all / 1000);
        let digits =
            [all / 100 % 10, all / 10 % 10, all % 10].map(|digit| b'0' + u8::try_from(digit).unwrap_or_default());
        let kept = match digits {
            [_, b'0', b'0'] => 1,
            [_, _, b'0'] => 2,
            _ => 3,
        };
        self.raw(".");
        self.line.extend(digits.into_iter().take(kept));
    }
}

/// Returns whether a text is printable ASCII without quotes and backslashes. Eight bytes at a time: most texts are too short
/// for the wide registers, and a byte at a time was a third of all that a record cost.
fn is_plain(text: &str) -> bool {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [b' '; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let bad =
        words.iter().fold(unplain(u64::from_ne_bytes(last)), |bad, word| bad | unplain(u64::from_ne_bytes(*word)));
    bad == 0
}

/// Sets the high bit of bytes that are not plain, and, which is as good, of some above them.
const fn unplain(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    const fn is_zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let control = word.wrapping_sub(ONES * b' ' as u64);
    let quote = is_zero(word ^ (ONES * b'"' as u64));
    let backslash = is_zero(word ^ (ONES * b'\\' as u64));
    let delete = is_zero(word ^ (ONES * 0x7f));
    (word | control | quote | backslash | delete) & HIGH
}

thread_local! {
    // A second and how it is written, without the `Z`.
    static SECOND: RefCell<(i64, Vec<u8>)> = const { RefCell::new((i64::MIN, Vec::new())) };
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "request",
        Kind::Outcome => "outcome",
        Kind::SignIn => "sign_in",
        Kind::SignOut => "sign_out",
        Kind::Revoke => "revoke",
    }
}

const fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
        Decision::Challenge => "challenge",
    }
}

/// Of the largest `u64`.
const MOST_DIGITS: usize = 20;

/// Far above any duration, and far below where numbers with three decimals begin to be inexact.
const MOST_THOUSANDTHS: f64 = 1e12;

#[cfg(test)]
pub(crate) mod tests;
