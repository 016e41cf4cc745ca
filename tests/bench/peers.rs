//! Who is compared: each starts on the same site, for the same work, and is tried before it is measured.

mod apache;
mod bare;
mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod portcullis;
mod upstream;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration::Result;

use self::portcullis::Portcullis;
use crate::client::{Answered, Ask, Protocol, Target};
use crate::process::{self, Program};
use crate::site::upstream::{ANSWER_BYTES, GRPC};
use crate::site::{HOST, Site};

/// What a proxy is set up to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// https in, a credential in a cookie, a policy of three clauses, a log of who did what; HTTP/1.1 to the app.
    Identity,
    /// The same in front of gRPC without TLS.
    Grpc,
    /// The same, with verified TLS to the app.
    Origination,
    /// Cleartext on both sides, and nobody is asked who they are; the log stays.
    Plain,
}

/// One of those who are compared.
pub(crate) trait Contestant: Sync {
    /// The name by which it is chosen.
    fn name(&self) -> &'static str;

    /// Says how it does what is asked of it.
    fn how(&self) -> &'static str;

    /// Returns its version.
    fn version(&self) -> Result<String>;

    /// Says why it is left out of a shape.
    fn lacks(&self, _shape: Shape) -> Option<&'static str> {
        None
    }

    /// Writes its configuration and starts it; `folder` is its own.
    fn start(&self, site: &Site, shape: Shape, folder: &Path) -> Result<Running>;

    /// The signal that makes it read its configuration again.
    fn reload(&self) -> Option<&'static str> {
        None
    }
}

/// A contestant that runs.
#[derive(Debug)]
pub(crate) struct Running {
    programs: Vec<Program>,
    pub(crate) address: SocketAddr,
    secure: bool,
    shape: Shape,
    /// The cookies of one who is allowed, and of others who are not, by what they are; none where nobody is asked.
    allowed: String,
    refused: Vec<(&'static str, String)>,
}

/// Returns everybody, in the order in which they are told of.
pub(crate) fn all() -> Vec<&'static dyn Contestant> {
    vec![
        &upstream::Upstream,
        &bare::Bare,
        &PORTCULLIS,
        &nginx::Nginx,
        &haproxy::Haproxy,
        &envoy::Envoy,
        &apache::Apache,
        &caddy::Caddy,
    ]
}

/// Returns Portcullis with ever more of everything.
pub(crate) fn scales() -> Vec<&'static dyn Contestant> {
    vec![&TEN, &ROUTES, &POLICIES, &SESSIONS]
}

/// Returns Portcullis without its audit log, and with it.
pub(crate) fn audited() -> Vec<&'static dyn Contestant> {
    vec![&UNAUDITED, &PORTCULLIS]
}

/// Starts a contestant and makes sure that it lets those in who may, and nobody else.
pub(crate) fn start(contestant: &dyn Contestant, site: &Site, shape: Shape) -> Result<Running> {
    let name = contestant.name();
    let folder = site.path(&format!("{name}-{shape:?}"));
    // Of a round before this one.
    let _ = fs::remove_dir_all(&folder);
    let started = fs::create_dir(&folder).map_err(Into::into).and_then(|()| contestant.start(site, shape, &folder));
    let running = started.map_err(|error| format!("{name} cannot be started: {error}"))?;
    running.verify(site).map_err(|error| {
        let said: Vec<_> = running.programs.iter().map(Program::said).collect();
        format!("{name} does not do what it is compared for: {error}\n{}", said.join("\n"))
    })?;
    Ok(running)
}

impl Running {
    /// Takes programs that were started, waits until the first listens, and notes whom it lets in.
    fn new(shape: Shape, mut programs: Vec<Program>, address: SocketAddr) -> Result<Self> {
        programs.first_mut().ok_or("no program")?.listens(address)?;
        let secure = shape != Shape::Plain;
        Ok(Self { programs, address, secure, shape, allowed: "theme=dark".into(), refused: Vec::new() })
    }

    /// Notes the sessions of Ada, who may, and of Mallory, who may not.
    fn sessions(mut self, cookie: &str, ada: &str, mallory: &str) -> Self {
        if self.shape != Shape::Plain {
            let cookies = |value: &str| format!("theme=dark; {cookie}={value}");
            self.allowed = cookies(ada);
            self.refused = vec![
                ("no credential", "theme=dark".into()),
                ("a forged credential", cookies(&forged(ada))),
                ("somebody who is not in the group", cookies(mallory)),
            ];
        }
        self
    }

    /// Returns what the load generator asks of it.
    pub(crate) fn target(&self, site: &Site, protocol: Protocol, path: &str) -> Target {
        self.target_of(site, protocol, path, &self.allowed)
    }

