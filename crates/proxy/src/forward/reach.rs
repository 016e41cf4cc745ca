//! Connects to an endpoint for what shares its connection with nobody: WebSockets and tunnels.

use http::Method;
use telemetry::Attempt;
use tokio::time::sleep;

use super::retry::Retries;
use super::{Forward, Tries, fail};
use crate::upstream::{Active, Cluster, Failures, Target, UpstreamFailure, UpstreamStream};

/// A connection to an endpoint.
pub(super) struct Reached<'a> {
    pub(super) target: &'a Target,
    pub(super) stream: UpstreamStream,
    /// What traces are told of the last try.
    pub(super) span: Option<Attempt>,
    /// Counts as open at the endpoint.
    pub(super) active: Option<Active>,
}

/// Connects to the first endpoint that lets itself be connected to; to all of them once more where the route says so.
///
/// # Errors
/// None did.
pub(super) async fn reach<'a>(
    cluster: &'a Cluster,
    forward: &Forward<'_>,
    method: &Method,
    tries: &mut Tries<'a>,
) -> Result<Reached<'a>, UpstreamFailure> {
    let mut retries = Retries::of_connections(cluster);
    loop {
        let mut failures = Failures::default();
        for target in cluster.select(forward.hash) {
            let active = cluster.begin(target);
            let span = forward.begin_attempt(tries.begin(target), method, target);
            match target.endpoint.connect_for_upgrade().await {
                Ok(stream) => return Ok(Reached { target, stream, span, active }),
                Err(failure) => {
                    cluster.failed(target);
                    fail(span, &failure);
                    failures.add(failure);
                }
            }
        }
        if !(failures.may_pass() && retries.connects_again()) {
            return Err(failures.exhausted());
        }
        sleep(retries.pause()).await;
    }
}
