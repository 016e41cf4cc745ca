//! Each kind of mistake, with its exact message, place, line and caret.

use super::{Folder, GOOD, check};

#[test]
fn an_unknown_key_names_the_close_one() {
    check(
        r#"listeners: [{ adress: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:1:13: the key `address` is missing: add it (`ip:port`)
  1 | listeners: [{ adress: 127.0.0.1:0 }]
    |             ^
portcullis.yaml:1:15: unknown key `adress`: did you mean `address`?
  1 | listeners: [{ adress: 127.0.0.1:0 }]
    |               ^^^^^^
"#,
    );
}

#[test]
fn an_unknown_key_lists_the_known_ones() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
admin: { port: 9901 }
"#,
        r#"portcullis.yaml:3:10: unknown key `port`: known are `address`, `tls`, `token`
  3 | admin: { port: 9901 }
    |          ^^^^
"#,
    );
}

#[test]
fn a_key_of_a_later_version_is_unknown() {
    check(
        r#"listeners:
  - address: 127.0.0.1:0
    alt_svc: h3
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:3:5: unknown key `alt_svc`: known are `name`, `address`, `protocol`, `tls`, `http_redirect`, `proxy_protocol`, `trusted_proxies`, `forwarded_header`, `http2`, `limits`
  3 |     alt_svc: h3
    |     ^^^^^^^
"#,
    );
}

#[test]
fn a_duplicate_key_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout: 5s
drain_timeout: 6s
"#,
        r#"portcullis.yaml:4:1: the key `drain_timeout` is given twice: remove one
  4 | drain_timeout: 6s
    | ^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_merge_key_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
admin: { <<: { address: "127.0.0.1:0" } }
"#,
        r#"portcullis.yaml:3:10: merge keys (`<<`) are not supported: write the keys out, or use `defaults` for routes
  3 | admin: { <<: { address: "127.0.0.1:0" } }
    |          ^^
"#,
    );
}

#[test]
fn a_tag_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout: !duration 5s
"#,
        r#"portcullis.yaml:3:16: `!` begins a YAML tag here, and tags have no meaning: put the whole rule or text into single quotes, such as '!user.authenticated'
  3 | drain_timeout: !duration 5s
    |                ^
"#,
    );
}

#[test]
fn a_rule_that_begins_with_an_unquoted_not_is_told_to_be_quoted() {
    for rule in [
        "!user.authenticated",
        "!user.authenticated && request.method == 'GET'",
        "!request.ip.inNetwork(\"office\")",
        "!(\"sre\" in user.groups)",
        "!has(user.claims.level)",
        "!user.claims[\"level\"]",
        "! user.authenticated",
        "!!user.authenticated",
        "!user.email.matches(\"%x\")",
        "!{}.x",
    ] {
        for (start, end) in [("    when: ", ""), ("    { name: a, when: ", " }"), ("    - ", "")] {
            let column = start.len() + 1;
            let problems = Folder::new(&format!("guard:\n  deny:\n{start}{rule}{end}\n")).problems();
            let expected = format!(
                "portcullis.yaml:3:{column}: `!` begins a YAML tag here, and tags have no meaning: put the whole rule or \
                 text into single quotes, such as '!user.authenticated'"
            );
            assert_eq!(problems.lines().next(), Some(&*expected), "{start}{rule}\n{problems}");
            assert_eq!(problems.lines().filter(|line| line.contains(".yaml:")).count(), 1, "{problems}");
        }
    }
}

#[test]
fn an_unknown_alias_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout: *long
"#,
        r#"portcullis.yaml:3:16: this alias names no anchor above it: define the anchor first, or put quotes around a text that starts with `*`
  3 | drain_timeout: *long
    |                ^^^^^
"#,
    );
}

#[test]
fn a_syntax_error_has_its_place() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test
"#,
        r#"portcullis.yaml:2:10: not valid YAML: unclosed bracket '{': close each `[` with `]` and each `{` with `}`, and put a text that has one, such as `${env:NAME}`, into quotes
  2 | routes: [{ from: http://a.test
    |          ^
"#,
    );
}

#[test]
fn a_second_document_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
---
admin: {}
"#,
        r#"portcullis.yaml:3:1: a second YAML document starts here: put everything into one
  3 | ---
    | ^^^
