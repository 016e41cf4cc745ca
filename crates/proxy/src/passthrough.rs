//! Passes TLS connections on by the server name that they ask for, without decrypting them.
//!
//! One connection is what a request is elsewhere: it is decided on once, recorded ahead, and its end is recorded. Policies
//! see its address and server name; nothing else of it can be read.

mod hello;
mod route;
mod visit;

use std::io;
use std::pin::pin;
use std::sync::Arc;

use identity::ClientAddress;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connection::watch_over;
use crate::entrance::Entrance;
use crate::forward::{Counter, DRAINED, both_ways};
use crate::listener::Serving;
use crate::metrics::Limit;
use crate::streams::Stream;

use hello::Hello;
pub(crate) use route::Routes;
use visit::{Refused, Visit};

/// Serves one connection until both sides have ended, one breaks off, or the server closes what is still open.
pub(crate) async fn serve(
    mut stream: TcpStream,
    address: ClientAddress,
    entrance: &Arc<Entrance>,
    serving: &Serving,
) -> io::Result<()> {
    let reading = timeout(entrance.config.limits.handshake_timeout, hello::read(&mut stream));
    let Some(read) = serving.first_words(reading).await else { return Ok(()) };
    let hello = match read {
        // Whoever leaves without a word asked for nothing.
        Ok(Ok(None)) => return Ok(()),
        Ok(Ok(Some(hello))) => Ok(hello),
        Ok(Err(invalid)) => Err(Refused::hello(invalid)),
        Err(_) => {
            entrance.metrics.limit_reached(Limit::HandshakeTimeout);
            Err(Refused::late())
        }
    };
    let mut visit = Visit::begin(serving.snapshot.load_full(), Arc::clone(&serving.streams), address);
    let passed = match hello {
        Ok(hello) => pass(&mut visit, &mut stream, &hello, serving).await,
        Err(refused) => Err(refused),
    };
    if let Err(refused) = passed {
        visit.refuse(&refused);
        // RFC 8446 §6: so that the client knows that it was refused, and does not try again as after a broken line.
        stream.write_all(&refused.alert).await?;
        stream.shutdown().await?;
    }
    Ok(())
}

async fn pass(visit: &mut Visit, stream: &mut TcpStream, hello: &Hello, serving: &Serving) -> Result<(), Refused> {
    let route = visit.find(hello.server_name.as_deref())?;
    let permit = visit.decide(&route)?;
    visit.write_ahead().await?;
    let mut upstream = visit.connect(&route, permit).await?;
    watch_over(stream);
    let counter = Counter::default();
    let carrying = async {
        upstream.write_all(&hello.bytes).await?;
        counter.sent(hello.bytes.len());
        both_ways(stream, upstream, &counter, None).await
    };
    let broke_off = watch(visit, serving.close.run_until_cancelled(carrying), serving).await;
    visit.carried(counter.traffic(), broke_off);
    Ok(())
}

/// Decides again on a connection where there is a doubt, until it has ended; returns why it broke off, if it did.
async fn watch(
    visit: &mut Visit,
    carrying: impl Future<Output = Option<io::Result<()>>>,
    serving: &Serving,
) -> Option<String> {
    let mut carrying = pin!(carrying);
    let mut stream = Stream::new(&serving.streams);
    let _open = visit.open_tunnel();
    let broke_off = loop {
        let carried = tokio::select! {
            carried = &mut carrying => Some(carried),
            () = stream.doubt(visit) => None,
        };
        match carried {
            Some(None) => break Some(DRAINED.to_owned()),
            Some(Some(Err(error))) => break Some(error.to_string()),
            Some(Some(Ok(()))) => break None,
            None => match visit.decide_again(serving.snapshot.load_full()) {
                Ok(()) => stream.leave(&serving.streams),
                Err(closed) => break Some(format!("closed: {}", closed.reason)),
            },
        }
    };
    stream.leave(&serving.streams);
    broke_off
}

#[cfg(test)]
mod tests;
