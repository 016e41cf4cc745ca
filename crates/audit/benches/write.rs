//! What a request pays for its audit record: a place, one line of JSON and the hand-over.

#![expect(clippy::expect_used, reason = "a bench that cannot start has nothing to measure")]

use std::borrow::Cow;

use audit::{Config, Decision, Kind, Log, Milliseconds, Outcome, Record, Tls, Upstream, User};

fn main() {
    divan::main();
}

// So few that all fit into the memory between requests and disk: the disk is not what is measured.
#[divan::bench(sample_count = 100, sample_size = 50)]
fn reserve_and_write(bencher: divan::Bencher<'_, '_>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = Log::open(&Config { dir: dir.path().join("audit"), ..Config::default() }).expect("a log");
    let groups: [Box<str>; 3] = ["engineering".into(), "sre".into(), "on-call".into()];
    let record = record(&groups);
    bencher.bench_local(|| log.reserve().expect("room").write(&record));
}

fn record<'a>(groups: &'a [Box<str>]) -> Record<'a> {
    Record {
        time: "2026-01-01T00:00:00.123456Z".parse().expect("a time"),
        id: Cow::Borrowed("019b76da-a800-7000-8000-0123456789ab"),
        kind: Kind::Request,
        revision: Cow::Borrowed("3f2a9c0d1e4b5a67"),
        route: Some(Cow::Borrowed("grafana.example.com")),
        client_ip: Some([203, 0, 113, 7].into()),
        peer_ip: Some([10, 0, 0, 2].into()),
        client_ip_source: Some("x-forwarded-for"),
        user: Some(User {
            id: Cow::Borrowed("https://idp.example.com/realms/corp|5f0c6f0e-7f0a-4e0f"),
            email: Cow::Borrowed("ada@example.com"),
            groups: Cow::Borrowed(groups),
            provider: Cow::Borrowed("corp"),
        }),
        session: Some(Cow::Borrowed("q5X0bQ3kFv_1")),
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
        ms: Milliseconds { policy: 0.004, upstream: 12.345, total: 14.01 },
    }
}