"#,
    );
}

#[test]
fn an_empty_file_says_what_to_write() {
    check(
        r#"# nothing
"#,
        r#"portcullis.yaml:1:1: the file is empty: write at least `listeners` and `routes`; `config/` has examples
  1 | # nothing
    | ^
"#,
    );
}

#[test]
fn a_list_is_no_configuration() {
    check(
        r#"- listeners
"#,
        r#"portcullis.yaml:1:1: the file must be a mapping of keys to values, not a list
  1 | - listeners
    | ^
"#,
    );
}

#[test]
fn every_required_key_is_asked_for() {
    check(
        r#"admin: {}
"#,
        r#"portcullis.yaml:1:1: the key `listeners` is missing: add it (the sockets that accept connections)
  1 | admin: {}
    | ^
portcullis.yaml:1:1: the key `routes` is missing: add it (which external URL leads where, and for whom)
  1 | admin: {}
    | ^
"#,
    );
}

#[test]
fn empty_lists_are_refused() {
    check(
        r#"listeners: []
routes: []
"#,
        r#"portcullis.yaml:1:12: `listeners` is empty: add at least one with an `address`
  1 | listeners: []
    |            ^
portcullis.yaml:2:9: `routes` is empty: add at least one with `from` and `to`
  2 | routes: []
    |         ^
"#,
    );
}

#[test]
fn a_wrong_type_says_what_is_right() {
    check(
        r#"listeners: { address: "127.0.0.1:0" }
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout: [5s]
audit: { stdout: "yes" }
"#,
        r#"portcullis.yaml:1:12: `listeners` must be a list, not a mapping
  1 | listeners: { address: "127.0.0.1:0" }
    |            ^
portcullis.yaml:3:16: `drain_timeout` must be a text, not a list
  3 | drain_timeout: [5s]
    |                ^
portcullis.yaml:4:18: `stdout` must be `true` or `false`, not a text
  4 | audit: { stdout: "yes" }
    |                  ^^^^^
"#,
    );
}

#[test]
fn yes_is_no_boolean() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
audit: { stdout: yes }
"#,
        r#"portcullis.yaml:3:18: `stdout` must be `true` or `false`, not a text
  3 | audit: { stdout: yes }
    |                  ^^^
"#,
    );
}

#[test]
fn a_boolean_is_no_text() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
branding: { name: true }
"#,
        r#"portcullis.yaml:3:19: `name` must be a text, not a boolean
  3 | branding: { name: true }
    |                   ^^^^
"#,
    );
}

#[test]
fn a_key_without_a_value_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout:
"#,
        r#"portcullis.yaml:3:1: `drain_timeout` has no value: write a text, or remove the key
  3 | drain_timeout:
    | ^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_bad_duration_says_how_to_write_it() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout: 30
"#,
        r#"portcullis.yaml:3:16: `drain_timeout`: `30` is no duration: write a number and a unit, such as `250ms`, `30s`, `5m`, `14h` or `7d`
  3 | drain_timeout: 30
    |                ^^
"#,
    );
}

#[test]
fn a_bad_size_says_how_to_write_it() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
audit: { segment_size: 64MB }
"#,
        r#"portcullis.yaml:3:24: `segment_size`: `64MB` is no size: write a number of bytes, or one with a unit, such as `64KiB`, `16MiB` or `1GiB`
  3 | audit: { segment_size: 64MB }
    |                        ^^^^
"#,
    );
}

#[test]
fn a_size_out_of_bounds_is_refused() {
    check(
        r#"listeners:
  - address: 127.0.0.1:0
    limits: { max_header_bytes: 1KiB }
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:3:33: `max_header_bytes` must be from 8192 to 1048576 bytes, not `1KiB`
  3 |     limits: { max_header_bytes: 1KiB }
    |                                 ^^^^
"#,
    );
}

#[test]
fn a_count_out_of_bounds_is_refused() {
    check(
        r#"listeners:
  - address: 127.0.0.1:0
    http2: { max_concurrent_streams: 0 }
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:3:38: `max_concurrent_streams` must be a whole number from 1 to 10000, not `0`
  3 |     http2: { max_concurrent_streams: 0 }
    |                                      ^
"#,
    );
}

