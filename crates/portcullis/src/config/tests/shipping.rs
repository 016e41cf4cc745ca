//! `audit.syslog` and `audit.otlp`: what they say, and mistakes in them.

use super::{Folder, GOOD};

fn key_pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["logs.example.com".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn receivers_of_the_audit_log_are_read() {
    let (certificate, key) = key_pair();
    let folder = Folder::new(&format!(
        "{GOOD}audit:\n  syslog: {{ url: 'tls://[2001:db8::1]', facility: local3, hostname: p1, app_name: gate, ca_file: ca.pem, \
         client_cert_file: ca.pem, client_key_file: ca.key, server_name: logs.example.com }}\n  otlp: {{ url: \
         'https://collector.example.com:4318/otlp/', headers: {{ Authorization: 'Bearer ${{env:SECRET}}' }}, timeout: 3s }}\n"
    ))
    .with("ca.pem", certificate)
    .with("ca.key", key);
    let config = folder.load().unwrap();
    let (syslog, otlp) = (config.sinks.syslog.unwrap(), config.sinks.otlp.unwrap());
    assert_eq!((&*syslog.receiver.host, syslog.receiver.port, syslog.facility), ("2001:db8::1", 6514, 19));
    assert_eq!((&*syslog.hostname, &*syslog.app_name), ("p1", "gate"));
    let tls = syslog.receiver.tls.unwrap();
    assert_eq!(tls.server_name.as_deref(), Some("logs.example.com"));
    assert!(tls.ca_file.unwrap().ends_with("ca.pem") && tls.client.unwrap().1.ends_with("ca.key"));
    assert_eq!((&*otlp.path, otlp.receiver.port, otlp.timeout.as_secs()), ("/otlp/v1/logs", 4318, 3));
    assert_eq!(otlp.headers[0].1, "Bearer hunter2");
    assert!(!format!("{otlp:?}{}", config.shown).contains("hunter2"), "{otlp:?}");
    assert_eq!(Folder::new(GOOD).load().unwrap().sinks, telemetry::Sinks::default());
}

#[test]
fn traces_are_read() {
    let traces = |text: &str| Folder::new(&format!("{GOOD}telemetry: {{ traces: {text} }}\n")).load().unwrap().traces;
    let read = traces("{ url: 'https://collector', sample: 0.25, continue_from: nobody }").unwrap();
    assert_eq!((&*read.otlp.path, read.otlp.receiver.port), ("/v1/traces", 443));
    assert_eq!((read.sample, read.continue_from), (0.25, telemetry::ContinueFrom::Nobody));
    let read = traces("{ url: 'https://collector' }").unwrap();
    assert_eq!((read.sample, read.continue_from), (1.0, telemetry::ContinueFrom::TrustedProxies));
    assert_eq!(Folder::new(GOOD).load().unwrap().traces, None);
    for (written, expected) in [
        ("{}", "the key `url` is missing"),
        ("{ url: 'http://collector' }", "warning: traces go there in clear text"),
        ("{ url: 'https://c', sample: 2 }", "`sample`: `2` is no part of a whole: write a number from 0 to 1"),
        ("{ url: 'https://c', sample: NaN }", "`sample`: `NaN` is no part of a whole"),
        ("{ url: 'https://c', continue_from: all }", "`continue_from` cannot be `all`: write one of `trusted_proxies`"),
    ] {
        let problems = Folder::new(&format!("{GOOD}telemetry: {{ traces: {written} }}\n")).problems();
        assert!(problems.contains(expected), "{problems}");
    }
}

fn check(audit: &str, expected: &str) {
    let (certificate, key) = key_pair();
    let folder = Folder::new(&format!("{GOOD}audit: {audit}\n")).with("c.pem", certificate).with("k.pem", key);
    let problems = folder.problems();
    assert_eq!(problems.lines().next().unwrap_or_default(), expected, "{problems}");
}

#[test]
fn mistakes_in_receivers_say_what_to_write() {
    for url in ["logs.example.com:514", "udp://logs:514", "tcp://logs", "tcp://logs:0", "tls://a@logs", "tls://logs/x"]
    {
        let shown = url.replace("a@", "***@");
        let expected = format!(
            "portcullis.yaml:7:25: `url`: `{shown}` is no URL of syslog: write `tls://host:6514`, or `tcp://host:514`"
        );
        check(&format!("{{ syslog: {{ url: '{url}' }} }}"), &expected);
    }
    check(
        "{ syslog: {} }",
        "portcullis.yaml:7:18: the key `url` is missing: add it (where it listens: `tls://host:port` (6514 unless written), or `tcp://host:port`)",
    );
    check(
        "{ syslog: { url: tcp://127.0.0.1:514, ca_file: c.pem } }",
        "portcullis.yaml:7:55: `ca_file` is for TLS, and `url` is not: change `url`, or remove the key",
    );
    check(
        "{ syslog: { url: tcp://logs.example.com:514 } }",
        "portcullis.yaml:7:25: warning: audit records go there in clear text, for all on the way to read: use TLS",
    );
    check(
        "{ syslog: { url: tls://logs, hostname: a b } }",
        "portcullis.yaml:7:47: `hostname`: `a b` is no name for syslog: write printable ASCII characters without a space",
    );
    check(
        "{ syslog: { url: tls://logs, client_key_file: k.pem } }",
        "portcullis.yaml:7:54: `client_cert_file` and `client_key_file` belong together: add the other one",
    );
    check(
        "{ otlp: { url: https://u:p@collector } }",
        "portcullis.yaml:7:23: `url`: `https://***@collector` is a URL with credentials: remove the part before `@`, and use \
         `headers`",
    );
    check(
        "{ otlp: { url: https://collector, headers: { 'a b': c } } }",
        "portcullis.yaml:7:60: `headers`: `a b` is no header name: write letters, digits and hyphens",
    );
    check("{ otlp: { url: http://localhost:4318 } }", "");
}
