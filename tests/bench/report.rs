//! What the results come to: Markdown for people, plots, and whether the aims are met.

mod plot;
mod targets;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use integration::Result;

use self::plot::Bar;
use crate::figures::{BUSY, Results, Spread};
use crate::peers;
use crate::scenario::{self, Scenario};

/// How a figure is told.
#[derive(Debug)]
struct Column {
    figure: &'static str,
    heading: &'static str,
    digits: usize,
    /// Which way is better; what has none is not plotted.
    better: Option<&'static str>,
}

/// Returns a scenario's section.
pub(crate) fn scenario(scenario: &Scenario, results: &Results) -> String {
    let mut text = format!("### {}\n\n`{}`: {}\n\n{}", scenario.title, scenario.name, scenario.about, table(results));
    for (name, reason) in &results.left_out {
        let _ = writeln!(text, "\nLeft out: {name}: {reason}.");
    }
    let (rounds, busy) = results.rounds();
    let _ =
        writeln!(text, "\nMedians of {rounds} rounds, and in brackets the least and the most.{}", marked(rounds, busy));
    if let Some(rate) = results.peers().iter().find_map(|peer| results.spread(peer, "rate")) {
        let _ = writeln!(
            text,
            "Percentiles are those at {:.0} requests/s, half of what Portcullis serves here; who serves less has none.",
            rate.median
        );
    }
    if let Some(added) = results.excess("p99_us", "portcullis", "unaudited") {
        let _ = writeln!(
            text,
            "Round by round, of which there are three times as many as `--rounds` says, p99 was {} µs more with the log than \
             without; the median says what the log adds, the spread how much the machine does by itself.",
            cell(Some(added), 0)
        );
    }
    let about = |name: &str| results.about.get(name).map_or("", String::as_str);
    let _ = writeln!(
        text,
        "\n`{}` at commit {}, {}, on {}.\n",
        about("command"),
        about("revision"),
        about("date"),
        about("machine")
    );
    text
}

fn marked(rounds: usize, busy: usize) -> String {
    match busy {
        0 => String::new(),
        busy => format!(
            " **In {busy} of {rounds} the machine did other things too** (more than {:.0} % of its processors).",
            BUSY * 100.0
        ),
    }
}

/// Returns the table of all figures that were measured.
fn table(results: &Results) -> String {
    let peers = results.peers();
    let measured = |column: &&Column| peers.iter().any(|peer| results.spread(peer, column.figure).is_some());
    let columns: Vec<_> = COLUMNS.iter().filter(measured).collect();
    let peers = order(&peers);
    // The scenario of one proxy alone begins with the least of it.
    let base = peers
        .iter()
        .find(|peer| ["bare", "unaudited"].contains(peer))
        .or_else(|| peers.first())
        .copied()
        .unwrap_or_default();
    let mut text = "| |".to_owned();
    for (number, column) in columns.iter().enumerate() {
        let _ =
            write!(text, " {} |{}", column.heading, if number == 0 { format!(" × {base} |") } else { String::new() });
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(columns.len() + 1));
    for peer in &peers {
        let _ = write!(text, "\n| {} |", if *peer == "portcullis" { "**portcullis**" } else { peer });
        for (number, column) in columns.iter().enumerate() {
            let told = cell(results.spread(peer, column.figure), column.digits);
            let _ = write!(text, " {}{told} |", if at_least(results, peer, column.figure) { AT_LEAST } else { "" });
            if number == 0 {
                let _ = write!(text, " {} |", cell(results.ratio(column.figure, peer, base), 2));
            }
        }
    }
    text.push('\n');
    text
}

/// Tells whether something else than the proxy bounded its rate: alone, it would serve more.
fn at_least(results: &Results, peer: &str, figure: &str) -> bool {
    figure == "per_second" && results.spread(peer, "utilisation").is_some_and(|busy| busy.median < SATURATED)
}

fn cell(spread: Option<Spread>, digits: usize) -> String {
    let Some(Spread { median, least, most }) = spread else { return "–".into() };
    let (middle, least, most) = (number(median, digits), number(least, digits), number(most, digits));
    if least == most { middle } else { format!("{middle} ({least}–{most})") }
}

/// Writes a number with blanks between thousands.
fn number(value: f64, digits: usize) -> String {
    if value < 0.0 {
        return format!("−{}", number(-value, digits));
    }
    let text = format!("{value:.digits$}");
    let (whole, fraction) =
        text.split_once('.').map_or((&*text, String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    if whole.len() < 5 {
        return text;
    }
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped + &fraction
}

/// Returns the names in the order of the report, not in that of the turns.
fn order<'a>(peers: &[&'a str]) -> Vec<&'a str> {
    let mut peers = peers.to_vec();
    let place = |name: &str| {
        let known = peers::all().iter().position(|known| known.name() == name);
        let alone = || peers::scales().into_iter().chain(peers::audited()).position(|known| known.name() == name);
        known.or_else(alone)
    };
    peers.sort_by_key(|name| place(name));
    peers
}

