//! What was measured, as lines of JSON: one for each proxy in each round of a scenario.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use integration::Result;
use serde_json::{Value, json};

/// Figures by their names.
pub(crate) type Figures = BTreeMap<String, f64>;

/// What one round gave for one proxy.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    pub(crate) peer: String,
    pub(crate) round: usize,
    /// The share of all processors that others had meanwhile.
    pub(crate) others: f64,
    pub(crate) figures: Figures,
}

/// All rounds of a scenario, and where and of what they were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    /// `machine`, `date`, `command`, `revision`.
    pub(crate) about: BTreeMap<String, String>,
    pub(crate) versions: BTreeMap<String, String>,
    /// Who was left out, and why.
    pub(crate) left_out: BTreeMap<String, String>,
    pub(crate) measurements: Vec<Measurement>,
}

/// The middle of what several rounds gave, and the least and most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Results {
    /// Adds what one round gave; figures of the same round and proxy come together.
    pub(crate) fn add(&mut self, peer: &str, round: usize, others: f64, figures: Figures) {
        let known = self.measurements.iter_mut().find(|known| known.peer == peer && known.round == round);
        if let Some(known) = known {
            known.others = known.others.max(others);
            known.figures.extend(figures);
        } else {
            self.measurements.push(Measurement { peer: peer.into(), round, others, figures });
        }
    }

    /// Returns the proxies that were measured.
    pub(crate) fn peers(&self) -> Vec<&str> {
        let mut peers: Vec<&str> = Vec::new();
        for measurement in &self.measurements {
            if !peers.contains(&measurement.peer.as_str()) {
                peers.push(&measurement.peer);
            }
        }
        peers
    }

    /// Returns a figure of one proxy over all rounds.
    pub(crate) fn spread(&self, peer: &str, figure: &str) -> Option<Spread> {
        let of_peer = self.measurements.iter().filter(|measurement| measurement.peer == peer);
        Spread::of(of_peer.filter_map(|measurement| measurement.figures.get(figure).copied()).collect())
    }

    /// Returns a figure of one proxy as a multiple of another's, round by round.
    pub(crate) fn ratio(&self, figure: &str, peer: &str, to: &str) -> Option<Spread> {
        self.compare(figure, peer, to, |own, other| own / other)
    }

    /// Returns by how much a figure of one proxy exceeds another's, round by round.
    pub(crate) fn excess(&self, figure: &str, peer: &str, over: &str) -> Option<Spread> {
        self.compare(figure, peer, over, |own, other| own - other)
    }

    fn compare(&self, figure: &str, peer: &str, with: &str, compare: impl Fn(f64, f64) -> f64) -> Option<Spread> {
        let of = |peer: &str, round| {
            let found = self.measurements.iter().find(|known| known.peer == peer && known.round == round)?;
            found.figures.get(figure).copied()
        };
        let rounds = self.measurements.iter().filter(|known| known.peer == peer).map(|known| known.round);
        Spread::of(rounds.filter_map(|round| Some(compare(of(peer, round)?, of(with, round)?))).collect())
    }

    /// Returns how many rounds there were, and in how many the machine was busy with something else.
    pub(crate) fn rounds(&self) -> (usize, usize) {
        let rounds = self.measurements.iter().map(|measurement| measurement.round).max().unwrap_or_default();
        let busy = |round: &usize| {
            let mut of_round = self.measurements.iter().filter(|measurement| measurement.round == *round);
            of_round.any(|measurement| measurement.others > BUSY)
        };
        (rounds, (1..=rounds).filter(busy).count())
    }

    /// Writes them to the scenario's file.
    pub(crate) fn write(&self, scenario: &str) -> Result<()> {
        let mut lines = vec![json!({
            "scenario": scenario, "about": self.about, "versions": self.versions, "left_out": self.left_out,
        })];
        lines.extend(self.measurements.iter().map(|measurement| measurement.line(scenario)));
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::create_dir_all(FOLDER)?;
        Ok(fs::write(file(scenario), lines)?)
    }

    /// Reads the scenario's file; nothing if it was never measured here.
    pub(crate) fn read(scenario: &str) -> Result<Option<Self>> {
        let Ok(lines) = fs::read_to_string(file(scenario)) else { return Ok(None) };
        let mut lines = lines.lines().map(serde_json::from_str::<Value>);
        let mut head = lines.next().ok_or("a file of results is empty")??;
        let mut texts = |name: &str| serde_json::from_value(head.get_mut(name).unwrap_or(&mut Value::Null).take());
        let (about, versions, left_out) = (texts("about")?, texts("versions")?, texts("left_out")?);
        let measurements = lines.map(|line| Measurement::parse(&line?)).collect::<Result<_>>()?;
        Ok(Some(Self { about, versions, left_out, measurements }))
    }
}

impl Measurement {
    /// Returns it as the line of JSON that is kept.
    pub(crate) fn line(&self, scenario: &str) -> Value {
        let Self { peer, round, others, figures } = self;
        json!({ "scenario": scenario, "peer": peer, "round": round, "others": others, "busy": *others > BUSY, "figures": figures })
    }

    fn parse(line: &Value) -> Result<Self> {
        let text = line.get("peer").and_then(Value::as_str).ok_or("a measurement without a peer")?;
        let round = line.get("round").and_then(Value::as_u64).ok_or("a measurement without a round")?;
        let others = line.get("others").and_then(Value::as_f64).unwrap_or_default();
        let figures = line.get("figures").and_then(Value::as_object).ok_or("a measurement without figures")?;
        let figures = figures.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
        Ok(Self { peer: text.into(), round: usize::try_from(round)?, others, figures })
    }
}

impl Spread {
    /// Returns nothing where nothing was measured.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let median = *values.get(values.len() / 2)?;
        Some(Self { median, least: *values.first()?, most: *values.last()? })
    }
}

fn file(scenario: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{scenario}.jsonl"))
}

/// Where results are kept, so that one scenario can be measured again.
pub(crate) const FOLDER: &str = "target/bench";

/// A round in which others had more than this share of all processors is marked.
pub(crate) const BUSY: f64 = 0.05;
