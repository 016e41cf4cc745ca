//! What is measured: a list of scenarios, each a kind of work on proxies of one shape.

mod connections;
mod handshakes;
mod reload;
mod requests;
mod slow;
mod transfer;

use std::time::Duration;

use integration::Result;

use crate::client::Protocol;
use crate::figures::{Figures, Results};
use crate::machine::Account;
use crate::peers::{self, Contestant, Running, Shape};
use crate::process::{cpu_seconds, memory_kib};
use crate::site::Site;

/// One comparison.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// The name by which it is chosen.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What happens, in a sentence or two.
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    kind: Kind,
}

/// What is done with the proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Requests(Protocol),
    /// Requests to Portcullis alone, with ever more of everything.
    Scale,
    /// Requests to Portcullis alone, with its audit log and without one.
    Audit,
    Handshakes(handshakes::Kind),
    Transfer(Protocol, transfer::Way),
    Idle,
    WebSockets,
    Reload,
    SlowConsumer,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// Requests of a round.
    pub(crate) requests: u32,
    /// How long requests are sent at a rate in a round; none for not at all.
    pub(crate) at_rate: Option<Duration>,
    /// Whether `perf` counts besides.
    pub(crate) counted: bool,
    /// Whether work that a proxy puts off is waited for before the next has its turn.
    pub(crate) rests: bool,
}

impl Plan {
    /// Returns what shows a difference of tails: many rounds, of which each closes a segment of the log at least.
    const fn of_tails(self) -> Self {
        if self.at_rate.is_none() {
            return self;
        }
        Self { rounds: self.rounds * 3, requests: self.requests * 5, rests: true, ..self }
    }
}

/// A proxy that was started, beside who it is.
pub(crate) struct Started {
    pub(crate) contestant: &'static dyn Contestant,
    pub(crate) running: Running,
}

impl Scenario {
    /// Returns who can take part, in order.
    pub(crate) fn contestants(&self) -> Vec<&'static dyn Contestant> {
        match self.kind {
            Kind::Scale => peers::scales(),
            Kind::Audit => peers::audited(),
            Kind::Requests(_)
            | Kind::Handshakes(_)
            | Kind::Transfer(..)
            | Kind::Idle
            | Kind::WebSockets
            | Kind::Reload
            | Kind::SlowConsumer => peers::all(),
        }
    }

    /// Measures these proxies, round by round and in turns.
    pub(crate) fn run(&self, site: &Site, contestants: &[&'static dyn Contestant], plan: Plan) -> Result<Results> {
        let mut results = Results::default();
        let mut able = Vec::new();
        for contestant in contestants {
            if let Some(reason) = self.lacks(*contestant) {
                results.left_out.insert(contestant.name().into(), reason.into());
            } else {
                results.versions.insert(contestant.name().into(), contestant.version()?);
                able.push(*contestant);
            }
        }
        match self.kind {
            Kind::Requests(protocol) => requests::measure(self.shape, site, &able, protocol, plan, &mut results)?,
            Kind::Scale => requests::measure(self.shape, site, &able, Protocol::Http1, plan, &mut results)?,
            Kind::Audit => {
                requests::measure(self.shape, site, &able, Protocol::Http1, plan.of_tails(), &mut results)?;
            }
            Kind::Handshakes(kind) => handshakes::measure(self.shape, site, &able, kind, plan, &mut results)?,
            Kind::Transfer(protocol, way) => transfer::measure(site, &able, protocol, way, plan, &mut results)?,
            Kind::Idle => connections::idle(site, &able, plan, &mut results)?,
            Kind::WebSockets => connections::websockets(site, &able, plan, &mut results)?,
            Kind::Reload => reload::measure(site, &able, plan, &mut results)?,
            Kind::SlowConsumer => slow::measure(site, &able, plan, &mut results)?,
        }
        Ok(results)
    }

    /// Says why a proxy is left out.
    fn lacks(&self, contestant: &dyn Contestant) -> Option<&'static str> {
        let name = contestant.name();
        match self.kind {
            Kind::Reload if contestant.reload().is_none() => Some("no signal makes it read its configuration again"),
            Kind::Reload if name == "apache" => Some("its sessions, in shared memory, end with it"),
            Kind::WebSockets if name == "apache" => Some("it keeps a thread for each"),
            Kind::Requests(_)
            | Kind::Scale
            | Kind::Audit
            | Kind::Handshakes(_)
            | Kind::Transfer(..)
            | Kind::Idle
            | Kind::WebSockets
            | Kind::Reload
            | Kind::SlowConsumer => contestant.lacks(self.shape),
        }
    }
}

/// Starts them one after the other.
fn start(site: &Site, shape: Shape, contestants: &[&'static dyn Contestant]) -> Result<Vec<Started>> {
    let start = |contestant: &&'static dyn Contestant| {
        Ok(Started { contestant: *contestant, running: peers::start(*contestant, site, shape)? })
    };
    contestants.iter().map(start).collect()
}

/// Does `work` with every proxy in every round, and keeps what it gives beside what others did to the machine. Who begins
/// changes from round to round.
fn rounds<T: Named>(
    plan: Plan,
    proxies: &mut [T],
    results: &mut Results,
    mut work: impl FnMut(&mut T) -> Result<Figures>,
) -> Result<()> {
    for round in 1..=plan.rounds {
        let count = proxies.len();
        for turn in 0..count {
            let Some(proxy) = proxies.get_mut((turn + round) % count) else { continue };
            let (name, account) = (proxy.name(), Account::read()?);
            let figures = work(proxy).map_err(|error| format!("{name}: {error}"))?;
            results.add(name, round, account.others_since()?, figures);
        }
    }
    Ok(())
}

