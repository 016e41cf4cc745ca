//! The sections of `portcullis.yaml` besides sign-in, routes and policies.

use super::data::TABLE;
use super::policies::RULES;
use super::sign_in::AUTHENTICATE;
use super::{DEFAULTS, Format, Key, Kind, OTLP, Presence, ROUTE, SYSLOG, Section, TELEMETRY, key, list};

/// The whole file.
pub(crate) const ROOT: Section = Section {
    doc: "Configuration of Portcullis.",
    keys: &[
        key("listeners", list(&Kind::Section(&LISTENER)), Presence::Required, "The sockets that accept connections."),
        key(
            "authenticate",
            Kind::Section(&AUTHENTICATE),
            Presence::Optional("nobody can sign in"),
            "Where and with which providers users sign in; required when a route asks for sign-in.",
        ),
        POLICY_FILES,
        NETWORKS,
        DATA,
        key(
            "guard",
            Kind::Section(&RULES),
            Presence::Optional("no further rules"),
            "Rules that apply to every route; a deny rule wins everywhere.",
        ),
        key(
            "routes",
            list(&Kind::Section(&ROUTE)),
            Presence::Required,
            "Which external URL leads where, and for whom.",
        ),
        key(
            "defaults",
            Kind::Section(&DEFAULTS),
            Presence::Optional("the defaults of `routes[]`"),
            "Route keys that every route inherits unless it has its own.",
        ),
        key("audit", Kind::Section(&AUDIT), Presence::Optional("its defaults"), "The record of every decision."),
        key(
            "telemetry",
            Kind::Section(&TELEMETRY),
            Presence::Optional("nothing"),
            "What is told of requests, besides metrics.",
        ),
        key("admin", Kind::Section(&ADMIN), Presence::Optional("its defaults"), "The listener for operators."),
        key(
            "branding",
            Kind::Section(&BRANDING),
            Presence::Optional("its defaults"),
            "The look of Portcullis' own pages.",
        ),
        key(
            "drain_timeout",
            Kind::Format(Format::Duration),
            Presence::Default("30s"),
            "How long requests may take to end after SIGTERM.",
        ),
    ],
};

const POLICY_FILES: Key = key(
    "policy_files",
    list(&Kind::Format(Format::Glob)),
    Presence::Default("[]"),
    "Files with named policies; `*`, `?` and `**` match as in a shell.",
);

const NETWORKS: Key = key(
    "networks",
    Kind::Table(&list(&Kind::Format(Format::Network))),
    Presence::Default("{}"),
    "Names lists of networks for `request.ip.inNetwork(\"name\")`.",
);

const DATA: Key = key(
    "data",
    Kind::Table(&Kind::Section(&TABLE)),
    Presence::Default("{}"),
    "Names tables for `lookup(\"name\", key)`.",
);

/// What tests of policies take from `portcullis.yaml`: no secret, no certificate and no route has to be there for them.
pub(crate) const POLICY_ROOT: Section = Section { doc: "What policies name.", keys: &[POLICY_FILES, NETWORKS, DATA] };

pub(crate) const LISTENER: Section = Section {
    doc: "A socket that accepts connections.",
    keys: &[
        key("name", Kind::Format(Format::Name), Presence::Optional("the address"), "Shown in logs and metrics."),
        key(
            "address",
            Kind::Format(Format::Address),
            Presence::Required,
            "`ip:port`; `[::]:port` is dual-stack, port 0 picks a free one.",
        ),
        key(
            "protocol",
            Kind::Choice(&["http", "https", "tls"]),
            Presence::Optional("`https` if `tls` is given, else `http`"),
            "What is spoken; `tls` passes TLS connections on by their server name, without decrypting them.",
        ),
        key(
            "tls",
            Kind::Section(&TLS),
            Presence::Optional("cleartext"),
            "Certificates; makes the listener speak https.",
        ),
        key(
            "http_redirect",
            Kind::Flag,
            Presence::Default("false"),
            "Answers every request with 308 to the same URL on https.",
        ),
        key(
            "proxy_protocol",
            Kind::Choice(&["off", "accept", "require"]),
            Presence::Default("off"),
            "Whether `trusted_proxies` send a PROXY header, version 1 or 2; with `require`, nobody else is served.",
        ),
        key(
            "trusted_proxies",
            list(&Kind::Format(Format::Network)),
            Presence::Default("[]"),
            "Networks whose PROXY and forwarding headers are believed.",
        ),
        key(
            "forwarded_header",
            Kind::Format(Format::ForwardedHeader),
            Presence::Default("x-forwarded-for"),
            "The header in which trusted proxies name the client: `x-forwarded-for`, `forwarded`, `none`, or one that \
             holds a single address, such as `cf-connecting-ip`.",
        ),
        key("http2", Kind::Section(&HTTP2), Presence::Optional("its defaults"), "HTTP/2 settings."),
        key("limits", Kind::Section(&LIMITS), Presence::Optional("its defaults"), "What a client may use up."),
    ],
};

