//! What a request pays for its audit records, beside one that has none: 64 requests that are ready at the same time, as a
//! busy proxy has them, on a runtime of one thread. Divide by 64.

#![expect(clippy::expect_used, reason = "a bench that cannot start has nothing to measure")]

use std::borrow::Cow;
use std::time::Duration;

use audit::{
    Caller, Config, Decision, Durability, Ended, Kind, Log, Milliseconds, Mode, Outcome, Record, Tls, Upstream, User,
};
use tokio::task::JoinSet;

fn main() {
    divan::main();
}

/// The same tasks, without a record.
#[divan::bench]
fn none(bencher: divan::Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    bencher.bench_local(|| runtime.block_on(together(|| async { tokio::task::yield_now().await })));
}

#[divan::bench]
fn buffered(bencher: divan::Bencher<'_, '_>) {
    bench(bencher, Mode::Buffered, Durability::Os);
}

#[divan::bench]
fn strict(bencher: divan::Bencher<'_, '_>) {
    bench(bencher, Mode::Strict, Durability::Os);
}

#[divan::bench(sample_count = 20, sample_size = 5)]
fn strict_to_disk(bencher: divan::Bencher<'_, '_>) {
    bench(bencher, Mode::Strict, Durability::Disk);
}

fn bench(bencher: divan::Bencher<'_, '_>, mode: Mode, durability: Durability) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = Config { dir: dir.path().join("audit"), mode, durability, compress: false, ..Config::default() };
    let log = Log::open(&config).expect("a log");
    let caller: &'static str = Box::leak(log.write_caller(&user(), "q5X0bQ3kFv_1"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    bencher.bench_local(|| {
        runtime.block_on(together(|| {
            let log = log.clone();
            async move { request(&log, Caller::written(caller)).await }
        }));
    });
}

async fn together<F: Future<Output = ()> + Send + 'static>(request: impl Fn() -> F) {
    let mut requests = JoinSet::new();
    (0..REQUESTS).for_each(|_| drop(requests.spawn(request())));
    while requests.join_next().await.is_some() {}
}

/// What the pipeline does for a request that is forwarded.
async fn request(log: &Log, caller: Caller<'static>) {
    let mut slot = log.reserve().expect("room");
    slot.write_ahead(|| Record { outcome: None, ..record(caller) });
    slot.committed().await.expect("a disk");
    if slot.is_ahead() { slot.end(ended) } else { slot.write(|| record(caller)) }
}

fn ended() -> Ended<'static> {
    Ended {
        time: "2026-01-01T00:00:00.123456Z".parse().expect("a time"),
        id: Cow::Borrowed("019b76da-a800-7000-8000-0123456789ab"),
        kind: Kind::Outcome,
        refused: None,
        error: None,
        outcome: outcome(),
    }
}

fn user() -> User<'static> {
    User {
        id: Cow::Borrowed("https://idp.example.com/realms/corp|5f0c6f0e-7f0a-4e0f"),
        email: Cow::Borrowed("ada@example.com"),
        groups: Cow::Owned(GROUPS.map(Into::into).into()),
        provider: Cow::Borrowed("corp"),
    }
}

fn record(caller: Caller<'static>) -> Record<'static> {
    Record {
        time: "2026-01-01T00:00:00.123456Z".parse().expect("a time"),
        id: Cow::Borrowed("019b76da-a800-7000-8000-0123456789ab"),
        kind: Kind::Request,
        revision: Cow::Borrowed("3f2a9c0d1e4b5a67"),
        route: Some(Cow::Borrowed("grafana.example.com")),
        client_ip: Some([203, 0, 113, 7].into()),
        peer_ip: Some([10, 0, 0, 2].into()),
        client_ip_source: Some("x-forwarded-for"),
        caller: Some(caller),
        method: Cow::Borrowed("GET"),
        scheme: "https",
        host: Cow::Borrowed("grafana.example.com"),
        path: Cow::Borrowed("/api/datasources/proxy/1/query"),
        query_keys: vec![Cow::Borrowed("from"), Cow::Borrowed("to")],
        protocol: "h2",
        tls: Some(Tls { version: "1.3", sni: Cow::Borrowed("grafana.example.com"), client_certificate: None }),
        decision: Decision::Allow,
        rule: Some(Cow::Borrowed("engineers/on-known-network")),
        reason: Cow::Borrowed("rule-matched"),
        error: None,
        shadow: None,
        inputs: Cow::Borrowed(&[]),
        fields: Cow::Borrowed(&[]),
        trace_id: None,
        user_agent: Some(Cow::Borrowed("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")),
        outcome: Some(outcome()),
    }
}

fn outcome() -> Outcome<'static> {
    Outcome {
        upstream: Some(Upstream {
            endpoint: Cow::Borrowed("10.0.3.7:3000"),
            protocol: "http/1.1",
            protocol_reason: "configured",
            attempts: 1,
        }),
        status: 200,
        grpc_status: None,
        bytes_in: 0,
        bytes_out: 18_342,
        ms: Milliseconds {
            policy: Duration::from_micros(4),
            upstream: Duration::from_micros(12_345),
            total: Duration::from_micros(14_010),
        },
    }
}

const GROUPS: [&str; 3] = ["engineering", "sre", "on-call"];

const REQUESTS: usize = 64;
