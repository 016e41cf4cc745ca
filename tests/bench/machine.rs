//! The machine: which processor measures, which is measured, and what else it was busy with.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::Result;

use crate::process::{TICKS_PER_SECOND, cpu_seconds, tree};

/// Who runs where: the proxy has one processor, and everybody else the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    proxy: usize,
}

impl Placement {
    /// Moves this process, and what it starts, away from the proxy's processor, unless there is but one.
    pub(crate) fn take() -> Result<Self> {
        let mut others = processors()?;
        let proxy = others.pop().ok_or("no processor")?;
        if !others.is_empty() {
            let others: Vec<_> = others.iter().map(usize::to_string).collect();
            let own = std::process::id().to_string();
            let done = Command::new("taskset").args(["-a", "-c", "-p", &others.join(","), &own]).output()?;
            if !done.status.success() {
                return Err(format!("taskset: {}", String::from_utf8_lossy(&done.stderr)).into());
            }
        }
        Ok(Self { proxy })
    }

    /// Returns a command that runs on the proxy's processor alone.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = bound();
        command.args(["taskset", "-c", &self.proxy.to_string()]).arg(program);
        command
    }
}

/// Returns a command that ends with this process, however that ends.
pub(crate) fn bound() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]);
    command
}

/// Returns the processors that this process may use.
fn processors() -> Result<Vec<usize>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list =
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).ok_or("no list of processors")?;
    let mut found = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        found.extend(first.parse::<usize>()?..=last.parse()?);
    }
    Ok(found)
}

/// What all processors together did until now, and what of it was ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    total: f64,
    idle: f64,
    ours: f64,
}

impl Account {
    /// Reads it; ours is whatever this process has started.
    pub(crate) fn read() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().ok_or("`/proc/stat` is empty")?;
        // proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guests are in the first two.
        let times: Vec<f64> =
            line.split_whitespace().skip(1).take(8).map(str::parse).collect::<std::result::Result<_, _>>()?;
        let idle = times.iter().skip(3).take(2).sum::<f64>() / TICKS_PER_SECOND;
        let total = times.iter().sum::<f64>() / TICKS_PER_SECOND;
        Ok(Self { total, idle, ours: cpu_seconds(&tree(&[std::process::id()])?) })
    }

    /// Returns which share of all processors went to others since then, stolen time included.
    pub(crate) fn others_since(self) -> Result<f64> {
        let now = Self::read()?;
        let passed = now.total - self.total;
        let others = passed - (now.idle - self.idle) - (now.ours - self.ours);
        Ok(if passed > 0.0 { (others / passed).clamp(0.0, 1.0) } else { 0.0 })
    }
}

/// Describes processor, memory and system.
pub(crate) fn description() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let processors = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let system = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let gib = kib.unwrap_or_default().div_ceil(1024 * 1024);
    Ok(format!("{processors} processors ({model}), {gib} GiB, Linux {}", system.trim()))
}

/// Returns how many files a process may have open.
pub(crate) fn open_files() -> Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).ok_or("no limit of open files")?;
    let soft = line.split_whitespace().next().unwrap_or_default();
    Ok(soft.parse().unwrap_or(usize::MAX))
}
