//! The audit log of a process that is killed, or whose disk is full: what the upstream saw is in it.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tempfile::TempDir;

/// An upstream that remembers the ids of all requests that reached it.
#[derive(Clone)]
struct Upstream {
    address: SocketAddr,
    seen: Arc<(Mutex<BTreeSet<String>>, Condvar)>,
}

/// A running proxy.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let serving = upstream.clone();
        // Ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, upstream) = (stream.unwrap(), serving.clone());
                std::thread::spawn(move || upstream.serve(stream));
            }
        });
        upstream
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(line)) = lines.next() {
            if let Some(id) = line.strip_prefix("x-request-id: ") {
                let (seen, more) = &*self.seen;
                assert!(seen.lock().unwrap().insert(id.to_owned()));
                more.notify_all();
            }
            if line.is_empty() && stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }

    fn count(&self) -> usize {
        self.seen.0.lock().unwrap().len()
    }

    /// Waits until it has seen so many requests.
    fn until(&self, count: usize) {
        let (seen, more) = &*self.seen;
        let (_seen, waited) =
            more.wait_timeout_while(seen.lock().unwrap(), Duration::from_secs(60), |seen| seen.len() < count).unwrap();
        assert!(!waited.timed_out());
    }
}

impl Proxy {
    fn start(mut command: Command, config: &Path) -> Self {
        command.args(["run", "--log-format", "json", "--config"]).arg(config).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut address = None;
        loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it was ready");
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["message"] == "listening" {
                address = Some(event["server.address"].as_str().unwrap().parse().unwrap());
            } else if event["message"] == "ready" {
                break;
            }
        }
        // A pipe that nobody reads would stop the process when it is full.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Self { child, address: address.unwrap() }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks on one connection until that breaks.
    fn ask_until_it_breaks(address: SocketAddr) {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        let mut answer = [0; 4096];
        while stream.write_all(b"GET /a HTTP/1.1\r\nhost: app.test\r\n\r\n").is_ok() {
            match stream.read(&mut answer) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Asks once on a connection of its own, and returns the status.
    fn ask(&self) -> u16 {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"GET /a HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(folder: &TempDir, upstream: &Upstream) -> PathBuf {
    let path = folder.path().join("portcullis.yaml");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    fs::write(folder.path().join("audit.key"), key.serialize_pem()).unwrap();
    fs::write(folder.path().join("audit.pub"), key.public_key_pem()).unwrap();
    let text = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\n\
         admin: {{ address: 127.0.0.1:0 }}\n\
         audit: {{ segment_size: 256KiB, signing_key: audit.key }}\n\
         routes: [{{ from: http://app.test, to: http://{}, authenticate: none, allow: 'true' }}]\n",
        upstream.address
    );
    fs::write(&path, text).unwrap();
    path
}

fn portcullis() -> Command {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
}

/// Compares the log with what the upstream saw, and verifies it.
fn nothing_is_missing(folder: &TempDir, upstream: &Upstream) {
    let dir = folder.path().join("audit");
    let key = audit::VerifyingKey::from_pem(&fs::read(folder.path().join("audit.pub")).unwrap()).unwrap();
    let verification = audit::verify(&dir, &[key], &[]).unwrap();
    assert!(verification.findings.is_empty(), "{:#?}", verification.findings);
    assert_eq!(verification.chains.len(), 1);
    let records = audit::test_util::records(&dir).unwrap();
    let recorded: BTreeSet<_> = records.iter().filter_map(|record| record["id"].as_str().map(str::to_owned)).collect();
    let seen = upstream.seen.0.lock().unwrap();
    let missing: Vec<_> = seen.difference(&recorded).collect();
    assert!(missing.is_empty(), "{} of {} have no record: {missing:?}", missing.len(), seen.len());
}

#[test]
fn a_process_that_is_killed_again_and_again_leaves_no_forwarded_request_without_its_record() {
    let folder = TempDir::new().unwrap();
    let upstream = Upstream::start();
    let config = config(&folder, &upstream);
    for run in 0..KILLS {
        let proxy = Proxy::start(portcullis(), &config);
        let address = proxy.address;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || Proxy::ask_until_it_breaks(address));
            }
            // Under load, and at another moment each time.
            upstream.until(upstream.count() + 1 + run * 7 % 50);
            proxy.kill();
        });
    }
    nothing_is_missing(&folder, &upstream);
}

#[test]
fn a_full_disk_refuses_requests_until_there_is_room_and_loses_nothing_that_was_let_through() {
    let folder = TempDir::new().unwrap();
    let upstream = Upstream::start();
    let config = config(&folder, &upstream);
    // No file may grow past this, which a program sees as it sees a full disk: an error of `write`, after a part.
    let mut command = Command::new("prlimit");
    command.args(["--fsize=65000:unlimited", env!("CARGO_BIN_EXE_portcullis")]);
    let proxy = Proxy::start(command, &config);
    let mut served = 0;
    while proxy.ask() == 200 {
        served += 1;
    }
    assert!(served > 10 && upstream.count() == served, "{served} of {}", upstream.count());
    assert_eq!((proxy.ask(), upstream.count()), (503, served));
    let limit = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &proxy.child.id().to_string()]).status();
    assert!(limit.unwrap().success());
    while proxy.ask() != 200 {
        std::thread::yield_now();
    }
    proxy.kill();
    // What a killed process left is whole for readers before anybody has closed it off.
    nothing_is_missing(&folder, &upstream);
}

