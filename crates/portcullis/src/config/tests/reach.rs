//! Hosts that load and that nobody reaches.

use super::Folder;

fn check(listener: &str, from: &str, names: &[&str], expected: &str) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    let config = format!(
        "listeners: [{{ {listener} }}]\nroutes:\n  - from: {from}\n    to: http://10.0.0.1:80\n    \
         authenticate: none\n    allow: request.method == 'GET'\n"
    );
    let folder = Folder::new(&config)
        .with("app.pem", certified.cert.pem())
        .with("app.key", certified.signing_key.serialize_pem());
    assert_eq!(folder.problems().lines().next().unwrap_or_default(), expected, "{config}");
}

const TLS: &str = "address: 0.0.0.0:8443, tls: { certificates: [{ cert_file: app.pem, key_file: app.key }] }";

#[test]
fn a_port_that_nobody_listens_on_is_told() {
    let missing = "portcullis.yaml:3:11: warning: no listener listens on port 9443: listen there, or write a port that is \
                   listened on, such as 8443";
    check(TLS, "https://a.test:9443", &["a.test"], missing);
    check(TLS, "https://a.test:8443", &["a.test"], "");
    // Something may translate 443.
    check(TLS, "https://a.test", &["a.test"], "");
    check(&TLS.replace("8443", "0"), "https://a.test:9443", &["a.test"], "");
    check("address: 0.0.0.0:80, trusted_proxies: [10.0.0.0/24]", "https://a.test:9443", &[], "");
}

#[test]
fn a_port_that_was_left_out_is_told_where_nothing_translates_it() {
    let missing = "portcullis.yaml:3:11: warning: no listener listens on port 443, which is meant where none is written: \
                   listen there, or write a port that is listened on, such as 8443";
    check(TLS, "https://app.localhost", &["app.localhost"], missing);
    check(&TLS.replace("0.0.0.0", "127.0.0.1"), "https://a.test", &["a.test"], missing);
    check(&TLS.replace("0.0.0.0", "127.0.0.1"), "https://a.test:8443", &["a.test"], "");
    check(&TLS.replace("8443", "443"), "https://app.localhost", &["app.localhost"], "");
    check(&TLS.replace("0.0.0.0:8443", "127.0.0.1:0"), "https://app.localhost", &["app.localhost"], "");
    check("address: 127.0.0.1:8080", "https://a.test", &[], "");
    check("address: 127.0.0.1:80, trusted_proxies: [127.0.0.1/32]", "https://app.localhost", &[], "");

    let sign_in = "listeners: [{ address: 127.0.0.1:8080 }]\nauthenticate:\n  url: http://auth.localhost\n  providers: \
                   [{ id: a, issuer: \"http://localhost:1\", client_id: b }]\nroutes: [{ from: \
                   \"http://app.localhost:8080\", to: \"http://10.0.0.1\", allow: user.authenticated }]\n";
    let problems = Folder::new(sign_in).problems();
    assert!(problems.contains("portcullis.yaml:3:8: warning: no listener listens on port 80, which"), "{problems}");
}

#[test]
fn a_host_without_a_certificate_is_told() {
    let warning = |host: &str| {
        format!(
            "portcullis.yaml:3:11: warning: no certificate of a listener is good for `{host}`: browsers will refuse it; \
             add one with that name to `tls.certificates`"
        )
    };
    check(TLS, "https://b.test", &["a.test"], &warning("b.test"));
    check(TLS, "https://x.b.test", &["*.b.test"], "");
    check(TLS, "https://x.y.b.test", &["*.b.test"], &warning("x.y.b.test"));
    check(TLS, "\"https://*.b.test\"", &["*.b.test"], "");
    check(TLS, "\"https://*.b.test\"", &["x.b.test"], &warning("*.b.test"));
    // Not asked of addresses, of plain http, and where another ends TLS.
    check(TLS, "https://127.0.0.1", &["a.test"], "");
    check(TLS, "http://b.test", &["a.test"], "");
    check("address: 0.0.0.0:80", "https://b.test", &[], "");
}