#[test]
fn a_bad_address_says_how_to_write_it() {
    check(
        r#"listeners: [{ address: localhost:80 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:1:24: `address`: `localhost:80` is no address: write `ip:port`, such as `0.0.0.0:443` or `[::]:443`
  1 | listeners: [{ address: localhost:80 }]
    |                        ^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_bad_network_says_how_to_write_it() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
networks: { office: [10.0.0.0/33, 10.0.0.1/8, office] }
"#,
        r#"portcullis.yaml:3:22: `networks.office[0]`: `10.0.0.0/33` is no network: write an address and a prefix length, such as `10.0.0.0/8` or `2001:db8::/32`
  3 | networks: { office: [10.0.0.0/33, 10.0.0.1/8, office] }
    |                      ^^^^^^^^^^^
portcullis.yaml:3:35: `networks.office[1]`: `10.0.0.1/8` is a network whose address has bits behind its prefix: write the first address of the network
  3 | networks: { office: [10.0.0.0/33, 10.0.0.1/8, office] }
    |                                   ^^^^^^^^^^
portcullis.yaml:3:47: `networks.office[2]`: `office` is no network: write an address and a prefix length, such as `10.0.0.0/8` or `2001:db8::/32`
  3 | networks: { office: [10.0.0.0/33, 10.0.0.1/8, office] }
    |                                               ^^^^^^
"#,
    );
}

#[test]
fn a_network_of_all_addresses_is_no_proxy() {
    check(
        r#"listeners:
  - address: 127.0.0.1:0
    trusted_proxies: [0.0.0.0/0, "::/0"]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:3:23: a network of all addresses lets every client choose its own address: write the networks of your load balancers
  3 |     trusted_proxies: [0.0.0.0/0, "::/0"]
    |                       ^^^^^^^^^
portcullis.yaml:3:34: a network of all addresses lets every client choose its own address: write the networks of your load balancers
  3 |     trusted_proxies: [0.0.0.0/0, "::/0"]
    |                                  ^^^^^^
"#,
    );
}

#[test]
fn an_https_listener_needs_a_certificate() {
    check(
        r#"listeners:
  - address: 127.0.0.1:0
    protocol: https
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:3:15: an `https` listener needs `tls`: add `tls.certificates`, or write `http`
  3 |     protocol: https
    |               ^^^^^
"#,
    );
}

#[test]
fn an_unknown_word_lists_the_known_ones() {
    check(
        r#"listeners:
  - address: 127.0.0.1:0
    protocol: quic
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:3:15: `protocol` cannot be `quic`: write one of `http`, `https`, `tls`
  3 |     protocol: quic
    |               ^^^^
"#,
    );
}

#[test]
fn two_listeners_need_two_names() {
    check(
        r#"listeners: [{ name: a, address: "127.0.0.1:0" }, { name: a, address: "127.0.0.1:0" }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:1:58: two listeners are called `a`: give one another `name`
  1 | listeners: [{ name: a, address: "127.0.0.1:0" }, { name: a, address: "127.0.0.1:0" }]
    |                                                          ^
"#,
    );
}