#[test]
fn requests_are_found_and_counted_with_what_became_of_them() {
    let folder = TempDir::new().unwrap();
    let upstream = Upstream::start();
    let config = config(&folder, &upstream);
    let proxy = Proxy::start(portcullis(), &config);
    for _ in 0..3 {
        assert_eq!(proxy.ask(), 200);
    }
    let search = |arguments: &[&str]| {
        let output = portcullis().arg("audit").args(arguments).arg("--config").arg(&config).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // Outcomes are written within milliseconds of the end.
    while search(&["query", "--path", "/a", "--status", "2xx", "--ip", "127.0.0.0/8", "--format", "json"])
        .lines()
        .count()
        < 3
    {
        std::thread::yield_now();
    }
    let summary = search(&["summary", "--by", "decision,status", "--kind", "request", "--format", "json"]);
    let group: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((&group["count"], &group["decision"], &group["status"]), (&3.into(), &"allow".into(), &"200".into()));
    proxy.kill();
}

/// A `tail` that goes on; ends with it.
struct Tail(Child);

impl Tail {
    fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut command = portcullis();
        command.args(["audit", "tail", "--follow", "--dir"]).arg(dir).args(arguments);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn interrupt(mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_is_followed_from_before_its_first_line_through_its_segments() {
    let folder = TempDir::new().unwrap();
    let upstream = Upstream::start();
    let config = config(&folder, &upstream);
    let mut tail = Tail::start(&folder.path().join("audit"), &["--status", "200", "--format", "json"]);
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap()).lines();
    let mut says = BufReader::new(tail.0.stderr.take().unwrap()).lines();
    let waiting = says.next().unwrap().unwrap();
    assert!(waiting.contains("is not there yet: waiting for it"), "{waiting}");
    for run in 1..=2 {
        let proxy = Proxy::start(portcullis(), &config);
        for _ in 0..ASKED {
            assert_eq!(proxy.ask(), 200);
        }
        // None twice and none missing: they are as many as the upstream saw, and each of them is another.
        let told = (0..ASKED).map(|_| {
            let record: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            assert_eq!((&record["status"], &record["path"]), (&200.into(), &"/a".into()));
            record["id"].as_str().unwrap().to_owned()
        });
        let told: BTreeSet<_> = told.collect();
        assert_eq!((told.len(), upstream.count()), (ASKED, run * ASKED));
        assert!(told.is_subset(&upstream.seen.0.lock().unwrap()));
        proxy.kill();
    }
    assert!(audit::Archive::open(&folder.path().join("audit")).unwrap().segments().len() > 2);
    assert_eq!(tail.interrupt(), Some(0));
    assert!(lines.next().is_none());
}

#[test]
fn following_ends_when_nobody_reads_any_more_though_nothing_comes() {
    let folder = TempDir::new().unwrap();
    let mut tail = Tail::start(folder.path(), &["--format", "table"]);
    let mut head = String::new();
    BufReader::new(tail.0.stdout.take().unwrap()).read_line(&mut head).unwrap();
    assert!(head.starts_with("TIME "), "{head}");
    assert_eq!(tail.0.wait().unwrap().code(), Some(0));
}

/// How many requests take more than one segment.
const ASKED: usize = 300;

/// How often: some hundred milliseconds each on a busy machine.
const KILLS: usize = 200;
