//! The bounded check: every peer's configuration works, and Portcullis costs no more beside the bare proxy than it did.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use integration::Result;
use serde_json::Value;

use crate::counters::Counter;
use crate::machine::Placement;
use crate::peers::{self, Contestant, Shape};
use crate::scenario::{self, Plan};
use crate::site::Site;

/// What passed and what did not, told as it is found.
#[derive(Debug, Default)]
struct Verdicts {
    passed: usize,
    failed: usize,
}

/// Runs the check.
pub(crate) fn run(placement: Placement) -> Result<ExitCode> {
    let mut verdicts = Verdicts::default();
    verify(&mut verdicts, placement)?;
    records(&mut verdicts, placement)?;
    guards(&mut verdicts, placement)?;
    audit(&mut verdicts, placement)?;
    let Verdicts { passed, failed } = verdicts;
    writeln!(io::stdout().lock(), "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts everybody, for every shape: each lets in who may, and nobody else.
fn verify(verdicts: &mut Verdicts, placement: Placement) -> Result<()> {
    let site = Site::start(placement)?;
    for contestant in peers::all() {
        for shape in [Shape::Identity, Shape::Grpc, Shape::Origination, Shape::Plain] {
            let name = contestant.name();
            if contestant.lacks(shape).is_some() {
                continue;
            }
            match peers::start(contestant, &site, shape) {
                Ok(running) => {
                    running.stop()?;
                    verdicts.tell(true, format_args!("{name} does what it is compared for: {shape:?}"))?;
                }
                Err(error) => verdicts.tell(false, error)?,
            }
        }
    }
    Ok(())
}

/// Makes sure that what is measured is the whole work: a record and an assertion for each request.
fn records(verdicts: &mut Verdicts, placement: Placement) -> Result<()> {
    let site = Site::start(placement)?;
    let plan = Plan { rounds: 1, requests: 2000, at_rate: None, counted: false, rests: false };
    let scenario = scenario::find("identity-h2")?;
    let portcullis: Vec<&dyn Contestant> =
        peers::all().into_iter().filter(|known| known.name() == "portcullis").collect();
    let results = scenario.run(&site, &portcullis, plan)?;
    let mut recorded = 0;
    for segment in audit::Archive::open(&site.path("portcullis-Identity").join("audit"))?.segments() {
        let mut lines = segment.lines()?;
        while let Some(line) = lines.next_line()? {
            recorded += usize::from(str::from_utf8(line)?.contains(r#""upstream":{"#));
        }
    }
    let asserted = site.asserted()?;
    let text = format!("audit: {recorded} records of {asserted} requests that came with an assertion");
    verdicts.tell(recorded == asserted && asserted > 2000, text)?;
    let rest = results.spread("portcullis", "rest_mib").map_or(f64::NAN, |spread| spread.median);
    verdicts.tell(rest < REST_MIB, format_args!("at rest: {rest:.1} MiB, less than {REST_MIB}"))
}

/// Compares what Portcullis costs beside the bare proxy with what it cost when `guards.json` was written.
fn guards(verdicts: &mut Verdicts, placement: Placement) -> Result<()> {
    let counted = Counter::available();
    let kept: Value = serde_json::from_str(include_str!("guards.json"))?;
    for (name, timed) in GUARDED {
        let scenario = scenario::find(name)?;
        let figure = if counted { "user_instructions" } else { timed };
        let bound = kept.get(name).and_then(|kept| kept.get(figure)).and_then(Value::as_f64);
        let bound = bound.ok_or_else(|| format!("guards.json has no `{figure}` of `{name}`"))?;
        let most = bound * if counted { COUNTED } else { TIMED };
        // A second run decides where the first one was disturbed.
        let mut ratio = f64::NAN;
        for _ in 0..2 {
            ratio = measure(scenario, placement, figure, counted)?;
            if ratio <= most {
                break;
            }
        }
        let text =
            format!("{name}: {ratio:.2} times the bare proxy's {figure}, at most {most:.2} ({bound:.2} is kept)");
        verdicts.tell(ratio <= most, text)?;
    }
    Ok(())
}

/// Compares what a request costs with its audit records and without.
fn audit(verdicts: &mut Verdicts, placement: Placement) -> Result<()> {
    let counted = Counter::available();
    let (figure, most) = if counted { ("user_instructions", AUDIT_COUNTED) } else { ("cpu_us", AUDIT_TIMED) };
    let plan = Plan { rounds: 3, requests: 10_000, at_rate: None, counted, rests: false };
    let scenario = scenario::find("audit")?;
    let results = scenario.run(&Site::start(placement)?, &peers::audited(), plan)?;
    let ratio = results.ratio(figure, "portcullis", "unaudited").map_or(f64::NAN, |spread| spread.median);
    verdicts.tell(ratio <= most, format_args!("audit: {ratio:.2} times the {figure} without a log, at most {most:.2}"))
}

/// Returns the figure as a multiple of the bare proxy's.
fn measure(scenario: &scenario::Scenario, placement: Placement, figure: &str, counted: bool) -> Result<f64> {
    let plan = Plan { rounds: 3, requests: 10_000, at_rate: None, counted, rests: false };
    let both = ["bare", "portcullis"];
    let contestants: Vec<_> = peers::all().into_iter().filter(|known| both.contains(&known.name())).collect();
    let results = scenario.run(&Site::start(placement)?, &contestants, plan)?;
    Ok(results.ratio(figure, "portcullis", "bare").map_or(f64::NAN, |spread| spread.median))
}

impl Verdicts {
    fn tell(&mut self, passed: bool, what: impl Display) -> Result<()> {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        writeln!(io::stdout().lock(), "{} {what}", if passed { "ok  " } else { "FAIL" })?;
        Ok(())
    }
}

/// What a request may cost with its audit records, as a multiple of one without: what makes records much dearer is noticed.
const AUDIT_COUNTED: f64 = 1.3;
const AUDIT_TIMED: f64 = 1.5;

/// What is compared with what is kept, and the figure that counts where instructions cannot be counted.
const GUARDED: [(&str, &str); 5] = [
    ("identity-h1", "cpu_us"),
    ("identity-h2", "cpu_us"),
    ("grpc", "cpu_us"),
    ("handshakes-full", "handshake_cpu_us"),
    ("handshakes-resumed", "handshake_cpu_us"),
];

/// How much dearer than what is kept it may be where instructions are counted, which hardly depend on the machine.
const COUNTED: f64 = 1.05;

/// The same where time is measured, on machines that do other things too.
const TIMED: f64 = 1.6;

/// What Portcullis may hold before the first request.
const REST_MIB: f64 = 30.0;
