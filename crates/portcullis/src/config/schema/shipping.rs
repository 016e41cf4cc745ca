//! Where audit records and traces are sent.

use super::{Format, Key, Kind, Presence, Section, key};

/// A receiver of syslog.
pub(crate) const SYSLOG: Section = Section {
    doc: "A receiver of syslog.",
    keys: &[
        key(
            "url",
            Kind::Format(Format::SyslogUrl),
            Presence::Required,
            "Where it listens: `tls://host:port` (6514 unless written), or `tcp://host:port`.",
        ),
        key("facility", Kind::Choice(&FACILITIES), Presence::Default("authpriv"), "The facility of the messages."),
        key(
            "hostname",
            Kind::Format(Format::SyslogName),
            Presence::Optional("the name of the host"),
            "HOSTNAME of the messages.",
        ),
        key(
            "app_name",
            Kind::Format(Format::SyslogName),
            Presence::Default("portcullis"),
            "APP-NAME of the messages; at most 48 characters.",
        ),
        CA_FILE,
        CLIENT_CERT_FILE,
        CLIENT_KEY_FILE,
        SERVER_NAME,
    ],
};

/// A receiver of OTLP.
pub(crate) const OTLP: Section = Section {
    doc: "A receiver of OTLP over HTTP.",
    keys: &[URL, HEADERS, TIMEOUT, CA_FILE, CLIENT_CERT_FILE, CLIENT_KEY_FILE, SERVER_NAME],
};

/// `telemetry`.
pub(crate) const TELEMETRY: Section = Section {
    doc: "What is told of requests to those who watch over services.",
    keys: &[key(
        "traces",
        Kind::Section(&TRACES),
        Presence::Optional("requests are not traced"),
        "Traces of requests.",
    )],
};

pub(crate) const TRACES: Section = Section {
    doc: "Traces of requests, by OTLP over HTTP.",
    keys: &[
        URL,
        key(
            "sample",
            Kind::Format(Format::Ratio),
            Presence::Default("1"),
            "Which part of the traces that begin here is sampled, from 0 to 1.",
        ),
        key(
            "continue_from",
            Kind::Choice(&["trusted_proxies", "anybody", "nobody"]),
            Presence::Default("trusted_proxies"),
            "Whose traces are continued, and sampled where their caller samples; a trace of anybody else begins here, and \
             has a link to that of the caller.",
        ),
        HEADERS,
        TIMEOUT,
        CA_FILE,
        CLIENT_CERT_FILE,
        CLIENT_KEY_FILE,
        SERVER_NAME,
    ],
};

const URL: Key = key(
    "url",
    Kind::Format(Format::HttpUrl),
    Presence::Required,
    "Where it listens: `https://host:port` or `http://host:port`, with a path where it has one; `/v1/logs` or \
     `/v1/traces` is added.",
);

const HEADERS: Key = key(
    "headers",
    Kind::Table(&Kind::Secret),
    Presence::Default("{}"),
    "Headers of each request, such as `Authorization`.",
);

const TIMEOUT: Key = key(
    "timeout",
    Kind::Format(Format::Duration),
    Presence::Default("10s"),
    "For connecting and for an answer; then the batch is sent again.",
);

const CA_FILE: Key = key(
    "ca_file",
    Kind::Format(Format::Certificates),
    Presence::Optional("the system's authorities"),
    "The authorities that the receiver's certificate is verified against.",
);

const CLIENT_CERT_FILE: Key = key(
    "client_cert_file",
    Kind::Format(Format::Certificates),
    Presence::Optional("no client certificate"),
    "Our certificate chain as PEM.",
);

const CLIENT_KEY_FILE: Key = key(
    "client_key_file",
    Kind::Format(Format::PrivateKey),
    Presence::Optional("no client certificate"),
    "Its private key as PEM.",
);

const SERVER_NAME: Key = key(
    "server_name",
    Kind::Format(Format::ServerName),
    Presence::Optional("the host of `url`"),
    "SNI and the name that is verified.",
);

/// By their numbers (RFC 5424 §6.2.1), as syslog daemons call them.
pub(crate) const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
