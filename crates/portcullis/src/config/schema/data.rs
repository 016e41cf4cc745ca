//! `data`: the tables that policies look things up in.

use super::{Format, Kind, Presence, Section, key, list};

/// One table.
pub(crate) const TABLE: Section = Section {
    doc: "A table for `lookup`; it comes from one of `mmdb`, `csv`, `json` and `url`.",
    keys: &[
        key("mmdb", Kind::Format(Format::TableFile), Presence::Optional("none"), "A MaxMind DB, looked up by address."),
        key("csv", Kind::Format(Format::TableFile), Presence::Optional("none"), "A file of comma-separated values."),
        key("json", Kind::Format(Format::TableFile), Presence::Optional("none"), "A file of JSON."),
        key("url", Kind::Format(Format::HttpsUrl), Presence::Optional("none"), "Where the table is fetched from."),
        key(
            "format",
            Kind::Choice(&["mmdb", "csv", "json"]),
            Presence::Optional("required with `url`"),
            "What `url` answers with.",
        ),
        key(
            "key",
            Kind::Text,
            Presence::Optional("required for CSV; for JSON, the names of the outer object"),
            "The column, or the member of each row, that rows are found by.",
        ),
        key(
            "key_type",
            Kind::Choice(&["string", "network"]),
            Presence::Default("string"),
            "`network`: keys are networks or addresses, and the longest that holds the address wins.",
        ),
        key(
            "columns",
            list(&Kind::Text),
            Presence::Optional("the first line names them"),
            "The columns of a CSV file whose first line is already a row.",
        ),
        key("max_size", Kind::Format(Format::Size), Presence::Default("128MiB"), "A larger file or answer is refused."),
        key("refresh", Kind::Format(Format::Duration), Presence::Default("5m"), "How often `url` is asked."),
        key("timeout", Kind::Format(Format::Duration), Presence::Default("30s"), "For the whole answer of `url`."),
        key(
            "ca_file",
            Kind::Format(Format::Certificates),
            Presence::Optional("the system's authorities"),
            "The authorities that the certificate of `url` is verified against.",
        ),
    ],
};
