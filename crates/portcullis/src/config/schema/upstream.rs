//! What routes say of their endpoints: which are chosen, and how they are watched.

use super::{Format, Kind, Presence, Section, key, list};

pub(crate) const TARGET: Section = Section {
    doc: "An upstream endpoint with its share of the requests.",
    keys: &[
        key("url", Kind::Format(Format::Endpoint), Presence::Required, "The endpoint."),
        key(
            "weight",
            Kind::Count(1, 100),
            Presence::Default("1"),
            "Its share of the requests beside those of the other endpoints.",
        ),
    ],
};

pub(crate) const HASHING: Section = Section {
    doc: "Keeps a caller at one endpoint.",
    keys: &[
        key(
            "consistent_hash",
            Kind::Choice(&["user", "client_ip", "header"]),
            Presence::Required,
            "What requests that belong together have in common; the client's address where a request does not have it.",
        ),
        key(
            "header",
            Kind::Format(Format::HeaderName),
            Presence::Optional("required with `consistent_hash: header`"),
            "The header whose value is meant.",
        ),
    ],
};

pub(crate) const HEALTH_CHECK: Section = Section {
    doc: "Asks each endpoint by itself whether it works.",
    keys: &[
        key(
            "type",
            Kind::Choice(&["http", "tcp", "grpc"]),
            Presence::Default("http"),
            "`http` sends a GET and wants 200 to 399, `tcp` connects (and, on `https`, shakes hands), `grpc` calls \
             `grpc.health.v1.Health/Check` and wants `SERVING`.",
        ),
        key("path", Kind::Format(Format::RequestTarget), Presence::Default("/"), "Path and query of `http` checks."),
        key(
            "host",
            Kind::Format(Format::Authority),
            Presence::Optional("the endpoint's host"),
            "`Host` of `http` checks.",
        ),
        key(
            "service",
            Kind::Text,
            Presence::Optional("the server as a whole"),
            "The service that `grpc` checks ask about.",
        ),
        key(
            "interval",
            Kind::Format(Format::Duration),
            Presence::Default("10s"),
            "From the end of one check to the next.",
        ),
        key(
            "jitter",
            Kind::Format(Format::DurationOrOff),
            Presence::Default("1s"),
            "At most this is added to the interval, by chance, so that instances do not check all at once.",
        ),
        key(
            "timeout",
            Kind::Format(Format::Duration),
            Presence::Default("3s"),
            "A check that takes longer has failed.",
        ),
        key(
            "unhealthy_threshold",
            Kind::Count(1, 100),
            Presence::Default("3"),
            "So many failed checks in a row take an endpoint out.",
        ),
        key(
            "healthy_threshold",
            Kind::Count(1, 100),
            Presence::Default("2"),
            "So many good checks in a row bring it back.",
        ),
        key(
            "panic_threshold",
            Kind::Count(0, 100),
            Presence::Default("0"),
            "Below this share of healthy endpoints, in per cent, all get requests as if none were checked; 0 for never.",
        ),
    ],
};

pub(crate) const OUTLIER_DETECTION: Section = Section {
    doc: "Leaves out endpoints that fail requests.",
    keys: &[
        key(
            "consecutive_failures",
            Kind::Count(1, 1000),
            Presence::Default("5"),
            "Failures in a row that eject an endpoint: no connection, a connection that breaks off, no answer in time, \
             502, 503, 504, or gRPC status 14. A stream that was refused unseen is none.",
        ),
        key(
            "ejection_time",
            Kind::Format(Format::Duration),
            Presence::Default("30s"),
            "How long the first ejection lasts; the second lasts twice as long, and so on.",
        ),
        key(
            "max_ejection_time",
            Kind::Format(Format::Duration),
            Presence::Default("5m"),
            "The longest that one lasts; an endpoint that did well for so long begins anew.",
        ),
    ],
};

