//! Finds the route of a request: host first, then the most specific path, then the method.
//!
//! Exact hosts go before wildcards and hide them. On a host, exact paths go before regexes (longest pattern first), those
//! before prefixes (longest first), those before routes without a path. The path alone chooses: a method that its routes
//! do not take is refused, and never falls to a less specific route, whose policy was not written for that path.

mod build;
mod path;

use std::collections::HashMap;

use http::Method;
use identity::Scheme;

use crate::config::{self, EncodedSlashes};
use crate::sanitize::{EncodedSlash, Refusal, Strictness, Target};
use crate::{BuildError, Host};

use path::Paths;

/// All routes of a configuration, by host.
#[derive(Debug, Default)]
pub(crate) struct Table {
    http: Hosts<HostRoutes>,
    https: Hosts<HostRoutes>,
    // By port.
    tunnels: Hosts<HashMap<u16, usize>>,
}

/// The hosts of one scheme, and what each has.
#[derive(Debug, Default)]
struct Hosts<T> {
    exact: HashMap<Box<str>, T>,
    // By what follows the first label.
    wildcard: HashMap<Box<str>, T>,
}

impl<T: Default> Hosts<T> {
    fn get(&self, host: &str) -> Option<&T> {
        self.exact.get(host).or_else(|| {
            let (label, suffix) = host.split_once('.')?;
            self.wildcard.get(suffix).filter(|_| !label.is_empty())
        })
    }

    fn entry(&mut self, host: &Host) -> &mut T {
        let (hosts, name) = match host {
            Host::Exact(name) => (&mut self.exact, name),
            Host::Wildcard(suffix) => (&mut self.wildcard, suffix),
        };
        hosts.entry(name.as_str().into()).or_default()
    }
}

impl Table {
    /// Builds the table. `reads_path` tells of the route at an index whether its policy reads `request.path`.
    ///
    /// # Errors
    /// Routes that can never match, and paths that no request has.
    pub(crate) fn build(routes: &[config::Route], reads_path: impl Fn(usize) -> bool) -> Result<Self, Vec<BuildError>> {
        build::table(routes, reads_path)
    }

    /// Returns the routes of a host (lower case, no trailing dot, no port).
    pub(crate) fn host(&self, scheme: Scheme, host: &str) -> Option<&HostRoutes> {
        let hosts = match scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        hosts.get(host)
    }

    /// Returns the route of a tunnel to a port of a host: at its place in the configuration.
    pub(crate) fn tunnel(&self, host: &str, port: u16) -> Option<usize> {
        self.tunnels.get(host)?.get(&port).copied()
    }

    /// Returns whether a host has tunnels.
    pub(crate) fn has_tunnels(&self, host: &str) -> bool {
        self.tunnels.get(host).is_some()
    }

    fn entry(&mut self, scheme: Scheme, host: &Host) -> &mut HostRoutes {
        let hosts = match scheme {
            Scheme::Http => &mut self.http,
            Scheme::Https => &mut self.https,
        };
        hosts.entry(host)
    }
}

/// The routes of one host.
#[derive(Debug)]
pub(crate) struct HostRoutes {
    strictness: Strictness,
    paths: Paths,
}

impl Default for HostRoutes {
    fn default() -> Self {
        Self { strictness: Strictness::Lenient, paths: Paths::default() }
    }
}

impl HostRoutes {
    /// Returns whether a path decides something on this host.
    pub(crate) const fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// Finds the route of a target that was normalised by this host's strictness.
    ///
    /// # Errors
    /// The path holds an encoded slash, and the route does not take them, or the path has another route once the slash is
    /// read as a separator.
    pub(crate) fn find(&self, target: &Target<'_>, method: &Method) -> Result<Match<'_>, Refusal> {
        let found = self.paths.find(&target.without_parameters());
        let takes = match (target.encoded_slash(), self.strictness) {
            (EncodedSlash::Absent, _) => Slashes::Pass,
            (EncodedSlash::Present | EncodedSlash::Climbing, Strictness::Lenient) => Slashes::KeptUnlessRejected,
            (EncodedSlash::Present, Strictness::Strict) => {
                // An app that reads them as separators must not find a path there that another route guards.
                let same = std::ptr::eq(found, self.paths.find(&target.with_slashes_decoded()));
                if same { Slashes::RefusedUnlessKept } else { Slashes::Refused }
            }
            (EncodedSlash::Climbing, Strictness::Strict) => Slashes::Refused,
        };
        if takes == Slashes::Refused {
            return Err(ENCODED_SLASH);
        }
        let Some(candidate) = found.iter().find(|candidate| candidate.takes(method)) else {
            return Ok(if found.is_empty() { Match::NotFound } else { Match::MethodNotAllowed(Allow(found)) });
        };
        let passes = match candidate.encoded_slashes {
            EncodedSlashes::Auto => takes != Slashes::RefusedUnlessKept,
            EncodedSlashes::Reject => takes == Slashes::Pass,
            EncodedSlashes::Keep => true,
        };
        if passes { Ok(Match::Route(candidate.index)) } else { Err(ENCODED_SLASH) }
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match<'a> {
    /// The route at this index of the configuration.
    Route(usize),
    /// The path is known; the method is not taken there.
    MethodNotAllowed(Allow<'a>),
    /// No route has this path.
    NotFound,
}

/// The methods that a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allow<'a>(&'a [Candidate]);

impl Allow<'_> {
    /// Returns the value of the `Allow` header: each method once, in the order of the configuration.
    pub(crate) fn to_header(self) -> String {
        let mut methods: Vec<&str> = Vec::new();
        for method in self.0.iter().flat_map(|candidate| &candidate.methods) {
            if !methods.contains(&&**method) {
                methods.push(method);
            }
        }
        methods.join(", ")
    }
}

/// A route that has the path of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    index: usize,
    // Empty for any.
    methods: Box<[Box<str>]>,
    encoded_slashes: EncodedSlashes,
}

impl Candidate {
    fn takes(&self, method: &Method) -> bool {
        // RFC 9110 §9.1: methods are case-sensitive.
        self.methods.is_empty() || self.methods.iter().any(|own| **own == *method.as_str())
    }

    fn covers(&self, other: &Self) -> bool {
        self.methods.is_empty()
            || !other.methods.is_empty() && other.methods.iter().all(|method| self.methods.contains(method))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slashes {
    Pass,
    KeptUnlessRejected,
    RefusedUnlessKept,
    Refused,
}

const ENCODED_SLASH: Refusal =
    Refusal::bad_request("path-encoded-slash", "the path holds an encoded slash or backslash");

#[cfg(test)]
mod tests;
