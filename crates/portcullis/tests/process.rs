//! The binary as a process: exit codes, messages, signals and memory.
#![cfg(test)]

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

fn config(folder: &TempDir, listener: &str, upstream: &str) -> std::path::PathBuf {
    let path = folder.path().join("portcullis.yaml");
    let text = format!(
        "listeners: [{{ name: main, address: {listener} }}]\n\
         admin: {{ address: 127.0.0.1:0 }}\n\
         drain_timeout: 60s\n\
         routes: [{{ from: http://app.test, to: http://{upstream}, authenticate: none, allow: 'true' }}]\n"
    );
    fs::write(&path, text).unwrap();
    path
}

fn portcullis(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["run", "--log-format", "json", "--config"]).arg(config).stderr(Stdio::piped());
    command
}

/// A running proxy, and where it listens.
struct Proxy {
    child: Child,
    address: SocketAddr,
    // Read to the start and no further; dropping it would break the log's pipe.
    log: Box<dyn BufRead>,
}

fn start(config: &Path) -> Proxy {
    started(portcullis(config))
}

fn started(mut command: Command) -> Proxy {
    let mut child = command.spawn().unwrap();
    let log = Box::new(BufReader::new(child.stderr.take().unwrap()));
    let mut proxy = Proxy { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log };
    loop {
        let mut line = String::new();
        assert!(proxy.log.read_line(&mut line).unwrap() > 0, "it ended before it was ready");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "listening" {
            proxy.address = event["server.address"].as_str().unwrap().parse().unwrap();
        } else if event["message"] == "ready" {
            return proxy;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Only where a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn ask(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n\r\n").unwrap();
        stream
    }

    /// Resident memory in bytes.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

fn records(folder: &TempDir) -> Vec<serde_json::Value> {
    audit::test_util::records(&folder.path().join("audit")).unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_log_that_cannot_be_written_stops_no_request() {
    let folder = TempDir::new().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut proxy = start(&config(&folder, "127.0.0.1:0", &nobody));
    // Nobody reads it any more, as after `| head`; a full disk is the same.
    proxy.log = Box::new(std::io::empty());
    for _ in 0..3 {
        let mut answer = String::new();
        proxy.ask("/").read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
    proxy.signal("TERM");
    assert_eq!(proxy.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_served_exits_with_2_and_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = portcullis(&config(&folder, &address, "127.0.0.1:9")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains(&address) && told(&output).contains("in use"), "{}", told(&output));

    let path = config(&folder, "127.0.0.1:0", "127.0.0.1:9");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("'true'", "user.emial == 'a'")).unwrap();
    let output = portcullis(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("portcullis.yaml:4:") && told(&output).contains("email"), "{}", told(&output));

    let output = portcullis(&folder.path().join("none.yaml")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("none.yaml"), "{}", told(&output));
}

#[test]
fn what_cannot_be_printed_exits_with_2_unless_nobody_reads_it() {
    for verb in ["schema", "--help"] {
        let ended = |out: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
            command.arg(verb).stdout(out).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
        };
        let output = ended(fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into());
        assert_eq!(output.status.code(), Some(2), "{verb}");
        let told_of = told(&output);
        assert!(told_of.starts_with("portcullis: cannot write to standard output: no space left"), "{verb}: {told_of}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = ended(writer.into());
        assert_eq!((output.status.code(), told(&output)), (Some(0), String::new()), "{verb}");
    }
}

/// An upstream that takes one request, tells, and answers when it is told to.
fn held() -> (String, std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        tell.send(()).unwrap();
        if released.recv().is_ok() {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap();
        }
    });
    (address, told, release)
}

#[test]
fn sigterm_lets_a_request_end_and_exits_with_0() {
    let folder = TempDir::new().unwrap();
    let (upstream, begun, release) = held();
    let mut proxy = start(&config(&folder, "127.0.0.1:0", &upstream));
    let mut asked = proxy.ask("/held");
    begun.recv().unwrap();
    proxy.signal("TERM");
    while TcpStream::connect(proxy.address).is_ok() {}
    release.send(()).unwrap();
    let mut answer = String::new();
    asked.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
    assert_eq!(proxy.child.wait().unwrap().code(), Some(0));
    assert_eq!(records(&folder)[0]["status"], 200);
}

/// Starts on a socket that the test goes on to hold, as systemd does.
fn start_on(config: &Path, socket: &TcpListener) -> Proxy {
    let program = env!("CARGO_BIN_EXE_portcullis");
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 exec \"$@\"", "sh", program, "run"]);
    command.args(["--log-format", "json", "--config"]).arg(config).stderr(Stdio::piped());
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket.try_clone().unwrap())));
    started(command)
}