    fn target_of(&self, site: &Site, protocol: Protocol, path: &str, cookie: &str) -> Target {
        let ask = Ask { host: HOST.into(), path: path.into(), cookie: cookie.into(), grpc: self.shape == Shape::Grpc };
        site.target(self.address, self.secure, protocol, ask)
    }

    /// Returns its processes and their children.
    pub(crate) fn processes(&self) -> Result<Vec<u32>> {
        process::tree(&self.programs.iter().map(Program::id).collect::<Vec<_>>())
    }

    /// Has it read its configuration again.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        self.programs.first().map_or(Ok(()), |program| program.signal(name))
    }

    /// Stops it.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.programs.iter_mut().try_for_each(Program::stop)
    }

    fn verify(&self, site: &Site) -> Result<()> {
        let protocols: &[_] = match self.shape {
            Shape::Identity | Shape::Origination => &[Protocol::Http1, Protocol::Http2],
            Shape::Grpc => &[Protocol::Http2],
            Shape::Plain => &[Protocol::Http1],
        };
        let expected = self.shape.answer();
        for protocol in protocols {
            let answered = self.target(site, *protocol, PATH).once()?;
            if answered != expected {
                return Err(format!("over {protocol}, one who is allowed got {answered}").into());
            }
            for (who, cookie) in &self.refused {
                let answered = self.target_of(site, *protocol, PATH, cookie).once()?;
                let refused = answered.status.is_none_or(|status| matches!(status, 300..=399 | 401 | 403));
                // gRPC refuses with 200 and a status behind it, without a message.
                let refused = refused || self.shape == Shape::Grpc && answered.bytes == 0;
                if !refused || answered.bytes == expected.bytes {
                    return Err(format!("over {protocol}, {who} got {answered}").into());
                }
            }
        }
        Ok(())
    }
}

impl Shape {
    /// Returns what the app answers.
    pub(crate) const fn answer(self) -> Answered {
        let bytes = match self {
            Self::Grpc => GRPC.len(),
            Self::Identity | Self::Origination | Self::Plain => ANSWER_BYTES,
        };
        Answered { status: Some(200), bytes }
    }
}

/// Returns the template with each `{{name}}` filled in, and complains of those that are left.
fn fill(template: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    match text.split_once("{{") {
        Some((_, rest)) => Err(format!("`{}` is not filled in", rest.split("}}").next().unwrap_or_default()).into()),
        None => Ok(text),
    }
}

/// Returns the credential with one character in its middle changed.
fn forged(credential: &str) -> String {
    let at = credential.len() / 2;
    let change = |(number, character)| if number == at { if character == 'A' { 'B' } else { 'A' } } else { character };
    credential.chars().enumerate().map(change).collect()
}

/// Returns what a program says of its version, from `after` to the next blank.
fn version(program: &Path, argument: &str, after: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let version = said.split_once(after).and_then(|(_, rest)| rest.split_whitespace().next());
    Ok(version.ok_or_else(|| format!("{} tells no version: {said}", program.display()))?.to_owned())
}

/// Starts the authoriser beside a proxy that asks it, on the proxy's processor.
fn authoriser(site: &Site, folder: &Path) -> Result<(Program, SocketAddr)> {
    let address = process::free_address()?;
    let mut command = site.placement.command(&std::env::current_exe()?);
    command.arg("authoriser").arg(address.to_string());
    for (user, groups) in [("ada", "engineering+on-call"), ("mallory", "sales")] {
        command.arg(format!("{}={user}@example.com={groups}", site.token(user)?));
    }
    let mut program = Program::start(&mut command, &folder.join("authoriser.log"))?;
    program.listens(address)?;
    Ok((program, address))
}

/// Writes a file and returns its path.
fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

/// The one that everything is about.
pub(crate) const PORTCULLIS: Portcullis =
    Portcullis { name: "portcullis", audited: true, routes: 0, policies: 0, sessions: 0 };
const UNAUDITED: Portcullis = Portcullis { name: "unaudited", audited: false, ..PORTCULLIS };
const TEN: Portcullis = Portcullis { name: "10-of-each", routes: 10, policies: 10, sessions: 10, ..PORTCULLIS };
const ROUTES: Portcullis = Portcullis { name: "10000-routes", routes: 10_000, ..PORTCULLIS };
const POLICIES: Portcullis = Portcullis { name: "10000-policies", policies: 10_000, ..PORTCULLIS };
const SESSIONS: Portcullis = Portcullis { name: "100000-sessions", sessions: 100_000, ..PORTCULLIS };

/// What is asked for.
pub(crate) const PATH: &str = "/api/v1/items/42?fields=name,owner";
