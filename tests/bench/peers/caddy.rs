//! Caddy, which asks the authoriser before every request (`forward_auth`): Debian's package verifies no tokens itself.

use std::path::Path;

use integration::Result;

use super::{Contestant, Running, Shape, authoriser, fill, version, write};
use crate::process::{Program, free_address, installed};
use crate::site::{HOST, Site};

/// Caddy.
pub(crate) struct Caddy;

impl Contestant for Caddy {
    fn name(&self) -> &'static str {
        "caddy"
    }

    fn how(&self) -> &'static str {
        "`forward_auth` to the same authoriser as nginx; access log"
    }

    fn version(&self) -> Result<String> {
        version(&installed("caddy")?, "version", "")
    }

    fn start(&self, site: &Site, shape: Shape, folder: &Path) -> Result<Running> {
        let address = free_address()?;
        let (authoriser, asked) = authoriser(site, folder)?;
        let folder_text = folder.display().to_string();
        let tls = format!("tls {0}/cert.pem {0}/key.pem", site.path("").display());
        let access = format!("forward_auth {asked} {{\n    uri /\n    copy_headers X-User\n  }}");
        let (scheme, tls, access) = match shape {
            Shape::Plain => ("http", "", ""),
            Shape::Identity | Shape::Grpc | Shape::Origination => ("https", &*tls, &*access),
        };
        let verify =
            format!("tls_server_name upstream.localhost\n      tls_trusted_ca_certs {}", site.path("ca.pem").display());
        let (upstream, transport) = match shape {
            Shape::Identity | Shape::Plain => (format!("http://{}", site.upstreams.plain), ""),
            Shape::Grpc => (format!("h2c://{}", site.upstreams.h2c), ""),
            Shape::Origination => (format!("https://{}", site.upstreams.tls), &*verify),
        };
        let configuration = fill(
            include_str!("Caddyfile"),
            &[
                ("folder", &folder_text),
                ("admin", &free_address()?.to_string()),
                ("site", &format!("{scheme}://{HOST}:{}", address.port())),
                ("tls", tls),
                ("access", access),
                ("upstream", &upstream),
                ("transport", transport),
            ],
        )?;
        let file = write(folder, "Caddyfile", configuration)?;
        let mut command = site.placement.command(&installed("caddy")?);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        let home = |name: &str| folder.join(name);
        command.env("HOME", folder).env("XDG_DATA_HOME", home("data")).env("XDG_CONFIG_HOME", home("config"));
        let program = Program::start(&mut command, &folder.join("log"))?;
        let running = Running::new(shape, vec![program, authoriser], address)?;
        Ok(running.sessions("session", &site.token("ada")?, &site.token("mallory")?))
    }
}
