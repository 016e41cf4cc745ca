//! How fast a log is searched: `cargo bench -p audit --bench query -- REQUESTS [DIR]` writes that many requests, each with
//! its outcome, and tells for some searches how long they take and how much memory.
//!
//! A log that is in `DIR` already is searched as it is.

#![expect(clippy::expect_used, reason = "a bench that cannot start has nothing to measure")]
#![expect(clippy::print_stdout, reason = "its answer")]

use std::borrow::Cow;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use audit::{
    Archive, Caller, Collect, Config, Decision, Ended, Filter, Form, Found, Kind, Log, Milliseconds, Order, Outcome,
    Record, Tls, Upstream, User, scan,
};
use jiff::{Timestamp, ToSpan as _};
use tokio::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let requests = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = arguments.next().map_or_else(|| temporary.path().join("audit"), PathBuf::from);
    if !dir.exists() {
        write(&dir, requests);
    }
    let bytes: u64 =
        Archive::open(&dir).expect("a log").segments().iter().filter_map(|of| of.summary()).map(|of| of.bytes).sum();
    println!("{requests} requests, {} MB in closed segments", bytes / 1_000_000);
    let pattern = |text: &str| Some(text.parse().expect("a pattern"));
    let user = |text| Filter { user: pattern(text), ..Filter::default() };
    search(&dir, "a user", &user("user4321@example.com"));
    search(&dir, "a user that is not there", &user("eve@example.com"));
    search(&dir, "a request", &Filter { id: pattern(&id(requests / 3)), ..Filter::default() });
    let address = Filter { network: Some("203.0.113.77/32".parse().expect("a network")), ..Filter::default() };
    search(&dir, "an address", &address);
    search(&dir, "a path", &Filter { path: pattern("/rare/*"), ..Filter::default() });
    search(&dir, "a status", &Filter { status: Some("503".parse().expect("a status")), ..Filter::default() });
    search(&dir, "a rule", &Filter { rule: pattern("engineers/on-rare*"), ..Filter::default() });
    search(&dir, "a method", &Filter { method: pattern("P*"), ..Filter::default() });
    let denied = Filter { decision: Some("deny".into()), user: pattern("user4321@*"), ..Filter::default() };
    search(&dir, "what a user was refused", &denied);
    search(&dir, "everything", &Filter::default());
}

/// Counts what is found.
struct Count(AtomicU64);

impl Collect for Count {
    type Part = ();

    fn begin(&self, _place: usize) {}

    fn take(&self, (): &mut (), _found: &Found<'_>) -> ControlFlow<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    }

    fn end(&self, (): ()) {}
}

fn search(dir: &Path, what: &str, filter: &Filter) {
    let count = Count(AtomicU64::new(0));
    let (begun, cpu) = (Instant::now(), cpu());
    let scanned = scan(dir, filter, Order::Newest, &count).expect("a log");
    let (wall, cpu) = (begun.elapsed(), self::cpu() - cpu);
    let found = count.0.into_inner();
    println!(
        "{what:<24} {found:>9} found, {:>4} of {} segments read, {:.2} s, {cpu:.2} s of processors, {} MB at most",
        scanned.read,
        scanned.segments,
        wall.as_secs_f64(),
        peak() / 1024,
    );
}

/// Returns how many seconds of processors the process took.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let ticks = stat.rsplit(' ').rev().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Returns how many KiB of memory the process had at most.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn write(dir: &Path, requests: u64) {
    let log = Log::open(&Config { dir: dir.to_owned(), ..Config::default() }).expect("a log");
    let groups = ["engineering", "sre", "on-call"].map(Into::into);
    let mut open = std::collections::VecDeque::new();
    for number in 0..requests {
        let mut slot = log.reserve().expect("room");
        record(&log, number, &groups, |record| {
            if record.outcome.is_none() {
                slot.write_ahead(|| record);
                open.push_back((number, slot));
            } else {
                slot.write(|| record);
            }
        });
        // Some requests are under way at any time.
        if open.len() > 50
            && let Some((number, slot)) = open.pop_front()
        {
            slot.end(|| ended(number));
        }
        if number % 1000 == 0 {
            log.flush().expect("a disk");
        }
    }
    open.into_iter().for_each(|(number, slot)| slot.end(|| ended(number)));
    while Archive::open(dir).expect("segments").segments().iter().rev().skip(1).any(|of| of.form() == Form::Plain) {
        // Compressing gives way to whatever is busy.
        std::thread::sleep(Duration::from_millis(100));
    }
    log.close();
}