#[test]
fn a_restart_on_a_socket_that_is_handed_over_loses_no_request() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream_address = upstream.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = upstream.accept() {
            std::thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
                }
            });
        }
    });
    let folder = TempDir::new().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let path = config(&folder, &address.to_string(), &upstream_address);
    let mut proxy = start_on(&path, &socket);
    assert_eq!(proxy.address, address);
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = TcpStream::connect(address).unwrap();
                    write!(stream, "GET / HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n\r\n").unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    assert!(answer.ends_with("hello"), "{answer}");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let ten_more = |answers: &AtomicU32| {
        let before = answers.load(Ordering::Relaxed);
        while answers.load(Ordering::Relaxed) < before + 10 {
            std::thread::yield_now();
        }
    };
    for _ in 0..3 {
        ten_more(&answers);
        proxy.signal("TERM");
        assert_eq!(proxy.child.wait().unwrap().code(), Some(0));
        proxy = start_on(&path, &socket);
    }
    ten_more(&answers);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn a_second_signal_cuts_requests_but_not_their_records() {
    let folder = TempDir::new().unwrap();
    let (upstream, begun, release) = held();
    let mut proxy = start(&config(&folder, "127.0.0.1:0", &upstream));
    let mut asked = proxy.ask("/held");
    begun.recv().unwrap();
    // Signals close together are one, so more are sent until it has ended.
    let code = loop {
        proxy.signal("TERM");
        if let Some(status) = proxy.child.try_wait().unwrap() {
            break status.code();
        }
    };
    assert_eq!(code, Some(1));
    let mut answer = String::new();
    let _ = asked.read_to_string(&mut answer);
    assert_eq!(answer, "");
    let records = records(&folder);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!((&records[0]["path"], &records[0]["decision"]), (&"/held".into(), &"allow".into()));
    drop(release);
}

#[test]
fn large_bodies_pass_in_both_directions_without_being_gathered() {
    const SIZE: u64 = 200 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let mut stream = &stream;
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").unwrap();
        // Sends back what it gets.
        std::io::copy(&mut reader.take(SIZE), &mut stream).unwrap();
    });
    let folder = TempDir::new().unwrap();
    let mut proxy = start(&config(&folder, "127.0.0.1:0", &upstream));
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    write!(stream, "POST /big HTTP/1.1\r\nhost: app.test\r\ncontent-length: {SIZE}\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut sending = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let chunk = [b'x'; 1 << 16];
        for _ in 0..SIZE / chunk.len() as u64 {
            sending.write_all(&chunk).unwrap();
        }
    });
    let before = proxy.memory();
    let (mut received, mut most, mut chunk) = (0, before, vec![0; 1 << 20]);
    loop {
        let read = stream.read(&mut chunk).unwrap();
        if read == 0 {
            break;
        }
        received += read as u64;
        most = most.max(proxy.memory());
    }
    sender.join().unwrap();
    assert!(received > SIZE, "{received}");
    assert!(most - before < 32 << 20, "{before} bytes before, {most} at most");
    proxy.signal("TERM");
    assert_eq!(proxy.child.wait().unwrap().code(), Some(0));
    let records = records(&folder);
    assert_eq!((&records[0]["bytes_in"], &records[0]["bytes_out"]), (&SIZE.into(), &SIZE.into()));
}

#[test]
fn the_supervisor_is_told_of_start_reload_and_stop() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("notify");
    let supervisor = UnixDatagram::bind(&place).unwrap();
    supervisor.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let next = || {
        let mut told = [0; 256];
        let length = supervisor.recv(&mut told).unwrap();
        String::from_utf8_lossy(&told[..length]).into_owned()
    };
    let mut command = portcullis(&config(&folder, "127.0.0.1:0", "127.0.0.1:9"));
    command.env("NOTIFY_SOCKET", &place);
    let mut proxy = started(command);
    assert_eq!(next(), "READY=1");
    let before = monotonic();
    proxy.signal("HUP");
    let reloading = next();
    let microseconds = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse::<u64>().unwrap();
    assert!((before..=monotonic()).contains(&microseconds), "{before} {microseconds}");
    assert_eq!(next(), "READY=1");
    proxy.signal("TERM");
    assert_eq!(next(), "STOPPING=1");
    assert!(proxy.child.wait().unwrap().success());
}

/// Microseconds of the clock that systemd compares by.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000 + now.tv_nsec / 1000).unwrap()
}
