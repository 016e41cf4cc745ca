//! Tests of routing: precedence, hosts, methods, and that no spelling of a path finds a looser route.

use http::Uri;
use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::sanitize::target;
use crate::{
    Authentication, CorsPreflight, Endpoint, EndpointScheme, HostHeader, Path, Rewrites, Route, Timeouts,
    UpstreamProtocol, UpstreamSettings, UpstreamTls, WebSockets,
};

fn route(name: &str, host: &str, path: Path) -> Route {
    let host = match host.strip_prefix("*.") {
        Some(suffix) => Host::Wildcard(suffix.into()),
        None => Host::Exact(host.into()),
    };
    Route {
        name: name.into(),
        scheme: Scheme::Https,
        host,
        port: 443,
        tunnel: None,
        path,
        methods: Vec::new(),
        to: vec![Endpoint { scheme: EndpointScheme::Http, host: "upstream".into(), port: 80, weight: 1 }],
        upstream_protocol: UpstreamProtocol::FromScheme,
        upstream_tls: UpstreamTls::default(),
        upstream: UpstreamSettings::default(),
        host_header: HostHeader::Upstream,
        authenticate: Authentication::Required,
        provider: None,
        step_up: None,
        identity: None,
        timeouts: Timeouts::default(),
        encoded_slashes: EncodedSlashes::Auto,
        cors_preflight: CorsPreflight::Deny,
        websockets: WebSockets::SameOrigin,
        max_request_body: None,
        rate_limit: None,
        rewrites: Rewrites::default(),
    }
}

fn any(name: &str) -> Route {
    route(name, "app.example", Path::Any)
}

fn exact(path: &str) -> Route {
    route(path, "app.example", Path::Exact(path.into()))
}

fn prefix(path: &str) -> Route {
    route(path, "app.example", Path::Prefix(path.into()))
}

fn regex(pattern: &str) -> Route {
    route(pattern, "app.example", Path::Regex(Regex::new(pattern).unwrap()))
}

fn taking(methods: &[&str], route: Route) -> Route {
    Route { methods: methods.iter().map(|method| (*method).into()).collect(), ..route }
}

fn slashes(encoded_slashes: EncodedSlashes, route: Route) -> Route {
    Route { encoded_slashes, ..route }
}

/// Answers with the name of the route, the methods after `405`, or the code of a refusal.
fn ask(routes: &[Route], method: &str, host: &str, path: &str) -> String {
    let table = Table::build(routes, |_| false).unwrap();
    let Some(host) = table.host(Scheme::Https, host) else { return "no-host".into() };
    let uri: Uri = path.parse().unwrap();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let found = target(&method, &uri, host.strictness()).and_then(|target| {
        Ok(match host.find(&target, &method)? {
            Match::Route(index) => routes[index].name.clone(),
            Match::MethodNotAllowed(allow) => format!("405 {}", allow.to_header()),
            Match::NotFound => "404".into(),
        })
    });
    found.unwrap_or_else(|refusal| refusal.code.into())
}

fn check(routes: &[Route], cases: &[(&str, &str)]) {
    for (path, expected) in cases {
        assert_eq!(ask(routes, "GET", "app.example", path), *expected, "{path}");
    }
}

#[test]
fn an_exact_host_goes_before_a_wildcard_of_one_label() {
    let routes = [
        route("wild", "*.example", Path::Any),
        route("app", "app.example", Path::Prefix("/x".into())),
        route("deep", "*.app.example", Path::Any),
    ];
    let ask = |host: &str| ask(&routes, "GET", host, "/x");
    assert_eq!(ask("app.example"), "app");
    assert_eq!(ask("other.example"), "wild");
    assert_eq!(ask("a.app.example"), "deep");
    assert_eq!(ask("a.b.example"), "no-host");
    assert_eq!(ask("example"), "no-host");
    assert_eq!(ask(".example"), "no-host");
    assert_eq!(ask("other.test"), "no-host");
    // The exact host hides the wildcard, also where it has no path.
    assert_eq!(super::tests::ask(&routes, "GET", "app.example", "/y"), "404");
}

#[test]
fn the_scheme_is_part_of_the_host() {
    let table = Table::build(&[any("a")], |_| false).unwrap();
    assert!(table.host(Scheme::Https, "app.example").is_some());
    assert!(table.host(Scheme::Http, "app.example").is_none());
}