/// What takes turns has a name.
trait Named {
    fn name(&self) -> &'static str;
}

impl Named for Started {
    fn name(&self) -> &'static str {
        self.contestant.name()
    }
}

impl Named for &'static dyn Contestant {
    fn name(&self) -> &'static str {
        Contestant::name(*self)
    }
}

impl Started {
    /// Returns what its processes have used and hold now.
    pub(crate) fn used(&self) -> Result<(f64, f64)> {
        let processes = self.running.processes()?;
        Ok((cpu_seconds(&processes), memory_kib(&processes)))
    }
}

/// Returns a scenario by its name.
pub(crate) fn find(name: &str) -> Result<&'static Scenario> {
    let known = || ALL.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    ALL.iter()
        .find(|scenario| scenario.name == name)
        .ok_or_else(|| format!("no scenario is called `{name}`: {}", known()).into())
}

/// All scenarios, in the order of the report.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "identity-h1",
        title: "Identity, HTTP/1.1",
        about: "https in over HTTP/1.1, a credential in a cookie, a policy of three clauses (group, e-mail domain, \
                address), a log; HTTP/1.1 to the app, which answers 1 KiB. 16 connections.",
        shape: Shape::Identity,
        kind: Kind::Requests(Protocol::Http1),
    },
    Scenario {
        name: "identity-h2",
        title: "Identity, HTTP/2",
        about: "The same over HTTP/2: 4 connections with 4 streams each.",
        shape: Shape::Identity,
        kind: Kind::Requests(Protocol::Http2),
    },
    Scenario {
        name: "grpc",
        title: "gRPC, unary",
        about: "Unary calls of 1 KiB each way, over TLS to the proxy and h2c to the app, with credential and policy.",
        shape: Shape::Grpc,
        kind: Kind::Requests(Protocol::Http2),
    },
    Scenario {
        name: "origination",
        title: "TLS origination",
        about: "As identity over HTTP/1.1, with TLS to the app too, whose certificate is verified.",
        shape: Shape::Origination,
        kind: Kind::Requests(Protocol::Http1),
    },
    Scenario {
        name: "plain",
        title: "Plain",
        about: "Cleartext HTTP/1.1 on both sides, nobody is asked who they are; the log stays.",
        shape: Shape::Plain,
        kind: Kind::Requests(Protocol::Http1),
    },
    Scenario {
        name: "scale",
        title: "Many routes, policies and sessions",
        about: "Portcullis alone, identity over HTTP/1.1, with ever more of everything: the cost of a request should stay.",
        shape: Shape::Identity,
        kind: Kind::Scale,
    },
    Scenario {
        name: "audit",
        title: "The audit log",
        about: "Portcullis alone, identity over HTTP/1.1, with its audit log (`strict`, `durability: os`) and as it would be \
                without one.",
        shape: Shape::Identity,
        kind: Kind::Audit,
    },
    Scenario {
        name: "handshakes-full",
        title: "Full TLS handshakes",
        about: "A new connection each time, closed after the handshake; no session is resumed.",
        shape: Shape::Identity,
        kind: Kind::Handshakes(handshakes::Kind::Full),
    },
    Scenario {
        name: "handshakes-resumed",
        title: "Resumed TLS handshakes",
        about: "The same with the ticket of the last connection.",
        shape: Shape::Identity,
        kind: Kind::Handshakes(handshakes::Kind::Resumed),
    },
    Scenario {
        name: "download-h1",
        title: "100 MiB down, HTTP/1.1",
        about: "One answer of 100 MiB, behind credential and policy.",
        shape: Shape::Identity,
        kind: Kind::Transfer(Protocol::Http1, transfer::Way::Down),
    },
    Scenario {
        name: "download-h2",
        title: "100 MiB down, HTTP/2",
        about: "The same over HTTP/2.",
        shape: Shape::Identity,
        kind: Kind::Transfer(Protocol::Http2, transfer::Way::Down),
    },
    Scenario {
        name: "upload-h1",
        title: "100 MiB up, HTTP/1.1",
        about: "One request with a body of 100 MiB, which the app reads and drops.",
        shape: Shape::Identity,
        kind: Kind::Transfer(Protocol::Http1, transfer::Way::Up),
    },
    Scenario {
        name: "upload-h2",
        title: "100 MiB up, HTTP/2",
        about: "The same over HTTP/2.",
        shape: Shape::Identity,
        kind: Kind::Transfer(Protocol::Http2, transfer::Way::Up),
    },
    Scenario {
        name: "idle",
        title: "Idle TLS connections",
        about: "Connections over HTTP/1.1 that made one request and wait for their second: 10 000, or as many as the limit \
                of open files allows.",
        shape: Shape::Identity,
        kind: Kind::Idle,
    },
    Scenario {
        name: "websockets",
        title: "WebSockets",
        about: "WebSockets over TLS that stay open: 10 000, or as many as the limit of open files allows. Then each sends \
                one message, which is answered.",
        shape: Shape::Identity,
        kind: Kind::WebSockets,
    },
    Scenario {
        name: "reload",
        title: "Reload under load",
        about: "Requests at a rate, first undisturbed, then while the configuration is read again every second.",
        shape: Shape::Identity,
        kind: Kind::Reload,
    },
    Scenario {
        name: "slow-consumer",
        title: "A slow consumer",
        about: "Requests at a rate on a thousand connections, first alone, then beside one that takes 100 MiB at 1 MiB/s.",
        shape: Shape::Identity,
        kind: Kind::SlowConsumer,
    },
];
