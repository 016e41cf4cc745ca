//! Tests of `table`: what is read, what is refused with its place, what is found, and what conditions make of it.

mod cost;

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::{Format, Key, KeyType, Layout, Row, Rows, Table, TableError};
use crate::Severity;
use crate::fixture::{Scene, decide, problems};
use crate::test_util::{mmdb, mmdb_of};
use crate::value::Value;

fn csv(key: KeyType, text: &str) -> Result<Rows, TableError> {
    Rows::read(&Layout { key, format: Format::Csv { key: "key".to_owned(), columns: Vec::new() } }, text.into())
}

fn json(key: KeyType, member: Option<&str>, text: &str) -> Result<Rows, TableError> {
    Rows::read(&Layout { key, format: Format::Json { key: member.map(str::to_owned) } }, text.into())
}

/// The field `value` of the row of a key, if there is a row.
fn value(rows: &Rows, key: &str) -> Option<String> {
    let row: Row<'_> = rows.find(Key::Text(key)).unwrap()?;
    let Value::Text(text) = row.at(&["value".into()]).unwrap() else { panic!("{key} leads to no text") };
    Some(text.into_owned())
}

#[track_caller]
fn refused(read: Result<Rows, TableError>, place: Option<(usize, usize)>, message: &str) {
    let error = read.unwrap_err();
    assert_eq!((error.place, &*error.message), (place, message));
}

#[test]
fn csv_is_read_as_rfc_4180_has_it() {
    let rows = csv(
        KeyType::Text,
        "\u{feff}key,value\r\na,\"x, \"\"y\"\"\r\nz\"\r\n\r\nb,\r\n\"c\",käse\nd, spaced \n\"\"\"\",\"\"",
    );
    let rows = rows.unwrap();
    assert_eq!(rows.count(), 5);
    assert_eq!(value(&rows, "a").unwrap(), "x, \"y\"\r\nz");
    assert_eq!(value(&rows, "b").unwrap(), "");
    assert_eq!(value(&rows, "c").unwrap(), "käse");
    assert_eq!(value(&rows, "d").unwrap(), " spaced ");
    assert_eq!(value(&rows, "\"").unwrap(), "");
    assert_eq!(value(&rows, "A"), None);
}