#[test]
fn a_prefix_matches_by_segment() {
    check(
        &[prefix("/app")],
        &[("/app", "/app"), ("/app/", "/app"), ("/app/x", "/app"), ("/apple", "404"), ("/", "404")],
    );
    check(&[prefix("/app/")], &[("/app", "/app/"), ("/app/x", "/app/"), ("/apple", "404")]);
    check(&[prefix("/")], &[("/", "/"), ("/x//y", "/")]);
}

#[test]
fn the_most_specific_path_goes_first() {
    let routes = [any("any"), prefix("/a"), prefix("/a/b"), regex("/a/b/.*"), regex("/a/b/[0-9]+"), exact("/a/b/7")];
    check(
        &routes,
        &[
            ("/a/b/7", "/a/b/7"),
            ("/a/b/8", "/a/b/[0-9]+"),
            ("/a/b/x", "/a/b/.*"),
            ("/a/b", "/a/b"),
            ("/a/c", "/a"),
            ("/ab", "any"),
            ("/", "any"),
        ],
    );
}

#[test]
fn a_regex_matches_as_a_whole_and_the_first_of_one_length_goes_first() {
    check(&[regex("/a|/b")], &[("/a", "/a|/b"), ("/b", "/a|/b"), ("/ab", "404"), ("/x/b", "404"), ("/a/x", "404")]);
    check(&[regex("/[a-c]"), regex("/[b-d]")], &[("/b", "/[a-c]"), ("/d", "/[b-d]")]);
    check(
        &[regex("/public.*")],
        &[("/secret?x=/public", "404"), ("/secret?/public", "404"), ("/public?x", "/public.*")],
    );
}

#[test]
fn a_method_never_falls_to_a_looser_route() {
    let routes = [any("any"), taking(&["GET", "HEAD"], prefix("/admin")), taking(&["POST", "GET"], prefix("/admin"))];
    let ask = |method: &str, path: &str| ask(&routes, method, "app.example", path);
    assert_eq!(ask("GET", "/admin"), "/admin");
    assert_eq!(ask("POST", "/admin"), "/admin");
    assert_eq!(ask("DELETE", "/admin"), "405 GET, HEAD, POST");
    assert_eq!(ask("get", "/admin"), "405 GET, HEAD, POST");
    assert_eq!(ask("DELETE", "/"), "any");
    assert_eq!(ask("BREW", "/"), "any");
}

#[test]
fn no_spelling_of_a_guarded_path_finds_a_looser_route() {
    let routes = [any("any"), prefix("/public"), prefix("/admin")];
    for path in [
        "/admin",
        "/%61dmin",
        "/a/../admin",
        "/a/%2e%2e/admin",
        "/./admin",
        "//admin",
        "/admin%2f",
        "/admin%5c",
        "/admin\\x",
        "/admin/.",
        "/admin;x=1",
        "/admin%3bx=1",
        "/admin;/..;/",
        "/public/../admin",
        "/public/..;/admin",
        "/public/;/../admin",
        "/public%2f..%2fadmin",
        "/public%5c..%5cadmin",
        "/public/..%2fadmin",
        "/public/%2e%2e/admin",
        "/public//..//admin",
        "/%61dmin/%2e",
        "/x%2f..%2fadmin",
    ] {
        let found = ask(&routes, "GET", "app.example", path);
        let refused = ["path-encoded-slash", "path-backslash", "path-parameters"].contains(&found.as_str());
        assert!(found == "/admin" || refused, "{path} found {found}");
    }
    check(&routes, &[("/%2561dmin", "any"), ("/evil//admin", "any")]);
}

#[test]
fn where_no_path_decides_slashes_pass() {
    check(&[any("any")], &[("/group%2Fproject", "any"), ("//a//b", "any"), ("/a\\b", "any"), ("/a%5cb", "any")]);
    let strict = Table::build(&[any("any")], |_| true).unwrap();
    assert_eq!(strict.host(Scheme::Https, "app.example").unwrap().strictness(), Strictness::Strict);
    let lenient = Table::build(&[any("any")], |_| false).unwrap();
    assert_eq!(lenient.host(Scheme::Https, "app.example").unwrap().strictness(), Strictness::Lenient);
}

