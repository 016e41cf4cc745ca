//! Mistakes in `admin`.

use super::Folder;

const ROUTES: &str = "routes: [{ from: http://app.test, to: http://127.0.0.1:9, authenticate: none, allow: 'true' }]\n";

fn with(admin: &str) -> String {
    format!("listeners: [{{ address: 127.0.0.1:0 }}]\nadmin: {admin}\n{ROUTES}")
}

#[test]
fn whoever_listens_elsewhere_than_on_loopback_asks_for_a_token() {
    for address in ["0.0.0.0:9901", "'[::]:9901'", "10.0.0.5:9901"] {
        let problems = Folder::new(&with(&format!("{{ address: {address} }}"))).problems();
        assert_eq!(
            problems.lines().next().unwrap_or_default(),
            "portcullis.yaml:2:19: whoever reaches this address could end sessions and read the configuration: set \
             `admin.token` or `admin.tls.client_auth`, or listen on `127.0.0.1`",
        );
    }
    for admin in ["{ address: '[::1]:9901' }", "{ address: 0.0.0.0:9901, token: a-token-for-the-operators }"] {
        assert_eq!(Folder::new(&with(admin)).problems(), "");
    }
}

#[test]
fn operators_may_show_certificates_instead_of_a_token() {
    let made = rcgen::generate_simple_self_signed(["admin.example.com".to_owned()]).unwrap();
    let load = |client_auth: &str| {
        let tls = format!("certificates: [{{ cert_file: c.pem, key_file: c.key }}]{client_auth}");
        Folder::new(&with(&format!("{{ address: 10.0.0.5:9901, tls: {{ {tls} }} }}")))
            .with("c.pem", made.cert.pem())
            .with("c.key", made.signing_key.serialize_pem())
    };
    let config = load(", client_auth: { mode: require, ca_file: c.pem }").load().unwrap();
    assert!(config.admin.token.is_none() && config.admin.tls.is_some_and(|tls| tls.client_auth.is_some()));
    let problems = load("").problems();
    assert!(problems.contains("set `admin.token` or `admin.tls.client_auth`"), "{problems}");
}

#[test]
fn a_token_that_can_be_guessed_is_refused() {
    let problems = Folder::new(&with("{ token: secret }")).problems();
    // The line holds a secret, so it is not shown.
    assert_eq!(
        problems.trim_end(),
        "portcullis.yaml:2:17: `token` has less than 16 characters, and could be guessed: make one with `openssl rand \
         -base64 32`",
    );
    let problems = Folder::new(&with("{ token: '' }")).problems();
    assert_eq!(problems.trim_end(), "portcullis.yaml:2:17: `token` is empty: write a text, or remove the key");
}