#[test]
fn two_listeners_need_two_addresses() {
    check(
        r#"listeners: [{ name: a, address: "127.0.0.1:8443" }, { name: b, address: "127.0.0.1:8443" }]
admin: { address: "127.0.0.1:8444" }
routes: [{ from: http://a.test:8443, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:1:73: another listener, or `admin`, has the address `127.0.0.1:8443`: give one another port
  1 | listeners: [{ name: a, address: "127.0.0.1:8443" }, { name: b, address: "127.0.0.1:8443" }]
    |                                                                         ^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_listener_and_admin_need_two_addresses() {
    check(
        r#"listeners: [{ address: "127.0.0.1:9901" }]
routes: [{ from: http://a.test:9901, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:1:24: another listener, or `admin`, has the address `127.0.0.1:9901`: give one another port
  1 | listeners: [{ address: "127.0.0.1:9901" }]
    |                        ^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let pair = || rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let (one, other) = (pair(), pair());
    let problems = Folder::new(
        r#"listeners:
  - address: 127.0.0.1:0
    tls: { certificates: [{ cert_file: a.pem, key_file: a.key }] }
routes:
  - from: https://a.test
    to: https://10.0.0.1
    authenticate: none
    allow: "true"
    upstream_tls: { client_cert_file: a.pem, client_key_file: a.key }
"#,
    )
    .with("a.pem", one.cert.pem())
    .with("a.key", other.signing_key.serialize_pem())
    .problems();
    let expected = r#"portcullis.yaml:3:57: this key does not belong to the certificate: write the files of one pair
  3 |     tls: { certificates: [{ cert_file: a.pem, key_file: a.key }] }
    |                                                         ^^^^^
portcullis.yaml:9:63: this key does not belong to the certificate: write the files of one pair
  9 |     upstream_tls: { client_cert_file: a.pem, client_key_file: a.key }
    |                                                               ^^^^^
"#;
    assert_eq!(problems.trim_end(), expected.trim_end());
}

#[test]
fn a_rule_that_is_quoted_in_part_is_told_how_to_quote_it() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - allow: "staff" in user.groups
"#,
        r#"portcullis.yaml:3:20: not valid YAML: invalid trailing content after double-quoted scalar: put the whole text into single quotes, such as '"staff" in user.groups'
  3 |   - allow: "staff" in user.groups
    |                    ^
"#,
    );
    check(
        r#"routes:
  - deny: 'staff' in user.groups
"#,
        r#"portcullis.yaml:2:19: not valid YAML: invalid trailing content after single-quoted scalar: put the whole text into double quotes
  2 |   - deny: 'staff' in user.groups
    |                   ^
"#,
    );
}

#[test]
fn a_tab_is_told_to_be_spaces() {
    for config in ["listeners:\n  - address: 127.0.0.1:0\n\ttls: {}\n", "admin:\n\taddress: 127.0.0.1:0\n"] {
        let problems = Folder::new(config).problems();
        assert!(problems.contains(": indent with spaces"), "{problems}");
    }
}

#[test]
fn a_logo_that_is_not_there_is_reported_once() {
    let problems = Folder::new(&format!("{GOOD}branding: {{ logo_file: logo.svg }}\n")).problems();
    assert_eq!(problems.matches("`logo_file`").count(), 1, "{problems}");
}

#[test]
fn a_file_without_a_certificate_is_refused() {
    check(
        r#"listeners:
  - address: 127.0.0.1:0
    tls: { certificates: [{ cert_file: portcullis.yaml, key_file: portcullis.yaml }] }
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:3:40: `cert_file`: `portcullis.yaml` is a file without a certificate: write a PEM file
  3 |     tls: { certificates: [{ cert_file: portcullis.yaml, key_file: portcullis.yaml }] }
    |                                        ^^^^^^^^^^^^^^^
portcullis.yaml:3:67: `key_file`: `portcullis.yaml` is a file without a private key: write a PEM file with a key that is not encrypted
  3 |     tls: { certificates: [{ cert_file: portcullis.yaml, key_file: portcullis.yaml }] }
    |                                                                   ^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_missing_file_is_named() {
    check(
        r#"listeners:
  - address: 127.0.0.1:0
    tls: { certificates: [{ cert_file: app.pem, key_file: app.key }] }
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
"#,
        r#"portcullis.yaml:3:40: `cert_file`: cannot read `app.pem`: there is no such file; correct the path or make the file
  3 |     tls: { certificates: [{ cert_file: app.pem, key_file: app.key }] }
    |                                        ^^^^^^^
portcullis.yaml:3:59: `key_file`: cannot read `app.key`: there is no such file; correct the path or make the file
  3 |     tls: { certificates: [{ cert_file: app.pem, key_file: app.key }] }
    |                                                           ^^^^^^^
"#,
    );
}

#[test]
fn a_from_with_a_path_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: https://a.test/app
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    name: a
"#,
        r#"portcullis.yaml:3:11: `from`: `https://a.test/app` is no external URL: write `https://host` or `https://host:port`; paths go into `path`, `prefix` or `regex`
  3 |   - from: https://a.test/app
    |           ^^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_wildcard_stands_for_a_whole_label() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: https://a*.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    name: a
"#,
        r#"portcullis.yaml:3:11: `from`: `https://a*.test` is a `*` that does not stand for one whole label: write `https://*.example.com`
  3 |   - from: https://a*.test
    |           ^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn an_upstream_with_a_path_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1/app?x=1
    authenticate: none
    allow: "true"
    name: a
"#,
        r#"portcullis.yaml:4:9: `to`: `http://10.0.0.1/app?x=1` is an upstream URL with a path or query: write scheme, host and port only; paths pass unchanged
  4 |     to: http://10.0.0.1/app?x=1
    |         ^^^^^^^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn an_upstream_with_credentials_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://bob@10.0.0.1
    authenticate: none
    allow: "true"
    name: a
"#,
        r#"portcullis.yaml:4:9: `to`: `http://***@10.0.0.1` is an upstream URL with credentials: remove the part before `@`
"#,
    );
}

#[test]
fn an_unknown_upstream_scheme_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: ftp://10.0.0.1
    authenticate: none
    allow: "true"
    name: a
"#,
        r#"portcullis.yaml:4:9: `to`: `ftp://10.0.0.1` is no upstream URL: write `http://host:port`, `https://host:port`, `h2c://host:port` or `unix:///path/to.sock`
  4 |     to: ftp://10.0.0.1
    |         ^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_relative_unix_socket_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: unix://run/app.sock
    authenticate: none
    allow: "true"
    name: a
"#,
        r#"portcullis.yaml:4:9: `to`: `unix://run/app.sock` is a Unix socket with a relative path: write `unix:///path/to.sock`, with three slashes
  4 |     to: unix://run/app.sock
    |         ^^^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_unix_socket_has_neither_tls_nor_http2() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: [unix:///run/a.sock, http://10.0.0.1]
    authenticate: none
    allow: "true"
    upstream_tls: { server_name: a.test }
    upstream_protocol: auto
"#,
        r#"portcullis.yaml:4:30: the endpoints of a route must have one scheme, and the first has `unix`: split the route, or change `http://10.0.0.1`
  4 |     to: [unix:///run/a.sock, http://10.0.0.1]
    |                              ^^^^^^^^^^^^^^^
portcullis.yaml:7:19: `upstream_tls` needs `https://` endpoints in `to`: change `to`, or remove it
  7 |     upstream_tls: { server_name: a.test }
    |                   ^
portcullis.yaml:8:24: `upstream_protocol` `auto` does not fit `to`, which has the scheme `unix`: `http` goes with `http1`, `h2c` and `auto`, `https` with `http1`, `http2`, `http3` and `auto`, `h2c` with `h2c`, `unix` with `http1`
  8 |     upstream_protocol: auto
    |                        ^^^^
"#,
    );
}

#[test]
fn endpoints_have_one_scheme() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: [http://10.0.0.1, h2c://10.0.0.2, https://10.0.0.3]
    authenticate: none
    allow: "true"
    name: a
"#,
        r#"portcullis.yaml:4:27: the endpoints of a route must have one scheme, and the first has `http`: split the route, or change `h2c://10.0.0.2`
  4 |     to: [http://10.0.0.1, h2c://10.0.0.2, https://10.0.0.3]
    |                           ^^^^^^^^^^^^^^
portcullis.yaml:4:43: the endpoints of a route must have one scheme, and the first has `http`: split the route, or change `https://10.0.0.3`
  4 |     to: [http://10.0.0.1, h2c://10.0.0.2, https://10.0.0.3]
    |                                           ^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_protocol_must_fit_the_scheme() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    upstream_protocol: http2
"#,
        r#"portcullis.yaml:7:24: `upstream_protocol` `http2` does not fit `to`, which has the scheme `http`: `http` goes with `http1`, `h2c` and `auto`, `https` with `http1`, `http2`, `http3` and `auto`, `h2c` with `h2c`, `unix` with `http1`
  7 |     upstream_protocol: http2
    |                        ^^^^^
"#,
    );
}

#[test]
fn path_and_prefix_exclude_each_other() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    path: /a
    prefix: /b
"#,
        r#"portcullis.yaml:8:13: `path` and `prefix` exclude each other: keep one, or make two routes
  8 |     prefix: /b
    |             ^^
"#,
    );
}

#[test]
fn host_rewrite_and_preserve_host_exclude_each_other() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    host_rewrite: b.test
    preserve_host: true
"#,
        r#"portcullis.yaml:8:20: `preserve_host` and `host_rewrite` exclude each other: keep one
  8 |     preserve_host: true
    |                    ^^^^
"#,
    );
}

#[test]
fn our_own_paths_are_reserved() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    prefix: /.portcullis/user
"#,
        r#"portcullis.yaml:7:13: `prefix`: `/.portcullis/user` is reserved for Portcullis itself: choose another path
  7 |     prefix: /.portcullis/user
    |             ^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_path_that_no_request_has_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    path: /a/../b
"#,
        r#"portcullis.yaml:7:11: `path`: `/a/../b` is a path that no request can have: requests are normalised, so remove `.`, `..` and `//`
  7 |     path: /a/../b
    |           ^^^^^^^
"#,
    );
}