#[test]
fn csv_without_a_line_of_names_takes_them_from_the_layout() {
    let layout = |columns: &[&str]| Layout {
        key: KeyType::Network,
        format: Format::Csv {
            key: "net".to_owned(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        },
    };
    let rows = Rows::read(&layout(&["net", "value"]), b"10.0.0.0/8,a\n10.1.0.0/16,b\n".to_vec()).unwrap();
    assert_eq!((value(&rows, "10.2.0.1"), value(&rows, "10.1.0.1")), (Some("a".to_owned()), Some("b".to_owned())));
    let wide = Rows::read(&layout(&["net"]), b"10.0.0.0/8,a\n".to_vec());
    refused(wide, Some((1, 1)), "the line has 2 fields, and `columns` names 1");
}

#[test]
fn csv_that_is_wrong_is_refused_with_its_line() {
    let check = |text: &str, line, message: &str| refused(csv(KeyType::Text, text), Some((line, 1)), message);
    check("", 1, "the file is empty: its first line names the columns");
    check("kye,value\n", 1, "there is no column `key`: did you mean `kye`?");
    check("a,b\n", 1, "there is no column `key`: its columns are `a`, `b`");
    check("key,key\n", 1, "two columns are called `key`");
    check("key,value\na,1\n\nb\n", 4, "the line has 1 fields, and the first line has 2");
    check("key,value\n\"a\nb\",1\n,2\n", 4, "the key `key` is empty");
    check("key,value\na,1\nb,2\na,3\n", 4, "the key `a` is there twice (first on line 2): remove one");
    check("key,value\na,\"open\nb,2\n", 2, "a quote is opened here and never closed");
    check("key,value\na,b\"c\n", 2, "a quote within a field: put the whole field in quotes, and write the quote twice");
    check("key,value\n\"a\"b,c\n", 2, "text behind the closing quote of a field");
    let latin = Rows::read(
        &Layout { key: KeyType::Text, format: Format::Csv { key: "key".to_owned(), columns: Vec::new() } },
        b"key\na\nk\xe4se\n".to_vec(),
    );
    refused(latin, Some((3, 1)), "the line is not UTF-8: save the file as UTF-8");
}

#[test]
fn json_is_a_list_with_a_key_or_an_object_of_rows() {
    let list = json(KeyType::Text, Some("id"), r#"[{"id": "a", "value": "1"}, {"id": "b", "value": "2"}]"#).unwrap();
    assert_eq!((list.count(), value(&list, "b").as_deref()), (2, Some("2")));
    let object = json(KeyType::Network, None, r#"{"10.0.0.0/8": {"value": "1"}, "10.1.2.3": {"value": "2"}}"#).unwrap();
    let marked = json(KeyType::Text, None, "\u{feff}{\"a\": {\"value\": \"1\"}}").unwrap();
    assert_eq!(value(&marked, "a").as_deref(), Some("1"));
    assert_eq!(value(&object, "10.1.2.4").as_deref(), Some("1"));
    assert_eq!(value(&object, "::ffff:10.1.2.3").as_deref(), Some("2"));
}

#[test]
fn json_that_is_wrong_is_refused_with_its_place() {
    let check = |member, text: &str, place, message: &str| refused(json(KeyType::Text, member, text), place, message);
    check(None, "[]", Some((1, 1)), "the file holds a list: set `key` to the member that is the key");
    check(Some("id"), "{}", Some((1, 1)), "the file must hold a list of objects, because `key` is set");
    check(None, "7", Some((1, 1)), "the file must hold an object of objects");
    check(Some("id"), "[{}]", None, "row 1 has no `id`");
    check(Some("id"), r#"[{"id": 7}]"#, None, "row 1: `id` must be a text that is not empty");
    check(Some("id"), r#"[{"id": "a"}, 7]"#, None, "row 2 must be an object");
    check(None, r#"{"a": 7}"#, None, "row 1 (`a`) must be an object");
    check(
        Some("id"),
        r#"[{"id": "a"}, {"id": "b"}, {"id": "a"}]"#,
        None,
        "row 3: the key `a` is there twice (first on row 1): remove one",
    );
    check(None, "{\"a\": {},\n \"a\": {}}", Some((2, 4)), "`a` is there twice: remove one");
    check(None, r#"{"a": {"b": {"c": 1, "c": 2}}}"#, Some((1, 24)), "`c` is there twice: remove one");
    check(None, "{\"a\":\n {}", Some((2, 3)), "EOF while parsing an object");
    let deep = "[".repeat(100_000);
    check(None, &deep, Some((1, 128)), "recursion limit exceeded");
}

#[test]
fn a_key_that_is_no_network_is_refused() {
    let check = |key: &str, message: &str| {
        refused(csv(KeyType::Network, &format!("key\n10.0.0.0/8\n{key}\n")), Some((3, 1)), message);
    };
    check("office", "`office` is no network: write one such as `10.0.0.0/8`");
    check("10.0.0.0/33", "`10.0.0.0/33` is no network: write one such as `10.0.0.0/8`");
    check("10.1.0.0/8", "`10.1.0.0/8` is a network with bits behind its prefix");
    check("10.0.0.0/8", "the key `10.0.0.0/8` is there twice (first on line 2): remove one");
    // The same network in another writing.
    check("::ffff:10.0.0.0/104", "the key `::ffff:10.0.0.0/104` is there twice (first on line 2): remove one");
}

#[test]
fn the_longest_network_wins() {
    let text = "key,value\n::/0,any\n0.0.0.0/0,four\n10.0.0.0/8,ten\n10.0.0.0/9,low\n10.0.0.0/32,one\n10.255.255.255,last\n\
                2001:db8::/32,doc\n255.255.255.255,all\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,end\n";
    let rows = csv(KeyType::Network, text).unwrap();
    for (address, expected) in [
        ("9.255.255.255", "four"),
        ("10.0.0.0", "one"),
        ("10.0.0.1", "low"),
        ("10.127.255.255", "low"),
        ("10.128.0.0", "ten"),
        ("10.255.255.255", "last"),
        ("11.0.0.0", "four"),
        ("::ffff:10.0.0.1", "low"),
        ("255.255.255.255", "all"),
        ("::", "any"),
        ("2001:db8::1", "doc"),
        ("2001:db9::", "any"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "end"),
    ] {
        assert_eq!(value(&rows, address).as_deref(), Some(expected), "{address}");
    }
    let some = csv(KeyType::Network, "key,value\n10.0.0.0/8,ten\n").unwrap();
    assert_eq!(value(&some, "11.0.0.0"), None);
    assert_eq!(value(&some, "::"), None);
    assert_eq!(value(&csv(KeyType::Network, "key,value\n").unwrap(), "10.0.0.1"), None);
}

proptest! {
    /// Against looking at every network.
    #[test]
    fn laid_flat_networks_answer_as_a_search_through_all_does(
        networks in proptest::collection::btree_set((0_u32..64, 26_u8..=32), 1..40), asked in 0_u32..64,
    ) {
        let networks: std::collections::BTreeSet<ipnet::Ipv4Net> = networks
            .into_iter()
            .map(|(low, length)| ipnet::Ipv4Net::new((0x0a00_0000 + low).into(), length).unwrap().trunc())
            .collect();
        let text: String = networks.iter().map(|network| format!("{network},{network}\n")).collect();
        let rows = csv(KeyType::Network, &format!("key,value\n{text}")).unwrap();
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + asked);
        let expected = networks
            .iter()
            .filter(|network| network.contains(&address))
            .max_by_key(|network| network.prefix_len())
            .map(ToString::to_string);
        prop_assert_eq!(value(&rows, &address.to_string()), expected);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), damaged in any::<[(u16, u8); 4]>()) {
        for key in [KeyType::Text, KeyType::Network] {
            for format in [Format::Csv { key: "a".to_owned(), columns: vec!["a".to_owned()] }, Format::Json { key: None }, Format::Mmdb] {
                let _ = Rows::read(&Layout { key, format }, bytes.clone());
            }
        }
        let mut database = database();
        for (at, byte) in damaged {
            let at = usize::from(at) % database.len();
            database[at] = byte;
        }
        if let Ok(rows) = geo(database) {
            for address in ["10.0.0.1", "2001:db8::1"] {
                if let Ok(Some(row)) = rows.find(Key::Text(address)) {
                    let _ = row.at(&["country".into(), "iso_code".into()]);
                }
            }
        }
    }
}

fn database() -> Vec<u8> {
    let record = serde_json::json!({
        "country": { "iso_code": "DE", "is_in_european_union": true }, "location": { "latitude": -52.5, "radius": 5 },
        "long": "x".repeat(400), "offset": -7,
    });
    mmdb("Test-City", &[("10.0.0.0/8".parse().unwrap(), record.clone()), ("2001:db8::/32".parse().unwrap(), record)])
}

fn geo(bytes: Vec<u8>) -> Result<Rows, TableError> {
    Rows::read(&Layout { key: KeyType::Network, format: Format::Mmdb }, bytes)
}

/// What is found at an address, by us and by the format's reader that others use.
fn found(ours: &Rows, theirs: &maxminddb::Reader<&[u8]>, address: IpAddr) -> [Option<serde_json::Value>; 2] {
    let row = ours.find(Key::Address(address)).unwrap();
    [row.map(|row| row.at(&[]).unwrap().to_json()), theirs.lookup(address).unwrap().decode().unwrap()]
}

/// An address of IPv4, of IPv6, or of IPv6 with one of IPv4 in it, told apart by few bits.
fn address(family: u8, bits: u16) -> IpAddr {
    let v4 = u32::from(bits) << 23 | u32::from(bits);
    match family {
        0 => IpAddr::from(v4.to_be_bytes()),
        1 => IpAddr::from((u128::from(bits) << 118 | 1).to_be_bytes()),
        _ => IpAddr::from((0x2002 << 112 | u128::from(v4) << 80 | 1).to_be_bytes()),
    }
}

proptest! {
    #[test]
    fn a_database_is_read_as_others_read_it(
        networks in proptest::collection::vec((0_u8..2, 0_u16..512, 8_u8..=32), 1..40),
        bits in proptest::sample::select(vec![24_u16, 28, 32]),
        asked in proptest::collection::vec((0_u8..3, 0_u16..512), 1..40),
    ) {
        let record = |network: IpNet| {
            let record = serde_json::json!({ "network": network.to_string(), "long": "y".repeat(300), "list": [-7, 0.5] });
            (network, record)
        };
        let network = |(family, bits, length)| IpNet::new(address(family, bits), length).unwrap().trunc();
        let mut records: Vec<_> = networks.into_iter().map(network).map(record).collect();
        // What holds others comes before them.
        records.sort_by_key(|(network, _)| network.prefix_len() + if network.addr().is_ipv4() { 96 } else { 0 });
        let bytes = mmdb_of(bits, "Test", &records);
        let (ours, theirs) = (geo(bytes.clone()).unwrap(), maxminddb::Reader::from_source(bytes.as_slice()).unwrap());
        for (family, bits) in asked {
            let [ours, theirs] = found(&ours, &theirs, address(family, bits));
            prop_assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn a_database_that_is_cut_off_is_refused() {
    let whole = database();
    assert!(geo(whole.clone()).is_ok());
    for length in 0..whole.len() - 1 {
        let Err(error) = geo(whole[..length].to_vec()) else { continue };
        assert!(error.message.starts_with("not a MaxMind DB, or a damaged one ("), "{error}");
    }
    for length in [0, 10, whole.len() / 2] {
        assert!(geo(whole[..length].to_vec()).is_err(), "{length}");
    }
}

/// A database of one record, which is written in these bytes: 34 to 290 of them.
fn database_of(data: &[u8]) -> Vec<u8> {
    let whole =
        mmdb("Test", &[("10.0.0.0/8".parse().unwrap(), serde_json::json!({ "x": "y".repeat(data.len() - 5) }))]);
    let record = whole.windows(3).position(|window| window == [0xe1, 0x41, b'x']).unwrap();
    [&whole[..record], data, &whole[record + data.len()..]].concat()
}

#[test]
fn values_of_one_byte_and_numbers_of_128_bits_are_read() {
    let address = "10.0.0.1".parse().unwrap();
    let row = |rows: &Rows| rows.find(Key::Address(address)).unwrap().unwrap().at(&[]).unwrap().to_json();
    let empty = geo(mmdb("Test", &[("10.0.0.0/8".parse().unwrap(), serde_json::json!({}))])).unwrap();
    assert_eq!(row(&empty), serde_json::json!({}));
    // {"n": 2^128 - 1, "z": [0, 0, ..]}, where each zero is a number of no bytes.
    let data = [&[0xe2, 0x41, b'n', 0x10, 3][..], &[0xff; 16], &[0x41, b'z', 0x1d, 4, 11], &[0xa0; 40]].concat();
    let rows = geo(database_of(&data)).unwrap();
    assert_eq!(row(&rows), serde_json::json!({ "n": 2_f64.powi(128), "z": vec![0_u64; 40] }));
}

/// Maps of which each points to the next one twice: 244 bytes that hold a hundred million values.
#[test]
fn a_database_whose_record_unfolds_without_end_is_refused() {
    let mut data: Vec<u8> =
        (1_u8..28).flat_map(|level| [0xe2, 0x41, b'a', 0x20, level * 9, 0x41, b'b', 0x20, level * 9]).collect();
    data.push(0xe0);
    let bytes = database_of(&data);
    refused(geo(bytes), None, "not a MaxMind DB, or a damaged one (a record is too large): fetch it again");
}

#[test]
fn rows_take_the_place_of_others_only_with_all_columns() {
    let old = csv(KeyType::Text, "key,team\n").unwrap();
    assert_eq!(csv(KeyType::Text, "tier,team,key\n").unwrap().check_successor_of(&old), Ok(()));
    let error = csv(KeyType::Text, "key,tier\n").unwrap().check_successor_of(&old).unwrap_err();
    assert_eq!(error.message, "the column `team` is gone: put it back, or reload the configuration");
    let of = |kind: &str| geo(mmdb(kind, &[])).unwrap();
    assert!(of("City").check_successor_of(&of("City")).is_ok());
    assert!(
        of("ASN").check_successor_of(&of("City")).unwrap_err().message.contains("is of the type `ASN`, and was `City`")
    );
}

#[test]
fn a_table_without_rows_yet_is_no_empty_table() {
    assert!(Table::new(KeyType::Text).rows().is_none());
    let missing = decide(&Scene::default(), r#"lookup("pending", "a") == {}"#);
    assert_eq!(missing, Err("allow/allow[0]: the table `pending` has not been loaded yet".replace("allow/", "app/")));
}

#[track_caller]
fn holds(when: &str) {
    assert_eq!(decide(&Scene::default(), when), Ok(true), "{when}");
    assert!(problems(when).is_empty(), "{:?}", problems(when));
}

#[test]
fn conditions_look_things_up() {
    holds(r#"lookup("owners", route.host).team == "web""#);
    holds(r#"lookup("owners", "b.example.com")["team"] == "core, \"the\" team""#);
    holds(r#"lookup("owners", "b.example.com").tier == "" && has(lookup("owners", "b.example.com").tier)"#);
    holds(r#"lookup("owners", "nobody") == {} && !has(lookup("owners", "nobody").team)"#);
    holds(r#"size(lookup("owners", route.host)) == 3 && "team" in lookup("owners", route.host)"#);
    holds(r#"lookup("owners", route.host) == {"host": "app.example.com", "team": "web", "tier": "1"}"#);
    holds(r#"lookup("owners", route.host).exists(column, column == "tier")"#);
    holds(r#"int(lookup("owners", route.host).tier) < 2"#);
    // 10.8.0.4 asks.
    holds(r#"lookup("partners", request.ip).name == "vpn" && lookup("partners", request.ip).level >= 3"#);
    holds(r#"lookup("partners", ip("10.9.0.1")).tags.exists(tag, tag == "b")"#);
    holds(r#"lookup("partners", request.ip).contact.mail.endsWith("@example.com")"#);
    holds(r#"lookup("partners", "2001:db8::7").name == "six" && lookup("partners", "192.0.2.1") == {}"#);
    holds(r#"lookup("geoip", request.ip).country.iso_code == "DE""#);
    holds(r#"lookup("geoip", "10.9.1.1").country.iso_code in ["FR", "BE"]"#);
    holds(r#"lookup("geoip", request.ip).country.geoname_id == 7"#);
    holds(r#"lookup("geoip", request.ip).subdivisions[0].iso_code == "BE""#);
    holds(r#"lookup("geoip", "2001:db8::1").country == {"iso_code": "JP", "geoname_id": 7u}"#);
    holds(r#"lookup("geoip", "192.0.2.1") == {} && !has(lookup("geoip", "192.0.2.1").country)"#);
}

#[test]
fn what_is_not_there_fails() {
    let fails = |when: &str, message: &str| {
        assert_eq!(decide(&Scene::default(), when), Err(format!("app/allow[0]: {message}")), "{when}");
    };
    fails(r#"lookup("owners", "nobody").team == """#, "no such key: `team`");
    fails(r#"lookup("partners", "10.9.0.1").level > 1"#, "no such key: `level`");
    fails(r#"lookup("partners", "10.9.0.1").contact.mail == "x""#, "no such key: `contact`");
    fails(r#"has(lookup("partners", "10.9.0.1").contact.mail)"#, "no such key: `contact`");
    fails(r#"lookup("geoip", "192.0.2.1").country.iso_code == "DE""#, "no such key: `country`");
    fails(r#"lookup("geoip", request.ip).country.name == "x""#, "no such key: `name`");
    fails(
        r#"lookup("geoip", request.ip).country.iso_code.x == "x""#,
        "a value has a type that `field selection` does not take",
    );
    fails(r#"lookup("geoip", user.email).country.iso_code == "DE""#, "not an IP address");
    fails(r#"lookup("owners", user.claims.level).team == "x""#, "a value has a type that `lookup` does not take");
}

#[track_caller]
fn told(when: &str, severity: Severity, marked: &str, message: &str, help: &str) {
    let found = problems(when);
    let [problem] = found.as_slice() else { panic!("{found:?}") };
    let text: String = when.chars().skip(problem.at.start).take(problem.at.len()).collect();
    assert_eq!((&*text, &*problem.message, problem.severity), (marked, message, severity));
    assert_eq!(problem.help.as_deref().unwrap_or_default(), help);
}

#[test]
fn mistakes_in_lookups_are_found_at_load() {
    let error = Severity::Error;
    told(r#"lookup("goeip", request.ip) == {}"#, error, r#""goeip""#, "unknown table `goeip`", "did you mean `geoip`?");
    told(
        r#"lookup("nothing", request.ip) == {}"#,
        error,
        r#""nothing""#,
        "unknown table `nothing`",
        "name it under `data:`",
    );
    told(
        "lookup(user.name, request.ip) == {}",
        error,
        "user.name",
        "a table is written as text in quotes, so that it is known at load",
        "",
    );
    told(
        r#"lookup("owners", route.host).taem == "x""#,
        error,
        "taem",
        "the table `owners` has no column `taem`",
        "did you mean `team`?",
    );
    told(r#"lookup("owners", route.host).team.x == "x""#, error, "x", "`string` has no fields, and so no `x`", "");
    told(
        r#"lookup("owners", route.host).tier > 1"#,
        error,
        r#"lookup("owners", route.host).tier > 1"#,
        "`>` cannot compare `string` with `int`",
        "",
    );
    told(
        r#"lookup("owners", ip(request.ip)) == {}"#,
        error,
        "ip(request.ip)",
        "`owners` is looked up by text; this is `ip`",
        "write the address as text, or set its `key_type: network`",
    );
    told(
        r#"lookup("geoip", "office") == {}"#,
        error,
        r#""office""#,
        "`geoip` is looked up by address, and `office` is none",
        "write an address such as `203.0.113.7`, or `request.ip`",
    );
    told(
        r#"lookup("geoip", 7) == {}"#,
        error,
        "lookup",
        "`lookup` cannot be called on `string`, `int`",
        "it is called as `lookup(string, string) -> map<string, dyn>` or `lookup(string, ip) -> map<string, dyn>`",
    );
    let all = ["owners", "partners", "geoip", "pending", "owners", "later"]
        .map(|name| format!(r#"lookup("{name}", request.ip) == {{}}"#));
    assert!(problems(&all[..5].join(" && ")).is_empty());
    told(&all.join(" && "), error, r#""later""#, "a rule reads at most 4 tables", "split it into several rules");
}

#[test]
fn a_field_that_no_row_has_is_warned_about() {
    let warning = Severity::Warning;
    told(
        r#"lookup("partners", request.ip).nmae == "x""#,
        warning,
        "nmae",
        "no row that was seen in the table `partners` has `nmae` here",
        "did you mean `name`?",
    );
    told(
        r#"lookup("geoip", request.ip).country.code == "x""#,
        warning,
        "code",
        "no row that was seen in the table `geoip` has `code` here",
        "there are `geoname_id`, `iso_code`",
    );
    told(
        r#""contry" in lookup("geoip", request.ip)"#,
        warning,
        r#""contry""#,
        "no row that was seen in the table `geoip` has `contry` here",
        "did you mean `country`?",
    );
    assert!(problems(r#"lookup("pending", "a").whatever == 7"#).is_empty());
}
