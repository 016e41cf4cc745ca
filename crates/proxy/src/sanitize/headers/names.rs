//! The names of headers that do not pass. `docs/routing.md` lists them for operators; a test compares.

/// Meant for one connection (RFC 9110 §7.6.1).
pub(super) const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Headers that carry the message itself. `Connection` cannot remove them, and no other spelling of them passes.
pub(super) const FRAMING: [&str; 2] = ["content-length", "host"];

/// Headers that say who asks. They were looked at in the head, and in a trailer nobody would look at them again.
pub(super) const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];

/// Headers of cookies; an app that could write them could write ours.
pub(super) const COOKIES: [&str; 2] = ["cookie", "set-cookie"];

/// Headers by which proxies tell apps who is calling, from where and for what: only we say so.
pub(super) const SPOOFABLE: [&str; 33] = [
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    // CGI turns it into `HTTP_PROXY`, which libraries obey (httpoxy).
    "proxy",
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "true-client-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-goog-authenticated-user-email",
    "x-goog-authenticated-user-id",
    "x-goog-iap-jwt-assertion",
    // An app that obeys these acts on another method than the one that was decided.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-host",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-remote-groups",
    "x-remote-user",
    "x-request-id",
    "x-rewrite-url",
    "x-ssl-client-cert",
    "x-webauth-user",
];

/// Beginnings of further such names.
pub(super) const FAMILIES: [&str; 6] =
    ["cf-", "x-auth-request-", "x-envoy-", "x-forwarded-", "x-pomerium-", "x-portcullis-"];
