//! The tests in policy files.

use super::{Format, Key, Kind, Presence, Section, key, list, one_or_many};

pub(crate) const TEST: Section = Section {
    doc: "A test of policies.",
    keys: &[
        key("name", Kind::Format(Format::Name), Presence::Required, "What is tested, as a sentence."),
        key(
            "given",
            Kind::Section(&GIVEN),
            Presence::Optional("`test_defaults`"),
            "The facts: what is left out is empty.",
        ),
        key(
            "expect",
            Kind::Table(&Kind::ScalarOr(&Kind::Choice(&OUTCOMES), &EXPECTATION)),
            Presence::Required,
            "Names of policies, and what each decides; `error` is a refusal because a rule could not be evaluated.",
        ),
    ],
};

pub(crate) const EXPECTATION: Section = Section {
    doc: "What a policy is expected to decide.",
    keys: &[
        key("decision", Kind::Choice(&OUTCOMES), Presence::Required, "What it decides."),
        key("rule", Kind::Text, Presence::Optional("any"), "The rule that decides."),
        key("message", Kind::Text, Presence::Optional("any"), "The message that the user is shown, whole."),
        key("error", Kind::Text, Presence::Optional("any"), "A part of what is said to have failed."),
        key("shadow", Kind::Choice(&OUTCOMES), Presence::Optional("any"), "What its candidate (`shadow`) decides."),
    ],
};

const OUTCOMES: [&str; 3] = ["allow", "deny", "error"];

/// The facts of a test; every leaf is a field that expressions see.
pub(crate) const GIVEN: Section = Section {
    doc: "The facts of a test, named as in expressions.",
    keys: &[
        key("request", Kind::Section(&REQUEST), Presence::Optional("`GET /` over https, from nowhere"), "`request`."),
        key("user", Kind::Section(&USER), Presence::Optional("nobody is signed in"), "`user`, who is signed in."),
        key("session", Kind::Section(&SESSION), Presence::Optional("a session without dates"), "`session`."),
        key("route", Kind::Section(&ROUTE), Presence::Optional("empty"), "`route`."),
        key(
            "data",
            Kind::Table(&Kind::Table(&Kind::Any)),
            Presence::Optional("the tables as they are"),
            "Names of tables, and what they hold while the test runs: keys, and a row for each.",
        ),
    ],
};

pub(crate) const REQUEST: Section = Section {
    doc: "`request` of a test.",
    keys: &[
        key("ip", Kind::Format(Format::Ip), Presence::Default("0.0.0.0"), "The client's address."),
        key("peer_ip", Kind::Format(Format::Ip), Presence::Optional("`ip`"), "The address of the socket's peer."),
        key("ip_source", Kind::Choice(&IP_SOURCES), Presence::Default("peer"), "What made the client known."),
        key("method", Kind::Format(Format::AnyMethod), Presence::Default("GET"), "The method."),
        key("scheme", Kind::Choice(&SCHEMES), Presence::Default("https"), "The scheme."),
        key("host", Kind::Text, Presence::Optional("empty"), "The host, lower case, without port."),
        key("path", Kind::Text, Presence::Default("/"), "The path, without query."),
        key(
            "query",
            Kind::Table(&one_or_many(&Kind::Format(Format::AnyText))),
            Presence::Default("{}"),
            "The parameters of the query, each with a value or a list of values.",
        ),
        key(
            "headers",
            Kind::Table(&Kind::Format(Format::AnyText)),
            Presence::Default("{}"),
            "Names in lower case, and values.",
        ),
        key("time", Kind::Format(Format::Time), Presence::Default(TIME), "The clock of the test."),
        key("protocol", Kind::Choice(&PROTOCOLS), Presence::Default("h2"), "What is spoken."),
        key("id", Kind::Text, Presence::Optional("empty"), "The request id."),
        key("grpc", Kind::Section(&GRPC), Presence::Optional("the request is not gRPC"), "`request.grpc`."),
        key("tls", Kind::Section(&TLS), Presence::Optional("empty"), "`request.tls`."),
    ],
};

