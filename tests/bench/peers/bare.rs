//! A bound: what hyper and rustls cost a proxy that does nothing else (`bare_proxy.rs`).

use std::path::Path;

use integration::Result;

use super::{Contestant, Running, Shape};
use crate::process::{Program, built, free_address};
use crate::site::Site;

/// The bare proxy.
pub(crate) struct Bare;

impl Contestant for Bare {
    fn name(&self) -> &'static str {
        "bare"
    }

    fn how(&self) -> &'static str {
        "a bound: hyper and rustls, no credential, no policy, no log"
    }

    fn version(&self) -> Result<String> {
        Ok("of this repository".into())
    }

    fn start(&self, site: &Site, shape: Shape, folder: &Path) -> Result<Running> {
        let address = free_address()?;
        let upstream = match shape {
            Shape::Identity | Shape::Plain => format!("http://{}", site.upstreams.plain),
            Shape::Grpc => format!("h2c://{}", site.upstreams.h2c),
            Shape::Origination => format!("https://{}", site.upstreams.tls),
        };
        let mut command = site.placement.command(&built("bare-proxy")?);
        command.arg(address.to_string()).arg(upstream).arg(site.path("ca.pem"));
        if shape != Shape::Plain {
            command.arg(site.path("cert.pem")).arg(site.path("key.pem"));
        }
        Running::new(shape, vec![Program::start(&mut command, &folder.join("log"))?], address)
    }
}
