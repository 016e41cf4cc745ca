//! Fuzzes heads of requests, and follows their targets to what upstreams get.
//!
//! Each run tries the kept cases of `fuzz/corpus.txt` and then as many made-up ones as fit into its time, always the same
//! ones for one seed. `FUZZ_SECONDS=3600 cargo test --release -p proxy fuzz` runs an hour, and `FUZZ_SEED=7` tries other
//! cases. A case that fails is printed; mend what it shows and keep it in the corpus.

use std::borrow::Cow;
use std::time::Duration;

use httparse::{EMPTY_HEADER, Status};
use tokio::time::Instant;

use super::*;
use crate::sanitize::{self, Strictness};

/// Kept cases, one a line, with the escapes of Rust.
const CORPUS: &str = include_str!("fuzz/corpus.txt");

const MOST: usize = 64 * 1024;

/// Every head that we take, httparse takes too, and reads the same in it.
#[test]
fn what_is_taken_reads_the_same_to_another_parser() {
    let kept: Vec<Vec<u8>> = CORPUS.lines().filter(|line| !line.starts_with('#')).map(unescape).collect();
    kept.iter().for_each(|case| {
        attempt(case);
    });
    let seed = setting("FUZZ_SEED").unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(setting("FUZZ_SECONDS").unwrap_or(3));
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut taken = 0;
    while Instant::now() < end {
        let case = random.case(&kept);
        taken += u32::from(attempt(&case));
    }
    assert!(taken > 0, "nothing that was made up is a head");
}

/// Tries a case, and says which it was when it fails. Returns whether it was taken.
fn attempt(case: &[u8]) -> bool {
    let began = Instant::now();
    let tried = std::panic::catch_unwind(|| check(case));
    let case = || format!("keep the case in `corpus.txt`:\n{}", case.escape_ascii());
    assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}; {}", began.elapsed(), case());
    tried.unwrap_or_else(|_| panic!("{}", case()))
}

fn check(case: &[u8]) -> bool {
    let whole = take(case, &mut 0, MOST);
    in_parts(case, &whole);
    let Ok(Some(head)) = whole else { return false };
    let mut lines = [EMPTY_HEADER; MAX_LINES];
    let mut request = httparse::Request::new(&mut lines);
    assert_eq!(request.parse(case), Ok(Status::Complete(head.length)));
    assert_eq!(request.method, Some(head.method.as_str()));
    assert_eq!(request.version, Some(u8::from(head.version == Version::Http11)));
    let theirs = request.headers.iter().map(|line| (line.name.to_ascii_lowercase(), trimmed(line.value)));
    let mut theirs: Vec<_> = theirs.collect();
    let mut ours: Vec<_> =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes())).collect();
    theirs.sort();
    ours.sort();
    assert_eq!(ours, theirs);
    let said = |name: &str| ours.iter().filter(|(other, _)| other == name).count();
    let framings = said("content-length") + said("transfer-encoding");
    assert!(framings <= 1, "two framings");
    assert!(framings == 1 || matches!(head.framing, Framing::Length(0)), "a body that nobody announced");
    check_target(&head, request.path.unwrap());
    true
}

/// A head is the same however it comes: it is not taken before its end, and refused early only where it would be in the end.
fn in_parts(case: &[u8], whole: &Result<Option<Head>, Refused>) {
    let mut looked_at = 0;
    for length in 1..case.len().min(400) {
        match take(&case[..length], &mut looked_at, MOST) {
            Ok(None) => {}
            Ok(Some(head)) => {
                let same =
                    whole.as_ref().is_ok_and(|whole| whole.as_ref().is_some_and(|whole| whole.length == head.length));
                assert!(same && head.length == length, "taken before its end");
                return;
            }
            Err(_) => return assert!(whole.is_err(), "refused before its end"),
        }
    }
}

