//! What `perf stat` counts of a proxy: steadier than time where the machine does other things besides.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use integration::Result;

use crate::figures::Figures;

/// A count that runs.
#[derive(Debug)]
pub(crate) struct Counter(Child);

impl Counter {
    /// Tells whether everything can be counted here.
    pub(crate) fn available() -> bool {
        let output = perf().arg("true").output();
        output.is_ok_and(|output| count(&String::from_utf8_lossy(&output.stderr)).count() == EVENTS.len())
    }

    /// Begins to count all threads of these processes.
    pub(crate) fn attach(processes: &[u32]) -> Result<Self> {
        let processes: Vec<_> = processes.iter().map(u32::to_string).collect();
        let mut command = perf();
        let child = command
            .args(["-p", &processes.join(",")])
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`perf`: {error}"))?;
        // It does not tell when it has begun.
        sleep(BEGINNING);
        Ok(Self(child))
    }

    /// Ends the count; returns what was counted for each of so many requests.
    pub(crate) fn end(mut self, requests: f64) -> Result<Figures> {
        Command::new("kill").arg("-INT").arg(self.0.id().to_string()).status()?;
        let mut said = String::new();
        self.0.stderr.take().ok_or("no standard error")?.read_to_string(&mut said)?;
        self.0.wait()?;
        let counts: Vec<_> = count(&said).collect();
        if counts.len() < EVENTS.len() {
            return Err(format!("perf counted nothing: {said}").into());
        }
        Ok(EVENTS.iter().zip(counts).map(|((_, name), count)| ((*name).to_owned(), count / requests)).collect())
    }
}

fn perf() -> Command {
    let events: Vec<_> = EVENTS.iter().map(|(event, _)| *event).collect();
    let mut command = Command::new("perf");
    command.args(["stat", "-x", ";", "-e", &events.join(",")]);
    command
}

fn count(said: &str) -> impl Iterator<Item = f64> {
    said.lines().filter_map(|line| line.split(';').next()?.parse::<f64>().ok())
}

/// What is counted, and the name of its figure.
const EVENTS: [(&str, &str); 4] = [
    ("instructions:u", "user_instructions"),
    ("instructions:k", "kernel_instructions"),
    ("cycles", "cycles"),
    ("context-switches", "switches"),
];

const BEGINNING: Duration = Duration::from_millis(200);
