//! What `perf stat` counts of a process: steadier than time where the machine does other things besides.

use std::io::Read as _;
use std::ops::Div;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use integration::Result;

/// A count that runs.
#[derive(Debug)]
pub(crate) struct Counter(Child);

/// What was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) user_instructions: f64,
    pub(crate) kernel_instructions: f64,
    pub(crate) cycles: f64,
    pub(crate) switches: f64,
}

impl Counter {
    /// Begins to count all threads of a process.
    pub(crate) fn attach(process: u32) -> Result<Self> {
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ";", "-e", EVENTS, "-p", &process.to_string()]);
        let child = command.stderr(Stdio::piped()).spawn().map_err(|error| format!("`perf`: {error}"))?;
        // It does not tell when it has begun.
        sleep(BEGINNING);
        Ok(Self(child))
    }

    /// Ends the count.
    pub(crate) fn end(mut self) -> Result<Counts> {
        Command::new("kill").arg("-INT").arg(self.0.id().to_string()).status()?;
        let mut said = String::new();
        self.0.stderr.take().ok_or("no standard error")?.read_to_string(&mut said)?;
        self.0.wait()?;
        let mut values = said.lines().filter_map(|line| line.split(';').next()?.parse::<f64>().ok());
        let mut next = || values.next().ok_or_else(|| format!("perf counted nothing: {said}"));
        Ok(Counts { user_instructions: next()?, kernel_instructions: next()?, cycles: next()?, switches: next()? })
    }
}

impl Div<f64> for Counts {
    type Output = Self;

    fn div(self, by: f64) -> Self {
        Self {
            user_instructions: self.user_instructions / by,
            kernel_instructions: self.kernel_instructions / by,
            cycles: self.cycles / by,
            switches: self.switches / by,
        }
    }
}

/// In the order of [`Counts`].
const EVENTS: &str = "instructions:u,instructions:k,cycles,context-switches";

const BEGINNING: Duration = Duration::from_millis(200);
