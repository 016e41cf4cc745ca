//! A record as one object of JSON, written directly: there is one for every request, and nearly every text in it is short
//! and plain. One that is not is written by `line.rs`, with all the care that it needs.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Decision, Ended, Kind, MAX_ITEMS, Outcome, Record, User};
use crate::line::{self, MAX_TEXT_BYTES};

/// An object that is being written.
pub(crate) struct Json<'a> {
    line: &'a mut Vec<u8>,
    written: serde_json::Result<()>,
}

impl Record<'_> {
    /// Appends the record, without a line feed.
    ///
    /// # Errors
    /// A value of `inputs` or `fields` has no JSON form.
    pub(crate) fn append(&self, line: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut json = Json { line, written: Ok(()) };
        json.time(self.time);
        json.text(r#"","id":""#, &self.id);
        json.word(r#","kind":""#, kind(self.kind));
        json.text(r#","revision":""#, &self.revision);
        json.option(r#","route":""#, self.route.as_deref());
        json.address(r#","client_ip":""#, self.client_ip);
        json.address(r#","peer_ip":""#, self.peer_ip);
        if let Some(source) = self.client_ip_source {
            json.word(r#","client_ip_source":""#, source);
        }
        json.raw(self.caller.map_or("", |caller| caller.0));
        json.request(self);
        json.word(r#","decision":""#, decision(self.decision));
        json.option(r#","rule":""#, self.rule.as_deref());
        json.text(r#","reason":""#, &self.reason);
        json.option(r#","error":""#, self.error.as_deref());
        if let Some(shadow) = &self.shadow {
            json.word(r#","shadow":{"decision":""#, decision(shadow.decision));
            json.option(r#","rule":""#, shadow.rule.as_deref());
            json.word(r#","reason":""#, shadow.reason);
            json.option(r#","error":""#, shadow.error.as_deref());
            json.raw("}");
        }
        json.entries(r#","inputs":{"#, &self.inputs);
        json.entries(r#","fields":{"#, &self.fields);
        json.option(r#","trace_id":""#, self.trace_id.as_deref());
        json.option(r#","user_agent":""#, self.user_agent.as_deref());
        if let Some(outcome) = &self.outcome {
            json.outcome(outcome);
        }
        json.raw("}");
        json.written
    }
}

impl Ended<'_> {
    /// Appends the record, without a line feed.
    ///
    /// # Errors
    /// Never: all of it has a JSON form.
    pub(crate) fn append(&self, line: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut json = Json { line, written: Ok(()) };
        json.time(self.time);
        json.text(r#"","id":""#, &self.id);
        json.word(r#","kind":""#, kind(self.kind));
        if let Some(refused) = &self.refused {
            json.word(r#","decision":""#, decision(refused.decision));
            json.text(r#","reason":""#, &refused.reason);
        }
        json.option(r#","error":""#, self.error.as_deref());
        json.outcome(&self.outcome);
        json.raw("}");
        json.written
    }
}

/// Appends who asked, and in which session, as members of an object.
pub(super) fn caller(line: &mut Vec<u8>, user: &User<'_>, session: Option<&str>) {
    // Texts alone: nothing of them can fail.
    let mut json = Json { line, written: Ok(()) };
    json.text(r#","user":{"id":""#, &user.id);
    json.text(r#","email":""#, &user.email);
    json.list(r#","groups":["#, &user.groups);
    json.text(r#","provider":""#, &user.provider);
    json.raw("}");
    json.option(r#","session":""#, session);
}

impl Json<'_> {
    fn request(&mut self, record: &Record<'_>) {
        self.text(r#","method":""#, &record.method);
        self.word(r#","scheme":""#, record.scheme);
        self.text(r#","host":""#, &record.host);
        self.text(r#","path":""#, &record.path);
        if !record.query_keys.is_empty() {
            self.list(r#","query_keys":["#, &record.query_keys);
        }
        self.word(r#","protocol":""#, record.protocol);
        if let Some(tls) = &record.tls {
            self.word(r#","tls":{"version":""#, tls.version);
            self.text(r#","sni":""#, &tls.sni);
            if let Some(client) = &tls.client_certificate {
                self.text(r#","client_certificate":{"subject":""#, &client.subject);
                self.text(r#","fingerprint_sha256":""#, &client.fingerprint_sha256);
                self.raw("}");
            }
            self.raw("}");
        }
    }

    fn outcome(&mut self, outcome: &Outcome<'_>) {
        if let Some(upstream) = &outcome.upstream {
            self.text(r#","upstream":{"endpoint":""#, &upstream.endpoint);
            // Empty where no connection came about.
            if !upstream.protocol.is_empty() {
                self.word(r#","protocol":""#, upstream.protocol);
                self.word(r#","protocol_reason":""#, upstream.protocol_reason);
            }
            self.number(r#","attempts":"#, u64::from(upstream.attempts));
            self.raw("}");
        }
        self.number(r#","status":"#, u64::from(outcome.status));
        if let Some(status) = outcome.grpc_status {
            self.number(r#","grpc_status":"#, u64::from(status));
        }
        self.number(r#","bytes_in":"#, outcome.bytes_in);
        self.number(r#","bytes_out":"#, outcome.bytes_out);
        self.milliseconds(r#","ms":{"policy":"#, outcome.ms.policy);
        self.milliseconds(r#","upstream":"#, outcome.ms.upstream);
        self.milliseconds(r#","total":"#, outcome.ms.total);
        self.raw("}");
    }

    #[inline]
    fn raw(&mut self, json: &str) {
        self.line.extend_from_slice(json.as_bytes());
    }

    /// Appends a word of ours, which is plain; `before` ends in its opening quote.
    #[inline]
    fn word(&mut self, before: &str, word: &'static str) {
        self.raw(before);
        self.raw(word);
        self.raw("\"");
    }

    /// Appends a text; `before` ends in its opening quote. Inlined, so that the length of `before` is known.
    #[inline]
    fn text(&mut self, before: &str, text: &str) {
        self.raw(before);
        self.checked(text);
        self.raw("\"");
    }

    fn checked(&mut self, text: &str) {
        if text.len() <= MAX_TEXT_BYTES && is_plain(text) {
            self.raw(text);
        } else {
            self.careful(text);
        }
    }

    #[cold]
    fn careful(&mut self, text: &str) {
        let written = line::append_within_quotes(self.line, text);
        self.note(written);
    }

    fn note(&mut self, written: serde_json::Result<()>) {
        if self.written.is_ok() {
            self.written = written;
        }
    }

    #[inline]
    fn option(&mut self, before: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(before, text);
        }
    }

    /// Appends the first items of a list; the rest is counted.
    fn list(&mut self, before: &str, items: &[impl AsRef<str>]) {
        self.raw(before);
        let mut separator = "\"";
        for item in items.iter().take(MAX_ITEMS) {
            self.text(separator, item.as_ref());
            separator = ",\"";
        }
        if let Some(left_out @ 1..) = items.len().checked_sub(MAX_ITEMS) {
            self.text(separator, &format!("…(+{left_out} items)"));
        }
        self.raw("]");
    }

    fn entries(&mut self, before: &str, entries: &[(impl AsRef<str>, impl Serialize)]) {
        let mut before = before;
        for (name, value) in entries {
            self.raw(before);
            self.text("\"", name.as_ref());
            self.raw(":");
            let written = line::append(self.line, value);
            self.note(written);
            before = ",";
        }
        if !entries.is_empty() {
            self.raw("}");
        }
    }

    #[inline]
    fn number(&mut self, before: &str, number: u64) {
        self.raw(before);
        self.decimal(number);
    }

    /// Appends an address; `before` ends in its opening quote.
    fn address(&mut self, before: &str, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        self.raw(before);
        match address {
            IpAddr::V4(address) => {
                let mut separator = "";
                for octet in address.octets() {
                    self.number(separator, u64::from(octet));
                    separator = ".";
                }
            }
            IpAddr::V6(address) => {
                let written = write!(self.line, "{address}");
                self.note(written.map_err(serde_json::Error::io));
            }
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

    /// Begins with the time, whose closing quote comes with what follows. What is before the fraction is the same for all
    /// records of a second, and is kept.
    fn time(&mut self, time: Timestamp) {
        let (second, micros) =
            (time.as_microsecond().div_euclid(1_000_000), time.as_microsecond().rem_euclid(1_000_000));
        SECOND.with_borrow_mut(|kept| {
            if kept.0 != second {
                kept.0 = second;
                kept.1.clear();
                let whole = Timestamp::from_second(second).unwrap_or_default();
                let written = write!(kept.1, r#"{{"time":"{whole}"#);
                self.note(written.map_err(serde_json::Error::io));
                kept.1.pop();
            }
            self.line.extend_from_slice(&kept.1);
        });
        let [a, b, c, d, e, f] = digits(u32::try_from(micros).unwrap_or_default());
        self.line.extend_from_slice(&[b'.', a, b, c, d, e, f, b'Z']);
    }

    /// Appends a duration with three decimals.
    fn milliseconds(&mut self, before: &str, duration: Duration) {
        let micros = duration.as_secs().saturating_mul(1_000_000) + u64::from((duration.subsec_nanos() + 500) / 1000);
        self.number(before, micros / 1000);
        let [.., a, b, c] = digits(u32::try_from(micros % 1000).unwrap_or_default());
        self.line.extend_from_slice(&[b'.', a, b, c]);
    }
}

/// Returns the last six digits of a number.
fn digits(number: u32) -> [u8; 6] {
    [100_000, 10_000, 1000, 100, 10, 1].map(|place| b'0' + u8::try_from(number / place % 10).unwrap_or_default())
}

/// Returns whether a text is printable ASCII without quotes and backslashes. Eight bytes at a time: most texts are too short
/// for the wide registers, and a byte at a time was a third of all that a record cost.
fn is_plain(text: &str) -> bool {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let last = text.as_bytes().last_chunk::<8>().copied().unwrap_or_else(|| {
        let mut last = [b' '; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        last
    });
    let bad =
        words.iter().fold(unplain(u64::from_ne_bytes(last)), |bad, word| bad | unplain(u64::from_ne_bytes(*word)));
    bad & HIGH == 0
}

/// Sets the high bit of bytes that are not plain, and, which is as good, of some above them. Other bits mean nothing.
const fn unplain(word: u64) -> u64 {
    const fn is_zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let control = word.wrapping_sub(ONES * b' ' as u64);
    let quote = is_zero(word ^ (ONES * b'"' as u64));
    let backslash = is_zero(word ^ (ONES * b'\\' as u64));
    let delete = is_zero(word ^ (ONES * 0x7f));
    word | control | quote | backslash | delete
}

thread_local! {
    // A second, and how a record of it begins, up to the fraction.
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

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// Of the largest `u64`.
const MOST_DIGITS: usize = 20;

#[cfg(test)]
pub(crate) mod tests;