#[test]
fn a_bad_regex_says_why() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    regex: '/a(b'
"#,
        r#"portcullis.yaml:7:12: `regex`: `/a(b` is no regular expression (unclosed group): correct it
  7 |     regex: '/a(b'
    |            ^^^^^^
"#,
    );
}

#[test]
fn a_bad_method_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    methods: [get, CONNECT]
"#,
        r#"portcullis.yaml:7:15: `methods[0]`: `get` is no method: write it in capitals, such as `GET`
  7 |     methods: [get, CONNECT]
    |               ^^^
portcullis.yaml:7:20: `methods[1]`: `CONNECT` is a method that is never forwarded: remove it
  7 |     methods: [get, CONNECT]
    |                    ^^^^^^^
"#,
    );
}

#[test]
fn upstream_tls_needs_https() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    upstream_tls: { server_name: a.test }
"#,
        r#"portcullis.yaml:7:19: `upstream_tls` needs `https://` endpoints in `to`: change `to`, or remove it
  7 |     upstream_tls: { server_name: a.test }
    |                   ^
"#,
    );
}

#[test]
fn a_client_certificate_needs_its_key() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: https://10.0.0.1
    authenticate: none
    allow: "true"
    upstream_tls: { client_cert_file: portcullis.yaml }
"#,
        r#"portcullis.yaml:7:39: `client_cert_file`: `portcullis.yaml` is a file without a certificate: write a PEM file
  7 |     upstream_tls: { client_cert_file: portcullis.yaml }
    |                                       ^^^^^^^^^^^^^^^
