//! The columns that records have outside of JSON: what they are called, where they stand in a record, and of which sort
//! they are.

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Where it stands in a record (RFC 6901).
    pub(super) pointer: &'static str,
    pub(super) sort: Sort,
}

/// What is in a column. All but times may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A moment, to the microsecond.
    Time,
    Text,
    Texts,
    /// A whole number up to 65535.
    Small,
    /// A whole number.
    Large,
    /// A number with decimals.
    Decimal,
    /// Objects with names of their own, as JSON.
    Json,
}

const fn column(name: &'static str, pointer: &'static str, sort: Sort) -> Column {
    Column { name, pointer, sort }
}

/// All columns. Those that are looked at most come first.
pub(super) const COLUMNS: [Column; 48] = [
    column("time", "/time", Sort::Time),
    column("id", "/id", Sort::Text),
    column("kind", "/kind", Sort::Text),
    column("decision", "/decision", Sort::Text),
    column("status", "/status", Sort::Small),
    column("outcome", "/outcome", Sort::Text),
    column("user_id", "/user/id", Sort::Text),
    column("user_email", "/user/email", Sort::Text),
    column("user_groups", "/user/groups", Sort::Texts),
    column("user_provider", "/user/provider", Sort::Text),
    column("actor", "/actor", Sort::Text),
    column("session", "/session", Sort::Text),
    column("client_ip", "/client_ip", Sort::Text),
    column("client_ip_source", "/client_ip_source", Sort::Text),
    column("peer_ip", "/peer_ip", Sort::Text),
    column("route", "/route", Sort::Text),
    column("method", "/method", Sort::Text),
    column("scheme", "/scheme", Sort::Text),
    column("host", "/host", Sort::Text),
    column("path", "/path", Sort::Text),
    column("query_keys", "/query_keys", Sort::Texts),
    column("protocol", "/protocol", Sort::Text),
    column("tls_version", "/tls/version", Sort::Text),
    column("tls_sni", "/tls/sni", Sort::Text),
    column("tls_client_subject", "/tls/client_certificate/subject", Sort::Text),
    column("tls_client_fingerprint_sha256", "/tls/client_certificate/fingerprint_sha256", Sort::Text),
    column("rule", "/rule", Sort::Text),
    column("reason", "/reason", Sort::Text),
    column("error", "/error", Sort::Text),
    column("shadow_decision", "/shadow/decision", Sort::Text),
    column("shadow_rule", "/shadow/rule", Sort::Text),
    column("shadow_reason", "/shadow/reason", Sort::Text),
    column("shadow_error", "/shadow/error", Sort::Text),
    column("upstream", "/upstream/endpoint", Sort::Text),
    column("upstream_protocol", "/upstream/protocol", Sort::Text),
    column("upstream_protocol_reason", "/upstream/protocol_reason", Sort::Text),
    column("upstream_attempts", "/upstream/attempts", Sort::Large),
    column("grpc_status", "/grpc_status", Sort::Small),
    column("bytes_in", "/bytes_in", Sort::Large),
    column("bytes_out", "/bytes_out", Sort::Large),
    column("ms_policy", "/ms/policy", Sort::Decimal),
    column("ms_upstream", "/ms/upstream", Sort::Decimal),
    column("ms_total", "/ms/total", Sort::Decimal),
    column("user_agent", "/user_agent", Sort::Text),
    column("revision", "/revision", Sort::Text),
    column("inputs", "/inputs", Sort::Json),
    column("fields", "/fields", Sort::Json),
    column("details", "/details", Sort::Json),
];

#[cfg(test)]
mod tests;
