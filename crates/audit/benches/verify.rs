//! How fast a log is verified, in bytes of its lines: plain segments and compressed ones.

#![expect(clippy::expect_used, reason = "a bench that cannot start has nothing to measure")]

use std::path::Path;

use audit::{Archive, Config, Event, EventKind, Form, Log, verify};
use divan::counter::BytesCount;

fn main() {
    divan::main();
}

#[divan::bench(args = [false, true], sample_count = 5, sample_size = 1)]
fn verified(bencher: divan::Bencher<'_, '_>, compress: bool) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write(dir.path(), compress);
    let bytes: u64 = verify(dir.path(), &[], &[]).expect("a log").chains.iter().map(|chain| chain.bytes).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        assert_eq!(verify(dir.path(), &[], &[]).expect("a log").findings, []);
    });
}

/// Writes some 256 MiB of lines as long as those of requests are.
fn write(dir: &Path, compress: bool) {
    let config = Config { dir: dir.to_owned(), compress, segment_bytes: 16 << 20, ..Config::default() };
    let log = Log::open(&config).expect("a log");
    let text = "a text that is about as long as a record of a request has in all its fields, ".repeat(7);
    let event = Event::new("2026-01-01T00:00:00Z".parse().expect("a time"), EventKind::Admin, "bench", &text);
    for _ in 0..400 {
        for _ in 0..1000 {
            log.note(&event).expect("room");
        }
        log.flush().expect("a disk");
    }
    // All but the last of them, which is closed with the log.
    while compress
        && Archive::open(dir).expect("segments").segments().iter().rev().skip(1).any(|s| s.form() == Form::Plain)
    {
        std::thread::yield_now();
    }
    log.close();
}
