//! Addresses and networks.

use std::net::{IpAddr, Ipv6Addr};

use identity::Ip;
use ipnet::IpNet;

use super::Function;
use crate::failure::Failure;
use crate::network;
use crate::value::Value;

pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Failure> {
    match (function, arguments) {
        (Function::InCidr, [Value::Text(address), Value::Text(network)]) => {
            let address = address.parse::<Ip>().map_err(|_| NO_ADDRESS)?;
            Ok(Value::Bool(contains(&to_cidr(network)?, address.get())))
        }
        (Function::ToIp, [Value::Text(text)]) => to_ip(text).map(Value::Ip),
        (Function::IsIp, [Value::Text(text)]) => Ok(Value::Bool(to_ip(text).is_ok())),
        (Function::IsCanonical, [Value::Text(text)]) => Ok(Value::Bool(to_ip(text)?.to_string() == **text)),
        (Function::ToCidr, [Value::Text(text)]) => to_strict_cidr(text).map(Value::Cidr),
        (Function::IsCidr, [Value::Text(text)]) => Ok(Value::Bool(to_strict_cidr(text).is_ok())),
        (Function::Family, [Value::Ip(address)]) => Ok(Value::Int(if address.is_ipv4() { 4 } else { 6 })),
        (Function::IsUnspecified, [Value::Ip(address)]) => Ok(Value::Bool(address.is_unspecified())),
        (Function::IsLoopback, [Value::Ip(address)]) => Ok(Value::Bool(address.is_loopback())),
        (Function::IsGlobalUnicast, [Value::Ip(address)]) => Ok(Value::Bool(is_global_unicast(*address))),
        (Function::IsLinkLocalUnicast, [Value::Ip(address)]) => Ok(Value::Bool(is_link_local(*address))),
        (Function::IsLinkLocalMulticast, [Value::Ip(address)]) => Ok(Value::Bool(is_link_local_multicast(*address))),
        (Function::ContainsIp, [Value::Cidr(network), Value::Ip(address)]) => {
            Ok(Value::Bool(contains(network, *address)))
        }
        (Function::ContainsIp, [Value::Cidr(network), Value::Text(address)]) => {
            Ok(Value::Bool(contains(network, to_ip(address)?)))
        }
        (Function::ContainsCidr, [Value::Cidr(network), Value::Cidr(part)]) => Ok(Value::Bool(network.contains(part))),
        (Function::ContainsCidr, [Value::Cidr(network), Value::Text(part)]) => {
            Ok(Value::Bool(network.contains(&to_strict_cidr(part)?)))
        }
        (Function::AddressOf, [Value::Cidr(network)]) => Ok(Value::Ip(network.addr())),
        (Function::Masked, [Value::Cidr(network)]) => Ok(Value::Cidr(network.trunc())),
        (Function::PrefixLength, [Value::Cidr(network)]) => Ok(Value::Int(i64::from(network.prefix_len()))),
        _ => Err(Failure::NoOverload(function.name())),
    }
}

/// Reads an address as Kubernetes does: neither zones, nor leading zeros, nor IPv4 in the guise of IPv6.
fn to_ip(text: &str) -> Result<IpAddr, Failure> {
    let address: IpAddr = text.parse().map_err(|_| NO_ADDRESS)?;
    if address.to_canonical() == address { Ok(address) } else { Err(MAPPED) }
}

/// Reads a network as Kubernetes does, with the same limits as an address.
fn to_strict_cidr(text: &str) -> Result<IpNet, Failure> {
    let network = to_cidr(text)?;
    // Whatever way the mapped address is written: what had colons is no IPv4.
    if text.contains(':') && network.addr().is_ipv4() { Err(MAPPED) } else { Ok(network) }
}

/// Reads a network. Bits behind the prefix are kept, as the address that it was written with; one of IPv4-mapped
/// addresses is the IPv4 network that it stands for.
pub(crate) fn to_cidr(text: &str) -> Result<IpNet, Failure> {
    // `10.0.0.0/08` is somebody's mistake.
    let zeros = text.rsplit_once('/').is_some_and(|(_, length)| length.len() > 1 && length.starts_with('0'));
    let network = text.parse().ok().filter(|_| !zeros);
    network.map(network::canonical).ok_or(Failure::Invalid("not a CIDR such as `10.0.0.0/8`"))
}

const NO_ADDRESS: Failure = Failure::Invalid("not an IP address");
const MAPPED: Failure = Failure::Invalid("an IPv4 address in the guise of IPv6: write it as IPv4");

fn contains(network: &IpNet, address: IpAddr) -> bool {
    network.contains(&address)
}

/// As Go has it: every unicast address that is neither loopback, link-local nor unspecified. Private ones count.
fn is_global_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(broadcast
        || address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || is_link_local(address))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => Ipv6Addr::segments(&address).first().is_some_and(|first| first & 0xff0f == 0xff02),
    }
}
