//! Follows HTTP/1.1 requests byte by byte, just closely enough to know where each head begins and whether it is faulty.
//!
//! Only what hyper takes matters: where it refuses, the connection ends, and nothing that follows is a head.

use super::chunks::Chunks;

/// Where a connection stands between the bytes of its requests.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    at: At,
    // The byte before the next one.
    last: u8,
    framing: Framing,
    heads: u32,
}

/// What was found in some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// Nothing: all may pass.
    Whole,
    /// The byte there makes a head faulty.
    Fault(usize),
    /// A request that asks for an upgrade ends before that place.
    UpgradeAsked(usize),
}

#[derive(Debug, Default)]
enum At {
    /// Before a request, where empty lines may stand (RFC 9112 §2.2).
    #[default]
    Before,
    /// After the carriage return of such a line.
    BeforeLf,
    Method,
    /// The rest of the request line.
    Target,
    LineStart,
    /// In a header name, of which so many bytes are those of a name that matters.
    Name(Named, usize),
    /// The rest of a header line.
    Line,
    /// The value of `Content-Length`.
    Length,
    /// After the carriage return of the empty line.
    End,
    Body(u64),
    Chunks(Chunks),
    /// hyper refuses what came.
    Lost,
}

/// What the head says of its body and of what follows.
#[derive(Debug, Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// The header names that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    ContentLength,
    TransferEncoding,
    Upgrade,
}

/// What a step found, with how many bytes it used.
enum Step {
    Used(usize),
    Fault(usize),
    UpgradeAsked(usize),
}

impl Scanner {
    /// Returns how many heads have ended.
    pub(super) const fn heads(&self) -> u32 {
        self.heads
    }

    /// Follows the next bytes of the connection. After a fault there is nothing more to follow; after an upgrade was
    /// asked for, what comes next is followed only if it turns out to be a request.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut start = 0;
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            match self.step(rest) {
                Step::Used(used) => {
                    if let Some(last) = used.checked_sub(1).and_then(|last| rest.get(last)) {
                        self.last = *last;
                    }
                    start += used;
                }
                Step::Fault(at) => return Scanned::Fault(start + at),
                Step::UpgradeAsked(used) => return Scanned::UpgradeAsked(start + used),
            }
        }
        Scanned::Whole
    }

    fn step(&mut self, rest: &[u8]) -> Step {
        let first = rest.first().copied().unwrap_or_default();
        match &mut self.at {
            At::Before => match first {
                b'\r' => self.go(At::BeforeLf, 1),
                b'\n' => Step::Fault(0),
                _ => self.go(At::Method, 0),
            },
            At::BeforeLf if first == b'\n' => self.go(At::Before, 1),
            At::Method => match memchr::memchr2(b' ', b'\n', rest) {
                Some(end) if rest.get(end) == Some(&b' ') => self.go(At::Target, end + 1),
                Some(end) => self.end_line(rest, end),
                None => Step::Used(rest.len()),
            },
            At::Target => match memchr::memchr2(b'#', b'\n', rest) {
                // RFC 9112 §3.2: no form of the target has a fragment.
                Some(end) if rest.get(end) == Some(&b'#') => Step::Fault(end),
                Some(end) => self.end_line(rest, end),
                None => Step::Used(rest.len()),
            },
            At::LineStart => match first {
                b'\r' => self.go(At::End, 1),
                b'\n' => Step::Fault(0),
                _ => self.go(Named::beginning(first).map_or(At::Line, |named| At::Name(named, 0)), 0),
            },
            At::Name(named, matched) => {
                let named = *named;
                match named.text().get(*matched) {
                    Some(expected) if first.eq_ignore_ascii_case(expected) => {
                        *matched += 1;
                        Step::Used(1)
                    }
                    // RFC 9112 §5.1: hyper refuses a space before the colon.
                    None if first == b':' => self.named(named),
                    _ => self.go(At::Line, 0),
                }
            }
            At::Line => match memchr::memchr(b'\n', rest) {
                Some(end) => self.end_line(rest, end),
                None => Step::Used(rest.len()),
            },
            At::Length => self.length(rest, first),
            At::End if first == b'\n' => self.end_head(),
            At::BeforeLf | At::End => self.go(At::Lost, 0),
            At::Body(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= used as u64;
                if *left == 0 { self.end_request(used) } else { Step::Used(used) }
            }
            At::Chunks(chunks) => match chunks.follow(rest) {
                Some(used) if chunks.ended() => self.end_request(used),
                Some(used) => Step::Used(used),
                None => self.go(At::Lost, 0),
            },
            At::Lost => Step::Used(rest.len()),
        }
    }

    /// RFC 9112 §2.2 lets a line end without a carriage return; programs that differ in it see different heads.
    fn end_line(&mut self, rest: &[u8], end: usize) -> Step {
        let before = end.checked_sub(1).map_or(Some(&self.last), |before| rest.get(before));
        if before == Some(&b'\r') { self.go(At::LineStart, end + 1) } else { Step::Fault(end) }
    }

    /// The name of a header has ended. RFC 9112 §6.3: whoever sends two framings may mean another program to read the
    /// other one.
    fn named(&mut self, named: Named) -> Step {
        let Framing { length, chunked, upgrade } = &mut self.framing;
        match named {
            Named::Upgrade => {
                *upgrade = true;
                self.go(At::Line, 1)
            }
            Named::ContentLength | Named::TransferEncoding if length.is_some() || *chunked => Step::Fault(0),
            Named::ContentLength => {
                *length = Some(0);
                self.go(At::Length, 1)
            }
            // hyper takes no value whose last coding is another, nor our pipeline any but `chunked` alone.
            Named::TransferEncoding => {
                *chunked = true;
                self.go(At::Line, 1)
            }
        }
    }

    /// What is no digit is left to hyper, which takes nothing but digits with spaces around them.
    fn length(&mut self, rest: &[u8], first: u8) -> Step {
        match first {
            b'\n' => return self.end_line(rest, 0),
            b'0'..=b'9' => {
                let length = self.framing.length.unwrap_or_default();
                self.framing.length = Some(length.saturating_mul(10).saturating_add(u64::from(first - b'0')));
            }
            _ => {}
        }
        Step::Used(1)
    }

    fn end_head(&mut self) -> Step {
        self.heads = self.heads.wrapping_add(1);
        match self.framing {
            Framing { chunked: true, .. } => self.go(At::Chunks(Chunks::default()), 1),
            Framing { length: Some(length @ 1..), .. } => self.go(At::Body(length), 1),
            Framing { .. } => self.end_request(1),
        }
    }

    fn end_request(&mut self, used: usize) -> Step {
        self.at = At::Before;
        if std::mem::take(&mut self.framing).upgrade { Step::UpgradeAsked(used) } else { Step::Used(used) }
    }

    fn go(&mut self, at: At, used: usize) -> Step {
        self.at = at;
        Step::Used(used)
    }
}

impl Named {
    /// Returns the name that begins so; no two do.
    const fn beginning(first: u8) -> Option<Self> {
        match first {
            b'c' | b'C' => Some(Self::ContentLength),
            b't' | b'T' => Some(Self::TransferEncoding),
            b'u' | b'U' => Some(Self::Upgrade),
            _ => None,
        }
    }

    const fn text(self) -> &'static [u8] {
        match self {
            Self::ContentLength => b"content-length",
            Self::TransferEncoding => b"transfer-encoding",
            Self::Upgrade => b"upgrade",
        }
    }
}

#[cfg(test)]
mod tests;
