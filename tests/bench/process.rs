//! Programs that are measured: started on processors of their own, and what the kernel knows of them and their children.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use integration::Result;
use tokio::time::Instant;

/// A running program and its children.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts a program whose output goes to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        Ok(Self { child, log: log.into() })
    }

    /// Waits until it accepts connections.
    pub(crate) fn listens(&mut self, address: SocketAddr) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("ended with {status}:\n{}", self.said()).into());
            }
            if began.elapsed() > STARTING {
                return Err(format!("does not listen on {address}:\n{}", self.said()).into());
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Returns the last lines of its output.
    pub(crate) fn said(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<_> = said.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// Returns its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        Command::new("kill").args(["-s", name, &self.id().to_string()]).stderr(Stdio::null()).status()?;
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.signal("TERM")?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > STOPPING {
                let tree: Vec<_> = tree(&[self.id()])?.iter().map(u32::to_string).collect();
                Command::new("kill").args(["-s", "KILL"]).args(tree).stderr(Stdio::null()).status()?;
                self.child.wait()?;
            }
            sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A program that has ended needs no end; there is nobody to tell of anything else.
        let _ = self.stop();
    }
}

/// Returns these processes and all below them.
pub(crate) fn tree(roots: &[u32]) -> Result<Vec<u32>> {
    let mut children = BTreeMap::<u32, Vec<u32>>::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(process) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // It may have ended since it was listed.
        let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        // proc(5): the name stands in parentheses and may hold blanks; `ppid` is the second after it.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or_default()).or_default().push(process);
    }
    let mut found = roots.to_vec();
    let mut at = 0;
    while let Some(process) = found.get(at).copied() {
        found.extend(children.remove(&process).unwrap_or_default());
        at += 1;
    }
    Ok(found)
}

/// Returns the CPU time of all threads of these processes, in seconds: what `utime` and `stime` say, in nanoseconds.
pub(crate) fn cpu_seconds(processes: &[u32]) -> f64 {
    let tasks = processes.iter().filter_map(|process| fs::read_dir(format!("/proc/{process}/task")).ok()).flatten();
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum()).as_secs_f64()
}

/// Returns the CPU time of these processes, in seconds: to a hundredth, and that of threads that have ended too.
pub(crate) fn whole_cpu_seconds(processes: &[u32]) -> f64 {
    let stats = processes.iter().filter_map(|process| fs::read_to_string(format!("/proc/{process}/stat")).ok());
    // proc(5): the name stands in parentheses and may hold blanks; `utime` and `stime` are the twelfth and next after it.
    let ticks = stats.filter_map(|stat| {
        let mut times = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<f64>);
        Some(times.next()?.ok()? + times.next()?.ok()?)
    });
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

/// Returns the memory of these processes, in KiB; what they share is counted once.
pub(crate) fn memory_kib(processes: &[u32]) -> f64 {
    let rollups =
        processes.iter().filter_map(|process| fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok());
    let kib = rollups.filter_map(|rollup| {
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok()
    });
    kib.sum()
}

/// The most memory that processes have had since they were watched.
#[derive(Debug)]
pub(crate) struct Peak {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<f64>,
}

impl Peak {
    /// Begins to watch.
    pub(crate) fn watch(processes: Vec<u32>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut most = 0.0_f64;
            while stopped.recv_timeout(SAMPLE) == Err(RecvTimeoutError::Timeout) {
                most = most.max(memory_kib(&processes));
            }
            most.max(memory_kib(&processes))
        });
        Self { stop, thread }
    }

    /// Ends, and returns it in KiB.
    pub(crate) fn end(self) -> Result<f64> {
        drop(self.stop);
        Ok(self.thread.join().map_err(|_| "the thread that watches memory panicked")?)
    }
}

/// Returns the path of a program that was built beside this one, or one folder above, where examples find binaries.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("`{name}` is missing: use tests/bench/run").into())
}

/// Returns the path of a program that `tests/bench/install` has put there.
pub(crate) fn installed(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), TOOLS.into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("`{name}` is missing: run tests/bench/install").into())
}

/// Returns a port that nobody uses now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// `USER_HZ`, which Linux has fixed for all programs.
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;

/// Where programs lie that are not installed for everybody.
const TOOLS: &str = "target/tools/peers";

const STARTING: Duration = Duration::from_secs(60);
const STOPPING: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
const SAMPLE: Duration = Duration::from_millis(25);
