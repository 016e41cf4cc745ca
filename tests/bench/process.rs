//! A proxy in a process of its own, and what the kernel knows of it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use integration::Result;

/// A running program of this build.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Starts the bare proxy.
    pub(crate) fn bare_proxy(folder: &Path, upstream: SocketAddr) -> Result<Self> {
        let mut command = Command::new(program("bare-proxy")?);
        command.arg(folder.join("cert.pem")).arg(folder.join("key.pem")).arg(upstream.to_string());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let said = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines().next();
        match said.ok_or("bare-proxy ended").and_then(|line| line.map_err(|_| "bare-proxy cannot be read")) {
            Ok(line) => Ok(Self { child, address: line.parse()? }),
            Err(error) => Err(error.into()),
        }
    }

    /// Starts Portcullis with the settings that it has of itself.
    pub(crate) fn portcullis(folder: &Path) -> Result<Self> {
        let mut command = Command::new(program("portcullis")?);
        command.arg("run").arg("--config").arg(folder.join("portcullis.yaml")).env_remove("PORTCULLIS_LOG");
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
        let mut said = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else { return Err(format!("portcullis ended:\n{said}").into()) };
            let listening = line.contains(" listening ").then(|| line.split_once(" server.address=")).flatten();
            if let Some((_, address)) = listening {
                break address.split_whitespace().next().unwrap_or_default().parse()?;
            }
            said.push_str(&line);
            said.push('\n');
        };
        // Whatever else it logs is read, as a supervisor would.
        thread::spawn(move || lines.map_while(std::result::Result::ok).for_each(drop));
        Ok(Self { child, address })
    }

    /// Returns the address of its https listener.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the CPU time of all its threads so far, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        // proc(5): the name stands in parentheses and may hold blanks; `utime` and `stime` are the 12th and 13th after it.
        let after_name = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?.1;
        let mut ticks = after_name.split_whitespace().skip(11).take(2);
        let (user, system) = (ticks.next().ok_or("no utime")?, ticks.next().ok_or("no stime")?);
        Ok((user.parse::<f64>()? + system.parse::<f64>()?) / TICKS_PER_SECOND)
    }

    /// Returns its resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/PID/status")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        self.child.wait()?;
        Ok(())
    }

    fn proc(&self, file: &str) -> Result<String> {
        Ok(std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After `stop` there is nobody left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of a program that was built beside this one, or one folder above, where examples find binaries.
fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("`{name}` is missing: use tests/bench/run").into())
}

/// `USER_HZ`, which Linux has fixed for all programs.
const TICKS_PER_SECOND: f64 = 100.0;
