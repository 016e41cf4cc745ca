//! `routes[]` and `defaults`.

use super::rewrite::{HEADER_EDITS, REDIRECT, REGEX_REWRITE, RESPOND};
use super::upstream::{CREDENTIAL, DNS, DNS_MODES, HASHING, HEALTH_CHECK, HTTP2, OUTLIER_DETECTION, RETRY, TARGET};
use super::{Format, Key, Kind, Presence, Section, key, list, one_or_many};

/// One route.
pub(crate) const ROUTE: Section = Section {
    doc: "A route from an external URL to upstream endpoints, with its policy.",
    keys: &[
        key(
            "name",
            Kind::Format(Format::Name),
            Presence::Optional("host and path of `from`"),
            "Identifies the route in audit, metrics and policies.",
        ),
        key(
            "from",
            Kind::Format(Format::From),
            Presence::Required,
            "`scheme://host[:port]`, with `http`, `https`, `tls` (below) or `tcp+https` (below); `*.example.com` stands for \
             one label, and an exact host goes first.",
        ),
        key("path", Kind::Format(Format::Path), Presence::Optional("any path"), "This path only."),
        key(
            "prefix",
            Kind::Format(Format::Path),
            Presence::Optional("any path"),
            "This path and those below it: `/app` matches `/app` and `/app/x`, not `/apple`.",
        ),
        key("regex", Kind::Format(Format::Regex), Presence::Optional("any path"), "Paths that match as a whole."),
        key(
            "methods",
            list(&Kind::Format(Format::Method)),
            Presence::Default("[]"),
            "Only these methods; empty for any.",
        ),
        key(
            "to",
            one_or_many(&Kind::ScalarOr(&Kind::Format(Format::Endpoint), &TARGET)),
            Presence::Optional("required, or `redirect` or `respond`"),
            "One or more of `http://`, `https://` or `h2c://host:port`, or `unix:///path/to.sock`, all of one scheme; a \
             list may hold mappings of `url` and `weight`. `tcp://host:port` for a `from` with `tcp+https://` or `tls://`.",
        ),
        UPSTREAM_PROTOCOL,
        key(
            "policy",
            one_or_many(&Kind::Text),
            Presence::Default("[]"),
            "Named policies of the policy files, one or a list.",
        ),
        key(
            "allow",
            Kind::Rules,
            Presence::Default("[]"),
            "Rules of which one must hold; with none, everybody is denied.",
        ),
        key("deny", Kind::Rules, Presence::Default("[]"), "Rules of which none may hold."),
        AUTHENTICATION,
        PROVIDER,
        STEP_UP_KEY,
        key(
            "host_rewrite",
            Kind::Format(Format::Authority),
            Presence::Optional("the upstream's host"),
            "The `Host` sent upstream.",
        ),
        PRESERVE_HOST,
        key(
            "prefix_rewrite",
            Kind::Format(Format::RewrittenPath),
            Presence::Optional("the path that was asked for"),
            "What is sent upstream instead of `prefix`; in front of the path where there is none.",
        ),
        key(
            "regex_rewrite",
            Kind::Section(&REGEX_REWRITE),
            Presence::Optional("the path that was asked for"),
            "Makes another path of the one that was asked for.",
        ),
        key(
            "redirect",
            Kind::Section(&REDIRECT),
            Presence::Optional("`to` answers"),
            "Answers with another URL; behind the policy.",
        ),
        key(
            "respond",
            Kind::Section(&RESPOND),
            Presence::Optional("`to` answers"),
            "Answers with a text; behind the policy.",
        ),
        REQUEST_HEADERS,
        RESPONSE_HEADERS,
        IDENTITY,
        TIMEOUT,
        LOAD_BALANCING,
        HEALTH_CHECKS,
        OUTLIERS,
        RETRIES,
        UPSTREAM_HTTP2,
        CREDENTIALS,
        NAMES,
        UPSTREAM_TLS,
        ENCODED_SLASHES,
        CORS_PREFLIGHT,
        WEBSOCKETS,
        MAX_REQUEST_BODY,
        RATE_LIMIT_KEY,
        key(
            "mode",
            Kind::Choice(&["enforce", "shadow"]),
            Presence::Default("enforce"),
            "Whether refusals of the policy are enforced; `shadow` records them and lets through, never without sign-in.",
        ),
    ],
};