#[test]
fn a_route_overrides_what_its_host_does_with_encoded_slashes() {
    check(
        &[slashes(EncodedSlashes::Reject, any("any"))],
        &[("/a%2fb", "path-encoded-slash"), ("/a\\b", "path-encoded-slash"), ("/a", "any")],
    );
    let routes = [any("any"), slashes(EncodedSlashes::Keep, prefix("/api")), prefix("/api/admin")];
    check(
        &routes,
        &[
            ("/api/queues/%2F/x", "/api"),
            ("/x%2fy", "path-encoded-slash"),
            // Read with separators, these have another route.
            ("/api%2fadmin", "path-encoded-slash"),
            ("/api/admin%2fx", "path-encoded-slash"),
            ("/api/%2fadmin", "path-encoded-slash"),
            ("/api/x%2f..%2fadmin", "path-encoded-slash"),
            ("/api/a%5c..%5c..%5cx", "path-encoded-slash"),
        ],
    );
}

#[test]
fn routes_that_can_never_match_do_not_load() {
    let problems = |routes: &[Route]| {
        let errors = Table::build(routes, |_| false).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let never = |routes: &[Route]| assert!(problems(routes)[0].contains("can never match"), "{:?}", problems(routes));
    never(&[any("a"), any("b")]);
    never(&[any("a"), prefix("/")]);
    never(&[prefix("/x"), prefix("/x/")]);
    never(&[prefix("/x"), taking(&["GET"], prefix("/x"))]);
    never(&[taking(&["GET", "PUT"], exact("/x")), taking(&["PUT"], exact("/%78"))]);
    never(&[regex("/x.*"), regex("/x.*")]);
    assert_eq!(problems(&[taking(&["GET"], exact("/x")), exact("/x"), prefix("/x"), any("b")]), [""; 0]);
    assert_eq!(problems(&[any("a"), Route { scheme: Scheme::Http, ..any("b") }]), [""; 0]);
    assert_eq!(problems(&[any("a"), any("b"), any("c")]).len(), 2);
}

#[test]
fn paths_that_no_request_has_do_not_load() {
    for path in [
        "x",
        "",
        "/a%2fb",
        "/a\\b",
        "/a;b",
        "/%",
        "/%00",
        "/.portcullis",
        "/.portcullis/x",
        "/.well-known/portcullis/jwks.json",
    ] {
        let error = Table::build(&[exact(path)], |_| false).unwrap_err();
        assert!(matches!(&error[..], [BuildError::UnusablePath { .. }]), "{path}");
    }
    check(
        &[prefix("/.portcullisx"), prefix("/caf%c3%a9"), exact("/b")],
        &[("/.portcullisx", "/.portcullisx"), ("/café/x", "/caf%c3%a9"), ("/%62", "/b")],
    );
}

#[test]
fn many_hosts_do_not_change_the_answer() {
    let mut routes: Vec<_> =
        (0..10_000).map(|n| route(&format!("r{n}"), &format!("h{n}.example"), Path::Any)).collect();
    routes.push(any("app"));
    check(&routes, &[("/", "app")]);
    assert_eq!(ask(&routes, "GET", "h9999.example", "/x"), "r9999");
}

proptest! {
    /// Whatever a request looks like: an app that undoes every escape of what it is sent, takes parameters off and resolves
    /// dots must not find itself in `/admin` by another route.
    #[test]
    fn no_path_reaches_a_guarded_place_by_another_route(pieces in prop::collection::vec(prop::sample::select(vec![
        "/", "//", ".", "..", "%2e", "%2f", "%5C", "\\", ";", "%3b", "admin", "%61dmin", "public", "x",
    ]), 0..12)) {
        let routes = [any("any"), slashes(EncodedSlashes::Keep, prefix("/public")), prefix("/admin")];
        let path = format!("/{}", pieces.concat());
        let found = ask(&routes, "GET", "app.example", &path);
        if found == "any" || found == "/public" {
            let uri: Uri = path.parse().unwrap();
            let sent = target(&Method::GET, &uri, Strictness::Strict).unwrap().to_path_and_query().unwrap();
            prop_assert_ne!(read_like_an_app(sent.path()), Some("admin".to_owned()), "{} is sent as {}", path, sent);
        }
    }
}

/// Returns the first segment as the most forgiving of apps sees it.
fn read_like_an_app(path: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().unwrap().replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/').map(|segment| segment.split(';').next().unwrap()) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    segments.first().map(|&segment| segment.to_owned())
}
