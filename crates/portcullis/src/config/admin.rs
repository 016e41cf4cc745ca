//! `admin`: where operators reach us, and how they show who they are.

use std::net::SocketAddr;

use identity::Secret;
use proxy::ListenerTls;

use super::builder::Builder;
use super::fields::Fields;
use super::tree::Node;
use super::{format, listener, schema};

/// The listener for operators.
#[derive(Clone, Debug)]
pub struct Admin {
    /// What is bound.
    pub address: SocketAddr,
    /// Its certificates, and those by which it knows operators.
    pub tls: Option<ListenerTls>,
    /// What operators have to send who show no certificate.
    pub token: Option<Secret>,
}

/// Builds the section.
pub(crate) fn build(builder: &mut Builder<'_>, root: &Fields<'_>) -> Option<Admin> {
    let fields = root.section("admin", &schema::ADMIN);
    let address = fields.read("address", format::address)?;
    let token = fields.text("token");
    // That it is empty was reported.
    let is_short = |node: &&Node| node.text().is_some_and(|token| (1..MIN_TOKEN).contains(&token.len()));
    if let Some(node) = fields.get("token").filter(is_short) {
        builder.error(
            node.place,
            "`token` has less than 16 characters, and could be guessed: make one with `openssl rand -base64 32`",
        );
    }
    let tls = fields.get("tls").map(|_| listener::tls(builder, &fields));
    let asks = fields.get("token").is_some() || tls.as_ref().is_some_and(|tls| tls.client_auth.is_some());
    if let Some(node) = fields.get("address").filter(|_| !asks && !address.ip().to_canonical().is_loopback()) {
        builder.error(
            node.place,
            "whoever reaches this address could end sessions and read the configuration: set `admin.token` or \
             `admin.tls.client_auth`, or listen on `127.0.0.1`",
        );
    }
    Some(Admin { address, tls, token: token.map(|token| Secret::new(token.to_owned())) })
}

const MIN_TOKEN: usize = 16;