/// What routes inherit. Rules and paths are left out: who may enter is written at the route, or in `guard`.
pub(crate) const DEFAULTS: Section = Section {
    doc: "Route keys that every route inherits.",
    keys: &[
        UPSTREAM_PROTOCOL,
        AUTHENTICATION,
        PROVIDER,
        STEP_UP_KEY,
        PRESERVE_HOST,
        REQUEST_HEADERS,
        RESPONSE_HEADERS,
        IDENTITY,
        TIMEOUT,
        LOAD_BALANCING,
        HEALTH_CHECKS,
        OUTLIERS,
        RETRIES,
        UPSTREAM_HTTP2,
        NAMES,
        UPSTREAM_TLS,
        ENCODED_SLASHES,
        CORS_PREFLIGHT,
        WEBSOCKETS,
        MAX_REQUEST_BODY,
        RATE_LIMIT_KEY,
    ],
};

const UPSTREAM_PROTOCOL: Key = key(
    "upstream_protocol",
    Kind::Choice(&["http1", "http2", "h2c", "http3", "auto"]),
    Presence::Optional("HTTP/1.1 for `http` and `unix`, HTTP/2 for `h2c`, ALPN for `https`"),
    "Speaks only this: `http1`, `http2` (over TLS), `h2c` (HTTP/2 without TLS) or `http3` (over QUIC, below); `auto` \
     finds out (below).",
);

const AUTHENTICATION: Key = key(
    "authenticate",
    Kind::Choice(&["required", "optional", "none"]),
    Presence::Default("required"),
    "Whether somebody must have signed in; the policy is decided in all three.",
);

const PROVIDER: Key =
    key("provider", Kind::Text, Presence::Optional("any"), "The id of the provider that must have signed the user in.");

const STEP_UP_KEY: Key = key(
    "step_up",
    Kind::Section(&STEP_UP),
    Presence::Optional("any sign-in"),
    "How recent and how strong the sign-in must be; who falls short is sent to sign in again (below).",
);

const PRESERVE_HOST: Key =
    key("preserve_host", Kind::Flag, Presence::Default("false"), "Sends the `Host` that was asked for upstream.");

const IDENTITY: Key = key(
    "identity",
    Kind::FlagOr(&IDENTITY_HEADERS),
    Presence::Default("true"),
    "What the upstream is told of the user; `false` tells it nothing.",
);

const TIMEOUT: Key = key("timeout", Kind::Section(&TIMEOUTS), Presence::Optional("its defaults"), "Time limits.");

const LOAD_BALANCING: Key = key(
    "load_balancing",
    Kind::ScalarOr(&Kind::Choice(&["round_robin", "least_request", "random"]), &HASHING),
    Presence::Default("round_robin"),
    "How an endpoint is chosen: each in turn, the one with the fewest open requests, by chance, or the same for the same \
     caller (`consistent_hash`); all by weight.",
);

const HEALTH_CHECKS: Key = key(
    "health_check",
    Kind::Section(&HEALTH_CHECK),
    Presence::Optional("no checks"),
    "Asks each endpoint by itself whether it works.",
);

const OUTLIERS: Key = key(
    "outlier_detection",
    Kind::FlagOr(&OUTLIER_DETECTION),
    Presence::Default("true"),
    "Leaves out endpoints that fail requests, never the last half of them.",
);

const REQUEST_HEADERS: Key = key(
    "request_headers",
    Kind::Section(&HEADER_EDITS),
    Presence::Optional("no changes"),
    "Changes to the headers sent upstream.",
);

const RESPONSE_HEADERS: Key = key(
    "response_headers",
    Kind::Section(&HEADER_EDITS),
    Presence::Optional("no changes"),
    "Changes to the headers that an upstream answers with.",
);

const RETRIES: Key =
    key("retry", Kind::Section(&RETRY), Presence::Optional("its defaults"), "When a request is tried again.");

const CREDENTIALS: Key = key(
    "credential",
    Kind::Section(&CREDENTIAL),
    Presence::Optional("none"),
    "What Portcullis adds so that the upstream takes a request: a header, or a token that it fetches.",
);

const NAMES: Key = key(
    "dns",
    Kind::ScalarOr(&DNS_MODES, &DNS),
    Presence::Default("auto"),
    "Which addresses of an endpoint's name are used: all, one family only, or IPv4 before IPv6.",
);

const UPSTREAM_HTTP2: Key =
    key("http2", Kind::Section(&HTTP2), Presence::Optional("its defaults"), "Connections of HTTP/2 to the endpoints.");

const UPSTREAM_TLS: Key = key(
    "upstream_tls",
    Kind::Section(&TLS),
    Presence::Optional("the system's authorities"),
    "TLS towards `https` upstreams.",
);

const ENCODED_SLASHES: Key = key(
    "encoded_slashes",
    Kind::Choice(&["reject", "keep"]),
    Presence::Optional("400 where a path decides something on that host, else kept"),
    "What happens to `%2f` and `%5c` in a path.",
);

