//! Sign-in, sign-out and our other own paths, driven as a browser would, against a provider that may lie.

mod connect;
mod flow;
mod hostile;
mod programs;
mod refresh;
mod sign_out;
mod step_up;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use identity::{AddressSource, ClientAddress, Clock as _, FixedClock, Issuer, Origin, ProviderId, Secret};
use jiff::Timestamp;
use url::Url;

use super::{Endpoint, Event};
use crate::oidc::test_provider::{CLIENT, NOW, TestProvider};
use crate::{
    Authenticator, ClaimNames, Config, KeyTexts, Keys, Presented, Provider, SessionConfig, Store, StoreLocation,
};

pub(super) const AUTH: &str = "https://auth.example.com";
pub(super) const APP: &str = "https://app.example.com";

/// An authenticator, its clock and its provider.
pub(super) struct World {
    pub(super) provider: TestProvider,
    pub(super) clock: Arc<FixedClock>,
    pub(super) authenticator: Authenticator,
    /// Whether its hosts have tunnels.
    pub(super) programs: bool,
}

/// A browser: cookies by origin.
#[derive(Default)]
pub(super) struct Browser {
    pub(super) jar: HashMap<String, BTreeMap<String, String>>,
}

pub(crate) fn configured(provider: &TestProvider) -> Provider {
    Provider {
        id: ProviderId::new("corp").unwrap(),
        name: "Corp".into(),
        issuer: Issuer::new(provider.issuer.as_str()).unwrap(),
        client_id: CLIENT.into(),
        client_secret: Some(Secret::new("hush".into())),
        scopes: None,
        extra_params: vec![("audience".into(), "x y".into())],
        claims: ClaimNames::default(),
        allowed_email_domains: Vec::new(),
        require_verified_email: true,
        ca_file: None,
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(Store::open(&StoreLocation::Memory).unwrap(), change).await
    }

    pub(super) async fn on(store: Store, change: impl FnOnce(&mut Config)) -> Self {
        let provider = TestProvider::start().await;
        let mut config = Config {
            url: AUTH.parse().unwrap(),
            providers: vec![configured(&provider)],
            session: SessionConfig::default(),
            look: Arc::new(pages::Look::new(pages::Branding::default())),
        };
        change(&mut config);
        let clock = Arc::new(FixedClock::new(Timestamp::from_second(NOW).unwrap()));
        let store = Arc::new(store);
        let keys = Arc::new(Keys::load(&KeyTexts::default(), &store).unwrap());
        let authenticator = Authenticator::new(config, store, keys, clock.clone()).unwrap();
        Self { provider, clock, authenticator, programs: true }
    }

    pub(super) fn pass(&self, seconds: i64) {
        use identity::Clock as _;
        self.clock.set(self.clock.now() + jiff::SignedDuration::from_secs(seconds));
    }

    /// Sends a request as the proxy would, and keeps the cookies that come back.
    pub(super) async fn send(&self, browser: &mut Browser, request: Request<Body>) -> Response {
        let url = Url::parse(&request.uri().to_string()).unwrap();
        let origin: Origin = url.origin().ascii_serialization().parse().unwrap();
        let (mut head, body) = request.into_parts();
        let jar = browser.jar.entry(origin.to_string()).or_default();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            head.headers.insert(COOKIE, cookies.join("; ").parse().unwrap());
        }
        head.uri = head.uri.path_and_query().unwrap().as_str().parse().unwrap();
        let presented = Presented { origin: &origin, headers: &head.headers, time: self.clock.now() };
        let outcome = self.authenticator.authenticate(presented).await;
        let loopback = std::net::IpAddr::from([127, 0, 0, 1]).into();
        let endpoint = Endpoint {
            origin,
            outcome,
            address: ClientAddress { client: loopback, peer: loopback, source: AddressSource::Peer },
            request_id: "r-1".into(),
            programs: self.programs,
            apps: Vec::new(),
        };
        let response = self.authenticator.serve(endpoint, Request::from_parts(head, body)).await;
        for line in response.headers().get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.into(), value.into());
            }
        }
        response
    }

    pub(super) async fn get(&self, browser: &mut Browser, url: &str) -> Response {
        self.send(browser, Request::get(url).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, browser: &mut Browser, url: &str, header: (&str, &str), body: &str) -> Response {
        let request = Request::builder().method(Method::POST).uri(url).header(header.0, header.1);
        self.send(browser, request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Goes from the app to the provider and back to the host of `authenticate.url`, and returns the callback's URL.
    pub(super) async fn callback_url(&self, browser: &mut Browser, sign_in: &str) -> String {
        let response = self.get(browser, &format!("{APP}{sign_in}")).await;
        let response = self.get(browser, &location(&response)).await;
        let provider = Url::parse(&location(&response)).unwrap();
        assert!(provider.as_str().starts_with(&self.provider.issuer), "not sent to the provider: {provider}");
        format!("{AUTH}/.portcullis/callback?{}", self.provider.authorize(&provider))
    }

    /// Signs in to the app; returns the last answer, or the first one that is no redirect.
    pub(super) async fn sign_in(&self, browser: &mut Browser) -> Response {
        let callback = self.callback_url(browser, "/.portcullis/sign_in?return_to=/start").await;
        let response = self.get(browser, &callback).await;
        if response.status() != StatusCode::SEE_OTHER {
            return response;
        }
        self.get(browser, &location(&response)).await
    }

    /// Returns who the app's host sees.
    pub(super) async fn user(&self, browser: &mut Browser) -> Option<serde_json::Value> {
        self.user_at(browser, APP).await
    }

    pub(super) async fn user_at(&self, browser: &mut Browser, origin: &str) -> Option<serde_json::Value> {
        let response = self.get(browser, &format!("{origin}/.portcullis/user")).await;
        (response.status() == StatusCode::OK).then_some(serde_json::from_str(&text(response).await).unwrap())
    }
}

impl Browser {
    pub(super) fn cookies(&self, origin: &str) -> Vec<String> {
        self.jar.get(origin).map(|jar| jar.keys().cloned().collect()).unwrap_or_default()
    }
}

pub(super) fn location(response: &Response) -> String {
    let location = response.headers().get(LOCATION).unwrap_or_else(|| panic!("no redirect: {}", response.status()));
    location.to_str().unwrap().to_owned()
}

pub(super) fn reason(response: &Response) -> &'static str {
    response.extensions().get::<Event>().map_or("none", |event| event.reason)
}

pub(super) async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1_000_000).await.unwrap().to_vec()).unwrap()
}

/// Nobody is signed in anywhere.
pub(super) async fn assert_nobody(world: &World, browser: &mut Browser) {
    for origin in [APP, AUTH] {
        assert_eq!(world.user_at(browser, origin).await, None, "signed in at {origin}");
    }
}