/// What upstreams get is a target that reads as the path that rules saw.
fn check_target(head: &Head, raw: &str) {
    assert!(!raw.contains(['#', ' ', '\r', '\n', '\0']), "{raw:?}");
    if raw.starts_with('/') {
        assert_eq!(head.target.to_string(), raw, "nothing is cut off");
    }
    for strictness in [Strictness::Strict, Strictness::Lenient] {
        let Ok(seen) = sanitize::target(&head.method, &head.target, strictness) else { continue };
        let sent = seen.to_path_and_query().unwrap();
        let again = take(format!("{} {sent} HTTP/1.1\r\nhost: a\r\n\r\n", head.method).as_bytes(), &mut 0, 4 * MOST);
        let again = again.unwrap().unwrap();
        assert_eq!((again.target.path(), again.target.query()), (seen.path(), seen.query()), "{sent}");
        let twice = sanitize::target(&again.method, &again.target, strictness).unwrap();
        assert_eq!(twice.path(), seen.path(), "the normal form has another one");
    }
}

fn trimmed(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

fn unescape(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'\\' => match rest.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'x') => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other.unwrap(),
            },
            plain => plain,
        };
        bytes.push(byte);
    }
    bytes
}

/// Random numbers that a seed decides: xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or(0);
        number % bound.max(1)
    }

    /// Makes up a head: a kept one, or one of pieces, damaged in some places.
    fn case(&mut self, kept: &[Vec<u8>]) -> Vec<u8> {
        let mut case = if self.below(3) == 0 {
            let lines: Vec<_> = (0..self.below(6)).map(|_| LINES[self.below(LINES.len())]).collect();
            let (method, target) = (METHODS[self.below(METHODS.len())], self.target());
            format!("{method} {target} HTTP/1.1\r\nhost: a\r\n{}\r\n", lines.concat()).into_bytes()
        } else {
            kept[self.below(kept.len())].clone()
        };
        for _ in 0..self.below(4) {
            let from = self.below(case.len() + 1);
            let to = (from + self.below(4)).min(case.len());
            let piece: Cow<'_, [u8]> = match self.below(5) {
                0 => Cow::Borrowed(&[]),
                1 => Cow::Owned(vec![u8::try_from(self.below(256)).unwrap()]),
                2 => Cow::Owned(kept[self.below(kept.len())].clone()),
                3 => Cow::Owned(case[from..to].repeat(1 + self.below(30))),
                _ => Cow::Borrowed(PIECES[self.below(PIECES.len())].as_bytes()),
            };
            case.splice(from..to, piece.iter().copied());
        }
        case.truncate(4 * MOST);
        case
    }

    fn target(&mut self) -> String {
        (0..=self.below(8)).map(|_| SEGMENTS[self.below(SEGMENTS.len())]).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "how long to run is a setting of the one who runs it")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

const METHODS: &[&str] = &["GET", "POST", "HEAD", "OPTIONS", "CONNECT", "M-SEARCH", "get", ""];

const SEGMENTS: &[&str] = &[
    "/", "/a", "/..", "/.", "//", "%2e", "%2E%2e", "%2f", "%5C", "\\", ";x=1", "%3b", "?a=b", "?", "%", "%0a", "%00",
    "%7f", "%c3%a9", "%c0%af", "\u{e9}", "#", "*", "http://a", "@", ":", "[", "\"", "<", "{", "|", "~",
];

const LINES: &[&str] = &[
    "content-length: 1\r\n",
    "Content-Length: 01\r\n",
    "content-length: 1, 1\r\n",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "connection: close, x\r\n",
    "upgrade: h2c\r\n",
    "expect: 100-continue\r\n",
    "te: trailers\r\n",
    "x:\r\n",
    "x: \t a \t\r\n",
    "X-Y: \u{e9}\r\n",
];

const PIECES: &[&str] = &[
    "\r",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    " ",
    "\t",
    ":",
    "\0",
    "\u{7f}",
    ",",
    "HTTP/1.0",
    "HTTP/1.1",
    "chunked",
    "content-length:",
    "transfer-encoding:",
    "0",
    "\u{b}",
    " \r\n ",
    "#",
    "?",
];
