//! The aims, and whether the results reach them.

use std::fmt::Write as _;

use super::{cell, number};
use crate::figures::Results;
use crate::scenario::Scenario;

/// One aim: a figure of Portcullis, alone or beside somebody else's.
#[derive(Debug)]
struct Aim {
    scenario: &'static str,
    what: &'static str,
    figure: &'static str,
    of: &'static str,
    beside: Beside,
    bound: f64,
    digits: usize,
}

/// What a figure is set beside.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Nothing,
    /// It is a multiple of this one's.
    Times(&'static str),
    /// It is what is more than this one's.
    Over(&'static str),
}

/// Returns what was aimed at, what was measured, and whether that is enough.
pub(super) fn table(kept: &[(&Scenario, Results)]) -> String {
    let mut text = "| scenario | figure | aim | measured | |\n|---|---|--:|--:|---|\n".to_owned();
    for aim in AIMS {
        let results = kept.iter().find(|(scenario, _)| scenario.name == aim.scenario).map(|(_, results)| results);
        let spread = results.and_then(|results| match aim.beside {
            Beside::Nothing => results.spread(aim.of, aim.figure),
            Beside::Times(beside) => results.ratio(aim.figure, aim.of, beside),
            Beside::Over(beside) => results.excess(aim.figure, aim.of, beside),
        });
        let measured = cell(spread, aim.digits);
        let busy = results.is_some_and(|results| results.rounds().1 > 0);
        let verdict = match spread {
            None => "not measured",
            Some(spread) if spread.median <= aim.bound => "met",
            Some(_) => "**not met**",
        };
        let verdict = format!("{verdict}{}", if busy && spread.is_some() { ", on a busy machine" } else { "" });
        let beside = match aim.beside {
            Beside::Nothing => String::new(),
            Beside::Times(beside) => format!(", as a multiple of {beside}"),
            Beside::Over(beside) => format!(", more than {beside}"),
        };
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
    Aim { scenario, what, figure, of: "portcullis", beside: Beside::Times(beside), bound, digits: 2 }
}

const fn scale(what: &'static str, of: &'static str) -> Aim {
    Aim { scenario: "scale", what, figure: "cpu_us", of, beside: Beside::Times("10-of-each"), bound: 1.1, digits: 2 }
}

const fn bound(scenario: &'static str, what: &'static str, figure: &'static str, bound: f64) -> Aim {
    Aim { scenario, what, figure, of: "portcullis", beside: Beside::Nothing, bound, digits: 1 }
}

const fn over(
    scenario: &'static str,
    what: &'static str,
    figure: &'static str,
    beside: &'static str,
    bound: f64,
) -> Aim {
    Aim { scenario, what, figure, of: "portcullis", beside: Beside::Over(beside), bound, digits: 0 }
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
    ratio("audit", CPU, "cpu_us", "unaudited", 1.1),
    over("audit", "µs at p99 at half of saturation", "p99_us", "unaudited", 1000.0),
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
