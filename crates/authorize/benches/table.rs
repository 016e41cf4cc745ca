//! What tables cost: to read 100,000 networks, and to look one up while deciding. Reading is to stay under a second, a
//! lookup under 100 ns beyond the decision of `true`.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use authorize::test_util::mmdb;
use authorize::{
    Authorizer, Config, Format, Grpc, Headers, Input, KeyType, Layout, Request, RouteFacts, RouteRules, Rows, Rule,
    RuleRef, Table, Tls,
};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use identity::Ip;
use jiff::Timestamp;

fn main() {
    divan::main();
}

const NETWORKS: u32 = 100_000;

/// Spreads networks of 24 bits over the address space.
fn network(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits((index.wrapping_mul(2_654_435_761) & 0x00ff_ffff) << 8)
}

fn networks() -> impl Iterator<Item = Ipv4Addr> {
    (0..NETWORKS).map(network)
}

#[divan::bench]
fn read_csv(bencher: Bencher<'_, '_>) {
    let (layout, bytes) = csv();
    bencher.with_inputs(|| bytes.clone()).bench_local_values(|bytes| Rows::read(&layout, bytes).expect("a table"));
}

#[divan::bench]
fn read_json(bencher: Bencher<'_, '_>) {
    let (layout, bytes) = json();
    bencher.with_inputs(|| bytes.clone()).bench_local_values(|bytes| Rows::read(&layout, bytes).expect("a table"));
}

#[divan::bench]
fn read_mmdb(bencher: Bencher<'_, '_>) {
    let (layout, bytes) = database();
    bencher.with_inputs(|| bytes.clone()).bench_local_values(|bytes| Rows::read(&layout, bytes).expect("a table"));
}

#[divan::bench(args = [
    "true",
    r#"has(lookup("csv", request.ip).team)"#,
    r#"lookup("csv", request.ip) != {}"#,
    r#"lookup("csv", request.ip).team == "core""#,
    r#"lookup("json", request.ip).team == "core""#,
    r#"lookup("names", request.host).team == "core""#,
    r#"lookup("mmdb", request.ip).country.iso_code == "DE""#,
])]
fn decide(bencher: Bencher<'_, '_>, when: &str) {
    let authorizer = Authorizer::compile(&config(when)).expect("the expression compiles").0;
    let policy = authorizer.route(0).expect("there is a route");
    // More than the caches close to a core hold, in no order.
    let addresses: Vec<Ip> = (0..LOOKUPS)
        .map(|index| Ipv4Addr::from_bits(network(index * 6).to_bits() | 7).to_string().parse().expect("an address"))
        .collect();
    bencher.counter(ItemsCount::new(LOOKUPS)).bench_local(|| {
        for address in &addresses {
            black_box(policy.decide(black_box(&input(*address))));
        }
    });
}

const LOOKUPS: u32 = 16_384;

fn csv() -> (Layout, Vec<u8>) {
    let mut text = "network,team,contact\n".to_owned();
    for network in networks() {
        let _ = writeln!(text, "{network}/24,core,somebody@example.com");
    }
    let format = Format::Csv { key: "network".to_owned(), columns: Vec::new() };
    (Layout { key: KeyType::Network, format }, text.into_bytes())
}

fn json() -> (Layout, Vec<u8>) {
    let mut rows = serde_json::Map::new();
    for network in networks() {
        rows.insert(format!("{network}/24"), serde_json::json!({ "team": "core", "contact": "somebody@example.com" }));
    }
    let bytes = serde_json::to_vec(&rows).expect("it can be written");
    (Layout { key: KeyType::Network, format: Format::Json { key: None } }, bytes)
}

fn names() -> (Layout, Vec<u8>) {
    let mut text = "host,team\napp.example.com,core\n".to_owned();
    for index in 0..NETWORKS {
        let _ = writeln!(text, "app-{index}.example.com,core");
    }
    let format = Format::Csv { key: "host".to_owned(), columns: Vec::new() };
    (Layout { key: KeyType::Text, format }, text.into_bytes())
}

fn database() -> (Layout, Vec<u8>) {
    // As many records as there are countries.
    let records: Vec<_> = (0..NETWORKS)
        .zip(networks())
        .map(|(index, network)| {
            let record = serde_json::json!({
                "continent": { "code": "EU", "geoname_id": 6_255_148, "names": { "de": "Europa", "en": "Europe" } },
                "country": {
                    "geoname_id": 2_921_044 + index % 250,
                    "iso_code": "DE",
                    "names": { "de": "Deutschland", "en": format!("Germany {}", index % 250) },
                },
            });
            (format!("{network}/24").parse().expect("a network"), record)
        })
        .collect();
    (Layout { key: KeyType::Network, format: Format::Mmdb }, mmdb("Test-Country", &records))
}

fn config(when: &str) -> Config {
    type Make = fn() -> (Layout, Vec<u8>);
    let tables: [(&str, Make); 4] = [("csv", csv), ("json", json), ("names", names), ("mmdb", database)];
    let tables: BTreeMap<_, _> = tables
        .into_iter()
        .filter(|(name, _)| when.contains(name))
        .map(|(name, make)| {
            let (layout, bytes) = make();
            let table = Table::new(layout.key);
            table.replace(Rows::read(&layout, bytes).expect("a table"));
            (name.to_owned(), Arc::new(table))
        })
        .collect();
    let rule = Rule { origin: RuleRef(0), name: "allow[0]".to_owned(), when: when.to_owned(), message: None };
    let route = RouteRules { route: "app".to_owned(), allow: vec![rule], ..RouteRules::default() };
    Config { tables, routes: vec![route], ..Config::default() }
}

#[derive(Debug)]
struct NoHeaders;

impl Headers for NoHeaders {
    fn get(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn for_each(&self, _: &mut dyn FnMut(&str, Cow<'_, str>)) {}
}

fn input(address: Ip) -> Input<'static> {
    Input {
        request: Request {
            ip: address,
            peer_ip: address,
            ip_source: "peer",
            method: "GET",
            scheme: "https",
            host: "app.example.com",
            path: "/",
            query: "",
            headers: &NoHeaders,
            time: Timestamp::UNIX_EPOCH,
            protocol: "h2",
            id: "r1",
            grpc: Grpc::default(),
            tls: Tls::default(),
        },
        user: None,
        session: None,
        route: RouteFacts { name: "app", host: "app.example.com" },
    }
}
