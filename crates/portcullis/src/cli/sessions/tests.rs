//! How the admin listener may be named.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use clap::{FromArgMatches as _, Subcommand as _};

use super::{Exit, Sessions, Tls, Verb, admin, table};

/// Asks an admin listener that answers this.
fn asked(arguments: &[&str], answer: &str) -> Exit {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = format!("HTTP/1.1 200 OK\r\n\r\n{answer}");
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _asked = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let command = Verb::augment_subcommands(clap::Command::new("sessions"));
    let arguments = [&["sessions"], arguments, &["--admin", &address]].concat();
    let verb = Verb::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
    let exit = Sessions { verb }.execute();
    serving.join().unwrap();
    exit
}

#[test]
fn whoever_ends_the_sessions_of_nobody_learns_it() {
    let of_nobody = ["revoke", "--user", "ada@exmaple.com"];
    assert!(matches!(asked(&of_nobody, r#"{"revoked":[]}"#), Exit::Negative));
    assert!(matches!(asked(&of_nobody, r#"{"revoked":[{"id":"a"}]}"#), Exit::Done));
    assert!(matches!(asked(&["list"], r#"{"sessions":[]}"#), Exit::Done));
    assert_eq!(super::none(Some("ada@exmaple.com")), "no live session of `ada@exmaple.com`");
}

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

#[test]
fn sessions_stand_below_the_names_of_their_columns() {
    let session = |id: &str, email: &str, program: bool| {
        serde_json::json!({
            "id": id, "user": { "id": "https://idp.test|5", "email": email }, "program": program,
            "created": "2026-03-01T12:00:00.123Z", "expires": "2026-03-02T02:00:00.123Z",
        })
    };
    let sessions = [session("zn9b2A77l1YO", "ada@example.com\u{1b}[2J", false), session("-n9b", "", true)];
    let expected = "\
SESSION       USER                 CREATED               EXPIRES               HOLDER
zn9b2A77l1YO  ada@example.com\u{fffd}[2J  2026-03-01T12:00:00Z  2026-03-02T02:00:00Z  browser
-n9b          https://idp.test|5   2026-03-01T12:00:00Z  2026-03-02T02:00:00Z  program";
    assert_eq!(table(&sessions), expected);
}
