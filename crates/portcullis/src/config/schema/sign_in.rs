//! The `authenticate` section.

use super::{Format, Kind, Presence, Section, key, list, one_or_many};

/// `authenticate`.
pub(crate) const AUTHENTICATE: Section = Section {
    doc: "Where and with which providers users sign in.",
    keys: &[
        key(
            "url",
            Kind::Format(Format::Origin),
            Presence::Required,
            "The origin that hosts sign-in; may be a route's own. Register `URL/.portcullis/callback` at the provider.",
        ),
        key("providers", list(&Kind::Section(&PROVIDER)), Presence::Required, "The OpenID Connect providers."),
        key("session", Kind::Section(&SESSION), Presence::Optional("its defaults"), "Bounds and place of sessions."),
        key(
            "keys",
            Kind::Section(&KEYS),
            Presence::Optional("made on first start and kept in the session store"),
            "Keys that seal what is stored and sign what upstreams are told.",
        ),
    ],
};

pub(crate) const PROVIDER: Section = Section {
    doc: "An OpenID Connect provider.",
    keys: &[
        key("id", Kind::Format(Format::Name), Presence::Required, "What routes and the audit record call it."),
        key("name", Kind::Format(Format::Name), Presence::Optional("the id"), "What the chooser shows."),
        key(
            "issuer",
            Kind::Format(Format::Issuer),
            Presence::Required,
            "The issuer URL, exactly as the provider's discovery document states it.",
        ),
        key("client_id", Kind::Text, Presence::Required, "The client id that the provider gave."),
        key(
            "client_secret",
            Kind::Secret,
            Presence::Optional("a public client"),
            "The client secret; write `${env:NAME}` or `${file:PATH}`.",
        ),
        key(
            "scopes",
            list(&Kind::Text),
            Presence::Optional("`[openid, profile, email]`, and `offline_access` where the provider lists it"),
            "What is asked for; `openid` is required.",
        ),
        key(
            "extra_params",
            Kind::Table(&Kind::Text),
            Presence::Default("{}"),
            "Further parameters of the authorization request, such as `prompt: select_account`.",
        ),
        key(
            "claims",
            Kind::Section(&CLAIMS),
            Presence::Optional("its defaults"),
            "Where the provider keeps what policies read.",
        ),
        key(
            "allowed_email_domains",
            list(&Kind::Format(Format::Domain)),
            Presence::Default("[]"),
            "Only addresses of these domains may sign in; empty for any.",
        ),
        key(
            "require_verified_email",
            Kind::Flag,
            Presence::Default("true"),
            "Leaves `user.email` empty unless the provider says that it verified the address.",
        ),
        key(
            "ca_file",
            Kind::Format(Format::Certificates),
            Presence::Optional("the system's authorities"),
            "The authorities that the provider's certificate is verified against.",
        ),
    ],
};

pub(crate) const CLAIMS: Section = Section {
    doc: "Names of claims; dotted paths reach into objects.",
    keys: &[
        key("groups", Kind::Text, Presence::Default("groups"), "The claim that becomes `user.groups`."),
        key("email", Kind::Text, Presence::Default("email"), "The claim that becomes `user.email`."),
        key("name", Kind::Text, Presence::Default("name"), "The claim that becomes `user.name`."),
    ],
};

pub(crate) const SESSION: Section = Section {
    doc: "Bounds and place of sessions.",
    keys: &[
        key(
            "lifetime",
            Kind::Format(Format::Duration),
            Presence::Default("14h"),
            "From sign-in to the end, whatever happens.",
        ),
        key(
            "idle_timeout",
            Kind::Format(Format::DurationOrOff),
            Presence::Default("off"),
            "Ends a session that made no request for so long.",
        ),
        key(
            "store",
            Kind::Format(Format::Store),
            Presence::Default("file:portcullis.db"),
            "`memory`, or `file:PATH` for a database that survives restarts.",
        ),
    ],
};

pub(crate) const KEYS: Section = Section {
    doc: "Keys, newest first; older ones still open and verify, so that keys can be rotated.",
    keys: &[
        key(
            "seal",
            one_or_many(&Kind::Secret),
            Presence::Optional("made on first start"),
            "32 bytes as base64 each (`openssl rand -base64 32`); seals sessions and sign-in cookies.",
        ),
        key(
            "signing",
            one_or_many(&Kind::Secret),
            Presence::Optional("made on first start"),
            "P-256 private keys as PKCS #8 PEM; sign assertions.",
        ),
    ],
};
