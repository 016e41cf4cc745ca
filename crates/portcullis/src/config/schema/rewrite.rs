//! What routes change of requests and responses, and what they answer by themselves.

use super::{Format, Kind, Presence, Section, key, list};

pub(crate) const REGEX_REWRITE: Section = Section {
    doc: "Makes another path of the one that was asked for.",
    keys: &[
        key("pattern", Kind::Format(Format::Regex), Presence::Required, "Matches the path as a whole."),
        key(
            "substitution",
            Kind::Format(Format::RewrittenPath),
            Presence::Required,
            "The path that it becomes; `$1` and `$name` stand for groups of the pattern, `$${1}` where letters follow.",
        ),
    ],
};

pub(crate) const REDIRECT: Section = Section {
    doc: "Answers with another URL.",
    keys: &[
        key("url", Kind::Format(Format::Location), Presence::Required, "The URL, or an absolute path."),
        key(
            "status",
            Kind::Choice(&["301", "302", "303", "307", "308"]),
            Presence::Default("302"),
            "The status of the answer.",
        ),
        key("append_path", Kind::Flag, Presence::Default("false"), "Adds path and query of the request to the URL."),
    ],
};

pub(crate) const RESPOND: Section = Section {
    doc: "Answers with a text.",
    keys: &[
        key("status", Kind::Count(200, 599), Presence::Default("200"), "The status of the answer."),
        key("body", Kind::Text, Presence::Optional("no body"), "The text."),
        key(
            "content_type",
            Kind::Format(Format::HeaderValue),
            Presence::Default("text/plain; charset=utf-8"),
            "What kind of text.",
        ),
    ],
};

pub(crate) const HEADER_EDITS: Section = Section {
    doc: "Changes to headers: removed first, then set, then added.",
    keys: &[
        key(
            "set",
            Kind::Table(&Kind::Format(Format::HeaderValue)),
            Presence::Default("{}"),
            "Headers that have this value only.",
        ),
        key(
            "add",
            Kind::Table(&Kind::Format(Format::HeaderValue)),
            Presence::Default("{}"),
            "Headers that have this value too.",
        ),
        key("remove", list(&Kind::Format(Format::HeaderName)), Presence::Default("[]"), "Headers that go."),
    ],
};
