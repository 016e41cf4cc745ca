//! `HAProxy`, which verifies a JWT of its own accord.

use std::path::Path;

use integration::Result;

use super::{Contestant, Running, Shape, fill, version, write};
use crate::process::{Program, free_address, installed};
use crate::site::{Site, TOKEN_SECRET};

/// `HAProxy`.
pub(crate) struct Haproxy;

impl Contestant for Haproxy {
    fn name(&self) -> &'static str {
        "haproxy"
    }

    fn how(&self) -> &'static str {
        "JWT in a cookie: HS256, issuer, audience, expiry, and the policy as ACLs; access log"
    }

    fn version(&self) -> Result<String> {
        version(&installed("haproxy")?, "-v", "HAProxy version ")
    }

    fn start(&self, site: &Site, shape: Shape, folder: &Path) -> Result<Running> {
        let address = free_address()?;
        let pem = site.path("both.pem").display().to_string();
        let ca = site.path("ca.pem").display().to_string();
        let (listen, access) = match shape {
            Shape::Plain => (String::new(), String::new()),
            Shape::Identity | Shape::Grpc | Shape::Origination => {
                let access = include_str!("haproxy-access.cfg");
                let access = fill(access, &[("secret", TOKEN_SECRET), ("issuer", site.issuer())])?;
                (format!("ssl crt {pem} alpn h2,http/1.1"), access)
            }
        };
        let server = match shape {
            Shape::Identity | Shape::Plain => site.upstreams.plain.to_string(),
            Shape::Grpc => format!("{} proto h2", site.upstreams.h2c),
            Shape::Origination => {
                let name = "str(upstream.localhost)";
                format!(
                    "{} ssl verify required ca-file {ca} sni {name} verifyhost upstream.localhost",
                    site.upstreams.tls
                )
            }
        };
        let address_text = address.to_string();
        let values = [("address", &*address_text), ("listen", &listen), ("access", &access), ("server", &server)];
        let file = write(folder, "haproxy.cfg", fill(include_str!("haproxy.cfg"), &values)?)?;
        let mut command = site.placement.command(&installed("haproxy")?);
        let program = Program::start(command.args(["-W", "-db", "-f"]).arg(file), &folder.join("log"))?;
        let running = Running::new(shape, vec![program], address)?;
        Ok(running.sessions("session", &site.token("ada")?, &site.token("mallory")?))
    }

    fn reload(&self) -> Option<&'static str> {
        Some("USR2")
    }
}
