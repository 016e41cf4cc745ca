//! Reads the PROXY header (versions 1 and 2) by which a balancer says who is connected to it.
//!
//! Whether it is believed is decided before the first byte is read: from a peer that is not trusted it never is. What
//! else a version 2 header may hold (TLVs) is read over.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use identity::{AddressSource, ClientAddress, Ip};
use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::client_address::TrustedProxies;
use crate::config::{Listener, ProxyProtocol};

/// Returns who is connected, and takes the PROXY header off the stream where one must come.
///
/// # Errors
/// The connection must be closed: the header is missing, late or malformed, or one is required and the peer is nobody
/// that may send it.
pub(crate) async fn connected<S>(
    stream: &mut S,
    peer: Ip,
    config: &Listener,
    trusted: &TrustedProxies,
) -> io::Result<ClientAddress>
where
    S: AsyncRead + Unpin,
{
    let is_peer = ClientAddress { client: peer, peer, source: AddressSource::Peer };
    match (config.proxy_protocol, trusted.contains(peer)) {
        (ProxyProtocol::Off, _) | (ProxyProtocol::Accept, false) => Ok(is_peer),
        (ProxyProtocol::Require, false) => Err(refused("the peer is not in `trusted_proxies`")),
        // Never "if there is one": a client behind the balancer could then send its own.
        (ProxyProtocol::Accept | ProxyProtocol::Require, true) => {
            let limit = config.limits.handshake_timeout.min(LIMIT);
            let read = timeout(limit, read(stream)).await.map_err(|_| refused("it did not come in time"))??;
            Ok(read.map_or(is_peer, |client| ClientAddress { client, peer, source: AddressSource::ProxyProtocol }))
        }
    }
}

/// Reads one header and not a byte more. Returns nobody where the balancer speaks for itself.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Ip>> {
    let mut header = vec![0; v2::PROTOCOL_PREFIX.len()];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        let [kind, family] = [stream.read_u8().await?, stream.read_u8().await?];
        let length = stream.read_u16().await?;
        if length > MAX_V2_BYTES {
            return Err(refused("it is too long"));
        }
        header.extend([kind, family]);
        header.extend(length.to_be_bytes());
        let head = header.len();
        header.resize(head + usize::from(length), 0);
        stream.read_exact(header.get_mut(head..).unwrap_or_default()).await?;
        // PROXY protocol, §2.2: of what the balancer says for itself nothing else is looked at, not even the family.
        return if kind == LOCAL { Ok(None) } else { version_2(&header) };
    }
    if !header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(refused("there is none"));
    }
    while !header.ends_with(b"\n") {
        if header.len() == MAX_V1_BYTES {
            return Err(refused("it is too long"));
        }
        header.push(stream.read_u8().await?);
    }
    version_1(&header)
}

fn version_1(header: &[u8]) -> io::Result<Option<Ip>> {
    let header = v1::Header::try_from(header).map_err(|_| refused("it is malformed"))?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(addresses) => Some(IpAddr::from(addresses.source_address).into()),
        v1::Addresses::Tcp6(addresses) => Some(IpAddr::from(addresses.source_address).into()),
        v1::Addresses::Unknown => None,
    })
}

fn version_2(header: &[u8]) -> io::Result<Option<Ip>> {
    let header = v2::Header::try_from(header).map_err(|_| refused("it is malformed"))?;
    match (header.protocol, header.addresses) {
        (_, v2::Addresses::Unspecified) => Ok(None),
        (v2::Protocol::Stream, v2::Addresses::IPv4(addresses)) => {
            Ok(Some(IpAddr::from(addresses.source_address).into()))
        }
        (v2::Protocol::Stream, v2::Addresses::IPv6(addresses)) => {
            Ok(Some(IpAddr::from(addresses.source_address).into()))
        }
        (_, v2::Addresses::IPv4(_) | v2::Addresses::IPv6(_) | v2::Addresses::Unix(_)) => {
            Err(refused("it speaks of no TCP connection"))
        }
    }
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("PROXY header: {reason}"))
}

/// Version 2, and the command `LOCAL`.
const LOCAL: u8 = 0x20;

/// A balancer sends it with its first packet.
const LIMIT: Duration = Duration::from_secs(5);

/// PROXY protocol, §2.1: "107 chars" with the line break.
const MAX_V1_BYTES: usize = 107;

/// Addresses and TLVs; more than balancers send of a client's certificate.
const MAX_V2_BYTES: u16 = 4096;

#[cfg(test)]
mod tests;
