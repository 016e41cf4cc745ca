//! How endpoints are chosen and watched.

mod credential;

use std::time::Duration;

use proxy::{
    Dns, DnsMode, HashBy, HealthCheck, HealthProbe, LoadBalancing, OutlierDetection, Retry, RetryOn, UpstreamHttp2,
    UpstreamSettings,
};

use crate::config::builder::Builder;
use crate::config::fields::Fields;
use crate::config::{format, schema};

pub(super) fn build(builder: &mut Builder<'_>, fields: &Fields<'_>) -> UpstreamSettings {
    let checks = fields.section("health_check", &schema::HEALTH_CHECK);
    UpstreamSettings {
        load_balancing: load_balancing(builder, fields),
        health_check: fields.get("health_check").and_then(|_| health_check(builder, fields, &checks)),
        panic_threshold: checks.number("panic_threshold").unwrap_or_default(),
        outlier_detection: outlier_detection(builder, fields),
        retry: retry(builder, fields),
        http2: http2(builder, fields),
        credential: credential::build(builder, fields),
        dns: dns(fields),
    }
}

fn load_balancing(builder: &mut Builder<'_>, fields: &Fields<'_>) -> LoadBalancing {
    if !fields.is_map("load_balancing") {
        return match fields.text("load_balancing") {
            Some("least_request") => LoadBalancing::LeastRequest,
            Some("random") => LoadBalancing::Random,
            _ => LoadBalancing::RoundRobin,
        };
    }
    let own = fields.section("load_balancing", &schema::HASHING);
    let header = own.read("header", format::header_name);
    let by = match (own.text("consistent_hash"), header) {
        (Some("user"), _) => HashBy::User,
        (Some("header"), Some(header)) => HashBy::Header(header),
        (by, _) => {
            if let Some(node) = own.get("consistent_hash").filter(|_| by == Some("header")) {
                builder.error(node.place, "`consistent_hash: header` needs the name of the header: add `header`");
            }
            HashBy::ClientAddress
        }
    };
    if let Some(node) = own.get("header").filter(|_| !matches!(by, HashBy::Header(_))) {
        builder.error(node.place, "`header` goes with `consistent_hash: header`: write that, or remove it");
    }
    LoadBalancing::ConsistentHash(by)
}

fn health_check(builder: &mut Builder<'_>, route: &Fields<'_>, fields: &Fields<'_>) -> Option<HealthCheck> {
    let kind = fields.text("type")?;
    if let Some(node) = fields.get("type").filter(|_| kind == "tcp" && route.text("upstream_protocol") == Some("http3"))
    {
        builder.error(
            node.place,
            "`type: tcp` says nothing of an endpoint with `upstream_protocol: http3`, which listens for UDP: write `http` \
             or `grpc`",
        );
    }
    for (key, owner) in [("path", "http"), ("host", "http"), ("service", "grpc")] {
        if let Some(node) = fields.own(key).filter(|_| kind != owner) {
            builder.error(node.place, format!("`{key}` goes with `type: {owner}`: write that, or remove it"));
        }
    }
    let probe = match kind {
        "tcp" => HealthProbe::Tcp,
        "grpc" => HealthProbe::Grpc { service: fields.text("service").unwrap_or_default().to_owned() },
        _ => HealthProbe::Http {
            path: fields.read("path", format::request_target)?,
            host: fields.read("host", format::authority),
        },
    };
    Some(HealthCheck {
        probe,
        interval: fields.duration("interval")?,
        jitter: fields.duration("jitter").unwrap_or(Duration::ZERO),
        timeout: fields.duration("timeout")?,
        healthy_threshold: fields.number("healthy_threshold")?,
        unhealthy_threshold: fields.number("unhealthy_threshold")?,
    })
}

fn outlier_detection(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Option<OutlierDetection> {
    if fields.text("outlier_detection") == Some("false") && !fields.is_map("outlier_detection") {
        return None;
    }
    let fields = fields.section("outlier_detection", &schema::OUTLIER_DETECTION);
    let limits = OutlierDetection {
        consecutive_failures: fields.number("consecutive_failures")?,
        ejection_time: fields.duration("ejection_time")?,
        max_ejection_time: fields.duration("max_ejection_time")?,
    };
    if let Some(node) = fields.get("max_ejection_time").or_else(|| fields.get("ejection_time"))
        && limits.max_ejection_time < limits.ejection_time
    {
        builder.error(node.place, "`max_ejection_time` is shorter than `ejection_time`: raise it, or lower the other");
    }
    Some(limits)
}

fn retry(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Retry {
    let fields = fields.section("retry", &schema::RETRY);
    let defaults = Retry::default();
    let retry = Retry {
        attempts: fields.number("attempts").unwrap_or(defaults.attempts),
        on: fields.get("on").map_or(defaults.on, |_| fields.read_all("on", retry_on)),
        per_try_timeout: fields.duration("per_try_timeout"),
        budget: fields.number("budget").unwrap_or(defaults.budget),
    };
    if let Some(node) = fields.get("per_try_timeout")
        && retry.per_try_timeout.is_some()
        && !retry.on.contains(&RetryOn::GatewayTimeout)
    {
        builder.error(
            node.place,
            "`per_try_timeout` ends a try with 504, after which nothing is tried: add `504` to `on`",
        );
    }
    retry
}

fn retry_on(text: &str) -> Result<RetryOn, ()> {
    Ok(match text {
        "connect-failure" => RetryOn::ConnectFailure,
        "refused-stream" => RetryOn::RefusedStream,
        "reset" => RetryOn::Reset,
        "502" => RetryOn::BadGateway,
        "503" => RetryOn::ServiceUnavailable,
        "504" => RetryOn::GatewayTimeout,
        _ => return Err(()),
    })
}

fn http2(builder: &mut Builder<'_>, fields: &Fields<'_>) -> UpstreamHttp2 {
    let fields = fields.section("http2", &schema::UPSTREAM_HTTP2);
    let defaults = UpstreamHttp2::default();
    let mut window = |key, default| builder.size_between(&fields, key, MIN_WINDOW, MAX_WINDOW).unwrap_or(default);
    UpstreamHttp2 {
        initial_stream_window_size: window("initial_stream_window_size", defaults.initial_stream_window_size),
        initial_connection_window_size: window(
            "initial_connection_window_size",
            defaults.initial_connection_window_size,
        ),
        max_concurrent_streams: fields.number("max_concurrent_streams"),
        keepalive_interval: fields.duration("keepalive_interval"),
    }
}

pub(super) fn dns(fields: &Fields<'_>) -> Dns {
    let own = fields.section("dns", &schema::DNS);
    let is_map = fields.is_map("dns");
    let mode = if is_map { own.text("mode") } else { fields.text("dns") };
    Dns {
        mode: match mode {
            Some("v4_only") => DnsMode::V4Only,
            Some("v6_only") => DnsMode::V6Only,
            Some("v4_preferred") => DnsMode::V4Preferred,
            _ => DnsMode::Auto,
        },
        resolver: if is_map { own.read("resolver", format::address) } else { None },
    }
}

/// The smallest window that RFC 9113 §6.9.2 begins with, and the largest that leaves room for sums.
const MIN_WINDOW: u64 = 64 * 1024;
const MAX_WINDOW: u64 = 1 << 30;
