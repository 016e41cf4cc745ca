//! Tunnels (RFC 9110 §9.3.6): connects to an endpoint over TCP, and carries what the client says once it was told so.
//!
//! Nothing that the client has said before is carried: it cannot have known that somebody would listen to it.

use std::time::Duration;

use http::{Request, Response};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::carry::{Carried, Counter, DRAINED, Tunnel, both_ways, no_tunnel};
use super::reach::{Reached, reach};
use super::{Farewell, Forward, Forwarded, Tries};
use crate::http1;
use crate::incoming::Incoming;
use crate::upstream::{Active, Arriving, Cluster, FailureKind, UpstreamBody, UpstreamFailure, UpstreamStream};

/// Opens a tunnel.
pub(super) async fn open<'a>(
    cluster: &'a Cluster,
    mut request: Request<Incoming>,
    forward: Forward<'_>,
    tries: &mut Tries<'a>,
) -> Result<Forwarded, UpstreamFailure> {
    let Reached { target, stream, span, active } = reach(cluster, &forward, request.method(), tries).await?;
    cluster.succeeded(target);
    tries.connected("tcp", "configured");
    if http1::is_ahead(request.extensions()) {
        return Err(UpstreamFailure::new(FailureKind::ClientAhead, AHEAD));
    }
    let client = http1::tunnel(request.extensions_mut()).ok_or_else(no_tunnel)?;
    let response = Response::new(UpstreamBody::new(Arriving::Nothing, None, None));
    if let Some(span) = span {
        span.answered(response.status());
    }
    let (part, parting) = oneshot::channel();
    let ends = Ends { parting, close: forward.close.clone(), idle: cluster.timeouts().idle, _active: active };
    let carried = forward.tunnels.spawn(carry(client, stream, ends));
    Ok(Forwarded { response, tunnel: Some(Tunnel { carried, part }) })
}

/// What ends a tunnel, and what ends with it.
struct Ends {
    /// It is no longer allowed.
    parting: oneshot::Receiver<Farewell>,
    /// The proxy has stopped. Nobody could be told before: what is carried is not ours to add to.
    close: CancellationToken,
    idle: Option<Duration>,
    _active: Option<Active>,
}

async fn carry(client: oneshot::Receiver<http1::Tunnel>, upstream: UpstreamStream, ends: Ends) -> Carried {
    let counter = Counter::default();
    let carrying = async {
        let client = client.await.map_err(|_| LEFT.to_owned())?;
        both_ways(client, upstream, &counter, ends.idle).await.map_err(|error| error.to_string())
    };
    let broke_off = tokio::select! {
        ended = carrying => ended.err(),
        () = ends.close.cancelled() => Some(DRAINED.to_owned()),
        // Why is remembered by who says so.
        Ok(_) = ends.parting => None,
    };
    Carried { traffic: counter.traffic(), broke_off }
}

const AHEAD: &str = "the client spoke before its tunnel was open";
const LEFT: &str = "the client left before its tunnel was open";
