//! Discovery and key sets of providers that are down, slow, broken or hostile.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use identity::{Clock as _, FixedClock};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::test_provider::{NOW, Signing, TestProvider, object};
use super::transport::Transport;
use super::{Attempt, Provider, ProviderError, SignInError};
use crate::endpoints::tests::configured;

struct World {
    test: TestProvider,
    clock: Arc<FixedClock>,
    provider: Arc<Provider>,
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

impl World {
    async fn new() -> Self {
        let test = TestProvider::start().await;
        let clock = Arc::new(FixedClock::new(Timestamp::from_second(NOW).unwrap()));
        let transport = Transport::with_system_roots().unwrap();
        let provider = Provider::new(configured(&test), "https://a.example.com/cb".into(), transport, clock.clone());
        Self { test, clock, provider: Arc::new(provider) }
    }

    fn pass(&self, seconds: i64) {
        self.clock.set(self.clock.now() + SignedDuration::from_secs(seconds));
    }

    async fn sign_in(&self) -> Result<(), SignInError> {
        let attempt = Attempt::new("id");
        self.provider.authorization_url(&attempt, None, None).await?;
        let issued = self.clock.now().as_second();
        self.test.lie(|lies| {
            lies.claims.insert("iat".into(), issued.into());
            lies.claims.insert("exp".into(), (issued + 60).into());
        });
        self.provider.redeem(&attempt, attempt.nonce.expose().to_owned()).await.map(drop)
    }

    fn breaks(&self) {
        self.test.lie(|lies| {
            for path in [DISCOVERY, "/keys"] {
                lies.answers.insert(path, (StatusCode::BAD_GATEWAY, String::new()));
            }
        });
    }

