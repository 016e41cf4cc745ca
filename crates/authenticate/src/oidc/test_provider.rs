//! A provider on loopback that lies as a test tells it to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;

/// The provider: answers on a port of its own until it is dropped.
pub(crate) struct TestProvider {
    pub(crate) issuer: String,
    pub(crate) shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

/// What the provider answers, and what it was asked.
pub(crate) struct Shared {
    issuer: String,
    key: EcdsaKeyPair,
    other_key: EcdsaKeyPair,
    pub(crate) lies: Mutex<Lies>,
    pub(crate) asked: Mutex<HashMap<String, u32>>,
    pub(crate) last_token_request: Mutex<(HeaderMap, HashMap<String, String>)>,
    pub(crate) grant: Mutex<Grant>,
}

/// How the provider refreshes: every token once.
#[derive(Default)]
pub(crate) struct Grant {
    /// How many tokens were given; none is where refresh tokens are not given at all.
    given: u32,
    /// Whether a spent token came: all that was given is worthless from then on.
    pub(crate) reused: bool,
    /// What came to be revoked, with how the client proved itself: the header, or the secret of the form.
    pub(crate) revoked: Vec<(String, String, String)>,
}

/// What is not as it should be. Members that are null are removed from what is said.
#[derive(Clone, Default)]
pub(crate) struct Lies {
    pub(crate) metadata: Map<String, Value>,
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) token: Map<String, Value>,
    pub(crate) userinfo: Map<String, Value>,
    pub(crate) keys: Option<Value>,
    pub(crate) signing: Signing,
    /// Whether refresh tokens are given.
    pub(crate) refreshes: bool,
    /// Seconds that have passed since the first sign-in.
    pub(crate) passed: i64,
    /// Answers by path: status and body, instead of the right ones.
    pub(crate) answers: HashMap<&'static str, (StatusCode, String)>,
}

/// How tokens are signed.
#[derive(Clone, Copy, Default)]
pub(crate) enum Signing {
    #[default]
    Right,
    WithAnotherKey,
    WithPublicKeyAsSecret,
    Not,
}

pub(crate) const NOW: i64 = 1_900_000_000;
pub(crate) const CLIENT: &str = "portcullis";

impl TestProvider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let generate = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let shared = Arc::new(Shared {
            issuer: issuer.clone(),
            key: generate(),
            other_key: generate(),
            lies: Mutex::default(),
            asked: Mutex::default(),
            last_token_request: Mutex::default(),
            grant: Mutex::default(),
        });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, shared, server }
    }

    pub(crate) fn lie(&self, lie: impl FnOnce(&mut Lies)) {
        lie(&mut self.shared.lies.lock().unwrap());
    }

    pub(crate) fn asked(&self, path: &str) -> u32 {
        self.shared.asked.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    /// Signs the user in as a browser would see it: from the authorization URL to the query of the callback.
    pub(crate) fn authorize(&self, url: &Url) -> String {
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["code_challenge_method"], "S256");
        // The code is the nonce: what the provider must remember of the sign-in is in it.
        format!("state={}&code={}", query["state"], query["nonce"])
    }

    /// Makes a token with the claims given and whatever lies are set.
    pub(crate) fn token(&self, claims: Map<String, Value>) -> String {
        self.shared.sign(claims)
    }
}

impl Drop for TestProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn told(mut truth: Map<String, Value>, lies: &Map<String, Value>) -> Map<String, Value> {
    for (name, lie) in lies {
        if lie.is_null() {
            truth.remove(name);
        } else {
            truth.insert(name.clone(), lie.clone());
        }
    }
    truth
}

