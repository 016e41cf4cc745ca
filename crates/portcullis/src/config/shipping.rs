//! `audit.syslog`, `audit.otlp` and `telemetry.traces`: where records and traces are sent.

use http::{HeaderName, HeaderValue};
use proxy::Certificate;
use telemetry::{ContinueFrom, Otlp, Receiver, Sinks, Syslog, Tls, Traces};

use super::builder::Builder;
use super::fields::Fields;
use super::listener::check_pair;
use super::{audit, format, schema};

/// Builds the receivers of the audit log.
pub(crate) fn sinks(builder: &mut Builder<'_>, root: &Fields<'_>) -> Sinks {
    let audit = root.section("audit", &schema::AUDIT);
    let syslog = audit.section("syslog", &schema::SYSLOG);
    let otlp = audit.section("otlp", &schema::OTLP);
    Sinks {
        syslog: syslog.place().and_then(|_| self::syslog(builder, &syslog)),
        otlp: otlp.place().and_then(|_| self::otlp(builder, &otlp, "/v1/logs", "audit records go")),
    }
}

/// Builds `telemetry.traces`.
pub(super) fn traces(builder: &mut Builder<'_>, root: &Fields<'_>) -> Option<Traces> {
    let fields = root.section("telemetry", &schema::TELEMETRY).section("traces", &schema::TRACES);
    fields.place()?;
    Some(Traces {
        otlp: otlp(builder, &fields, "/v1/traces", "traces go")?,
        sample: fields.read("sample", format::ratio)?,
        continue_from: match fields.text("continue_from") {
            Some("anybody") => ContinueFrom::Anybody,
            Some("nobody") => ContinueFrom::Nobody,
            _ => ContinueFrom::TrustedProxies,
        },
    })
}

fn syslog(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Option<Syslog> {
    let (tls, host, port) = fields.read("url", format::syslog_url)?;
    let facility = fields.text("facility");
    let number = schema::FACILITIES.iter().position(|name| Some(*name) == facility)?;
    Some(Syslog {
        receiver: receiver(builder, fields, tls, (host, port), "audit records go"),
        facility: u8::try_from(number).ok()?,
        hostname: fields.text("hostname").map_or_else(audit::host_name, str::to_owned),
        app_name: app_name(builder, fields)?,
    })
}

fn app_name(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Option<String> {
    let name = fields.text("app_name")?;
    if let Some(node) = fields.get("app_name").filter(|_| name.len() > MAX_APP_NAME) {
        builder.error(node.place, "`app_name` has more than 48 characters: write a shorter one");
    }
    Some(name.to_owned())
}

/// Builds a receiver of OTLP; `what` says of what is sent there that it goes.
fn otlp(builder: &mut Builder<'_>, fields: &Fields<'_>, signal: &str, what: &str) -> Option<Otlp> {
    let (tls, host, port, path) = fields.read("url", format::http_url)?;
    let receiver = receiver(builder, fields, tls, (host, port), what);
    let headers = headers(builder, fields);
    let timeout = fields.duration("timeout")?;
    Some(Otlp { receiver, path: format!("{}{signal}", path.trim_end_matches('/')), headers, timeout })
}

fn headers(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, node) in fields.table("headers") {
        let Some(text) = node.text() else { continue };
        match (format::header_name(name), format::header_value(text)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.push((name, value));
            }
            (Err(reason), _) => builder.error(node.place, format!("`headers`: {} is {reason}", super::quoted(name))),
            (_, Err(reason)) => builder.error(node.place, format!("`headers.{name}` is {reason}")),
        }
    }
    headers
}

fn receiver(
    builder: &mut Builder<'_>,
    fields: &Fields<'_>,
    is_tls: bool,
    (host, port): (String, u16),
    what: &str,
) -> Receiver {
    let certificate = fields.path("client_cert_file", &builder.sources);
    let key = fields.path("client_key_file", &builder.sources);
    let pair = (fields.get("client_cert_file"), fields.get("client_key_file"));
    if let (Some(node), None) | (None, Some(node)) = pair {
        builder.error(node.place, "`client_cert_file` and `client_key_file` belong together: add the other one");
    }
    let client = certificate.zip(key);
    if let Some((cert_file, key_file)) = client.clone() {
        check_pair(builder, &Certificate { cert_file, key_file }, fields.get("client_key_file"));
    }
    let of_tls = ["ca_file", "client_cert_file", "client_key_file", "server_name"];
    if let Some((key, node)) = of_tls.iter().find_map(|key| Some((key, fields.get(key)?))).filter(|_| !is_tls) {
        builder.error(node.place, format!("`{key}` is for TLS, and `url` is not: change `url`, or remove the key"));
    }
    if let Some(url) = fields.get("url").filter(|_| !is_tls && !is_this_machine(&host)) {
        builder.warning(url.place, format!("{what} there in clear text, for all on the way to read: use TLS"));
    }
    let (ca_file, server_name) = (fields.path("ca_file", &builder.sources), fields.text("server_name"));
    let tls = is_tls.then(|| Tls { ca_file, client, server_name: server_name.map(str::to_owned) });
    Receiver { host, port, tls }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// RFC 5424 §6.
const MAX_APP_NAME: usize = 48;