    fn recovers(&self) {
        self.test.lie(|lies| lies.answers.clear());
    }
}

#[tokio::test]
async fn nobody_is_asked_before_the_first_need_and_then_once() {
    let world = World::new().await;
    assert_eq!(world.test.asked(DISCOVERY), 0);
    let needs: Vec<_> = (0..20)
        .map(|_| {
            let provider = Arc::clone(&world.provider);
            tokio::spawn(async move { provider.known().await.is_ok() })
        })
        .collect();
    for need in needs {
        assert!(need.await.unwrap());
    }
    assert_eq!((world.test.asked(DISCOVERY), world.test.asked("/keys")), (1, 1));
    world.pass(3_601);
    world.provider.known().await.unwrap();
    assert_eq!(world.test.asked(DISCOVERY), 2);
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_again_after_a_while() {
    let world = World::new().await;
    world.breaks();
    for _ in 0..10 {
        assert!(matches!(world.sign_in().await, Err(SignInError::Provider(_))));
    }
    assert_eq!(world.test.asked(DISCOVERY), 1, "asked while it is left alone");
    assert!(!world.provider.is_up());
    world.recovers();
    world.pass(2);
    world.sign_in().await.unwrap();
    assert!(world.provider.is_up());
}

#[tokio::test]
async fn old_keys_stay_good_while_the_provider_is_down() {
    let world = World::new().await;
    world.sign_in().await.unwrap();
    world.breaks();
    world.pass(7_200);
    world.sign_in().await.unwrap();
}

#[tokio::test]
async fn an_unknown_key_has_the_key_set_fetched_again() {
    let world = World::new().await;
    world.sign_in().await.unwrap();
    let keys = json!({ "keys": [world.test.shared.public_key(), world.test.shared.another_public_key()] });
    world.test.lie(|lies| {
        lies.keys = Some(keys);
        lies.signing = Signing::WithAnotherKey;
        lies.header = object(json!({ "kid": "k2" }));
    });
    world.sign_in().await.unwrap();
    assert_eq!(world.test.asked("/keys"), 2);
}

#[tokio::test]
async fn a_token_that_names_no_key_is_good_where_one_key_fits_and_only_there() {
    let world = World::new().await;
    world.test.lie(|lies| lies.header = object(json!({ "kid": null })));
    world.sign_in().await.unwrap();
    let keys = [world.test.shared.public_key(), world.test.shared.another_public_key()];
    // Who names no keys changes the one that there is.
    world.test.lie(|lies| {
        lies.keys = Some(json!({ "keys": [keys[1]] }));
        lies.signing = Signing::WithAnotherKey;
    });
    world.sign_in().await.unwrap();
    assert_eq!(world.test.asked("/keys"), 2);
    world.pass(61);
    world.test.lie(|lies| {
        lies.keys = Some(json!({ "keys": keys }));
        lies.signing = Signing::Right;
    });
    assert!(matches!(world.sign_in().await, Err(SignInError::TokenInvalid(_))));
    assert!(matches!(world.sign_in().await, Err(SignInError::TokenInvalid(_))), "one of several keys was tried");
}

#[tokio::test]
async fn made_up_key_ids_do_not_flood_the_provider() {
    let world = World::new().await;
    for count in 0..30 {
        world.test.lie(|lies| lies.header = object(json!({ "kid": format!("made-up-{count}") })));
        assert!(matches!(world.sign_in().await, Err(SignInError::TokenInvalid(_))));
    }
    assert_eq!(world.test.asked("/keys"), 2, "more than one fetch within the cool-down");
    world.pass(61);
    assert!(world.sign_in().await.is_err());
    assert_eq!(world.test.asked("/keys"), 3);
    world.test.lie(|lies| lies.header.clear());
    world.sign_in().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_nonsense_is_named_as_such() {
    let answers = [
        (DISCOVERY, "<html>"),
        (DISCOVERY, "{}"),
        (DISCOVERY, "[]"),
        (DISCOVERY, ""),
        ("/keys", "<html>"),
        ("/keys", "{}"),
        ("/keys", r#"{"keys":7}"#),
    ];
    for (path, body) in answers {
        let world = World::new().await;
        world.test.lie(|lies| drop(lies.answers.insert(path, (StatusCode::OK, body.into()))));
        let error = world.provider.known().await.unwrap_err();
        assert!(matches!(*error, ProviderError::Nonsense(_)), "{path} {body}: {error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_flood_is_cut() {
    for (status, body) in [(StatusCode::FOUND, String::new()), (StatusCode::OK, " ".repeat(2 * 1024 * 1024))] {
        let world = World::new().await;
        world.test.lie(|lies| drop(lies.answers.insert(DISCOVERY, (status, body))));
        let error = world.provider.known().await.unwrap_err();
        assert!(matches!(*error, ProviderError::Unavailable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let transport = Transport::with_system_roots().unwrap().with_patience(Duration::from_millis(20));
    let url = format!("http://{}/x", silent.local_addr().unwrap()).parse().unwrap();
    let error = transport.get(&url, None).await.unwrap_err();
    assert!(error.to_string().ends_with("in time"), "{error}");
    drop(silent);
    let error = transport.get(&url, None).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot connect to"), "{error}");
}

#[tokio::test]
async fn cleartext_leaves_this_machine_never() {
    let transport = Transport::with_system_roots().unwrap();
    for url in ["http://169.254.169.254/latest", "http://example.com/", "ftp://127.0.0.1/", "http://localhost.evil/"] {
        let error = transport.get(&url.parse().unwrap(), None).await.unwrap_err();
        assert!(error.to_string().ends_with("is neither https nor http on loopback"), "{url}: {error}");
    }
}

#[test]
fn a_ca_file_that_cannot_be_used_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    assert!(Transport::with_ca_file(&path).unwrap_err().starts_with("cannot read"));
    std::fs::write(&path, "nothing").unwrap();
    assert!(Transport::with_ca_file(&path).unwrap_err().ends_with("holds no certificate"));
}

#[tokio::test]
async fn a_provider_is_verified_by_its_own_certificate_authorities_alone() {
    let certified = rcgen::generate_simple_self_signed(vec!["idp.localhost".into()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, certified.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let port = serve_tls(certified.cert.der().clone(), key.into()).await;
    let url = |host: &str| format!("https://{host}:{port}/").parse().unwrap();
    let own = Transport::with_ca_file(&path).unwrap();
    assert_eq!(own.get(&url("idp.localhost"), None).await.unwrap(), b"{}");
    let system = Transport::with_system_roots().unwrap();
    for (transport, host) in [(&own, "other.localhost"), (&own, "127.0.0.1"), (&system, "idp.localhost")] {
        let error = transport.get(&url(host), None).await.unwrap_err();
        assert!(error.to_string().starts_with("tls with `"), "{error}");
    }
    let remedy =
        |error: super::transport::TransportError| error.to_string().rsplit_once("; ").unwrap_or_default().1.to_owned();
    let unknown = system.get(&url("idp.localhost"), None).await.unwrap_err();
    assert_eq!(remedy(unknown), "name the file of a private authority in `ca_file`");
    let mut other = rcgen::CertificateParams::new(vec!["x.test".into()]).unwrap();
    other.distinguished_name.push(rcgen::DnType::CommonName, "other");
    let other = other.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    std::fs::write(&path, other.pem()).unwrap();
    let wrong = Transport::with_ca_file(&path).unwrap().get(&url("idp.localhost"), None).await.unwrap_err();
    assert_eq!(remedy(wrong), "none of the authorities in `ca_file` signed it");
}

async fn serve_tls(
    certificate: rustls_pki_types::CertificateDer<'static>,
    key: rustls_pki_types::PrivateKeyDer<'static>,
) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 1024];
            if stream.read(&mut request).await.is_ok() {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                assert!(stream.write_all(answer).await.is_ok());
            }
        }
    });
    port
}

#[tokio::test]
async fn whoever_waits_for_a_silent_provider_does_not_ask_it_again() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let clock = Arc::new(FixedClock::new(Timestamp::from_second(NOW).unwrap()));
    let mut config = configured(&TestProvider::start().await);
    config.issuer = identity::Issuer::new(format!("http://{}", silent.local_addr().unwrap())).unwrap();
    let transport = Transport::with_system_roots().unwrap();
    let provider = Provider::new(config, "https://a.example.com/cb".into(), transport, clock.clone());
    let asked = async {
        let mut asked = 0;
        loop {
            drop(silent.accept().await);
            asked += 1;
            // It took longer to fail than it is left alone after that.
            clock.set(clock.now() + SignedDuration::from_secs(5));
            assert_eq!(asked, 1, "a request that had waited asked again");
        }
    };
    let wait = async { tokio::join!(provider.known(), provider.known(), provider.known()) };
    tokio::select! {
        (one, two, three) = wait => assert!(one.is_err() && two.is_err() && three.is_err()),
        () = asked => {}
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_locks_nobody_out() {
    let world = World::new().await;
    world.pass(1_000_000);
    world.breaks();
    assert!(world.provider.known().await.is_err());
    world.recovers();
    world.pass(-1_000_000);
    world.sign_in().await.unwrap();
    // Discovered, and the keys fetched again, in a future that will not come for long.
    world.pass(1_000_000);
    world.test.lie(|lies| lies.signing = Signing::WithAnotherKey);
    assert!(world.sign_in().await.is_err());
    world.pass(-1_000_000);
    let key = world.test.shared.another_public_key();
    world.test.lie(|lies| {
        lies.keys = Some(json!({ "keys": [key] }));
        lies.header.insert("kid".into(), "k2".into());
    });
    world.sign_in().await.unwrap();
}