fn record(log: &Log, number: u64, groups: &[Box<str>], then: impl FnOnce(Record<'_>)) {
    let dice = dice(number);
    let user = dice % 5000;
    let path = match dice % 100_003 {
        0 => format!("/rare/{number}"),
        _ => format!("/api/datasources/proxy/{}/query/{}", dice % 17, dice % 10_007),
    };
    let refused = dice.is_multiple_of(50);
    let outcome = Outcome { status: 403, ..Outcome::default() };
    let caller = User {
        id: Cow::Owned(format!("https://idp.example.com/realms/corp|5f0c6f0e-7f0a-4e0f-{user:08}")),
        email: Cow::Owned(format!("user{user}@example.com")),
        groups: Cow::Borrowed(groups),
        provider: Cow::Borrowed("corp"),
    };
    let caller = log.write_caller(&caller, &format!("q5X0bQ3k{user:04}"));
    then(Record {
        time: time(number),
        id: Cow::Owned(id(number)),
        kind: Kind::Request,
        revision: Cow::Borrowed("3f2a9c0d1e4b5a67"),
        route: Some(Cow::Owned(format!("app{}.example.com", dice % 40))),
        client_ip: Some([203, 0, (user % 256) as u8, (dice % 253) as u8].into()),
        peer_ip: Some([10, 0, 0, 2].into()),
        client_ip_source: Some("x-forwarded-for"),
        caller: Some(Caller::written(&caller)),
        method: Cow::Borrowed("GET"),
        scheme: "https",
        host: Cow::Owned(format!("app{}.example.com", dice % 40)),
        path: Cow::Owned(path),
        query_keys: vec![Cow::Borrowed("from"), Cow::Borrowed("to")],
        protocol: "h2",
        tls: Some(Tls {
            version: "1.3",
            sni: Cow::Owned(format!("app{}.example.com", dice % 40)),
            client_certificate: None,
        }),
        decision: if refused { Decision::Deny } else { Decision::Allow },
        rule: Some(Cow::Borrowed("engineers/on-known-network")),
        reason: Cow::Borrowed(if refused { "deny-rule-matched" } else { "allow-rule-matched" }),
        error: None,
        shadow: None,
        inputs: Cow::Borrowed(&[]),
        fields: Cow::Borrowed(&[]),
        trace_id: None,
        user_agent: Some(Cow::Borrowed("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")),
        outcome: refused.then_some(outcome),
    });
}

fn ended(number: u64) -> Ended<'static> {
    let dice = dice(number);
    let outcome = Outcome {
        upstream: Some(Upstream {
            endpoint: Cow::Owned(format!("http://10.0.3.{}:3000", dice % 9)),
            protocol: "http/1.1",
            protocol_reason: "configured",
            attempts: 1,
        }),
        status: if dice.is_multiple_of(20_011) { 503 } else { 200 },
        grpc_status: None,
        bytes_in: 0,
        bytes_out: dice % 100_000,
        ms: Milliseconds {
            policy: Duration::from_micros(4),
            upstream: Duration::from_micros(dice % 9973 * 10),
            total: Duration::from_micros(dice % 9973 * 10 + 100),
        },
    };
    let (time, id) = (time(number + 50), Cow::Owned(id(number)));
    Ended { time, id, kind: Kind::Outcome, refused: None, error: None, outcome }
}

/// A day has five million requests.
fn time(number: u64) -> Timestamp {
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    begin.checked_add((number as i64 * 17_280).microseconds()).expect("a time")
}

/// As request ids are: the time, and chance.
fn id(number: u64) -> String {
    let milliseconds = time(number).as_millisecond();
    let chance = dice(number.wrapping_add(77));
    format!(
        "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
        milliseconds >> 16,
        milliseconds & 0xffff,
        chance & 0xfff,
        0x8000 | (chance >> 12) & 0x3fff,
        chance >> 16 & 0xffff_ffff_ffff,
    )
}

/// Returns what looks like chance and is the same each time (`SplitMix64`).
const fn dice(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
