//! How the admin listener may be named.

use super::{Tls, admin};

#[test]
fn an_admin_listener_is_named_by_its_address_or_as_a_url() {
    for (text, host, port, is_tls) in [
        ("127.0.0.1:9901", "127.0.0.1", 9901, false),
        ("[::1]:7", "::1", 7, false),
        ("localhost:7", "localhost", 7, false),
        ("http://127.0.0.1:7", "127.0.0.1", 7, false),
        ("http://10.0.0.5/", "10.0.0.5", 9901, false),
        ("https://admin.example.com:7/", "admin.example.com", 7, true),
    ] {
        let args = super::AdminArgs {
            admin: admin(text).unwrap(),
            token: None,
            ca_file: None,
            server_name: None,
            client_cert_file: None,
            client_key_file: None,
        };
        let receiver = args.receiver();
        assert_eq!((&*receiver.host, receiver.port), (host, port), "{text}");
        assert_eq!(receiver.tls, is_tls.then(Tls::default), "{text}");
    }
    for text in ["", "sessions", "http://", "ftp://a:1", "user@host:1", "http://a/sessions", "1.2.3.4:99999"] {
        assert!(admin(text).is_err(), "{text}");
    }
}