pub(crate) const TLS: Section = Section {
    doc: "TLS of a listener.",
    keys: &[
        key(
            "certificates",
            list(&Kind::Section(&CERTIFICATE)),
            Presence::Required,
            "Chosen by SNI, exact name before wildcard; an unknown name gets the first.",
        ),
        key("min_version", Kind::Choice(&["1.2", "1.3"]), Presence::Default("1.2"), "The oldest version accepted."),
        key("client_auth", Kind::Section(&CLIENT_AUTH), Presence::Optional("its defaults"), "Certificates of clients."),
    ],
};

pub(crate) const CLIENT_AUTH: Section = Section {
    doc: "Certificates of clients; all files are watched.",
    keys: &[
        key(
            "mode",
            Kind::Choice(&["none", "request", "require"]),
            Presence::Default("none"),
            "Whether a client is asked for a certificate, and whether it must show one.",
        ),
        key(
            "ca_file",
            Kind::Format(Format::Certificates),
            Presence::Optional("required unless `mode` is `none`"),
            "The authorities believed, as PEM.",
        ),
        key(
            "crl_file",
            Kind::Format(Format::RevocationLists),
            Presence::Optional("nothing is revoked"),
            "Their revocation lists, as PEM.",
        ),
    ],
};

pub(crate) const CERTIFICATE: Section = Section {
    doc: "A certificate; both files are watched.",
    keys: &[
        key("cert_file", Kind::Format(Format::Certificates), Presence::Required, "The chain as PEM, leaf first."),
        key("key_file", Kind::Format(Format::PrivateKey), Presence::Required, "The private key as PEM."),
    ],
};

pub(crate) const HTTP2: Section = Section {
    doc: "HTTP/2 settings of a listener.",
    keys: &[
        key(
            "max_concurrent_streams",
            Kind::Count(1, 10_000),
            Presence::Default("200"),
            "Requests that a connection may have open at once.",
        ),
        key(
            "initial_stream_window_size",
            Kind::Format(Format::Size),
            Presence::Default("256KiB"),
            "Bytes that a client may send on a stream before they are read; 64KiB to 1GiB.",
        ),
        key(
            "initial_connection_window_size",
            Kind::Format(Format::Size),
            Presence::Default("64MiB"),
            "Bytes that a client may send on a connection before they are read; wide, so that one stalled gRPC stream \
             of small messages does not end its connection.",
        ),
        key(
            "max_header_list_size",
            Kind::Format(Format::Size),
            Presence::Default("64KiB"),
            "Bytes of a request's headers.",
        ),
        key(
            "keepalive_interval",
            Kind::Format(Format::Duration),
            Presence::Default("1m"),
            "How often a client is pinged; an answer may take 20s.",
        ),
    ],
};

pub(crate) const LIMITS: Section = Section {
    doc: "Bounds of a listener.",
    keys: &[
        key(
            "header_timeout",
            Kind::Format(Format::Duration),
            Presence::Default("10s"),
            "From the first byte of a request to the end of its headers.",
        ),
        key(
            "idle_timeout",
            Kind::Format(Format::Duration),
            Presence::Default("5m"),
            "A connection without a request, or whose client takes nothing of what is sent, is closed after this.",
        ),
        key(
            "max_connections",
            Kind::Count(1, 10_000_000),
            Presence::Default("65536"),
            "Connections at once. After a reload with a smaller number those that are open stay, and further ones wait until enough have ended.",
        ),
        key(
            "max_connections_per_client",
            Kind::Count(1, 10_000_000),
            Presence::Default("8192"),
            "Connections of one client address (IPv6: /64) at once; those of `trusted_proxies` are not counted.",
        ),
        key(
            "max_header_bytes",
            Kind::Format(Format::Size),
            Presence::Default("64KiB"),
            "Bytes of a request's headers over HTTP/1.1; at least 8KiB.",
        ),
        key("handshake_timeout", Kind::Format(Format::Duration), Presence::Default("10s"), "For the TLS handshake."),
        key(
            "underscore_headers",
            Kind::Choice(&["drop", "reject", "allow"]),
            Presence::Default("drop"),
            "Header names with an underscore, which some apps take for a hyphen: removed, answered 400, or passed.",
        ),
    ],
};