pub(crate) const RETRY: Section = Section {
    doc: "When a request is tried again.",
    keys: &[
        key("attempts", Kind::Count(0, 10), Presence::Default("1"), "How often a request is tried again."),
        key(
            "on",
            list(&Kind::Choice(&["connect-failure", "refused-stream", "reset", "502", "503", "504"])),
            Presence::Default("[connect-failure]"),
            "After what: no connection to any endpoint, an HTTP/2 stream that was refused unseen, a connection that broke \
             off before the answer, or these answers.",
        ),
        key(
            "per_try_timeout",
            Kind::Format(Format::DurationOrOff),
            Presence::Default("off"),
            "A try without response headers by then has failed with 504; only for requests that can be tried again.",
        ),
        key(
            "budget",
            Kind::Count(0, 100),
            Presence::Default("20"),
            "Tries again for a hundred requests, besides two a second and twenty at once; 0 for none.",
        ),
    ],
};

pub(crate) const HTTP2: Section = Section {
    doc: "Connections of HTTP/2 to the endpoints.",
    keys: &[
        key(
            "initial_stream_window_size",
            Kind::Format(Format::Size),
            Presence::Default("256KiB"),
            "Bytes that an endpoint may send on a stream before they are read; 64KiB to 1GiB.",
        ),
        key(
            "initial_connection_window_size",
            Kind::Format(Format::Size),
            Presence::Default("256MiB"),
            "Bytes that an endpoint may send on a connection before they are read; wide, so that one stalled gRPC stream \
             of small messages does not end the connection of others.",
        ),
        key(
            "max_concurrent_streams",
            Kind::Count(1, 1_000_000),
            Presence::Optional("what the endpoint allows"),
            "Requests that share a connection; further connections are opened for more, as where the endpoint allows fewer.",
        ),
        key(
            "keepalive_interval",
            Kind::Format(Format::DurationOrOff),
            Presence::Default("310s"),
            "How often a connection with open requests is pinged; an answer may take 20s. gRPC servers end connections that \
             ask more often than every five minutes.",
        ),
    ],
};

pub(crate) const CREDENTIAL: Section = Section {
    doc: "What Portcullis adds so that the upstream takes a request.",
    keys: &[
        key(
            "header",
            Kind::Format(Format::HeaderName),
            Presence::Default("authorization"),
            "The header that carries it; what a client sends by that name goes.",
        ),
        key("value", Kind::Secret, Presence::Optional("required, or `oauth2`"), "The value of the header."),
        key(
            "oauth2",
            Kind::Section(&OAUTH2),
            Presence::Optional("required, or `value`"),
            "A token that is fetched by the client credentials grant; sent as `Bearer`.",
        ),
    ],
};

pub(crate) const OAUTH2: Section = Section {
    doc: "The client credentials grant of OAuth 2.0.",
    keys: &[
        key("token_url", Kind::Format(Format::HttpsUrl), Presence::Required, "The token endpoint."),
        key("client_id", Kind::Text, Presence::Required, "The client id that the provider gave."),
        key(
            "client_secret",
            Kind::Secret,
            Presence::Required,
            "The client secret; write `${env:NAME}` or `${file:PATH}`.",
        ),
        key("scopes", list(&Kind::Text), Presence::Default("[]"), "What is asked for."),
        key(
            "params",
            Kind::Table(&Kind::Text),
            Presence::Default("{}"),
            "Further parameters of the request, such as `audience`.",
        ),
        key(
            "client_authentication",
            Kind::Choice(&["client_secret_basic", "client_secret_post"]),
            Presence::Default("client_secret_basic"),
            "How the secret is sent: as `Authorization: Basic`, or in the form.",
        ),
        key(
            "ca_file",
            Kind::Format(Format::Certificates),
            Presence::Optional("the system's authorities"),
            "The authorities that the token endpoint's certificate is verified against.",
        ),
    ],
};

/// The words of `dns`, alone or as `mode`.
pub(crate) const DNS_MODES: Kind = Kind::Choice(&["auto", "v4_only", "v6_only", "v4_preferred"]);

pub(crate) const DNS: Section = Section {
    doc: "How names of endpoints are resolved.",
    keys: &[
        key("mode", DNS_MODES, Presence::Default("auto"), "Which addresses are used."),
        key(
            "resolver",
            Kind::Format(Format::Address),
            Presence::Optional("the system's"),
            "The DNS server that is asked, `ip:port`.",
        ),
    ],
};
