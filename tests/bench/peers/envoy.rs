//! Envoy, which verifies a JWT from a cookie (`jwt_authn`) and decides by RBAC with a condition in CEL.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration::Result;

use super::{Contestant, Running, Shape, fill, version, write};
use crate::process::{Program, free_address, installed};
use crate::site::{Site, TOKEN_SECRET};

/// Envoy.
pub(crate) struct Envoy;

impl Contestant for Envoy {
    fn name(&self) -> &'static str {
        "envoy"
    }

    fn how(&self) -> &'static str {
        "JWT in a cookie (`jwt_authn`, HS256, with its cache), RBAC: networks, and CEL for group and domain; access log"
    }

    fn version(&self) -> Result<String> {
        let said = version(&installed("envoy")?, "--version", "version: ")?;
        Ok(said.split('/').nth(1).unwrap_or(&said).to_owned())
    }

    fn start(&self, site: &Site, shape: Shape, folder: &Path) -> Result<Running> {
        let address = free_address()?;
        let key = URL_SAFE_NO_PAD.encode(TOKEN_SECRET);
        let (cert, private, ca) = (site.path("cert.pem"), site.path("key.pem"), site.path("ca.pem"));
        let paths = [&cert, &private, &ca].map(|path| path.display().to_string());
        let [cert, private, ca] = &paths;
        let access = fill(include_str!("envoy-access.yaml"), &[("issuer", site.issuer()), ("key", &key)])?;
        let tls = fill(include_str!("envoy-tls.yaml"), &[("cert", cert), ("key", private)])?;
        let origination = fill(include_str!("envoy-origination.yaml"), &[("ca", ca)])?;
        let (access, tls) = if shape == Shape::Plain { ("", "") } else { (&*access, &*tls) };
        let (upstream, protocol, origination) = match shape {
            Shape::Identity | Shape::Plain => (site.upstreams.plain, "http_protocol_options", ""),
            Shape::Grpc => (site.upstreams.h2c, "http2_protocol_options", ""),
            Shape::Origination => (site.upstreams.tls, "http_protocol_options", &*origination),
        };
        let configuration = fill(
            include_str!("envoy.yaml"),
            &[
                ("port", &address.port().to_string()),
                ("log", &folder.join("access.log").display().to_string()),
                ("tls", tls),
                ("access", access),
                ("upstream", &upstream.port().to_string()),
                ("protocol", protocol),
                ("origination", origination),
            ],
        )?;
        let file = write(folder, "envoy.yaml", configuration)?;
        let mut command = site.placement.command(&installed("envoy")?);
        command.arg("-c").arg(file).args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]);
        let program = Program::start(&mut command, &folder.join("log"))?;
        let running = Running::new(shape, vec![program], address)?;
        Ok(running.sessions("session", &site.token("ada")?, &site.token("mallory")?))
    }
}