portcullis.yaml:7:39: `client_cert_file` and `client_key_file` belong together: add the other one
  7 |     upstream_tls: { client_cert_file: portcullis.yaml }
    |                                       ^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn skipping_verification_is_warned_about() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: https://10.0.0.1
    authenticate: none
    allow: "true"
    upstream_tls: { insecure_skip_verify: true }
"#,
        r#"portcullis.yaml:7:43: warning: `insecure_skip_verify` believes any certificate, so that anybody on the way can be the upstream: use `ca_file` and `server_name`
  7 |     upstream_tls: { insecure_skip_verify: true }
    |                                           ^^^^
"#,
    );
}

#[test]
fn an_unknown_claim_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    identity: { headers: { X-Mail: mail, Host: email, "X Y": name } }
"#,
        r#"portcullis.yaml:7:36: `mail` is no claim: did you mean `email`?
  7 |     identity: { headers: { X-Mail: mail, Host: email, "X Y": name } }
    |                                    ^^^^
portcullis.yaml:7:48: `identity.headers` cannot set `host`, which the protocol needs: choose another
  7 |     identity: { headers: { X-Mail: mail, Host: email, "X Y": name } }
    |                                                ^^^^^
portcullis.yaml:7:62: `X Y` is no header name: write letters, digits and hyphens
  7 |     identity: { headers: { X-Mail: mail, Host: email, "X Y": name } }
    |                                                              ^^^^
"#,
    );
}

#[test]
fn an_unknown_policy_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    policy: engineers
"#,
        r#"portcullis.yaml:7:13: no policy is called `engineers`: there is none: write it into a file, and name the file in `policy_files`
  7 |     policy: engineers
    |             ^^^^^^^^^