/// Writes all kept results into the documentation.
pub(crate) fn write() -> Result<()> {
    let mut kept = Vec::new();
    for scenario in scenario::ALL {
        if let Some(results) = Results::read(scenario.name)? {
            kept.push((scenario, results));
        }
    }
    let mut text = String::from("## Aims\n\n");
    text.push_str(&targets::table(&kept));
    text.push_str("\n## Where others are better\n\n");
    text.push_str(&better(&kept));
    text.push_str("\n## Who is compared\n\n");
    text.push_str(&who(&kept));
    text.push_str("\n## Results\n\n");
    fs::create_dir_all(PLOTS)?;
    for (kind, results) in &kept {
        text.push_str(&scenario(kind, results));
        let panels = panels(results);
        if !panels.is_empty() {
            fs::write(format!("{PLOTS}/{}.svg", kind.name), plot::draw(&panels))?;
            let _ = writeln!(text, "![{}](performance/{}.svg)\n", kind.title, kind.name);
        }
    }
    let page = fs::read_to_string(PAGE)?;
    let (before, rest) = page.split_once(BEGIN).ok_or_else(|| format!("{PAGE} has no `{BEGIN}`"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("{PAGE} has no `{END}`"))?;
    Ok(fs::write(PAGE, format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim_end()))?)
}

/// Returns every figure that is plotted and in which a peer is better than Portcullis, round by round, with those peers.
fn better(kept: &[(&Scenario, Results)]) -> String {
    let mut text = "| scenario | figure | better, as a multiple of Portcullis |\n|---|---|---|\n".to_owned();
    for (scenario, results) in kept {
        for (column, way) in COLUMNS.iter().filter_map(|column| Some((column, column.better?))) {
            let ahead = |ratio: f64| if Some(way) == LESS { ratio < 1.0 } else { ratio > 1.0 };
            let peers = order(&results.peers()).into_iter().filter(|peer| !plot::BOUNDS.contains(peer));
            let ahead: Vec<_> = peers
                .filter_map(|peer| Some((peer, results.ratio(column.figure, peer, "portcullis")?)))
                .filter(|(_, ratio)| ahead(ratio.median))
                .map(|(peer, ratio)| format!("{peer} {}", cell(Some(ratio), 2)))
                .collect();
            // A rate that the load generator bounded says nothing of the proxy.
            if !ahead.is_empty() && !at_least(results, "portcullis", column.figure) {
                let _ = writeln!(text, "| `{}` | {} | {} |", scenario.name, column.heading, ahead.join(", "));
            }
        }
    }
    text
}

/// Returns the table of proxies, their versions, and how each does what is asked.
fn who(kept: &[(&Scenario, Results)]) -> String {
    let mut versions = BTreeMap::new();
    for (_, results) in kept {
        versions.extend(results.versions.iter());
    }
    let mut text = "| | version | what it does for a request |\n|---|---|---|\n".to_owned();
    for contestant in peers::all() {
        let name = contestant.name().to_owned();
        let version = versions.get(&name).map_or("–", |version| version.as_str());
        let _ = writeln!(text, "| {name} | {version} | {} |", contestant.how());
    }
    text
}

/// Returns what is plotted of a scenario.
fn panels(results: &Results) -> Vec<(String, usize, Vec<Bar<'_>>)> {
    let plotted = COLUMNS.iter().filter_map(|column| Some((column, column.better?))).map(|(column, better)| {
        let peers = order(&results.peers()).into_iter();
        let bars = peers.filter_map(|peer| {
            let spread = results.spread(peer, column.figure)?;
            let before = if at_least(results, peer, column.figure) { AT_LEAST } else { "" };
            Some(Bar { name: peer, spread, before })
        });
        (format!("{} ({better} is better)", column.heading), column.digits, bars.collect::<Vec<_>>())
    });
    plotted.filter(|(_, _, bars)| bars.len() > 1).collect()
}

const fn column(figure: &'static str, heading: &'static str, digits: usize, better: Option<&'static str>) -> Column {
    Column { figure, heading, digits, better }
}

/// Every figure in the order of a table; the first that a scenario has is also told as a multiple of the bare proxy's.
const COLUMNS: &[Column] = &[
    column("cpu_us", "CPU µs a request", 1, LESS),
    column("later_us", "CPU µs put off", 1, None),
    column("handshake_cpu_us", "CPU µs a handshake", 0, LESS),
    column("transfer_cpu_ms", "CPU ms for 100 MiB", 0, LESS),
    column("connection_kib", "KiB each", 1, LESS),
    column("per_second", "requests/s on one processor", 0, MORE),
    column("utilisation", "its processor busy", 2, None),
    column("handshakes_per_core", "handshakes/s of a whole processor", 0, MORE),
    column("mib_per_second", "MiB/s", 0, MORE),
    column("undisturbed_p99_us", "p99 µs undisturbed", 0, None),
    column("p50_us", "p50 µs", 0, None),
    column("p99_us", "p99 µs", 0, LESS),
    column("p999_us", "p99.9 µs", 0, None),
    column("failed", "requests that failed", 0, None),
    column("rest_mib", "MiB at rest", 1, None),
    column("loaded_mib", "MiB after load", 1, None),
    column("growth_mib", "MiB more at peak", 1, None),
    column("connections", "connections", 0, None),
    column("message_cpu_us", "CPU µs a message", 1, None),
    column("user_instructions", "instructions, user", 0, None),
    column("kernel_instructions", "instructions, kernel", 0, None),
    column("cycles", "cycles", 0, None),
    column("switches", "context switches", 2, None),
];

const LESS: Option<&str> = Some("less");
const MORE: Option<&str> = Some("more");

const AT_LEAST: &str = "≥ ";

/// A proxy whose processor is less busy than this was not what bounded the rate.
const SATURATED: f64 = 0.9;

const PAGE: &str = "docs/performance.md";
const PLOTS: &str = "docs/performance";
const BEGIN: &str = "<!-- written by `tests/bench/run --write`: begin -->";
const END: &str = "<!-- written by `tests/bench/run --write`: end -->";