pub(crate) const GRPC: Section = Section {
    doc: "`request.grpc` of a test.",
    keys: &[
        key("service", Kind::Text, Presence::Optional("empty"), "`package.Service`."),
        key("method", Kind::Text, Presence::Optional("empty"), "The method."),
    ],
};

pub(crate) const TLS: Section = Section {
    doc: "`request.tls` of a test.",
    keys: &[
        key("version", Kind::Choice(&TLS_VERSIONS), Presence::Optional("empty"), "The version."),
        key("sni", Kind::Text, Presence::Optional("empty"), "The server name that the client asked for."),
        key(
            "client_certificate",
            Kind::Section(&CERTIFICATE),
            Presence::Optional("none"),
            "The client's certificate, verified.",
        ),
    ],
};

pub(crate) const CERTIFICATE: Section = Section {
    doc: "`request.tls.client_certificate` of a test.",
    keys: &[
        key("present", Kind::Flag, Presence::Default("true"), "Whether there is one."),
        key("subject", Kind::Text, Presence::Optional("empty"), "The subject as RFC 4514 text."),
        key("san_dns", list(&Kind::Text), Presence::Default("[]"), "DNS names."),
        key("san_uri", list(&Kind::Text), Presence::Default("[]"), "URIs."),
        key("san_email", list(&Kind::Text), Presence::Default("[]"), "E-mail addresses."),
        key("fingerprint_sha256", Kind::Text, Presence::Optional("empty"), "SHA-256 in lower-case hexadecimal."),
        NOT_AFTER,
    ],
};

const NOT_AFTER: Key = key(
    "not_after",
    Kind::Format(Format::Time),
    Presence::Optional("the beginning of 1970"),
    "The end of its validity.",
);

pub(crate) const USER: Section = Section {
    doc: "`user` of a test.",
    keys: &[
        key("authenticated", Kind::Flag, Presence::Default("true"), "Whether somebody is signed in."),
        key("machine", Kind::Flag, Presence::Default("false"), "Whether the caller is a program."),
        key("id", Kind::Text, Presence::Optional("made up"), "Issuer and subject."),
        key("email", Kind::Text, Presence::Optional("empty"), "The e-mail address."),
        key("email_verified", Kind::Flag, Presence::Default("false"), "What the provider claims."),
        key("name", Kind::Text, Presence::Optional("empty"), "The display name."),
        key("groups", list(&Kind::Text), Presence::Default("[]"), "The groups."),
        key("claims", Kind::Table(&Kind::Any), Presence::Default("{}"), "All claims."),
        key("provider", Kind::Text, Presence::Default("test"), "The provider's id."),
    ],
};

pub(crate) const SESSION: Section = Section {
    doc: "`session` of a test.",
    keys: &[
        key("id", Kind::Text, Presence::Optional("empty"), "Names the session."),
        key("created", Kind::Format(Format::Time), EARLY, "When it began."),
        key("expires", Kind::Format(Format::Time), EARLY, "When it ends."),
        key("auth_time", Kind::Format(Format::Time), EARLY, "When the provider last saw the user."),
        key("acr", Kind::Text, Presence::Optional("empty"), "How strongly."),
        key("amr", list(&Kind::Text), Presence::Default("[]"), "By which means."),
    ],
};

pub(crate) const ROUTE: Section = Section {
    doc: "`route` of a test.",
    keys: &[
        key("name", Kind::Text, Presence::Optional("empty"), "The route's name."),
        key("host", Kind::Text, Presence::Optional("empty"), "The route's host."),
    ],
};

const EARLY: Presence = Presence::Optional("the beginning of 1970");

/// A time that is far from that of what was left out, so that no test passes because both are the same.
const TIME: &str = "2026-01-01T12:00:00Z";

pub(crate) const IP_SOURCES: [&str; 5] = ["peer", "x-forwarded-for", "forwarded", "header", "proxy_protocol"];
pub(crate) const SCHEMES: [&str; 2] = ["http", "https"];
pub(crate) const PROTOCOLS: [&str; 3] = ["http/1.1", "h2", "h3"];
pub(crate) const TLS_VERSIONS: [&str; 2] = ["1.2", "1.3"];
