//! The smallest service that can answer nginx's `auth_request` and Caddy's `forward_auth`: it looks the session up and
//! applies the policy of three clauses. `bench authoriser ADDRESS SESSION=EMAIL=GROUPS...` with `+` between groups.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use integration::Result;

/// Who signed in.
#[derive(Debug)]
struct User {
    email: String,
    groups: Vec<String>,
}

type Sessions = HashMap<String, User>;

/// Serves until it is killed: a thread for each of the proxy's few connections, which it keeps.
pub(crate) fn run(address: SocketAddr, sessions: &[String]) -> Result<()> {
    let sessions = sessions.iter().map(|session| {
        let (handle, rest) = session.split_once('=')?;
        let (email, groups) = rest.split_once('=')?;
        let groups = groups.split('+').map(Into::into).collect();
        Some((handle.to_owned(), User { email: email.into(), groups }))
    });
    let sessions = Arc::new(sessions.collect::<Option<Sessions>>().ok_or("a session is HANDLE=EMAIL=GROUPS")?);
    let listener = TcpListener::bind(address)?;
    for stream in listener.incoming() {
        let (stream, sessions) = (stream?, Arc::clone(&sessions));
        stream.set_nodelay(true)?;
        thread::spawn(move || serve(stream, &sessions));
    }
    Ok(())
}

fn serve(mut stream: TcpStream, sessions: &Sessions) {
    let (mut buffer, mut filled) = ([0; 16 << 10], 0);
    while let Ok(read @ 1..) = stream.read(buffer.get_mut(filled..).unwrap_or_default()) {
        filled += read;
        let head = buffer.get(..filled).unwrap_or_default();
        if head.ends_with(b"\r\n\r\n") {
            let answer = str::from_utf8(head).ok().and_then(|head| decide(head, sessions));
            if stream.write_all(answer.unwrap_or(UNKNOWN)).is_err() {
                return;
            }
            filled = 0;
        }
    }
}

/// Returns the answer, or nothing if nobody is signed in.
fn decide(head: &str, sessions: &Sessions) -> Option<&'static [u8]> {
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    };
    let handle = header("cookie")?.split("; ").find_map(|pair| pair.strip_prefix("session="))?;
    let user = sessions.get(handle)?;
    let address = header("x-forwarded-for")?;
    let office = address.starts_with("127.") || address.starts_with("10.");
    let allowed =
        user.groups.iter().any(|group| group == "engineering") && user.email.ends_with("@example.com") && office;
    Some(if allowed { ALLOWED } else { DENIED })
}

const ALLOWED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-user: ada@example.com\r\n\r\n";
const DENIED: &[u8] = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
const UNKNOWN: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