"#,
    );
}

#[test]
fn an_unknown_provider_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true", provider: crop }]
authenticate:
  url: https://auth.test
  providers:
    - id: corp
      issuer: https://idp.test
      client_id: a
"#,
        r#"portcullis.yaml:2:99: no provider has the id `crop`: did you mean `corp`?
  2 | routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true", provider: crop }]
    |                                                                                                   ^^^^
"#,
    );
}

#[test]
fn sign_in_needs_its_section() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: https://a.test
    to: http://10.0.0.1
    allow: "true"
    name: a
"#,
        r#"portcullis.yaml:3:11: this route asks for sign-in, but there is no `authenticate` section: add one, or write `authenticate: none` at the route
  3 |   - from: https://a.test
    |           ^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn sign_in_over_http_is_warned_about() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, allow: "true" }]
authenticate: { url: https://auth.test, providers: [{ id: corp, issuer: https://idp.test, client_id: a }] }
"#,
        r#"portcullis.yaml:2:18: warning: sign-in on a plain http route: anybody on the way can take the session over; write `https://`, or `authenticate: none`
  2 | routes: [{ from: http://a.test, to: http://10.0.0.1, allow: "true" }]
    |                  ^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_route_that_denies_everybody_is_warned_about() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none }]
"#,
        r#"portcullis.yaml:2:10: warning: this route denies everybody: add `allow` or `policy`
  2 | routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none }]
    |          ^
"#,
    );
}

#[test]
fn a_private_address_alone_is_warned_about() {
    check(
        r#"listeners: [{ address: 0.0.0.0:0 }]
networks: { office: [10.0.0.0/8] }
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: 'request.ip.inNetwork("office")' }]
"#,
        r#"portcullis.yaml:3:81: warning: this rule allows by a private address alone, and a listener has no `trusted_proxies`: behind a load balancer everybody comes from its address; set `trusted_proxies` (`[]` if clients connect directly)
  3 | routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: 'request.ip.inNetwork("office")' }]
    |                                                                                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn two_routes_need_two_names() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    name: a
  - { from: http://b.test, name: a, to: http://10.0.0.1, authenticate: none, allow: "true" }
"#,
        r#"portcullis.yaml:8:34: two routes are called `a`: give one another `name`
  8 |   - { from: http://b.test, name: a, to: http://10.0.0.1, authenticate: none, allow: "true" }
    |                                  ^
"#,
    );
}

#[test]
fn a_host_with_two_ports_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - { from: "http://a.test", to: http://10.0.0.1, authenticate: none, allow: "true" }
  - { from: "http://a.test:81", prefix: /b, to: http://10.0.0.1, authenticate: none, allow: "true" }
"#,
        r#"portcullis.yaml:4:13: this host has port 81 here and port 80 in another route or `authenticate.url`: write the same everywhere
  4 |   - { from: "http://a.test:81", prefix: /b, to: http://10.0.0.1, authenticate: none, allow: "true" }
    |             ^^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_route_that_never_matches_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    name: a
  - { from: http://A.test, name: b, to: http://10.0.0.1, authenticate: none, allow: "true" }
"#,
        r#"portcullis.yaml:8:13: this route never matches: one above has the same host, path and methods; remove one
  8 |   - { from: http://A.test, name: b, to: http://10.0.0.1, authenticate: none, allow: "true" }
    |             ^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn two_providers_need_two_ids() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
authenticate:
  url: https://auth.test
  providers:
    - id: corp
      issuer: https://idp.test
      client_id: a
    - { id: corp, issuer: https://idp.test, client_id: a }
"#,
        r#"portcullis.yaml:9:13: two providers have the id `corp`: give one another
  9 |     - { id: corp, issuer: https://idp.test, client_id: a }
    |             ^^^^
"#,
    );
}

#[test]
fn an_issuer_without_tls_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
authenticate:
  url: https://auth.test
  providers:
    - id: corp
      issuer: http://idp.test
      client_id: a
"#,
        r#"portcullis.yaml:7:15: `issuer`: `http://idp.test` is an issuer that is not reached over TLS: write its `https://` URL
  7 |       issuer: http://idp.test
    |               ^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn scopes_need_openid() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
authenticate:
  url: https://auth.test
  providers:
    - id: corp
      issuer: https://idp.test
      client_id: a
      scopes: [email]
"#,
        r#"portcullis.yaml:9:15: `scopes` lacks `openid`, without which no provider signs anybody in: add it
  9 |       scopes: [email]
    |               ^
"#,
    );
}

#[test]
fn sign_in_keeps_its_own_parameters() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
authenticate:
  url: https://auth.test
  providers:
    - id: corp
      issuer: https://idp.test
      client_id: a
      extra_params: { state: x }
"#,
        r#"portcullis.yaml:9:30: `extra_params` cannot set `state`, which sign-in itself sets: remove it
  9 |       extra_params: { state: x }
    |                              ^
"#,
    );
}

#[test]
fn a_bad_store_says_how_to_write_it() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
authenticate:
  url: https://auth.test
  session: { store: redis }
  providers:
    - id: corp
      issuer: https://idp.test
      client_id: a
"#,
        r#"portcullis.yaml:5:21: `store`: `redis` is no session store: write `memory` or `file:PATH`
  5 |   session: { store: redis }
    |                     ^^^^^
"#,
    );
}

