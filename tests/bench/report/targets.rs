//! The aims, and whether the results reach them.

use std::fmt::Write as _;

use super::number;
use crate::figures::Results;
use crate::scenario::Scenario;

/// One aim: a figure of Portcullis, or that figure as a multiple of somebody else's.
#[derive(Debug)]
struct Aim {
    scenario: &'static str,
    what: &'static str,
    figure: &'static str,
    /// Whose figure it is, and whose it is a multiple of.
    of: &'static str,
    beside: Option<&'static str>,
    bound: f64,
    digits: usize,
}

/// Returns what was aimed at, what was measured, and whether that is enough.
pub(super) fn table(kept: &[(&Scenario, Results)]) -> String {
    let mut text = "| scenario | figure | aim | measured | |\n|---|---|--:|--:|---|\n".to_owned();
    for aim in AIMS {
        let results = kept.iter().find(|(scenario, _)| scenario.name == aim.scenario).map(|(_, results)| results);
        let spread = results.and_then(|results| match aim.beside {
            Some(beside) => results.ratio(aim.figure, aim.of, beside),
            None => results.spread(aim.of, aim.figure),
        });
        let measured = spread.map_or("–".into(), |spread| number(spread.median, aim.digits));
        let busy = results.is_some_and(|results| results.rounds().1 > 0);
        let verdict = match spread {
            None => "not measured",
            Some(spread) if spread.median <= aim.bound => "met",
            Some(_) => "**not met**",
        };
        let verdict = format!("{verdict}{}", if busy && spread.is_some() { ", on a busy machine" } else { "" });
        let beside = aim.beside.map_or_else(String::new, |beside| format!(", as a multiple of {beside}"));
        let bound = number(aim.bound, aim.digits);
        let _ = writeln!(text, "| `{}` | {}{beside} | ≤ {bound} | {measured} | {verdict} |", aim.scenario, aim.what);
    }
    text
}

const fn ratio(
    scenario: &'static str,
    what: &'static str,
    figure: &'static str,
    beside: &'static str,
    bound: f64,
) -> Aim {
    Aim { scenario, what, figure, of: "portcullis", beside: Some(beside), bound, digits: 2 }
}

const fn scale(what: &'static str, of: &'static str) -> Aim {
    Aim { scenario: "scale", what, figure: "cpu_us", of, beside: Some("10-of-each"), bound: 1.1, digits: 2 }
}

const fn bound(scenario: &'static str, what: &'static str, figure: &'static str, bound: f64) -> Aim {
    Aim { scenario, what, figure, of: "portcullis", beside: None, bound, digits: 1 }
}

const CPU: &str = "CPU of a request";

const AIMS: &[Aim] = &[
    ratio("identity-h1", CPU, "cpu_us", "bare", 1.2),
    ratio("identity-h2", CPU, "cpu_us", "bare", 1.2),
    ratio("identity-h1", CPU, "cpu_us", "nginx", 0.65),
    ratio("identity-h2", CPU, "cpu_us", "nginx", 0.65),
    ratio("identity-h1", CPU, "cpu_us", "envoy", 0.3),
    ratio("identity-h2", CPU, "cpu_us", "envoy", 0.3),
    ratio("grpc", CPU, "cpu_us", "bare", 1.25),
    ratio("grpc", CPU, "cpu_us", "envoy", 0.4),
    scale("CPU of a request with 10 000 routes", "10000-routes"),
    scale("CPU of a request with 10 000 policies", "10000-policies"),
    scale("CPU of a request with 100 000 sessions", "100000-sessions"),
    ratio("identity-h1", "p99 at half of saturation", "p99_us", "bare", 1.3),
    ratio("identity-h2", "p99 at half of saturation", "p99_us", "bare", 1.3),
    bound("identity-h1", "MiB at rest", "rest_mib", 30.0),
    bound("idle", "KiB for an idle TLS connection", "connection_kib", 20.0),
    bound("download-h1", "MiB more while 100 MiB go down", "growth_mib", 4.0),
    bound("download-h2", "MiB more while 100 MiB go down", "growth_mib", 4.0),
    bound("upload-h1", "MiB more while 100 MiB go up", "growth_mib", 4.0),
    bound("upload-h2", "MiB more while 100 MiB go up", "growth_mib", 4.0),
    ratio("handshakes-full", "CPU of a full handshake", "handshake_cpu_us", "bare", 1.05),
    ratio("handshakes-resumed", "CPU of a resumed handshake", "handshake_cpu_us", "bare", 1.05),
    ratio("download-h1", "CPU of 100 MiB down", "transfer_cpu_ms", "bare", 1.1),
    ratio("download-h2", "CPU of 100 MiB down", "transfer_cpu_ms", "bare", 1.1),
    ratio("upload-h1", "CPU of 100 MiB up", "transfer_cpu_ms", "bare", 1.1),
    ratio("upload-h2", "CPU of 100 MiB up", "transfer_cpu_ms", "bare", 1.1),
];
