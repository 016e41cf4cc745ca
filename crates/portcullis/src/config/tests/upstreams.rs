//! How endpoints are chosen, watched and spoken to: what is read, and what is refused.

use std::time::Duration;

use authenticate::ClientAuthentication;
use identity::Secret;
use proxy::{
    CorsPreflight, Credential, CredentialSource, Dns, DnsMode, HashBy, HealthProbe, LoadBalancing, OutlierDetection,
    Retry, RetryOn, UpstreamHttp2, UpstreamSettings,
};

use super::{Folder, GOOD, check};

/// Reads the settings of a route with these further keys.
fn settings(more: &str) -> UpstreamSettings {
    Folder::new(&format!("{GOOD}    {more}\n")).load().unwrap().proxy.routes.remove(0).upstream
}

/// Compares what is said of a route with a further key, without the source line.
fn refused(more: &str, expected: &str) {
    let problems = Folder::new(&format!("{GOOD}    {more}\n")).problems();
    let first = problems.lines().next().unwrap_or_default();
    assert_eq!(first, format!("portcullis.yaml:7:{expected}"), "for\n{more}");
}

#[test]
fn routes_have_the_upstream_defaults_of_the_proxy() {
    let route = Folder::new(GOOD).load().unwrap().proxy.routes.remove(0);
    assert_eq!(route.upstream, UpstreamSettings::default());
    assert_eq!(route.to[0].weight, 1);
}

#[test]
fn endpoints_may_have_weights() {
    let config = GOOD.replace("to: http://127.0.0.1:8080", "to: [{ url: http://a:1, weight: 9 }, http://b:2]");
    let route = Folder::new(&config).load().unwrap().proxy.routes.remove(0);
    let read: Vec<_> = route.to.iter().map(|to| (to.host.as_str(), to.port, to.weight)).collect();
    assert_eq!(read, [("a", 1, 9), ("b", 2, 1)]);
}

#[test]
fn endpoints_with_weights_are_checked_like_others() {
    check(
        &GOOD.replace("to: http://127.0.0.1:8080", "to: [{ url: http://a:1 }, { url: https://b:2 }]"),
        "portcullis.yaml:4:38: the endpoints of a route must have one scheme, and the first has `http`: split the route, or \
         change `https://b:2`\n  4 |     to: [{ url: http://a:1 }, { url: https://b:2 }]\n    |                                      ^^^^^^^^^^^",
    );
}

#[test]
fn strategies_are_read() {
    let strategy = |text: &str| settings(&format!("load_balancing: {text}")).load_balancing;
    assert_eq!(strategy("round_robin"), LoadBalancing::RoundRobin);
    assert_eq!(strategy("least_request"), LoadBalancing::LeastRequest);
    assert_eq!(strategy("random"), LoadBalancing::Random);
    assert_eq!(strategy("{ consistent_hash: user }"), LoadBalancing::ConsistentHash(HashBy::User));
    assert_eq!(strategy("{ consistent_hash: client_ip }"), LoadBalancing::ConsistentHash(HashBy::ClientAddress));
    let header = strategy("{ consistent_hash: header, header: X-Tenant }");
    assert_eq!(header, LoadBalancing::ConsistentHash(HashBy::Header(http::HeaderName::from_static("x-tenant"))));
}

#[test]
fn checks_are_read() {
    let read = settings("health_check: { path: /up?x=1, interval: 2s, jitter: off, panic_threshold: 50 }");
    assert_eq!(read.panic_threshold, 50);
    let check = read.health_check.unwrap();
    assert_eq!(check.probe, HealthProbe::Http { path: "/up?x=1".parse().unwrap(), host: None });
    assert_eq!((check.interval, check.jitter), (Duration::from_secs(2), Duration::ZERO));
    assert_eq!((check.timeout, check.healthy_threshold, check.unhealthy_threshold), (Duration::from_secs(3), 2, 3));
    let probe = |text: &str| settings(&format!("health_check: {text}")).health_check.unwrap().probe;
    assert_eq!(probe("{ type: tcp }"), HealthProbe::Tcp);
    assert_eq!(probe("{ type: grpc, service: a.B }"), HealthProbe::Grpc { service: "a.B".into() });
}

#[test]
fn outlier_detection_can_be_changed_and_turned_off() {
    assert_eq!(settings("outlier_detection: false").outlier_detection, None);
    assert_eq!(settings("outlier_detection: true").outlier_detection, Some(OutlierDetection::default()));
    let read = settings("outlier_detection: { consecutive_failures: 2 }").outlier_detection;
    assert_eq!(read, Some(OutlierDetection { consecutive_failures: 2, ..OutlierDetection::default() }));
}

#[test]
fn retries_are_read() {
    let read = settings("retry: { attempts: 3, on: [reset, 503, 504], per_try_timeout: 2s, budget: 5 }").retry;
    let on = vec![RetryOn::Reset, RetryOn::ServiceUnavailable, RetryOn::GatewayTimeout];
    assert_eq!(read, Retry { attempts: 3, on, per_try_timeout: Some(Duration::from_secs(2)), budget: 5 });
    assert_eq!(settings("retry: { attempts: 2 }").retry, Retry { attempts: 2, ..Retry::default() });
}

#[test]
fn settings_of_http2_are_read() {
    let read = settings("http2: { max_concurrent_streams: 10, keepalive_interval: off }").http2;
    let expected =
        UpstreamHttp2 { max_concurrent_streams: Some(10), keepalive_interval: None, ..UpstreamHttp2::default() };
    assert_eq!(read, expected);
    assert_eq!(settings("http2: { initial_stream_window_size: 1MiB }").http2.initial_stream_window_size, 1 << 20);
}