impl Shared {
    fn metadata(&self) -> Map<String, Value> {
        let at = |path: &str| format!("{}{path}", self.issuer);
        object(json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"),
            "userinfo_endpoint": at("/userinfo"),
            "end_session_endpoint": at("/end"),
            "id_token_signing_alg_values_supported": ["ES256", "RS256", "HS256", "none"],
        }))
    }

    fn give(&self) -> String {
        let mut grant = self.grant.lock().unwrap();
        grant.given += 1;
        format!("refresh-{}", grant.given)
    }

    /// RFC 9700 §4.14.2: a token that comes twice was stolen, and nobody knows by whom.
    fn takes(&self, presented: &str) -> bool {
        let mut grant = self.grant.lock().unwrap();
        grant.reused |= presented != format!("refresh-{}", grant.given);
        !grant.reused
    }

    pub(crate) fn public_key(&self) -> Value {
        jwk(&self.key, "k1")
    }

    /// The key of `Signing::WithAnotherKey`, as it would be published.
    pub(crate) fn another_public_key(&self) -> Value {
        jwk(&self.other_key, "k2")
    }

    fn id_claims(&self, nonce: &str) -> Map<String, Value> {
        let now = NOW + self.lies.lock().unwrap().passed;
        object(json!({
            "iss": self.issuer, "aud": CLIENT, "sub": "ada", "exp": now + 600, "iat": now,
            "nonce": nonce, "sid": "provider-session",
            "email": "ada@example.com", "email_verified": true, "name": "Ada", "groups": ["sre"],
        }))
    }

    fn sign(&self, claims: Map<String, Value>) -> String {
        let lies = self.lies.lock().unwrap().clone();
        let algorithm = match lies.signing {
            Signing::Right | Signing::WithAnotherKey => "ES256",
            Signing::WithPublicKeyAsSecret => "HS256",
            Signing::Not => "none",
        };
        let header = told(object(json!({ "alg": algorithm, "kid": "k1", "typ": "JWT" })), &lies.header);
        let encode = |part: &Map<String, Value>| URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).unwrap());
        let message = format!("{}.{}", encode(&header), encode(&told(claims, &lies.claims)));
        let ecdsa = |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec();
        let signature = match lies.signing {
            Signing::Right => ecdsa(&self.key),
            Signing::WithAnotherKey => ecdsa(&self.other_key),
            Signing::WithPublicKeyAsSecret => {
                let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, self.key.public_key().as_ref());
                aws_lc_rs::hmac::sign(&secret, message.as_bytes()).as_ref().to_vec()
            }
            Signing::Not => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn jwk(key: &EcdsaKeyPair, kid: &str) -> Value {
    let point = key.public_key().as_ref();
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "kid": kid,
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
        "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
    })
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let path = request.uri().path().to_owned();
    *shared.asked.lock().unwrap().entry(path.clone()).or_default() += 1;
    let lies = shared.lies.lock().unwrap().clone();
    if let Some((status, body)) = lies.answers.get(path.as_str()) {
        return respond(*status, body.clone());
    }
    let said = match path.as_str() {
        "/.well-known/openid-configuration" => told(shared.metadata(), &lies.metadata),
        "/keys" => object(lies.keys.unwrap_or_else(|| json!({ "keys": [shared.public_key()] }))),
        "/token" => {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 10_000).await.unwrap();
            let form: HashMap<_, _> = url::form_urlencoded::parse(&body).into_owned().collect();
            let mut claims = shared.id_claims(form.get("code").map_or("", String::as_str));
            if let Some(presented) = form.get("refresh_token") {
                claims.remove("nonce");
                if !shared.takes(presented) {
                    return respond(StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#.into());
                }
            }
            let id_token = shared.sign(claims);
            *shared.last_token_request.lock().unwrap() = (head.headers, form);
            let mut truth = object(json!({ "access_token": "at", "token_type": "Bearer", "id_token": id_token }));
            if lies.refreshes {
                truth.insert("refresh_token".into(), shared.give().into());
            }
            told(truth, &lies.token)
        }
        "/revoke" => {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 10_000).await.unwrap();
            let mut form: HashMap<_, _> = url::form_urlencoded::parse(&body).into_owned().collect();
            let authorization = head.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
            let secret = form.remove("client_secret").unwrap_or_default();
            shared.grant.lock().unwrap().revoked.push((form["token"].clone(), authorization.into(), secret));
            Map::new()
        }
        "/userinfo" => told(object(json!({ "sub": "ada" })), &lies.userinfo),
        _ => return respond(StatusCode::NOT_FOUND, String::new()),
    };
    respond(StatusCode::OK, Value::Object(said).to_string())
}

fn respond(status: StatusCode, body: String) -> Response {
    Response::builder().status(status).header("content-type", "application/json").body(Body::from(body)).unwrap()
}