#[test]
fn a_missing_variable_is_named() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout: ${env:NOPE}
"#,
        r#"portcullis.yaml:3:16: the environment variable `NOPE` is not set: set it, or correct the name
  3 | drain_timeout: ${env:NOPE}
    |                ^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_missing_value_file_is_named() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout: ${file:nope}
"#,
        r#"portcullis.yaml:3:16: cannot read `nope`: there is no such file; correct the path, or make the file readable
  3 | drain_timeout: ${file:nope}
    |                ^^^^^^^^^^^^
"#,
    );
}

#[test]
fn an_unknown_reference_says_how_to_write_it() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout: ${NOPE}
"#,
        r#"portcullis.yaml:3:16: `${` starts neither `${env:NAME}` nor `${file:PATH}`: write one of them, or `$${` for a plain `${`
  3 | drain_timeout: ${NOPE}
    |                ^^^^^^^
"#,
    );
}

#[test]
fn an_open_reference_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
drain_timeout: ${env:NOPE
"#,
        r#"portcullis.yaml:3:16: `${` has no `}`: write `${env:NAME}` or `${file:PATH}`
  3 | drain_timeout: ${env:NOPE
    |                ^^^^^^^^^^
"#,
    );
}

#[test]
fn a_pattern_without_files_is_refused() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
policy_files: [policies/*.yaml]
"#,
        r#"portcullis.yaml:3:16: no policy file matches `policies/*.yaml`: correct the path
  3 | policy_files: [policies/*.yaml]
    |                ^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_rule_is_an_expression() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: http://10.0.0.1
    authenticate: none
    allow: "true"
    deny: [[a], { name: x }]
"#,
        r#"portcullis.yaml:7:12: `deny[0]` must be a CEL expression or a mapping with `when`, not a list
  7 |     deny: [[a], { name: x }]
    |            ^
portcullis.yaml:7:17: the key `when` is missing: add it (the CEL expression)
  7 |     deny: [[a], { name: x }]
    |                 ^
"#,
    );
}

#[test]
fn a_bad_colour_says_how_to_write_it() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
branding: { color: red }
"#,
        r#"portcullis.yaml:3:20: `color`: `red` is no colour: write `#rrggbb`
  3 | branding: { color: red }
    |                    ^^^
"#,
    );
}

#[test]
fn a_default_is_checked_like_a_route() {
    check(
        r#"listeners: [{ address: 127.0.0.1:0 }]
routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]
defaults: { name: a, timeout: { connect: off } }
"#,
        r#"portcullis.yaml:3:13: unknown key `name`: see `docs/configuration.md` for the known ones
  3 | defaults: { name: a, timeout: { connect: off } }
    |             ^^^^
portcullis.yaml:3:42: `connect`: `off` is no duration: write a number and a unit, such as `250ms`, `30s`, `5m`, `14h` or `7d`
  3 | defaults: { name: a, timeout: { connect: off } }
    |                                          ^^^
"#,
    );
}
