//! What is used where nothing is written.

use std::time::Duration;

use authenticate::{ClaimNames, SessionConfig, StoreLocation};
use proxy::{EncodedSlashes, HostHeader, Path, UpstreamProtocol, UpstreamTls, WebSockets};

use super::{Folder, GOOD, load_with};

#[test]
fn listeners_have_the_defaults_of_the_proxy() {
    let config = Folder::new(GOOD).load().unwrap();
    let listener = &config.listeners[0];
    assert_eq!(listener.name, "127.0.0.1:0");
    assert!(listener.tls.is_none() && !listener.http_redirect && listener.trusted_proxies.is_empty());
    assert_eq!(listener.forwarded_header, proxy::ForwardedHeader::XForwardedFor);
    // `Debug` compares every field, also those that come later.
    assert_eq!(format!("{:?}", listener.http2), format!("{:?}", proxy::Http2::default()));
    assert_eq!(format!("{:?}", listener.limits), format!("{:?}", proxy::Limits::default()));
}

#[test]
fn routes_have_the_defaults_of_the_proxy() {
    let config = Folder::new(GOOD).load().unwrap();
    let route = &config.proxy.routes[0];
    assert_eq!((route.name.as_str(), route.port), ("app.example.com", 80));
    assert!(matches!(route.path, Path::Any) && route.methods.is_empty() && route.provider.is_none());
    assert_eq!(route.upstream_protocol, UpstreamProtocol::FromScheme);
    assert_eq!(route.upstream_tls, UpstreamTls::default());
    assert_eq!(route.host_header, HostHeader::Upstream);
    assert_eq!(route.timeouts, proxy::Timeouts::default());
    assert_eq!(route.encoded_slashes, EncodedSlashes::Auto);
    assert_eq!(route.websockets, WebSockets::SameOrigin);
    let identity = route.identity.as_ref().unwrap();
    assert_eq!(identity.assertion_header.as_str(), "x-portcullis-jwt-assertion");
    assert!(identity.headers.is_empty());
}

#[test]
fn sections_that_are_missing_have_their_defaults() {
    let folder = Folder::new(GOOD);
    let config = folder.load().unwrap();
    // The name of the host, whatever that is here.
    let instance = config.audit.instance.clone();
    let expected = audit::Config { dir: folder.path().join("audit"), instance, ..audit::Config::default() };
    assert_eq!(format!("{:?}", config.audit), format!("{expected:?}"));
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9901");
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    assert_eq!(*config.look.branding(), pages::Branding::default());
    assert!(config.sign_in.is_none());
}

#[test]
fn sign_in_has_its_defaults() {
    let folder = Folder::new(&format!(
        "{GOOD}authenticate:\n  url: https://auth.test\n  providers: [{{ id: corp, issuer: https://idp.test, client_id: a }}]\n"
    ));
    let sign_in = folder.load().unwrap().sign_in.unwrap();
    let provider = &sign_in.config.providers[0];
    assert_eq!(provider.name, "corp");
    assert_eq!(provider.scopes, None);
    assert_eq!(provider.claims, ClaimNames::default());
    assert!(provider.require_verified_email && provider.client_secret.is_none() && provider.ca_file.is_none());
    assert!(provider.allowed_email_domains.is_empty() && provider.extra_params.is_empty());
    assert_eq!(format!("{:?}", sign_in.config.session), format!("{:?}", SessionConfig::default()));
    assert_eq!(sign_in.store, StoreLocation::File(folder.path().join("portcullis.db")));
    assert!(sign_in.keys.seal.is_empty() && sign_in.keys.signing.is_empty());
}

#[test]
fn a_route_inherits_what_it_does_not_write() {
    let config = Folder::new(&format!(
        "{GOOD}    timeout: {{ connect: 1s }}\ndefaults: {{ timeout: {{ connect: 2s, idle: off }}, preserve_host: true }}\n"
    ))
    .load()
    .unwrap();
    let route = &config.proxy.routes[0];
    assert_eq!(route.timeouts.connect, Duration::from_secs(1));
    assert_eq!(route.timeouts.idle, None);
    assert_eq!(route.timeouts.response_headers, Some(Duration::from_secs(60)));
    assert_eq!(route.host_header, HostHeader::Preserve);
}

#[test]
fn a_revision_names_the_text_of_every_file() {
    let folder = Folder::new(&format!("{GOOD}policy_files: [p.yaml]\n")).with("p.yaml", "policies: []\n");
    let revision = || folder.load().unwrap().proxy.revision;
    let first = revision();
    assert_eq!(first.len(), 16);
    assert_eq!(revision(), first);
    let text = std::fs::read(folder.path().join("portcullis.yaml")).unwrap();
    folder.write("new.yaml", text);
    let new = load_with(&folder.path().join("new.yaml"), &|_| None).unwrap();
    assert_eq!(new.proxy.revision, first);
    folder.write("p.yaml", "policies: [] # changed\n");
    assert_ne!(revision(), first);
}