pub(crate) const AUDIT: Section = Section {
    doc: "The record of every decision.",
    keys: &[
        key("dir", Kind::Format(Format::Output), Presence::Default("audit"), "The folder of the segments."),
        key(
            "instance",
            Kind::Format(Format::Instance),
            Presence::Optional("the name of the host"),
            "The name of the chain: one for each process that writes to the folder.",
        ),
        key(
            "mode",
            Kind::Choice(&["strict", "buffered"]),
            Presence::Default("strict"),
            "`strict`: a decision is in the log before its request is forwarded. `buffered`: milliseconds after it ended.",
        ),
        key(
            "durability",
            Kind::Choice(&["os", "disk"]),
            Presence::Default("os"),
            "What `strict` waits for: the operating system (a killed process loses nothing) or the disk (nor a power cut).",
        ),
        key(
            "signing_key",
            Kind::Format(Format::SigningKey),
            Presence::Optional("segments are not signed"),
            "A PEM file with an Ed25519 or P-256 key that signs the first and the last line of each segment, and each second a checkpoint (docs/audit.md).",
        ),
        key("stdout", Kind::Flag, Presence::Default("false"), "Also writes each record to standard output."),
        key("syslog", Kind::Section(&SYSLOG), Presence::Optional("nobody"), "Who gets each record as syslog, too."),
        key("otlp", Kind::Section(&OTLP), Presence::Optional("nobody"), "Who gets each record as OTLP logs, too."),
        key(
            "record_inputs",
            Kind::Table(&Kind::Choice(&["none", "hashed", "redacted", "full"])),
            Presence::Default("{}"),
            "What records keep of headers, parameters and claims that the route's rules read, by pattern of their names; \
             unless a pattern says otherwise, a keyed hash.",
        ),
        key(
            "segment_size",
            Kind::Format(Format::Size),
            Presence::Default("64MiB"),
            "A segment is closed when it has grown past this.",
        ),
        key(
            "segment_age",
            Kind::Format(Format::Duration),
            Presence::Default("24h"),
            "A segment is closed when it is older than this.",
        ),
        key("compress", Kind::Flag, Presence::Default("true"), "Compresses closed segments with zstd."),
        key(
            "fields",
            Kind::Table(&Kind::Text),
            Presence::Default("{}"),
            "Names and CEL expressions; their values are added to each record.",
        ),
        key(
            "redact",
            Kind::Section(&REDACT),
            Presence::Optional("all are kept"),
            "What becomes of fields that tell who somebody is.",
        ),
        key(
            "retention",
            Kind::Section(&RETENTION),
            Presence::Optional("all are kept"),
            "Which closed segments are kept.",
        ),
    ],
};

pub(crate) const REDACT: Section = Section {
    doc: "What becomes of fields that tell who somebody is.",
    keys: &[
        key("user.id", Kind::Choice(&["keep", "hash", "remove"]), Presence::Default("keep"), "Who asked."),
        key(
            "user.email",
            Kind::Choice(&["keep", "hash", "remove"]),
            Presence::Default("keep"),
            "Their e-mail address.",
        ),
        key("user.groups", Kind::Choice(&["keep", "remove"]), Presence::Default("keep"), "Their groups."),
        key("session", Kind::Choice(&["keep", "hash", "remove"]), Presence::Default("keep"), "What names the sign-in."),
        key(
            "client_ip",
            Kind::Choice(&["keep", "truncate", "remove"]),
            Presence::Default("keep"),
            "The client's address.",
        ),
        key("peer_ip", Kind::Choice(&["keep", "truncate", "remove"]), Presence::Default("keep"), "The socket's peer."),
        key("path", Kind::Choice(&["keep", "hash", "remove"]), Presence::Default("keep"), "The path."),
        key("query_keys", Kind::Choice(&["keep", "remove"]), Presence::Default("keep"), "The names of parameters."),
        key("user_agent", Kind::Choice(&["keep", "hash", "remove"]), Presence::Default("keep"), "The `User-Agent`."),
    ],
};

pub(crate) const RETENTION: Section = Section {
    doc: "Which closed segments are kept.",
    keys: &[
        key(
            "age",
            Kind::Format(Format::Duration),
            Presence::Optional("whatever their age"),
            "Segments whose last line is older than this are deleted.",
        ),
        key(
            "size",
            Kind::Format(Format::Size),
            Presence::Optional("whatever their size"),
            "The oldest segments are deleted while all in the folder take more than this.",
        ),
    ],
};

pub(crate) const ADMIN: Section = Section {
    doc: "The listener for operators: health, metrics, reload, sessions.",
    keys: &[
        key(
            "address",
            Kind::Format(Format::Address),
            Presence::Default("127.0.0.1:9901"),
            "`ip:port`; elsewhere than on loopback it needs `token` or `tls.client_auth`.",
        ),
        key(
            "tls",
            Kind::Section(&TLS),
            Presence::Optional("cleartext"),
            "As of a listener; whoever shows a certificate that `client_auth` believes is an operator.",
        ),
        key(
            "token",
            Kind::Secret,
            Presence::Optional("none is asked for"),
            "What operators send as `Authorization: Bearer`, at least 16 characters; `/healthz` and `/readyz` need none.",
        ),
    ],
};

pub(crate) const BRANDING: Section = Section {
    doc: "The look of Portcullis' own pages.",
    keys: &[
        key("name", Kind::Format(Format::Name), Presence::Default("Portcullis"), "Title and heading."),
        key(
            "logo_file",
            Kind::Format(Format::File),
            Presence::Optional("no logo"),
            "An SVG, PNG, JPEG or WebP image of at most 256KiB.",
        ),
        key("color", Kind::Format(Format::Color), Presence::Default("#1f5fbf"), "The accent colour, `#rrggbb`."),
    ],
};
