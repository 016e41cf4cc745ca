//! Mistakes in `listeners`.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    SerialNumber, date_time_ymd,
};

use super::Folder;

/// A list that revokes nothing, as PEM.
pub(super) fn revocation_list() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2100, 1, 1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&Issuer::new(params, KeyPair::generate().unwrap())).unwrap().pem().unwrap()
}

const ROUTES: &str = r#"routes: [{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: "true" }]"#;

fn check(listener: &str, expected: &str) {
    let certified = rcgen::generate_simple_self_signed(["app.example.com".to_owned()]).unwrap();
    let folder = Folder::new(&format!("{ROUTES}\nlisteners:\n  - address: 127.0.0.1:0\n{listener}"))
        .with("app.pem", certified.cert.pem())
        .with("app.key", certified.signing_key.serialize_pem())
        .with("clients.crl", revocation_list());
    assert_eq!(folder.problems().trim_end(), expected.trim_end(), "for\n{listener}");
}

const TLS: &str = "    tls:\n      certificates: [{ cert_file: app.pem, key_file: app.key }]\n";

#[test]
fn client_certificates_need_authorities() {
    check(
        &format!("{TLS}      client_auth: {{ mode: require }}\n"),
        "\
portcullis.yaml:6:28: certificates of clients need authorities to believe: add `ca_file`
  6 |       client_auth: { mode: require }
    |                            ^^^^^^^",
    );
}

#[test]
fn authorities_that_nobody_is_asked_for_are_a_mistake() {
    check(
        &format!("{TLS}      client_auth: {{ ca_file: app.pem, crl_file: clients.crl }}\n"),
        "\
portcullis.yaml:6:31: no client is asked for a certificate: write `mode: request` or `mode: require`, or remove the file
  6 |       client_auth: { ca_file: app.pem, crl_file: clients.crl }
    |                               ^^^^^^^",
    );
}

#[test]
fn a_revocation_list_is_one() {
    check(
        &format!("{TLS}      client_auth: {{ mode: request, ca_file: app.pem, crl_file: app.pem }}\n"),
        "\
portcullis.yaml:6:65: `crl_file`: `app.pem` is a file without a revocation list: write a PEM file
  6 |       client_auth: { mode: request, ca_file: app.pem, crl_file: app.pem }
    |                                                                 ^^^^^^^",
    );
    check(&format!("{TLS}      client_auth: {{ mode: request, ca_file: app.pem, crl_file: clients.crl }}\n"), "");
}

#[test]
fn a_proxy_header_needs_somebody_who_may_send_it() {
    check(
        "    proxy_protocol: require\n",
        "\
portcullis.yaml:4:21: a PROXY header is believed from `trusted_proxies` only, and there are none: add the networks of your \
         load balancers
  4 |     proxy_protocol: require
    |                     ^^^^^^^",
    );
    check("    proxy_protocol: accept\n    trusted_proxies: [10.0.0.0/8]\n", "");
}

#[test]
fn a_header_that_names_a_client_is_one() {
    check(
        "    forwarded_header: \"cf connecting ip\"\n",
        "\
portcullis.yaml:4:23: `forwarded_header`: `cf connecting ip` is no header that names a client: write `x-forwarded-for`, \
         `forwarded`, `none`, or a header that holds one address, such as `x-real-ip`
  4 |     forwarded_header: \"cf connecting ip\"
    |                       ^^^^^^^^^^^^^^^^^^",
    );
    check("    forwarded_header: CF-Connecting-IP\n", "");
}

#[test]
fn a_listener_that_decrypts_nothing_has_no_certificates() {
    check(
        &format!("    protocol: tls\n{TLS}"),
        "\
portcullis.yaml:4:15: a `tls` listener decrypts nothing and has no certificates: remove `tls`, or write `https`
  4 |     protocol: tls
    |               ^^^",
    );
}

fn check_routes(routes: &str, expected: &str) {
    let folder = Folder::new(&format!("listeners: [{{ address: 127.0.0.1:0, protocol: tls }}]\nroutes:\n{routes}"));
    assert_eq!(folder.problems().trim_end(), expected.trim_end(), "for\n{routes}");
}

#[test]
fn a_route_of_connections_has_what_can_be_kept() {
    check_routes(
        "  - { from: \"tls://db.test\", to: \"tcp://10.0.0.1:5432\", allow: \"true\", authenticate: none }\n",
        "",
    );
    check_routes(
        "  - { from: \"tls://db.test\", to: \"tcp://10.0.0.1:5432\", allow: \"true\", prefix: /app }\n",
        "\
portcullis.yaml:3:72: `prefix` does nothing on a `tls://` route, whose bytes pass unread: remove it, or write `https://`
  3 |   - { from: \"tls://db.test\", to: \"tcp://10.0.0.1:5432\", allow: \"true\", prefix: /app }
    |                                                                        ^^^^^^",
    );
    check_routes(
        "  - { from: \"tls://db.test\", to: \"https://10.0.0.1\", allow: \"true\" }\n",
        "\
portcullis.yaml:3:34: a `tls://` route leads to TCP endpoints: write `tcp://host:port`, not `https://10.0.0.1`
  3 |   - { from: \"tls://db.test\", to: \"https://10.0.0.1\", allow: \"true\" }
    |                                  ^^^^^^^^^^^^^^^^^^",
    );
    check_routes(
        "  - { from: \"tls://192.0.2.1\", to: \"tcp://10.0.0.1:5432\", allow: \"true\" }\n",
        "\
portcullis.yaml:3:13: `from`: `tls://192.0.2.1` is no server name: write `tls://host`, such as `tls://db.example.com`
  3 |   - { from: \"tls://192.0.2.1\", to: \"tcp://10.0.0.1:5432\", allow: \"true\" }
    |             ^^^^^^^^^^^^^^^^^",
    );
}

#[test]
fn requests_do_not_lead_to_bare_tcp() {
    check_routes(
        "  - { from: \"http://a.test\", to: \"tcp://10.0.0.1:80\", allow: \"true\", authenticate: none }\n",
        "\
portcullis.yaml:3:34: `tcp://` endpoints are for routes `from: tcp+https://host:port` and `from: tls://host`: write `http://` or `https://`
  3 |   - { from: \"http://a.test\", to: \"tcp://10.0.0.1:80\", allow: \"true\", authenticate: none }
    |                                  ^^^^^^^^^^^^^^^^^^^",
    );
}

#[test]
fn a_rate_needs_a_number() {
    check_routes(
        "  - { from: \"http://a.test\", to: \"http://10.0.0.1\", allow: \"true\", authenticate: none, rate_limit: { by: user } }\n",
        "\
portcullis.yaml:3:100: the key `requests` is missing: add it (how many requests)
  3 |   - { from: \"http://a.test\", to: \"http://10.0.0.1\", allow: \"true\", authenticate: none, rate_limit: { by: user } }
    |                                                                                                    ^",
    );
}
