//! Warnings about routes that load and are likely not what was meant.

use identity::Scheme;
use ipnet::IpNet;
use proxy::Authentication;

use crate::config::builder::Builder;
use crate::config::fields::Fields;
use crate::config::format;
use crate::config::tree::Node;

/// Warns where sessions travel in the clear.
pub(super) fn cleartext_sign_in(
    builder: &mut Builder<'_>,
    fields: &Fields<'_>,
    scheme: Scheme,
    authenticate: Authentication,
) {
    let signs_in = match authenticate {
        Authentication::Required | Authentication::Optional => true,
        Authentication::None => false,
    };
    if let Some(node) = fields.own("from").filter(|_| signs_in && scheme == Scheme::Http) {
        builder.warning(
            node.place,
            "sign-in on a plain http route: anybody on the way can take the session over; write `https://`, or \
             `authenticate: none`",
        );
    }
}

/// Warns where a private address alone lets somebody in while nothing is known of proxies in front (S-74): behind a
/// load balancer every request would come from such an address.
pub(super) fn addresses(builder: &mut Builder<'_>, root: &Fields<'_>) {
    let mut listeners = root.items("listeners").iter();
    // No load balancer reaches a listener on loopback from elsewhere.
    let local = |listener: &Node| {
        let address = listener.get("address").and_then(Node::text).and_then(|text| format::address(text).ok());
        address.is_some_and(|address| address.ip().is_loopback())
    };
    if listeners.all(|listener| listener.get("trusted_proxies").is_some() || local(listener)) {
        return;
    }
    for route in root.items("routes") {
        let rules = route.get("allow").map_or(&[][..], Node::items);
        for node in rules.iter().filter_map(|rule| rule.get("when").or(Some(rule))) {
            let text = node.text().unwrap_or_default();
            let by_address_alone = text.contains("request.ip") && !text.contains("user.");
            if by_address_alone && names_private_network(text, root) {
                builder.warning(
                    node.place,
                    "this rule allows by a private address alone, and a listener has no `trusted_proxies`: behind a load \
                     balancer everybody comes from its address; set `trusted_proxies` (`[]` if clients connect directly)",
                );
            }
        }
    }
}

fn names_private_network(expression: &str, root: &Fields<'_>) -> bool {
    let literals = || expression.split(['"', '\'']).skip(1).step_by(2);
    let named = root.table("networks").filter(|(name, _)| literals().any(|literal| literal == *name));
    let networks = named.flat_map(|(_, node)| node.items()).filter_map(Node::text);
    networks.chain(literals()).filter_map(|text| format::network(text).ok()).any(|net| is_private(&net))
}

fn is_private(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.network().is_private() || net.network().is_loopback(),
        IpNet::V6(net) => net.network().is_unique_local() || net.network().is_loopback(),
    }
}
