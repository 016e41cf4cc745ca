//! What routes say of their endpoints: which are chosen, and how they are watched.

use super::{Format, Kind, Presence, Section, key};

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
             502, 503, 504, or gRPC status 14.",
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
