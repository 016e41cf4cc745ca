//! What operators are shown of the upstreams: endpoints, their state and their connections.

use super::{Cluster, Target};

/// The upstream of one route, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamView {
    /// The route's name.
    pub route: String,
    /// Its endpoints.
    pub endpoints: Vec<EndpointView>,
}

/// One endpoint, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// Its URL.
    pub endpoint: String,
    /// What is spoken, as records say it; nothing while no connection has shown it.
    pub protocol: Option<&'static str>,
    /// Its share of the requests beside those of the others.
    pub weight: u32,
    /// Whether it gets requests.
    pub state: EndpointState,
    /// How often in a row it was ejected.
    pub ejections: u32,
    /// Open connections.
    pub connections: usize,
    /// Those of HTTP/1.1 that wait for a request.
    pub idle: usize,
    /// Requests on connections of HTTP/2 and HTTP/3.
    pub streams: usize,
}

/// Whether an endpoint gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// It does.
    Available,
    /// Active checks fail.
    Unhealthy,
    /// It failed too many requests in a row.
    Ejected,
}

impl EndpointState {
    /// Returns the state in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
        }
    }
}

impl Cluster {
    /// Returns what operators are shown.
    pub(crate) fn view(&self) -> UpstreamView {
        let endpoints = self.targets.iter().map(Target::view).collect();
        UpstreamView { route: self.route.to_string(), endpoints }
    }
}

impl Target {
    fn view(&self) -> EndpointView {
        let counts = self.endpoint.counts();
        let state = if !self.endpoint.is_healthy() {
            EndpointState::Unhealthy
        } else if self.outlier.is_ejected() {
            EndpointState::Ejected
        } else {
            EndpointState::Available
        };
        EndpointView {
            endpoint: self.endpoint.name().to_string(),
            protocol: self.endpoint.protocol_now(),
            weight: self.weight,
            state,
            ejections: self.outlier.ejections(),
            connections: counts.http1 + counts.shared,
            idle: counts.idle,
            streams: counts.streams,
        }
    }
}