const CORS_PREFLIGHT: Key = key(
    "cors_preflight",
    Kind::Choice(&["deny", "pass"]),
    Presence::Default("deny"),
    "Whether a CORS preflight goes to the upstream without an allow rule (below).",
);

const WEBSOCKETS: Key = key(
    "websockets",
    Kind::ChoiceOr(&["same-origin", "any", "off"], &list(&Kind::Format(Format::Origin))),
    Presence::Default("same-origin"),
    "Which pages may open WebSockets: the route's own, any, none, or those of a list of origins.",
);

const MAX_REQUEST_BODY: Key = key(
    "max_request_body",
    Kind::Format(Format::Size),
    Presence::Optional("no limit"),
    "Bytes of a request's body; more get 413, counted as they come.",
);

const RATE_LIMIT_KEY: Key = key(
    "rate_limit",
    Kind::Section(&RATE_LIMIT),
    Presence::Optional("no limit"),
    "How many requests one user or address may make; more get 429 with `Retry-After`.",
);

pub(crate) const STEP_UP: Section = Section {
    doc: "How recent and how strong the sign-in must be.",
    keys: &[
        key(
            "max_auth_age",
            Kind::Format(Format::Duration),
            Presence::Optional("any age"),
            "How long ago the user may have proved who they are (`auth_time`); at least a second.",
        ),
        key(
            "acr_values",
            list(&Kind::Format(Format::Acr)),
            Presence::Default("[]"),
            "The sign-in must have been in one of these ways (`acr`); the provider names them. Empty for any.",
        ),
    ],
};

pub(crate) const RATE_LIMIT: Section = Section {
    doc: "How many requests one user or address may make.",
    keys: &[
        key(
            "requests",
            Kind::Count(1, 10_000_000),
            Presence::Required,
            "How many requests; all of them may come at once.",
        ),
        key("period", Kind::Format(Format::Duration), Presence::Default("1m"), "In so long; refilled evenly."),
        key(
            "by",
            Kind::Choice(&["user", "client_ip", "both"]),
            Presence::Default("user"),
            "Whose requests are counted together: those of a user (of an address where nobody has signed in), of an \
             address (IPv6: /64), or each of the two.",
        ),
    ],
};

pub(crate) const IDENTITY_HEADERS: Section = Section {
    doc: "How the upstream is told of the user.",
    keys: &[
        key(
            "assertion_header",
            Kind::Format(Format::HeaderName),
            Presence::Default("x-portcullis-jwt-assertion"),
            "The header of the signed assertion.",
        ),
        key(
            "headers",
            Kind::Table(&Kind::Text),
            Presence::Default("{}"),
            "Claims as plain headers, such as `X-Forwarded-Email: email`: `id`, `email`, `name`, `groups` (a JSON \
             list), or `claims.PATH`.",
        ),
    ],
};

pub(crate) const TIMEOUTS: Section = Section {
    doc: "Time limits of a route.",
    keys: &[
        key("connect", Kind::Format(Format::Duration), Presence::Default("5s"), "TCP and TLS to the upstream."),
        key(
            "response_headers",
            Kind::Format(Format::DurationOrOff),
            Presence::Default("60s"),
            "From the end of the request to the response's headers; never for gRPC.",
        ),
        key(
            "idle",
            Kind::Format(Format::DurationOrOff),
            Presence::Default("5m"),
            "Without a byte in either direction; never for WebSocket, gRPC and server-sent events, and for tunnels only \
             where it is written at their route.",
        ),
        key("total", Kind::Format(Format::DurationOrOff), Presence::Default("off"), "The whole exchange."),
    ],
};

pub(crate) const TLS: Section = Section {
    doc: "TLS towards an upstream.",
    keys: &[
        key(
            "ca_file",
            Kind::Format(Format::Certificates),
            Presence::Optional("the system's authorities"),
            "The authorities believed, as PEM.",
        ),
        key(
            "client_cert_file",
            Kind::Format(Format::Certificates),
            Presence::Optional("no client certificate"),
            "Our certificate chain as PEM.",
        ),
        key(
            "client_key_file",
            Kind::Format(Format::PrivateKey),
            Presence::Optional("no client certificate"),
            "Its private key as PEM.",
        ),
        key(
            "server_name",
            Kind::Format(Format::ServerName),
            Presence::Optional("the endpoint's host"),
            "SNI and the name that is verified.",
        ),
        key(
            "insecure_skip_verify",
            Kind::Flag,
            Presence::Default("false"),
            "Believes any certificate; warned about at every load.",
        ),
    ],
};