#[test]
fn name_resolution_is_a_word_or_a_mapping() {
    let read = |text: &str| settings(&format!("dns: {text}")).dns;
    assert_eq!(read("v4_only"), Dns { mode: DnsMode::V4Only, resolver: None });
    let resolver = Some("10.0.0.2:53".parse().unwrap());
    assert_eq!(read("{ mode: v4_preferred, resolver: 10.0.0.2:53 }"), Dns { mode: DnsMode::V4Preferred, resolver });
    assert_eq!(read("{ resolver: 10.0.0.2:53 }"), Dns { mode: DnsMode::Auto, resolver });
    refused("dns: v5", "10: `dns` cannot be `v5`: write one of `auto`, `v4_only`, `v6_only`, `v4_preferred`");
}

#[test]
fn credentials_are_read_and_never_shown() {
    let read = settings("credential: { header: X-Api-Key, value: '${env:SECRET}' }");
    let fixed = read.credential.clone().unwrap();
    assert_eq!(fixed.header.as_str(), "x-api-key");
    assert_eq!(fixed.source, CredentialSource::Fixed(Secret::new("hunter2".into())));
    let token = "credential: { oauth2: { token_url: https://idp.test/t, client_id: a, client_secret: '${env:SECRET}', \
                 scopes: [x], params: { audience: y }, client_authentication: client_secret_post } }";
    let token = settings(token);
    let Some(Credential { header, source: CredentialSource::Token(config) }) = &token.credential else {
        panic!("no token");
    };
    assert_eq!(
        (header.as_str(), config.token_url.as_str(), config.client_id.as_str()),
        ("authorization", "https://idp.test/t", "a")
    );
    assert_eq!(
        (&config.scopes[..], &config.params[..]),
        (&["x".to_owned()][..], &[("audience".to_owned(), "y".to_owned())][..])
    );
    assert_eq!(config.client_authentication, ClientAuthentication::Post);
    assert!(!format!("{read:?}{token:?}").contains("hunter2"));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    refused(
        "load_balancing: { consistent_hash: header }",
        "40: `consistent_hash: header` needs the name of the header: add `header`",
    );
    refused(
        "load_balancing: { consistent_hash: user, header: x-a }",
        "54: `header` goes with `consistent_hash: header`: write that, or remove it",
    );
    refused(
        "load_balancing: fastest",
        "21: `load_balancing` cannot be `fastest`: write one of `round_robin`, `least_request`, `random`",
    );
    refused("load_balancing: [random]", "21: `load_balancing` must be a text or a mapping, not a list");
    refused("health_check: { type: tcp, path: /up }", "38: `path` goes with `type: http`: write that, or remove it");
    refused("health_check: { service: a.B }", "30: `service` goes with `type: grpc`: write that, or remove it");
    refused(
        "health_check: { path: up }",
        "27: `path`: `up` is no path: start it with `/`, and escape blanks and what is not ASCII",
    );
    refused("credential: { header: x-a }", "17: `credential` has nothing to add: write `value` or `oauth2`");
    refused(
        "credential: { header: x-forwarded-for, value: a }",
        "17: `credential` cannot set `x-forwarded-for`, which Portcullis sets itself: choose another header",
    );
    refused(
        "credential: { oauth2: { token_url: http://idp.test/t, client_id: a, client_secret: b } }",
        "40: `token_url`: `http://idp.test/t` is a URL that is not asked over TLS: write `https://host/path`",
    );
    refused(
        "retry: { per_try_timeout: 1s }",
        "31: `per_try_timeout` ends a try with 504, after which nothing is tried: add `504` to `on`",
    );
    refused(
        "retry: { on: [timeout] }",
        "19: `on[0]` cannot be `timeout`: write one of `connect-failure`, `refused-stream`, `reset`, `502`, `503`, `504`",
    );
    refused("retry: { attempts: 11 }", "24: `attempts` must be a whole number from 0 to 10, not `11`");
    refused(
        "http2: { initial_stream_window_size: 1KiB }",
        "42: `initial_stream_window_size` must be from 65536 to 1073741824 bytes, not `1KiB`",
    );
    refused(
        "outlier_detection: { max_ejection_time: 1s }",
        "45: `max_ejection_time` is shorter than `ejection_time`: raise it, or lower the other",
    );
}

#[test]
fn preflights_pass_where_the_route_says_so_and_never_with_a_credential() {
    let read = |config: &str| Folder::new(config).load().unwrap().proxy.routes.remove(0).cors_preflight;
    assert_eq!(read(GOOD), CorsPreflight::Deny);
    let passing = format!("{GOOD}    cors_preflight: pass\n");
    assert_eq!(read(&passing), CorsPreflight::Pass);
    assert_eq!(read(&format!("{GOOD}defaults: {{ cors_preflight: pass }}\n")), CorsPreflight::Pass);
    refused("cors_preflight: allow", "21: `cors_preflight` cannot be `allow`: write one of `deny`, `pass`");
    check(
        &format!("{passing}    credential: {{ header: x-key, value: secret }}\n"),
        // The line that holds a secret is not shown.
        "portcullis.yaml:8:17: `cors_preflight: pass` would let anybody use this `credential`: write `cors_preflight: deny` at \
         the route",
    );
}
